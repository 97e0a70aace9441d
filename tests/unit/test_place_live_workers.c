// SPDX-License-Identifier: Apache-2.0
/* Another place for an iothread takes along what the kernel works for it, and the ring answers or it does not. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>

#include "tests/unit/place_live_unit.h"
#include "vmm/hostfile.h"
#include "vmm/loop/errand.h"
#include "vmm/thread.h"

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

UNIT_MAIN_TIMES("place_live_workers", {a_ring_that_does_not_answer, 3}, {the_kernel_s_workers_go_along, 1},
	{real_workers, 1}, {workers_without_a_name_yet, 1})
