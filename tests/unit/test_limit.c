// SPDX-License-Identifier: Apache-2.0
/* Rates with bursts under a clock of the test's own: what goes through in any window, for long, and by two
 * threads. */
#include <pthread.h>

#include "tests/unit/unit.h"
#include "vmm/limit.h"

#define SECOND 1000000000ull
#define YEAR   (365 * 24 * 3600 * SECOND)

typedef unsigned __int128 wide;

static uint64_t random_state;

static uint64_t next_random(void)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return random_state >> 33;
}

struct request {
	uint64_t t, units;
};

/* In each window of what went through: at most burst + rate * time + one request, and what a ns makes. */
static void check_windows(
	const struct request *r, unsigned n, uint64_t rate, uint64_t burst, uint64_t largest)
{
	for (unsigned i = 0; i < n; i++) {
		wide sum = 0;

		for (unsigned j = i; j < n; j++) {
			wide fair = (wide)rate * (r[j].t - r[i].t + 1) / SECOND + burst + largest;

			sum += r[j].units;
			if (sum > fair) /* an assertion that holds costs a system call */
				ck_abort_msg("rate %lu burst %lu: request %u to %u", rate, burst, i, j);
		}
	}
}

/* A client that waits as it is told, and sometimes longer. Returns when it has made n requests. */
static uint64_t client(
	struct limit *l, struct request *r, unsigned n, uint64_t now, uint64_t largest, bool idles)
{
	for (unsigned i = 0; i < n; i++) {
		uint64_t wait = limit_wait(l, now);

		if (wait) {
			if (!limit_wait(l, now + wait - 1))
				ck_abort_msg("told to wait too long");
			now += wait;
		} else if (idles && next_random() % 16 == 0) {
			now += next_random() * 8;
		}
		if (limit_wait(l, now))
			ck_abort_msg("told to wait too short");
		r[i] = (struct request){now, 1 + next_random() % largest};
		limit_take(l, now, r[i].units);
	}
	return now;
}

static const struct {
	uint64_t rate, burst, largest;
} shapes[] = {{1, 1, 1}, {3, 2, 5}, {1000, 1, 1}, {1000, 100, 1}, {999, 7, 50}, {1000003, 50, 64},
	{5 << 20, 65536, 1 << 20}, {1250000000, 4096, 1500}, {12500000000, 1, 64},
	{UINT64_MAX / 3, UINT64_MAX / 7, 1u << 30}, {UINT64_MAX, UINT64_MAX, 1}, {1, UINT64_MAX, UINT32_MAX}};
#define SHAPES (sizeof(shapes) / sizeof(shapes[0]))

START_TEST(any_window)
{
	static struct request r[1200];

	for (unsigned s = 0; s < SHAPES; s++)
		for (int idles = 0; idles < 2; idles++) {
			struct limit l;

			random_state = s;
			limit_init(&l, shapes[s].rate, shapes[s].burst);
			client(&l, r, 1200, 77 * YEAR, shapes[s].largest, idles);
			check_windows(r, 1200, shapes[s].rate, shapes[s].burst, shapes[s].largest);
		}
}
END_TEST

START_TEST(long_run)
{
	static struct request r[100000];

	for (unsigned s = 0; s < 9; s++) {
		uint64_t rate = shapes[s].rate, end;
		wide sum = 0, fair;
		struct limit l;

		limit_init(&l, rate, 1);
		end = client(&l, r, 100000, SECOND, shapes[s].largest, false) - SECOND;
		for (unsigned i = 0; i + 1 < 100000; i++)
			sum += r[i].units;
		fair = (wide)rate * end / SECOND;
		ck_assert_msg(
			sum * 1000 >= fair * 999 && sum * 1000 <= fair * 1001 + 1000 * shapes[s].largest,
			"rate %lu: %lu instead of %lu", rate, (uint64_t)sum, (uint64_t)fair);
	}
}
END_TEST

static unsigned at_once(struct limit *l, uint64_t now)
{
	unsigned n = 0;

	for (; !limit_wait(l, now) && n < 100000; n++)
		limit_take(l, now, 1);
	return n;
}

START_TEST(burst_after_any_rest)
{
	struct limit l;

	limit_init(&l, 1000, 50);
	ck_assert_uint_eq(at_once(&l, SECOND), 50);
	ck_assert_uint_eq(limit_wait(&l, SECOND), SECOND / 1000);
	ck_assert_uint_eq(at_once(&l, SECOND + SECOND / 100), 10);
	ck_assert_uint_eq(at_once(&l, 2 * SECOND), 50);
	ck_assert_uint_eq(at_once(&l, 500 * YEAR), 50);
	limit_init(&l, 1000, 0);
	ck_assert_uint_eq(at_once(&l, 0), 100);
	limit_init(&l, 9, 0);
	ck_assert_uint_eq(at_once(&l, 0), 1);
}
END_TEST

START_TEST(debts_are_paid_first)
{
	struct limit l;

	limit_init(&l, 1000, 10);
	limit_take(&l, SECOND, 5000);
	ck_assert_uint_eq(limit_wait(&l, SECOND), 5 * SECOND - 9 * (SECOND / 1000));
	ck_assert_uint_eq(limit_wait(&l, 5 * SECOND + 991 * (SECOND / 1000)), 0);
	limit_init(&l, 1, 1);
	for (int i = 0; i < 3; i++) /* it stays owed, however much it is */
		limit_take(&l, SECOND, UINT64_MAX);
	ck_assert_uint_gt(limit_wait(&l, 500 * YEAR), 50 * YEAR);
}
END_TEST

START_TEST(without_and_changed)
{
	struct limit l;

	limit_init(&l, 0, 0);
	limit_take(&l, 0, UINT64_MAX);
	ck_assert_uint_eq(limit_wait(&l, 0), 0);
	limit_init(&l, UINT64_MAX, 1);
	limit_take(&l, 0, UINT64_MAX - 1); /* leaves nearly a ns to pay */
	atomic_store(&l.rate, 2);
	atomic_store(&l.burst, 3);
	ck_assert_uint_eq(at_once(&l, 5 * SECOND), 3);
	ck_assert_uint_eq(limit_wait(&l, 5 * SECOND), SECOND / 2);
	atomic_store(&l.rate, 0);
	ck_assert_uint_eq(limit_wait(&l, 0), 0);
}
END_TEST

START_TEST(pairs)
{
	struct limits l;

	limits_init(&l, 0, 0, 0, 0);
	limits_take(&l, 0, 1 << 30);
	ck_assert_uint_eq(limits_wait(&l, 0), 0);
	limits_init(&l, 1000, 1, 10, 2);
	limits_take(&l, 0, 10);
	ck_assert_uint_eq(limits_wait(&l, 0), SECOND / 100); /* bytes */
	limits_take(&l, 0, 0);
	limits_take(&l, 0, 0);
	ck_assert_uint_eq(limits_wait(&l, 0), SECOND / 5); /* operations */
	limits_init(&l, 0, 0, 10, 1);
	limits_take(&l, 0, 1 << 30);
	ck_assert_uint_eq(limits_wait(&l, 0), SECOND / 10);
	limits_init(&l, 10, 1, 0, 0);
	limits_take(&l, 0, 1);
	ck_assert_uint_eq(limits_wait(&l, 0), SECOND / 10);
}
END_TEST

struct shared {
	struct limit l;
	_Atomic uint64_t clock, units;
	unsigned n;
	bool asks;
};

static void *spender(void *arg)
{
	struct shared *s = arg;
	uint64_t units = 0;

	for (unsigned i = 0; i < s->n; i++) {
		uint64_t now = s->asks ? atomic_fetch_add(&s->clock, 300) : 0, take = 1 + i % 7;

		if (s->asks && limit_wait(&s->l, now))
			continue;
		limit_take(&s->l, now, take);
		units += take;
	}
	atomic_fetch_add(&s->units, units);
	return NULL;
}

static void two_spenders(struct shared *s)
{
	pthread_t t[2];

	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_create(&t[i], NULL, spender, s), 0);
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
}

/* To the last part of a ns: nothing either of them took is forgotten. */
START_TEST(two_threads_take)
{
	static const uint64_t rates[] = {1000, 999999937, 7000000001};

	for (int i = 0; i < 3; i++) {
		struct shared s = {.n = 300000};
		wide owed;

		limit_init(&s.l, rates[i], 1);
		two_spenders(&s);
		owed = (wide)s.units * SECOND;
		ck_assert_uint_eq(s.l.tat, owed / rates[i]);
		ck_assert_uint_eq(s.l.rest, owed % rates[i]);
	}
}
END_TEST

START_TEST(two_threads_ask)
{
	struct shared s = {.n = 300000, .asks = true};
	uint64_t fair;

	limit_init(&s.l, 1000000, 20);
	two_spenders(&s);
	fair = s.clock / 1000 + 20;
	ck_assert_uint_le(s.units, fair + 2 * 7);
	ck_assert_uint_ge(s.units, fair - fair / 1000 - 40);
}
END_TEST

/* ---- another limit in its place ---- */

static void follow(struct limit *to, struct limit *from, uint64_t now, uint64_t rate, uint64_t burst)
{
	limit_follow(to, from, limit_close(from), now, rate, burst);
}

START_TEST(what_was_there_is_there)
{
	/* What is left of a burst of 100, then another one: what may go at once, up to that. */
	static const struct {
		unsigned taken;
		uint64_t burst;
		unsigned left;
	} c[] = {{60, 100, 40}, {60, 1000, 40}, {60, 20, 20}, {0, 100, 100}, {0, 1000, 100}, {100, 1000, 0}, {99, 1, 1}};

	for (size_t i = 0; i < sizeof(c) / sizeof(c[0]); i++)
		for (uint64_t rate = 1; rate < SECOND; rate = rate * 7 + 1) {
			struct limit from, to;

			limit_init(&from, 1000, 100);
			limit_take(&from, SECOND, c[i].taken);
			follow(&to, &from, SECOND, rate, c[i].burst);
			ck_assert_uint_eq(at_once(&to, SECOND), c[i].left);
		}
}
END_TEST

START_TEST(debts_stay)
{
	struct limit from, to;

	limit_init(&from, 1000, 10);
	limit_take(&from, SECOND, 1010);
	follow(&to, &from, SECOND, 1000000, 10);
	ck_assert_uint_eq(limit_wait(&to, SECOND), 1001000);
	/* Years of it, at a rate of before. */
	limit_init(&from, 1, 1);
	limit_take(&from, SECOND, 10 * YEAR / SECOND);
	follow(&to, &from, SECOND, 1 << 30, 1);
	ck_assert_uint_le(limit_wait(&to, SECOND), SECOND);
	limit_init(&from, 1ull << 40, 1);
	limit_take(&from, SECOND, 1ull << 50);
	follow(&to, &from, SECOND, 1, 1);
	ck_assert_uint_gt(limit_wait(&to, SECOND), YEAR);
}
END_TEST

/* From no limit one begins empty, as nobody knows what went before; without one nothing waits. */
START_TEST(from_nothing_and_to_nothing)
{
	struct limit from = {0}, to;

	follow(&to, &from, SECOND, 1000, 100);
	ck_assert_uint_eq(limit_wait(&to, SECOND), SECOND / 1000);
	ck_assert_uint_eq(at_once(&to, 3600 * SECOND), 100);
	follow(&from, &to, 3600 * SECOND, 0, 0);
	limit_take(&from, 3600 * SECOND, 1ull << 60);
	ck_assert_uint_eq(limit_wait(&from, 3600 * SECOND), 0);
}
END_TEST

/* Who has not heard of the new one yet takes nothing from the old one. */
START_TEST(a_closed_one)
{
	struct limit l;

	limit_init(&l, 1000, 10);
	limit_close(&l);
	ck_assert_uint_gt(limit_wait(&l, 100 * YEAR), 0);
	limit_take(&l, SECOND, 5);
	ck_assert_uint_gt(limit_wait(&l, 100 * YEAR), 0);
}
END_TEST

/* Changed all the time, to and fro, it lets no more through than the rates it had made, and the first burst. */
START_TEST(changes_are_worth_nothing)
{
	for (int run = 0; run < 50; run++) {
		struct limit l[2];
		uint64_t now = SECOND, rate = 1000, gone = 0;
		wide made = (wide)50 * SECOND; /* units * 10^9 */

		limit_init(&l[0], rate, 50);
		for (int i = 0; i < 2000; i++) {
			uint64_t step = next_random() % (SECOND / 500);

			now += step;
			made += (wide)rate * step;
			gone += at_once(&l[i % 2], now);
			if ((wide)gone * SECOND > made)
				ck_abort_msg("run %d change %d: %lu went", run, i, gone);
			rate = 1 + next_random() % 5000;
			follow(&l[(i + 1) % 2], &l[i % 2], now, rate, 50 + next_random() % 50);
		}
		ck_assert_uint_gt((wide)gone * SECOND * 10, made * 4); /* nor much less, though all is rounded that way */
	}
}
END_TEST

UNIT_MAIN("limit", what_was_there_is_there, debts_stay, from_nothing_and_to_nothing, a_closed_one, changes_are_worth_nothing, any_window, long_run, burst_after_any_rest, debts_are_paid_first, without_and_changed,
	pairs, two_threads_take, two_threads_ask)
