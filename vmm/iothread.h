/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The threads that serve devices: "main" and one for each --iothread, each with a loop of its own. Loops exist before
 * their threads do, so that devices can be built on them. All calls are main's.
 */
#ifndef PINVM_IOTHREAD_H
#define PINVM_IOTHREAD_H

#include <sched.h>

struct guest;
struct iothread;
struct iothread_config;
struct loop;

#define IOTHREAD_POLL_WEIGHT 4 /* where none was given */

/* Make the loops. 0 or -errno, logged. */
int iothreads_open(struct guest *guest);
/* Start the threads, each placed and read back (thread.h). */
int iothreads_start(struct guest *guest);
/* End the threads that run; the loops stay. */
void iothreads_stop(struct guest *guest);

/* Where the kernel makes the workers of iothread i's ring, from now on. 0, -ETIMEDOUT when it does not run, or another -errno. */
int iothread_move_workers(struct guest *guest, unsigned i, const cpu_set_t *cpus);

/* Poll like that from now on; its loop does it. 0, -EBUSY or -ETIMEDOUT when it does not run: then nothing changes. */
int iothread_poll(struct iothread *io, const struct iothread_config *how);

/* The loop of an iothread, or of a vCPU that serves queues; name NULL: main. NULL when there is none of that name. */
struct loop *iothread_loop(struct guest *guest, const char *name);

#endif
