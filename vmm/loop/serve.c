// SPDX-License-Identifier: Apache-2.0
/*
 * A loop that is served in passing, by a thread that spends its time in a system call of its own: a vCPU in KVM_RUN. What
 * comes for the ring comes as work of that thread, which ends the call with EINTR. But the kernel does such work at each
 * return to the program: what comes between the last look at the ring and the call would be found only after it. So for that
 * time the engine has a guard, a request whose end writes a byte that the call looks at: kvm_run's immediate_exit.
 *
 * Runs on the loop's thread.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "vmm/log.h"
#include "vmm/loop/engine.h"
#include "vmm/util.h"

#define SERVE_ROUNDS 16	    /* then the thread has its turn, whoever else wants to be served */
#define BREATH_NS    50000  /* ... for so long */

/* ---- timers: they go off during the call, too ---- */

static void on_clock(struct loop_ev *ev, uint32_t events)
{
	container_of(ev, struct loop, clock)->clock_at = UINT64_MAX;
}

/* The breath is over: the step that this is part of sees what there is. */
static void on_breath(struct loop_timer *timer)
{
}

/* One that goes off too early does no harm. */
static int set_clock(struct loop *loop)
{
	uint64_t due = loop->timers ? loop->timers->private.deadline : UINT64_MAX;
	const struct itimerspec at = {.it_value = timespec_of(due)};

	if (due >= loop->clock_at)
		return 0;
	if (timerfd_settime(loop->clock.fd, TFD_TIMER_ABSTIME, &at, NULL) < 0)
		return log_errno(-errno, "loop %s: timerfd", loop->name);
	loop->clock_at = due;
	return 0;
}

int loop_clock_open(struct loop *loop)
{
	int ret, fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

	if (fd < 0)
		return log_errno(-errno, "loop %s: timerfd", loop->name);
	loop->clock.fn = on_clock;
	loop->clock_at = UINT64_MAX;
	loop->breath.fn = on_breath;
	ret = loop_watch(loop, &loop->clock, fd, EPOLLIN);
	if (ret)
		close(fd);
	return ret ? log_errno(ret, "loop %s: timerfd", loop->name) : 0;
}

void loop_clock_close(struct loop *loop)
{
	if (loop->clock.private.slot)
		close(loop->clock.fd);
}

/* ---- the turns ---- */

static void take_over(struct loop *loop)
{
	if (!loop->guarded)
		return;
	loop->guarded = false;
	loop->engine->relax(loop);
	atomic_store_explicit(&loop->sleeping, false, memory_order_relaxed);
}

/* Who posts from here on wakes the ring; what came before that is seen here. 1 or 2 (guard()): something did, -errno, or 0. */
static int hand_over(struct loop *loop, uint8_t *flag)
{
	int ret;

	atomic_store(&loop->sleeping, true);
	ret = loop->engine->guard(loop, flag);
	loop->guarded = true;
	if (ret < 0)
		return log_errno(ret, "loop %s: guard", loop->name);
	return ret ? ret : atomic_load(&loop->posted) != NULL;
}

/* There is more, but others have their turn: what is there already ends no call. */
static int go_without(struct loop *loop, uint8_t *flag)
{
	int ret;

	take_over(loop);
	ret = hand_over(loop, flag);
	if (ret == 2)
		*flag = 1;
	return ret < 0 ? ret : 0;
}

/* The clock ends the call, soon. */
static int take_a_breath(struct loop *loop, uint8_t *flag)
{
	int ret = go_without(loop, flag);

	loop_timer_set(loop, &loop->breath, BREATH_NS);
	loop->clock_at = UINT64_MAX; /* it may have gone off, which is among what there is */
	return ret < 0 ? ret : set_clock(loop);
}

static bool is_breathing(const struct loop *loop)
{
	const struct loop_timer *breath = &loop->breath;

	return breath->private.prev && loop_now(loop) < breath->private.deadline;
}

int loop_serve(struct loop *loop, uint8_t *flag)
{
	int ret;

	if (loop->guarded && !loop->engine->came(loop))
		return 0;
	if (is_breathing(loop)) /* a flood ends the call before the clock does */
		return go_without(loop, flag);
	for (unsigned i = 0; i < SERVE_ROUNDS; i++) {
		take_over(loop);
		ret = loop_step(loop, true);
		if (ret < 0)
			return ret;
		if (ret || loop_ask_idle(loop, true))
			continue;
		ret = set_clock(loop);
		if (!ret)
			ret = hand_over(loop, flag);
		if (ret <= 0)
			return ret;
	}
	return take_a_breath(loop, flag);
}

bool loop_look(struct loop *loop)
{
	return loop_came(loop);
}

int loop_sleep(struct loop *loop, uint64_t until)
{
	int ret;

	take_over(loop);
	loop->until = until;
	ret = loop_step(loop, false);
	loop->until = UINT64_MAX;
	return ret;
}

int loop_release(struct loop *loop)
{
	take_over(loop);
	return loop->engine->forget(loop);
}

/* ---- not now ---- */

void loop_hold(struct loop *loop, bool held)
{
	loop->held = held;
	for (unsigned i = 0; !held && i < loop->nslots; i++) {
		struct loop_slot *s = &loop->slot[i];
		uint32_t late = s->late;

		s->late = 0;
		if (late && s->ev)
			loop_ev_run(loop, s->ev, late);
	}
}
