// SPDX-License-Identifier: Apache-2.0
/* virtio-net, what the guest receives: frames over buffers of any shape, and what becomes of those that do
 * not fit. test_net_rx_filter.c has frames that are not for it, test_net_rx_ring.c the queue, test_net_link.c
 * time, limits and the link. */
#include "tests/unit/net_rx_unit.h"

START_TEST(a_buffer_a_frame)
{
	static const uint32_t len[] = {14, 15, 60, 1514, 1518};

	build((struct net_config){0});
	start(BASE);
	post_many(8, 1530);
	for (unsigned i = 0; i < 5; i++) {
		arrive(i, len[i]);
		run();
		expect(i, len[i], 1);
	}
	ck_assert_uint_eq(used(RX), 0);
	ck_assert_uint_eq(dev->dropped, 0);
	destroy();
}
END_TEST

/* Buffers of random shapes, direct and indirect, with and without merging, frames of random lengths. */
static void random_frames(unsigned seed)
{
	bool merge = seed % 2;
	uint64_t gpa = BUF + seed % 7, bytes = 0;
	unsigned frames = 0;

	srand(seed);
	build((struct net_config){.queue_size = 1024});
	start_at(BASE | (merge ? F(MRG_RXBUF) : 0), (uint16_t)(seed * 977));
	for (unsigned i = 0; drv[RX].nfree > 64 && i < 200; i++) {
		uint32_t len = merge ? NET_HDR + (uint32_t)rand() % (rand() % 2 ? 40 : 2500) : 1600;
		struct ring_seg seg[64];
		unsigned n = cut(seg, 1 + (unsigned)rand() % 30, gpa, len, true);

		post_segs(seg, n, rand() % 2);
		gpa += len + (uint32_t)rand() % 3;
	}
	submit(RX);
	run();
	for (; frames < 60 && rand() % 50; frames++)
		arrive(seed + frames, 14 + (uint32_t)rand() % 1500);
	run();
	loop[0].now += 2 * MS; /* for what merged buffers have left at the end */
	run();
	srand(seed);
	for (unsigned i = 0; ring_load16(drv[RX].used + 2) != drv[RX].last_used; i++) {
		static uint8_t got[1 << 17];
		struct virtio_net_hdr_v1 hdr;
		size_t len = receive(got, &hdr);
		static uint8_t want[1 << 17];

		fill(want, len - NET_HDR, seed + i);
		want[12] = len > NET_HDR + 14 ? 0x08 : want[12];
		ck_assert_mem_eq(got + NET_HDR, want, len - NET_HDR);
		ck_assert(merge || hdr.num_buffers == 1);
		bytes += len - NET_HDR;
		frames--;
	}
	ck_assert_uint_eq(dev->queue[RX].vq.stats.to_guest, bytes);
	ck_assert_msg(frames == dev->dropped + fake_tap_waiting(), "seed %u: %u frames, %lu dropped, %u wait",
		seed, frames, dev->dropped, fake_tap_waiting());
	ck_assert_uint_eq(dev->dropped, 0);
	destroy();
}

START_TEST(no_framing_is_assumed)
{
	for (unsigned seed = 1; seed < 120; seed++)
		random_frames(seed);
}
END_TEST

START_TEST(headers_split_at_every_byte)
{
	build((struct net_config){0});
	start(BASE);
	for (uint32_t i = 1; i < 30; i++) {
		struct ring_seg seg[] = {{BUF, i, true}, {BUF + 0x1000, 1600, true}};

		post_segs(seg, 2, i % 2);
		submit(RX);
		arrive(i, 60);
		run();
		expect(i, 60, 1);
	}
	destroy();
}
END_TEST

/* 64 KiB over pages, as Linux gives them, and over one buffer. */
START_TEST(large_frames_are_merged)
{
	build((struct net_config){0});
	start(BASE | GUEST | F(MRG_RXBUF));
	post_many(NUM, 4096);
	arrive(1, NET_FRAME_MAX);
	arrive(2, 60);
	arrive(3, 4096 - NET_HDR);
	arrive(4, 4096 - NET_HDR + 1);
	run();
	expect(1, NET_FRAME_MAX, (NET_HDR + NET_FRAME_MAX + 4095) / 4096);
	expect(2, 60, 1);
	expect(3, 4096 - NET_HDR, 1);
	expect(4, 4096 - NET_HDR + 1, 2);
	reset();
	start(BASE | GUEST);
	post_many(4, NET_HDR + NET_FRAME_MAX);
	arrive(1, NET_FRAME_MAX);
	arrive(2, 60);
	run();
	expect(1, NET_FRAME_MAX, 1);
	expect(2, 60, 1);
	destroy();
}
END_TEST

START_TEST(too_long_is_dropped_and_the_buffer_used_again)
{
	build((struct net_config){0});
	for (unsigned merge = 0; merge < 2; merge++) {
		start(BASE | (merge ? F(MRG_RXBUF) : 0));
		post_many(1, NET_HDR + 100);
		loop[0].now += 2 * MS;
		run();
		for (uint32_t len = 101; len < 70000; len += 8737)
			arrive(len, len);
		run();
		ck_assert_uint_eq(dev->dropped, 9 * (merge + 1));
		ck_assert_uint_eq(used(RX), 0);
		memset(at(BUF), EMPTY, NET_HDR + 100);
		arrive(7, 100);
		run();
		if (fake_tap_waiting()) {
			loop[0].now += 2 * MS;
			run();
		}
		expect(7, 100, 1);
		reset();
	}
	destroy();
}
END_TEST

/* Without offloads the MTU says how long frames are, until a longer one has come. */
START_TEST(want_grows_with_what_comes)
{
	build((struct net_config){.mtu = 1400});
	start(BASE | F(MRG_RXBUF));
	post_many(2, 1000);
	arrive(1, 1900);
	run();
	expect(1, 1900, 2);
	post_many(2, 1000);
	arrive(2, 3000);
	run();
	ck_assert_uint_eq(dev->dropped, 1);
	for (unsigned i = 2; i < 66; i++)
		post(BUF + 4096 * i, 1100);
	submit(RX);
	arrive(3, 3000);
	run();
	expect(3, 3000, 3);
	destroy();
}
END_TEST

START_TEST(too_short_for_a_header)
{
	int head[12];

	build((struct net_config){0});
	start(BASE);
	for (uint32_t i = 1; i < NET_HDR; i++)
		head[i] = post(BUF + 64 * i, i);
	submit(RX);
	run();
	for (uint32_t i = 1; i < NET_HDR; i++) {
		ck_assert_uint_eq(used_len(RX, head[i]), 0);
		expect_all(at(BUF + 64 * i), i, EMPTY);
	}
	ck_assert_uint_eq(dev->dropped, NET_HDR - 1);
	post(BUF, NET_HDR); /* a header, and no room for any frame */
	post(BUF + 4096, 100);
	submit(RX);
	arrive(1, 14);
	run();
	ck_assert_uint_eq(dev->dropped, NET_HDR);
	ck_assert_uint_eq(dev->queue[RX].vq.stats.to_guest, 0);
	ck_assert_uint_eq(transport.resets_wanted, 0);
	destroy();
}
END_TEST

START_TEST(readable_segments_mean_nothing)
{
	struct ring_seg seg[] = {{BUF, 100, false}, {BUF + 0x1000, 7, false}, {BUF + 0x2000, 8, true},
		{BUF + 0x3000, 1600, true}};
	int head;

	build((struct net_config){0});
	start(BASE);
	memset(at(BUF), 0x55, 0x1100);
	post_segs(seg, 4, false);
	submit(RX);
	arrive(1, 700);
	run();
	expect(1, 700, 1);
	expect_all(at(BUF), 0x1100, 0x55);
	head = post_segs(seg, 2, false); /* nothing to write at all */
	submit(RX);
	run();
	ck_assert_uint_eq(used_len(RX, head), 0);
	destroy();
}
END_TEST

/* The kernel reads into 1024 segments at most, of which one sees whether the frame was longer. */
START_TEST(a_thousand_segments)
{
	static struct ring_seg seg[1024];
	uint32_t h, len;

	build((struct net_config){.queue_size = 1024});
	start(BASE);
	for (unsigned n = 1023; n <= 1024; n++)
		for (uint32_t frame = 1010; frame <= 1013; frame++) {
			bool fits = NET_HDR + frame <= 1023;
			uint64_t dropped = dev->dropped;
			int head;

			for (unsigned i = 0; i < n; i++)
				seg[i] = (struct ring_seg){BUF + 2 * i, 1, true};
			memset(at(BUF), EMPTY, 4096);
			head = ring_chain(&drv[RX], seg, n);
			ring_offer(&drv[RX], (uint16_t)head);
			submit(RX);
			arrive(frame, frame);
			run();
			ck_assert_uint_eq(dev->dropped - dropped, !fits);
			if (!fits) {
				arrive(frame, 60);
				run();
			}
			ck_assert(ring_used(&drv[RX], &h, &len));
			ck_assert_uint_eq(len, NET_HDR + (fits ? frame : 60));
			ck_assert_uint_eq(*(uint8_t *)at(BUF + 20), 1);
			for (unsigned i = 1; i < 2048; i += 2)
				ck_assert_uint_eq(*(uint8_t *)at(BUF + i), EMPTY);
		}
	destroy();
}
END_TEST

START_TEST(more_segments_than_the_kernel_takes)
{
	static const uint32_t len[] = {500, 60, 1011, 100, 1012, 318};

	build((struct net_config){0});
	start(BASE | GUEST | F(MRG_RXBUF));
	for (unsigned i = 0; i < 200; i++) {
		struct ring_seg seg[30];

		for (unsigned k = 0; k < 30; k++)
			seg[k] = (struct ring_seg){BUF + 128 * i + 3 * k, 1, true};
		post_segs(seg, 30, true);
	}
	submit(RX);
	for (unsigned i = 0; i < 6; i++) {
		arrive(i, len[i]);
		run();
		if (len[i] + NET_HDR <= 1023)
			expect(i, len[i], (NET_HDR + len[i] + 29) / 30);
		else
			ck_assert_uint_eq(used(RX), 0);
	}
	ck_assert_uint_eq(dev->dropped, 1);
	destroy();
}
END_TEST

/* Without MRG_RXBUF a frame is in one buffer, or nowhere; also after one that was too long. */
START_TEST(a_frame_is_in_one_buffer)
{
	build((struct net_config){0});
	start(BASE);
	post_many(4, 200);
	for (unsigned i = 0; i < 3; i++) {
		arrive(i, 500);
		run();
		ck_assert_uint_eq(dev->dropped, i + 1);
		ck_assert_uint_eq(used(RX), 0);
	}
	arrive(3, 100);
	run();
	ck_assert_uint_eq(used(RX), 1);
	destroy();
}
END_TEST

UNIT_MAIN("net_rx", a_buffer_a_frame, no_framing_is_assumed, headers_split_at_every_byte,
	large_frames_are_merged, too_long_is_dropped_and_the_buffer_used_again, want_grows_with_what_comes,
	too_short_for_a_header, readable_segments_mean_nothing, a_thousand_segments,
	more_segments_than_the_kernel_takes, a_frame_is_in_one_buffer)
