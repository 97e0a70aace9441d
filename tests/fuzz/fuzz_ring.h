/* SPDX-License-Identifier: Apache-2.0 */
/* What the ring fuzzers share: bytes of the input as decisions, and RAM with nothing behind it. */
#ifndef PINVM_TESTS_FUZZ_RING_H
#define PINVM_TESTS_FUZZ_RING_H

#include <sys/mman.h>

#include "tests/fuzz/fuzz.h"
#include "tests/unit/ring_driver.h"

struct choices {
	const uint8_t *p, *end;
};

/* The next decision; 0 when the input is used up. */
static inline unsigned pick(struct choices *c, unsigned n)
{
	return c->p < c->end ? *c->p++ % n : 0;
}

static inline uint32_t pick32(struct choices *c)
{
	uint32_t v = 0;

	for (int i = 0; i < 4; i++)
		v = v << 8 | pick(c, 256);
	return v;
}

static inline uint8_t *fuzz_ram(struct guest_mem *mem, uint64_t gpa, uint64_t size)
{
	static uint8_t *ram;

	if (!ram) {
		ram = mmap(NULL, size + 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		must(ram != MAP_FAILED && !mprotect(ram, size, PROT_READ | PROT_WRITE));
		mem->region[mem->n++] = (struct mem_region){.gpa = gpa, .size = size, .host = ram, .fd = -1};
	}
	return ram;
}

/* Something a driver should not have done: a few bytes of the descriptors or of the available ring, or its
 * index. */
static inline void fuzz_flip(struct choices *c, struct ring_driver *drv)
{
	unsigned at = pick32(c) % (unsigned)(drv->cfg.used - drv->cfg.desc);

	drv->desc[at] ^= 1 + pick(c, 255);
}

#endif
