/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A vCPU and its thread: KVM_RUN, the exit switch, kick and stop.
 * Fields are the vCPU thread's own unless said otherwise.
 */
#ifndef PINVM_VCPU_H
#define PINVM_VCPU_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/thread.h"
#include "vmm/util.h"

struct guest;
struct kvm_run;
struct poller;
struct profile;
struct vcpu_loop;

#define VCPU_EXIT_REASONS 64

struct vcpu;

/*
 * What an interrupt controller in this process does around KVM_RUN. enter and left: the vCPU's thread; enter false: do not
 * run the guest, look again whether that is wanted (it slept, or something came). wake: any thread; end that sleep.
 */
struct vcpu_hooks {
	bool (*enter)(struct vcpu *vcpu);
	void (*left)(struct vcpu *vcpu);
	void (*wake)(struct vcpu *vcpu);
};

enum vcpu_state { VCPU_PAUSED, VCPU_RUNNING, VCPU_ENDED };

struct vcpu {
	unsigned index;
	int fd; /* changes when the guest restarts */
	struct kvm_run *run;
	struct guest *guest;
	struct profile *profile;
	const struct vcpu_hooks *hooks; /* set by arch_vcpu_init(); NULL: the controller is KVM's */
	void *arch;                     /* the hooks' own */
	const struct poller *poller;    /* the hooks': its halts, where they end in this process; NULL: in KVM */
	struct vcpu_loop *loop;         /* of queues that its thread serves; NULL: none */
	struct thread thread;
	bool started;
	_Atomic unsigned want; /* enum vcpu_state; main writes it under lock */
	unsigned is;           /* the same, written by the thread under lock */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	_Atomic bool polls_asked; /* by main, which kicks then: the thread is to say in guest_polls whether the guest */
	_Atomic int guest_polls;  /* polls by itself before it halts; as arch_vcpu_guest_polls() */
	/* On cache lines of the vCPU's own, to the end of the struct. */
	_Alignas(64) _Atomic uint64_t user_exits;  /* returns from KVM_RUN, EINTR included */
	_Atomic uint64_t exits[VCPU_EXIT_REASONS]; /* the same by KVM_EXIT_*, INTR: interrupted; the last counts those above it */
};

/* Create the vCPU's descriptor (main; again for a restart after vcpu_close()). 0 or -errno, logged. */
int vcpu_open(struct vcpu *vcpu);
/*
 * Enter KVM_RUN without running the guest, so that KVM makes what it makes at the first entry into a VM. Before any vCPU of
 * a new VM runs; the vCPU's thread, or main while it is parked. 0 or -errno, logged.
 */
int vcpu_prime(struct vcpu *vcpu);
void vcpu_close(struct vcpu *vcpu);

/*
 * Main. vcpu_start: the thread exists, and waits paused. vcpu_want(RUNNING) lets it run the guest;
 * vcpu_want(PAUSED) asks it to leave, vcpu_wait() returns when it has, with its last exit completed.
 * vcpu_join ends the thread.
 */
int vcpu_start(struct vcpu *vcpu);
void vcpu_want(struct vcpu *vcpu, enum vcpu_state want);
void vcpu_wait(struct vcpu *vcpu);
void vcpu_join(struct vcpu *vcpu);
/*
 * Main, while it is parked: tell the guest, where KVM has a way to (KVM_KVMCLOCK_CTRL), that it did not run, so that its
 * watchdogs do not take the time for a CPU that hangs.
 */
void vcpu_was_paused(struct vcpu *vcpu);

/* vcpu_exit.c: KVM's name of an exit reason in lower case (io, mmio, ...), NULL: not known here. Any thread. */
const char *vcpu_exit_name(unsigned reason);

/* Count a return from KVM_RUN; KVM_EXIT_INTR: one without an exit to handle. The vCPU's thread. */
static inline void vcpu_count_exit(struct vcpu *vcpu, uint32_t reason)
{
	count_add(&vcpu->user_exits, 1);
	count_add(&vcpu->exits[reason < VCPU_EXIT_REASONS ? reason : VCPU_EXIT_REASONS - 1], 1);
}

/* Is it to run the guest? The vCPU's thread. */
bool vcpu_is_wanted(struct vcpu *vcpu);

/* Make the vCPU leave the guest soon. Any thread. */
void vcpu_kick(struct vcpu *vcpu);

#endif
