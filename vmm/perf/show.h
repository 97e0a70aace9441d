/* SPDX-License-Identifier: Apache-2.0 */
/* Counts of a guest's threads as a table for people and as JSON for programs. Pure; the client's one thread.
 */
#ifndef PINVM_PERF_SHOW_H
#define PINVM_PERF_SHOW_H

#include <jansson.h>
#include <stdio.h>

#include "vmm/perf/counters.h"

/* What was counted between two readings. */
struct perf_interval {
	const struct perf_guest *guest;
	const struct perf_selection *events;
	const struct perf_machine *machine;
	const struct perf_value *value; /* by perf_at() */
	double seconds;
};

/* A block for each thread, and one for their sum where there are several. */
void perf_show(FILE *out, const struct perf_interval *interval);
/* The same; the caller's. NULL: no memory. */
json_t *perf_json(const struct perf_interval *interval);

#endif
