/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of placement share: two CPUs to tell apart, rules that name them, and threads that wait where others work. */
#ifndef PINVM_TESTS_PLACE_UNIT_H
#define PINVM_TESTS_PLACE_UNIT_H

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/unit.h"
#include "vmm/loop/loop.h"
#include "vmm/place/place.h"

static int lo, hi; /* the first two CPUs this process may use; the same where it has one */

static inline void find_cpus(void)
{
	cpu_set_t set;

	ck_assert_int_eq(sched_getaffinity(0, sizeof(set), &set), 0);
	lo = hi = -1;
	for (int i = 0; i < CPU_SETSIZE && hi <= lo; i++)
		if (CPU_ISSET(i, &set)) {
			lo = lo < 0 ? i : lo;
			hi = i;
		}
}

/* False, said: there is one. */
static inline bool two_cpus(void)
{
	find_cpus();
	if (lo == hi)
		puts("skip: one CPU is allowed here, placement needs two to tell apart");
	return lo != hi;
}

static inline cpu_set_t only(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return set;
}

/* Leaves this process with two CPUs. */
static inline bool only_two_cpus(void)
{
	cpu_set_t two;

	if (!two_cpus())
		return false;
	two = only(lo);
	CPU_SET(hi, &two);
	ck_assert_int_eq(sched_setaffinity(0, sizeof(two), &two), 0);
	return true;
}

/* A and B in rules stand for the two CPUs. */
static inline char *spell(const char *rules, char *out, size_t n)
{
	size_t len = 0;

	out[0] = '\0';
	for (; *rules; rules++)
		len += snprintf(out + len, n - len, *rules == 'A' || *rules == 'B' ? "%d" : "%c",
			*rules == 'A' ? lo : *rules == 'B' ? hi : *rules);
	return out;
}

/* A thread that waits, of any name: as one of the guest's would stand, or a task that the kernel made. */
struct actor {
	char name[16];
	pthread_t id;
	pid_t tid;
	sem_t started, end;
};

static inline void *wait_for_end(void *arg)
{
	struct actor *a = arg;

	pthread_setname_np(pthread_self(), a->name);
	a->tid = gettid();
	sem_post(&a->started);
	while (sem_wait(&a->end))
		;
	return NULL;
}

static inline void actor_start(struct actor *a, const char *name)
{
	*a = (struct actor){0};
	snprintf(a->name, sizeof(a->name), "%s", name);
	sem_init(&a->started, 0, 0);
	sem_init(&a->end, 0, 0);
	ck_assert_int_eq(pthread_create(&a->id, NULL, wait_for_end, a), 0);
	while (sem_wait(&a->started))
		;
}

/* A thread that was joined is the kernel's a moment longer. */
static inline void actor_end(struct actor *a)
{
	sem_post(&a->end);
	pthread_join(a->id, NULL);
	while (!tgkill(getpid(), a->tid, 0))
		sched_yield();
}

/* An iothread's steps, for struct thread. */
static inline int own(void *arg)
{
	return loop_own(arg);
}

static inline void run(void *arg)
{
	loop_run(arg);
}

#endif
