/* SPDX-License-Identifier: Apache-2.0 */
/* What the description of the guest needs to know of a vCPU. */
#ifndef PINVM_ARM64_VCPU_H
#define PINVM_ARM64_VCPU_H

#include <stdint.h>

struct vcpu;

/* The affinity fields of MPIDR_EL1, by which PSCI and the device tree name a CPU. Main. 0 or -errno, logged.
 */
int arm64_mpidr(const struct vcpu *vcpu, uint64_t *mpidr);

#endif
