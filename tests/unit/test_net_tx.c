// SPDX-License-Identifier: Apache-2.0
/* virtio-net, what the guest sends: which chains are frames, what of their headers the tap gets, and what a
 * tap that fails does to them. */
#include <errno.h>

#include "tests/unit/net_unit.h"

#define TX    1
#define FRAME 60

/* A frame as drivers send it, its header in front: at gpa, of `len` bytes behind the header. */
static void put_frame(uint64_t gpa, struct virtio_net_hdr_v1 hdr, uint32_t len, unsigned seed)
{
	memcpy(at(gpa), &hdr, NET_HDR);
	fill((uint8_t *)at(gpa) + NET_HDR, len, seed);
}

static int offer(const struct ring_seg *seg, unsigned n)
{
	int head = ring_chain(&drv[TX], seg, n);

	ck_assert_int_ge(head, 0);
	ring_offer(&drv[TX], (uint16_t)head);
	return head;
}

static int offer_one(uint64_t gpa, uint32_t len)
{
	return offer(&(struct ring_seg){gpa, len, false}, 1);
}

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

/* `n` frames of FRAME bytes, numbered from `first` by seed. */
static void offer_frames(unsigned first, unsigned n)
{
	for (unsigned i = first; i < first + n; i++) {
		put_frame(BUF + 128 * i, (struct virtio_net_hdr_v1){0}, FRAME, i);
		offer_one(BUF + 128 * i, NET_HDR + FRAME);
	}
	submit(TX);
}

/* The i-th frame that went out is the one numbered `seed`. */
static void expect_frame(unsigned i, unsigned seed, unsigned pair)
{
	uint8_t want[FRAME];

	fill(want, FRAME, seed);
	ck_assert_uint_lt(i, fake_tap.nsent);
	ck_assert_uint_eq(fake_tap.sent[i].pair, pair);
	ck_assert_uint_eq(fake_tap.sent[i].len, NET_HDR + FRAME);
	ck_assert_mem_eq(fake_tap.sent[i].data + NET_HDR, want, FRAME);
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
	}
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

START_TEST(what_the_tap_refuses_is_dropped)
{
	static const int errs[] = {-EINVAL, -EIO, -EBADFD, -EMSGSIZE, -ENOMEM, -EFAULT};

	build((struct net_config){0});
	start(BASE);
	for (unsigned i = 0; i < sizeof(errs) / sizeof(errs[0]); i++) {
		fake_tap.send_err = errs[i];
		fake_tap.send_errs = 2;
		offer_frames(4 * i, 4);
		run();
		ck_assert_uint_eq(used(TX), 4);
		ck_assert_uint_eq(fake_tap.nsent, 2);
		expect_frame(0, 4 * i + 2, 0);
		ck_assert_uint_eq(dev->dropped, 2 * (i + 1));
		fake_tap_forget_sent();
	}
	ck_assert_uint_eq(transport.resets_wanted, 0);
	for (int link = TAP_DOWN; link <= TAP_GONE; link++) {
		fake_tap_link(link);
		offer_frames(0, 5);
		run();
		ck_assert_uint_eq(used(TX), 5);
	}
	fake_tap_link(TAP_UP);
	offer_frames(7, 1);
	run();
	expect_frame(0, 7, 0);
	ck_assert_uint_eq(used(TX), 1);
	destroy();
}
END_TEST

START_TEST(a_full_tap_keeps_the_order)
{
	unsigned sends, watches;

	build((struct net_config){0});
	start(BASE);
	fake_tap.send_err = -EAGAIN;
	for (unsigned round = 0; round < 3; round++) {
		fake_tap.send_errs = 2;
		watches = loop[0].watches;
		offer_frames(0, 3);
		run();
		/* The kernel tells of room only who has looked since the tap was full. */
		ck_assert_uint_eq(loop[0].watches, watches + 1);
		sends = fake_tap.sends;
		ck_assert_uint_eq(used(TX), 0);
		offer_frames(3, 2);
		fake_ready(&loop[0], dev->queue[TX].kick_fd); /* a kick is no reason to try again */
		run();
		ck_assert_uint_eq(fake_tap.sends, sends);
		fake_ready(&loop[0], FAKE_TAP_FD);
		run();
		ck_assert_uint_eq(fake_tap.nsent, 0);
		ck_assert_uint_eq(loop[0].watches, watches + 2);
		fake_ready(&loop[0], FAKE_TAP_FD);
		run();
		ck_assert_uint_eq(fake_tap.nsent, 5);
		ck_assert_uint_eq(used(TX), 5);
		for (unsigned i = 0; i < 5; i++)
			expect_frame(i, i, 0);
		ck_assert_uint_eq(dev->dropped, 0);
		fake_tap_forget_sent();
	}
	destroy();
}
END_TEST

START_TEST(a_kept_frame_ends_with_a_reset)
{
	build((struct net_config){0});
	start(BASE);
	fake_tap.send_err = -EAGAIN;
	fake_tap.send_errs = 1;
	offer_frames(0, 2);
	run();
	reset();
	start(BASE);
	fake_ready(&loop[0], FAKE_TAP_FD);
	run();
	ck_assert_uint_eq(fake_tap.nsent, 0);
	ck_assert_uint_eq(used(TX), 0);
	offer_frames(5, 1);
	run();
	expect_frame(0, 5, 0);
	destroy();
}
END_TEST

START_TEST(a_kept_frame_without_a_watch)
{
	build((struct net_config){0});
	start(BASE);
	fake_tap.send_err = -EAGAIN;
	fake_tap.send_errs = 1;
	loop[0].watch_err = -ENOSPC;
	offer_frames(0, 2);
	run();
	ck_assert_uint_eq(transport.resets_wanted, 1);
	loop[0].watch_err = 0;
	reset();
	start(BASE);
	offer_frames(5, 1);
	run();
	expect_frame(0, 5, 0);
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

START_TEST(a_batch_is_one_interrupt)
{
	build((struct net_config){0});
	start(BASE);
	ring_arm(&drv[TX]);
	offer_frames(0, 200);
	run();
	ck_assert_uint_eq(used(TX), 200);
	ck_assert_uint_eq(transport.notified[TX], 1);
	ck_assert_uint_eq(dev->queue[TX].kicks, 1);
	for (unsigned i = 0; i < 200; i++)
		expect_frame(i, i, 0);
	destroy();
}
END_TEST

static unsigned wanted;

static void see_whether_kicks_are_wanted(void)
{
	wanted += !(ring_load16(drv[TX].used) & VRING_USED_F_NO_NOTIFY);
}

START_TEST(no_kicks_while_working)
{
	build((struct net_config){0});
	start(BASE & ~RING_EVENT_IDX);
	fake_tap.meanwhile = see_whether_kicks_are_wanted;
	offer_frames(0, 100);
	run();
	ck_assert_uint_eq(fake_tap.nsent, 100);
	ck_assert_uint_eq(wanted, 0);
	ck_assert_uint_eq(ring_load16(drv[TX].used), 0);
	destroy();
}
END_TEST

/* Others on the loop have their turn after half a megabyte. */
START_TEST(large_frames_take_turns)
{
	build((struct net_config){0});
	start(BASE);
	fake_tap.sink = true;
	put_frame(BUF, (struct virtio_net_hdr_v1){0}, 60000, 1);
	for (unsigned i = 0; i < 100; i++)
		offer_one(BUF, 60000);
	submit(TX);
	fake_work(&loop[0]);
	ck_assert_uint_eq(fake_tap.sends, NET_TURN / 60000 + 1);
	run();
	ck_assert_uint_eq(used(TX), 100);
	destroy();
}
END_TEST

START_TEST(indices_wrap)
{
	build((struct net_config){.queue_size = 8});
	start_at(BASE, 65530);
	for (unsigned i = 0; i < 40; i += 5) {
		offer_frames(i, 5);
		run();
		ck_assert_uint_eq(used(TX), 5);
	}
	for (unsigned i = 0; i < 40; i++)
		expect_frame(i, i, 0);
	destroy();
}
END_TEST

START_TEST(each_pair_has_its_own)
{
	struct ring_seg seg = {BUF, NET_HDR + FRAME, false};

	build((struct net_config){.pairs = 2});
	start(BASE | F(MQ));
	for (unsigned pair = 0; pair < 2; pair++) {
		put_frame(BUF, (struct virtio_net_hdr_v1){0}, FRAME, pair);
		ring_offer(&drv[2 * pair + 1], (uint16_t)ring_chain(&drv[2 * pair + 1], &seg, 1));
		submit(2 * pair + 1);
		fake_run(&loop[pair]); /* each on a loop of its own */
		expect_frame(pair, pair, pair);
	}
	destroy();
}
END_TEST

START_TEST(nothing_before_the_driver_is_ok)
{
	build((struct net_config){0});
	for (unsigned q = 0; q < dev->nvq; q++)
		ring_init(&drv[q], &mem, RAM + 0x10000 * q, NUM, 0, BASE);
	offer_frames(0, 3);
	fake_ready(&loop[0], dev->queue[TX].kick_fd);
	run();
	ck_assert_uint_eq(fake_tap.sends, 0);
	fake_driver_ok(dev, drv, dev->nvq, BASE);
	run();
	ck_assert_uint_eq(fake_tap.nsent, 3);
	destroy();
}
END_TEST

START_TEST(a_broken_ring_stops_the_queue)
{
	build((struct net_config){0});
	start(BASE);
	offer_frames(0, 2);
	ring_offer(&drv[TX], NUM);
	submit(TX);
	run();
	ck_assert_uint_eq(transport.resets_wanted, 1);
	offer_frames(2, 2);
	fake_ready(&loop[0], dev->queue[TX].kick_fd);
	fake_ready(&loop[0], FAKE_TAP_FD);
	run();
	ck_assert_uint_eq(fake_tap.nsent, 2);
	reset();
	start(BASE);
	offer_frames(5, 1);
	run();
	expect_frame(2, 5, 0);
	destroy();
}
END_TEST

static unsigned sent_at(uint64_t ns)
{
	loop[0].now = 1000 * MS + ns;
	run();
	return fake_tap.nsent;
}

START_TEST(packets_a_second)
{
	build((struct net_config){.pps = 10, .pps_burst = 2});
	start(BASE);
	offer_frames(0, 6);
	ck_assert_uint_eq(sent_at(0), 2);
	ck_assert_uint_eq(sent_at(99 * MS), 2);
	ck_assert_uint_eq(sent_at(100 * MS), 3);
	ck_assert_uint_eq(sent_at(300 * MS), 5);
	ck_assert_uint_gt(dev->queue[TX].limited, 0);
	reset();
	ck_assert_ptr_null(loop[0].timers);
	destroy();
}
END_TEST

/* 60 bytes each without the header, 600 a second. */
START_TEST(bytes_a_second)
{
	build((struct net_config){.bps = 600, .bps_burst = 60});
	start(BASE);
	offer_frames(0, 6);
	ck_assert_uint_eq(sent_at(0), 1);
	ck_assert_uint_eq(sent_at(98 * MS), 2); /* one byte that is free is enough, and the rest owed */
	ck_assert_uint_eq(sent_at(101 * MS), 2);
	ck_assert_uint_eq(sent_at(199 * MS), 3);
	destroy();
}
END_TEST

/* A tap that is full is no way around a limit, and is not charged twice. */
START_TEST(limits_and_a_full_tap)
{
	build((struct net_config){.pps = 10, .pps_burst = 1});
	start(BASE);
	fake_tap.send_err = -EAGAIN;
	for (unsigned i = 0; i < 5; i++) {
		fake_tap.send_errs = 1;
		offer_frames(i, 1);
		sent_at(i * 100 * MS);
		fake_ready(&loop[0], FAKE_TAP_FD);
		ck_assert_uint_eq(sent_at(i * 100 * MS), i + 1);
	}
	offer_frames(5, 1);
	ck_assert_uint_eq(sent_at(499 * MS), 5);
	ck_assert_uint_eq(sent_at(500 * MS), 6);
	destroy();
}
END_TEST

UNIT_MAIN("net_tx", too_short_to_be_a_frame, too_long_to_be_a_frame, no_framing_is_assumed,
	writable_segments_mean_nothing, unknown_flags_mean_nothing, what_was_not_negotiated_does_not_go,
	header_length_is_a_hint, the_tap_gets_the_header_that_was_checked, what_the_tap_refuses_is_dropped,
	a_full_tap_keeps_the_order, a_kept_frame_ends_with_a_reset, a_kept_frame_without_a_watch,
	a_thousand_segments, a_batch_is_one_interrupt, no_kicks_while_working, large_frames_take_turns,
	indices_wrap, each_pair_has_its_own, nothing_before_the_driver_is_ok, a_broken_ring_stops_the_queue,
	packets_a_second, bytes_a_second, limits_and_a_full_tap)
