/* SPDX-License-Identifier: Apache-2.0 */
/* What the host says of its CPU's performance counters. Reads below a root; the client's one thread. */
#ifndef PINVM_PERF_PMU_H
#define PINVM_PERF_PMU_H

#include "vmm/perf/events.h"

#define PERF_NO_PMU \
	"there is no PMU here: this kernel has no hardware counters, as in a virtual machine without a vPMU"

/*
 * The number of the event that counts walks of page tables, among the PMU's own. 0, or -ENOENT, and `why`
 * says so: the kernel has no name for it, and this CPU is in no public list that pinvm knows.
 */
int perf_page_walks(
	const char *root, const struct perf_machine *machine, uint64_t *config, char *why, size_t n);

/*
 * An event that the kernel names in the PMU's events/, such as "event=0x34", by the PMU's format/
 * ("config:0-15"). 0; -ENOENT: no such name; -EINVAL: it takes more than the one number.
 */
int perf_alias(const char *root, const char *pmu, const char *name, uint64_t *config);

/* The first of these that the host has: "intel_pt", ... with its trace as perf(1) names it; NULL: none. */
const char *perf_tracer(const char *root);

#endif
