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

struct guest;
struct kvm_run;

#define VCPU_EXIT_REASONS 64

struct vcpu {
	unsigned index;
	int fd; /* changes when the guest restarts */
	struct kvm_run *run;
	struct guest *guest;
	pthread_t thread;
	bool started;
	_Atomic unsigned want; /* enum vcpu_want, written by main */
	_Atomic unsigned is;   /* what it last did */
	_Atomic uint64_t user_exits;              /* returns from KVM_RUN, EINTR included */
	_Atomic uint64_t exits[VCPU_EXIT_REASONS]; /* by KVM_EXIT_*; the last entry counts the unknown ones */
};

/* Create the vCPU's descriptor (main; again for a restart after vcpu_close()). 0 or -errno, logged. */
int vcpu_open(struct vcpu *vcpu, struct guest *guest, unsigned index);
void vcpu_close(struct vcpu *vcpu);

/* Main. The thread starts paused; vcpu_go() lets it run the guest, vcpu_pause() returns when it has left KVM_RUN with
 * its last exit completed, vcpu_join() ends it. */
int vcpu_start(struct vcpu *vcpu);
void vcpu_go(struct vcpu *vcpu);
void vcpu_pause(struct vcpu *vcpu);
void vcpu_join(struct vcpu *vcpu);

/* Make the vCPU leave the guest soon. Any thread. */
void vcpu_kick(struct vcpu *vcpu);

#endif
