// SPDX-License-Identifier: Apache-2.0
/* A loop that polls before it sleeps, over both engines: what ends its wait, in which order, and what it
 * costs. */
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "tests/unit/loops.h"
#include "vmm/util.h"

#define LONG 20000000000ULL /* a test that waits for its end has failed */

/* A source whose other side looks whether it is armed before it kicks. */
struct source {
	struct loop_idle idle;
	struct loop_ev ev;
	struct loop *loop;
	atomic_uint made, taken, armed; /* armed: how often kicks were asked for */
	unsigned total, kicks, asked, looked;
	unsigned comes; /* with the look of this number; 0: with none */
	bool echo; /* what is armed is kicked at once */
	uint64_t patience, came, price;
	int fd;
};

static bool on_idle(struct loop_idle *idle, bool sleeping)
{
	struct source *s = container_of(idle, struct source, idle);
	unsigned made = atomic_load(&s->made);

	if (made == atomic_load(&s->taken) && sleeping) {
		atomic_fetch_add(&s->armed, 1);
		if (s->echo)
			kick(s->fd);
		made = atomic_load(&s->made);
	}
	if (made == atomic_load(&s->taken))
		return false;
	atomic_store(&s->taken, made);
	return true;
}

static uint64_t on_expect(struct loop_idle *idle, uint64_t now, uint64_t came, uint64_t price)
{
	struct source *s = container_of(idle, struct source, idle);

	ck_assert_uint_ge(now, came);
	ck_assert_uint_ge(came, s->came);
	s->came = came;
	s->price = price;
	s->asked++;
	return s->patience;
}

static bool on_look(const struct loop_idle *idle)
{
	struct source *s = container_of(idle, struct source, idle);

	if (++s->looked == s->comes)
		atomic_fetch_add(&s->made, 1);
	return atomic_load(&s->made) != atomic_load(&s->taken);
}

static void on_kick(struct loop_ev *ev, uint32_t events)
{
	container_of(ev, struct source, ev)->kicks++;
}

static bool open_source(struct source *s, int engine, uint64_t patience)
{
	*s = (struct source){.idle = {.fn = on_idle, .expect = on_expect, .look = on_look},
		.ev.fn = on_kick,
		.patience = patience,
		.loop = make(engine, 8)};
	if (!s->loop)
		return false;
	loop_poll(s->loop, LONG, 3);
	s->fd = eventfd(0, EFD_NONBLOCK);
	ck_assert_int_eq(loop_watch(s->loop, &s->ev, s->fd, EPOLLIN), 0);
	loop_idle_add(s->loop, &s->idle);
	return true;
}

static void close_source(struct source *s)
{
	loop_destroy(s->loop);
	close(s->fd);
}

static struct loop_stats counts(const struct source *s)
{
	struct loop_stats n;

	loop_stats(s->loop, &n);
	return n;
}

/* Makes the next one when the last one was taken. */
static void *one_by_one(void *arg)
{
	struct source *s = arg;

	for (unsigned i = 0; i < s->total; i++) {
		while (atomic_load(&s->taken) != i)
			sched_yield();
		atomic_fetch_add(&s->made, 1);
	}
	return NULL;
}

START_TEST(no_kick_and_no_sleep_while_it_polls)
{
	struct source s;
	pthread_t thread;

	if (!open_source(&s, _i, LONG))
		return;
	s.total = 300;
	ck_assert_int_eq(pthread_create(&thread, NULL, one_by_one, &s), 0);
	while (atomic_load(&s.taken) < s.total)
		ck_assert_int_ge(loop_step(s.loop, false), 0);
	pthread_join(thread, NULL);
	ck_assert_uint_eq(atomic_load(&s.armed), 0);
	ck_assert_uint_eq(counts(&s).sleeps, 0);
	ck_assert_uint_eq(counts(&s).hits, counts(&s).polls);
	close_source(&s);
}
END_TEST

/* Its time over, it asks for kicks, and looks once more before it sleeps. */
START_TEST(it_gives_up_and_arms)
{
	struct source s;

	if (!open_source(&s, _i, 1000))
		return;
	s.echo = true;
	while (!s.kicks)
		ck_assert_int_ge(loop_step(s.loop, false), 0);
	ck_assert_uint_gt(atomic_load(&s.armed), 0);
	ck_assert_uint_gt(s.looked, 0);
	ck_assert_uint_gt(counts(&s).polls, 0);
	ck_assert_uint_ge(counts(&s).polled_ns, 1000);
	close_source(&s);
}
END_TEST

START_TEST(patience_has_an_upper_bound)
{
	struct source s;

	if (!open_source(&s, _i, LONG))
		return;
	loop_poll(s.loop, 1000, 4);
	s.echo = true;
	while (!s.kicks)
		ck_assert_int_ge(loop_step(s.loop, false), 0);
	ck_assert_uint_eq(s.price, 5 * 5000);
	loop_poll(s.loop, 0, 4);
	s.asked = s.kicks = 0;
	while (!s.kicks)
		ck_assert_int_ge(loop_step(s.loop, false), 0);
	ck_assert_msg(!s.asked, "a loop that does not poll asks nobody");
	close_source(&s);
}
END_TEST

START_TEST(without_patience_it_sleeps_at_once)
{
	struct source s;

	if (!open_source(&s, _i, 0))
		return;
	s.echo = true;
	while (!s.kicks)
		ck_assert_int_ge(loop_step(s.loop, false), 0);
	ck_assert_uint_eq(counts(&s).polls, 0);
	ck_assert_uint_eq(s.looked, 0);
	ck_assert_uint_gt(counts(&s).sleeps, 0);
	close_source(&s);
}
END_TEST

/* What is there at the first look was not waited for; what comes by the second one was. */
START_TEST(only_what_was_waited_for_is_a_poll)
{
	for (unsigned look = 1; look <= 2; look++) {
		struct source s;

		if (!open_source(&s, _i, LONG))
			return;
		ck_assert_int_ge(loop_step(s.loop, true), 0);
		s.comes = look;
		while (!atomic_load(&s.taken))
			ck_assert_int_ge(loop_step(s.loop, false), 0);
		ck_assert_uint_eq(s.looked, look);
		ck_assert_uint_eq(counts(&s).polls, look - 1);
		ck_assert_uint_eq(counts(&s).hits, look - 1);
		ck_assert_uint_eq(counts(&s).sleeps, 0);
		if (look == 1)
			ck_assert_uint_eq(counts(&s).polled_ns, 0);
		close_source(&s);
	}
}
END_TEST

static unsigned fired;

static void on_timer(struct loop_timer *timer)
{
	fired++;
}

START_TEST(a_timer_ends_it)
{
	struct loop_timer timer = {.fn = on_timer};
	struct source s;

	fired = 0;
	if (!open_source(&s, _i, LONG))
		return;
	loop_timer_set(s.loop, &timer, 1000000);
	while (!fired)
		ck_assert_int_ge(loop_step(s.loop, false), 0);
	close_source(&s);
}
END_TEST

/* A kick that was under way all the same, from a descriptor alone. */
START_TEST(a_descriptor_ends_it)
{
	struct source s;

	if (!open_source(&s, _i, LONG))
		return;
	ck_assert_int_ge(loop_step(s.loop, true), 0);
	kick(s.fd);
	while (!s.kicks)
		ck_assert_int_ge(loop_step(s.loop, false), 0);
	ck_assert_uint_eq(counts(&s).sleeps, 0);
	close_source(&s);
}
END_TEST

struct posted {
	struct loop_call call;
	struct source *s;
	bool ran;
};

static void on_call(struct loop_call *call)
{
	container_of(call, struct posted, call)->ran = true;
}

static void *post(void *arg)
{
	struct posted *p = arg;

	loop_post(p->s->loop, &p->call);
	return NULL;
}

static void *stop(void *arg)
{
	loop_stop(((struct source *)arg)->loop);
	return NULL;
}

START_TEST(calls_and_stops_end_it)
{
	struct source s;
	struct posted p = {.call.fn = on_call, .s = &s};
	pthread_t thread;

	if (!open_source(&s, _i, LONG))
		return;
	ck_assert_int_ge(loop_step(s.loop, true), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, post, &p), 0);
	while (!p.ran)
		ck_assert_int_ge(loop_step(s.loop, false), 0);
	pthread_join(thread, NULL);
	ck_assert_int_eq(pthread_create(&thread, NULL, stop, &s), 0);
	ck_assert_int_eq(loop_run(s.loop), 0);
	pthread_join(thread, NULL);
	ck_assert_uint_eq(counts(&s).sleeps, 0);
	close_source(&s);
}
END_TEST

struct reading {
	struct loop_io io;
	int res;
};

static void on_read(struct loop_io *io, int res)
{
	container_of(io, struct reading, io)->res = res;
}

/* What is queued goes out before it polls, and its end is found without a sleep. */
START_TEST(file_operations_end_it)
{
	char text[4], path[] = "/tmp/pinvm-poll-XXXXXX";
	struct iovec iov = {text, sizeof(text)};
	struct reading r = {.io.fn = on_read, .res = -1};
	struct source s;
	int fd = mkstemp(path);

	unlink(path);
	ck_assert_int_eq(write(fd, "abcd", 4), 4);
	if (!open_source(&s, _i, LONG))
		return;
	ck_assert_int_ge(loop_step(s.loop, true), 0);
	loop_readv(s.loop, &r.io, fd, &iov, 1, 0);
	while (r.res < 0)
		ck_assert_int_ge(loop_step(s.loop, false), 0);
	ck_assert_int_eq(r.res, 4);
	ck_assert_mem_eq(text, "abcd", 4);
	ck_assert_uint_eq(counts(&s).sleeps, 0);
	close_source(&s);
	close(fd);
}
END_TEST

/* The other side goes on when it is signalled. */
static void *when_signalled(void *arg)
{
	struct source *s = arg;
	uint64_t n;

	while (read((int)s->total, &n, sizeof(n)) != sizeof(n))
		sched_yield();
	atomic_fetch_add(&s->made, 1);
	return NULL;
}

START_TEST(signals_go_out_before_it_polls)
{
	struct source s;
	pthread_t thread;
	int fd = eventfd(0, EFD_NONBLOCK);

	if (!open_source(&s, _i, LONG))
		return;
	s.total = (unsigned)fd;
	ck_assert_int_ge(loop_step(s.loop, true), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, when_signalled, &s), 0);
	loop_signal(s.loop, fd);
	while (!atomic_load(&s.taken))
		ck_assert_int_ge(loop_step(s.loop, false), 0);
	pthread_join(thread, NULL);
	ck_assert_uint_eq(counts(&s).sleeps, 0);
	ck_assert_uint_eq(counts(&s).hits, counts(&s).polls);
	close_source(&s);
	close(fd);
}
END_TEST

int main(void)
{
	const TTest *both[] = {no_kick_and_no_sleep_while_it_polls, it_gives_up_and_arms,
		patience_has_an_upper_bound, without_patience_it_sleeps_at_once,
		only_what_was_waited_for_is_a_poll, a_timer_ends_it, a_descriptor_ends_it,
		calls_and_stops_end_it, file_operations_end_it, signals_go_out_before_it_polls};

	return run_both("loop_poll", both, COUNT(both), NULL, 0);
}
