// SPDX-License-Identifier: Apache-2.0
/* Which architecture this program was built for. Any thread. */
#include "arch/arch.h"

const char *arch_name(void)
{
	return "x86";
}

const char *arch_kvm_advice(void)
{
	return "load the kvm module of this CPU (kvm_intel, kvm_amd) and turn virtualization on in the firmware";
}
