/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel image of an arm64 guest, and where it and what goes with it lie. All of it is main's, before a
 * vCPU runs (at the start and at each restart). Documentation/arm64/booting.rst.
 */
#ifndef PINVM_ARM64_BOOT_H
#define PINVM_ARM64_BOOT_H

#include <stdint.h>

#include "arch/arch.h"
#include "vmm/bootfile.h"

#define BOOT_HEAD_SIZE 1024

/* The pages a kernel is built for, as its header numbers them; 0: it does not say. */
enum image_pages { IMAGE_PAGES_4K = 1, IMAGE_PAGES_16K, IMAGE_PAGES_64K };

struct arch_boot {
	struct boot_file kernel, initrd; /* the kernel: unpacked, when its file is compressed */
	uint8_t head[BOOT_HEAD_SIZE]; /* first bytes of the kernel, zero behind its end */
	char *cmdline;
	uint64_t text_offset; /* of the Image behind a multiple of 2 MiB */
	uint64_t size;	      /* RAM it uses before it reads its memory map */
	unsigned pages;	      /* enum image_pages, or 0 */

	/* Guest-physical; valid after arch_boot_load(). initrd_at is 0 without one. */
	uint64_t entry, fdt, initrd_at;
};

/*
 * gzip.c: put what a file of gzip's holds in the place of its descriptor and size; the file itself is closed. ram: bytes the
 * guest has; what unpacks to more is refused. 0 or -errno, logged.
 */
int boot_gunzip(struct boot_file *file, uint64_t ram);

/*
 * Has a CPU the pages that the kernel is built for? One without them would stop before its first word, for ever. mmfr0:
 * the guest's ID_AA64MMFR0_EL1 (TGran4, TGran16, TGran64). 0, or -EINVAL, logged.
 */
int boot_check_pages(const struct arch_boot *boot, uint64_t mmfr0);

#endif
