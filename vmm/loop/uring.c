// SPDX-License-Identifier: Apache-2.0
/*
 * The io_uring engine of a loop: one ring carries the polls of watched descriptors, the file operations and
 * the writes that signal eventfds, so that one system call submits a batch and waits for the next. Runs on
 * the loop's thread; whoever builds the loop may queue watches before that thread exists. uring_setup.c makes the ring.
 */
#include "vmm/loop/uring.h"

#include <errno.h>
#include <limits.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#define CQES_PER_STEP 256 /* then timers and posted calls have their turn */

/* The submission queue's next entry, or NULL when it is full and cannot be emptied now. */
static struct io_uring_sqe *get_sqe(struct loop *loop, struct uring *u)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);

	if (!sqe && u->enabled && io_uring_submit(&u->ring) > 0)
		sqe = io_uring_get_sqe(&u->ring);
	if (sqe)
		count_add(&loop->stats.sqes, 1);
	return sqe;
}

/* Watches */

/* What has no poll of its own is "ready" for ever: epoll refuses it, and so do we, rather than run hot. */
static int check_pollable(int fd)
{
	struct epoll_event e = {0};
	struct stat st;
	int epfd, ret;

	if (fstat(fd, &st))
		return -errno;
	if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode) || S_ISBLK(st.st_mode))
		return -EPERM;
	if (!S_ISCHR(st.st_mode))
		return 0;
	epfd = epoll_create1(EPOLL_CLOEXEC);
	if (epfd < 0)
		return -errno;
	ret = epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &e) ? -errno : 0;
	close(epfd);
	return ret;
}

static void arm_slot(struct loop *loop, struct uring *u, unsigned slot)
{
	struct loop_slot *s = &loop->slot[slot];
	struct io_uring_sqe *sqe = get_sqe(loop, u);

	if (!sqe) {
		s->state = SLOT_TO_ARM;
		u->todo++;
		return;
	}
	io_uring_prep_poll_multishot(sqe, s->ev->fd, s->ev->private.events);
	io_uring_sqe_set_data64(sqe, loop_slot_tag(loop, slot) | TAG_WATCH);
	s->state = SLOT_LIVE;
}

static int uring_arm(struct loop *loop, unsigned slot)
{
	int ret = check_pollable(loop->slot[slot].ev->fd);

	if (!ret)
		arm_slot(loop, loop->state, slot);
	return ret;
}

static bool remove_slot(struct loop *loop, struct uring *u, unsigned slot)
{
	struct io_uring_sqe *sqe = get_sqe(loop, u);

	if (!sqe) {
		loop->slot[slot].state = SLOT_TO_REMOVE;
		u->todo++;
		return false;
	}
	io_uring_prep_poll_remove(sqe, loop_slot_tag(loop, slot) | TAG_WATCH);
	io_uring_sqe_set_flags(sqe, IOSQE_CQE_SKIP_SUCCESS);
	io_uring_sqe_set_data64(sqe, TAG_NONE);
	return true;
}

static bool uring_disarm(struct loop *loop, unsigned slot, int fd)
{
	struct uring *u = loop->state;

	if (loop->slot[slot].state == SLOT_TO_ARM) {
		u->todo--;
		return true;
	}
	return remove_slot(loop, u, slot);
}

static void watch_ready(struct loop *loop, struct uring *u, const struct io_uring_cqe *cqe)
{
	struct loop_slot *s = loop_slot_of(loop, cqe->user_data & ~(uint64_t)TAG_MASK);

	if (!s)
		return;
	/* A multishot poll ends when completions overflow: begin again. One that failed, or found a descriptor with
	 * nothing behind it any more, would only do so again, at once. */
	if (!(cqe->flags & IORING_CQE_F_MORE) && cqe->res >= 0 && !(cqe->res & (EPOLLERR | EPOLLHUP)))
		arm_slot(loop, u, (unsigned)(s - loop->slot));
	loop_ev_run(loop, s->ev, cqe->res < 0 ? EPOLLERR : (uint32_t)cqe->res);
}

/* File operations */

static void prep_io(struct io_uring_sqe *sqe, const struct loop_io *io)
{
	const struct iovec *iov = io->private.iov;
	int fd = io->private.fd, n = io->private.n;
	uint64_t off = io->private.off;
	/* One buffer needs no vector, which spares the kernel its copy. */
	bool one = (io->private.op == LOOP_READV || io->private.op == LOOP_WRITEV) && n == 1 &&
		   iov->iov_len <= INT_MAX;

	switch (io->private.op) {
	case LOOP_READV:
		if (one)
			io_uring_prep_read(sqe, fd, iov->iov_base, (unsigned)iov->iov_len, off);
		else
			io_uring_prep_readv(sqe, fd, iov, (unsigned)n, off);
		break;
	case LOOP_WRITEV:
		if (one)
			io_uring_prep_write(sqe, fd, iov->iov_base, (unsigned)iov->iov_len, off);
		else
			io_uring_prep_writev(sqe, fd, iov, (unsigned)n, off);
		break;
	case LOOP_FDATASYNC:
		io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
		break;
	case LOOP_FALLOCATE:
		io_uring_prep_fallocate(sqe, fd, io->private.mode, (off_t)off, (off_t)io->private.len);
		break;
	}
	io_uring_sqe_set_data64(sqe, (uintptr_t)io | TAG_IO);
}

/* Start what waits, as far as depth and queue allow. Nothing before the workers are settled. */
static void feed(struct loop *loop, struct uring *u)
{
	struct io_uring_sqe *sqe;
	struct loop_io *io;

	while ((io = u->first) && u->enabled && u->inflight < u->depth && (sqe = get_sqe(loop, u))) {
		u->first = io->private.next;
		if (!u->first)
			u->last = &u->first;
		prep_io(sqe, io);
		u->inflight++;
	}
}

static void uring_io(struct loop *loop, struct loop_io *io)
{
	struct uring *u = loop->state;

	*u->last = io;
	u->last = &io->private.next;
	feed(loop, u);
}

static void uring_signal(struct loop *loop, int fd)
{
	static const uint64_t one = 1;
	struct io_uring_sqe *sqe = get_sqe(loop, loop->state);

	if (!sqe) {
		(void)!write(fd, &one, sizeof(one));
		return;
	}
	io_uring_prep_write(sqe, fd, &one, sizeof(one), 0);
	io_uring_sqe_set_flags(sqe, IOSQE_CQE_SKIP_SUCCESS);
	io_uring_sqe_set_data64(sqe, TAG_NONE);
}

/* The step */

static void catch_up(struct loop *loop, struct uring *u)
{
	for (unsigned i = 0; u->todo && i < loop->nslots; i++) {
		struct loop_slot *s = &loop->slot[i];
		uint8_t state = s->state;

		if (state != SLOT_TO_ARM && state != SLOT_TO_REMOVE)
			continue;
		u->todo--;
		if (state == SLOT_TO_ARM) {
			arm_slot(loop, u, i);
		} else if (remove_slot(loop, u, i)) {
			s->gen++;
			s->state = SLOT_FREE;
		}
		if (s->state == state)
			return; /* still no room */
	}
}

static int uring_wait(struct loop *loop, int64_t ns)
{
	struct __kernel_timespec ts = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
	struct uring *u = loop->state;
	struct io_uring_cqe *cqe;
	int ret;

	catch_up(loop, u);
	feed(loop, u);
	/* Do not sleep over completions at hand, or over requests that found no room. */
	if (io_uring_cq_ready(&u->ring) || u->todo || (u->first && !u->inflight))
		ns = 0;
	if (ns < 0)
		ret = io_uring_submit_and_wait(&u->ring, 1);
	else if (ns)
		ret = io_uring_submit_and_wait_timeout(&u->ring, &cqe, 1, &ts, NULL);
	else if (io_uring_sq_ready(&u->ring))
		ret = io_uring_submit_and_get_events(&u->ring);
	else
		ret = io_uring_submit(&u->ring); /* no system call unless the kernel holds something back */
	return ret >= 0 || ret == -ETIME || ret == -EINTR || ret == -EAGAIN || ret == -EBUSY ? 0 : ret;
}

/* A completion is there, or the kernel has work for this thread that may end in one. */
static bool uring_ready(struct loop *loop)
{
	struct uring *u = loop->state;

	return io_uring_cq_ready(&u->ring) || IO_URING_READ_ONCE(*u->ring.sq.kflags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW);
}

static void uring_dispatch(struct loop *loop)
{
	struct uring *u = loop->state;
	unsigned n = io_uring_cq_ready(&u->ring);
	struct io_uring_cqe *next;

	n = n < CQES_PER_STEP ? n : CQES_PER_STEP;
	count_add(&loop->stats.cqes, n);
	for (; n && !io_uring_peek_cqe(&u->ring, &next); n--) {
		const struct io_uring_cqe cqe = {
			.user_data = next->user_data, .res = next->res, .flags = next->flags};

		io_uring_cqe_seen(&u->ring, next);
		if ((cqe.user_data & TAG_MASK) == TAG_WATCH) {
			watch_ready(loop, u, &cqe);
		} else if ((cqe.user_data & TAG_MASK) == TAG_IO) {
			struct loop_io *io =
				(struct loop_io *)(uintptr_t)(cqe.user_data & ~(uint64_t)TAG_MASK);

			u->inflight--;
			feed(loop, u);
			loop->ran++;
			io->fn(io, cqe.res);
		} else if ((cqe.user_data & TAG_MASK) == TAG_GUARD) {
			u->guarding = false; /* it failed: the next one says why */
			u->guard_err = cqe.res;
		}
	}
}

/* The guard; see serve.c */

static bool guard_ended(const struct uring *u)
{
	return !u->guarding || !atomic_load_explicit(&u->rest[0], memory_order_acquire);
}

static bool uring_came(struct loop *loop)
{
	const struct uring *u = loop->state;

	return uring_ready(loop) || guard_ended(u);
}

/* False: there is no room for it now. */
static bool send_guard(struct loop *loop, struct uring *u, uint8_t *flag)
{
	struct io_uring_sqe *sqe = get_sqe(loop, u);

	if (!sqe)
		return false;
	u->into[0] = (struct iovec){flag, 1};
	u->into[1] = (struct iovec){u->rest, sizeof(u->rest)};
	atomic_store_explicit(&u->rest[0], 1, memory_order_relaxed);
	io_uring_prep_readv(sqe, u->event, u->into, 2, 0);
	io_uring_sqe_set_flags(sqe, IOSQE_CQE_SKIP_SUCCESS);
	io_uring_sqe_set_data64(sqe, TAG_GUARD);
	u->guarding = true;
	return true;
}

/*
 * What was counted while there was none ends a new one at once. A completion is put into the ring, then (after a full
 * barrier) it is counted or not; here it is the other way round.
 */
static int uring_guard(struct loop *loop, uint8_t *flag)
{
	struct uring *u = loop->state;
	int ret = 0;

	if (u->guard_err)
		return u->guard_err;
	io_uring_cq_eventfd_toggle(&u->ring, true);
	do {
		if (guard_ended(u) && !send_guard(loop, u, flag))
			return 2;
		if (io_uring_sq_ready(&u->ring))
			ret = io_uring_submit(&u->ring);
	} while (ret > 0 && guard_ended(u));
	if (ret < 0 && ret != -EINTR && ret != -EAGAIN && ret != -EBUSY)
		return ret;
	atomic_thread_fence(memory_order_seq_cst);
	return ret < 0 ? 2 : u->todo || uring_came(loop);
}

static void uring_relax(struct loop *loop)
{
	struct uring *u = loop->state;

	io_uring_cq_eventfd_toggle(&u->ring, false);
}

/* Its answer is in the ring, not taken yet: one that succeeds has none. */
static bool guard_failed(const struct uring *u)
{
	struct io_uring_cqe *cqe;
	unsigned head;
	bool failed = false;

	io_uring_for_each_cqe(&u->ring, head, cqe)
		failed |= (cqe->user_data & TAG_MASK) == TAG_GUARD;
	return failed;
}

/* One count more is the guard's end, and the kernel does that on the way back from this system call. */
static int uring_forget(struct loop *loop)
{
	struct uring *u = loop->state;
	static const uint64_t one = 1;
	int ret = 0;

	if (guard_ended(u))
		return 0;
	if (write(u->event, &one, sizeof(one)) < 0)
		return -errno;
	while (ret >= 0 && !guard_ended(u) && !guard_failed(u)) {
		ret = io_uring_submit_and_get_events(&u->ring);
		if (ret == -EINTR || ret == -EAGAIN || ret == -EBUSY) /* as in uring_wait() */
			ret = 0;
	}
	return ret < 0 ? ret : 0;
}

const struct loop_engine loop_uring = {
	.name = "io_uring",
	.create = uring_create,
	.destroy = uring_destroy,
	.own = uring_own,
	.arm = uring_arm,
	.disarm = uring_disarm,
	.wait = uring_wait,
	.ready = uring_ready,
	.guard = uring_guard,
	.came = uring_came,
	.relax = uring_relax,
	.forget = uring_forget,
	.dispatch = uring_dispatch,
	.io = uring_io,
	.signal = uring_signal,
	.move_workers = uring_move_workers,
};
