/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's own answer to what guest RAM is made of: policy (get_mempolicy(2)), the node of each page that is there
 * (move_pages(2)), page size and locks (/proc/self/smaps). A difference to the plan is an error. Main, after
 * preallocation, before the first guest instruction, and once more at the end; a cost only for what was asked.
 */
#ifndef PINVM_MEMORY_PROOF_H
#define PINVM_MEMORY_PROOF_H

#include "vmm/memory/mem.h"
#include "vmm/memory/fill.h"
#include "vmm/memory/plan.h"

/*
 * Fill in the read-back half of the plan's blocks and compare, if there is preallocation or any wish: else nothing is
 * there yet, and nothing is done. 0, or -EXDEV after one logged line; -errno; -ECANCELED and -ETIME as mem_fill().
 */
int mem_prove(struct mem_plan *plan, const struct guest_mem *mem, const struct fill_limits *limits);
/* The comparison alone: a block's read-back half with its plan. 0, or -EXDEV after one logged line. */
int mem_compare(const struct mem_plan *plan, const struct mem_block *b);

/*
 * For the end of the run, when no vCPU runs: ask again, so that memory that came only with its use is seen too. Whatever
 * the limits cut off is not in the block's `checked` bytes. One error line for each block with pages on nodes that its
 * policy rules out; returns how many bytes those are.
 */
uint64_t mem_look(struct mem_plan *plan, const struct guest_mem *mem, const struct fill_limits *limits);

#endif
