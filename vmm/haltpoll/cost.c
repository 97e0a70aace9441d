// SPDX-License-Identifier: Apache-2.0
/*
 * What a block and a wake-up cost on this host, by trying: short naps of the calling thread. Its CPU time for
 * one is what a block costs; how late it wakes is the latency. Shallow naps at one place: a deeper idle
 * state, or another CPU, may cost more. Of all naps the quarter that was best speaks, since others' work only
 * adds.
 */
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>

#include "vmm/haltpoll/priv.h"
#include "vmm/util.h"

#define NAPS	24
#define NAP_NS	30000
#define LEAST	500
#define MOST_NS 200000

static uint64_t cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + ts.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static uint64_t lower_quarter(uint64_t *v)
{
	uint64_t ns;

	qsort(v, NAPS, sizeof(*v), by_value);
	ns = v[NAPS / 4];
	return ns < LEAST ? LEAST : ns > MOST_NS ? MOST_NS : ns;
}

void haltpoll_measure(uint64_t *block_ns, uint64_t *wake_ns)
{
	struct timespec nap = {.tv_nsec = NAP_NS};
	int slack = prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0);
	uint64_t cpu[NAPS], late[NAPS];

	prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
	for (unsigned i = 0; i < NAPS; i++) {
		uint64_t cpu_before = cpu_ns(), before = now_ns();

		clock_nanosleep(CLOCK_MONOTONIC, 0, &nap, NULL);
		late[i] = now_ns() - before;
		late[i] -= late[i] < NAP_NS ? late[i] : NAP_NS;
		cpu[i] = cpu_ns() - cpu_before;
	}
	if (slack > 0)
		prctl(PR_SET_TIMERSLACK, slack, 0, 0, 0);
	*block_ns = lower_quarter(cpu);
	*wake_ns = lower_quarter(late);
}
