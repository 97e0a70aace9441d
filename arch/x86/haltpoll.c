// SPDX-License-Identifier: Apache-2.0
/* Does the guest poll by itself before it halts? vCPU thread, or main while that is parked. */
#include <linux/kvm.h>
#include <sys/ioctl.h>

#include "arch/arch.h"
#include "arch/x86/userchip.h"
#include "vmm/vcpu.h"

int arch_vcpu_guest_polls(const struct vcpu *vcpu)
{
	union {
		struct kvm_msrs head;
		uint8_t room[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)];
	} msrs = {.head.nmsrs = 1};

	msrs.head.entries[0].index = MSR_KVM_POLL_CONTROL;
	if (ioctl(vcpu->fd, KVM_GET_MSRS, &msrs) != 1)
		return -1;
	return !(msrs.head.entries[0].data & 1);
}
