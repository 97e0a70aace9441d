// SPDX-License-Identifier: Apache-2.0
/*
 * A vCPU whose local APIC is in this process: what its thread does before and after KVM_RUN. When it has nothing to run it
 * sleeps (userchip_sleep.c); a timer's signal ends guest mode when the local APIC's timer is due.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "arch/x86/userchip_priv.h"
#include "vmm/guest.h"
#include "vmm/log.h"
#include "vmm/profile/profile.h"
#include "vmm/util.h"

#define MAX_FRAGMENTS  16 /* of an access that KVM takes apart */

static __thread struct userchip_vcpu *self;

struct userchip_vcpu *userchip_self(void)
{
	return self;
}

/* ---- the timer ---- */

/* Have guest mode end when the timer is due. What is armed too early is only a kick too many. */
static void arm(struct userchip_vcpu *uv)
{
	struct itimerspec at = {0};
	uint64_t due;

	if (!uv->has_timer)
		return;
	if (uv->armed != LAPIC_NEVER && now_ns() >= uv->armed)
		uv->armed = LAPIC_NEVER;
	else if (!lapic_timer_moved(uv->lapic))
		return;
	due = lapic_timer_ns(uv->lapic);
	if (due >= uv->armed)
		return;
	at.it_value = timespec_of(due);
	if (timer_settime(uv->timer, TIMER_ABSTIME, &at, NULL) == 0)
		uv->armed = due;
}

void userchip_disarm(struct userchip_vcpu *uv)
{
	struct itimerspec never = {0};

	if (uv->armed == LAPIC_NEVER || timer_settime(uv->timer, 0, &never, NULL))
		return;
	uv->armed = LAPIC_NEVER;
	lapic_timer_reclock(uv->lapic);
}

/* ---- INIT, SIPI, NMI ---- */

static void stuck(struct userchip_vcpu *uv, const char *what)
{
	int err = errno;

	log_errno(-err, "vCPU %u: %s", uv->vcpu->index, what);
	guest_end(uv->vcpu->guest, END_HOST_FAILURE, "vCPU %u: %s: %s", uv->vcpu->index, what, strerror(err));
}

/*
 * SDM 3A, table 9-1: registers as INIT leaves them. An access that KVM has not completed yet would end in the new ones: it is
 * completed first, without running the guest, and who it was for does not matter any more. IA32_APIC_BASE stays.
 */
static void reset_cpu(struct userchip_vcpu *uv)
{
	struct vcpu *vcpu = uv->vcpu;

	vcpu->run->immediate_exit = 1; /* stays: the thread then looks again whether it is wanted */
	for (unsigned i = 0; i < MAX_FRAGMENTS && ioctl(vcpu->fd, KVM_RUN, 0) == 0; i++) {
		vcpu_count_exit(vcpu, vcpu->run->exit_reason);
		profile_exit(vcpu->profile, vcpu->run);
	}
	vcpu_count_exit(vcpu, KVM_EXIT_INTR);
	uv->halted = uv->faulted = false;
	uv->sregs.apic_base = lapic_base(uv->lapic);
	if (ioctl(vcpu->fd, KVM_SET_SREGS, &uv->sregs) < 0 || ioctl(vcpu->fd, KVM_SET_REGS, &uv->regs) < 0 ||
		ioctl(vcpu->fd, KVM_SET_DEBUGREGS, &uv->debug) < 0 ||
		ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &uv->events) < 0)
		stuck(uv, "INIT");
}

/* SDM 3A, 9.4.3: real mode at the page that the vector names. */
static void start_cpu(struct userchip_vcpu *uv, uint8_t page)
{
	struct kvm_sregs sregs = uv->sregs;
	struct kvm_regs regs = uv->regs;

	sregs.apic_base = lapic_base(uv->lapic);
	sregs.cs.selector = (uint16_t)page << 8;
	sregs.cs.base = (uint64_t)page << 12;
	regs.rip = 0;
	if (ioctl(uv->vcpu->fd, KVM_SET_SREGS, &sregs) < 0 || ioctl(uv->vcpu->fd, KVM_SET_REGS, &regs) < 0)
		stuck(uv, "SIPI");
}

static void take_events(struct userchip_vcpu *uv)
{
	struct lapic_events ev;

	if (!lapic_take(uv->lapic, &ev))
		return;
	if (ev.init)
		reset_cpu(uv);
	if (ev.sipi)
		start_cpu(uv, ev.page);
	if (!ev.nmi)
		return;
	uv->halted = false;
	if (ioctl(uv->vcpu->fd, KVM_NMI, 0) < 0)
		stuck(uv, "KVM_NMI");
}

/* ---- before and after KVM_RUN ---- */

/* HLT ends with an interrupt the CPU would take; NMI and INIT have ended it before this is asked. */
static bool stays(const struct userchip_vcpu *uv)
{
	if (lapic_waits(uv->lapic))
		return true;
	return uv->halted && !(uv->vcpu->run->if_flag && lapic_pending(uv->lapic) >= 0);
}

static void inject(struct userchip_vcpu *uv)
{
	struct kvm_run *run = uv->vcpu->run;
	struct kvm_interrupt irq;
	uint8_t vector;

	switch (lapic_inject(uv->lapic, run->ready_for_interrupt_injection && !uv->faulted, &vector)) {
	case LAPIC_NOTHING:
		run->request_interrupt_window = 0;
		break;
	case LAPIC_WINDOW:
		run->request_interrupt_window = 1;
		break;
	case LAPIC_INJECT:
		irq.irq = vector;
		if (ioctl(uv->vcpu->fd, KVM_INTERRUPT, &irq) < 0)
			stuck(uv, "KVM_INTERRUPT");
		run->ready_for_interrupt_injection = 0; /* until KVM_RUN says so again */
		run->request_interrupt_window = lapic_pending(uv->lapic) >= 0;
	}
	uv->faulted = false;
}

/* Once a thread: who to signal, and the timer that signals it. Sleep shall end on time, not when it suits the host. */
static void settle(struct userchip_vcpu *uv)
{
	struct sigevent ev = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = THREAD_KICK_SIGNAL};

	self = uv;
	atomic_store_explicit(&uv->tid, gettid(), memory_order_relaxed);
	prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
	ev._sigev_un._tid = gettid();
	if (timer_create(CLOCK_MONOTONIC, &ev, &uv->timer) < 0)
		stuck(uv, "timer_create");
	else
		uv->has_timer = true;
}

static bool enter(struct vcpu *vcpu)
{
	struct userchip_vcpu *uv = vcpu->arch;
	bool idle = uv->halted || lapic_waits(uv->lapic), fired;

	if (!self)
		settle(uv);
	atomic_store(&uv->state, idle ? AWAKE : IN_GUEST);
	take_events(uv);
	fired = lapic_timer_run(uv->lapic);
	if (stays(uv)) {
		if (idle)
			userchip_sleep(uv);
		return false;
	}
	uv->halted = false;
	userchip_slept(uv, fired);
	if (idle && !userchip_goes(uv, IN_GUEST))
		return false;
	inject(uv);
	arm(uv);
	vcpu->run->cr8 = lapic_cr8(uv->lapic);
	return true;
}

static void left(struct vcpu *vcpu)
{
	struct userchip_vcpu *uv = vcpu->arch;

	atomic_store_explicit(&uv->state, AWAY, memory_order_relaxed);
	lapic_set_cr8(uv->lapic, vcpu->run->cr8);
}

static void wake(struct vcpu *vcpu)
{
	userchip_wake(vcpu->arch);
}

const struct vcpu_hooks userchip_hooks = {.enter = enter, .left = left, .wake = wake};
