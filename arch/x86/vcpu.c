// SPDX-License-Identifier: Apache-2.0
/* An x86 vCPU: its id, its state at the kernel's entry, and the exits only x86 has. */
#include <asm/kvm.h>
#include <errno.h>
#include <linux/kvm.h>
#include <linux/kvm_para.h>
#include <string.h>
#include <sys/ioctl.h>

#include "arch/arch.h"
#include "arch/x86/board.h"
#include "arch/x86/boot.h"
#include "arch/x86/cpuid.h"
#include "arch/x86/ioapic.h"
#include "arch/x86/layout.h"
#include "arch/x86/userchip.h"
#include "arch/x86/vm.h"
#include "vmm/guest.h"
#include "vmm/log.h"

#define MSR_MISC_ENABLE	  0x1a0
#define MSR_MTRR_DEF_TYPE 0x2ff

#define MISC_ENABLE_FAST_STRING (1 << 0)
#define MISC_ENABLE_NO_BTS	(1 << 11)
#define MISC_ENABLE_NO_PEBS	(1 << 12)
#define MISC_ENABLE_MWAIT	(1 << 18)
#define MTRR_ENABLE_WB		((1 << 11) | 6) /* no firmware sets MTRRs here, so all memory is write-back */

#define CR0_PE	 0x1ULL
#define CR0_ET	 0x10ULL
#define CR0_PG	 0x80000000ULL
#define CR4_PAE	 0x20ULL
#define EFER_LME 0x100ULL
#define EFER_LMA 0x400ULL

unsigned arch_vcpu_id(const struct guest_config *cfg, unsigned index)
{
	return x86_apic_id(&cfg->cpus, index);
}

/* As firmware would leave it. KVM has no branch trace store, and precise events only with a PMU. */
static uint64_t misc_enable(const struct guest_config *cfg)
{
	return MISC_ENABLE_FAST_STRING | MISC_ENABLE_NO_BTS | (cfg->pmu ? 0 : MISC_ENABLE_NO_PEBS) |
	       (cfg->exits.mwait == TRI_OFF ? MISC_ENABLE_MWAIT : 0);
}

/*
 * What KVM's own power-on state lacks. The rest of it is as Linux wants it: FCW 0x37f, MXCSR 0x1f80, XCR0 1,
 * LINT0 and LINT1 masked (no PIC here), the boot CPU runnable and the others waiting for INIT. The TSC is not
 * written: KVM puts a new vCPU's on that of the first, and a write would have to hit the same value.
 */
static int set_msrs(struct vcpu *vcpu)
{
	union {
		struct kvm_msrs head;
		uint8_t room[sizeof(struct kvm_msrs) + 2 * sizeof(struct kvm_msr_entry)];
	} msrs = {.head.nmsrs = 2};
	int n;

	msrs.head.entries[0] = (struct kvm_msr_entry){.index = MSR_MTRR_DEF_TYPE, .data = MTRR_ENABLE_WB};
	msrs.head.entries[1] =
		(struct kvm_msr_entry){.index = MSR_MISC_ENABLE, .data = misc_enable(vcpu->guest->cfg)};
	n = ioctl(vcpu->fd, KVM_SET_MSRS, &msrs);
	/* The second one is a courtesy that not every host takes. */
	return n < 0 ? -errno : n == 0 ? -EIO : 0;
}

/* A paravirtual feature that is off in CPUID is off: its MSRs fault. */
static int enforce_pv(struct vcpu *vcpu)
{
	struct kvm_enable_cap cap = {.cap = KVM_CAP_ENFORCE_PV_FEATURE_CPUID, .args = {1}};

	if (!vcpu->guest->vm.arch->enforce_pv)
		return 0;
	if (ioctl(vcpu->fd, KVM_ENABLE_CAP, &cap) < 0)
		return log_errno(-errno, "vCPU %u: KVM_CAP_ENFORCE_PV_FEATURE_CPUID", vcpu->index);
	return 0;
}

int arch_vcpu_init(struct vcpu *vcpu)
{
	const struct arch_vm *arch = vcpu->guest->vm.arch;
	int err = x86_cpuid_set(vcpu);

	if (!err)
		err = enforce_pv(vcpu);
	if (err)
		return err;
	err = set_msrs(vcpu);
	if (err)
		return log_errno(err, "vCPU %u: KVM_SET_MSRS", vcpu->index);
	return arch->userchip ? userchip_vcpu(arch->userchip, vcpu) : 0;
}

static struct kvm_segment flat(uint16_t selector, uint8_t type, bool long_mode)
{
	return (struct kvm_segment){
		.limit = 0xffffffff,
		.selector = selector,
		.type = type,
		.present = 1,
		.s = 1,
		.g = 1,
		.l = long_mode,
		.db = !long_mode,
	};
}

static void set_segments(struct kvm_sregs *sregs, bool long_mode)
{
	sregs->cs = flat(BOOT_CS, 0xb, long_mode);
	sregs->ds = sregs->es = sregs->fs = sregs->gs = sregs->ss = flat(BOOT_DS, 0x3, false);
	sregs->tr = (struct kvm_segment){.limit = 0x67, .selector = BOOT_TSS, .type = 0xb, .present = 1};
	sregs->gdt = (struct kvm_dtable){.base = ADDR_GDT, .limit = BOOT_GDT_LIMIT};
	sregs->idt = (struct kvm_dtable){0};
}

int arch_vcpu_boot(struct vcpu *vcpu, const struct arch_boot *boot)
{
	const struct boot_cpu *cpu = &boot->cpu;
	struct kvm_regs regs = {
		.rip = cpu->rip, .rax = cpu->rax, .rbx = cpu->rbx, .rsi = cpu->rsi, .rflags = 2};
	struct kvm_sregs sregs;

	if (ioctl(vcpu->fd, KVM_GET_SREGS, &sregs) < 0)
		return log_errno(-errno, "vCPU %u: KVM_GET_SREGS", vcpu->index);
	set_segments(&sregs, cpu->long_mode);
	sregs.cr0 = CR0_PE | CR0_ET;
	if (cpu->long_mode) {
		sregs.cr0 |= CR0_PG;
		sregs.cr3 = ADDR_PML4;
		sregs.cr4 |= CR4_PAE;
		sregs.efer |= EFER_LME | EFER_LMA;
	}
	if (ioctl(vcpu->fd, KVM_SET_SREGS, &sregs) < 0)
		return log_errno(-errno, "vCPU %u: KVM_SET_SREGS", vcpu->index);
	if (ioctl(vcpu->fd, KVM_SET_REGS, &regs) < 0)
		return log_errno(-errno, "vCPU %u: KVM_SET_REGS", vcpu->index);
	return 0;
}

static void port_io(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	uint8_t *data = (uint8_t *)run + run->io.data_offset;

	for (uint32_t i = 0; i < run->io.count; i++, data += run->io.size) {
		if (run->io.direction == KVM_EXIT_IO_OUT)
			bus_write(&vcpu->guest->bus, BUS_PIO, run->io.port, data, run->io.size);
		else
			bus_read(&vcpu->guest->bus, BUS_PIO, run->io.port, data, run->io.size);
	}
}

/* MSRs come with --irqchip user; they and hypercalls also with --profile unknown=on, and then get KVM's own answers. */
int arch_vcpu_exit(struct vcpu *vcpu)
{
	const struct arch_vm *arch = vcpu->guest->vm.arch;

	switch (vcpu->run->exit_reason) {
	case KVM_EXIT_IO:
		port_io(vcpu);
		return 0;
	case KVM_EXIT_X86_RDMSR:
	case KVM_EXIT_X86_WRMSR:
		if (arch->userchip)
			return userchip_exit(vcpu);
		vcpu->run->msr.error = 1; /* a general protection fault */
		return 0;
	case KVM_EXIT_HYPERCALL:
		vcpu->run->hypercall.ret = (uint64_t)-KVM_ENOSYS;
		return 0;
	case KVM_EXIT_IOAPIC_EOI:
		ioapic_eoi(vcpu->guest->board->ioapic, vcpu->run->eoi.vector);
		return 0;
	default:
		return arch->userchip ? userchip_exit(vcpu) : -ENOTSUP;
	}
}

void arch_vcpu_dump(struct vcpu *vcpu)
{
	struct kvm_sregs s;
	struct kvm_regs r;

	if (ioctl(vcpu->fd, KVM_GET_REGS, &r) < 0 || ioctl(vcpu->fd, KVM_GET_SREGS, &s) < 0)
		return;
	log_err("vCPU %u: rip %016llx rsp %016llx rflags %08llx", vcpu->index, r.rip, r.rsp, r.rflags);
	log_err("  rax %016llx rbx %016llx rcx %016llx rdx %016llx", r.rax, r.rbx, r.rcx, r.rdx);
	log_err("  rsi %016llx rdi %016llx rbp %016llx r8  %016llx", r.rsi, r.rdi, r.rbp, r.r8);
	log_err("  r9  %016llx r10 %016llx r11 %016llx r12 %016llx", r.r9, r.r10, r.r11, r.r12);
	log_err("  r13 %016llx r14 %016llx r15 %016llx", r.r13, r.r14, r.r15);
	log_err("  cr0 %08llx cr2 %016llx cr3 %016llx cr4 %08llx efer %04llx", s.cr0, s.cr2, s.cr3, s.cr4,
		s.efer);
	log_err("  cs %04x base %llx %s, ss %04x, tr %04x, gdt %llx/%x, idt %llx/%x", s.cs.selector,
		s.cs.base,
		s.cs.l	  ? "64-bit"
		: s.cs.db ? "32-bit"
			  : "16-bit",
		s.ss.selector, s.tr.selector, s.gdt.base, s.gdt.limit, s.idt.base, s.idt.limit);
}
