/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What huge pages the host has: pools by page size and node, hugetlbfs mounts, the hugetlb cgroup, transparent huge
 * pages. Documentation/admin-guide/mm/hugetlbpage.rst and cgroup-v2.rst. Read-only; `root` as in numa.h. Main.
 */
#ifndef PINVM_MEMORY_PAGES_H
#define PINVM_MEMORY_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/memory/numa.h"

/* One page size, in pages. */
struct page_pool {
	uint64_t total, free;
	uint64_t reserved;   /* of the free ones, promised to mappings that exist */
	uint64_t surplus;    /* allocated beyond the pool */
	uint64_t overcommit; /* how many surplus pages there may be */
};

/* The pool of a size in bytes. 0, -ENOENT: this kernel has no pages of that size. */
int pages_pool(const char *root, uint64_t size, struct page_pool *pool);
/* Pages a new mapping could get, taken from the pool and, where allowed, beyond it. */
uint64_t pages_usable(const struct page_pool *pool);
/* Free pages of a node; 0 where there is no such pool. */
uint64_t pages_free_on(const char *root, uint64_t size, unsigned node);
uint64_t pages_total_on(const char *root, uint64_t size, unsigned node); /* free or not */
/* Page sizes this kernel has, ascending, in bytes; returns how many. */
unsigned pages_sizes(const char *root, uint64_t *out, unsigned max);

/*
 * Bytes of this page size that the process's cgroup (v2) and those above it still allow, reserved and used limits both.
 * UINT64_MAX: no limit. where: the cgroup's directory that decides, "" if none.
 */
uint64_t pages_cgroup_room(const char *root, uint64_t size, char *where, size_t n);

/*
 * A directory on hugetlbfs: its page size in bytes, and how many pages its own size= limit leaves (UINT64_MAX: no limit).
 * 0, -ENOTSUP: another file system, -errno of statfs(2).
 */
int pages_mount(const char *path, uint64_t *size, uint64_t *left);

/* Bytes of a transparent huge page that is mapped as one, the kernel's hpage_pmd_size. Pure. */
uint64_t pages_thp_size(void);
/* May madvise(MADV_HUGEPAGE) work, for anonymous or for shared (memfd) memory? else NULL or the file that says no. */
const char *pages_thp_off(const char *root, bool shared);

#endif
