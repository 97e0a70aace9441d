// SPDX-License-Identifier: Apache-2.0
/*
 * wakes: what it costs here that a thread blocks and is woken, and how late it is. Two threads wake each
 * other in turn. Not by timers: the software host's are as coarse as its tick.
 *
 * usage: wakes        prints CPU time and lateness of a wake-up in ns, the median of all
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "program.h"

#define WAKES 2000

static int there, back;
static int64_t woken_at, cpu[WAKES], late[WAKES]; /* handed over by the eventfds */

static int64_t clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static void await(int fd)
{
	eventfd_t n;

	if (eventfd_read(fd, &n))
		die("read");
}

static void wake(int fd)
{
	if (eventfd_write(fd, 1))
		die("write");
}

static void *sleeper(void *unused)
{
	(void)unused;
	for (unsigned i = 0; i < WAKES; i++) {
		int64_t ran = clock_ns(CLOCK_THREAD_CPUTIME_ID);

		await(there);
		late[i] = clock_ns(CLOCK_MONOTONIC) - woken_at;
		cpu[i] = clock_ns(CLOCK_THREAD_CPUTIME_ID) - ran;
		wake(back);
	}
	return NULL;
}

static int by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static long long median(int64_t *v)
{
	qsort(v, WAKES, sizeof(*v), by_value);
	return v[WAKES / 2] > 0 ? v[WAKES / 2] : 1;
}

int main(void)
{
	pthread_t thread;

	there = eventfd(0, 0);
	back = eventfd(0, 0);
	if (there < 0 || back < 0 || pthread_create(&thread, NULL, sleeper, NULL))
		die("set-up");
	for (unsigned i = 0; i < WAKES; i++) {
		woken_at = clock_ns(CLOCK_MONOTONIC);
		wake(there);
		await(back);
	}
	pthread_join(thread, NULL);
	printf("%lld %lld\n", median(cpu), median(late));
	return 0;
}
