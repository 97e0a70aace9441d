// SPDX-License-Identifier: Apache-2.0
/* Recorded traces; see sim.h. tools/halts records them. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/haltpoll/sim.h"

#define RECORDED_LIMIT 1.3
#define LONGEST_NS     4e9

/* A file as far as it was read. */
struct reader {
	struct trace *trace;
	size_t room;
	uint64_t unit;
};

static int add(struct trace *t, size_t *room, const struct halt *halt)
{
	if (t->n == *room) {
		size_t more = *room ? *room * 2 : 4096;
		struct halt *grown = reallocarray(t->halt, more, sizeof(*halt));

		if (!grown)
			return -ENOMEM;
		t->halt = grown;
		*room = more;
	}
	t->halt[t->n++] = *halt;
	return 0;
}

/* What is said of the halts, before the first. */
static bool head(struct reader *r, const char *text)
{
	struct trace *t = r->trace;
	char rest;

	if (t->n)
		return false;
	return (sscanf(text, "unit %" SCNu64 " %c", &r->unit, &rest) == 1 && r->unit &&
		       r->unit <= LONGEST_NS) ||
	       (sscanf(text, "host %" SCNu64 " %" SCNu64 " %c", &t->block_ns, &t->wake_ns, &rest) == 2 &&
		       t->block_ns && t->wake_ns) ||
	       sscanf(text, "family %31s %c", t->family, &rest) == 1;
}

static int line_of(struct reader *r, const char *text)
{
	uint64_t run, halt;
	char rest;

	if (*text == '#' || *text == '\n')
		return 0;
	if (sscanf(text, "%" SCNu64 " %" SCNu64 " %c", &run, &halt, &rest) != 2)
		return head(r, text) ? 0 : -EINVAL;
	if (!halt || run > LONGEST_NS / r->unit || halt > LONGEST_NS / r->unit)
		return -EINVAL;
	return add(r->trace, &r->room, &(struct halt){.run_ns = run * r->unit, .gap_ns = halt * r->unit});
}

int sim_trace_read(struct trace *t, const char *path, unsigned *line)
{
	const char *name = strrchr(path, '/');
	struct reader r = {.trace = t, .unit = 1};
	char *text = NULL;
	size_t size = 0;
	FILE *in = fopen(path, "re");
	int err = 0;

	memset(t, 0, sizeof(*t));
	*line = 0;
	if (!in)
		return -errno;
	snprintf(t->name, sizeof(t->name), "%s", name ? name + 1 : path);
	snprintf(t->family, sizeof(t->family), "recorded");
	t->limit = RECORDED_LIMIT;
	while (!err && getline(&text, &size, in) > 0) {
		(*line)++;
		err = line_of(&r, text);
	}
	if (!err && !t->n)
		err = -EINVAL;
	if (err)
		sim_trace_free(t);
	free(text);
	fclose(in);
	return err;
}

static uint32_t at_pace(double ns, double pace)
{
	ns *= pace;
	return ns < 1 ? 1 : ns > LONGEST_NS ? LONGEST_NS : ns;
}

static int by_gap(const void *a, const void *b)
{
	const struct halt *x = a, *y = b;

	return (x->gap_ns > y->gap_ns) - (x->gap_ns < y->gap_ns);
}

static double gap_of(const struct trace *t, const struct halt *h)
{
	return h->gap_ns > t->wake_ns ? (double)h->gap_ns - t->wake_ns : 1;
}

/* 0: there is no memory. */
static double median_gap(const struct trace *t)
{
	struct halt *sorted = malloc(t->n * sizeof(*sorted));
	double gap;

	if (!sorted)
		return 0;
	memcpy(sorted, t->halt, t->n * sizeof(*sorted));
	qsort(sorted, t->n, sizeof(*sorted), by_gap);
	gap = gap_of(t, &sorted[t->n / 2]);
	free(sorted);
	return gap;
}

int sim_trace_play(struct trace *to, const struct trace *from, enum sim_pace how,
	const struct halt_host *host, double price)
{
	static const char *const name[] = {"as it was", "host's pace", "near C"};
	double ns = 0, pace = 1, median = median_gap(from);
	size_t room = 0;
	int err = 0;

	if (!median)
		return -ENOMEM;
	if (how == SIM_AT_PACE && !from->block_ns)
		return -ENODATA;
	if (how == SIM_AT_PACE)
		pace = (double)(host->block_ns + host->wake_ns) / (from->block_ns + from->wake_ns);
	else if (how == SIM_NEAR)
		pace = price / 2 / median;
	*to = *from;
	to->halt = NULL;
	to->n = 0;
	snprintf(to->name, sizeof(to->name), "%.14s, %s", from->name, name[how]);
	while (!err && to->n < SIM_HALTS && (to->n < from->n || ns < SIM_TIME)) {
		const struct halt *h = &from->halt[to->n % from->n];
		struct halt played = {
			.run_ns = at_pace(h->run_ns, pace), .gap_ns = at_pace(gap_of(from, h), pace)};

		ns += played.run_ns + played.gap_ns;
		err = add(to, &room, &played);
	}
	if (err)
		sim_trace_free(to);
	return err;
}
