// SPDX-License-Identifier: Apache-2.0
/*
 * Counters of `pinvm perf` on a PMU that is made up: perf_event_open(2), ioctl(2) and read(2) end here. What
 * is opened on which side and in which group, what is done where the kernel refuses, and whose count a number
 * is.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <stdarg.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/unit/said.h"
#include "tests/unit/unit.h"
#include "vmm/perf/counters.h"

#define OPENED 256

/* What is open, by its descriptor. */
static struct {
	bool used, enabled;
	struct perf_event_attr attr;
	pid_t tid;
	int leader;
} opened[OPENED];

/* -errno by what is asked for; 0: it is opened. */
static int (*kernel)(const struct perf_event_attr *attr, pid_t tid);

long __wrap_syscall(long number, ...);
ssize_t __wrap_read(int fd, void *buffer, size_t n);
ssize_t __real_read(int fd, void *buffer, size_t n);
int __wrap_ioctl(int fd, unsigned long request, ...);
int __wrap_close(int fd);
int __real_close(int fd);

long __wrap_syscall(long number, ...)
{
	const struct perf_event_attr *attr;
	va_list ap;
	pid_t tid;
	int fd, cpu, leader, err;

	ck_assert_int_eq(number, SYS_perf_event_open);
	va_start(ap, number);
	attr = va_arg(ap, const struct perf_event_attr *);
	tid = va_arg(ap, pid_t);
	cpu = va_arg(ap, int);
	leader = va_arg(ap, int);
	ck_assert_uint_eq(va_arg(ap, unsigned long), PERF_FLAG_FD_CLOEXEC);
	va_end(ap);
	ck_assert_int_eq(cpu, -1);
	ck_assert_uint_eq(attr->size, sizeof(*attr));
	err = kernel ? kernel(attr, tid) : 0;
	if (err) {
		errno = -err;
		return -1;
	}
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	ck_assert(fd > 2 && fd < OPENED);
	opened[fd].used = true;
	opened[fd].enabled = false;
	opened[fd].attr = *attr;
	opened[fd].tid = tid;
	opened[fd].leader = leader;
	return fd;
}

/* A number that says whose count it is. */
static uint64_t count_of(const struct perf_event_attr *attr, pid_t tid)
{
	return tid * 1000000ULL + attr->exclude_host * 100000ULL + attr->exclude_guest * 200000ULL +
	       attr->type * 1000 + attr->config % 1000;
}

ssize_t __wrap_read(int fd, void *buffer, size_t n)
{
	uint64_t *data = buffer;

	if (!opened[fd].used)
		return __real_read(fd, buffer, n); /* kernel.perf_event_paranoid */
	ck_assert(opened[fd].enabled);
	ck_assert_int_eq(opened[fd].leader, -1);
	data[0] = 0;
	data[1] = 400;
	data[2] = opened[fd].attr.exclude_host ? 100 : 400;
	for (int i = 0; i < OPENED; i++)
		if (opened[i].used && (i == fd || opened[i].leader == fd))
			data[3 + data[0]++] = count_of(&opened[i].attr, opened[i].tid);
	ck_assert_uint_le((3 + data[0]) * sizeof(*data), n);
	return (3 + data[0]) * sizeof(*data);
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	ck_assert(opened[fd].used && opened[fd].leader == -1);
	ck_assert_uint_eq(request, PERF_EVENT_IOC_ENABLE);
	opened[fd].enabled = true;
	return 0;
}

int __wrap_close(int fd)
{
	if (fd >= 0 && fd < OPENED)
		opened[fd].used = false;
	return __real_close(fd);
}

static struct perf_thread two[2] = {{11, 0, "vcpu0"}, {12, 1, "vcpu1"}};
static struct perf_guest guest = {.name = (char *)"vm", .pid = 10, .thread = two, .n = 2};
static struct perf_selection s;
static struct perf_counters c;

static int setup(const char *list)
{
	static const struct perf_machine machine = {
		.pmu = "cpu", .pmu_type = 4, .vendor = "AuthenticAMD", .family = 0x19, .model = 1};

	lines = 0;
	ck_assert_int_eq(perf_select("/nonexistent", &machine, list, &s), 0);
	return perf_counters_open(&c, &guest, &s, list);
}

static unsigned still_open(void)
{
	unsigned n = 0;

	for (int i = 0; i < OPENED; i++)
		n += opened[i].used;
	return n;
}

static const struct perf_count *at(unsigned thread, const char *name, enum perf_side side)
{
	for (unsigned i = 0; i < s.n; i++)
		if (!strcmp(s.event[i].name, name))
			return &c.count[perf_at(&s, thread, i, side)];
	ck_abort_msg("%s is not counted", name);
}

START_TEST(guest_and_host_apart)
{
	ck_assert_int_eq(setup("cycles,instructions,page-walks,cs,faults,r1c"), 0);
	/* Four of the CPU's on two sides, two of the kernel's on one, two threads. */
	ck_assert_uint_eq(still_open(), 2 * (4 * 2 + 2));
	for (int i = 0; i < OPENED; i++) {
		const struct perf_event_attr *a = &opened[i].attr;
		int leader = opened[i].leader;

		if (!opened[i].used)
			continue;
		ck_assert_int_eq(a->exclude_host + a->exclude_guest, a->type != PERF_TYPE_SOFTWARE);
		ck_assert_int_eq(a->disabled, leader < 0); /* a group starts with its leader */
		ck_assert(!a->inherit && !a->exclude_kernel && !a->exclude_hv);
		if (leader < 0)
			continue;
		ck_assert(opened[leader].used && opened[leader].leader == -1);
		ck_assert_int_eq(opened[leader].tid, opened[i].tid);
		ck_assert_uint_eq(opened[leader].attr.exclude_host, a->exclude_host);
		ck_assert_uint_eq(opened[leader].attr.exclude_guest, a->exclude_guest);
		ck_assert(a->type == PERF_TYPE_SOFTWARE || a->config == PERF_COUNT_HW_INSTRUCTIONS);
	}
	perf_counters_close(&c);
	ck_assert_uint_eq(still_open(), 0);
}
END_TEST

START_TEST(each_count_is_its_own)
{
	static const struct {
		const char *name;
		uint32_t type;
		uint64_t config;
	} hard[] = {{"cycles", 0, 0}, {"instructions", 0, 1}, {"dTLB-loads", 3, 3},
		{"dTLB-load-misses", 3, 0x10003}, {"page-walks", 4, 0xf045}, {"r1c", 4, 0x1c}},
	  soft[] = {{"context-switches", 1, 3}, {"page-faults", 1, 2}, {"task-clock", 1, 1}};

	ck_assert_int_eq(
		setup("cycles,instructions,dTLB-loads,dTLB-load-misses,page-walks,cs,faults,task-clock,r1c"),
		0);
	ck_assert_int_eq(perf_counters_read(&c), 0);
	for (unsigned t = 0; t < 2; t++) {
		for (size_t i = 0; i < sizeof(hard) / sizeof(hard[0]); i++) {
			struct perf_event_attr attr = {
				.type = hard[i].type, .config = hard[i].config, .exclude_host = 1};

			ck_assert_uint_eq(at(t, hard[i].name, PERF_GUEST)->value, count_of(&attr, 11 + t));
			ck_assert_uint_eq(at(t, hard[i].name, PERF_GUEST)->running, 100);
			attr.exclude_host = 0;
			attr.exclude_guest = 1;
			ck_assert_uint_eq(at(t, hard[i].name, PERF_HOST)->value, count_of(&attr, 11 + t));
			ck_assert_uint_eq(at(t, hard[i].name, PERF_HOST)->running, 400);
			ck_assert_uint_eq(at(t, hard[i].name, PERF_BOTH)->value, 0);
		}
		for (size_t i = 0; i < sizeof(soft) / sizeof(soft[0]); i++) {
			struct perf_event_attr attr = {.type = soft[i].type, .config = soft[i].config};

			ck_assert_uint_eq(at(t, soft[i].name, PERF_BOTH)->value, count_of(&attr, 11 + t));
			ck_assert_uint_eq(at(t, soft[i].name, PERF_BOTH)->enabled, 400);
		}
	}
	perf_counters_close(&c);
}
END_TEST

static int no_split(const struct perf_event_attr *attr, pid_t tid)
{
	return attr->exclude_host || attr->exclude_guest ? -EOPNOTSUPP : 0;
}

/* A PMU that cannot tell a guest from its host counts both. */
START_TEST(both_where_they_cannot_be_told_apart)
{
	kernel = no_split;
	ck_assert_int_eq(setup("cycles,instructions"), 0);
	ck_assert(!s.event[0].split && !s.event[1].split);
	ck_assert_uint_eq(still_open(), 4);
	ck_assert_int_eq(perf_counters_read(&c), 0);
	ck_assert_uint_eq(at(1, "instructions", PERF_BOTH)->value, 12000001);
	perf_counters_close(&c);
}
END_TEST

static int no_dtlb(const struct perf_event_attr *attr, pid_t tid)
{
	return attr->type == PERF_TYPE_HW_CACHE && attr->config == 3 ? -ENOENT : 0;
}

/* Of the usual events one that is not there is left out, and said; one that was asked for is an error. */
START_TEST(events_that_are_not_there)
{
	kernel = no_dtlb;
	ck_assert_int_eq(setup(NULL), 0);
	ck_assert_uint_eq(s.n, 12);
	ck_assert_uint_eq(s.nmissing, 1);
	ck_assert_str_eq(s.missing[0].name, "dTLB-loads");
	ck_assert_uint_eq(lines, 0);
	ck_assert_int_eq(perf_counters_read(&c), 0);
	ck_assert_uint_eq(at(0, "dTLB-load-misses", PERF_HOST)->value, 11203000 + 0x10003 % 1000);
	perf_counters_close(&c);
	ck_assert_int_eq(setup("cs,dTLB-loads"), -ENOENT);
	ck_assert_str_eq(said, "perf: -e dTLB-loads: this CPU or its kernel does not count it");
	ck_assert_uint_eq(lines, 1);
	perf_counters_close(&c);
	ck_assert_uint_eq(still_open(), 0);
}
END_TEST

static int no_right(const struct perf_event_attr *attr, pid_t tid)
{
	return -EACCES;
}

static int no_files(const struct perf_event_attr *attr, pid_t tid)
{
	return still_open() == 7 ? -EMFILE : 0;
}

static int second_gone(const struct perf_event_attr *attr, pid_t tid)
{
	return tid == 12 ? -ESRCH : 0;
}

START_TEST(refusals_are_one_line)
{
	kernel = no_right;
	ck_assert_int_eq(setup(NULL), -EACCES);
	ck_assert_uint_eq(lines, 1);
	ck_assert_ptr_nonnull(strstr(said, "not permitted"));
	perf_counters_close(&c);
	kernel = no_files;
	ck_assert_int_eq(setup(NULL), -EMFILE);
	ck_assert_uint_eq(lines, 1);
	ck_assert_ptr_nonnull(strstr(said, "limit of open files"));
	perf_counters_close(&c);
	ck_assert_uint_eq(still_open(), 0);
	kernel = second_gone;
	ck_assert_int_eq(setup(NULL), -ESRCH);
	ck_assert_uint_eq(lines, 0);
	perf_counters_close(&c);
	ck_assert_uint_eq(still_open(), 0);
}
END_TEST

UNIT_MAIN("perf_counters", guest_and_host_apart, each_count_is_its_own, both_where_they_cannot_be_told_apart,
	events_that_are_not_there, refusals_are_one_line)
