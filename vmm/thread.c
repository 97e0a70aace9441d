// SPDX-License-Identifier: Apache-2.0
/* Threads; see thread.h. */
#include "vmm/thread.h"

#include <errno.h>

#include "vmm/log.h"

static void *enter(void *arg)
{
	struct thread *thread = arg;
	sigset_t set;

	pthread_setname_np(pthread_self(), thread->name);
	if (thread->kickable) {
		sigemptyset(&set);
		sigaddset(&set, THREAD_KICK_SIGNAL);
		pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	}
	thread->fn(thread->arg);
	return NULL;
}

int thread_start(struct thread *thread)
{
	sigset_t all, before;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = -pthread_create(&thread->id, NULL, enter, thread);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return err ? log_errno(err, "thread %s", thread->name) : 0;
}

void thread_join(struct thread *thread)
{
	pthread_join(thread->id, NULL);
}
