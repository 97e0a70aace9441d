// SPDX-License-Identifier: Apache-2.0
/*
 * Disk requests over a host that misbehaves: the loop's file operations are replaced by ones that answer from
 * a script. Where a script ends, operations succeed in full, on a small memory "file".
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/falloc.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/unit.h"
#include "vmm/disk.h"

enum { R = 'r', W = 'w', S = 's', F = 'f' };
#define RANGE (FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE)
#define PUNCH (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)
#define ALLOC FALLOC_FL_KEEP_SIZE

static uint8_t file[1 << 20];
static int script[128], nscript, at;
static struct asked {
	int op, n, mode;
	uint64_t off, len;
	void *base;
} asked[128];
static int nasked;
static struct loop_io *pending;
static struct loop_call *posted;
static bool pretend; /* sizes only, no memory behind them */

static void ask(
	struct loop_io *io, int op, const struct iovec *iov, int n, int mode, uint64_t off, uint64_t len)
{
	ck_assert_ptr_null(pending);
	ck_assert_int_lt(nasked, 128);
	for (int i = 0; i < n; i++)
		len += iov[i].iov_len;
	asked[nasked++] = (struct asked){op, n, mode, off, len, n ? iov[0].iov_base : NULL};
	io->private.iov = iov;
	io->private.n = n;
	pending = io;
}

void loop_readv(struct loop *loop, struct loop_io *io, int fd, const struct iovec *iov, int n, uint64_t off)
{
	ask(io, R, iov, n, 0, off, 0);
}

void loop_writev(struct loop *loop, struct loop_io *io, int fd, const struct iovec *iov, int n, uint64_t off)
{
	ask(io, W, iov, n, 0, off, 0);
}

void loop_fdatasync(struct loop *loop, struct loop_io *io, int fd)
{
	ask(io, S, NULL, 0, 0, 0, 0);
}

void loop_fallocate(struct loop *loop, struct loop_io *io, int fd, int mode, uint64_t off, uint64_t len)
{
	ask(io, F, NULL, 0, mode, off, len);
}

void loop_post(struct loop *loop, struct loop_call *call)
{
	ck_assert_ptr_null(posted);
	posted = call;
}

/* Move at most `limit` bytes between the file and what the pending operation names. */
static void move(const struct loop_io *io, const struct asked *a, uint64_t limit)
{
	uint64_t off = a->off;

	for (int i = 0; i < io->private.n && limit && !pretend; i++) {
		uint64_t n = io->private.iov[i].iov_len < limit ? io->private.iov[i].iov_len : limit;

		ck_assert_uint_le(off + n, sizeof(file));
		if (a->op == R)
			memcpy(io->private.iov[i].iov_base, file + off, n);
		else
			memcpy(file + off, io->private.iov[i].iov_base, n);
		off += n;
		limit -= n;
	}
	if (a->op == F && a->mode != ALLOC)
		memset(file + a->off, 0, limit);
}

/* Answer one operation or posted call. False when there is nothing to answer. */
static bool pump(void)
{
	struct loop_io *io = pending;
	struct loop_call *call = posted;
	const struct asked *a = nasked ? &asked[nasked - 1] : NULL;
	int res;

	pending = NULL;
	posted = NULL;
	if (call)
		call->fn(call);
	if (!io)
		return call;
	if (at < nscript)
		res = script[at++];
	else if (a->op == R || a->op == W)
		res = a->len > INT_MAX - 4095 ? INT_MAX - 4095 : (int)a->len;
	else
		res = 0;
	if (res > 0 || (a->op == F && !res))
		move(io, a, res > 0 ? (uint64_t)res : a->len);
	io->fn(io, res);
	return true;
}

static struct disk disk;
static int done, result, syncs;

int fdatasync(int fd)
{
	syncs++;
	return 0;
}

static void on_done(struct disk_req *req, int err)
{
	done++;
	result = err;
}

static int run(enum disk_op op, struct iovec *iov, int n, uint64_t off, uint64_t len)
{
	struct disk_req req = {.fn = on_done};

	done = nasked = at = 0;
	disk_submit(&disk, NULL, &req, op, iov, n, off, len);
	ck_assert_msg(!done, "never from inside disk_submit()");
	while (pump())
		;
	ck_assert_int_eq(done, 1);
	return result;
}

#define SCRIPT(...)                                   \
	do {                                          \
		const int s_[] = {__VA_ARGS__};       \
		memcpy(script, s_, sizeof(s_));       \
		nscript = sizeof(s_) / sizeof(s_[0]); \
	} while (0)

static void setup(void)
{
	disk = (struct disk){.size = sizeof(file), .block_size = 512, .min_align = 1};
	nscript = 0;
	for (size_t i = 0; i < sizeof(file); i++)
		file[i] = (uint8_t)(i * 7 + i / 256);
}

START_TEST(short_transfers_are_continued)
{
	static uint8_t a[1000], b[24], c[3072];
	struct iovec iov[4] = {{a, sizeof(a)}, {b, 0}, {b, sizeof(b)}, {c, sizeof(c)}};

	setup();
	/* Stops: inside the first, at its end, across two, an interrupted one, one byte at a time. */
	SCRIPT(1, 999, 100, -EINTR, -EAGAIN, 1, 1);
	ck_assert_int_eq(run(DISK_READ, iov, 4, 4096, 4096), 0);
	ck_assert_int_eq(nasked, 8);
	ck_assert_int_eq(memcmp(a, file + 4096, 1000), 0);
	ck_assert_int_eq(memcmp(b, file + 5096, 24), 0);
	ck_assert_int_eq(memcmp(c, file + 5120, 3072), 0);
	ck_assert_uint_eq(asked[7].off, 4096 + 1102);
	ck_assert_uint_eq(asked[7].len, 4096 - 1102);

	memset(a, 'A', sizeof(a));
	memset(c, 'C', sizeof(c));
	struct iovec again[2] = {{a, 512}, {c, 512}};
	SCRIPT(600, 300);
	ck_assert_int_eq(run(DISK_WRITE, again, 2, 0, 1024), 0);
	for (int i = 0; i < 1024; i++)
		ck_assert_int_eq(file[i], i < 512 ? 'A' : 'C');
}
END_TEST

START_TEST(failures_end_the_request)
{
	static uint8_t a[1024];
	struct iovec iov = {a, sizeof(a)};

	setup();
	SCRIPT(512, 0);
	ck_assert_int_eq(run(DISK_READ, &iov, 1, 0, 1024), -EIO);
	iov = (struct iovec){a, sizeof(a)};
	SCRIPT(512, -ENOSPC);
	ck_assert_int_eq(run(DISK_WRITE, &iov, 1, 0, 1024), -ENOSPC);
	iov = (struct iovec){a, sizeof(a)};
	SCRIPT(0);
	ck_assert_int_eq(run(DISK_WRITE, &iov, 1, 0, 1024), -EIO);
	iov = (struct iovec){a, sizeof(a)};
	SCRIPT(2048);
	pretend = true;
	ck_assert_msg(run(DISK_READ, &iov, 1, 0, 1024) == -EIO, "more than was asked for");
	pretend = false;
	/* EAGAIN for ever is an error in the end. */
	for (nscript = 0; nscript < 100; nscript++)
		script[nscript] = -EAGAIN;
	iov = (struct iovec){a, sizeof(a)};
	ck_assert_int_eq(run(DISK_READ, &iov, 1, 0, 1024), -EAGAIN);
	ck_assert_int_lt(nasked, 100);
	iov = (struct iovec){a, 0};
	ck_assert_int_eq(run(DISK_READ, &iov, 1, 0, 0), 0);
	ck_assert_int_eq(nasked, 0);
}
END_TEST

START_TEST(a_failed_flush_is_remembered)
{
	setup();
	ck_assert_int_eq(run(DISK_FLUSH, NULL, 0, 0, 0), 0);
	SCRIPT(-EINTR);
	ck_assert_int_eq(run(DISK_FLUSH, NULL, 0, 0, 0), 0);
	ck_assert_int_eq(nasked, 2);
	SCRIPT(-ENOSPC);
	ck_assert_int_eq(run(DISK_FLUSH, NULL, 0, 0, 0), -ENOSPC);
	nscript = 0;
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(run(DISK_FLUSH, NULL, 0, 0, 0), -EIO);
		ck_assert_int_eq(nasked, 0);
	}
	disk.ro = true;
	ck_assert_int_eq(run(DISK_FLUSH, NULL, 0, 0, 0), 0);
}
END_TEST

static int syncs_at_close(void)
{
	disk.fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	syncs = 0;
	disk_close(&disk);
	ck_assert_int_eq(disk.fd, -1);
	return syncs;
}

/* A guest that is stopped has no time to flush. */
START_TEST(what_was_not_flushed_is_synced_at_close)
{
	static uint8_t a[512];
	struct iovec iov = {a, sizeof(a)};
	struct disk_req flush = {.fn = on_done};
	struct loop_io *io;

	setup();
	ck_assert_int_eq(run(DISK_READ, &iov, 1, 0, 512), 0);
	ck_assert_int_eq(syncs_at_close(), 0);
	iov = (struct iovec){a, sizeof(a)};
	ck_assert_int_eq(run(DISK_WRITE, &iov, 1, 0, 512), 0);
	ck_assert_int_eq(syncs_at_close(), 1);
	ck_assert_int_eq(run(DISK_FLUSH, NULL, 0, 0, 0), 0);
	ck_assert_int_eq(syncs_at_close(), 0);
	ck_assert_int_eq(run(DISK_ZERO, NULL, 0, 0, 512), 0);
	ck_assert_int_eq(syncs_at_close(), 1);
	/* Written while a flush was under way: it may have missed that. */
	disk_submit(&disk, NULL, &flush, DISK_FLUSH, NULL, 0, 0, 0);
	io = pending;
	pending = NULL;
	iov = (struct iovec){a, sizeof(a)};
	ck_assert_int_eq(run(DISK_WRITE, &iov, 1, 0, 512), 0);
	io->fn(io, 0);
	ck_assert_int_eq(syncs_at_close(), 1);
}
END_TEST

START_TEST(what_nobody_wants_is_not_gone_on_with)
{
	static uint8_t a[1024];
	struct iovec iov = {a, sizeof(a)};
	bool wanted = true;
	struct disk_req req = {.fn = on_done, .wanted = &wanted};

	setup();
	for (int zero = 0; zero < 2; zero++) {
		done = nasked = at = 0;
		atomic_store(&disk.private.no_punch, true);
		atomic_store(&disk.private.no_zero_range, true);
		wanted = true;
		iov = (struct iovec){a, sizeof(a)};
		SCRIPT(512, 0);
		disk_submit(
			&disk, NULL, &req, zero ? DISK_ZERO : DISK_READ, zero ? NULL : &iov, !zero, 0, 1024);
		wanted = false;
		while (pump())
			;
		ck_assert_int_eq(done, 1);
		ck_assert_int_eq(result, -ECANCELED);
		ck_assert_msg(nasked == 1, "what had begun was waited for, and no more was begun");
	}
}
END_TEST

/* A flush that was under way when another one failed did not reach the disk for certain either. */
START_TEST(a_failed_flush_fails_those_beside_it)
{
	struct disk_req a = {.fn = on_done}, b = {.fn = on_done};
	struct loop_io *ioa, *iob;

	setup();
	done = nasked = 0;
	disk_submit(&disk, NULL, &a, DISK_FLUSH, NULL, 0, 0, 0);
	ioa = pending;
	pending = NULL;
	disk_submit(&disk, NULL, &b, DISK_FLUSH, NULL, 0, 0, 0);
	iob = pending;
	pending = NULL;
	ioa->fn(ioa, -EIO);
	ck_assert_int_eq(result, -EIO);
	result = 0;
	iob->fn(iob, 0);
	ck_assert_int_eq(result, -EIO);
	ck_assert_int_eq(done, 2);
}
END_TEST

START_TEST(long_vectors_are_split)
{
	static uint8_t buf[3000 * 16];
	static struct iovec iov[3000];

	setup();
	for (int i = 0; i < 3000; i++)
		iov[i] = (struct iovec){buf + i * 16, 16};
	ck_assert_int_eq(run(DISK_READ, iov, 3000, 512, sizeof(buf)), 0);
	ck_assert_int_eq(nasked, 3);
	ck_assert_int_eq(asked[0].n, IOV_MAX);
	ck_assert_int_eq(asked[2].n, 3000 - 2 * IOV_MAX);
	ck_assert_int_eq(memcmp(buf, file + 512, sizeof(buf)), 0);
}
END_TEST

START_TEST(more_than_a_system_call_moves)
{
	static uint8_t a;
	struct iovec iov[3] = {{&a, 1u << 30}, {&a, 2u << 30}, {&a, 512}};

	setup();
	pretend = true;
	ck_assert_int_eq(run(DISK_WRITE, iov, 3, 1ull << 40, (3ull << 30) + 512), 0);
	ck_assert_int_eq(nasked, 2);
	ck_assert_uint_eq(asked[1].off, (1ull << 40) + 0x7ffff000);
	ck_assert_uint_eq(asked[1].len, (3ull << 30) + 512 - 0x7ffff000);
	pretend = false;
}
END_TEST

START_TEST(zeroing_takes_the_best_way_there_is)
{
	static const uint8_t none[100 * 1024];

	setup();
	ck_assert_int_eq(run(DISK_ZERO, NULL, 0, 0, 4096), 0);
	ck_assert_int_eq(nasked, 1);
	ck_assert_int_eq(asked[0].mode, RANGE);
	ck_assert_int_eq(run(DISK_ZERO_UNMAP, NULL, 0, 8192, 4096), 0);
	ck_assert_int_eq(nasked, 1);
	ck_assert_int_eq(asked[0].mode, PUNCH);
	/* tmpfs: no zero range; the hole gets its space back. */
	SCRIPT(-EOPNOTSUPP);
	ck_assert_int_eq(run(DISK_ZERO, NULL, 0, 16384, 4096), 0);
	ck_assert_int_eq(nasked, 3);
	ck_assert_int_eq(asked[1].mode, PUNCH);
	ck_assert_int_eq(asked[2].mode, ALLOC);
	/* Learned; and the allocation is not vital. */
	SCRIPT(0, -EOPNOTSUPP);
	ck_assert_int_eq(run(DISK_ZERO, NULL, 0, 20480, 4096), 0);
	ck_assert_int_eq(nasked, 2);
	/* Nothing at all: written, in pieces, short ones continued. */
	SCRIPT(-EOPNOTSUPP, 65536, 512);
	ck_assert_int_eq(run(DISK_ZERO_UNMAP, NULL, 0, 32768, 100 * 1024), 0);
	ck_assert_int_eq(nasked, 4);
	ck_assert_int_eq(asked[3].op, W);
	ck_assert_uint_eq(asked[3].off, 32768 + 65536 + 512);
	ck_assert_int_eq(memcmp(file + 32768, none, sizeof(none)), 0);
	ck_assert_int_ne(file[32768 + 100 * 1024], 0);
	nscript = 0;
	ck_assert_int_eq(run(DISK_ZERO, NULL, 0, 0, 512), 0);
	ck_assert_int_eq(nasked, 1);
	ck_assert_int_eq(asked[0].op, W);
	SCRIPT(-EIO);
	ck_assert_int_eq(run(DISK_ZERO, NULL, 0, 0, 512), -EIO);
	SCRIPT(0);
	ck_assert_int_eq(run(DISK_ZERO, NULL, 0, 0, 512), -EIO);
	ck_assert_int_eq(run(DISK_ZERO, NULL, 0, 0, 0), 0);
	ck_assert_int_eq(nasked, 0);
}
END_TEST

START_TEST(zeroing_an_odd_range)
{
	setup();
	SCRIPT(-EINVAL);
	ck_assert_int_eq(run(DISK_ZERO, NULL, 0, 512, 512), 0);
	ck_assert_int_eq(asked[1].op, W);
	nscript = 0;
	ck_assert_int_eq(run(DISK_ZERO, NULL, 0, 4096, 4096), 0);
	ck_assert_msg(asked[0].mode == RANGE, "one odd range does not decide for all");
	SCRIPT(-EIO);
	ck_assert_int_eq(run(DISK_ZERO, NULL, 0, 4096, 4096), -EIO);
	SCRIPT(-EOPNOTSUPP, 0, -ENOSPC);
	ck_assert_int_eq(run(DISK_ZERO, NULL, 0, 4096, 4096), -ENOSPC);
}
END_TEST

START_TEST(discard_is_a_hint)
{
	setup();
	ck_assert_int_eq(run(DISK_DISCARD, NULL, 0, 0, 4096), 0);
	ck_assert_int_eq(asked[0].mode, PUNCH);
	ck_assert_int_eq(nasked, 1);
	SCRIPT(-EIO);
	ck_assert_int_eq(run(DISK_DISCARD, NULL, 0, 0, 4096), -EIO);
	SCRIPT(-EINVAL);
	ck_assert_int_eq(run(DISK_DISCARD, NULL, 0, 0, 4096), 0);
	SCRIPT(-EOPNOTSUPP);
	ck_assert_int_eq(run(DISK_DISCARD, NULL, 0, 0, 4096), 0);
	ck_assert_int_eq(nasked, 1);
	ck_assert_int_eq(run(DISK_DISCARD, NULL, 0, 0, 4096), 0);
	ck_assert_msg(!nasked, "the host is not asked again");
	disk.ro = true;
	ck_assert_int_eq(run(DISK_DISCARD, NULL, 0, 0, 4096), -EROFS);
	ck_assert_int_eq(run(DISK_ZERO, NULL, 0, 0, 4096), -EROFS);
	ck_assert_int_eq(run(DISK_ZERO_UNMAP, NULL, 0, 0, 4096), -EROFS);
}
END_TEST

/* What direct I/O cannot take from where it lies goes through an aligned copy, a piece at a time. */
START_TEST(direct_copies_what_is_not_aligned)
{
	static _Alignas(4096) uint8_t buf[200 * 1024 + 4096], was[sizeof(buf)];
	struct iovec iov[2] = {{buf + 1, 150 * 1024}, {buf + 1 + 150 * 1024, 50 * 1024}};

	setup();
	disk.direct = true;
	disk.min_align = 512;
	SCRIPT(65536, 512);
	ck_assert_int_eq(run(DISK_READ, iov, 2, 512, 200 * 1024), 0);
	ck_assert_int_eq(memcmp(buf + 1, file + 512, 200 * 1024), 0);
	ck_assert_int_eq(buf[0], 0);
	ck_assert_int_eq(buf[200 * 1024 + 1], 0);
	for (int i = 0; i < nasked; i++) {
		ck_assert_uint_eq((uintptr_t)asked[i].base % 4096, 0);
		ck_assert_uint_eq(asked[i].len % 512, 0);
		ck_assert_uint_le(asked[i].len, 65536);
	}
	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = (uint8_t)(i * 31 + i / 256);
	memcpy(was, buf, sizeof(buf));
	struct iovec out[2] = {{buf + 1, 150 * 1024}, {buf + 1 + 150 * 1024, 50 * 1024}};
	SCRIPT(65536, 512);
	ck_assert_int_eq(run(DISK_WRITE, out, 2, 0, 200 * 1024), 0);
	ck_assert_int_eq(memcmp(buf + 1, file, 200 * 1024), 0);
	ck_assert_int_eq(memcmp(buf, was, sizeof(buf)), 0);
	/* Aligned as promised, refused all the same: copied then. Refused again: an error. */
	struct iovec whole = {buf, 1024};
	SCRIPT(-EINVAL);
	ck_assert_int_eq(run(DISK_READ, &whole, 1, 4096, 1024), 0);
	ck_assert_int_eq(memcmp(buf, file + 4096, 1024), 0);
	ck_assert_ptr_eq(asked[0].base, buf);
	ck_assert_ptr_ne(asked[1].base, buf);
	whole = (struct iovec){buf, 1024};
	SCRIPT(-EINVAL, -EINVAL);
	ck_assert_int_eq(run(DISK_READ, &whole, 1, 4096, 1024), -EINVAL);
}
END_TEST

UNIT_MAIN("disk_faults", short_transfers_are_continued, failures_end_the_request,
	a_failed_flush_is_remembered, what_nobody_wants_is_not_gone_on_with,
	what_was_not_flushed_is_synced_at_close, a_failed_flush_fails_those_beside_it, long_vectors_are_split,
	more_than_a_system_call_moves, zeroing_takes_the_best_way_there_is, zeroing_an_odd_range,
	discard_is_a_hint, direct_copies_what_is_not_aligned)
