/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sleep and the kick of a vCPU whose local APIC is in pinvm (arch/x86/userchip_sleep.c, userchip_run.c, vmm/vcpu.c), for
 * spin: the thread runs its guest, halts, polls and sleeps; others bring it interrupts, main wants it back, and its timer
 * comes due. Stores that are not sequentially consistent go through a store buffer, which is emptied at any later moment.
 *
 * A loss is a thread that sleeps, or runs its guest, while something was brought that nothing will make it look at: a state
 * without a successor, which is no valid end. Each of these takes a step of the protocol away, and spin must find the loss
 * (tests/model/run):
 *
 *   NO_THREAD_FENCE      the state is on its way while the thread looks
 *   NO_WAKER_FENCE       bits are on their way while the word is taken
 *   LOOK_BEFORE          the look comes before the state is said
 *   PLAIN_GO             from AWAKE by a store
 *   NO_LAST_WANT         asleep without another look at `want`
 *   CLEAR_LATE           immediate_exit is cleared when the state has been said
 *   BLIND_WAIT           sleep does not compare the word
 *   NO_TIMEOUT           sleep does not end when the timer is due
 *   NO_TIMER_SIGNAL      nor does guest mode
 *   NO_SIGNAL, NO_WAKE   IN_GUEST or ASLEEP is not answered
 */
#ifndef WAKERS
#define WAKERS 2
#endif
#ifndef ROUNDS
#define ROUNDS 2 /* interrupts that each brings, the next when the last was taken */
#endif

mtype = { AWAY, IN_GUEST, AWAKE, ASLEEP };
mtype state = AWAY, state_buf;
bool state_on_way;

bool irr[WAKERS], irr_on_way[WAKERS]; /* each waker has a bit */
bool want = true, main_done;
byte wakers_done;
bool timer_irr, timer_due, timer_fired; /* the local APIC's timer, armed from the beginning: it comes once */
bool immediate_exit, sig;	       /* a signal on its way to the thread */
bool waiting;			       /* in futex() */
bool parked;

/* What happens at least once, or nothing was proved: with one of NEVER_..., spin must find that it does. */
#if defined(NEVER_POLLED) || defined(NEVER_SLEPT) || defined(NEVER_KICKED)
bool reached;
ltl unreached { [] !reached }
#endif
#ifdef NEVER_POLLED
#define POLLED reached = true
#else
#define POLLED skip
#endif
#ifdef NEVER_SLEPT
#define SLEPT reached = true
#else
#define SLEPT skip
#endif
#ifdef NEVER_KICKED
#define KICKED reached = true
#else
#define KICKED skip
#endif

#define PENDING (irr[0] || irr[WAKERS - 1] || timer_irr)
#define ALL_TAKEN (wakers_done == WAKERS && main_done && !PENDING && timer_fired && !sig)

active proctype state_buffer()
{
end:	do
	:: atomic { state_on_way -> state = state_buf; state_on_way = false }
	od
}

active proctype irr_buffer()
{
end:	do
	:: atomic { irr_on_way[0] -> irr[0] = true; irr_on_way[0] = false }
	:: atomic { irr_on_way[WAKERS - 1] -> irr[WAKERS - 1] = true; irr_on_way[WAKERS - 1] = false }
	od
}

/* on_kick(): between any two steps of the thread; a system call that waits ends with EINTR. */
active proctype signal_handler()
{
end:	do
	:: atomic { sig -> sig = false; immediate_exit = true; waiting = false; KICKED }
	od
}

/* The timer's own signal ends guest mode; a sleep ends by its timeout. */
active proctype time()
{
	atomic {
		timer_due = true;
#ifndef NO_TIMEOUT
		waiting = false;
#endif
#ifndef NO_TIMER_SIGNAL
		sig = true
#endif
	}
}

inline wake()
{
	atomic { /* an exchange; what it finds is answered later */
		was = state;
		state = AWAY
	}
	if
#ifndef NO_SIGNAL
	:: was == IN_GUEST -> sig = true
#else
	:: was == IN_GUEST
#endif
#ifndef NO_WAKE
	:: was == ASLEEP -> waiting = false
#else
	:: was == ASLEEP
#endif
	:: was == AWAY || was == AWAKE
	fi
}

proctype waker(byte me)
{
	byte n = 0;
	mtype was;

	do
	:: n == ROUNDS -> break
	:: n < ROUNDS ->
#ifdef NO_WAKER_FENCE
		irr_on_way[me] = true;
#else
		irr[me] = true;
#endif
		wake();
		(!irr[me] && !irr_on_way[me]);
		n++
	od;
	wakers_done++
}

/* vcpu_want() and vcpu_kick(): away and, once it has parked, back. Or never. */
active proctype main_thread()
{
	mtype was;

	if
	:: want = false;
		wake();
		sig = true;
		parked;
		want = true
	:: skip
	fi;
	main_done = true
}

inline say(s)
{
#ifdef NO_THREAD_FENCE
	atomic { !state_on_way -> state_buf = s; state_on_way = true }
#else
	atomic { !state_on_way -> state = s }
#endif
}

inline look()
{
	if
	:: timer_due && !timer_fired -> timer_irr = true; timer_fired = true
	:: else
	fi;
	pending = PENDING
}

/* From AWAKE by compare-and-exchange, before which the buffer is empty. */
inline go(s)
{
#ifdef PLAIN_GO
	atomic { !state_on_way -> went = true; state = s }
#else
	atomic {
		!state_on_way;
		went = (state == AWAKE);
		if
		:: went -> state = s
		:: else
		fi
	}
#endif
}

active proctype thread()
{
	bool halted = false, pending, went, idle;

	run waker(0);
#if WAKERS > 1
	run waker(1);
#endif
again:
#ifndef CLEAR_LATE
	immediate_exit = false;
#endif
	if
	:: !want -> parked = true; want; parked = false; goto again
	:: else
	fi;
	/* enter() */
	idle = halted;
#ifdef LOOK_BEFORE
	look();
#endif
	if
	:: idle -> say(AWAKE)
	:: else -> say(IN_GUEST)
	fi;
#ifdef CLEAR_LATE
	immediate_exit = false;
#endif
#ifndef LOOK_BEFORE
	look();
#endif
	if
	:: halted && !pending -> goto sleep
	:: else
	fi;
	halted = false;
	if
	:: idle ->
		go(IN_GUEST);
		if
		:: !went -> goto again
		:: else
		fi
	:: else
	fi;
	/* inject(): all at once, as what is left asks for a window */
	irr[0] = false;
	irr[WAKERS - 1] = false;
	timer_irr = false;
	/* KVM_RUN: until the guest halts, or, where it does not, it is kicked */
	if
	:: halted = true
	:: skip ->
		if
		:: immediate_exit
		:: ALL_TAKEN -> goto fini
		fi
	fi;
	/* left() */
	atomic { !state_on_way -> state_buf = AWAY; state_on_way = true };
	goto again;

sleep:	/* spin(): a look at the word, at want, at the clock */
	do
	:: POLLED;
		if
		:: state != AWAKE || !want || (timer_due && !timer_fired) -> goto slept_well
		:: else
		fi
	:: break
	od;
	/* block() */
	go(ASLEEP);
	if
	:: !went -> goto slept_well
	:: else
	fi;
#ifndef NO_LAST_WANT
	if
	:: !want -> goto slept_well
	:: else
	fi;
#endif
	/* futex(): compares the word, and the time, when it begins to wait */
	atomic {
#ifdef BLIND_WAIT
		waiting = true
#else
		waiting = (state == ASLEEP)
#endif
#ifndef NO_TIMEOUT
		if
		:: timer_due && !timer_fired -> waiting = false
		:: else
		fi
#endif
	};
	if
	:: !waiting
	:: waiting ->
		SLEPT;
		if
		:: !waiting
		:: ALL_TAKEN && waiting -> goto fini
		fi
	fi;
slept_well:
	atomic { !state_on_way -> state = AWAY };
	goto again;
fini:
	skip
}
