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

#include "arch/x86/layout.h"
#include "vmm/log.h"
#include "vmm/util.h"

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

	name = name ? name + 1 : boot->kernel.path;
	if (!boot->loader->argv0)
		boot->cmdline = strdup(append);
	else if (asprintf(&boot->cmdline, "%s%s%s", name, *append ? " " : "", append) < 0)
		boot->cmdline = NULL;
	if (!boot->cmdline)
		return log_errno(-ENOMEM, "--append");
	return boot_check_cmdline(boot->cmdline, boot->cmdline_max, cfg->append);
}

static int refuse_unknown(const struct arch_boot *boot)
{
	static const struct boot_foreign foreign[] = {
		{0, 2, "\x1f\x8b", "is compressed by gzip; unpack it (gzip -dc) or give the bzImage"},
		{0x38, 4, "ARM\x64",
			"is an arm64 kernel (Image); this is an x86-64 host, give an x86-64 kernel"},
		{0x38, 4, "RSC\x05",
			"is a RISC-V kernel (Image); this is an x86-64 host, give an x86-64 kernel"},
		{4, 4, "zimg", "is an EFI zboot image of another architecture; give an x86-64 bzImage"},
		{0, 4,
			"\x7f"
			"ELF",
			"is an ELF file with neither a PVH note nor a Multiboot header; give a bzImage, or a "
			"vmlinux with CONFIG_PVH"},
		{0, 2, "MZ", "is an EFI program, not a Linux kernel; give a bzImage"},
		{0, 0, "",
			"is no kernel pinvm knows; give a bzImage, an ELF kernel with a PVH note (vmlinux), "
			"or a Multiboot kernel"},
	};

	return boot_refuse_foreign(&boot->kernel, boot->head, "or give the bzImage", foreign);
}

static int recognise(struct arch_boot *boot)
{
	static const struct boot_loader *const loaders[] = {&boot_linux, &boot_pvh, &boot_multiboot};

	for (size_t i = 0; i < COUNT(loaders); i++) {
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

int arch_boot_open(struct arch_boot **out, const struct guest_config *cfg)
{
	struct arch_boot *boot = calloc(1, sizeof(*boot));
	int r;

	*out = NULL;
	if (!boot)
		return log_errno(-ENOMEM, "--kernel");
	boot->cmdline_max = CMDLINE_MAX - 1;
	r = boot_open_files(&boot->kernel, &boot->initrd, cfg, "a bzImage, a vmlinux or a Multiboot kernel");
	if (!r)
		r = boot_read_head(&boot->kernel, boot->head, sizeof(boot->head));
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
	boot_close(&boot->kernel);
	boot_close(&boot->initrd);
	free(boot->cmdline);
	free(boot);
}

const char *arch_boot_protocol(const struct arch_boot *boot)
{
	return boot->loader->name;
}
