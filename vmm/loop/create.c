// SPDX-License-Identifier: Apache-2.0
/*
 * How a loop comes and goes: its engine, what wakes it, what is known of it from outside. By whoever builds the guest, and
 * takes it down; loop_stats() on any thread.
 */
#include "vmm/loop/engine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vmm/log.h"

static void on_wake(struct loop_ev *ev, uint32_t events)
{
	count_add(&container_of(ev, struct loop, wake)->stats.wakeups, 1);
}

static int choose_engine(struct loop *loop, enum io_engine engine, unsigned depth)
{
	int ret = 0;

	if (engine != IO_PLAIN) {
		loop->engine = &loop_uring;
		ret = loop->engine->create(loop, depth ? depth : 1);
		if (ret && loop->passing)
			return log_errno(ret, "loop %s: io_uring is refused here, and nothing else will do", loop->name);
		if (!ret || engine == IO_URING)
			return ret ? log_errno(ret,
					     "loop %s: io_uring is refused here, the plain engine works",
					     loop->name)
				   : 0;
		snprintf(loop->why, sizeof(loop->why), "io_uring: %s", strerror(-ret));
	}
	loop->engine = &loop_plain;
	ret = loop->engine->create(loop, depth);
	return ret ? log_errno(ret, "loop %s: event loop", loop->name) : 0;
}

static struct loop *loop_alloc(const char *name)
{
	struct loop *loop = aligned_alloc(_Alignof(struct loop), sizeof(*loop));

	if (!loop)
		return NULL;
	memset(loop, 0, sizeof(*loop));
	loop->until = UINT64_MAX;
	snprintf(loop->name, sizeof(loop->name), "%s", name);
	return loop;
}

/* Takes the loop over. */
static int loop_build(struct loop **out, struct loop *loop, enum io_engine engine, unsigned depth)
{
	const char *name = loop->name;
	int ret, fd;

	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fd < 0) {
		ret = log_errno(-errno, "loop %s: eventfd", name);
		goto out_free;
	}
	ret = choose_engine(loop, engine, depth);
	if (ret)
		goto out_close;
	loop->wake.fn = on_wake;
	ret = loop_watch(loop, &loop->wake, fd, EPOLLIN);
	if (ret) {
		log_errno(ret, "loop %s: eventfd", name);
		goto out_engine;
	}
	ret = loop->passing ? loop_clock_open(loop) : 0;
	if (ret)
		goto out_engine;
	*out = loop;
	return 0;

out_engine:
	loop->engine->destroy(loop);
out_close:
	close(fd);
out_free:
	free(loop);
	return ret;
}

int loop_create(struct loop **out, const char *name, enum io_engine engine, unsigned depth)
{
	struct loop *loop = loop_alloc(name);

	*out = NULL;
	return loop ? loop_build(out, loop, engine, depth) : log_errno(-ENOMEM, "loop %s", name);
}

int loop_create_passing(struct loop **out, const char *name, unsigned depth, const void *worker_cpus, unsigned size)
{
	struct loop *loop = loop_alloc(name);

	*out = NULL;
	if (!loop)
		return log_errno(-ENOMEM, "loop %s", name);
	loop->passing = true;
	loop->worker_cpus = worker_cpus;
	loop->worker_size = size;
	return loop_build(out, loop, IO_URING, depth);
}

void loop_destroy(struct loop *loop)
{
	if (!loop)
		return;
	loop_clock_close(loop);
	loop->engine->destroy(loop);
	close(loop->wake.fd);
	free(loop);
}

const char *loop_name(const struct loop *loop)
{
	return loop->name;
}

const char *loop_engine(const struct loop *loop, const char **why)
{
	if (why)
		*why = loop->why[0] ? loop->why : NULL;
	return loop->engine->name;
}

void loop_stats(const struct loop *loop, struct loop_stats *stats)
{
	stats->steps = atomic_load_explicit(&loop->stats.steps, memory_order_relaxed);
	stats->sleeps = atomic_load_explicit(&loop->stats.sleeps, memory_order_relaxed);
	stats->sqes = atomic_load_explicit(&loop->stats.sqes, memory_order_relaxed);
	stats->cqes = atomic_load_explicit(&loop->stats.cqes, memory_order_relaxed);
	stats->wakeups = atomic_load_explicit(&loop->stats.wakeups, memory_order_relaxed);
	stats->polls = atomic_load_explicit(&loop->stats.polls, memory_order_relaxed);
	stats->hits = atomic_load_explicit(&loop->stats.hits, memory_order_relaxed);
	stats->polled_ns = atomic_load_explicit(&loop->stats.polled_ns, memory_order_relaxed);
}

void loop_place_worker(struct loop *loop, struct placement *worker)
{
	loop->worker_place = worker;
}

int loop_move_workers(struct loop *loop, const void *cpus, unsigned size)
{
	return loop->engine->move_workers ? loop->engine->move_workers(loop, cpus, size) : 0;
}
