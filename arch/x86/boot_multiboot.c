// SPDX-License-Identifier: Apache-2.0
/*
 * Multiboot 1: a header in the first 8 KiB of an ELF file, or of any file when the header itself carries the
 * addresses
 * ("a.out kludge"). Multiboot Specification 0.6.96, chapters 3.1 to 3.3. Main only.
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "arch/x86/boot.h"
#include "arch/x86/layout.h"

#define PAGE	     4096
#define HEADER_MAGIC 0x1badb002
#define HEADER2	     0xe85250d6 /* Multiboot 2, which this is not */
#define LOADER_MAGIC 0x2badb002

/* Header flags; of the low half, whatever the loader does not know it must refuse. */
#define WANT_PAGE_ALIGN (1u << 0)
#define WANT_MEMORY	(1u << 1)
#define WANT_VIDEO	(1u << 2)
#define WANT_MASK	0xffffu
#define HAS_ADDRESSES	(1u << 16)

/* Information flags */
#define INFO_MEMORY  (1u << 0)
#define INFO_CMDLINE (1u << 2)
#define INFO_MODS    (1u << 3)
#define INFO_MMAP    (1u << 6)
#define INFO_NAME    (1u << 9)

struct header {
	uint32_t magic, flags, checksum;
	uint32_t header_addr, load_addr, load_end_addr, bss_end_addr, entry_addr; /* with HAS_ADDRESSES */
};

struct info {
	uint32_t flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr, syms[4],
		mmap_length, mmap_addr, drives_length, drives_addr, config_table, boot_loader_name, apm_table,
		vbe[4], framebuffer[7];
};

struct module {
	uint32_t start, end, string, reserved;
};

struct mmap_entry {
	uint32_t size; /* of what follows */
	uint64_t gpa, len;
	uint32_t type;
} __attribute__((packed));

/* All of it, as it lies at ADDR_START_INFO. */
struct page {
	struct info info;
	struct module initrd;
	char name[8];
	char initrd_string[256];
	struct mmap_entry map[E820_MAX];
};

#define ADDR_OF(member) (ADDR_START_INFO + offsetof(struct page, member))

_Static_assert(sizeof(struct info) == 116 && sizeof(struct mmap_entry) == 24, "Multiboot 3.3");
_Static_assert(sizeof(struct page) <= ADDR_ZERO_PAGE - ADDR_START_INFO, "it ends before the zero page");

/* Offset of the header, or -1. *broken: something like one was seen. */
static long find_header(const struct arch_boot *boot, struct header *h, const char **broken)
{
	for (long at = 0; at + 12 <= BOOT_HEAD_SIZE; at += 4) {
		uint32_t w[4] = {0};

		memcpy(w, boot->head + at, at + 16 <= BOOT_HEAD_SIZE ? 16 : 12);
		if (w[0] == HEADER2 && w[0] + w[1] + w[2] + w[3] == 0)
			*broken = "is a Multiboot 2 kernel; give one with a Multiboot 1 header or a PVH note";
		if (w[0] != HEADER_MAGIC)
			continue;
		if (w[0] + w[1] + w[2] != 0) {
			*broken = "its Multiboot header has a wrong checksum; build or copy it again";
			continue;
		}
		memset(h, 0, sizeof(*h));
		memcpy(h, boot->head + at, at + sizeof(*h) <= BOOT_HEAD_SIZE ? sizeof(*h) : 12);
		return at;
	}
	return -1;
}

static int check_wants(const struct arch_boot *boot, const struct header *h, long at)
{
	uint32_t unknown = h->flags & WANT_MASK & ~(WANT_PAGE_ALIGN | WANT_MEMORY | WANT_VIDEO);

	if (h->flags & WANT_VIDEO)
		return boot_refuse(&boot->kernel,
			"its Multiboot header asks for a video mode; a pinvm guest has no screen, "
			"build it without (flag bit 2)");
	if (unknown)
		return boot_refuse(&boot->kernel,
			"its Multiboot header asks for features unknown to Multiboot 1 (flags %#x)", unknown);
	if (h->flags & HAS_ADDRESSES && at + sizeof(*h) > BOOT_HEAD_SIZE)
		return boot_refuse(&boot->kernel,
			"its Multiboot header does not end in the first 8 KiB; link it earlier");
	return 0;
}

/* One segment by the addresses in the header. load_end_addr 0: up to the end of the file; bss_end_addr 0: no
 * bss. */
static int segment_by_addresses(struct arch_boot *boot, const struct header *h, uint64_t at)
{
	uint64_t before = (uint64_t)h->header_addr - h->load_addr, len, bss_end;

	if (h->header_addr < h->load_addr || before > at)
		return boot_refuse(&boot->kernel,
			"the addresses in its Multiboot header begin before the file; build it again");
	len = h->load_end_addr ? (uint64_t)h->load_end_addr - h->load_addr
			       : boot->kernel.size - (at - before);
	if (h->load_end_addr && h->load_end_addr < h->load_addr)
		return boot_refuse(&boot->kernel,
			"the addresses in its Multiboot header end before they begin; build it again");
	bss_end = h->bss_end_addr ? h->bss_end_addr : h->load_addr + len;
	if (bss_end < h->load_addr + len)
		return boot_refuse(&boot->kernel,
			"the bss in its Multiboot header ends before its data; build it again");
	boot->segment[0] = (struct boot_segment){
		.off = at - before,
		.filesz = len,
		.gpa = h->load_addr,
		.vaddr = h->load_addr,
		.memsz = bss_end - h->load_addr,
	};
	boot->nsegments = 1;
	boot->entry = h->entry_addr;
	return 0;
}

/* The ELF entry point is a virtual address, which is the physical one in most kernels, but not in all. */
static uint64_t physical_entry(const struct arch_boot *boot, uint64_t entry)
{
	for (unsigned i = 0; i < boot->nsegments; i++) {
		const struct boot_segment *s = &boot->segment[i];

		if (entry >= s->vaddr && entry - s->vaddr < s->memsz)
			return entry - s->vaddr + s->gpa;
	}
	return entry;
}

static int multiboot_open(struct arch_boot *boot)
{
	const char *broken = NULL;
	struct header h;
	long at = find_header(boot, &h, &broken);
	uint64_t entry = 0;
	int r;

	if (at < 0)
		return broken ? boot_refuse(&boot->kernel, "%s", broken) : 0;
	r = check_wants(boot, &h, at);
	if (r)
		return r;
	if (h.flags & HAS_ADDRESSES) {
		r = segment_by_addresses(boot, &h, at);
	} else {
		r = elf_open(boot, &entry);
		if (!r)
			return boot_refuse(&boot->kernel,
				"has a Multiboot header without addresses but is not an ELF file; "
				"link it as ELF or set flag bit 16");
		boot->entry = physical_entry(boot, entry);
		r = r < 0 ? r : 0;
	}
	if (!r)
		r = boot_check_segments(boot);
	if (!r)
		r = boot_entry_ok(boot);
	return r ? r : 1;
}

/* Right behind the kernel: small kernels map no more than the first of RAM. */
static int load_module(struct arch_boot *boot, const struct guest_mem *mem, uint64_t floor, struct page *page)
{
	uint64_t low = x86_ram_low_end(mem), gpa = 0;
	uint64_t ceiling = floor + ((boot->initrd.size + PAGE - 1) & ~(uint64_t)(PAGE - 1));
	const char *name = strrchr(boot->initrd.path, '/');
	int r = -ENOSPC;

	if (boot->initrd.size <= low && ceiling <= low)
		r = boot_load_initrd(&boot->initrd, mem, floor, ceiling, &gpa);
	if (r)
		return r == -ENOSPC ? boot_no_room(&boot->initrd, floor, low) : r;
	snprintf(page->initrd_string, sizeof(page->initrd_string), "%s", name ? name + 1 : boot->initrd.path);
	page->initrd = (struct module){
		.start = gpa, .end = gpa + boot->initrd.size, .string = ADDR_OF(initrd_string)};
	page->info.flags |= INFO_MODS;
	page->info.mods_count = 1;
	page->info.mods_addr = ADDR_OF(initrd);
	return 0;
}

static void fill_info(struct page *page, const struct guest_mem *mem, bool pci)
{
	struct e820_range map[E820_MAX];
	unsigned n = x86_e820(mem, pci, map);

	for (unsigned i = 0; i < n; i++)
		page->map[i] = (struct mmap_entry){
			.size = sizeof(page->map[i]) - sizeof(page->map[i].size),
			.gpa = map[i].gpa,
			.len = map[i].size,
			.type = map[i].type,
		};
	strcpy(page->name, "pinvm");
	page->info.flags |= INFO_MEMORY | INFO_CMDLINE | INFO_MMAP | INFO_NAME;
	page->info.mem_lower = ADDR_EBDA / 1024;
	page->info.mem_upper = (x86_ram_low_end(mem) - ADDR_KERNEL) / 1024;
	page->info.cmdline = ADDR_CMDLINE;
	page->info.mmap_length = n * sizeof(page->map[0]);
	page->info.mmap_addr = ADDR_OF(map);
	page->info.boot_loader_name = ADDR_OF(name);
}

static int multiboot_load(struct arch_boot *boot, const struct guest_mem *mem)
{
	struct page page = {0};
	uint64_t floor;
	int r = boot_load_segments(boot, mem, &floor);

	if (!r && boot->initrd.fd >= 0)
		r = load_module(boot, mem, floor, &page);
	if (r)
		return r;
	fill_info(&page, mem, boot->pci);
	boot->cpu = (struct boot_cpu){.rip = boot->entry, .rax = LOADER_MAGIC, .rbx = ADDR_START_INFO};
	return mem_write(mem, ADDR_START_INFO, &page, sizeof(page));
}

const struct boot_loader boot_multiboot = {
	.name = "multiboot",
	.append = "",
	.argv0 = true,
	.open = multiboot_open,
	.load = multiboot_load,
};
