/* SPDX-License-Identifier: Apache-2.0 */
/* mem_at() over hand-made regions, for programs that link nothing else of mem.c. Include it once a program.
 */
#ifndef PINVM_TESTS_FAKE_MEM_H
#define PINVM_TESTS_FAKE_MEM_H

#include "vmm/mem.h"

void *mem_at(const struct guest_mem *mem, uint64_t gpa, uint64_t len)
{
	for (unsigned i = 0; i < mem->n; i++) {
		const struct mem_region *r = &mem->region[i];

		if (gpa >= r->gpa && gpa - r->gpa < r->size && len <= r->size - (gpa - r->gpa))
			return r->host + (gpa - r->gpa);
	}
	return NULL;
}

#endif
