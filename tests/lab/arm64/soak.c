// SPDX-License-Identifier: Apache-2.0
/*
 * soak: small requests, one at a time and each waited for, so that a wake-up that is lost on either side of a
 * virtqueue is never made good by a later one. A process a worker; the first one watches them all.
 *
 * usage: soak disk DEVICE COUNT [WORKERS]   direct I/O; COUNT 0: until SIGTERM
 *        soak net PORT COUNT ADDRESS...     datagrams to echoes, a worker an ADDRESS
 *        soak echo PORT                     that echo; until a signal
 *
 * Worker n runs on the n-th CPU that is there, with a piece of the disk or a socket of its own. What it
 * writes differs every time, and it checks all it reads against what it wrote last. Ends with a line of
 * counts; status 0: all of it came back as it should. 3: a request never came back, and the line says whose.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../program.h"

#define WORKERS_MAX 16
#define SECTOR	    512
#define SPAN_MAX    8 /* sectors a request */
#define DATAGRAM    1400
#define LOST_TICKS \
	40 /* of a second each, as the watcher sleeps them: a machine that stands still counts for one */

/* One of each worker, in memory that all of them share. */
struct tally {
	uint64_t done, writes, reads, bad;
	pid_t pid; /* 0: it has ended */
	int cpu;
} __attribute__((aligned(64)));

struct job {
	unsigned index, workers;
	uint64_t count; /* 0: until told */
	int fd;
	uint64_t sectors; /* of its piece, and where that begins */
	uint64_t first;
	struct sockaddr_in to[WORKERS_MAX];
	struct tally *tally;
};

static volatile sig_atomic_t told;

static void hear(int sig)
{
	told = 1;
}

static uint64_t next(uint64_t *state)
{
	return mix(*state += 0x9e3779b97f4a7c15ULL);
}

/* What is in a sector after its worker wrote it for the n-th time. */
static void fill(uint64_t *p, size_t bytes, uint64_t where, uint64_t n)
{
	uint64_t state = mix(where << 24 ^ n);

	p[0] = where;
	p[1] = n;
	for (size_t i = 2; i < bytes / 8; i++)
		p[i] = state + i;
}

static bool is_filled(const uint64_t *p, size_t bytes, uint64_t where, uint64_t n)
{
	uint64_t state = mix(where << 24 ^ n);

	if (p[0] != where || p[1] != n)
		return false;
	for (size_t i = 2; i < bytes / 8; i++)
		if (p[i] != state + i)
			return false;
	return true;
}

static void transfer(const struct job *job, void *buf, uint64_t at, unsigned n, bool write)
{
	off_t off = (off_t)(job->first + at) * SECTOR;
	ssize_t got = write ? pwrite(job->fd, buf, n * SECTOR, off) : pread(job->fd, buf, n * SECTOR, off);

	if (got != (ssize_t)(n * SECTOR))
		die("%s of %u sectors at %llu: %zd", write ? "write" : "read", n,
			(unsigned long long)(job->first + at), got);
	job->tally->done++;
}

static void put(const struct job *job, uint8_t *buf, uint32_t *written, uint64_t at, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		fill((uint64_t *)(buf + i * SECTOR), SECTOR, job->first + at + i, ++written[at + i]);
	transfer(job, buf, at, n, true);
	job->tally->writes++;
}

/* A sector that was never written may hold anything. */
static void get(const struct job *job, uint8_t *buf, const uint32_t *written, uint64_t at, unsigned n)
{
	memset(buf, 0, n * SECTOR);
	transfer(job, buf, at, n, false);
	job->tally->reads++;
	for (unsigned i = 0; i < n; i++)
		if (written[at + i] && !is_filled((uint64_t *)(buf + i * SECTOR), SECTOR, job->first + at + i,
					       written[at + i]))
			job->tally->bad++;
}

static void work_on_disk(const struct job *job)
{
	uint32_t *written = calloc(job->sectors, sizeof(*written));
	uint64_t state = job->index;
	uint8_t *buf;

	buf = mmap(NULL, SPAN_MAX * SECTOR, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (!written || buf == MAP_FAILED)
		die("memory");
	for (uint64_t i = 0; (!job->count || i < job->count) && !told; i++) {
		uint64_t dice = next(&state);
		unsigned n = 1 + dice % SPAN_MAX;
		uint64_t at = (dice >> 8) % (job->sectors - SPAN_MAX);

		if (dice >> 63)
			put(job, buf, written, at, n);
		else
			get(job, buf, written, at, n);
	}
	for (uint64_t at = 0; at < job->sectors; at += SPAN_MAX)
		get(job, buf, written, at, SPAN_MAX);
	free(written);
}

static void work_on_net(const struct job *job)
{
	static uint64_t out[DATAGRAM / 8], in[DATAGRAM / 8 + 1];
	uint64_t state = job->index;
	const struct sockaddr_in *to = &job->to[job->index];
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)to, sizeof(*to)) < 0)
		die("socket");
	for (uint64_t i = 0; i < job->count && !told; i++) {
		size_t len = 16 + next(&state) % (DATAGRAM / 8 - 2) * 8;
		ssize_t got;

		fill(out, len, job->index, i);
		if (send(fd, out, len, 0) != (ssize_t)len)
			die("send of %zu", len);
		job->tally->writes++;
		got = recv(fd, in, sizeof(in), 0);
		job->tally->reads++;
		job->tally->bad += got != (ssize_t)len || !is_filled(in, len, job->index, i);
		job->tally->done++;
	}
}

/* The n-th CPU of those that are there, over and over. */
static int settle(unsigned n)
{
	cpu_set_t all, one;
	int cpu = -1;

	sched_getaffinity(0, sizeof(all), &all);
	n %= CPU_COUNT(&all);
	do {
		while (!CPU_ISSET(++cpu, &all))
			;
	} while (n--);
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	if (sched_setaffinity(0, sizeof(one), &one) < 0)
		die("CPU %d", cpu);
	return cpu;
}

static void start(struct job *job, void (*work)(const struct job *))
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (pid) {
		job->tally->pid = pid;
		return;
	}
	job->tally->cpu = settle(job->index);
	work(job);
	_exit(0);
}

static void conclude(const char *what, const struct tally *tally, unsigned workers, unsigned failed)
{
	struct tally sum = {0};

	for (unsigned i = 0; i < workers; i++) {
		sum.writes += tally[i].writes;
		sum.reads += tally[i].reads;
		sum.bad += tally[i].bad;
	}
	printf("soak: %s workers %u writes %llu reads %llu bad %llu failed %u\n", what, workers,
		(unsigned long long)sum.writes, (unsigned long long)sum.reads, (unsigned long long)sum.bad,
		failed);
	exit(sum.bad || failed);
}

/* One that gets nowhere waits for what will not come. */
static void look(const char *what, const struct tally *tally, unsigned workers)
{
	static uint64_t seen[WORKERS_MAX];
	static unsigned still[WORKERS_MAX];

	for (unsigned i = 0; i < workers; i++) {
		still[i] = tally[i].pid && seen[i] == tally[i].done ? still[i] + 1 : 0;
		seen[i] = tally[i].done;
		if (still[i] < LOST_TICKS)
			continue;
		printf("soak: %s worker %u on CPU %d: request %llu never came back\n", what, i, tally[i].cpu,
			(unsigned long long)seen[i]);
		for (unsigned j = 0; j < workers; j++)
			if (tally[j].pid)
				kill(tally[j].pid, SIGKILL);
		exit(3);
	}
}

/* Until each has ended. */
static void watch(const char *what, struct tally *tally, unsigned workers)
{
	unsigned left = workers, failed = 0;
	int status;
	pid_t pid;

	while (left) {
		for (; left && (pid = waitpid(-1, &status, WNOHANG)) > 0; left--) {
			failed += status != 0;
			for (unsigned i = 0; i < workers; i++)
				if (tally[i].pid == pid)
					tally[i].pid = 0;
		}
		for (unsigned i = 0; told && i < workers; i++)
			if (tally[i].pid)
				kill(tally[i].pid, SIGTERM);
		if (left)
			sleep(1);
		look(what, tally, workers);
	}
	conclude(what, tally, workers, failed);
}

static void work_off(const char *what, struct job *job, void (*work)(const struct job *))
{
	size_t size = sizeof(struct tally) * WORKERS_MAX;
	struct tally *tally = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (tally == MAP_FAILED || job->workers < 1 || job->workers > WORKERS_MAX)
		die("%u workers", job->workers);
	signal(SIGTERM, hear);
	for (job->index = 0; job->index < job->workers; job->index++) {
		job->tally = &tally[job->index];
		job->first = job->index * job->sectors;
		start(job, work);
	}
	watch(what, tally, job->workers);
}

static void disk(char **arg, int n)
{
	struct job job = {.count = strtoull(arg[1], NULL, 0), .workers = sysconf(_SC_NPROCESSORS_ONLN)};
	uint64_t bytes = 0;

	if (n > 2)
		job.workers = strtoul(arg[2], NULL, 0);
	job.fd = open(arg[0], O_RDWR | O_DIRECT);
	if (job.fd < 0 || ioctl(job.fd, BLKGETSIZE64, &bytes) < 0)
		die("%s", arg[0]);
	job.sectors = bytes / SECTOR / (job.workers ? job.workers : 1) / SPAN_MAX * SPAN_MAX;
	if (job.sectors <= SPAN_MAX)
		die("%s is too small", arg[0]);
	work_off("disk", &job, work_on_disk);
}

static void net(char **arg, int n)
{
	struct job job = {.count = strtoull(arg[1], NULL, 0), .workers = n - 2};

	for (int i = 2; i < n && i - 2 < WORKERS_MAX; i++)
		job.to[i - 2] = address(arg[i], arg[0]);
	work_off("net", &job, work_on_net);
}

static void echo(const char *port)
{
	struct sockaddr_in own = address("0.0.0.0", port), from;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	static char buf[65536];

	if (bind(fd, (struct sockaddr *)&own, sizeof(own)) < 0)
		die("port %s", port);
	for (;;) {
		socklen_t len = sizeof(from);
		ssize_t n = recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&from, &len);

		if (n < 0 || sendto(fd, buf, n, 0, (struct sockaddr *)&from, len) != n)
			die("echo of %zd", n);
	}
}

int main(int argc, char **argv)
{
	if ((argc == 4 || argc == 5) && !strcmp(argv[1], "disk"))
		disk(argv + 2, argc - 2);
	else if (argc >= 5 && !strcmp(argv[1], "net"))
		net(argv + 2, argc - 2);
	else if (argc == 3 && !strcmp(argv[1], "echo"))
		echo(argv[2]);
	fprintf(stderr, "usage: soak disk DEVICE COUNT [WORKERS] | net PORT COUNT ADDRESS... | echo PORT\n");
	return 2;
}
