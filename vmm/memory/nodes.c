// SPDX-License-Identifier: Apache-2.0
/* The guest's NUMA nodes, from the text of the options to vCPUs, ranges and distances; see nodes.h. Pure;
 * main. */
#include "vmm/memory/nodes.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arch/arch.h"
#include "vmm/log.h"
#include "vmm/options/values.h"
#include "vmm/place/place.h"

#define MAX_RAM 8 /* ranges of the address map */
#define DISTANCE_SELF \
	10 /* ACPI 6.4 section 5.2.17: itself; 255: out of reach, which no RAM of one machine is */
#define DISTANCE_MAX   254
#define DISTANCE_OTHER 20

#define MAX_VCPUS (sizeof(((struct guest_nodes *)0)->node_of_vcpu) / sizeof(unsigned))

_Static_assert(NODES_MAX == 16, "nodes_parse_distance() says so");
_Static_assert(NODES_MAX_RANGES >= NODES_MAX + MAX_RAM - 1, "a hole cuts at most one node");

static int refuse(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static int refuse(const char *fmt, ...)
{
	char line[1536];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	log_err("%s", line);
	return -EINVAL;
}

int nodes_size(const struct guest_config *cfg, uint64_t *size)
{
	uint64_t page = sysconf(_SC_PAGESIZE); /* KVM maps no less */
	char text[32];

	*size = 0;
	if (cfg->nnumas > NODES_MAX)
		return refuse("--numa: %u are given; a guest has at most %u nodes", cfg->nnumas, NODES_MAX);
	for (unsigned n = 0; n < cfg->nnumas; n++) {
		const struct numa_config *numa = &cfg->numas[n];

		value_format_size(numa->size, text, sizeof(text));
		if (!numa->size)
			return refuse("--numa %s%.80s: node %u has no RAM; add memory=SIZE",
				numa->cpus ? "cpus=" : "", numa->cpus ? numa->cpus : "", n);
		if (numa->size % page)
			return refuse("--numa memory=%s: must be a multiple of %lluK", text, (unsigned long long)page >> 10);
		if (numa->size > CONFIG_MEMORY_MAX - *size) {
			value_format_size(CONFIG_MEMORY_MAX, text, sizeof(text));
			return refuse(
				"--numa: nodes 0-%u have more than %s together; give them less", n, text);
		}
		*size += numa->size;
	}
	return 0;
}

/* RAM [gpa, gpa + size) is the node's. */
static void add_range(struct guest_nodes *nodes, uint64_t gpa, uint64_t size, unsigned node)
{
	nodes->range[nodes->nranges++] = (struct node_range){.gpa = gpa, .size = size, .node = node};
}

/* One node after the other, each where the one before ended, over the ranges of the address map. */
static int lay_ram(struct guest_nodes *nodes, const struct guest_config *cfg)
{
	struct ram_range ram[MAX_RAM];
	int nram = arch_ram_ranges(cfg->memory.size, ram, MAX_RAM);
	uint64_t left = cfg->nnumas ? cfg->numas[0].size : cfg->memory.size;
	unsigned node = 0;

	if (nram < 0)
		return refuse("--memory %lluM: more than this host's CPU can address (%u bits); give less",
			(unsigned long long)cfg->memory.size >> 20, arch_phys_bits());
	for (int i = 0; i < nram; i++)
		for (uint64_t at = 0; at < ram[i].size;) {
			uint64_t take = ram[i].size - at < left ? ram[i].size - at : left;

			add_range(nodes, ram[i].gpa + at, take, node);
			at += take;
			left -= take;
			if (!left && node + 1 < cfg->nnumas)
				left = cfg->numas[++node].size;
		}
	return 0;
}

static int check_sum(const struct guest_config *cfg)
{
	char all[32], together[32];
	uint64_t size;
	int err = nodes_size(cfg, &size);

	if (err || !cfg->nnumas || size == cfg->memory.size)
		return err;
	value_format_size(cfg->memory.size, all, sizeof(all));
	value_format_size(size, together, sizeof(together));
	return refuse("--memory %s: the nodes of --numa have %s together; give --memory %s, or leave it out",
		all, together, together);
}

/* The vCPUs of a list are the node's. `free` is of those that nobody had yet. */
static int take_vcpus(
	struct guest_nodes *nodes, const struct guest_config *cfg, unsigned node, cpu_set_t *free)
{
	const char *list = cfg->numas[node].cpus, *why;
	char text[32];
	cpu_set_t set;

	if (!list) {
		value_format_size(cfg->numas[node].size, text, sizeof(text));
		return refuse("--numa memory=%s: node %u has no vCPU; add cpus=LIST", text, node);
	}
	why = value_cpulist(list, &set, sizeof(set));
	if (why)
		return refuse("--numa cpus=%.80s: %s", list, why);
	for (unsigned i = 0; i < CPU_SETSIZE; i++) {
		if (!CPU_ISSET(i, &set))
			continue;
		if (i >= cfg->cpus.count)
			return refuse("--numa cpus=%.80s: there is no vCPU %u; --cpus %u makes 0 to %u", list,
				i, cfg->cpus.count, cfg->cpus.count - 1);
		if (!CPU_ISSET(i, free))
			return refuse(
				"--numa cpus=%.80s: vCPU %u is in node %u already; it can be in one only",
				list, i, nodes->node_of_vcpu[i]);
		CPU_CLR(i, free);
		nodes->node_of_vcpu[i] = node;
	}
	return 0;
}

static int lay_vcpus(struct guest_nodes *nodes, const struct guest_config *cfg)
{
	char text[128];
	cpu_set_t free;
	int err = 0;

	if (cfg->cpus.count > MAX_VCPUS)
		return refuse("--cpus %u: with --numa at most %zu", cfg->cpus.count, MAX_VCPUS);
	CPU_ZERO(&free);
	for (unsigned i = 0; i < cfg->cpus.count; i++)
		CPU_SET(i, &free);
	for (unsigned n = 0; n < cfg->nnumas && !err; n++)
		err = take_vcpus(nodes, cfg, n, &free);
	if (err || !CPU_COUNT(&free))
		return err;
	place_format_cpus(&free, text, sizeof(text));
	return refuse("--numa: of --cpus %u, vCPU %s %s in no node; name each in one cpus=", cfg->cpus.count,
		text, CPU_COUNT(&free) > 1 ? "are" : "is");
}

const char *nodes_parse_distance(const char *text, uint8_t to[NODES_MAX])
{
	static const char form[] = "write it as [NODE:DISTANCE,...], as in [1:20,2:30]";
	bool bracket = *text == '[';
	const char *p = text + bracket;

	memset(to, 0, NODES_MAX);
	do {
		unsigned long node, d;
		char *end;

		node = strtoul(p, &end, 10);
		if (!isdigit((unsigned char)*p) || *end != ':' || !isdigit((unsigned char)end[1]))
			return form;
		d = strtoul(end + 1, &end, 10);
		if (node >= NODES_MAX)
			return "there are at most 16 nodes, from 0";
		if (d < DISTANCE_SELF || d > DISTANCE_MAX)
			return "a distance is 11 to 254, and 10 from a node to itself";
		if (to[node])
			return "a node stands there twice";
		to[node] = d;
		p = end;
	} while (*p++ == ',');
	p--;
	if (bracket && *p++ != ']')
		return form;
	return *p ? form : NULL;
}

/* What --numa says of the distances from one node. */
static int take_distances(struct guest_nodes *nodes, const char *list, unsigned from)
{
	uint8_t to[NODES_MAX];
	const char *why = nodes_parse_distance(list, to);

	if (why)
		return refuse("--numa distance=%.80s: %s", list, why);
	for (unsigned n = 0; n < NODES_MAX; n++) {
		if (to[n] && n >= nodes->n)
			return refuse("--numa distance=%.80s: there is no node %u; %u --numa make 0 to %u",
				list, n, nodes->n, nodes->n - 1);
		if (to[n] && n == from && to[n] != DISTANCE_SELF)
			return refuse(
				"--numa distance=%.80s: this is node %u, which is 10 from itself", list, n);
		if (to[n] == DISTANCE_SELF && n != from)
			return refuse(
				"--numa distance=%.80s: only a node itself is at 10; node %u is at 11 to 254",
				list, n);
		nodes->distance[from][n] = to[n];
	}
	return 0;
}

static int lay_distances(struct guest_nodes *nodes, const struct guest_config *cfg)
{
	int err = 0;

	for (unsigned n = 0; n < nodes->n && !err; n++)
		if (cfg->numas[n].distance)
			err = take_distances(nodes, cfg->numas[n].distance, n);
	for (unsigned a = 0; a < nodes->n; a++) {
		nodes->distance[a][a] = DISTANCE_SELF;
		for (unsigned b = 0; b < a; b++) {
			uint8_t *there = &nodes->distance[a][b], *back = &nodes->distance[b][a];

			if (!*there)
				*there = *back ? *back : DISTANCE_OTHER;
			if (!*back)
				*back = *there;
		}
	}
	return err;
}

int guest_nodes(struct guest_nodes *nodes, const struct guest_config *cfg)
{
	int err = check_sum(cfg);

	memset(nodes, 0, sizeof(*nodes));
	if (err)
		return err;
	nodes->n = cfg->nnumas;
	err = lay_ram(nodes, cfg);
	if (!err && nodes->n)
		err = lay_vcpus(nodes, cfg);
	return err ? err : lay_distances(nodes, cfg);
}
