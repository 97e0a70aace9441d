/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-blk's own (virtio 1.2, 5.2): blk.c (configuration, life), blk_io.c (requests). A request lives in a
 * slot of its own, one a head, made when the device is; its I/O vector is the guest's memory. A queue and its
 * requests belong to the thread of its loop; what others look at too is atomic.
 */
#ifndef PINVM_VIRTIO_BLK_PRIV_H
#define PINVM_VIRTIO_BLK_PRIV_H

#include <linux/virtio_blk.h>

#include "devices/virtio/devs.h"
#include "devices/virtio/limits.h"

#define SECTOR 512

#define INLINE_SEGS 8	       /* data segments, or discard ranges, that fit into a request */
#define MAX_RANGE   (1u << 22) /* sectors in one range of discard or write zeroes: 2 GiB */

typedef struct virtio_blk_discard_write_zeroes blk_range;

struct blk_req {
	struct disk_req io;
	struct blk_queue *bq; /* this and the head stay */
	uint32_t head, type;
	uint8_t range, nranges; /* of discard and write zeroes */
	bool synced;		/* what is in flight makes a write last */
	uint64_t in;		/* writable bytes before the status */
	uint64_t len;		/* of a read or write: data bytes */
	uint64_t since;		/* virtio_time_now() when it was taken, where times are */
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
	struct blk_req
		*req; /* [queue_max], by head; these and spare are one block, which begins with spare */
	struct iovec *slots;  /* nslots vectors of queue_max segments */
	struct iovec *slot;   /* the one the next chain is read to; NULL when all are in use */
	struct iovec **spare; /* others not in use */
	unsigned nspare;
	bool waits;	   /* for a slot */
	struct done *done; /* stopping: nothing may be in flight when it fires */
};

struct blk {
	struct virtio_dev dev;
	struct disk *disk;
	struct blk_queue *bq; /* [dev.nvq] */
	struct virtio_limits limits;
	_Atomic bool write_through; /* a write is on stable storage before it completes */
	_Atomic bool logged;	    /* a host error, since the last reset */
};

static inline bool blk_negotiated(const struct blk *blk, unsigned feature)
{
	return blk->dev.features & 1ULL << feature;
}

/* A long vector is there, or free again. The queue's thread, or main while the device is made. */
void blk_put_slot(struct blk_queue *bq, struct iovec *slot);

/* As struct virtio_ops says. */
int blk_kick(struct virtio_dev *dev, unsigned q);
void blk_stop(struct virtio_dev *dev, unsigned q, struct done *done);

#endif
