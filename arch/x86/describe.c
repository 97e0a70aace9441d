// SPDX-License-Identifier: Apache-2.0
/* Hand the guest its ACPI tables. Main, after each load of the kernel. */
#include <errno.h>

#include "arch/arch.h"
#include "arch/x86/acpi.h"
#include "arch/x86/layout.h"
#include "vmm/guest.h"
#include "vmm/log.h"

int arch_describe(struct guest *guest, struct arch_boot *boot)
{
	struct acpi_params params = {.cpus = &guest->cfg->cpus, .serial = guest->cfg->serial != SERIAL_OFF};
	size_t size = ADDR_ACPI_END - ADDR_RSDP;
	void *buf = mem_at(&guest->mem, ADDR_RSDP, size);
	int ret;

	arch_pci_layout(&params.pci, mem_top(&guest->mem));
	ret = buf ? acpi_build(&params, ADDR_RSDP, buf, size) : -EFAULT;
	if (ret == -ENOSPC)
		return log_errno(ret, "--cpus %u: their ACPI tables do not fit", guest->cfg->cpus.count);
	return ret < 0 ? log_errno(ret, "ACPI tables") : 0;
}
