// SPDX-License-Identifier: Apache-2.0
/*
 * A loop that is served in passing. KVM_RUN's part is played by futex(FUTEX_WAIT): like KVM_RUN it looks at a word of the
 * program's after it was called and before it waits, and is done when the word is no more what it was.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>

#include "tests/unit/loops.h"
#include "vmm/loop/engine.h"
#include "vmm/util.h"

#define MANY 5000

static union {
	_Alignas(4) _Atomic uint32_t word;
	uint8_t flag;
} run;

static struct loop *make_passing(void)
{
	struct loop *loop = make(1, 8);

	if (!loop)
		return NULL;
	loop_destroy(loop);
	ck_assert_int_eq(loop_create_passing(&loop, "test", 8, NULL, 0), 0);
	atomic_store(&run.word, 0);
	return loop;
}

/* The call: until something came. */
static void call(void)
{
	while (!atomic_load(&run.word))
		syscall(SYS_futex, &run.word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
}

static void turn(struct loop *loop)
{
	call();
	atomic_store(&run.word, 0);
	ck_assert_int_eq(loop_serve(loop, &run.flag), 0);
}

static uint64_t steps(const struct loop *loop)
{
	struct loop_stats n;

	loop_stats(loop, &n);
	return n.steps;
}

/* ---- nothing is lost ---- */

struct poker {
	struct counted c;
	struct loop *loop;
	atomic_uint seen;
	atomic_bool done;
	unsigned total;
	int fd;
};

static void on_poke(struct loop_ev *ev, uint32_t events)
{
	struct poker *p = container_of(ev, struct poker, c.ev);

	atomic_fetch_add(&p->seen, 1);
}

/* Each poke waits for the one before it to be seen: one that is lost ends the test. */
static void *poke(void *arg)
{
	struct poker *p = arg;

	for (unsigned i = 0; i < p->total; i++) {
		kick(p->fd);
		while (atomic_load(&p->seen) <= i)
			sched_yield();
	}
	return NULL;
}

START_TEST(no_event_is_lost)
{
	struct loop *loop = make_passing();
	struct poker p = {.c.ev.fn = on_poke, .loop = loop, .total = MANY, .fd = eventfd(0, EFD_NONBLOCK)};
	pthread_t thread;

	if (!loop)
		return;
	ck_assert_int_eq(loop_watch(loop, &p.c.ev, p.fd, EPOLLIN), 0);
	ck_assert_int_eq(loop_serve(loop, &run.flag), 0);
	pthread_create(&thread, NULL, poke, &p);
	while (atomic_load(&p.seen) < MANY)
		turn(loop);
	pthread_join(thread, NULL);
	ck_assert_int_eq(loop_release(loop), 0);
	loop_destroy(loop);
	close(p.fd);
}
END_TEST

struct posted {
	struct loop_call call;
	atomic_uint ran;
};

static void on_post(struct loop_call *call)
{
	atomic_fetch_add(&container_of(call, struct posted, call)->ran, 1);
}

struct post_thread {
	struct loop *loop;
	struct posted *post;
};

static void *post_many(void *arg)
{
	struct post_thread *t = arg;

	for (unsigned i = 0; i < MANY; i++) {
		loop_post(t->loop, &t->post->call);
		while (atomic_load(&t->post->ran) <= i)
			sched_yield();
	}
	return NULL;
}

START_TEST(no_post_is_lost)
{
	struct loop *loop = make_passing();
	struct posted post = {.call.fn = on_post};
	struct post_thread t = {loop, &post};
	pthread_t thread;

	if (!loop)
		return;
	ck_assert_int_eq(loop_serve(loop, &run.flag), 0);
	pthread_create(&thread, NULL, post_many, &t);
	while (atomic_load(&post.ran) < MANY)
		turn(loop);
	pthread_join(thread, NULL);
	ck_assert_int_eq(loop_release(loop), 0);
	loop_destroy(loop);
}
END_TEST

/* As long as a poke comes before the call is left, it is left: EINTR, which epoll_wait() gives as KVM_RUN does. */
static void *poke_on(void *arg)
{
	struct poker *p = arg;

	while (!atomic_load(&p->done)) {
		kick(p->fd);
		sched_yield();
	}
	return NULL;
}

START_TEST(a_call_is_interrupted)
{
	struct loop *loop = make_passing();
	struct poker p = {.c.ev.fn = on_poke, .loop = loop, .fd = eventfd(0, EFD_NONBLOCK)};
	int ep = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event e;
	pthread_t thread;

	if (!loop)
		return;
	ck_assert_int_eq(loop_watch(loop, &p.c.ev, p.fd, EPOLLIN), 0);
	ck_assert_int_eq(loop_serve(loop, &run.flag), 0);
	pthread_create(&thread, NULL, poke_on, &p);
	while (!atomic_load(&p.seen)) { /* a thread that was only just made may be interrupted for another reason */
		ck_assert_int_eq(epoll_wait(ep, &e, 1, -1), -1);
		ck_assert_int_eq(errno, EINTR);
		ck_assert_int_eq(loop_serve(loop, &run.flag), 0);
	}
	atomic_store(&p.done, true);
	pthread_join(thread, NULL);
	loop_destroy(loop);
	close(p.fd);
	close(ep);
}
END_TEST

/* ---- what a turn does ---- */

START_TEST(nothing_costs_nothing)
{
	struct loop *loop = make_passing();
	uint64_t before;

	if (!loop)
		return;
	ck_assert_int_eq(loop_serve(loop, &run.flag), 0);
	before = steps(loop);
	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(loop_serve(loop, &run.flag), 0);
	ck_assert_uint_eq(steps(loop), before);
	ck_assert_uint_eq(atomic_load(&run.word), 0);
	loop_destroy(loop);
}
END_TEST

struct timed {
	struct loop_timer timer;
	unsigned ran;
};

static void on_timer(struct loop_timer *timer)
{
	container_of(timer, struct timed, timer)->ran++;
}

START_TEST(timers_end_the_call)
{
	struct loop *loop = make_passing();
	struct timed t = {.timer.fn = on_timer};

	if (!loop)
		return;
	for (unsigned i = 1; i <= 5; i++) {
		ck_assert_int_eq(loop_release(loop), 0);
		loop_timer_set(loop, &t.timer, 1000000);
		ck_assert_int_eq(loop_serve(loop, &run.flag), 0);
		while (t.ran < i)
			turn(loop);
	}
	loop_destroy(loop);
}
END_TEST

struct file_end {
	struct loop_io io;
	int res, ended;
};

static void on_io(struct loop_io *io, int res)
{
	struct file_end *end = container_of(io, struct file_end, io);

	end->res = res;
	end->ended++;
}

/* Some are done at once, others by a worker of the kernel's, which puts the completion into the ring itself. */
START_TEST(ends_of_requests_end_the_call)
{
	struct loop *loop = make_passing();
	struct file_end end = {.io.fn = on_io};
	char name[] = "/tmp/test_loop_serve.XXXXXX", data[512] = "data";
	struct iovec iov = {data, sizeof(data)};
	int fd = mkstemp(name);

	if (!loop)
		return;
	unlink(name);
	for (int i = 1; i <= 200; i++) {
		ck_assert_int_eq(loop_release(loop), 0);
		if (i & 1)
			loop_fdatasync(loop, &end.io, fd);
		else
			loop_writev(loop, &end.io, fd, &iov, 1, 0);
		ck_assert_int_eq(loop_serve(loop, &run.flag), 0);
		while (end.ended < i)
			turn(loop);
		ck_assert_int_eq(end.res, i & 1 ? 0 : (int)sizeof(data));
	}
	ck_assert_int_eq(loop_release(loop), 0);
	loop_destroy(loop);
	close(fd);
}
END_TEST

struct busy {
	struct loop_idle idle;
	unsigned asked;
	bool on;
};

static bool on_busy(struct loop_idle *idle, bool sleeping)
{
	struct busy *b = container_of(idle, struct busy, idle);

	b->asked++;
	return b->on;
}

/* Who always has more does not keep the thread, and is not forgotten. */
START_TEST(a_turn_ends)
{
	struct loop *loop = make_passing();
	struct busy b = {.idle.fn = on_busy, .on = true};
	unsigned asked;

	if (!loop)
		return;
	loop_idle_add(loop, &b.idle);
	ck_assert_int_eq(loop_serve(loop, &run.flag), 0);
	for (int i = 0; i < 10; i++) {
		asked = b.asked;
		turn(loop);
		while (b.asked == asked)
			turn(loop);
	}
	b.on = false;
	turn(loop);
	asked = b.asked;
	ck_assert_int_eq(loop_serve(loop, &run.flag), 0);
	ck_assert_uint_eq(b.asked, asked);
	loop_idle_del(loop, &b.idle);
	loop_destroy(loop);
}
END_TEST

/* What comes in the other's time ends its call, and waits for its own turn. */
START_TEST(a_flood_takes_no_turn_but_its_own)
{
	struct loop *loop = make_passing();
	struct busy b = {.idle.fn = on_busy, .on = true};
	struct counted c = {.ev.fn = count_ev};
	int fd = eventfd(0, EFD_NONBLOCK);
	unsigned asked;

	if (!loop)
		return;
	ck_assert_int_eq(loop_watch(loop, &c.ev, fd, EPOLLIN), 0);
	loop_idle_add(loop, &b.idle);
	ck_assert_int_eq(loop_serve(loop, &run.flag), 0);
	loop_timer_set(loop, &loop->breath, 3600000000000); /* that it lasts is the clock's business */
	asked = b.asked;
	for (int i = 0; i < 100; i++) {
		kick(fd);
		ck_assert_int_eq(loop_serve(loop, &run.flag), 0);
	}
	ck_assert_uint_eq(b.asked, asked);
	ck_assert_uint_eq(c.hits, 0);
	loop_timer_set(loop, &loop->breath, 0);
	ck_assert_int_eq(loop_serve(loop, &run.flag), 0);
	ck_assert_uint_gt(b.asked, asked);
	ck_assert_uint_gt(c.hits, 0);
	loop_idle_del(loop, &b.idle);
	loop_destroy(loop);
	close(fd);
}
END_TEST

START_TEST(the_flag_is_left_alone_afterwards)
{
	struct loop *loop = make_passing();
	struct counted c = {.ev.fn = count_ev};
	int fd = eventfd(0, EFD_NONBLOCK);

	if (!loop)
		return;
	ck_assert_int_eq(loop_watch(loop, &c.ev, fd, EPOLLIN), 0);
	for (int i = 1; i <= 100; i++) {
		ck_assert_int_eq(loop_serve(loop, &run.flag), 0);
		if (i & 1)
			kick(fd);
		ck_assert_int_eq(loop_release(loop), 0);
		atomic_store(&run.word, 0);
		kick(fd);
		loop_nudge(loop);
		ck_assert_uint_eq(atomic_load(&run.word), 0);
		ck_assert_int_ge(loop_sleep(loop, UINT64_MAX), 0);
		ck_assert_uint_eq(atomic_load(&run.word), 0);
	}
	ck_assert_int_ge(c.hits, 100);
	loop_destroy(loop);
	close(fd);
}
END_TEST

/* ---- sleeping, and being held ---- */

static void *nudge(void *arg)
{
	loop_nudge(arg);
	return NULL;
}

START_TEST(sleep_ends)
{
	struct loop *loop = make_passing();
	pthread_t thread;
	uint64_t at;

	if (!loop)
		return;
	for (int i = 0; i < 200; i++) {
		pthread_create(&thread, NULL, nudge, loop);
		ck_assert_int_ge(loop_sleep(loop, UINT64_MAX), 0);
		pthread_join(thread, NULL);
	}
	at = now_ns() + 2000000;
	for (int left = 3; now_ns() < at; left--) { /* the last nudge may have come twice */
		ck_assert_int_gt(left, 0);
		ck_assert_int_ge(loop_sleep(loop, at), 0);
	}
	ck_assert_int_eq(loop_sleep(loop, 1), 0);
	loop_destroy(loop);
}
END_TEST

START_TEST(held_ones_only_finish)
{
	struct loop *loop = make_passing();
	struct counted c = {.ev.fn = count_ev};
	struct busy b = {.idle.fn = on_busy};
	struct timed t = {.timer.fn = on_timer};
	struct posted post = {.call.fn = on_post};
	struct file_end end = {.io.fn = on_io};
	int fd = eventfd(0, EFD_NONBLOCK);

	if (!loop)
		return;
	ck_assert_int_eq(loop_watch(loop, &c.ev, fd, EPOLLIN), 0);
	loop_idle_add(loop, &b.idle);
	ck_assert_int_eq(loop_serve(loop, &run.flag), 0);
	ck_assert_int_eq(loop_release(loop), 0);
	loop_hold(loop, true);
	b.asked = 0;
	kick(fd);
	loop_timer_set(loop, &t.timer, 0);
	loop_fdatasync(loop, &end.io, STDERR_FILENO); /* no file: it fails, which is an end */
	loop_post(loop, &post.call);
	while (!end.ended || !atomic_load(&post.ran))
		ck_assert_int_ge(loop_sleep(loop, UINT64_MAX), 0);
	for (int i = 0; i < 3; i++)
		ck_assert_int_ge(loop_step(loop, true), 0);
	ck_assert_int_eq(c.hits, 0);
	ck_assert_uint_eq(b.asked, 0);
	ck_assert_uint_eq(t.ran, 0);
	loop_hold(loop, false);
	ck_assert_int_eq(c.hits, 1);
	ck_assert_int_eq(loop_serve(loop, &run.flag), 0);
	ck_assert_uint_gt(b.asked, 0);
	ck_assert_uint_eq(t.ran, 1);
	ck_assert_int_eq(c.hits, 1);
	loop_hold(loop, true);
	kick(fd);
	ck_assert_int_ge(loop_step(loop, true), 0);
	loop_unwatch(loop, &c.ev);
	loop_hold(loop, false);
	ck_assert_int_eq(c.hits, 1);
	loop_idle_del(loop, &b.idle);
	loop_destroy(loop);
	close(fd);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {no_event_is_lost, no_post_is_lost, a_call_is_interrupted, nothing_costs_nothing,
		timers_end_the_call, ends_of_requests_end_the_call, a_turn_ends, a_flood_takes_no_turn_but_its_own, the_flag_is_left_alone_afterwards, sleep_ends,
		held_ones_only_finish};

	return run_both("loop_serve", NULL, 0, tests, sizeof(tests) / sizeof(tests[0]));
}
