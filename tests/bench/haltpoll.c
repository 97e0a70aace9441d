// SPDX-License-Identifier: Apache-2.0
/*
 * Halt polling in hindsight (PERF metric 14): what each way of choosing windows costs on made and recorded
 * traces, on several hosts, against the best fixed ceiling. See haltpoll/sim.h for the model and the price.
 *
 * usage: haltpoll [-v] [--svg FILE] [--made|--held-out] [RECORDING...]
 *        haltpoll --replay FILE           decide a trace of `--halt-poll auto,trace=` again
 *        haltpoll --decisions FILE N      write such a trace of made trace N, first host
 *
 * Without --made recordings are played alone. --held-out: variants of the made traces that the controller was
 * not tuned with, on more hosts, of which only the missed are told. Status 1: the controller missed its limit
 * somewhere.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/haltpoll/sim.h"
#include "vmm/haltpoll/trace.h"

#define VARIANTS 4 /* of each made trace, held out */

static const char usage[] =
	"usage: haltpoll [-v] [--svg FILE] [--made|--held-out] [RECORDING...]   play halts: made ones, of "
	"tools/halts\n"
	"       haltpoll --replay FILE         decide a trace of --halt-poll auto,trace= again\n"
	"       haltpoll --decisions FILE N    write such a trace of made trace N\n";

static bool verbose;

enum kind { NEITHER, RECORDING, CONTROLLERS };

/* What a file looks like, by the first line that says something. */
static enum kind kind_of(const char *path)
{
	enum kind kind = NEITHER;
	unsigned long long a, b;
	char text[256] = "", word[32];
	FILE *in = fopen(path, "re");

	if (!in)
		return NEITHER;
	while (fgets(text, sizeof(text), in) && (*text == '#' || *text == '\n'))
		text[0] = 0;
	if (!strncmp(text, "host grow_start_ns=", 19))
		kind = CONTROLLERS;
	else if (sscanf(text, "%llu %llu", &a, &b) == 2 || sscanf(text, "host %llu %llu", &a, &b) == 2 ||
		 sscanf(text, "unit %llu", &a) == 1 || sscanf(text, "family %31s", word) == 1)
		kind = RECORDING;
	fclose(in);
	return kind;
}

/* Why a file was not read as what it was given for. */
static void complain(const char *path, unsigned line, int err, enum kind wanted)
{
	enum kind kind = kind_of(path);

	if (err != -EINVAL)
		fprintf(stderr, "%s: %s\n", path, strerror(-err));
	else if (kind == wanted)
		fprintf(stderr, "%s:%u: no line as %s writes it\n", path, line,
			wanted == RECORDING ? "tools/halts" : "the controller");
	else if (kind == CONTROLLERS)
		fprintf(stderr, "%s: a trace of the controller; use --replay\n", path);
	else if (kind == RECORDING)
		fprintf(stderr,
			"%s: a recording of tools/halts, no trace of the controller; leave out --replay\n",
			path);
	else
		fprintf(stderr, "%s: no %s\n", path,
			wanted == RECORDING ? "recording of tools/halts, or without halts"
					    : "trace of the controller");
}

/* Everybody's score of every trace on every host. */
struct scores {
	struct scored *s;
	unsigned n, room;
	bool held_out;
};

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

static int score(struct scores *all, const struct trace *t, const struct setting *on)
{
	if (all->n == all->room) {
		unsigned room = all->room ? 2 * all->room : 128;
		struct scored *grown = reallocarray(all->s, room, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		all->s = grown;
		all->room = room;
	}
	sim_score(&all->s[all->n], t, &on->host, on->weight);
	if (!all->held_out || verbose || missed(&all->s[all->n]))
		row(&all->s[all->n]);
	all->n++;
	return 0;
}

static int made(struct scores *all, const struct setting *on)
{
	unsigned first = all->held_out, last = all->held_out ? VARIANTS : 0;
	int err = 0;

	for (unsigned i = 0; !err && i < sim_traces(); i++)
		for (unsigned v = first; !err && v <= last; v++) {
			struct trace t;

			err = sim_trace_make(&t, i, v, 1);
			if (err)
				break;
			err = score(all, &t, on);
			sim_trace_free(&t);
		}
	return err;
}

/* Each way there is to play it, but not at a pace that nobody knows. */
static int played(struct scores *all, const struct trace *recorded, const struct setting *on)
{
	double price = on->host.block_ns + (double)on->weight * on->host.wake_ns;
	int err = 0;

	for (unsigned how = 0; !err && how < SIM_PACES; how++) {
		struct trace t;

		if (how == SIM_AT_PACE && !recorded->block_ns)
			continue;
		err = sim_trace_play(&t, recorded, how, &on->host, price);
		if (err)
			break;
		err = score(all, &t, on);
		sim_trace_free(&t);
	}
	return err;
}

static int recorded(struct scores *all, const struct setting *on, char **file)
{
	int err = 0;

	for (; !err && *file; file++) {
		struct trace t;
		unsigned line;

		err = sim_trace_read(&t, *file, &line);
		if (err) {
			complain(*file, line, err, RECORDING);
			break;
		}
		err = played(all, &t, on);
		sim_trace_free(&t);
	}
	return err;
}

/* Before anything is played. */
static int check(char **file)
{
	for (; *file; file++) {
		struct trace t;
		unsigned line;
		int err = sim_trace_read(&t, *file, &line);

		if (err) {
			complain(*file, line, err, RECORDING);
			return err;
		}
		sim_trace_free(&t);
	}
	return 0;
}

static int run(struct scores *all, bool with_made, char **files)
{
	unsigned hosts = all->held_out ? sim_settings : sim_settings - sim_held_out;
	int err = 0;

	for (const struct setting *on = sim_setting; !err && on < sim_setting + hosts; on++) {
		head(on);
		if (with_made)
			err = made(all, on);
		if (!err)
			err = recorded(all, on, files);
		printf("\n");
	}
	return err;
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
		complain(path, in ? r.line : 0, err, CONTROLLERS);
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
	if (!sim_decisions || i >= sim_traces() || sim_trace_make(&t, i, 0, 0.2))
		return 2;
	p.trace = &t;
	sim_run_ours(&p, 0);
	sim_trace_free(&t);
	return fclose(sim_decisions) ? 2 : 0;
}

int main(int argc, char **argv)
{
	const char *svg = NULL;
	struct scores all = {0};
	bool with_made = false;
	int i = 1, err;

	if (argc == 3 && !strcmp(argv[1], "--replay"))
		return replay(argv[2]);
	if (argc == 4 && !strcmp(argv[1], "--decisions"))
		return decisions(argv[2], atoi(argv[3]));
	for (; i < argc && *argv[i] == '-'; i++) {
		if (!strcmp(argv[i], "-v"))
			verbose = true;
		else if (!strcmp(argv[i], "--made"))
			with_made = true;
		else if (!strcmp(argv[i], "--held-out"))
			all.held_out = true;
		else if (!strcmp(argv[i], "--svg") && i + 1 < argc)
			svg = argv[++i];
		else if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
			return fputs(usage, stdout) < 0 ? 2 : 0;
		else
			return fputs(usage, stderr), 2;
	}
	if (check(argv + i))
		return 2;
	err = run(&all, with_made || all.held_out || i == argc, argv + i);
	if (!err && svg) {
		err = sim_plot(svg, all.s, all.n);
		if (err)
			fprintf(stderr, "%s: %s\n", svg, strerror(-err));
	}
	i = err ? 2 : summary(all.s, all.n) != 0;
	free(all.s);
	return i;
}
