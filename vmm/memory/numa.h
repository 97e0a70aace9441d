/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's memory nodes: which there are, what they have, and the memory policy of an address range. mbind(2),
 * get_mempolicy(2), Documentation/admin-guide/mm/numa_memory_policy.rst. System calls directly: there are three.
 *
 * Functions that read the host's files take `root`, a prefix of /sys and /proc: "" is this host, tests make their own.
 * A host without NUMA support has one node, 0, with all CPUs and all memory. Main, or a thread that fills memory.
 */
#ifndef PINVM_MEMORY_NUMA_H
#define PINVM_MEMORY_NUMA_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/config.h"

/* A set of nodes: node n is bit n, as in the kernel's nodemask. The CPU_ macros of <sched.h> work on it. */
typedef cpu_set_t node_set;

/* Nodes that are on line, and those of them that have memory this process may use (Mems_allowed of its cpuset). */
void numa_online(const char *root, node_set *out);
void numa_allowed(const char *root, node_set *out);

/* CPUs of a node; empty: it has none. */
void numa_cpus(const char *root, unsigned node, cpu_set_t *out);

/*
 * Bytes of ordinary memory a node could give now: free, page cache that is clean enough to drop, reclaimable slab (an
 * estimate, as the kernel's MemAvailable is). UINT64_MAX: not known.
 */
uint64_t numa_available(const char *root, unsigned node);
/* The same of the host as a whole, in the kernel's own words (MemAvailable). */
uint64_t numa_available_all(const char *root);

/* Set the policy of pages not yet there. MEM_POLICY_DEFAULT: nothing is done. 0 or -errno. */
int numa_bind(void *addr, uint64_t len, enum mem_policy policy, const node_set *nodes);
/*
 * Keep automatic NUMA balancing (kernel.numa_balancing) off the memory of the calling thread and of those it makes from
 * now on: it unmaps pages now and then to see who touches them, and each is a host fault. A policy of one's own ends
 * that; this one, "local", allocates as the kernel does by default. A policy that is there already stays.
 * 1: done; 0: not needed; -errno: the host does it and it can not be stopped (-EPERM under some seccomp profiles).
 */
int numa_stay(const char *root);

/* The kernel's answer for the page at addr. 0, -errno (-ENOSYS: a kernel without NUMA). */
int numa_policy_at(const void *addr, enum mem_policy *policy, node_set *nodes);

#endif
