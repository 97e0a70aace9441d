// SPDX-License-Identifier: Apache-2.0
/*
 * The VM as arm64 wants it: size of its addresses, features of its CPUs, the interrupt controller in the
 * kernel. Main only. Kernel documents: Documentation/virt/kvm/api.rst, devices/arm-vgic.rst,
 * devices/arm-vgic-v3.rst, devices/vcpu.rst.
 */
#include "arch/arm64/vm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "arch/arch.h"
#include "arch/arm64/cpufeature.h"
#include "arch/arm64/gicv2m.h"
#include "arch/arm64/layout.h"
#include "vmm/guest.h"
#include "vmm/irq.h"
#include "vmm/log.h"
#include "vmm/util.h"
#include "vmm/vm.h"

/*
 * Bits of a guest-physical address; 0 is an old KVM's only size, 40. With fewer than 35 KVM's tables (of 4K pages) lack the
 * level that maps 1 GiB at once, and it would map the pages of such RAM in pieces of 2 MiB.
 */
unsigned long arch_vm_type(const struct vm *vm)
{
	const struct guest *guest = container_of(vm, const struct guest, vm);
	unsigned most = vm_cap(vm, KVM_CAP_ARM_VM_IPA_SIZE), bits = arm64_ipa_bits(mem_top(vm->mem), most);

	if (guest->memory.page >= 1 << 30 && bits < 35)
		bits = most < 35 ? most : 35;
	return most ? bits : 0;
}

static int check_size(const struct vm *vm, const struct guest_config *cfg)
{
	unsigned bits = arch_phys_bits();

	if (vm_check_vcpus(vm, cfg->cpus.count))
		return -EINVAL;
	if (bits >= 64 || cfg->memory.size <= (1ULL << bits) - RAM_BASE)
		return 0;
	log_err("--memory %lluM: this host gives guests addresses of %u bits, and RAM starts at 1G; give at "
		"most %lluM",
		(unsigned long long)(cfg->memory.size >> 20), bits, ((1ULL << bits) - RAM_BASE) >> 20);
	return -EINVAL;
}

static void want(struct kvm_vcpu_init *cpu, unsigned feature)
{
	cpu->features[feature / 32] |= 1u << feature % 32;
}

/* A feature the host has is there unless it is hidden; one it lacks cannot be demanded. 1, 0, or -errno,
 * logged. */
static int judge(enum wish wish, const char *name, bool here)
{
	if (wish == WISH_ON && !here) {
		log_err("--cpus +%s: this host's KVM does not give it to guests", name);
		return -EINVAL;
	}
	return here && wish != WISH_OFF;
}

/* KVM gives both halves of pointer authentication or none, so a wish for one is a wish for the other. */
static int judge_ptrauth(const struct vm *vm, const char *features)
{
	enum wish paca = cpufeature_wish(features, FEATURE_PACA), pacg = cpufeature_wish(features, FEATURE_PACG);

	if (paca != WISH_NONE && pacg != WISH_NONE && paca != pacg) {
		log_err("--cpus %cpaca,%cpacg: KVM gives a guest both or none; leave one of them out",
			paca == WISH_ON ? '+' : '-', pacg == WISH_ON ? '+' : '-');
		return -EINVAL;
	}
	return judge(paca == WISH_NONE ? pacg : paca, paca == WISH_NONE ? "pacg" : "paca",
		vm_cap(vm, KVM_CAP_ARM_PTRAUTH_ADDRESS) && vm_cap(vm, KVM_CAP_ARM_PTRAUTH_GENERIC));
}

static int choose_features(struct vm *vm, const struct guest_config *cfg)
{
	struct kvm_vcpu_init *cpu = &vm->arch->cpu;
	int sve, ptrauth;

	want(cpu, KVM_ARM_VCPU_PSCI_0_2);
	sve = judge(cpufeature_wish(cfg->cpus.features, FEATURE_SVE), "sve", vm_cap(vm, KVM_CAP_ARM_SVE));
	if (sve < 0)
		return sve;
	ptrauth = judge_ptrauth(vm, cfg->cpus.features);
	if (ptrauth < 0)
		return ptrauth;
	vm->arch->sve = sve;
	if (sve)
		want(cpu, KVM_ARM_VCPU_SVE);
	if (ptrauth) {
		want(cpu, KVM_ARM_VCPU_PTRAUTH_ADDRESS);
		want(cpu, KVM_ARM_VCPU_PTRAUTH_GENERIC);
	}
	if (!cfg->pmu)
		return 0;
	if (!vm_cap(vm, KVM_CAP_ARM_PMU_V3)) {
		log_err("--pmu on: this host's KVM has no performance counters for guests");
		return -EINVAL;
	}
	want(cpu, KVM_ARM_VCPU_PMU_V3);
	return 0;
}

static int choose_steal_time(struct vm *vm, const struct guest_config *cfg)
{
	bool here = vm_cap(vm, KVM_CAP_STEAL_TIME);

	if (cfg->kvm.steal_time == TRI_ON && !here) {
		log_err("--kvm steal-time=on: this host's KVM does not offer it");
		return -ENOTSUP;
	}
	vm->arch->pvtime = here && cfg->kvm.steal_time != TRI_OFF;
	return 0;
}

int arch_vm_check(struct vm *vm, const struct guest_config *cfg)
{
	int err = check_size(vm, cfg);

	if (err)
		return err;
	vm->arch = calloc(1, sizeof(*vm->arch));
	if (!vm->arch)
		return -ENOMEM;
	vm->arch->gic_fd = vm->arch->its_fd = -1;
	err = choose_steal_time(vm, cfg);
	return err ? err : choose_features(vm, cfg);
}

static void gic_close(struct arch_vm *arch)
{
	if (arch->its_fd >= 0)
		close(arch->its_fd);
	if (arch->gic_fd >= 0)
		close(arch->gic_fd);
	arch->its_fd = arch->gic_fd = -1;
}

void arch_vm_exit(struct vm *vm)
{
	if (vm->arch)
		gic_close(vm->arch);
	free(vm->arch);
	vm->arch = NULL;
}

/* The GIC the host's own allows: a GICv3, or where it has only that a GICv2. */
static int gic_create(struct vm *vm)
{
	struct kvm_create_device gic = {.type = KVM_DEV_TYPE_ARM_VGIC_V3};
	int ret = ioctl(vm->fd, KVM_CREATE_DEVICE, &gic);

	vm->arch->gic = GIC_V3;
	if (ret < 0 && errno == ENODEV) {
		gic.type = KVM_DEV_TYPE_ARM_VGIC_V2;
		vm->arch->gic = GIC_V2;
		ret = ioctl(vm->fd, KVM_CREATE_DEVICE, &gic);
	}
	if (ret < 0)
		return log_errno(-errno, "KVM_CREATE_DEVICE: an interrupt controller (GICv3 or GICv2)");
	vm->arch->gic_fd = gic.fd;
	if (vm->arch->gic == GIC_V2 && vm->cfg->cpus.count > GICV2_MAX_CPUS) {
		log_err("--cpus %u: this host's interrupt controller (GICv2) allows %d", vm->cfg->cpus.count,
			GICV2_MAX_CPUS);
		return -EINVAL;
	}
	return 0;
}

/* Before the GIC starts, which then has LPIs. KVM_CAP_MSI_DEVID: its routes say whose message it is. */
static int its_create(struct vm *vm)
{
	struct kvm_create_device its = {.type = KVM_DEV_TYPE_ARM_VGIC_ITS};

	if (vm->cfg->irqchip != IRQCHIP_ITS)
		return 0;
	if (vm->arch->gic != GIC_V3) {
		log_err("--irqchip its: an ITS is part of a GICv3, and this host's interrupt controller is a GICv2; leave the "
			"option out");
		return -ENODEV;
	}
	if (ioctl(vm->fd, KVM_CREATE_DEVICE, &its) < 0) {
		int err = -errno;

		log_err("--irqchip its: KVM_CREATE_DEVICE: %s; this host's KVM has no ITS to give, leave the option out",
			strerror(-err));
		return err;
	}
	vm->arch->its_fd = its.fd;
	if (vm_cap(vm, KVM_CAP_MSI_DEVID))
		return 0;
	log_err("--irqchip its: this kernel lacks KVM_CAP_MSI_DEVID; leave the option out");
	return -ENOTSUP;
}

int arch_vm_init(struct vm *vm)
{
	/* Without it an access that KVM cannot decode ends KVM_RUN with ENOSYS, and nobody learns where it
	 * went. */
	struct kvm_enable_cap nisv = {.cap = KVM_CAP_ARM_NISV_TO_USER};
	struct kvm_vcpu_init preferred;
	int err;

	gic_close(vm->arch); /* of a VM that did not become ready */
	ioctl(vm->fd, KVM_ENABLE_CAP, &nisv);
	if (ioctl(vm->fd, KVM_ARM_PREFERRED_TARGET, &preferred) < 0)
		return log_errno(-errno, "KVM_ARM_PREFERRED_TARGET");
	vm->arch->cpu.target = preferred.target;
	err = gic_create(vm);
	return err ? err : its_create(vm);
}

static int gic_set(int fd, uint32_t group, uint64_t attr, void *value, const char *what)
{
	struct kvm_device_attr a = {.group = group, .attr = attr, .addr = (uintptr_t)value};

	return ioctl(fd, KVM_SET_DEVICE_ATTR, &a) < 0
		       ? log_errno(-errno, "interrupt controller: %s", what)
		       : 0;
}

/* Its places and its size, then it works. Only now, because its registers are on KVM's io-bus from here on
 * (vm.h). */
static int gic_start(struct vm *vm)
{
	bool v3 = vm->arch->gic == GIC_V3;
	uint64_t dist = GIC_DIST, cpus = v3 ? GIC_REDIST : GICV2_CPU;
	uint32_t intids = GIC_INTIDS;
	int fd = vm->arch->gic_fd, err;

	err = gic_set(fd, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &intids, "number of interrupts");
	if (!err)
		err = gic_set(fd, KVM_DEV_ARM_VGIC_GRP_ADDR,
			v3 ? KVM_VGIC_V3_ADDR_TYPE_DIST : KVM_VGIC_V2_ADDR_TYPE_DIST, &dist, "distributor");
	if (!err)
		err = gic_set(fd, KVM_DEV_ARM_VGIC_GRP_ADDR,
			v3 ? KVM_VGIC_V3_ADDR_TYPE_REDIST : KVM_VGIC_V2_ADDR_TYPE_CPU, &cpus,
			v3 ? "redistributors" : "CPU interface");
	if (!err)
		err = gic_set(fd, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL, "start");
	return err;
}

/* Its register page; the page behind it is where devices write. */
static int its_start(struct vm *vm)
{
	uint64_t base = GIC_ITS;
	int fd = vm->arch->its_fd, err;

	if (fd < 0)
		return 0;
	err = gic_set(fd, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_ITS_ADDR_TYPE, &base, "ITS");
	return err ? err : gic_set(fd, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL, "start of the ITS");
}

/* The PMU's interrupt needs a GIC that works. */
static int pmu_start(int vcpu_fd)
{
	int irq = GIC_PPI_FIRST + PPI_PMU;
	struct kvm_device_attr attr = {
		.group = KVM_ARM_VCPU_PMU_V3_CTRL, .attr = KVM_ARM_VCPU_PMU_V3_IRQ, .addr = (uintptr_t)&irq};

	if (ioctl(vcpu_fd, KVM_SET_DEVICE_ATTR, &attr) < 0)
		return log_errno(-errno, "--pmu on: KVM_ARM_VCPU_PMU_V3_IRQ");
	attr = (struct kvm_device_attr){.group = KVM_ARM_VCPU_PMU_V3_CTRL, .attr = KVM_ARM_VCPU_PMU_V3_INIT};
	return ioctl(vcpu_fd, KVM_SET_DEVICE_ATTR, &attr) < 0
		       ? log_errno(-errno, "--pmu on: KVM_ARM_VCPU_PMU_V3_INIT")
		       : 0;
}

int arch_vm_ready(struct vm *vm)
{
	struct guest *guest = container_of(vm, struct guest, vm);
	int err = gic_start(vm);

	if (!err)
		err = its_start(vm);

	gic_close(vm->arch); /* the VM keeps the devices */
	for (unsigned i = 0; !err && vm->cfg->pmu && i < vm->cfg->cpus.count; i++)
		err = pmu_start(guest->vcpu[i].fd);
	return err;
}

struct irqchip_words arch_irqchip(const struct vm *vm)
{
	struct irqchip_words words = {.controller = vm->arch->gic == GIC_V3 ? "GICv3 in KVM" : "GICv2 in KVM"};

	if (vm->cfg->transport == TRANSPORT_PCI)
		words.msi = vm->cfg->irqchip == IRQCHIP_ITS ? "ITS in KVM" : "GICv2m frame in pinvm";
	return words;
}

int arch_first_msi_gsi(void)
{
	return BOARD_PINS;
}

static void route_to_pin(struct kvm_irq_routing_entry *entry, int pin)
{
	entry->type = KVM_IRQ_ROUTING_IRQCHIP;
	entry->u.irqchip.irqchip = 0;
	entry->u.irqchip.pin = pin < 0 ? UINT32_MAX : (uint32_t)pin; /* to nowhere: KVM refuses it */
}

/*
 * The write that an MSI is goes to the ITS, which looks up what the guest wants of this device's event, or to the GICv2m
 * frame, which makes an SPI of it: that one is the route then. What a guest aims elsewhere reaches nothing.
 */
void arch_msi_route(const struct vm *vm, struct kvm_irq_routing_entry *entry, const struct irq_msg *msg)
{
	if (entry->gsi < BOARD_PINS) {
		route_to_pin(entry, entry->gsi);
	} else if (vm->cfg->irqchip != IRQCHIP_ITS) {
		route_to_pin(entry, gicv2m_pin(msg));
	} else if (msg->addr != GIC_ITS + ITS_TRANSLATER) {
		route_to_pin(entry, -1);
	} else {
		entry->type = KVM_IRQ_ROUTING_MSI;
		entry->flags = KVM_MSI_VALID_DEVID;
		entry->u.msi.address_lo = (uint32_t)msg->addr;
		entry->u.msi.address_hi = msg->addr >> 32;
		entry->u.msi.data = msg->data;
		entry->u.msi.devid = msg->devid;
	}
}
