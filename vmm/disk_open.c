// SPDX-License-Identifier: Apache-2.0
/* Opening the host end of a disk: every refusal is one line that says what would work. Runs on main, before
 * the guest. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/disk.h"
#include "vmm/log.h"
#include "vmm/util.h"

#define SECTOR	     512u
#define PAGE	     4096u /* of the host's page cache, nearly always */
#define MAX_PHYSICAL (1u << 20)

static const char *wrong_kind(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
	case S_IFBLK:
		return NULL;
	case S_IFDIR:
		return "a directory";
	case S_IFIFO:
		return "a FIFO";
	case S_IFSOCK:
		return "a socket";
	default:
		return "a character device";
	}
}

static int check_kind(const char *path, const struct stat *st)
{
	const char *kind = wrong_kind(st->st_mode);

	if (!kind)
		return 0;
	log_err("--disk %s: is %s; give a raw image file or a block device", path, kind);
	return -EINVAL;
}

static int open_failed(const struct disk_config *cfg, int err)
{
	if (err == -EINVAL && cfg->direct)
		log_err("--disk %s: direct: this file system has no direct I/O; leave out direct", cfg->path);
	else if (err == -EBUSY)
		log_err("--disk %s: in use by the host (mounted?) or by another guest; unmount it, or add ro",
			cfg->path);
	else if (!cfg->ro && (err == -EACCES || err == -EPERM || err == -EROFS) && !access(cfg->path, R_OK))
		log_err("--disk %s: cannot be written: %s; add ro to open it read-only", cfg->path,
			strerror(-err));
	else
		log_err("--disk %s: %s", cfg->path, strerror(-err));
	return err;
}

/*
 * The kind is looked at before the open, which has effects on some devices, and again after it, when nobody
 * can change it any more. O_NONBLOCK is for that gap (a FIFO would hang). O_EXCL keeps a device that the host
 * has mounted from being written.
 */
static int open_image(const struct disk_config *cfg, struct stat *st)
{
	int flags = O_CLOEXEC | (cfg->ro ? O_RDONLY : O_RDWR) | (cfg->direct ? O_DIRECT : 0), fd, ret;

	if (stat(cfg->path, st))
		return open_failed(cfg, -errno);
	ret = check_kind(cfg->path, st);
	if (ret)
		return ret;
	fd = open(cfg->path, flags | O_NONBLOCK | (S_ISBLK(st->st_mode) && !cfg->ro ? O_EXCL : 0));
	if (fd < 0)
		return open_failed(cfg, -errno);
	if (fstat(fd, st) || fcntl(fd, F_SETFL, flags & ~O_CLOEXEC))
		ret = log_errno(-errno, "--disk %s", cfg->path);
	else
		ret = check_kind(cfg->path, st);
	if (!ret)
		return fd;
	close(fd);
	return ret;
}

/* Two guests on one image destroy it. The lock belongs to the open file: it ends with the process, however it
 * ends. */
static int lock_image(const struct disk *disk, const char *path)
{
	struct flock lock = {.l_type = disk->ro ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET};

	if (!fcntl(disk->fd, F_OFD_SETLK, &lock))
		return 0;
	if (errno != EAGAIN && errno != EACCES) {
		log_warn("--disk %s: cannot be locked against a second guest: %s", path, strerror(errno));
		return 0;
	}
	log_err("--disk %s: in use by another guest%s", path,
		disk->ro ? " that writes it" : "; end that one, or open it with ro in both");
	return -EBUSY;
}

/* What the host says of its blocks, where it makes sense; 0: nothing. Hints: no request is refused for them. */
static void set_topology(struct disk *disk, uint64_t physical, uint64_t optimal)
{
	uint32_t least = disk->block_size > disk->min_align ? disk->block_size : disk->min_align;

	if (physical < least || physical > MAX_PHYSICAL || physical & (physical - 1))
		physical = least;
	if (optimal > UINT32_MAX || optimal % physical)
		optimal = 0;
	disk->physical_size = (uint32_t)physical;
	disk->optimal_size = (uint32_t)optimal;
}

static int blkdev_geometry(struct disk *disk, const char *path)
{
	unsigned physical = 0, optimal = 0;
	int sector = 0, ro = 0;

	if (ioctl(disk->fd, BLKGETSIZE64, &disk->size) || ioctl(disk->fd, BLKSSZGET, &sector) ||
		ioctl(disk->fd, BLKROGET, &ro))
		return log_errno(-errno, "--disk %s: block device", path);
	if (ro && !disk->ro) {
		log_err("--disk %s: a read-only block device; add ro", path);
		return -EROFS;
	}
	disk->block_size = sector < (int)SECTOR ? SECTOR : (uint32_t)sector;
	disk->min_align = disk->direct ? disk->block_size : 1;
	if (ioctl(disk->fd, BLKPBSZGET, &physical))
		physical = 0;
	if (ioctl(disk->fd, BLKIOOPT, &optimal))
		optimal = 0;
	set_topology(disk, physical, optimal);
	return 0;
}

static void file_blocks(struct disk *disk, const char *path, const struct stat *st)
{
	struct statx sx = {0};

	disk->size = (uint64_t)st->st_size;
	disk->block_size = SECTOR;
	disk->min_align = 1;
	if (!disk->direct)
		return;
	/* Before Linux 6.1 nobody tells. The guess is right nearly always, and EINVAL leads to the bounce
	 * buffer. */
	disk->min_align = SECTOR;
#ifdef STATX_DIOALIGN
	if (!statx(disk->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &sx) && sx.stx_dio_offset_align) {
		disk->min_align = sx.stx_dio_mem_align;
		if (sx.stx_dio_offset_align > SECTOR)
			disk->block_size = sx.stx_dio_offset_align;
	}
#endif
	if (disk->block_size > SECTOR)
		log_warn("--disk %s: direct I/O here is in blocks of %u bytes, and so are the guest's "
			 "sectors; leave out "
			 "direct if the image was partitioned with sectors of 512",
			path, disk->block_size);
}

/* st_blksize is what a file system prefers: its block mostly, but much more where transfers are dear. */
static void file_geometry(struct disk *disk, const char *path, const struct stat *st)
{
	uint64_t preferred = st->st_blksize > 0 ? (uint64_t)st->st_blksize : 0;

	file_blocks(disk, path, st);
	set_topology(disk, preferred < PAGE ? preferred : PAGE, preferred > PAGE ? preferred : 0);
}

static int check_size(struct disk *disk, const char *path)
{
	uint64_t tail = disk->size % disk->block_size;

	if (!disk->size) {
		log_err("--disk %s: is empty; give it a size (truncate -s 1G FILE)", path);
		return -EINVAL;
	}
	if (disk->size < disk->block_size) {
		log_err("--disk %s: smaller than one sector of %u bytes", path, disk->block_size);
		return -EINVAL;
	}
	if (tail)
		log_warn("--disk %s: the guest does not see the last %u bytes, which are no whole sector of "
			 "%u",
			path, (unsigned)tail, disk->block_size);
	disk->size -= tail;
	return 0;
}

/* Only said, never acted on: what a guest writes to the beginning of its disk must not change what it is. */
static void warn_of_format(const struct disk *disk, const char *path)
{
	static const struct {
		const char *magic, *name;
	} formats[] = {{"QFI\xfb", "qcow2"}, {"KDMV", "VMDK"}, {"vhdxfile", "VHDX"}, {"conectix", "VHD"}};
	_Alignas(PAGE) char head[PAGE];
	ssize_t n = pread(disk->fd, head, sizeof(head), 0);

	for (size_t i = 0; i < COUNT(formats); i++)
		if (n >= 8 && !memcmp(head, formats[i].magic, strlen(formats[i].magic)))
			log_warn("--disk %s: looks like %s, and the guest sees its bytes as they are; qemu-img convert -O raw "
				 "makes a raw image of it",
				path, formats[i].name);
}

/* The same image keeps its name, which is of the path as given. */
static void derive_serial(struct disk *disk, const struct disk_config *cfg)
{
	if (cfg->serial)
		snprintf(disk->serial, sizeof(disk->serial), "%s", cfg->serial);
	else
		snprintf(disk->serial, sizeof(disk->serial), "pinvm-%014llx",
			(unsigned long long)(hash_text(cfg->path) >> 8));
}

int disk_open(struct disk *disk, const struct disk_config *cfg)
{
	struct stat st;
	int ret;

	*disk = (struct disk){.ro = cfg->ro, .direct = cfg->direct};
	disk->fd = open_image(cfg, &st);
	if (disk->fd < 0)
		return disk->fd;
	disk->is_blkdev = S_ISBLK(st.st_mode);
	disk->can_discard = disk->can_zero = !disk->ro;
	if (disk->is_blkdev)
		ret = blkdev_geometry(disk, cfg->path);
	else
		ret = (file_geometry(disk, cfg->path, &st), 0);
	if (!ret)
		ret = check_size(disk, cfg->path);
	if (!ret)
		ret = lock_image(disk, cfg->path);
	if (ret) {
		disk_close(disk);
		return ret;
	}
	warn_of_format(disk, cfg->path);
	derive_serial(disk, cfg);
	return 0;
}

int disk_sync(struct disk *disk)
{
	if (disk->fd < 0 || !atomic_exchange(&disk->private.unsynced, false) || !fdatasync(disk->fd))
		return 0;
	return log_errno(-errno, "disk with serial %s: what the guest wrote last may be lost", disk->serial);
}

void disk_close(struct disk *disk)
{
	if (disk->fd < 0)
		return;
	disk_sync(disk);
	close(disk->fd);
	disk->fd = -1;
}
