// SPDX-License-Identifier: Apache-2.0
/* The local APIC's timer under a clock of the test's own. Intel SDM 3A, 11.5.4. */
#include "tests/unit/x86/lapic_unit.h"

#define VECTOR	 0x40
#define PERIODIC (1 << 17)
#define DEADLINE (2 << 17)
#define MASKED	 (1 << 16)

static struct lapic *l;

static void begin(uint32_t lvt)
{
	make_x2(1);
	l = lapics_at(set, 0);
	ck_assert_int_eq(wr(0, X_DIVIDE, 0xb), 0); /* by 1 */
	ck_assert_int_eq(wr(0, X_TIMER, lvt), 0);
}

/* Has it fired by now? Takes the interrupt. */
static bool fired(void)
{
	bool due = lapic_timer_run(l);

	ck_assert_int_eq(lapic_pending(l), due ? VECTOR : -1);
	ck_assert_msg(!lapic_timer_run(l), "once");
	if (due) {
		lapic_ack(l);
		wr(0, X_EOI, 0);
	}
	return due;
}

/* Figure 11-10: the divide configuration. */
START_TEST(divides)
{
	static const struct {
		uint8_t value;
		unsigned by;
	} row[] = {{0, 2}, {1, 4}, {2, 8}, {3, 16}, {8, 32}, {9, 64}, {10, 128}, {11, 1}};

	for (unsigned i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		begin(VECTOR);
		wr(0, X_DIVIDE, row[i].value);
		wr(0, X_INITIAL, 1000);
		ck_assert_uint_eq(lapic_timer_ns(l), clock_ns + 1000 * row[i].by);
		pass(500 * row[i].by);
		ck_assert_uint_eq(rd(0, X_CURRENT), 500);
		pass(500 * row[i].by - 1);
		ck_assert_uint_eq(rd(0, X_CURRENT), 1);
		ck_assert(!fired());
		pass(1);
		ck_assert(fired());
		ck_assert_uint_eq(rd(0, X_CURRENT), 0);
		ck_assert_uint_eq(rd(0, X_INITIAL), 1000);
		ck_assert_uint_eq(lapic_timer_ns(l), LAPIC_NEVER);
		lapics_destroy(set);
	}
}
END_TEST

START_TEST(one_shot_counts_again_when_written)
{
	begin(VECTOR);
	for (unsigned i = 0; i < 3; i++) {
		wr(0, X_INITIAL, 5000);
		pass(4000);
		wr(0, X_INITIAL, 5000); /* from the start */
		pass(4999);
		ck_assert(!fired());
		pass(100000);
		ck_assert(fired());
		pass(1000000);
		ck_assert(!fired());
	}
	wr(0, X_INITIAL, 5000);
	wr(0, X_INITIAL, 0);
	ck_assert_uint_eq(lapic_timer_ns(l), LAPIC_NEVER);
	ck_assert_uint_eq(lapic_timer_tsc(l), LAPIC_NEVER);
	pass(10000);
	ck_assert(!fired());
	lapics_destroy(set);
}
END_TEST

START_TEST(periodic_keeps_its_phase)
{
	uint64_t start;

	begin(VECTOR | PERIODIC);
	wr(0, X_INITIAL, 300000);
	start = clock_ns;
	for (unsigned i = 1; i <= 10; i++) {
		ck_assert_uint_eq(lapic_timer_ns(l), start + i * 300000);
		pass(start + i * 300000 + i * 1000 - clock_ns);
		ck_assert_uint_eq(rd(0, X_CURRENT), 300000 - i * 1000);
		ck_assert_int_eq(lapic_pending(l), VECTOR);
		lapic_ack(l);
		wr(0, X_EOI, 0);
	}
	/* Periods that nobody looked at are one interrupt. */
	pass(5 * 300000);
	ck_assert(fired());
	ck_assert_uint_eq(lapic_timer_ns(l), start + 16 * 300000);
	lapics_destroy(set);
}
END_TEST

START_TEST(periods_have_a_least_length)
{
	static const uint32_t initial[] = {1, 2, 1000, LAPIC_MIN_PERIOD_NS - 1};

	for (unsigned i = 0; i < 4; i++) {
		unsigned n = 0;

		begin(VECTOR | PERIODIC);
		wr(0, X_INITIAL, initial[i]);
		for (unsigned t = 0; t < 1000; t++) {
			n += fired();
			ck_assert_uint_le(rd(0, X_CURRENT), initial[i]);
			pass(LAPIC_MIN_PERIOD_NS / 10);
		}
		ck_assert_uint_eq(n, 99);
		lapics_destroy(set);
	}
}
END_TEST

/* The longest there is: no overflow. */
START_TEST(longest_count)
{
	begin(VECTOR);
	wr(0, X_DIVIDE, 10);
	wr(0, X_INITIAL, UINT32_MAX);
	ck_assert_uint_eq(lapic_timer_ns(l), clock_ns + 128ULL * UINT32_MAX);
	pass(128ULL * UINT32_MAX - 1);
	ck_assert(!fired());
	pass(1);
	ck_assert(fired());
	lapics_destroy(set);
}
END_TEST

START_TEST(divide_changes_the_speed_of_what_is_left)
{
	begin(VECTOR);
	wr(0, X_INITIAL, 1000);
	pass(400);
	wr(0, X_DIVIDE, 0); /* by 2 */
	ck_assert_uint_eq(rd(0, X_CURRENT), 600);
	ck_assert_uint_eq(lapic_timer_ns(l), clock_ns + 1200);
	lapics_destroy(set);
}
END_TEST

/* A masked timer counts, and what it fires meanwhile is lost. */
START_TEST(masked)
{
	begin(VECTOR | MASKED);
	wr(0, X_INITIAL, 1000);
	ck_assert_msg(lapic_timer_ns(l) == LAPIC_NEVER, "nobody needs to wake for it");
	pass(500);
	wr(0, X_TIMER, VECTOR);
	ck_assert_uint_eq(lapic_timer_ns(l), clock_ns + 500);
	wr(0, X_TIMER, VECTOR | MASKED);
	pass(600);
	ck_assert_uint_eq(rd(0, X_CURRENT), 0);
	wr(0, X_TIMER, VECTOR);
	ck_assert(!fired());
	/* Due before it was masked: the interrupt came before. */
	wr(0, X_INITIAL, 1000);
	pass(1000);
	wr(0, X_TIMER, VECTOR | MASKED);
	ck_assert_int_eq(lapic_pending(l), VECTOR);
	lapics_destroy(set);
}
END_TEST

/* 11.5.4.1 */
START_TEST(tsc_deadline)
{
	uint64_t at;

	begin(VECTOR | DEADLINE);
	ck_assert_uint_eq(rd(0, MSR_TSC_DEADLINE), 0);
	for (unsigned i = 0; i < 5; i++) {
		at = clock_tsc + 2001;
		ck_assert_int_eq(wr(0, MSR_TSC_DEADLINE, at), 0);
		ck_assert_uint_eq(rd(0, MSR_TSC_DEADLINE), at);
		ck_assert_uint_eq(lapic_timer_tsc(l), at);
		ck_assert_msg(lapic_timer_ns(l) == clock_ns + 1001, "rounded up: never early by its own doing");
		clock_tsc = at - 1;
		ck_assert(!fired());
		clock_tsc = at;
		ck_assert(fired());
		ck_assert_uint_eq(rd(0, MSR_TSC_DEADLINE), 0);
		ck_assert_uint_eq(lapic_timer_ns(l), LAPIC_NEVER);
	}
	wr(0, MSR_TSC_DEADLINE, 1); /* long ago */
	ck_assert(fired());
	wr(0, MSR_TSC_DEADLINE, clock_tsc + 1000);
	wr(0, MSR_TSC_DEADLINE, 0);
	pass(1000000);
	ck_assert(!fired());
	/* The counter has no part in this mode. */
	wr(0, X_INITIAL, 1000);
	ck_assert_uint_eq(rd(0, X_CURRENT), 0);
	pass(1000000);
	ck_assert(!fired());
	lapics_destroy(set);
}
END_TEST

START_TEST(far_deadline_is_no_overflow)
{
	begin(VECTOR | DEADLINE);
	wr(0, MSR_TSC_DEADLINE, UINT64_MAX);
	ck_assert_uint_eq(lapic_timer_tsc(l), UINT64_MAX);
	ck_assert_uint_gt(lapic_timer_ns(l), UINT64_MAX / 4);
	ck_assert(!fired());
	lapics_destroy(set);
	/* With a slow TSC the time in ns has no room in 64 bits: never. */
	static const uint32_t id[] = {0};
	struct lapic_config cfg = {.n = 1, .id = id, .phys_bits = 40, .tsc_khz = 1000,
		.ops = {fake_wake, fake_eoi, fake_tsc, fake_ns}};

	ck_assert_int_eq(lapics_create(&set, &cfg), 0);
	x2(0);
	l = lapics_at(set, 0);
	wr(0, X_TIMER, VECTOR | DEADLINE);
	wr(0, MSR_TSC_DEADLINE, UINT64_MAX);
	ck_assert_uint_eq(lapic_timer_ns(l), LAPIC_NEVER);
	lapics_destroy(set);
}
END_TEST

/* 11.5.4.1: into TSC deadline mode and out of it, the timer is disarmed; between the others it is not. */
START_TEST(mode_changes)
{
	static const uint32_t mode[] = {0, PERIODIC, DEADLINE};

	for (unsigned from = 0; from < 3; from++)
		for (unsigned to = 0; to < 3; to++) {
			bool stays = from == to || (from < 2 && to < 2);

			begin(VECTOR | mode[from]);
			wr(0, X_INITIAL, 1000000);
			wr(0, MSR_TSC_DEADLINE, clock_tsc + 2000000);
			ck_assert_uint_eq(rd(0, MSR_TSC_DEADLINE), from == 2 ? clock_tsc + 2000000 : 0);
			wr(0, X_TIMER, VECTOR | mode[to]);
			ck_assert_msg((lapic_timer_ns(l) == clock_ns + 1000000) == stays, "%u to %u", from, to);
			ck_assert(stays || lapic_timer_ns(l) == LAPIC_NEVER);
			pass(1000000);
			ck_assert_int_eq(fired(), stays);
			ck_assert_msg((lapic_timer_ns(l) != LAPIC_NEVER) == (stays && to == 1), "%u to %u", from, to);
			lapics_destroy(set);
		}
}
END_TEST

START_TEST(both_units_agree)
{
	begin(VECTOR);
	wr(0, X_INITIAL, 1000);
	ck_assert_uint_eq(lapic_timer_ns(l), clock_ns + 1000);
	ck_assert_uint_eq(lapic_timer_tsc(l), clock_tsc + 2000);
	lapics_destroy(set);
}
END_TEST

/* 11.5.3: a timer whose vector is illegal is an error, not an interrupt, and no loop. */
START_TEST(illegal_vector)
{
	begin(5 | PERIODIC);
	wr(0, X_INITIAL, 300000);
	for (unsigned i = 0; i < 3; i++) {
		pass(300000);
		ck_assert(lapic_timer_run(l));
		ck_assert_int_eq(lapic_pending(l), -1);
	}
	wr(0, X_ESR, 0);
	ck_assert_uint_eq(rd(0, X_ESR), 0x40);
	lapics_destroy(set);
}
END_TEST

UNIT_MAIN("lapic_timer", divides, one_shot_counts_again_when_written, periodic_keeps_its_phase, periods_have_a_least_length,
	longest_count, divide_changes_the_speed_of_what_is_left, masked, tsc_deadline, far_deadline_is_no_overflow, mode_changes,
	both_units_agree, illegal_vector)
