// SPDX-License-Identifier: Apache-2.0
/*
 * virtio-blk's requests (virtio 1.2, 5.2.6), on the thread of the queue's loop.
 *
 * They are read by bytes, whatever the framing: 16 readable bytes are the header, the last writable byte is
 * the status, and what lies between is data.
 */
#include <errno.h>
#include <string.h>

#include "devices/virtio/blk_priv.h"
#include "devices/virtio/ring_atomics.h"
#include "vmm/log.h"
#include "vmm/util.h"

#define NO_TYPE UINT32_MAX /* of a request without a header */

_Static_assert(INLINE_SEGS <= UINT8_MAX, "range counters");

/* len: bytes, whole sectors. */
static bool in_range(const struct disk *disk, uint64_t sector, uint64_t len)
{
	return len <= disk->size && sector <= (disk->size - len) / SECTOR;
}

/* A long vector is free again. */
void blk_put_slot(struct blk_queue *bq, struct iovec *slot)
{
	if (bq->slot)
		bq->spare[bq->nspare++] = slot;
	else
		bq->slot = slot;
	if (!bq->waits)
		return;
	bq->waits = false;
	virtio_resume(&bq->blk->dev, bq->q->index);
}

static void drained(struct blk_queue *bq)
{
	struct done *done = bq->done;

	if (!done || virtq_inflight(bq->vq))
		return;
	bq->done = NULL;
	done->fn(done);
}

static void count_moved(const struct blk_req *req)
{
	struct virtq *vq = req->bq->vq;

	if (req->type == VIRTIO_BLK_T_IN)
		vq->to_guest += req->len;
	else if (req->type == VIRTIO_BLK_T_OUT)
		vq->from_guest += req->len;
}

/*
 * End a request. filled: data bytes written to the guest, from the first writable one on without a
 * gap. used.len says how far the writable part is filled (2.7.8.2), so the status byte counts only when all
 * data before it was written.
 */
__attribute__((noinline)) static void finish(struct blk_req *req, uint8_t status, uint64_t filled)
{
	struct blk_queue *bq = req->bq;

	if (req->slot)
		blk_put_slot(bq, req->slot);
	req->slot = NULL;
	if (bq->vq->running) {
		ring_copy(req->status, &status, 1);
		if (status == VIRTIO_BLK_S_OK)
			count_moved(req);
	}
	virtq_push(bq->vq, req->head, filled == req->in ? filled + 1 : filled);
	if (unlikely(bq->q->times))
		virtio_time_add(bq->q, req->since);
	drained(bq);
}

static void host_error(struct blk *blk, const struct blk_req *req, int err)
{
	count_add(&blk->dev.errors, 1);
	if (!atomic_exchange(&blk->logged, true) && log_few(&blk->dev.complaints))
		log_errno(err, "%s: request type %u failed (later ones are only counted)", blk->dev.name,
			req->type);
}

/* What needs no data from the guest's memory. */
static void submit(struct blk_req *req, enum disk_op op, uint64_t off, uint64_t len)
{
	disk_submit(req->bq->blk->disk, req->bq->q->loop, &req->io, op, NULL, 0, off, len);
}

/* The next range of a discard or write zeroes; false: there is none. */
static bool next_range(struct blk_req *req)
{
	const blk_range *r;
	enum disk_op op;

	while (req->range < req->nranges && !req->ranges[req->range].num_sectors)
		req->range++;
	if (req->range == req->nranges)
		return false;
	r = &req->ranges[req->range++];
	if (req->type == VIRTIO_BLK_T_DISCARD)
		op = DISK_DISCARD;
	else
		op = r->flags && req->bq->blk->disk->can_discard ? DISK_ZERO_UNMAP : DISK_ZERO;
	submit(req, op, r->sector * SECTOR, (uint64_t)r->num_sectors * SECTOR);
	return true;
}

/* What was asked for is done; what is left is to make it last, where the guest has no other way to ask for
 * that. */
static void advance(struct blk_req *req)
{
	if (req->bq->vq->running) {
		if (next_range(req))
			return;
		if (req->type & VIRTIO_BLK_T_OUT && !req->synced &&
			atomic_load_explicit(&req->bq->blk->write_through, memory_order_relaxed)) {
			req->synced = true;
			submit(req, DISK_FLUSH, 0, 0);
			return;
		}
	}
	finish(req, VIRTIO_BLK_S_OK, 0);
}

__attribute__((noinline)) static void io_ended(struct blk_req *req, int err)
{
	if (!err && req->type == VIRTIO_BLK_T_IN) {
		finish(req, VIRTIO_BLK_S_OK, req->in);
	} else if (!err) {
		advance(req);
	} else if (!req->bq->vq->running) {
		finish(req, VIRTIO_BLK_S_IOERR, 0); /* nobody waits for it any more */
	} else if (err == -EOPNOTSUPP && req->nranges && !req->synced) {
		finish(req, VIRTIO_BLK_S_UNSUPP, 0);
	} else {
		host_error(req->bq->blk, req, err);
		finish(req, VIRTIO_BLK_S_IOERR, 0);
	}
}

/* Nearly always a read on a queue that runs, which leaves nothing else to do: finish() in short. */
static void io_done(struct disk_req *io, int err)
{
	struct blk_req *req = (struct blk_req *)io;
	struct virtq *vq = req->bq->vq;
	const uint8_t ok = VIRTIO_BLK_S_OK;

	if (unlikely(err || req->type != VIRTIO_BLK_T_IN || req->slot || !vq->running)) {
		io_ended(req, err);
		return;
	}
	vq->to_guest += req->in;
	virtq_push_running(vq, req->head, req->in + 1);
	ring_copy(req->status, &ok, 1); /* the guest looks at neither before the flush */
}

/* The same of a queue whose requests' times are taken. */
static void io_timed(struct disk_req *io, int err)
{
	io_ended((struct blk_req *)io, err);
}

/* A chain was read into the queue's current slot: keep its data there if it is long. */
static struct iovec *keep_many(struct blk_req *req, struct iovec *iov, unsigned n)
{
	struct blk_queue *bq = req->bq;

	if (n > INLINE_SEGS) {
		req->slot = bq->slot;
		bq->slot = bq->nspare ? bq->spare[--bq->nspare] : NULL;
		return iov;
	}
	return memcpy(req->seg, iov, n * sizeof(*iov));
}

static __always_inline struct iovec *keep(struct blk_req *req, struct iovec *iov, unsigned n)
{
	if (unlikely(n > 1))
		return keep_many(req, iov, n);
	req->seg[0] = *iov;
	return req->seg;
}

static __always_inline void read_write(
	struct blk_req *req, uint64_t sector, struct iovec *iov, unsigned n, uint64_t len)
{
	bool write = req->type == VIRTIO_BLK_T_OUT;
	struct blk_queue *bq = req->bq;
	struct disk *disk = bq->disk;

	if (unlikely(len % SECTOR || !in_range(disk, sector, len) || (write && disk->ro))) {
		finish(req, VIRTIO_BLK_S_IOERR, 0);
		return;
	}
	req->len = len;
	if (unlikely(!len)) {
		finish(req, VIRTIO_BLK_S_OK, 0);
		return;
	}
	disk_submit(disk, bq->q->loop, &req->io, write ? DISK_WRITE : DISK_READ, keep(req, iov, n), n,
		sector * SECTOR, len);
}

/* One range against 5.2.6.2: unknown flags, and any flag of a discard, are not supported. */
static uint8_t check_range(const struct blk *blk, uint32_t type, const blk_range *r)
{
	uint32_t known = type == VIRTIO_BLK_T_WRITE_ZEROES ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0;

	if (r->flags & ~known)
		return VIRTIO_BLK_S_UNSUPP;
	if (r->num_sectors > MAX_RANGE || !in_range(blk->disk, r->sector, (uint64_t)r->num_sectors * SECTOR))
		return VIRTIO_BLK_S_IOERR;
	return VIRTIO_BLK_S_OK;
}

/* DISCARD and WRITE_ZEROES. All ranges are copied and checked before the first one is touched. */
__attribute__((noinline)) static void ranges(struct blk_req *req, struct iovec *iov, unsigned n, uint64_t len)
{
	const struct blk *blk = req->bq->blk;
	uint8_t status = VIRTIO_BLK_S_OK;

	if (!blk_negotiated(blk,
		    req->type == VIRTIO_BLK_T_DISCARD ? VIRTIO_BLK_F_DISCARD : VIRTIO_BLK_F_WRITE_ZEROES)) {
		finish(req, VIRTIO_BLK_S_UNSUPP, 0);
		return;
	}
	if (!len || len % sizeof(blk_range) || len > sizeof(req->ranges) || blk->disk->ro) {
		finish(req, VIRTIO_BLK_S_IOERR, 0);
		return;
	}
	req->nranges = iov_take(&iov, &n, req->ranges, len) / sizeof(blk_range);
	for (unsigned i = 0; i < req->nranges && status != VIRTIO_BLK_S_UNSUPP; i++) {
		uint8_t s = check_range(blk, req->type, &req->ranges[i]);

		if (s != VIRTIO_BLK_S_OK)
			status = s;
	}
	if (status != VIRTIO_BLK_S_OK) {
		finish(req, status, 0);
		return;
	}
	advance(req);
}

__attribute__((noinline)) static void get_id(struct blk_req *req, struct iovec *iov, unsigned n)
{
	const char *serial = req->bq->blk->disk->serial;
	char id[VIRTIO_BLK_ID_BYTES] = {0}; /* padded with NULs, not terminated by one */

	memcpy(id, serial, strnlen(serial, sizeof(id)));
	finish(req, VIRTIO_BLK_S_OK, iov_put(&iov, &n, id, sizeof(id)));
}

static void flush(struct blk_req *req)
{
	if (req->bq->blk->disk->ro)
		finish(req, VIRTIO_BLK_S_OK, 0);
	else
		submit(req, DISK_FLUSH, 0, 0);
}

/* iov: the part of the data that the request's type is about, n segments, len bytes. */
static __always_inline void handle(
	struct blk_req *req, const struct virtio_blk_outhdr *hdr, struct iovec *iov, unsigned n, uint64_t len)
{
	req->type = hdr->type;
	req->range = req->nranges = 0;
	req->synced = false;
	if (likely(hdr->type == VIRTIO_BLK_T_IN || hdr->type == VIRTIO_BLK_T_OUT))
		read_write(req, hdr->sector, iov, n, len);
	else if (hdr->type == VIRTIO_BLK_T_FLUSH)
		flush(req);
	else if (hdr->type == VIRTIO_BLK_T_GET_ID)
		get_id(req, iov, n);
	else if (hdr->type == VIRTIO_BLK_T_DISCARD || hdr->type == VIRTIO_BLK_T_WRITE_ZEROES)
		ranges(req, iov, n, len);
	else
		finish(req, VIRTIO_BLK_S_UNSUPP, 0);
}

/* A request is set up when its head comes for the first time: memory that no guest asks for stays untouched.
 */
static __always_inline struct blk_req *request(struct blk_queue *bq, size_t head)
{
	struct blk_req *req = &bq->req[head];

	if (unlikely(!req->bq)) {
		req->io.fn = bq->q->times ? io_timed : io_done;
		req->io.wanted = &bq->vq->running;
		req->bq = bq;
		req->head = head;
	}
	return req;
}

/* By bytes: whatever the segments, the first 16 readable ones are the header, the last writable one is the
 * status. */
__attribute__((noinline, cold)) static void handle_odd(struct blk_queue *bq, struct virtq_chain chain)
{
	struct iovec *out = chain.iov, *in = out + chain.nread, *last = in + chain.nwrite - 1;
	struct blk_req *req = request(bq, chain.head);
	unsigned nout = chain.nread;
	struct virtio_blk_outhdr hdr;

	if (!chain.nwrite) { /* no byte to say so in */
		virtq_push(bq->vq, chain.head, 0);
		return;
	}
	req->in = chain.write_len - 1;
	req->status = (uint8_t *)last->iov_base + --last->iov_len;
	if (!last->iov_len)
		chain.nwrite--;
	if (iov_take(&out, &nout, &hdr, sizeof(hdr)) != sizeof(hdr)) {
		req->type = NO_TYPE;
		finish(req, VIRTIO_BLK_S_IOERR, 0);
	} else if (hdr.type & VIRTIO_BLK_T_OUT)
		handle(req, &hdr, out, nout, chain.read_len - sizeof(hdr));
	else
		handle(req, &hdr, in, chain.nwrite, req->in);
}

/* Mostly header and status are segments of their own, and nothing needs to be cut. */
static __always_inline void handle_chain(struct blk_queue *bq, const struct virtq_chain *chain)
{
	struct iovec *iov = chain->iov, *in = iov + chain->nread, *last = in + chain->nwrite - 1;
	struct blk_req *req = request(bq, chain->head);
	struct virtio_blk_outhdr hdr;

	if (unlikely(!chain->nread || iov->iov_len != sizeof(hdr) || !chain->nwrite || last->iov_len != 1)) {
		handle_odd(bq, *chain);
		return;
	}
	ring_copy(&hdr, iov->iov_base, sizeof(hdr));
	req->status = last->iov_base;
	req->in = chain->write_len - 1;
	if (hdr.type & VIRTIO_BLK_T_OUT)
		handle(req, &hdr, iov + 1, chain->nread - 1, chain->read_len - sizeof(hdr));
	else
		handle(req, &hdr, in, chain->nwrite - 1, req->in);
}

/* One chain of any shape, which stays in *chain. 1; 0, -EPROTO: as virtq_pop(); -EBUSY: it has to wait for a
 * vector. */
__attribute__((noinline)) static int take_any(struct blk_queue *bq, struct virtq_chain *chain)
{
	int r;

	chain->iov = bq->slot;
	chain->cap = bq->blk->dev.queue_max;
	if (unlikely(!chain->iov)) {
		bq->waits = true;
		return -EBUSY;
	}
	r = virtq_pop(bq->vq, chain);
	if (r <= 0)
		return r;
	if (unlikely(bq->q->times))
		bq->req[chain->head].since = virtio_time_now(bq->q);
	handle_chain(bq, chain);
	return r;
}

/* Nearly always there are just header, data and status, and nothing has to be cut or collected. */
static __always_inline void handle_request(struct blk_queue *bq, struct virtq_request *r)
{
	struct blk_req *req = request(bq, r->head);
	struct virtio_blk_outhdr hdr;
	bool about; /* the data is in the part that the type is about */

	ring_copy(&hdr, r->first, sizeof(hdr));
	about = r->write != (hdr.type & VIRTIO_BLK_T_OUT);
	req->status = r->last;
	req->in = r->write ? r->data.iov_len : 0;
	handle(req, &hdr, &r->data, about, about ? r->data.iov_len : 0);
}

/* What counts of a chain that was handled: the data of reads and writes, whatever became of them. */
static uint64_t bytes_moved(const struct blk_queue *bq, const struct virtq_chain *chain)
{
	const struct blk_req *req = &bq->req[chain->head];

	if (!chain->nwrite)
		return 0;
	if (req->type == VIRTIO_BLK_T_IN)
		return req->in;
	return req->type == VIRTIO_BLK_T_OUT ? chain->read_len - sizeof(struct virtio_blk_outhdr) : 0;
}

/* As limits allow; and where the queue is too small for a usual request. */
__attribute__((noinline)) static int take_one_by_one(struct blk_queue *bq)
{
	struct virtq_chain chain;
	struct limits *limits = bq->q->limits;
	uint64_t now = loop_now(bq->q->loop);

	for (unsigned n = bq->vq->num; n && virtq_waiting(bq->vq); n--) {
		uint64_t wait = limits ? limits_wait(limits, now) : 0;
		int r;

		if (wait)
			return virtio_pause(&bq->blk->dev, bq->q->index, wait);
		r = take_any(bq, &chain);
		if (r <= 0)
			return r == -EBUSY ? VIRTIO_STALLED : r;
		if (limits)
			limits_take(limits, now, bytes_moved(bq, &chain));
	}
	return 0;
}

int blk_kick(struct virtio_dev *dev, unsigned q)
{
	struct blk_queue *bq = &((struct blk *)dev)->bq[q];
	struct virtq *vq = bq->vq;
	bool timed = bq->q->times;

	if (unlikely(bq->q->limits || vq->num < 3))
		return take_one_by_one(bq);
	for (unsigned n = vq->num; n; n--) {
		struct virtq_request request;
		int r = virtq_pop_request(vq, sizeof(struct virtio_blk_outhdr), &request);

		if (likely(r > 0)) {
			if (unlikely(timed))
				bq->req[request.head].since = virtio_time_now(bq->q);
			handle_request(bq, &request);
			continue;
		}
		if (r == -EAGAIN) {
			struct virtq_chain chain;

			r = take_any(bq, &chain);
		}
		if (r <= 0)
			return r == -EBUSY ? VIRTIO_STALLED : r;
	}
	return 0;
}

void blk_stop(struct virtio_dev *dev, unsigned q, struct done *done)
{
	struct blk_queue *bq = &((struct blk *)dev)->bq[q];

	bq->waits = false;
	if (virtq_inflight(&bq->q->vq))
		bq->done = done;
	else
		done->fn(done);
}
