// SPDX-License-Identifier: Apache-2.0
/* virtio-net, which frames the guest receives: kinds it takes, lengths, checksums, VLANs. */
#include "tests/unit/net_rx_unit.h"

static void arrive_with(struct virtio_net_hdr_v1 hdr, unsigned seed)
{
	uint8_t frame[200];

	fill(frame, sizeof(frame), seed);
	frame[12] = 0x08;
	fake_tap_arrive(&loop[0], 0, &hdr, frame, sizeof(frame));
}

/* Frames that were waiting from before are not for this driver. */
START_TEST(kinds_the_driver_does_not_take)
{
	static const struct {
		uint64_t features;
		uint8_t types[5];
	} with[] = {
		{0, {0xff}},
		{F(GUEST_CSUM), {0, 0xff}},
		{F(GUEST_CSUM) | F(GUEST_TSO4), {0, 1, 0xff}},
		{F(GUEST_CSUM) | F(GUEST_TSO6), {0, 4, 0xff}},
		{F(GUEST_CSUM) | F(GUEST_TSO4) | F(GUEST_ECN), {0, 1, 0x80, 0x81, 0xff}},
		{F(GUEST_CSUM) | 1ull << NET_F_GUEST_USO4 | 1ull << NET_F_GUEST_USO6, {0, 5, 0xff}},
	};

	for (unsigned w = 0; w < sizeof(with) / sizeof(with[0]); w++) {
		static const uint8_t types[] = {0, 1, 2, 3, 4, 5, 6, 7, 0x80, 0x81, 0x84, 0x85};

		build((struct net_config){0});
		start(BASE | with[w].features);
		post_many(4, 70000);
		for (unsigned i = 0; i < sizeof(types); i++) {
			unsigned n;
			bool may = false;

			for (unsigned k = 0; with[w].types[k] != 0xff; k++)
				may |= with[w].types[k] == types[i];
			arrive_with((struct virtio_net_hdr_v1){.flags = 1, .gso_type = types[i]}, i);
			run();
			n = used(RX);
			ck_assert_msg(n == may, "features %u, type 0x%x", w, types[i]);
			if (n)
				post_many(1, 70000);
		}
		destroy();
	}
}
END_TEST

/* 5.1.4.1: one that was told the MTU gets no longer packets; a VLAN's tag, and what is to be cut up, do not
 * count. */
START_TEST(no_packet_is_longer_than_the_mtu)
{
	const unsigned most = 1500 + 14 + 4;

	for (unsigned told = 0; told < 2; told++)
		for (unsigned small = 0; small < 2; small++) {
			build((struct net_config){0});
			start(BASE | GUEST | F(MRG_RXBUF) | (told ? F(MTU) : 0));
			post_many(small ? 64 : 8, small ? 1100 : 70000);
			arrive(1, most);
			run();
			ck_assert_uint_eq(dev->dropped, 0);
			arrive(2, most + 1);
			run();
			ck_assert_uint_eq(dev->dropped, told);
			fake_tap_arrive(&loop[0], 0, &(struct virtio_net_hdr_v1){.flags = 1, .gso_type = 1},
				(uint8_t[9000]){[12] = 8}, 9000);
			run();
			ck_assert_uint_eq(dev->dropped, told);
			destroy();
		}
}
END_TEST

/* 5.1.6.4.1: flags are 0 without GUEST_CSUM, and only those there are with it. */
START_TEST(flags_of_checksums)
{
	build((struct net_config){0});
	for (unsigned csum = 0; csum < 2; csum++)
		for (unsigned flags = 0; flags < 256; flags++) {
			static uint8_t got[0x1000];
			struct virtio_net_hdr_v1 hdr;
			struct ring_seg seg[] = {{BUF, 1 + flags % 13, true}, {BUF + 4096, 1600, true}};

			start(BASE | (csum ? F(GUEST_CSUM) : 0));
			post_segs(seg, 2, false);
			submit(RX);
			arrive_with((struct virtio_net_hdr_v1){.flags = flags}, flags);
			run();
			if (flags & VIRTIO_NET_HDR_F_NEEDS_CSUM && !csum) {
				ck_assert_uint_eq(used(RX), 0);
			} else {
				receive(got, &hdr);
				ck_assert_uint_eq(hdr.flags, csum ? flags & 3 : 0);
			}
			reset();
		}
	destroy();
}
END_TEST

static bool vlan_comes(unsigned type, unsigned tag, uint32_t len)
{
	uint8_t frame[64] = {[12] = type >> 8, type & 0xff, tag >> 8, tag & 0xff};
	bool came;

	fake_tap_arrive(&loop[0], 0, NULL, frame, len);
	run();
	came = used(RX);
	if (came)
		post_many(1, NET_HDR + 64);
	return came;
}

START_TEST(vlans)
{
	struct net *net;

	build((struct net_config){0});
	net = net_of(dev);
	start(BASE | F(CTRL_VLAN));
	post_many(1, NET_HDR + 64);
	for (unsigned vid = 0; vid < 4096; vid += 273)
		ck_assert(!vlan_comes(0x8100, vid | 0xa000, 64));
	ck_assert(vlan_comes(0x0800, 5, 64));
	ck_assert(vlan_comes(0x8101, 5, 64));
	atomic_store(&net->vlan[2], 1u << 9);
	atomic_store(&net->vlan[127], 1u << 31);
	ck_assert(vlan_comes(0x8100, 73, 64));
	ck_assert(vlan_comes(0x8100, 73 | 0xf000, 18));
	ck_assert(vlan_comes(0x8100, 4095, 64));
	ck_assert(!vlan_comes(0x8100, 74, 64));
	reset();
	start(BASE);
	post_many(1, NET_HDR + 64);
	ck_assert_msg(vlan_comes(0x8100, 5, 64), "who did not negotiate it has all");
	destroy();
}
END_TEST

/* A frame that ends within its tag, in a buffer that ends there, too. */
START_TEST(vlan_tags_that_are_cut_off)
{
	uint8_t frame[18] = {[12] = 0x81, 0, 0, 5};
	struct net_rx *rx;

	build((struct net_config){0});
	rx = &net_of(dev)->pair[0].rx;
	start(BASE | F(CTRL_VLAN));
	for (uint32_t len = 14; len < 16; len++) {
		post(BUF, NET_HDR + len);
		submit(RX);
		run();
		for (struct iovec *v = rx->iov_end; v < rx->iovs + 64; v++)
			*v = (struct iovec){(void *)8, 4096}; /* what must not be looked at */
		fake_tap_arrive(&loop[0], 0, NULL, frame, len);
		run();
		ck_assert_uint_eq(used(RX), 1);
	}
	destroy();
}
END_TEST

START_TEST(runts_of_the_network)
{
	build((struct net_config){0});
	start(BASE);
	post_many(1, 1600);
	for (uint32_t len = 0; len < 14; len++)
		arrive(len, len);
	run();
	ck_assert_uint_eq(dev->dropped, 14);
	ck_assert_uint_eq(used(RX), 0);
	destroy();
}
END_TEST

UNIT_MAIN("net_rx_filter", kinds_the_driver_does_not_take, no_packet_is_longer_than_the_mtu,
	flags_of_checksums, vlans, vlan_tags_that_are_cut_off, runts_of_the_network)
