// SPDX-License-Identifier: Apache-2.0
/*
 * A vCPU that has nothing to do (HLT, or waiting for a start-up IPI) and what ends that. The word `state` is between its
 * thread and all who bring it something:
 *
 *	thread					who brings something
 *	state = IN_GUEST or AWAKE		set its bits (IRR, events, `want`)
 *	look at all bits			was = exchange(state, AWAY)
 *	AWAKE to ASLEEP or IN_GUEST, if		IN_GUEST: signal; ASLEEP: wake the futex
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
#include "vmm/vcpu.h"

static long futex(_Atomic uint32_t *word, int op, uint32_t value, const struct timespec *until)
{
	return syscall(SYS_futex, word, op | FUTEX_PRIVATE_FLAG, value, until, NULL, FUTEX_BITSET_MATCH_ANY);
}

void userchip_wake(struct userchip_vcpu *uv)
{
	switch (atomic_exchange(&uv->state, AWAY)) {
	case IN_GUEST: /* a thread that has ended meanwhile is no harm */
		syscall(SYS_tgkill, getpid(), atomic_load_explicit(&uv->tid, memory_order_relaxed), THREAD_KICK_SIGNAL);
		break;
	case ASLEEP:
		futex(&uv->state, FUTEX_WAKE_BITSET, 1, NULL);
		break;
	}
}

bool userchip_goes(struct userchip_vcpu *uv, uint32_t state)
{
	uint32_t was = AWAKE;

	return atomic_compare_exchange_strong(&uv->state, &was, state);
}

/* Give the CPU away until somebody wakes it, or that time. */
static void block(struct userchip_vcpu *uv, uint64_t due_ns)
{
	struct timespec until = timespec_of(due_ns);

	profile_enter(uv->vcpu->profile);
	futex(&uv->state, FUTEX_WAIT_BITSET, ASLEEP, due_ns == LAPIC_NEVER ? NULL : &until);
	profile_leave(uv->vcpu->profile);
}

void userchip_sleep(struct userchip_vcpu *uv)
{
	uint64_t due = lapic_waits(uv->lapic) ? LAPIC_NEVER : lapic_timer_ns(uv->lapic);

	/* A main thread that wants this vCPU to do something else has said so before it took the word. */
	if (userchip_goes(uv, ASLEEP) && vcpu_is_wanted(uv->vcpu))
		block(uv, due);
	atomic_store(&uv->state, AWAY);
}
