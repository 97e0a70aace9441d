// SPDX-License-Identifier: Apache-2.0
/* What speaks against a plan of threads, on hosts made up for it; the CPUs are this process's own. */
#include <errno.h>
#include <regex.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "tests/unit/fake_root.h"
#include "tests/unit/place_unit.h"
#include "vmm/log.h"
#include "vmm/place/place.h"

static struct guest_config cfg;

#define RULES 6

static bool forced;
static enum tristate hlt;
static unsigned guest_threads = 1;

static int plan(bool strict, unsigned vcpus, const char *const rule[RULES])
{
	char text[RULES][64], *pins[RULES], *scheds[RULES];
	struct place place;
	int err;

	memset(&cfg, 0, sizeof(cfg));
	cfg.cpus.count = vcpus;
	cfg.cpus.threads = guest_threads;
	cfg.strict_placement = strict;
	cfg.force = forced;
	cfg.exits.hlt = hlt;
	cfg.pins = pins;
	cfg.scheds = scheds;
	for (unsigned i = 0; i < RULES && rule[i]; i++) {
		spell(rule[i] + 1, text[i], sizeof(text[i]));
		if (rule[i][0] == 'p')
			pins[cfg.npins++] = text[i];
		else
			scheds[cfg.nscheds++] = text[i];
	}
	err = place_plan_at(&place, &cfg, fake_root);
	if (!err)
		place_free(&place);
	return err;
}

static void host(const char *runtime, const char *isolated)
{
	char text[64];

	fake_root_open();
	snprintf(text, sizeof(text), "%d,%d\n", lo, hi);
	fake_root_put("/sys/devices/system/cpu/online", text);
	fake_root_put("/sys/devices/system/cpu/isolated", spell(isolated, text, sizeof(text)));
	fake_root_put("/proc/sys/kernel/sched_rt_runtime_us", runtime);
}

/* p: --pin, s: --sched. says NULL: nobody doubts it. */
static const struct {
	const char *says;
	unsigned vcpus;
	const char *rule[RULES];
	const char *isolated, *runtime;
} doubts[] = {
	{NULL, 2, {"pvcpu=A,B/each"}},
	{NULL, 4, {NULL}},
	{"vcpu0-1 share CPU", 2, {"pvcpu=A"}},
	{NULL, 2, {"pvcpu=A,B"}}, /* they float */
	{NULL, 1, {"pvcpu=A", "svcpu=fifo:1"}}, /* all others float, and find the other CPU */
	{"take every CPU this process may use", 2, {"svcpu=fifo:1"}},
	{"take every CPU this process may use", 2, {"pvcpu=A,B/each", "svcpu=rr:1"}},
	{NULL, 1, {"svcpu=fifo:1"}}, /* floats over two */
	{"io:main has only CPU", 1, {"pvcpu=A", "piothread=A", "pemulator=B", "svcpu=fifo:1"}},
	{"emulator has only CPU", 1, {"pvcpu=A", "piothread=B", "pemulator=A", "svcpu=fifo:1"}},
	{"io:main has only CPU", 1, {"pvcpu=A", "piothread=A", "svcpu=fifo:5", "siothread=fifo:5"}},
	{NULL, 1, {"pvcpu=A", "piothread=A", "svcpu=batch"}},
	{NULL, 1, {"pvcpu=A", "piothread=A,B", "svcpu=fifo:1"}},
	{"preempts vcpu0", 1, {"pvcpu=A", "piothread=A", "siothread=fifo:5"}},
	{"preempts vcpu0", 1, {"pvcpu=A", "piothread=A", "siothread=rr:5", "svcpu=fifo:4"}},
	{NULL, 1, {"pvcpu=A", "piothread=B", "siothread=fifo:5"}},
	{"sched_rt_runtime_us is -1", 1, {"pvcpu=A", "svcpu=fifo:1"}, "B\n", "-1\n"},
	{NULL, 1, {"pvcpu=A", "svcpu=fifo:1"}, "A\n", "-1\n"},
	{NULL, 1, {"pvcpu=A"}, "\n", "-1\n"},
};

START_TEST(doubts_are_refusals_only_when_strict)
{
	const char *says = doubts[_i].says;

	if (!only_two_cpus())
		return;
	host(doubts[_i].runtime ? doubts[_i].runtime : "950000\n", doubts[_i].isolated ? doubts[_i].isolated : "\n");
	ck_assert_int_eq(plan(false, doubts[_i].vcpus, doubts[_i].rule), 0);
	ck_assert_str_eq(log_first_error(), "");
	ck_assert_int_eq(plan(true, doubts[_i].vcpus, doubts[_i].rule), says ? -EINVAL : 0);
	ck_assert_msg(strstr(log_first_error(), says ? says : ""), "%s", log_first_error());
	ck_assert_msg(!says == !strstr(log_first_error(), "(--strict-placement)"), "%s", log_first_error());
	fake_root_close();
}
END_TEST

/* A busy real-time vCPU never gives way to another of no higher priority, except in rr to its equals. */
static const struct {
	const char *says;
	unsigned vcpus;
	const char *rule[RULES];
} hangs[] = {
	{"--sched vcpu=fifo:1: vcpu0-1 have only CPU A,", 2, {"pvcpu=A", "svcpu=fifo:1"}},
	{"--sched vcpu0=fifo:1: vcpu0-1 have only CPU A,", 2, {"pvcpu=A", "svcpu0=fifo:1", "svcpu1=fifo:2"}},
	{"--sched vcpu1=rr:1: vcpu0-1 have only CPU A, where a busy one may keep vcpu1 waiting for ever", 2,
		{"pvcpu=A", "svcpu0=fifo:1", "svcpu1=rr:1"}},
	{"take turns .--sched vcpu=rr:3", 2, {"pvcpu=A", "svcpu0=rr:5", "svcpu1=rr:3"}},
	{"vcpu0,2 have only CPU A,", 3, {"pvcpu0=A", "pvcpu1=B", "pvcpu2=A", "svcpu=fifo:1"}},
	{"vcpu0-2 have only CPU A-B,", 3, {"svcpu=fifo:1"}},
	{"vcpu0-2 have only CPU A-B,", 3, {"pvcpu0=A", "svcpu=fifo:1"}},
	{NULL, 2, {"pvcpu=A", "svcpu=rr:1"}},
	{NULL, 2, {"pvcpu=A", "svcpu0=fifo:1"}}, /* slow, and the kernel keeps a share for the other */
	{NULL, 2, {"svcpu=fifo:1"}},
	{NULL, 2, {"pvcpu=A,B/each", "svcpu=fifo:1"}},
	{NULL, 3, {"svcpu0=fifo:2", "svcpu1=rr:1", "svcpu2=rr:1"}},
};

static void check_hang(int i, const char *says)
{
	char text[128];

	forced = false;
	ck_assert_int_eq(plan(false, hangs[i].vcpus, hangs[i].rule), says ? -EINVAL : 0);
	if (says) {
		regex_t re;

		ck_assert_int_eq(regcomp(&re, spell(says, text, sizeof(text)), REG_NOSUB), 0);
		ck_assert_msg(!regexec(&re, log_first_error(), 0, NULL, 0), "%s", log_first_error());
		ck_assert_msg(strstr(log_first_error(), "--force"), "%s", log_first_error());
		regfree(&re);
	}
	forced = true;
	ck_assert_int_eq(plan(false, hangs[i].vcpus, hangs[i].rule), 0);
}

START_TEST(real_time_vcpus_that_never_give_way_are_refused_unless_forced)
{
	const char *says = hangs[_i].says;

	if (!only_two_cpus())
		return;
	if (hi != lo + 1 && says && strstr(says, "A-B")) {
		puts("skip: the list of these two CPUs is written in another way");
		return;
	}
	host("950000\n", "\n");
	check_hang(_i, says);
	fake_root_close();
}
END_TEST

/* 0: as it was started. 1: what it starts is ordinary again. */
START_TEST(a_real_time_policy_may_be_inherited)
{
	struct sched_param one = {.sched_priority = 1};

	if (!only_two_cpus())
		return;
	host("950000\n", "\n");
	if (sched_setscheduler(0, SCHED_FIFO | (_i ? SCHED_RESET_ON_FORK : 0), &one) < 0) {
		puts("skip: this user may not have a real-time policy");
	} else {
		forced = false;
		ck_assert_int_eq(plan(false, 2, (const char *[RULES]){"pvcpu=A"}), _i ? 0 : -EINVAL);
		ck_assert_msg(strstr(log_first_error(), _i ? "" : "the policy pinvm was started with: vcpu0-1 have only CPU"), "%s",
			log_first_error());
	}
	fake_root_close();
}
END_TEST

static void siblings(int of, const char *list)
{
	char path[96], text[64];

	snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", of);
	fake_root_put(path, spell(list, text, sizeof(text)));
}

/* The host's core under the two CPUs, or one for each; and what the guest was told. */
static const struct {
	const char *says;
	bool one_core;
	unsigned vcpus, threads;
	const char *rule[RULES];
} cores[] = {
	{NULL, false, 2, 1, {"pvcpu=A,B/each"}},
	{"vcpu0-1 sit on threads of one core (CPUs A,B): they slow each other", true, 2, 1, {"pvcpu=A,B/each"}},
	{"tell the guest with --cpus N,threads=2", true, 2, 1, {"pvcpu=A,B/each"}},
	{NULL, true, 2, 2, {"pvcpu=A,B/each"}},
	/* Threads there are, but these two are of different cores to the guest. */
	{"vcpu0,2 sit on threads of one core (CPUs A,B)", true, 4, 2, {"pvcpu0=A", "pvcpu2=B"}},
	{"put there vCPUs that are of one core to the guest", true, 4, 2, {"pvcpu0=A", "pvcpu2=B"}},
	{NULL, false, 4, 2, {"pvcpu0=A", "pvcpu2=B"}},
	{"vcpu0-1 are threads of one core to the guest and of several here (CPUs A,B)", false, 2, 2, {"pvcpu=A,B/each"}},
	{"vcpu2-3 are threads of one core to the guest", false, 4, 2, {"pvcpu2=A", "pvcpu3=B"}},
	{NULL, false, 4, 2, {"pvcpu1=A", "pvcpu2=B"}},
	{NULL, false, 4, 2, {"pvcpu1=A"}},
};

/* A and B in the list of two CPUs. */
static const char *spell_pair(const char *says, char *out, size_t n)
{
	char pair[32];
	const char *at = strstr(says, "A,B");

	snprintf(pair, sizeof(pair), hi == lo + 1 ? "%d-%d" : "%d,%d", lo, hi);
	snprintf(out, n, "%.*s%s%s", at ? (int)(at - says) : (int)strlen(says), says, at ? pair : "", at ? at + 3 : "");
	return out;
}

START_TEST(cores_of_the_guest_are_cores_of_the_host)
{
	const char *says = cores[_i].says;
	char text[128];

	if (!only_two_cpus())
		return;
	host("950000\n", "\n");
	guest_threads = cores[_i].threads;
	siblings(lo, cores[_i].one_core ? "A,B\n" : "A\n");
	siblings(hi, cores[_i].one_core ? "A,B\n" : "B\n");
	ck_assert_int_eq(plan(false, cores[_i].vcpus, cores[_i].rule), 0);
	ck_assert_int_eq(plan(true, cores[_i].vcpus, cores[_i].rule), says ? -EINVAL : 0);
	ck_assert_msg(strstr(log_first_error(), says ? spell_pair(says, text, sizeof(text)) : ""), "%s", log_first_error());
	fake_root_close();
}
END_TEST

/* How many warnings a plan makes; they are lines in a file. */
static unsigned warnings(unsigned vcpus, const char *const rule[RULES])
{
	int save = dup(STDERR_FILENO);
	FILE *file = tmpfile();
	char line[512];
	unsigned n = 0;

	ck_assert(file && save >= 0);
	ck_assert_int_ge(dup2(fileno(file), STDERR_FILENO), 0);
	ck_assert_int_eq(plan(false, vcpus, rule), 0);
	ck_assert_int_ge(dup2(save, STDERR_FILENO), 0);
	close(save);
	rewind(file);
	while (fgets(line, sizeof(line), file))
		n += strstr(line, "warning") != NULL;
	fclose(file);
	return n;
}

/* A guest that halts on the core itself, and others on that core. */
static const struct {
	const char *says;
	unsigned vcpus;
	const char *rule[RULES];
} kept[] = {
	{"vcpu0's and vcpu1's", 2, {"pvcpu=A"}},
	{"vcpu0's and vcpu2's", 3, {"pvcpu=A,B"}},
	{"vcpu0's and io:main's", 1, {"pvcpu=A", "piothread=A"}},
	{"vcpu0's and emulator's", 1, {"pvcpu=A", "pemulator=A"}},
	{NULL, 2, {"pvcpu=A,B/each"}},
	{NULL, 2, {"pvcpu=A,B"}},
	{NULL, 4, {NULL}}, /* they float: nobody said that they share */
	{NULL, 1, {"pvcpu=A", "piothread=B"}},
};

START_TEST(halts_that_stay_in_the_guest_share_no_cpu)
{
	const char *says = kept[_i].says;

	if (!only_two_cpus())
		return;
	host("950000\n", "\n");
	hlt = TRI_OFF;
	ck_assert_int_eq(plan(false, kept[_i].vcpus, kept[_i].rule), says ? -EINVAL : 0);
	ck_assert_msg(strstr(log_first_error(), says ? says : ""), "%s", log_first_error());
	ck_assert_msg(!says == !strstr(log_first_error(), "--force starts it"), "%s", log_first_error());
	forced = true;
	ck_assert_int_eq(plan(false, kept[_i].vcpus, kept[_i].rule), 0);
	forced = false;
	hlt = TRI_DEFAULT;
	ck_assert_int_eq(plan(false, kept[_i].vcpus, kept[_i].rule), 0);
	fake_root_close();
}
END_TEST

START_TEST(many_vcpus_on_a_cpu_are_one_warning)
{
	char says[64];

	if (!only_two_cpus())
		return;
	host("950000\n", "\n");
	ck_assert_uint_eq(warnings(8, (const char *[RULES]){"pvcpu=A"}), 1);
	ck_assert_uint_eq(warnings(9, (const char *[RULES]){"pvcpu=A", "pvcpu1=B", "pvcpu4=B"}), 2);
	ck_assert_uint_eq(warnings(9, (const char *[RULES]){"pvcpu=A", "pvcpu1=A,B", "pvcpu4=B"}), 1);
	siblings(lo, "A,B\n");
	siblings(hi, "A,B\n");
	ck_assert_uint_eq(warnings(8, (const char *[RULES]){"pvcpu=A", "pvcpu1=B"}), 2);
	ck_assert_int_eq(plan(true, 8, (const char *[RULES]){"pvcpu=A"}), -EINVAL);
	snprintf(says, sizeof(says), "--pin: vcpu0-7 share CPU %d: each waits while another runs", lo);
	ck_assert_msg(strstr(log_first_error(), says), "%s", log_first_error());
	fake_root_close();
}
END_TEST

START_TEST(siblings_are_read_once)
{
	struct inotify_event event;
	char path[PATH_MAX];
	int fd, opened = 0;

	if (!only_two_cpus())
		return;
	host("950000\n", "\n");
	siblings(lo, "A\n");
	siblings(hi, "B\n");
	fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	snprintf(path, sizeof(path), "%s/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", fake_root, lo);
	ck_assert_int_ge(inotify_add_watch(fd, path, IN_OPEN | IN_CLOSE), 0);
	ck_assert_uint_eq(warnings(8, (const char *[RULES]){"pvcpu=A", "pvcpu7=B"}), 1);
	while (read(fd, &event, sizeof(event)) > 0)
		opened += !!(event.mask & IN_OPEN);
	ck_assert_int_eq(opened, 1);
	close(fd);
	fake_root_close();
}
END_TEST

/* Off line and not allowed are told apart, with the CPUs that would do. */
START_TEST(says_why_a_cpu_can_not_be_had)
{
	char says[96], online[32];
	cpu_set_t one;

	if (!only_two_cpus())
		return;
	CPU_ZERO(&one);
	CPU_SET(lo, &one);
	ck_assert_int_eq(sched_setaffinity(0, sizeof(one), &one), 0);
	host("950000\n", "\n");
	if (_i)
		fake_root_put("/sys/devices/system/cpu/online", spell("A\n", online, sizeof(online)));
	ck_assert_int_eq(plan(false, 1, (const char *[RULES]){"pvcpu=B"}), -EINVAL);
	snprintf(says, sizeof(says), _i ? "CPU %d is not on line here (%d are)" : "CPU %d is outside what this process may use (%d)",
		hi, lo);
	ck_assert_msg(strstr(log_first_error(), says), "%s", log_first_error());
	fake_root_close();
}
END_TEST

UNIT_MAIN_TIMES("place_check",
	{doubts_are_refusals_only_when_strict, sizeof(doubts) / sizeof(doubts[0])},
	{real_time_vcpus_that_never_give_way_are_refused_unless_forced, sizeof(hangs) / sizeof(hangs[0])},
	{a_real_time_policy_may_be_inherited, 2},
	{cores_of_the_guest_are_cores_of_the_host, sizeof(cores) / sizeof(cores[0])},
	{halts_that_stay_in_the_guest_share_no_cpu, sizeof(kept) / sizeof(kept[0])},
	{many_vcpus_on_a_cpu_are_one_warning, 1}, {siblings_are_read_once, 1},
	{says_why_a_cpu_can_not_be_had, 2})
