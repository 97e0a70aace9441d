// SPDX-License-Identifier: Apache-2.0
/* Halts by length, and the price of a ceiling on them; see dist.h. Pure functions. */
#include "vmm/haltpoll/dist.h"

/* Windows that KVM's moves can reach below one ceiling. */
#define STATES 24
/* How much a halt counts against the one before: the price is the mean over some thousand halts, from no
 * window on. */
#define KEEP   0.9995

/* Quarters of a bucket: where each begins, and its middle, as powers of 2 to the eighths. */
static const double begins[HALT_PARTS] = {1, 1.189207115002721, 1.414213562373095, 1.681792830507429};
static const double middle[HALT_PARTS] = {
	1.090507732665258, 1.296839554651010, 1.542210825407941, 1.834008086409342};

static double min(double a, double b)
{
	return a < b ? a : b;
}

static double max(double a, double b)
{
	return a > b ? a : b;
}

double halt_point_ns(unsigned point)
{
	unsigned bucket = point / HALT_PARTS;

	return bucket ? (double)(1ULL << (bucket - 1)) * middle[point % HALT_PARTS] : 0;
}

static unsigned point_of(double ns)
{
	unsigned bucket, part = HALT_PARTS - 1;

	if (ns < 1)
		return 0;
	if (ns >= (double)(1ULL << (HALT_BUCKETS - 1)))
		return HALT_POINTS - 1;
	bucket = 64 - __builtin_clzll((uint64_t)ns);
	while (ns < begins[part] * (double)(1ULL << (bucket - 1)))
		part--;
	return bucket * HALT_PARTS + part;
}

static void put(struct halt_dist *dist, double ns, double n)
{
	dist->n[point_of(ns)] += n;
	dist->total += n;
}

void halt_dist_add(struct halt_dist *dist, const struct halt_window *w, uint64_t wake_ns)
{
	double fails = 0, waits = 0, share, shift;

	for (unsigned i = 0; i < HALT_BUCKETS; i++) {
		fails += w->fail[i];
		waits += w->wait[i];
	}
	share = waits ? min(fails / waits, 1) : 0;
	shift = fails ? w->fail_ns / fails : 0;
	for (unsigned p = 0; p < HALT_POINTS; p++) {
		unsigned bucket = p / HALT_PARTS;
		double x = halt_point_ns(p), success = w->success[bucket], wait = w->wait[bucket];

		if (success)
			put(dist, x, success / HALT_PARTS);
		if (wait && share)
			put(dist, x + shift - wake_ns, wait * share / HALT_PARTS);
		if (wait && share < 1)
			put(dist, x - wake_ns, wait * (1 - share) / HALT_PARTS);
	}
}

void halt_dist_scale(struct halt_dist *dist, double factor)
{
	for (unsigned p = 0; p < HALT_POINTS; p++)
		dist->n[p] *= factor;
	dist->total *= factor;
}

/* A vCPU's window as a chain of states: what one halt costs in each, and where it leads. */
struct chain {
	unsigned n;
	double window[STATES], cost[STATES], polled[STATES], to[STATES][STATES];
};

/* The state of that window; one there is no room for is taken for the last one. */
static unsigned state(struct chain *c, double window)
{
	for (unsigned i = 0; i < c->n; i++)
		if (c->window[i] == window)
			return i;
	if (c->n == STATES)
		return STATES - 1;
	c->window[c->n] = window;
	return c->n++;
}

static double grown(const struct halt_host *host, double window, double ceiling)
{
	return min(max(window * host->grow, host->grow_start_ns), ceiling);
}

static double shrunk(const struct halt_host *host, double window)
{
	double to = host->shrink ? window / host->shrink : 0;

	return to < host->grow_start_ns ? 0 : to;
}

/* As kvm_vcpu_halt() does at the end of each halt. */
static double next_window(const struct halt_host *host, double window, double halted, double ceiling)
{
	if (halted <= window)
		return window;
	if (halted > ceiling)
		return window ? shrunk(host, window) : 0;
	return window < ceiling && halted < ceiling ? grown(host, window, ceiling) : window;
}

static void fill_state(struct chain *c, unsigned i, const struct halt_dist *dist,
	const struct halt_host *host, double ceiling, double price)
{
	double window = c->window[i];

	for (unsigned p = 0; p < HALT_POINTS; p++) {
		double x = halt_point_ns(p), share = dist->n[p] / dist->total;
		double polled = x <= window ? x : window;

		if (!share)
			continue;
		c->polled[i] += share * polled;
		c->cost[i] += share * (polled + (x <= window ? 0 : price));
		c->to[i][x <= window ? i : state(c, next_window(host, window, x + host->wake_ns, ceiling))] +=
			share;
	}
}

/* How often each state is met, from the first one on: m = (1 - KEEP) * start + KEEP * m * to, by elimination.
 */
static void solve(const struct chain *c, double m[STATES])
{
	double a[STATES][STATES + 1];

	for (unsigned r = 0; r < c->n; r++) {
		for (unsigned k = 0; k < c->n; k++)
			a[r][k] = (r == k) - KEEP * c->to[k][r];
		a[r][c->n] = r == 0 ? 1 - KEEP : 0;
	}
	/* The diagonal outweighs its column, so no row has to be exchanged. */
	for (unsigned p = 0; p < c->n; p++)
		for (unsigned r = 0; r < c->n; r++) {
			double f = r == p ? 0 : a[r][p] / a[p][p];

			for (unsigned k = p; f && k <= c->n; k++)
				a[r][k] -= f * a[p][k];
		}
	for (unsigned r = 0; r < c->n; r++)
		m[r] = a[r][c->n] / a[r][r];
}

struct halt_cost halt_dist_cost(
	const struct halt_dist *dist, const struct halt_host *host, uint64_t ceiling_ns, double price)
{
	struct chain c = {.n = 1};
	struct halt_cost cost = {0};
	double m[STATES];

	if (!dist->total || !ceiling_ns)
		return (struct halt_cost){.ns = price};
	for (unsigned i = 0; i < c.n; i++)
		fill_state(&c, i, dist, host, ceiling_ns, price);
	solve(&c, m);
	for (unsigned i = 0; i < c.n; i++) {
		cost.ns += m[i] * c.cost[i];
		cost.polled += m[i] * c.polled[i];
	}
	return cost;
}
