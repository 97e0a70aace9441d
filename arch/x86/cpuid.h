/* SPDX-License-Identifier: Apache-2.0 */
/* The CPUs a guest sees: who is who (APIC ids). Pure functions of the configuration, any thread. */
#ifndef PINVM_X86_CPUID_H
#define PINVM_X86_CPUID_H

#include <stdint.h>

#include "vmm/config.h"

/*
 * The (x2)APIC id of a vCPU: socket, core and thread numbers as bit fields, each as wide as its count needs
 * (Intel SDM volume 3, "Hierarchical Mapping of Shared Resources"). Ids ascend with the vCPU number and have
 * gaps where a count is not a power of two.
 */
uint32_t x86_apic_id(const struct cpu_config *cpus, unsigned vcpu);

#endif
