// SPDX-License-Identifier: Apache-2.0
/* What the device tree says of a guest is what the guest has, also in a later life of it. KVM is faked. */
#include <errno.h>
#include <fcntl.h>
#include <libfdt.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "arch/arch.h"
#include "arch/arm64/boot.h"
#include "arch/arm64/layout.h"
#include "arch/arm64/vm.h"
#include "devices/pci.h"
#include "tests/unit/unit.h"
#include "vmm/devices.h"
#include "vmm/guest.h"

#define MIB (1ULL << 20)

static bool kvm_shut; /* /dev/kvm can not be opened any more */

int open(const char *path, int flags, ...)
{
	if (!strcmp(path, "/dev/kvm")) {
		errno = EACCES;
		return kvm_shut ? -1 : (int)syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDWR | O_CLOEXEC);
	}
	return syscall(SYS_openat, AT_FDCWD, path, flags, 0);
}

/* A host whose guests have addresses of 36 bits at most. */
int ioctl(int fd, unsigned long request, ...)
{
	static const uint64_t mpidr = 1ULL << 31;
	va_list ap;
	void *arg;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (request == KVM_CHECK_EXTENSION)
		return (uintptr_t)arg == KVM_CAP_ARM_VM_IPA_SIZE ? 36 : 0;
	if (request == KVM_GET_ONE_REG)
		memcpy((void *)(uintptr_t)((struct kvm_one_reg *)arg)->addr, &mpidr, sizeof(mpidr));
	return 0;
}

static struct guest_config cfg = {
	.cpus = {.count = 1, .sockets = 1, .cores = 1, .threads = 1}, .memory = {.size = 64 * MIB}, .serial = SERIAL_OFF};
static struct arch_vm arch;
static struct vcpu vcpu = {.fd = -1};
static struct guest guest = {.cfg = &cfg, .vcpu = &vcpu, .vm = {.arch = &arch, .cfg = &cfg, .mem = &guest.mem, .fd = -1}};
static struct arch_boot boot = {.cmdline = (char *)"quiet"};

/* Where the large PCI window is, of so many GiB; without one: 0. */
static uint64_t large_window(unsigned gib)
{
	const void *fdt = mem_at(&guest.mem, boot.fdt, TAIL_SIZE);
	int node, len;
	const fdt32_t *ranges;

	ck_assert_int_eq(arch_describe(&guest, &boot), 0);
	node = fdt_path_offset(fdt, "/pcie@3f000000");
	ck_assert_int_gt(node, 0);
	ranges = fdt_getprop(fdt, node, "ranges", &len);
	ck_assert_ptr_nonnull(ranges);
	ck_assert_int_eq(len, (gib ? 14 : 7) * 4);
	if (!gib)
		return 0;
	ck_assert_uint_eq((uint64_t)fdt32_to_cpu(ranges[12]) << 32 | fdt32_to_cpu(ranges[13]), gib * 1024 * MIB);
	return (uint64_t)fdt32_to_cpu(ranges[8]) << 32 | fdt32_to_cpu(ranges[9]);
}

/* RAM that ends there, with nothing between what the tables need and its last page. */
static void start(uint64_t top)
{
	kvm_shut = false;
	vcpu.guest = &guest;
	unit_ram(&guest.mem, RAM_BASE, cfg.memory.size);
	boot.fdt = arm64_tail(&guest.mem);
	if (top > mem_top(&guest.mem))
		unit_ram(&guest.mem, top - 4096, 4096);
	ck_assert_int_eq(devices_open(&guest), 0);
}

START_TEST(windows_stay)
{
	start(0);
	ck_assert_uint_eq(large_window(2), 0x80000000);
	kvm_shut = true;
	ck_assert_uint_eq(large_window(2), 0x80000000);
	devices_close(&guest);
}
END_TEST

/* A host that is not asked again can not be taken for one of 40 bits, which has room for a window here. */
START_TEST(no_window_stays_none)
{
	start(1ULL << 36);
	ck_assert_uint_eq(large_window(0), 0);
	kvm_shut = true;
	ck_assert_uint_eq(large_window(0), 0);
	devices_close(&guest);
}
END_TEST

UNIT_MAIN("describe", windows_stay, no_window_stays_none)
