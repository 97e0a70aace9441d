// SPDX-License-Identifier: Apache-2.0
/*
 * CPUID of the guest; see cpuid.h. main makes one table for the VM (x86_cpuid_create) and gives each vCPU a copy with its
 * own APIC id in it.
 */
#include "arch/x86/cpuid.h"

#include <asm/kvm.h>
#include <asm/kvm_para.h>
#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "arch/arch.h"
#include "arch/x86/cpufeature.h"
#include "arch/x86/topology.h"
#include "arch/x86/vm.h"
#include "vmm/guest.h"
#include "vmm/log.h"

#define MAX_ENTRIES 256

#define LEAF_KVM_FEATURES (KVM_CPUID_SIGNATURE + 1)
#define LEAF1_EBX_CLFLUSH 0x0000ffff
#define LEAF1_EDX_HTT     (1u << 28)
#define LEAF6_EAX_ARAT    (1u << 2)
#define AMD_CMP_LEGACY    (1u << 1)
#define AMD_EDX_ALIAS     0x0183f3ffu /* bits of 0x80000001 EDX that repeat leaf 1 EDX on AMD */

#define LEVEL_SMT  (1u << 8)
#define LEVEL_CORE (2u << 8)

struct kvm_cpuid_entry2 *x86_cpuid_entry(struct kvm_cpuid2 *cpuid, uint32_t leaf, uint32_t subleaf)
{
	for (uint32_t i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *e = &cpuid->entries[i];

		if (e->function == leaf && (e->index == subleaf || !(e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX)))
			return e;
	}
	return NULL;
}

static struct kvm_cpuid_entry2 *make_entry(struct kvm_cpuid2 *cpuid, uint32_t leaf, uint32_t subleaf)
{
	struct kvm_cpuid_entry2 *e = x86_cpuid_entry(cpuid, leaf, subleaf);

	if (e || cpuid->nent == MAX_ENTRIES)
		return e;
	e = &cpuid->entries[cpuid->nent++];
	*e = (struct kvm_cpuid_entry2){.function = leaf, .index = subleaf, .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX};
	return e;
}

static void clear_leaf(struct kvm_cpuid2 *cpuid, uint32_t leaf)
{
	for (uint32_t i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *e = &cpuid->entries[i];

		if (e->function == leaf)
			e->eax = e->ebx = e->ecx = e->edx = 0;
	}
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
		log_err("--cpus cpu=host,%.*s: no such CPU feature; names are those of /proc/cpuinfo", (int)len, item);
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
		1u << KVM_FEATURE_CLOCKSOURCE | 1u << KVM_FEATURE_CLOCKSOURCE2 | 1u << KVM_FEATURE_CLOCKSOURCE_STABLE_BIT},
	{"steal-time", offsetof(struct kvm_config, steal_time), 1u << KVM_FEATURE_STEAL_TIME},
	{"pv-eoi", offsetof(struct kvm_config, pv_eoi), 1u << KVM_FEATURE_PV_EOI},
	{"pv-unhalt", offsetof(struct kvm_config, pv_unhalt), 1u << KVM_FEATURE_PV_UNHALT},
	{"pv-tlb-flush", offsetof(struct kvm_config, pv_tlb_flush), 1u << KVM_FEATURE_PV_TLB_FLUSH},
	{"pv-ipi", offsetof(struct kvm_config, pv_ipi), 1u << KVM_FEATURE_PV_SEND_IPI},
	{"async-pf", offsetof(struct kvm_config, async_pf),
		1u << KVM_FEATURE_ASYNC_PF | 1u << KVM_FEATURE_ASYNC_PF_VMEXIT | 1u << KVM_FEATURE_ASYNC_PF_INT},
	{"poll-control", offsetof(struct kvm_config, poll_control), 1u << KVM_FEATURE_POLL_CONTROL},
	{"sched-yield", offsetof(struct kvm_config, sched_yield), 1u << KVM_FEATURE_PV_SCHED_YIELD},
};

static int apply_pv(struct kvm_cpuid2 *cpuid, const struct kvm_config *kvm)
{
	struct kvm_cpuid_entry2 *e = make_entry(cpuid, LEAF_KVM_FEATURES, 0);

	if (!e)
		return -ENOSPC;
	for (size_t i = 0; i < sizeof(pv) / sizeof(pv[0]); i++) {
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
	if (kvm->kvmclock == TRI_OFF && !x86_cpuid_entry(cpuid, 0x15, 0)) {
		log_err("--kvm kvmclock=off: this host does not say its TSC frequency (CPUID leaf 0x15), and the guest has no "
			"other timer to find it with; leave kvmclock on");
		return -ENOTSUP;
	}
	return 0;
}

/* ---- topology ---- */

/* Caches: the first two levels belong to a core, the others to a socket. */
static void share_caches(struct kvm_cpuid2 *cpuid, uint32_t leaf, const struct x86_topology *topo)
{
	for (uint32_t i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *e = &cpuid->entries[i];
		uint32_t sharing, cores;

		if (e->function != leaf || !(e->eax & 0x1f))
			continue;
		sharing = (1u << (((e->eax >> 5) & 7) <= 2 ? topo->thread_bits : topo->package_bits)) - 1;
		cores = leaf == 4 ? (1u << (topo->package_bits - topo->thread_bits)) - 1 : 0;
		if (cores > 63)
			cores = 63;
		e->eax = (e->eax & 0x3fff) | (sharing > 4095 ? 4095 : sharing) << 14 | cores << 26;
	}
}

static int extended_topology(struct kvm_cpuid2 *cpuid, uint32_t leaf, const struct x86_topology *topo)
{
	struct kvm_cpuid_entry2 *smt, *core, *end;

	clear_leaf(cpuid, leaf);
	smt = make_entry(cpuid, leaf, 0);
	core = make_entry(cpuid, leaf, 1);
	end = make_entry(cpuid, leaf, 2);
	if (!smt || !core || !end)
		return -ENOSPC;
	smt->flags = core->flags = end->flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
	smt->index = 0;
	smt->eax = topo->thread_bits;
	smt->ebx = topo->threads;
	smt->ecx = 0 | LEVEL_SMT;
	core->eax = topo->package_bits;
	core->ebx = topo->threads * topo->cores;
	core->ecx = 1 | LEVEL_CORE;
	end->ecx = 2;
	return 0;
}

static void amd_topology(struct kvm_cpuid2 *cpuid, const struct x86_topology *topo)
{
	struct kvm_cpuid_entry2 *size = x86_cpuid_entry(cpuid, 0x80000008, 0);
	struct kvm_cpuid_entry2 *features = x86_cpuid_entry(cpuid, 0x80000001, 0);
	unsigned n = topo->threads * topo->cores;

	if (size)
		size->ecx = (size->ecx & ~0xffffu) | topo->package_bits << 12 | ((n > 256 ? 256 : n) - 1);
	if (features && n > 1)
		features->ecx |= AMD_CMP_LEGACY;
	share_caches(cpuid, 0x8000001d, topo);
	clear_leaf(cpuid, 0x80000026); /* leaf 0xb says it all */
}

static bool is_amd(struct kvm_cpuid2 *cpuid)
{
	struct kvm_cpuid_entry2 *e = x86_cpuid_entry(cpuid, 0, 0);

	return e && (e->ecx == 0x444d4163 /* AuthenticAMD */ || e->ecx == 0x656e6975 /* HygonGenuine */);
}

static int apply_topology(struct kvm_cpuid2 *cpuid, const struct cpu_config *cpus)
{
	struct kvm_cpuid_entry2 *max = x86_cpuid_entry(cpuid, 0, 0), *one = x86_cpuid_entry(cpuid, 1, 0);
	struct x86_topology topo;
	unsigned logical;
	int err;

	x86_topology(&topo, cpus);
	if (!max || !one)
		return -ENOTSUP;
	logical = 1u << topo.package_bits;
	one->ebx = (one->ebx & LEAF1_EBX_CLFLUSH) | (logical > 255 ? 255 : logical) << 16;
	one->edx &= ~LEAF1_EDX_HTT;
	if (topo.threads * topo.cores > 1)
		one->edx |= LEAF1_EDX_HTT;
	share_caches(cpuid, 4, &topo);
	err = extended_topology(cpuid, 0xb, &topo);
	if (!err && max->eax >= 0x1f)
		err = extended_topology(cpuid, 0x1f, &topo);
	if (max->eax < 0xb)
		max->eax = 0xb;
	if (!err && is_amd(cpuid))
		amd_topology(cpuid, &topo);
	return err;
}

/* What is each vCPU's own. */
static void set_ids(struct kvm_cpuid2 *cpuid, const struct cpu_config *cpus, unsigned index)
{
	uint32_t id = x86_apic_id(cpus, index);
	struct x86_topology topo;

	x86_topology(&topo, cpus);
	for (uint32_t i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *e = &cpuid->entries[i];

		switch (e->function) {
		case 1:
			e->ebx = (e->ebx & 0x00ffffff) | id << 24;
			break;
		case 0xb:
		case 0x1f:
			e->edx = id;
			break;
		case 0x8000001e:
			if (!is_amd(cpuid))
				break;
			e->eax = id;
			e->ebx = (topo.threads - 1) << 8 | ((id >> topo.thread_bits) & 0xff);
			e->ecx = (id >> topo.package_bits) & 0xff;
			break;
		}
	}
}

/* ---- the whole ---- */

static void apply_platform(struct kvm_cpuid2 *cpuid, const struct vm *vm)
{
	struct kvm_cpuid_entry2 *one = x86_cpuid_entry(cpuid, 1, 0), *six = make_entry(cpuid, 6, 0);
	struct kvm_cpuid_entry2 *five = make_entry(cpuid, 5, 0);

	if (one) {
		one->ecx |= 1u << 31 /* hypervisor */ | 1u << 21 /* x2apic */;
		if (vm_cap(vm, KVM_CAP_TSC_DEADLINE_TIMER))
			one->ecx |= 1u << 24;
	}
	if (six)
		six->eax |= LEAF6_EAX_ARAT; /* KVM's APIC timer never stops */
	if (one && five && vm->cfg->exits.mwait == TRI_OFF) {
		one->ecx |= 1u << 3; /* MONITOR/MWAIT */
		five->eax = five->ebx = 64;
		five->ecx = 3; /* extensions; interrupts break even when masked */
		five->edx = 0x11; /* one C0 and one C1 sub-state */
	}
}

static void hide_pmu(struct kvm_cpuid2 *cpuid)
{
	struct kvm_cpuid_entry2 *amd = x86_cpuid_entry(cpuid, 0x80000001, 0), *one = x86_cpuid_entry(cpuid, 1, 0);

	clear_leaf(cpuid, 0xa);
	clear_leaf(cpuid, 0x80000022);
	if (one)
		one->ecx &= ~(1u << 15); /* pdcm */
	if (amd)
		amd->ecx &= ~(1u << 23 | 1u << 24 | 1u << 28); /* perfctr_core, perfctr_nb, perfctr_llc */
}

/* Edit KVM's list into what cfg asks for. Pure but for vm_cap(). */
int x86_cpuid_edit(struct kvm_cpuid2 *cpuid, const struct vm *vm)
{
	const struct guest_config *cfg = vm->cfg;
	int err;

	apply_platform(cpuid, vm);
	if (!cfg->pmu)
		hide_pmu(cpuid);
	err = apply_pv(cpuid, &cfg->kvm);
	if (!err)
		err = apply_topology(cpuid, &cfg->cpus);
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
	int can = vm_cap(vm, KVM_CAP_X86_DISABLE_EXITS);

	for (unsigned i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		if (row[i].want != TRI_OFF || (can & row[i].bit))
			continue;
		log_err("--exits %s=off: this host's KVM can not leave %s to the guest (KVM_CAP_X86_DISABLE_EXITS is %#x)",
			row[i].name, row[i].name, can);
		return -ENOTSUP;
	}
	return 0;
}

static int check_pmu(const struct vm *vm, struct kvm_cpuid2 *cpuid)
{
	struct kvm_cpuid_entry2 *intel = x86_cpuid_entry(cpuid, 0xa, 0), *amd = x86_cpuid_entry(cpuid, 0x80000001, 0);

	if (!vm->cfg->pmu || (intel && (intel->eax & 0xff)) || (amd && (amd->ecx & 1u << 23)))
		return 0;
	log_err("--pmu on: this host's KVM offers no performance counters (no PMU here, or kvm.enable_pmu=0)");
	return -ENOTSUP;
}

int x86_cpuid_create(struct kvm_cpuid2 **out, const struct vm *vm)
{
	struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + MAX_ENTRIES * sizeof(cpuid->entries[0]));
	int err;

	if (!cpuid)
		return -ENOMEM;
	cpuid->nent = MAX_ENTRIES;
	if (ioctl(vm->kvm_fd, KVM_GET_SUPPORTED_CPUID, cpuid) < 0)
		err = log_errno(-errno, "KVM_GET_SUPPORTED_CPUID");
	else
		err = check_exits(vm);
	if (!err)
		err = check_pmu(vm, cpuid);
	if (!err)
		err = x86_cpuid_edit(cpuid, vm);
	if (err) {
		free(cpuid);
		cpuid = NULL;
	}
	*out = cpuid;
	return err;
}

int x86_cpuid_set(struct vcpu *vcpu)
{
	const struct vm *vm = &vcpu->guest->vm;

	set_ids(vm->arch->cpuid, &vm->cfg->cpus, vcpu->index);
	if (ioctl(vcpu->fd, KVM_SET_CPUID2, vm->arch->cpuid) < 0)
		return log_errno(-errno, "vCPU %u: KVM_SET_CPUID2", vcpu->index);
	return 0;
}
