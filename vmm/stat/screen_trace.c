// SPDX-License-Identifier: Apache-2.0
/* The screen's part of --trace: the busiest of what the kernel's tracepoints tell of each vCPU. Pure. */
#include <stdio.h>

#include "vmm/stat/grid.h"
#include "vmm/stat/screen.h"
#include "vmm/stat/text.h"
#include "vmm/util.h"

#define ROWS 5 /* of each kind and vCPU, at most */
#define NAME 128

static void cell_count(struct grid *grid, const json_t *row, const char *path)
{
	char text[TEXT_NUMBER];
	double n;

	grid_cell(grid, json_number_at(row, path, &n) ? text_count(n, text) : NULL);
}

/* Mean time of those that were timed. */
static void cell_mean(struct grid *grid, const json_t *row)
{
	char text[TEXT_NUMBER];
	double ns, n;

	if (json_number_at(row, "timed", &n) && json_number_at(row, "ns", &ns) && n > 0)
		grid_cell(grid, text_seconds(ns / n * 1e-9, text));
	else
		grid_cell(grid, NULL);
}

static const char * or (const char *text, const char *otherwise)
{
	return text ? text : otherwise;
}

static void exit_name(const json_t *row, char *out, size_t n)
{
	json_int_t number = json_integer_value(json_object_get(row, "number"));

	snprintf(out, n, "%.20s %lld %.60s", or (json_text_at(row, "isa"), "reason"), (long long)number,
		or (json_text_at(row, "name"), ""));
}

static void user_name(const json_t *row, char *out, size_t n)
{
	snprintf(out, n, "%.80s", or (json_text_at(row, "name"), "?"));
}

static void access_name(const json_t *row, char *out, size_t n)
{
	const char *name = json_text_at(row, "name");

	snprintf(out, n, "%.20s %.10s 0x%llx%s%.60s", or (json_text_at(row, "kind"), "?"),
		or (json_text_at(row, "op"), "?"),
		(unsigned long long)json_integer_value(json_object_get(row, "address")), name ? " " : "", or (name, ""));
}

static void interrupt_name(const json_t *row, char *out, size_t n)
{
	json_t *irq = json_object_get(row, "irq");
	double ended = 0;
	size_t len = 0;

	if (json_is_integer(irq))
		len = snprintf(out, n, "irq %lld ", (long long)json_integer_value(irq));
	len += snprintf(out + len, n - len, "%.60s", or (json_text_at(row, "name"), "?"));
	if (json_number_at(row, "exits", &ended) && ended > 0)
		snprintf(out + len, n - len, ", %.0f of %lld as the guest ran", ended,
			(long long)json_integer_value(json_object_get(row, "count")));
}

static const struct {
	const char *list, *word;
	void (*name)(const json_t *row, char *out, size_t n);
} kinds[] = {
	{"exits", "exit", exit_name},
	{"user_exits", "to pinvm", user_name},
	{"accesses", "reached", access_name},
	{"interrupts", "interrupt", interrupt_name},
};

static void rows_of(struct grid *grid, const json_t *vcpu, unsigned kind)
{
	char name[NAME], text[TEXT_NUMBER];
	double rate, index = 0;
	json_t *row;
	size_t i;

	json_number_at(vcpu, "index", &index);
	json_array_foreach(json_object_get(json_object_get(vcpu, "trace"), kinds[kind].list), i, row)
	{
		if (i == ROWS || !json_number_at(row, "per_s", &rate) || rate <= 0)
			return;
		snprintf(text, sizeof(text), "%.0f", index);
		grid_cell(grid, text);
		grid_cell(grid, kinds[kind].word);
		cell_count(grid, row, "per_s");
		cell_mean(grid, row);
		kinds[kind].name(row, name, sizeof(name));
		grid_cell(grid, name);
	}
}

/* What is not all there. */
static void incomplete(const json_t *vcpu, FILE *out, unsigned width)
{
	double lost = 0, malformed = 0, crowded = 0;
	char text[160];

	json_number_at(vcpu, "trace.lost", &lost);
	json_number_at(vcpu, "trace.malformed", &malformed);
	json_number_at(vcpu, "trace.crowded", &crowded);
	if (lost + malformed + crowded <= 0)
		return;
	snprintf(text, sizeof(text), "vcpu%lld: records lost: %.0f, not understood: %.0f, without a row: %.0f",
		(long long)json_integer_value(json_object_get(vcpu, "index")), lost, malformed, crowded);
	screen_line(text, out, width);
}

void screen_trace(const json_t *doc, FILE *out, unsigned width)
{
	static const struct grid_column column[] = {{"VCPU", GRID_RIGHT}, {"TRACED", GRID_LEFT, 9},
		{"/s", GRID_RIGHT, 6}, {"MEAN", GRID_RIGHT, 5}, {"WHAT", GRID_CUT}, {NULL}};
	struct grid grid;
	json_t *vcpu;
	size_t i;

	if (!json_object_get(doc, "trace"))
		return;
	fputs("\n", out);
	grid_begin(&grid, column);
	json_array_foreach(json_object_get(doc, "vcpus"), i, vcpu)
	{
		for (unsigned kind = 0; kind < COUNT(kinds); kind++)
			rows_of(&grid, vcpu, kind);
	}
	grid_end(&grid, out, width);
	json_array_foreach(json_object_get(doc, "vcpus"), i, vcpu) incomplete(vcpu, out, width);
}
