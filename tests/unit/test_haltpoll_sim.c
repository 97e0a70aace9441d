// SPDX-License-Identifier: Apache-2.0
/* The controller in simulation, a trace or two of each family on two hosts: its regret is within metric 14.
 * All of them: make bench-haltpoll. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

static int read_text(struct trace *t, const char *text, unsigned *line)
{
	char path[] = "/tmp/halts.XXXXXX";
	int fd = mkstemp(path), err;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	err = sim_trace_read(t, path, line);
	unlink(path);
	return err;
}

/* In its own unit, without its own wake-up, at the pace of a host five times as fast, until the time is full.
 */
START_TEST(recording)
{
	static const struct halt_host fast = {.block_ns = 4000, .wake_ns = 6000};
	struct trace t, played;
	unsigned line;

	ck_assert_int_eq(
		read_text(&t, "# of a test\nfamily rr\nunit 1000\nhost 20000 30000\n40 130\n10 20\n", &line),
		0);
	ck_assert_str_eq(t.family, "rr");
	ck_assert_uint_eq(t.n, 2);
	ck_assert(t.halt[0].run_ns == 40000 && t.halt[0].gap_ns == 130000);
	ck_assert_int_eq(sim_trace_play(&played, &t, SIM_AT_PACE, &fast, 0), 0);
	ck_assert(played.halt[0].run_ns == 8000 && played.halt[0].gap_ns == 20000);
	/* It was over before the host had woken. */
	ck_assert(played.halt[1].run_ns == 2000 && played.halt[1].gap_ns == 1);
	ck_assert(played.halt[2].gap_ns == 20000 && played.n == SIM_HALTS);
	sim_trace_free(&played);
	ck_assert_int_eq(sim_trace_play(&played, &t, SIM_AS_IT_WAS, NULL, 0), 0);
	ck_assert(played.halt[0].run_ns == 40000 && played.halt[0].gap_ns == 100000);
	/* 30 s of 140 us, and 10 us and 1 ns, by turns */
	ck_assert_uint_eq(played.n, 399997);
	sim_trace_free(&played);
	sim_trace_free(&t);
}
END_TEST

START_TEST(bad_recordings)
{
	static const struct {
		const char *text;
		unsigned line;
	} bad[] = {{"", 0}, {"# nothing\n", 1}, {"1 2\n3\n", 2}, {"1 2 3\n", 1}, {"1 0\n", 1},
		{"1 5000000000\n", 1}, {"unit 0\n1 2\n", 1}, {"1 2\nunit 5\n", 2}, {"host 1 0\n1 2\n", 1},
		{"unit 4000000000\n1 2\n", 2}};
	struct trace t;
	unsigned line;

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ck_assert_msg(read_text(&t, bad[i].text, &line) == -EINVAL, "%u was taken", i);
		ck_assert_msg(line == bad[i].line, "%u: line %u", i, line);
	}
	ck_assert_int_eq(read_text(&t, "1 2\n", &line), 0);
	ck_assert_int_eq(sim_trace_play(&t, &t, SIM_AT_PACE, &sim_setting[0].host, 0), -ENODATA);
	sim_trace_free(&t);
}
END_TEST

UNIT_MAIN("haltpoll_sim", windows, recording, bad_recordings, old_kernel, deep_idle)
