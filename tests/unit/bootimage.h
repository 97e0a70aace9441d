/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the kernel loaders of every architecture share: guest RAM, image files, and what was
 * logged. One per test program. */
#ifndef PINVM_TESTS_BOOTIMAGE_H
#define PINVM_TESTS_BOOTIMAGE_H

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arch/arch.h"
#include "tests/unit/mockmem.h"
#include "tests/unit/unit.h"
#include "vmm/config.h"
#include "vmm/log.h"

#define MIB (1ULL << 20)
#define GIB (1ULL << 30)

static struct guest_mem mem;
static struct arch_boot *boot;
static char message[4096];

/* A file with these contents; its path stays valid until the (forked) test ends. */
static inline char *file_of(const void *data, size_t len)
{
	static char path[256][24];
	int fd = memfd_create("image", 0);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_lt(fd, 256);
	ck_assert_int_eq(pwrite(fd, data, len, 0), len);
	snprintf(path[fd], sizeof(path[fd]), "/proc/self/fd/%d", fd);
	return path[fd];
}

/* Open and load, with what is logged kept in `message`. 0 or what refused. */
static inline int try_boot(struct guest_config *cfg)
{
	char *log = file_of("", 0);
	int r, fd;

	arch_boot_close(boot);
	ck_assert_int_eq(log_open(log), 0);
	log_set_level(LOG_INFO);
	r = arch_boot_open(&boot, cfg);
	if (!r)
		r = arch_boot_load(boot, cfg, &mem);
	log_close();
	fd = open(log, O_RDONLY);
	memset(message, 0, sizeof(message));
	ck_assert_int_ge(read(fd, message, sizeof(message) - 1), 0);
	close(fd);
	return r;
}

/* One error line with these words in it. */
static inline void ck_refused(struct guest_config *cfg, const char *words)
{
	int r = try_boot(cfg);
	const char *first = strstr(message, "error: ");

	ck_assert_int_lt(r, 0);
	ck_assert_msg(first && strstr(first, words), "want \"%s\" in \"%s\"", words, message);
	ck_assert_msg(!strstr(first + 1, "error: "), "more than one error: %s", message);
}

struct image {
	uint8_t data[64 * 1024];
	size_t len;
};

static inline struct guest_config config(const struct image *im)
{
	return (struct guest_config){.kernel = file_of(im->data, im->len)};
}

#endif
