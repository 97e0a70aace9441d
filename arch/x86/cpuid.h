/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What CPU the guest sees: host passthrough, feature masks, topology, KVM's paravirtual features. Decided by
 * main before the first guest instruction. Intel SDM 2A (CPUID), AMD APM 3 appendix E,
 * Documentation/virt/kvm/x86/cpuid.rst.
 */
#ifndef PINVM_X86_CPUID_H
#define PINVM_X86_CPUID_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/config.h"

#define X86_CPUID_MAX 256 /* entries KVM takes: KVM_MAX_CPUID_ENTRIES */

struct kvm_cpuid2;
struct kvm_cpuid_entry2;
struct vcpu;
struct vm;

/* The APIC id of vCPU `index`: socket, core and thread as bit fields, each as wide as its count needs. */
uint32_t x86_apic_id(const struct cpu_config *cpus, unsigned index);

/*
 * The VM's table: KVM's own list with --cpus, --kvm, --exits and --pmu applied. -errno after one logged line
 * when the host can not do what is asked. The caller frees it. Main.
 */
int x86_cpuid_create(struct kvm_cpuid2 **cpuid, const struct vm *vm);

/* The part without ioctls but vm_cap(): edit a list that has room for X86_CPUID_MAX entries. 0 or -errno,
 * logged. */
int x86_cpuid_edit(struct kvm_cpuid2 *cpuid, const struct vm *vm);

/* The table with the ids of vCPU `index` in it, for KVM_SET_CPUID2. Main, one vCPU after the other. 0 or
 * -errno, logged. */
int x86_cpuid_set(struct vcpu *vcpu);

/* Is a paravirtual feature switched off, so that KVM must be told to refuse its MSRs? */
bool x86_cpuid_pv_narrowed(const struct kvm_config *kvm);

/* cpuid_topology.c: leaves 1, 4, 0xb, 0x1f, 0x80000008, 0x8000001d, 0x8000001e. 0 or -errno, logged. */
int x86_cpuid_topology(struct kvm_cpuid2 *cpuid, const struct cpu_config *cpus);
void x86_cpuid_ids(struct kvm_cpuid2 *cpuid, const struct cpu_config *cpus, unsigned index);

/*
 * Entries of a table: look one up (NULL: absent), have one made (flags: KVM_CPUID_FLAG_SIGNIFCANT_INDEX where
 * the leaf has subleaves; NULL, logged: the table is full), remove all of a leaf (pointers into the table
 * end).
 */
struct kvm_cpuid_entry2 *x86_cpuid_entry(struct kvm_cpuid2 *cpuid, uint32_t leaf, uint32_t subleaf);
struct kvm_cpuid_entry2 *x86_cpuid_make(
	struct kvm_cpuid2 *cpuid, uint32_t leaf, uint32_t subleaf, uint32_t flags);
void x86_cpuid_remove(struct kvm_cpuid2 *cpuid, uint32_t leaf);

#endif
