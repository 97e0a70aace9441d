// SPDX-License-Identifier: Apache-2.0
/*
 * Another place for threads that run: applied, read back, and taken back as a whole where one of them does not come to
 * stand. The guest's threads are threads that wait; the kernel's are played by others of the same name.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/unit/fake_root.h"
#include "tests/unit/unit.h"
#include "vmm/hostfile.h"
#include "vmm/log.h"
#include "vmm/loop/errand.h"
#include "vmm/place/live.h"
#include "vmm/place/priv.h"
#include "vmm/thread.h"

#define VCPUS 3

static struct guest_config cfg;
static struct place place;
static struct place_env env;
static int lo, hi; /* two CPUs of this process */
static struct log_catch said;
static struct place_change change;

/* What the rings were told. */
static cpu_set_t ring;
static unsigned rings;
static int ring_err;

struct actor {
	char name[16];
	pthread_t id;
	pid_t tid;
	sem_t started, end;
};

static struct actor io, vcpu[VCPUS];

static void *wait_for_end(void *arg)
{
	struct actor *a = arg;

	pthread_setname_np(pthread_self(), a->name);
	a->tid = gettid();
	sem_post(&a->started);
	while (sem_wait(&a->end))
		;
	return NULL;
}

static void actor_start(struct actor *a, const char *name)
{
	snprintf(a->name, sizeof(a->name), "%s", name);
	sem_init(&a->started, 0, 0);
	sem_init(&a->end, 0, 0);
	ck_assert_int_eq(pthread_create(&a->id, NULL, wait_for_end, a), 0);
	while (sem_wait(&a->started))
		;
}

/* A thread that was joined is the kernel's a moment longer. */
static void actor_end(struct actor *a)
{
	sem_post(&a->end);
	pthread_join(a->id, NULL);
	while (!tgkill(getpid(), a->tid, 0))
		sched_yield();
}

static int tell_ring(void *arg, unsigned iothread, const cpu_set_t *cpus)
{
	ck_assert_ptr_eq(arg, &rings);
	ck_assert_uint_eq(iothread, 0);
	if (rings++ == 0 && ring_err)
		return ring_err;
	ring = *cpus;
	return 0;
}

static bool begin(bool strict, bool force)
{
	cpu_set_t set, two;

	CPU_ZERO(&two);
	sched_getaffinity(0, sizeof(set), &set);
	lo = hi = -1;
	for (int i = 0; i < CPU_SETSIZE && hi < 0; i++)
		if (CPU_ISSET(i, &set)) {
			*(lo < 0 ? &lo : &hi) = i;
			CPU_SET(i, &two);
		}
	if (hi < 0) {
		puts("skip: one CPU is allowed here, placement needs two to tell apart");
		return false;
	}
	ck_assert_int_eq(sched_setaffinity(0, sizeof(two), &two), 0);
	cfg = (struct guest_config){.cpus = {.count = VCPUS, .threads = 1}, .strict_placement = strict, .force = force};
	ck_assert_int_eq(place_plan(&place, &cfg), 0);
	env = (struct place_env){.cfg = &cfg, .root = "", .workers = tell_ring, .arg = &rings};
	actor_start(&io, "io:main");
	place_find(&place, PLACE_IOTHREAD, 0)->tid = io.tid;
	for (int i = 0; i < VCPUS; i++) {
		char name[16];

		snprintf(name, sizeof(name), "vcpu%d", i);
		actor_start(&vcpu[i], name);
		place_find(&place, PLACE_VCPU, i)->tid = vcpu[i].tid;
	}
	ck_assert_uint_eq(place_read(&place), 0);
	return true;
}

static void end(void)
{
	for (int i = 0; i < VCPUS; i++)
		if (vcpu[i].id)
			actor_end(&vcpu[i]);
	actor_end(&io);
	free(change.move);
	place_free(&place);
}

/* Rules with A and B for the two CPUs. */
static int again(bool pin, const char *rules)
{
	char text[256] = "";
	size_t len = 0;
	int err;

	for (const char *p = rules; *p; p++)
		len += snprintf(text + len, sizeof(text) - len, *p == 'A' || *p == 'B' ? "%d" : "%c",
			*p == 'A' ? lo : *p == 'B' ? hi : *p);
	free(change.move);
	log_catch(&said);
	err = place_again(&place, &env, pin, text, &change);
	log_catch(NULL);
	memset(text, 'x', sizeof(text)); /* nobody refers to it any more */
	ck_assert_msg(!err == !said.error[0], "%d %s", err, said.error);
	return err;
}

static int only_cpu(pid_t tid)
{
	cpu_set_t set;

	ck_assert_int_eq(sched_getaffinity(tid, sizeof(set), &set), 0);
	return CPU_COUNT(&set) != 1 ? -1 : CPU_ISSET(lo, &set) ? lo : hi;
}

static int policy(pid_t tid)
{
	return sched_getscheduler(tid) & ~SCHED_RESET_ON_FORK;
}

static void refused(bool pin, const char *rules, const char *why)
{
	ck_assert_int_lt(again(pin, rules), 0);
	ck_assert_msg(strstr(said.error, why), "%s: %s", rules, said.error);
	ck_assert_uint_eq(change.n, 0);
}

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

START_TEST(a_ring_that_does_not_answer)
{
	static const struct {
		int err;
		const char *why;
	} answer[] = {{-ETIMEDOUT, "gets no CPU to hear of it"}, {-EINVAL, "this kernel does not move them"}, {-EBUSY, "busy"}};

	if (!begin(false, false))
		return;
	ring_err = answer[_i].err;
	refused(true, "iothread=A", answer[_i].why);
	ck_assert_int_eq(only_cpu(io.tid), -1);
	ck_assert_msg(strstr(said.error, "every thread is where it was"), "%s", said.error);
	end();
}
END_TEST

START_TEST(the_kernel_s_workers_go_along)
{
	struct actor worker[2], other, helper;
	char name[16];

	if (!begin(false, false))
		return;
	snprintf(name, sizeof(name), "iou-wrk-%d", io.tid);
	actor_start(&worker[0], name);
	actor_start(&worker[1], name);
	actor_start(&other, "iou-other");
	actor_start(&helper, "kvm-helper");
	ck_assert_int_eq(again(true, "iothread=B"), 0);
	ck_assert_int_eq(only_cpu(worker[0].tid), hi);
	ck_assert_int_eq(only_cpu(worker[1].tid), hi);
	ck_assert_int_eq(only_cpu(other.tid), -1);
	ck_assert_int_eq(only_cpu(helper.tid), -1);
	ck_assert_uint_eq(place_find(&place, PLACE_WORKER, 0)->tasks, 2);
	ck_assert_int_eq(again(false, "iothread=batch"), 0);
	ck_assert_int_eq(policy(worker[1].tid), SCHED_BATCH);
	ck_assert_int_eq(policy(helper.tid), SCHED_OTHER);
	ck_assert_int_eq(again(true, "emulator=A"), 0);
	ck_assert_int_eq(only_cpu(helper.tid), lo);
	ck_assert_int_eq(only_cpu(0), lo);
	ck_assert_int_eq(only_cpu(worker[0].tid), hi);
	ck_assert_int_eq(again(false, "emulator=batch"), 0);
	ck_assert_int_eq(policy(helper.tid), SCHED_OTHER);
	ck_assert_uint_eq(place.misplaced, 1); /* whom nobody planned */
	for (int i = 0; i < 3; i++)
		ck_assert_uint_eq(place_read(&place), 1);
	ck_assert_uint_eq(place.n, place.planned + 2);
	ck_assert_str_eq(log_first_error(), "");
	actor_end(&other);
	ck_assert_uint_eq(place_read(&place), 0);
	ck_assert_uint_eq(place.n, place.planned + 1);
	actor_end(&worker[0]);
	actor_end(&worker[1]);
	actor_end(&helper);
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

static int own(void *arg)
{
	return loop_own(arg);
}

static void run(void *arg)
{
	loop_run(arg);
}

static struct loop *loop;
static struct errand errand;

static int move_workers(struct errand *e)
{
	return loop_move_workers(loop, &ring, sizeof(ring));
}

static int tell_loop(void *arg, unsigned iothread, const cpu_set_t *cpus)
{
	ring = *cpus;
	return errand_run(&errand, loop, 60000000000ull, false);
}

static sem_t synced;

static void on_synced(struct loop_io *done, int res)
{
	ck_assert_int_eq(res, 0);
	sem_post(&synced);
}

static struct loop_io sync_io[4];
static int sync_fd;

static int sync_all(struct errand *e)
{
	for (int i = 0; i < 4; i++) {
		sync_io[i].fn = on_synced;
		loop_fdatasync(loop, &sync_io[i], sync_fd);
	}
	return 0;
}

static void sync_and_wait(void)
{
	struct errand syncs;

	errand_init(&syncs, sync_all);
	ck_assert_int_eq(errand_run(&syncs, loop, 60000000000ull, false), 0);
	for (int i = 0; i < 4; i++)
		while (sem_wait(&synced))
			;
}

static struct thread ring_thread = {.name = "io:main", .settle = own, .fn = run};

/* An iothread with a ring of its own in place of the one that waits. */
static bool begin_ring(void)
{
	char path[] = "/tmp/pinvm-live-XXXXXX";

	if (!begin(false, false))
		return false;
	sync_fd = mkstemp(path);
	unlink(path);
	log_catch(&said);
	if (loop_create(&loop, "io:main", IO_URING, 8)) {
		printf("skip: %s\n", said.error);
		end();
		return false;
	}
	log_catch(NULL);
	sem_init(&synced, 0, 0);
	errand_init(&errand, move_workers);
	env.workers = tell_loop;
	ring_thread.arg = loop;
	ring_thread.place = place_find(&place, PLACE_IOTHREAD, 0);
	ck_assert_int_eq(thread_start(&ring_thread), 0);
	actor_end(&io);
	return true;
}

static void end_ring(void)
{
	loop_stop(loop);
	thread_join(&ring_thread);
	loop_destroy(loop);
	actor_start(&io, "io:main");
	end();
}

static bool workers_move(const char *rules)
{
	if (!again(true, rules))
		return true;
	ck_assert_msg(strstr(said.error, "this kernel does not move them"), "%s", said.error);
	puts("skip: this kernel does not move io_uring's workers");
	return false;
}

/* Workers that io_uring made itself, before the move and after it. */
START_TEST(real_workers)
{
	struct placement *worker;

	if (!begin_ring())
		return;
	worker = place_find(&place, PLACE_WORKER, 0);
	for (int i = 0; i < 10; i++) {
		sync_and_wait();
		if (!workers_move(i % 2 ? "iothread=A" : "iothread=B"))
			break;
		sync_and_wait();
		ck_assert_uint_eq(place_read(&place), 0);
		ck_assert_uint_ge(worker->tasks, 1);
		ck_assert(CPU_COUNT(&worker->actual_cpus) == 1 && CPU_ISSET(i % 2 ? lo : hi, &worker->actual_cpus));
	}
	end_ring();
}
END_TEST

/* As the kernel makes them: their own names come when they first run, which is late on a busy host. */
static unsigned unname_workers(void)
{
	DIR *dir = opendir("/proc/self/task");
	struct dirent *entry;
	char path[64], name[32];
	unsigned n = 0;

	ck_assert_ptr_nonnull(dir);
	while ((entry = readdir(dir))) {
		int fd;

		snprintf(path, sizeof(path), "/proc/self/task/%.20s/comm", entry->d_name);
		if (hostfile_text("", path, name, sizeof(name)) || strncmp(name, "iou-wrk-", 8) != 0)
			continue;
		fd = open(path, O_WRONLY | O_CLOEXEC);
		if (fd >= 0 && write(fd, "io:main", 7) == 7)
			n++;
		close(fd);
	}
	closedir(dir);
	return n;
}

START_TEST(workers_without_a_name_yet)
{
	struct placement *worker;
	unsigned unnamed = 0;

	if (!begin_ring())
		return;
	worker = place_find(&place, PLACE_WORKER, 0);
	while (!unnamed) {
		sync_and_wait();
		unnamed = unname_workers();
	}
	ck_assert_uint_eq(place_read(&place), 0);
	ck_assert_uint_eq(place.n, place.planned);
	ck_assert_uint_ge(worker->tasks, 1);
	if (workers_move("iothread=B")) {
		ck_assert_uint_eq(place_read(&place), 0);
		ck_assert(CPU_COUNT(&worker->actual_cpus) == 1 && CPU_ISSET(hi, &worker->actual_cpus));
	}
	end_ring();
}
END_TEST

UNIT_MAIN_TIMES("place_live", {threads_are_moved_and_read_back, 1}, {the_same_rule_again, 1},
	{each_gets_one_of_a_list, 1}, {what_can_not_be_is_refused_and_nothing_moves, 1},
	{off_line, 1}, {half_way, 1}, {the_kernel_s_workers_go_along, 1}, {real_workers, 1}, {workers_without_a_name_yet, 1},
	{doubts, 2}, {hangs, 2}, {a_ring_that_does_not_answer, 3}, {without_rights, 4},
	{nice_is_nothing_under_idle, 1}, {one_way_door, 1})
