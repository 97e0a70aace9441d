/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A GICv2m frame: the register that turns an MSI's write into a shared peripheral interrupt (Arm Server Base
 * System Architecture, appendix E). Devices' messages never get here: KVM_SET_GSI_ROUTING takes what
 * gicv2m_pin() makes of them.
 */
#ifndef PINVM_ARM64_GICV2M_H
#define PINVM_ARM64_GICV2M_H

#include "vmm/bus.h"

struct irq_msg;

#define GICV2M_TYPER  0x008
#define GICV2M_SETSPI 0x040
#define GICV2M_IIDR   0xfcc

extern const struct bus_ops gicv2m_bus_ops; /* GICV2M_SIZE bytes, dev: struct vm */

/* The pin a message raises; -1: none that belongs to this frame. Any thread. */
int gicv2m_pin(const struct irq_msg *msg);

#endif
