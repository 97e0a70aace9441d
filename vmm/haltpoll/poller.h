/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --halt-poll vmm at work: what main says, what a vCPU's thread makes of it at each halt, and what it counts. That thread
 * alone writes a poller, without a lock; any thread reads the counters, which may be a halt apart.
 */
#ifndef PINVM_HALTPOLL_POLLER_H
#define PINVM_HALTPOLL_POLLER_H

#include <stdatomic.h>
#include <stdbool.h>

#include "vmm/haltpoll/window.h"

#define POLLER_BUCKETS 32 /* of nanoseconds: log2_bucket() */

/* The rules of a guest: main writes them, its vCPUs' threads read them with each halt. */
struct poll_live {
	_Atomic uint64_t max_ns, grow_start_ns;
	_Atomic unsigned grow, shrink;
};

/* On cache lines of the vCPU's own. */
struct poller {
	_Alignas(64) const struct poll_live *live; /* NULL: no polls */
	struct poll_window window;
	bool guest_polls; /* the guest polls before it halts, and wants no more of it */
	_Atomic uint64_t halts, halted_ns;
	_Atomic uint64_t polls, hits, cuts; /* halts that were polled; ended so; with another thread on the CPU meanwhile */
	_Atomic uint64_t waits;		    /* halts in which the CPU was given away */
	_Atomic bool asleep;		    /* it is at this moment, in a halt or until it is started */
	_Atomic uint64_t polled_ns, waited_ns;
	_Atomic uint64_t window_ns, longest_ns; /* now, and the longest it was */
	_Atomic uint64_t lengths[POLLER_BUCKETS]; /* of halts, until their events came */
};

struct json_t;

void poll_live_set(struct poll_live *live, const struct poll_rules *rules); /* main */
/* How long to poll; as poll_window_for(). The vCPU's thread, as the next one. */
uint64_t poller_for(const struct poller *poller, uint64_t left_ns);
/* Its thread gives the CPU away, or has it again. */
static inline void poller_sleeps(struct poller *poller, bool asleep)
{
	atomic_store_explicit(&poller->asleep, asleep, memory_order_relaxed);
}
/* A halt is over. */
void poller_ended(struct poller *poller, const struct poll_end *end);
/* The counters; NULL: JSON null. Any thread but a vCPU's. */
struct json_t *poller_json(const struct poller *poller);

#endif
