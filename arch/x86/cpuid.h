/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What CPU the guest sees: host passthrough, feature masks, topology, KVM's paravirtual features. Decided by main
 * before the first guest instruction. Intel SDM 2A (CPUID), AMD APM 3 appendix E, Documentation/virt/kvm/x86/cpuid.rst.
 */
#ifndef PINVM_X86_CPUID_H
#define PINVM_X86_CPUID_H

#include <stdint.h>

#include "vmm/config.h"

struct kvm_cpuid2;
struct kvm_cpuid_entry2;
struct vcpu;
struct vm;

/* The APIC id of vCPU `index`: socket, core and thread as bit fields, each as wide as its count needs. */
uint32_t x86_apic_id(const struct cpu_config *cpus, unsigned index);

/*
 * The VM's table: KVM's own list with --cpus, --kvm, --exits and --pmu applied. -errno after one logged line when the
 * host can not do what is asked. The caller frees it.
 */
int x86_cpuid_create(struct kvm_cpuid2 **cpuid, const struct vm *vm);
int x86_cpuid_edit(struct kvm_cpuid2 *cpuid, const struct vm *vm); /* room for 256 entries; the part without ioctls */

/* KVM_SET_CPUID2 for one vCPU. 0 or -errno, logged. */
int x86_cpuid_set(struct vcpu *vcpu);

/* An entry of a table, or NULL. */
struct kvm_cpuid_entry2 *x86_cpuid_entry(struct kvm_cpuid2 *cpuid, uint32_t leaf, uint32_t subleaf);

#endif
