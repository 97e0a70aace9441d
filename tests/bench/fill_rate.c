// SPDX-License-Identifier: Apache-2.0
/*
 * How fast fresh memory becomes present: a loop that touches each page, and preallocation by 1, 2, 4, .. threads, in turn.
 *
 *   fill_rate MIB ROUNDS
 *
 * Prints a line each, minima of the rounds: "touch NS", then "fill THREADS NS CPU-NS". The CPU time is that of all threads
 * together: on a busy host it tells whether they stand in each other's way, or wait for a CPU.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/memory/fill.h"
#include "vmm/util.h"

#define MAX_STEPS 8 /* 0: the loop; then 1, 2, 4, .. 64 threads */

struct times {
	uint64_t ns, cpu_ns;
};

static uint64_t cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

/* ns 0: a step that this host has no CPUs for. */
static struct times measure(unsigned step, uint64_t size)
{
	struct fill_limits limits = {.threads = step ? 1u << (step - 1) : 0, .stop_fd = -1};
	struct fill_result result = {0};
	struct fill_area area = {.size = size, .page = sysconf(_SC_PAGESIZE)};
	struct times t = {0};
	const void *where;
	uint64_t cpu;

	area.host = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (area.host == MAP_FAILED)
		return t;
	cpu = cpu_ns();
	if (!step) {
		uint64_t start = now_ns();

		for (uint64_t at = 0; at < size; at += area.page)
			*(volatile uint8_t *)(area.host + at) = 0;
		t.ns = now_ns() - start;
	} else if (!mem_fill(&area, 1, &limits, &result, &where) && result.threads == limits.threads) {
		t.ns = result.ns;
	}
	t.cpu_ns = cpu_ns() - cpu;
	munmap(area.host, size);
	return t;
}

static void keep_least(uint64_t *least, uint64_t ns)
{
	if (!*least || ns < *least)
		*least = ns;
}

int main(int argc, char **argv)
{
	struct times best[MAX_STEPS] = {0};
	unsigned cpus = sysconf(_SC_NPROCESSORS_ONLN);
	uint64_t size = argc > 2 ? strtoull(argv[1], NULL, 10) << 20 : 0;
	unsigned rounds = argc > 2 ? atoi(argv[2]) : 0;

	if (!size || !rounds) {
		fprintf(stderr, "usage: fill_rate MIB ROUNDS\n");
		return 2;
	}
	for (unsigned i = 0; i < rounds; i++)
		for (unsigned step = 0; step < MAX_STEPS && 1u << step <= 2 * cpus; step++) {
			struct times t = measure(step, size);

			if (!t.ns)
				break;
			keep_least(&best[step].ns, t.ns);
			keep_least(&best[step].cpu_ns, t.cpu_ns);
		}
	if (!best[0].ns)
		return 1;
	printf("touch %llu\n", (unsigned long long)best[0].ns);
	for (unsigned step = 1; step < MAX_STEPS && best[step].ns; step++)
		printf("fill %u %llu %llu\n", 1u << (step - 1), (unsigned long long)best[step].ns,
			(unsigned long long)best[step].cpu_ns);
	return 0;
}
