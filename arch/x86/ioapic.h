/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The IOAPIC of the split irqchip (Intel 82093AA, version 0x20): 24 pins, each an irq_src that this device masks and
 * routes as an MSI to the local APICs. All pins in use are described as edge-triggered; one that a guest makes level-triggered
 * is one where its source knows its line (irq_src.line): it interrupts again after an EOI while the line is high, and not when
 * it has gone down while the pin was masked. Registers are behind one mutex.
 */
#ifndef PINVM_X86_IOAPIC_H
#define PINVM_X86_IOAPIC_H

#include <stdint.h>

#include "vmm/bus.h"

struct ioapic;
struct irq_src;

extern const struct bus_ops ioapic_bus_ops; /* dev: struct ioapic */

int ioapic_create(struct ioapic **ioapic);
/* Attach a source (owned by the caller) to a pin; main, before vCPUs run. */
void ioapic_connect(struct ioapic *ioapic, unsigned pin, struct irq_src *src);
/* Power-on state: all pins masked. Resets the sources. */
void ioapic_reset(struct ioapic *ioapic);
/* The guest ended a level-triggered interrupt with this vector (KVM_EXIT_IOAPIC_EOI). vCPU thread. */
void ioapic_eoi(struct ioapic *ioapic, uint8_t vector);
void ioapic_destroy(struct ioapic *ioapic);

#endif
