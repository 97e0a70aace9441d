// SPDX-License-Identifier: Apache-2.0
/* Prices and regret; see sim.h. */
#include <string.h>

#include "tests/bench/haltpoll/sim.h"
#include "vmm/util.h"

/* Block and wake on a machine that idles shallowly, and on one that idles deeply; the kernel's moves
 * until 6.10, and since. */
#define OLD .grow_start_ns = 10000, .grow = 2, .shrink = 0
#define NEW .grow_start_ns = 10000, .grow = 2, .shrink = 2

const struct setting sim_setting[] = {
	{"Linux 6.1, shallow idle", {OLD, .block_ns = 4000, .wake_ns = 6000}, 4},
	{"Linux 6.11, shallow idle", {NEW, .block_ns = 4000, .wake_ns = 6000}, 4},
	{"Linux 6.11, deep idle", {NEW, .block_ns = 10000, .wake_ns = 40000}, 2},
	{"Linux 6.1, fast", {OLD, .block_ns = 2000, .wake_ns = 3000}, 6},
	{"Linux 6.11, slow", {NEW, .block_ns = 8000, .wake_ns = 18000}, 3},
};

const unsigned sim_settings = COUNT(sim_setting), sim_held_out = 2;

static const uint64_t fixed[] = {0, 4096, 8192, 10000, 16384, 20000, 28000, 32768, 50000, 65536, 100000,
	131072, 200000, 262144, 524288, 1000000};

static struct plant plant_of(const struct trace *trace, const struct halt_host *host, unsigned weight)
{
	return (struct plant){.host = *host, .weight = weight, .trace = trace};
}

/* The best window in hindsight if each halt polled for all of it, alone on its CPU: halts by the shortest
 * fixed window that would have held. */
static double bare_price(const struct trace *trace, double price)
{
	double n[COUNT(fixed) + 1] = {0}, ns[COUNT(fixed) + 1] = {0}, hit = 0, misses = trace->n, best = 0;

	for (size_t h = 0; h < trace->n; h++) {
		unsigned i = 0;

		while (i < COUNT(fixed) && trace->halt[h].gap_ns > fixed[i])
			i++;
		n[i]++;
		ns[i] += trace->halt[h].gap_ns;
	}
	for (unsigned i = 0; i < COUNT(fixed); i++) {
		hit += ns[i];
		misses -= n[i];
		if (!i || hit + misses * (fixed[i] + price) < best)
			best = hit + misses * (fixed[i] + price);
	}
	return best / trace->n;
}

void sim_score(struct scored *s, const struct trace *trace, const struct halt_host *host, unsigned weight)
{
	s->trace = *trace;
	s->trace.halt = NULL;
	for (unsigned i = 0; i < COUNT(fixed); i++) {
		struct plant p = plant_of(trace, host, weight);

		sim_run_fixed(&p, fixed[i]);
		if (i && plant_price(&p) / trace->n >= s->best_price)
			continue;
		s->best_price = plant_price(&p) / trace->n;
		s->best_ns = fixed[i];
	}
	s->bare_price = bare_price(trace, host->block_ns + (double)weight * host->wake_ns);
	for (unsigned i = 0; i < sim_competitors; i++) {
		struct plant p = plant_of(trace, host, weight);

		sim_competitor[i].run(&p, sim_competitor[i].arg);
		s->result[i] = (struct result){
			.cpu = (p.polled_ns + (double)p.blocks * p.host.block_ns) / p.now_ns,
			.latency_ns = p.latency_ns / trace->n,
			.price = plant_price(&p) / trace->n,
			.regret = plant_price(&p) / trace->n / s->best_price,
		};
	}
}

double sim_worst(const struct scored *s, unsigned n, const char *family, unsigned competitor)
{
	double worst = 0;

	for (unsigned i = 0; i < n; i++)
		if (!strcmp(s[i].trace.family, family) && s[i].result[competitor].regret > worst)
			worst = s[i].result[competitor].regret;
	return worst;
}

unsigned sim_first_of_family(const struct scored *s, unsigned i)
{
	for (unsigned first = 0; first < i; first++)
		if (!strcmp(s[first].trace.family, s[i].trace.family))
			return first;
	return i;
}
