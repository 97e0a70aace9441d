// SPDX-License-Identifier: Apache-2.0
/*
 * Tell the guest its hardware: the ACPI tables, and the few bytes of a BIOS that a guest jumps to in order to
 * reset. Main, at each start and restart.
 */
#include <errno.h>

#include "arch/arch.h"
#include "arch/x86/acpi.h"
#include "arch/x86/layout.h"
#include "devices/pci.h"
#include "devices/power.h"
#include "vmm/guest.h"
#include "vmm/log.h"

_Static_assert(ADDR_ACPI == ADDR_RSDP + ACPI_TABLES, "the RSDP and its tables are one range");

/*
 * Linux without EFI does not use the reset register of a hardware-reduced board: it takes EFI for granted
 * there, and ends up jumping to the BIOS in real mode. So the reset vector writes the register for it.
 */
static int put_bios_reset(const struct guest_mem *mem)
{
	static const uint8_t code[] = {
		0xba, PIO_RESET & 0xff, PIO_RESET >> 8, /* mov $PIO_RESET, %dx */
		0xb0, POWER_RESET_VALUE,		/* mov $POWER_RESET_VALUE, %al */
		0xee,					/* out %al, %dx */
		0xf4, 0xeb, 0xfd,			/* 1: hlt; jmp 1b */
	};

	_Static_assert(sizeof(code) <= 16, "up to 1 MiB");
	return mem_write(mem, ADDR_BIOS_RESET, code, sizeof(code));
}

int arch_describe(struct guest *guest, struct arch_boot *boot)
{
	struct acpi_params params = {
		.cpus = &guest->cfg->cpus,
		.serial = guest->cfg->serial != SERIAL_OFF,
	};
	void *buf = mem_at(&guest->mem, ADDR_RSDP, ADDR_ACPI_END - ADDR_RSDP);
	struct guest_nodes nodes;
	int used, err;

	if (!buf)
		return log_errno(-ENOMEM, "--memory: too small for the ACPI tables below 1 MiB");
	if (guest->cfg->transport == TRANSPORT_PCI)
		params.pci = *pci_bus_layout(guest->pci);
	else
		params.mmio = guest->ndevices;
	if (guest->cfg->nnumas) {
		err = guest_nodes(&nodes, guest->cfg);
		if (err)
			return err;
		params.nodes = &nodes;
	}
	used = acpi_build(&params, ADDR_RSDP, buf, ADDR_ACPI_END - ADDR_RSDP);
	if (used == -ENOSPC)
		return log_errno(used, "--cpus: the ACPI tables of %u CPUs do not fit into %u bytes",
			guest->cfg->cpus.count, ADDR_ACPI_END - ADDR_RSDP);
	if (used < 0)
		return log_errno(used, "ACPI tables");
	log_debug("ACPI: %d bytes of tables at %#x", used, ADDR_RSDP);
	return put_bios_reset(&guest->mem);
}
