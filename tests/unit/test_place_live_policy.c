// SPDX-License-Identifier: Apache-2.0
/* Another policy for threads that run: who may give it, what hangs under it, and which one is a door of one way. */
#include <sys/resource.h>

#include "tests/unit/place_live_unit.h"

/* vCPUs that would wait for each other for ever: unless it was started with --force. */
START_TEST(hangs)
{
	if (!begin(false, _i))
		return;
	ck_assert_int_eq(again(true, "vcpu=A"), 0);
	if (!_i) {
		refused(false, "vcpu=fifo:1", "a guest that was started with --force takes it");
		ck_assert_int_eq(policy(vcpu[0].tid), SCHED_OTHER);
	} else if (again(false, "vcpu=fifo:1")) {
		ck_assert_msg(strstr(said.error, "not permitted") || strstr(said.error, "Operation"), "%s", said.error);
	} else {
		ck_assert_msg(strstr(said.warnings, "hangs"), "%s", said.warnings);
	}
	end();
}
END_TEST

/* 0: no limit allows it; 1: the hard one does, the soft one does not; 2: a nice value below; 3: deadline. */
START_TEST(without_rights)
{
	static const char *const rules[] = {"vcpu0=fifo:3", "vcpu0=fifo:3", "vcpu0=other:-1", "vcpu0=deadline=[1ms,100ms,100ms]"};
	static const char *const why[] = {"prlimit --pid %d --rtprio=3", "", "prlimit --pid %d --nice=21", "needs CAP_SYS_NICE"};
	struct rlimit rt = {0, _i == 1 ? 3 : 0}, nice = {0, 0};
	char want[64];

	if (!begin(false, false))
		return;
	if (setrlimit(RLIMIT_RTPRIO, &rt) || setrlimit(RLIMIT_NICE, &nice)) {
		puts("skip: this user may not raise RLIMIT_RTPRIO");
		return;
	}
	if (getuid() == 0 && setuid(65534) < 0)
		ck_abort_msg("setuid");
	snprintf(want, sizeof(want), why[_i], getpid());
	if (_i != 1) {
		refused(false, rules[_i], want);
		ck_assert_msg(strstr(said.error, "not permitted: pinvm gave up its capabilities"), "%s", said.error);
		ck_assert_int_eq(policy(vcpu[0].tid), SCHED_OTHER);
	} else {
		ck_assert_msg(!again(false, rules[_i]), "%s", said.error);
		ck_assert_int_eq(sched_getscheduler(vcpu[0].tid), SCHED_FIFO | SCHED_RESET_ON_FORK);
		ck_assert_int_eq(place_find(&place, PLACE_VCPU, 0)->actual_sched.prio, 3);
	}
	end();
}
END_TEST

/* A nice value is kept under idle, and means nothing there. */
START_TEST(nice_is_nothing_under_idle)
{
	char line[512];

	if (!begin(false, false))
		return;
	ck_assert_int_eq(setpriority(PRIO_PROCESS, vcpu[0].tid, 19), 0);
	ck_assert_msg(!again(false, "vcpu0=idle"), "%s", said.error);
	ck_assert_int_eq(policy(vcpu[0].tid), SCHED_IDLE);
	ck_assert_int_eq(getpriority(PRIO_PROCESS, vcpu[0].tid), 19);
	place_line(place_find(&place, PLACE_VCPU, 0), true, line, sizeof(line));
	ck_assert_msg(strstr(line, "idle") && !strstr(line, "idle:"), "%s", line);
	end();
}
END_TEST

/* Who may not leave idle stays when the change fails; that is said, and counted until it is right. */
START_TEST(one_way_door)
{
	struct rlimit nice = {0, 0};
	struct sched_param none = {0};

	if (!begin(false, false))
		return;
	if (setpriority(PRIO_PROCESS, vcpu[1].tid, 3) || setrlimit(RLIMIT_NICE, &nice))
		ck_abort_msg("nice");
	if (getuid() == 0 && seteuid(65534) < 0)
		ck_abort_msg("seteuid");
	actor_end(&vcpu[2]);
	vcpu[2].id = 0;
	refused(false, "vcpu=idle", "vcpu2: No such process; vcpu0-1 can not go back to where they were (");
	ck_assert_msg(!strstr(said.error, "every thread is where it was"), "%s", said.error);
	ck_assert_int_eq(policy(vcpu[0].tid), SCHED_IDLE);
	ck_assert_uint_eq(place.misplaced, 2);
	ck_assert_uint_eq(place_read(&place), 2);
	/* A later failure does not call that right. */
	refused(false, "vcpu2=batch", "vcpu2: No such process; vcpu0-1 still have the policy that an earlier change left");
	ck_assert_msg(!strstr(said.error, "every thread is where it was"), "%s", said.error);
	refused(false, "vcpu0=other", "--nice=20");
	/* Idle by the plan is right. */
	ck_assert_msg(!again(false, "vcpu0=idle"), "%s", said.error);
	ck_assert_uint_eq(place.misplaced, 1);
	log_catch(&said);
	ck_assert_uint_eq(place_look(&place), 1);
	log_catch(NULL);
	ck_assert_msg(strstr(said.error, "vcpu1 (task ") && strstr(said.error, "under idle since") && strstr(said.error, "under other:3"),
		"%s", said.error);
	/* So is what somebody else put back. */
	if (getuid() != 0 || seteuid(0) < 0 || sched_setscheduler(vcpu[1].tid, SCHED_OTHER, &none) < 0) {
		puts("skip: this user may not take a thread out of idle");
	} else {
		ck_assert_uint_eq(place_read(&place), 0);
		refused(false, "vcpu2=batch", "every thread is where it was");
		ck_assert_int_eq(sched_setscheduler(vcpu[1].tid, SCHED_BATCH, &none), 0);
		ck_assert_uint_eq(place_read(&place), 0);
	}
	end();
}
END_TEST

UNIT_MAIN_TIMES("place_live_policy", {hangs, 2}, {without_rights, 4}, {nice_is_nothing_under_idle, 1},
	{one_way_door, 1})
