// SPDX-License-Identifier: Apache-2.0
/*
 * The interrupt controllers of a VM over a fake KVM: which are made, in what order, and what is refused. A host has a
 * GICv3 or a GICv2, and with a GICv3 an ITS to give or none.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "arch/arch.h"
#include "arch/arm64/layout.h"
#include "arch/arm64/vm.h"
#include "tests/unit/fake_ioctl.h"
#include "tests/unit/said.h"
#include "tests/unit/unit.h"
#include "vmm/guest.h"

static struct {
	bool v3, its, devid;
} host;

static char calls[512]; /* what KVM was asked, in words */
static int gic_fd, its_fd;
static uint64_t its_base;

static void asked(const char *what)
{
	strncat(calls, what, sizeof(calls) - strlen(calls) - 1);
}

static int create(struct kvm_create_device *d)
{
	bool is_its = d->type == KVM_DEV_TYPE_ARM_VGIC_ITS;

	if (is_its ? !host.its : host.v3 != (d->type == KVM_DEV_TYPE_ARM_VGIC_V3)) {
		errno = ENODEV;
		return -1;
	}
	d->fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	ck_assert_int_ge(d->fd, 0);
	*(is_its ? &its_fd : &gic_fd) = d->fd;
	asked(is_its ? "its " : "gic ");
	return 0;
}

static int set(int fd, const struct kvm_device_attr *a)
{
	ck_assert(fd >= 0 && (fd == gic_fd || fd == its_fd));
	if (a->group == KVM_DEV_ARM_VGIC_GRP_CTRL && a->attr == KVM_DEV_ARM_VGIC_CTRL_INIT)
		asked(fd == its_fd ? "its-init " : "gic-init ");
	if (fd == its_fd && a->group == KVM_DEV_ARM_VGIC_GRP_ADDR && a->attr == KVM_VGIC_ITS_ADDR_TYPE) {
		memcpy(&its_base, (void *)(uintptr_t)a->addr, sizeof(its_base));
		asked("its-addr ");
	}
	return 0;
}

static int cap(uintptr_t which)
{
	if (which == KVM_CAP_MSI_DEVID)
		return host.devid && its_fd >= 0;
	return which == KVM_CAP_ARM_VM_IPA_SIZE ? 40 : 0;
}

static int fake_ioctl(int fd, unsigned long request, void *arg)
{
	switch (request) {
	case KVM_CHECK_EXTENSION: return cap((uintptr_t)arg);
	case KVM_CREATE_DEVICE: return create(arg);
	case KVM_SET_DEVICE_ATTR: return set(fd, arg);
	case KVM_ARM_PREFERRED_TARGET: *(struct kvm_vcpu_init *)arg = (struct kvm_vcpu_init){.target = 5}; return 0;
	default: return 0;
	}
}

static struct guest_mem mem = {.n = 1, .region = {{.gpa = RAM_BASE, .size = 512 << 20}}};
static struct guest_config cfg;
static struct guest guest;

static struct vm *vm_on(bool v3, bool its, enum irqchip_kind kind)
{
	host.v3 = v3;
	host.its = host.devid = its;
	gic_fd = its_fd = -1;
	calls[0] = said[0] = '\0';
	lines = 0;
	cfg = (struct guest_config){.cpus = {.count = 1}, .irqchip = kind};
	guest.vm = (struct vm){.fd = -1, .kvm_fd = -1, .cfg = &cfg, .mem = &mem};
	ck_assert_int_eq(arch_vm_check(&guest.vm, &cfg), 0);
	return &guest.vm;
}

/* Neither is left open: the VM keeps its devices, and one that was refused keeps none. */
static void ck_closed(void)
{
	ck_assert(gic_fd < 0 || (fcntl(gic_fd, F_GETFD) < 0 && errno == EBADF));
	ck_assert(its_fd < 0 || (fcntl(its_fd, F_GETFD) < 0 && errno == EBADF));
}

/* It is there when the GIC starts, and works before anybody binds an interrupt to it; also in the VM of a restart. */
START_TEST(an_its_and_its_order)
{
	struct vm *vm = vm_on(true, true, IRQCHIP_ITS);

	for (unsigned life = 0; life < 2; life++) {
		calls[0] = '\0';
		its_base = 0;
		ck_assert_int_eq(arch_vm_init(vm), 0);
		ck_assert_str_eq(calls, "gic its ");
		ck_assert_int_eq(arch_vm_ready(vm), 0);
		ck_assert_str_eq(calls, "gic its gic-init its-addr its-init ");
		ck_assert_uint_eq(its_base, GIC_ITS);
		ck_closed();
	}
	ck_assert_str_eq(arch_irqchip(vm).controller, "GICv3 in KVM");
	ck_assert_str_eq(arch_irqchip(vm).msi, "ITS in KVM");
	arch_vm_exit(vm);
}
END_TEST

/* Nobody asked for one. */
START_TEST(no_its)
{
	for (unsigned v3 = 0; v3 < 2; v3++) {
		struct vm *vm = vm_on(v3, true, IRQCHIP_SPLIT);

		ck_assert_int_eq(arch_vm_init(vm), 0);
		ck_assert_int_eq(arch_vm_ready(vm), 0);
		ck_assert_str_eq(calls, "gic gic-init ");
		ck_closed();
		ck_assert_str_eq(arch_irqchip(vm).controller, v3 ? "GICv3 in KVM" : "GICv2 in KVM");
		ck_assert_str_eq(arch_irqchip(vm).msi, "GICv2m frame in pinvm");
		cfg.transport = TRANSPORT_MMIO;
		ck_assert_ptr_null(arch_irqchip(vm).msi);
		arch_vm_exit(vm);
	}
}
END_TEST

static void refused(struct vm *vm, const char *words)
{
	ck_assert_int_lt(arch_vm_init(vm), 0);
	arch_vm_exit(vm);
	ck_assert_msg(strstr(said, words) && strstr(said, "leave the option out"), "want \"%s\" in \"%s\"", words, said);
	ck_assert_int_eq(lines, 1);
	ck_closed();
}

START_TEST(refusals)
{
	struct vm *vm = vm_on(false, false, IRQCHIP_ITS);

	refused(vm, "--irqchip its: an ITS is part of a GICv3, and this host's interrupt controller is a GICv2");
	vm = vm_on(true, false, IRQCHIP_ITS);
	refused(vm, "--irqchip its: KVM_CREATE_DEVICE: No such device; this host's KVM has no ITS to give");
	vm = vm_on(true, true, IRQCHIP_ITS);
	host.devid = false;
	refused(vm, "--irqchip its: this kernel lacks KVM_CAP_MSI_DEVID");
}
END_TEST

UNIT_MAIN("gic", an_its_and_its_order, no_its, refusals)
