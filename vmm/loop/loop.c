// SPDX-License-Identifier: Apache-2.0
/*
 * The engine-independent part of an event loop: watches, calls from other threads, idle hooks, timers, the
 * step. Runs on the loop's thread; loop_post(), loop_nudge() and loop_stop() on any.
 */
#include "vmm/loop/engine.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "vmm/log.h"
#include "vmm/loop/patience.h"

/* Watches */

int loop_watch(struct loop *loop, struct loop_ev *ev, int fd, uint32_t events)
{
	unsigned i = 0;
	int ret;

	if (ev->private.slot)
		return -EBUSY;
	while (i < loop->nslots && loop->slot[i].state != SLOT_FREE)
		i++;
	if (i == LOOP_WATCHES)
		return -ENOSPC;
	ev->fd = fd;
	ev->private.events = events & ~(uint32_t)(EPOLLET | EPOLLONESHOT);
	loop->slot[i].ev = ev;
	loop->slot[i].state = SLOT_LIVE;
	ret = loop->engine->arm(loop, i);
	if (ret) {
		loop->slot[i].ev = NULL;
		loop->slot[i].state = SLOT_FREE;
		return ret;
	}
	if (i == loop->nslots)
		loop->nslots++;
	ev->private.slot = i + 1;
	return 0;
}

void loop_unwatch(struct loop *loop, struct loop_ev *ev)
{
	unsigned i = ev->private.slot - 1;
	struct loop_slot *s;

	if (!ev->private.slot)
		return;
	s = &loop->slot[i];
	s->ev = NULL;
	s->late = 0;
	if (loop->engine->disarm(loop, i, ev->fd)) {
		s->gen++;
		s->state = SLOT_FREE;
	}
	ev->private.slot = 0;
}

/* Calls from other threads */

static void wake(struct loop *loop)
{
	static const uint64_t one = 1;

	/*
	 * Both sides do a sequentially consistent store and then a load of what the other one stored, so at
	 * least one sees the other: the poster sees `sleeping`, or the loop sees the post and does not sleep.
	 * Whoever clears `sleeping` writes; the eventfd is never read, so the write fails only after 2^64 of
	 * them.
	 */
	if (atomic_load(&loop->sleeping) && atomic_exchange(&loop->sleeping, false))
		(void)!write(loop->wake.fd, &one, sizeof(one));
}

void loop_post_all(struct loop *loop, struct loop_call *newest, struct loop_call *oldest)
{
	struct loop_call *head = atomic_load_explicit(&loop->posted, memory_order_relaxed);

	do
		oldest->private.next = head;
	while (!atomic_compare_exchange_weak(&loop->posted, &head, newest));
	wake(loop);
}

void loop_post(struct loop *loop, struct loop_call *call)
{
	loop_post_all(loop, call, call);
}

void loop_stop(struct loop *loop)
{
	atomic_store(&loop->stop, true);
	wake(loop);
}

void loop_nudge(struct loop *loop)
{
	atomic_store(&loop->nudged, true);
	wake(loop);
}

static void run_calls(struct loop *loop)
{
	struct loop_call *call, *next, *first = NULL;

	if (!atomic_load_explicit(&loop->posted, memory_order_relaxed))
		return;
	for (call = atomic_exchange(&loop->posted, NULL); call; call = next) {
		next = call->private.next;
		call->private.next = first;
		first = call;
	}
	for (call = first; call; call = next) {
		next = call->private.next;
		loop->ran++;
		call->fn(call);
	}
}

/* Idle hooks */

void loop_idle_add(struct loop *loop, struct loop_idle *idle)
{
	idle->private.next = loop->idles;
	idle->private.prev = &loop->idles;
	if (loop->idles)
		loop->idles->private.prev = &idle->private.next;
	loop->idles = idle;
}

void loop_idle_del(struct loop *loop, struct loop_idle *idle)
{
	if (!idle->private.prev)
		return;
	if (loop->idle_cursor == idle)
		loop->idle_cursor = idle->private.next;
	*idle->private.prev = idle->private.next;
	if (idle->private.next)
		idle->private.next->private.prev = idle->private.prev;
	idle->private.prev = NULL;
}

/* Everyone is asked, also after the first said yes: each is to make progress. A hook may remove any hook. */
bool loop_ask_idle(struct loop *loop, bool sleeping)
{
	struct loop_idle *idle;
	bool busy = false;

	for (idle = loop->idles; idle; idle = loop->idle_cursor) {
		loop->idle_cursor = idle->private.next;
		if (idle->fn(idle, sleeping)) {
			loop->ran++;
			busy = true;
		}
	}
	return busy;
}

/* Timers */

uint64_t loop_now(const struct loop *loop)
{
	return now_ns();
}

void loop_timer_cancel(struct loop *loop, struct loop_timer *timer)
{
	if (!timer->private.prev)
		return;
	*timer->private.prev = timer->private.next;
	if (timer->private.next)
		timer->private.next->private.prev = timer->private.prev;
	timer->private.prev = NULL;
}

void loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t ns_from_now)
{
	struct loop_timer **at = &loop->timers;
	uint64_t deadline;

	loop_timer_cancel(loop, timer);
	if (__builtin_add_overflow(now_ns(), ns_from_now, &deadline))
		deadline = UINT64_MAX;
	while (*at && (*at)->private.deadline <= deadline)
		at = &(*at)->private.next;
	timer->private.deadline = deadline;
	timer->private.next = *at;
	timer->private.prev = at;
	if (*at)
		(*at)->private.prev = &timer->private.next;
	*at = timer;
}

static void run_timers(struct loop *loop)
{
	uint64_t now = loop->timers ? now_ns() : 0;
	struct loop_timer *timer;

	while ((timer = loop->timers) && timer->private.deadline <= now) {
		loop_timer_cancel(loop, timer);
		loop->ran++;
		timer->fn(timer);
	}
}

/* Nanoseconds until the next timer, or the end of a sleep; < 0 without either. */
static int64_t next_timer(const struct loop *loop)
{
	uint64_t now, left, at = loop->timers && !loop->held ? loop->timers->private.deadline : UINT64_MAX;

	at = at < loop->until ? at : loop->until;
	if (at == UINT64_MAX)
		return -1;
	now = now_ns();
	left = at > now ? at - now : 0;
	return left < INT64_MAX ? (int64_t)left : INT64_MAX;
}

/* The step */

int loop_own(struct loop *loop)
{
	int ret = loop->owned ? 0 : loop->engine->own(loop);

	if (!ret)
		loop->owned = true;
	return ret;
}

void loop_poll(struct loop *loop, uint64_t max_ns, unsigned weight)
{
	if (!loop->poll_max)
		loop->came = now_ns(); /* nobody noted it meanwhile */
	loop->poll_max = max_ns;
	loop->price = patience_price(weight);
}

/* Until when it is worth to wait awake; not beyond the next timer. */
static uint64_t patience_end(struct loop *loop, uint64_t now)
{
	uint64_t longest = 0, ns;

	for (struct loop_idle *idle = loop->idles; idle; idle = idle->private.next) {
		ns = idle->expect ? idle->expect(idle, now, loop->came, loop->price) : 0;
		longest = ns > longest ? ns : longest;
	}
	longest = longest < loop->poll_max ? longest : loop->poll_max;
	if (loop->timers && loop->timers->private.deadline < now + longest)
		return loop->timers->private.deadline;
	return now + longest;
}

bool loop_came(struct loop *loop)
{
	if (atomic_load_explicit(&loop->posted, memory_order_relaxed) ||
		atomic_load_explicit(&loop->stop, memory_order_relaxed))
		return true;
	for (const struct loop_idle *idle = loop->idles; idle; idle = idle->private.next)
		if (idle->look && idle->look(idle))
			return true;
	return loop->engine->ready(loop);
}

/*
 * Wait awake, as long as that is worth it. True: something is there. What is queued goes out first. What is there at
 * the first look was not waited for: that is no poll.
 */
static int poll_first(struct loop *loop)
{
	uint64_t now = now_ns(), began = now, end = patience_end(loop, now);
	bool came, polled = false;
	int ret;

	if (end <= now)
		return 0;
	ret = loop->engine->wait(loop, 0);
	if (ret)
		return ret;
	while (!(came = loop_came(loop)) && now < end) {
		relax_cpu();
		now = now_ns();
		polled = true;
	}
	loop->came = now;
	if (polled) {
		count_add(&loop->stats.polls, 1);
		count_add(&loop->stats.hits, came);
		count_add(&loop->stats.polled_ns, now - began);
	}
	return came;
}

/* How long the coming wait may last. Leaves `sleeping` set unless that is 0. */
static int64_t may_sleep(struct loop *loop, bool nonblock)
{
	int64_t ns;

	if ((!loop->held && loop_ask_idle(loop, !nonblock && !loop->poll_max)) || nonblock)
		return 0;
	/* An error of the engine is met again, and told, by the wait that follows. */
	if (loop->poll_max && (poll_first(loop) || loop_ask_idle(loop, true)))
		return 0;
	ns = next_timer(loop);
	if (!ns)
		return 0;
	atomic_store(&loop->sleeping, true);
	if (!atomic_load(&loop->posted) && !atomic_load(&loop->stop) && !atomic_exchange(&loop->nudged, false)) {
		count_add(&loop->stats.sleeps, 1);
		return ns;
	}
	atomic_store_explicit(&loop->sleeping, false, memory_order_relaxed);
	return 0;
}

int loop_step(struct loop *loop, bool nonblock)
{
	int64_t ns;
	int ret = loop_own(loop);

	if (ret)
		return ret;
	loop->ran = 0;
	count_add(&loop->stats.steps, 1);
	ns = may_sleep(loop, nonblock);
	ret = loop->engine->wait(loop, ns);
	if (ns)
		atomic_store_explicit(&loop->sleeping, false, memory_order_relaxed);
	if (ns && atomic_load_explicit(&loop->nudged, memory_order_relaxed))
		atomic_store(&loop->nudged, false); /* this return is what it was for */
	if (ns && loop->poll_max)
		loop->came = now_ns();
	if (ret)
		return log_errno(ret, "loop %s: wait", loop->name);
	loop->engine->dispatch(loop);
	if (!loop->held)
		run_timers(loop);
	run_calls(loop);
	return loop->ran;
}

int loop_run(struct loop *loop)
{
	int ret = 0;

	while (ret >= 0 && !atomic_exchange(&loop->stop, false))
		ret = loop_step(loop, false);
	/* What the last callbacks queued, signals above all, still goes out. */
	if (ret >= 0 && loop->owned)
		ret = loop->engine->wait(loop, 0);
	return ret < 0 ? ret : 0;
}

/* File operations */

static void submit(struct loop *loop, struct loop_io *io, int op, int fd)
{
	io->private.op = op;
	io->private.fd = fd;
	io->private.next = NULL;
	loop->engine->io(loop, io);
}

void loop_readv(struct loop *loop, struct loop_io *io, int fd, const struct iovec *iov, int n, uint64_t off)
{
	io->private.iov = iov;
	io->private.n = n;
	io->private.off = off;
	submit(loop, io, LOOP_READV, fd);
}

void loop_writev(struct loop *loop, struct loop_io *io, int fd, const struct iovec *iov, int n, uint64_t off)
{
	io->private.iov = iov;
	io->private.n = n;
	io->private.off = off;
	submit(loop, io, LOOP_WRITEV, fd);
}

void loop_fdatasync(struct loop *loop, struct loop_io *io, int fd)
{
	submit(loop, io, LOOP_FDATASYNC, fd);
}

void loop_fallocate(struct loop *loop, struct loop_io *io, int fd, int mode, uint64_t off, uint64_t len)
{
	io->private.mode = mode;
	io->private.off = off;
	io->private.len = len;
	submit(loop, io, LOOP_FALLOCATE, fd);
}

void loop_signal(struct loop *loop, int eventfd)
{
	loop->engine->signal(loop, eventfd);
}
