// SPDX-License-Identifier: Apache-2.0
/* A kernel compressed by gzip (Image.gz) is unpacked once, into memory of its own. Main only. */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include "arch/arm64/boot.h"
#include "vmm/log.h"

#define PIECE	     0x40000
#define UNPACKED_MAX (1ULL << 30) /* bytes: no kernel is that large, but a hostile file may be */

static int write_all(int fd, const uint8_t *p, size_t len)
{
	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= n;
	}
	return 0;
}

static int damaged(const struct boot_file *file)
{
	return boot_refuse(file, "is compressed by gzip, but damaged or cut off; copy it again");
}

/* Copy what gz holds, up to max bytes; *size counts them. 0 or -errno, logged. */
static int unpack(const struct boot_file *file, gzFile gz, int to, uint64_t max, uint64_t *size)
{
	uint8_t *buf = malloc(PIECE);
	int n = 0, why, err = buf ? 0 : -ENOMEM;

	while (!err && (n = gzread(gz, buf, PIECE)) > 0) {
		*size += n;
		if (*size > max)
			break;
		err = write_all(to, buf, n);
	}
	if (n < 0 && gzerror(gz, &why) && why == Z_ERRNO)
		err = errno ? -errno : -EIO;
	free(buf);
	if (err)
		return log_errno(err, "%s %s: unpacking", file->option, file->path);
	if (*size > max)
		return boot_refuse(file, "unpacks to more than %llu MiB%s", (unsigned long long)max >> 20,
			max == UNPACKED_MAX ? "; is it a kernel?" : ", which is all of --memory; give more, if it is a kernel");
	return n < 0 ? damaged(file) : 0;
}

int boot_gunzip(struct boot_file *file, uint64_t ram)
{
	int to = memfd_create("kernel", MFD_CLOEXEC), from = file->fd, err;
	uint64_t size = 0;
	gzFile gz;

	if (to < 0)
		return log_errno(-errno, "%s %s: unpacking", file->option, file->path);
	file->fd = to;
	gz = lseek(from, 0, SEEK_SET) == 0 ? gzdopen(from, "rb") : NULL;
	if (!gz) {
		close(from);
		return log_errno(-ENOMEM, "%s %s: unpacking", file->option, file->path);
	}
	err = unpack(file, gz, to, ram < UNPACKED_MAX ? ram : UNPACKED_MAX, &size);
	/* Only its end tells that a file was cut off. */
	if (gzclose_r(gz) != Z_OK && !err)
		err = damaged(file);
	if (!err && !size)
		err = boot_refuse(file, "is compressed by gzip, and empty; give a file with a kernel in it");
	file->size = size;
	return err;
}
