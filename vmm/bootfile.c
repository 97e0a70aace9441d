// SPDX-License-Identifier: Apache-2.0
/*
 * The files a guest boots from, read straight into guest RAM, once; see bootfile.h. Main only.
 */
#include "vmm/bootfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/config.h"
#include "vmm/log.h"
#include "vmm/memory/mem.h"
#include "vmm/util.h"

#define PAGE 4096

int boot_refuse(const struct boot_file *file, const char *fmt, ...)
{
	char why[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	log_err("%s %s: %s", file->option, file->path, why);
	return -EINVAL;
}

/* The size of a file or block device; anything else cannot be read at an offset. */
static int file_size(struct boot_file *file)
{
	struct stat st;
	off_t end;

	if (fstat(file->fd, &st))
		return log_errno(-errno, "%s %s", file->option, file->path);
	if (S_ISDIR(st.st_mode))
		return boot_refuse(file, "is a directory; give a file");
	if (S_ISFIFO(st.st_mode))
		return boot_refuse(file, "is a FIFO; give a file (copy the stream into one first)");
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return boot_refuse(file, "is not a file; give a regular file or a block device");
	end = S_ISREG(st.st_mode) ? st.st_size : lseek(file->fd, 0, SEEK_END);
	if (end < 0)
		return log_errno(-errno, "%s %s", file->option, file->path);
	if (!end)
		return boot_refuse(file, "is empty; give a file with an image in it");
	file->size = end;
	return 0;
}

static int open_file(struct boot_file *file, const char *option, const char *path)
{
	file->option = option;
	file->path = path;
	/* O_NONBLOCK: the open of a FIFO that nobody writes must not wait. */
	file->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (file->fd < 0)
		return log_errno(-errno, "%s %s", option, path);
	return file_size(file);
}

int boot_open_files(struct boot_file *kernel, struct boot_file *initrd, const struct guest_config *cfg,
	const char *kernels)
{
	int r;

	kernel->fd = -1;
	initrd->fd = -1;
	if (!cfg->kernel) {
		log_err("--kernel: none given; name %s", kernels);
		return -EINVAL;
	}
	r = open_file(kernel, "--kernel", cfg->kernel);
	return !r && cfg->initrd ? open_file(initrd, "--initrd", cfg->initrd) : r;
}

void boot_close(struct boot_file *file)
{
	if (file->fd >= 0)
		close(file->fd);
	file->fd = -1;
}

int boot_refuse_foreign(const struct boot_file *kernel, const uint8_t *head, const char *instead,
	const struct boot_foreign *foreign)
{
	static const struct {
		unsigned len;
		const char *magic, *program;
	} packed[] = {
		{6,
			"\xfd"
			"7zXZ",
			"xz"},
		{4, "\x28\xb5\x2f\xfd", "zstd"},
		{3, "BZh", "bzip2"},
		{4, "\x04\x22\x4d\x18", "lz4"},
		{4, "\x02\x21\x4c\x18", "lz4"},
	};

	for (size_t i = 0; i < COUNT(packed); i++)
		if (!memcmp(head, packed[i].magic, packed[i].len))
			return boot_refuse(kernel, "is compressed by %s; unpack it (%s -dc) %s",
				packed[i].program, packed[i].program, instead);
	if (!memcmp(head + 257, "ustar", 5))
		return boot_refuse(kernel, "is a tar archive; give the kernel in it");
	if (!memcmp(head, "!<arch>\n", 8))
		return boot_refuse(kernel, "is an archive (a Debian package?); give the kernel in it");
	while (memcmp(head + foreign->off, foreign->magic, foreign->len) != 0)
		foreign++;
	return boot_refuse(kernel, "%s", foreign->what);
}

int boot_check_cmdline(const char *cmdline, uint64_t max, bool given)
{
	size_t len = strlen(cmdline);

	if (len > max) {
		log_err("--append: the command line has %zu bytes; this kernel takes at most %llu", len,
			(unsigned long long)max);
		return -EINVAL;
	}
	log_info("kernel command line%s: %s", given ? "" : " (default)", cmdline);
	return 0;
}

int boot_pread(const struct boot_file *file, uint64_t off, void *buf, size_t len)
{
	uint8_t *p = buf;

	while (len) {
		ssize_t n = pread(file->fd, p, len, off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return log_errno(-errno, "%s %s: read at byte %llu", file->option, file->path,
				(unsigned long long)off);
		if (!n)
			return boot_refuse(file, "ends at byte %llu, earlier than it did when it was opened",
				(unsigned long long)off);
		p += n;
		off += n;
		len -= n;
	}
	return 0;
}

int boot_read_head(const struct boot_file *file, uint8_t *head, size_t size)
{
	return boot_pread(file, 0, head, file->size < size ? file->size : size);
}

/* Host address of the bytes at gpa; *len shrinks to what lies in one region. NULL when gpa is not RAM. */
static void *piece(const struct guest_mem *mem, uint64_t gpa, uint64_t *len)
{
	uint64_t good = 0, bad = *len;
	void *p = mem_at(mem, gpa, *len);

	if (p)
		return p;
	while (bad - good > 1) {
		uint64_t n = good + (bad - good) / 2;

		if (mem_at(mem, gpa, n))
			good = n;
		else
			bad = n;
	}
	*len = good;
	return good ? mem_at(mem, gpa, good) : NULL;
}

int boot_read(
	const struct boot_file *file, uint64_t off, const struct guest_mem *mem, uint64_t gpa, uint64_t len)
{
	while (len) {
		uint64_t n = len;
		void *p = piece(mem, gpa, &n);
		int r;

		if (!p)
			return boot_refuse(file,
				"needs RAM at %#llx, where this guest has none; give it more --memory",
				(unsigned long long)gpa);
		r = boot_pread(file, off, p, n);
		if (r)
			return r;
		gpa += n;
		off += n;
		len -= n;
	}
	return 0;
}

bool boot_is_ram(const struct guest_mem *mem, uint64_t gpa, uint64_t len)
{
	while (len) {
		uint64_t n = len;

		if (!piece(mem, gpa, &n))
			return false;
		gpa += n;
		len -= n;
	}
	return true;
}

int boot_zero(const struct guest_mem *mem, uint64_t gpa, uint64_t len)
{
	while (len) {
		uint64_t n = len;
		void *p = piece(mem, gpa, &n);

		if (!p)
			return -EFAULT;
		memset(p, 0, n);
		gpa += n;
		len -= n;
	}
	return 0;
}

int boot_load_initrd(const struct boot_file *initrd, const struct guest_mem *mem, uint64_t floor,
	uint64_t ceiling, uint64_t *gpa)
{
	uint64_t at;

	if (ceiling < initrd->size)
		return -ENOSPC;
	at = (ceiling - initrd->size) & ~(uint64_t)(PAGE - 1);
	if (at < floor)
		return -ENOSPC;
	*gpa = at;
	return boot_read(initrd, 0, mem, at, initrd->size);
}

int boot_no_room(const struct boot_file *initrd, uint64_t floor, uint64_t ceiling)
{
	uint64_t room = ceiling > floor ? ceiling - floor : 0;

	return boot_refuse(initrd,
		"%llu KiB do not fit in the %llu KiB that the kernel leaves; give more --memory",
		(unsigned long long)(initrd->size + 1023) / 1024, (unsigned long long)room / 1024);
}
