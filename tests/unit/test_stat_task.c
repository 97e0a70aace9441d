// SPDX-License-Identifier: Apache-2.0
/* pinvm stat: threads as a made-up /proc tells of them. */
#include <jansson.h>

#include "tests/unit/fake_root.h"
#include "vmm/stat/task.h"

#define STAT(name)                                                                                        \
	"42 (" name                                                                                       \
	") S 1 1 1 0 -1 4194624 4 0 0 0 150 25 0 0 20 0 5 0 4763201 542081024 1162 18446744073709551615 " \
	"1 2 3 0 0 0 16387 16781312 0 1 0 0 -1 3 0 0 0 100 0 7 8 9 10 11 12 13 0\n"

static json_int_t get(const json_t *task, const char *name)
{
	const json_t *value = json_object_get(task, name);

	return value ? json_integer_value(value) : -1;
}

START_TEST(all_of_it)
{
	json_t *task;

	fake_root_open();
	fake_root_put("/5/task/42/stat", STAT("vcpu0"));
	fake_root_put("/5/task/42/schedstat", "10010091 25668 3\n");
	fake_root_put("/5/task/42/status",
		"Name:\tnonvoluntary_ctxt_switches:\t99\nvoluntary_ctxt_switches:\t12\n"
		"nonvoluntary_ctxt_switches:\t34\n");
	fake_root_put("/5/task/42/sched",
		"vcpu0 (42, #threads: 5)\n-----\nse.exec_start      :   1.5\n"
		"se.nr_migrations                             :                    2\n");
	task = task_read(fake_root, 5, 42);
	ck_assert_int_eq(get(task, "cpu"), 3);
	ck_assert_int_eq(get(task, "run_ns"), 10010091);
	ck_assert_int_eq(get(task, "run_delay_ns"), 25668);
	/* Ticks; the guest's are among the user's. */
	ck_assert_int_eq(get(task, "guest_ns"), 100 * 1000000000LL / sysconf(_SC_CLK_TCK));
	ck_assert_int_eq(get(task, "user_ns"), 50 * 1000000000LL / sysconf(_SC_CLK_TCK));
	ck_assert_int_eq(get(task, "kernel_ns"), 25 * 1000000000LL / sysconf(_SC_CLK_TCK));
	ck_assert_int_eq(get(task, "voluntary_switches"), 12);
	ck_assert_int_eq(get(task, "involuntary_switches"), 34);
	ck_assert_int_eq(get(task, "migrations"), 2);
	ck_assert(json_is_real(json_object_get(task, "at_s")));
	json_decref(task);
	fake_root_close();
}
END_TEST

/* What a kernel does not tell is missing, and a name may be anything. */
START_TEST(some_of_it)
{
	json_t *task;

	fake_root_open();
	fake_root_put("/5/task/42/stat", STAT("a) S 1 (b"));
	fake_root_put("/5/task/42/schedstat", "nonsense\n");
	fake_root_put("/5/task/42/sched", "se.nr_migrations : many\n");
	task = task_read(fake_root, 5, 42);
	ck_assert_int_eq(get(task, "cpu"), 3);
	ck_assert_int_eq(get(task, "run_ns"), -1);
	ck_assert_int_eq(get(task, "migrations"), -1);
	ck_assert_int_eq(get(task, "voluntary_switches"), -1);
	json_decref(task);
	fake_root_put("/5/task/42/stat", "42 (x) S 1 2 3\n");
	task = task_read(fake_root, 5, 42);
	ck_assert_int_eq(get(task, "cpu"), -1);
	json_decref(task);
	ck_assert_ptr_null(task_read(fake_root, 5, 43));
	ck_assert_ptr_null(task_read(fake_root, 0, 42));
	fake_root_close();
}
END_TEST

START_TEST(another_pid_namespace)
{
	fake_root_open();
	fake_root_put("/500/task/500/status", "Name:\tx\nNSpid:\t500\t1\n");
	fake_root_put("/500/task/501/status", "Name:\tx\nNSpid:\t501\t20\t3\n");
	fake_root_put("/500/task/502/status", "Name:\tx\n");
	ck_assert_int_eq(task_here(fake_root, 500, 500, 501), 501);
	ck_assert_int_eq(task_here(fake_root, 500, 1, 1), 500);
	ck_assert_int_eq(task_here(fake_root, 500, 1, 3), 501);
	ck_assert_int_eq(task_here(fake_root, 500, 1, 20), 0);
	ck_assert_int_eq(task_here(fake_root, 500, 1, 0), 0);
	ck_assert_int_eq(task_here(fake_root, 600, 1, 3), 0);
	fake_root_close();
}
END_TEST

UNIT_MAIN("stat_task", all_of_it, some_of_it, another_pid_namespace)
