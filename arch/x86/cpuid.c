// SPDX-License-Identifier: Apache-2.0
/*
 * CPUID of the guest; see cpuid.h. main makes one table for the VM (x86_cpuid_create) and gives each vCPU a
 * copy with its own APIC id in it.
 */
#include "arch/x86/cpuid.h"

#include <asm/kvm.h>
#include <asm/kvm_para.h>
#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "arch/arch.h"
#include "arch/x86/cpufeature.h"
#include "arch/x86/vm.h"
#include "vmm/guest.h"
#include "vmm/log.h"
#include "vmm/util.h"

#define LEAF_KVM_FEATURES (KVM_CPUID_SIGNATURE + 1)
#define LEAF6_EAX_ARAT	  (1u << 2)
#define AMD_EDX_ALIAS	  0x0183f3ffu /* bits of 0x80000001 EDX that repeat leaf 1 EDX on AMD */

#define XSTATE_TILE	 (3u << 17) /* XCR0: AMX's two components */
#define XSTATE_TILE_DATA 18
#define ARCH_REQ_GUEST	 0x1025 /* arch_prctl(ARCH_REQ_XCOMP_GUEST_PERM), Linux 5.17 */

struct kvm_cpuid_entry2 *x86_cpuid_entry(struct kvm_cpuid2 *cpuid, uint32_t leaf, uint32_t subleaf)
{
	for (uint32_t i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *e = &cpuid->entries[i];

		if (e->function == leaf &&
			(e->index == subleaf || !(e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX)))
			return e;
	}
	return NULL;
}

struct kvm_cpuid_entry2 *x86_cpuid_make(
	struct kvm_cpuid2 *cpuid, uint32_t leaf, uint32_t subleaf, uint32_t flags)
{
	struct kvm_cpuid_entry2 *e = x86_cpuid_entry(cpuid, leaf, subleaf);

	if (e)
		return e;
	if (cpuid->nent == X86_CPUID_MAX) {
		log_err("CPUID leaf %#x: no room, this host's KVM fills all %u entries", leaf, X86_CPUID_MAX);
		return NULL;
	}
	e = &cpuid->entries[cpuid->nent++];
	*e = (struct kvm_cpuid_entry2){.function = leaf, .index = subleaf, .flags = flags};
	return e;
}

void x86_cpuid_remove(struct kvm_cpuid2 *cpuid, uint32_t leaf)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < cpuid->nent; i++)
		if (cpuid->entries[i].function != leaf)
			cpuid->entries[n++] = cpuid->entries[i];
	cpuid->nent = n;
}

static uint32_t *reg_of(struct kvm_cpuid_entry2 *e, enum cpuid_reg reg)
{
	return reg == CPUID_EAX ? &e->eax : reg == CPUID_EBX ? &e->ebx : reg == CPUID_ECX ? &e->ecx : &e->edx;
}

/* ---- features ---- */

static int apply_feature(struct kvm_cpuid2 *cpuid, const char *item, size_t len)
{
	struct kvm_cpuid_entry2 *e, *alias;
	struct cpufeature f;
	uint32_t mask;

	if (len < 2 || !cpufeature_find(item + 1, len - 1, &f)) {
		log_err("--cpus cpu=host,%.*s: no such CPU feature; names are those of /proc/cpuinfo",
			(int)len, item);
		return -EINVAL;
	}
	mask = 1u << f.bit;
	e = x86_cpuid_entry(cpuid, f.leaf, f.subleaf);
	if (item[0] == '+') {
		if (e && (*reg_of(e, f.reg) & mask))
			return 0;
		log_err("--cpus cpu=host,%.*s: this host's KVM does not offer it", (int)len, item);
		return -ENOTSUP;
	}
	if (e)
		*reg_of(e, f.reg) &= ~mask;
	alias = x86_cpuid_entry(cpuid, 0x80000001, 0);
	if (alias && f.leaf == 1 && f.reg == CPUID_EDX && (mask & AMD_EDX_ALIAS))
		alias->edx &= ~mask;
	return 0;
}

static int apply_features(struct kvm_cpuid2 *cpuid, const char *list)
{
	int err = 0;

	for (const char *p = list; p && *p && !err;) {
		size_t len = strcspn(p, ",");

		err = apply_feature(cpuid, p, len);
		p += len + (p[len] == ',');
	}
	return err;
}

/* ---- KVM's paravirtual features ---- */

static const struct {
	const char *name;
	size_t at; /* in struct kvm_config */
	uint32_t bits;
} pv[] = {
	{"kvmclock", offsetof(struct kvm_config, kvmclock),
		1u << KVM_FEATURE_CLOCKSOURCE | 1u << KVM_FEATURE_CLOCKSOURCE2 |
			1u << KVM_FEATURE_CLOCKSOURCE_STABLE_BIT},
	{"steal-time", offsetof(struct kvm_config, steal_time), 1u << KVM_FEATURE_STEAL_TIME},
	{"pv-eoi", offsetof(struct kvm_config, pv_eoi), 1u << KVM_FEATURE_PV_EOI},
	{"pv-unhalt", offsetof(struct kvm_config, pv_unhalt), 1u << KVM_FEATURE_PV_UNHALT},
	{"pv-tlb-flush", offsetof(struct kvm_config, pv_tlb_flush), 1u << KVM_FEATURE_PV_TLB_FLUSH},
	{"pv-ipi", offsetof(struct kvm_config, pv_ipi), 1u << KVM_FEATURE_PV_SEND_IPI},
	{"async-pf", offsetof(struct kvm_config, async_pf),
		1u << KVM_FEATURE_ASYNC_PF | 1u << KVM_FEATURE_ASYNC_PF_VMEXIT |
			1u << KVM_FEATURE_ASYNC_PF_INT},
	{"poll-control", offsetof(struct kvm_config, poll_control), 1u << KVM_FEATURE_POLL_CONTROL},
	{"sched-yield", offsetof(struct kvm_config, sched_yield), 1u << KVM_FEATURE_PV_SCHED_YIELD},
};

/*
 * Without a PIT or an RTC the guest can measure its TSC only against kvmclock, or be told by leaf 0x15: the
 * ratio to the crystal, and the crystal itself or (leaf 0x16) the base frequency to derive it from.
 */
static bool tsc_frequency_known(struct kvm_cpuid2 *cpuid)
{
	struct kvm_cpuid_entry2 *ratio = x86_cpuid_entry(cpuid, 0x15, 0),
				*base = x86_cpuid_entry(cpuid, 0x16, 0);

	return ratio && ratio->eax && ratio->ebx && (ratio->ecx || (base && base->eax & 0xffff));
}

/* What KVM does for a guest only by a local APIC of its own. */
static int hide_apic_pv(struct kvm_cpuid_entry2 *e, const struct kvm_config *kvm)
{
	const struct {
		const char *name;
		enum tristate want;
		uint32_t bits;
	} row[] = {
		{"async-pf", kvm->async_pf,
			1u << KVM_FEATURE_ASYNC_PF | 1u << KVM_FEATURE_ASYNC_PF_VMEXIT | 1u << KVM_FEATURE_ASYNC_PF_INT},
		{"pv-eoi", kvm->pv_eoi, 1u << KVM_FEATURE_PV_EOI},
		{"pv-unhalt", kvm->pv_unhalt, 1u << KVM_FEATURE_PV_UNHALT},
		{"pv-ipi", kvm->pv_ipi, 1u << KVM_FEATURE_PV_SEND_IPI},
	};

	for (size_t i = 0; i < COUNT(row); i++) {
		if (row[i].want == TRI_ON) {
			log_err("--kvm %s=on: not with --irqchip user, it needs a local APIC in KVM", row[i].name);
			return -EINVAL;
		}
		e->eax &= ~row[i].bits;
	}
	return 0;
}

static int apply_pv(struct kvm_cpuid2 *cpuid, const struct guest_config *cfg)
{
	const struct kvm_config *kvm = &cfg->kvm;
	struct kvm_cpuid_entry2 *e = x86_cpuid_make(cpuid, LEAF_KVM_FEATURES, 0, 0);

	if (!e)
		return -ENOSPC;
	if (cfg->exits.hlt == TRI_OFF) {
		if (kvm->pv_unhalt == TRI_ON) {
			log_err("--kvm pv-unhalt=on: not with --exits hlt=off, a guest that halts without "
				"exits can not be woken "
				"by it");
			return -EINVAL;
		}
		e->eax &= ~(1u << KVM_FEATURE_PV_UNHALT);
	}
	if (cfg->irqchip == IRQCHIP_USER && hide_apic_pv(e, kvm))
		return -EINVAL;
	for (size_t i = 0; i < COUNT(pv); i++) {
		enum tristate want = *(const enum tristate *)((const char *)kvm + pv[i].at);

		if (want == TRI_OFF)
			e->eax &= ~pv[i].bits;
		if (want == TRI_ON && !(e->eax & pv[i].bits)) {
			log_err("--kvm %s=on: this host's KVM does not offer it", pv[i].name);
			return -ENOTSUP;
		}
	}
	e->eax &= ~(1u << KVM_FEATURE_MSI_EXT_DEST_ID); /* the IOAPIC here has 8-bit destinations */
	e->edx = kvm->realtime_hint == TRI_ON ? 1u << KVM_HINTS_REALTIME : 0;
	if (kvm->kvmclock == TRI_OFF && !tsc_frequency_known(cpuid)) {
		log_err("--kvm kvmclock=off: this host does not say its TSC frequency (CPUID leaves 0x15, "
			"0x16), and the guest "
			"has no other timer to find it with; leave kvmclock on");
		return -ENOTSUP;
	}
	return 0;
}

bool x86_cpuid_pv_narrowed(const struct kvm_config *kvm)
{
	for (size_t i = 0; i < COUNT(pv); i++)
		if (*(const enum tristate *)((const char *)kvm + pv[i].at) == TRI_OFF)
			return true;
	return false;
}

/* ---- the whole ---- */

static int apply_platform(struct kvm_cpuid2 *cpuid, const struct vm *vm)
{
	struct kvm_cpuid_entry2 *one = x86_cpuid_entry(cpuid, 1, 0), *six = x86_cpuid_make(cpuid, 6, 0, 0),
				*five;

	if (!one || !six) {
		if (!one)
			log_err("/dev/kvm: KVM_GET_SUPPORTED_CPUID gives no usable list");
		return one ? -ENOSPC : -ENOTSUP;
	}
	/* What any local APIC in the kernel has, whatever the host's CPU says, and those of lapic.h. */
	one->ecx |= 1u << 31 /* hypervisor */ | 1u << 24 /* TSC deadline */ | 1u << 21 /* x2apic */;
	six->eax |= LEAF6_EAX_ARAT; /* KVM's APIC timer never stops */
	if (vm->cfg->exits.mwait != TRI_OFF)
		return 0;
	five = x86_cpuid_make(cpuid, 5, 0, 0);
	if (!five)
		return -ENOSPC;
	one->ecx |= 1u << 3; /* MONITOR/MWAIT; entries never move, so `one` still holds */
	five->eax = five->ebx = 64;
	five->ecx = 3;	  /* extensions; interrupts break even when masked */
	five->edx = 0x11; /* one C0 and one C1 sub-state */
	return 0;
}

static void hide_pmu(struct kvm_cpuid2 *cpuid)
{
	struct kvm_cpuid_entry2 *amd = x86_cpuid_entry(cpuid, 0x80000001, 0),
				*one = x86_cpuid_entry(cpuid, 1, 0);
	struct kvm_cpuid_entry2 *seven = x86_cpuid_entry(cpuid, 7, 0), *seven1 = x86_cpuid_entry(cpuid, 7, 1);

	x86_cpuid_remove(cpuid, 0x80000022);
	for (uint32_t i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *e = &cpuid->entries[i];

		if (e->function == 0xa || e->function == 0x1c || e->function == 0x23)
			e->eax = e->ebx = e->ecx = e->edx = 0;
	}
	if (one) {
		one->ecx &= ~(1u << 15 | 1u << 2 | 1u << 4); /* pdcm, dtes64, ds_cpl */
		one->edx &= ~(1u << 21);		     /* dts */
	}
	if (seven)
		seven->edx &= ~(1u << 19); /* arch_lbr */
	if (seven1)
		seven1->eax &= ~(1u << 8); /* leaf 0x23 */
	if (amd)
		amd->ecx &= ~(1u << 23 | 1u << 24 | 1u << 28); /* perfctr_core, perfctr_nb, perfctr_llc */
}

/* AMX without its state in XCR0 is of no use: the process may not have got the permission for it. */
static void hide_amx(struct kvm_cpuid2 *cpuid)
{
	struct kvm_cpuid_entry2 *xstate = x86_cpuid_entry(cpuid, 0xd, 0);
	struct kvm_cpuid_entry2 *seven = x86_cpuid_entry(cpuid, 7, 0), *seven1 = x86_cpuid_entry(cpuid, 7, 1);

	if (xstate && (xstate->eax & XSTATE_TILE) == XSTATE_TILE)
		return;
	if (seven)
		seven->edx &= ~(1u << 22 | 1u << 24 | 1u << 25); /* amx_bf16, amx_tile, amx_int8 */
	if (seven1) {
		seven1->eax &= ~(1u << 21); /* amx_fp16 */
		seven1->edx &= ~(1u << 8);  /* amx_complex */
	}
}

int x86_cpuid_edit(struct kvm_cpuid2 *cpuid, const struct vm *vm)
{
	const struct guest_config *cfg = vm->cfg;
	int err;

	hide_amx(cpuid);
	if (!cfg->pmu)
		hide_pmu(cpuid);
	err = apply_platform(cpuid, vm);
	if (!err)
		err = apply_pv(cpuid, cfg);
	if (!err)
		err = x86_cpuid_topology(cpuid, &cfg->cpus);
	return err ? err : apply_features(cpuid, cfg->cpus.features);
}

static int check_exits(const struct vm *vm)
{
	const struct exits_config *exits = &vm->cfg->exits;
	const struct {
		const char *name;
		enum tristate want;
		int bit;
	} row[] = {
		{"mwait", exits->mwait, KVM_X86_DISABLE_EXITS_MWAIT},
		{"hlt", exits->hlt, KVM_X86_DISABLE_EXITS_HLT},
		{"pause", exits->pause, KVM_X86_DISABLE_EXITS_PAUSE},
		{"cstate", exits->cstate, KVM_X86_DISABLE_EXITS_CSTATE},
	};
	int can = -1;

	for (unsigned i = 0; i < COUNT(row); i++) {
		if (row[i].want != TRI_OFF)
			continue;
		if (can < 0)
			can = vm_cap(vm, KVM_CAP_X86_DISABLE_EXITS);
		if (can & row[i].bit)
			continue;
		log_err("--exits %s=off: this host's KVM can not leave %s to the guest "
			"(KVM_CAP_X86_DISABLE_EXITS is %#x)",
			row[i].name, row[i].name, can);
		return -ENOTSUP;
	}
	return 0;
}

static int check_pmu(const struct vm *vm, struct kvm_cpuid2 *cpuid)
{
	struct kvm_cpuid_entry2 *intel = x86_cpuid_entry(cpuid, 0xa, 0),
				*amd = x86_cpuid_entry(cpuid, 0x80000001, 0);

	if (!vm->cfg->pmu || (intel && (intel->eax & 0xff)) || (amd && (amd->ecx & 1u << 23)))
		return 0;
	log_err("--pmu on: this host's KVM offers no performance counters (no PMU here, or "
		"kvm.enable_pmu=0)");
	return -ENOTSUP;
}

/* The list as KVM has it. Tile data must be asked for before the first vCPU exists, and before KVM is asked
 * what it offers. */
static int get_supported(struct kvm_cpuid2 *cpuid, const struct vm *vm)
{
	uint32_t eax = 7, ebx, ecx = 0, edx;

	__asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
	if (edx & 1u << 24) /* amx_tile */
		syscall(SYS_arch_prctl, ARCH_REQ_GUEST, XSTATE_TILE_DATA);
	cpuid->nent = X86_CPUID_MAX;
	if (ioctl(vm->kvm_fd, KVM_GET_SUPPORTED_CPUID, cpuid) == 0)
		return 0;
	if (errno != E2BIG)
		return log_errno(-errno, "KVM_GET_SUPPORTED_CPUID");
	log_err("KVM_GET_SUPPORTED_CPUID: this host has more than %u CPUID entries, which KVM itself would "
		"not take back",
		X86_CPUID_MAX);
	return -E2BIG;
}

int x86_cpuid_create(struct kvm_cpuid2 **out, const struct vm *vm)
{
	struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + X86_CPUID_MAX * sizeof(cpuid->entries[0]));
	int err;

	*out = NULL;
	if (!cpuid)
		return -ENOMEM;
	err = check_exits(vm);
	if (!err)
		err = get_supported(cpuid, vm);
	if (!err)
		err = check_pmu(vm, cpuid);
	if (!err)
		err = x86_cpuid_edit(cpuid, vm);
	if (err)
		free(cpuid);
	else
		*out = cpuid;
	return err;
}

int x86_cpuid_set(struct vcpu *vcpu)
{
	const struct vm *vm = &vcpu->guest->vm;

	x86_cpuid_ids(vm->arch->cpuid, &vm->cfg->cpus, vcpu->index);
	if (ioctl(vcpu->fd, KVM_SET_CPUID2, vm->arch->cpuid) < 0)
		return log_errno(-errno, "vCPU %u: KVM_SET_CPUID2", vcpu->index);
	return 0;
}
