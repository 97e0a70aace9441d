// SPDX-License-Identifier: Apache-2.0
/*
 * The plain engine of a loop, for hosts that refuse io_uring: epoll, and one worker thread that does the file
 * operations in the order given. They go to the worker in batches, one a step of the loop, and come back in
 * batches too, as far as none waits for another that takes long. The worker belongs to the loop and follows
 * its thread's affinity.
 */
#include "vmm/loop/engine.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "vmm/pi_mutex.h"
#include "vmm/thread.h"
#include "vmm/util.h"

#define EVENTS_PER_STEP 64
#define LOOKS_PER_ASK	16
#define HOLD_NS		100000 /* what is done is not kept from the loop for longer, by operations begun after it */

struct io_list {
	struct loop_io *first, **last;
};

struct plain {
	struct loop *loop;
	int epfd, nready;
	unsigned looks;
	struct epoll_event ready[EVENTS_PER_STEP];
	bool wanted, working; /* the loop was made for file operations; and its worker exists */
	struct thread worker;
	struct io_list queued; /* in this step */
	pthread_mutex_t lock;  /* of what follows */
	pthread_cond_t work;
	struct io_list given; /* to the worker */
	bool quit;
};

/* The worker's: operations that ended and were not handed back yet. */
struct ended {
	struct loop *loop;
	struct loop_call *newest, *oldest;
	uint64_t since;
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

/* The same if it can be done without waiting. False: it cannot, or not for certain; nothing was done then. */
static bool carry_out_now(struct loop_io *io)
{
	ssize_t ret = -1;

	if (io->private.op == LOOP_READV)
		ret = preadv2(io->private.fd, io->private.iov, io->private.n, (off_t)io->private.off, RWF_NOWAIT);
	else if (io->private.op == LOOP_WRITEV)
		ret = pwritev2(io->private.fd, io->private.iov, io->private.n, (off_t)io->private.off, RWF_NOWAIT);
	io->private.res = (int)ret;
	return ret > 0;
}

static void io_done(struct loop_call *call)
{
	struct loop_io *io = container_of(call, struct loop_io, private.done);

	io->fn(io, io->private.res);
}

static void hand_back(struct ended *ended)
{
	if (ended->newest)
		loop_post_all(ended->loop, ended->newest, ended->oldest);
	ended->newest = NULL;
}

/* Nothing that may wait begins before the loop has what is done. */
static void work_on(struct ended *ended, struct loop_io *io)
{
	struct loop_call *done = &io->private.done;

	if (!ended->newest || now_ns() - ended->since > HOLD_NS || !carry_out_now(io)) {
		hand_back(ended);
		io->private.res = carry_out(io);
	}
	if (!ended->newest) {
		ended->oldest = done;
		ended->since = now_ns();
	}
	done->fn = io_done;
	done->private.next = ended->newest;
	ended->newest = done;
}

static void list_init(struct io_list *list)
{
	list->first = NULL;
	list->last = &list->first;
}

static struct loop_io *next_batch(struct plain *p)
{
	struct loop_io *io;

	pthread_mutex_lock(&p->lock);
	while (!p->given.first && !p->quit)
		pthread_cond_wait(&p->work, &p->lock);
	io = p->given.first;
	list_init(&p->given);
	pthread_mutex_unlock(&p->lock);
	return io;
}

static void work(void *arg)
{
	struct plain *p = arg;
	struct ended ended = {.loop = p->loop};
	struct loop_io *io, *next;

	while ((io = next_batch(p))) {
		for (; io; io = next) {
			next = io->private.next; /* once handed back it is not ours */
			work_on(&ended, io);
		}
		hand_back(&ended);
	}
}

/* What this step queued goes to the worker. */
static void give(struct plain *p)
{
	if (!p->queued.first)
		return;
	pthread_mutex_lock(&p->lock);
	*p->given.last = p->queued.first;
	p->given.last = p->queued.last;
	pthread_mutex_unlock(&p->lock);
	pthread_cond_signal(&p->work);
	list_init(&p->queued);
}

static int start_worker(struct plain *p)
{
	snprintf(p->worker.name, sizeof(p->worker.name), "%.13s-w", p->loop->name);
	p->worker.place = p->loop->worker_place;
	p->worker.fn = work;
	p->worker.arg = p;
	return thread_start(&p->worker);
}

static int plain_create(struct loop *loop, unsigned depth)
{
	struct plain *p = calloc(1, sizeof(*p));
	int ret;

	if (!p)
		return -ENOMEM;
	p->loop = loop;
	list_init(&p->queued);
	list_init(&p->given);
	ret = pi_mutex_init(&p->lock);
	if (ret)
		goto out_free;
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
		thread_join(&p->worker);
	pthread_cond_destroy(&p->work);
	pthread_mutex_destroy(&p->lock);
	close(p->epfd);
	free(p);
}

/* The worker serves the loop's thread: started by it, it inherits its policy and has no more privileges. */
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
	const struct timespec ts = timespec_of(ns);
	struct plain *p = loop->state;

	give(p);
	if (p->nready) /* found earlier, not dispatched yet: an edge is told once only */
		return 0;
	p->nready = epoll_pwait2(p->epfd, p->ready, EVENTS_PER_STEP, ns < 0 ? NULL : &ts, NULL);
	if (p->nready >= 0)
		return 0;
	p->nready = 0;
	return errno == EINTR ? 0 : -errno;
}

/* File operations end by loop_post(), and rings are looked at; for the rest the kernel is asked, now and then. */
static bool plain_ready(struct loop *loop)
{
	struct plain *p = loop->state;

	if (!p->nready && ++p->looks % LOOKS_PER_ASK == 0)
		plain_wait(loop, 0);
	return p->nready;
}

static void plain_dispatch(struct loop *loop)
{
	struct plain *p = loop->state;

	count_add(&loop->stats.cqes, (uint64_t)p->nready);
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
	count_add(&loop->stats.sqes, 1);
	*p->queued.last = io;
	p->queued.last = &io->private.next;
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
	.ready = plain_ready,
	.dispatch = plain_dispatch,
	.io = plain_io,
	.signal = plain_signal,
};
