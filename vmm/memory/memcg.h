/* SPDX-License-Identifier: Apache-2.0 */
/* What the memory cgroup leaves to this process: cgroup-v2.rst, cgroup-v1/memory.rst. Read-only; `root` as in numa.h. Main. */
#ifndef PINVM_MEMORY_MEMCG_H
#define PINVM_MEMORY_MEMCG_H

#include <stddef.h>
#include <stdint.h>

/*
 * Bytes that the cgroup and those above it still allow, page cache that can be dropped included. UINT64_MAX: no limit.
 * where: the directory that decides, "" if none.
 */
uint64_t memcg_room(const char *root, char *where, size_t n);

#endif
