/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A clock chip: Arm's PL031 (PrimeCell Real Time Clock, DDI 0224). It counts seconds since 1970 as the host's clock does,
 * from wherever the guest sets it; without its alarm, for which nothing here waits.
 */
#ifndef PINVM_PL031_H
#define PINVM_PL031_H

#include <stdatomic.h>
#include <stdint.h>

#include "vmm/bus.h"

#define PL031_SIZE 0x1000

/* Zeroed: as at power-on. */
struct pl031 {
	_Atomic uint32_t offset; /* of the guest's clock to the host's, seconds */
	_Atomic uint32_t match;	 /* the alarm's register: read back, nothing more */
};

extern const struct bus_ops pl031_bus_ops; /* PL031_SIZE bytes, dev: struct pl031; vCPU threads */

/* Main, while no vCPU runs. */
void pl031_reset(struct pl031 *rtc);

#endif
