// SPDX-License-Identifier: Apache-2.0
/* See far.h. */
#include "vmm/memory/far.h"

#include <stdio.h>

#include "vmm/memory/numa.h"
#include "vmm/memory/plan.h"
#include "vmm/place/place.h"

/* Host nodes of the memory that this vCPU is near to in the guest: where it was found, or was to come from. */
static void memory_nodes(const struct mem_plan *plan, unsigned vcpu, node_set *out)
{
	CPU_ZERO(out);
	for (unsigned i = 0; i < plan->n; i++) {
		const struct mem_block *b = &plan->block[i];

		if (plan->guest.n && b->guest_node != plan->guest.node_of_vcpu[vcpu])
			continue;
		if (b->present)
			CPU_OR(out, out, &b->on);
		else if (b->nodes_why)
			CPU_OR(out, out, &b->nodes);
	}
}

static void cpu_nodes(const char *root, const cpu_set_t *cpus, node_set *out)
{
	node_set online;
	cpu_set_t here;

	CPU_ZERO(out);
	numa_online(root, &online);
	for (unsigned node = 0; node < MEM_HOST_NODES; node++) {
		if (!CPU_ISSET(node, &online))
			continue;
		numa_cpus(root, node, &here);
		CPU_AND(&here, &here, cpus);
		if (CPU_COUNT(&here))
			CPU_SET(node, out);
	}
}

bool mem_far(const struct mem_plan *plan, const char *root, unsigned vcpu, const cpu_set_t *cpus, char *text, size_t n)
{
	char is[96], memory[96];
	node_set at, of, both;

	memory_nodes(plan, vcpu, &of);
	cpu_nodes(root, cpus, &at);
	CPU_AND(&both, &at, &of);
	if (!CPU_COUNT(&of) || !CPU_COUNT(&at) || CPU_COUNT(&both))
		return false;
	place_format_cpus(&at, is, sizeof(is));
	place_format_cpus(&of, memory, sizeof(memory));
	snprintf(text, n, "vcpu%u: its CPUs are on host node %s, its memory is on node %s and stays there: each access is to another node",
		vcpu, is, memory);
	return true;
}
