// SPDX-License-Identifier: Apache-2.0
/* The arm64 board; see board.h. */
#include "arch/arm64/board.h"

#include <errno.h>
#include <stdlib.h>

#include "arch/arch.h"
#include "arch/arm64/gicv2m.h"
#include "devices/pl031.h"
#include "devices/serial.h"
#include "vmm/guest.h"
#include "vmm/log.h"

int arch_gsi(enum board_pin pin)
{
	return pin == BOARD_SERIAL ? PIN_SERIAL : PIN_POWER;
}

void arch_irq_connect(struct guest *guest, int gsi, struct irq_src *src)
{
	guest->board->pin[gsi] = src;
}

int arch_board_create(struct guest *guest)
{
	int err;

	guest->board = calloc(1, sizeof(*guest->board));
	if (!guest->board)
		return -ENOMEM;
	arch_irq_connect(guest, PIN_SERIAL, &guest->serial_irq);
	/* PSCI does what the registers of struct power are for; of it there is the button's pin alone. */
	arch_irq_connect(guest, PIN_POWER, &guest->power_irq);
	err = bus_add(
		&guest->bus, BUS_MMIO, MMIO_SERIAL, SERIAL_SIZE, &serial_bus_ops, guest->serial, "serial");
	if (!err)
		err = bus_add(&guest->bus, BUS_MMIO, MMIO_RTC, PL031_SIZE, &pl031_bus_ops, &guest->board->rtc,
			"RTC");
	if (!err && guest->cfg->transport == TRANSPORT_PCI && guest->cfg->irqchip == IRQCHIP_SPLIT)
		err = bus_add(
			&guest->bus, BUS_MMIO, GICV2M, GICV2M_SIZE, &gicv2m_bus_ops, &guest->vm, "GICv2m");
	return err;
}

/* The GIC masks them itself: a pin is open from the start. */
int arch_board_start(struct guest *guest)
{
	for (unsigned i = 0; i < BOARD_PINS; i++) {
		struct irq_src *src = guest->board->pin[i];
		int err;

		if (!src)
			continue;
		irq_wired(src);
		err = irq_mask(src, false);
		if (err)
			return log_errno(err, "interrupt pin %u: KVM_IRQFD", i);
	}
	return 0;
}

void arch_board_reset(struct guest *guest)
{
	pl031_reset(&guest->board->rtc);
	for (unsigned i = 0; i < BOARD_PINS; i++)
		if (guest->board->pin[i])
			irq_reset(guest->board->pin[i]);
}

void arch_board_destroy(struct guest *guest)
{
	free(guest->board);
	guest->board = NULL;
}
