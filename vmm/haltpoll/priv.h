/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of halt polling share. Main. */
#ifndef PINVM_HALTPOLL_PRIV_H
#define PINVM_HALTPOLL_PRIV_H

#include <stdbool.h>
#include <stdio.h>

#include "vmm/haltpoll/haltpoll.h"
#include "vmm/loop/loop.h"

#define HALTPOLL_RING 64 /* decisions that the report shows */

/* One of the last decisions. */
struct haltpoll_entry {
	uint64_t at_ns, wall_ns; /* since the controller began; the window's length */
	struct halt_decision decision;
};

struct haltpoll_vcpu;

/* The controller's hands. */
struct haltpoll_auto {
	struct haltpoll *hp;
	struct loop_timer timer;
	uint64_t delay_ns; /* to the next look */
	struct halt_state state;
	const struct kvmstat *success, *fail, *wait, *success_ns, *fail_ns, *wait_ns;
	struct haltpoll_vcpu *vcpu;
	struct halt_window *window; /* of each vCPU: since the last decision */
	uint64_t start_ns, begun_ns, measured_ns, asked_ns;
	uint64_t decisions;
	struct haltpoll_entry ring[HALTPOLL_RING]; /* the next one goes to decisions % HALTPOLL_RING */
	bool trace_begun;    /* the trace says what the controller set out from */
	const char *stopped; /* why it does not control any more; NULL: it does */
};

struct haltpoll {
	struct guest *guest;
	struct haltpoll_spec spec;
	uint64_t ceiling_ns;	   /* what this VM was given */
	bool given;		   /* it was; otherwise it follows the kernel's own */
	struct poll_live live;	   /* of vCPUs that halt in this process */
	FILE *trace;		   /* of each controller there is; NULL: none, or it has ended */
	struct haltpoll_auto *ctl; /* NULL: there is none */
};

/* haltpoll.c: the one ioctl. 0 or -errno. */
int haltpoll_give(struct haltpoll *hp, uint64_t ns);

/* auto.c: make a controller, which begins with ceiling 0; that is the caller's to give. 0, or -errno with the
 * reason in `why`. */
int haltpoll_auto_start(struct haltpoll_auto **ctl, struct haltpoll *hp, const struct halt_limits *limits,
	char *why, size_t n);
/* The VM is new, and is to be given hp->ceiling_ns: one that had stopped begins again, with 0. */
void haltpoll_auto_resume(struct haltpoll_auto *ctl);
void haltpoll_auto_stop(struct haltpoll_auto *ctl); /* NULL: nothing happens */
/* answers.c: 1: a vCPU said that it polls by itself; 0: none of those that were asked; -1: none was, or none
 * knows. */
int haltpoll_guest_polls(const struct haltpoll *hp);

/* cost.c: measure on this thread, in naps of its own. */
void haltpoll_measure(uint64_t *block_ns, uint64_t *wake_ns);
/* reading.c: one vCPU's counters as a window since the last haltpoll_readings_keep(). 0 or -errno. */
int haltpoll_readings_open(struct haltpoll_auto *ctl, char *why, size_t n);
void haltpoll_readings_close(struct haltpoll_auto *ctl);
int haltpoll_read(struct haltpoll_auto *ctl, unsigned vcpu, struct halt_window *window);
void haltpoll_readings_keep(struct haltpoll_auto *ctl);

#endif
