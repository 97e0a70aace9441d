// SPDX-License-Identifier: Apache-2.0
/* The common part of virtio devices at work: interrupts, polls, turns, stalls. */
#include "tests/unit/virtio_toy.h"

START_TEST(a_batch_is_one_interrupt)
{
	build();
	start();
	toy.keep = true;
	for (int i = 0; i < 5; i++)
		add(0);
	fake_submit(&toy.dev, 0, &drv[0]);
	run();
	for (int i = 0; i < 5; i++)
		toy_complete(0);
	ck_assert_uint_eq(reap(0), 0);
	fake_step(&home);
	ck_assert_uint_eq(reap(0), 5);
	ck_assert_uint_eq(transport.notified[0], 1);
}
END_TEST

/* A step that does not sleep: hooks, then what is ready. */
static void poll_once(void)
{
	fake_ask(&home, false);
	fake_work(&home);
}

START_TEST(a_loop_that_polls_needs_no_kicks)
{
	build();
	toy.budget = 2;
	start();
	ck_assert(ring_arm(&drv[0]));
	add(0);
	ck_assert_msg(fake_submit(&toy.dev, 0, &drv[0]), "it slept before");
	poll_once(); /* it finds the chain and its kick at once */
	ck_assert_uint_eq(reap(0), 1);
	ck_assert_uint_eq(transport.notified[0], 1);
	for (int i = 0; i < 6; i++) {
		unsigned want = i < 5 ? 1 : 5; /* at last more than a turn holds */

		ck_assert(ring_arm(&drv[0]));
		for (unsigned j = 0; j < want; j++)
			add(0);
		ck_assert_msg(!fake_submit(&toy.dev, 0, &drv[0]), "a queue that is looked at wants no kick");
		for (unsigned left = want; left; left -= left < 2 ? left : 2) {
			ck_assert_uint_eq(reap(0), left == want ? 0 : 2);
			poll_once();
		}
		ck_assert_uint_eq(reap(0), want % 2);
	}
	ck_assert_uint_eq(toy.dev.queue[0].kicks, 1);
	/* What the back end ends later goes out as well. */
	toy.keep = true;
	add(0);
	fake_submit(&toy.dev, 0, &drv[0]);
	poll_once();
	ck_assert_uint_eq(toy.nkept[0], 1);
	ck_assert(ring_arm(&drv[0]));
	toy_complete(0);
	poll_once();
	ck_assert_uint_eq(reap(0), 1);
	toy.keep = false;
	run(); /* and asleep it wants to be woken again */
	round_trip(0);
}
END_TEST

START_TEST(work_per_turn_is_bounded_and_shared)
{
	build();
	toy.budget = 2;
	start();
	toy.kicks[0] = toy.kicks[1] = 0;
	for (int i = 0; i < NUM; i++) {
		add(0);
		add(1);
	}
	fake_submit(&toy.dev, 0, &drv[0]);
	fake_submit(&toy.dev, 1, &drv[1]);
	for (unsigned turn = 1; turn <= NUM / 2; turn++) {
		fake_work(&home);
		if (turn > 1)
			ck_assert(fake_idle(&home));
		ck_assert_uint_eq(toy.kicks[0], turn);
		ck_assert_uint_eq(toy.kicks[1], turn);
	}
	run();
	ck_assert_uint_eq(reap(0), NUM);
	ck_assert_uint_eq(reap(1), NUM);
}
END_TEST

START_TEST(a_stalled_queue_sleeps_until_resumed)
{
	build();
	start();
	toy.stall = true;
	toy.budget = 1;
	for (int i = 0; i < 3; i++)
		add(0);
	fake_submit(&toy.dev, 0, &drv[0]);
	run(); /* ends: no busy loop although the ring is not empty */
	ck_assert_uint_eq(reap(0), 1);
	fake_ready(&home, toy.dev.queue[0].kick_fd);
	run();
	ck_assert_uint_eq(reap(0), 0);
	virtio_resume(&toy.dev, 0);
	run();
	ck_assert_uint_eq(reap(0), 1);
	toy.stall = false;
	virtio_resume(&toy.dev, 0);
	run();
	ck_assert_uint_eq(reap(0), 1);
	round_trip(0);
	toy.stall = true;
	add(0);
	fake_submit(&toy.dev, 0, &drv[0]);
	run();
	reset();
	toy.stall = false;
	ring_init(&drv[0], &mem, RAM, NUM, 0, FEATS);
	start();
	round_trip(0); /* a reset ends a stall */
}
END_TEST

START_TEST(spurious_kicks_are_harmless)
{
	build();
	start();
	for (int i = 0; i < 10; i++) {
		fake_ready(&home, toy.dev.queue[0].kick_fd);
		run();
	}
	ck_assert_uint_eq(transport.notified[0], 0);
	ck_assert_uint_eq(transport.resets_wanted, 0);
	round_trip(0);
}
END_TEST

UNIT_MAIN("virtio_work", a_batch_is_one_interrupt, a_loop_that_polls_needs_no_kicks,
	work_per_turn_is_bounded_and_shared, a_stalled_queue_sleeps_until_resumed,
	spurious_kicks_are_harmless)
