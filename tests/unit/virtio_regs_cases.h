/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a driver may do through the registers of any transport, and what it may not. Included, after its guest
 * header, by the test program of each transport, which runs VIRTIO_REGS_CASES.
 */
#ifndef PINVM_TESTS_VIRTIO_REGS_CASES_H
#define PINVM_TESTS_VIRTIO_REGS_CASES_H

#include "tests/unit/virtio_driver.h"

/* Writes that are no kick of a queue that could have one; the program's. */
static void odd_kicks(void);

START_TEST(every_offer_includes_version_1)
{
	build();
	probe();
	ck_assert_uint_eq(offered(), OFFERS);
	ck_assert(offered() & V1);
	ck_assert_msg(!(offered() & 1ull << VIRTIO_F_RING_RESET), "no queue_reset register behind it");
	ck_assert_uint_eq(offered_at(2), 0);
	ck_assert_uint_eq(offered_at(~0u), 0);
	want(2, ~0u);
	expect_wanted(0);
	tear_down();
}
END_TEST

START_TEST(bad_features_are_refused)
{
	static const uint64_t bad[] = {
		0, OFFERS & ~V1, OFFERS | 1, V1 | 1ull << 63, ~0ull, V1 | 1ull << VIRTIO_F_RING_RESET};

	build();
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		probe();
		negotiate(bad[i]);
		add_status(FEATS);
		ck_assert_uint_eq(status(), ACK | DRIVER);
		add_status(FEATS | OK);
		ck_assert_uint_eq(status(), ACK | DRIVER);
	}
	ck_assert_uint_eq(model.starts, 0);
	ck_assert_uint_eq(vdev.features, 0);
	negotiate(V1); /* the driver may try again with less */
	add_status(FEATS);
	ck_assert_uint_eq(status(), ACK | DRIVER | FEATS);
	ck_assert_uint_eq(vdev.features, V1);
	negotiate(OFFERS);
	ck_assert_msg(vdev.features == V1 && regs->wanted == V1, "frozen by FEATURES_OK");
	expect_wanted(V1);
	tear_down();
}
END_TEST

struct status_step {
	uint32_t from, write, to;
};

static void expect_steps(const struct status_step *step, size_t n)
{
	build();
	find_device();
	for (size_t i = 0; i < n; i++) {
		reset();
		negotiate(V1);
		if (step[i].from)
			put_status(step[i].from);
		ck_assert_uint_eq(status(), step[i].from);
		put_status(step[i].write);
		ck_assert_msg(status() == step[i].to, "step %zu: %#x", i, status());
	}
	tear_down();
}

START_TEST(status_moves_forward_only)
{
	static const struct status_step step[] = {
		{0, DRIVER, 0},
		{0, FEATS, 0},
		{0, OK, 0},
		{0, VIRTIO_CONFIG_S_NEEDS_RESET, 0},
		{0, 0x30, 0},
		{0, ACK, ACK},
		{0, ACK | DRIVER, ACK | DRIVER},
		{ACK, ACK | FEATS, ACK},
		{ACK, DRIVER, ACK},
		{ACK | DRIVER, ACK, ACK | DRIVER},
		{ACK | DRIVER, ACK | DRIVER | OK, ACK | DRIVER},
		{ACK | DRIVER, ACK | DRIVER | 0x80, ACK | DRIVER | 0x80},
		{ACK | DRIVER | 0x80, ALL | 0x80, ACK | DRIVER | 0x80},
		{ACK | DRIVER | FEATS, ACK | DRIVER, ACK | DRIVER | FEATS},
		{ALL, ALL & ~OK, ALL},
		{ALL, ALL | 0x40, ALL},
		{0, ALL, ALL},
	};

	expect_steps(step, sizeof(step) / sizeof(step[0]));
}
END_TEST

START_TEST(nothing_happens_before_driver_ok)
{
	build();
	set_up();
	kick(0);
	ck_assert(!kicked(0));
	ck_assert_uint_eq(kicks.adds, 0);
	ck_assert_uint_eq(model.starts, 0);
	transport->config_changed(transport);
	ck_assert_uint_eq(fake_irq.delivered, 0);
	ck_assert_uint_eq(take_isr(), 0);
	add_status(OK);
	ck_assert_uint_eq(model.starts, 1);
	kick(0);
	ck_assert(kicked(0));
	add_status(OK);
	ck_assert_uint_eq(model.starts, 1);
	tear_down();
}
END_TEST

START_TEST(kicks_that_reach_us_are_passed_on)
{
	build();
	kicks.refuse = 1;
	drive();
	ck_assert_uint_eq(kicks.n, 0);
	kick(1);
	ck_assert(!kicked(0) && kicked(1));
	kick(2);
	ck_assert_msg(!kicked(2), "not ready");
	odd_kicks();
	ck_assert(!kicked(0) && !kicked(1) && !kicked(2));
	tear_down();
}
END_TEST

START_TEST(needs_reset_is_told_after_driver_ok)
{
	build();
	set_up();
	transport->needs_reset(transport);
	ck_assert_uint_eq(status(), ACK | DRIVER | FEATS | VIRTIO_CONFIG_S_NEEDS_RESET);
	transport->config_changed(transport);
	ck_assert_uint_eq(fake_irq.delivered, 0);
	ck_assert_uint_eq(take_isr(), 0);
	drive();
	transport->needs_reset(transport);
	ck_assert_uint_eq(status(), ALL | VIRTIO_CONFIG_S_NEEDS_RESET);
	expect_config_irq();
	ck_assert_uint_eq(take_isr(), ISR_CONFIG);
	put_status(ALL);
	ck_assert_msg(status() & VIRTIO_CONFIG_S_NEEDS_RESET, "only a reset takes it back");
	transport->config_changed(transport); /* and leaves no bit behind */
	reset();
	ck_assert_uint_eq(status(), 0);
	drive();
	ck_assert_uint_eq(model.starts, 2);
	ck_assert_uint_eq(take_isr(), 0);
	tear_down();
}
END_TEST

#define VIRTIO_REGS_CASES                                                                    \
	every_offer_includes_version_1, bad_features_are_refused, status_moves_forward_only, \
		nothing_happens_before_driver_ok, kicks_that_reach_us_are_passed_on,         \
		needs_reset_is_told_after_driver_ok

#endif
