/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device tree of an arm64 guest as a function of what it is to say; see describe.c for where that comes
 * from. Pure, any thread. Devicetree Specification 0.4, Documentation/devicetree/bindings.
 */
#ifndef PINVM_ARM64_FDT_H
#define PINVM_ARM64_FDT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/arm64/gic.h"
#include "devices/pci.h"
#include "vmm/config.h"
#include "vmm/memory/nodes.h"

#define FDT_SEED_LEN 32

struct fdt_params {
	const struct cpu_config *cpus;	 /* its topology complete: config_check() */
	const uint64_t *mpidr;		 /* affinity of each */
	const struct guest_nodes *nodes; /* n 0: no NUMA, and the ranges of RAM all the same */
	enum gic_kind gic;
	bool its; /* MSIs go there, not to a GICv2m frame */
	bool pmu, serial;
	unsigned mmio;	       /* virtio-mmio devices */
	struct pci_layout pci; /* ecam_size 0: none */
	uint64_t reserved, reserved_size; /* RAM the kernel keeps free; size 0: none */
	const char *bootargs;
	uint64_t initrd, initrd_end; /* guest-physical; 0: none */
	uint8_t seed[FDT_SEED_LEN];  /* for the guest's first random numbers */
	uint64_t kaslr_seed;	     /* for where its kernel lies */
};

/* Returns the bytes used, -ENOSPC, or -EPROTO: what was written is no tree, which is pinvm's own error and logged. */
int arm64_fdt(const struct fdt_params *params, void *buf, size_t size);

#endif
