// SPDX-License-Identifier: Apache-2.0
/*
 * Sockets, cores and threads as CPUID tells them, in the ways of both vendors; see cpuid.h. Intel SDM 2A
 * (CPUID), AMD APM 3 appendix E. All of it counts in powers of two, the APIC id's bit fields (topology.h).
 * Pure functions, main only.
 */
#include <asm/kvm.h>
#include <errno.h>
#include <linux/kvm.h>
#include <stdbool.h>

#include "arch/x86/cpuid.h"
#include "arch/x86/topology.h"
#include "vmm/log.h"
#include "vmm/util.h"

#define LEAF1_EBX_IDS	0xffff0000u
#define LEAF1_EDX_HTT	(1u << 28)
#define AMD_CMP_LEGACY	(1u << 1)
#define AMD_TOPOEXT	(1u << 22)
#define LEAF_AMD_SIZE	0x80000008
#define LEAF_AMD_CACHES 0x8000001d
#define LEAF_AMD_IDS	0x8000001e

#define LEVEL_SMT  (1u << 8)
#define LEVEL_CORE (2u << 8)

static unsigned min(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* Caches: the first two levels belong to a core, the others to a socket. Intel adds the cores of a socket. */
static void share_caches(struct kvm_cpuid2 *cpuid, uint32_t leaf, const struct x86_topology *topo)
{
	for (uint32_t i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *e = &cpuid->entries[i];
		uint32_t sharing, cores = 0;

		if (e->function != leaf || !(e->eax & 0x1f))
			continue;
		sharing = (1u << (((e->eax >> 5) & 7) <= 2 ? topo->thread_bits : topo->package_bits)) - 1;
		if (leaf == 4)
			cores = (1u << (topo->package_bits - topo->thread_bits)) - 1;
		e->eax = (e->eax & 0x3fff) | min(sharing, 4095) << 14 | min(cores, 63) << 26;
	}
}

static int extended_topology(struct kvm_cpuid2 *cpuid, uint32_t leaf, const struct x86_topology *topo)
{
	const struct kvm_cpuid_entry2 level[] = {
		{.eax = topo->thread_bits, .ebx = topo->threads, .ecx = 0 | LEVEL_SMT},
		{.eax = topo->package_bits, .ebx = topo->threads * topo->cores, .ecx = 1 | LEVEL_CORE},
		{.ecx = 2},
	};

	x86_cpuid_remove(cpuid, leaf);
	for (unsigned i = 0; i < COUNT(level); i++) {
		struct kvm_cpuid_entry2 *e = x86_cpuid_make(cpuid, leaf, i, KVM_CPUID_FLAG_SIGNIFCANT_INDEX);

		if (!e)
			return -ENOSPC;
		e->eax = level[i].eax;
		e->ebx = level[i].ebx;
		e->ecx = level[i].ecx;
	}
	return 0;
}

/*
 * Linux looks at threads, and at leaf 0xb, only with TOPOEXT: where the host's CPU has no threads of its own
 * it is ours to add. Leaf 0x80000026 goes, since 0xb says it all.
 */
static int amd_topology(struct kvm_cpuid2 *cpuid, const struct x86_topology *topo)
{
	struct kvm_cpuid_entry2 *max, *size, *features;
	unsigned n = topo->threads * topo->cores;

	x86_cpuid_remove(cpuid, 0x80000026);
	share_caches(cpuid, LEAF_AMD_CACHES, topo);
	max = x86_cpuid_entry(cpuid, 0x80000000, 0);
	size = x86_cpuid_entry(cpuid, LEAF_AMD_SIZE, 0);
	features = x86_cpuid_entry(cpuid, 0x80000001, 0);
	if (size)
		size->ecx = (size->ecx & ~0xffffu) | topo->package_bits << 12 | (min(n, 256) - 1);
	if (!features)
		return 0;
	features->ecx &= ~AMD_CMP_LEGACY;
	if (n > 1)
		features->ecx |= AMD_CMP_LEGACY;
	if (topo->threads == 1 || !max)
		return 0;
	features->ecx |= AMD_TOPOEXT;
	if (max->eax < LEAF_AMD_IDS)
		max->eax = LEAF_AMD_IDS;
	return x86_cpuid_make(cpuid, LEAF_AMD_IDS, 0, 0) ? 0 : -ENOSPC;
}

static bool is_amd(struct kvm_cpuid2 *cpuid)
{
	struct kvm_cpuid_entry2 *e = x86_cpuid_entry(cpuid, 0, 0);

	return e && (e->ecx == 0x444d4163 /* AuthenticAMD */ || e->ecx == 0x656e6975 /* HygonGenuine */);
}

int x86_cpuid_topology(struct kvm_cpuid2 *cpuid, const struct cpu_config *cpus)
{
	struct kvm_cpuid_entry2 *max = x86_cpuid_entry(cpuid, 0, 0), *one = x86_cpuid_entry(cpuid, 1, 0);
	struct x86_topology topo;
	uint32_t max_leaf;
	int err;

	if (!max || !one) {
		log_err("/dev/kvm: KVM_GET_SUPPORTED_CPUID gives no usable list");
		return -ENOTSUP;
	}
	x86_topology(&topo, cpus);
	one->ebx = (one->ebx & ~LEAF1_EBX_IDS) | min(1u << topo.package_bits, 255) << 16;
	one->edx &= ~LEAF1_EDX_HTT;
	if (topo.threads * topo.cores > 1)
		one->edx |= LEAF1_EDX_HTT;
	max_leaf = max->eax;
	if (max_leaf < 0xb)
		max->eax = 0xb;
	share_caches(cpuid, 4, &topo);
	err = extended_topology(cpuid, 0xb, &topo);
	if (!err && max_leaf >= 0x1f)
		err = extended_topology(cpuid, 0x1f, &topo);
	if (!err && is_amd(cpuid))
		err = amd_topology(cpuid, &topo);
	return err;
}

void x86_cpuid_ids(struct kvm_cpuid2 *cpuid, const struct cpu_config *cpus, unsigned index)
{
	uint32_t id = x86_apic_id(cpus, index), core, socket;
	bool amd = is_amd(cpuid);
	struct x86_topology topo;

	x86_topology(&topo, cpus);
	socket = id >> topo.package_bits;
	core = (id >> topo.thread_bits) & ((1u << (topo.package_bits - topo.thread_bits)) - 1);
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
		case LEAF_AMD_IDS:
			if (!amd)
				break;
			e->eax = id;
			e->ebx = (topo.threads - 1) << 8 | (core & 0xff);
			e->ecx = socket & 0xff; /* one node a socket */
			break;
		}
	}
}
