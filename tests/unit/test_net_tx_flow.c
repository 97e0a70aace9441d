// SPDX-License-Identifier: Apache-2.0
/* virtio-net, how what the guest sends flows: taps that refuse or are full, batches, turns, rings, limits. */
#include <errno.h>

#include "tests/unit/net_tx_unit.h"

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

UNIT_MAIN("net_tx_flow", what_the_tap_refuses_is_dropped, a_full_tap_keeps_the_order,
	a_kept_frame_ends_with_a_reset, a_kept_frame_without_a_watch, a_batch_is_one_interrupt,
	no_kicks_while_working, large_frames_take_turns, indices_wrap, each_pair_has_its_own,
	nothing_before_the_driver_is_ok, a_broken_ring_stops_the_queue, packets_a_second, bytes_a_second,
	limits_and_a_full_tap)
