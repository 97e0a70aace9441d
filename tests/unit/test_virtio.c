// SPDX-License-Identifier: Apache-2.0
/* The common part of virtio devices: starts and stops, features, configuration. */
#include "tests/unit/virtio_toy.h"

START_TEST(nothing_before_driver_ok)
{
	build();
	add(0);
	fake_submit(&toy.dev, 0, &drv[0]);
	fake_ready(&home, toy.dev.queue[0].kick_fd);
	run();
	ck_assert_uint_eq(toy.kicks[0], 0);
	ck_assert_uint_eq(transport.notified[0], 0);
	ck_assert_uint_eq(ring_load16(drv[0].used + 2), 0);
	start(); /* and then without another kick */
	ck_assert_uint_eq(reap(0), 1);
	ck_assert_uint_eq(transport.notified[0], 1);
}
END_TEST

START_TEST(queues_run_on_their_loops)
{
	build();
	fake_driver_ok(&toy.dev, drv, NQ, FEATS);
	ck_assert_uint_eq(toy.settled, FEATS);
	ck_assert_uint_eq(toy.starts, 0);
	fake_run(&other);
	ck_assert_msg(!toy.dev.queue[2].live, "not before the home loop started the device");
	fake_run(&home);
	ck_assert_uint_eq(toy.starts, 1);
	ck_assert(toy.dev.queue[0].live && toy.dev.queue[1].live && !toy.dev.queue[2].live);
	fake_run(&other);
	ck_assert(toy.dev.queue[2].live);
	for (unsigned q = 0; q < NQ; q++) {
		round_trip(q);
		round_trip(q);
		ck_assert_uint_eq(toy.dev.queue[q].kicks, 2);
		ck_assert_uint_eq(toy.dev.queue[q].signals, 2);
	}
}
END_TEST

START_TEST(a_queue_that_is_not_ready_stays_off)
{
	build();
	drv[1].cfg.ready = false;
	start();
	add(1);
	ring_publish(&drv[1]);
	fake_ready(&home, toy.dev.queue[1].kick_fd);
	run();
	ck_assert_uint_eq(toy.kicks[1], 0);
	ck_assert_uint_eq(transport.resets_wanted, 0);
	round_trip(0);
	ck_assert(!fake_reset(&toy.dev, &done));
	run();
	ck_assert_uint_eq(done.fired, 1);
	ck_assert_uint_eq(toy.stops[1], 0);
}
END_TEST

START_TEST(stop_of_what_never_started_is_done_at_once)
{
	build();
	ck_assert(fake_reset(&toy.dev, &done));
	start();
	ck_assert(!fake_reset(&toy.dev, &done));
	run();
	ck_assert_uint_eq(done.fired, 1);
	ck_assert_msg(fake_reset(&toy.dev, &done), "a second reset finds nothing to stop");
}
END_TEST

START_TEST(stop_overtakes_no_start)
{
	build();
	add(2);
	ring_publish(&drv[2]);
	fake_driver_ok(&toy.dev, drv, NQ, FEATS);
	ck_assert(!fake_reset(&toy.dev, &done));
	fake_run(&home); /* queue 2's start and stop now wait on the other loop */
	ck_assert_uint_eq(done.fired, 0);
	fake_run(&other);
	ck_assert_uint_eq(done.fired, 1);
	ck_assert_uint_eq(toy.kicks[2], 0);
	for (unsigned q = 0; q < NQ; q++) {
		ck_assert(!toy.dev.queue[q].live);
		ck_assert_uint_eq(ring_load16(drv[q].used + 2), 0);
	}
	start();
	ck_assert_uint_eq(reap(2), 1);
}
END_TEST

START_TEST(stop_waits_for_what_is_in_flight)
{
	uint8_t before[RING_SPACE(NUM)];

	build();
	start();
	toy.keep = true;
	for (unsigned q = 1; q < NQ; q++) {
		add(q);
		add(q);
		fake_submit(&toy.dev, q, &drv[q]);
	}
	run();
	ck_assert(!fake_reset(&toy.dev, &done));
	run();
	ck_assert_uint_eq(done.fired, 0);
	memset(drv[1].desc, 0x5a, sizeof(before));
	memcpy(before, drv[1].desc, sizeof(before));
	for (int i = 0; i < 2; i++) {
		ck_assert_uint_eq(done.fired, 0);
		toy_complete(1);
		run();
	}
	ck_assert_msg(done.fired == 0, "queue 2 still has some");
	toy_complete(2);
	toy_complete(2);
	ck_assert_uint_eq(done.fired, 1);
	run();
	ck_assert_mem_eq(before, drv[1].desc, sizeof(before));
	ck_assert_uint_eq(transport.notified[1] + transport.notified[2], 0);
	ck_assert_uint_eq(toy.dev.queue[1].frozen.base, 2);
}
END_TEST

START_TEST(no_start_before_the_stop_is_done)
{
	struct fake_done second = {.done.fn = fake_fire};

	build();
	start();
	toy.keep = true;
	add(0);
	fake_submit(&toy.dev, 0, &drv[0]);
	run();
	fake_reset(&toy.dev, &done);
	run();
	virtio_stop(&toy.dev, &second.done);
	virtio_start(&toy.dev);
	virtio_start(&toy.dev);
	run();
	ck_assert_uint_eq(transport.resets_wanted, 1);
	ck_assert(!toy.dev.queue[0].live);
	toy_complete(0);
	ck_assert_uint_eq(done.fired, 1);
	ck_assert_uint_eq(second.fired, 0);
	toy.keep = false;
	toy.done[0] = NULL;
	ring_init(&drv[0], &mem, RAM, NUM, 0, FEATS);
	start();
	round_trip(0);
}
END_TEST

START_TEST(features)
{
	const uint64_t v1 = 1ULL << VIRTIO_F_VERSION_1;

	build();
	ck_assert_uint_eq(toy.dev.offered, FEATS);
	ck_assert(virtio_features_ok(&toy.dev, v1));
	ck_assert(virtio_features_ok(&toy.dev, FEATS));
	ck_assert_msg(!virtio_features_ok(&toy.dev, FEATS & ~v1), "VERSION_1 is a must");
	ck_assert(!virtio_features_ok(&toy.dev, 0));
	for (unsigned b = 0; b < 64; b++)
		ck_assert_int_eq(virtio_features_ok(&toy.dev, v1 | 1ULL << b), !!(FEATS & 1ULL << b));
}
END_TEST

START_TEST(config_changes_move_the_generation)
{
	build();
	virtio_config_changed(&toy.dev);
	virtio_config_changed(&toy.dev);
	ck_assert_uint_eq(toy.dev.config_gen, 2);
	ck_assert_uint_eq(transport.config_changes, 2);
}
END_TEST

START_TEST(settle_hears_of_start_and_reset)
{
	build();
	start();
	ck_assert_uint_eq(toy.settled, FEATS);
	fake_reset(&toy.dev, &done);
	ck_assert_uint_eq(toy.settled, 0);
	run();
}
END_TEST

UNIT_MAIN("virtio", nothing_before_driver_ok, queues_run_on_their_loops, a_queue_that_is_not_ready_stays_off,
	stop_of_what_never_started_is_done_at_once, stop_overtakes_no_start, stop_waits_for_what_is_in_flight,
	no_start_before_the_stop_is_done, features, config_changes_move_the_generation,
	settle_hears_of_start_and_reset)
