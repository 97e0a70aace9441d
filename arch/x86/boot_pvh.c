// SPDX-License-Identifier: Apache-2.0
/*
 * PVH: an ELF kernel that names a 32-bit entry point in a Xen note, and is told of its machine by
 * hvm_start_info. Xen documents: docs/misc/pvh.pandoc, xen/include/public/arch-x86/hvm/start_info.h. Main
 * only.
 */
#include <errno.h>
#include <stddef.h>

#include "arch/x86/boot.h"
#include "arch/x86/layout.h"

#define NOTE_PHYS32_ENTRY 18
#define START_MAGIC	  0x336ec578

struct start_info {
	uint32_t magic, version, flags, nr_modules;
	uint64_t modlist, cmdline, rsdp;
	uint64_t memmap;
	uint32_t memmap_entries, reserved;
};

struct module {
	uint64_t start, size, cmdline, reserved;
};

struct memmap_entry {
	uint64_t start, size;
	uint32_t type, reserved;
};

/* All of it, as it lies at ADDR_START_INFO. */
struct page {
	struct start_info info;
	struct module initrd;
	struct memmap_entry map[E820_MAX];
};

_Static_assert(
	sizeof(struct start_info) == 56 && sizeof(struct module) == 32 && sizeof(struct memmap_entry) == 24,
	"start_info.h");
_Static_assert(sizeof(struct page) <= ADDR_ZERO_PAGE - ADDR_START_INFO, "it ends before the zero page");

static int pvh_open(struct arch_boot *boot)
{
	uint64_t e_entry;
	int r = elf_open(boot, &e_entry);

	if (r > 0)
		r = elf_note(boot, NOTE_PHYS32_ENTRY, &boot->entry);
	if (r <= 0)
		return r;
	r = boot_check_segments(boot);
	if (!r)
		r = boot_entry_ok(boot);
	return r ? r : 1;
}

static int pvh_load(struct arch_boot *boot, const struct guest_mem *mem)
{
	uint64_t floor, low = x86_ram_low_end(mem);
	struct e820_range map[E820_MAX];
	struct page page = {0};
	int r = boot_load_segments(boot, mem, &floor);

	if (!r && boot->initrd.fd >= 0) {
		r = boot_load_initrd(&boot->initrd, mem, floor, low, &page.initrd.start);
		if (r == -ENOSPC)
			r = boot_no_room(&boot->initrd, floor, low);
		page.initrd.size = boot->initrd.size;
	}
	if (r)
		return r;
	page.info = (struct start_info){
		.magic = START_MAGIC,
		.version = 1,
		.nr_modules = boot->initrd.fd >= 0,
		.modlist = boot->initrd.fd >= 0 ? ADDR_START_INFO + offsetof(struct page, initrd) : 0,
		.cmdline = ADDR_CMDLINE,
		.rsdp = ADDR_RSDP,
		.memmap = ADDR_START_INFO + offsetof(struct page, map),
		.memmap_entries = x86_e820(mem, boot->pci, map),
	};
	for (unsigned i = 0; i < page.info.memmap_entries; i++)
		page.map[i] =
			(struct memmap_entry){.start = map[i].gpa, .size = map[i].size, .type = map[i].type};
	boot->cpu = (struct boot_cpu){.rip = boot->entry, .rbx = ADDR_START_INFO};
	return mem_write(mem, ADDR_START_INFO, &page, sizeof(page));
}

const struct boot_loader boot_pvh = {
	.name = "pvh",
	.append = "console=ttyS0",
	.open = pvh_open,
	.load = pvh_load,
};
