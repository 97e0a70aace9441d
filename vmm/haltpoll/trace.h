/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A trace of the controller: what it was given in each window and what it decided, as text that can be
 * replayed.
 *
 *   host grow_start_ns=10000 grow=2 shrink=0 block_ns=4000 wake_ns=6000
 *   limits max_ns=200000 budget=100 weight=4 debt_ns=0
 *   window wall_ns=100012345 guest_polls=0 vcpus=1
 *   vcpu success_ns=0 fail_ns=0 wait_ns=81 run_ns=7 delay_ns=1 slices=1 success= fail= wait=14:3,20:1
 *   decision ceiling_ns=8192 reason=up halts=4 expected_ns=9120 realised_ns=28000 polled=0.0031
 *
 * A host line begins anew; debt_ns is what was polled above the budget before, and may be left out. Histograms are lists of
 * bucket:count.
 */
#ifndef PINVM_HALTPOLL_TRACE_H
#define PINVM_HALTPOLL_TRACE_H

#include <stdio.h>

#include "vmm/haltpoll/decide.h"

/* Write. Errors stay in the FILE, as ferror() shows. */
void halt_trace_begin(FILE *out, const struct halt_state *state); /* as it was made, before it decides */
void halt_trace_step(FILE *out, const struct halt_input *in, const struct halt_decision *decision);

/* How a replay went. */
struct halt_replay {
	unsigned line;	    /* where it ended, or does not fit the form */
	unsigned decisions; /* that were decided again */
	unsigned differ;    /* with another ceiling or reason than the trace has */
	unsigned first;	    /* line of the first of these */
};

/* Decide everything in a trace again. 0, -EINVAL: not such a trace, -ENOMEM. */
int halt_trace_replay(FILE *in, struct halt_replay *replay);

#endif
