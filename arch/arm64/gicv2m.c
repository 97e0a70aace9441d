// SPDX-License-Identifier: Apache-2.0
/* The GICv2m frame; see gicv2m.h. It has no state of its own. Accessed by vCPU threads. */
#include "arch/arm64/gicv2m.h"

#include <linux/kvm.h>
#include <sys/ioctl.h>

#include "arch/arm64/layout.h"
#include "vmm/irq.h"
#include "vmm/vm.h"

int gicv2m_pin(const struct irq_msg *msg)
{
	if (msg->addr != GICV2M + GICV2M_SETSPI || msg->data < MSI_INTID_FIRST || msg->data >= GIC_INTIDS)
		return -1;
	return msg->data - GIC_SPI_FIRST;
}

static uint32_t reg_read(uint64_t off)
{
	switch (off) {
	case GICV2M_TYPER:
		return MSI_INTID_FIRST << 16 | MSI_PINS;
	case GICV2M_IIDR:
		return 0x43b; /* designed by Arm, architecture version 0 */
	default:
		return 0;
	}
}

static void gicv2m_read(void *dev, uint64_t off, uint8_t *data, unsigned len)
{
	bus_put(data, len, reg_read(off & ~3ULL) >> 8 * (off & 3));
}

/* A CPU may write it too. Only the SPIs of the frame are its to raise. */
static void gicv2m_write(void *dev, uint64_t off, const uint8_t *data, unsigned len)
{
	struct vm *vm = dev;
	uint64_t intid = bus_get(data, len);
	struct kvm_irq_level line = {
		.irq = KVM_ARM_IRQ_TYPE_SPI << KVM_ARM_IRQ_TYPE_SHIFT | (uint32_t)intid, .level = 1};

	if (off != GICV2M_SETSPI || intid < MSI_INTID_FIRST || intid >= GIC_INTIDS)
		return;
	ioctl(vm->fd, KVM_IRQ_LINE, &line);
	line.level = 0;
	ioctl(vm->fd, KVM_IRQ_LINE, &line);
}

const struct bus_ops gicv2m_bus_ops = {gicv2m_read, gicv2m_write};
