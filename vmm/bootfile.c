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

#include "vmm/log.h"
#include "vmm/memory/mem.h"

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

int boot_open(struct boot_file *file, const char *option, const char *path)
{
	file->option = option;
	file->path = path;
	/* O_NONBLOCK: the open of a FIFO that nobody writes must not wait. */
	file->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (file->fd < 0)
		return log_errno(-errno, "%s %s", option, path);
	return file_size(file);
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

int boot_load_initrd(
	const struct boot_file *initrd, const struct guest_mem *mem, uint64_t floor, uint64_t ceiling, uint64_t *gpa)
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
