/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk in memory that completes requests when a test says so, in any order, and checks what a device asks
 * of it. Defines disk_submit() and disk_close(); include it once a program.
 */
#ifndef PINVM_TESTS_FAKE_DISK_H
#define PINVM_TESTS_FAKE_DISK_H

#include "tests/unit/fake_loop.h"
#include "vmm/disk.h"

#define FAKE_DISK_PENDING 2048

static struct fake_disk {
	struct disk *disk; /* from malloc(), as the device wants it */
	uint8_t *data;
	bool hold;		      /* complete nothing by itself */
	bool at_once;		      /* complete inside disk_submit() */
	int err[DISK_ZERO_UNMAP + 1]; /* what operations end with */
	unsigned ops[DISK_ZERO_UNMAP + 1];
	unsigned closed;
	unsigned n;
	struct disk_req *pending[FAKE_DISK_PENDING];
} fake_disk;

static inline void fake_disk_move(struct disk_req *req, bool in)
{
	uint64_t at = req->private.off;

	for (int i = 0; i < req->private.n; i++) {
		struct iovec *v = &req->private.iov[i];

		if (in)
			ring_copy(v->iov_base, fake_disk.data + at, v->iov_len);
		else
			ring_copy(fake_disk.data + at, v->iov_base, v->iov_len);
		at += v->iov_len;
		v->iov_base = NULL; /* the array is the disk's meanwhile */
		v->iov_len = 0;
	}
	must(at == req->private.off + req->private.len);
}

/* Do an operation and answer it. */
static inline void fake_disk_end(struct disk_req *req, int err)
{
	if (!err && req->private.op == DISK_READ)
		fake_disk_move(req, true);
	else if (!err && req->private.op == DISK_WRITE)
		fake_disk_move(req, false);
	else if (!err && req->private.op != DISK_FLUSH)
		memset(fake_disk.data + req->private.off, 0, req->private.len);
	req->fn(req, err);
}

/* Answer the i-th pending request. */
static inline void fake_disk_complete(unsigned i, int err)
{
	struct disk_req *req = fake_disk.pending[i];

	must(i < fake_disk.n);
	fake_disk.pending[i] = fake_disk.pending[--fake_disk.n];
	fake_disk_end(req, err);
}

static inline bool fake_disk_backend(struct loop *loop)
{
	unsigned n = fake_disk.hold ? 0 : fake_disk.n;

	for (unsigned i = 0; i < n; i++)
		fake_disk_complete(0, fake_disk.err[fake_disk.pending[0]->private.op]);
	return n;
}

void disk_submit(struct disk *disk, struct loop *loop, struct disk_req *req, enum disk_op op,
	struct iovec *iov, int n, uint64_t off, uint64_t len)
{
	must(disk == fake_disk.disk && !fake_disk.closed && op <= DISK_ZERO_UNMAP);
	if (op != DISK_FLUSH)
		must(len && off <= disk->size && len <= disk->size - off && off % 512 == 0 && len % 512 == 0);
	must(op == DISK_READ || !disk->ro);
	must((op == DISK_READ || op == DISK_WRITE) == (n > 0));
	req->private.disk = disk;
	req->private.loop = loop;
	req->private.op = op;
	req->private.iov = iov;
	req->private.n = n;
	req->private.off = off;
	req->private.len = len;
	fake_disk.ops[op]++;
	if (fake_disk.at_once) {
		fake_disk_end(req, fake_disk.err[op]);
		return;
	}
	must(fake_disk.n < FAKE_DISK_PENDING);
	for (unsigned i = 0; i < fake_disk.n; i++)
		must(fake_disk.pending[i] != req);
	fake_disk.pending[fake_disk.n++] = req;
}

void disk_close(struct disk *disk)
{
	must(disk == fake_disk.disk);
	fake_disk.closed++;
}

static inline struct disk *fake_disk_new(struct loop *loop, uint64_t size, bool ro)
{
	free(fake_disk.data);
	memset(&fake_disk, 0, sizeof(fake_disk));
	fake_disk.data = malloc(size);
	fake_disk.disk = malloc(sizeof(*fake_disk.disk));
	must(fake_disk.data && fake_disk.disk);
	*fake_disk.disk = (struct disk){.fd = -1,
		.size = size,
		.ro = ro,
		.can_discard = true,
		.can_zero = true,
		.block_size = 512,
		.min_align = 1,
		.physical_size = 4096,
		.optimal_size = 65536,
		.serial = "PINVM0"};
	for (uint64_t i = 0; i < size; i++)
		fake_disk.data[i] = i / 512 + i % 512 * 7;
	loop->backend = fake_disk_backend;
	return fake_disk.disk;
}

#endif
