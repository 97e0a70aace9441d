// SPDX-License-Identifier: Apache-2.0
/* The made traces, by family; see sim.h. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/haltpoll/sim.h"

#define US	1000
#define MS	1000000
#define LIMIT	1.3
#define ADVERSE 2.0

/* One way of making halts. mean of gaps in ns, what else it needs in a and b. */
struct recipe {
	const char *family, *name;
	void (*make)(struct trace *t, const struct recipe *r);
	double run, gap, a, b; /* ns, or as the maker says */
	uint64_t period, busy;
	double limit;
};

/* splitmix64 */
static uint64_t seed;

static double chance(void)
{
	uint64_t z = seed += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	z ^= z >> 31;
	return ((z >> 11) + 0.5) / 9007199254740992.0;
}

static double exponential(double mean)
{
	return -mean * log(chance());
}

static void put(struct trace *t, size_t i, double run, double gap)
{
	t->halt[i].run_ns = run;
	t->halt[i].gap_ns = gap < 1 ? 1 : gap > 4e9 ? 4e9 : gap;
}

#define for_each_halt(i, t) for (size_t i = 0; i < (t)->n; i++)

/* gap, less or more by up to the part a */
static void periodic(struct trace *t, const struct recipe *r)
{
	for_each_halt(i, t) put(t, i, r->run, r->gap * (1 + r->a * (2 * chance() - 1)));
}

/* gap, and b times of it with the chance a; 10 % around each */
static void bimodal(struct trace *t, const struct recipe *r)
{
	for_each_halt(i, t)
	{
		double gap = chance() < r->a ? r->gap * r->b : r->gap;

		put(t, i, r->run, gap * (0.9 + 0.2 * chance()));
	}
}

static void poisson(struct trace *t, const struct recipe *r)
{
	for_each_halt(i, t) put(t, i, r->run, exponential(r->gap));
}

/* Pareto: the shortest is gap, the exponent a */
static void pareto(struct trace *t, const struct recipe *r)
{
	for_each_halt(i, t) put(t, i, r->run, fmin(r->gap / pow(chance(), 1 / r->a), 1e8));
}

/* Runs of short gaps between long ones: a short ones, then one of b */
static void bursts(struct trace *t, const struct recipe *r)
{
	size_t left = 0;

	for_each_halt(i, t)
	{
		put(t, i, r->run, left ? exponential(r->gap) : exponential(r->b));
		left = left ? left - 1 : (size_t)exponential(r->a) + 1;
	}
}

/* Phases of b ns each: gaps of `gap`, then of a, both exponential */
static void phases(struct trace *t, const struct recipe *r)
{
	double now = 0;

	for_each_halt(i, t)
	{
		bool second = (uint64_t)(now / r->b) & 1;
		double gap = exponential(second ? r->a : r->gap);

		put(t, i, r->run, gap);
		now += r->run + gap;
	}
}

/* Short and long by turns: after each long one the window is gone, after each short one it has grown in vain.
 */
static void alternate(struct trace *t, const struct recipe *r)
{
	for_each_halt(i, t) put(t, i, r->run, i & 1 ? r->a : r->gap);
}

/* A little longer than each rung: gap * 2^k + 10 %, a new k each b ns */
static void above(struct trace *t, const struct recipe *r)
{
	double now = 0;

	for_each_halt(i, t)
	{
		double gap = r->gap * (double)(1 << ((uint64_t)(now / r->b) % 5)) * 1.1;

		put(t, i, r->run, gap);
		now += r->run + gap;
	}
}

/* Gaps that get longer by a at each halt until they are b, then start again */
static void saw(struct trace *t, const struct recipe *r)
{
	double gap = r->gap;

	for_each_halt(i, t)
	{
		put(t, i, r->run, gap);
		gap = gap * r->a > r->b ? r->gap : gap * r->a;
	}
}

static const struct recipe recipes[] = {
	{"periodic", "every 5 us", periodic, .run = 5 * US, .gap = 5 * US, .a = 0.1},
	{"periodic", "every 15 us", periodic, .run = 10 * US, .gap = 15 * US, .a = 0.1},
	{"periodic", "every 40 us", periodic, .run = 10 * US, .gap = 40 * US, .a = 0.1},
	{"periodic", "every 1 ms", periodic, .run = 50 * US, .gap = 1 * MS, .a = 0.05},
	{"bimodal", "5 us, 1 in 10 500 us", bimodal, .run = 5 * US, .gap = 5 * US, .a = 0.1, .b = 100},
	{"bimodal", "8 us, 1 in 2 1 ms", bimodal, .run = 10 * US, .gap = 8 * US, .a = 0.5, .b = 125},
	{"bimodal", "12 us, 1 in 4 60 us", bimodal, .run = 10 * US, .gap = 12 * US, .a = 0.25, .b = 5},
	{"Poisson", "mean 5 us", poisson, .run = 5 * US, .gap = 5 * US},
	{"Poisson", "mean 12 us", poisson, .run = 10 * US, .gap = 12 * US},
	{"Poisson", "mean 20 us", poisson, .run = 10 * US, .gap = 20 * US},
	{"Poisson", "mean 60 us", poisson, .run = 10 * US, .gap = 60 * US},
	{"Poisson", "mean 400 us", poisson, .run = 20 * US, .gap = 400 * US},
	{"heavy-tailed", "Pareto 1.1 from 2 us", pareto, .run = 5 * US, .gap = 2 * US, .a = 1.1},
	{"heavy-tailed", "Pareto 1.5 from 6 us", pareto, .run = 10 * US, .gap = 6 * US, .a = 1.5},
	{"heavy-tailed", "Pareto 0.7 from 3 us", pareto, .run = 10 * US, .gap = 3 * US, .a = 0.7},
	{"bursts", "50 of 4 us, then 2 ms", bursts, .run = 5 * US, .gap = 4 * US, .a = 50, .b = 2 * MS},
	{"bursts", "8 of 10 us, then 300 us", bursts, .run = 5 * US, .gap = 10 * US, .a = 8, .b = 300 * US},
	{"contended", "half of the time", poisson, .run = 10 * US, .gap = 6 * US, .period = 4 * MS,
		.busy = 2 * MS},
	{"contended", "a tenth of the time", poisson, .run = 10 * US, .gap = 6 * US, .period = 10 * MS,
		.busy = 1 * MS},
	{"contended", "always", periodic, .run = 10 * US, .gap = 50 * US, .a = 0.1, .period = 1 * MS,
		.busy = 1 * MS},
	{"contended", "0.5 s of 1 s", poisson, .run = 10 * US, .gap = 8 * US, .period = 1000 * MS,
		.busy = 500 * MS},
	{"phases", "5 us and 800 us, 5 s each", phases, .run = 5 * US, .gap = 5 * US, .a = 800 * US,
		.b = 5e9},
	{"phases", "10 us and 60 us, 3 s each", phases, .run = 10 * US, .gap = 10 * US, .a = 60 * US,
		.b = 3e9},
	{"phases", "15 us and 3 us, 5 s each", phases, .run = 10 * US, .gap = 15 * US, .a = 3 * US, .b = 5e9},
	{"adversarial", "short, long by turns", alternate, .run = 5 * US, .gap = 5 * US, .a = 1 * MS,
		.limit = ADVERSE},
	{"adversarial", "phases of 0.3 s", phases, .run = 5 * US, .gap = 5 * US, .a = 100 * US, .b = 0.3e9,
		.limit = ADVERSE},
	{"adversarial", "phases of 0.1 s", phases, .run = 5 * US, .gap = 5 * US, .a = 300 * US, .b = 0.1e9,
		.limit = ADVERSE},
	{"adversarial", "above each rung", above, .run = 5 * US, .gap = 4 * US, .a = 0, .b = 0.35e9,
		.limit = ADVERSE},
	{"adversarial", "saw", saw, .run = 5 * US, .gap = 1 * US, .a = 1.2, .b = 300 * US, .limit = ADVERSE},
	{"adversarial", "a little more than C", periodic, .run = 5 * US, .gap = 30 * US, .a = 0.05,
		.limit = ADVERSE},
};

unsigned sim_traces(void)
{
	return sizeof(recipes) / sizeof(recipes[0]);
}

/* As many halts as fill the time, by what the first few thousand take. */
static size_t length(const struct recipe *r, double scale)
{
	struct halt some[4096];
	struct trace t = {.halt = some, .n = sizeof(some) / sizeof(some[0])};
	double ns = 0;

	seed = 1;
	r->make(&t, r);
	for (size_t i = 0; i < t.n; i++)
		ns += some[i].run_ns + some[i].gap_ns;
	ns /= t.n;
	if (r->make == phases)
		ns = 2 / (1 / (r->run + r->gap) + 1 / (r->run + r->a));
	return fmin(SIM_TIME / ns, SIM_HALTS) * scale;
}

/* Twice to half as long, or whatever `by` says. */
static double another(double by)
{
	return pow(2, by * (2 * chance() - 1));
}

/* Another one of its kind: lengths up to twice or half, what else there is up to a quarter more or less. */
static void vary(struct recipe *r, unsigned long id)
{
	seed = id;
	r->run *= another(1);
	r->gap *= another(1);
	r->a = r->make == saw ? 1 + (r->a - 1) * another(0.3) : r->a * another(0.3);
	r->b *= another(1);
	if (r->period) {
		double factor = another(1);

		r->period *= factor;
		r->busy *= factor;
	}
}

int sim_trace_make(struct trace *t, unsigned i, unsigned variant, double scale)
{
	unsigned long id = i + 1 + 1000ul * variant;
	struct recipe r = recipes[i];

	if (variant)
		vary(&r, id + 500);
	memset(t, 0, sizeof(*t));
	if (variant)
		snprintf(t->name, sizeof(t->name), "%s, %u", r.name, variant);
	else
		snprintf(t->name, sizeof(t->name), "%s", r.name);
	snprintf(t->family, sizeof(t->family), "%s", r.family);
	t->limit = r.limit ? r.limit : LIMIT;
	t->period_ns = r.period;
	t->busy_ns = r.busy;
	t->n = length(&r, scale);
	t->halt = malloc(t->n * sizeof(t->halt[0]));
	if (!t->halt)
		return -ENOMEM;
	seed = id;
	r.make(t, &r);
	return 0;
}

void sim_trace_free(struct trace *t)
{
	free(t->halt);
	t->halt = NULL;
}
