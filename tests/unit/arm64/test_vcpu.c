// SPDX-License-Identifier: Apache-2.0
/* A vCPU over a fake KVM: what it is made of, and its registers at the kernel's entry. */
#include <errno.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <string.h>

#include "arch/arch.h"
#include "arch/arm64/boot.h"
#include "arch/arm64/layout.h"
#include "arch/arm64/vm.h"
#include "tests/unit/fake_ioctl.h"
#include "tests/unit/mockmem.h"
#include "tests/unit/said.h"
#include "tests/unit/unit.h"
#include "vmm/guest.h"

#define CORE(n)	  (KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | (n))
#define X0	  CORE(0)
#define PC	  CORE(64)
#define SYS_MMFR0 ARM64_SYS_REG(3, 0, 0, 7, 0)

static uint64_t mmfr0, x0, pc, stolen_at;
static struct kvm_vcpu_init made;
static unsigned sets, finalized;

static int get(const struct kvm_one_reg *reg)
{
	ck_assert_uint_eq(reg->id, SYS_MMFR0);
	memcpy((void *)(uintptr_t)reg->addr, &mmfr0, sizeof(mmfr0));
	return 0;
}

static int set(const struct kvm_one_reg *reg)
{
	ck_assert(reg->id == X0 || reg->id == PC);
	memcpy(reg->id == X0 ? &x0 : &pc, (void *)(uintptr_t)reg->addr, sizeof(x0));
	sets++;
	return 0;
}

static int attr(const struct kvm_device_attr *a)
{
	ck_assert(a->group == KVM_ARM_VCPU_PVTIME_CTRL && a->attr == KVM_ARM_VCPU_PVTIME_IPA);
	memcpy(&stolen_at, (void *)(uintptr_t)a->addr, sizeof(stolen_at));
	return 0;
}

static int fake_ioctl(int fd, unsigned long request, void *arg)
{
	switch (request) {
	case KVM_GET_ONE_REG: return get(arg);
	case KVM_SET_ONE_REG: return set(arg);
	case KVM_SET_DEVICE_ATTR: return attr(arg);
	case KVM_ARM_VCPU_INIT: made = *(struct kvm_vcpu_init *)arg; return 0;
	case KVM_ARM_VCPU_FINALIZE: finalized += *(int *)arg == KVM_ARM_VCPU_SVE; return 0;
	default: return errno = ENOTTY, -1;
	}
}

static struct arch_vm arch;
static struct guest_mem mem = {.n = 1, .region = {{.gpa = RAM_BASE, .size = 512 << 20}}};
static struct guest guest = {.vm = {.arch = &arch, .mem = &mem}};

static struct vcpu vcpu(unsigned index)
{
	return (struct vcpu){.index = index, .guest = &guest};
}

/* All but the first wait to be called; each has its own 64 bytes, of what the device tree reserves. */
START_TEST(made_of)
{
	const uint64_t tail = RAM_BASE + (512 << 20) - TAIL_SIZE;

	arch = (struct arch_vm){.cpu = {.target = 5, .features = {1u << KVM_ARM_VCPU_PSCI_0_2}}, .pvtime = true};
	for (unsigned i = 0; i < 255; i++) {
		struct vcpu v = vcpu(i);

		ck_assert_int_eq(arch_vcpu_init(&v), 0);
		ck_assert_uint_eq(made.target, 5);
		ck_assert_uint_eq(made.features[0], 1u << KVM_ARM_VCPU_PSCI_0_2 | (i ? 1u << KVM_ARM_VCPU_POWER_OFF : 0));
		ck_assert_uint_eq(stolen_at, tail + FDT_MAX + 64 * i);
		ck_assert_uint_le(stolen_at + 64, tail + FDT_MAX + PVTIME_SIZE);
	}
	ck_assert_uint_eq(finalized, 0);
	arch.sve = true;
	arch.pvtime = false;
	stolen_at = 0;
	ck_assert_int_eq(arch_vcpu_init(&(struct vcpu){.guest = &guest}), 0);
	ck_assert_uint_eq(finalized, 1);
	ck_assert_uint_eq(stolen_at, 0);
}
END_TEST

START_TEST(entry)
{
	const struct arch_boot boot = {.entry = RAM_BASE + 0x80000, .fdt = RAM_BASE + 0x1fe0000};
	struct vcpu v = vcpu(0);

	ck_assert_int_eq(arch_vcpu_boot(&v, &boot), 0);
	ck_assert_uint_eq(x0, boot.fdt);
	ck_assert_uint_eq(pc, boot.entry);
}
END_TEST

/*
 * A kernel whose pages the CPU lacks would hang without a word. Four bits a size: 4K at 28 and 64K at 24, where 8 to 15
 * are "no", 16K at 20, where 0 is.
 */
START_TEST(pages)
{
	static const struct {
		unsigned pages;
		uint64_t mmfr0;
		const char *words; /* NULL: boots */
	} t[] = {
		{0, 0xff0fffff, NULL}, /* the kernel does not say */
		{IMAGE_PAGES_4K, 0x0f0fffff, NULL},
		{IMAGE_PAGES_4K, 0x1f0fffff, NULL},
		{IMAGE_PAGES_4K, 0xf0f00000, "is built for pages of 4K, which"},
		{IMAGE_PAGES_16K, 0xff100000, NULL},
		{IMAGE_PAGES_16K, 0xff200000, NULL},
		{IMAGE_PAGES_16K, 0x000fffff, "is built for pages of 16K, which"},
		{IMAGE_PAGES_64K, 0xf00fffff, NULL},
		{IMAGE_PAGES_64K, 0x0ff00000, "is built for pages of 64K, which"},
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		const struct arch_boot boot = {.kernel = {.option = "--kernel", .path = "/k"}, .pages = t[i].pages};
		struct vcpu v = vcpu(0);

		mmfr0 = t[i].mmfr0;
		said[0] = '\0';
		sets = 0;
		ck_assert_int_eq(arch_vcpu_boot(&v, &boot), t[i].words ? -EINVAL : 0);
		ck_assert_uint_eq(sets, t[i].words ? 0 : 2);
		ck_assert_msg(!t[i].words || strstr(said, "--kernel /k: "), "%s", said);
		ck_assert_msg(!t[i].words || strstr(said, t[i].words), "want \"%s\" in \"%s\"", t[i].words, said);
	}
}
END_TEST

UNIT_MAIN("vcpu", made_of, entry, pages)
