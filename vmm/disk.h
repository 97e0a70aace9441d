/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host end of a disk: a raw file or block device. Opened by main, used by the loop thread that owns it.
 * Never probes a format: what the guest writes stays bytes.
 */
#ifndef PINVM_DISK_H
#define PINVM_DISK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "vmm/config.h"
#include "vmm/loop.h"

struct disk {
	int fd;
	uint64_t size; /* bytes, a multiple of 512 */
	bool ro, is_blkdev;
	bool can_discard, can_zero;
	bool sync_failed; /* an fdatasync failed: every later flush fails too */
	uint32_t block_size, min_align; /* bytes; min_align of address and length with direct I/O */
	char serial[21];
};

enum disk_op { DISK_READ, DISK_WRITE, DISK_FLUSH, DISK_DISCARD, DISK_ZERO, DISK_ZERO_UNMAP };

/*
 * One operation on a disk, embedded in the device's request. fn runs once on the loop's thread with 0 or -errno:
 * short transfers and EINTR were retried, a read past the end of a shrunken file is -EIO.
 * The disk may change the iov array (not the buffers) while the request is in flight.
 */
struct disk_req {
	void (*fn)(struct disk_req *req, int err);
	struct { struct loop_io io; struct disk *disk; struct loop *loop; struct iovec *iov; int n; int op; uint64_t off, len; void *bounce; } private;
};

/* Open as cfg says. -errno after one logged line naming --disk and the path (a directory, no permission, in use for
 * writing by another guest (OFD lock), size 0, ...). */
int disk_open(struct disk *disk, const struct disk_config *cfg);
void disk_close(struct disk *disk);

/* off and len in bytes, inside the disk (the device checked). For FLUSH they are ignored, iov is for READ and WRITE. */
void disk_submit(struct disk *disk, struct loop *loop, struct disk_req *req, enum disk_op op, struct iovec *iov, int n,
	uint64_t off, uint64_t len);

#endif
