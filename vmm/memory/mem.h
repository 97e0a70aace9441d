/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest RAM, and the only translation from guest-physical to host addresses. What it is to be made of, and whether the
 * host can give it, is planned in vmm/memory/.
 * Built by main before any other thread starts and not changed until they have ended, so look-ups need no lock.
 */
#ifndef PINVM_MEM_H
#define PINVM_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MEM_MAX_REGIONS 32

struct mem_region {
	uint64_t gpa, size; /* bytes */
	uint8_t *host;
	int fd; /* -1: anonymous */
	uint64_t fd_offset;
};

struct guest_mem {
	unsigned n; /* regions, ascending by gpa, not overlapping */
	struct mem_region region[MEM_MAX_REGIONS];
};

struct fill_limits;
struct mem_plan;

/*
 * Make RAM as the plan says: mapped, its pages from where they should come, preallocated and locked where that is
 * wanted, and proven (vmm/memory/proof.h). Fills in what the plan keeps of it. limits: of preallocation
 * (vmm/memory/fill.h). 0 or -errno after one logged line; -ECANCELED and -ETIME as mem_fill(), nothing logged.
 */
int mem_create(struct guest_mem *mem, struct mem_plan *plan, const struct fill_limits *limits);
void mem_destroy(struct guest_mem *mem);

/*
 * Host address of [gpa, gpa + len), or NULL unless all of it lies inside one region. len 0 is inside when gpa is.
 * Any thread. The bytes behind it are shared with a hostile guest: read each field once.
 */
void *mem_at(const struct guest_mem *mem, uint64_t gpa, uint64_t len);

/* For what asks often and mostly about the same region: whether it holds all of [gpa, gpa + len), len > 0. */
static inline bool mem_region_holds(const struct mem_region *r, uint64_t gpa, uint64_t len)
{
	uint64_t off = gpa - r->gpa, left; /* off is huge when gpa is below */

	return !__builtin_sub_overflow(r->size, off, &left) && len - 1 < left;
}

/* ... and where it is, then. */
static inline void *mem_region_host(const struct mem_region *r, uint64_t gpa)
{
	return r->host + (gpa - r->gpa);
}

/* Copy to or from guest RAM, by main while no vCPU runs. -EFAULT when the range is not RAM. */
int mem_write(const struct guest_mem *mem, uint64_t gpa, const void *src, size_t len);
int mem_read(const struct guest_mem *mem, uint64_t gpa, void *dst, size_t len);

/* The first byte after all RAM. */
uint64_t mem_top(const struct guest_mem *mem);

#endif
