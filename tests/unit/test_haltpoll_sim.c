// SPDX-License-Identifier: Apache-2.0
/* The controller in simulation, a trace or two of each family on two hosts: its regret is within metric 14.
 * All of them: make bench-haltpoll. */
#include <string.h>

#include "tests/bench/haltpoll/sim.h"
#include "tests/unit/unit.h"

static const char *const names[] = {"every 15 us", "every 40 us", "12 us, 1 in 4 60 us", "mean 20 us",
	"mean 400 us", "Pareto 1.5 from 6 us", "50 of 4 us, then 2 ms", "half of the time",
	"10 us and 60 us, 3 s each", "short, long by turns", "phases of 0.3 s"};

#define NAMES (sizeof(names) / sizeof(names[0]))
#define PART  0.4 /* of their length: what was to be learned weighs more, but for these it is little */

static unsigned find(const char *name, struct trace *t)
{
	for (unsigned i = 0; i < sim_traces(); i++) {
		ck_assert_int_eq(sim_trace_make(t, i, 0, 0), 0);
		sim_trace_free(t);
		if (!strcmp(t->name, name))
			return i;
	}
	ck_abort_msg("no trace %s", name);
	return 0;
}

static void regrets(const struct setting *on)
{
	for (unsigned i = 0; i < NAMES; i++) {
		struct scored s = {0};
		struct trace t;

		ck_assert_int_eq(sim_trace_make(&t, find(names[i], &t), 0, PART), 0);
		sim_score(&s, &t, &on->host, on->weight);
		ck_assert_msg(s.result[SIM_OURS].regret <= t.limit, "%s, %s %s: %.2f", on->name, t.family,
			t.name, s.result[SIM_OURS].regret);
		/* Whatever a competitor does, none is better than the best that is fixed by more than it can
		 * know. */
		ck_assert(s.result[SIM_OURS].regret > 0.5 && s.best_price >= s.bare_price * 0.5);
		sim_trace_free(&t);
	}
}

START_TEST(old_kernel)
{
	regrets(&sim_setting[0]);
}
END_TEST

START_TEST(deep_idle)
{
	regrets(&sim_setting[2]);
}
END_TEST

/* The plant by hand: from nothing, 10 us, 20 us; then a hit, a miss, and what the kernel does with it. */
START_TEST(windows)
{
	static const struct {
		uint32_t gap;
		uint64_t window;
	} steps[] = {{12000, 10000}, {12000, 20000}, {12000, 20000}, {30000, 40000}, {300000, 20000},
		{300000, 10000}, {300000, 0}, {300000, 0}};
	const struct trace nobody = {.n = 0};
	struct plant p = {
		.host = {.grow_start_ns = 10000, .grow = 2, .shrink = 2, .block_ns = 4000, .wake_ns = 6000},
		.weight = 4,
		.trace = &nobody};

	for (unsigned i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		struct halt h = {.run_ns = 1000, .gap_ns = steps[i].gap};

		plant_halt(&p, &h, 100000);
		ck_assert_msg(p.window_ns == steps[i].window, "step %u: %lu", i, (unsigned long)p.window_ns);
	}
	/* One hit, the others blocked after what they had polled. */
	ck_assert_uint_eq(p.blocks, 7);
	ck_assert(p.polled_ns == 10000 + 12000 + 20000 + 40000 + 20000 + 10000);
	ck_assert(plant_price(&p) == p.polled_ns + 7 * (4000 + 4 * 6000));
	p.host.shrink = 0;
	p.window_ns = 40000;
	plant_halt(&p, &(struct halt){.gap_ns = 300000}, 100000);
	ck_assert_uint_eq(p.window_ns, 0);
	/* Below the wake-up's latency no window opens. */
	for (unsigned i = 0; i < 5; i++)
		plant_halt(&p, &(struct halt){.gap_ns = 1000}, 6500);
	ck_assert_uint_eq(p.window_ns, 0);
}
END_TEST

UNIT_MAIN("haltpoll_sim", windows, old_kernel, deep_idle)
