// SPDX-License-Identifier: Apache-2.0
/*
 * virtio-blk (virtio 1.2, 5.2) over a struct disk. Everything but the config space runs on the thread of the
 * queue's loop. A request lives in a slot of its own, one a head, made when the device is; its I/O vector is
 * the guest's memory.
 *
 * Requests are read by bytes, whatever the framing: 16 readable bytes are the header, the last writable byte
 * is the status, and what lies between is data.
 */
#include <errno.h>
#include <linux/virtio_blk.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "devices/virtio/devs.h"
#include "devices/virtio/ring_atomics.h"
#include "vmm/limit.h"
#include "vmm/log.h"

#define SECTOR 512

#define INLINE_SEGS 8	       /* data segments, or discard ranges, that fit into a request */
#define SLOTS	    64	       /* longer vectors in use at once; when all are, the queue waits */
#define MAX_RANGE   (1u << 22) /* sectors in one range of discard or write zeroes: 2 GiB */
#define NO_TYPE	    UINT32_MAX /* of a request without a header */

#define CONFIG_LEN offsetof(struct virtio_blk_config, max_secure_erase_sectors)

typedef struct virtio_blk_discard_write_zeroes blk_range;

struct blk_req {
	struct disk_req io;
	struct blk_queue *bq; /* this and the head stay */
	uint32_t head, type;
	uint8_t range, nranges; /* of discard and write zeroes */
	bool synced;		/* what is in flight makes a write last */
	uint64_t in;		/* writable bytes before the status */
	uint8_t *status;	/* in the guest */
	struct iovec *slot;	/* taken from the queue's; NULL: the segments are in seg */
	union {
		struct iovec seg[INLINE_SEGS];
		blk_range ranges[INLINE_SEGS];
	};
};

struct blk_queue {
	struct blk *blk;
	struct virtio_queue *q;
	struct virtq *vq; /* q's */
	struct disk *disk;
	struct blk_req *req;  /* [queue_max], by head; these and spare are one block, which begins with spare */
	struct iovec *slots;  /* nslots vectors of queue_max segments */
	struct iovec *slot;   /* the one the next chain is read to; NULL when all are in use */
	struct iovec **spare; /* others not in use */
	unsigned nspare;
	bool waits;	   /* for a slot */
	bool limited;	   /* blk->limits say when chains may be taken */
	struct done *done; /* stopping: nothing may be in flight when it fires */
};

struct blk {
	struct virtio_dev dev;
	struct disk *disk;
	struct blk_queue *bq;	    /* [dev.nvq] */
	struct limits limits;
	_Atomic bool write_through; /* a write is on stable storage before it completes */
	_Atomic bool logged;	    /* a host error, since the last reset */
};

_Static_assert(CONFIG_LEN <= sizeof(((struct virtio_dev *)0)->config), "config space");
_Static_assert(INLINE_SEGS <= UINT8_MAX, "range counters");

/* len: bytes, whole sectors. */
static bool in_range(const struct disk *disk, uint64_t sector, uint64_t len)
{
	return len <= disk->size && sector <= (disk->size - len) / SECTOR;
}

/* A long vector is free again. */
static void put_slot(struct blk_queue *bq, struct iovec *slot)
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

/*
 * End a request. filled: data bytes written to the guest, from the first writable one on without a
 * gap. used.len says how far the writable part is filled (2.7.8.2), so the status byte counts only when all
 * data before it was written.
 */
__attribute__((noinline)) static void finish(struct blk_req *req, uint8_t status, uint64_t filled)
{
	struct blk_queue *bq = req->bq;

	if (req->slot)
		put_slot(bq, req->slot);
	req->slot = NULL;
	if (bq->vq->running)
		ring_copy(req->status, &status, 1);
	virtq_push(bq->vq, req->head, filled == req->in ? filled + 1 : filled);
	drained(bq);
}

static void host_error(struct blk *blk, const struct blk_req *req, int err)
{
	ring_count(&blk->dev.errors, 1);
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
	virtq_push(vq, req->head, req->in + 1);
	ring_copy(req->status, &ok, 1); /* the guest looks at neither before the flush */
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

static bool negotiated(const struct blk *blk, unsigned feature)
{
	return blk->dev.features & 1ULL << feature;
}

/* DISCARD and WRITE_ZEROES. All ranges are copied and checked before the first one is touched. */
__attribute__((noinline)) static void ranges(struct blk_req *req, struct iovec *iov, unsigned n, uint64_t len)
{
	const struct blk *blk = req->bq->blk;
	uint8_t status = VIRTIO_BLK_S_OK;

	if (!negotiated(blk,
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

/* A request is set up when its head comes for the first time: memory that no guest asks for stays untouched. */
static __always_inline struct blk_req *request(struct blk_queue *bq, size_t head)
{
	struct blk_req *req = &bq->req[head];

	if (unlikely(!req->bq)) {
		req->io.fn = io_done;
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

/* Nearly always header and status are segments of their own, and nothing needs to be cut. */
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

/* At most n chains; the last one stays in *chain. Returns what kick() is to return. */
static __always_inline int take(struct blk_queue *bq, struct virtq_chain *chain, unsigned n)
{
	struct virtq *vq = bq->vq;

	for (; n; n--) {
		int r;

		chain->iov = bq->slot;
		if (unlikely(!chain->iov)) {
			bq->waits = true;
			return VIRTIO_STALLED;
		}
		r = virtq_pop(vq, chain);
		if (r <= 0)
			return r;
		handle_chain(bq, chain);
	}
	return 0;
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

__attribute__((noinline)) static int take_limited(struct blk_queue *bq)
{
	struct virtq_chain chain = {.cap = bq->blk->dev.queue_max};
	struct limits *limits = &bq->blk->limits;
	uint64_t now = loop_now(bq->q->loop);

	for (unsigned n = bq->vq->num; n && virtq_waiting(bq->vq); n--) {
		uint64_t wait = limits_wait(limits, now);
		int r;

		if (wait)
			return virtio_pause(&bq->blk->dev, bq->q->index, wait);
		r = take(bq, &chain, 1);
		if (r)
			return r;
		limits_take(limits, now, bytes_moved(bq, &chain));
	}
	return 0;
}

static int blk_kick(struct virtio_dev *dev, unsigned q)
{
	struct blk_queue *bq = &((struct blk *)dev)->bq[q];
	struct virtq_chain chain;

	if (unlikely(bq->limited))
		return take_limited(bq);
	chain = (struct virtq_chain){.cap = dev->queue_max};
	return take(bq, &chain, bq->vq->num);
}

static void blk_stop(struct virtio_dev *dev, unsigned q, struct done *done)
{
	struct blk_queue *bq = &((struct blk *)dev)->bq[q];

	bq->waits = false;
	if (virtq_inflight(&bq->q->vq))
		bq->done = done;
	else
		done->fn(done);
}

static void set_writeback(struct blk *blk, bool writeback)
{
	blk->dev.config[offsetof(struct virtio_blk_config, wce)] = writeback;
	atomic_store(&blk->write_through, !writeback);
}

/* Writeback needs a guest that can flush (5.2.5.2, 5.2.6.2). */
static void blk_settle(struct virtio_dev *dev, uint64_t features)
{
	struct blk *blk = (struct blk *)dev;

	if (!features) {
		set_writeback(blk, true);
		atomic_store(&blk->logged, false);
	} else if (!(features & 1ULL << VIRTIO_BLK_F_FLUSH)) {
		set_writeback(blk, false);
	}
}

static void blk_write_config(struct virtio_dev *dev, uint32_t off, const void *data, unsigned len)
{
	struct blk *blk = (struct blk *)dev;
	uint32_t at = offsetof(struct virtio_blk_config, wce);

	if (off > at || at - off >= len || !negotiated(blk, VIRTIO_BLK_F_CONFIG_WCE))
		return;
	set_writeback(blk, ((const uint8_t *)data)[at - off] && negotiated(blk, VIRTIO_BLK_F_FLUSH));
}

static void blk_destroy(struct virtio_dev *dev)
{
	struct blk *blk = (struct blk *)dev;

	for (unsigned i = 0; blk->bq && i < dev->nvq; i++)
		free(blk->bq[i].spare);
	free(blk->bq);
	virtio_fini(dev);
	disk_close(blk->disk);
	free(blk->disk);
	free(blk);
}

static const struct virtio_ops blk_ops = {
	.id = VIRTIO_ID_BLK,
	.nvq = 1,
	.kick = blk_kick,
	.stop = blk_stop,
	.write_config = blk_write_config,
	.settle = blk_settle,
	.destroy = blk_destroy,
};

static uint64_t offer(const struct disk *disk, unsigned queues)
{
	uint64_t f = 1ULL << VIRTIO_BLK_F_SEG_MAX | 1ULL << VIRTIO_BLK_F_BLK_SIZE |
		     1ULL << VIRTIO_BLK_F_FLUSH | 1ULL << VIRTIO_BLK_F_TOPOLOGY |
		     1ULL << VIRTIO_BLK_F_CONFIG_WCE;

	if (queues > 1)
		f |= 1ULL << VIRTIO_BLK_F_MQ;
	if (disk->ro)
		return f | 1ULL << VIRTIO_BLK_F_RO;
	if (disk->can_discard)
		f |= 1ULL << VIRTIO_BLK_F_DISCARD;
	if (disk->can_zero)
		f |= 1ULL << VIRTIO_BLK_F_WRITE_ZEROES;
	return f;
}

static void fill_config(struct blk *blk)
{
	const struct disk *disk = blk->disk;
	uint32_t align = disk->block_size / SECTOR;
	/* In logical blocks. */
	uint32_t physical = disk->physical_size > disk->block_size ? disk->physical_size / disk->block_size : 1;
	struct virtio_blk_config c = {
		.capacity = disk->size / SECTOR,
		.seg_max = blk->dev.queue_max > 2 ? blk->dev.queue_max - 2 : 1,
		.blk_size = disk->block_size,
		.physical_block_exp = __builtin_ctz(physical),
		.min_io_size = physical,
		.opt_io_size = disk->optimal_size ? disk->optimal_size / disk->block_size : 0,
		.wce = 1,
		.num_queues = blk->dev.nvq,
	};

	if (disk->can_discard) {
		c.max_discard_sectors = MAX_RANGE;
		c.max_discard_seg = INLINE_SEGS;
		c.discard_sector_alignment = align ? align : 1;
	}
	if (disk->can_zero) {
		c.max_write_zeroes_sectors = MAX_RANGE;
		c.max_write_zeroes_seg = INLINE_SEGS;
		c.write_zeroes_may_unmap = disk->can_discard;
	}
	memcpy(blk->dev.config, &c, CONFIG_LEN);
	blk->dev.config_len = CONFIG_LEN;
}

static int queue_create(struct blk *blk, unsigned i)
{
	struct blk_queue *bq = &blk->bq[i];
	unsigned max = blk->dev.queue_max, n = max < SLOTS ? max : SLOTS;

	bq->blk = blk;
	bq->q = &blk->dev.queue[i];
	bq->vq = &bq->q->vq;
	bq->disk = blk->disk;
	bq->limited = blk->dev.limits;
	/* One block: at the usual sizes it comes fresh from the kernel, and costs only the pages that get used. What
	 * is written here is at its beginning. */
	bq->spare = calloc(1, /* NOLINTNEXTLINE(bugprone-sizeof-expression): spare is an array of pointers */
		max * sizeof(*bq->req) + (size_t)n * (max * sizeof(*bq->slots) + sizeof(*bq->spare)));
	if (!bq->spare)
		return -ENOMEM;
	bq->req = (struct blk_req *)(bq->spare + n);
	bq->slots = (struct iovec *)(bq->req + max);
	for (unsigned j = 0; j < n; j++)
		put_slot(bq, bq->slots + (size_t)j * max);
	return 0;
}

int virtio_blk_create(struct virtio_dev **dev, const char *name, const struct guest_mem *mem,
	struct loop *loop, struct disk *disk, const struct disk_config *cfg)
{
	struct blk *blk = calloc(1, sizeof(*blk));
	int err;

	if (!blk) {
		disk_close(disk);
		free(disk);
		return log_errno(-ENOMEM, "%s", name);
	}
	blk->disk = disk;
	err = virtio_init(&blk->dev, &blk_ops, name, mem, loop, cfg->queues, cfg->queue_size);
	if (err) {
		blk_destroy(&blk->dev);
		return err; /* logged */
	}
	limits_init(&blk->limits, cfg->bps, cfg->bps_burst, cfg->iops, cfg->iops_burst);
	if (limits_on(&blk->limits))
		blk->dev.limits = &blk->limits;
	blk->bq = calloc(cfg->queues, sizeof(*blk->bq));
	for (unsigned i = 0; !err && i < cfg->queues; i++)
		err = blk->bq ? queue_create(blk, i) : -ENOMEM;
	if (err) {
		blk_destroy(&blk->dev);
		return log_errno(err, "%s: %u queues of %u", name, cfg->queues, cfg->queue_size);
	}
	blk->dev.offered |= offer(disk, cfg->queues);
	fill_config(blk);
	*dev = &blk->dev;
	return 0;
}
