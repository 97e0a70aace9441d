/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A vCPU whose thread serves queues (iothread=vcpuN): a loop that is served in passing (loop.h), before each KVM_RUN, while
 * the guest's CPU halts, and while it is parked. What comes for it ends KVM_RUN, and a halt in KVM.
 */
#ifndef PINVM_VCPU_LOOP_H
#define PINVM_VCPU_LOOP_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

struct guest;
struct loop;
struct vcpu;
struct vcpu_loop;

/* Main. Make the loops that the configuration names. 0 or -errno, logged. Closed when the threads have ended. */
int vcpu_loops_open(struct guest *guest);
void vcpu_loops_close(struct guest *guest);
/* What one of them failed with, or 0: a restart that is under way hears of no end. Main. */
int vcpu_loops_error(struct guest *guest);
/* That of vcpuN; NULL: it has none. Main. */
struct loop *vcpu_loop_named(struct guest *guest, const char *name);
/* As iothread_move_workers(). */
int vcpu_loop_move_workers(struct guest *guest, unsigned vcpu, const cpu_set_t *cpus);

/* The calls below: a vCPU with a loop, on its thread. What fails ends the guest. */

/* Once, where the thread is to stay. 0 or -errno, logged. */
int vcpu_loop_settle(struct vcpu *vcpu);
/*
 * Begin to run the guest; before each KVM_RUN; end, when kvm_run may go. Outside of begin and end (the guest is paused, or
 * has come to its end) what was given before is finished, and nothing new is begun.
 */
void vcpu_loop_begin(struct vcpu *vcpu);
void vcpu_loop_serve(struct vcpu *vcpu);
void vcpu_loop_end(struct vcpu *vcpu);
/* It has nothing else to do: until something came, somebody called vcpu_loop_wake(), or it is `until` (now_ns()). */
void vcpu_loop_sleep(struct vcpu *vcpu, uint64_t until);
/* Would it have something to serve? For who waits awake. */
bool vcpu_loop_look(struct vcpu *vcpu);
/* False: it failed, and nothing of the above does anything. */
bool vcpu_loop_works(const struct vcpu *vcpu);

/* Any thread. */
void vcpu_loop_wake(struct vcpu *vcpu);

#endif
