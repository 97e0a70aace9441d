// SPDX-License-Identifier: Apache-2.0
/* Counts of `pinvm perf stat`: arithmetic, table and JSON of made-up counts, and real ones of this program's
 * own threads. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/unit/said.h"
#include "tests/unit/unit.h"
#include "vmm/hostfile.h"
#include "vmm/perf/counters.h"
#include "vmm/perf/show.h"

START_TEST(counts_are_scaled)
{
	static const struct {
		struct perf_count count;
		struct perf_value value;
	} some[] = {
		{{1000, 500, 500}, {true, 1000, 1}},
		{{1000, 500, 600}, {true, 1000, 1}}, /* two clocks need not agree */
		{{1000, 400, 100}, {true, 4000, 0.25}},
		{{0, 400, 100}, {true, 0, 0.25}},
		{{0, 0, 0}, {true, 0, 1}},    /* on no CPU: nothing, for certain */
		{{0, 400, 0}, {false, 0, 0}}, /* on a CPU, and the counter was never on */
		{{UINT64_MAX / 2, 4000000000000, 3000000000000}, {true, 12297829382473034409u, 0.75}},
		{{UINT64_MAX / 2, 400, 1}, {true, UINT64_MAX, 0.0025}},
	};

	for (size_t i = 0; i < sizeof(some) / sizeof(some[0]); i++) {
		struct perf_value v = perf_scale(&some[i].count);

		ck_assert_int_eq(v.known, some[i].value.known);
		ck_assert_uint_eq(v.n, some[i].value.n);
		ck_assert_double_eq_tol(v.counted, some[i].value.counted, 1e-9);
	}
}
END_TEST

START_TEST(counts_since_and_sums)
{
	struct perf_count before = {100, 50, 20}, now = {180, 90, 40},
			  since = perf_count_since(&now, &before);
	struct perf_value a = {true, 5, 0.5}, b = {true, 7, 1}, never = {false, 0, 0}, sum;

	ck_assert_uint_eq(since.value, 80);
	ck_assert_uint_eq(since.enabled, 40);
	ck_assert_uint_eq(since.running, 20);
	sum = perf_sum(&a, &b);
	ck_assert(sum.known);
	ck_assert_uint_eq(sum.n, 12);
	ck_assert_double_eq_tol(sum.counted, 0.5, 1e-9);
	sum = perf_sum(&a, &never);
	ck_assert(!sum.known);
}
END_TEST

/* ---- what is shown ---- */

static struct perf_thread two[2] = {{101, 0, "vcpu0"}, {102, 1, "vcpu1"}};
static struct perf_guest guest = {.name = (char *)"vm", .pid = 100, .thread = two, .n = 2};
static struct perf_machine machine = {.pmu = "cpu"};
static struct perf_selection events = {
	.event = {{"cycles", .split = true}, {"instructions", .split = true}, {"cs"},
		{"task-clock", .time = true, .group = 1}},
	.n = 4,
	.missing = {{"page-walks", "not known"}},
	.nmissing = 1,
};
static struct perf_value value[2 * 4 * PERF_SIDES];
static const struct perf_interval interval = {&guest, &events, &machine, value, 2.0};

static void put(unsigned thread, unsigned event, enum perf_side side, uint64_t n, double counted)
{
	value[perf_at(&events, thread, event, side)] = (struct perf_value){counted > 0, n, counted};
}

static void setup_values(void)
{
	put(0, 0, PERF_GUEST, 3000000, 0.5);
	put(0, 0, PERF_HOST, 200, 1);
	put(0, 1, PERF_GUEST, 1500000, 0.5);
	put(0, 1, PERF_HOST, 0, 1);
	put(0, 2, PERF_BOTH, 12, 1);
	put(0, 3, PERF_BOTH, 1500000000, 1);
	put(1, 0, PERF_GUEST, 0, 0);
	put(1, 0, PERF_HOST, 100, 1);
	put(1, 1, PERF_GUEST, 0, 0);
	put(1, 1, PERF_HOST, 50, 1);
	put(1, 2, PERF_BOTH, 1000, 1);
	put(1, 3, PERF_BOTH, 0, 1);
}

START_TEST(the_table)
{
	static const char *const wanted[] = {
		"vm, pid 100: 2.000 s",
		"vcpu0 (tid 101)                         guest               host               both",
		"  cycles                            3,000,000                200                      scaled from 50 % / 100 %",
		"  instructions                      1,500,000                  0                      scaled from 50 % / 100 %",
		"  CPI                                    2.00",
		"  cs                                                                             12",
		"  task-clock                                                            1500.000 ms   0.750 CPUs",
		"vcpu1 (tid 102)                         guest               host               both",
		"  cycles                          not counted                100",
		"  instructions                    not counted                 50",
		"  CPI                                                       2.00",
		"  cs                                                                          1,000",
		"  task-clock                                                               0.000 ms   0.000 CPUs",
		"all 2                                   guest               host               both",
		"  cycles                          not counted                300",
		"  instructions                    not counted                 50",
		"  CPI                                                       6.00",
		"  cs                                                                          1,012",
		"  task-clock                                                            1500.000 ms   0.750 CPUs",
	};
	char *text, *line, *save;
	unsigned i = 0;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	setup_values();
	perf_show(f, &interval);
	fclose(f);
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		ck_assert_uint_lt(i, sizeof(wanted) / sizeof(wanted[0]));
		ck_assert_str_eq(line, wanted[i++]);
	}
	ck_assert_uint_eq(i, sizeof(wanted) / sizeof(wanted[0]));
	free(text);
}
END_TEST

START_TEST(the_json)
{
	json_t *json, *vcpu, *counts;
	const char *side;
	int index;

	setup_values();
	json = perf_json(&interval);
	ck_assert_ptr_nonnull(json);
	ck_assert_str_eq(json_string_value(json_object_get(json, "pmu")), "cpu");
	ck_assert_uint_eq(json_array_size(json_object_get(json, "events")), 4);
	ck_assert_uint_eq(json_array_size(json_object_get(json, "missing")), 1);
	ck_assert_uint_eq(json_array_size(json_object_get(json, "vcpus")), 2);
	ck_assert_uint_eq(json_array_size(json_object_get(json, "threads")), 0);
	vcpu = json_array_get(json_object_get(json, "vcpus"), 1);
	ck_assert_int_eq(json_unpack(vcpu, "{s:i, s:o}", "index", &index, "counts", &counts), 0);
	ck_assert_int_eq(index, 1);
	ck_assert(json_is_null(
		json_object_get(json_object_get(json_object_get(counts, "cycles"), "guest"), "count")));
	ck_assert_ptr_null(json_object_get(json_object_get(counts, "cycles"), "both"));
	ck_assert_ptr_null(json_object_get(json_object_get(counts, "cs"), "guest"));
	counts = json_object_get(json_object_get(json, "total"), "counts");
	ck_assert_int_eq(json_integer_value(json_object_get(
				 json_object_get(json_object_get(counts, "cs"), "both"), "count")),
		1012);
	json_object_foreach(
		json_object_get(json_object_get(json_object_get(json, "total"), "ratios"), "cpi"), side, vcpu)
	{
		ck_assert_str_eq(side, "host");
		ck_assert_double_eq_tol(json_real_value(vcpu), 6.0, 1e-9);
	}
	json_decref(json);
}
END_TEST

/* ---- the guest's threads ---- */

START_TEST(threads_of_a_report)
{
	static const char text[] = "{\"vcpus\": [{\"index\": 0, \"tid\": 11}, {\"index\": 1, \"tid\": 12}],"
				   "\"threads\": [{\"name\": \"io:main\", \"tid\": 13}, {\"name\": \"iou-wrk "
				   "io:main\", \"tid\": null},"
				   "{\"name\": \"bad\\u001b[2J\", \"tid\": 14}, {\"name\": \"huge\", "
				   "\"tid\": 99999999999}, {\"tid\": 15}, 7]}";
	json_t *report = json_loads(text, 0, NULL),
	       *none = json_pack("{s:[], s:s}", "vcpus", "threads", "none");
	struct perf_guest g = {.pidfd = -1};

	ck_assert_int_eq(perf_guest_threads(&g, report, false), 0);
	ck_assert_uint_eq(g.n, 2);
	ck_assert_int_eq(g.thread[1].tid, 12);
	ck_assert_int_eq(g.thread[1].vcpu, 1);
	ck_assert_str_eq(g.thread[1].name, "vcpu1");
	perf_guest_free(&g);
	g = (struct perf_guest){.pidfd = -1};
	ck_assert_int_eq(perf_guest_threads(&g, report, true), 0);
	ck_assert_uint_eq(g.n, 3);
	ck_assert_int_eq(g.thread[2].vcpu, -1);
	ck_assert_str_eq(g.thread[2].name, "io:main");
	perf_guest_free(&g);
	g = (struct perf_guest){.pidfd = -1};
	ck_assert_int_eq(perf_guest_threads(&g, none, true), -EPROTO);
	perf_guest_free(&g);
	json_decref(report);
	json_decref(none);
}
END_TEST

/* ---- the kernel's counters ---- */

START_TEST(refusals_say_what_helps)
{
	char text[320];

	perf_refusal(-EACCES, 2, text, sizeof(text));
	ck_assert_ptr_nonnull(strstr(text, "kernel.perf_event_paranoid is 2"));
	ck_assert_ptr_nonnull(strstr(text, "CAP_PERFMON"));
	perf_refusal(-EACCES, 1, text, sizeof(text));
	ck_assert_ptr_nonnull(strstr(text, "another user"));
	perf_refusal(-EPERM, -2, text, sizeof(text));
	ck_assert_ptr_nonnull(strstr(text, "filter of system calls"));
}
END_TEST

static pthread_barrier_t turn;
static pid_t sleeper;

static void *sleeps(void *arg)
{
	sleeper = syscall(SYS_gettid);
	pthread_barrier_wait(&turn);
	pthread_barrier_wait(&turn);
	return NULL;
}

/* On its way there it may take faults. */
static bool is_asleep(pid_t tid)
{
	char path[64], text[512];
	const char *name_end;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	if (hostfile_text("", path, text, sizeof(text)))
		return false;
	name_end = strrchr(text, ')');
	return name_end && !strncmp(name_end, ") S", 3);
}

static void touch(unsigned pages)
{
	volatile char *p =
		mmap(NULL, pages * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne((void *)p, MAP_FAILED);
	ck_assert_int_eq(madvise((void *)p, pages * 4096, MADV_NOHUGEPAGE), 0);
	for (unsigned i = 0; i < pages; i++)
		p[i * 4096] = 1;
}

/* Faults of one thread are not those of the other. */
START_TEST(software_events_count)
{
	struct perf_selection soft;
	struct perf_thread own[2] = {{.vcpu = 0}, {.vcpu = 1}};
	struct perf_guest self = {.thread = own, .n = 2};
	struct perf_counters c;
	pthread_t thread;
	int err;

	ck_assert_int_eq(
		perf_select("", &(struct perf_machine){.pmu = ""}, "faults,task-clock,cs", &soft), 0);
	pthread_barrier_init(&turn, NULL, 2);
	ck_assert_int_eq(pthread_create(&thread, NULL, sleeps, NULL), 0);
	pthread_barrier_wait(&turn);
	while (!is_asleep(sleeper)) /* in its second wait: the first is over */
		sched_yield();
	own[0].tid = syscall(SYS_gettid);
	own[1].tid = sleeper;
	err = perf_counters_open(&c, &self, &soft, true);
	if (err == -EACCES || err == -EPERM || err == -ENOSYS) {
		printf("skip: perf_event_open(2) is refused here: %s\n", strerror(-err));
	} else {
		ck_assert_int_eq(err, 0);
		touch(64);
		ck_assert_int_eq(perf_counters_read(&c), 0);
		ck_assert_str_eq(soft.event[1].name, "page-faults");
		ck_assert_uint_ge(c.count[perf_at(&soft, 0, 1, PERF_BOTH)].value, 64);
		ck_assert_uint_eq(c.count[perf_at(&soft, 1, 1, PERF_BOTH)].value, 0);
		ck_assert_uint_gt(c.count[perf_at(&soft, 0, 2, PERF_BOTH)].value, 0);
		ck_assert_uint_eq(c.count[perf_at(&soft, 0, 1, PERF_GUEST)].value, 0);
	}
	perf_counters_close(&c);
	pthread_barrier_wait(&turn);
	pthread_join(thread, NULL);
}
END_TEST

START_TEST(threads_that_ended)
{
	struct perf_selection soft;
	struct perf_thread gone = {.tid = 0x7ffffff0};
	struct perf_guest none = {.thread = &gone, .n = 1};
	struct perf_counters c;
	int err;

	ck_assert_int_eq(perf_select("", &(struct perf_machine){.pmu = ""}, NULL, &soft), 0);
	err = perf_counters_open(&c, &none, &soft, false);
	if (err == -EACCES || err == -EPERM || err == -ENOSYS)
		printf("skip: perf_event_open(2) is refused here: %s\n", strerror(-err));
	else
		ck_assert_int_eq(err, -ESRCH);
	perf_counters_close(&c);
}
END_TEST

UNIT_MAIN("perf_stat", counts_are_scaled, counts_since_and_sums, the_table, the_json, threads_of_a_report,
	refusals_say_what_helps, software_events_count, threads_that_ended)
