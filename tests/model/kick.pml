/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The protocol between a driver that adds chains and a device that polls, asks for kicks and sleeps (virtio 1.2,
 * 2.7.10; devices/virtio/virtq.c and wait.c), for spin. Each side's store goes through a store buffer, which is
 * emptied at any later moment, or at a fence: what the processors pinvm runs on may do.
 *
 * A lost wake-up is a device that sleeps while a chain waits: a state without a successor, which is no valid end.
 * What is proved needs each of these steps; without one of them spin must find the loss (tests/model/run):
 *
 *   NO_DRIVER_FENCE, NO_DEVICE_FENCE, NO_LAST_LOOK, NO_REARM
 *
 * FLAGS: without EVENT_IDX, the device says NO_NOTIFY.
 */
#ifndef CHAINS
#define CHAINS 4
#endif
#ifndef DEPTH
#define DEPTH 2
#endif
#define MOD 8 /* of the indices, as 2^16 is in a ring */

byte avail, avail_buf, event, event_buf; /* memory, and the store on its way there; FLAGS: event 1 is NO_NOTIFY */
bool avail_on_way, event_on_way;
bool kick;
byte done; /* chains, all in all */
bool polled, slept; /* at least once: else nothing was proved */

inline store_avail(v) { atomic { avail_buf = v; avail_on_way = true } }
inline store_event(v) { atomic { event_buf = v; event_on_way = true } }

active proctype avail_buffer()
{
end:	do
	:: atomic { avail_on_way -> avail = avail_buf; avail_on_way = false }
	od
}

active proctype event_buffer()
{
end:	do
	:: atomic { event_on_way -> event = event_buf; event_on_way = false }
	od
}

active proctype driver()
{
	byte sent = 0, e;

	do
	:: sent == CHAINS -> break
	:: sent < CHAINS && sent - done < DEPTH ->
		store_avail((sent + 1) % MOD);
#ifndef NO_DRIVER_FENCE
		!avail_on_way;
#endif
		e = event;
		if
#ifdef FLAGS
		:: e == 0 -> kick = true
		:: else
#else
		:: e == sent % MOD -> kick = true /* in the range of what was added: [sent, sent + 1) */
		:: else
#endif
		fi;
		sent++
	od
}

active proctype device()
{
	byte last = 0, a;

again:
#ifdef FLAGS
	store_event(1);
#endif
	do
	:: a = avail;
		if
		:: a != last -> last = (last + 1) % MOD; done++
		:: else -> break
		fi
	od;
	/* Kicks may have been asked for already, by a sleep that something else ended. */
	if
	:: goto hush
	:: goto arm
	fi;
hush:
#ifdef FLAGS
	store_event(1);
#else
	store_event((last + MOD - 1) % MOD);
#endif
	do
	:: polled = true;
		a = avail;
		if
		:: a != last -> goto again
		:: else
		fi
	:: break
	od;
arm:
#ifndef NO_REARM
#ifdef FLAGS
	store_event(0);
#else
	store_event(last);
#endif
#endif
#ifndef NO_DEVICE_FENCE
	!event_on_way;
#endif
#ifndef NO_LAST_LOOK
	a = avail;
	if
	:: a != last -> goto again
	:: else
	fi;
#endif
	if
	:: goto hush /* woken by something else, a completion */
	:: slept = true;
		if
		:: atomic { kick -> kick = false }; goto again
		:: done == CHAINS
		fi
	fi
}

#ifdef NEVER_POLLED
ltl never_polled { [] !polled }
#endif
#ifdef NEVER_SLEPT
ltl never_slept { [] !slept }
#endif
