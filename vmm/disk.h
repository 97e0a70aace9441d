/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host end of a disk: a raw file or block device. Opened by main, used by the loop thread that owns it.
 * Never probes a format: what the guest writes stays bytes.
 */
#ifndef PINVM_DISK_H
#define PINVM_DISK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "vmm/config.h"
#include "vmm/loop/loop.h"

struct disk {
	int fd;
	uint64_t size; /* bytes, a multiple of block_size */
	bool ro, is_blkdev, direct;
	bool can_discard, can_zero; /* may be asked for; where the host cannot, discard is nothing and zeros are written */
	uint32_t block_size;        /* bytes, a power of two from 512 up: the guest's logical sector */
	uint32_t min_align;         /* bytes, of address and length with direct I/O: the rest is copied; else 1 */
	uint32_t physical_size;     /* bytes, a power of two from block_size up: the host writes less only by reading first */
	uint32_t optimal_size;      /* bytes, a multiple of physical_size: what the host likes a request to be; 0: it does not say */
	char serial[21];            /* as given, or derived from the path */
	/* By any thread that completes a request. sync_failed: an fdatasync failed, and every later flush fails too. unsynced:
	 * something was written since the last flush began. */
	struct { atomic_bool sync_failed, unsynced, no_punch, no_zero_range; } private;
};

enum disk_op { DISK_READ, DISK_WRITE, DISK_FLUSH, DISK_DISCARD, DISK_ZERO, DISK_ZERO_UNMAP };

/*
 * One operation on a disk, embedded in the device's request. fn runs once on the loop's thread, never from inside
 * disk_submit(), with 0 or -errno: short transfers and EINTR were retried, a read past the end of a shrunken file is -EIO.
 * The disk may change the iov array (not the buffers) while the request is in flight.
 */
struct disk_req {
	void (*fn)(struct disk_req *req, int err);
	const bool *wanted; /* NULL, or true at disk_submit(); once false (loop's thread), what is left is not begun: -ECANCELED */
	struct {
		struct loop_io io;
		struct loop_call call;
		struct disk *disk;
		struct loop *loop;
		struct iovec *iov, one; /* one: the piece of bounce or of zeros in flight */
		uint64_t off, len;      /* still to do */
		int n, op, way, err, tries;
		void *bounce;
	} private;
};

/*
 * Open as cfg says. -errno after one logged line naming --disk and the path (a directory, no permission, in use by
 * another guest (OFD lock) or mounted, size 0, ...). Bytes behind the last whole sector are left out, with a warning.
 */
int disk_open(struct disk *disk, const struct disk_config *cfg);
/* Nothing is in flight: bring what was written and not flushed to stable storage. 0, or -errno after one logged line. */
int disk_sync(struct disk *disk);
/* The same first, then close. */
void disk_close(struct disk *disk);

/*
 * off and len in bytes, inside the disk (the device checked). For FLUSH they are ignored. iov is for READ and WRITE, and
 * holds exactly len bytes; any number of entries. DISCARD is a hint: it succeeds where the host cannot do it. After ZERO
 * and ZERO_UNMAP the range reads back as zeros; only the latter may give its space back.
 */
void disk_submit(struct disk *disk, struct loop *loop, struct disk_req *req, enum disk_op op, struct iovec *iov, int n,
	uint64_t off, uint64_t len);

#endif
