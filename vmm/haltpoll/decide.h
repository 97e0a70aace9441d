/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The controller of --halt-poll auto: from what KVM counted in a window, and what was learned before, the
 * ceiling for the next one. A pure function: no clock, no system call, no allocation; the same inputs give
 * the same decisions, in the VMM, the simulator and a replayed trace.
 *
 * The price of a halt is CPU time: what was polled, and for a block C = block_ns + weight * wake_ns. Ceilings
 * are rungs: 0, the edges of KVM's buckets from grow_start up, and C + wake_ns (none is above max): who polls
 * no longer than a block costs pays at most twice what the best would (ski rental), and KVM, which measures a
 * halt to the end of its wake-up, opens no window for halts up to C below that. Above it are rungs up to 2 C
 * + wake_ns for guests of whose halts hardly any is longer than C: there each miss costs most of all the
 * window, which has to grow anew.
 */
#ifndef PINVM_HALTPOLL_DECIDE_H
#define PINVM_HALTPOLL_DECIDE_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/haltpoll/dist.h"

#define HALT_RUNGS     24
#define HALT_MIN_HALTS 64	    /* of a window, unless the budget is at stake */
#define HALT_WINDOW_NS 100000000ULL /* a window's least length */

struct halt_limits {
	uint64_t max_ns; /* of a ceiling */
	unsigned budget; /* percent of its time that a vCPU may poll */
	unsigned weight; /* CPU time that a unit of latency is worth */
};

enum halt_reason {
	HALT_START,   /* nothing is known yet */
	HALT_KEEP,    /* no move gains 5 % */
	HALT_CONFIRM, /* one would: a second window has to say so, too */
	HALT_UP,
	HALT_DOWN,
	HALT_NO_GAIN,	/* polls gain less than 5 %: none */
	HALT_CONTENDED, /* other tasks want the CPUs */
	HALT_RESTING,	/* they did a short time ago */
	HALT_PROBE,	/* they still do; what polls come to is tried again */
	HALT_WORTH,	/* they do, and polls pay nevertheless */
	HALT_RESUME,	/* they do not any more: as before */
	HALT_BUDGET,	/* as much was polled as may be */
	HALT_GUEST,	/* the guest polls by itself */
	HALT_REASONS
};

/* In words. */
const char *halt_reason_text(enum halt_reason reason);
/* In one word, for traces. */
const char *halt_reason_name(enum halt_reason reason);

struct halt_input {
	uint64_t wall_ns;
	bool guest_polls; /* a vCPU of the guest's turned polling off (MSR_KVM_POLL_CONTROL) */
	unsigned n;
	const struct halt_window *vcpu; /* n of them */
};

struct halt_decision {
	uint64_t ceiling_ns; /* from now on */
	enum halt_reason reason;
	double halts;	    /* in the window */
	double expected_ns; /* price of a halt: at this ceiling from now on; */
	double realised_ns; /* of those in the window, at the ceiling before */
	double price_ns;    /* C: the price without polls */
	double polled;	    /* part of the window that the vCPU polled that polled most */
};

struct halt_state {
	struct halt_host host;
	struct halt_limits limits;
	uint64_t rung_ns[HALT_RUNGS];
	unsigned rungs;
	unsigned bound; /* the last one that is for every guest */
	unsigned rung;	/* in force */
	struct halt_dist dist;
	double bias[HALT_RUNGS];      /* how much more than computed a rung cost when it was tried */
	int lean;		      /* direction of the gain that waits for its second window; 0: none */
	unsigned rest, backoff, calm; /* windows: without polls, how many the next time, since contention */
	unsigned probe;		      /* the rung to come back to; 0: none */
	bool unseen;		      /* it was only by ended polls that others were noticed */
	double debt_ns;		      /* polled above the budget */
};

/* Begin with ceiling 0. */
void halt_state_init(
	struct halt_state *state, const struct halt_host *host, const struct halt_limits *limits);
/* Begin with ceiling 0 on a host that is another one now, or with limits as they are then; what was polled above the
 * budget is still owed, in whole ns. *state: as it was, or zeroes. */
void halt_state_renew(
	struct halt_state *state, const struct halt_host *host, const struct halt_limits *limits);
/* C, in ns. */
double halt_price(const struct halt_host *host, const struct halt_limits *limits);
struct halt_decision halt_decide(struct halt_state *state, const struct halt_input *in);

#endif
