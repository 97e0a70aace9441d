/* SPDX-License-Identifier: Apache-2.0 */
/* What arm64 keeps with a VM; made by arch_vm_check(), freed by arch_vm_exit(). */
#ifndef PINVM_ARM64_VM_H
#define PINVM_ARM64_VM_H

#include <linux/kvm.h>
#include <stdbool.h>

#include "arch/arm64/gic.h"

struct arch_vm {
	struct kvm_vcpu_init cpu; /* what every vCPU is: the host's CPU, with and without features */
	bool sve, pvtime;
	enum gic_kind gic; /* valid from arch_vm_init() on */
	int gic_fd, its_fd; /* from arch_vm_init() to arch_vm_ready(); else -1, the ITS also without --irqchip its */
};

#endif
