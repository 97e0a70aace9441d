// SPDX-License-Identifier: Apache-2.0
/*
 * The plain engine of a loop, for hosts that refuse io_uring: epoll, and one worker thread that does the file
 * operations in the order given and posts each one back. The worker belongs to the loop and follows its
 * thread's affinity.
 */
#include "vmm/loop_engine.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "vmm/thread.h"

#define EVENTS_PER_STEP 64

struct plain {
	struct loop *loop;
	int epfd, nready;
	struct epoll_event ready[EVENTS_PER_STEP];
	bool wanted, working; /* the loop was made for file operations; and its worker exists */
	pthread_t worker;
	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t work;
	struct loop_io *first, **last;
	bool quit;
};

static int carry_out(const struct loop_io *io)
{
	ssize_t ret = -1;

	switch (io->private.op) {
	case LOOP_READV:
		ret = preadv(io->private.fd, io->private.iov, io->private.n, (off_t)io->private.off);
		break;
	case LOOP_WRITEV:
		ret = pwritev(io->private.fd, io->private.iov, io->private.n, (off_t)io->private.off);
		break;
	case LOOP_FDATASYNC:
		ret = fdatasync(io->private.fd);
		break;
	case LOOP_FALLOCATE:
		ret = fallocate(
			io->private.fd, io->private.mode, (off_t)io->private.off, (off_t)io->private.len);
		break;
	}
	return ret < 0 ? -errno : (int)ret;
}

static void io_done(struct loop_call *call)
{
	struct loop_io *io = container_of(call, struct loop_io, private.done);

	io->fn(io, io->private.res);
}

static struct loop_io *next_io(struct plain *p)
{
	struct loop_io *io;

	pthread_mutex_lock(&p->lock);
	while (!p->first && !p->quit)
		pthread_cond_wait(&p->work, &p->lock);
	io = p->first;
	if (io) {
		p->first = io->private.next;
		if (!p->first)
			p->last = &p->first;
	}
	pthread_mutex_unlock(&p->lock);
	return io;
}

static void *work(void *arg)
{
	struct plain *p = arg;
	struct loop_io *io;

	while ((io = next_io(p))) {
		io->private.res = carry_out(io);
		io->private.done.fn = io_done;
		loop_post(p->loop, &io->private.done);
	}
	return NULL;
}

static int start_worker(struct plain *p)
{
	char name[16];
	sigset_t all, old;
	int ret;

	/* Signals are for the threads that expect them. */
	thread_signals(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	ret = -pthread_create(&p->worker, NULL, work, p);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (ret)
		return ret;
	snprintf(name, sizeof(name), "%.13s-w", p->loop->name);
	pthread_setname_np(p->worker, name);
	return 0;
}

static int plain_create(struct loop *loop, unsigned depth)
{
	struct plain *p = calloc(1, sizeof(*p));
	int ret;

	if (!p)
		return -ENOMEM;
	p->loop = loop;
	p->last = &p->first;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->work, NULL);
	p->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (p->epfd < 0) {
		ret = -errno;
		goto out_free;
	}
	p->wanted = depth > 0;
	loop->state = p;
	return 0;

out_free:
	free(p);
	return ret;
}

static void plain_destroy(struct loop *loop)
{
	struct plain *p = loop->state;

	pthread_mutex_lock(&p->lock);
	p->quit = true;
	pthread_cond_signal(&p->work);
	pthread_mutex_unlock(&p->lock);
	if (p->working)
		pthread_join(p->worker, NULL);
	pthread_cond_destroy(&p->work);
	pthread_mutex_destroy(&p->lock);
	close(p->epfd);
	free(p);
}

/* The worker serves the loop's thread: started by it, it inherits where that one was placed, and its privileges. */
static int plain_own(struct loop *loop)
{
	struct plain *p = loop->state;
	int ret = p->wanted ? start_worker(p) : 0;

	p->working = p->wanted && !ret;
	return ret;
}

static int plain_arm(struct loop *loop, unsigned slot)
{
	struct plain *p = loop->state;
	struct loop_ev *ev = loop->slot[slot].ev;
	struct epoll_event e = {
		.events = ev->private.events | EPOLLET, .data.u64 = loop_slot_tag(loop, slot)};

	return epoll_ctl(p->epfd, EPOLL_CTL_ADD, ev->fd, &e) ? -errno : 0;
}

static bool plain_disarm(struct loop *loop, unsigned slot, int fd)
{
	struct plain *p = loop->state;

	epoll_ctl(p->epfd, EPOLL_CTL_DEL, fd, NULL);
	return true;
}

static int plain_wait(struct loop *loop, int64_t ns)
{
	struct timespec ts = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
	struct plain *p = loop->state;

	if (p->nready) /* found earlier, not dispatched yet: an edge is told once only */
		return 0;
	p->nready = epoll_pwait2(p->epfd, p->ready, EVENTS_PER_STEP, ns < 0 ? NULL : &ts, NULL);
	if (p->nready >= 0)
		return 0;
	p->nready = 0;
	return errno == EINTR ? 0 : -errno;
}

static void plain_dispatch(struct loop *loop)
{
	struct plain *p = loop->state;

	loop_count(&loop->stats.cqes, (uint64_t)p->nready);
	for (int i = 0; i < p->nready; i++) {
		struct loop_slot *s = loop_slot_of(loop, p->ready[i].data.u64);

		if (s)
			loop_ev_run(loop, s->ev, p->ready[i].events);
	}
	p->nready = 0;
}

static void plain_io(struct loop *loop, struct loop_io *io)
{
	struct plain *p = loop->state;

	assert(p->wanted);
	loop_count(&loop->stats.sqes, 1);
	pthread_mutex_lock(&p->lock);
	*p->last = io;
	p->last = &io->private.next;
	pthread_cond_signal(&p->work);
	pthread_mutex_unlock(&p->lock);
}

static void plain_signal(struct loop *loop, int fd)
{
	static const uint64_t one = 1;

	(void)!write(fd, &one, sizeof(one));
}

const struct loop_engine loop_plain = {
	.name = "plain",
	.create = plain_create,
	.destroy = plain_destroy,
	.own = plain_own,
	.arm = plain_arm,
	.disarm = plain_disarm,
	.wait = plain_wait,
	.dispatch = plain_dispatch,
	.io = plain_io,
	.signal = plain_signal,
};
