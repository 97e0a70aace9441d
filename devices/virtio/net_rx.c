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

#define SLACK 64  /* used up entries at the front of the arrays, before they are closed up */
#define FRONT 384 /* entries that are used as long as they suffice */
#define ROOM               \
	(SLACK + IOV_MAX + \
		VIRTQ_MAX_SIZE) /* what one frame is read into, and a chain taken with one entry left */
#define PATIENCE    2000000	/* ns to wait for buffers of a driver that has given too few */
#define NEVER	    UINT64_MAX
#define VLAN_TYPE   0x0081    /* 0x8100, most significant byte first */
#define TRUST	    100000000 /* ns, when it is known to have more and to be behind */
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
	const struct net *net = pair->net;

	pair->rx.want = pair->rx.enough = want(net);
	pair->rx.packet_span = NET_FRAME_MAX - NET_FRAME_MIN;
	if (net_has(net, VIRTIO_NET_F_MTU))
		pair->rx.packet_span = NET_VLAN_TAG + net->tap.mtu;
}

void net_rx_stop(struct net_pair *pair)
{
	struct net_rx *rx = &pair->rx;

	loop_timer_cancel(pair->loop, &rx->timer);
	for (; rx->buf < rx->buf_end; rx->buf++)
		virtq_push(rx->vq, rx->buf->head, 0);
	rx->iov = rx->iov_end = rx->iovs;
	rx->buf = rx->buf_end = rx->bufs;
	rx->bytes = 0;
	rx->iov_front = rx->iovs;
	rx->supply = NET_ENOUGH;
	rx->dry = rx->gave_enough = false;
}

/* Room for another chain, of any length, behind what is there. */
static void close_up(struct net_rx *rx)
{
	size_t niov = rx->iov_end - rx->iov, nbuf = rx->buf_end - rx->buf;

	rx->iov = memmove(rx->iovs, rx->iov, niov * sizeof(*rx->iov));
	rx->buf = memmove(rx->bufs, rx->buf, nbuf * sizeof(*rx->buf));
	rx->iov_end = rx->iov + niov;
	rx->buf_end = rx->buf + nbuf;
}

/* A buffer that holds no header is none (5.1.6.3.1). Segments for the device to read mean nothing here. */
static bool usable(struct net_pair *pair, struct virtq_chain *chain)
{
	if (unlikely(chain->nread))
		memmove(chain->iov, chain->iov + chain->nread, chain->nwrite * sizeof(*chain->iov));
	if (likely(chain->write_len >= NET_HDR))
		return true;
	virtq_push(pair->rx.vq, chain->head, 0);
	pair->rx.vq->to_guest += NET_HDR;
	net_drop(pair->net);
	return false;
}

static void add_buffer(struct net_rx *rx, size_t head, size_t niov, uint32_t len)
{
	struct net_buf *b = rx->buf_end++;

	b->len = len;
	b->head = head;
	b->niov = niov;
	rx->iov_end += niov;
	rx->bytes += len;
}

/* Take buffers until there are enough. 1; 0: there are no more, or too many in this turn were none; -EPROTO.
 */
static int take(struct net_pair *pair)
{
	struct net_rx *rx = &pair->rx;

	while (rx->bytes < rx->want && rx->iov_end - rx->iov < IOV_MAX) {
		struct virtq_chain chain = {.cap = VIRTQ_MAX_SIZE};
		int r;

		/* Soon rather than at the end of the array, so that little of it is ever touched. */
		if (rx->iov - rx->iovs >= SLACK)
			close_up(rx);
		chain.iov = rx->iov_end;
		r = rx->refuse ? virtq_pop(rx->vq, &chain) : 0;
		if (r <= 0)
			return r;
		if (usable(pair, &chain))
			add_buffer(rx, chain.head, chain.nwrite,
				chain.write_len < UINT32_MAX ? chain.write_len : UINT32_MAX);
		else
			rx->refuse--;
	}
	return 1;
}

/* The same, of buffers as drivers make them. False: take() is to look. */
static __always_inline bool take_plain(struct net_rx *rx)
{
	while (rx->bytes < rx->enough) {
		struct iovec *v = rx->iov_end;
		struct net_buf *b = rx->buf_end;
		size_t head;

		if (unlikely(v >= rx->iov_front) ||
			!virtq_pop_one(rx->vq, VRING_DESC_F_WRITE, NET_HDR, v, &head))
			return false;
		b->len = v->iov_len;
		b->head = head;
		b->niov = 1;
		rx->buf_end = b + 1;
		rx->iov_end = v + 1;
		rx->bytes += v->iov_len;
	}
	return true;
}

/* Bytes of a frame, wherever the segments' borders are; from what was just read. */
static void gather(const struct net_rx *rx, unsigned off, void *dst, size_t len)
{
	const struct iovec *v = rx->iov;
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

/* v: the frame's first segment. */
static void put_num_buffers(const struct iovec *v, uint16_t n)
{
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
			rx->want = rx->enough = NET_HDR + NET_FRAME_MAX;
		return false;
	}
	if (unlikely(len < NET_HDR + NET_FRAME_MIN))
		return false;
	if (likely(rx->iov->iov_len >= 2))
		ring_copy(head, rx->iov->iov_base, 2);
	else
		gather(rx, 0, head, 2);
	has = 1u << (head[1] & 7);
	if (head[0] & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		has |= NET_RX_CSUM;
	if (head[1] & VIRTIO_NET_HDR_GSO_ECN)
		has |= NET_RX_ECN;
	if (unlikely(has & ~takes))
		return false;
	/* What is to be cut into packets may be longer than the MTU the driver was told, a packet may not
	 * (5.1.4.1). */
	if (unlikely(!(head[1] & 7) && len - (NET_HDR + NET_FRAME_MIN) > rx->packet_span))
		return false;
	/* 5.1.6.4.1; the kernel says "data valid" to everybody. */
	flags = takes & NET_RX_CSUM ? head[0] & KNOWN_FLAGS : 0;
	if (flags != head[0])
		ring_copy(rx->iov->iov_base, &flags, 1);
	return !atomic_load_explicit(&net->vlan_filter, memory_order_relaxed) || vlan_passes(net, rx, len);
}

/* Give the buffers that `len` bytes are in to the guest; all of a frame's are published together. */
static void deliver(struct net_rx *rx, size_t len)
{
	const struct iovec *first = rx->iov;
	uint16_t n = 0;

	for (size_t left = len; left; n++) {
		struct net_buf *b = rx->buf++;
		uint32_t part = b->len < left ? b->len : left;

		virtq_push(rx->vq, b->head, part);
		left -= part;
		rx->iov += b->niov;
		rx->bytes -= b->len;
	}
	put_num_buffers(first, n);
	rx->vq->to_guest += len + (n - 1) * NET_HDR;
}

/*
 * The same for a frame that fits into one buffer, is of no special kind and not of a VLAN; false: passes() is
 * to look. known: the flags the driver takes.
 */
static __always_inline bool deliver_plain(struct net_rx *rx, size_t len, uint16_t known)
{
	struct net_buf *b = rx->buf;
	struct virtq *vq = rx->vq;
	uint8_t *p = rx->iov->iov_base;
	uint16_t head, type, one = 1;

	/* From the shortest to the longest in one comparison. */
	if (unlikely(len > rx->iov->iov_len ||
		     len - (NET_HDR + NET_FRAME_MIN) > rx->packet_span))
		return false;
	ring_copy(&head, p, 2);
	ring_copy(&type, p + NET_HDR + 12, 2);
	if (unlikely(head & ~known || type == VLAN_TYPE))
		return false;
	ring_copy(p + offsetof(struct virtio_net_hdr_v1, num_buffers), &one, 2);
	vq->to_guest += len;
	virtq_push_running(vq, b->head, len);
	rx->iov += b->niov;
	rx->bytes -= b->len;
	rx->buf = b + 1;
	return true;
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
static __always_inline ssize_t receive(struct net_pair *pair)
{
	struct net_rx *rx = &pair->rx;
	struct iovec *first = rx->iov, *end = rx->iov_end;

	*end++ = (struct iovec){&rx->spill, 1};
	return tap_receive(pair->tap, pair->index, first, end - first);
}

static void patience_over(struct loop_timer *timer)
{
	struct net_pair *pair = container_of(timer, struct net_pair, rx.timer);

	pair->rx.supply = pair->rx.bytes < pair->rx.want ? NET_MAKE_DO : NET_ENOUGH;
	virtio_again(&pair->net->dev, 2 * pair->index);
}

int net_rx_create(struct net_pair *pair, unsigned queue_max)
{
	struct net_rx *rx = &pair->rx;

	rx->vq = &pair->net->dev.queue[2 * pair->index].vq;
	rx->timer.fn = patience_over;
	rx->iov = rx->iov_end = rx->iovs = malloc(ROOM * sizeof(*rx->iov));
	rx->buf = rx->buf_end = rx->bufs = malloc(ROOM * sizeof(*rx->buf));
	if (!rx->iovs || !rx->bufs)
		return -ENOMEM;
	rx->iov_front = rx->iovs;
	return 0;
}

/*
 * A frame read with too little room is lost. A driver that gave enough before, and whose buffers mostly are
 * with itself, has not run out of them: its CPU has other things to do. (With half of its ring here it may
 * wait for us: drivers give buffers back in lots.)
 */
static uint64_t patience(const struct net_rx *rx)
{
	size_t here = rx->buf_end - rx->buf;

	return rx->gave_enough && here < rx->vq->num / 2 ? TRUST : PATIENCE;
}

/* Whether a frame may be read now. 1; else what kick() is to say. */
static int prepare(struct net_pair *pair)
{
	struct net_rx *rx = &pair->rx;
	int r = take(pair);

	if (r < 0)
		return r;
	if (r) {
		if (rx->supply == NET_WAITING)
			loop_timer_cancel(pair->loop, &rx->timer);
		rx->supply = NET_ENOUGH;
		rx->gave_enough = true;
		rx->enough = rx->iov_end - rx->iov < IOV_MAX ? rx->want : NEVER;
		rx->iov_front = rx->iovs + FRONT;
		return 1;
	}
	if (rx->buf == rx->buf_end)
		return 0;
	if (rx->supply == NET_MAKE_DO)
		return 1;
	/* More will come, unless the driver has no more to give: then what it gave has to do. What comes from
	 * the network meanwhile does not make the waiting longer. */
	if (rx->supply != NET_WAITING)
		loop_timer_set(pair->loop, &rx->timer, patience(rx));
	rx->supply = NET_WAITING;
	return 0;
}

/* What receive() said was no frame: 0, or what kick() is to say. */
static int no_frame(struct net_pair *pair, ssize_t err)
{
	if (err == -EINVAL) { /* one that cannot be told in a header: it is lost */
		net_drop(pair->net);
		return 0;
	}
	/* There is none; or the tap is down or gone, and an event tells when it is back. */
	pair->rx.dry = true;
	return VIRTIO_STALLED;
}

static int watch(struct net_pair *pair)
{
	int err = pair->rx_on ? 0 : net_pair_watch(pair);

	pair->rx_on = !err;
	return err;
}

static __always_inline int frames(struct net_pair *pair, struct limits *limits)
{
	struct net *net = pair->net;
	struct net_rx *rx = &pair->rx;
	uint16_t known =
		atomic_load_explicit(&net->rx_gso, memory_order_relaxed) & NET_RX_CSUM ? KNOWN_FLAGS : 0;
	/* A turn ends after so many bytes or a ring of frames: each counts for its share of both. */
	int64_t left = NET_TURN, share = NET_TURN / rx->vq->num;
	uint64_t ns;
	int r;

	for (; left > 0; left -= share) {
		bool crowded = false; /* more segments than the kernel takes at once */
		ssize_t len;

		if (unlikely(!take_plain(rx))) {
			r = prepare(pair);
			if (r <= 0)
				return r;
			crowded = rx->iov_end - rx->iov >= IOV_MAX;
		}
		if (limits && (ns = limits_wait(limits, loop_now(pair->loop))))
			return virtio_pause(&net->dev, 2 * pair->index, ns);
		len = unlikely(crowded) ? receive_some(pair, rx->iov) : receive(pair);
		if (unlikely(len < 0)) {
			r = no_frame(pair, len);
			if (r)
				return r;
			continue;
		}
		if (limits)
			limits_take(limits, loop_now(pair->loop), len > NET_HDR ? len - NET_HDR : 0);
		left -= len;
		if (likely(deliver_plain(rx, len, known)))
			continue;
		if (passes(pair, len))
			deliver(rx, len);
		else
			net_drop(net);
	}
	return VIRTIO_AGAIN;
}

int net_rx_kick(struct net_pair *pair)
{
	struct limits *limits;
	struct virtq *vq = pair->rx.vq;
	uint16_t before = vq->used_idx;
	int r = watch(pair);

	if (r)
		return r;
	pair->rx.dry = false;
	pair->rx.refuse = vq->num;
	limits = pair->net->dev.queue[2 * pair->index].limits;
	r = likely(!limits) ? frames(pair, NULL) : frames(pair, limits);
	/* Bytes are those of frames: what was counted has a header in each buffer. */
	vq->to_guest -= (uint16_t)(vq->used_idx - before) * (uint64_t)NET_HDR;
	return r;
}
