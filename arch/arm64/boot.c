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
#include <unistd.h>

#include "arch/arm64/layout.h"
#include "vmm/config.h"
#include "vmm/log.h"
#include "vmm/memory/mem.h"

#define IMAGE_HEADER	 64
#define IMAGE_MAGIC	 0x644d5241 /* "ARM\x64" */
#define IMAGE_ALIGN	 0x200000ULL
#define IMAGE_BIG_ENDIAN 1
#define DEFAULT_APPEND	 "console=ttyS0"

/* Well-known files that are not kernels pinvm boots, and what to do about each. */
static const struct {
	unsigned off, len;
	const char *magic, *what;
} known[] = {
	{0, 6,
		"\xfd"
		"7zXZ",
		"is compressed by xz; unpack it (xz -dc) and give the Image"},
	{0, 4, "\x28\xb5\x2f\xfd", "is compressed by zstd; unpack it (zstd -dc) and give the Image"},
	{0, 3, "BZh", "is compressed by bzip2; unpack it (bzip2 -dc) and give the Image"},
	{0, 4, "\x04\x22\x4d\x18", "is compressed by lz4; unpack it (lz4 -dc) and give the Image"},
	{0, 4, "\x02\x21\x4c\x18", "is compressed by lz4; unpack it (lz4 -dc) and give the Image"},
	{4, 4, "zimg", "is an EFI zboot image, which unpacks itself only under EFI; give the Image in it"},
	{0x202, 4, "HdrS", "is an x86 kernel (bzImage); this is an arm64 host, give an arm64 Image"},
	{0x38, 4, "RSC\x05", "is a RISC-V kernel (Image); this is an arm64 host, give an arm64 Image"},
	{0, 4,
		"\x7f"
		"ELF",
		"is an ELF file; give the Image (arch/arm64/boot/Image, or objcopy -O binary of vmlinux)"},
	{0, 2, "MZ", "is an EFI program, not a Linux kernel; give an Image"},
	{257, 5, "ustar", "is a tar archive; give the kernel in it"},
	{0, 8, "!<arch>\n", "is an archive (a Debian package?); give the kernel in it"},
};

static int refuse_unknown(const struct arch_boot *boot)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (!memcmp(boot->head + known[i].off, known[i].magic, known[i].len))
			return boot_refuse(&boot->kernel, "%s", known[i].what);
	return boot_refuse(&boot->kernel, "is no kernel pinvm knows; give an arm64 Image");
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
	size_t len;

	boot->cmdline = strdup(cfg->append ? cfg->append : DEFAULT_APPEND);
	if (!boot->cmdline)
		return log_errno(-ENOMEM, "--append");
	len = strlen(boot->cmdline);
	if (len > CMDLINE_MAX - 1) {
		log_err("--append: the command line has %zu bytes; this kernel takes at most %d", len,
			CMDLINE_MAX - 1);
		return -EINVAL;
	}
	log_info("kernel command line%s: %s", cfg->append ? "" : " (default)", boot->cmdline);
	return 0;
}

/* The first bytes of the kernel, unpacked first where it must be. */
static int read_head(struct arch_boot *boot)
{
	static const uint8_t gzip[] = {0x1f, 0x8b};

	for (int round = 0;; round++) {
		uint64_t size = boot->kernel.size;
		int r;

		memset(boot->head, 0, sizeof(boot->head));
		r = boot_pread(&boot->kernel, 0, boot->head, size < BOOT_HEAD_SIZE ? size : BOOT_HEAD_SIZE);
		if (r || round || memcmp(boot->head, gzip, sizeof(gzip)) != 0)
			return r;
		r = boot_gunzip(&boot->kernel);
		if (r)
			return r;
	}
}

static int open_files(struct arch_boot *boot, const struct guest_config *cfg)
{
	int r;

	if (!cfg->kernel) {
		log_err("--kernel: none given; name an Image");
		return -EINVAL;
	}
	r = boot_open(&boot->kernel, "--kernel", cfg->kernel);
	if (!r && cfg->initrd)
		r = boot_open(&boot->initrd, "--initrd", cfg->initrd);
	return r ? r : read_head(boot);
}

int arch_boot_open(struct arch_boot **out, const struct guest_config *cfg)
{
	struct arch_boot *boot = calloc(1, sizeof(*boot));
	int r;

	*out = NULL;
	if (!boot)
		return log_errno(-ENOMEM, "--kernel");
	boot->kernel.fd = -1;
	boot->initrd.fd = -1;
	r = open_files(boot, cfg);
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

void arch_boot_close(struct arch_boot *boot)
{
	if (!boot)
		return;
	if (boot->kernel.fd >= 0)
		close(boot->kernel.fd);
	if (boot->initrd.fd >= 0)
		close(boot->initrd.fd);
	free(boot->cmdline);
	free(boot);
}

const char *arch_boot_protocol(const struct arch_boot *boot)
{
	return "image";
}
