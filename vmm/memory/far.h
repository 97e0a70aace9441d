/* SPDX-License-Identifier: Apache-2.0 */
/* A vCPU and its memory on different nodes of the host. Pure but for the files below `root` (numa.h). Main. */
#ifndef PINVM_MEMORY_FAR_H
#define PINVM_MEMORY_FAR_H

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>

struct mem_plan;

/*
 * Whether no CPU of `cpus` is on a node that has memory of this vCPU's guest node, as far as it is known where that is; then
 * text[n] says so.
 */
bool mem_far(const struct mem_plan *plan, const char *root, unsigned vcpu, const cpu_set_t *cpus, char *text, size_t n);

#endif
