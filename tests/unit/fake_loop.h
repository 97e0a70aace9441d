/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An event loop without threads or descriptors, for tests and fuzzers: a round runs what was posted, the
 * watches a test made ready, what the back end has to say, and asks the idle hooks, as the real one does.
 * Defines the loop_* functions that devices use, so include it once a program; the real ones are then not
 * linked in.
 */
#ifndef PINVM_TESTS_FAKE_LOOP_H
#define PINVM_TESTS_FAKE_LOOP_H

#include <errno.h>

#include "tests/unit/ring_driver.h"
#include "vmm/loop/loop.h"

#define FAKE_WATCHES 32

struct loop {
	struct loop_call *posted, **tail;
	struct loop_idle *idles;
	struct loop_ev *watch[FAKE_WATCHES];
	bool ready[FAKE_WATCHES];
	struct loop_timer *timers; /* the next one first */
	uint64_t now;		   /* a test's to move: ns */
	unsigned watches;			    /* made so far */
	int watch_err;			    /* what the next loop_watch() returns */
	bool (*backend)(struct loop *loop); /* completions; true: there were some */
};

void loop_post(struct loop *loop, struct loop_call *call)
{
	if (!loop->posted)
		loop->tail = &loop->posted;
	call->private.next = NULL;
	*loop->tail = call;
	loop->tail = &call->private.next;
}

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
	*idle->private.prev = idle->private.next;
	if (idle->private.next)
		idle->private.next->private.prev = idle->private.prev;
}

int loop_watch(struct loop *loop, struct loop_ev *ev, int fd, uint32_t events)
{
	if (loop->watch_err)
		return loop->watch_err;
	for (unsigned i = 0; i < FAKE_WATCHES; i++) {
		if (loop->watch[i])
			continue;
		ev->fd = fd;
		loop->watches++;
		loop->watch[i] = ev;
		loop->ready[i] = false;
		return 0;
	}
	return -ENOSPC;
}

void loop_unwatch(struct loop *loop, struct loop_ev *ev)
{
	for (unsigned i = 0; i < FAKE_WATCHES; i++)
		if (loop->watch[i] == ev)
			loop->watch[i] = NULL;
}

uint64_t loop_now(const struct loop *loop)
{
	return loop->now;
}

void loop_timer_cancel(struct loop *loop, struct loop_timer *timer)
{
	for (struct loop_timer **at = &loop->timers; *at; at = &(*at)->private.next)
		if (*at == timer) {
			*at = timer->private.next;
			return;
		}
}

void loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t ns_from_now)
{
	struct loop_timer **at = &loop->timers;

	loop_timer_cancel(loop, timer);
	if (__builtin_add_overflow(loop->now, ns_from_now, &timer->private.deadline))
		timer->private.deadline = UINT64_MAX;
	while (*at && (*at)->private.deadline <= timer->private.deadline)
		at = &(*at)->private.next;
	timer->private.next = *at;
	*at = timer;
}

/* Make a watched descriptor ready; nothing happens when nobody watches it. */
static inline void fake_ready(struct loop *loop, int fd)
{
	for (unsigned i = 0; i < FAKE_WATCHES; i++)
		if (loop->watch[i] && loop->watch[i]->fd == fd)
			loop->ready[i] = true;
}

/* What a round handles before it asks whether to sleep. */
static inline bool fake_work(struct loop *loop)
{
	struct loop_call *call = loop->posted, *next;
	bool any = call;

	loop->posted = NULL;
	for (; call; call = next) {
		next = call->private.next;
		call->fn(call);
	}
	for (unsigned i = 0; i < FAKE_WATCHES; i++) {
		struct loop_ev *ev = loop->watch[i];

		if (!ev || !loop->ready[i])
			continue;
		loop->ready[i] = false;
		any = true;
		ev->fn(ev, 1);
	}
	if (loop->backend && loop->backend(loop))
		any = true;
	while (loop->timers && loop->timers->private.deadline <= loop->now) {
		struct loop_timer *timer = loop->timers;

		any = true;
		loop->timers = timer->private.next;
		timer->fn(timer);
	}
	return any;
}

static inline bool fake_ask(struct loop *loop, bool sleeping)
{
	struct loop_idle *idle, *next;
	bool busy = false;

	for (idle = loop->idles; idle; idle = next) {
		next = idle->private.next;
		busy |= idle->fn(idle, sleeping);
	}
	return busy;
}

static inline bool fake_idle(struct loop *loop)
{
	return fake_ask(loop, true);
}

/* One round; true: there will be another one without sleep. */
static inline bool fake_step(struct loop *loop)
{
	bool any = fake_work(loop);

	return fake_idle(loop) || any;
}

/* Until the loop would sleep. A device that never lets it is a busy loop. */
static inline void fake_run(struct loop *loop)
{
	for (unsigned rounds = 0; fake_step(loop); rounds++)
		must(rounds < 100000);
}

#endif
