// SPDX-License-Identifier: Apache-2.0
/*
 * `pinvm stat` for people; see screen.h. A part of the screen is a function in `parts`; what it shows it
 * takes from the document, and what is not there is "-". Pure.
 */
#include "vmm/stat/screen.h"

#include <stdlib.h>
#include <string.h>

#include "vmm/stat/grid.h"
#include "vmm/stat/text.h"
#include "vmm/util.h"

typedef const char *format_fn(double n, char out[TEXT_NUMBER]);

/* A cell with the number at `path`. */
static void number(struct grid *grid, const json_t *object, const char *path, format_fn *format)
{
	char text[TEXT_NUMBER];
	double n;

	grid_cell(grid, json_number_at(object, path, &n) ? format(n, text) : NULL);
}

static const char *whole(double n, char out[TEXT_NUMBER])
{
	snprintf(out, TEXT_NUMBER, "%.0f", n < 1e14 ? n : 1e14);
	return out;
}

/* CPUs and policy of a thread: what was wanted, or what it has. */
static void placed(struct grid *grid, const json_t *thread)
{
	const char *wanted = json_text_at(thread, "placement.wanted");
	const char *policy = json_text_at(thread, "placement.wanted_policy");

	number(grid, thread, "task.cpu", whole);
	grid_cell(grid, wanted ? wanted : "any");
	grid_cell(grid, policy ? policy : json_text_at(thread, "placement.actual_policy"));
}

void screen_line(const char *text, FILE *out, unsigned width)
{
	char *safe = text_safe(text);

	if (safe && width)
		safe[text_cut(safe, width)] = '\0';
	fprintf(out, "%s\n", safe ? safe : "");
	free(safe);
}

/* ---- the guest ---- */

static void head(const json_t *doc, FILE *out, unsigned width)
{
	const char *state = json_text_at(doc, "state"), *name = json_text_at(doc, "name");
	char up[TEXT_NUMBER] = "-", text[512];
	double n = 0, restarts = 0, interval = 0, misplaced = 0;
	size_t len;

	if (json_number_at(doc, "duration_s", &n))
		snprintf(up, sizeof(up), n < 600 ? "%.0f s" : "%.0f min", n < 600 ? n : n / 60);
	json_number_at(doc, "restarts", &restarts);
	json_number_at(doc, "interval_s", &interval);
	json_number_at(doc, "misplaced", &misplaced);
	len = snprintf(text, sizeof(text), "%.100s: %.20s, pid %lld, up %s", name ? name : "?",
		state ? state : "?", (long long)json_integer_value(json_object_get(doc, "pid")), up);
	if (restarts > 0)
		len += snprintf(text + len, sizeof(text) - len, ", restarts: %.0f", restarts);
	if (misplaced > 0)
		len += snprintf(text + len, sizeof(text) - len, ", tasks misplaced: %.0f", misplaced);
	snprintf(text + len, sizeof(text) - len, interval > 0 ? "; the last %.2f s:" : ":", interval);
	screen_line(text, out, width);
}

/* ---- vCPUs ---- */

static void vcpus(const json_t *doc, FILE *out, unsigned width)
{
	static const struct grid_column column[] = {{"VCPU", GRID_RIGHT}, {"CPU", GRID_RIGHT, 3},
		{"WANTED", GRID_LEFT}, {"POLICY", GRID_LEFT}, {"%GUEST", GRID_RIGHT}, {"%KERN", GRID_RIGHT},
		{"%VMM", GRID_RIGHT, 5}, {"%HALT", GRID_RIGHT}, {"%STEAL", GRID_RIGHT},
		{"USER/s", GRID_RIGHT}, {"KVM/s", GRID_RIGHT}, {"PREEMPT", GRID_RIGHT}, {"MOVED", GRID_RIGHT},
		{NULL}};
	struct grid grid;
	json_t *vcpu;
	size_t i;

	fputs("\n", out);
	grid_begin(&grid, column);
	json_array_foreach(json_object_get(doc, "vcpus"), i, vcpu)
	{
		number(&grid, vcpu, "index", whole);
		placed(&grid, vcpu);
		number(&grid, vcpu, "time.guest", text_percent);
		number(&grid, vcpu, "time.kernel", text_percent);
		number(&grid, vcpu, "time.vmm", text_percent);
		number(&grid, vcpu, "time.halt", text_percent);
		number(&grid, vcpu, "time.steal", text_percent);
		number(&grid, vcpu, "rates.user_exits", text_count);
		number(&grid, vcpu, "rates.kvm_exits", text_count);
		number(&grid, vcpu, "task.since_placement.involuntary_switches", text_count);
		number(&grid, vcpu, "task.since_placement.migrations", text_count);
	}
	grid_end(&grid, out, width);
}

/* ---- devices ---- */

/* How many requests were taken at a time. */
static void batch(struct grid *grid, const json_t *queue)
{
	char text[TEXT_NUMBER];
	double requests, batches;

	if (json_number_at(queue, "rates.requests", &requests) &&
		json_number_at(queue, "rates.batches", &batches) && batches > 0)
		grid_cell(grid, text_count(requests / batches, text));
	else
		grid_cell(grid, NULL);
}

static void queue_row(struct grid *grid, const json_t *device, const json_t *queue, size_t q)
{
	char text[TEXT_NUMBER];

	grid_cell(grid, json_text_at(device, "name"));
	snprintf(text, sizeof(text), "%zu", q);
	grid_cell(grid, text);
	number(grid, queue, "rates.requests", text_count);
	number(grid, queue, "rates.moved_bytes.to_guest", text_bytes);
	number(grid, queue, "rates.moved_bytes.from_guest", text_bytes);
	number(grid, queue, "rates.kicks", text_count);
	number(grid, queue, "rates.interrupts", text_count);
	batch(grid, queue);
	number(grid, queue, "p50.latency_seconds", text_seconds);
	number(grid, queue, "p99.latency_seconds", text_seconds);
	number(grid, device, "errors", text_count);
	number(grid, device, "dropped", text_count);
	grid_cell(grid, json_text_at(queue, "iothread"));
}

static void devices(const json_t *doc, FILE *out, unsigned width)
{
	static const struct grid_column column[] = {{"DEVICE", GRID_LEFT}, {"QUEUE", GRID_RIGHT},
		{"REQ/s", GRID_RIGHT}, {"TO GUEST", GRID_RIGHT}, {"FROM GUEST", GRID_RIGHT},
		{"KICKS/s", GRID_RIGHT}, {"INTR/s", GRID_RIGHT}, {"BATCH", GRID_RIGHT},
		{"P50", GRID_RIGHT, 5}, {"P99", GRID_RIGHT, 5}, {"ERRORS", GRID_RIGHT},
		{"DROPPED", GRID_RIGHT}, {"THREAD", GRID_LEFT}, {NULL}};
	struct grid grid;
	json_t *device, *queue;
	size_t i, q;

	if (!json_array_size(json_object_get(doc, "devices")))
		return;
	fputs("\n", out);
	grid_begin(&grid, column);
	json_array_foreach(json_object_get(doc, "devices"), i, device)
	{
		json_array_foreach(json_object_get(device, "queues"), q, queue)
			queue_row(&grid, device, queue, q);
	}
	grid_end(&grid, out, width);
}

/* ---- memory ---- */

/* "0 512M, 1 512M" */
static void on_nodes(struct grid *grid, const json_t *region)
{
	char text[256] = "", bytes[TEXT_NUMBER];
	const char *node;
	json_t *value;
	size_t len = 0;

	json_object_foreach(json_at(region, "actual.bytes_on_node"), node, value)
	{
		if (len < sizeof(text))
			len += snprintf(text + len, sizeof(text) - len, "%s%.8s %s", len ? ", " : "", node,
				text_bytes(json_number_value(value), bytes));
	}
	grid_cell(grid, text);
}

/* What KVM has mapped, by size: of the whole guest. */
static void mapped(const json_t *doc, FILE *out, unsigned width)
{
	static const struct {
		const char *path, *size;
		double bytes;
	} kind[] = {{"kvm_stats.pages_4k", "4K", 4096}, {"kvm_stats.pages_2m", "2M", 2097152},
		{"kvm_stats.pages_1g", "1G", 1073741824}};
	char text[256] = "", bytes[TEXT_NUMBER];
	size_t len = 0;
	double n;

	for (unsigned i = 0; i < COUNT(kind); i++)
		if (json_number_at(doc, kind[i].path, &n))
			len += snprintf(text + len, sizeof(text) - len, "%s %s in pages of %s",
				len ? "," : "mapped by KVM:", text_bytes(n * kind[i].bytes, bytes),
				kind[i].size);
	if (len)
		screen_line(text, out, width);
}

static void memory(const json_t *doc, FILE *out, unsigned width)
{
	static const struct grid_column column[] = {{"MEMORY AT", GRID_LEFT}, {"SIZE", GRID_RIGHT},
		{"NODE", GRID_RIGHT}, {"BACKING", GRID_LEFT}, {"PAGES", GRID_RIGHT}, {"PRESENT", GRID_RIGHT},
		{"HUGE", GRID_RIGHT}, {"LOCKED", GRID_RIGHT}, {"ON HOST NODES", GRID_CUT}, {NULL}};
	struct grid grid;
	json_t *region;
	size_t i;

	fputs("\n", out);
	grid_begin(&grid, column);
	json_array_foreach(json_object_get(doc, "memory"), i, region)
	{
		char at[TEXT_NUMBER + 8];

		snprintf(at, sizeof(at), "0x%llx",
			(unsigned long long)json_integer_value(json_object_get(region, "gpa")));
		grid_cell(&grid, at);
		number(&grid, region, "size", text_bytes);
		number(&grid, region, "guest_node", whole);
		grid_cell(&grid, json_text_at(region, "backing"));
		number(&grid, region,
			json_at(region, "actual.page_size") ? "actual.page_size" : "wanted.page_size",
			text_bytes);
		number(&grid, region, "actual.present_bytes", text_bytes);
		number(&grid, region, "actual.huge_bytes", text_bytes);
		number(&grid, region, "actual.locked_bytes", text_bytes);
		on_nodes(&grid, region);
	}
	grid_end(&grid, out, width);
	mapped(doc, out, width);
}

/* ---- threads ---- */

static void threads(const json_t *doc, FILE *out, unsigned width)
{
	static const struct grid_column column[] = {{"THREAD", GRID_LEFT}, {"CPU", GRID_RIGHT, 3},
		{"WANTED", GRID_LEFT}, {"POLICY", GRID_LEFT}, {"%CPU", GRID_RIGHT, 5}, {"%STEAL", GRID_RIGHT},
		{"WAKE/s", GRID_RIGHT}, {"PREEMPT", GRID_RIGHT}, {"MOVED", GRID_RIGHT}, {"TASK", GRID_RIGHT},
		{NULL}};
	struct grid grid;
	json_t *thread;
	size_t i;

	fputs("\n", out);
	grid_begin(&grid, column);
	json_array_foreach(json_object_get(doc, "threads"), i, thread)
	{
		grid_cell(&grid, json_text_at(thread, "name"));
		placed(&grid, thread);
		number(&grid, thread, "time.cpu", text_percent);
		number(&grid, thread, "time.steal", text_percent);
		number(&grid, thread, "rates.voluntary_switches", text_count);
		number(&grid, thread, "task.since_placement.involuntary_switches", text_count);
		number(&grid, thread, "task.since_placement.migrations", text_count);
		number(&grid, thread, "tid", whole);
	}
	grid_end(&grid, out, width);
}

/* ---- all of it ---- */

static void (*const parts[])(const json_t *doc, FILE *out, unsigned width) = {
	head,
	screen_settings,
	vcpus,
	screen_why,
	screen_trace,
	devices,
	memory,
	threads,
};

void screen_write(const json_t *doc, FILE *out, unsigned width)
{
	for (unsigned i = 0; i < COUNT(parts); i++)
		parts[i](doc, out, width);
}
