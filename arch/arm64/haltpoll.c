// SPDX-License-Identifier: Apache-2.0
/* KVM on arm64 has no switch by which a guest turns the host's polling off. Any thread. */
#include "arch/arch.h"

int arch_vcpu_guest_polls(const struct vcpu *vcpu)
{
	return -1;
}
