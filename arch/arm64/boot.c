// SPDX-License-Identifier: Apache-2.0
/*
 * The loader of the Image, Linux's own format (Documentation/arm64/booting.rst): the kernel at the start of
 * RAM, the device tree near the end of the window that Linux looks at, the initrd right below. Main only.
 */
#include "arch/arm64/boot.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arch/arm64/layout.h"
#include "vmm/config.h"
#include "vmm/log.h"
#include "vmm/memory/mem.h"

#define IMAGE_HEADER	 64
#define IMAGE_MAGIC	 0x644d5241 /* "ARM\x64" */
#define IMAGE_ALIGN	 0x200000ULL
#define IMAGE_BIG_ENDIAN 1
#define IMAGE_PAGES(flags) ((flags) >> 1 & 3) /* enum image_pages */
#define DEFAULT_APPEND	 "console=ttyS0"

static int refuse_unknown(const struct arch_boot *boot)
{
	static const struct boot_foreign foreign[] = {
		{4, 4, "zimg",
			"is an EFI zboot image, which unpacks itself only under EFI; give the Image in it"},
		{0x202, 4, "HdrS", "is an x86 kernel (bzImage); this is an arm64 host, give an arm64 Image"},
		{0x38, 4, "RSC\x05",
			"is a RISC-V kernel (Image); this is an arm64 host, give an arm64 Image"},
		{0, 4,
			"\x7f"
			"ELF",
			"is an ELF file; give the Image (arch/arm64/boot/Image, or objcopy -O binary of "
			"vmlinux)"},
		{0, 2, "MZ", "is an EFI program, not a Linux kernel; give an Image"},
		{0, 0, "", "is no kernel pinvm knows; give an arm64 Image"},
	};

	return boot_refuse_foreign(&boot->kernel, boot->head, "and give the Image", foreign);
}

static uint64_t head64(const struct arch_boot *boot, unsigned off)
{
	uint64_t v;

	memcpy(&v, boot->head + off, sizeof(v));
	return le64toh(v);
}

static uint32_t head32(const struct arch_boot *boot, unsigned off)
{
	return head64(boot, off);
}

/* The header, in the order of its fields; all numbers are the file's word only. */
static int read_header(struct arch_boot *boot)
{
	uint64_t size = head64(boot, 16);

	if (boot->kernel.size < IMAGE_HEADER || head32(boot, 56) != IMAGE_MAGIC)
		return refuse_unknown(boot);
	boot->text_offset = head64(boot, 8);
	if (boot->text_offset >= IMAGE_ALIGN || boot->text_offset % 4096)
		return boot_refuse(&boot->kernel,
			"wants to be loaded at offset %#llx of 2 MiB; is it damaged?",
			(unsigned long long)boot->text_offset);
	if (!size)
		return boot_refuse(
			&boot->kernel, "does not say how much RAM it uses; give Linux 3.17 or later");
	if (size > BOOT_WINDOW)
		return boot_refuse(&boot->kernel, "says that it uses %#llx bytes of RAM; is it damaged?",
			(unsigned long long)size);
	if (head64(boot, 24) & IMAGE_BIG_ENDIAN)
		return boot_refuse(&boot->kernel, "is a big-endian kernel; give a little-endian one");
	boot->pages = IMAGE_PAGES(head64(boot, 24));
	/* What is behind the kernel in the file (a signature) is no part of it, and there is no BSS in a
	 * file. */
	boot->size = size;
	if (boot->kernel.size > BOOT_WINDOW)
		return boot_refuse(&boot->kernel, "has more bytes than any kernel; is it a disk image?");
	return 0;
}

/* The command line as the guest gets it. */
static int make_cmdline(struct arch_boot *boot, const struct guest_config *cfg)
{
	boot->cmdline = strdup(cfg->append ? cfg->append : DEFAULT_APPEND);
	if (!boot->cmdline)
		return log_errno(-ENOMEM, "--append");
	return boot_check_cmdline(boot->cmdline, CMDLINE_MAX - 1, cfg->append);
}

/* The first bytes of the kernel, unpacked first where it must be. */
static int read_head(struct arch_boot *boot, const struct guest_config *cfg)
{
	static const uint8_t gzip[] = {0x1f, 0x8b};

	for (int round = 0;; round++) {
		int r;

		memset(boot->head, 0, sizeof(boot->head));
		r = boot_read_head(&boot->kernel, boot->head, sizeof(boot->head));
		if (r || round || memcmp(boot->head, gzip, sizeof(gzip)) != 0)
			return r;
		r = boot_gunzip(&boot->kernel, cfg->memory.size);
		if (r)
			return r;
	}
}

int arch_boot_open(struct arch_boot **out, const struct guest_config *cfg)
{
	struct arch_boot *boot = calloc(1, sizeof(*boot));
	int r;

	*out = NULL;
	if (!boot)
		return log_errno(-ENOMEM, "--kernel");
	r = boot_open_files(&boot->kernel, &boot->initrd, cfg, "an Image");
	if (!r)
		r = read_head(boot, cfg);
	if (!r)
		r = read_header(boot);
	if (!r)
		r = make_cmdline(boot, cfg);
	if (r) {
		arch_boot_close(boot);
		return r;
	}
	log_info("kernel %s: %s", boot->kernel.path, arch_boot_protocol(boot));
	*out = boot;
	return 0;
}

static int no_room(const struct arch_boot *boot, uint64_t end)
{
	return boot_refuse(&boot->kernel,
		"uses %#llx-%#llx, but RAM ends at %#llx; give at least --memory %lluM",
		(unsigned long long)boot->entry, (unsigned long long)(end - 1),
		(unsigned long long)(boot->fdt + TAIL_SIZE),
		(unsigned long long)((end - RAM_BASE + TAIL_SIZE + 0xfffff) >> 20));
}

int arch_boot_load(struct arch_boot *boot, const struct guest_config *cfg, const struct guest_mem *mem)
{
	uint64_t size = boot->kernel.size, end;
	int r;

	boot->entry = RAM_BASE + boot->text_offset;
	boot->fdt = arm64_tail(mem);
	if (size < boot->size)
		size = boot->size;
	end = boot->entry + size;
	if (end > boot->fdt)
		return no_room(boot, end);
	r = boot_read(&boot->kernel, 0, mem, boot->entry, boot->kernel.size);
	boot->initrd_at = 0;
	if (r || boot->initrd.fd < 0)
		return r;
	r = boot_load_initrd(&boot->initrd, mem, end, boot->fdt, &boot->initrd_at);
	return r == -ENOSPC ? boot_no_room(&boot->initrd, end, boot->fdt) : r;
}

int boot_check_pages(const struct arch_boot *boot, uint64_t mmfr0)
{
	static const char *const size[] = {"any size", "4K", "16K", "64K"};
	const bool here[] = {true, (mmfr0 >> 28 & 15) < 8, mmfr0 >> 20 & 15, (mmfr0 >> 24 & 15) < 8};

	if (here[boot->pages])
		return 0;
	return boot_refuse(&boot->kernel, "is built for pages of %s, which this host's CPUs do not have; give one for others",
		size[boot->pages]);
}

void arch_boot_close(struct arch_boot *boot)
{
	if (!boot)
		return;
	boot_close(&boot->kernel);
	boot_close(&boot->initrd);
	free(boot->cmdline);
	free(boot);
}

const char *arch_boot_protocol(const struct arch_boot *boot)
{
	return "image";
}
