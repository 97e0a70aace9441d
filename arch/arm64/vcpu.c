// SPDX-License-Identifier: Apache-2.0
/* An arm64 vCPU: its state at the kernel's entry, and the exits only arm64 has. */
#include <errno.h>
#include <linux/kvm.h>
#include <stddef.h>
#include <sys/ioctl.h>

#include "arch/arch.h"
#include "arch/arm64/boot.h"
#include "arch/arm64/layout.h"
#include "arch/arm64/vcpu.h"
#include "arch/arm64/vm.h"
#include "vmm/guest.h"
#include "vmm/log.h"
#include "vmm/vcpu.h"

#define CORE_REG(field)                                        \
	(KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | \
		offsetof(struct kvm_regs, field) / sizeof(uint32_t))

#define SYS_MPIDR ARM64_SYS_REG(3, 0, 0, 0, 5)
#define SYS_MMFR0 ARM64_SYS_REG(3, 0, 0, 7, 0)
#define SYS_SCTLR ARM64_SYS_REG(3, 0, 1, 0, 0)
#define SYS_ESR	  ARM64_SYS_REG(3, 0, 5, 2, 0)
#define SYS_FAR	  ARM64_SYS_REG(3, 0, 6, 0, 0)
#define SYS_VBAR  ARM64_SYS_REG(3, 0, 12, 0, 0)

#define MPIDR_AFFINITY 0xff00ffffffULL

unsigned arch_vcpu_id(const struct guest_config *cfg, unsigned index)
{
	return index;
}

static int get_reg(const struct vcpu *vcpu, uint64_t id, uint64_t *value)
{
	struct kvm_one_reg reg = {.id = id, .addr = (uintptr_t)value};

	return ioctl(vcpu->fd, KVM_GET_ONE_REG, &reg) < 0 ? -errno : 0;
}

static int set_reg(const struct vcpu *vcpu, uint64_t id, uint64_t value)
{
	struct kvm_one_reg reg = {.id = id, .addr = (uintptr_t)&value};

	return ioctl(vcpu->fd, KVM_SET_ONE_REG, &reg) < 0 ? -errno : 0;
}

/* Where KVM tells the guest how long this vCPU was kept from running. */
static int set_pvtime(struct vcpu *vcpu)
{
	const struct vm *vm = &vcpu->guest->vm;
	uint64_t gpa = arm64_tail(vm->mem) + FDT_MAX + vcpu->index * PVTIME_EACH;
	struct kvm_device_attr attr = {
		.group = KVM_ARM_VCPU_PVTIME_CTRL, .attr = KVM_ARM_VCPU_PVTIME_IPA, .addr = (uintptr_t)&gpa};

	if (!vm->arch->pvtime || gpa < RAM_BASE) /* too little RAM: the loader says so */
		return 0;
	return ioctl(vcpu->fd, KVM_SET_DEVICE_ATTR, &attr) < 0
		       ? log_errno(-errno, "vCPU %u: KVM_ARM_VCPU_PVTIME_IPA", vcpu->index)
		       : 0;
}

/* All but the boot CPU wait for PSCI's CPU_ON. */
int arch_vcpu_init(struct vcpu *vcpu)
{
	const struct arch_vm *arch = vcpu->guest->vm.arch;
	struct kvm_vcpu_init init = arch->cpu;
	int sve = KVM_ARM_VCPU_SVE;

	if (vcpu->index)
		init.features[0] |= 1u << KVM_ARM_VCPU_POWER_OFF;
	if (ioctl(vcpu->fd, KVM_ARM_VCPU_INIT, &init) < 0)
		return log_errno(-errno, "vCPU %u: KVM_ARM_VCPU_INIT", vcpu->index);
	if (arch->sve && ioctl(vcpu->fd, KVM_ARM_VCPU_FINALIZE, &sve) < 0)
		return log_errno(-errno, "vCPU %u: KVM_ARM_VCPU_FINALIZE of SVE", vcpu->index);
	return set_pvtime(vcpu);
}

int arm64_mpidr(const struct vcpu *vcpu, uint64_t *mpidr)
{
	int err = get_reg(vcpu, SYS_MPIDR, mpidr);

	*mpidr &= MPIDR_AFFINITY;
	return err ? log_errno(err, "vCPU %u: MPIDR_EL1", vcpu->index) : 0;
}

/* The rest is as KVM makes a CPU: EL1, interrupts masked, MMU and caches off, the other general registers 0.
 */
int arch_vcpu_boot(struct vcpu *vcpu, const struct arch_boot *boot)
{
	uint64_t mmfr0;
	int err = get_reg(vcpu, SYS_MMFR0, &mmfr0);

	if (err)
		return log_errno(err, "vCPU %u: ID_AA64MMFR0_EL1", vcpu->index);
	err = boot_check_pages(boot, mmfr0);
	if (err)
		return err;
	err = set_reg(vcpu, CORE_REG(regs.regs[0]), boot->fdt);
	if (!err)
		err = set_reg(vcpu, CORE_REG(regs.pc), boot->entry);
	return err ? log_errno(err, "vCPU %u: KVM_SET_ONE_REG", vcpu->index) : 0;
}

int arch_vcpu_exit(struct vcpu *vcpu)
{
	if (vcpu->run->exit_reason != KVM_EXIT_ARM_NISV)
		return -ENOTSUP;
	log_err("vCPU %u: the guest touched %#llx, where there is no RAM, with an instruction that KVM does "
		"not decode",
		vcpu->index, (unsigned long long)vcpu->run->arm_nisv.fault_ipa);
	return -ENOTSUP;
}

static uint64_t show(const struct vcpu *vcpu, uint64_t id)
{
	uint64_t value = 0;

	get_reg(vcpu, id, &value);
	return value;
}

#define X(n) (unsigned long long)show(vcpu, CORE_REG(regs.regs[0]) + 2 * (n))

void arch_vcpu_dump(struct vcpu *vcpu)
{
	log_err("vCPU %u: pc %016llx sp %016llx pstate %08llx", vcpu->index,
		(unsigned long long)show(vcpu, CORE_REG(regs.pc)),
		(unsigned long long)show(vcpu, CORE_REG(sp_el1)),
		(unsigned long long)show(vcpu, CORE_REG(regs.pstate)));
	for (unsigned n = 0; n < 28; n += 4)
		log_err("  x%-2u %016llx x%-2u %016llx x%-2u %016llx x%-2u %016llx", n, X(n), n + 1, X(n + 1),
			n + 2, X(n + 2), n + 3, X(n + 3));
	log_err("  x28 %016llx x29 %016llx x30 %016llx", X(28), X(29), X(30));
	log_err("  elr %016llx esr %08llx far %016llx sctlr %08llx vbar %016llx",
		(unsigned long long)show(vcpu, CORE_REG(elr_el1)), (unsigned long long)show(vcpu, SYS_ESR),
		(unsigned long long)show(vcpu, SYS_FAR), (unsigned long long)show(vcpu, SYS_SCTLR),
		(unsigned long long)show(vcpu, SYS_VBAR));
}
