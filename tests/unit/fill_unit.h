/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of preallocation share: areas to fill, and what is seen of pages and of threads. Included by one .c
 * file. */
#ifndef PINVM_TESTS_FILL_UNIT_H
#define PINVM_TESTS_FILL_UNIT_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/resource.h>

#include "tests/unit/fake_root.h"
#include "vmm/memory/fill_priv.h"
#include "vmm/util.h"

#define PAGE 4096ULL
#define MIB  (1ULL << 20)
#define HUGE (2 * MIB)

static struct fill_limits limits = {.stop_fd = -1};
static struct fill_ways ways = {.root = "", .tty_fd = -1};
static struct fill_result result;
static const void *where;

static inline struct fill_area map(uint64_t size, uint64_t page, int flags)
{
	struct fill_area area = {.size = size, .page = page};

	area.host = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags, -1, 0);
	ck_assert_ptr_ne(area.host, MAP_FAILED);
	return area;
}

static inline struct fill_area map_shared(uint64_t size)
{
	struct fill_area area = {.size = size, .page = PAGE};
	int fd = memfd_create("fill", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, size), 0);
	area.host = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(area.host, MAP_FAILED);
	close(fd);
	return area;
}

static inline int fill(const struct fill_area *area, unsigned n)
{
	return fill_with(area, n, &limits, &ways, &result, &where);
}

static inline bool is_fill(const char *tid)
{
	char path[64], name[32] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%.20s/comm", tid);
	f = fopen(path, "re");
	if (!f)
		return false;
	if (!fgets(name, sizeof(name), f))
		*name = '\0';
	fclose(f);
	return !strcmp(name, "fill\n");
}

/* A thread that was joined may be in /proc a moment longer: wait for it to leave, for as long as the test may run. */
static inline void no_thread_is_left(void)
{
	bool left;

	do {
		DIR *dir = opendir("/proc/self/task");
		struct dirent *entry;

		ck_assert_ptr_nonnull(dir);
		for (left = false; (entry = readdir(dir));)
			left |= is_fill(entry->d_name);
		closedir(dir);
		sched_yield();
	} while (left);
}

static inline unsigned present(const struct fill_area *area)
{
	unsigned pages = area->size / PAGE, n = 0;
	unsigned char *seen = malloc(pages);

	ck_assert_int_eq(mincore(area->host, area->size, seen), 0);
	for (unsigned i = 0; i < pages; i++)
		n += seen[i] & 1;
	free(seen);
	return n;
}

/* Faults that this thread takes while it writes to every page; what it reads is zero. A sanitizer's shadow would add its own. */
__attribute__((no_sanitize("address", "thread"))) static inline long faults_of_a_touch(const struct fill_area *area)
{
	struct rusage before, after;
	uint64_t sum = 0;

	getrusage(RUSAGE_THREAD, &before);
	getrusage(RUSAGE_THREAD, &before);
	for (uint64_t at = 0; at < area->size; at += PAGE) {
		volatile uint8_t *p = area->host + at;

		sum += *p;
		*p = 1;
	}
	getrusage(RUSAGE_THREAD, &after);
	ck_assert_uint_eq(sum, 0);
	return after.ru_minflt + after.ru_majflt - before.ru_minflt - before.ru_majflt;
}

/* For this thread's user, no other thread; root would not be limited. */
static inline void allow_threads(bool yes)
{
	struct rlimit nproc;

	ck_assert_int_eq(getrlimit(RLIMIT_NPROC, &nproc), 0);
	nproc.rlim_cur = yes ? nproc.rlim_max : 0;
	ck_assert_int_eq(setrlimit(RLIMIT_NPROC, &nproc), 0);
	if (getuid() == 0 && setuid(65534) < 0)
		ck_abort_msg("setuid");
}

#endif
