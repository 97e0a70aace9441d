// SPDX-License-Identifier: Apache-2.0
/*
 * The front of the kernel loaders: opens the files, finds the loader that knows the kernel, and carries what
 * the loaders share. Main only.
 */
#include "arch/x86/boot.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arch/x86/layout.h"
#include "vmm/log.h"

int boot_write_cmdline(const struct arch_boot *boot, const struct guest_mem *mem)
{
	int r = mem_write(mem, ADDR_CMDLINE, boot->cmdline, strlen(boot->cmdline) + 1);

	return r ? log_errno(r, "--append: no RAM for the command line") : 0;
}

/* The command line as the guest gets it. */
static int make_cmdline(struct arch_boot *boot, const struct guest_config *cfg)
{
	const char *append = cfg->append ? cfg->append : boot->loader->append;
	const char *name = strrchr(boot->kernel.path, '/');
	size_t len;

	name = name ? name + 1 : boot->kernel.path;
	if (!boot->loader->argv0)
		boot->cmdline = strdup(append);
	else if (asprintf(&boot->cmdline, "%s%s%s", name, *append ? " " : "", append) < 0)
		boot->cmdline = NULL;
	if (!boot->cmdline)
		return log_errno(-ENOMEM, "--append");
	len = strlen(boot->cmdline);
	if (len > boot->cmdline_max) {
		log_err("--append: the command line has %zu bytes; this kernel takes at most %llu", len,
			(unsigned long long)boot->cmdline_max);
		return -EINVAL;
	}
	log_info("kernel command line%s: %s", cfg->append ? "" : " (default)", boot->cmdline);
	return 0;
}

/* Well-known files that are not kernels pinvm boots, and what to do about each. */
static const struct {
	unsigned off, len;
	const char *magic, *what;
} known[] = {
	{0, 2, "\x1f\x8b", "is compressed by gzip; unpack it (gzip -dc) or give the bzImage"},
	{0, 6,
		"\xfd"
		"7zXZ",
		"is compressed by xz; unpack it (xz -dc) or give the bzImage"},
	{0, 4, "\x28\xb5\x2f\xfd", "is compressed by zstd; unpack it (zstd -dc) or give the bzImage"},
	{0, 3, "BZh", "is compressed by bzip2; unpack it (bzip2 -dc) or give the bzImage"},
	{0, 4, "\x04\x22\x4d\x18", "is compressed by lz4; unpack it (lz4 -dc) or give the bzImage"},
	{0, 4, "\x02\x21\x4c\x18", "is compressed by lz4; unpack it (lz4 -dc) or give the bzImage"},
	{0x38, 4, "ARM\x64", "is an arm64 kernel (Image); this is an x86-64 host, give an x86-64 kernel"},
	{0x38, 4, "RSC\x05", "is a RISC-V kernel (Image); this is an x86-64 host, give an x86-64 kernel"},
	{4, 4, "zimg", "is an EFI zboot image of another architecture; give an x86-64 bzImage"},
	{0, 4,
		"\x7f"
		"ELF",
		"is an ELF file with neither a PVH note nor a Multiboot header; give a bzImage, or a vmlinux "
		"with CONFIG_PVH"},
	{0, 2, "MZ", "is an EFI program, not a Linux kernel; give a bzImage"},
	{257, 5, "ustar", "is a tar archive; give the kernel in it"},
	{0, 8, "!<arch>\n", "is an archive (a Debian package?); give the kernel in it"},
};

static int refuse_unknown(const struct arch_boot *boot)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (!memcmp(boot->head + known[i].off, known[i].magic, known[i].len))
			return boot_refuse(&boot->kernel, "%s", known[i].what);
	return boot_refuse(&boot->kernel,
		"is no kernel pinvm knows; give a bzImage, an ELF kernel with a PVH note (vmlinux), "
		"or a Multiboot kernel");
}

static int recognise(struct arch_boot *boot)
{
	static const struct boot_loader *const loaders[] = {&boot_linux, &boot_pvh, &boot_multiboot};

	for (size_t i = 0; i < sizeof(loaders) / sizeof(loaders[0]); i++) {
		int r = loaders[i]->open(boot);

		if (r < 0)
			return r;
		if (r) {
			boot->loader = loaders[i];
			return 0;
		}
	}
	return refuse_unknown(boot);
}

static int open_files(struct arch_boot *boot, const struct guest_config *cfg)
{
	int r;

	if (!cfg->kernel) {
		log_err("--kernel: none given; name a bzImage, a vmlinux or a Multiboot kernel");
		return -EINVAL;
	}
	r = boot_open(&boot->kernel, "--kernel", cfg->kernel);
	if (!r && cfg->initrd)
		r = boot_open(&boot->initrd, "--initrd", cfg->initrd);
	if (r)
		return r;
	return boot_pread(&boot->kernel, 0, boot->head,
		boot->kernel.size < BOOT_HEAD_SIZE ? boot->kernel.size : BOOT_HEAD_SIZE);
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
	boot->cmdline_max = CMDLINE_MAX - 1;
	r = open_files(boot, cfg);
	if (!r)
		r = recognise(boot);
	if (!r)
		r = make_cmdline(boot, cfg);
	if (r) {
		arch_boot_close(boot);
		return r;
	}
	log_info("kernel %s: %s", boot->kernel.path, boot->loader->name);
	*out = boot;
	return 0;
}

int arch_boot_load(struct arch_boot *boot, const struct guest_config *cfg, const struct guest_mem *mem)
{
	int r;

	if (x86_ram_low_end(mem) <= ADDR_KERNEL) {
		log_err("--memory: a guest needs more than 1 MiB to load a kernel at all; give 64M or more");
		return -EINVAL;
	}
	boot->cpu = (struct boot_cpu){0};
	boot->pci = cfg->transport == TRANSPORT_PCI;
	r = boot->loader->load(boot, mem);
	if (r)
		return r;
	r = boot_write_cmdline(boot, mem);
	if (r)
		return r;
	r = boot_cpu_tables(&boot->cpu, mem);
	return r ? log_errno(r, "--memory: no RAM for page tables") : 0;
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
	return boot->loader->name;
}
