// SPDX-License-Identifier: Apache-2.0
/* Tell the guest its hardware: gather what the device tree says, and put it into RAM. Main, at each start and
 * restart. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "arch/arch.h"
#include "arch/arm64/boot.h"
#include "arch/arm64/fdt.h"
#include "arch/arm64/layout.h"
#include "arch/arm64/vcpu.h"
#include "arch/arm64/vm.h"
#include "devices/pci.h"
#include "vmm/guest.h"
#include "vmm/log.h"

/* Entropy for the guest's first random numbers, from the host's. */
static int random_bytes(void *buf, size_t len)
{
	ssize_t n;

	do
		n = getrandom(buf, len, 0);
	while (n < 0 && errno == EINTR);
	return n == (ssize_t)len ? 0 : log_errno(n < 0 ? -errno : -EIO, "getrandom");
}

static int fill_seeds(struct fdt_params *params)
{
	int err = random_bytes(params->seed, sizeof(params->seed));

	return err ? err : random_bytes(&params->kaslr_seed, sizeof(params->kaslr_seed));
}

static int put(struct guest *guest, const struct arch_boot *boot, const struct fdt_params *params)
{
	void *buf = mem_at(&guest->mem, boot->fdt, TAIL_SIZE);
	int used;

	if (!buf)
		return log_errno(-ENOMEM, "--memory: no RAM for the device tree at %#llx", (unsigned long long)boot->fdt);
	used = arm64_fdt(params, buf, FDT_MAX);
	if (used == -ENOSPC)
		return log_errno(used, "--cpus: the device tree of %u CPUs does not fit into %llu bytes",
			guest->cfg->cpus.count, FDT_MAX);
	if (used < 0)
		return used;
	log_debug("device tree: %d bytes at %#llx", used, (unsigned long long)boot->fdt);
	return 0;
}

int arch_describe(struct guest *guest, struct arch_boot *boot)
{
	const struct guest_config *cfg = guest->cfg;
	uint64_t mpidr[256];
	struct guest_nodes nodes;
	struct fdt_params params = {
		.cpus = &cfg->cpus,
		.mpidr = mpidr,
		.nodes = &nodes,
		.gic = guest->vm.arch->gic,
		.its = cfg->irqchip == IRQCHIP_ITS,
		.pmu = cfg->pmu,
		.reserved = boot->fdt + FDT_MAX,
		.reserved_size = guest->vm.arch->pvtime ? PVTIME_SIZE : 0,
		.serial = cfg->serial != SERIAL_OFF,
		.bootargs = boot->cmdline,
		.initrd = boot->initrd_at,
		.initrd_end = boot->initrd_at ? boot->initrd_at + boot->initrd.size : 0,
	};
	int err = guest_nodes(&nodes, cfg);

	for (unsigned i = 0; !err && i < cfg->cpus.count; i++)
		err = arm64_mpidr(&guest->vcpu[i], &mpidr[i]);
	if (!err)
		err = fill_seeds(&params);
	if (err)
		return err;
	if (cfg->transport == TRANSPORT_PCI)
		params.pci = *pci_bus_layout(guest->pci);
	else
		params.mmio = guest->ndevices;
	err = put(guest, boot, &params);
	explicit_bzero(params.seed, sizeof(params.seed));
	return err;
}
