// SPDX-License-Identifier: Apache-2.0
/* The report's memory: what was wanted of each piece of RAM, and what the kernel made of it. Main. */
#include <stdio.h>

#include "vmm/guest.h"
#include "vmm/memory/plan.h"
#include "vmm/report/parts.h"

static json_t *policy_json(enum mem_policy policy, const node_set *nodes)
{
	char text[256];

	mem_format_policy(policy, nodes, text, sizeof(text));
	return json_string(text);
}

/* Bytes on each node, by its number; empty where the kernel did not tell. */
static json_t *on_nodes_json(const struct mem_block *b)
{
	json_t *nodes = json_object();
	char number[16];

	for (unsigned i = 0; i < MEM_HOST_NODES; i++) {
		if (!b->on_node[i])
			continue;
		snprintf(number, sizeof(number), "%u", i);
		json_object_set_new(nodes, number, json_integer(b->on_node[i]));
	}
	return nodes;
}

static json_t *block_json(const struct mem_plan *plan, const struct mem_block *b)
{
	json_t *actual = json_null();

	if (b->proven)
		actual = json_pack("{s:I, s:o, s:o, s:I, s:I, s:I, s:I, s:I}", "page_size",
			(json_int_t)b->actual_page, "policy",
			b->nodes_why ? policy_json(b->actual_policy, &b->actual_nodes) : json_null(),
			"bytes_on_node", on_nodes_json(b), "huge_bytes", (json_int_t)b->huge, "locked_bytes",
			(json_int_t)b->locked, "present_bytes", (json_int_t)b->present, "checked_bytes",
			(json_int_t)b->checked, "misplaced_bytes", (json_int_t)b->misplaced);
	return json_pack("{s:I, s:I, s:i, s:s, s:{s:I, s:o}, s:o}", "gpa", (json_int_t)b->gpa, "size",
		(json_int_t)b->size, "guest_node", b->guest_node, "backing", mem_plan_backing(plan), "wanted",
		"page_size", (json_int_t)plan->page, "policy",
		b->nodes_why ? policy_json(b->policy, &b->nodes) : json_null(), "actual", actual);
}

json_t *report_memory(const struct guest *guest)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < guest->memory.n; i++)
		json_array_append_new(list, block_json(&guest->memory, &guest->memory.block[i]));
	return list;
}

json_t *report_prealloc(const struct mem_plan *plan)
{
	if (!plan->fill_ns)
		return json_null();
	return json_pack("{s:I, s:f, s:i}", "bytes", (json_int_t)plan->filled, "seconds", plan->fill_ns / 1e9,
		"threads", plan->fill_threads);
}
