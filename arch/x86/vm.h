/* SPDX-License-Identifier: Apache-2.0 */
/* What x86 keeps with a VM; made by arch_vm_check(), freed by arch_vm_exit(). */
#ifndef PINVM_X86_VM_H
#define PINVM_X86_VM_H

#include <stdbool.h>

struct kvm_cpuid2;
struct userchip;

struct arch_vm {
	struct kvm_cpuid2 *cpuid; /* the vCPUs' CPUID; the APIC id in it is that of the last one set */
	bool enforce_pv;	  /* KVM shall refuse the MSRs of paravirtual features that are off */
	struct userchip *userchip; /* --irqchip user; NULL: the local APICs are KVM's */
};

#endif
