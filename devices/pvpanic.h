/* SPDX-License-Identifier: Apache-2.0 */
/* The guest says that its kernel panicked (QEMU docs/specs/pvpanic: one byte, a bit an event). */
#ifndef PINVM_PVPANIC_H
#define PINVM_PVPANIC_H

#include "vmm/bus.h"

struct guest;
struct pvpanic;

#define PVPANIC_SIZE	     1
#define PVPANIC_PANICKED     0x1 /* ends the guest */
#define PVPANIC_CRASH_LOADED 0x2 /* panicked, and its own crash kernel takes over: the guest goes on */

extern const struct bus_ops pvpanic_bus_ops; /* PVPANIC_SIZE bytes, dev: struct pvpanic */

/* Main. 0 or -ENOMEM. */
int pvpanic_create(struct pvpanic **pvpanic, struct guest *guest);
/* As at power-on. Main, while no vCPU runs. */
void pvpanic_reset(struct pvpanic *pvpanic);
void pvpanic_destroy(struct pvpanic *pvpanic);

#endif
