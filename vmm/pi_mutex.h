/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mutex of everything that threads of different policies share: who waits lends its priority to who holds it, so that
 * a real-time vCPU never waits for a thread that does not get to run. futex(2), "Priority-inheritance futexes". Any thread.
 */
#ifndef PINVM_PI_MUTEX_H
#define PINVM_PI_MUTEX_H

#include <pthread.h>

/* 0, -ENOTSUP: this kernel was built without them (nothing else makes it fail). Not logged. pthread_mutex_destroy() ends it. */
static inline int pi_mutex_init(pthread_mutex_t *lock)
{
	pthread_mutexattr_t attr;
	int err = -pthread_mutexattr_init(&attr);

	if (err)
		return err;
	err = -pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT);
	if (!err)
		err = -pthread_mutex_init(lock, &attr);
	pthread_mutexattr_destroy(&attr);
	return err;
}

#endif
