// SPDX-License-Identifier: Apache-2.0
/*
 * A vCPU that has nothing to do (HLT, or waiting for a start-up IPI) and what ends that. The word `state` is between its
 * thread and all who bring it something:
 *
 *	thread					who brings something
 *	state = IN_GUEST or AWAKE		set its bits (IRR, events, `want`)
 *	look at all bits			was = exchange(state, AWAY)
 *	AWAKE to ASLEEP or IN_GUEST, if		IN_GUEST: signal; ASLEEP: end its sleep
 *	  it still is AWAKE			AWAKE, AWAY: nothing
 *
 * Both first write and then read what the other one wrote, and all four are sequentially consistent (on x86 locked
 * instructions, which no store passes): so either the thread sees the bits, or who brought them finds the state that the
 * thread had said. AWAKE is the thread's promise to leave that state by compare-and-exchange only: that fails if somebody
 * was there since, and the thread looks again. So who finds AWAKE has no one to wake, and nothing to pay. Only the first
 * of many that bring something finds IN_GUEST or ASLEEP, and pays.
 */
#include <linux/futex.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "arch/x86/userchip_priv.h"
#include "vmm/profile/profile.h"
#include "vmm/util.h"
#include "vmm/vcpu.h"
#include "vmm/vcpu_loop.h"

#define NEAR_NS 50000 /* is the timer: its signal is called off, and what ends a poll sooner pays for no system call */
#define CUT_NS	50000 /* no two looks of a poll are so far apart unless another thread, or another guest, had the CPU */

static long futex(_Atomic uint32_t *word, int op, uint32_t value, const struct timespec *until)
{
	return syscall(SYS_futex, word, op | FUTEX_PRIVATE_FLAG, value, until, NULL, FUTEX_BITSET_MATCH_ANY);
}

/* ---- the word ---- */

void userchip_wake(struct userchip_vcpu *uv)
{
	switch (atomic_exchange(&uv->state, AWAY)) {
	case IN_GUEST: /* a thread that has ended meanwhile is no harm */
		syscall(SYS_tgkill, getpid(), atomic_load_explicit(&uv->tid, memory_order_relaxed), THREAD_KICK_SIGNAL);
		break;
	case ASLEEP:
		atomic_store_explicit(&uv->brought, host_tsc(), memory_order_relaxed);
		if (uv->vcpu->loop)
			vcpu_loop_wake(uv->vcpu);
		else
			futex(&uv->state, FUTEX_WAKE_BITSET, 1, NULL);
		break;
	}
}

bool userchip_goes(struct userchip_vcpu *uv, uint32_t state)
{
	uint32_t was = AWAKE;

	return atomic_compare_exchange_strong(&uv->state, &was, state);
}

/* ---- time ---- */

static uint64_t ns_of(const struct userchip_vcpu *uv, uint64_t ticks)
{
	return (unsigned __int128)ticks * 1000000 / uv->tsc_khz;
}

/* When the local APIC's timer is due; it may have passed since it was asked. */
static uint64_t due_tsc(struct userchip_vcpu *uv)
{
	uint64_t due = lapic_timer_tsc(uv->lapic);

	return due == LAPIC_NEVER ? due : due - uv->tsc_offset;
}

static uint64_t until_tsc(const struct userchip_vcpu *uv)
{
	const struct userchip_halt *halt = &uv->halt;
	uint64_t left = halt->due == LAPIC_NEVER ? LAPIC_NEVER :
			halt->due > halt->begun	 ? ns_of(uv, halt->due - halt->begun) :
						   0;
	uint64_t ns = poller_for(&uv->poller, left);

	if (uv->tsc_moves) /* by such a clock nobody knows how long he polls */
		return halt->begun;
	return ns == left ? halt->due : halt->begun + ns * uv->tsc_khz / 1000000;
}

/* ---- awake: look, and keep the CPU ---- */

/*
 * True: something was brought, or the timer is due. Whatever is to end this poll and was not brought to `state` is looked
 * at here: what a loop has to do that this thread serves.
 */
static bool spin(struct userchip_vcpu *uv)
{
	uint64_t until = until_tsc(uv), begun = host_tsc(), now = begun, last;
	uint64_t cut = (uint64_t)CUT_NS * uv->tsc_khz / 1000000, near = (uint64_t)NEAR_NS * uv->tsc_khz / 1000000, polled = 0;
	bool ends = false, armed = until == uv->halt.due; /* it is watched here to the end */

	while (now < until && !ends && !uv->halt.cut) {
		ends = atomic_load_explicit(&uv->state, memory_order_relaxed) != AWAKE || !vcpu_is_wanted(uv->vcpu) ||
		       (uv->vcpu->loop && vcpu_loop_look(uv->vcpu));
		if (armed && !ends && until - now < near) {
			userchip_disarm(uv);
			armed = false;
		}
		relax_cpu();
		last = now;
		now = host_tsc();
		if (now - last > cut) /* also if this host slept, and its TSC began anew */
			uv->halt.cut = true;
		else
			polled = now - begun;
	}
	uv->halt.polled += polled;
	return ends || now >= uv->halt.due;
}

/* ---- asleep: give the CPU away ---- */

/* Until somebody wakes it, or the timer is due. A thread that serves a loop waits in that, and has handled a part of what came. */
static void block(struct userchip_vcpu *uv)
{
	uint64_t due = lapic_waits(uv->lapic) ? LAPIC_NEVER : lapic_timer_ns(uv->lapic), begun;
	struct timespec until = timespec_of(due);

	atomic_store_explicit(&uv->brought, 0, memory_order_relaxed);
	/* A main thread that wants this vCPU to do something else has said so before it took the word. */
	if (!userchip_goes(uv, ASLEEP) || !vcpu_is_wanted(uv->vcpu))
		return;
	profile_enter(uv->vcpu->profile);
	poller_sleeps(&uv->poller, true);
	begun = host_tsc();
	if (uv->vcpu->loop)
		vcpu_loop_sleep(uv->vcpu, due);
	else
		futex(&uv->state, FUTEX_WAIT_BITSET, ASLEEP, due == LAPIC_NEVER ? NULL : &until);
	uv->halt.waited += host_tsc() - begun;
	poller_sleeps(&uv->poller, false);
	profile_leave(uv->vcpu->profile);
}

/* ---- a halt ---- */

void userchip_sleep(struct userchip_vcpu *uv)
{
	struct userchip_halt *halt = &uv->halt;

	if (lapic_waits(uv->lapic)) {
		block(uv);
		*halt = (struct userchip_halt){0}; /* it was none, and is none any more after an INIT */
	} else {
		if (!halt->begun)
			*halt = (struct userchip_halt){.begun = host_tsc()};
		halt->due = due_tsc(uv);
		if (halt->waited || !spin(uv))
			block(uv);
	}
	if (!vcpu_is_wanted(uv->vcpu)) /* a pause is no part of a halt */
		halt->begun = 0;
	atomic_store(&uv->state, AWAY);
}

/* Of a halt of `ticks`, those until its event: the timer's moment, or when it was brought; to a thread that was awake, all. */
static uint64_t until_event(const struct userchip_vcpu *uv, bool timer, uint64_t ticks)
{
	const struct userchip_halt *halt = &uv->halt;
	uint64_t at = 0;

	if (timer)
		at = halt->due;
	else if (halt->waited)
		at = atomic_load_explicit(&uv->brought, memory_order_relaxed);
	return at > halt->begun && at - halt->begun < ticks ? at - halt->begun : ticks;
}

void userchip_slept(struct userchip_vcpu *uv, bool timer)
{
	struct userchip_halt *halt = &uv->halt;
	uint64_t now = host_tsc(), ticks = now > halt->begun ? now - halt->begun : 1; /* the TSC of a host that slept begins anew */
	struct poll_end end;

	if (!halt->begun)
		return;
	end = (struct poll_end){
		.halt_ns = ns_of(uv, until_event(uv, timer, ticks)),
		.polled_ns = ns_of(uv, halt->polled),
		.waited_ns = ns_of(uv, halt->waited < ticks ? halt->waited : ticks),
		.timer = timer,
		.cut = halt->cut,
	};
	poller_ended(&uv->poller, &end);
	halt->begun = 0;
}
