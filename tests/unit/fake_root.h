/* SPDX-License-Identifier: Apache-2.0 */
/* A made-up host: a directory that stands in front of /sys and /proc for whoever takes a `root`. */
#ifndef PINVM_TESTS_FAKE_ROOT_H
#define PINVM_TESTS_FAKE_ROOT_H

#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/unit.h"

static char fake_root[] = "/tmp/pinvm-root-XXXXXX";

static inline void fake_root_open(void)
{
	ck_assert_ptr_nonnull(mkdtemp(fake_root));
}

/* Write a file below the root, with the directories above it. */
static inline void fake_root_put(const char *path, const char *text)
{
	char full[PATH_MAX];
	FILE *f;

	snprintf(full, sizeof(full), "%s%s", fake_root, path);
	for (char *p = full + strlen(fake_root) + 1; (p = strchr(p, '/')); *p++ = '/') {
		*p = '\0';
		mkdir(full, 0700);
	}
	f = fopen(full, "we");
	ck_assert_msg(f != NULL, "%s", full);
	ck_assert_int_ge(fputs(text, f), 0);
	ck_assert_int_eq(fclose(f), 0);
}

static inline int fake_root_drop(const char *path, const struct stat *st, int type, struct FTW *at)
{
	return remove(path);
}

static inline void fake_root_close(void)
{
	nftw(fake_root, fake_root_drop, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
