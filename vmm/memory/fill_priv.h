/* SPDX-License-Identifier: Apache-2.0 */
/* What is inside of fill.c, for its tests: the plan of threads, the progress line, and ways to do that the host decides. */
#ifndef PINVM_MEMORY_FILL_PRIV_H
#define PINVM_MEMORY_FILL_PRIV_H

#include <limits.h>

#include "vmm/memory/fill.h"

#define FILL_CHUNK (32ULL << 20) /* bytes: small enough to share out and to stop between, large enough to cost nothing */

struct fill_ways {
	const char *root;	    /* as in numa.h */
	bool read_zeros;	    /* as on kernels without MADV_POPULATE_WRITE */
	int tty_fd;		    /* the progress line; -1: none */
	uint64_t tty_after_ns;
};

/* Areas whose pages come from the same nodes, and the threads that fill them first. */
struct fill_group {
	node_set nodes;
	cpu_set_t cpus; /* of those nodes, as far as this process may use them; all it may use where that is none */
	bool alone;	/* who fills decides where the pages come from: no other group's threads help */
	uint64_t bytes, chunks; /* of the areas that are being filled now */
	unsigned threads, started;
};

#define FILL_LAST UINT_MAX

/*
 * How much choice an area has: those with less are filled before those with more. 1: each page has its node (bound to one,
 * interleaved); more: bound to so many nodes; FILL_LAST: whatever is left will do. Pure.
 */
unsigned fill_choice(const struct fill_area *area);

/* Bytes of a chunk of an area: whole pages. Pure. */
uint64_t fill_chunk(const struct fill_area *area);

/*
 * Share threads out over the groups: by bytes, no more to a group than it has CPUs and chunks, in all no more than `most`
 * and the CPUs of all groups together; at least one where there is anything to fill. Returns how many. Pure.
 */
unsigned fill_share(struct fill_group *group, unsigned n, unsigned most);

/* "memory: 1.2G of 8.0G, 6 threads, 2.1 GB/s". Pure. */
void fill_progress(char *out, size_t n, uint64_t done, uint64_t total, unsigned threads, uint64_t ns);

/* mem_fill(), with ways given. */
int fill_with(const struct fill_area *area, unsigned n, const struct fill_limits *limits, const struct fill_ways *ways,
	struct fill_result *result, const void **where);

#endif
