// SPDX-License-Identifier: Apache-2.0
/* The common part of virtio devices, with rings and settings that cannot be, and devices that cannot start: they want a reset. */
#include <unistd.h>

#include "tests/unit/virtio_toy.h"
#include "vmm/log.h"

START_TEST(a_broken_ring_wants_one_reset)
{
	build();
	start();
	for (int again = 0; again < 2; again++) {
		for (unsigned q = 0; q < 2; q++) { /* two queues break: said once */
			ring_store16(drv[q].avail + 2, 100);
			fake_ready(&home, toy.dev.queue[q].kick_fd);
			run();
		}
		ck_assert_uint_eq(transport.resets_wanted, again + 1);
		ck_assert_uint_eq(transport.notified[0], 0);
		unsigned kicks = toy.kicks[0];

		fake_ready(&home, toy.dev.queue[0].kick_fd); /* it is not listened to any more */
		run();
		ck_assert_uint_eq(toy.kicks[0], kicks);
		round_trip(2); /* others go on */
		reset();
		new_rings();
		start();
	}
	round_trip(0);
	ck_assert_uint_eq(transport.resets_wanted, 2);
}
END_TEST

START_TEST(a_driver_cannot_flood_the_log)
{
	char path[] = "/tmp/pinvm-unit-log-XXXXXX", text[16384];
	int fd = mkstemp(path);
	unsigned lines = 0;
	ssize_t n;

	ck_assert_int_ge(fd, 0);
	build();
	start();
	ck_assert_int_eq(log_open(path), 0);
	for (unsigned i = 0; i < 4 * LOG_FEW; i++) {
		ring_store16(drv[0].avail + 2, 100);
		fake_ready(&home, toy.dev.queue[0].kick_fd);
		run();
		ck_assert_uint_eq(transport.resets_wanted, i + 1);
		reset();
		new_rings();
		start();
	}
	log_close();
	n = read(fd, text, sizeof(text));
	for (ssize_t i = 0; i < n; i++)
		lines += text[i] == '\n';
	ck_assert_uint_eq(lines, LOG_FEW);
	close(fd);
	unlink(path);
}
END_TEST

START_TEST(a_broken_ring_with_chains_in_flight_drains)
{
	build();
	start();
	toy.keep = true;
	add(0);
	fake_submit(&toy.dev, 0, &drv[0]);
	run();
	ring_store16(drv[0].avail + 2, 100);
	fake_ready(&home, toy.dev.queue[0].kick_fd);
	run();
	ck_assert_uint_eq(transport.resets_wanted, 1);
	fake_reset(&toy.dev, &done);
	run();
	ck_assert_uint_eq(done.fired, 0);
	toy_complete(0);
	ck_assert_uint_eq(done.fired, 1);
	ck_assert_uint_eq(ring_load16(drv[0].used + 2), 0);
}
END_TEST

static void start_with_bad_queue(struct virtq_cfg cfg)
{
	build();
	drv[1].cfg = cfg;
	start();
	ck_assert_uint_eq(transport.resets_wanted, 1);
	ck_assert(!toy.dev.queue[1].live);
	round_trip(0);
	reset();
}

START_TEST(q06_bad_queue_settings_want_a_reset)
{
	start_with_bad_queue(
		(struct virtq_cfg){.ready = true, .num = NUM, .desc = 1, .avail = RAM, .used = RAM});
}
END_TEST

START_TEST(q06_queue_larger_than_offered)
{
	start_with_bad_queue((struct virtq_cfg){.ready = true,
		.num = 2 * NUM,
		.desc = RAM + 0x8000,
		.avail = RAM + 0x9000,
		.used = RAM + 0xa000});
}
END_TEST

START_TEST(q05_settings_after_driver_ok_are_ignored)
{
	build();
	fake_driver_ok(&toy.dev, drv, NQ, FEATS);
	toy.dev.queue[0].cfg =
		(struct virtq_cfg){.num = 4, .ready = true, .desc = 16, .avail = 32, .used = 64};
	run();
	round_trip(0);
	ck_assert_uint_eq(transport.resets_wanted, 0);
}
END_TEST

START_TEST(a_device_that_cannot_start_wants_a_reset)
{
	build();
	toy.start_err = -ENOMEM;
	start();
	ck_assert_uint_eq(transport.resets_wanted, 1);
	for (unsigned q = 0; q < NQ; q++)
		ck_assert(!toy.dev.queue[q].live);
	reset();
	toy.start_err = 0;
	start();
	round_trip(0);
}
END_TEST

START_TEST(no_room_to_watch_kicks_wants_a_reset)
{
	build();
	home.watch_err = -ENOSPC;
	start();
	ck_assert_uint_eq(transport.resets_wanted, 1);
	round_trip(2);
	home.watch_err = 0;
	reset();
	start();
	round_trip(0);
}
END_TEST

UNIT_MAIN("virtio_broken", a_broken_ring_wants_one_reset, a_driver_cannot_flood_the_log,
	a_broken_ring_with_chains_in_flight_drains, q06_bad_queue_settings_want_a_reset,
	q06_queue_larger_than_offered, q05_settings_after_driver_ok_are_ignored,
	a_device_that_cannot_start_wants_a_reset, no_room_to_watch_kicks_wants_a_reset)
