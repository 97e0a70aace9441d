// SPDX-License-Identifier: Apache-2.0
/* What speaks against a plan of threads, on hosts made up for it; the CPUs are this process's own. */
#include <errno.h>
#include <regex.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/fake_root.h"
#include "tests/unit/unit.h"
#include "vmm/log.h"
#include "vmm/place.h"

/* The first two CPUs this process may use, which the tests call 0 and 1: their lists are written with these. */
static int cpu[2];
static struct guest_config cfg;

/* Leaves this process with two CPUs. False, said: there is one. */
static bool two_cpus(void)
{
	cpu_set_t set, two;
	int n = 0;

	CPU_ZERO(&two);
	sched_getaffinity(0, sizeof(set), &set);
	for (int i = 0; i < CPU_SETSIZE && n < 2; i++)
		if (CPU_ISSET(i, &set)) {
			cpu[n++] = i;
			CPU_SET(i, &two);
		}
	if (n < 2) {
		puts("skip: one CPU is allowed here, placement needs two to tell apart");
		return false;
	}
	ck_assert_int_eq(sched_setaffinity(0, sizeof(two), &two), 0);
	return true;
}

/* A and B in a rule stand for the two CPUs. */
static char *spell(const char *rule, char *out, size_t n)
{
	size_t len = 0;

	for (; *rule; rule++)
		len += snprintf(out + len, n - len, *rule == 'A' || *rule == 'B' ? "%d" : "%c",
			*rule == 'A' || *rule == 'B' ? cpu[*rule - 'A'] : *rule);
	return out;
}

#define RULES 6

static bool forced;

static int plan(bool strict, unsigned vcpus, const char *const rule[RULES])
{
	char text[RULES][64], *pins[RULES], *scheds[RULES];
	struct place place;
	int err;

	memset(&cfg, 0, sizeof(cfg));
	cfg.cpus.count = vcpus;
	cfg.cpus.threads = 1;
	cfg.strict_placement = strict;
	cfg.force = forced;
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
	snprintf(text, sizeof(text), "%d,%d\n", cpu[0], cpu[1]);
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
	{"vcpu0 and vcpu1 share CPU", 2, {"pvcpu=A"}},
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

	if (!two_cpus())
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

	if (!two_cpus())
		return;
	if (cpu[1] != cpu[0] + 1 && says && strstr(says, "A-B")) {
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

	if (!two_cpus())
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

START_TEST(two_threads_of_a_core)
{
	static const char *const each[RULES] = {"pvcpu=A,B/each"};
	char path[96], both[64];

	if (!two_cpus())
		return;
	host("950000\n", "\n");
	snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu[0]);
	fake_root_put(path, spell("A\n", both, sizeof(both)));
	ck_assert_int_eq(plan(true, 2, each), 0);
	fake_root_put(path, spell("A,B\n", both, sizeof(both)));
	ck_assert_int_eq(plan(false, 2, each), 0);
	ck_assert_int_eq(plan(true, 2, each), -EINVAL);
	ck_assert_msg(strstr(log_first_error(), "two threads of one core"), "%s", log_first_error());
	fake_root_close();
}
END_TEST

START_TEST(a_guest_that_knows_of_the_threads_may_have_them)
{
	char pin[32], path[96], both[64], *pins[] = {pin};
	struct place place;

	if (!two_cpus())
		return;
	host("950000\n", "\n");
	snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu[0]);
	fake_root_put(path, spell("A,B\n", both, sizeof(both)));
	memset(&cfg, 0, sizeof(cfg));
	cfg.cpus.count = cfg.cpus.threads = 2;
	cfg.strict_placement = true;
	cfg.pins = pins;
	cfg.npins = 1;
	spell("vcpu=A,B/each", pin, sizeof(pin));
	ck_assert_int_eq(place_plan_at(&place, &cfg, fake_root), 0);
	place_free(&place);
	fake_root_close();
}
END_TEST

/* Off line and not allowed are told apart, with the CPUs that would do. */
START_TEST(says_why_a_cpu_can_not_be_had)
{
	char says[96], online[32];
	cpu_set_t one;

	if (!two_cpus())
		return;
	CPU_ZERO(&one);
	CPU_SET(cpu[0], &one);
	ck_assert_int_eq(sched_setaffinity(0, sizeof(one), &one), 0);
	host("950000\n", "\n");
	if (_i)
		fake_root_put("/sys/devices/system/cpu/online", spell("A\n", online, sizeof(online)));
	ck_assert_int_eq(plan(false, 1, (const char *[RULES]){"pvcpu=B"}), -EINVAL);
	snprintf(says, sizeof(says), _i ? "CPU %d is not on line here (%d are)" : "CPU %d is outside what this process may use (%d)",
		cpu[1], cpu[0]);
	ck_assert_msg(strstr(log_first_error(), says), "%s", log_first_error());
	fake_root_close();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("place_check");
	TCase *tc = tcase_create("place_check");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_loop_test(tc, doubts_are_refusals_only_when_strict, 0, sizeof(doubts) / sizeof(doubts[0]));
	tcase_add_loop_test(tc, real_time_vcpus_that_never_give_way_are_refused_unless_forced, 0,
		sizeof(hangs) / sizeof(hangs[0]));
	tcase_add_loop_test(tc, a_real_time_policy_may_be_inherited, 0, 2);
	tcase_add_test(tc, two_threads_of_a_core);
	tcase_add_test(tc, a_guest_that_knows_of_the_threads_may_have_them);
	tcase_add_loop_test(tc, says_why_a_cpu_can_not_be_had, 0, 2);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
