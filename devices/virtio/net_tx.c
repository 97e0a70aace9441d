// SPDX-License-Identifier: Apache-2.0
/*
 * What the guest sends goes to the tap: each chain as it lies in guest RAM, behind a header of which we keep
 * a copy, so that what was checked is what the kernel gets. Runs on the pair's loop.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "devices/virtio/net_priv.h"

#define NO_CHAIN 3 /* beside what kick() may say */

int net_tx_create(struct net_pair *pair, unsigned queue_max)
{
	struct net_tx *tx = &pair->tx;

	tx->vq = &pair->net->dev.queue[2 * pair->index + 1].vq;
	tx->iov = malloc((queue_max + 1) * sizeof(*tx->iov));
	if (!tx->iov)
		return -ENOMEM;
	tx->iov[0] = (struct iovec){&tx->hdr, NET_HDR};
	return 0;
}

void net_tx_stop(struct net_pair *pair)
{
	struct net_tx *tx = &pair->tx;

	if (tx->kept_n)
		virtq_push(tx->vq, tx->kept.head, 0);
	tx->kept_n = 0;
}

/* 5.1.6.2.1: what was not negotiated is not asked for; unknown flags mean nothing; hdr_len is only a hint,
 * for which the kernel would refuse the frame. */
static inline bool header_ok(const struct net *net, struct virtio_net_hdr_v1 *hdr, uint64_t frame)
{
	unsigned type = hdr->gso_type & ~VIRTIO_NET_HDR_GSO_ECN;

	hdr->flags &= VIRTIO_NET_HDR_F_NEEDS_CSUM;
	if (hdr->hdr_len > frame)
		hdr->hdr_len = 0;
	if (!hdr->flags && !hdr->gso_type)
		return true;
	if (!net->tx_csum || type > 31)
		return false;
	if (hdr->gso_type & VIRTIO_NET_HDR_GSO_ECN && !net_has(net, VIRTIO_NET_F_HOST_ECN))
		return false;
	return net->tx_gso >> type & 1;
}

/* Of a frame in one segment the header; the segment is what is left. False: it is no frame. */
static __always_inline bool cut_header(const struct net *net, struct net_tx *tx, struct iovec *iov)
{
	uint64_t frame = iov->iov_len - NET_HDR;

	if (unlikely(frame - NET_FRAME_MIN > NET_FRAME_MAX - NET_FRAME_MIN)) /* huge when it is too short */
		return false;
	ring_copy(&tx->hdr, iov->iov_base, NET_HDR);
	iov->iov_base = (char *)iov->iov_base + NET_HDR;
	iov->iov_len = frame;
	return header_ok(net, &tx->hdr, frame);
}

/* Make tx->iov[*at...], *n of them, what is to be sent. False: this is no frame. */
static bool lay_out(struct net_pair *pair, const struct virtq_chain *chain, unsigned *at, unsigned *n)
{
	struct net_tx *tx = &pair->tx;
	struct iovec *iov = chain->iov;
	unsigned left = chain->nread;

	if (unlikely(chain->read_len < NET_HDR + NET_FRAME_MIN || chain->read_len > NET_HDR + NET_FRAME_MAX))
		return false;
	if (likely(iov->iov_len == NET_HDR)) {
		ring_copy(&tx->hdr, iov->iov_base, NET_HDR);
		iov++;
		left--;
	} else {
		iov_take(&iov, &left, &tx->hdr, NET_HDR);
	}
	if (unlikely(!header_ok(pair->net, &tx->hdr, chain->read_len - NET_HDR)))
		return false;
	*--iov = (struct iovec){&tx->hdr, NET_HDR};
	*at = iov - tx->iov;
	*n = left + 1;
	return true;
}

/*
 * The most segments a chain can have, and a header that shares the first one: one more than the kernel takes
 * at once. The last ones are copied together; nothing real sends such frames.
 */
__attribute__((noinline, cold)) static ssize_t send_squeezed(
	struct net_pair *pair, struct iovec *iov, unsigned n)
{
	struct iovec *last = iov + IOV_MAX - 1, saved = *last;
	uint8_t tail[2048];
	size_t len = 0;
	ssize_t r;

	for (struct iovec *v = last; v < iov + n; v++) {
		if (v->iov_len > sizeof(tail) - len)
			return -EMSGSIZE;
		ring_copy(tail + len, v->iov_base, v->iov_len);
		len += v->iov_len;
	}
	*last = (struct iovec){tail, len};
	r = tap_send(pair->tap, pair->index, iov, IOV_MAX);
	*last = saved; /* it may have to go once more */
	return r;
}

/* -EAGAIN, or the chain's end: the frame went out, or went nowhere. */
static __always_inline int send_frame(struct net_pair *pair, unsigned at, unsigned n)
{
	struct iovec *iov = pair->tx.iov + at;
	ssize_t r;

	if (unlikely(n > IOV_MAX))
		r = send_squeezed(pair, iov, n);
	else
		r = tap_send(pair->tap, pair->index, iov, n);
	if (unlikely(r < 0)) {
		if (r == -EAGAIN)
			return -EAGAIN;
		net_drop(pair->net); /* down, gone, or nonsense: as a cable that is not there */
		return 0;
	}
	pair->tx.vq->from_guest += r - NET_HDR;
	return 0;
}

/* The tap is full. It says when it is not any more only to who has asked since it was: watch it anew. */
static int wait_for_room(struct net_pair *pair)
{
	int err = net_pair_watch_anew(pair);

	pair->tx_on = !err;
	return err ? err : VIRTIO_STALLED;
}

static int keep(struct net_pair *pair, const struct virtq_chain *chain, unsigned at, unsigned n)
{
	struct net_tx *tx = &pair->tx;

	tx->kept = *chain;
	tx->kept_at = at;
	tx->kept_n = n;
	return wait_for_room(pair);
}

/* It went, or will not go. */
static inline void finish(struct net_pair *pair, size_t head, uint64_t len, struct limits *limits)
{
	if (unlikely(limits))
		limits_take(limits, loop_now(pair->loop), len > NET_HDR ? len - NET_HDR : 0);
	virtq_push_running(pair->tx.vq, head, 0);
}

/* A chain of any shape: 0 when it is used, else what kick() is to say. */
static int send_chain(struct net_pair *pair, struct virtq_chain *chain, struct limits *limits)
{
	unsigned at, n;
	int r = virtq_pop(pair->tx.vq, chain);

	if (r <= 0)
		return r ? r : NO_CHAIN;
	if (!lay_out(pair, chain, &at, &n))
		net_drop(pair->net);
	else if (unlikely(send_frame(pair, at, n)))
		return keep(pair, chain, at, n);
	finish(pair, chain->head, chain->read_len, limits);
	return 0;
}

/* The same for a chain of one segment, as drivers make them of small frames. */
static __always_inline int send_one(struct net_pair *pair, struct virtq_chain *chain, struct limits *limits)
{
	struct net_tx *tx = &pair->tx;
	struct iovec *iov = tx->iov + 1;

	if (unlikely(!virtq_pop_one(tx->vq, 0, 1, iov, &chain->head)))
		return send_chain(pair, chain, limits);
	chain->read_len = iov->iov_len;
	if (likely(cut_header(pair->net, tx, iov))) {
		if (unlikely(send_frame(pair, 0, 2)))
			return keep(pair, chain, 0, 2);
	} else {
		net_drop(pair->net);
	}
	finish(pair, chain->head, chain->read_len, limits);
	return 0;
}

static __always_inline int frames(struct net_pair *pair, struct limits *limits)
{
	struct net *net = pair->net;
	struct net_tx *tx = &pair->tx;
	struct virtq_chain chain = {.iov = tx->iov + 1, .cap = net->dev.queue_max};
	size_t bytes = 0;
	uint64_t ns;
	int r;

	for (size_t left = tx->vq->num; left && bytes < NET_TURN; left--) {
		if (limits && virtq_waiting(tx->vq) && (ns = limits_wait(limits, loop_now(pair->loop))))
			return virtio_pause(&net->dev, 2 * pair->index + 1, ns);
		r = send_one(pair, &chain, limits);
		if (unlikely(r))
			return r == NO_CHAIN ? 0 : r;
		bytes += chain.read_len;
	}
	return 0;
}

int net_tx_kick(struct net_pair *pair)
{
	struct net_tx *tx = &pair->tx;
	struct limits *limits = pair->net->dev.queue[2 * pair->index + 1].limits;

	if (unlikely(tx->kept_n)) {
		if (send_frame(pair, tx->kept_at, tx->kept_n))
			return wait_for_room(pair);
		tx->kept_n = 0;
		finish(pair, tx->kept.head, tx->kept.read_len, limits);
	}
	return likely(!limits) ? frames(pair, NULL) : frames(pair, limits);
}
