// SPDX-License-Identifier: Apache-2.0
/* How long polling is worth it: gaps of every kind against the best that could have been chosen. */
#include "tests/unit/unit.h"
#include "vmm/loop/patience.h"

#define PRICE 20000

static struct patience p;

static void note(unsigned n, uint64_t gap)
{
	while (n--)
		patience_note(&p, gap, PRICE);
}

START_TEST(nothing_is_known_at_first)
{
	ck_assert_uint_eq(p.worth_ns, 0);
	ck_assert_uint_eq(patience_choose(&p, PRICE), 0);
}
END_TEST

START_TEST(short_gaps_are_polled_for)
{
	note(16, 3000);
	ck_assert_uint_eq(p.worth_ns, 4096);
	note(200, 900);
	ck_assert_uint_le(p.worth_ns, 4096);
	ck_assert_uint_ge(p.worth_ns, 1024);
}
END_TEST

START_TEST(long_gaps_are_slept_for)
{
	note(100, 1000000);
	ck_assert_uint_eq(p.worth_ns, 0);
	note(1, UINT64_MAX);
	note(20, 0);
	ck_assert_uint_le(p.worth_ns, PRICE);
}
END_TEST

/* Of two kinds of gaps the short ones are waited for, if there are enough of them. */
START_TEST(of_two_kinds)
{
	for (unsigned i = 0; i < 100; i++)
		note(1, i % 10 ? 2000 : 5000000);
	ck_assert_uint_eq(p.worth_ns, 2048);
	p = (struct patience){0};
	for (unsigned i = 0; i < 100; i++)
		note(1, i % 10 ? 5000000 : 14000);
	ck_assert_uint_eq(p.worth_ns, 0);
}
END_TEST

START_TEST(never_longer_than_the_price)
{
	note(200, PRICE - 1);
	ck_assert_uint_le(p.worth_ns, PRICE);
	ck_assert_uint_eq(patience_choose(&p, 0), 0);
	note(200, PRICE + PRICE / 2);
	ck_assert_uint_le(p.worth_ns, PRICE);
}
END_TEST

START_TEST(what_is_long_ago_is_forgotten)
{
	note(5000, 1000);
	ck_assert_uint_gt(p.worth_ns, 0);
	note(600, 1000000);
	ck_assert_uint_eq(p.worth_ns, 0);
	note(1500, 1000);
	ck_assert_uint_gt(p.worth_ns, 0);
}
END_TEST

/* What a fixed time to poll costs for the gaps in the buckets. */
static uint64_t cost(uint64_t edge)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < PATIENCE_BUCKETS; i++) {
		uint64_t middle = (2ULL << i) * 3 / 4;

		sum += p.seen[i] * (middle < edge ? middle : edge + PRICE);
	}
	return sum;
}

/* Twice the best, at most, over gaps of all kinds; and within a twentieth of the best of no more than the
 * price. */
START_TEST(bounded_against_the_best)
{
	uint64_t seed = 1, best, near;

	for (unsigned round = 0; round < 20000; round++) {
		unsigned shift = round % 24, spread = 1 + round / 1000;

		p = (struct patience){0};
		for (unsigned i = 0; i < 64; i++) {
			seed = seed * 6364136223846793005u + 1442695040888963407u;
			p.seen[(shift + (seed >> 33) % spread) % PATIENCE_BUCKETS]++;
			p.n++;
		}
		best = near = cost(0);
		for (unsigned i = 0; i < PATIENCE_BUCKETS; i++) {
			best = cost(2ULL << i) < best ? cost(2ULL << i) : best;
			near = 2ULL << i <= PRICE && cost(2ULL << i) < near ? cost(2ULL << i) : near;
		}
		ck_assert_uint_le(cost(patience_choose(&p, PRICE)), 2 * best);
		ck_assert_uint_le(cost(patience_choose(&p, PRICE)), near + cost(0) / 20 + 1);
	}
}
END_TEST

UNIT_MAIN("patience", nothing_is_known_at_first, short_gaps_are_polled_for, long_gaps_are_slept_for,
	of_two_kinds, never_longer_than_the_price, what_is_long_ago_is_forgotten, bounded_against_the_best)
