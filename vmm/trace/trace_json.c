// SPDX-License-Identifier: Apache-2.0
/* What was traced, as JSON; see trace.h. Names in it are a promise to scripts: add, do not rename. One
 * thread. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "vmm/trace/priv.h"
#include "vmm/util.h"

/* A row as it is sorted: the most frequent of the interval first, then of all time, then as they came. */
struct row {
	uint64_t lately, n;
	unsigned index;
};

static int more(const void *l, const void *r)
{
	const struct row *a = l, *b = r;

	if (a->lately != b->lately)
		return a->lately < b->lately ? 1 : -1;
	if (a->n != b->n)
		return a->n < b->n ? 1 : -1;
	return a->index < b->index ? -1 : 1;
}

/* Sort what[0..n), whose counts are `offset` bytes inside rows of `size` bytes. */
static void sort_rows(const void *what, size_t size, size_t offset, unsigned n, struct row *row)
{
	if (!n)
		return;
	for (unsigned i = 0; i < n; i++) {
		const struct trace_count *count =
			(const struct trace_count *)((const char *)what + i * size + offset);

		row[i] = (struct row){count->n - count->before, count->n, i};
	}
	qsort(row, n, sizeof(*row), more);
}

#define SORT(array, member, n, row) \
	sort_rows(array, sizeof((array)[0]), (char *)&(array)[0].member - (char *)&(array)[0], n, row)

static void add_count(json_t *json, const struct trace *t, const char *name, const struct trace_count *count)
{
	json_object_set_new(json, name, json_integer(count->n));
	json_object_set_new(json, "per_s", json_real(trace_rate(t, count)));
}

static json_t *histogram_json(const uint64_t histogram[TRACE_BUCKETS])
{
	json_t *json = json_object();
	char from[24];

	for (unsigned i = 0; i < TRACE_BUCKETS; i++) {
		snprintf(from, sizeof(from), "%llu", i ? 1ULL << i : 0);
		if (histogram[i])
			json_object_set_new(json, from, json_integer(histogram[i]));
	}
	return json;
}

/* isa and name are null where none is known. */
static json_t *reason_json(const struct trace *t, const struct trace_reason *r)
{
	json_t *json = json_pack("{s:s?, s:I, s:s?}", "isa", trace_isa_name(r->isa), "number",
		(json_int_t)r->code, "name", trace_reason_name(r->isa, r->code));

	add_count(json, t, "exits", &r->exits);
	json_object_set_new(json, "timed", json_integer(r->timed));
	json_object_set_new(json, "ns", json_integer(r->ns));
	json_object_set_new(json, "histogram", histogram_json(r->histogram));
	return json;
}

static json_t *reasons_json(const struct trace *t, const struct trace_vcpu *v)
{
	struct row row[TRACE_REASONS];
	json_t *list = json_array();

	SORT(v->reason, exits, v->reasons, row);
	for (unsigned i = 0; i < v->reasons; i++)
		json_array_append_new(list, reason_json(t, &v->reason[row[i].index]));
	return list;
}

static json_t *reached_json(const struct trace *t, const struct trace_reached *r)
{
	static const char *const kinds[TRACE_REACHES] = {[TRACE_MSR] = "msr",
		[TRACE_PIO] = "pio",
		[TRACE_MMIO] = "mmio",
		[TRACE_FAST_MMIO] = "fast_mmio",
		[TRACE_APIC] = "apic"};
	char text[TRACE_TEXT];
	json_t *json;

	if (r->kind == TRACE_USER)
		json = json_pack(
			"{s:I, s:s}", "number", (json_int_t)r->address, "name", trace_reached_text(r, text));
	else
		json = json_pack("{s:s, s:s, s:I, s:s?}", "kind", kinds[r->kind], "op",
			r->write ? "write" : "read", "address", (json_int_t)r->address, "name",
			trace_reached_name(r));
	add_count(json, t, r->kind == TRACE_USER ? "exits" : "count", &r->n);
	return json;
}

/* Those to user space, or the others. */
static json_t *reaches_json(const struct trace *t, const struct trace_vcpu *v, bool user)
{
	struct row row[TRACE_REACHED];
	json_t *list = json_array();

	SORT(v->reach, n, v->reached, row);
	for (unsigned i = 0; i < v->reached; i++)
		if ((v->reach[row[i].index].kind == TRACE_USER) == user)
			json_array_append_new(list, reached_json(t, &v->reach[row[i].index]));
	return list;
}

/* irq is null of the CPU's own. */
static json_t *cause_json(const struct trace *t, const struct trace_cause *c)
{
	json_t *json = json_pack(
		"{s:o, s:s}", "irq", c->irq < 0 ? json_null() : json_integer(c->irq), "name", c->name);

	add_count(json, t, "count", &c->hits);
	json_object_set_new(json, "exits", json_integer(c->ended));
	return json;
}

static json_t *causes_json(const struct trace *t, const struct trace_vcpu *v)
{
	struct row row[TRACE_CAUSES];
	json_t *list = json_array();

	SORT(v->cause, hits, v->causes, row);
	for (unsigned i = 0; i < v->causes; i++)
		json_array_append_new(list, cause_json(t, &v->cause[row[i].index]));
	return list;
}

/* Exits by an interrupt of the host for which no tracepoint told the cause. */
static json_int_t unattributed(const struct trace_vcpu *v)
{
	uint64_t external = 0, told = 0;

	for (unsigned i = 0; i < v->reasons; i++)
		external += trace_is_external(v->reason[i].isa, v->reason[i].code) ? v->reason[i].exits.n : 0;
	for (unsigned i = 0; i < v->causes; i++)
		told += v->cause[i].ended;
	return external > told ? external - told : 0;
}

static json_t *events_json(const struct trace *t, const struct trace_vcpu *v)
{
	json_t *json = json_object();

	for (unsigned e = 0; e < TRACE_EVENTS; e++)
		if (!trace_missing(t, e))
			json_object_set_new(json, trace_event_name(e), json_integer(v->event[e].n));
	return json;
}

/* Add to what a name has in an object. Names that are the same are summed. */
static void add_named(json_t *object, const char *key, const char *name, double n)
{
	json_t *at = json_object_get(object, key);

	if (!at) {
		at = json_object();
		json_object_set_new(object, key, at);
	}
	if (name)
		json_object_set_new(at, name, json_real(json_real_value(json_object_get(at, name)) + n));
}

/* Rates by name, as metrics take them, and mean times. */
static void add_by_names(json_t *json, const struct trace *t, const struct trace_vcpu *v)
{
	static const char *const keys[] = {
		"exits_per_s", "exit_mean_ns", "user_exits_per_s", "accesses_per_s", "interrupts_per_s"};
	char text[TRACE_TEXT];

	for (unsigned i = 0; i < COUNT(keys); i++)
		add_named(json, keys[i], NULL, 0);
	for (unsigned i = 0; i < v->reasons; i++) {
		const struct trace_reason *r = &v->reason[i];

		add_named(json, "exits_per_s", trace_reason_text(r, text), trace_rate(t, &r->exits));
		if (r->timed)
			add_named(json, "exit_mean_ns", text, (double)r->ns / r->timed);
	}
	for (unsigned i = 0; i < v->reached; i++)
		add_named(json, v->reach[i].kind == TRACE_USER ? "user_exits_per_s" : "accesses_per_s",
			trace_reached_text(&v->reach[i], text), trace_rate(t, &v->reach[i].n));
	for (unsigned i = 0; i < v->causes; i++)
		add_named(json, "interrupts_per_s", trace_cause_text(&v->cause[i], text),
			trace_rate(t, &v->cause[i].hits));
}

json_t *trace_vcpu_json(const struct trace *t, unsigned i)
{
	const struct trace_vcpu *v = trace_vcpu(t, i);
	json_t *json = json_pack("{s:i, s:b, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:I}", "tid", v->tid,
		"ended", v->ended, "lost", (json_int_t)v->lost, "malformed", (json_int_t)v->malformed,
		"crowded", (json_int_t)v->crowded, "events", events_json(t, v), "exits", reasons_json(t, v),
		"user_exits", reaches_json(t, v, true), "accesses", reaches_json(t, v, false), "interrupts",
		causes_json(t, v), "unattributed_interrupt_exits", unattributed(v));

	if (!json)
		return NULL;
	json_object_set_new(json, "halt_poll",
		json_pack("{s:I, s:I, s:I, s:I}", "grown", (json_int_t)v->poll.grown, "shrunk",
			(json_int_t)v->poll.shrunk, "window_ns", (json_int_t)v->poll.window_ns, "longest_ns",
			(json_int_t)v->poll.longest_ns));
	add_by_names(json, t, v);
	return json;
}

json_t *trace_json(const struct trace *t)
{
	json_t *missing = json_object();

	for (unsigned e = 0; e < TRACE_EVENTS; e++)
		if (trace_missing(t, e))
			json_object_set_new(missing, trace_event_name(e), json_string(trace_missing(t, e)));
	return json_pack("{s:f, s:f, s:I, s:o}", "seconds", trace_seconds(t), "interval_s",
		trace_interval_s(t), "ring", (json_int_t)trace_ring_bytes(t), "missing", missing);
}
