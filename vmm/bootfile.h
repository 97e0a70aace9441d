/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files a guest boots from (--kernel, --initrd), and how they come into its RAM: what the loaders of all architectures
 * share. All of it is main's, before a vCPU runs (at the start and at each restart).
 */
#ifndef PINVM_BOOTFILE_H
#define PINVM_BOOTFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct guest_mem;

/* A file given by an option, open from arch_boot_open() to arch_boot_close(). */
struct boot_file {
	const char *option, *path; /* for messages; path is the configuration's */
	int fd;			   /* -1: not given */
	uint64_t size;		   /* bytes, when it was opened */
};

/* Open a file that can be read at an offset and is not empty. 0 or -errno, logged; the caller closes fd even then. */
int boot_open(struct boot_file *file, const char *option, const char *path);

/* Log "--kernel PATH: MESSAGE" (or --initrd) and return -EINVAL. */
int boot_refuse(const struct boot_file *file, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Is all of [gpa, gpa + len) RAM? Regions that meet are one. */
bool boot_is_ram(const struct guest_mem *mem, uint64_t gpa, uint64_t len);

/* Read len bytes at off of a file into a buffer, or straight into guest RAM. 0 or -errno, logged. */
int boot_pread(const struct boot_file *file, uint64_t off, void *buf, size_t len);
int boot_read(
	const struct boot_file *file, uint64_t off, const struct guest_mem *mem, uint64_t gpa, uint64_t len);
int boot_zero(const struct guest_mem *mem, uint64_t gpa, uint64_t len); /* 0 or -EFAULT, not logged */

/*
 * Load the initrd page aligned and as high as it fits in [floor, ceiling). *gpa: where it is.
 * 0, or -ENOSPC (not logged), or another -errno (logged). boot_no_room() logs the refusal that -ENOSPC asks
 * for.
 */
int boot_load_initrd(
	const struct boot_file *initrd, const struct guest_mem *mem, uint64_t floor, uint64_t ceiling, uint64_t *gpa);
int boot_no_room(const struct boot_file *initrd, uint64_t floor, uint64_t ceiling);

#endif
