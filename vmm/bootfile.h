/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files a guest boots from (--kernel, --initrd), and how they come into its RAM: what the loaders of all
 * architectures share. All of it is main's, before a vCPU runs (at the start and at each restart).
 */
#ifndef PINVM_BOOTFILE_H
#define PINVM_BOOTFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct guest_config;
struct guest_mem;

/* A file given by an option, open from arch_boot_open() to arch_boot_close(). */
struct boot_file {
	const char *option, *path; /* for messages; path is the configuration's */
	int fd;			   /* -1: not given */
	uint64_t size;		   /* bytes, when it was opened */
};

/*
 * Both files of a configuration, which can be read at an offset and are not empty. Each is closed by
 * boot_close(), even after an error. kernels: what --kernel takes, for the message that it is missing. 0 or
 * -errno, logged.
 */
int boot_open_files(struct boot_file *kernel, struct boot_file *initrd, const struct guest_config *cfg,
	const char *kernels);
void boot_close(struct boot_file *file);

/* Log "--kernel PATH: MESSAGE" (or --initrd) and return -EINVAL. */
int boot_refuse(const struct boot_file *file, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A well-known file that is not a kernel pinvm boots, and what to do about it. */
struct boot_foreign {
	unsigned off, len;
	const char *magic, *what;
};

/*
 * Refuse a kernel that no loader takes, by what it is. head: its first KiB or more. instead: what to do but
 * unpack it, after "unpack it (xz -dc) ". foreign: what only the architecture can say; the last, of length 0,
 * fits every file.
 */
int boot_refuse_foreign(const struct boot_file *kernel, const uint8_t *head, const char *instead,
	const struct boot_foreign *foreign);

/* Refuse a command line longer than max bytes, NUL not counted; log one that is not, and whether the user
 * gave it. 0 or -EINVAL. */
int boot_check_cmdline(const char *cmdline, uint64_t max, bool given);

/* Is all of [gpa, gpa + len) RAM? Regions that meet are one. */
bool boot_is_ram(const struct guest_mem *mem, uint64_t gpa, uint64_t len);

/* The first bytes of a file; those behind its end are not written. 0 or -errno, logged. */
int boot_read_head(const struct boot_file *file, uint8_t *head, size_t size);

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
int boot_load_initrd(const struct boot_file *initrd, const struct guest_mem *mem, uint64_t floor,
	uint64_t ceiling, uint64_t *gpa);
int boot_no_room(const struct boot_file *initrd, uint64_t floor, uint64_t ceiling);

#endif
