// SPDX-License-Identifier: Apache-2.0
/*
 * Linux bzImage by the 64-bit boot protocol: the kernel at its preferred address, boot_params ("zero page")
 * below 1 MiB, entry 0x200 bytes into the kernel. Kernel document: Documentation/arch/x86/boot.rst. Main
 * only.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/random.h>

#include "arch/x86/boot.h"
#include "arch/x86/layout.h"
#include "vmm/log.h"

#define HDR_OFF	     0x1f1
#define HDR_MAGIC    0x53726448 /* "HdrS" */
#define BOOT_FLAG    0xaa55
#define VERSION_MIN  0x020c /* 2.12: xloadflags, so the 64-bit entry is known to be there */
#define SECTOR	     512
#define ENTRY_64     0x200
#define LOADER_OTHER 0xff /* type_of_loader: none of the registered ones */
#define SEED_LEN     32

/* The header as far as the file says it reaches; the fields of later versions are 0. */
static void copy_header(struct setup_header *hdr, const uint8_t *head)
{
	size_t len = 0x202 + head[0x201] - HDR_OFF;

	memset(hdr, 0, sizeof(*hdr));
	memcpy(hdr, head + HDR_OFF, len < sizeof(*hdr) ? len : sizeof(*hdr));
}

/* The part of the file behind the real-mode code is the kernel; all lengths are the file's word only. */
static int find_payload(struct arch_boot *boot)
{
	const struct setup_header *hdr = &boot->linux_hdr;
	uint64_t off = ((hdr->setup_sects ? hdr->setup_sects : 4) + 1ULL) * SECTOR;
	uint64_t len = hdr->syssize * 16ULL;

	if (!len)
		return boot_refuse(
			&boot->kernel, "its header says that no kernel follows it; give a whole bzImage");
	/* The last paragraph need not be full. */
	if (off >= boot->kernel.size || len - 15 > boot->kernel.size - off)
		return boot_refuse(&boot->kernel,
			"is truncated: its header speaks of %llu bytes, the file has %llu; copy it again",
			(unsigned long long)(off + len), (unsigned long long)boot->kernel.size);
	if (len > boot->kernel.size - off)
		len = boot->kernel.size - off;
	if (len <= ENTRY_64)
		return boot_refuse(&boot->kernel,
			"has no 64-bit entry: only %llu bytes of kernel; give a whole bzImage",
			(unsigned long long)len);
	boot->segment[0] = (struct boot_segment){.off = off, .filesz = len, .memsz = len};
	boot->nsegments = 1;
	return 0;
}

/* Where the kernel goes, and how much RAM it uses from there on until it reads its memory map. */
static int place(struct arch_boot *boot)
{
	const struct setup_header *hdr = &boot->linux_hdr;
	struct boot_segment *seg = &boot->segment[0];
	uint64_t align = hdr->kernel_alignment ? hdr->kernel_alignment : 1;

	seg->gpa = hdr->pref_address;
	if (seg->gpa < ADDR_KERNEL) {
		if (!hdr->relocatable_kernel)
			return boot_refuse(&boot->kernel,
				"wants to be loaded at %#llx, below 1 MiB; give a relocatable kernel",
				(unsigned long long)seg->gpa);
		seg->gpa = (ADDR_KERNEL + align - 1) / align * align;
	}
	if (hdr->init_size > seg->memsz)
		seg->memsz = hdr->init_size;
	if (seg->gpa >= RAM_LOW_MAX || seg->memsz > RAM_LOW_MAX - seg->gpa)
		return boot_refuse(&boot->kernel,
			"wants %llu bytes of RAM at %#llx, where no guest has RAM; is it damaged?",
			(unsigned long long)seg->memsz, (unsigned long long)seg->gpa);
	return 0;
}

static int linux_open(struct arch_boot *boot)
{
	struct setup_header *hdr = &boot->linux_hdr;
	int r;

	copy_header(hdr, boot->head);
	if (hdr->boot_flag != BOOT_FLAG || hdr->header != HDR_MAGIC)
		return 0;
	if (hdr->version < VERSION_MIN)
		return boot_refuse(&boot->kernel,
			"boot protocol %u.%02u is too old; give Linux 3.8 or later (2.12)", hdr->version >> 8,
			hdr->version & 0xff);
	if (!(hdr->xloadflags & XLF_KERNEL_64))
		return boot_refuse(&boot->kernel, "is a 32-bit kernel; give an x86-64 one");
	if (!(hdr->loadflags & LOADED_HIGH))
		return boot_refuse(&boot->kernel, "is a zImage, to be loaded below 1 MiB; give a bzImage");
	r = find_payload(boot);
	if (!r)
		r = place(boot);
	if (r)
		return r;
	if (hdr->cmdline_size < boot->cmdline_max)
		boot->cmdline_max = hdr->cmdline_size;
	return 1;
}

static int load_kernel(struct arch_boot *boot, const struct guest_mem *mem)
{
	const struct boot_segment *seg = &boot->segment[0];
	uint64_t end = x86_ram_low_end(mem);

	if (seg->gpa >= end || seg->memsz > end - seg->gpa)
		return boot_refuse(&boot->kernel,
			"unpacks itself into %#llx-%#llx, but RAM ends at %#llx; give at least --memory "
			"%lluM",
			(unsigned long long)seg->gpa, (unsigned long long)(seg->gpa + seg->memsz - 1),
			(unsigned long long)end,
			(unsigned long long)((seg->gpa + seg->memsz + 0xfffff) >> 20));
	return boot_read(&boot->kernel, seg->off, mem, seg->gpa, seg->filesz);
}

/*
 * As high as the kernel says it may be; where there is no room, anywhere below the hole and then above 4 GiB,
 * if the kernel says it can reach that.
 */
static int load_initrd(struct arch_boot *boot, const struct guest_mem *mem, uint64_t *gpa)
{
	const struct boot_segment *seg = &boot->segment[0];
	const struct setup_header *hdr = &boot->linux_hdr;
	uint64_t floor = seg->gpa + seg->memsz, low = x86_ram_low_end(mem), top = mem_top(mem);
	uint64_t ceiling = hdr->initrd_addr_max < low ? hdr->initrd_addr_max + 1ULL : low;
	int r = boot_load_initrd(&boot->initrd, mem, floor, ceiling, gpa);

	if (r == -ENOSPC && hdr->xloadflags & XLF_CAN_BE_LOADED_ABOVE_4G) {
		r = boot_load_initrd(&boot->initrd, mem, floor, low, gpa);
		if (r == -ENOSPC && top > RAM_HIGH)
			r = boot_load_initrd(&boot->initrd, mem, RAM_HIGH, top, gpa);
		ceiling = low;
	}
	return r == -ENOSPC ? boot_no_room(&boot->initrd, floor, ceiling) : r;
}

/* Entropy for the guest's first random numbers, from the host's. */
static int write_seed(const struct guest_mem *mem)
{
	const struct setup_data head = {.type = SETUP_RNG_SEED, .len = SEED_LEN};
	uint8_t seed[sizeof(head) + SEED_LEN];
	ssize_t n;

	_Static_assert(sizeof(seed) <= ADDR_PML4 - ADDR_SETUP_DATA, "the seed ends before the page tables");
	memcpy(seed, &head, sizeof(head));
	do
		n = getrandom(seed + sizeof(head), SEED_LEN, 0);
	while (n < 0 && errno == EINTR);
	if (n != SEED_LEN)
		return log_errno(n < 0 ? -errno : -EIO, "getrandom");
	n = mem_write(mem, ADDR_SETUP_DATA, seed, sizeof(seed));
	explicit_bzero(seed, sizeof(seed));
	return n;
}

static void fill_header(struct setup_header *hdr, const struct arch_boot *boot)
{
	*hdr = boot->linux_hdr;
	hdr->type_of_loader = LOADER_OTHER;
	hdr->loadflags &= ~(CAN_USE_HEAP | QUIET_FLAG | KEEP_SEGMENTS);
	hdr->code32_start = boot->segment[0].gpa;
	hdr->cmd_line_ptr = ADDR_CMDLINE;
	hdr->setup_data = ADDR_SETUP_DATA;
}

static void fill_e820(struct boot_params *zero, const struct guest_mem *mem, bool pci)
{
	struct e820_range map[E820_MAX];

	_Static_assert(E820_MAX <= E820_MAX_ENTRIES_ZEROPAGE, "the map fits in the zero page");
	zero->e820_entries = x86_e820(mem, pci, map);
	for (unsigned i = 0; i < zero->e820_entries; i++)
		zero->e820_table[i] = (struct boot_e820_entry){
			.addr = map[i].gpa, .size = map[i].size, .type = map[i].type};
}

static int linux_load(struct arch_boot *boot, const struct guest_mem *mem)
{
	struct boot_params zero = {0};
	uint64_t initrd = 0;
	int r = load_kernel(boot, mem);

	if (!r && boot->initrd.fd >= 0)
		r = load_initrd(boot, mem, &initrd);
	if (!r)
		r = write_seed(mem);
	if (r)
		return r;
	fill_header(&zero.hdr, boot);
	fill_e820(&zero, mem, boot->pci);
	zero.hdr.ramdisk_image = initrd;
	zero.ext_ramdisk_image = initrd >> 32;
	zero.hdr.ramdisk_size = boot->initrd.size;
	zero.ext_ramdisk_size = boot->initrd.size >> 32;
	zero.acpi_rsdp_addr = ADDR_RSDP;
	boot->cpu = (struct boot_cpu){
		.long_mode = true,
		.rip = boot->segment[0].gpa + ENTRY_64,
		.rsi = ADDR_ZERO_PAGE,
	};
	return mem_write(mem, ADDR_ZERO_PAGE, &zero, sizeof(zero));
}

const struct boot_loader boot_linux = {
	.name = "linux64",
	.append = "console=ttyS0",
	.open = linux_open,
	.load = linux_load,
};
