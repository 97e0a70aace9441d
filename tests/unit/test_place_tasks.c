// SPDX-License-Identifier: Apache-2.0
/*
 * The look at every task of the process: what is where it was planned, what is not, and what nobody planned. Tasks that the
 * kernel would make are played by threads of the same name. Each test is a process of its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>

#include "tests/unit/place_unit.h"
#include "vmm/log.h"
#include "vmm/thread.h"

static struct guest_config cfg;
static struct place place;

static void plan(char **pins, unsigned npins, enum io_engine engine)
{
	memset(&cfg, 0, sizeof(cfg));
	cfg.cpus.count = cfg.cpus.threads = 1;
	cfg.pins = pins;
	cfg.npins = npins;
	cfg.io_engine = engine;
	ck_assert_int_eq(place_plan(&place, &cfg), 0);
}

START_TEST(planned_threads_are_found_where_they_are)
{
	plan(NULL, 0, IO_PLAIN);
	ck_assert_int_eq(place_apply(place_find(&place, PLACE_EMULATOR, 0)), 0);
	ck_assert_uint_eq(place_look(&place), 0);
	ck_assert_uint_eq(place.n, place.planned);
	ck_assert_str_eq(log_first_error(), "");
	place_free(&place);
}
END_TEST

START_TEST(a_task_nobody_planned_is_an_error_and_gets_a_row)
{
	struct actor s;

	plan(NULL, 0, IO_PLAIN);
	ck_assert_int_eq(place_apply(place_find(&place, PLACE_EMULATOR, 0)), 0);
	actor_start(&s, "nobody");
	ck_assert_uint_eq(place_look(&place), 1);
	ck_assert_uint_eq(place.misplaced, 1);
	ck_assert_uint_eq(place.n, place.planned + 1);
	ck_assert_int_eq(place.row[place.planned].role, PLACE_STRAY);
	ck_assert_str_eq(place.row[place.planned].name, "nobody");
	ck_assert_msg(strstr(log_first_error(), "nobody planned"), "%s", log_first_error());
	actor_end(&s);
	place_free(&place);
}
END_TEST

START_TEST(more_strangers_than_rows_are_counted_all_the_same)
{
	struct actor s[20];

	plan(NULL, 0, IO_PLAIN);
	ck_assert_int_eq(place_apply(place_find(&place, PLACE_EMULATOR, 0)), 0);
	for (int i = 0; i < 20; i++)
		actor_start(&s[i], "many");
	ck_assert_uint_eq(place_look(&place), 20);
	ck_assert_uint_eq(place.n, place.room);
	for (int i = 0; i < 20; i++)
		actor_end(&s[i]);
	place_free(&place);
}
END_TEST

START_TEST(an_embedder_s_own_threads_are_its_business)
{
	struct actor s;

	actor_start(&s, "embedder");
	plan(NULL, 0, IO_PLAIN);
	ck_assert_int_eq(place_apply(place_find(&place, PLACE_EMULATOR, 0)), 0);
	ck_assert_uint_eq(place_look(&place), 0);
	actor_end(&s);
	place_free(&place);
}
END_TEST

START_TEST(a_thread_that_was_moved_away_is_an_error)
{
	char pin[32], *pins[] = {pin};
	cpu_set_t away;

	if (!two_cpus())
		return;
	snprintf(pin, sizeof(pin), "emulator=%d", lo);
	plan(pins, 1, IO_PLAIN);
	ck_assert_int_eq(place_apply(place_find(&place, PLACE_EMULATOR, 0)), 0);
	ck_assert_uint_eq(place_look(&place), 0);
	away = only(hi);
	ck_assert_int_eq(sched_setaffinity(0, sizeof(away), &away), 0);
	ck_assert_uint_eq(place_look(&place), 1);
	ck_assert_msg(CPU_EQUAL(&place_find(&place, PLACE_EMULATOR, 0)->actual_cpus, &away), "the report says the truth");
	ck_assert_msg(strstr(log_first_error(), "at the end the kernel says"), "%s", log_first_error());
	place_free(&place);
}
END_TEST

/* A CPU came on line, or the cpuset grew: that is no wrong place for a thread that was never given one. */
START_TEST(more_cpus_are_no_error_for_who_is_not_pinned)
{
	struct actor s;
	cpu_set_t set;

	if (!two_cpus())
		return;
	set = only(lo);
	ck_assert_int_eq(sched_setaffinity(0, sizeof(set), &set), 0);
	plan(NULL, 0, IO_PLAIN);
	ck_assert_int_eq(place_apply(place_find(&place, PLACE_EMULATOR, 0)), 0);
	CPU_SET(hi, &set);
	ck_assert_int_eq(sched_setaffinity(0, sizeof(set), &set), 0);
	actor_start(&s, "kvm-helper"); /* stands as the emulator */
	ck_assert_uint_eq(place_look(&place), 0);
	ck_assert_str_eq(log_first_error(), "");
	ck_assert_msg(CPU_EQUAL(&place_find(&place, PLACE_EMULATOR, 0)->actual_cpus, &set),
		"the report says the truth");
	actor_end(&s);
	place_free(&place);
}
END_TEST

/* 0: named after its iothread; 1: after an id of another PID namespace. */
START_TEST(workers_of_io_uring_belong_to_their_iothread)
{
	char pin[32], name[16], *pins[] = {pin};
	struct placement *io, *worker;
	struct actor s, thread;
	cpu_set_t set;

	if (!two_cpus())
		return;
	snprintf(pin, sizeof(pin), "iothread=%d", lo);
	plan(pins, 1, IO_URING);
	ck_assert_int_eq(place_apply(place_find(&place, PLACE_EMULATOR, 0)), 0);
	io = place_find(&place, PLACE_IOTHREAD, 0);
	worker = place_find(&place, PLACE_WORKER, 0);
	ck_assert_str_eq(worker->name, "iou-wrk io:main");
	ck_assert(worker->by_kernel && CPU_EQUAL(&worker->cpus, &io->cpus));
	actor_start(&thread, "io:main");
	io->tid = thread.tid;
	set = only(lo);
	sched_setaffinity(thread.tid, sizeof(set), &set);
	ck_assert_uint_eq(place_look(&place), 0);
	ck_assert_uint_eq(worker->tasks, 0);

	snprintf(name, sizeof(name), "iou-wrk-%d", _i ? 1 : thread.tid);
	actor_start(&s, name);
	sched_setaffinity(s.tid, sizeof(set), &set);
	ck_assert_uint_eq(place_look(&place), 0);
	ck_assert_uint_eq(worker->tasks, 1);
	ck_assert(CPU_EQUAL(&worker->actual_cpus, &set));
	set = only(hi);
	sched_setaffinity(s.tid, sizeof(set), &set);
	ck_assert_uint_eq(place_look(&place), 1);
	ck_assert_msg(strstr(log_first_error(), "iou-wrk io:main"), "%s", log_first_error());
	actor_end(&s);
	actor_end(&thread);
	place_free(&place);
}
END_TEST

START_TEST(what_kvm_makes_goes_to_the_emulator)
{
	char pin[32], *pins[] = {pin};
	struct actor s;
	cpu_set_t set;

	if (!two_cpus())
		return;
	snprintf(pin, sizeof(pin), "emulator=%d", lo);
	plan(pins, 1, IO_PLAIN);
	actor_start(&s, "kvm-helper");
	set = only(hi);
	sched_setaffinity(s.tid, sizeof(set), &set);
	ck_assert_int_eq(place_apply(place_find(&place, PLACE_EMULATOR, 0)), 0);
	for (int again = 0; again < 2; again++) { /* as after a restart */
		ck_assert_int_eq(place_helpers(&place), 0);
		ck_assert_uint_eq(place.n, place.planned + 1);
		ck_assert_str_eq(place.row[place.planned].name, "kvm-helper");
		ck_assert_int_eq(place.row[place.planned].role, PLACE_HELPER);
	}
	sched_getaffinity(s.tid, sizeof(set), &set);
	ck_assert(CPU_COUNT(&set) == 1 && CPU_ISSET(lo, &set));
	ck_assert_uint_eq(place_look(&place), 0);
	actor_end(&s);
	place_free(&place);
}
END_TEST

/* Whoever made it, under whatever policy: it has a row, and is nobody's real-time thread. */
START_TEST(what_kvm_makes_is_ordinary)
{
	static const struct {
		int policy, prio, nice;
	} born[] = {{SCHED_OTHER, 0, 0}, {SCHED_FIFO, 1, 0}, {SCHED_BATCH, 0, 5}, {SCHED_IDLE, 0, 0}, {SCHED_OTHER, 0, 5}};
	struct sched_param param = {.sched_priority = born[_i].prio};
	struct placement *row;
	struct actor s;

	plan(NULL, 0, IO_PLAIN);
	ck_assert_int_eq(place_apply(place_find(&place, PLACE_EMULATOR, 0)), 0);
	actor_start(&s, "kvm-helper");
	if (getuid() != 0 || sched_setscheduler(s.tid, born[_i].policy, &param) < 0 ||
		setpriority(PRIO_PROCESS, s.tid, born[_i].nice) < 0) {
		puts("skip: this user may not give and take policies");
		return;
	}
	ck_assert_int_eq(place_helpers(&place), 0);
	ck_assert_uint_eq(place.n, place.planned + 1);
	row = &place.row[place.planned];
	ck_assert_str_eq(row->name, "kvm-helper");
	ck_assert_int_eq(row->actual_sched.policy, SCHED_OTHER);
	ck_assert_int_eq(row->actual_sched.prio, 0);
	ck_assert_int_eq(sched_getscheduler(s.tid), SCHED_OTHER);
	actor_end(&s);
	place_free(&place);
}
END_TEST

/* Without the right to raise it, it stays as it is. */
START_TEST(what_kvm_makes_may_stay_humble)
{
	struct sched_param none = {0};
	struct rlimit zero = {0};
	struct actor s;

	plan(NULL, 0, IO_PLAIN);
	ck_assert_int_eq(place_apply(place_find(&place, PLACE_EMULATOR, 0)), 0);
	actor_start(&s, "kvm-helper");
	ck_assert_int_eq(sched_setscheduler(s.tid, _i ? SCHED_BATCH : SCHED_IDLE, &none), 0);
	ck_assert_int_eq(setpriority(PRIO_PROCESS, s.tid, 19), 0);
	setrlimit(RLIMIT_NICE, &zero);
	if (getuid() == 0 && setuid(65534) < 0)
		ck_abort_msg("setuid");
	ck_assert_msg(place_helpers(&place) == 0, "%s", log_first_error());
	ck_assert_uint_eq(place.n, place.planned + 1);
	ck_assert_int_eq(place.row[place.planned].actual_sched.policy, _i ? SCHED_OTHER : SCHED_IDLE);
	ck_assert_int_eq(place.row[place.planned].actual_sched.prio, 19);
	actor_end(&s);
	place_free(&place);
}
END_TEST

static struct place_sched child_sched;

static void *child(void *arg)
{
	cpu_set_t cpus;

	place_ask(0, &cpus, &child_sched);
	return NULL;
}

static void have_child(void *arg)
{
	pthread_t id;

	*(int *)arg = -pthread_create(&id, NULL, child, NULL);
	if (!*(int *)arg)
		pthread_join(id, NULL);
}

/* KVM's task is a child of a vCPU's thread: not real-time, and possible under a deadline. */
START_TEST(children_of_vcpus_are_ordinary)
{
	static char *const policy[] = {"vcpu=fifo:1", "vcpu=deadline=[1ms,100ms,100ms]"};
	char *scheds[] = {policy[_i]};
	int err = 1;
	struct thread thread = {.name = "vcpu0", .fn = have_child, .arg = &err};

	if (getuid() != 0) {
		puts("skip: not root, real-time policies may be refused");
		return;
	}
	memset(&cfg, 0, sizeof(cfg));
	cfg.cpus.count = cfg.cpus.threads = 1;
	cfg.scheds = scheds;
	cfg.nscheds = 1;
	ck_assert_int_eq(place_plan(&place, &cfg), 0);
	thread.place = place_find(&place, PLACE_VCPU, 0);
	if (thread_start(&thread)) {
		puts("skip: this host lets nobody have that policy (a container, or no bandwidth left)");
		return;
	}
	thread_join(&thread);
	ck_assert_int_eq(thread.place->actual_sched.policy, _i ? SCHED_DEADLINE : SCHED_FIFO);
	ck_assert_int_eq(err, 0);
	ck_assert_int_eq(child_sched.policy, SCHED_OTHER);
	place_free(&place);
}
END_TEST

/* The plain engine's worker: started by the loop's thread, on CPUs of its own row, read back. */
START_TEST(the_plain_engine_s_worker_is_placed)
{
	char pin[32], *pins[] = {pin};
	struct thread thread = {.name = "io:main", .settle = own, .fn = run};
	struct placement *worker;
	struct loop *loop;

	find_cpus();
	snprintf(pin, sizeof(pin), "iothread=%d", hi);
	plan(pins, 1, IO_PLAIN);
	ck_assert_int_eq(place_apply(place_find(&place, PLACE_EMULATOR, 0)), 0);
	ck_assert_int_eq(loop_create(&loop, "io:main", IO_PLAIN, 4), 0);
	worker = place_worker(&place, 0, false);
	ck_assert_str_eq(worker->name, "io:main-w");
	loop_place_worker(loop, worker);
	thread.arg = loop;
	thread.place = place_find(&place, PLACE_IOTHREAD, 0);
	ck_assert_int_eq(thread_start(&thread), 0);
	ck_assert_msg(worker->applied, "read back before the loop runs");
	ck_assert(CPU_COUNT(&worker->actual_cpus) == 1 && CPU_ISSET(hi, &worker->actual_cpus));
	ck_assert_int_ne(worker->tid, thread.place->tid);
	ck_assert_uint_eq(place_look(&place), 0);
	loop_stop(loop);
	thread_join(&thread);
	loop_destroy(loop);
	place_free(&place);
}
END_TEST

static int refuse(void *arg)
{
	return -ECANCELED;
}

START_TEST(a_thread_that_can_not_settle_does_not_run)
{
	int err = 1;
	struct thread thread = {.name = "t", .settle = refuse, .fn = have_child, .arg = &err};

	ck_assert_int_eq(thread_start(&thread), -ECANCELED);
	ck_assert_int_eq(err, 1);
}
END_TEST

UNIT_MAIN_TIMES("place_tasks", {planned_threads_are_found_where_they_are, 1},
	{a_task_nobody_planned_is_an_error_and_gets_a_row, 1},
	{more_strangers_than_rows_are_counted_all_the_same, 1},
	{an_embedder_s_own_threads_are_its_business, 1},
	{a_thread_that_was_moved_away_is_an_error, 1},
	{more_cpus_are_no_error_for_who_is_not_pinned, 1}, {what_kvm_makes_goes_to_the_emulator, 1},
	{the_plain_engine_s_worker_is_placed, 1}, {a_thread_that_can_not_settle_does_not_run, 1},
	{workers_of_io_uring_belong_to_their_iothread, 2}, {what_kvm_makes_is_ordinary, 5},
	{what_kvm_makes_may_stay_humble, 2}, {children_of_vcpus_are_ordinary, 2})
