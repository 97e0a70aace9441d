// SPDX-License-Identifier: Apache-2.0
/* What a host can give and what was asked for: refusals, and the features every vCPU gets. KVM is faked. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "arch/arch.h"
#include "arch/arm64/layout.h"
#include "arch/arm64/vm.h"
#include "tests/unit/mockmem.h"
#include "tests/unit/said.h"
#include "tests/unit/unit.h"
#include "vmm/guest.h"

/* The host: what its KVM says of each capability, and the width of its guests' addresses. */
static struct {
	int vcpus, sve, ptrauth, ptrauth_generic, pmu, steal;
	unsigned bits;
} host = {.vcpus = 255, .bits = 40};

static struct guest_mem mem = {.n = 1, .region = {{.gpa = RAM_BASE, .size = 512 << 20}}};

static int cap(int which)
{
	switch (which) {
	case KVM_CAP_MAX_VCPUS: return host.vcpus;
	case KVM_CAP_ARM_SVE: return host.sve;
	case KVM_CAP_ARM_PTRAUTH_ADDRESS: return host.ptrauth;
	case KVM_CAP_ARM_PTRAUTH_GENERIC: return host.ptrauth_generic;
	case KVM_CAP_ARM_PMU_V3: return host.pmu;
	case KVM_CAP_STEAL_TIME: return host.steal;
	case KVM_CAP_ARM_VM_IPA_SIZE: return host.bits;
	default: return 0;
	}
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	int arg;

	va_start(ap, request);
	arg = va_arg(ap, long);
	va_end(ap);
	return request == KVM_CHECK_EXTENSION ? cap(arg) : 0;
}

int open(const char *path, int flags, ...)
{
	return syscall(SYS_openat, AT_FDCWD, strcmp(path, "/dev/kvm") ? path : "/dev/null", flags, 0);
}

static struct guest_config config(void)
{
	return (struct guest_config){.cpus = {.count = 1}, .memory = {.size = mem.region[0].size}};
}

static int check(struct vm *vm, const struct guest_config *cfg)
{
	*vm = (struct vm){.fd = -1, .kvm_fd = -1, .cfg = cfg}; /* RAM is made when this is known to be possible */
	said[0] = '\0';
	return arch_vm_check(vm, cfg);
}

static void refused(const struct guest_config *cfg, const char *words)
{
	struct vm vm;

	ck_assert_int_lt(check(&vm, cfg), 0);
	arch_vm_exit(&vm);
	ck_assert_msg(strstr(said, words), "want \"%s\" in \"%s\"", words, said);
}

static void accepted(const struct guest_config *cfg)
{
	struct vm vm;

	ck_assert_msg(!check(&vm, cfg), "%s", said);
	arch_vm_exit(&vm);
}

/* The features of a vCPU. */
static uint32_t features(const struct guest_config *cfg)
{
	struct vm vm;
	uint32_t f;

	ck_assert_msg(!check(&vm, cfg), "%s", said);
	f = vm.arch->cpu.features[0];
	ck_assert(vm.arch->sve == !!(f & 1u << KVM_ARM_VCPU_SVE));
	arch_vm_exit(&vm);
	return f;
}

/* RAM may end where addresses end, and not a page later. */
START_TEST(memory_and_addresses)
{
	struct guest_config cfg = config();

	for (unsigned bits = 36; bits <= 48; bits += 4) {
		host.bits = bits;
		cfg.memory.size = (1ULL << bits) - RAM_BASE;
		accepted(&cfg);
		cfg.memory.size += 4096;
		refused(&cfg, "RAM starts at 1G; give at most");
	}
	host.bits = 36;
	refused(&cfg, "addresses of 36 bits, and RAM starts at 1G; give at most 64512M");
}
END_TEST

/* A VM has the addresses it needs, not all that there are. */
START_TEST(width_of_addresses)
{
	const struct guest_config cfg = config();
	static struct guest guest;

	guest.vm.cfg = &cfg;
	guest.vm.mem = &mem;
	host.bits = 48;
	guest.memory.page = 2 << 20;
	ck_assert_uint_eq(arch_vm_type(&guest.vm), 32);
	guest.memory.page = 1 << 30; /* whole in a table of three levels */
	ck_assert_uint_eq(arch_vm_type(&guest.vm), 35);
	host.bits = 34;
	ck_assert_uint_eq(arch_vm_type(&guest.vm), 34);
	host.bits = 48;
	mem.region[0].size = 100ULL << 30;
	ck_assert_uint_eq(arch_vm_type(&guest.vm), 37);
	mem.region[0].size = (1ULL << 40) - RAM_BASE;
	ck_assert_uint_eq(arch_vm_type(&guest.vm), 41);
	host.bits = 40;
	ck_assert_uint_eq(arch_vm_type(&guest.vm), 40);
	host.bits = 0; /* a KVM that has one size only */
	ck_assert_uint_eq(arch_vm_type(&guest.vm), 0);
}
END_TEST

START_TEST(number_of_vcpus)
{
	struct guest_config cfg = config();

	host.vcpus = 8; /* of a GICv2 */
	cfg.cpus.count = 8;
	accepted(&cfg);
	cfg.cpus.count = 9;
	refused(&cfg, "--cpus 9: this host's KVM allows 8");
}
END_TEST

#define BIT(feature)  (1u << KVM_ARM_VCPU_##feature)
#define PTRAUTH	      (BIT(PTRAUTH_ADDRESS) | BIT(PTRAUTH_GENERIC))

START_TEST(masks)
{
	struct guest_config cfg = config();

	ck_assert_uint_eq(features(&cfg), BIT(PSCI_0_2));
	host.sve = host.ptrauth = host.ptrauth_generic = host.pmu = 1;
	ck_assert_uint_eq(features(&cfg), BIT(PSCI_0_2) | BIT(SVE) | PTRAUTH);
	cfg.cpus.features = (char *)"-sve";
	ck_assert_uint_eq(features(&cfg), BIT(PSCI_0_2) | PTRAUTH);
	cfg.cpus.features = (char *)"+sve,-pacg";
	ck_assert_uint_eq(features(&cfg), BIT(PSCI_0_2) | BIT(SVE));
	cfg.cpus.features = (char *)"-sve,-paca";
	cfg.pmu = true;
	ck_assert_uint_eq(features(&cfg), BIT(PSCI_0_2) | BIT(PMU_V3));
}
END_TEST

/* What is demanded and not there is refused; half of pointer authentication is none. */
START_TEST(demands)
{
	struct guest_config cfg = config();

	cfg.cpus.features = (char *)"+sve";
	refused(&cfg, "--cpus +sve: this host's KVM does not give it");
	cfg.cpus.features = (char *)"+pacg";
	host.ptrauth = 1;
	refused(&cfg, "--cpus +pacg: this host's KVM does not give it");
	cfg.cpus.features = (char *)"+pacg,+paca";
	refused(&cfg, "--cpus +paca: this host's KVM does not give it");
	host.ptrauth_generic = 1;
	accepted(&cfg);
	cfg.cpus.features = NULL;
	cfg.pmu = true;
	refused(&cfg, "--pmu on: this host's KVM has no performance counters");
	host.pmu = 1;
	accepted(&cfg);
}
END_TEST

/* One half on and the other off is what no host can do; the last word on each half counts. */
START_TEST(halves)
{
	struct guest_config cfg = config();

	for (int here = 0; here <= 1; here++) {
		host.ptrauth = host.ptrauth_generic = here;
		cfg.cpus.features = (char *)"-paca,+pacg";
		refused(&cfg, "--cpus -paca,+pacg: KVM gives a guest both or none");
		cfg.cpus.features = (char *)"-pacg,+paca";
		refused(&cfg, "--cpus +paca,-pacg: KVM gives a guest both or none");
		cfg.cpus.features = (char *)"+paca,-pacg,-paca";
		ck_assert_uint_eq(features(&cfg), BIT(PSCI_0_2));
	}
	cfg.cpus.features = (char *)"-paca,+pacg,+paca";
	ck_assert_uint_eq(features(&cfg), BIT(PSCI_0_2) | PTRAUTH);
}
END_TEST

START_TEST(steal_time)
{
	struct guest_config cfg = config();
	const enum tristate all[] = {TRI_DEFAULT, TRI_OFF, TRI_ON};
	struct vm vm;

	for (host.steal = 0; host.steal <= 1; host.steal++)
		for (unsigned i = 0; i < 3; i++) {
			cfg.kvm.steal_time = all[i];
			if (!host.steal && all[i] == TRI_ON) {
				refused(&cfg, "--kvm steal-time=on: this host's KVM does not offer it");
				continue;
			}
			ck_assert_msg(!check(&vm, &cfg), "%s", said);
			ck_assert(vm.arch->pvtime == (host.steal && all[i] != TRI_OFF));
			arch_vm_exit(&vm);
		}
}
END_TEST

/* No module is to be loaded, and no firmware has a switch. */
START_TEST(no_kvm)
{
	ck_assert_ptr_nonnull(strstr(arch_kvm_advice(), "EL2"));
	ck_assert_ptr_null(strstr(arch_kvm_advice(), "module"));
}
END_TEST

UNIT_MAIN("vm", no_kvm, memory_and_addresses, width_of_addresses, number_of_vcpus, masks, demands, halves, steal_time)
