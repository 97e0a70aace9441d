// SPDX-License-Identifier: Apache-2.0
/*
 * The guest's TSC where its local APICs are in this process: this host's, plus an offset that KVM has chosen. It is learnt
 * once, and again after what can move it, so that a deadline costs no system call. The vCPU's thread, and main before that
 * runs. Documentation/virt/kvm/devices/vcpu.rst, KVM_VCPU_TSC_OFFSET (Linux 5.16); Intel SDM 3B, 18.17.
 *
 * What moves it: the guest, by IA32_TIME_STAMP_COUNTER and IA32_TSC_ADJUST (whose writes are filtered, and carried out here);
 * a host that slept, whose TSC began anew; and a host whose CPUs' TSCs differ, at any time.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "arch/x86/userchip_priv.h"
#include "vmm/hostfile.h"
#include "vmm/log.h"
#include "vmm/vcpu.h"

#define CLOCKSOURCES "/sys/devices/system/clocksource/clocksource0/available_clocksource"
#define LOOKS	     8		   /* at the TSC through KVM: the one that took least counts */
#define FAR_OFF	     (1ULL << 62)  /* cycles: no synchronisation of KVM's takes that for a guest's */

/* ---- KVM's side ---- */

union one_msr {
	struct kvm_msrs head;
	uint8_t room[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)];
};

static int get_msr(const struct userchip_vcpu *uv, uint32_t index, uint64_t *value)
{
	union one_msr msrs = {.head.nmsrs = 1};
	int n;

	msrs.head.entries[0] = (struct kvm_msr_entry){.index = index};
	n = ioctl(uv->vcpu->fd, KVM_GET_MSRS, &msrs);
	*value = msrs.head.entries[0].data;
	return n == 1 ? 0 : n < 0 ? -errno : -EINVAL;
}

int userchip_set_msr(const struct userchip_vcpu *uv, uint32_t index, uint64_t value)
{
	union one_msr msrs = {.head.nmsrs = 1};
	int n;

	msrs.head.entries[0] = (struct kvm_msr_entry){.index = index, .data = value};
	n = ioctl(uv->vcpu->fd, KVM_SET_MSRS, &msrs);
	return n == 1 ? 0 : n < 0 ? -errno : -EINVAL;
}

/* KVM_GET_DEVICE_ATTR or KVM_SET_DEVICE_ATTR of the offset. False: this kernel has none. */
static bool attr(const struct userchip_vcpu *uv, unsigned long request, uint64_t *offset)
{
	struct kvm_device_attr a = {.group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET, .addr = (uintptr_t)offset};

	return ioctl(uv->vcpu->fd, request, &a) == 0;
}

/* The offset lies between what the clock before and the one after the call make it. */
static bool between(const struct userchip_vcpu *uv, uint64_t *least, uint64_t *most)
{
	uint64_t before = host_tsc(), tsc;

	if (get_msr(uv, MSR_TSC, &tsc))
		return false;
	*least = tsc - host_tsc();
	*most = tsc - before;
	return true;
}

/* ---- the offset ---- */

/* Where KVM does not tell, the smallest it can be is taken, or a timer would be early, of the look that took least. */
static void look(struct userchip_vcpu *uv)
{
	uint64_t least, most, best = UINT64_MAX;

	for (unsigned i = 0; i < LOOKS; i++) {
		if (!between(uv, &least, &most) || most - least >= best)
			continue;
		best = most - least;
		uv->tsc_offset = least;
	}
}

void userchip_learn_tsc(struct userchip_vcpu *uv)
{
	uint64_t offset;

	if (attr(uv, KVM_GET_DEVICE_ATTR, &offset))
		uv->tsc_offset = offset;
	else
		look(uv);
}

/* Without this bound a timer would run at another speed than its guest's clock. Tried more than once: CPUs may change. */
static int check_speed(struct userchip_vcpu *uv)
{
	uint64_t least, most, offset;

	for (unsigned i = 0; i < LOOKS; i++) {
		if (!attr(uv, KVM_GET_DEVICE_ATTR, &offset) || !between(uv, &least, &most))
			return 0;
		if (offset - least <= most - least)
			return 0;
	}
	log_err("--irqchip user: KVM scales this guest's TSC, and the local APICs' timers in pinvm run at the host's own speed; use "
		"--irqchip split");
	return -ENOTSUP;
}

/* CPUs whose TSCs differ: KVM moves the offset whenever the thread moves. The kernel's clocks do without such a TSC. */
static bool host_tsc_is_steady(void)
{
	char text[256];

	return hostfile_text("", CLOCKSOURCES, text, sizeof(text)) || strstr(text, "tsc");
}

int userchip_clock_start(struct userchip_vcpu *uv)
{
	uv->tsc_offset = uv->host_tsc = 0;
	uv->tsc_moves = !host_tsc_is_steady();
	userchip_learn_tsc(uv);
	return check_speed(uv);
}

uint64_t userchip_tsc(struct userchip_vcpu *uv)
{
	uint64_t now = host_tsc();

	if (now < uv->host_tsc) /* begun anew, and KVM hides that from the guest */
		userchip_learn_tsc(uv);
	uv->host_tsc = now;
	return now + uv->tsc_offset;
}

/* ---- what the guest writes ---- */

/*
 * Without KVM_VCPU_TSC_OFFSET a write close to where the VM's TSC would be, or of 0, is to KVM the wish for exactly that:
 * so one that is far off goes first.
 */
static void move_by_msr(struct userchip_vcpu *uv, uint64_t delta)
{
	uint64_t to;

	userchip_set_msr(uv, MSR_TSC, (userchip_tsc(uv) + delta) ^ FAR_OFF);
	to = userchip_tsc(uv) + delta;
	userchip_set_msr(uv, MSR_TSC, to ? to : 1);
}

/* A KVM that can not move a guest's TSC says nothing of it; so what it made of it is learnt, and not assumed. */
static void move(struct userchip_vcpu *uv, uint64_t delta)
{
	uint64_t offset = uv->tsc_offset + delta;

	lapic_timer_run(uv->lapic); /* what was due by the old clock */
	if (!attr(uv, KVM_SET_DEVICE_ATTR, &offset))
		move_by_msr(uv, delta);
	userchip_learn_tsc(uv);
	lapic_timer_reclock(uv->lapic);
}

int userchip_write_tsc(struct userchip_vcpu *uv, uint64_t value)
{
	uint64_t old = uv->tsc_offset, adjust;

	move(uv, value - userchip_tsc(uv));
	if (get_msr(uv, MSR_TSC_ADJUST, &adjust) == 0)
		userchip_set_msr(uv, MSR_TSC_ADJUST, adjust + (uv->tsc_offset - old));
	return 0;
}

int userchip_write_tsc_adjust(struct userchip_vcpu *uv, uint64_t value)
{
	uint64_t old, new;
	int err = get_msr(uv, MSR_TSC_ADJUST, &old);

	if (!err)
		err = userchip_set_msr(uv, MSR_TSC_ADJUST, value);
	if (!err)
		err = get_msr(uv, MSR_TSC_ADJUST, &new);
	if (err)
		return err;
	if (new != old) /* a guest whose CPUID has none writes to nowhere */
		move(uv, new - old);
	return 0;
}
