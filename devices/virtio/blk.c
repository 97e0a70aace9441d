// SPDX-License-Identifier: Apache-2.0
/*
 * virtio-blk over a struct disk: what it offers, its configuration (virtio 1.2, 5.2.4; vCPU threads, with the
 * transport's lock), making and ending one (main). blk_io.c has the requests.
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "devices/virtio/blk_priv.h"
#include "vmm/log.h"

#define SLOTS	   64 /* longer vectors in use at once; when all are, the queue waits */
#define CONFIG_LEN offsetof(struct virtio_blk_config, max_secure_erase_sectors)

_Static_assert(CONFIG_LEN <= sizeof(((struct virtio_dev *)0)->config), "config space");

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

	if (off > at || at - off >= len || !blk_negotiated(blk, VIRTIO_BLK_F_CONFIG_WCE))
		return;
	set_writeback(blk, ((const uint8_t *)data)[at - off] && blk_negotiated(blk, VIRTIO_BLK_F_FLUSH));
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
	bq->q->limit_of = 0;
	/* One block: at the usual sizes it comes fresh from the kernel, and costs only the pages that get
	 * used. What is written here is at its beginning. */
	bq->spare = calloc(1, /* NOLINTNEXTLINE(bugprone-sizeof-expression): spare is an array of pointers */
		max * sizeof(*bq->req) + (size_t)n * (max * sizeof(*bq->slots) + sizeof(*bq->spare)));
	if (!bq->spare)
		return -ENOMEM;
	bq->req = (struct blk_req *)(bq->spare + n);
	bq->slots = (struct iovec *)(bq->req + max);
	for (unsigned j = 0; j < n; j++)
		blk_put_slot(bq, bq->slots + (size_t)j * max);
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
	virtio_limits_init(&blk->dev, &blk->limits,
		&(struct limit_rates){cfg->bps, cfg->bps_burst, cfg->iops, cfg->iops_burst});
	blk->dev.offered |= offer(disk, cfg->queues);
	fill_config(blk);
	*dev = &blk->dev;
	return 0;
}
