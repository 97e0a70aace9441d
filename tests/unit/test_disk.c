// SPDX-License-Identifier: Apache-2.0
/* Disks on real files: what disk_open() refuses and says, and requests over both engines of the loop. */
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/unit/loops.h"
#include "vmm/disk.h"
#include "vmm/log.h"
#include "vmm/util.h"

static char dir[] = "/tmp/pinvm-disk-XXXXXX";
static char path[64];
static int log_fd; /* held open: a test may have given up the right to open it */

static void enter(const char *name)
{
	if (!log_fd) {
		char log_path[64];

		ck_assert_ptr_nonnull(mkdtemp(dir));
		snprintf(log_path, sizeof(log_path), "%s/log", dir);
		ck_assert_int_eq(log_open(log_path), 0);
		log_fd = open(log_path, O_RDWR | O_CLOEXEC);
		ck_assert_int_gt(log_fd, 0);
	}
	snprintf(path, sizeof(path), "%s/%s", dir, name);
}

static void leave(void)
{
	static const char *const names[] = {"log", "image", "fifo", "socket", "other"};
	char name[64];

	log_close();
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(name, sizeof(name), "%s/%s", dir, names[i]);
		unlink(name);
	}
	ck_assert_int_eq(rmdir(dir), 0);
}

/* What was logged since the last call: at most one line. */
static const char *said(void)
{
	static char text[512];
	ssize_t n = pread(log_fd, text, sizeof(text) - 1, 0);

	ck_assert_int_ge(n, 0);
	text[n] = 0;
	ck_assert_int_eq(ftruncate(log_fd, 0), 0);
	ck_assert_msg(!n || strchr(text, '\n') == text + n - 1, "one line: %s", text);
	return text;
}

static void image(uint64_t size)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)size), 0);
	close(fd);
}

static void refused(const char *what, bool ro, bool direct, int err, const char *why)
{
	struct disk_config cfg = {.path = (char *)what, .ro = ro, .direct = direct};
	struct disk disk;
	const char *line;

	ck_assert_int_eq(disk_open(&disk, &cfg), err);
	ck_assert_int_eq(disk.fd < 0, 1);
	line = said();
	ck_assert_msg(
		strstr(line, "--disk ") && strstr(line, what) && strstr(line, why), "%s: %s", what, line);
}

START_TEST(refuses_what_is_no_disk)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int s = socket(AF_UNIX, SOCK_STREAM, 0);

	enter("none");
	refused(path, false, false, -ENOENT, "No such file");
	refused(dir, false, false, -EINVAL, "a directory");
	refused(dir, true, false, -EINVAL, "a directory");
	refused("/dev/null", false, false, -EINVAL, "a character device");
	enter("fifo");
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	refused(path, false, false, -EINVAL, "a FIFO");
	refused(path, true, false, -EINVAL, "a FIFO");
	enter("socket");
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	ck_assert_int_eq(bind(s, (struct sockaddr *)&addr, sizeof(addr)), 0);
	refused(path, false, false, -EINVAL, "a socket");
	close(s);
	enter("image");
	image(0);
	refused(path, false, false, -EINVAL, "is empty");
	image(511);
	refused(path, false, false, -EINVAL, "smaller than one sector");
	refused("/proc/version", true, true, -EINVAL, "no direct I/O");
	leave();
}
END_TEST

START_TEST(says_what_permission_lacks)
{
	struct disk_config cfg = {.path = path, .ro = true};
	struct disk disk;

	enter("image");
	image(4096);
	ck_assert_int_eq(chmod(dir, 0711), 0);
	ck_assert_int_eq(chmod(path, 0444), 0);
	/* access() asks with the real ids, as for a program that was started by that user. */
	if (!getuid())
		ck_assert_int_eq(setresuid(65534, 65534, 0), 0);
	refused(path, false, false, -EACCES, "add ro");
	ck_assert_int_eq(disk_open(&disk, &cfg), 0);
	disk_close(&disk);
	if (!setresuid(0, 0, 0))
		ck_assert_int_eq(chmod(path, 0), 0);
	if (!getuid()) {
		ck_assert_int_eq(setresuid(65534, 65534, 0), 0);
		refused(path, true, false, -EACCES, "Permission denied");
		ck_assert_int_eq(setresuid(0, 0, 0), 0);
	}
	leave();
}
END_TEST

START_TEST(shows_whole_sectors)
{
	struct disk_config cfg = {.path = path};
	struct disk disk;

	enter("image");
	image(1023);
	ck_assert_int_eq(disk_open(&disk, &cfg), 0);
	ck_assert_ptr_nonnull(strstr(said(), "last 511 bytes"));
	ck_assert_uint_eq(disk.size, 512);
	ck_assert_uint_eq(disk.block_size, 512);
	ck_assert(!disk.ro && !disk.is_blkdev && disk.can_discard && disk.can_zero);
	ck_assert_int_eq(fcntl(disk.fd, F_GETFL) & O_NONBLOCK, 0);
	ck_assert_int_eq(fcntl(disk.fd, F_GETFD), FD_CLOEXEC);
	disk_close(&disk);
	disk_close(&disk);
	cfg.ro = true;
	image(512);
	ck_assert_int_eq(disk_open(&disk, &cfg), 0);
	ck_assert_str_eq(said(), "");
	ck_assert(disk.ro && !disk.can_discard && !disk.can_zero);
	disk_close(&disk);
	leave();
}
END_TEST

START_TEST(has_a_serial)
{
	struct disk_config cfg = {.path = path};
	struct disk a, b;

	enter("image");
	image(512);
	ck_assert_int_eq(disk_open(&a, &cfg), 0);
	disk_close(&a);
	ck_assert_int_eq(disk_open(&b, &cfg), 0);
	disk_close(&b);
	ck_assert_uint_eq(strlen(a.serial), 20);
	ck_assert_int_eq(strncmp(a.serial, "pinvm-", 6), 0);
	ck_assert_str_eq(a.serial, b.serial);
	enter("other");
	image(512);
	ck_assert_int_eq(disk_open(&b, &cfg), 0);
	disk_close(&b);
	ck_assert_str_ne(a.serial, b.serial);
	cfg.serial = "a serial that is too long";
	ck_assert_int_eq(disk_open(&b, &cfg), 0);
	disk_close(&b);
	ck_assert_str_eq(b.serial, "a serial that is too");
	ck_assert_uint_eq(hash_text("foobar"), 0x85944171f73967e8u); /* one of FNV's own test vectors */
	leave();
}
END_TEST

START_TEST(one_writer_or_many_readers)
{
	struct disk_config rw = {.path = path}, ro = {.path = path, .ro = true};
	struct disk a, b;

	enter("image");
	image(512);
	ck_assert_int_eq(disk_open(&a, &rw), 0);
	refused(path, false, false, -EBUSY, "in use by another guest");
	refused(path, true, false, -EBUSY, "in use by another guest");
	disk_close(&a);
	ck_assert_int_eq(disk_open(&a, &ro), 0);
	ck_assert_int_eq(disk_open(&b, &ro), 0);
	refused(path, false, false, -EBUSY, "in use by another guest");
	disk_close(&a);
	disk_close(&b);
	ck_assert_int_eq(disk_open(&a, &rw), 0);
	disk_close(&a);
	leave();
}
END_TEST

/* Requests */

struct sync_req {
	struct disk_req req;
	int done, err;
};

static void on_done(struct disk_req *req, int err)
{
	((struct sync_req *)req)->done++;
	((struct sync_req *)req)->err = err;
}

static int run(struct disk *disk, struct loop *loop, enum disk_op op, struct iovec *iov, int n, uint64_t off,
	uint64_t len)
{
	struct sync_req r = {.req.fn = on_done};

	disk_submit(disk, loop, &r.req, op, iov, n, off, len);
	ck_assert_int_eq(r.done, 0);
	while (!r.done)
		ck_assert_int_ge(loop_step(loop, false), 0);
	loop_step(loop, true);
	ck_assert_int_eq(r.done, 1);
	return r.err;
}

#define SIZE (2u << 20)
static uint8_t out[SIZE], in[SIZE];

/* A block device over the image at `path`, gone with its last user; the descriptor that holds it, or < 0. */
static int attach(char *name, size_t size)
{
	struct loop_config cfg = {.info.lo_flags = LO_FLAGS_AUTOCLEAR};
	int ctl = open("/dev/loop-control", O_RDWR | O_CLOEXEC),
	    n = ctl < 0 ? -1 : ioctl(ctl, LOOP_CTL_GET_FREE);
	int dev, file = open(path, O_RDWR | O_CLOEXEC);

	snprintf(name, size, "/dev/loop%d", n);
	dev = n < 0 ? -1 : open(name, O_RDWR | O_CLOEXEC);
	cfg.fd = (uint32_t)file;
	if (dev >= 0 && ioctl(dev, LOOP_CONFIGURE, &cfg)) {
		close(dev);
		dev = -1;
	}
	close(file);
	close(ctl);
	return dev;
}

static void fill(unsigned seed)
{
	for (unsigned i = 0; i < SIZE; i++)
		out[i] = (uint8_t)((i + seed) * 2654435761u >> 24);
}

static int read_back(struct disk *disk, struct loop *loop)
{
	struct iovec iov = {in, SIZE};

	memset(in, 0xa5, SIZE);
	return run(disk, loop, DISK_READ, &iov, 1, 0, SIZE);
}

START_TEST(what_is_written_is_read)
{
	static struct iovec iov[SIZE / 512];
	struct disk_config cfg = {.path = path};
	struct loop *loop = make(_i, 16);
	struct disk disk;

	if (!loop)
		return;
	enter("image");
	image(SIZE);
	fill(1);
	ck_assert_int_eq(disk_open(&disk, &cfg), 0);
	/* More entries than one system call takes, in a scattered order of memory. */
	for (unsigned i = 0; i < SIZE / 512; i++)
		iov[i] = (struct iovec){out + (i ^ 1) * 512, 512};
	ck_assert_int_eq(run(&disk, loop, DISK_WRITE, iov, SIZE / 512, 0, SIZE), 0);
	ck_assert_int_eq(run(&disk, loop, DISK_FLUSH, NULL, 0, 0, 0), 0);
	ck_assert_int_eq(read_back(&disk, loop), 0);
	for (unsigned i = 0; i < SIZE / 512; i++)
		ck_assert_int_eq(memcmp(in + i * 512, out + (i ^ 1) * 512, 512), 0);
	/* The file was cut off behind our back. */
	ck_assert_int_eq(truncate(path, SIZE / 2 + 100), 0);
	ck_assert_int_eq(read_back(&disk, loop), -EIO);
	disk_close(&disk);
	cfg.ro = true;
	ck_assert_int_eq(disk_open(&disk, &cfg), 0);
	iov[0] = (struct iovec){out, 512};
	ck_assert_int_eq(run(&disk, loop, DISK_WRITE, iov, 1, 0, 512), -EBADF);
	ck_assert_int_eq(run(&disk, loop, DISK_FLUSH, NULL, 0, 0, 0), 0);
	disk_close(&disk);
	loop_destroy(loop);
	leave();
}
END_TEST

/* Discard and zeroes on whatever file system this is: the range is zeros, its neighbours are not touched. */
static void check_zeroes(struct loop *loop, const char *file)
{
	static const enum disk_op ops[] = {DISK_ZERO, DISK_ZERO_UNMAP, DISK_DISCARD};
	struct disk_config cfg = {.path = (char *)file};
	struct disk disk;

	ck_assert_int_eq(disk_open(&disk, &cfg), 0);
	for (int i = 0; i < 3; i++) {
		static const uint8_t none[300 * 1024 + 512];
		const unsigned off = 8192 - 512, len = sizeof(none);
		struct iovec iov = {out, SIZE};

		fill((unsigned)i);
		ck_assert_int_eq(run(&disk, loop, DISK_WRITE, &iov, 1, 0, SIZE), 0);
		ck_assert_int_eq(run(&disk, loop, ops[i], NULL, 0, off, len), 0);
		ck_assert_int_eq(read_back(&disk, loop), 0);
		ck_assert_int_eq(memcmp(in, out, off), 0);
		ck_assert_int_eq(memcmp(in + off + len, out + off + len, SIZE - off - len), 0);
		if (ops[i] == DISK_DISCARD && atomic_load(&disk.private.no_punch))
			continue;
		ck_assert_int_eq(memcmp(in + off, none, len), 0);
	}
	disk_close(&disk);
}

START_TEST(zeroes_read_back)
{
	char shm[] = "/dev/shm/pinvm-disk-XXXXXX";
	struct loop *loop = make(_i, 16);
	int fd = mkstemp(shm);

	if (!loop)
		return;
	enter("image");
	image(SIZE);
	check_zeroes(loop, path);
	if (fd < 0) {
		printf("skip: no /dev/shm to test tmpfs with\n");
	} else {
		ck_assert_int_eq(ftruncate(fd, SIZE), 0);
		close(fd);
		check_zeroes(loop, shm);
		unlink(shm);
	}
	loop_destroy(loop);
	leave();
}
END_TEST

START_TEST(a_block_device_is_a_disk)
{
	char name[32];
	struct disk_config cfg = {.path = name};
	struct loop *loop = make(_i, 16);
	struct disk disk;
	int dev;

	if (!loop)
		return;
	enter("image");
	image(SIZE);
	dev = attach(name, sizeof(name));
	if (dev < 0) {
		printf("skip: no loop device: needs root and the loop module\n");
	} else {
		ck_assert_int_eq(disk_open(&disk, &cfg), 0);
		ck_assert_uint_eq(disk.size, SIZE);
		ck_assert_uint_eq(disk.block_size, 512);
		ck_assert(disk.is_blkdev);
		refused(name, false, false, -EBUSY, "in use by the host");
		refused(name, true, false, -EBUSY, "in use by another guest");
		disk_close(&disk);
		check_zeroes(loop, name);
		close(dev);
	}
	loop_destroy(loop);
	leave();
}
END_TEST

START_TEST(direct_takes_any_buffer)
{
	static _Alignas(4096) uint8_t buf[SIZE + 4096];
	struct disk_config cfg = {.path = path, .direct = true};
	struct loop *loop = make(_i, 16);
	struct disk disk;
	int ret;

	if (!loop)
		return;
	enter("image");
	image(SIZE);
	ret = disk_open(&disk, &cfg);
	if (ret) {
		ck_assert_ptr_nonnull(strstr(said(), "no direct I/O"));
		printf("skip: no direct I/O on the file system of /tmp\n");
	} else {
		ck_assert(fcntl(disk.fd, F_GETFL) & O_DIRECT);
		for (unsigned shift = 0; shift < 4096; shift = shift * 8 + 1) {
			struct iovec a = {buf + shift, SIZE}, b[2] = {{buf + shift, 12345}, {buf + 2048, 0}};

			fill(shift);
			memcpy(buf + shift, out, SIZE);
			ck_assert_int_eq(run(&disk, loop, DISK_WRITE, &a, 1, 0, SIZE), 0);
			memset(buf, 0, sizeof(buf));
			b[1] = (struct iovec){buf + shift + 12345, SIZE - 12345};
			ck_assert_int_eq(run(&disk, loop, DISK_READ, b, 2, 0, SIZE), 0);
			ck_assert_int_eq(memcmp(buf + shift, out, SIZE), 0);
		}
		disk_close(&disk);
	}
	loop_destroy(loop);
	leave();
}
END_TEST

int main(void)
{
	const TTest *once[] = {refuses_what_is_no_disk, says_what_permission_lacks, shows_whole_sectors,
		has_a_serial, one_writer_or_many_readers};
	const TTest *both[] = {
		what_is_written_is_read, zeroes_read_back, a_block_device_is_a_disk, direct_takes_any_buffer};

	return run_both("disk", both, COUNT(both), once, COUNT(once));
}
