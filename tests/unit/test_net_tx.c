// SPDX-License-Identifier: Apache-2.0
/* virtio-net, what the guest sends: which chains are frames, and what of their headers the tap gets.
 * test_net_tx_flow.c has the queue and the tap. */
#include "tests/unit/net_tx_unit.h"

/* Send these bytes, in one segment; whether the tap got a frame. The chain is used, its length 0. */
static bool goes(uint64_t gpa, uint32_t len)
{
	uint64_t dropped = dev->dropped;
	unsigned sent = fake_tap.nsent;
	int head = offer_one(gpa, len);

	submit(TX);
	run();
	ck_assert_uint_eq(used_len(TX, head), 0);
	ck_assert_uint_eq(fake_tap.nsent - sent + dev->dropped - dropped, 1);
	return fake_tap.nsent > sent;
}

/* The same with a header, and a frame of FRAME bytes. *as: the header the tap got. */
static bool goes_with(struct virtio_net_hdr_v1 hdr, struct virtio_net_hdr_v1 *as)
{
	put_frame(BUF, hdr, FRAME, hdr.gso_type);
	if (!goes(BUF, NET_HDR + FRAME))
		return false;
	memcpy(as, fake_tap.sent[fake_tap.nsent - 1].data, NET_HDR);
	return true;
}

START_TEST(too_short_to_be_a_frame)
{
	build((struct net_config){0});
	start(BASE);
	put_frame(BUF, (struct virtio_net_hdr_v1){0}, FRAME, 1);
	for (uint32_t len = 1; len < NET_HDR + 14; len++)
		ck_assert_msg(!goes(BUF, len), "%u bytes went out", len);
	ck_assert_uint_eq(fake_tap.sends, 0);
	ck_assert(goes(BUF, NET_HDR + 14));
	ck_assert_uint_eq(dev->queue[TX].vq.stats.from_guest, 14);
	ck_assert_uint_eq(transport.resets_wanted, 0);
	destroy();
}
END_TEST

START_TEST(too_long_to_be_a_frame)
{
	build((struct net_config){0});
	start(BASE);
	put_frame(BUF, (struct virtio_net_hdr_v1){0}, 65536 + 32, 1);
	ck_assert(goes(BUF, NET_HDR + NET_FRAME_MAX));
	ck_assert(!goes(BUF, NET_HDR + NET_FRAME_MAX + 1));
	ck_assert(!goes(BUF, 0xf00000 - 1));
	ck_assert_uint_eq(fake_tap.sends, 1);
	destroy();
}
END_TEST

/* Header and frame over any segments, direct and indirect; the guest's bytes stay as they are. */
START_TEST(no_framing_is_assumed)
{
	static uint8_t before[0x1000];
	struct ring_seg seg[64];
	uint64_t bytes = 0;

	build((struct net_config){0});
	start(BASE | HOST);
	for (unsigned i = 1; i < 500; i++) {
		struct virtio_net_hdr_v1 hdr = {.flags = 1, .csum_start = 14, .csum_offset = i % 7};
		uint32_t len = 14 + i * 3;
		unsigned n = 2;
		int head;

		srand(i);
		put_frame(BUF, hdr, len, i);
		memcpy(before, at(BUF), sizeof(before));
		if (i < NET_HDR + 14) { /* at every byte of the header */
			seg[0] = (struct ring_seg){BUF, i, false};
			seg[1] = (struct ring_seg){BUF + i, NET_HDR + len - i, false};
		} else {
			n = cut(seg, 60, BUF, NET_HDR + len, false);
		}
		head = i % 2 ? ring_chain(&drv[TX], seg, n)
			     : ring_chain_indirect(&drv[TX], seg, i % 4 && n > 1 ? 1 : 0, n, TABLE + i % 5);
		ring_offer(&drv[TX], (uint16_t)head);
		submit(TX);
		run();
		ck_assert_uint_eq(used_len(TX, head), 0);
		ck_assert_uint_eq(fake_tap.nsent, 1);
		ck_assert_uint_eq(fake_tap.sent[0].len, NET_HDR + len);
		ck_assert_mem_eq(fake_tap.sent[0].data, before, NET_HDR + len);
		ck_assert_mem_eq(at(BUF), before, sizeof(before));
		fake_tap_forget_sent();
		bytes += len;
		ck_assert_uint_eq(dev->queue[TX].vq.stats.from_guest, bytes);
	}
	ck_assert_uint_eq(dev->queue[TX].vq.stats.to_guest, 0);
	destroy();
}
END_TEST

START_TEST(writable_segments_mean_nothing)
{
	struct ring_seg seg[] = {{BUF, NET_HDR + FRAME, false}, {BUF + 0x1000, 64, true}};
	struct ring_seg only = {BUF + 0x1000, 64, true};
	int head;

	build((struct net_config){0});
	start(BASE);
	put_frame(BUF, (struct virtio_net_hdr_v1){0}, FRAME, 3);
	memset(at(BUF + 0x1000), 0xaa, 64);
	head = offer(seg, 2);
	submit(TX);
	run();
	ck_assert_uint_eq(used_len(TX, head), 0);
	expect_frame(0, 3, 0);
	head = offer(&only, 1);
	submit(TX);
	run();
	ck_assert_uint_eq(used_len(TX, head), 0);
	ck_assert_uint_eq(fake_tap.sends, 1);
	for (unsigned i = 0; i < 64; i++)
		ck_assert_uint_eq(*(uint8_t *)at(BUF + 0x1000 + i), 0xaa);
	destroy();
}
END_TEST

/* 5.1.6.2.2: flags the device does not know are ignored. */
START_TEST(unknown_flags_mean_nothing)
{
	struct virtio_net_hdr_v1 as;

	build((struct net_config){0});
	start(BASE | HOST);
	for (unsigned flags = 0; flags < 256; flags++) {
		ck_assert(goes_with((struct virtio_net_hdr_v1){.flags = flags, .csum_start = 14}, &as));
		ck_assert_uint_eq(as.flags, flags & VIRTIO_NET_HDR_F_NEEDS_CSUM);
	}
	destroy();
}
END_TEST

START_TEST(what_was_not_negotiated_does_not_go)
{
	static const struct {
		uint64_t features;
		uint8_t types[4];
	} with[] = {
		{0, {0xff}},
		{F(CSUM), {0xff}},
		{F(CSUM) | F(HOST_TSO4), {1, 0xff}},
		{F(CSUM) | F(HOST_TSO6), {4, 0xff}},
		{F(CSUM) | F(HOST_TSO4) | F(HOST_ECN), {1, 0x81, 0xff}},
		{F(CSUM) | 1ull << NET_F_HOST_USO, {5, 0xff}},
	};

	for (unsigned w = 0; w < sizeof(with) / sizeof(with[0]); w++) {
		build((struct net_config){0});
		start(BASE | with[w].features);
		for (unsigned type = 1; type < 256; type++) {
			struct virtio_net_hdr_v1 hdr = {.flags = 1,
							 .gso_type = type,
							 .gso_size = 1000,
							 .csum_start = 14},
						 as;
			unsigned sends = fake_tap.sends;
			bool may = false;

			for (unsigned i = 0; with[w].types[i] != 0xff; i++)
				may |= with[w].types[i] == type;
			ck_assert_msg(goes_with(hdr, &as) == may, "features %u: type 0x%x", w, type);
			/* 0x80 of nothing is the kernel's to refuse; all else does not get there. */
			ck_assert(may || type == 0x80 || fake_tap.sends == sends);
			ck_assert(!may || as.gso_type == type);
		}
		ck_assert(goes_with((struct virtio_net_hdr_v1){.flags = 1, .csum_start = 14},
				  &(struct virtio_net_hdr_v1){0}) == !!(with[w].features & F(CSUM)));
		destroy();
	}
}
END_TEST

START_TEST(header_length_is_a_hint)
{
	struct virtio_net_hdr_v1 as;

	build((struct net_config){0});
	start(BASE | HOST);
	for (unsigned i = 0; i < 4; i++) {
		unsigned len = (const unsigned[]){FRAME, FRAME + 1, 0x8000, 0xffff}[i];

		ck_assert(goes_with((struct virtio_net_hdr_v1){.hdr_len = len}, &as));
		ck_assert(goes_with((struct virtio_net_hdr_v1){.flags = 1, .hdr_len = len}, &as));
		ck_assert(goes_with(
			(struct virtio_net_hdr_v1){.flags = 1, .gso_type = 1, .gso_size = 9, .hdr_len = len},
			&as));
	}
	ck_assert(goes_with(
		(struct virtio_net_hdr_v1){.flags = 1, .gso_type = 1, .gso_size = 9, .hdr_len = 54}, &as));
	ck_assert_msg(as.hdr_len == 54, "a hint that may be true is given on");
	destroy();
}
END_TEST

static void flip_header(void)
{
	memset(at(BUF), 0xff, NET_HDR);
}

START_TEST(the_tap_gets_the_header_that_was_checked)
{
	struct virtio_net_hdr_v1 as;

	build((struct net_config){0});
	start(BASE);
	fake_tap.meanwhile = flip_header;
	ck_assert(goes_with((struct virtio_net_hdr_v1){0}, &as));
	ck_assert_uint_eq(as.flags | as.gso_type, 0);
	destroy();
}
END_TEST

/* As many segments as the largest queue has; the header shares the first. */
static int offer_bytes(unsigned n, uint32_t last)
{
	static struct ring_seg seg[1024];

	put_frame(BUF, (struct virtio_net_hdr_v1){0}, 0x4000, n);
	seg[0] = (struct ring_seg){BUF, NET_HDR + 1, false};
	for (unsigned i = 1; i < n; i++)
		seg[i] = (struct ring_seg){BUF + NET_HDR + i, 1, false};
	seg[n - 1].len = last;
	return offer(seg, n);
}

START_TEST(a_thousand_segments)
{
	build((struct net_config){.queue_size = 1024});
	start(BASE);
	for (unsigned n = 1022; n <= 1024; n++)
		for (unsigned full = 0; full < 3; full++) {
			int head = offer_bytes(n, 100);
			uint32_t len = NET_HDR + n - 1 + 100;

			fake_tap.send_err = -EAGAIN;
			fake_tap.send_errs = full;
			submit(TX);
			for (unsigned i = 0; i <= full; i++) {
				run();
				fake_ready(&loop[0], FAKE_TAP_FD);
			}
			ck_assert_uint_eq(used_len(TX, head), 0);
			ck_assert_uint_eq(fake_tap.nsent, 1);
			ck_assert_uint_eq(fake_tap.sent[0].len, len);
			ck_assert_mem_eq(fake_tap.sent[0].data, at(BUF), len);
			fake_tap_forget_sent();
		}
	ck_assert_uint_eq(dev->dropped, 0);
	offer_bytes(1024, 0x3000); /* nothing real is like that */
	submit(TX);
	run();
	ck_assert_uint_eq(used(TX), 1);
	ck_assert_uint_eq(dev->dropped, 1);
	destroy();
}
END_TEST

UNIT_MAIN("net_tx", too_short_to_be_a_frame, too_long_to_be_a_frame, no_framing_is_assumed,
	writable_segments_mean_nothing, unknown_flags_mean_nothing, what_was_not_negotiated_does_not_go,
	header_length_is_a_hint, the_tap_gets_the_header_that_was_checked, a_thousand_segments)
