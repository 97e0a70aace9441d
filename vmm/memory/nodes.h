/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's NUMA nodes (--numa) as plain data: which vCPUs and which guest-physical ranges each has, how far apart they
 * are. Pure; made by main, told to the guest by arch_describe() (SRAT and SLIT, ACPI 6.4 section 5.2.16 and 5.2.17).
 */
#ifndef PINVM_MEMORY_NODES_H
#define PINVM_MEMORY_NODES_H

#include <stdint.h>

#include "vmm/config.h"

#define NODES_MAX 16
#define NODES_MAX_RANGES (NODES_MAX + 8) /* a node's RAM is cut where the address map has a hole */

struct node_range {
	uint64_t gpa, size; /* bytes */
	unsigned node;
};

struct guest_nodes {
	unsigned n; /* 0: --numa was not given, nothing to tell */
	unsigned node_of_vcpu[256];
	unsigned nranges; /* ascending, cover all RAM */
	struct node_range range[NODES_MAX_RANGES];
	uint8_t distance[NODES_MAX][NODES_MAX]; /* 10: itself */
};

/*
 * Lay the nodes over the architecture's RAM ranges, in the order of the options. Without --numa: n is 0, and the ranges
 * are all of node 0. A distance given in one direction only holds in both; given in both, they may differ. 0, or -EINVAL
 * after one logged line (that names --numa or --memory).
 */
int guest_nodes(struct guest_nodes *nodes, const struct guest_config *cfg);

/* What --numa's nodes have together, in bytes; without any, 0. 0, or -EINVAL after one logged line. */
int nodes_size(const struct guest_config *cfg, uint64_t *size);

/*
 * "[N:D,...]", in brackets or not: to[N] becomes D, and 0 where nothing is said. Whether those nodes exist is seen by
 * guest_nodes(). NULL, or the reason for a refusal (options/values.h).
 */
const char *nodes_parse_distance(const char *text, uint8_t to[NODES_MAX]);

#endif
