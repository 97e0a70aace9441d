// SPDX-License-Identifier: Apache-2.0
/* What was traced, on a screen: the busiest rows of each kind, with their rate in the interval. One thread.
 */
#include <stdlib.h>
#include <string.h>

#include "vmm/trace/priv.h"

#define LINE 256

struct row {
	double rate;
	unsigned index;
};

static int faster(const void *l, const void *r)
{
	const struct row *a = l, *b = r;

	if (a->rate < b->rate || a->rate > b->rate)
		return a->rate < b->rate ? 1 : -1;
	return a->index < b->index ? -1 : 1;
}

/* A line is cut where the screen ends; its text is ASCII. */
static void put(FILE *out, unsigned width, const char *line)
{
	fprintf(out, "%.*s\n", (int)width, line);
}

static const char *mean_text(uint64_t ns, uint64_t n, char text[24])
{
	double mean = n ? (double)ns / n : 0;

	if (!n)
		snprintf(text, 24, "-");
	else if (mean < 1e4)
		snprintf(text, 24, "%.0fns", mean);
	else if (mean < 1e7)
		snprintf(text, 24, "%.0fus", mean / 1e3);
	else
		snprintf(text, 24, "%.0fms", mean / 1e6);
	return text;
}

static void print_reasons(
	const struct trace *t, const struct trace_vcpu *v, FILE *out, unsigned width, unsigned rows)
{
	char line[LINE], name[TRACE_TEXT], mean[24];
	struct row row[TRACE_REASONS];

	for (unsigned i = 0; i < v->reasons; i++)
		row[i] = (struct row){trace_rate(t, &v->reason[i].exits), i};
	qsort(row, v->reasons, sizeof(*row), faster);
	for (unsigned i = 0; i < v->reasons && i < rows; i++) {
		const struct trace_reason *r = &v->reason[row[i].index];
		const char *isa = trace_isa_name(r->isa);

		snprintf(line, sizeof(line), "  exit       %10.1f/s %8s  %s %u %s", row[i].rate,
			mean_text(r->ns, r->timed, mean), isa ? isa : "reason", r->code,
			trace_reason_name(r->isa, r->code) ? trace_reason_text(r, name) : "");
		put(out, width, line);
	}
}

static void print_reached(const struct trace *t, const struct trace_vcpu *v, bool user, FILE *out,
	unsigned width, unsigned rows)
{
	char line[LINE], name[TRACE_TEXT];
	struct row row[TRACE_REACHED];
	unsigned n = 0;

	for (unsigned i = 0; i < v->reached; i++)
		if ((v->reach[i].kind == TRACE_USER) == user)
			row[n++] = (struct row){trace_rate(t, &v->reach[i].n), i};
	qsort(row, n, sizeof(*row), faster);
	for (unsigned i = 0; i < n && i < rows; i++) {
		snprintf(line, sizeof(line), "  %-10s %10.1f/s           %s", user ? "to user" : "reached",
			row[i].rate, trace_reached_text(&v->reach[row[i].index], name));
		put(out, width, line);
	}
}

static void print_causes(
	const struct trace *t, const struct trace_vcpu *v, FILE *out, unsigned width, unsigned rows)
{
	char line[LINE], name[TRACE_TEXT];
	struct row row[TRACE_CAUSES];

	for (unsigned i = 0; i < v->causes; i++)
		row[i] = (struct row){trace_rate(t, &v->cause[i].hits), i};
	qsort(row, v->causes, sizeof(*row), faster);
	for (unsigned i = 0; i < v->causes && i < rows; i++) {
		const struct trace_cause *c = &v->cause[row[i].index];

		snprintf(line, sizeof(line),
			"  interrupt  %10.1f/s           %s (%llu of %llu ended a run of the guest)",
			row[i].rate, trace_cause_text(c, name), (unsigned long long)c->ended,
			(unsigned long long)c->hits.n);
		put(out, width, line);
	}
}

void trace_print(const struct trace *t, unsigned i, FILE *out, unsigned width, unsigned rows)
{
	const struct trace_vcpu *v = trace_vcpu(t, i);
	char line[LINE];

	snprintf(line, sizeof(line), "vcpu%u traced: %.1f exits/s, %.1f to user space%s", v->vcpu,
		trace_rate(t, &v->event[TRACE_EV_EXIT]), trace_rate(t, &v->event[TRACE_EV_USER_EXIT]),
		v->ended ? "; the thread has ended" : "");
	put(out, width, line);
	print_reasons(t, v, out, width, rows);
	print_reached(t, v, true, out, width, rows);
	print_reached(t, v, false, out, width, rows);
	print_causes(t, v, out, width, rows);
	if (v->lost || v->malformed || v->crowded) {
		snprintf(line, sizeof(line),
			"  incomplete: %llu records lost, %llu not understood, %llu without a row",
			(unsigned long long)v->lost, (unsigned long long)v->malformed,
			(unsigned long long)v->crowded);
		put(out, width, line);
	}
}
