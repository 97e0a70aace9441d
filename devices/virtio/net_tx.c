// SPDX-License-Identifier: Apache-2.0
/*
 * What the guest sends goes to the tap: each chain as it lies in guest RAM, behind a header of which we keep
 * a copy, so that what was checked is what the kernel gets. Runs on the pair's loop.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "devices/virtio/net_priv.h"

int net_tx_create(struct net_pair *pair, unsigned queue_max)
{
	struct net_tx *tx = &pair->tx;

	tx->vq = &pair->net->dev.queue[2 * pair->index + 1].vq;
	tx->iov = malloc((queue_max + 1) * sizeof(*tx->iov));
	return tx->iov ? 0 : -ENOMEM;
}

void net_tx_stop(struct net_pair *pair)
{
	struct net_tx *tx = &pair->tx;

	if (tx->kept_n)
		virtq_push(tx->vq, tx->kept.head, 0);
	tx->kept_n = 0;
}

/* 5.1.6.2.1: what was not negotiated is not asked for; unknown flags mean nothing; hdr_len is only a hint. */
static inline bool header_ok(const struct net *net, struct virtio_net_hdr_v1 *hdr, uint64_t frame)
{
	hdr->flags &= VIRTIO_NET_HDR_F_NEEDS_CSUM;
	if (!hdr->flags && !hdr->gso_type)
		return true;
	if (hdr->hdr_len > frame)
		hdr->hdr_len = 0;
	if (!net->tx_csum)
		return false;
	if (hdr->gso_type & VIRTIO_NET_HDR_GSO_ECN && !net_has(net, VIRTIO_NET_F_HOST_ECN))
		return false;
	return net->tx_gso >> (hdr->gso_type & ~VIRTIO_NET_HDR_GSO_ECN & 0x1f) & 1;
}

/* Make tx->iov[*at...], *n of them, what is to be sent. False: this is no frame. */
static inline bool lay_out(struct net_pair *pair, const struct virtq_chain *chain, unsigned *at, unsigned *n)
{
	struct net_tx *tx = &pair->tx;
	struct iovec *iov = chain->iov;
	unsigned left = chain->nread;

	if (unlikely(chain->read_len < NET_HDR + NET_FRAME_MIN || chain->read_len > NET_HDR + NET_FRAME_MAX))
		return false;
	if (likely(iov->iov_len > NET_HDR)) {
		ring_copy(&tx->hdr, iov->iov_base, NET_HDR);
		iov->iov_base = (char *)iov->iov_base + NET_HDR;
		iov->iov_len -= NET_HDR;
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
__attribute__((noinline, cold)) static unsigned squeeze(
	struct iovec *iov, unsigned n, uint8_t *tail, size_t room)
{
	size_t len = 0;
	unsigned i = IOV_MAX - 1;

	for (; i < n; i++) {
		if (iov[i].iov_len > room - len)
			return 0;
		ring_copy(tail + len, iov[i].iov_base, iov[i].iov_len);
		len += iov[i].iov_len;
	}
	iov[IOV_MAX - 1] = (struct iovec){tail, len};
	return IOV_MAX;
}

/* -EAGAIN, or the chain's end: the frame went out, or went nowhere. */
static int send_frame(struct net_pair *pair, unsigned at, unsigned n)
{
	struct iovec *iov = pair->tx.iov + at;
	uint8_t tail[2048];
	ssize_t r;

	if (unlikely(n > IOV_MAX))
		n = squeeze(iov, n, tail, sizeof(tail));
	r = n ? tap_send(pair->tap, pair->index, iov, n) : -EMSGSIZE;
	if (unlikely(r < 0)) {
		if (r == -EAGAIN)
			return -EAGAIN;
		net_drop(pair->net); /* down, gone, or nonsense: as a cable that is not there */
	}
	return 0;
}

static int keep(struct net_pair *pair, const struct virtq_chain *chain, unsigned at, unsigned n)
{
	struct net_tx *tx = &pair->tx;

	if (!pair->tx_on) {
		int err = net_pair_watch(pair);

		if (err)
			return err;
		pair->tx_on = true;
	}
	tx->kept = *chain;
	tx->kept_at = at;
	tx->kept_n = n;
	return VIRTIO_STALLED;
}

/* The tap was full: once more. 0: it is gone. */
static int retry(struct net_pair *pair)
{
	struct net_tx *tx = &pair->tx;

	if (send_frame(pair, tx->kept_at, tx->kept_n))
		return VIRTIO_STALLED;
	tx->kept_n = 0;
	virtq_push(tx->vq, tx->kept.head, 0);
	return 0;
}

int net_tx_kick(struct net_pair *pair)
{
	struct net *net = pair->net;
	struct net_tx *tx = &pair->tx;
	struct virtq_chain chain = {.iov = tx->iov + 1, .cap = net->dev.queue_max};
	bool limited = limits_on(&net->out);
	size_t bytes = 0;
	unsigned at, n;
	uint64_t ns;
	int r;

	if (unlikely(tx->kept_n) && (r = retry(pair)))
		return r;
	for (size_t left = tx->vq->num; left && bytes < NET_TURN; left--) {
		if (unlikely(limited) && (ns = limits_wait(&net->out, loop_now(pair->loop))))
			return virtio_pause(&net->dev, 2 * pair->index + 1, ns);
		r = virtq_pop(tx->vq, &chain);
		if (r <= 0)
			return r;
		if (likely(lay_out(pair, &chain, &at, &n))) {
			if (unlikely(send_frame(pair, at, n)))
				return keep(pair, &chain, at, n);
		} else {
			net_drop(net);
		}
		if (unlikely(limited))
			limits_take(&net->out, loop_now(pair->loop), chain.read_len);
		bytes += chain.read_len;
		virtq_push(tx->vq, chain.head, 0);
	}
	return 0;
}
