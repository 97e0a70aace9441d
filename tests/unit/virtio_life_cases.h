/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device's resets, by its driver and by main, with I/O in flight or not, and a guest that writes anything
 * anywhere, over any transport. Included, after its guest header, by the test program of each transport,
 * which runs VIRTIO_LIFE_CASES.
 */
#ifndef PINVM_TESTS_VIRTIO_LIFE_CASES_H
#define PINVM_TESTS_VIRTIO_LIFE_CASES_H

#include <pthread.h>
#include <sched.h>

#include "tests/unit/virtio_driver.h"

/* The program's: what else a driver may try while its device drains, in vain; and a vCPU that writes anything
 * anywhere, often the right thing so that it gets far (arg: a uint64_t, where its choices begin). */
static void meddle(void);
static void *hammer(void *arg);

START_TEST(status_is_zero_only_when_drained)
{
	build();
	model.slow = true;
	drive();
	notify(0);
	put_status(0);
	ck_assert_uint_eq(model.stops, 2); /* probe's own reset was the first */
	ck_assert_uint_ne(status(), 0);
	ck_assert_msg(kicks.n == 0, "no kicks from the first moment on");
	kick(0);
	ck_assert(!kicked(0));
	/* Whatever the driver does meanwhile. */
	put_status(0);
	put_status(ALL);
	meddle();
	ck_assert_uint_eq(model.writes, 0);
	ck_assert_uint_eq(model.stops, 2);
	ck_assert_uint_ne(status(), 0);
	fake_irq.delivered = 0;
	notify(0);
	ck_assert_uint_eq(fake_irq.delivered, 0);
	ck_assert(finish_stop());
	expect_power_on();
	drive();
	ck_assert_uint_eq(model.starts, 2);
	tear_down();
}
END_TEST

START_TEST(reset_before_driver_ok_is_immediate)
{
	build();
	model.slow = true;
	set_up();
	put_status(0);
	expect_power_on();
	tear_down();
}
END_TEST

/* The loop: whoever wants to stop is let go. */
static void *loop_thread(void *arg)
{
	while (!finish_stop())
		sched_yield();
	return NULL;
}

START_TEST(restart_waits_for_the_device)
{
	pthread_t t;

	build();
	model.slow = true;
	drive();
	ck_assert_int_eq(pthread_create(&t, NULL, loop_thread, NULL), 0);
	ck_assert_int_eq(restart(), 0);
	pthread_join(t, NULL);
	expect_power_on();
	drive();
	ck_assert_uint_eq(model.starts, 2);
	reset();
	ck_assert_int_eq(restart(), 0); /* nothing to wait for */
	tear_down();
}
END_TEST

START_TEST(restart_does_not_wait_for_ever)
{
	build();
	model.slow = true;
	regs->drain_ms = 20;
	for (unsigned asked = 0; asked < 2; asked++) {
		unsigned stops;

		drive();
		stops = model.stops;
		if (asked)
			transport->ask_reset(transport);
		ck_assert_msg(restart() == -ETIMEDOUT, "guest RAM may still be written");
		ck_assert_msg(status() != 0, "the next driver waits");
		put_status(0);
		ck_assert_uint_ne(status(), 0);
		put_status(ACK);
		ck_assert_int_eq(restart(), -ETIMEDOUT);
		ck_assert_uint_ne(status(), 0);
		ck_assert_uint_eq(model.stops, stops + 1);
		ck_assert(finish_stop());
		expect_power_on();
	}
	drive();
	tear_down();
}
END_TEST

START_TEST(devices_can_drain_side_by_side)
{
	build();
	model.slow = true;
	regs->drain_ms = 60000;
	drive();
	transport->ask_reset(transport);
	ck_assert_msg(model.stops == 2, "asked, and not waited for");
	ck_assert(finish_stop());
	ck_assert_int_eq(restart(), 0);
	ck_assert_msg(model.stops == 2, "it was asked once");
	expect_power_on();
	tear_down();
}
END_TEST

START_TEST(a_reset_in_flight_meets_a_restart)
{
	build();
	model.slow = true;
	regs->drain_ms = 60000;
	drive();
	put_status(0);
	ck_assert(finish_stop());
	ck_assert_int_eq(restart(), 0);
	expect_power_on();
	ck_assert_msg(model.stops == 2, "the stop of the driver's reset serves the restart");
	tear_down();
}
END_TEST

static atomic_bool quiet;

/* The device's loop. */
static void *device_thread(void *arg)
{
	for (unsigned i = 0; !quiet; i++) {
		finish_stop();
		notify(i % NVQ);
		if (i % 16 == 0)
			transport->config_changed(transport);
		if (i % 64 == 0)
			transport->needs_reset(transport);
		sched_yield();
	}
	return NULL;
}

START_TEST(two_vcpus_and_a_loop_hammer)
{
	uint64_t seed[2] = {0x1234567, 0xdeadbeef};
	pthread_t t[3];

	build();
	model.slow = true;
	find_device();
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_create(&t[i], NULL, hammer, &seed[i]), 0);
	ck_assert_int_eq(pthread_create(&t[2], NULL, device_thread, NULL), 0);
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	quiet = true;
	pthread_join(t[2], NULL);
	ck_assert_msg(model.starts > 10 && model.stops > 10, "got far: %u starts", model.starts);
	finish_stop();
	model.slow = false;
	ck_assert_int_eq(restart(), 0);
	drive();
	fake_irq.delivered = 0;
	notify(1);
	ck_assert_uint_eq(fake_irq.delivered, 1);
	tear_down();
}
END_TEST

#define VIRTIO_LIFE_CASES                                                                                    \
	status_is_zero_only_when_drained, reset_before_driver_ok_is_immediate, restart_waits_for_the_device, \
		restart_does_not_wait_for_ever, devices_can_drain_side_by_side,                              \
		a_reset_in_flight_meets_a_restart, two_vcpus_and_a_loop_hammer

#endif
