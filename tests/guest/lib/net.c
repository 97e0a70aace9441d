// SPDX-License-Identifier: Apache-2.0
/* virtio-net; see net.h. */
#include "tests/guest/lib/net.h"

static void give(struct net *n, unsigned i)
{
	vq_desc(&n->rx, i, n->buf + i * n->buf_len, n->buf_len, VRING_DESC_F_WRITE, 0);
	vq_add(&n->rx, i);
}

void net_start(struct net *n, uint64_t features, unsigned entry)
{
	vdev_negotiate(&n->v, features);
	n->busy = n->next = 0;
	vq_open(&n->rx, &n->v, 0, NET_RING, entry);
	vq_open(&n->tx, &n->v, 1, NET_RING, entry);
	if (n->v.features & F_NET(CTRL_VQ))
		vq_open(&n->ctrl, &n->v, 2, 8, VIRTIO_MSI_NO_VECTOR);
	for (unsigned i = 0; i < NET_RING; i++)
		give(n, i);
	net_learn_mac(n);
	vdev_go(&n->v);
	vq_publish(&n->rx);
	vq_kick(&n->rx); /* it may not have asked yet */
}

bool net_open(struct net *n, uint64_t features, unsigned buf_len, unsigned entry)
{
	memset(n, 0, sizeof(*n));
	if (!vdev_open(&n->v, NET_ID, 0))
		return false;
	n->buf_len = buf_len;
	n->buf = take_memory((size_t)NET_RING * buf_len, 4096);
	n->slot = take_memory((NET_RING - 1) * NET_SLOT + NET_LARGE, 4096);
	if (entry != VIRTIO_MSI_NO_VECTOR)
		msix_enable(&n->v, true);
	net_start(n, features, entry);
	return true;
}

unsigned net_sent(struct net *n)
{
	uint32_t head, len;
	unsigned i = 0;

	for (; vq_take(&n->tx, &head, &len); i++) {
		check(head < NET_RING && len == 0 && n->busy);
		n->busy--;
	}
	return i;
}

/* Slots are used in turn and come back in turn; the last is the large one, and used when nothing else is on
 * its way. */
void net_send(struct net *n, const struct virtio_net_hdr_v1 *hdr, const void *frame, uint32_t len)
{
	bool large = len > NET_SLOT - NET_HDR;
	unsigned i = NET_RING - 1;
	uint8_t *p;

	check(len <= NET_LARGE - NET_HDR);
	while (n->busy >= (large ? 1 : NET_RING)) {
		vq_publish(&n->tx);
		net_sent(n);
	}
	if (large)
		n->next = 0;
	else
		i = n->next++ % NET_RING;
	p = n->slot + i * NET_SLOT;
	if (hdr)
		memcpy(p, hdr, NET_HDR);
	else
		memset(p, 0, NET_HDR);
	memcpy(p + NET_HDR, frame, len);
	vq_desc(&n->tx, i, p, NET_HDR + len, 0, 0);
	vq_add(&n->tx, i);
	n->busy++;
}

void net_drain(struct net *n)
{
	uint64_t start = rdtsc();

	vq_publish(&n->tx);
	while (n->busy) {
		if (net_sent(n))
			start = rdtsc();
		check(rdtsc() - start < GIVE_UP);
		pause_cpu();
	}
}

uint32_t net_take(struct net *n, struct virtio_net_hdr_v1 *hdr, void *frame, uint32_t room)
{
	uint32_t head, len, all = 0;
	unsigned bufs = 1;

	for (unsigned i = 0; i < bufs; i++) {
		const uint8_t *p;

		if (!vq_take(&n->rx, &head, &len)) {
			check(!i); /* all of a frame's come together */
			return 0;
		}
		check(head < NET_RING && len <= n->buf_len && len > (i ? 0 : NET_HDR));
		p = n->buf + head * n->buf_len;
		if (!i) {
			memcpy(hdr, p, NET_HDR);
			bufs = hdr->num_buffers;
			check(bufs == 1 || n->v.features & F_NET(MRG_RXBUF));
			p += NET_HDR;
			len -= NET_HDR;
		}
		check(all + len <= room);
		memcpy((uint8_t *)frame + all, p, len);
		all += len;
		give(n, head);
	}
	return all;
}

uint8_t net_command(struct net *n, uint8_t class, uint8_t cmd, const void *data, uint32_t len)
{
	static uint8_t *buf;
	uint64_t start = rdtsc();
	uint32_t head, used;

	if (!buf)
		buf = take_memory(4096, 4096);
	check(len <= 1024);
	buf[0] = class;
	buf[1] = cmd;
	memcpy(buf + 2, data, len);
	buf[2048] = 0xff;
	vq_desc(&n->ctrl, 0, buf, 2 + len, VRING_DESC_F_NEXT, 1);
	vq_desc(&n->ctrl, 1, buf + 2048, 1, VRING_DESC_F_WRITE, 0);
	vq_add(&n->ctrl, 0);
	vq_publish(&n->ctrl);
	while (!vq_take(&n->ctrl, &head, &used)) {
		check(rdtsc() - start < GIVE_UP);
		pause_cpu();
	}
	check(head == 0 && used == 1);
	return *(volatile uint8_t *)(buf + 2048);
}

void net_learn_mac(struct net *n)
{
	for (unsigned i = 0; i < sizeof(n->mac); i++)
		n->mac[i] = *(volatile uint8_t *)(n->v.config + i);
}
