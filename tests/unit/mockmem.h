/* SPDX-License-Identifier: Apache-2.0 */
/* Guest RAM of the test's own, so that no placement of real memory is behind it. One source file of a
 * program. */
#ifndef PINVM_TESTS_MOCKMEM_H
#define PINVM_TESTS_MOCKMEM_H

#include <errno.h>
#include <string.h>

#include "vmm/memory/mem.h"

void *mem_at(const struct guest_mem *m, uint64_t gpa, uint64_t len)
{
	for (unsigned i = 0; i < m->n; i++) {
		const struct mem_region *r = &m->region[i];

		if (gpa >= r->gpa && gpa - r->gpa < r->size && len <= r->size - (gpa - r->gpa))
			return r->host + (gpa - r->gpa);
	}
	return NULL;
}

int mem_write(const struct guest_mem *m, uint64_t gpa, const void *src, size_t len)
{
	void *p = mem_at(m, gpa, len);

	return p ? memcpy(p, src, len), 0 : -EFAULT;
}

uint64_t mem_top(const struct guest_mem *m)
{
	return m->n ? m->region[m->n - 1].gpa + m->region[m->n - 1].size : 0;
}

#endif
