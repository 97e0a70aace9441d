// SPDX-License-Identifier: Apache-2.0
/* The controller of halt polling: what it makes of windows that are written down here, and its traces. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/unit.h"
#include "vmm/haltpoll/decide.h"
#include "vmm/haltpoll/trace.h"

#define US 1000
#define MS 1000000

/* C is 28 us, and the rungs are 0, 8192, 16384, 32768, 34000 and 62000 ns. */
static const struct halt_host host = {
	.grow_start_ns = 10 * US, .grow = 2, .shrink = 2, .block_ns = 4 * US, .wake_ns = 6 * US};
static const struct halt_limits limits = {.max_ns = 1 * MS, .budget = 100, .weight = 4};

static unsigned bucket(uint64_t ns)
{
	return ns ? 64 - __builtin_clzll(ns) : 0;
}

static void waits(struct halt_window *w, uint64_t ns, unsigned n)
{
	w->wait[bucket(ns)] += n;
	w->wait_ns += ns * n;
	w->slices += n;
	w->run_ns += 20ULL * US * n;
}

static void hits(struct halt_window *w, uint64_t ns, unsigned n)
{
	w->success[bucket(ns)] += n;
	w->success_ns += ns * n;
	w->run_ns += ns * n;
}

static void misses(struct halt_window *w, uint64_t polled, uint64_t ns, unsigned n)
{
	w->fail[bucket(polled)] += n;
	w->fail_ns += polled * n;
	waits(w, ns, n);
}

static struct halt_decision step(struct halt_state *s, const struct halt_window *w)
{
	struct halt_input in = {.wall_ns = 100 * MS, .n = 1, .vcpu = w};

	return halt_decide(s, &in);
}

/* A guest whose events all come after 5 us, as KVM would count it below the ceiling in force. */
static struct halt_window short_halts(const struct halt_state *s)
{
	struct halt_window w = {0};

	if (s->rung_ns[s->rung] > 11 * US)
		hits(&w, 5 * US, 1000);
	else
		waits(&w, 11 * US, 1000);
	return w;
}

static struct halt_decision short_step(struct halt_state *s)
{
	struct halt_window w = short_halts(s);

	return step(s, &w);
}

START_TEST(rungs)
{
	struct halt_limits few = {.max_ns = 12 * US, .budget = 100, .weight = 4};
	struct halt_state s;

	halt_state_init(&s, &host, &limits);
	ck_assert(s.rungs == 6 && s.bound == 4);
	for (unsigned i = 0; i < 6; i++)
		ck_assert_uint_eq(s.rung_ns[i], ((const uint64_t[]){0, 8192, 16384, 32768, 34000, 62000})[i]);
	halt_state_init(&s, &host, &few);
	ck_assert(s.rungs == 3 && s.bound == 2);
	ck_assert_uint_eq(s.rung_ns[2], 12 * US);
	/* However much a block costs, they end. */
	few = (struct halt_limits){.max_ns = UINT32_MAX, .budget = 1, .weight = 1000};
	halt_state_init(&s, &(struct halt_host){.grow_start_ns = 1, .grow = 2, .block_ns = 1ULL << 40}, &few);
	ck_assert_uint_le(s.rungs, HALT_RUNGS);
	ck_assert_uint_eq(s.rung_ns[s.rungs - 1], UINT32_MAX);
}
END_TEST

/* Two windows agree, then one rung a window, and there it stays. */
START_TEST(up_step_by_step)
{
	static const struct {
		uint64_t ceiling;
		enum halt_reason reason;
	} wanted[] = {
		{0, HALT_CONFIRM}, {8192, HALT_UP}, {16384, HALT_UP}, {16384, HALT_KEEP}, {16384, HALT_KEEP}};
	struct halt_state s;
	struct halt_decision d;

	halt_state_init(&s, &host, &limits);
	for (unsigned i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		d = short_step(&s);
		ck_assert_msg(d.ceiling_ns == wanted[i].ceiling && d.reason == wanted[i].reason,
			"window %u: %lu %s", i, (unsigned long)d.ceiling_ns, halt_reason_name(d.reason));
	}
	ck_assert(d.realised_ns == 5 * US && d.price_ns == 28 * US && d.expected_ns < 8 * US);
	ck_assert(d.polled > 0.04 && d.polled < 0.06);
}
END_TEST

START_TEST(nothing_to_gain)
{
	struct halt_state s;
	struct halt_window few = {0}, late = {0}, none = {0};

	halt_state_init(&s, &host, &limits);
	waits(&few, 11 * US, 10);
	ck_assert_int_eq(step(&s, &none).reason, HALT_START);
	ck_assert_int_eq(step(&s, &few).reason, HALT_START);
	waits(&late, 500 * US, 1000);
	for (unsigned i = 0; i < 10; i++) {
		struct halt_decision d = step(&s, &late);

		ck_assert(d.ceiling_ns == 0 && d.reason == HALT_NO_GAIN);
		ck_assert(d.expected_ns == 28 * US && d.realised_ns == 28 * US);
	}
}
END_TEST

/* From the top rung down at once, when a second window says so. */
START_TEST(any_number_down)
{
	struct halt_state s;
	struct halt_window late = {0};

	halt_state_init(&s, &host, &limits);
	for (unsigned i = 0; i < 6; i++)
		short_step(&s);
	ck_assert_uint_ne(s.rung, 0);
	misses(&late, 10 * US, 500 * US, 20000);
	ck_assert_int_eq(step(&s, &late).reason, HALT_CONFIRM);
	ck_assert_uint_ne(s.rung, 0);
	ck_assert_int_eq(step(&s, &late).reason, HALT_NO_GAIN);
	ck_assert_uint_eq(s.rung, 0);
}
END_TEST

/* A vCPU that waits for its CPU: no polls, nothing learned; and as before when that is over. */
START_TEST(delayed)
{
	struct halt_state s;
	struct halt_window w = {0};
	uint64_t rung;
	double total;

	halt_state_init(&s, &host, &limits);
	for (unsigned i = 0; i < 6; i++)
		short_step(&s);
	rung = s.rung;
	total = s.dist.total;
	waits(&w, 300 * US, 300);
	w.delay_ns = 300ULL * 200 * US;
	ck_assert_int_eq(step(&s, &w).reason, HALT_CONTENDED);
	ck_assert(s.rung == 0 && s.dist.total == total);
	ck_assert_int_eq(short_step(&s).reason, HALT_RESUME);
	ck_assert_uint_eq(s.rung, rung);
	/* Some polls pay although others run: they stay. */
	w = (struct halt_window){0};
	hits(&w, 5 * US, 700);
	waits(&w, 300 * US, 100);
	w.delay_ns = 100ULL * 200 * US;
	ck_assert_int_eq(step(&s, &w).reason, HALT_WORTH);
	ck_assert_uint_eq(s.rung, rung);
}
END_TEST

/* Polls cut short: without polls for 1, 2, 4... windows, up to 32. */
START_TEST(aborted)
{
	struct halt_state s;
	struct halt_window cut = {0}, quiet = {0};
	unsigned length = 0, want = 1;

	halt_state_init(&s, &host, &limits);
	for (unsigned i = 0; i < 6; i++)
		short_step(&s);
	misses(&cut, 300, 11 * US, 1000);
	waits(&quiet, 11 * US, 1000);
	for (unsigned i = 0; i < 200; i++) {
		if (s.rung) {
			ck_assert_int_eq(step(&s, &cut).reason, HALT_CONTENDED);
			ck_assert_uint_eq(s.rung, 0);
			length = 0;
			continue;
		}
		length++;
		if (step(&s, &quiet).reason != HALT_RESUME)
			continue;
		ck_assert_uint_eq(length, want);
		want = want == 8 ? 8 : want * 2; /* 16 quiet windows in a row would begin anew */
		if (want == 8)
			break;
	}
	ck_assert_uint_eq(want, 8);
}
END_TEST

/* What misses after growth from 10 us is no sign of others. */
START_TEST(first_misses)
{
	struct halt_state s;
	struct halt_window w = {0};

	halt_state_init(&s, &host, &limits);
	for (unsigned i = 0; i < 6; i++)
		short_step(&s);
	misses(&w, 10 * US, 100 * US, 500);
	ck_assert_int_ne(step(&s, &w).reason, HALT_CONTENDED);
	/* Nor are a few of them that are. */
	w = (struct halt_window){0};
	hits(&w, 5 * US, 500);
	misses(&w, 300, 11 * US, 5);
	ck_assert_int_ne(step(&s, &w).reason, HALT_CONTENDED);
}
END_TEST

/* A guest that polls all the time it is let: over any 100 windows of 100 ms within the budget. */
START_TEST(budget)
{
	static const unsigned budgets[] = {10, 25, 50};

	for (unsigned b = 0; b < 3; b++) {
		struct halt_limits tight = {.max_ns = 1 * MS, .budget = budgets[b], .weight = 4};
		double polled[1000], sum = 0;
		struct halt_state s;
		bool ever = false;

		halt_state_init(&s, &host, &tight);
		for (unsigned i = 0; i < 1000; i++) {
			struct halt_window w = {0};

			/* Every so often it changes from few halts, which may be polled for, to nothing else.
			 */
			if (!(i / 50 % 2))
				waits(&w, 11 * US, 400);
			else if (s.rung)
				hits(&w, 5 * US, 20000);
			else
				waits(&w, 11 * US, 9000);
			polled[i] = w.success_ns;
			sum += polled[i] - (i >= 100 ? polled[i - 100] : 0);
			ck_assert_msg(i < 99 || sum <= 10e9 * budgets[b] / 100, "budget %u, window %u: %f",
				budgets[b], i, sum);
			ever |= s.rung != 0;
			step(&s, &w);
		}
		ck_assert(ever);
	}
}
END_TEST

START_TEST(polling_guest)
{
	struct halt_state s;
	struct halt_window w;
	struct halt_input in = {.wall_ns = 100 * MS, .guest_polls = true, .n = 1, .vcpu = &w};

	halt_state_init(&s, &host, &limits);
	for (unsigned i = 0; i < 6; i++)
		short_step(&s);
	w = short_halts(&s);
	ck_assert_int_eq(halt_decide(&s, &in).reason, HALT_GUEST);
	ck_assert_uint_eq(s.rung, 0);
}
END_TEST

START_TEST(lengths)
{
	struct halt_dist dist = {0};
	struct halt_window w = {0};
	double below = 0;

	/* Waits of 60 us after polls of 20 us, which end 6 us late: 74 us. */
	misses(&w, 20 * US, 60 * US, 400);
	halt_dist_add(&dist, &w, 6 * US);
	ck_assert(dist.total == 400);
	for (unsigned p = 0; p < HALT_POINTS; p++) {
		double ns = halt_point_ns(p);

		ck_assert_msg(
			!dist.n[p] || (ns > 32768 + 20 * US - 12 * US && ns < 65536 + 20 * US), "%f", ns);
		below += ns < 46 * US ? dist.n[p] : 0;
	}
	ck_assert(below <= 100);
	halt_dist_scale(&dist, 0.5);
	ck_assert(dist.total == 200);
}
END_TEST

/* Windows open only for halts that KVM measures below the ceiling, the wake-up included. */
START_TEST(costs)
{
	struct halt_dist dist = {0};
	struct halt_window w = {0};
	struct halt_host old = host;

	hits(&w, 12 * US, 1000);
	halt_dist_add(&dist, &w, 6 * US);
	ck_assert(halt_dist_cost(&dist, &host, 0, 28 * US).ns == 28 * US);
	ck_assert(halt_dist_cost(&dist, &host, 8192, 28 * US).ns > 27.9 * US);
	ck_assert(halt_dist_cost(&dist, &host, 32768, 28 * US).ns < 13 * US);
	/* Some of them long, most below half of the window: a kernel that shrinks to nothing misses more. */
	hits(&w, 5 * US, 4000);
	hits(&w, 1 * MS, 1000);
	halt_dist_add(&dist, &w, 6 * US);
	old.shrink = 0;
	ck_assert(halt_dist_cost(&dist, &old, 65536, 28 * US).ns >
		  halt_dist_cost(&dist, &host, 65536, 28 * US).ns + 500);
}
END_TEST

static FILE *text_file(const char *text)
{
	FILE *f = tmpfile();

	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	rewind(f);
	return f;
}

START_TEST(trace)
{
	struct halt_state s;
	struct halt_replay r;
	FILE *f = tmpfile();
	char text[65536] = "", *ceiling;
	size_t n;

	halt_state_init(&s, &host, &limits);
	halt_trace_begin(f, &s);
	for (unsigned i = 0; i < 20; i++) {
		struct halt_window w[2];
		struct halt_input in = {.wall_ns = 100 * MS + i, .n = 2, .vcpu = w};
		struct halt_decision d;

		memset(w, 0, sizeof(w));
		w[0] = short_halts(&s);
		misses(&w[1], 10 * US, 300 * US, 30 * i);
		d = halt_decide(&s, &in);
		halt_trace_step(f, &in, &d);
	}
	rewind(f);
	ck_assert_int_eq(halt_trace_replay(f, &r), 0);
	ck_assert(r.decisions == 20 && r.differ == 0);
	rewind(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	ck_assert_uint_gt(n, 0);
	ceiling = strstr(text, "ceiling_ns=16384");
	ck_assert_ptr_nonnull(ceiling);
	memcpy(ceiling, "ceiling_ns=16385", 16);
	f = text_file(text);
	ck_assert_int_eq(halt_trace_replay(f, &r), 0);
	ck_assert(r.decisions == 20 && r.differ == 1 && r.first > 0);
	fclose(f);
}
END_TEST

/* The host is another one, and what is owed is owed: the trace says so, and replays. */
START_TEST(debt)
{
	struct halt_limits tight = {.max_ns = 1 * MS, .budget = 10, .weight = 4};
	struct halt_host other = host;
	struct halt_window w = {0};
	struct halt_input in = {.wall_ns = 100 * MS, .n = 1, .vcpu = &w};
	struct halt_decision d;
	struct halt_replay r;
	struct halt_state s;
	FILE *f = tmpfile();

	hits(&w, 5 * US, 20000);
	halt_state_init(&s, &host, &tight);
	ck_assert_int_eq(step(&s, &w).reason, HALT_BUDGET);
	ck_assert(s.debt_ns > 90 * MS);
	other.wake_ns *= 3;
	halt_state_renew(&s, &other, &s.limits);
	ck_assert(s.host.wake_ns == 18 * US && s.limits.budget == 10 && s.rung == 0);
	ck_assert(s.debt_ns > 90 * MS);
	halt_trace_begin(f, &s);
	memset(&w, 0, sizeof(w));
	waits(&w, 11 * US, 1000);
	d = halt_decide(&s, &in);
	ck_assert_int_eq(d.reason, HALT_BUDGET);
	halt_trace_step(f, &in, &d);
	rewind(f);
	ck_assert_int_eq(halt_trace_replay(f, &r), 0);
	ck_assert(r.decisions == 1 && r.differ == 0);
	fclose(f);
}
END_TEST

#define HOST	"host grow_start_ns=10000 grow=2 shrink=0 block_ns=4000 wake_ns=6000\n"
#define LIMITS	"limits max_ns=200000 budget=100 weight=4\n"
#define WINDOW	"window wall_ns=100000000 guest_polls=0 vcpus=1\n"
#define NUMBERS "vcpu success_ns=0 fail_ns=0 wait_ns=81 run_ns=7 delay_ns=1 slices=1"

START_TEST(odd_traces)
{
	static const char *const bad[] = {
		"hello\n",
		WINDOW,
		LIMITS,
		HOST WINDOW,
		HOST LIMITS "decision ceiling_ns=0 reason=start\n",
		HOST LIMITS WINDOW "decision ceiling_ns=0 reason=start\n",
		HOST LIMITS "window wall_ns=1 guest_polls=0 vcpus=0\n",
		HOST LIMITS "window wall_ns=1 guest_polls=0 vcpus=4000000000\n",
		HOST LIMITS WINDOW NUMBERS "\n",
		HOST LIMITS WINDOW NUMBERS " success= fail= wait=32:1\n",
		HOST LIMITS WINDOW NUMBERS " success= fail= wait=14\n",
		HOST LIMITS WINDOW NUMBERS " success= fail= wait=14:\n",
		/* In brackets: of clang, two on one line are suspicious. */
		(HOST LIMITS WINDOW NUMBERS " success= fail= wait=14:3\n" NUMBERS
					    " success= fail= wait=14:3\n"),
		"host grow_start_ns=9223372036854775808 grow=2 shrink=0 block_ns=4000 wake_ns=6000\n",
		HOST "limits max_ns=18446744073709551615 budget=100 weight=4\n",
		"host grow_start_ns=0 grow=2 shrink=0 block_ns=4000 wake_ns=6000\n" LIMITS,
	};
	struct halt_replay r;
	FILE *f;

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		f = text_file(bad[i]);
		ck_assert_msg(halt_trace_replay(f, &r) == -EINVAL, "%s", bad[i]);
		fclose(f);
	}
	f = text_file("# words\n\n" HOST LIMITS WINDOW NUMBERS " success= fail= wait=14:3,20:1\n"
		      "decision ceiling_ns=0 reason=start halts=4\n");
	ck_assert_int_eq(halt_trace_replay(f, &r), 0);
	ck_assert(r.decisions == 1 && r.differ == 0);
	fclose(f);
}
END_TEST

UNIT_MAIN("haltpoll_decide", rungs, up_step_by_step, nothing_to_gain, any_number_down, delayed, aborted,
	first_misses, budget, polling_guest, lengths, costs, debt, trace, odd_traces)
