/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Power off, reset and the power button: the registers a hardware-reduced ACPI guest needs, in one block.
 * ACPI 6.4 sections 4.8.3.6 (reset), 4.8.3.7 (sleep control and status) and 5.6.9 (generic event device).
 */
#ifndef PINVM_POWER_H
#define PINVM_POWER_H

#include "vmm/bus.h"

struct guest;
struct irq_src;
struct power;

/* Offsets in the block, and what is written there. */
#define POWER_SLEEP_CTL 0x0 /* 1 byte: SLP_EN (bit 5), SLP_TYP (bits 2..4) */
#define POWER_SLEEP_STS 0x1 /* 1 byte: always 0, there is no state to wake from */
#define POWER_RESET	0x4 /* 1 byte: POWER_RESET_VALUE resets the guest */
#define POWER_GED	0x8 /* 4 bytes: events since the last read; reading clears them */
#define POWER_SIZE	0xc

#define POWER_SLP_EN	  0x20
#define POWER_SLP_TYP_S5  5
#define POWER_RESET_VALUE 0x1
#define POWER_GED_BUTTON  0x1 /* POWER_GED: the power button was pressed */

extern const struct bus_ops power_bus_ops; /* POWER_SIZE bytes, dev: struct power */

/* irq: the event pin (edge), borrowed; must outlive the device. Main. 0 or -ENOMEM. */
int power_create(struct power **power, struct guest *guest, struct irq_src *irq);
/* As at power-on. Main, while no vCPU runs. */
void power_reset(struct power *power);
void power_destroy(struct power *power);

/* Press the power button. Any thread. */
void power_button(struct power *power);

#endif
