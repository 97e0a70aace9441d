// SPDX-License-Identifier: Apache-2.0
/*
 * The VM as x86 wants it: interrupt controllers, capabilities. Main only.
 * Kernel document: Documentation/virt/kvm/api.rst.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <linux/kvm_para.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "arch/arch.h"
#include "arch/x86/boot.h"
#include "arch/x86/cpuid.h"
#include "arch/x86/layout.h"
#include "arch/x86/topology.h"
#include "arch/x86/userchip.h"
#include "arch/x86/vm.h"
#include "vmm/irq.h"
#include "vmm/log.h"
#include "vmm/memory/nodes.h"
#include "vmm/vm.h"

#define APIC_BROADCAST 255

unsigned long arch_vm_type(const struct vm *vm)
{
	return 0;
}

/*
 * The last vCPU has the highest APIC id. Interrupts reach ids below 255 only: an MSI has 8 bits for it (KVM's
 * extension to 15 needs an IOAPIC that knows it too), and 255 means all.
 */
static int check_ids(const struct vm *vm, const struct guest_config *cfg)
{
	unsigned last = arch_vcpu_id(cfg, cfg->cpus.count - 1);
	int max_id;

	if (vm_check_vcpus(vm, cfg->cpus.count))
		return -EINVAL;
	if (last >= APIC_BROADCAST) {
		log_err("--cpus %u: this topology needs APIC id %u, and interrupts reach ids up to %d; use "
			"fewer sockets, or cores "
			"and threads that are powers of two",
			cfg->cpus.count, last, APIC_BROADCAST - 1);
		return -EINVAL;
	}
	max_id = last >= cfg->cpus.count ? vm_cap(vm, KVM_CAP_MAX_VCPU_ID) : 0;
	if (max_id && last >= (unsigned)max_id) {
		log_err("--cpus %u: this topology needs APIC id %u, this host's KVM allows up to %d; use "
			"fewer sockets, or cores and "
			"threads that are powers of two",
			cfg->cpus.count, last, max_id - 1);
		return -EINVAL;
	}
	return 0;
}

static int check_memory(const struct guest_config *cfg)
{
	struct ram_range ram[2];
	int n = arch_ram_ranges(cfg->memory.size, ram, 2);

	if (n > 0 && x86_reaches(ram[n - 1].gpa + ram[n - 1].size, arch_phys_bits()))
		return 0;
	log_err("--memory %lluM: this CPU addresses %u bits, which is %lluM with the hole below 4 GiB; give less",
		(unsigned long long)(cfg->memory.size >> 20), arch_phys_bits(),
		((1ULL << arch_phys_bits()) - (RAM_HIGH - RAM_LOW_MAX)) >> 20);
	return -EINVAL;
}

/* The first vCPU that is in the same socket as the one before it, but in another node; 0: there is none. */
static unsigned torn_socket(const struct guest_nodes *nodes, unsigned count, unsigned per_socket)
{
	for (unsigned i = 1; i < count; i++)
		if (i % per_socket && nodes->node_of_vcpu[i] != nodes->node_of_vcpu[i - 1])
			return i;
	return 0;
}

/* CPUs of a socket share a cache. That they do not share a node is worth a call trace to Linux. */
static int check_nodes(const struct guest_config *cfg)
{
	unsigned count = cfg->cpus.count, sockets = 1, i;
	struct x86_topology topo;
	struct guest_nodes nodes;
	int err = cfg->nnumas ? guest_nodes(&nodes, cfg) : 0;

	if (err || !cfg->nnumas)
		return err;
	x86_topology(&topo, &cfg->cpus);
	i = torn_socket(&nodes, count, topo.cores * topo.threads);
	if (!i)
		return 0;
	while (count % sockets || torn_socket(&nodes, count, count / sockets))
		sockets++;
	log_warn("--numa: vCPUs %u and %u share a socket and its cache but not a node, of which Linux complains; smaller "
		 "sockets avoid it, as in --cpus %u,sockets=%u",
		i - 1, i, count, sockets);
	return 0;
}

static int check_irqchip(const struct vm *vm, const struct guest_config *cfg)
{
	if (cfg->irqchip == IRQCHIP_USER)
		return userchip_check(vm);
	if (vm_cap(vm, KVM_CAP_SPLIT_IRQCHIP))
		return 0;
	log_err("/dev/kvm: this kernel lacks KVM_CAP_SPLIT_IRQCHIP");
	return -ENOTSUP;
}

static int check_profile(const struct vm *vm, const struct guest_config *cfg)
{
	if (!cfg->profile_unknown || vm_cap(vm, KVM_CAP_X86_USER_SPACE_MSR))
		return 0;
	log_err("--profile unknown=on: this kernel lacks KVM_CAP_X86_USER_SPACE_MSR; Linux 5.10 or later has it");
	return -ENOTSUP;
}

int arch_vm_check(struct vm *vm, const struct guest_config *cfg)
{
	int err = check_memory(cfg);

	if (!err)
		err = check_ids(vm, cfg);
	if (!err)
		err = check_nodes(cfg);
	if (err)
		return err;
	err = check_irqchip(vm, cfg);
	if (!err)
		err = check_profile(vm, cfg);
	if (err)
		return err;
	vm->arch = calloc(1, sizeof(*vm->arch));
	if (!vm->arch)
		return -ENOMEM;
	vm->arch->enforce_pv =
		(cfg->irqchip == IRQCHIP_USER || x86_cpuid_pv_narrowed(&cfg->kvm)) && vm_cap(vm, KVM_CAP_ENFORCE_PV_FEATURE_CPUID);
	return x86_cpuid_create(&vm->arch->cpuid, vm);
}

void arch_vm_exit(struct vm *vm)
{
	if (vm->arch) {
		userchip_destroy(vm->arch->userchip);
		free(vm->arch->cpuid);
	}
	vm->direct = NULL;
	free(vm->arch);
	vm->arch = NULL;
}

static int enable(struct vm *vm, unsigned cap, uint64_t arg)
{
	struct kvm_enable_cap enable = {.cap = cap, .args = {arg}};

	return ioctl(vm->fd, KVM_ENABLE_CAP, &enable) < 0 ? -errno : 0;
}

/*
 * --profile unknown=on: MSRs that KVM has not got, or not with such a value, and the one hypercall that it leaves to user
 * space. arch_vcpu_exit() refuses them as KVM does otherwise.
 */
static int show_unknown(struct vm *vm)
{
	uint64_t why = KVM_MSR_EXIT_REASON_UNKNOWN | KVM_MSR_EXIT_REASON_INVAL;
	int err;

	if (!vm->cfg->profile_unknown)
		return 0;
	if (vm->cfg->irqchip == IRQCHIP_USER) /* whose filter shall go on to work: each call replaces the last one */
		why |= KVM_MSR_EXIT_REASON_FILTER;
	err = enable(vm, KVM_CAP_X86_USER_SPACE_MSR, why);
	if (err)
		return log_errno(err, "--profile unknown=on: KVM_CAP_X86_USER_SPACE_MSR");
	/* Before Linux 5.14 there is no such call. */
	if (vm_cap(vm, KVM_CAP_EXIT_HYPERCALL) & 1 << KVM_HC_MAP_GPA_RANGE)
		enable(vm, KVM_CAP_EXIT_HYPERCALL, 1 << KVM_HC_MAP_GPA_RANGE);
	return 0;
}

/* What --exits asks to leave to the guest. arch_vm_check() saw that the host can. */
static int disable_exits(struct vm *vm)
{
	const struct exits_config *exits = &vm->cfg->exits;
	uint64_t mask = 0;
	int err;

	if (exits->mwait == TRI_OFF)
		mask |= KVM_X86_DISABLE_EXITS_MWAIT;
	if (exits->hlt == TRI_OFF)
		mask |= KVM_X86_DISABLE_EXITS_HLT;
	if (exits->pause == TRI_OFF)
		mask |= KVM_X86_DISABLE_EXITS_PAUSE;
	if (exits->cstate == TRI_OFF)
		mask |= KVM_X86_DISABLE_EXITS_CSTATE;
	err = mask ? enable(vm, KVM_CAP_X86_DISABLE_EXITS, mask) : 0;
	return err ? log_errno(err, "--exits: KVM_CAP_X86_DISABLE_EXITS") : 0;
}

/* Split: the local APICs in KVM, the IOAPIC here. */
static int init_irqchip(struct vm *vm)
{
	int err;

	if (vm->cfg->irqchip == IRQCHIP_USER)
		return userchip_open(&vm->arch->userchip, vm);
	err = enable(vm, KVM_CAP_SPLIT_IRQCHIP, IOAPIC_PINS);
	if (err)
		return log_errno(err, "--irqchip split: KVM_CAP_SPLIT_IRQCHIP");
	/* Kernels before 4.7 do without. */
	enable(vm, KVM_CAP_X2APIC_API, KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK);
	return 0;
}

int arch_vm_init(struct vm *vm)
{
	uint64_t identity_map = IDENTITY_MAP_ADDR;
	int err;

	/* Intel without unrestricted guest needs both; elsewhere they do no harm. */
	if (ioctl(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity_map) < 0)
		return log_errno(-errno, "KVM_SET_IDENTITY_MAP_ADDR");
	if (ioctl(vm->fd, KVM_SET_TSS_ADDR, TSS_ADDR) < 0)
		return log_errno(-errno, "KVM_SET_TSS_ADDR");
	err = disable_exits(vm);
	if (!err)
		err = show_unknown(vm);
	if (err)
		return err;
	err = init_irqchip(vm);
	if (err)
		return err;
	if (!vm->cfg->pmu && (vm_cap(vm, KVM_CAP_PMU_CAPABILITY) & KVM_PMU_CAP_DISABLE))
		enable(vm, KVM_CAP_PMU_CAPABILITY, KVM_PMU_CAP_DISABLE);
	return 0;
}

int arch_vm_ready(struct vm *vm)
{
	return 0;
}

struct irqchip_words arch_irqchip(const struct vm *vm)
{
	return (struct irqchip_words){
		.controller = vm->cfg->irqchip == IRQCHIP_USER ? "local APICs and IOAPIC in pinvm" :
								 "local APICs in KVM, IOAPIC in pinvm",
		.msi = vm->cfg->transport == TRANSPORT_PCI ? "local APICs" : NULL,
	};
}

int arch_first_msi_gsi(void)
{
	return IOAPIC_PINS;
}

void arch_msi_route(const struct vm *vm, struct kvm_irq_routing_entry *entry, const struct irq_msg *msg)
{
	entry->type = KVM_IRQ_ROUTING_MSI;
	entry->u.msi.address_lo = msg->addr;
	entry->u.msi.address_hi = msg->addr >> 32;
	entry->u.msi.data = msg->data;
}
