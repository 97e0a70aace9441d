// SPDX-License-Identifier: Apache-2.0
/*
 * The ring of an io_uring engine: made by whoever builds the loop, with what this kernel offers; taken over, and its workers
 * placed, by the thread that runs the loop.
 */
#include "vmm/loop/uring.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vmm/log.h"

#define SPARE_SQES 64 /* beside file operations: polls and signals of one step */

#define RINGS 4

/* Newest kernels first: 6.1, 6.0, 5.19. Without these flags completions interrupt the thread. */
static const unsigned setup_flags[RINGS] = {
	IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
	IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
	IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
	0,
};

/* Completions are to interrupt the thread: 6.0, 5.19. */
static const unsigned passing_flags[RINGS] = {IORING_SETUP_SINGLE_ISSUER, 0};

static int make_ring(struct uring *u, const unsigned flags[RINGS])
{
	/* CQE_SKIP is of 5.17, and so multishot poll and timed waits are there too. */
	const unsigned need = IORING_FEAT_EXT_ARG | IORING_FEAT_NODROP | IORING_FEAT_CQE_SKIP;
	struct io_uring_params params;
	int ret = -EINVAL;

	for (size_t i = 0; i < RINGS && ret == -EINVAL; i++) {
		params = (struct io_uring_params){
			.flags = flags[i] | IORING_SETUP_R_DISABLED | IORING_SETUP_CLAMP};
		ret = io_uring_queue_init_params(u->depth + SPARE_SQES, &u->ring, &params);
	}
	if (!ret && (params.features & need) != need) {
		io_uring_queue_exit(&u->ring);
		ret = -ENOSYS;
	}
	return ret;
}

/* As a semaphore, so that each read finds a 1. Off until there is a guard. */
static int count_completions(struct uring *u)
{
	int ret;

	u->event = eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE);
	ret = u->event < 0 ? -errno : io_uring_register_eventfd(&u->ring, u->event);
	if (!ret)
		ret = io_uring_cq_eventfd_toggle(&u->ring, false);
	if (!ret)
		return 0;
	if (u->event >= 0)
		close(u->event);
	io_uring_queue_exit(&u->ring);
	return ret;
}

int uring_create(struct loop *loop, unsigned depth)
{
	struct uring *u = calloc(1, sizeof(*u));
	int ret;

	if (!u)
		return -ENOMEM;
	u->depth = depth;
	u->event = -1;
	u->last = &u->first;
	ret = make_ring(u, loop->passing ? passing_flags : setup_flags);
	if (!ret && loop->passing)
		ret = count_completions(u);
	if (ret)
		free(u);
	else
		loop->state = u;
	return ret;
}

void uring_destroy(struct loop *loop)
{
	struct uring *u = loop->state;

	io_uring_queue_exit(&u->ring);
	if (u->event >= 0)
		close(u->event);
	free(u);
}

/*
 * The kernel's own workers carry out what would block (fdatasync, fallocate). They are made for the first
 * such request, as children of the thread that submits it: they inherit its policy and nice value, and its
 * lack of privileges, but not its CPUs. So their CPUs and number are settled before: by then the ring must
 * have met this thread, which an empty request does. No call asks the kernel for those CPUs again: until
 * there is a worker to look at, that it took them is all the proof.
 */
static int settle_workers(struct loop *loop, struct uring *u)
{
	unsigned long cpus[128] = {0}; /* 8192 CPUs, the most Linux is built for */
	unsigned max[2] = {4, 1};      /* for files; for all else */
	struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);
	int ret;

	if (sqe) {
		io_uring_prep_nop(sqe);
		io_uring_sqe_set_flags(sqe, IOSQE_CQE_SKIP_SUCCESS);
		io_uring_sqe_set_data64(sqe, TAG_NONE);
	}
	ret = io_uring_submit(&u->ring);
	if (ret < 0)
		return ret;
	if (loop->worker_cpus)
		memcpy(cpus, loop->worker_cpus, loop->worker_size < sizeof(cpus) ? loop->worker_size : sizeof(cpus));
	else if (sched_getaffinity(0, sizeof(cpus), (cpu_set_t *)cpus))
		return -errno;
	ret = io_uring_register_iowq_aff(&u->ring, sizeof(cpus), (cpu_set_t *)cpus);
	return ret ? ret : io_uring_register_iowq_max_workers(&u->ring, max);
}

int uring_own(struct loop *loop)
{
	struct uring *u = loop->state;
	/* io_uring_enable_rings() in other words: liburing 2.3 forgot to export it from its shared library. */
	int ret = io_uring_register((unsigned)u->ring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);

	if (ret < 0)
		return log_errno(ret, "loop %s: io_uring: enable", loop->name);
	ret = settle_workers(loop, u);
	if (ret < 0)
		return log_errno(ret, "loop %s: io_uring: place its workers", loop->name);
	u->enabled = true;
	return 0;
}

int uring_move_workers(struct loop *loop, const void *cpus, unsigned size)
{
	struct uring *u = loop->state;

	return io_uring_register_iowq_aff(&u->ring, size, cpus);
}
