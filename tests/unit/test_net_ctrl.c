// SPDX-License-Identifier: Apache-2.0
/* virtio-net's control queue: each command right and wrong, whatever its framing, and what it changes. */
#include <errno.h>

#include "tests/unit/net_unit.h"

#define ACK    (BUF + 0x80000)
#define OK     VIRTIO_NET_OK
#define ERR    VIRTIO_NET_ERR
#define NO_ACK 0x77
#define CTRL                                                                                                \
	(BASE | F(CTRL_RX) | F(CTRL_VLAN) | F(CTRL_MAC_ADDR) | F(GUEST_ANNOUNCE) | F(CTRL_GUEST_OFFLOADS) | \
		GUEST)

static unsigned queue;

/* Started with these features, the control queue where they have it. */
static void begin(uint64_t features, unsigned pairs)
{
	build((struct net_config){.pairs = pairs, .mac = {0x02, 0x11, 0x22, 0x33, 0x44, 0x55}});
	start(features);
	queue = features & F(MQ) ? 2 * pairs : 2;
}

/* A command of `len` bytes: header and data, which are at BUF, in the segments given. Its answer. */
static unsigned tell_in(struct ring_seg *seg, unsigned n)
{
	uint32_t len;
	int head;

	*(uint8_t *)at(ACK) = NO_ACK;
	memset((uint8_t *)at(ACK) + 1, 0x99, 15);
	seg[n] = (struct ring_seg){ACK, 1, true};
	head = ring_chain(&drv[queue], seg, n + 1);
	ring_offer(&drv[queue], (uint16_t)head);
	submit(queue);
	run();
	len = used_len(queue, head);
	ck_assert_uint_eq(len, 1);
	ck_assert_uint_eq(*((uint8_t *)at(ACK) + 1), 0x99);
	return *(uint8_t *)at(ACK);
}

static unsigned tell(unsigned class, unsigned cmd, const void *data, uint32_t len)
{
	struct ring_seg seg[3] = {{BUF, 2, false}, {BUF + 2, len, false}};

	memcpy(at(BUF), (uint8_t[]){class, cmd}, 2);
	if (len)
		memcpy(at(BUF + 2), data, len);
	return tell_in(seg, len ? 2 : 1);
}

/* A byte, a le16, a le64. */
static unsigned tell8(unsigned class, unsigned cmd, uint8_t v)
{
	return tell(class, cmd, &v, 1);
}

static unsigned tell16(unsigned class, unsigned cmd, uint16_t v)
{
	return tell(class, cmd, &v, 2);
}

static unsigned tell_offloads(uint64_t v)
{
	return tell(VIRTIO_NET_CTRL_GUEST_OFFLOADS, VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET, &v, 8);
}

static uint8_t mac_of(unsigned i, uint8_t mac[6])
{
	memcpy(mac, (uint8_t[]){i & 1 ? 0x01 : 0x02, 0, 0x5e, 0, i >> 8, i & 0xff}, 6);
	return 0;
}

/* Two tables that say they have `uni` and `multi` addresses; `len` bytes of them, all when 0. */
static unsigned tell_tables(uint32_t uni, uint32_t multi, uint32_t len)
{
	static uint8_t data[0x40000];
	uint8_t *p = data;

	memcpy(p, &uni, 4);
	p += 4;
	for (unsigned i = 0; i < uni && i < 10000; i++, p += 6)
		mac_of(2 * i, p);
	memcpy(p, &multi, 4);
	p += 4;
	for (unsigned i = 0; i < multi && i < 10000; i++, p += 6)
		mac_of(2 * i + 1, p);
	return tell(
		VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, data, len ? len : (uint32_t)(p - data));
}

START_TEST(what_passes)
{
	static const uint8_t own[6] = {0x02, 0x11, 0x22, 0x33, 0x44, 0x55};
	uint8_t mac[6];

	begin(CTRL, 1);
	ck_assert_msg(fake_tap.nmac == 0, "everything, at first");
	ck_assert_uint_eq(tell_tables(2, 3, 0), OK);
	ck_assert_uint_eq(fake_tap.nmac, 0);
	ck_assert_uint_eq(tell8(VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, 0), OK);
	ck_assert_uint_eq(fake_tap.nmac, 7);
	ck_assert_mem_eq(fake_tap.mac[0], own, 6);
	ck_assert_mem_eq(fake_tap.mac[1], "\xff\xff\xff\xff\xff\xff", 6);
	for (unsigned i = 0; i < 5; i++) {
		mac_of(i < 2 ? 2 * i : 2 * (i - 2) + 1, mac);
		ck_assert_mem_eq(fake_tap.mac[2 + i], mac, 6);
	}
	ck_assert_uint_eq(fake_tap.all_multicast, 0);
	ck_assert_uint_eq(tell8(VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_ALLMULTI, 1), OK);
	ck_assert_uint_eq(fake_tap.all_multicast, 1);
	ck_assert_uint_eq(tell_tables(0, 0, 0), OK);
	ck_assert_uint_eq(fake_tap.nmac, 2);
	reset();
	start(CTRL);
	ck_assert_uint_eq(fake_tap.nmac, 0);
	ck_assert_uint_eq(fake_tap.all_multicast, 0);
	destroy();
}
END_TEST

START_TEST(a_tap_that_cannot_filter_passes_everything)
{
	begin(CTRL, 1);
	fake_tap.filter_err = -EINVAL;
	ck_assert_uint_eq(tell8(VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, 0), OK);
	ck_assert_uint_eq(tell_tables(1, 1, 0), OK);
	destroy();
}
END_TEST

START_TEST(rx_modes_are_one_byte)
{
	begin(CTRL, 1);
	for (unsigned cmd = 0; cmd < 256; cmd++)
		ck_assert_uint_eq(
			tell8(VIRTIO_NET_CTRL_RX, cmd, 1), cmd > VIRTIO_NET_CTRL_RX_ALLMULTI ? ERR : OK);
	ck_assert_uint_eq(tell(VIRTIO_NET_CTRL_RX, 0, NULL, 0), ERR);
	ck_assert_uint_eq(tell(VIRTIO_NET_CTRL_RX, 0, "\0", 2), ERR);
	ck_assert_uint_eq(fake_tap.nmac, 0);
	destroy();
}
END_TEST

START_TEST(tables_that_are_wrong)
{
	begin(CTRL, 1);
	ck_assert_uint_eq(tell8(VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, 0), OK);
	ck_assert_uint_eq(tell_tables(2, 2, 0), OK);
	ck_assert_uint_eq(fake_tap.nmac, 6);
	for (uint32_t len = 1; len < 8 + 24; len++) { /* cut off anywhere */
		ck_assert_uint_eq(tell_tables(2, 2, len), ERR);
		ck_assert_msg(fake_tap.nmac == 0, "one that makes no sense hides nothing");
	}
	ck_assert_uint_eq(tell_tables(2, 2, 8 + 25), ERR);
	ck_assert_uint_eq(tell_tables(2, 2, 0), OK);
	ck_assert_uint_eq(fake_tap.nmac, 6);
	ck_assert_uint_eq(tell_tables(UINT32_MAX, 0, 64), ERR);
	ck_assert_uint_eq(tell_tables(UINT32_MAX / 6 + 1, 0, 0x10000), ERR);
	ck_assert_uint_eq(tell_tables(0, UINT32_MAX, 64), ERR);
	ck_assert_uint_eq(tell_tables(5000, 0, 0), ERR);
	ck_assert_uint_eq(tell_tables(0, 0, 0), OK);
	destroy();
}
END_TEST

START_TEST(more_addresses_than_there_is_room_for)
{
	begin(CTRL, 1);
	ck_assert_uint_eq(tell8(VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, 0), OK);
	ck_assert_uint_eq(tell_tables(100, NET_MACS - 100, 0), OK);
	ck_assert_uint_eq(fake_tap.nmac, NET_MACS + 2);
	ck_assert_uint_eq(tell_tables(100, NET_MACS - 99, 0), OK);
	ck_assert_uint_eq(fake_tap.nmac, 0);
	ck_assert_uint_eq(tell_tables(4096, 4096, 0), OK);
	ck_assert_uint_eq(fake_tap.nmac, 0);
	ck_assert_uint_eq(tell_tables(1, 0, 0), OK);
	ck_assert_uint_eq(fake_tap.nmac, 3);
	destroy();
}
END_TEST

START_TEST(the_address)
{
	static const uint8_t own[6] = {0x02, 0x11, 0x22, 0x33, 0x44, 0x55};
	uint8_t mac[7];
	uint32_t gen;

	begin(CTRL, 1);
	mac_of(8, mac);
	ck_assert_mem_eq(dev->config, own, 6);
	gen = dev->config_gen;
	ck_assert_uint_eq(tell8(VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, 0), OK);
	ck_assert_uint_eq(tell(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, mac, 5), ERR);
	ck_assert_uint_eq(tell(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, mac, 7), ERR);
	ck_assert_uint_eq(tell(VIRTIO_NET_CTRL_MAC, 2, mac, 6), ERR);
	ck_assert_mem_eq(dev->config, own, 6);
	ck_assert_uint_eq(dev->config_gen, gen);
	ck_assert_uint_eq(tell(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, mac, 6), OK);
	ck_assert_mem_eq(dev->config, mac, 6);
	ck_assert_mem_eq(fake_tap.mac[0], mac, 6);
	ck_assert_uint_ne(dev->config_gen, gen);
	reset();
	ck_assert_mem_eq(dev->config, own, 6);
	destroy();
}
END_TEST

START_TEST(vlans)
{
	_Atomic uint32_t *vlan;

	begin(CTRL, 1);
	vlan = net_of(dev)->vlan;
	for (unsigned vid = 0; vid < 4096; vid += 65) {
		ck_assert_uint_eq(tell16(VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_ADD, vid), OK);
		ck_assert_uint_eq(vlan[vid / 32], 1u << vid % 32);
	}
	ck_assert_uint_eq(tell16(VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_DEL, 65), OK);
	ck_assert_uint_eq(vlan[2], 0);
	ck_assert_uint_eq(tell16(VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_ADD, 4096), ERR);
	ck_assert_uint_eq(tell16(VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_DEL, 0xffff), ERR);
	ck_assert_uint_eq(tell16(VIRTIO_NET_CTRL_VLAN, 2, 1), ERR);
	ck_assert_uint_eq(tell(VIRTIO_NET_CTRL_VLAN, 0, "\1", 1), ERR);
	ck_assert_uint_eq(tell(VIRTIO_NET_CTRL_VLAN, 0, "\1\0\0", 3), ERR);
	reset();
	start(CTRL);
	for (unsigned i = 0; i < 128; i++)
		ck_assert_uint_eq(vlan[i], 0);
	destroy();
}
END_TEST

START_TEST(number_of_pairs)
{
	static const uint16_t wrong[] = {0, 4, 5, 255, 0x100, 0x8000, 0xffff};

	begin(CTRL | F(MQ), 3);
	for (unsigned n = 3; n; n--) {
		ck_assert_uint_eq(tell16(VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, n), OK);
		ck_assert_uint_eq(fake_tap.active, n);
	}
	ck_assert_uint_eq(tell16(VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, 2), OK);
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		ck_assert_uint_eq(tell16(VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, wrong[i]), ERR);
	ck_assert_uint_eq(tell16(VIRTIO_NET_CTRL_MQ, 1, 1), ERR);
	ck_assert_uint_eq(tell(VIRTIO_NET_CTRL_MQ, 0, "\1", 1), ERR);
	ck_assert_uint_eq(tell(VIRTIO_NET_CTRL_MQ, 0, "\1\0\0", 3), ERR);
	fake_tap.active_err = -EIO;
	ck_assert_uint_eq(tell16(VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, 3), ERR);
	fake_tap.active_err = 0;
	ck_assert_uint_eq(fake_tap.active, 2);
	reset();
	start(CTRL | F(MQ));
	ck_assert_uint_eq(fake_tap.active, 1);
	destroy();
}
END_TEST

/* Its buffers were there before, and so were frames; nobody will say so again. */
START_TEST(a_pair_that_begins_has_what_waits)
{
	struct ring_seg seg = {BUF + 0x90000, 1600, true};
	uint8_t frame[60] = {0};

	begin(CTRL | F(MQ), 2);
	ring_offer(&drv[2], (uint16_t)ring_chain(&drv[2], &seg, 1));
	submit(2);
	run();
	fake_tap_arrive(&loop[1], 1, NULL, frame, sizeof(frame));
	run();
	ck_assert_uint_eq(used(2), 0);
	ck_assert_uint_eq(tell16(VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, 2), OK);
	ck_assert_uint_eq(used(2), 1);
	destroy();
}
END_TEST

/* 5.1.2: without MQ it is the third queue, whatever pairs the device has. */
START_TEST(where_the_queue_is)
{
	for (unsigned pairs = 1; pairs <= 3; pairs++) {
		begin(CTRL, pairs);
		ck_assert_uint_eq(tell8(VIRTIO_NET_CTRL_RX, 0, 1), OK);
		if (pairs == 1) {
			destroy();
			continue;
		}
		reset();
		start(CTRL | F(MQ));
		queue = 2 * pairs;
		ck_assert_uint_eq(tell8(VIRTIO_NET_CTRL_RX, 0, 1), OK);
		reset();
		start(BASE & ~F(CTRL_VQ)); /* nobody listens */
		for (unsigned q = 2; q < dev->nvq; q++) {
			struct ring_seg seg = {BUF + 0x90000, 16, true};

			ring_offer(&drv[q], (uint16_t)ring_chain(&drv[q], &seg, 1));
			submit(q);
		}
		run();
		ck_assert_uint_eq(transport.resets_wanted, 0);
		ck_assert_uint_eq(used(queue), 0);
		reset();
		destroy();
	}
}
END_TEST

START_TEST(announcements)
{
	begin(CTRL, 1);
	fake_tap_link(TAP_DOWN);
	fake_tap_link(TAP_UP);
	ck_assert_uint_eq(dev->config[6], VIRTIO_NET_S_LINK_UP | VIRTIO_NET_S_ANNOUNCE);
	ck_assert_uint_eq(tell8(VIRTIO_NET_CTRL_ANNOUNCE, VIRTIO_NET_CTRL_ANNOUNCE_ACK, 0), ERR);
	ck_assert_uint_eq(tell(VIRTIO_NET_CTRL_ANNOUNCE, 1, NULL, 0), ERR);
	ck_assert_uint_eq(dev->config[6], VIRTIO_NET_S_LINK_UP | VIRTIO_NET_S_ANNOUNCE);
	ck_assert_uint_eq(tell(VIRTIO_NET_CTRL_ANNOUNCE, VIRTIO_NET_CTRL_ANNOUNCE_ACK, NULL, 0), OK);
	ck_assert_uint_eq(dev->config[6], VIRTIO_NET_S_LINK_UP);
	destroy();
}
END_TEST

START_TEST(offloads)
{
	struct net *net;

	begin(CTRL & ~F(GUEST_TSO6), 1);
	net = net_of(dev);
	ck_assert_uint_eq(fake_tap.offload, TAP_CSUM | TAP_TSO4 | TAP_TSO_ECN);
	ck_assert_uint_eq(tell_offloads(0), OK);
	ck_assert_uint_eq(fake_tap.offload, 0);
	ck_assert_uint_eq(net->rx_gso, 1);
	ck_assert_uint_eq(tell_offloads(F(GUEST_CSUM) | F(GUEST_TSO4)), OK);
	ck_assert_uint_eq(fake_tap.offload, TAP_CSUM | TAP_TSO4);
	ck_assert_uint_eq(net->rx_gso, NET_RX_CSUM | 3);
	for (unsigned bit = 0; bit < 64; bit++) {
		bool may = bit == VIRTIO_NET_F_GUEST_CSUM || bit == VIRTIO_NET_F_GUEST_TSO4 ||
			   bit == VIRTIO_NET_F_GUEST_ECN;

		ck_assert_uint_eq(tell_offloads(F(GUEST_CSUM) | 1ull << bit), may ? OK : ERR);
	}
	ck_assert_uint_eq(tell_offloads(F(GUEST_TSO4)), OK); /* without checksums it is nothing */
	ck_assert_uint_eq(fake_tap.offload, 0);
	fake_tap.offload_err = -EINVAL;
	ck_assert_uint_eq(tell_offloads(F(GUEST_CSUM)), ERR);
	fake_tap.offload_err = 0;
	ck_assert_uint_eq(net->rx_gso, 1);
	ck_assert_uint_eq(tell(VIRTIO_NET_CTRL_GUEST_OFFLOADS, 0, "1234567", 7), ERR);
	ck_assert_uint_eq(tell(VIRTIO_NET_CTRL_GUEST_OFFLOADS, 0, "123456789", 9), ERR);
	ck_assert_uint_eq(tell(VIRTIO_NET_CTRL_GUEST_OFFLOADS, 1, "\0\0\0\0\0\0\0", 8), ERR);
	destroy();
}
END_TEST

START_TEST(what_was_not_negotiated)
{
	uint8_t zero[8] = {0};

	begin(BASE, 1);
	ck_assert_uint_eq(tell8(VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, 0), ERR);
	ck_assert_uint_eq(tell_tables(0, 0, 0), ERR);
	ck_assert_uint_eq(tell(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, "\2\0\0\0\0\1", 6), ERR);
	ck_assert_uint_eq(tell16(VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_ADD, 1), ERR);
	ck_assert_uint_eq(tell16(VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, 1), ERR);
	ck_assert_uint_eq(tell(VIRTIO_NET_CTRL_ANNOUNCE, VIRTIO_NET_CTRL_ANNOUNCE_ACK, NULL, 0), ERR);
	ck_assert_uint_eq(tell_offloads(0), ERR);
	for (unsigned class = 0; class < 256; class ++)
		for (uint32_t len = 0; len <= 8; len++)
			ck_assert_uint_eq(tell(class, 0, zero, len), ERR);
	ck_assert_uint_eq(fake_tap.filters, 1);
	destroy();
}
END_TEST

/* Any bytes at all get an answer. */
START_TEST(garbage)
{
	begin(CTRL, 1);
	for (unsigned seed = 1; seed < 3000; seed++) {
		struct ring_seg seg[24];
		uint32_t len;
		unsigned ack;

		srand(seed);
		len = 1 + (uint32_t)rand() % 64;
		for (uint32_t i = 0; i < len; i++)
			((uint8_t *)at(BUF))[i] = rand() % 3 ? rand() % 6 : rand();
		ack = tell_in(seg, cut(seg, 20, BUF, len, false));
		ck_assert(ack == OK || ack == ERR);
	}
	ck_assert_uint_eq(transport.resets_wanted, 0);
	destroy();
}
END_TEST

START_TEST(no_framing_is_assumed)
{
	begin(CTRL, 1);
	for (unsigned seed = 1; seed < 200; seed++) {
		struct ring_seg seg[64];
		uint32_t len = 0, n = seed % 7;

		srand(seed);
		memcpy(at(BUF), (uint8_t[]){VIRTIO_NET_CTRL_MAC, 0, n, 0, 0, 0}, 6);
		for (len = 6; len < 6 + 6 * n; len += 6)
			mac_of(len, at(BUF + len));
		memset(at(BUF + len), 0, 4);
		ck_assert_uint_eq(tell_in(seg, cut(seg, 50, BUF, len + 4, false)), OK);
		ck_assert_uint_eq(net_of(dev)->nmac, n);
		for (unsigned i = 0; i < n; i++)
			ck_assert_mem_eq(net_of(dev)->mac[i], at(BUF + 6 + 6 * i), 6);
	}
	destroy();
}
END_TEST

/* used.len is 0 where no answer could be written, and never more than 1. */
START_TEST(no_room_for_an_answer)
{
	struct ring_seg seg[] = {{BUF, 3, false}, {ACK, 16, true}, {ACK + 0x100, 16, true}};
	int head;

	begin(CTRL, 1);
	memcpy(at(BUF), (uint8_t[]){VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_ALLMULTI, 1}, 3);
	for (unsigned n = 1; n <= 3; n++) {
		memset(at(ACK), 0x99, 0x200);
		head = ring_chain(&drv[queue], seg, n);
		ring_offer(&drv[queue], (uint16_t)head);
		submit(queue);
		run();
		ck_assert_uint_eq(used_len(queue, head), n > 1);
		ck_assert_uint_eq(*(uint8_t *)at(ACK), n > 1 ? OK : 0x99);
		for (unsigned i = 1; i < 0x200; i++)
			ck_assert_uint_eq(((uint8_t *)at(ACK))[i], 0x99);
	}
	head = ring_chain(&drv[queue], seg + 1, 1); /* an answer to nothing */
	ring_offer(&drv[queue], (uint16_t)head);
	submit(queue);
	run();
	ck_assert_uint_eq(used_len(queue, head), 1);
	ck_assert_uint_eq(*(uint8_t *)at(ACK), ERR);
	destroy();
}
END_TEST

/* Others on the loop have their turn between a few commands. */
START_TEST(floods_take_turns)
{
	struct ring_seg seg[] = {{BUF, 3, false}, {ACK, 1, true}};
	unsigned filters;

	begin(CTRL, 1);
	memcpy(at(BUF), (uint8_t[]){VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_ALLMULTI, 1}, 3);
	for (unsigned i = 0; i < 120; i++)
		ring_offer(&drv[queue], (uint16_t)ring_chain(&drv[queue], seg, 2));
	filters = fake_tap.filters;
	submit(queue);
	fake_work(&loop[0]);
	ck_assert_uint_eq(fake_tap.filters - filters, 1);
	run();
	ck_assert_uint_eq(fake_tap.filters - filters, 120);
	ck_assert_uint_eq(used(queue), 120);
	destroy();
}
END_TEST

START_TEST(a_broken_ring_stops_the_device)
{
	begin(CTRL, 1);
	ring_offer(&drv[queue], NUM);
	submit(queue);
	run();
	ck_assert_uint_eq(transport.resets_wanted, 1);
	reset();
	start(CTRL);
	ck_assert_uint_eq(tell8(VIRTIO_NET_CTRL_RX, 0, 1), OK);
	destroy();
}
END_TEST

UNIT_MAIN("net_ctrl", what_passes, a_tap_that_cannot_filter_passes_everything, rx_modes_are_one_byte,
	tables_that_are_wrong, more_addresses_than_there_is_room_for, the_address, vlans, number_of_pairs,
	a_pair_that_begins_has_what_waits, where_the_queue_is, announcements, offloads,
	what_was_not_negotiated, garbage, no_framing_is_assumed, no_room_for_an_answer, floods_take_turns,
	a_broken_ring_stops_the_device)
