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
#include "vmm/log.h"

#define SECTOR 512

#define INLINE_SEGS 8	       /* data segments, or discard ranges, that fit into a request */
#define SLOTS	    64	       /* longer vectors in use at once; when all are, the queue waits */
#define MAX_RANGE   (1u << 22) /* sectors in one range of discard or write zeroes: 2 GiB */

#define CONFIG_LEN offsetof(struct virtio_blk_config, max_secure_erase_sectors)

typedef struct virtio_blk_discard_write_zeroes blk_range;

struct blk_req {
	struct disk_req io;
	struct blk_queue *bq;
	uint8_t *status; /* in the guest */
	uint64_t in;	 /* writable bytes before the status */
	uint32_t type;
	uint16_t head;
	uint8_t range, nranges;
	bool writes, synced;
	struct iovec *slot; /* taken from the queue's; NULL: the segments are in seg */
	union {
		struct iovec seg[INLINE_SEGS];
		blk_range ranges[INLINE_SEGS];
	};
};

struct blk_queue {
	struct blk *blk;
	struct virtio_queue *q;
	struct blk_req *req;  /* [queue_max], by head; these three are one block, which begins with spare */
	struct iovec *slots;  /* nslots vectors of queue_max segments */
	struct iovec **spare; /* those not in use; the last one is also where the next chain is read to */
	unsigned nspare;
	bool waits;	   /* for a slot */
	struct done *done; /* stopping: nothing may be in flight when it fires */
};

struct blk {
	struct virtio_dev dev;
	struct disk *disk;
	struct blk_queue *bq;	    /* [dev.nvq] */
	_Atomic bool write_through; /* a write is on stable storage before it completes */
	_Atomic bool logged;	    /* a host error, since the last reset */
	_Atomic uint64_t errors;
};

_Static_assert(CONFIG_LEN <= sizeof(((struct virtio_dev *)0)->config), "config space");
_Static_assert(INLINE_SEGS <= UINT8_MAX, "range counters");

static bool in_range(const struct blk *blk, uint64_t sector, uint64_t sectors)
{
	uint64_t capacity = blk->disk->size / SECTOR;

	return sector <= capacity && sectors <= capacity - sector;
}

static void put_slot(struct blk_req *req)
{
	struct blk_queue *bq = req->bq;

	bq->spare[bq->nspare++] = req->slot;
	req->slot = NULL;
	if (!bq->waits)
		return;
	bq->waits = false;
	virtio_resume(&bq->blk->dev, bq->q->index);
}

/*
 * End a request. filled: data bytes written to the guest, from the first writable one on without a gap.
 * used.len says how far the writable part is filled (2.7.8.2), so the status byte counts only when all data
 * before it was written.
 */
static void finish(struct blk_req *req, uint8_t status, uint64_t filled)
{
	struct blk_queue *bq = req->bq;
	struct virtq *vq = &bq->q->vq;

	if (vq->running)
		ring_copy(req->status, &status, 1);
	if (req->slot)
		put_slot(req);
	virtq_push(vq, req->head, filled == req->in ? filled + 1 : filled);
	if (__builtin_expect(!!bq->done, 0) && !virtq_inflight(vq)) {
		struct done *done = bq->done;

		bq->done = NULL;
		done->fn(done);
	}
}

static void host_error(struct blk *blk, const struct blk_req *req, int err)
{
	atomic_fetch_add_explicit(&blk->errors, 1, memory_order_relaxed);
	if (!atomic_exchange(&blk->logged, true) && log_few(&blk->dev.complaints))
		log_errno(err, "%s: request type %u failed (later ones are only counted)", blk->dev.name,
			req->type);
}

static void submit(
	struct blk_req *req, enum disk_op op, struct iovec *iov, unsigned n, uint64_t off, uint64_t len)
{
	disk_submit(req->bq->blk->disk, req->bq->q->loop, &req->io, op, iov, n, off, len);
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
	submit(req, op, NULL, 0, r->sector * SECTOR, (uint64_t)r->num_sectors * SECTOR);
	return true;
}

/* What was asked for is done; what is left is to make it last, where the guest has no other way to ask for
 * that. */
static void advance(struct blk_req *req)
{
	if (req->bq->q->vq.running) {
		if (next_range(req))
			return;
		if (req->writes && !req->synced &&
			atomic_load_explicit(&req->bq->blk->write_through, memory_order_relaxed)) {
			req->synced = true;
			submit(req, DISK_FLUSH, NULL, 0, 0, 0);
			return;
		}
	}
	finish(req, VIRTIO_BLK_S_OK, req->type == VIRTIO_BLK_T_IN ? req->in : 0);
}

static void io_done(struct disk_req *io, int err)
{
	struct blk_req *req = (struct blk_req *)io;

	if (!err && !req->writes) {
		finish(req, VIRTIO_BLK_S_OK, req->type == VIRTIO_BLK_T_IN ? req->in : 0);
	} else if (!err) {
		advance(req);
	} else if (!req->bq->q->vq.running) {
		finish(req, VIRTIO_BLK_S_IOERR, 0); /* nobody waits for it any more */
	} else if (err == -EOPNOTSUPP && req->nranges && !req->synced) {
		finish(req, VIRTIO_BLK_S_UNSUPP, 0);
	} else {
		host_error(req->bq->blk, req, err);
		finish(req, VIRTIO_BLK_S_IOERR, 0);
	}
}

/* The chain's vector was read into the last spare slot: keep it there if it is long. */
static struct iovec *keep(struct blk_req *req, struct iovec *iov, unsigned n)
{
	struct blk_queue *bq = req->bq;

	if (n > INLINE_SEGS) {
		req->slot = bq->spare[--bq->nspare];
		return iov;
	}
	req->seg[0] = iov[0];
	for (unsigned i = 1; i < n; i++)
		req->seg[i] = iov[i];
	return req->seg;
}

static void read_write(
	struct blk_req *req, enum disk_op op, struct iovec *iov, unsigned n, uint64_t sector, uint64_t len)
{
	struct blk *blk = req->bq->blk;

	if (len % SECTOR || !in_range(blk, sector, len / SECTOR) || (op == DISK_WRITE && blk->disk->ro)) {
		finish(req, VIRTIO_BLK_S_IOERR, 0);
		return;
	}
	if (!len) {
		finish(req, VIRTIO_BLK_S_OK, 0);
		return;
	}
	req->writes = op == DISK_WRITE;
	submit(req, op, keep(req, iov, n), n, sector * SECTOR, len);
}

/* One range against 5.2.6.2: unknown flags, and any flag of a discard, are not supported. */
static uint8_t check_range(const struct blk *blk, uint32_t type, const blk_range *r)
{
	uint32_t known = type == VIRTIO_BLK_T_WRITE_ZEROES ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0;

	if (r->flags & ~known)
		return VIRTIO_BLK_S_UNSUPP;
	if (r->num_sectors > MAX_RANGE || !in_range(blk, r->sector, r->num_sectors))
		return VIRTIO_BLK_S_IOERR;
	return VIRTIO_BLK_S_OK;
}

static bool negotiated(const struct blk *blk, unsigned feature)
{
	return blk->dev.features & 1ULL << feature;
}

/* DISCARD and WRITE_ZEROES. All ranges are copied and checked before the first one is touched. */
static void ranges(struct blk_req *req, struct iovec *iov, unsigned n, uint64_t len)
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
	req->writes = true;
	advance(req);
}

static void get_id(struct blk_req *req, struct iovec *iov, unsigned n)
{
	const char *serial = req->bq->blk->disk->serial;
	char id[VIRTIO_BLK_ID_BYTES] = {0}; /* padded with NULs, not terminated by one */

	memcpy(id, serial, strnlen(serial, sizeof(id)));
	finish(req, VIRTIO_BLK_S_OK, iov_put(&iov, &n, id, req->in < sizeof(id) ? req->in : sizeof(id)));
}

static void flush(struct blk_req *req)
{
	if (req->bq->blk->disk->ro)
		finish(req, VIRTIO_BLK_S_OK, 0);
	else
		submit(req, DISK_FLUSH, NULL, 0, 0, 0);
}

/* The header, whatever its framing; nearly always one segment of its own. */
static bool take_header(struct iovec **out, unsigned *nout, struct virtio_blk_outhdr *hdr)
{
	if (__builtin_expect(*nout && (*out)->iov_len == sizeof(*hdr), 1)) {
		ring_copy(hdr, (*out)++->iov_base, sizeof(*hdr));
		--*nout;
		return true;
	}
	return iov_take(out, nout, hdr, sizeof(*hdr)) == sizeof(*hdr);
}

static void handle(struct blk_queue *bq, const struct virtq_chain *chain)
{
	struct blk_req *req = &bq->req[chain->head];
	struct iovec *out = chain->iov, *in = out + chain->nread;
	unsigned nout = chain->nread, nin = chain->nwrite;
	struct virtio_blk_outhdr hdr;

	if (!nin) { /* no byte to say so in */
		virtq_push(&bq->q->vq, chain->head, 0);
		return;
	}
	req->io.fn = io_done;
	req->io.wanted = &bq->q->vq.running;
	req->bq = bq;
	req->head = chain->head;
	req->range = req->nranges = 0;
	req->writes = req->synced = false;
	req->in = chain->write_len - 1;
	req->status = (uint8_t *)in[nin - 1].iov_base + --in[nin - 1].iov_len;
	if (!in[nin - 1].iov_len)
		nin--;
	if (!take_header(&out, &nout, &hdr)) {
		finish(req, VIRTIO_BLK_S_IOERR, 0);
		return;
	}
	req->type = hdr.type;
	switch (hdr.type) {
	case VIRTIO_BLK_T_IN:
		read_write(req, DISK_READ, in, nin, hdr.sector, req->in);
		break;
	case VIRTIO_BLK_T_OUT:
		read_write(req, DISK_WRITE, out, nout, hdr.sector, chain->read_len - sizeof(hdr));
		break;
	case VIRTIO_BLK_T_FLUSH:
		flush(req);
		break;
	case VIRTIO_BLK_T_GET_ID:
		get_id(req, in, nin);
		break;
	case VIRTIO_BLK_T_DISCARD:
	case VIRTIO_BLK_T_WRITE_ZEROES:
		ranges(req, out, nout, chain->read_len - sizeof(hdr));
		break;
	default:
		finish(req, VIRTIO_BLK_S_UNSUPP, 0);
	}
}

static int blk_kick(struct virtio_dev *dev, unsigned q)
{
	struct blk_queue *bq = &((struct blk *)dev)->bq[q];
	struct virtq *vq = &bq->q->vq;
	struct virtq_chain chain = {.cap = dev->queue_max};

	for (unsigned n = 0; n < vq->num; n++) {
		int r;

		if (!bq->nspare) {
			bq->waits = true;
			return VIRTIO_STALLED;
		}
		chain.iov = bq->spare[bq->nspare - 1];
		r = virtq_pop(vq, &chain);
		if (r <= 0)
			return r;
		handle(bq, &chain);
	}
	return 0;
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
	/* In logical blocks: what the host can take without copying (direct I/O on a disk with larger
	 * blocks). */
	uint32_t physical = disk->min_align > disk->block_size ? disk->min_align / disk->block_size : 1;
	struct virtio_blk_config c = {
		.capacity = disk->size / SECTOR,
		.seg_max = blk->dev.queue_max > 2 ? blk->dev.queue_max - 2 : 1,
		.blk_size = disk->block_size,
		.physical_block_exp = __builtin_ctz(physical),
		.min_io_size = physical,
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
	/* One block: at the usual sizes it comes fresh from the kernel, and costs only the pages that get used. What
	 * is written here is at its beginning. */
	bq->spare = calloc(1, max * sizeof(*bq->req) + (size_t)n * (max * sizeof(*bq->slots) + sizeof(*bq->spare)));
	if (!bq->spare)
		return -ENOMEM;
	bq->req = (struct blk_req *)(bq->spare + n);
	bq->slots = (struct iovec *)(bq->req + max);
	for (; bq->nspare < n; bq->nspare++)
		bq->spare[bq->nspare] = bq->slots + (size_t)bq->nspare * max;
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
