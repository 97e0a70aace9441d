// SPDX-License-Identifier: Apache-2.0
/* The x86 board; see board.h. */
#include "arch/x86/board.h"

#include <errno.h>
#include <stdlib.h>

#include "arch/arch.h"
#include "arch/x86/ioapic.h"
#include "arch/x86/layout.h"
#include "arch/x86/userchip.h"
#include "arch/x86/vm.h"
#include "devices/debugexit.h"
#include "devices/power.h"
#include "devices/pvpanic.h"
#include "devices/serial.h"
#include "vmm/guest.h"

int arch_gsi(enum board_pin pin)
{
	return pin == BOARD_SERIAL ? PIN_SERIAL : PIN_GED;
}

void arch_irq_connect(struct guest *guest, int gsi, struct irq_src *src)
{
	ioapic_connect(guest->board->ioapic, gsi, src);
}

static int add_devices(struct guest *guest)
{
	struct arch_board *board = guest->board;
	struct userchip *userchip = guest->vm.arch->userchip;
	struct bus *bus = &guest->bus;
	int err;

	err = userchip ? userchip_add(userchip, bus) : 0;
	if (!err)
		err = bus_add(bus, BUS_MMIO, IOAPIC_BASE, IOAPIC_SIZE, &ioapic_bus_ops, board->ioapic, "IOAPIC");
	if (!err)
		err = bus_add(bus, BUS_PIO, PIO_SERIAL, SERIAL_SIZE, &serial_bus_ops, guest->serial, "serial");
	if (!err)
		err = bus_add(bus, BUS_PIO, PIO_SLEEP_CTL, POWER_SIZE, &power_bus_ops, guest->power, "power");
	if (!err)
		err = bus_add(bus, BUS_PIO, PIO_PVPANIC, PVPANIC_SIZE, &pvpanic_bus_ops, board->pvpanic, "pvpanic");
	if (!err && guest->cfg->debug_exit)
		err = bus_add(bus, BUS_PIO, PIO_DEBUG_EXIT, DEBUGEXIT_SIZE, &debugexit_bus_ops, guest, "debug-exit");
	return err;
}

int arch_board_create(struct guest *guest)
{
	struct arch_board *board = calloc(1, sizeof(*board));
	int err;

	if (!board)
		return -ENOMEM;
	guest->board = board;
	err = ioapic_create(&board->ioapic);
	if (!err)
		err = pvpanic_create(&board->pvpanic, guest);
	if (err)
		return err;
	ioapic_connect(board->ioapic, PIN_SERIAL, &guest->serial_irq);
	ioapic_connect(board->ioapic, PIN_GED, &guest->power_irq);
	return add_devices(guest);
}

/* The guest opens the IOAPIC's pins itself. */
int arch_board_start(struct guest *guest)
{
	return 0;
}

void arch_board_reset(struct guest *guest)
{
	ioapic_reset(guest->board->ioapic);
	pvpanic_reset(guest->board->pvpanic);
}

void arch_board_destroy(struct guest *guest)
{
	if (!guest->board)
		return;
	pvpanic_destroy(guest->board->pvpanic);
	ioapic_destroy(guest->board->ioapic);
	free(guest->board);
	guest->board = NULL;
}
