// SPDX-License-Identifier: Apache-2.0
/*
 * cpu-load: work for a guest whose exits are counted from outside (cpu-exits.sh). A process of the guest, one
 * thread per CPU.
 *
 * usage: cpu-load idle|shoot|pause COUNT
 *   idle   sleep COUNT times, 2 ms each
 *   shoot  COUNT TLB shootdowns by the first CPU, while a thread on each other CPU shares its memory and
 * sleeps or spins pause  COUNT times PAUSE on each CPU
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static atomic_bool over;
static atomic_uint running;
static unsigned long count;
static bool pausing;

static void doze(long ns)
{
	struct timespec t = {0, ns};

	nanosleep(&t, NULL);
}

static void pause_all(void)
{
	for (unsigned long i = 0; i < count; i++)
		__builtin_ia32_pause();
}

static void *other(void *arg)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((long)arg, &set);
	sched_setaffinity(0, sizeof(set), &set);
	running++;
	if (pausing)
		pause_all();
	while (!pausing && !over)
		for (volatile int i = 0; i < 1000; i++)
			;
	return NULL;
}

static void shoot(void)
{
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (unsigned long i = 0; i < count; i++) {
		*page = 1;
		mprotect(page, 4096, PROT_READ);
		mprotect(page, 4096, PROT_READ | PROT_WRITE);
	}
}

int main(int argc, char **argv)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	pthread_t thread[256];

	if (argc != 3 || cpus > 256)
		return 2;
	count = strtoul(argv[2], NULL, 0);
	pausing = strcmp(argv[1], "pause") == 0;
	if (strcmp(argv[1], "idle") == 0) {
		for (unsigned long i = 0; i < count; i++)
			doze(2000000);
		return 0;
	}
	for (long i = 1; i < cpus; i++)
		pthread_create(&thread[i], NULL, other, (void *)i);
	while (running < (unsigned)cpus - 1)
		doze(1000000);
	if (pausing)
		pause_all();
	else
		shoot();
	over = true;
	for (long i = 1; i < cpus; i++)
		pthread_join(thread[i], NULL);
	return 0;
}
