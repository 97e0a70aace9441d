// SPDX-License-Identifier: Apache-2.0
/* Preallocation: every page is there afterwards, what can not be had is told, and it can be ended early. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <termios.h>

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

static struct fill_area map(uint64_t size, uint64_t page, int flags)
{
	struct fill_area area = {.size = size, .page = page};

	area.host = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags, -1, 0);
	ck_assert_ptr_ne(area.host, MAP_FAILED);
	return area;
}

static struct fill_area map_shared(uint64_t size)
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

static int fill(const struct fill_area *area, unsigned n)
{
	return fill_with(area, n, &limits, &ways, &result, &where);
}

static bool is_fill(const char *tid)
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
static void no_thread_is_left(void)
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

static unsigned present(const struct fill_area *area)
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
__attribute__((no_sanitize("address", "thread"))) static long faults_of_a_touch(const struct fill_area *area)
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

/* ---- threads ---- */

static int allowed_cpus(void)
{
	cpu_set_t set;

	ck_assert_int_eq(sched_getaffinity(0, sizeof(set), &set), 0);
	return CPU_COUNT(&set);
}

START_TEST(as_many_threads_as_are_of_use)
{
	struct fill_area area = map(6 * FILL_CHUNK, PAGE, 0);
	int cpus = allowed_cpus();

	ck_assert_int_eq(fill(&area, 1), 0);
	ck_assert_int_eq(result.threads, cpus < 6 ? cpus : 6);
	limits.threads = 1;
	ck_assert_int_eq(fill(&area, 1), 0);
	ck_assert_int_eq(result.threads, 1);
	limits.threads = 1000;
	area.size = FILL_CHUNK;
	ck_assert_int_eq(fill(&area, 1), 0);
	ck_assert_int_eq(result.threads, 1);
}
END_TEST

START_TEST(no_more_threads_than_the_nodes_have_cpus)
{
	struct fill_area area = map(6 * FILL_CHUNK, PAGE, 0);
	char text[16];
	cpu_set_t set;
	int cpu = 0;

	ck_assert_int_eq(sched_getaffinity(0, sizeof(set), &set), 0);
	while (!CPU_ISSET(cpu, &set))
		cpu++;
	fake_root_open();
	snprintf(text, sizeof(text), "%d\n", cpu);
	fake_root_put("/sys/devices/system/node/online", "0-1\n");
	fake_root_put("/sys/devices/system/node/node0/cpulist", text);
	fake_root_put("/sys/devices/system/node/node1/cpulist", "\n");
	ways.root = fake_root;
	CPU_SET(0, &area.nodes);
	ck_assert_int_eq(fill(&area, 1), 0);
	ck_assert_int_eq(result.threads, 1);
	/* A node with memory alone: every CPU will do. */
	CPU_ZERO(&area.nodes);
	CPU_SET(1, &area.nodes);
	ck_assert_int_eq(fill(&area, 1), 0);
	ck_assert_int_eq(result.threads, CPU_COUNT(&set) < 6 ? CPU_COUNT(&set) : 6);
	fake_root_close();
}
END_TEST

/* What nobody bound to a node lies where it is filled: near those who will use it. */
START_TEST(unbound_areas_are_filled_near_their_users)
{
	struct fill_area area[2] = {map(6 * FILL_CHUNK, PAGE, 0), map(6 * FILL_CHUNK, PAGE, 0)};
	char text[16];
	cpu_set_t set;
	int cpu = 0;

	ck_assert_int_eq(sched_getaffinity(0, sizeof(set), &set), 0);
	while (!CPU_ISSET(cpu, &set))
		cpu++;
	fake_root_open();
	snprintf(text, sizeof(text), "%d,900\n", cpu);
	fake_root_put("/sys/devices/system/node/online", "0-1\n");
	fake_root_put("/sys/devices/system/node/node0/cpulist", "901\n");
	fake_root_put("/sys/devices/system/node/node1/cpulist", text);
	ways.root = fake_root;
	CPU_SET(900, &limits.users);
	ck_assert_int_eq(fill(area, 2), 0);
	ck_assert_int_eq(result.threads, 1);
	ck_assert_uint_eq(result.bytes, 12 * FILL_CHUNK);
	/* No CPU of theirs may be used: any will do. */
	CPU_ZERO(&limits.users);
	CPU_SET(901, &limits.users);
	ck_assert_int_eq(fill(area, 2), 0);
	ck_assert_int_eq(result.threads, CPU_COUNT(&set) < 12 ? CPU_COUNT(&set) : 12);
	/* One thread for two groups does the work of both, whatever it would rather do. */
	CPU_SET(900, &limits.users);
	CPU_SET(0, &area[0].nodes);
	limits.threads = 1;
	ck_assert_int_eq(fill(area, 2), 0);
	ck_assert_uint_eq(result.bytes, 12 * FILL_CHUNK);
	fake_root_close();
}
END_TEST

START_TEST(choice_is_what_the_policy_leaves)
{
	static const struct {
		enum mem_policy policy;
		unsigned nodes, choice;
	} t[] = {
		{MEM_POLICY_BIND, 1, 1}, {MEM_POLICY_BIND, 2, 2}, {MEM_POLICY_BIND, 5, 5}, {MEM_POLICY_INTERLEAVE, 3, 1},
		{MEM_POLICY_PREFERRED, 1, FILL_LAST}, {MEM_POLICY_PREFERRED, 2, FILL_LAST}, {MEM_POLICY_DEFAULT, 0, FILL_LAST},
		{MEM_POLICY_BIND, 0, FILL_LAST},
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct fill_area area = {.policy = t[i].policy};

		for (unsigned n = 0; n < t[i].nodes; n++)
			CPU_SET(3 * n, &area.nodes);
		ck_assert_msg(fill_choice(&area) == t[i].choice, "row %zu: %u", i, fill_choice(&area));
	}
}
END_TEST

/*
 * Who can only have pages of one node gets them before somebody with a choice takes them. The one with more choice comes
 * first in the list, and its first page can not be had: the other is filled to the end all the same.
 */
START_TEST(areas_with_less_choice_come_first)
{
	for (unsigned more = 2; more < 4; more++)
		for (unsigned threads = 1; threads < 3; threads++) {
			struct fill_area area[2] = {map(3 * FILL_CHUNK, PAGE, 0), map(FILL_CHUNK + PAGE, PAGE, 0)};

			area[0].policy = more == 2 ? MEM_POLICY_BIND : MEM_POLICY_PREFERRED;
			area[1].policy = MEM_POLICY_BIND;
			CPU_SET(0, &area[0].nodes);
			CPU_SET(1, &area[0].nodes);
			CPU_SET(1, &area[1].nodes);
			ck_assert_int_eq(munmap(area[0].host, PAGE), 0);
			limits.threads = threads;
			ck_assert_int_eq(fill(area, 2), -ENOMEM);
			ck_assert_ptr_eq(where, area[0].host);
			ck_assert_uint_eq(present(&area[1]), area[1].size / PAGE);
			ck_assert_uint_ge(result.bytes, area[1].size);
			ck_assert_uint_ge(result.threads, 1);
			no_thread_is_left();
			munmap(area[0].host + PAGE, area[0].size - PAGE);
			munmap(area[1].host, area[1].size);
		}
}
END_TEST

static struct fill_group group_of_cpus(unsigned first, unsigned last, uint64_t chunks)
{
	struct fill_group group = {.bytes = chunks * FILL_CHUNK, .chunks = chunks};

	for (unsigned cpu = first; cpu <= last; cpu++)
		CPU_SET(cpu, &group.cpus);
	return group;
}

START_TEST(threads_are_shared_out_by_bytes_and_cpus)
{
	static const struct {
		uint64_t chunks[2];
		unsigned cpus[2][2], most, want[2];
	} t[] = {
		{{100, 100}, {{0, 7}, {8, 15}}, 32, {8, 8}},   /* all CPUs */
		{{100, 100}, {{0, 7}, {8, 15}}, 6, {3, 3}},    /* a limit */
		{{300, 100}, {{0, 7}, {8, 15}}, 4, {3, 1}},    /* by bytes */
		{{100, 100}, {{0, 0}, {1, 15}}, 32, {1, 15}},  /* a small node */
		{{100, 2}, {{0, 7}, {8, 15}}, 32, {8, 2}},     /* few chunks */
		{{100, 100}, {{0, 3}, {0, 3}}, 32, {2, 2}},    /* the same CPUs are not counted twice */
		{{100, 0}, {{0, 3}, {4, 7}}, 32, {4, 0}},      /* an empty area */
		{{0, 0}, {{0, 3}, {4, 7}}, 32, {0, 0}},
		{{1, 1}, {{0, 3}, {4, 7}}, 1, {1, 0}},         /* one thread fills both */
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct fill_group group[2];
		unsigned n;

		for (int g = 0; g < 2; g++)
			group[g] = group_of_cpus(t[i].cpus[g][0], t[i].cpus[g][1], t[i].chunks[g]);
		n = fill_share(group, 2, t[i].most);
		ck_assert_msg(group[0].threads == t[i].want[0] && group[1].threads == t[i].want[1], "row %zu: %u and %u", i,
			group[0].threads, group[1].threads);
		ck_assert_uint_eq(n, t[i].want[0] + t[i].want[1]);
	}
	ck_assert_uint_eq(fill_share(NULL, 0, 32), 0);
}
END_TEST

START_TEST(chunks_are_whole_pages)
{
	static const uint64_t t[][2] = {{PAGE, FILL_CHUNK}, {65536, FILL_CHUNK}, {HUGE, FILL_CHUNK}, {32 * MIB, 32 * MIB},
		{512 * MIB, 512 * MIB}, {1024 * MIB, 1024 * MIB}, {3 * MIB, 30 * MIB}};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct fill_area area = {.page = t[i][0]};

		ck_assert_uint_eq(fill_chunk(&area), t[i][1]);
	}
}
END_TEST

/* For this thread's user, no other thread; root would not be limited. */
static void allow_threads(bool yes)
{
	struct rlimit nproc;

	ck_assert_int_eq(getrlimit(RLIMIT_NPROC, &nproc), 0);
	nproc.rlim_cur = yes ? nproc.rlim_max : 0;
	ck_assert_int_eq(setrlimit(RLIMIT_NPROC, &nproc), 0);
	if (getuid() == 0 && setuid(65534) < 0)
		ck_abort_msg("setuid");
}

START_TEST(without_threads_main_fills)
{
	struct fill_area area = map(3 * FILL_CHUNK, PAGE, 0);

	allow_threads(false);
	ck_assert_int_eq(fill(&area, 1), 0);
	allow_threads(true);
	ck_assert_uint_eq(result.threads, 0);
	ck_assert_uint_eq(result.bytes, area.size);
	ck_assert_int_eq(faults_of_a_touch(&area), 0);
}
END_TEST

/* ---- the end, early ---- */

START_TEST(a_stop_that_is_there_already)
{
	struct fill_area area = map(FILL_CHUNK, PAGE, 0);

	limits.stop_fd = eventfd(1, EFD_CLOEXEC);
	ck_assert_int_ge(limits.stop_fd, 0);
	ck_assert_int_eq(fill(&area, 1), -ECANCELED);
	ck_assert_uint_eq(result.bytes, 0);
	ck_assert_uint_eq(present(&area), 0);
	limits.stop_fd = eventfd(0, EFD_CLOEXEC);
	ck_assert_int_eq(fill(&area, 1), 0);
}
END_TEST

START_TEST(a_deadline_that_is_past)
{
	struct fill_area area = map(FILL_CHUNK, PAGE, 0);

	limits.deadline_ns = now_ns();
	ck_assert_int_eq(fill(&area, 1), -ETIME);
	ck_assert_uint_eq(result.bytes, 0);
	ck_assert_uint_eq(present(&area), 0);
	limits.deadline_ns = now_ns() + 3600 * 1000000000ULL;
	ck_assert_int_eq(fill(&area, 1), 0);
}
END_TEST

/* One piece of memory a great many times: minutes of work that take no room. */
#define LONG 400000
static struct fill_area *long_run(void)
{
	struct fill_area *area = calloc(LONG, sizeof(*area)), one = map(FILL_CHUNK, PAGE, 0);

	ck_assert_ptr_nonnull(area);
	for (unsigned i = 0; i < LONG; i++)
		area[i] = one;
	return area;
}

START_TEST(a_deadline_ends_what_runs)
{
	struct fill_area *area = long_run();

	limits.deadline_ns = now_ns() + 50 * 1000000ULL;
	ck_assert_int_eq(fill(area, LONG), -ETIME);
	ck_assert_uint_lt(result.bytes, LONG * FILL_CHUNK);
	ck_assert_uint_ge(result.ns, 1);
	no_thread_is_left();
	/* ... and when main is the one who fills. */
	allow_threads(false);
	limits.deadline_ns = now_ns() + 50 * 1000000ULL;
	ck_assert_int_eq(fill(area, LONG), -ETIME);
	allow_threads(true);
	ck_assert_uint_eq(result.threads, 0);
	free(area);
}
END_TEST

struct watcher {
	int progress_fd, stop_fd;
	unsigned threads, misnamed, unmasked, realtime;
	cpu_set_t seen;
};

static void look_at_task(struct watcher *w, pid_t tid)
{
	char path[64], line[128];
	unsigned long long mask = 0;
	cpu_set_t set;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/status", tid);
	f = fopen(path, "re");
	if (!f)
		return;
	while (fgets(line, sizeof(line), f) && !sscanf(line, "SigBlk:%llx", &mask))
		;
	fclose(f);
	w->threads++;
	w->unmasked += !(mask & (1ULL << (SIGTERM - 1))) || !(mask & (1ULL << (SIGINT - 1)));
	w->realtime += sched_getscheduler(tid) != SCHED_OTHER;
	if (!sched_getaffinity(tid, sizeof(set), &set))
		CPU_OR(&w->seen, &w->seen, &set);
}

/* Wait for the line to be drawn twice (the second time, the threads are at work), look at them, and have them stopped. */
static void *watch(void *arg)
{
	struct watcher *w = arg;
	struct dirent *entry;
	char text[256];
	DIR *dir;

	for (int drawn = 0; drawn < 2;) {
		ssize_t n = read(w->progress_fd, text, sizeof(text) - 1);

		if (n <= 0)
			return NULL;
		text[n] = '\0';
		for (const char *p = text; (p = strstr(p, "memory: ")); p++)
			drawn++;
	}
	dir = opendir("/proc/self/task");
	while (dir && (entry = readdir(dir)))
		if (is_fill(entry->d_name))
			look_at_task(w, atoi(entry->d_name));
	if (dir)
		closedir(dir);
	eventfd_write(w->stop_fd, 1);
	return NULL;
}

START_TEST(threads_are_where_they_should_be_and_stop_when_told)
{
	struct fill_area *area = long_run();
	struct sched_param fifo = {.sched_priority = 1};
	struct watcher w = {0};
	char root_cpus[16], tail[512];
	int fd[2], cpu = 0;
	cpu_set_t mine;
	pthread_t id;
	ssize_t n;

	sched_getaffinity(0, sizeof(mine), &mine);
	while (!CPU_ISSET(cpu, &mine))
		cpu++;
	snprintf(root_cpus, sizeof(root_cpus), "%d\n", cpu);
	fake_root_open();
	fake_root_put("/sys/devices/system/node/node3/cpulist", root_cpus);
	for (unsigned i = 0; i < LONG; i++)
		CPU_SET(3, &area[i].nodes);
	ck_assert_int_eq(pipe2(fd, O_CLOEXEC), 0);
	w.progress_fd = fd[0];
	w.stop_fd = limits.stop_fd = eventfd(0, EFD_CLOEXEC);
	ways = (struct fill_ways){.root = fake_root, .tty_fd = fd[1]};
	ck_assert_int_eq(pthread_create(&id, NULL, watch, &w), 0);
	sched_setscheduler(0, SCHED_FIFO, &fifo); /* where that is permitted, its threads must not be */
	ck_assert_int_eq(fill(area, LONG), -ECANCELED);
	pthread_join(id, NULL);
	ck_assert_uint_eq(w.threads, 1);
	ck_assert_uint_eq(result.threads, 1);
	ck_assert_uint_eq(w.unmasked, 0);
	ck_assert_uint_eq(w.realtime, 0);
	ck_assert_int_eq(CPU_COUNT(&w.seen), 1);
	ck_assert(CPU_ISSET(cpu, &w.seen));
	ck_assert_uint_lt(result.bytes, LONG * FILL_CHUNK);
	close(fd[1]);
	n = read(fd[0], tail, sizeof(tail) - 1);
	ck_assert_int_ge(n, 4);
	tail[n] = '\0';
	ck_assert_str_eq(tail + n - 4, "\r\033[K");
	no_thread_is_left();
	fake_root_close();
	free(area);
}
END_TEST

/* Somebody pressed Ctrl-S: main watches for the end all the same. */
START_TEST(a_terminal_that_stands_still_holds_nothing_up)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), tty;
	struct fill_area *area = long_run();

	if (master < 0 || grantpt(master) || unlockpt(master)) {
		printf("skip: no terminal can be made here: %s\n", strerror(errno));
		return;
	}
	tty = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	ck_assert_int_ge(tty, 0);
	ck_assert_int_eq(tcflow(tty, TCOOFF), 0);
	ways.tty_fd = tty;
	limits.deadline_ns = now_ns() + 50 * 1000000ULL;
	ck_assert_int_eq(fill(area, LONG), -ETIME);
	ck_assert_int_eq(tcflow(tty, TCOON), 0);
	close(tty);
	close(master);
	free(area);
}
END_TEST

START_TEST(progress_in_words)
{
	static const struct {
		uint64_t done, total;
		unsigned threads;
		uint64_t ns;
		const char *line;
	} t[] = {
		{1288490189, 8192 * MIB, 6, 613566756, "memory: 1.2G of 8.0G, 6 threads, 2.1 GB/s"},
		{0, 1024 * MIB, 1, 0, "memory: 0.0G of 1.0G, 1 thread, 0.0 GB/s"},
		{96 * MIB, 512 * MIB, 2, 1000000000, "memory: 96M of 512M, 2 threads, 0.1 GB/s"},
		{1ULL << 42, 1ULL << 42, 32, 1ULL << 37, "memory: 4096.0G of 4096.0G, 32 threads, 32.0 GB/s"},
	};
	char line[96];

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		fill_progress(line, sizeof(line), t[i].done, t[i].total, t[i].threads, t[i].ns);
		ck_assert_str_eq(line, t[i].line);
	}
}
END_TEST

/* A test that was killed in the middle left the pool as it was then. */
int main(void)
{
	const TTest *tests[] = {every_page_is_there_afterwards, what_was_there_stays, nothing_to_fill, many_areas,
	tells_which_page_could_not_be_had, an_empty_pool_is_an_error_and_no_signal, huge_pages_are_filled,
	as_many_threads_as_are_of_use, no_more_threads_than_the_nodes_have_cpus,
	unbound_areas_are_filled_near_their_users, choice_is_what_the_policy_leaves, areas_with_less_choice_come_first, threads_are_shared_out_by_bytes_and_cpus,
	chunks_are_whole_pages, without_threads_main_fills, a_stop_that_is_there_already, a_deadline_that_is_past,
	a_deadline_ends_what_runs, threads_are_where_they_should_be_and_stop_when_told,
	a_terminal_that_stands_still_holds_nothing_up, progress_in_words};
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
