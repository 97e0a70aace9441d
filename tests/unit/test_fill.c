// SPDX-License-Identifier: Apache-2.0
/* Preallocation: every page is there afterwards, and what can not be had is told. */
#include <sys/file.h>
#include <sys/wait.h>

#include "tests/unit/fill_unit.h"

static void check_filled(struct fill_area area)
{
	ck_assert_uint_eq(present(&area), 0);
	ck_assert_int_eq(fill(&area, 1), 0);
	ck_assert_uint_eq(result.bytes, area.size);
	ck_assert_uint_eq(present(&area), area.size / PAGE);
	ck_assert_int_eq(faults_of_a_touch(&area), 0);
	no_thread_is_left();
	munmap(area.host, area.size);
}

START_TEST(every_page_is_there_afterwards)
{
	for (int zeros = 0; zeros < 2; zeros++)
		for (unsigned threads = 0; threads < 3; threads++) {
			ways.read_zeros = zeros;
			limits.threads = threads;
			check_filled(map(2 * FILL_CHUNK + 5 * PAGE, PAGE, 0));
			check_filled(map_shared(FILL_CHUNK + PAGE));
		}
	check_filled(map(PAGE, PAGE, 0));
}
END_TEST

/* The two methods are told apart by this: the one for old kernels writes a byte to each page. */
START_TEST(what_was_there_stays)
{
	struct fill_area area = map(FILL_CHUNK, PAGE, 0);

	for (int zeros = 0; zeros < 2; zeros++) {
		ways.read_zeros = zeros;
		memset(area.host, 0x5a, area.size);
		ck_assert_int_eq(fill(&area, 1), 0);
		for (uint64_t i = 0; i < area.size; i++)
			if (area.host[i] != (zeros && i % PAGE == 0 ? 0 : 0x5a))
				ck_abort_msg("byte %#lx is %#x", (unsigned long)i, area.host[i]);
	}
}
END_TEST

START_TEST(nothing_to_fill)
{
	ck_assert_int_eq(fill(NULL, 0), 0);
	ck_assert_uint_eq(result.bytes, 0);
	ck_assert_uint_eq(result.threads, 0);
}
END_TEST

START_TEST(many_areas)
{
	struct fill_area area[20];
	uint64_t sum = 0;

	for (int i = 0; i < 20; i++) {
		area[i] = map((i + 1) * MIB, PAGE, 0);
		CPU_SET(i % 3, &area[i].nodes); /* most of these nodes do not exist: any CPU will do */
		sum += area[i].size;
	}
	ck_assert_int_eq(mem_fill(area, 20, &limits, &result, &where), 0);
	ck_assert_uint_eq(result.bytes, sum);
	ck_assert_uint_gt(result.ns, 0);
	for (int i = 0; i < 20; i++)
		ck_assert_uint_eq(present(&area[i]), area[i].size / PAGE);
}
END_TEST

/* ---- what can not be had ---- */

START_TEST(tells_which_page_could_not_be_had)
{
	for (int zeros = 0; zeros < 2; zeros++)
		for (unsigned threads = 1; threads < 3; threads++) {
			struct fill_area area = map(3 * FILL_CHUNK, PAGE, 0);
			uint8_t *hole = area.host + FILL_CHUNK + 77 * PAGE;

			ck_assert_int_eq(munmap(hole, PAGE), 0);
			ways.read_zeros = zeros;
			limits.threads = threads;
			ck_assert_int_eq(fill(&area, 1), -ENOMEM);
			ck_assert_ptr_eq(where, hole);
			ck_assert_uint_lt(result.bytes, area.size);
			no_thread_is_left();
			munmap(area.host, area.size);
		}
}
END_TEST

#define HUGE_POOL "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"

/* What there was in the pool of 2 MiB pages before a test made it larger. main() shares it, so that it can outlive a test. */
static struct huge_pool {
	bool grown;
	unsigned long before;
} *huge_pool;

/* The pool is ours until the file is closed: the lock keeps other tests from giving back what is not theirs. -1: not ours. */
static int huge_pool_open(void)
{
	int fd = open(HUGE_POOL, O_RDWR | O_CLOEXEC);

	if (fd >= 0 && !flock(fd, LOCK_EX))
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

static int huge_pool_grow(unsigned more)
{
	int fd = huge_pool_open();
	char text[32] = "";

	if (fd >= 0 && huge_pool->grown) /* by a test that was killed */
		dprintf(fd, "%lu", huge_pool->before);
	if (fd >= 0 && pread(fd, text, sizeof(text) - 1, 0) > 0 && sscanf(text, "%lu", &huge_pool->before) == 1) {
		huge_pool->grown = true;
		if (dprintf(fd, "%lu", huge_pool->before + more) > 0)
			return fd;
	}
	printf("skip: no pool of 2 MiB pages that this user may change: %s\n", strerror(errno));
	huge_pool->grown = false;
	if (fd >= 0)
		close(fd);
	return -1;
}

static void huge_pool_restore(int fd)
{
	if (dprintf(fd, "%lu", huge_pool->before) > 0)
		huge_pool->grown = false;
	close(fd);
}

/* In a process of its own, so that a SIGBUS would be seen, and the pool given back all the same. */
static int exhaust(bool zeros, unsigned threads, unsigned more_than)
{
	pid_t pid = fork();
	int status = -1;

	if (!pid) {
		struct fill_area area = map((more_than + 1) * HUGE, HUGE, MAP_HUGETLB | (21 << MAP_HUGE_SHIFT));
		uint64_t at;
		int err;

		ways.read_zeros = zeros;
		limits.threads = threads;
		err = fill(&area, 1);
		at = (const uint8_t *)where - area.host;
		if (err != -ENOMEM)
			_exit(1);
		_exit(at >= area.size || at % HUGE || (threads == 1 && at < result.bytes) ? 2 : 0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return status;
}

static unsigned long huge_pages_ever(void)
{
	unsigned long nr = 0, over = 0;
	FILE *f = fopen("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "re");
	FILE *g = fopen("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_overcommit_hugepages", "re");

	ck_assert(f && g);
	ck_assert(fscanf(f, "%lu", &nr) == 1 && fscanf(g, "%lu", &over) == 1);
	fclose(f);
	fclose(g);
	return nr + over;
}

START_TEST(an_empty_pool_is_an_error_and_no_signal)
{
	int status[4], n = 0, pool = huge_pool_grow(20);

	if (pool < 0)
		return;
	for (int zeros = 0; zeros < 2; zeros++)
		for (unsigned threads = 1; threads < 3; threads++)
			status[n++] = exhaust(zeros, threads, huge_pages_ever());
	huge_pool_restore(pool);
	for (int i = 0; i < n; i++)
		ck_assert_msg(status[i] == 0, "round %d: status %#x (of a wait; the low bits are a signal)", i, status[i]);
}
END_TEST

START_TEST(huge_pages_are_filled)
{
	int err = 0, pool = huge_pool_grow(20);
	struct fill_area area;
	long faults = -1;

	if (pool < 0)
		return;
	area.host = mmap(NULL, 18 * HUGE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | (21 << MAP_HUGE_SHIFT), -1, 0);
	if (area.host != MAP_FAILED) {
		area = (struct fill_area){.host = area.host, .size = 18 * HUGE, .page = HUGE};
		err = fill(&area, 1);
		faults = faults_of_a_touch(&area);
		munmap(area.host, area.size);
	}
	huge_pool_restore(pool);
	if (area.host == MAP_FAILED) {
		puts("skip: the kernel found no 18 huge pages for the pool");
		return;
	}
	ck_assert_int_eq(err, 0);
	ck_assert_int_eq(faults, 0);
	ck_assert_uint_eq(result.bytes, 18 * HUGE);
}
END_TEST

/* A test that was killed in the middle left the pool as it was then. */
int main(void)
{
	const TTest *tests[] = {every_page_is_there_afterwards, what_was_there_stays, nothing_to_fill, many_areas,
		tells_which_page_could_not_be_had, an_empty_pool_is_an_error_and_no_signal, huge_pages_are_filled};
	int status, fd;

	huge_pool = mmap(NULL, sizeof(*huge_pool), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (huge_pool == MAP_FAILED)
		return EXIT_FAILURE;
	status = unit_run("fill", tests, sizeof(tests) / sizeof(tests[0]));
	fd = huge_pool->grown ? huge_pool_open() : -1;
	if (fd >= 0)
		huge_pool_restore(fd);
	return status;
}
