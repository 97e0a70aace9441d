// SPDX-License-Identifier: Apache-2.0
/* Interrupt controllers in this process: set-up, devices' interrupts, MSRs and the page; see userchip.h. */
#include "arch/x86/userchip.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "arch/arch.h"
#include "arch/x86/board.h"
#include "arch/x86/cpuid.h"
#include "arch/x86/ioapic.h"
#include "arch/x86/layout.h"
#include "arch/x86/userchip_priv.h"
#include "arch/x86/vm.h"
#include "vmm/guest.h"
#include "vmm/haltpoll/haltpoll.h"
#include "vmm/log.h"
#include "vmm/util.h"

/* ---- interrupts of devices: a lapic_msg in a word ---- */

#define WORD_VECTOR(w)	((w) & 0xff)
#define WORD_MODE(w)	((w) >> 8 & 7)
#define WORD_LOGICAL	(1ULL << 11)
#define WORD_LEVEL	(1ULL << 12)
#define WORD_LOWEST	(1ULL << 13)
#define WORD_ROUTED	(1ULL << 14) /* so that none is 0 */
#define WORD_DEST_SHIFT 32

static uint64_t pack(const struct irq_msg *irq)
{
	struct lapic_msg msg;

	if (lapic_msi_decode(&msg, irq->addr, irq->data))
		return 0;
	return msg.vector | (uint64_t)msg.mode << 8 | (msg.logical ? WORD_LOGICAL : 0) | (msg.level ? WORD_LEVEL : 0) |
	       (msg.lowest ? WORD_LOWEST : 0) | WORD_ROUTED | (uint64_t)msg.dest << WORD_DEST_SHIFT;
}

static void deliver(void *arg, uint64_t word)
{
	struct userchip *chip = arg;
	struct userchip_vcpu *self = userchip_self();
	struct lapic_msg msg = {
		.dest = word >> WORD_DEST_SHIFT,
		.vector = WORD_VECTOR(word),
		.mode = WORD_MODE(word),
		.logical = word & WORD_LOGICAL,
		.level = word & WORD_LEVEL,
		.lowest = word & WORD_LOWEST,
	};

	lapics_send(chip->lapics, &msg, self ? self->lapic : NULL);
}

/* ---- what the local APICs need ---- */

static void wake(void *arg, unsigned index)
{
	struct userchip *chip = arg;

	userchip_wake(&chip->vcpu[index]);
}

static void end_of_interrupt(void *arg, uint8_t vector)
{
	struct userchip *chip = arg;

	ioapic_eoi(chip->guest->board->ioapic, vector);
}

static uint64_t guest_tsc(void *arg, unsigned index)
{
	struct userchip *chip = arg;

	return userchip_tsc(&chip->vcpu[index]);
}

static uint64_t monotonic(void *arg)
{
	return now_ns();
}

/* ---- the page; CR8 is the TPR's upper half, and KVM is given it at each entry ---- */

static void page_read(void *dev, uint64_t off, uint8_t *data, unsigned len)
{
	lapic_page_read(userchip_self()->lapic, off, data, len);
}

static void page_write(void *dev, uint64_t off, const uint8_t *data, unsigned len)
{
	struct userchip_vcpu *self = userchip_self();

	lapic_page_write(self->lapic, off, data, len);
	self->vcpu->run->cr8 = lapic_cr8(self->lapic);
}

static const struct bus_ops page_ops = {.read = page_read, .write = page_write};

int userchip_add(struct userchip *chip, struct bus *bus)
{
	return bus_add(bus, BUS_MMIO, LAPIC_BASE, LAPIC_PAGE_SIZE, &page_ops, chip, "local APIC");
}

/* ---- exits ---- */

/*
 * KVM without local APIC still has IA32_APIC_BASE, because by its enable bit CPUID says whether there is a local APIC (leaf 1,
 * EDX bit 9; SDM 3A, 11.4.3). A guest's is valid there too: KVM allows what lapic_msr_write() does, and more.
 */
static int write_base(struct userchip_vcpu *uv, uint64_t value)
{
	int err = lapic_msr_write(uv->lapic, MSR_APIC_BASE, value);

	if (!err)
		userchip_set_msr(uv, MSR_APIC_BASE, value);
	return err;
}

/* Its rules are KVM's, which does not ask for the guest's CPUID where it is written from here. */
static int write_poll_control(struct userchip_vcpu *uv, uint64_t value)
{
	int err = -EINVAL;

	if (uv->vcpu->guest->cfg->kvm.poll_control != TRI_OFF)
		err = userchip_set_msr(uv, MSR_KVM_POLL_CONTROL, value);
	if (!err)
		uv->poller.guest_polls = !(value & 1);
	return err;
}

static int write_msr(struct userchip_vcpu *uv, uint32_t index, uint64_t value)
{
	switch (index) {
	case MSR_TSC:
		return userchip_write_tsc(uv, value);
	case MSR_TSC_ADJUST:
		return userchip_write_tsc_adjust(uv, value);
	case MSR_APIC_BASE:
		return write_base(uv, value);
	case MSR_KVM_POLL_CONTROL:
		return write_poll_control(uv, value);
	case MSR_TSC_DEADLINE:
		if (uv->tsc_moves)
			userchip_learn_tsc(uv);
	}
	return lapic_msr_write(uv->lapic, index, value);
}

static void msr_exit(struct userchip_vcpu *uv, bool write)
{
	struct kvm_run *run = uv->vcpu->run;
	uint64_t value = 0;
	int err;

	err = write ? write_msr(uv, run->msr.index, run->msr.data) :
		      lapic_msr_read(uv->lapic, run->msr.index, &value);
	if (!write)
		run->msr.data = value;
	run->msr.error = err != 0;
	uv->faulted = err;
	run->cr8 = lapic_cr8(uv->lapic);
}

int userchip_exit(struct vcpu *vcpu)
{
	struct userchip_vcpu *uv = vcpu->arch;

	switch (vcpu->run->exit_reason) {
	case KVM_EXIT_HLT:
		uv->halted = true;
		return 0;
	case KVM_EXIT_X86_RDMSR:
		msr_exit(uv, false);
		return 0;
	case KVM_EXIT_X86_WRMSR:
		msr_exit(uv, true);
		return 0;
	case KVM_EXIT_SET_TPR: /* taken over when KVM_RUN came back */
	case KVM_EXIT_IRQ_WINDOW_OPEN:
		return 0;
	default:
		return -ENOTSUP;
	}
}

/* ---- set-up ---- */

int userchip_check(const struct vm *vm)
{
	if (vm_cap(vm, KVM_CAP_X86_USER_SPACE_MSR) && vm_cap(vm, KVM_CAP_X86_MSR_FILTER))
		return 0;
	log_err("--irqchip user: this kernel lacks KVM_CAP_X86_USER_SPACE_MSR or KVM_CAP_X86_MSR_FILTER; Linux 5.10 or later has "
		"them");
	return -ENOTSUP;
}

/*
 * The x2APIC's MSRs are invalid to a KVM without local APIC, and so come here; a filter could not send them. IA32_APIC_BASE
 * and IA32_TSC_DEADLINE it would take itself, so they are filtered; so are writes that move the TSC, which a deadline is
 * compared with (userchip_clock.c), and those of MSR_KVM_POLL_CONTROL.
 */
static int take_msrs(const struct vm *vm)
{
	struct kvm_enable_cap cap = {.cap = KVM_CAP_X86_USER_SPACE_MSR,
		.args = {KVM_MSR_EXIT_REASON_INVAL | KVM_MSR_EXIT_REASON_FILTER |
			 (vm->cfg->profile_unknown ? KVM_MSR_EXIT_REASON_UNKNOWN : 0)}};
	static uint8_t deny; /* one MSR each */
	struct kvm_msr_filter filter = {
		.flags = KVM_MSR_FILTER_DEFAULT_ALLOW,
		.ranges = {
			{KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE, 1, MSR_TSC_DEADLINE, &deny},
			{KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE, 1, MSR_APIC_BASE, &deny},
			{KVM_MSR_FILTER_WRITE, 1, MSR_TSC, &deny},
			{KVM_MSR_FILTER_WRITE, 1, MSR_TSC_ADJUST, &deny},
			{KVM_MSR_FILTER_WRITE, 1, MSR_KVM_POLL_CONTROL, &deny},
		},
	};

	if (ioctl(vm->fd, KVM_ENABLE_CAP, &cap) < 0)
		return log_errno(-errno, "--irqchip user: KVM_CAP_X86_USER_SPACE_MSR");
	if (ioctl(vm->fd, KVM_X86_SET_MSR_FILTER, &filter) < 0)
		return log_errno(-errno, "--irqchip user: KVM_X86_SET_MSR_FILTER");
	return 0;
}

static int create(struct userchip **out, struct vm *vm)
{
	unsigned n = vm->cfg->cpus.count;
	size_t size = sizeof(struct userchip) + n * sizeof(struct userchip_vcpu);
	struct userchip *chip = aligned_alloc(_Alignof(struct userchip), size);

	if (!chip)
		return -ENOMEM;
	memset(chip, 0, size);
	chip->ids = calloc(n, sizeof(*chip->ids));
	if (!chip->ids) {
		free(chip);
		return -ENOMEM;
	}
	chip->n = n;
	chip->vm = vm;
	chip->direct = (struct irq_direct){.pack = pack, .deliver = deliver, .arg = chip};
	for (unsigned i = 0; i < n; i++)
		chip->ids[i] = arch_vcpu_id(vm->cfg, i);
	*out = chip;
	return 0;
}

int userchip_open(struct userchip **chip, struct vm *vm)
{
	int err = *chip ? 0 : create(chip, vm);

	if (err)
		return err;
	if ((*chip)->lapics)
		lapics_reset((*chip)->lapics);
	vm->direct = &(*chip)->direct;
	return take_msrs(vm);
}

/* With the first vCPU, which knows how fast the guest's TSC is. */
static int make_lapics(struct userchip *chip, struct vcpu *vcpu)
{
	struct kvm_cpuid_entry2 *one = x86_cpuid_entry(vcpu->guest->vm.arch->cpuid, 1, 0);
	int khz = ioctl(vcpu->fd, KVM_GET_TSC_KHZ, 0);
	struct lapic_config cfg = {
		.n = chip->n,
		.id = chip->ids,
		.phys_bits = arch_phys_bits(),
		.tsc_khz = khz > 0 ? khz : 0,
		.no_x2apic = !(one->ecx & 1u << 21),
		.no_deadline = !(one->ecx & 1u << 24),
		.ops = {.wake = wake, .eoi = end_of_interrupt, .tsc = guest_tsc, .ns = monotonic},
		.arg = chip,
	};

	if (khz <= 0)
		return log_errno(khz ? -errno : -EIO, "--irqchip user: KVM_GET_TSC_KHZ");
	chip->guest = vcpu->guest;
	chip->tsc_khz = khz;
	return lapics_create(&chip->lapics, &cfg);
}

int userchip_vcpu(struct userchip *chip, struct vcpu *vcpu)
{
	struct userchip_vcpu *uv = &chip->vcpu[vcpu->index];
	int err = chip->lapics ? 0 : make_lapics(chip, vcpu);

	if (err)
		return err;
	uv->vcpu = vcpu;
	uv->lapic = lapics_at(chip->lapics, vcpu->index);
	uv->tsc_khz = chip->tsc_khz;
	uv->halted = uv->faulted = false;
	uv->halt.begun = 0;
	uv->poller.live = haltpoll_live(vcpu->guest->haltpoll);
	uv->poller.guest_polls = false;
	uv->armed = LAPIC_NEVER;
	err = userchip_clock_start(uv);
	if (err)
		return err;
	err = userchip_set_msr(uv, MSR_APIC_BASE, lapic_base(uv->lapic));
	if (err)
		return log_errno(err, "vCPU %u: IA32_APIC_BASE", vcpu->index);
	if (uv->tsc_moves && !vcpu->index && uv->poller.live && uv->poller.live->max_ns)
		log_warn("--halt-poll vmm: the TSCs of this host's CPUs differ, and nothing else says for how long to poll: "
			 "halts block at once");
	if (ioctl(vcpu->fd, KVM_GET_REGS, &uv->regs) < 0 || ioctl(vcpu->fd, KVM_GET_SREGS, &uv->sregs) < 0 ||
		ioctl(vcpu->fd, KVM_GET_DEBUGREGS, &uv->debug) < 0 ||
		ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &uv->events) < 0)
		return log_errno(-errno, "vCPU %u: its registers at power-up", vcpu->index);
	vcpu->arch = uv;
	vcpu->hooks = &userchip_hooks;
	vcpu->poller = &uv->poller;
	return 0;
}

void userchip_destroy(struct userchip *chip)
{
	if (!chip)
		return;
	for (unsigned i = 0; i < chip->n; i++)
		if (chip->vcpu[i].has_timer)
			timer_delete(chip->vcpu[i].timer);
	lapics_destroy(chip->lapics);
	free(chip->ids);
	free(chip);
}
