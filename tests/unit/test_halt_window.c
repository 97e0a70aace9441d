// SPDX-License-Identifier: Apache-2.0
/* The window of --halt-poll vmm, halt by halt, and what a vCPU's thread counts. */
#include <jansson.h>

#include "tests/unit/unit.h"
#include "vmm/haltpoll/poller.h"

#define US    1000ULL
#define NEVER UINT64_MAX

static const struct poll_rules rules = {.max_ns = 200 * US, .grow_start_ns = 10 * US, .grow = 2, .shrink = 2};
static struct poll_window w;

/* A halt as the vCPU's thread sees it: it polls as long as it is told, and blocks for the rest. Returns how long it polled. */
static uint64_t halt_by(const struct poll_rules *r, uint64_t length, bool timer, bool cut)
{
	uint64_t window = poll_window_for(&w, r, timer ? length : NEVER);
	uint64_t polled = length < window ? length : window;
	struct poll_end end = {.halt_ns = length, .polled_ns = polled, .waited_ns = length - polled, .timer = timer, .cut = cut};

	poll_window_move(&w, r, &end);
	return polled;
}

static uint64_t by_irq(uint64_t length)
{
	return halt_by(&rules, length, false, false);
}

static uint64_t by_timer(uint64_t length)
{
	return halt_by(&rules, length, true, false);
}

/* As KVM's does: 10 us, doubled up to what is needed; from there on all of them are hits. */
START_TEST(grows_until_it_hits)
{
	static const uint64_t polled[] = {0, 10, 20, 40, 60, 60, 60};

	for (unsigned i = 0; i < sizeof(polled) / sizeof(polled[0]); i++)
		ck_assert_uint_eq(by_irq(60 * US), polled[i] * US);
	ck_assert_uint_eq(w.ns, 80 * US);
	ck_assert_uint_eq(by_irq(1 * US), 1 * US); /* a shorter one changes nothing */
	ck_assert_uint_eq(w.ns, 80 * US);
}
END_TEST

START_TEST(not_above_max)
{
	for (unsigned i = 0; i < 10; i++)
		by_irq(200 * US);
	ck_assert_uint_eq(w.ns, 200 * US);
	ck_assert_uint_eq(by_irq(200 * US), 200 * US);
}
END_TEST

/* By half, as Linux does since 6.11; what is below the shortest is none. */
START_TEST(shrinks_when_it_is_in_vain)
{
	for (unsigned i = 0; i < 10; i++)
		by_irq(150 * US);
	ck_assert_uint_eq(by_irq(5000 * US), 160 * US);
	ck_assert_uint_eq(w.ns, 80 * US);
	by_irq(201 * US);
	by_irq(5000 * US);
	by_irq(5000 * US);
	ck_assert_uint_eq(w.ns, 10 * US);
	by_irq(5000 * US);
	ck_assert_uint_eq(w.ns, 0);
	ck_assert_uint_eq(by_irq(5000 * US), 0);
}
END_TEST

/* Its timer is known: until then if that is near, else only as long as interrupts end halts. */
START_TEST(knows_the_timer)
{
	by_timer(60 * US); /* nothing is known of interrupts: no poll, and it grows all the same */
	ck_assert_uint_eq(by_timer(60 * US), 0);
	by_timer(60 * US);
	by_timer(60 * US);
	ck_assert_uint_eq(w.ns, 80 * US);
	ck_assert_uint_eq(by_timer(60 * US), 60 * US);
	ck_assert_uint_eq(by_timer(80 * US), 80 * US);
	ck_assert_uint_eq(by_timer(81 * US), 0);
	w.ns = 80 * US;
	by_irq(30 * US);
	for (unsigned i = 0; i < POLL_IRQS; i++) {
		ck_assert_uint_eq(poll_window_for(&w, &rules, 1000 * US), 80 * US);
		by_timer(50 * US);
	}
	ck_assert_uint_eq(poll_window_for(&w, &rules, 1000 * US), 0);
	ck_assert_uint_eq(poll_window_for(&w, &rules, NEVER), 0);
}
END_TEST

/* An interrupt after a long time says nothing for polls. */
START_TEST(rare_interrupts)
{
	for (unsigned i = 0; i < 100; i++)
		ck_assert_uint_eq(by_irq(10000 * US), 0);
	ck_assert_uint_eq(w.ns, 0);
	ck_assert_uint_eq(w.irqs, 0);
}
END_TEST

/* Short and long ones in turn: the short ones are hits, the long ones, which are known, cost nothing. Only long: it goes. */
START_TEST(long_ones_are_not_polled)
{
	for (unsigned i = 0; i < 20; i++) {
		by_timer(50 * US);
		ck_assert_uint_eq(by_timer(3000 * US), 0);
	}
	ck_assert_uint_eq(w.ns, 80 * US);
	ck_assert_uint_eq(by_timer(50 * US), 50 * US);
	for (unsigned i = 0; i < 5; i++)
		ck_assert_uint_eq(by_timer(3000 * US), 0);
	ck_assert_uint_eq(w.ns, 0);
}
END_TEST

START_TEST(others_want_the_cpu)
{
	for (unsigned i = 0; i < 10; i++)
		by_irq(60 * US);
	ck_assert_uint_eq(w.ns, 80 * US);
	halt_by(&rules, 60 * US, false, true);
	ck_assert_uint_eq(w.ns, 40 * US);
	halt_by(&rules, 20 * US, false, true);
	halt_by(&rules, 10 * US, false, true);
	halt_by(&rules, 10 * US, false, true);
	ck_assert_uint_eq(w.ns, 0);
}
END_TEST

/* Rules that change in between, and those at the ends of their ranges. */
START_TEST(other_rules)
{
	static const struct poll_rules off, lower = {.max_ns = 15 * US, .grow_start_ns = 10 * US, .grow = 2, .shrink = 2},
		fixed = {.max_ns = 50 * US, .grow_start_ns = 50 * US, .grow = 1, .shrink = 1000000},
		below = {.max_ns = 1 * US, .grow_start_ns = 10 * US, .grow = 2, .shrink = 2},
		most = {.max_ns = UINT32_MAX, .grow_start_ns = UINT32_MAX, .grow = 1000000, .shrink = 1};

	for (unsigned i = 0; i < 10; i++)
		by_irq(60 * US);
	ck_assert_uint_eq(poll_window_for(&w, &lower, NEVER), 15 * US);
	halt_by(&lower, 5 * US, false, false);
	ck_assert_uint_eq(w.ns, 15 * US);
	ck_assert_uint_eq(poll_window_for(&w, &off, 1), 0);
	halt_by(&off, 5 * US, false, false);
	ck_assert_uint_eq(w.ns, 0);
	ck_assert_uint_eq(by_irq(5 * US), 0); /* it begins anew */
	w = (struct poll_window){0};
	halt_by(&fixed, 20 * US, false, false);
	ck_assert_uint_eq(w.ns, 50 * US);
	halt_by(&fixed, 50 * US, false, false);
	ck_assert_uint_eq(w.ns, 50 * US);
	halt_by(&fixed, 51 * US, false, false);
	ck_assert_uint_eq(w.ns, 0);
	halt_by(&below, 1 * US, false, false);
	ck_assert_uint_eq(w.ns, 1 * US);
	w = (struct poll_window){0};
	halt_by(&most, 1, false, false);
	halt_by(&most, UINT32_MAX, false, false);
	ck_assert_uint_eq(w.ns, UINT32_MAX);
	halt_by(&most, 1ULL << 32, false, false);
	ck_assert_uint_eq(w.ns, UINT32_MAX); /* shrink=1 */
	halt_by(&most, UINT64_MAX, false, false);
}
END_TEST

static json_int_t number(const json_t *json, const char *key)
{
	return json_integer_value(json_object_get(json, key));
}

/* The counters are those of the halts, and off is off from the next halt on. */
/* A halt in the midst of the change has the old max, and divides by what it reads beside it. */
START_TEST(off_leaves_nothing_to_divide_by)
{
	static const struct poll_rules none;
	struct poll_live live = {0};

	poll_live_set(&live, &rules);
	poll_live_set(&live, &none);
	ck_assert_uint_eq(live.max_ns, 0);
	ck_assert_uint_eq(live.grow, rules.grow);
	ck_assert_uint_eq(live.shrink, rules.shrink);
}
END_TEST

START_TEST(counters)
{
	static const struct poll_rules none;
	static struct poll_live live;
	struct poller poller = {.live = &live};
	struct poll_end hit = {.halt_ns = 8 * US, .polled_ns = 8 * US}, wait = {.halt_ns = 30 * US, .waited_ns = 40 * US};
	json_t *json, *lengths;

	ck_assert_uint_eq(poller_for(&poller, 1), 0);
	poll_live_set(&live, &rules);
	poller_ended(&poller, &wait);
	ck_assert_uint_eq(poller_for(&poller, NEVER), 10 * US);
	poller_ended(&poller, &hit);
	hit.cut = true;
	poller_ended(&poller, &hit);
	json = poller_json(&poller);
	ck_assert(json_is_false(json_object_get(json, "asleep")));
	ck_assert_int_eq(number(json, "halts"), 3);
	ck_assert_int_eq(number(json, "polls"), 2);
	ck_assert_int_eq(number(json, "hits"), 2);
	ck_assert_int_eq(number(json, "cuts"), 1);
	ck_assert_int_eq(number(json, "polled_ns"), 16 * US);
	ck_assert_int_eq(number(json, "waits"), 1);
	ck_assert_int_eq(number(json, "waited_ns"), 40 * US);
	ck_assert_int_eq(number(json, "window_ns"), 0);
	ck_assert_int_eq(number(json, "longest_ns"), 10 * US);
	lengths = json_object_get(json, "lengths");
	ck_assert_int_eq(number(lengths, "ns"), 46 * US);
	lengths = json_object_get(lengths, "histogram");
	ck_assert_uint_eq(json_object_size(lengths), 2);
	ck_assert_int_eq(number(lengths, "4096"), 2);
	ck_assert_int_eq(number(lengths, "16384"), 1);
	json_decref(json);
	poller_sleeps(&poller, true);
	json = poller_json(&poller);
	ck_assert(json_is_true(json_object_get(json, "asleep")));
	json_decref(json);
	poller.guest_polls = true;
	ck_assert_uint_eq(poller_for(&poller, 1), 0);
	poller.guest_polls = false;
	poller_ended(&poller, &wait);
	poll_live_set(&live, &none);
	ck_assert_uint_eq(poller_for(&poller, NEVER), 0);
	poller.live = NULL;
	ck_assert_uint_eq(poller_for(&poller, NEVER), 0);
	json = poller_json(NULL);
	ck_assert(json_is_null(json));
}
END_TEST

UNIT_MAIN("halt_window", grows_until_it_hits, not_above_max, shrinks_when_it_is_in_vain, knows_the_timer, rare_interrupts,
	long_ones_are_not_polled, others_want_the_cpu, other_rules, off_leaves_nothing_to_divide_by,
	counters)
