// SPDX-License-Identifier: Apache-2.0
/*
 * The front of the kernel loaders: opens the files, finds the loader that knows the kernel, and carries what
 * the loaders share. File contents are read straight into guest RAM, once. Main only.
 */
#include "arch/x86/boot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arch/x86/layout.h"
#include "vmm/log.h"

#define PAGE 4096

int boot_refuse(const struct boot_file *file, const char *fmt, ...)
{
	char why[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	log_err("%s %s: %s", file->option, file->path, why);
	return -EINVAL;
}

/* The size of a file or block device; anything else cannot be read at an offset. */
static int file_size(struct boot_file *file)
{
	struct stat st;
	off_t end;

	if (fstat(file->fd, &st))
		return log_errno(-errno, "%s %s", file->option, file->path);
	if (S_ISDIR(st.st_mode))
		return boot_refuse(file, "is a directory; give a file");
	if (S_ISFIFO(st.st_mode))
		return boot_refuse(file, "is a FIFO; give a file (copy the stream into one first)");
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return boot_refuse(file, "is not a file; give a regular file or a block device");
	end = S_ISREG(st.st_mode) ? st.st_size : lseek(file->fd, 0, SEEK_END);
	if (end < 0)
		return log_errno(-errno, "%s %s", file->option, file->path);
	if (!end)
		return boot_refuse(file, "is empty; give a file with an image in it");
	file->size = end;
	return 0;
}

static int file_open(struct boot_file *file, const char *option, const char *path)
{
	file->option = option;
	file->path = path;
	/* O_NONBLOCK: the open of a FIFO that nobody writes must not wait. */
	file->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (file->fd < 0)
		return log_errno(-errno, "%s %s", option, path);
	return file_size(file);
}

int boot_pread(const struct boot_file *file, uint64_t off, void *buf, size_t len)
{
	uint8_t *p = buf;

	while (len) {
		ssize_t n = pread(file->fd, p, len, off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return log_errno(-errno, "%s %s: read at byte %llu", file->option, file->path,
				(unsigned long long)off);
		if (!n)
			return boot_refuse(file, "ends at byte %llu, earlier than it did when it was opened",
				(unsigned long long)off);
		p += n;
		off += n;
		len -= n;
	}
	return 0;
}

/* Host address of the bytes at gpa; *len shrinks to what lies in one region. NULL when gpa is not RAM. */
static void *piece(const struct guest_mem *mem, uint64_t gpa, uint64_t *len)
{
	uint64_t good = 0, bad = *len;
	void *p = mem_at(mem, gpa, *len);

	if (p)
		return p;
	while (bad - good > 1) {
		uint64_t n = good + (bad - good) / 2;

		if (mem_at(mem, gpa, n))
			good = n;
		else
			bad = n;
	}
	*len = good;
	return good ? mem_at(mem, gpa, good) : NULL;
}

int boot_read(
	const struct boot_file *file, uint64_t off, const struct guest_mem *mem, uint64_t gpa, uint64_t len)
{
	while (len) {
		uint64_t n = len;
		void *p = piece(mem, gpa, &n);
		int r;

		if (!p)
			return boot_refuse(file,
				"needs RAM at %#llx, where this guest has none; give it more --memory",
				(unsigned long long)gpa);
		r = boot_pread(file, off, p, n);
		if (r)
			return r;
		gpa += n;
		off += n;
		len -= n;
	}
	return 0;
}

bool boot_is_ram(const struct guest_mem *mem, uint64_t gpa, uint64_t len)
{
	while (len) {
		uint64_t n = len;

		if (!piece(mem, gpa, &n))
			return false;
		gpa += n;
		len -= n;
	}
	return true;
}

int boot_zero(const struct guest_mem *mem, uint64_t gpa, uint64_t len)
{
	while (len) {
		uint64_t n = len;
		void *p = piece(mem, gpa, &n);

		if (!p)
			return -EFAULT;
		memset(p, 0, n);
		gpa += n;
		len -= n;
	}
	return 0;
}

int boot_load_initrd(
	struct arch_boot *boot, const struct guest_mem *mem, uint64_t floor, uint64_t ceiling, uint64_t *gpa)
{
	uint64_t at;

	if (ceiling < boot->initrd.size)
		return -ENOSPC;
	at = (ceiling - boot->initrd.size) & ~(uint64_t)(PAGE - 1);
	if (at < floor)
		return -ENOSPC;
	*gpa = at;
	return boot_read(&boot->initrd, 0, mem, at, boot->initrd.size);
}

int boot_no_room(const struct arch_boot *boot, uint64_t floor, uint64_t ceiling)
{
	uint64_t room = ceiling > floor ? ceiling - floor : 0;

	return boot_refuse(&boot->initrd,
		"%llu KiB do not fit in the %llu KiB that the kernel leaves; give more --memory",
		(unsigned long long)(boot->initrd.size + 1023) / 1024, (unsigned long long)room / 1024);
}

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
	r = file_open(&boot->kernel, "--kernel", cfg->kernel);
	if (!r && cfg->initrd)
		r = file_open(&boot->initrd, "--initrd", cfg->initrd);
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
