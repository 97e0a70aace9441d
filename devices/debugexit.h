/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest ends the run with a status of its own (--debug-exit; the isa-debug-exit convention): value v
 * written gives status (v << 1) | 1. Always odd, so it never meets pinvm's own; of v only the low 7 bits
 * count.
 */
#ifndef PINVM_DEBUGEXIT_H
#define PINVM_DEBUGEXIT_H

#include "vmm/bus.h"

struct guest;

#define DEBUGEXIT_SIZE 4

extern const struct bus_ops debugexit_bus_ops; /* DEBUGEXIT_SIZE bytes, dev: struct guest */

#endif
