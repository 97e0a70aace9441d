// SPDX-License-Identifier: Apache-2.0
/* Placement: rules as typed, the plan they make, refusals, and threads that really are where the plan says. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/place_unit.h"
#include "vmm/place/priv.h"
#include "vmm/thread.h"
#include "vmm/util.h"

static struct iothread_config iothreads[] = {{.name = (char *)"fast"}};
static struct guest_config cfg;

static void configure(unsigned vcpus, char **pins, unsigned npins, char **scheds, unsigned nscheds)
{
	memset(&cfg, 0, sizeof(cfg));
	cfg.cpus.count = vcpus;
	cfg.cpus.threads = 1;
	cfg.iothreads = iothreads;
	cfg.niothreads = 1;
	cfg.pins = pins;
	cfg.npins = npins;
	cfg.scheds = scheds;
	cfg.nscheds = nscheds;
}

static int only_cpu(const cpu_set_t *set)
{
	char text[64];

	ck_assert_int_eq(CPU_COUNT(set), 1);
	place_format_cpus(set, text, sizeof(text));
	return atoi(text);
}

START_TEST(reads_pins)
{
	static const struct {
		const char *text;
		enum place_role role;
		int index, cpus;
		bool each;
		const char *name;
	} good[] = {
		{"vcpu=0-3", PLACE_VCPU, -1, 4, false, ""},
		{"vcpu12=5", PLACE_VCPU, 12, 1, false, ""},
		{"vcpu=2-5,^3/each", PLACE_VCPU, -1, 3, true, ""},
		{"vcpu=[1,3]", PLACE_VCPU, -1, 2, false, ""},
		{"iothread=1", PLACE_IOTHREAD, -1, 1, false, ""},
		{"iothread:fast=1,2", PLACE_IOTHREAD, -1, 2, false, "fast"},
		{"emulator=0", PLACE_EMULATOR, -1, 1, false, ""},
	};
	static const char *const bad[] = {"", "vcpu", "=1", "vcpu=", "vcpux=1", "vcpu-1=1", "vcpu99999=1", "cpu=1", "vcpu=a",
		"vcpu=3-1", "iothread:=1", "iothread:averyverylongname=1", "iothread:vcpu0=1", "vcpu0=1/each", "emulator=1/each", "vcpu=1/eac",
		"vcpu=1,^1", "vcpu=4096"};
	struct place_rule rule;

	for (size_t i = 0; i < COUNT(good); i++) {
		ck_assert_msg(!place_parse_pin(good[i].text, &rule), "%s", good[i].text);
		ck_assert_int_eq(rule.role, good[i].role);
		ck_assert_int_eq(rule.index, good[i].index);
		ck_assert_int_eq(CPU_COUNT(&rule.cpus), good[i].cpus);
		ck_assert_int_eq(rule.each, good[i].each);
		ck_assert_str_eq(rule.name, good[i].name);
	}
	for (size_t i = 0; i < COUNT(bad); i++)
		ck_assert_msg(place_parse_pin(bad[i], &rule) != NULL, "accepted: %s", bad[i]);
}
END_TEST

START_TEST(reads_policies_and_writes_them_back)
{
	static const char *const good[] = {"vcpu=fifo:1", "vcpu3=rr:99", "iothread=other:-5", "emulator=batch", "emulator=idle",
		"vcpu0=deadline=[2ms,10ms,20ms]", "iothread:fast=batch:19", "vcpu=other"};
	static const char *const bad[] = {"vcpu", "vcpu=", "vcpu=fifo", "vcpu=fifo:0", "vcpu=fifo:100", "vcpu=rr:x", "vcpu=other:20",
		"vcpu=other:-21", "vcpu=idle:1", "vcpu=nosuch", "vcpu=deadline", "vcpu=deadline=[1ms,2ms]",
		"vcpu=deadline=[3ms,2ms,4ms]", "vcpu=deadline=[1ms,2ms,1ms]", "vcpu=deadline=[0,2ms,4ms]",
		"vcpu=deadline=[1ms,2ms,4ms,5ms]", "vcpu=fifo:"};
	struct place_rule rule;
	char text[96];

	for (size_t i = 0; i < COUNT(good); i++) {
		ck_assert_msg(!place_parse_sched(good[i], &rule), "%s", good[i]);
		place_format_sched(&rule.sched, text, sizeof(text));
		ck_assert_str_eq(text, strchr(good[i], '=') + 1);
	}
	for (size_t i = 0; i < COUNT(bad); i++)
		ck_assert_msg(place_parse_sched(bad[i], &rule) != NULL, "accepted: %s", bad[i]);
}
END_TEST

START_TEST(narrow_rules_win_and_then_the_last)
{
	char pin[4][32], sched_all[] = "vcpu=batch", sched_one[] = "vcpu1=rr:2";
	char *pins[] = {pin[0], pin[1], pin[2], pin[3]}, *scheds[] = {sched_one, sched_all};
	struct place place;

	if (!two_cpus())
		return;
	sprintf(pin[0], "vcpu0=%d", hi);
	sprintf(pin[1], "vcpu=%d,%d", lo, hi);
	sprintf(pin[2], "iothread:fast=%d", lo);
	sprintf(pin[3], "iothread=%d", hi);
	configure(3, pins, 4, scheds, 2);
	ck_assert_int_eq(place_plan(&place, &cfg), 0);
	ck_assert_uint_eq(place.n, 8);
	ck_assert_int_eq(only_cpu(&place_find(&place, PLACE_VCPU, 0)->cpus), hi);
	ck_assert_int_eq(CPU_COUNT(&place_find(&place, PLACE_VCPU, 2)->cpus), 2);
	ck_assert_int_eq(only_cpu(&place_find(&place, PLACE_IOTHREAD, 0)->cpus), hi);
	ck_assert_int_eq(only_cpu(&place_find(&place, PLACE_IOTHREAD, 1)->cpus), lo);
	ck_assert(!place_find(&place, PLACE_EMULATOR, 0)->pinned);
	ck_assert(CPU_EQUAL(&place_find(&place, PLACE_EMULATOR, 0)->cpus, &place.allowed));
	ck_assert_int_eq(place_find(&place, PLACE_VCPU, 1)->sched.policy, SCHED_RR);
	ck_assert_int_eq(place_find(&place, PLACE_VCPU, 2)->sched.policy, SCHED_BATCH);
	ck_assert_str_eq(place_find(&place, PLACE_VCPU, 1)->sched_why, sched_one);
	place_free(&place);
}
END_TEST

START_TEST(each_spreads)
{
	char pin[32], *pins[] = {pin};
	struct place place;

	if (!two_cpus())
		return;
	sprintf(pin, "vcpu=%d,%d/each", lo, hi);
	configure(2, pins, 1, NULL, 0);
	ck_assert_int_eq(place_plan(&place, &cfg), 0);
	ck_assert_int_eq(only_cpu(&place_find(&place, PLACE_VCPU, 0)->cpus), lo);
	ck_assert_int_eq(only_cpu(&place_find(&place, PLACE_VCPU, 1)->cpus), hi);
	place_free(&place);
	cfg.cpus.count = 3;
	ck_assert_int_eq(place_plan(&place, &cfg), -EINVAL);
}
END_TEST

START_TEST(refuses_what_can_not_be)
{
	static char *const impossible[] = {"vcpu9=0", "iothread:slow=0", "vcpu0=1023"};
	char deadline[] = "vcpu0=deadline=[1ms,10ms,10ms]", pin[32], *scheds[] = {deadline}, *pins[] = {pin};
	struct place place;
	cpu_set_t set;
	int cpu = 0;

	for (size_t i = 0; i < COUNT(impossible); i++) {
		char *one[] = {impossible[i]};

		configure(2, one, 1, NULL, 0);
		ck_assert_msg(place_plan(&place, &cfg) == -EINVAL, "accepted: %s", impossible[i]);
		ck_assert_ptr_null(place.row);
	}
	sched_getaffinity(0, sizeof(set), &set);
	while (!CPU_ISSET(cpu, &set))
		cpu++;
	sprintf(pin, "vcpu0=%d", cpu);
	configure(2, pins, 1, scheds, 1);
	ck_assert_int_eq(place_plan(&place, &cfg), -EINVAL);
}
END_TEST

START_TEST(a_cpu_outside_the_allowed_set_is_refused)
{
	char pin[32], *pins[] = {pin};
	struct place place;
	cpu_set_t one;

	if (!two_cpus())
		return;
	CPU_ZERO(&one);
	CPU_SET(lo, &one);
	ck_assert_int_eq(sched_setaffinity(0, sizeof(one), &one), 0);
	sprintf(pin, "vcpu=%d", hi);
	configure(1, pins, 1, NULL, 0);
	ck_assert_int_eq(place_plan(&place, &cfg), -EINVAL);
	sprintf(pin, "vcpu=%d", lo);
	ck_assert_int_eq(place_plan(&place, &cfg), 0);
	ck_assert_msg(CPU_EQUAL(&place_find(&place, PLACE_IOTHREAD, 0)->cpus, &one), "who is not pinned keeps the allowed set");
	place_free(&place);
}
END_TEST

START_TEST(shared_cpus_are_a_warning_unless_strict)
{
	char pin[32], *pins[] = {pin};
	struct place place;
	cpu_set_t set;
	int cpu = 0;

	sched_getaffinity(0, sizeof(set), &set);
	while (!CPU_ISSET(cpu, &set))
		cpu++;
	sprintf(pin, "vcpu=%d", cpu);
	configure(2, pins, 1, NULL, 0);
	ck_assert_int_eq(place_plan(&place, &cfg), 0);
	place_free(&place);
	cfg.strict_placement = true;
	ck_assert_int_eq(place_plan(&place, &cfg), -EINVAL);
	cfg.cpus.count = 1;
	ck_assert_int_eq(place_plan(&place, &cfg), 0);
	place_free(&place);
}
END_TEST

static int seen_cpu;
static cpu_set_t seen_cpus;
static bool ran;

static struct placement counted; /* by the thread, once it runs */

static void look(void *arg)
{
	cpu_set_t set;

	place_count(&counted, gettid());

	ran = true;
	sched_getaffinity(0, sizeof(set), &set);
	seen_cpu = only_cpu(&set);
}

static void look_at_all(void *arg)
{
	sched_getaffinity(0, sizeof(seen_cpus), &seen_cpus);
}

START_TEST(a_thread_stands_where_planned_before_it_runs)
{
	char pin[32], batch[32], *pins[] = {pin}, *scheds[] = {batch};
	struct thread thread = {.name = "vcpu0", .fn = look};
	struct place place;

	if (!two_cpus())
		return;
	sprintf(pin, "vcpu0=%d", hi);
	sprintf(batch, "vcpu0=batch:%d", getpriority(PRIO_PROCESS, 0)); /* a user may not go below the nice value it has */
	configure(1, pins, 1, scheds, 1);
	ck_assert_int_eq(place_plan(&place, &cfg), 0);
	thread.place = place_find(&place, PLACE_VCPU, 0);
	ck_assert_int_eq(thread_start(&thread), 0);
	ck_assert_msg(thread.place->applied, "thread_start() returns after the read-back");
	ck_assert_int_eq(only_cpu(&thread.place->actual_cpus), hi);
	ck_assert_int_eq(thread.place->actual_sched.policy, SCHED_BATCH);
	thread_join(&thread);
	ck_assert_int_eq(seen_cpu, hi);
	ck_assert_msg(counted.counted == thread.place->counted, "it is counted where the kernel tells");
	ck_assert_uint_ge(counted.switches_before, thread.place->switches_before);
	ck_assert_msg(counted.migrations_before == thread.place->migrations_before, "a pinned thread does not move any more");
	place_free(&place);
}
END_TEST

START_TEST(nice_means_nothing_under_idle)
{
	struct thread thread = {.name = "vcpu0", .fn = look};
	struct placement p = {.name = "vcpu0", .sched = {.policy = SCHED_IDLE}, .sched_given = true, .sched_why = "vcpu=idle"};

	ck_assert_int_eq(setpriority(PRIO_PROCESS, 0, 19), 0);
	p.pinned = true;
	p.cpus_why = "vcpu=here";
	CPU_SET(sched_getcpu(), &p.cpus);
	thread.place = &p;
	ck_assert_int_eq(thread_start(&thread), 0);
	ck_assert_int_eq(p.actual_sched.policy, SCHED_IDLE);
	thread_join(&thread);
}
END_TEST

START_TEST(what_the_kernel_refuses_ends_the_thread)
{
	struct thread thread = {.name = "vcpu0", .fn = look};
	struct rlimit none = {0};
	struct placement p = {.name = "vcpu0", .sched = {.policy = SCHED_FIFO, .prio = 5}, .sched_given = true,
		.sched_why = "vcpu=fifo:5"};

	sched_getaffinity(0, sizeof(p.cpus), &p.cpus);
	setrlimit(RLIMIT_RTPRIO, &none);
	if (getuid() == 0 && setuid(65534) < 0)
		ck_abort_msg("setuid");
	thread.place = &p;
	ck_assert_int_eq(thread_start(&thread), -EPERM);
	ck_assert_msg(!ran, "a thread that could not be placed does not run");
	p.sched_given = false;
	p.pinned = true;
	p.cpus_why = "vcpu=";
	CPU_ZERO(&p.cpus);
	ck_assert_int_eq(thread_start(&thread), -EINVAL);
	sched_getaffinity(0, sizeof(p.cpus), &p.cpus);
	CPU_SET(CPU_SETSIZE - 1, &p.cpus); /* the kernel leaves out what this host does not have */
	ck_assert_int_eq(thread_start(&thread), -EXDEV);
	ck_assert(!ran);
}
END_TEST

/* 0: the process may use more CPUs than when the plan was made. 1: who starts the thread stands on fewer. */
START_TEST(who_is_not_pinned_has_all_cpus_there_are)
{
	struct thread thread = {.name = "vcpu0", .fn = look_at_all};
	struct place place;
	cpu_set_t one, two;

	if (!two_cpus())
		return;
	CPU_ZERO(&one);
	CPU_SET(lo, &one);
	two = one;
	CPU_SET(hi, &two);
	configure(1, NULL, 0, NULL, 0);
	ck_assert_int_eq(sched_setaffinity(0, sizeof(one), _i ? &two : &one), 0);
	ck_assert_int_eq(place_plan(&place, &cfg), 0);
	ck_assert_int_eq(sched_setaffinity(0, sizeof(two), _i ? &one : &two), 0);
	thread.place = place_find(&place, PLACE_VCPU, 0);
	ck_assert_int_eq(thread_start(&thread), 0);
	thread_join(&thread);
	ck_assert(CPU_EQUAL(&seen_cpus, &two));
	ck_assert(CPU_EQUAL(&thread.place->actual_cpus, &two));
	ck_assert(!thread.place->counted);
	place_free(&place);
}
END_TEST

UNIT_MAIN_TIMES("place", {reads_pins, 1}, {reads_policies_and_writes_them_back, 1},
	{narrow_rules_win_and_then_the_last, 1}, {each_spreads, 1}, {refuses_what_can_not_be, 1},
	{a_cpu_outside_the_allowed_set_is_refused, 1}, {shared_cpus_are_a_warning_unless_strict, 1},
	{a_thread_stands_where_planned_before_it_runs, 1}, {nice_means_nothing_under_idle, 1},
	{what_the_kernel_refuses_ends_the_thread, 1}, {who_is_not_pinned_has_all_cpus_there_are, 2})
