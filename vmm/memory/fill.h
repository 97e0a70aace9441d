/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preallocation: every page of guest RAM is there, zeroed, before the guest runs, so that it never takes a host fault.
 * madvise(2), MADV_POPULATE_WRITE; on kernels before 5.14, reads of /dev/zero into each page, which fail with EFAULT
 * where a touch would end in SIGBUS. Threads of its own, each on CPUs of the node it fills, take chunks until none is
 * left; they are gone when mem_fill() returns. Main.
 */
#ifndef PINVM_MEMORY_FILL_H
#define PINVM_MEMORY_FILL_H

#include <stdint.h>

#include "vmm/memory/numa.h"

struct fill_area {
	uint8_t *host;
	uint64_t size, page; /* bytes; the page size the area is made of */
	node_set nodes;	     /* where its pages come from; empty: anywhere */
	enum mem_policy policy; /* how strictly they do */
};

struct fill_result {
	uint64_t bytes, ns;
	unsigned threads;
};

struct fill_limits {
	unsigned threads; /* at most; 0: as many as CPUs are allowed, up to FILL_MAX_THREADS */
	int stop_fd;	  /* readable: stop; -1: none */
	uint64_t deadline_ns; /* CLOCK_MONOTONIC, 0: none */
	/*
	 * CPUs that will use the memory: areas without nodes are filled by the CPUs of their nodes, because that is where the
	 * kernel then takes the pages from. Empty: by any CPU.
	 */
	cpu_set_t users;
};

#define FILL_MAX_THREADS 32

/* Whether the limits end what is going on: 0, -ECANCELED: stop_fd, -ETIME: the deadline. Nothing logged. */
int fill_is_over(const struct fill_limits *limits);

/*
 * Fill the areas. Takes longer than a second on a terminal (stderr): a progress line. 0; -ENOMEM: the host ran out of
 * pages (nothing logged, *where is the address that failed), -ECANCELED: stop_fd, -ETIME: the deadline; -errno.
 * What was filled stays. Areas with little choice come first, so that others do not take their nodes' pages.
 */
int mem_fill(const struct fill_area *area, unsigned n, const struct fill_limits *limits, struct fill_result *result,
	const void **where);

#endif
