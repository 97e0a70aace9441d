// SPDX-License-Identifier: Apache-2.0
/* The table and the JSON of `pinvm perf stat`; see show.h. */
#include "vmm/perf/show.h"

#include <inttypes.h>
#include <string.h>

#include "vmm/util.h"

#define LABEL  24
#define COLUMN 19

static const char *const side_names[PERF_SIDES] = {"guest", "host", "both"};

/* Of two events that are counted at the same time. */
static const struct ratio {
	const char *name, *label;
	const char *over, *under;
	const char *after; /* the event that it follows in the table */
	bool percent;
} ratios[] = {
	{"cpi", "CPI", "cycles", "instructions", "instructions", false},
	{"cache_misses", "% of cache-references", "cache-misses", "cache-references", "cache-misses", true},
	{"branch_misses", "% of branches", "branch-misses", "branches", "branch-misses", true},
	{"dtlb_misses", "% of dTLB-loads", "dTLB-load-misses", "dTLB-loads", "dTLB-load-misses", true},
	{"llc_misses", "% of LLC-loads", "LLC-load-misses", "LLC-loads", "LLC-load-misses", true},
	{"itlb_misses", "% of iTLB-loads", "iTLB-load-misses", "iTLB-loads", "iTLB-load-misses", true},
};

#define RATIOS COUNT(ratios)

/* A thread, or (-1) all of them. */
static struct perf_value value_of(
	const struct perf_interval *i, int thread, unsigned event, enum perf_side side)
{
	struct perf_value sum;

	if (thread >= 0)
		return i->value[perf_at(i->events, thread, event, side)];
	sum = i->value[perf_at(i->events, 0, event, side)];
	for (unsigned t = 1; t < i->guest->n; t++)
		sum = perf_sum(&sum, &i->value[perf_at(i->events, t, event, side)]);
	return sum;
}

static bool has_side(const struct perf_event *event, enum perf_side side)
{
	return event->split ? side != PERF_BOTH : side == PERF_BOTH;
}

static const struct perf_event *find(const struct perf_selection *events, const char *name)
{
	for (unsigned i = 0; i < events->n; i++)
		if (!strcmp(events->event[i].name, name))
			return &events->event[i];
	return NULL;
}

/* False: the events are not there, or there is nothing to divide by. */
static bool ratio_of(
	const struct perf_interval *i, const struct ratio *r, int thread, enum perf_side side, double *out)
{
	const struct perf_event *over = find(i->events, r->over), *under = find(i->events, r->under);
	struct perf_value a, b;

	if (!over || !under || !has_side(over, side) || !has_side(under, side))
		return false;
	a = value_of(i, thread, over - i->events->event, side);
	b = value_of(i, thread, under - i->events->event, side);
	if (!a.known || !b.known || !b.n)
		return false;
	*out = (r->percent ? 100.0 : 1.0) * a.n / b.n;
	return true;
}

/* ---- the table ---- */

/* 1234567 as 1,234,567 */
static void grouped(uint64_t n, char *out, size_t size)
{
	char digits[24];
	size_t len = snprintf(digits, sizeof(digits), "%" PRIu64, n), at = 0;

	for (size_t i = 0; i < len && at + 2 < size; i++) {
		if (i && !((len - i) % 3))
			out[at++] = ',';
		out[at++] = digits[i];
	}
	out[at] = '\0';
}

static void cell(const struct perf_event *event, const struct perf_value *v, char *out, size_t n)
{
	if (!v->known)
		snprintf(out, n, "not counted");
	else if (event->time)
		snprintf(out, n, "%.3f ms", v->n / 1e6);
	else
		grouped(v->n, out, n);
}

/* Blanks where they end a line are not printed. */
static void print_line(FILE *out, const char *label, char text[PERF_SIDES][32], const char *note)
{
	char line[160];
	int len = snprintf(line, sizeof(line), "  %-*s%*s%*s%*s", LABEL, label, COLUMN, text[PERF_GUEST],
		COLUMN, text[PERF_HOST], COLUMN, text[PERF_BOTH]);

	while (!*note && len > 0 && line[len - 1] == ' ')
		line[--len] = '\0';
	fprintf(out, "%s%s%s\n", line, *note ? "   " : "", note);
}

/* "scaled from 62 % / 50 %": so much of the time was counted. */
static void note_of(const struct perf_interval *i, const struct perf_event *event,
	const struct perf_value v[PERF_SIDES], char *out, size_t n)
{
	bool scaled = false;

	out[0] = '\0';
	for (enum perf_side s = 0; s < PERF_SIDES; s++)
		scaled |= has_side(event, s) && v[s].known && v[s].counted < 0.9995;
	if (scaled && event->split)
		snprintf(out, n, "scaled from %.0f %% / %.0f %%", v[PERF_GUEST].counted * 100,
			v[PERF_HOST].counted * 100);
	else if (scaled)
		snprintf(out, n, "scaled from %.0f %%", v[PERF_BOTH].counted * 100);
	else if (event->time && i->seconds > 0)
		snprintf(out, n, "%.3f CPUs", v[PERF_BOTH].n / 1e9 / i->seconds);
}

static void show_ratios(FILE *out, const struct perf_interval *i, int thread, const char *after)
{
	for (size_t r = 0; r < RATIOS; r++) {
		char text[PERF_SIDES][32] = {"", "", ""};
		bool any = false;
		double ratio;

		if (strcmp(ratios[r].after, after))
			continue;
		for (enum perf_side s = 0; s < PERF_SIDES; s++)
			if (ratio_of(i, &ratios[r], thread, s, &ratio)) {
				snprintf(text[s], sizeof(text[s]), "%.2f", ratio);
				any = true;
			}
		if (any)
			print_line(out, ratios[r].label, text, "");
	}
}

static void show_events(FILE *out, const struct perf_interval *i, int thread)
{
	for (unsigned e = 0; e < i->events->n; e++) {
		const struct perf_event *event = &i->events->event[e];
		struct perf_value v[PERF_SIDES];
		char text[PERF_SIDES][32] = {"", "", ""}, note[64];

		for (enum perf_side s = 0; s < PERF_SIDES; s++) {
			v[s] = value_of(i, thread, e, s);
			if (has_side(event, s))
				cell(event, &v[s], text[s], sizeof(text[s]));
		}
		note_of(i, event, v, note, sizeof(note));
		print_line(out, event->name, text, note);
		show_ratios(out, i, thread, event->name);
	}
}

static void show_head(FILE *out, const char *label)
{
	fprintf(out, "%-*s%*s%*s%*s\n", LABEL + 2, label, COLUMN, side_names[PERF_GUEST], COLUMN,
		side_names[PERF_HOST], COLUMN, side_names[PERF_BOTH]);
}

void perf_show(FILE *out, const struct perf_interval *i)
{
	char label[64];

	fprintf(out, "%s, pid %d: %.3f s\n", i->guest->name, (int)i->guest->pid, i->seconds);
	for (unsigned t = 0; t < i->guest->n; t++) {
		snprintf(label, sizeof(label), "%s (tid %d)", i->guest->thread[t].name,
			(int)i->guest->thread[t].tid);
		show_head(out, label);
		show_events(out, i, t);
	}
	if (i->guest->n > 1) {
		snprintf(label, sizeof(label), "all %u", i->guest->n);
		show_head(out, label);
		show_events(out, i, -1);
	}
}

/* ---- JSON ---- */

static json_t *value_json(const struct perf_value *v)
{
	return json_pack(
		"{s:o, s:f}", "count", v->known ? json_integer(v->n) : json_null(), "counted", v->counted);
}

static json_t *counts_json(const struct perf_interval *i, int thread)
{
	json_t *counts = json_object();

	for (unsigned e = 0; e < i->events->n; e++) {
		const struct perf_event *event = &i->events->event[e];
		json_t *sides = json_object();

		for (enum perf_side s = 0; s < PERF_SIDES; s++) {
			struct perf_value v = value_of(i, thread, e, s);

			if (has_side(event, s))
				json_object_set_new(sides, side_names[s], value_json(&v));
		}
		json_object_set_new(counts, event->name, sides);
	}
	return counts;
}

static json_t *ratios_json(const struct perf_interval *i, int thread)
{
	json_t *all = json_object();

	for (size_t r = 0; r < RATIOS; r++) {
		json_t *sides = json_object();
		double ratio;

		for (enum perf_side s = 0; s < PERF_SIDES; s++)
			if (ratio_of(i, &ratios[r], thread, s, &ratio))
				json_object_set_new(sides, side_names[s], json_real(ratio));
		if (json_object_size(sides))
			json_object_set(all, ratios[r].name, sides);
		json_decref(sides);
	}
	return all;
}

static json_t *thread_json(const struct perf_interval *i, unsigned t)
{
	const struct perf_thread *thread = &i->guest->thread[t];
	json_t *row = json_pack("{s:s, s:i}", "name", thread->name, "tid", (int)thread->tid);

	if (thread->vcpu >= 0)
		json_object_set_new(row, "index", json_integer(thread->vcpu));
	json_object_set_new(row, "counts", counts_json(i, t));
	json_object_set_new(row, "ratios", ratios_json(i, t));
	return row;
}

static json_t *events_json(const struct perf_selection *events)
{
	json_t *list = json_array();

	for (unsigned e = 0; e < events->n; e++)
		json_array_append_new(list,
			json_pack("{s:s, s:b, s:s}", "name", events->event[e].name, "split",
				(int)events->event[e].split, "unit", events->event[e].time ? "ns" : "count"));
	return list;
}

static json_t *missing_json(const struct perf_selection *events)
{
	json_t *list = json_array();

	for (unsigned m = 0; m < events->nmissing; m++)
		json_array_append_new(list, json_pack("{s:s, s:s}", "name", events->missing[m].name, "why",
						    events->missing[m].why));
	return list;
}

json_t *perf_json(const struct perf_interval *i)
{
	json_t *vcpus = json_array(), *threads = json_array(), *all;

	for (unsigned t = 0; t < i->guest->n; t++)
		json_array_append_new(i->guest->thread[t].vcpu >= 0 ? vcpus : threads, thread_json(i, t));
	all = json_pack("{s:o, s:o}", "counts", counts_json(i, -1), "ratios", ratios_json(i, -1));
	return json_pack("{s:s, s:i, s:f, s:o, s:o, s:o, s:o, s:o, s:o}", "name", i->guest->name, "pid",
		(int)i->guest->pid, "seconds", i->seconds, "pmu",
		*i->machine->pmu ? json_string(i->machine->pmu) : json_null(), "events",
		events_json(i->events), "missing", missing_json(i->events), "vcpus", vcpus, "threads",
		threads, "total", all);
}
