// SPDX-License-Identifier: Apache-2.0
/* The screen's part on exits: the busiest reasons of each vCPU, and what the guest reached for. Pure. */
#include <stdlib.h>
#include <string.h>

#include "vmm/stat/grid.h"
#include "vmm/stat/screen.h"
#include "vmm/stat/text.h"
#include "vmm/util.h"

#define REASONS 4  /* of a vCPU, at most */
#define TARGETS 3  /* of a reason */
#define ALL	64 /* that are looked at */

struct reason {
	const char *name;
	double rate;
	bool in_kernel; /* KVM dealt with it, and pinvm heard nothing */
};

static int busier(const void *l, const void *r)
{
	const struct reason *a = l, *b = r;

	if (a->rate != b->rate)
		return a->rate < b->rate ? 1 : -1;
	return strcmp(a->name, b->name);
}

/* Of KVM's counts, those of exits that pinvm does not count already. */
static bool is_kernels(const char *name)
{
	static const char *const other[] = {"io_exits", "mmio_exits", "signal_exits", "mmio_exit_user"};

	for (unsigned i = 0; i < COUNT(other); i++)
		if (!strcmp(name, other[i]))
			return false;
	return strstr(name, "exit");
}

static unsigned collect(
	const json_t *vcpu, const char *path, bool in_kernel, struct reason *reason, unsigned n)
{
	const char *name;
	json_t *rate;

	json_object_foreach(json_at(vcpu, path), name, rate)
	{
		if (n < ALL && json_number_value(rate) > 0 && (!in_kernel || is_kernels(name)))
			reason[n++] = (struct reason){name, json_number_value(rate), in_kernel};
	}
	return n;
}

/* Of a target "pio serial" the name, if that is what the guest reached for with such a reason; else NULL. */
static const char *reached(const char *reason, const char *target)
{
	const char *kind = !strcmp(reason, "io") ? "pio " : !strcmp(reason, "mmio") ? "mmio " : NULL;

	return kind && !strncmp(target, kind, strlen(kind)) ? target + strlen(kind) : NULL;
}

/* "serial 1.2k, rng 30": targets with their rates, the busiest first. */
static void targets(const json_t *vcpu, const char *reason, char *out, size_t n)
{
	struct reason all[ALL];
	unsigned found = collect(vcpu, "rates.user_exits_by_target", false, all, 0), shown = 0;
	char rate[TEXT_NUMBER];
	size_t len = 0;

	qsort(all, found, sizeof(all[0]), busier);
	for (unsigned i = 0; i < found && shown < TARGETS; i++) {
		const char *name = reached(reason, all[i].name);

		if (!name || len >= n)
			continue;
		len += snprintf(out + len, n - len, "%s%.40s %s", shown++ ? ", " : ": ", name,
			text_count(all[i].rate, rate));
	}
}

static void row(struct grid *grid, const json_t *vcpu, const struct reason *reason)
{
	const json_t *cost = json_object_get(json_at(vcpu, "mean.handler_seconds"), reason->name);
	char text[TEXT_NUMBER], why[256], where[160] = "";

	snprintf(text, sizeof(text), "%lld", (long long)json_integer_value(json_object_get(vcpu, "index")));
	grid_cell(grid, text);
	grid_cell(grid, text_count(reason->rate, text));
	grid_cell(grid, cost && !reason->in_kernel ? text_seconds(json_number_value(cost), text) : NULL);
	grid_cell(grid, reason->in_kernel ? "KVM" : "pinvm");
	if (!reason->in_kernel)
		targets(vcpu, reason->name, where, sizeof(where));
	snprintf(why, sizeof(why), "%.60s%s", reason->name, where);
	grid_cell(grid, why);
}

void screen_why(const json_t *doc, FILE *out, unsigned width)
{
	static const struct grid_column column[] = {{"VCPU", GRID_RIGHT}, {"EXITS/s", GRID_RIGHT},
		{"COST", GRID_RIGHT, 5}, {"BY", GRID_LEFT, 5},
		{"REASON, AND WHAT THE GUEST REACHED FOR", GRID_CUT}, {NULL}};
	struct reason all[2 * ALL];
	struct grid grid;
	json_t *vcpu;
	size_t i;

	grid_begin(&grid, column);
	json_array_foreach(json_object_get(doc, "vcpus"), i, vcpu)
	{
		unsigned n = collect(vcpu, "rates.user_exits_by_reason", false, all, 0);

		n = collect(vcpu, "rates.kvm_events", true, all, n);
		qsort(all, n, sizeof(all[0]), busier);
		for (unsigned r = 0; r < n && r < REASONS; r++)
			row(&grid, vcpu, &all[r]);
	}
	if (grid.cells)
		fputs("\n", out);
	if (grid.cells)
		grid_end(&grid, out, width);
}
