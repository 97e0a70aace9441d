// SPDX-License-Identifier: Apache-2.0
/* The VM as x86 wants it: split irqchip, capabilities. Main only. Kernel document: Documentation/virt/kvm/api.rst. */
#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "arch/arch.h"
#include "arch/x86/boot.h"
#include "arch/x86/cpuid.h"
#include "arch/x86/layout.h"
#include "arch/x86/vm.h"
#include "vmm/irq.h"
#include "vmm/log.h"
#include "vmm/vm.h"

unsigned long arch_vm_type(const struct vm *vm)
{
	return 0;
}

static const struct {
	int cap;
	const char *name;
} required[] = {
	{KVM_CAP_SPLIT_IRQCHIP, "KVM_CAP_SPLIT_IRQCHIP"},
	{KVM_CAP_EXT_CPUID, "KVM_CAP_EXT_CPUID"},
	{KVM_CAP_MP_STATE, "KVM_CAP_MP_STATE"},
};

int arch_vm_check(struct vm *vm, const struct guest_config *cfg)
{
	int max = vm_cap(vm, KVM_CAP_MAX_VCPUS), max_id = vm_cap(vm, KVM_CAP_MAX_VCPU_ID);

	for (unsigned i = 0; i < sizeof(required) / sizeof(required[0]); i++) {
		if (vm_cap(vm, required[i].cap))
			continue;
		log_err("/dev/kvm: this kernel lacks %s", required[i].name);
		return -ENOTSUP;
	}
	if (!x86_reaches(mem_top(vm->mem), arch_phys_bits())) {
		log_err("--memory %lluM: this CPU addresses %u bits, which is %lluM with the hole below 4 GiB; give less",
			(unsigned long long)(cfg->memory.size >> 20), arch_phys_bits(),
			((1ULL << arch_phys_bits()) - (RAM_HIGH - RAM_LOW_MAX)) >> 20);
		return -EINVAL;
	}
	if (cfg->cpus.count > (unsigned)max) {
		log_err("--cpus %u: this host's KVM allows %d", cfg->cpus.count, max);
		return -EINVAL;
	}
	if (max_id && arch_vcpu_id(cfg, cfg->cpus.count - 1) >= (unsigned)max_id) {
		log_err("--cpus %u: the topology needs APIC id %u, this host's KVM allows up to %d; use fuller cores or sockets",
			cfg->cpus.count, arch_vcpu_id(cfg, cfg->cpus.count - 1), max_id - 1);
		return -EINVAL;
	}
	vm->arch = calloc(1, sizeof(*vm->arch));
	return vm->arch ? x86_cpuid_create(&vm->arch->cpuid, vm) : -ENOMEM;
}

void arch_vm_exit(struct vm *vm)
{
	if (vm->arch)
		free(vm->arch->cpuid);
	free(vm->arch);
	vm->arch = NULL;
}

static int enable(struct vm *vm, unsigned cap, uint64_t arg)
{
	struct kvm_enable_cap enable = {.cap = cap, .args = {arg}};

	return ioctl(vm->fd, KVM_ENABLE_CAP, &enable) < 0 ? -errno : 0;
}

/* What --exits asks to leave to the guest. arch_vm_check() saw that the host can. */
static int disable_exits(struct vm *vm)
{
	const struct exits_config *exits = &vm->cfg->exits;
	uint64_t mask = 0;
	int err;

	if (exits->mwait == TRI_OFF)
		mask |= KVM_X86_DISABLE_EXITS_MWAIT;
	if (exits->hlt == TRI_OFF)
		mask |= KVM_X86_DISABLE_EXITS_HLT;
	if (exits->pause == TRI_OFF)
		mask |= KVM_X86_DISABLE_EXITS_PAUSE;
	if (exits->cstate == TRI_OFF)
		mask |= KVM_X86_DISABLE_EXITS_CSTATE;
	err = mask ? enable(vm, KVM_CAP_X86_DISABLE_EXITS, mask) : 0;
	return err ? log_errno(err, "--exits: KVM_CAP_X86_DISABLE_EXITS") : 0;
}

int arch_vm_init(struct vm *vm)
{
	uint64_t identity_map = IDENTITY_MAP_ADDR;
	int err;

	/* Intel without unrestricted guest needs both; elsewhere they do no harm. */
	if (ioctl(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity_map) < 0)
		return log_errno(-errno, "KVM_SET_IDENTITY_MAP_ADDR");
	if (ioctl(vm->fd, KVM_SET_TSS_ADDR, TSS_ADDR) < 0)
		return log_errno(-errno, "KVM_SET_TSS_ADDR");
	err = disable_exits(vm);
	if (err)
		return err;
	err = enable(vm, KVM_CAP_SPLIT_IRQCHIP, IOAPIC_PINS);
	if (err)
		return log_errno(err, "--irqchip split: KVM_CAP_SPLIT_IRQCHIP");
	if (!vm->cfg->pmu && (vm_cap(vm, KVM_CAP_PMU_CAPABILITY) & KVM_PMU_CAP_DISABLE))
		enable(vm, KVM_CAP_PMU_CAPABILITY, KVM_PMU_CAP_DISABLE);
	if (vm_cap(vm, KVM_CAP_X2APIC_API))
		enable(vm, KVM_CAP_X2APIC_API, KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK);
	return 0;
}

int arch_vm_ready(struct vm *vm)
{
	return 0;
}

int arch_first_msi_gsi(void)
{
	return IOAPIC_PINS;
}

void arch_msi_route(struct kvm_irq_routing_entry *entry, const struct irq_msg *msg)
{
	entry->type = KVM_IRQ_ROUTING_MSI;
	entry->u.msi.address_lo = msg->addr;
	entry->u.msi.address_hi = msg->addr >> 32;
	entry->u.msi.data = msg->data;
}
