/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every thread of a guest is made here: named, with all signals blocked except the vCPU kick, so that main takes what is
 * sent to the process (signals.h). On the thread itself, before its function runs: placement, read-back, then the drop of
 * all privileges.
 */
#ifndef PINVM_THREAD_H
#define PINVM_THREAD_H

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>

/* Not a real-time signal: of those each needs room in the user's queue (RLIMIT_SIGPENDING), which others may use up. */
#define THREAD_KICK_SIGNAL SIGURG

struct placement;

struct thread {
	pthread_t id;
	char name[16]; /* as /proc/PID/task/TID/comm shows it */
	bool kickable; /* vCPU threads: THREAD_KICK_SIGNAL is not blocked */
	struct placement *place; /* where it is to run; NULL: as its creator */
	/* On the thread, once it is placed and has no privilege left; others start after it. NULL: nothing. 0 or -errno, logged. */
	int (*settle)(void *arg);
	void (*fn)(void *arg);
	void *arg;

	sem_t placed;
	int err;
};

/*
 * Set name, kickable, place, settle, fn and arg, then start. Returns when the thread stands where it should (read back),
 * has settled and is about to run fn: 0, or -errno, logged, and there is no thread. The struct lives until thread_join().
 * Main, or a loop's thread for its worker.
 */
int thread_start(struct thread *thread);
void thread_join(struct thread *thread);

/* The signals a new thread blocks: all but those it brings upon itself, whose handlers restore the terminal. */
void thread_signals(sigset_t *blocked);

#endif
