/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The window of --halt-poll vmm: how long a vCPU that halted polls before it blocks. KVM's rules
 * (Documentation/virt/kvm/halt-polling.rst), each vCPU for itself:
 *
 *	a halt not longer than the window	nothing changes
 *	longer, and not longer than max		it grows: grow_start, then times grow, up to max
 *	longer than max				it shrinks: by shrink; below grow_start it is 0
 *
 * Here more is known than in KVM, and four things differ:
 *
 *	- The local APIC's timer is here. If it is due within the window the poll goes until then, and surely hits. If it is
 *	  due later, only an interrupt can make a poll worth while: unless one of the last POLL_IRQS halts that ended by
 *	  themselves in time was ended by an interrupt, the CPU is given away at once.
 *	- A halt that was not polled, since its end was known to be far, cost nothing: it shrinks the window only if the one
 *	  before it was as long. So a guest whose short and long halts take turns polls the short ones.
 *	- How long a halt was is counted up to its event, not up to when the thread ran again: on a host that wakes slowly all
 *	  halts would look long.
 *	- A poll in which another thread had the CPU shrinks the window: others want the CPU. KVM ends such a poll at once.
 *
 * Pure. A window is its vCPU thread's own.
 */
#ifndef PINVM_HALTPOLL_WINDOW_H
#define PINVM_HALTPOLL_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#define POLL_IRQS 8

struct poll_rules {
	uint64_t max_ns; /* 0: no polls */
	uint64_t grow_start_ns;
	unsigned grow, shrink; /* 1.. */
};

struct poll_window {
	uint64_t ns;
	uint8_t irqs; /* halts that are still to be polled for interrupts */
	bool far;     /* the last halt was longer than max */
};

/* How a halt ended. */
struct poll_end {
	uint64_t halt_ns;   /* until its event came */
	uint64_t polled_ns; /* 0: it was not polled */
	uint64_t waited_ns; /* 0: the CPU was not given away */
	bool timer;	    /* by the local APIC's timer */
	bool cut;	    /* another thread had the CPU in the poll */
};

/* How long to poll a halt whose timer is due in left_ns (UINT64_MAX: never). */
uint64_t poll_window_for(const struct poll_window *window, const struct poll_rules *rules, uint64_t left_ns);
/* It ended. */
void poll_window_move(struct poll_window *window, const struct poll_rules *rules, const struct poll_end *end);

#endif
