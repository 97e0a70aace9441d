// SPDX-License-Identifier: Apache-2.0
/*
 * What the tap receives goes to the guest: read straight into its buffers. The size of a frame is known only
 * once it was read, so buffers for the largest one are taken ahead (with mergeable buffers: several), and
 * those that were not needed wait for the next frame. Runs on the pair's loop.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "devices/virtio/net_priv.h"

#define SLACK 64 /* used up entries at the front of the arrays, before they are closed up */
#define ROOM               \
	(SLACK + IOV_MAX + \
		VIRTQ_MAX_SIZE) /* what one frame is read into, and a chain taken with one entry left */
#define PATIENCE    2000000	/* ns to wait for buffers of a driver that has given too few */
#define TRUST	    100000000	/* ns, when it is known to have more and to be behind */
#define KNOWN_FLAGS (VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID)

/* What the largest frame needs. Without offloads that is the MTU's business, until a longer one came. */
static uint64_t want(const struct net *net)
{
	uint32_t gso = ~(NET_RX_CSUM | NET_RX_ECN | 1u << VIRTIO_NET_HDR_GSO_NONE);
	unsigned mtu = net->tap.mtu > 1500 ? net->tap.mtu : 1500;

	if (!net->mergeable)
		return 1;
	if (atomic_load_explicit(&net->rx_gso, memory_order_relaxed) & gso)
		return NET_HDR + NET_FRAME_MAX;
	return NET_HDR + NET_FRAME_MIN + NET_VLAN_TAG + mtu;
}

void net_rx_start(struct net_pair *pair)
{
	pair->rx.want = want(pair->net);
}

void net_rx_stop(struct net_pair *pair)
{
	struct net_rx *rx = &pair->rx;

	loop_timer_cancel(pair->loop, &rx->timer);
	for (unsigned i = 0; i < rx->nbuf; i++)
		virtq_push(rx->vq, rx->buf[rx->at_buf + i].head, 0);
	rx->at_iov = rx->niov = rx->at_buf = rx->nbuf = 0;
	rx->bytes = 0;
	rx->make_do = rx->waiting = rx->dry = rx->gave_enough = false;
}

/* Room for another chain, of any length, behind what is there. */
static void close_up(struct net_rx *rx)
{
	memmove(rx->iov, rx->iov + rx->at_iov, rx->niov * sizeof(*rx->iov));
	memmove(rx->buf, rx->buf + rx->at_buf, rx->nbuf * sizeof(*rx->buf));
	rx->at_iov = rx->at_buf = 0;
}

/* A buffer that holds no header is none (5.1.6.3.1). Segments for the device to read mean nothing here. */
static bool usable(struct net_pair *pair, struct virtq_chain *chain)
{
	if (unlikely(chain->nread))
		memmove(chain->iov, chain->iov + chain->nread, chain->nwrite * sizeof(*chain->iov));
	if (likely(chain->write_len >= NET_HDR))
		return true;
	virtq_push(pair->rx.vq, chain->head, 0);
	net_drop(pair->net);
	return false;
}

/* Take buffers until there are enough. 1; 0: there are no more, or too many in this turn were none; -EPROTO.
 */
static int take(struct net_pair *pair)
{
	struct net_rx *rx = &pair->rx;

	while (rx->bytes < rx->want && rx->niov < IOV_MAX) {
		struct virtq_chain chain = {.cap = VIRTQ_MAX_SIZE};
		int r;

		/* Soon rather than at the end of the array, so that little of it is ever touched. */
		if (rx->at_iov >= SLACK)
			close_up(rx);
		chain.iov = rx->iov + rx->at_iov + rx->niov;
		r = rx->refuse ? virtq_pop(rx->vq, &chain) : 0;
		if (r <= 0)
			return r;
		if (!usable(pair, &chain)) {
			rx->refuse--;
			continue;
		}
		rx->buf[rx->at_buf + rx->nbuf++] = (struct net_buf){chain.head, chain.nwrite,
			chain.write_len < UINT32_MAX ? chain.write_len : UINT32_MAX};
		rx->niov += chain.nwrite;
		rx->bytes += rx->buf[rx->at_buf + rx->nbuf - 1].len;
	}
	return 1;
}

/* Bytes of a frame, wherever the segments' borders are; from what was just read. */
static void gather(const struct net_rx *rx, unsigned off, void *dst, size_t len)
{
	const struct iovec *v = rx->iov + rx->at_iov;
	uint8_t *out = dst;

	for (; len; v++) {
		size_t part;

		if (off >= v->iov_len) {
			off -= v->iov_len;
			continue;
		}
		part = v->iov_len - off < len ? v->iov_len - off : len;
		ring_copy(out, (const uint8_t *)v->iov_base + off, part);
		out += part;
		len -= part;
		off = 0;
	}
}

static void put_num_buffers(const struct net_rx *rx, uint16_t n)
{
	const struct iovec *v = rx->iov + rx->at_iov;
	unsigned off = offsetof(struct virtio_net_hdr_v1, num_buffers);
	const uint8_t bytes[2] = {n & 0xff, n >> 8};

	if (likely(v->iov_len >= NET_HDR)) {
		ring_copy((uint8_t *)v->iov_base + off, bytes, 2);
		return;
	}
	for (unsigned i = 0; i < 2; i++) {
		while (off >= v->iov_len)
			off -= v++->iov_len;
		ring_copy((uint8_t *)v->iov_base + off++, &bytes[i], 1);
	}
}

/* A tagged frame of a VLAN the driver did not name does not pass (5.1.6.5.3); one without a VLAN does. */
static bool vlan_passes(const struct net *net, const struct net_rx *rx, size_t len)
{
	uint8_t tag[4];
	unsigned vid;

	if (len < NET_HDR + 12 + sizeof(tag))
		return true;
	gather(rx, NET_HDR + 12, tag, sizeof(tag));
	if (tag[0] != 0x81 || tag[1] != 0x00)
		return true;
	vid = (tag[2] << 8 | tag[3]) & 0xfff;
	return atomic_load_explicit(&net->vlan[vid / 32], memory_order_relaxed) >> vid % 32 & 1;
}

/* Frames that were queued under other offloads than those the driver took are not for it. */
static bool passes(struct net_pair *pair, size_t len)
{
	struct net_rx *rx = &pair->rx;
	struct net *net = pair->net;
	uint32_t takes = atomic_load_explicit(&net->rx_gso, memory_order_relaxed), has;
	uint8_t head[2], flags; /* and gso_type */

	if (unlikely(len > rx->bytes)) {
		if (net->mergeable)
			rx->want = NET_HDR + NET_FRAME_MAX;
		return false;
	}
	if (unlikely(len < NET_HDR + NET_FRAME_MIN))
		return false;
	if (likely(rx->iov[rx->at_iov].iov_len >= 2))
		ring_copy(head, rx->iov[rx->at_iov].iov_base, 2);
	else
		gather(rx, 0, head, 2);
	has = 1u << (head[1] & 7);
	if (head[0] & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		has |= NET_RX_CSUM;
	if (head[1] & VIRTIO_NET_HDR_GSO_ECN)
		has |= NET_RX_ECN;
	if (unlikely(has & ~takes))
		return false;
	/* 5.1.6.4.1; the kernel says "data valid" to everybody. */
	flags = takes & NET_RX_CSUM ? head[0] & KNOWN_FLAGS : 0;
	if (flags != head[0])
		ring_copy(rx->iov[rx->at_iov].iov_base, &flags, 1);
	return !atomic_load_explicit(&net->vlan_filter, memory_order_relaxed) || vlan_passes(net, rx, len);
}

/* Give the buffers that `len` bytes are in to the guest; all of a frame's are published together. */
static void deliver(struct net_rx *rx, size_t len)
{
	struct net_buf *b = rx->buf + rx->at_buf;
	unsigned n = 0, niov = 0;
	size_t left = len;

	do {
		uint32_t part = b->len < left ? b->len : left;

		virtq_push(rx->vq, b->head, part);
		left -= part;
		niov += b->niov;
		rx->bytes -= b->len;
		b++;
		n++;
	} while (left);
	put_num_buffers(rx, n);
	rx->at_iov += niov;
	rx->niov -= niov;
	rx->at_buf += n;
	rx->nbuf -= n;
}

/* The same where there are more segments than the kernel takes at once. */
__attribute__((noinline, cold)) static ssize_t receive_some(struct net_pair *pair, struct iovec *iov)
{
	struct iovec saved = iov[IOV_MAX - 1];
	size_t room = 0;
	ssize_t len;

	for (unsigned i = 0; i < IOV_MAX - 1; i++)
		room += iov[i].iov_len;
	iov[IOV_MAX - 1] = (struct iovec){&pair->rx.spill, 1};
	len = tap_receive(pair->tap, pair->index, iov, IOV_MAX);
	iov[IOV_MAX - 1] = saved;
	return len > 0 && (size_t)len > room ? (ssize_t)pair->rx.bytes + 1 : len;
}

/*
 * One frame: its length, or what tap_receive() says. Behind the buffers is one byte more: a frame that
 * reaches it was longer than they are.
 */
static ssize_t receive(struct net_pair *pair)
{
	struct net_rx *rx = &pair->rx;
	struct iovec *iov = rx->iov + rx->at_iov;

	if (unlikely(rx->niov >= IOV_MAX))
		return receive_some(pair, iov);
	iov[rx->niov] = (struct iovec){&rx->spill, 1};
	return tap_receive(pair->tap, pair->index, iov, rx->niov + 1);
}

static void patience_over(struct loop_timer *timer)
{
	struct net_pair *pair = container_of(timer, struct net_pair, rx.timer);

	pair->rx.waiting = false;
	if (pair->rx.nbuf && pair->rx.bytes < pair->rx.want)
		pair->rx.make_do = true;
	virtio_again(&pair->net->dev, 2 * pair->index);
}

int net_rx_create(struct net_pair *pair, unsigned queue_max)
{
	struct net_rx *rx = &pair->rx;

	rx->vq = &pair->net->dev.queue[2 * pair->index].vq;
	rx->timer.fn = patience_over;
	rx->iov = malloc(ROOM * sizeof(*rx->iov));
	rx->buf = malloc(ROOM * sizeof(*rx->buf));
	return rx->iov && rx->buf ? 0 : -ENOMEM;
}

/*
 * A frame read with too little room is lost. A driver that gave enough before, and whose buffers mostly are
 * with itself, has not run out of them: its CPU has other things to do. (With half of its ring here it may
 * wait for us: drivers give buffers back in lots.)
 */
static uint64_t patience(const struct net_rx *rx)
{
	return rx->gave_enough && rx->nbuf < rx->vq->num / 2 ? TRUST : PATIENCE;
}

/* Whether a frame may be read now. 1; else what kick() is to say. */
static int prepare(struct net_pair *pair)
{
	struct net_rx *rx = &pair->rx;
	int r = take(pair);

	if (r < 0)
		return r;
	if (r) {
		rx->make_do = false;
		rx->gave_enough = true;
		if (rx->waiting)
			loop_timer_cancel(pair->loop, &rx->timer);
		rx->waiting = false;
		return 1;
	}
	if (!rx->nbuf)
		return 0;
	if (rx->make_do)
		return 1;
	/* More will come, unless the driver has no more to give: then what it gave has to do. What comes from
	 * the network meanwhile does not make the waiting longer. */
	if (!rx->waiting)
		loop_timer_set(pair->loop, &rx->timer, patience(rx));
	rx->waiting = true;
	return 0;
}

int net_rx_kick(struct net_pair *pair)
{
	struct net *net = pair->net;
	bool limited = limits_on(&net->in);
	size_t bytes = 0;
	uint64_t ns;

	pair->rx.dry = false;
	if (unlikely(!pair->rx_on)) {
		int err = net_pair_watch(pair);

		if (err)
			return err;
		pair->rx_on = true;
	}
	pair->rx.refuse = pair->rx.vq->num;
	for (size_t n = pair->rx.vq->num; n && bytes < NET_TURN; n--) {
		ssize_t len;
		int r = pair->rx.bytes >= pair->rx.want ? 1 : prepare(pair);

		if (unlikely(r <= 0))
			return r;
		if (unlikely(limited) && (ns = limits_wait(&net->in, loop_now(pair->loop))))
			return virtio_pause(&net->dev, 2 * pair->index, ns);
		len = receive(pair);
		if (unlikely(len == -EINVAL)) { /* a frame that cannot be told in a header: it is lost */
			net_drop(net);
			continue;
		}
		if (len < 0) { /* none; or the tap is down or gone, and an event tells when it is back */
			pair->rx.dry = true;
			return VIRTIO_STALLED;
		}
		if (unlikely(limited))
			limits_take(&net->in, loop_now(pair->loop), len);
		bytes += len;
		if (likely(passes(pair, len)))
			deliver(&pair->rx, len);
		else
			net_drop(net);
	}
	return VIRTIO_AGAIN;
}
