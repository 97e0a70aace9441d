// SPDX-License-Identifier: Apache-2.0
/* Where a message goes that a guest wrote: to the one register that takes messages, or nowhere. */
#include <linux/kvm.h>

#include "arch/arch.h"
#include "arch/arm64/gicv2m.h"
#include "arch/arm64/layout.h"
#include "tests/unit/unit.h"
#include "vmm/irq.h"
#include "vmm/vm.h"

#define NOWHERE UINT32_MAX /* KVM refuses a route to this pin */

static struct kvm_irq_routing_entry route(enum irqchip_kind kind, uint32_t gsi, const struct irq_msg *msg)
{
	struct guest_config cfg = {.irqchip = kind};
	struct vm vm = {.cfg = &cfg};
	struct kvm_irq_routing_entry entry = {.gsi = gsi};

	arch_msi_route(&vm, &entry, msg);
	ck_assert_uint_eq(entry.gsi, gsi);
	return entry;
}

static void to_pin(enum irqchip_kind kind, uint32_t gsi, uint64_t addr, uint32_t data, uint32_t pin)
{
	struct irq_msg msg = {.addr = addr, .data = data, .devid = 0x18};
	struct kvm_irq_routing_entry entry = route(kind, gsi, &msg);

	ck_assert_uint_eq(entry.type, KVM_IRQ_ROUTING_IRQCHIP);
	ck_assert_uint_eq(entry.flags, 0);
	ck_assert_uint_eq(entry.u.irqchip.irqchip, 0);
	ck_assert_msg(entry.u.irqchip.pin == pin, "%#llx %#x: pin %u", (unsigned long long)addr, data, entry.u.irqchip.pin);
}

/* A frame raises its own SPIs, not those of the board. */
START_TEST(by_a_frame)
{
	const uint64_t addr = GICV2M + GICV2M_SETSPI;
	const uint32_t first = MSI_INTID_FIRST, bad[] = {0, 31, GIC_SPI_FIRST, first - 1, GIC_INTIDS, UINT32_MAX};

	to_pin(IRQCHIP_SPLIT, BOARD_PINS, addr, first, BOARD_PINS);
	to_pin(IRQCHIP_SPLIT, BOARD_PINS, addr, GIC_INTIDS - 1, BOARD_PINS + MSI_PINS - 1);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		to_pin(IRQCHIP_SPLIT, BOARD_PINS, addr, bad[i], NOWHERE);
	to_pin(IRQCHIP_SPLIT, BOARD_PINS, addr + 4, first, NOWHERE);
	to_pin(IRQCHIP_SPLIT, BOARD_PINS, addr | 1ULL << 32, first, NOWHERE);
	to_pin(IRQCHIP_SPLIT, BOARD_PINS, GIC_ITS + ITS_TRANSLATER, first, NOWHERE);
	to_pin(IRQCHIP_SPLIT, BOARD_PINS, RAM_BASE, first, NOWHERE);
}
END_TEST

/* An ITS tells by the device which of its events it is; any event is one. */
START_TEST(by_an_its)
{
	struct irq_msg msg = {.addr = GIC_ITS + ITS_TRANSLATER, .data = 0xfedcba98, .devid = 0xf8};
	struct kvm_irq_routing_entry entry = route(IRQCHIP_ITS, BOARD_PINS + 3, &msg);

	ck_assert_uint_eq(entry.type, KVM_IRQ_ROUTING_MSI);
	ck_assert_uint_eq(entry.flags, KVM_MSI_VALID_DEVID);
	ck_assert_uint_eq((uint64_t)entry.u.msi.address_hi << 32 | entry.u.msi.address_lo, msg.addr);
	ck_assert_uint_eq(entry.u.msi.data, msg.data);
	ck_assert_uint_eq(entry.u.msi.devid, msg.devid);
}
END_TEST

START_TEST(past_an_its)
{
	const uint64_t its = GIC_ITS + ITS_TRANSLATER,
		       bad[] = {0, 1, GIC_ITS, its - 4, its + 1, its + 4, its | 1ULL << 32, its | 1ULL << 63, GIC_DIST, GIC_REDIST,
			       GICV2M + GICV2M_SETSPI, MMIO_SERIAL, RAM_BASE, UINT64_MAX};

	for (unsigned i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		to_pin(IRQCHIP_ITS, BOARD_PINS, bad[i], MSI_INTID_FIRST, NOWHERE);
}
END_TEST

/* Tables that are written for an MSI hold the pins of the board too, whatever message they have. */
START_TEST(board_pins)
{
	for (uint32_t pin = 0; pin < BOARD_PINS; pin++) {
		to_pin(IRQCHIP_SPLIT, pin, 0, 0, pin);
		to_pin(IRQCHIP_ITS, pin, GIC_ITS + ITS_TRANSLATER, 5, pin);
	}
}
END_TEST

UNIT_MAIN("msi", by_a_frame, by_an_its, past_an_its, board_pins)
