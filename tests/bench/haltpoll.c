// SPDX-License-Identifier: Apache-2.0
/*
 * Halt polling in hindsight (PERF metric 14): what each way of choosing windows costs on made and recorded
 * traces, on several hosts, against the best fixed ceiling. See haltpoll/sim.h for the model and the price.
 *
 * usage: haltpoll [-v] [--svg FILE] [TRACE...]     status 1: the controller missed its limit somewhere
 *        haltpoll --replay FILE                              decide a trace of `--halt-poll auto,trace=`
 * again haltpoll --decisions FILE N                         write such a trace of made trace N, first host
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/haltpoll/sim.h"
#include "vmm/haltpoll/trace.h"

static bool verbose;

static void head(const struct setting *setting)
{
	const struct halt_host *h = &setting->host;

	printf("%s: a block costs %g us of CPU and %g us of latency, weight %u: C = %g us\n", setting->name,
		h->block_ns / 1e3, h->wake_ns / 1e3, setting->weight,
		(h->block_ns + (double)setting->weight * h->wake_ns) / 1e3);
	printf("  %-13s%-25s%10s%9s%9s ", "family", "trace", "best", "price", "window");
	for (unsigned c = 0; c < sim_competitors; c++)
		printf("%13s", sim_competitor[c].name);
	printf("\n");
}

static bool missed(const struct scored *s)
{
	return s->result[SIM_OURS].regret > s->trace.limit;
}

static void row(const struct scored *s)
{
	printf("  %-13s%-25s%7.0f us%9.1f%9.1f ", s->trace.family, s->trace.name, s->best_ns / 1e3,
		s->best_price / 1e3, s->bare_price / 1e3);
	for (unsigned c = 0; c < sim_competitors; c++)
		printf("%13.2f", s->result[c].regret);
	printf("%s\n", missed(s) ? "  MISSED" : "");
	if (!verbose)
		return;
	printf("  %-67s", "    CPU time for halts, %");
	for (unsigned c = 0; c < sim_competitors; c++)
		printf("%13.1f", s->result[c].cpu * 100);
	printf("\n  %-67s", "    latency added to a halt, us");
	for (unsigned c = 0; c < sim_competitors; c++)
		printf("%13.1f", s->result[c].latency_ns / 1e3);
	printf("\n");
}

/* All traces on all hosts: made ones, or those of files. */
static int run(char **files, unsigned nfiles, struct scored **scored, unsigned *n)
{
	unsigned traces = nfiles ? nfiles : sim_traces(), line = 0;
	int err;

	*scored = calloc((size_t)traces * sim_settings, sizeof(**scored));
	if (!*scored)
		return -ENOMEM;
	for (unsigned k = 0; k < sim_settings; k++) {
		head(&sim_setting[k]);
		for (unsigned i = 0; i < traces; i++) {
			struct scored *s = &(*scored)[(*n)++];
			struct trace t;

			err = nfiles ? sim_trace_read(&t, files[i], &line) : sim_trace_make(&t, i, 1);
			if (err) {
				fprintf(stderr, "%s:%u: %s\n", nfiles ? files[i] : "trace", line,
					strerror(-err));
				return err;
			}
			sim_score(s, &t, &sim_setting[k].host, sim_setting[k].weight);
			row(s);
			sim_trace_free(&t);
		}
		printf("\n");
	}
	return 0;
}

/* The worst of each family. */
static unsigned summary(const struct scored *s, unsigned n)
{
	unsigned misses = 0;

	printf("Worst regret\n  %-13s%8s ", "family", "limit");
	for (unsigned c = 0; c < sim_competitors; c++)
		printf("%13s", sim_competitor[c].name);
	printf("\n");
	for (unsigned i = 0; i < n; i++) {
		misses += missed(&s[i]);
		if (sim_first_of_family(s, i) != i)
			continue;
		printf("  %-13s%8.1f ", s[i].trace.family, s[i].trace.limit);
		for (unsigned c = 0; c < sim_competitors; c++)
			printf("%13.2f", sim_worst(s, n, s[i].trace.family, c));
		printf("\n");
	}
	printf("regret: %u of %u missed\n", misses, n);
	return misses;
}

static int replay(const char *path)
{
	struct halt_replay r;
	FILE *in = fopen(path, "re");
	int err = in ? halt_trace_replay(in, &r) : -errno;

	if (in)
		fclose(in);
	if (err) {
		fprintf(stderr, "%s:%u: %s\n", path, in ? r.line : 0, strerror(-err));
		return 2;
	}
	printf("%s: %u decisions, %u differ", path, r.decisions, r.differ);
	if (r.differ)
		printf(", the first on line %u", r.first);
	printf("\n");
	return r.differ || !r.decisions;
}

static int decisions(const char *path, unsigned i)
{
	struct plant p = {.host = sim_setting[0].host, .weight = sim_setting[0].weight};
	struct trace t;

	sim_decisions = fopen(path, "we");
	if (!sim_decisions || i >= sim_traces() || sim_trace_make(&t, i, 0.2))
		return 2;
	p.trace = &t;
	sim_run_ours(&p, 0);
	sim_trace_free(&t);
	return fclose(sim_decisions) ? 2 : 0;
}

int main(int argc, char **argv)
{
	const char *svg = NULL;
	struct scored *scored = NULL;
	unsigned n = 0;
	int i = 1, err;

	if (argc == 3 && !strcmp(argv[1], "--replay"))
		return replay(argv[2]);
	if (argc == 4 && !strcmp(argv[1], "--decisions"))
		return decisions(argv[2], atoi(argv[3]));
	for (; i < argc && *argv[i] == '-'; i++) {
		if (!strcmp(argv[i], "-v"))
			verbose = true;
		else if (!strcmp(argv[i], "--svg") && i + 1 < argc)
			svg = argv[++i];
		else
			return fprintf(stderr, "usage: haltpoll [-v] [--svg FILE] [TRACE...]\n"), 2;
	}
	err = run(argv + i, argc - i, &scored, &n);
	if (!err && svg) {
		err = sim_plot(svg, scored, n);
		if (err)
			fprintf(stderr, "%s: %s\n", svg, strerror(-err));
	}
	i = err ? 2 : summary(scored, n) != 0;
	free(scored);
	return i;
}
