/* SPDX-License-Identifier: Apache-2.0 */
/* Lists as KVM_GET_SUPPORTED_CPUID gives them on three hosts, a VM around one, and what Linux reads out of
 * the result. */
#ifndef PINVM_TESTS_CPUID_TABLES_H
#define PINVM_TESTS_CPUID_TABLES_H

#include <asm/kvm.h>
#include <asm/kvm_para.h>
#include <linux/kvm.h>
#include <string.h>

#include "arch/x86/cpuid.h"
#include "tests/unit/unit.h"
#include "vmm/vm.h"

#define INDEXED KVM_CPUID_FLAG_SIGNIFCANT_INDEX

/* What KVM 6.1 puts into leaf 0x40000001, all but what it leaves to user space. */
#define PV_ALL                                                                                             \
	(1u << KVM_FEATURE_CLOCKSOURCE | 1u << KVM_FEATURE_NOP_IO_DELAY | 1u << KVM_FEATURE_CLOCKSOURCE2 | \
		1u << KVM_FEATURE_ASYNC_PF | 1u << KVM_FEATURE_STEAL_TIME | 1u << KVM_FEATURE_PV_EOI |     \
		1u << KVM_FEATURE_PV_UNHALT | 1u << KVM_FEATURE_PV_TLB_FLUSH |                             \
		1u << KVM_FEATURE_ASYNC_PF_VMEXIT | 1u << KVM_FEATURE_PV_SEND_IPI |                        \
		1u << KVM_FEATURE_POLL_CONTROL | 1u << KVM_FEATURE_PV_SCHED_YIELD |                        \
		1u << KVM_FEATURE_ASYNC_PF_INT | 1u << KVM_FEATURE_CLOCKSOURCE_STABLE_BIT)

struct cpuid_host {
	const struct kvm_cpuid_entry2 *entries;
	size_t n;
};

/* clang-format off */
static const struct kvm_cpuid_entry2 intel_entries[] = {
	{.function = 0, .eax = 0x1f, .ebx = 0x756e6547, .ecx = 0x6c65746e, .edx = 0x49656e69},
	{.function = 1, .eax = 0x606a6, .ebx = 0x05400800, .ecx = 0xfffa3203 | 1 << 2 | 1 << 4 | 1 << 15,
		.edx = 0x1f8bfbff | 1 << 21},
	{.function = 4, .index = 0, .flags = INDEXED, .eax = 0xfc004121, .ebx = 0x02c0003f, .ecx = 63},
	{.function = 4, .index = 1, .flags = INDEXED, .eax = 0xfc004122, .ebx = 0x01c0003f, .ecx = 63},
	{.function = 4, .index = 2, .flags = INDEXED, .eax = 0xfc004143, .ebx = 0x04c0003f, .ecx = 1023},
	{.function = 4, .index = 3, .flags = INDEXED, .eax = 0xfc1fc163, .ebx = 0x02c0003f, .ecx = 57343, .edx = 4},
	{.function = 4, .index = 4, .flags = INDEXED},
	{.function = 6, .eax = 4},
	{.function = 7, .index = 0, .flags = INDEXED, .eax = 1, .ebx = 0xf1bf27eb, .ecx = 0x00415f5e,
		.edx = 0xac004410 | 1 << 19 | 1 << 22 | 1 << 24 | 1 << 25},
	{.function = 7, .index = 1, .flags = INDEXED, .eax = 1 << 21 | 1 << 8 | 1 << 4, .edx = 1 << 8},
	{.function = 0xa, .eax = 0x08300805, .edx = 0x8604},
	{.function = 0xb, .index = 0, .flags = INDEXED, .eax = 1, .ebx = 2, .ecx = 0x100, .edx = 7},
	{.function = 0xb, .index = 1, .flags = INDEXED, .eax = 7, .ebx = 112, .ecx = 0x201, .edx = 7},
	{.function = 0xb, .index = 2, .flags = INDEXED, .ecx = 2, .edx = 7},
	{.function = 0xd, .index = 0, .flags = INDEXED, .eax = 0x2e7, .ebx = 0x340, .ecx = 0xa88},
	{.function = 0xd, .index = 1, .flags = INDEXED, .eax = 0xf},
	{.function = 0x1c, .eax = 0x4000000b},
	{.function = 0x1f, .index = 0, .flags = INDEXED, .eax = 1, .ebx = 2, .ecx = 0x100, .edx = 7},
	{.function = 0x1f, .index = 1, .flags = INDEXED, .eax = 5, .ebx = 32, .ecx = 0x201, .edx = 7},
	{.function = 0x1f, .index = 2, .flags = INDEXED, .eax = 7, .ebx = 112, .ecx = 0x502, .edx = 7},
	{.function = 0x1f, .index = 3, .flags = INDEXED, .ecx = 3, .edx = 7},
	{.function = 0x40000000, .eax = 0x40000001, .ebx = 0x4b4d564b, .ecx = 0x564b4d56, .edx = 0x4d},
	{.function = 0x40000001, .eax = PV_ALL},
	{.function = 0x80000000, .eax = 0x80000008},
	{.function = 0x80000001, .ecx = 0x121, .edx = 0x2c100800},
	{.function = 0x80000008, .eax = 0x3934},
};

static const struct kvm_cpuid_entry2 amd_entries[] = {
	{.function = 0, .eax = 0x10, .ebx = 0x68747541, .ecx = 0x444d4163, .edx = 0x69746e65},
	{.function = 1, .eax = 0x00a20f10, .ebx = 0x05100800, .ecx = 0x7ed8320b, .edx = 0x178bfbff},
	{.function = 6, .eax = 4},
	{.function = 7, .index = 0, .flags = INDEXED, .ebx = 0x219c97a9, .ecx = 0x0040060c, .edx = 0x10},
	{.function = 0xb, .index = 0, .flags = INDEXED},
	{.function = 0xd, .index = 0, .flags = INDEXED, .eax = 0x207, .ebx = 0x340, .ecx = 0x988},
	{.function = 0x40000000, .eax = 0x40000001, .ebx = 0x4b4d564b, .ecx = 0x564b4d56, .edx = 0x4d},
	{.function = 0x40000001, .eax = PV_ALL},
	{.function = 0x80000000, .eax = 0x80000026},
	{.function = 0x80000001, .ecx = 0x00c003f7 | 1 << 24 | 1 << 28, .edx = 0x2fd3fbff},
	{.function = 0x80000008, .eax = 0x3030, .ebx = 0x0111f202, .ecx = 0x20007017},
	{.function = 0x8000001d, .index = 0, .flags = INDEXED, .eax = 0x4121, .ebx = 0x01c0003f, .ecx = 63},
	{.function = 0x8000001d, .index = 1, .flags = INDEXED, .eax = 0x4122, .ebx = 0x01c0003f, .ecx = 63},
	{.function = 0x8000001d, .index = 2, .flags = INDEXED, .eax = 0x4143, .ebx = 0x01c0003f, .ecx = 1023},
	{.function = 0x8000001d, .index = 3, .flags = INDEXED, .eax = 0x3c163, .ebx = 0x03c0003f, .ecx = 32767},
	{.function = 0x8000001d, .index = 4, .flags = INDEXED},
	{.function = 0x8000001e, .eax = 5, .ebx = 0x102, .ecx = 0x100},
	{.function = 0x80000022, .eax = 1, .ebx = 6},
	{.function = 0x80000026, .index = 0, .flags = INDEXED, .eax = 1, .ebx = 2, .ecx = 0x100},
};

/* An old CPU, an old KVM: nothing that is not asked for. */
static const struct kvm_cpuid_entry2 small_entries[] = {
	{.function = 0, .eax = 1, .ebx = 0x68747541, .ecx = 0x444d4163, .edx = 0x69746e65},
	{.function = 1, .eax = 0x60fb1, .ebx = 0x00000800, .ecx = 1, .edx = 0x078bfbff},
	{.function = 0x80000000, .eax = 0x80000008},
	{.function = 0x80000001, .edx = 0x2193fbff},
	{.function = 0x80000008, .eax = 0x3028},
};
/* clang-format on */

#define HOST(array)                                       \
	{                                                 \
		array, sizeof(array) / sizeof((array)[0]) \
	}
static const struct cpuid_host intel = HOST(intel_entries), amd = HOST(amd_entries),
			       small = HOST(small_entries);

union cpuid_list {
	struct kvm_cpuid2 head;
	uint8_t room[sizeof(struct kvm_cpuid2) + X86_CPUID_MAX * sizeof(struct kvm_cpuid_entry2)];
};

static inline struct kvm_cpuid2 *list_of(union cpuid_list *list, const struct cpuid_host *host)
{
	memset(list, 0, sizeof(*list));
	list->head.nent = host->n;
	memcpy(list->head.entries, host->entries, host->n * sizeof(host->entries[0]));
	return &list->head;
}

/* What the guest's CPUID instruction gives: KVM's look-up. */
static inline struct kvm_cpuid_entry2 guest_cpuid(struct kvm_cpuid2 *list, uint32_t eax, uint32_t ecx)
{
	for (uint32_t i = 0; i < list->nent; i++) {
		const struct kvm_cpuid_entry2 *e = &list->entries[i];

		if (e->function == eax && (!(e->flags & INDEXED) || e->index == ecx))
			return *e;
	}
	return (struct kvm_cpuid_entry2){0};
}

#endif
