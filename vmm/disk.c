// SPDX-License-Identifier: Apache-2.0
/*
 * Requests on the host end of a disk. Each ends exactly once, with short transfers, odd alignment and
 * features that the host lacks dealt with. Runs on the loop threads that own the disk's queues.
 */
#include "vmm/disk.h"

#include <errno.h>
#include <limits.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/util.h"

#define PIECE	     65536u /* of a bounce buffer, and of written zeros */
#define DIRECT_ALIGN 4096u  /* good enough for any device */
#define TRIES	     64	    /* of a request that gets EAGAIN */

/* Only ever read: it costs no memory. */
static _Alignas(DIRECT_ALIGN) uint8_t zeros[PIECE];

static void start(struct disk_req *req);

static void finish(struct disk_req *req, int err)
{
	atomic_bool *unsynced = &req->private.disk->private.unsynced;

	/* A failed write may have written a part, and a flush that did not succeed reached nothing for
	 * certain. */
	if (req->private.op != DISK_READ && (req->private.op != DISK_FLUSH || err) &&
		!atomic_load_explicit(unsynced, memory_order_relaxed))
		atomic_store(unsynced, true);
	free(req->private.bounce);
	req->private.bounce = NULL;
	req->fn(req, err);
}

static void on_posted(struct loop_call *call)
{
	struct disk_req *req = container_of(call, struct disk_req, private.call);

	finish(req, req->private.err);
}

/* What needs no I/O ends by way of the loop too, so that nobody is called back from inside disk_submit(). */
static void finish_later(struct disk_req *req, int err)
{
	req->private.err = err;
	req->private.call.fn = on_posted;
	loop_post(req->private.loop, &req->private.call);
}

static bool try_again(struct disk_req *req, int res)
{
	return res == -EINTR || (res == -EAGAIN && req->private.tries++ < TRIES);
}

/* Between the front of the iov and flat memory: up to `len` bytes, nothing consumed. */
static void copy_front(const struct disk_req *req, uint8_t *flat, size_t len, bool to_iov)
{
	for (const struct iovec *v = req->private.iov; len; v++) {
		size_t n = v->iov_len < len ? v->iov_len : len;

		if (!n)
			continue;
		memcpy(to_iov ? v->iov_base : flat, to_iov ? flat : v->iov_base, n);
		flat += n;
		len -= n;
	}
}

static void advance(struct disk_req *req, uint64_t done)
{
	req->private.off += done;
	req->private.len -= done;
	while (req->private.n && done >= req->private.iov->iov_len) {
		done -= req->private.iov->iov_len;
		req->private.iov++;
		req->private.n--;
	}
	if (req->private.n) {
		req->private.iov->iov_base = (char *)req->private.iov->iov_base + done;
		req->private.iov->iov_len -= done;
	}
}

/* A part is done. */
static void go_on(struct disk_req *req)
{
	req->private.tries = 0;
	if (req->private.len)
		start(req);
	else
		finish(req, 0);
}

static void rw_done(struct loop_io *io, int res)
{
	struct disk_req *req = container_of(io, struct disk_req, private.io);

	if (try_again(req, res)) {
		start(req);
		return;
	}
	/* Direct I/O that objects to the buffers: its true alignment was not known. */
	if (res == -EINVAL && req->private.disk->direct && !req->private.bounce) {
		req->private.bounce = aligned_alloc(DIRECT_ALIGN, PIECE);
		if (req->private.bounce) {
			start(req);
			return;
		}
	}
	/* No progress: the file was cut off below this request, or (a write) the host cannot say why. */
	if (res <= 0 || (uint64_t)res > req->private.len) {
		finish(req, res < 0 ? res : -EIO);
		return;
	}
	if (req->private.bounce && req->private.op == DISK_READ)
		copy_front(req, req->private.bounce, (size_t)res, true);
	advance(req, (uint64_t)res);
	go_on(req);
}

static void start_rw(struct disk_req *req)
{
	int n = req->private.n < IOV_MAX ? req->private.n : IOV_MAX, fd = req->private.disk->fd;
	const struct iovec *iov = req->private.iov;

	if (req->private.bounce) {
		size_t len = req->private.len < PIECE ? (size_t)req->private.len : PIECE;

		req->private.one = (struct iovec){req->private.bounce, len};
		if (req->private.op == DISK_WRITE)
			copy_front(req, req->private.bounce, len, false);
		iov = &req->private.one;
		n = 1;
	}
	req->private.io.fn = rw_done;
	if (req->private.op == DISK_READ)
		loop_readv(req->private.loop, &req->private.io, fd, iov, n, req->private.off);
	else
		loop_writev(req->private.loop, &req->private.io, fd, iov, n, req->private.off);
}

static bool aligned(const struct disk *disk, const struct iovec *iov, int n)
{
	uintptr_t bits = 0;

	for (int i = 0; i < n; i++)
		bits |= (uintptr_t)iov[i].iov_base | iov[i].iov_len;
	return !(bits & (disk->min_align - 1));
}

static void submit_rw(struct disk_req *req)
{
	struct disk *disk = req->private.disk;

	if (disk->direct && !aligned(disk, req->private.iov, req->private.n)) {
		req->private.bounce = aligned_alloc(DIRECT_ALIGN, PIECE);
		if (!req->private.bounce) {
			finish_later(req, -ENOMEM);
			return;
		}
	}
	if (req->private.len)
		start_rw(req);
	else
		finish_later(req, 0);
}

static void flush_done(struct loop_io *io, int res)
{
	struct disk_req *req = container_of(io, struct disk_req, private.io);

	if (try_again(req, res)) {
		start(req);
		return;
	}
	/* The kernel reports lost pages once, and forgets them: no later flush can honestly succeed. */
	if (res < 0)
		atomic_store(&req->private.disk->private.sync_failed, true);
	finish(req, res < 0 ? res : atomic_load(&req->private.disk->private.sync_failed) ? -EIO : 0);
}

static void submit_flush(struct disk_req *req)
{
	if (req->private.disk->ro) {
		finish_later(req, 0);
	} else if (atomic_load(&req->private.disk->private.sync_failed)) {
		finish_later(req, -EIO);
	} else {
		/* Before it begins: what is written meanwhile it may miss. */
		atomic_store(&req->private.disk->private.unsynced, false);
		start(req);
	}
}

/*
 * How a range is given back or zeroed, best way first; the host's answer decides once, for the life of the
 * disk. A hole that must keep its space (ZERO) is allocated again.
 */
enum way { WAY_RANGE, WAY_PUNCH, WAY_ALLOC, WAY_WRITE };

static void zero_done(struct loop_io *io, int res);

static void start_zero(struct disk_req *req)
{
	static const int mode[] = {
		[WAY_RANGE] = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
		[WAY_PUNCH] = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		[WAY_ALLOC] = FALLOC_FL_KEEP_SIZE,
	};
	int fd = req->private.disk->fd;

	req->private.io.fn = zero_done;
	if (req->private.way == WAY_WRITE) {
		req->private.one = (struct iovec){zeros, req->private.len < PIECE ? req->private.len : PIECE};
		loop_writev(req->private.loop, &req->private.io, fd, &req->private.one, 1, req->private.off);
	} else {
		loop_fallocate(req->private.loop, &req->private.io, fd, mode[req->private.way],
			req->private.off, req->private.len);
	}
}

/* The way to begin with, or the next one after `way` was refused. */
static int choose_way(const struct disk_req *req)
{
	bool punch = !atomic_load(&req->private.disk->private.no_punch);
	bool range = !atomic_load(&req->private.disk->private.no_zero_range);

	if (req->private.op != DISK_ZERO && punch)
		return WAY_PUNCH;
	return range ? WAY_RANGE : punch ? WAY_PUNCH : WAY_WRITE;
}

static bool unsupported(int res)
{
	return res == -EOPNOTSUPP || res == -ENOSYS || res == -ENOTTY || res == -ENODEV;
}

static void write_zeros_on(struct disk_req *req, int res)
{
	if (res <= 0 || (uint64_t)res > req->private.len) {
		finish(req, res < 0 ? res : -EIO);
		return;
	}
	req->private.off += (uint64_t)res;
	req->private.len -= (uint64_t)res;
	go_on(req);
}

static void way_refused(struct disk_req *req)
{
	struct disk *disk = req->private.disk;

	if (req->private.way == WAY_ALLOC || req->private.op == DISK_DISCARD) {
		if (req->private.way == WAY_PUNCH)
			atomic_store(&disk->private.no_punch, true);
		finish(req, 0);
		return;
	}
	atomic_store(
		req->private.way == WAY_PUNCH ? &disk->private.no_punch : &disk->private.no_zero_range, true);
	req->private.way = choose_way(req);
	start(req);
}

static void zero_done(struct loop_io *io, int res)
{
	struct disk_req *req = container_of(io, struct disk_req, private.io);

	if (try_again(req, res)) {
		start(req);
	} else if (req->private.way == WAY_WRITE) {
		write_zeros_on(req, res);
	} else if (unsupported(res)) {
		way_refused(req);
	} else if (res == -EINVAL && req->private.op != DISK_DISCARD && req->private.way != WAY_ALLOC) {
		req->private.way = WAY_WRITE; /* this range is not to its liking; the next may be */
		start(req);
	} else if (!res && req->private.way == WAY_PUNCH && req->private.op == DISK_ZERO &&
		   !req->private.disk->is_blkdev) {
		req->private.way = WAY_ALLOC;
		start(req);
	} else {
		finish(req, res == -EINVAL ? 0 : res);
	}
}

static void submit_zero(struct disk_req *req)
{
	bool discard = req->private.op == DISK_DISCARD;

	if (req->private.disk->ro) {
		finish_later(req, -EROFS);
	} else if (!req->private.len || (discard && atomic_load(&req->private.disk->private.no_punch))) {
		finish_later(req, 0);
	} else {
		req->private.way = choose_way(req);
		start(req);
	}
}

static void start(struct disk_req *req)
{
	/* Some requests take thousands of steps, and a device that is reset waits for them. */
	if (req->wanted && !*req->wanted) {
		finish(req, -ECANCELED);
		return;
	}
	switch ((enum disk_op)req->private.op) {
	case DISK_READ:
	case DISK_WRITE:
		start_rw(req);
		break;
	case DISK_FLUSH:
		req->private.io.fn = flush_done;
		loop_fdatasync(req->private.loop, &req->private.io, req->private.disk->fd);
		break;
	case DISK_DISCARD:
	case DISK_ZERO:
	case DISK_ZERO_UNMAP:
		start_zero(req);
		break;
	}
}

void disk_submit(struct disk *disk, struct loop *loop, struct disk_req *req, enum disk_op op,
	struct iovec *iov, int n, uint64_t off, uint64_t len)
{
	req->private.disk = disk;
	req->private.loop = loop;
	req->private.op = op;
	req->private.iov = iov;
	req->private.n = n;
	req->private.off = off;
	req->private.len = len;
	req->private.tries = 0;
	req->private.bounce = NULL;
	if (op == DISK_READ || op == DISK_WRITE)
		submit_rw(req);
	else if (op == DISK_FLUSH)
		submit_flush(req);
	else
		submit_zero(req);
}
