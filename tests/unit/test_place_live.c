// SPDX-License-Identifier: Apache-2.0
/*
 * Another place for threads that run: applied, read back, and taken back as a whole where one of them does not come to
 * stand.
 */
#include "tests/unit/fake_root.h"
#include "tests/unit/place_live_unit.h"

START_TEST(threads_are_moved_and_read_back)
{
	struct placement *row, counts;
	char line[512];

	if (!begin(false, false))
		return;
	row = place_find(&place, PLACE_VCPU, 1);
	ck_assert(!row->counted);
	place_count(&counts, vcpu[1].tid);
	ck_assert_int_eq(again(true, "vcpu=A iothread=B"), 0);
	for (int i = 0; i < VCPUS; i++)
		ck_assert_int_eq(only_cpu(vcpu[i].tid), lo);
	ck_assert_int_eq(only_cpu(io.tid), hi);
	ck_assert_int_eq(only_cpu(0), -1);
	ck_assert(row->counted == counts.counted && row->switches_before >= counts.switches_before);
	ck_assert(!place_find(&place, PLACE_EMULATOR, 0)->counted);
	ck_assert_uint_eq(change.n, VCPUS + 2); /* and the iothread's worker */
	ck_assert(CPU_ISSET(hi, &ring) && CPU_COUNT(&ring) == 1);
	ck_assert_int_eq(CPU_COUNT(&change.move[0].cpus), 2);
	/* Who is named later moves, though more was said of it before. */
	ck_assert_int_eq(again(true, "vcpu1=B"), 0);
	ck_assert_int_eq(only_cpu(vcpu[1].tid), hi);
	ck_assert_uint_eq(change.n, 1);
	ck_assert_ptr_eq(change.move[0].row, place_find(&place, PLACE_VCPU, 1));
	ck_assert_int_eq(again(true, "vcpu=B"), 0);
	ck_assert_int_eq(again(true, "vcpu=A"), 0);
	ck_assert_int_eq(only_cpu(vcpu[1].tid), lo);
	ck_assert(row->pinned && CPU_ISSET(lo, &row->cpus) && CPU_EQUAL(&row->cpus, &row->actual_cpus));
	place_line(row, false, line, sizeof(line));
	ck_assert_msg(strstr(line, "--pin vcpu="), "%s", line);
	ck_assert_uint_eq(place_read(&place), 0);
	ck_assert_uint_eq(place.n, place.planned);
	end();
}
END_TEST

/* Moved away by somebody else: the same rule again puts it back. */
START_TEST(the_same_rule_again)
{
	cpu_set_t away;

	if (!begin(false, false))
		return;
	ck_assert_int_eq(again(true, "vcpu0=A"), 0);
	CPU_ZERO(&away);
	CPU_SET(hi, &away);
	ck_assert_int_eq(sched_setaffinity(vcpu[0].tid, sizeof(away), &away), 0);
	ck_assert_uint_eq(place_read(&place), 1);
	ck_assert_uint_eq(place_read(&place), 1);
	ck_assert_str_eq(log_first_error(), "");
	ck_assert_int_eq(again(true, "vcpu0=A"), 0);
	ck_assert_int_eq(only_cpu(vcpu[0].tid), lo);
	ck_assert(CPU_EQUAL(&change.move[0].cpus, &away));
	ck_assert_uint_eq(place.misplaced, 0);
	end();
}
END_TEST

START_TEST(each_gets_one_of_a_list)
{
	if (!begin(false, false))
		return;
	refused(true, "vcpu=A,B/each", "2 CPUs for more vCPUs than that");
	cfg.cpus.count = VCPUS;
	ck_assert_int_eq(again(true, "vcpu0=B vcpu1=A vcpu2=A,B"), 0);
	ck_assert_int_eq(only_cpu(vcpu[0].tid), hi);
	ck_assert_int_eq(only_cpu(vcpu[1].tid), lo);
	ck_assert_int_eq(only_cpu(vcpu[2].tid), -1);
	end();
}
END_TEST

/* A rule longer than a message: the reason is there all the same. */
START_TEST(long_rules_leave_room_for_the_reason)
{
	char rules[1300] = "vcpu7=A";

	if (!begin(false, false))
		return;
	while (strlen(rules) < 900)
		strcat(rules, ",A");
	refused(true, rules, ",...: this guest has no such thread; it has vcpu0 to vcpu2");
	rules[4] = '0';
	ck_assert_int_eq(again(true, rules), 0);
	strcat(rules, "/each");
	refused(true, rules, "...: only vcpu=LIST/each may follow a list");
	rules[strlen(rules) - 5] = '\0';
	while (strlen(rules) < 1200)
		strcat(rules, ",A");
	refused(true, rules, "...: the list is too long");
	end();
}
END_TEST

START_TEST(what_can_not_be_is_refused_and_nothing_moves)
{
	static const struct {
		bool pin;
		const char *rules, *why;
	} wrong[] = {
		{true, "", "give a role and CPUs"},
		{true, "  ", "give a role and CPUs"},
		{false, "", "give a role and a policy"},
		{true, "vcpu", "write ROLE=CPULIST"},
		{true, "vcpu0=A nosuch=B", "the role is one of"},
		{true, "vcpu0=A vcpu7=B", "--pin vcpu7=1: this guest has no such thread"},
		{true, "iothread:fast=B", "no such thread"},
		{true, "vcpu0=A/each", "only vcpu=LIST/each"},
		{true, "vcpu0=900", "CPU 900"},
		{false, "vcpu=nosuch", "the policy is one of"},
		{false, "vcpu=fifo:0", "a priority from 1 to 99"},
		{false, "vcpu0=batch emulator=fifo", "a priority from 1 to 99"},
	};

	if (!begin(false, false))
		return;
	if (hi != 1)
		puts("skip: the words of two cases name CPU 1");
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		if (hi != 1 && strstr(wrong[i].why, "=1"))
			continue;
		refused(wrong[i].pin, wrong[i].rules, wrong[i].why);
		for (int v = 0; v < VCPUS; v++) {
			ck_assert_int_eq(only_cpu(vcpu[v].tid), -1);
			ck_assert_int_eq(policy(vcpu[v].tid), SCHED_OTHER);
		}
	}
	ck_assert_uint_eq(rings, 0);
	end();
}
END_TEST

/* A doubt of the start is one here: said, or with --strict-placement a refusal. */
START_TEST(doubts)
{
	if (!begin(_i, false))
		return;
	if (_i) {
		refused(true, "vcpu0=A vcpu1=A", "share CPU");
		ck_assert_msg(strstr(said.error, "--strict-placement"), "%s", said.error);
		ck_assert_int_eq(only_cpu(vcpu[0].tid), -1);
	} else {
		ck_assert_int_eq(again(true, "vcpu0=A vcpu1=A"), 0);
		ck_assert_msg(strstr(said.warnings, "vcpu0-1 share CPU"), "%s", said.warnings);
		ck_assert_int_eq(only_cpu(vcpu[1].tid), lo);
	}
	end();
}
END_TEST

/* A CPU that went off line since: named it is refused; a thread that stands on it is in nobody's way. */
START_TEST(off_line)
{
	char one[16];

	if (!begin(false, false))
		return;
	ck_assert_int_eq(again(true, "vcpu2=B"), 0);
	fake_root_open();
	snprintf(one, sizeof(one), "%d\n", lo);
	fake_root_put("/sys/devices/system/cpu/online", one);
	env.root = fake_root;
	refused(true, "vcpu0=B", "is not on line here");
	ck_assert_int_eq(again(true, "vcpu0=A"), 0);
	fake_root_close();
	end();
}
END_TEST

/* The last step fails, and all that was done before is undone, also what the ring was told. */
START_TEST(half_way)
{
	if (!begin(false, false))
		return;
	ck_assert_int_eq(again(true, "iothread=A vcpu=A"), 0);
	actor_end(&vcpu[2]);
	vcpu[2].id = 0;
	rings = 0;
	refused(true, "iothread=B vcpu=B", "vcpu2: No such process");
	ck_assert_msg(strstr(said.error, "every thread is where it was"), "%s", said.error);
	ck_assert_int_eq(only_cpu(io.tid), lo);
	ck_assert_int_eq(only_cpu(vcpu[0].tid), lo);
	ck_assert_int_eq(only_cpu(vcpu[1].tid), lo);
	ck_assert_uint_eq(rings, 2);
	ck_assert(CPU_ISSET(lo, &ring) && CPU_COUNT(&ring) == 1);
	ck_assert(CPU_ISSET(lo, &place_find(&place, PLACE_VCPU, 0)->cpus));
	/* A policy likewise. */
	refused(false, "vcpu=batch", "vcpu2: No such process");
	ck_assert_int_eq(policy(vcpu[0].tid), SCHED_OTHER);
	ck_assert(!place_find(&place, PLACE_VCPU, 0)->sched_given);
	end();
}
END_TEST

UNIT_MAIN_TIMES("place_live", {threads_are_moved_and_read_back, 1}, {the_same_rule_again, 1},
	{each_gets_one_of_a_list, 1}, {long_rules_leave_room_for_the_reason, 1},
	{what_can_not_be_is_refused_and_nothing_moves, 1}, {doubts, 2}, {off_line, 1}, {half_way, 1})
