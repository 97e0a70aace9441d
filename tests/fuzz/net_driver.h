/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A driver of virtio-net that mostly keeps the rules: it remembers what it offered on each queue, and what
 * memory is to hold (shadow). The input makes the choices. One fuzzer includes it.
 */
#ifndef PINVM_FUZZ_NET_DRIVER_H
#define PINVM_FUZZ_NET_DRIVER_H

#include "devices/virtio/net_priv.h"
#include "tests/fuzz/fuzz_ring.h"
#include "tests/unit/fake_tap.h"
#include "tests/unit/fake_virtio.h"

#define RAM	  0x100000ULL
#define QUEUES	  5
#define NUM	  16
#define SEGS	  12
#define RING_AREA 0x1000
#define TABLE	  0x100 /* of one head, with room to be crooked */
#define AREA	  0x900 /* buffers of one head: up to SIDE to write or to read, then some of the other kind */
#define SIDE	  0x880
#define TABLES	  (RAM + QUEUES * RING_AREA)
#define BUFS	  (TABLES + QUEUES * NUM * TABLE)
#define BODY	  (BUFS + QUEUES * NUM * AREA) /* what frames to be sent are made of */
#define BODY_SIZE 0x12000
#define RAM_SIZE  ((BODY + BODY_SIZE - RAM + 0xfff) & ~0xfffull)
#define MS	  1000000ull

static struct guest_mem mem;
static uint8_t *ram;
static uint8_t shadow[BODY + BODY_SIZE - RAM]; /* what RAM is to hold, rings apart */
static struct loop loop;
static struct virtio_dev *dev;
static struct fake_transport transport;
static uint64_t features;
static bool flipped;

static struct queue {
	struct ring_driver drv;
	unsigned outstanding, offered, last; /* in all; that came back last, but for what is no buffer */
	struct chain {
		bool out;
		unsigned n;
		struct ring_seg seg[SEGS];
		uint32_t readable, writable;
		unsigned number;
		uint64_t drops; /* when it was offered */
	} chain[NUM];
} queue[QUEUES];

static bool has(unsigned bit)
{
	return features >> bit & 1;
}

static unsigned ctrl_queue(void)
{
	return has(VIRTIO_NET_F_MQ) ? dev->nvq - 1 : 2;
}

static bool is_rx(unsigned q)
{
	return q % 2 == 0 && q != ctrl_queue();
}

/* Queues that serve something. */
static unsigned used_queues(void)
{
	return has(VIRTIO_NET_F_CTRL_VQ) ? ctrl_queue() + 1 : has(VIRTIO_NET_F_MQ) ? dev->nvq - 1 : 2;
}

static uint8_t *at(uint64_t gpa)
{
	return ram + (gpa - RAM);
}

static uint64_t area_of(unsigned q, unsigned head)
{
	return BUFS + (q * NUM + head) * AREA;
}

static void start(void)
{
	struct ring_driver drv[QUEUES];

	for (unsigned q = 0; q < QUEUES; q++) {
		memset(&queue[q], 0, sizeof(queue[q]));
		ring_init(&queue[q].drv, &mem, RAM + RING_AREA * q, NUM, 0, features);
		drv[q] = queue[q].drv;
	}
	flipped = false;
	transport.resets_wanted = 0;
	fake_tap.active_err = fake_tap.offload_err = 0;
	for (unsigned i = 0; i < BODY_SIZE; i++)
		*at(BODY + i) = i * 13 + (i >> 8);
	memcpy(shadow, ram, sizeof(shadow));
	fake_driver_ok(dev, drv, dev->nvq, features);
}

/* ---- what the driver offers ---- */

/* Cut [gpa, gpa + len) into pieces, with gaps where they are buffers of their own. */
static void cut(struct choices *c, struct chain *ch, uint64_t gpa, uint32_t len, bool write, bool gaps)
{
	while (len && ch->n < SEGS) {
		bool last = ch->n + 1 == SEGS || pick(c, 3);
		uint32_t part = last ? len : 1 + pick32(c) % len % (pick(c, 2) ? 16 : 0x10000);

		ch->seg[ch->n++] = (struct ring_seg){gpa, part, write};
		*(write ? &ch->writable : &ch->readable) += part;
		len -= part;
		gpa += part + (gaps ? pick(c, 3) : 0);
	}
}

static void offer(struct choices *c, unsigned q, struct chain *ch)
{
	struct ring_driver *drv = &queue[q].drv;
	unsigned direct = pick(c, 3) || !ch->n ? 0 : pick(c, ch->n);
	unsigned area = drv->free[drv->nfree - 1];
	int head;

	if (!ch->n)
		head = -1;
	else if (pick(c, 2) || !has(VIRTIO_RING_F_INDIRECT_DESC))
		head = ring_chain(drv, ch->seg, ch->n);
	else
		head = ring_chain_indirect(
			drv, ch->seg, direct, ch->n, TABLES + (q * NUM + area) * TABLE + pick(c, 2) * 3);
	memcpy(shadow + (TABLES - RAM), at(TABLES), BUFS - TABLES);
	memcpy(shadow + (area_of(q, area) - RAM), at(area_of(q, area)), AREA);
	if (head < 0)
		return;
	must((unsigned)head == area);
	ch->out = true;
	ch->drops = dev->dropped;
	ch->number = ++queue[q].offered;
	queue[q].chain[head] = *ch;
	queue[q].outstanding++;
	ring_offer(drv, head);
}

static bool can_offer(unsigned q)
{
	return !flipped && queue[q].drv.nfree;
}

static void offer_rx(struct choices *c, unsigned q)
{
	static const uint16_t lens[] = {1526, 1526, 2048, 256, 60, 26, 64, 12};
	uint32_t len = pick(c, 8) ? lens[pick(c, 8)] : 1 + pick32(c) % 2100;
	uint64_t area;
	struct chain ch = {0};

	if (!can_offer(q))
		return;
	area = area_of(q, queue[q].drv.free[queue[q].drv.nfree - 1]);
	memset(at(area), 0xee, AREA);
	if (!pick(c, 16)) /* means nothing there */
		cut(c, &ch, area + SIDE, 1 + pick(c, 20), false, false);
	cut(c, &ch, area, len, true, true);
	offer(c, q, &ch);
}

static void offer_tx(struct choices *c, unsigned q)
{
	static const uint8_t gso[] = {0, 0, 0, VIRTIO_NET_HDR_GSO_TCPV4, VIRTIO_NET_HDR_GSO_TCPV6,
		VIRTIO_NET_HDR_GSO_UDP, NET_HDR_GSO_UDP_L4,
		VIRTIO_NET_HDR_GSO_TCPV4 | VIRTIO_NET_HDR_GSO_ECN};
	struct virtio_net_hdr_v1 hdr = {.flags = pick(c, 4) == 3,
		.gso_type = gso[pick(c, 8)],
		.csum_start = 34,
		.csum_offset = 16,
		.hdr_len = 54,
		.gso_size = 1448};
	uint32_t len = pick(c, 32) ? 14 + pick32(c) % 1500 : pick32(c) % (BODY_SIZE - 0x100);
	uint64_t area;
	struct chain ch = {0};

	if (!can_offer(q))
		return;
	area = area_of(q, queue[q].drv.free[queue[q].drv.nfree - 1]);
	memset(at(area), 0xdd, AREA);
	if (!pick(c, 8))
		for (unsigned i = 0; i < NET_HDR; i++)
			((uint8_t *)&hdr)[i] = pick(c, 256);
	memcpy(at(area), &hdr, NET_HDR);
	if (pick(c, 16)) {
		cut(c, &ch, area, NET_HDR, false, false);
		cut(c, &ch, BODY + pick(c, 256), len, false, false);
	} else { /* header and frame share segments, or there is less than a header */
		cut(c, &ch, area, pick(c, 2) ? len % 2048 : pick(c, 30), false, true);
	}
	if (!pick(c, 16))
		cut(c, &ch, area + SIDE, 1 + pick(c, 20), true, false);
	offer(c, q, &ch);
}

static unsigned command(struct choices *c, uint8_t *p)
{
	static const uint8_t kinds[][3] = {/* class, command, bytes */
		{VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, 1},
		{VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_ALLMULTI, 1},
		{VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, 6},
		{VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, 32},
		{VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_ADD, 2},
		{VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_DEL, 2},
		{VIRTIO_NET_CTRL_ANNOUNCE, VIRTIO_NET_CTRL_ANNOUNCE_ACK, 0},
		{VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, 2},
		{VIRTIO_NET_CTRL_GUEST_OFFLOADS, VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET, 8}};
	const uint8_t *k = kinds[pick(c, 9)];
	unsigned len = 2 + k[2];

	p[0] = k[0];
	p[1] = k[1];
	memset(p + 2, 0, k[2]);
	if (k[2] == 32) { /* unicast, multicast */
		p[2] = pick(c, 3);
		len = 6 + 6 * p[2];
		p[len] = pick(c, 3);
		len += 4 + 6 * p[len];
	} else if (len > 2) {
		p[2] = pick(c, k[2] == 8 ? 256 : 4);
		if (k[2] == 8)
			p[3] = pick(c, 256);
	}
	if (!pick(c, 6))
		p[pick(c, len)] ^= 1 + pick(c, 255);
	return pick(c, 8) ? len : pick(c, len + 8);
}

static void offer_ctrl(struct choices *c, unsigned q)
{
	uint64_t area;
	struct chain ch = {0};
	unsigned len;

	if (!can_offer(q) || q >= used_queues())
		return;
	area = area_of(q, queue[q].drv.free[queue[q].drv.nfree - 1]);
	memset(at(area), 0xdd, AREA);
	len = command(c, at(area));
	cut(c, &ch, area, len, false, false);
	if (pick(c, 16))
		cut(c, &ch, area + SIDE, pick(c, 8) ? 1 : 1 + pick(c, 20), true, true);
	offer(c, q, &ch);
}

#endif
