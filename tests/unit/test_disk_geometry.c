// SPDX-License-Identifier: Apache-2.0
/* What disk_open() makes of the blocks a host claims to have: a file, or a device that this test plays. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/fake_ioctl.h"
#include "tests/unit/unit.h"
#include "vmm/disk.h"

static struct host {
	bool device;
	long preferred; /* st_blksize of a file */
	int sector;	/* of a device, as the rest: what its ioctls say */
	unsigned physical, optimal;
	int err; /* of the latter two */
} host;

static int play(struct stat *st, int ret)
{
	if (host.device)
		st->st_mode = (st->st_mode & ~(mode_t)S_IFMT) | S_IFBLK;
	st->st_blksize = host.preferred;
	return ret;
}

/* In the place of the C library's. */
int stat(const char *path, struct stat *st)
{
	return play(st, fstatat(AT_FDCWD, path, st, 0));
}

int fstat(int fd, struct stat *st)
{
	return play(st, fstatat(fd, "", st, AT_EMPTY_PATH));
}

static int fake_ioctl(int fd, unsigned long request, void *arg)
{
	ck_assert(host.device);
	switch (request) {
	case BLKGETSIZE64:
		*(uint64_t *)arg = 1 << 20;
		return 0;
	case BLKSSZGET:
		*(int *)arg = host.sector;
		return 0;
	case BLKROGET:
		*(int *)arg = 0;
		return 0;
	case BLKPBSZGET:
	case BLKIOOPT:
		*(unsigned *)arg = request == BLKIOOPT ? host.optimal : host.physical;
		errno = host.err;
		return host.err ? -1 : 0;
	}
	ck_abort_msg("ioctl %#lx", request);
}

static void expect(struct host as, uint32_t block, uint32_t physical, uint32_t optimal)
{
	char path[] = "/tmp/pinvm-geometry-XXXXXX";
	struct disk_config cfg = {.path = path};
	int fd = mkstemp(path);
	struct disk disk;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, 1 << 20), 0);
	host = as;
	ck_assert_int_eq(disk_open(&disk, &cfg), 0);
	ck_assert_uint_eq(disk.block_size, block);
	ck_assert_uint_eq(disk.physical_size, physical);
	ck_assert_uint_eq(disk.optimal_size, optimal);
	disk_close(&disk);
	unlink(path);
	close(fd);
}

START_TEST(files)
{
	expect((struct host){.preferred = 4096}, 512, 4096, 0);
	expect((struct host){.preferred = 1024}, 512, 1024, 0);
	expect((struct host){.preferred = 1 << 17}, 512, 4096, 1 << 17);
	expect((struct host){.preferred = 0}, 512, 512, 0);
	expect((struct host){.preferred = 256}, 512, 512, 0);
	expect((struct host){.preferred = 1000}, 512, 512, 0);
	expect((struct host){.preferred = 5000}, 512, 4096, 0);
	if (sizeof(((struct stat *)0)->st_blksize) > sizeof(int)) /* x86 only */
		expect((struct host){.preferred = 1L << 40}, 512, 4096, 0);
}
END_TEST

#define DEVICE(...) ((struct host){.device = true, .preferred = 1 << 16, __VA_ARGS__})

START_TEST(devices)
{
	expect(DEVICE(.sector = 512, .physical = 512), 512, 512, 0);
	expect(DEVICE(.sector = 512, .physical = 4096, .optimal = 1 << 18), 512, 4096, 1 << 18);
	expect(DEVICE(.sector = 4096, .physical = 16384, .optimal = 3 * 16384), 4096, 16384, 3 * 16384);
	/* Some hosts say what cannot be. */
	expect(DEVICE(.sector = 4096, .physical = 512), 4096, 4096, 0);
	expect(DEVICE(.sector = 512, .physical = 1536), 512, 512, 0);
	expect(DEVICE(.sector = 512, .physical = 1u << 31), 512, 512, 0);
	expect(DEVICE(.sector = 512, .physical = 4096, .optimal = 33553920), 512, 4096, 0);
	expect(DEVICE(.sector = 512, .physical = 4096, .optimal = 65536, .err = ENOTTY), 512, 512, 0);
}
END_TEST

UNIT_MAIN("disk_geometry", files, devices)
