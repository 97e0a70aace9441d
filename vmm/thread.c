// SPDX-License-Identifier: Apache-2.0
/* Threads; see thread.h. */
#include "vmm/thread.h"

#include <errno.h>

#include "vmm/log.h"
#include "vmm/place/place.h"
#include "vmm/sandbox.h"
#include "vmm/util.h"

/* Plenty for our threads. The usual 8 MiB would become a 2 MiB huge page on hosts that make them everywhere. */
#define STACK_SIZE (256 * 1024)

static void *enter(void *arg)
{
	struct thread *thread = arg;

	pthread_setname_np(pthread_self(), thread->name);
	thread->err = thread->place ? place_apply(thread->place) : 0;
	if (!thread->err)
		thread->err = sandbox_drop();
	if (!thread->err && thread->settle)
		thread->err = thread->settle(thread->arg);
	sem_post(&thread->placed);
	if (!thread->err)
		thread->fn(thread->arg);
	return NULL;
}

void thread_signals(sigset_t *blocked)
{
	static const int own[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGABRT, SIGSYS};

	sigfillset(blocked);
	for (size_t i = 0; i < COUNT(own); i++)
		sigdelset(blocked, own[i]);
}

int thread_start(struct thread *thread)
{
	pthread_attr_t attr;
	sigset_t set;
	int err;

	thread_signals(&set);
	if (thread->kickable)
		sigdelset(&set, THREAD_KICK_SIGNAL);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	pthread_attr_setsigmask_np(&attr, &set);
	sem_init(&thread->placed, 0, 0);
	err = -pthread_create(&thread->id, &attr, enter, thread);
	pthread_attr_destroy(&attr);
	if (err) {
		sem_destroy(&thread->placed);
		return log_errno(err, "thread %s", thread->name);
	}
	while (sem_wait(&thread->placed) < 0)
		;
	sem_destroy(&thread->placed);
	if (thread->err)
		pthread_join(thread->id, NULL);
	return thread->err;
}

void thread_join(struct thread *thread)
{
	pthread_join(thread->id, NULL);
}
