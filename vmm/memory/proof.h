/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's own answer to what guest RAM is made of: policy (get_mempolicy(2)), the node of each page that is there
 * (move_pages(2)), page size and locks (/proc/self/smaps). A difference to the plan is an error. Main, after
 * preallocation, before the first guest instruction; a cost only for what was asked.
 */
#ifndef PINVM_MEMORY_PROOF_H
#define PINVM_MEMORY_PROOF_H

#include "vmm/mem.h"
#include "vmm/memory/plan.h"

/* Fill in the read-back half of the plan's blocks and compare. 0, or -EXDEV after one logged line; -errno. */
int mem_prove(struct mem_plan *plan, const struct guest_mem *mem);

#endif
