// SPDX-License-Identifier: Apache-2.0
/* Which architecture this program was built for. Any thread. */
#include "arch/arch.h"

const char *arch_name(void)
{
	return "arm64";
}

const char *arch_kvm_advice(void)
{
	return "KVM is a part of the kernel (CONFIG_KVM), and works where that was started at EL2; see dmesg | grep -i kvm";
}
