// SPDX-License-Identifier: Apache-2.0
/* The event loop, every case over both engines: watches, calls from other threads, timers, idle hooks. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

#include "tests/unit/loops.h"

START_TEST(watch_is_an_edge)
{
	struct counted c = {.ev.fn = count_ev};
	int fd = eventfd(0, EFD_NONBLOCK);
	struct loop *loop = make(_i, 8);

	if (!loop)
		return;
	ck_assert_int_eq(loop_watch(loop, &c.ev, fd, EPOLLIN), 0);
	ck_assert_int_eq(loop_watch(loop, &c.ev, fd, EPOLLIN), -EBUSY);
	for (int i = 1; i <= 100; i++) {
		kick(fd);
		while (c.hits < i)
			ck_assert_int_ge(loop_step(loop, false), 0);
		ck_assert_int_eq(c.hits, i);
		ck_assert_uint_eq(c.events, EPOLLIN);
		ck_assert_int_eq(loop_step(loop, true), 0);
	}
	loop_unwatch(loop, &c.ev);
	loop_unwatch(loop, &c.ev);
	kick(fd);
	for (int i = 0; i < 10; i++)
		ck_assert_int_eq(loop_step(loop, true), 0);
	ck_assert_int_eq(c.hits, 100);
	loop_destroy(loop);
	close(fd);
}
END_TEST

/* An event already found ready must not reach a watch that was taken away, or the one that took its place. */
START_TEST(stale_events_are_dropped)
{
	struct counted a = {.ev.fn = count_ev}, b = {.ev.fn = count_ev}, again = {.ev.fn = count_ev};
	int fa = eventfd(0, EFD_NONBLOCK), fb = eventfd(0, EFD_NONBLOCK);
	struct loop *loop = make(_i, 8);

	if (!loop)
		return;
	a.loop = b.loop = loop;
	a.victim = &b;
	b.victim = &a;
	for (int i = 0; i < 200; i++) {
		a.hits = b.hits = again.hits = 0;
		ck_assert_int_eq(loop_watch(loop, &a.ev, fa, EPOLLIN), 0);
		ck_assert_int_eq(loop_watch(loop, &b.ev, fb, EPOLLIN), 0);
		kick(fa);
		kick(fb);
		while (!a.hits && !b.hits)
			ck_assert_int_ge(loop_step(loop, false), 0);
		while (loop_step(loop, true) > 0)
			;
		ck_assert_msg(!a.hits || !b.hits, "whoever ran first unwatched the other");
		loop_unwatch(loop, &a.ev);
		loop_unwatch(loop, &b.ev);
		/* The slots are taken again, by a watch of something that has nothing to say. */
		ck_assert_int_eq(loop_watch(loop, &again.ev, fa, EPOLLPRI), 0);
		kick(fb);
		for (int n = 0; n < 4; n++)
			loop_step(loop, true);
		ck_assert_int_eq(again.hits, 0);
		loop_unwatch(loop, &again.ev);
	}
	loop_destroy(loop);
	close(fa);
	close(fb);
}
END_TEST

START_TEST(refuses_what_cannot_be_waited_for)
{
	char path[] = "/tmp/pinvm-loop-XXXXXX";
	struct counted c = {.ev.fn = count_ev};
	int fd = mkstemp(path), null = open("/dev/null", O_RDONLY);
	struct loop *loop = make(_i, 8);

	unlink(path);
	if (!loop)
		return;
	ck_assert_int_eq(loop_watch(loop, &c.ev, fd, EPOLLIN), -EPERM);
	ck_assert_int_eq(loop_watch(loop, &c.ev, null, EPOLLIN), -EPERM);
	ck_assert_int_eq(loop_watch(loop, &c.ev, -1, EPOLLIN), -EBADF);
	loop_destroy(loop);
	close(fd);
	close(null);
}
END_TEST

/* More watches than any queue has room for, before and after the loop has an owner. */
static void count_call(struct loop_ev *ev, uint32_t events)
{
	(*(unsigned *)(ev + 1))++;
}

/* A tap that was deleted: always "ready", with nothing to wait for. */
START_TEST(nothing_behind_it_is_told_once)
{
	struct {
		struct loop_ev ev;
		unsigned calls;
	} dead = {.ev.fn = count_call};
	struct loop *loop = make(_i, 0);
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	if (!loop || fd < 0) {
		printf("skip: %s\n", loop ? "/dev/net/tun can not be opened" : "no such engine");
		return;
	}
	ck_assert_int_eq(loop_watch(loop, &dead.ev, fd, EPOLLIN | EPOLLOUT), 0);
	for (unsigned i = 0; i < 100; i++)
		ck_assert_int_ge(loop_step(loop, true), 0);
	ck_assert_uint_le(dead.calls, 1);
	loop_unwatch(loop, &dead.ev);
	loop_destroy(loop);
	close(fd);
}
END_TEST

START_TEST(many_watches)
{
	static struct counted c[LOOP_WATCHES];
	struct rlimit lim = {2 * LOOP_WATCHES, 2 * LOOP_WATCHES};
	int fd = eventfd(0, EFD_NONBLOCK), n = LOOP_WATCHES - 1;
	struct loop *loop = make(_i, 8);

	if (!loop)
		return;
	if (setrlimit(RLIMIT_NOFILE, &lim) < 0) {
		puts("skip: the limit on open files is too low for as many as a loop has room for");
		return;
	}
	for (int round = 0; round < 3; round++) {
		memset(c, 0, sizeof(c));
		for (int i = 0; i < n; i++) {
			c[i].ev.fn = count_ev;
			ck_assert_int_eq(loop_watch(loop, &c[i].ev, dup(fd), EPOLLIN), 0);
		}
		ck_assert_int_eq(loop_watch(loop, &c[n].ev, fd, EPOLLIN), -ENOSPC);
		kick(fd);
		for (int i = 0; i < n; i++)
			while (!c[i].hits)
				ck_assert_int_ge(loop_step(loop, false), 0);
		for (int i = n - 1; i >= 0; i--) {
			loop_unwatch(loop, &c[i].ev);
			close(c[i].ev.fd);
		}
		loop_step(loop, true);
	}
	loop_destroy(loop);
	close(fd);
}
END_TEST

/* Posts */

#define POSTERS 4

struct poster;
struct note {
	struct loop_call call;
	struct poster *from;
	unsigned seq;
};

struct poster {
	pthread_t thread;
	struct loop *loop;
	struct note *notes;
	unsigned n, expected;
	unsigned *total;
};

static void on_note(struct loop_call *call)
{
	struct note *note = (struct note *)call;

	ck_assert_uint_eq(note->seq, note->from->expected);
	note->from->expected++;
	++*note->from->total;
}

static void *post_all(void *arg)
{
	struct poster *p = arg;

	for (unsigned i = 0; i < p->n; i++) {
		p->notes[i] = (struct note){.call.fn = on_note, .from = p, .seq = i};
		loop_post(p->loop, &p->notes[i].call);
	}
	return NULL;
}

START_TEST(posts_keep_order_and_none_is_lost)
{
	static struct poster p[POSTERS];
	const unsigned n = getenv("PINVM_SOAK") ? 1000000 : 100000;
	unsigned total = 0;
	struct loop_stats stats;
	struct loop *loop = make(_i, 8);

	if (!loop)
		return;
	for (int i = 0; i < POSTERS; i++) {
		p[i] = (struct poster){.loop = loop, .n = n, .total = &total};
		p[i].notes = calloc(n, sizeof(struct note));
		ck_assert_int_eq(pthread_create(&p[i].thread, NULL, post_all, &p[i]), 0);
	}
	/* Blocking: a lost wake-up hangs here until the test's time limit. */
	while (total < POSTERS * n)
		ck_assert_int_ge(loop_step(loop, false), 0);
	for (int i = 0; i < POSTERS; i++) {
		pthread_join(p[i].thread, NULL);
		ck_assert_uint_eq(p[i].expected, n);
		free(p[i].notes);
	}
	loop_stats(loop, &stats);
	ck_assert_uint_le(stats.wakeups, stats.sleeps + 1);
	loop_destroy(loop);
}
END_TEST

/* One post at a time, each sent only when the one before it ran: every one meets the loop on its way to
 * sleep. */
struct pingpong {
	struct loop_call call;
	atomic_uint ran;
	unsigned rounds; /* or those of a while */
	struct loop *loop;
};

static void on_ping(struct loop_call *call)
{
	atomic_fetch_add(&((struct pingpong *)call)->ran, 1);
}

static void *ping(void *arg)
{
	struct pingpong *p = arg;

	for (unsigned i = 0; i < p->rounds; i++) {
		loop_post(p->loop, &p->call);
		while (atomic_load(&p->ran) == i)
			sched_yield();
		if (unit_enough())
			p->rounds = i + 1;
	}
	loop_stop(p->loop);
	return NULL;
}

START_TEST(no_wakeup_is_lost)
{
	struct pingpong p = {.call.fn = on_ping, .rounds = 20000};
	pthread_t thread;

	p.loop = make(_i, 8);
	if (!p.loop)
		return;
	ck_assert_int_eq(pthread_create(&thread, NULL, ping, &p), 0);
	ck_assert_int_eq(loop_run(p.loop), 0);
	pthread_join(thread, NULL);
	ck_assert_uint_eq(atomic_load(&p.ran), p.rounds);
	loop_destroy(p.loop);
}
END_TEST

static void *stop(void *arg)
{
	loop_stop(arg);
	return NULL;
}

START_TEST(stop_from_elsewhere)
{
	struct loop *loop = make(_i, 8);

	if (!loop)
		return;
	loop_stop(loop);
	ck_assert_int_eq(loop_run(loop), 0);
	for (int i = 0; i < 200; i++) {
		pthread_t thread;

		ck_assert_int_eq(pthread_create(&thread, NULL, stop, loop), 0);
		ck_assert_int_eq(loop_run(loop), 0);
		pthread_join(thread, NULL);
	}
	loop_destroy(loop);
}
END_TEST

static struct pingpong *again;
static void repost(struct loop_call *call)
{
	if (atomic_fetch_add(&again->ran, 1) < 2)
		loop_post(again->loop, call);
}

START_TEST(a_call_may_post_itself)
{
	struct pingpong p = {.call.fn = repost};

	p.loop = make(_i, 8);
	if (!p.loop)
		return;
	again = &p;
	loop_post(p.loop, &p.call);
	for (unsigned i = 1; i <= 3; i++) {
		ck_assert_int_eq(loop_step(p.loop, false), 1);
		ck_assert_uint_eq(atomic_load(&p.ran), i);
	}
	ck_assert_int_eq(loop_step(p.loop, true), 0);
	loop_destroy(p.loop);
}
END_TEST

/* Timers */

struct marked {
	struct loop_timer timer;
	struct loop *loop;
	char mark;
	int again;
};
static char marks[16];

static void on_timer(struct loop_timer *timer)
{
	struct marked *m = (struct marked *)timer;
	size_t n = strlen(marks);

	ck_assert_uint_lt(n + 1, sizeof(marks));
	marks[n] = m->mark;
	marks[n + 1] = 0;
	if (m->again-- > 0)
		loop_timer_set(m->loop, timer, 1000);
}

START_TEST(timers_run_in_order)
{
	struct marked a = {.mark = 'a'}, b = {.mark = 'b'}, c = {.mark = 'c'}, d = {.mark = 'd'};
	struct marked *all[] = {&a, &b, &c, &d};
	struct loop *loop = make(_i, 8);
	int ran;

	if (!loop)
		return;
	marks[0] = 0;
	for (int i = 0; i < 4; i++) {
		all[i]->timer.fn = on_timer;
		all[i]->loop = loop;
	}
	loop_timer_cancel(loop, &a.timer);
	loop_timer_set(loop, &c.timer, 6000000);
	loop_timer_set(loop, &a.timer, 2000000);
	loop_timer_set(loop, &b.timer, 60000000000);
	loop_timer_set(loop, &d.timer, 3000000);
	loop_timer_set(loop, &b.timer, 4000000); /* moved */
	loop_timer_cancel(loop, &d.timer);
	/* An early return of the wait would be a step that ran nothing. */
	for (int n = 0; n < 3; n += ran) {
		ran = loop_step(loop, false);
		ck_assert_int_ge(ran, 1);
	}
	ck_assert_str_eq(marks, "abc");
	d.again = 2;
	loop_timer_set(loop, &d.timer, 0);
	for (int n = 0; n < 3; n += ran)
		ran = loop_step(loop, false);
	ck_assert_str_eq(marks, "abcddd");
	loop_timer_set(loop, &a.timer, UINT64_MAX);
	ck_assert_int_eq(loop_step(loop, true), 0);
	loop_destroy(loop);
}
END_TEST

/* Idle hooks */

struct hook {
	struct loop_idle idle;
	struct loop *loop;
	struct hook *victim;
	int asked, polled, busy;
	int kicks; /* an eventfd, as the loop is about to sleep; 0: none */
};

static bool on_idle(struct loop_idle *idle, bool sleeping)
{
	struct hook *h = (struct hook *)idle;

	if (!sleeping) {
		h->polled++;
		return false;
	}
	h->asked++;
	if (h->victim)
		loop_idle_del(h->loop, &h->victim->idle);
	if (h->kicks)
		kick(h->kicks);
	return h->busy-- > 0;
}

START_TEST(idle_hooks_come_before_sleep)
{
	struct hook a = {.idle.fn = on_idle}, b = {.idle.fn = on_idle, .busy = 3}, c = {.idle.fn = on_idle};
	struct counted kicked = {.ev.fn = count_ev};
	int fd = eventfd(0, EFD_NONBLOCK);
	struct loop *loop = make(_i, 8);

	if (!loop)
		return;
	a.loop = b.loop = c.loop = loop;
	loop_idle_add(loop, &c.idle);
	loop_idle_add(loop, &b.idle);
	loop_idle_add(loop, &a.idle);
	ck_assert_int_eq(loop_step(loop, true), 0);
	ck_assert_msg(!a.asked && !b.asked, "no word of sleep in a step that cannot");
	ck_assert_msg(a.polled == 1 && b.polled == 1 && c.polled == 1, "but everybody has a turn");
	for (int i = 1; i <= 3; i++) {
		ck_assert_int_eq(loop_step(loop, false), 1);
		ck_assert_int_eq(a.asked, i);
		ck_assert_int_eq(b.asked, i);
	}
	/* a takes b away while they are asked: c still is, and then the loop sleeps until c's kick. */
	a.victim = &b;
	c.kicks = fd;
	ck_assert_int_eq(loop_watch(loop, &kicked.ev, fd, EPOLLIN), 0);
	ck_assert_int_eq(loop_step(loop, false), 1);
	ck_assert_int_eq(kicked.hits, 1);
	ck_assert_int_eq(a.asked, 4);
	ck_assert_int_eq(b.asked, 3);
	ck_assert_int_eq(c.asked, 4);
	ck_assert_int_eq(c.polled, 1);
	loop_idle_del(loop, &b.idle);
	loop_idle_del(loop, &a.idle);
	loop_idle_del(loop, &c.idle);
	loop_destroy(loop);
	close(fd);
}
END_TEST

/* As a virtqueue does: a flag that the other side reads before it kicks, armed only in the idle hook. */
struct queue {
	struct loop_idle idle;
	struct loop_ev ev;
	struct loop *loop;
	atomic_uint avail;
	atomic_bool armed;
	unsigned used, total, kicks;
	int fd;
};

static void on_kick(struct loop_ev *ev, uint32_t events)
{
}

static bool queue_idle(struct loop_idle *idle, bool sleeping)
{
	struct queue *q = (struct queue *)idle;
	unsigned avail = atomic_load(&q->avail);

	if (avail == q->used) {
		atomic_store(&q->armed, true);
		avail = atomic_load(&q->avail);
	}
	if (avail == q->used)
		return false;
	atomic_store(&q->armed, false);
	q->used = avail;
	return true;
}

static void *produce(void *arg)
{
	struct queue *q = arg;

	for (unsigned i = 0; i < q->total; i++) {
		atomic_fetch_add(&q->avail, 1);
		if (atomic_load(&q->armed)) {
			q->kicks++;
			kick(q->fd);
		}
	}
	return NULL;
}

START_TEST(idle_hook_soak)
{
	struct queue q = {.idle.fn = queue_idle, .ev.fn = on_kick, .total = 200000};
	pthread_t thread;

	q.loop = make(_i, 8);
	if (!q.loop)
		return;
	q.fd = eventfd(0, EFD_NONBLOCK);
	ck_assert_int_eq(loop_watch(q.loop, &q.ev, q.fd, EPOLLIN), 0);
	loop_idle_add(q.loop, &q.idle);
	ck_assert_int_eq(pthread_create(&thread, NULL, produce, &q), 0);
	while (q.used < q.total)
		ck_assert_int_ge(loop_step(q.loop, false), 0);
	pthread_join(thread, NULL);
	loop_destroy(q.loop);
	close(q.fd);
}
END_TEST

START_TEST(says_who_it_is)
{
	const char *why = "";
	struct loop *loop = make(_i, 8);

	if (!loop)
		return;
	ck_assert_str_eq(loop_name(loop), "test");
	ck_assert_str_eq(loop_engine(loop, &why), _i ? "io_uring" : "plain");
	ck_assert_ptr_null(why);
	loop_destroy(loop);
	loop_destroy(NULL);
}
END_TEST

int main(void)
{
	const TTest *both[] = {watch_is_an_edge, stale_events_are_dropped, refuses_what_cannot_be_waited_for,
		nothing_behind_it_is_told_once, many_watches, posts_keep_order_and_none_is_lost, no_wakeup_is_lost, stop_from_elsewhere,
		a_call_may_post_itself, timers_run_in_order, idle_hooks_come_before_sleep, idle_hook_soak,
		says_who_it_is};

	return run_both("loop", both, COUNT(both), NULL, 0);
}
