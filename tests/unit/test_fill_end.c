// SPDX-License-Identifier: Apache-2.0
/* Preallocation that is ended early, by a stop or a deadline, and what is seen of it meanwhile. */
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <termios.h>

#include "tests/unit/fill_unit.h"

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

/* Wait for a line that says that something was done: then the threads are at work. Look at them, and have them stopped. */
static void *watch(void *arg)
{
	struct watcher *w = arg;
	struct dirent *entry;
	char text[256];
	double done = 0;
	DIR *dir;

	while (done <= 0) {
		ssize_t n = read(w->progress_fd, text, sizeof(text) - 1);

		if (n <= 0)
			return NULL;
		text[n] = '\0';
		for (const char *p = text; done <= 0 && (p = strstr(p, "memory: ")); p++)
			sscanf(p, "memory: %lf", &done);
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
	static char tail[65536]; /* of a pipe that is full */
	char root_cpus[16];
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

UNIT_MAIN("fill_end", a_stop_that_is_there_already, a_deadline_that_is_past, a_deadline_ends_what_runs,
	threads_are_where_they_should_be_and_stop_when_told, a_terminal_that_stands_still_holds_nothing_up,
	progress_in_words)
