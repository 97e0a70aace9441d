// SPDX-License-Identifier: Apache-2.0
/* THE table of events, and what a list of their names selects; see events.h. */
#include "vmm/perf/events.h"

#include <ctype.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/log.h"
#include "vmm/options/options.h"
#include "vmm/options/typed.h"
#include "vmm/perf/pmu.h"
#include "vmm/util.h"

/* perf_event_open(2), of PERF_TYPE_HW_CACHE */
#define CACHE(id, result)                                              \
	(PERF_COUNT_HW_CACHE_##id | PERF_COUNT_HW_CACHE_OP_READ << 8 | \
		PERF_COUNT_HW_CACHE_RESULT_##result << 16)

enum { CPI, CACHES, BRANCHES, DTLB, WALKS, REFERENCE, LLC, ITLB, SOFTWARE, RAW };

struct row {
	const char *name, *other; /* another name, or NULL */
	uint32_t type;
	uint64_t config;
	unsigned group;
	bool usual; /* counted when nothing is asked for */
	const char *help;
};

#define HARD(c)		   PERF_TYPE_HARDWARE, PERF_COUNT_HW_##c
#define SOFT(c)		   PERF_TYPE_SOFTWARE, PERF_COUNT_SW_##c
#define CACHED(id, result) PERF_TYPE_HW_CACHE, CACHE(id, result)

static const struct row rows[] = {
	{"cycles", "cpu-cycles", HARD(CPU_CYCLES), CPI, true, "cycles of the CPU; with instructions: CPI"},
	{"instructions", NULL, HARD(INSTRUCTIONS), CPI, true, "instructions retired"},
	{"cache-references", NULL, HARD(CACHE_REFERENCES), CACHES, true,
		"accesses to the last level of cache"},
	{"cache-misses", NULL, HARD(CACHE_MISSES), CACHES, true, "those that it did not have"},
	{"branches", "branch-instructions", HARD(BRANCH_INSTRUCTIONS), BRANCHES, true, "branches retired"},
	{"branch-misses", NULL, HARD(BRANCH_MISSES), BRANCHES, true, "those that were mispredicted"},
	{"dTLB-loads", NULL, CACHED(DTLB, ACCESS), DTLB, true, "loads that looked into the data TLB"},
	{"dTLB-load-misses", NULL, CACHED(DTLB, MISS), DTLB, true, "those that it did not have"},
	{"page-walks", NULL, PERF_TYPE_RAW, 0, WALKS, true, "walks of page tables for loads"},
	{"ref-cycles", NULL, HARD(REF_CPU_CYCLES), REFERENCE, false,
		"cycles of a clock that does not change"},
	{"LLC-loads", NULL, CACHED(LL, ACCESS), LLC, false, "loads from the last level of cache"},
	{"LLC-load-misses", NULL, CACHED(LL, MISS), LLC, false, "those that it did not have"},
	{"iTLB-loads", NULL, CACHED(ITLB, ACCESS), ITLB, false,
		"fetches that looked into the instruction TLB"},
	{"iTLB-load-misses", NULL, CACHED(ITLB, MISS), ITLB, false, "those that it did not have"},
	{"context-switches", "cs", SOFT(CONTEXT_SWITCHES), SOFTWARE, true, "how often the thread left a CPU"},
	{"cpu-migrations", "migrations", SOFT(CPU_MIGRATIONS), SOFTWARE, true,
		"how often it came to another CPU"},
	{"page-faults", "faults", SOFT(PAGE_FAULTS), SOFTWARE, true, "page faults of the thread on the host"},
	{"minor-faults", NULL, SOFT(PAGE_FAULTS_MIN), SOFTWARE, false, "those without I/O"},
	{"major-faults", NULL, SOFT(PAGE_FAULTS_MAJ), SOFTWARE, false, "those that waited for I/O"},
	{"task-clock", NULL, SOFT(TASK_CLOCK), SOFTWARE, true, "time on a CPU, guest and host together"},
};

static bool is_software(const struct row *row)
{
	return row->type == PERF_TYPE_SOFTWARE;
}

static const struct row *find(const char *name, size_t len)
{
	for (size_t i = 0; i < COUNT(rows); i++) {
		const char *other = rows[i].other;

		if (!strncmp(rows[i].name, name, len) && !rows[i].name[len])
			return &rows[i];
		if (other && !strncmp(other, name, len) && !other[len])
			return &rows[i];
	}
	return NULL;
}

static void miss(struct perf_selection *s, const char *name, const char *why)
{
	struct perf_missing *m = &s->missing[s->nmissing++];

	snprintf(m->name, sizeof(m->name), "%s", name);
	snprintf(m->why, sizeof(m->why), "%s", why);
}

void perf_drop(struct perf_selection *s, unsigned i, const char *why)
{
	char name[PERF_NAME];

	memcpy(name, s->event[i].name, sizeof(name));
	miss(s, name, why);
	memmove(&s->event[i], &s->event[i + 1], (--s->n - i) * sizeof(s->event[0]));
}

/* On a machine with several kinds of cores the kernel wants to be told which PMU a general event is of. */
static void general(const struct perf_machine *machine, struct perf_event *event)
{
	if (machine->hybrid && (event->type == PERF_TYPE_HARDWARE || event->type == PERF_TYPE_HW_CACHE))
		event->config |= (uint64_t)machine->pmu_type << 32;
}

static void add(
	const char *root, const struct perf_machine *machine, struct perf_selection *s, const struct row *row)
{
	struct perf_event *event = &s->event[s->n];
	char why[sizeof(s->missing[0].why)];

	*event = (struct perf_event){.type = row->type,
		.config = row->config,
		.split = !is_software(row),
		.time = is_software(row) && row->config == PERF_COUNT_SW_TASK_CLOCK,
		.group = row->group};
	snprintf(event->name, sizeof(event->name), "%s", row->name);
	if (event->split && !*machine->pmu) {
		miss(s, row->name, PERF_NO_PMU);
		return;
	}
	if (row->group == WALKS) {
		event->type = machine->pmu_type;
		if (perf_page_walks(root, machine, &event->config, why, sizeof(why))) {
			miss(s, row->name, why);
			return;
		}
	}
	general(machine, event);
	s->n++;
}

/* rNNN, as perf(1) writes an event by its number: hexadecimal. */
static bool is_raw(const char *name, size_t len)
{
	if (len < 2 || len > 17 || name[0] != 'r')
		return false;
	for (size_t i = 1; i < len; i++)
		if (!isxdigit((unsigned char)name[i]))
			return false;
	return true;
}

static int twice(const char *name, size_t len)
{
	log_err("perf: -e %.*s: given twice", (int)len, name);
	return -EINVAL;
}

static int add_raw(const struct perf_machine *machine, struct perf_selection *s, const char *name, size_t len)
{
	struct perf_event *event = &s->event[s->n];
	char text[PERF_NAME];

	for (unsigned i = 0; i < s->n + s->nmissing; i++) {
		const char *had = i < s->n ? s->event[i].name : s->missing[i - s->n].name;

		if (!strncmp(had, name, len) && !had[len])
			return twice(name, len);
	}
	if (s->n + s->nmissing == PERF_EVENTS) {
		log_err("perf: -e: at most %d events", PERF_EVENTS);
		return -EINVAL;
	}
	snprintf(text, sizeof(text), "%.*s", (int)len, name);
	if (!*machine->pmu) {
		miss(s, text, PERF_NO_PMU);
		return 0;
	}
	*event = (struct perf_event){.type = machine->hybrid ? machine->pmu_type : PERF_TYPE_RAW,
		.config = strtoull(name + 1, NULL, 16),
		.split = true,
		.group = RAW + s->n};
	memcpy(event->name, text, sizeof(text));
	s->n++;
	return 0;
}

static int unknown(const char *name, size_t len)
{
	char text[PERF_NAME * 2];
	const char *near;

	snprintf(text, sizeof(text), "%.*s", (int)len, name);
	for (char *p = text; *p; p++)
		*p = iscntrl((unsigned char)*p) ? '?' : *p;
	near = options_nearest(text, &rows[0].name, COUNT(rows), sizeof(rows[0]));
	if (!len)
		log_err("perf: -e: an empty name in the list");
	else if (strchr(text, ':'))
		log_err("perf: -e %s: tracepoints and modifiers are for perf(1); `pinvm help perf` lists the "
			"events",
			text);
	else if (near)
		log_err("perf: -e %s: unknown event; did you mean %s?", text, near);
	else
		log_err("perf: -e %s: unknown event; `pinvm help perf` lists them, and rNNN is one by its "
			"number",
			text);
	return -EINVAL;
}

/* Names in the list become `wanted`, by the row; raw events are added at once. */
static int read_list(const struct perf_machine *machine, const char *list, bool wanted[COUNT(rows)],
	struct perf_selection *raw)
{
	for (;; list++) {
		size_t len = strcspn(list, ",");
		const struct row *row = len ? find(list, len) : NULL;
		int err = 0;

		if (!row)
			err = is_raw(list, len) ? add_raw(machine, raw, list, len) : unknown(list, len);
		else if (wanted[row - rows])
			err = twice(row->name, strlen(row->name));
		if (err)
			return err;
		if (row)
			wanted[row - rows] = true;
		list += len;
		if (!*list)
			return 0;
	}
}

int perf_select(
	const char *root, const struct perf_machine *machine, const char *list, struct perf_selection *out)
{
	bool wanted[COUNT(rows)] = {false};
	struct perf_selection raw = {.n = 0};
	int err = 0;

	memset(out, 0, sizeof(*out));
	if (list)
		err = read_list(machine, list, wanted, &raw);
	if (err)
		return err;
	for (size_t i = 0; i < COUNT(rows); i++)
		if (list ? wanted[i] : rows[i].usual)
			add(root, machine, out, &rows[i]);
	if (out->n + raw.n > PERF_EVENTS || out->nmissing + raw.nmissing > PERF_EVENTS) {
		log_err("perf: -e: at most %d events", PERF_EVENTS);
		return -EINVAL;
	}
	memcpy(&out->event[out->n], raw.event, raw.n * sizeof(raw.event[0]));
	memcpy(&out->missing[out->nmissing], raw.missing, raw.nmissing * sizeof(raw.missing[0]));
	out->n += raw.n;
	out->nmissing += raw.nmissing;
	if (list && out->nmissing) {
		log_err("perf: -e %s: %s", out->missing[0].name, out->missing[0].why);
		return -ENODEV;
	}
	return 0;
}

static void names(const struct row *row, char *out, size_t n)
{
	snprintf(out, n, "%s%s%s", row->name, row->other ? ", " : "", row->other ? row->other : "");
}

void perf_events_help(FILE *out)
{
	char left[80], name[64];

	for (size_t i = 0; i < COUNT(rows); i++) {
		names(&rows[i], name, sizeof(name));
		snprintf(left, sizeof(left), "  %c %s", rows[i].usual ? '*' : ' ', name);
		options_help_line(out, left, rows[i].help);
	}
}

void perf_events_man(FILE *out)
{
	char name[64];

	for (size_t i = 0; i < COUNT(rows); i++) {
		names(&rows[i], name, sizeof(name));
		fputs(".TP\n.B ", out);
		options_man_text(out, name);
		fputs("\n", out);
		options_man_text(out, rows[i].help);
		fputs(rows[i].usual ? "\n" : " (not without being asked for)\n", out);
	}
}

void perf_events_words(FILE *out)
{
	for (size_t i = 0; i < COUNT(rows); i++)
		fprintf(out, "%s%s", i ? " " : "", rows[i].name);
}
