/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Can this host give what a plan of guest RAM wants? Asked before anything is created, so that a guest is refused with
 * figures and not killed later. Main.
 */
#ifndef PINVM_MEMORY_SUPPLY_H
#define PINVM_MEMORY_SUPPLY_H

#include "vmm/memory/plan.h"

/* 0, or -errno after one logged line that names the option, what is needed, what there is, and what would help. */
int mem_supply_check(const struct mem_plan *plan, const char *root);

#endif
