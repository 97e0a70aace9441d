// SPDX-License-Identifier: Apache-2.0
/* Linux by the 64-bit boot protocol, the memory map, and the refusals that all kernel loaders share. */
#include "arch/x86/boot.h"
#include "arch/x86/layout.h"
#include "devices/pci.h"
#include "tests/unit/bootimage.h"

#define KERNEL_M 4 /* MiB: where the small kernels want to be */

static struct setup_header *header(struct image *im)
{
	return (struct setup_header *)(im->data + 0x1f1);
}

/* A bzImage: one sector of boot code, two of setup, 16 KiB of "kernel" whose bytes count up. */
static struct image bzimage(void)
{
	struct image im = {.len = 3 * 512 + 16384};
	struct setup_header *hdr = header(&im);

	hdr->setup_sects = 2;
	hdr->syssize = 16384 / 16;
	hdr->boot_flag = 0xaa55;
	hdr->jump = 0x6aeb; /* the header ends at 0x26c */
	hdr->header = 0x53726448;
	hdr->version = 0x020f;
	hdr->loadflags = LOADED_HIGH | CAN_USE_HEAP;
	hdr->initrd_addr_max = 0x7fffffff;
	hdr->kernel_alignment = 0x200000;
	hdr->relocatable_kernel = 1;
	hdr->xloadflags = XLF_KERNEL_64 | XLF_CAN_BE_LOADED_ABOVE_4G;
	hdr->cmdline_size = 2047;
	hdr->pref_address = KERNEL_M * MIB;
	hdr->init_size = 2 * MIB;
	for (size_t i = 3 * 512; i < im.len; i++)
		im.data[i] = i * 7;
	return im;
}

static struct boot_params *zero_page(void)
{
	return mem_at(&mem, ADDR_ZERO_PAGE, sizeof(struct boot_params));
}

START_TEST(linux_is_placed)
{
	struct image im = bzimage();
	struct guest_config cfg = config(&im);
	struct boot_params *zero;
	struct setup_data *seed;
	uint8_t *ram = unit_ram(&mem, 0, 64 * MIB), sum = 0;

	memset(ram + ADDR_ZERO_PAGE, 0xaa, 4096);
	ck_assert_int_eq(try_boot(&cfg), 0);
	ck_assert_str_eq(arch_boot_protocol(boot), "linux64");
	ck_assert_mem_eq(ram + KERNEL_M * MIB, im.data + 3 * 512, 16384);
	ck_assert(boot->cpu.long_mode);
	ck_assert_uint_eq(boot->cpu.rip, KERNEL_M * MIB + 0x200);
	ck_assert_uint_eq(boot->cpu.rsi, ADDR_ZERO_PAGE);
	ck_assert_str_eq((char *)ram + ADDR_CMDLINE, "console=ttyS0");
	ck_assert_ptr_nonnull(strstr(message, "command line (default): console=ttyS0"));
	zero = zero_page();
	ck_assert_uint_eq(zero->hdr.type_of_loader, 0xff);
	ck_assert_uint_eq(zero->hdr.loadflags, LOADED_HIGH);
	ck_assert_uint_eq(zero->hdr.cmd_line_ptr, ADDR_CMDLINE);
	ck_assert_uint_eq(zero->hdr.pref_address, KERNEL_M * MIB);
	ck_assert_uint_eq(zero->hdr.ramdisk_size, 0);
	ck_assert_uint_eq(zero->acpi_rsdp_addr, ADDR_RSDP);
	ck_assert_uint_eq(zero->sentinel, 0);
	for (size_t i = 0; i < sizeof(zero->screen_info); i++)
		ck_assert_uint_eq(((uint8_t *)zero)[i], 0);
	ck_assert_uint_eq(zero->hdr.setup_data, ADDR_SETUP_DATA);
	seed = (void *)(ram + ADDR_SETUP_DATA);
	ck_assert_uint_eq(seed->next, 0);
	ck_assert_uint_eq(seed->type, 9);
	ck_assert_uint_eq(seed->len, 32);
	for (int i = 0; i < 32; i++)
		sum |= seed->data[i];
	ck_assert_msg(sum, "32 zero bytes are no seed");
}
END_TEST

/* Walk the page tables as a CPU does. */
static uint64_t translate(uint64_t va)
{
	uint64_t table = ADDR_PML4;

	for (int shift = 39; shift >= 21; shift -= 9) {
		uint64_t *e = mem_at(&mem, table + (va >> shift & 511) * 8, 8);

		ck_assert_ptr_nonnull(e);
		ck_assert_msg((*e & 3) == 3, "not present and writable at %#llx", (unsigned long long)va);
		if (shift == 21) {
			ck_assert(*e & 0x80);
			return (*e & 0xfffffffe00000) | (va & 0x1fffff);
		}
		ck_assert(!(*e & 0x80));
		table = *e & 0xffffffffff000;
	}
	return ~0ULL;
}

START_TEST(page_tables_map_4_gib_onto_themselves)
{
	struct boot_cpu cpu = {.long_mode = true};
	uint64_t *pml4, *pdpt;
	uint8_t *ram = unit_ram(&mem, 0, MIB);

	memset(ram, 0xff, MIB);
	ck_assert_int_eq(boot_cpu_tables(&cpu, &mem), 0);
	for (uint64_t va = 0; va < 4 * GIB; va += 2 * MIB) {
		ck_assert_uint_eq(translate(va), va);
		ck_assert_uint_eq(translate(va + 0x1fffff), va + 0x1fffff);
	}
	pml4 = (void *)(ram + ADDR_PML4);
	pdpt = (void *)(ram + (pml4[0] & ~0xfffULL));
	for (int i = 1; i < 512; i++)
		ck_assert_uint_eq(pml4[i], 0);
	for (int i = 4; i < 512; i++)
		ck_assert_uint_eq(pdpt[i], 0);
	ck_assert_uint_eq(ram[ADDR_PML4 - 1], 0xff);
	ck_assert_uint_eq(ram[0xf000], 0xff);
}
END_TEST

START_TEST(gdt_is_flat)
{
	struct boot_cpu cpu = {.long_mode = true};
	uint64_t *gdt = (void *)(unit_ram(&mem, 0, MIB) + ADDR_GDT);

	ck_assert_int_eq(boot_cpu_tables(&cpu, &mem), 0);
	ck_assert_uint_eq(gdt[0], 0);
	ck_assert_uint_eq(gdt[BOOT_CS / 8] >> 53 & 3, 1); /* L, not D */
	cpu.long_mode = false;
	ck_assert_int_eq(boot_cpu_tables(&cpu, &mem), 0);
	ck_assert_uint_eq(gdt[BOOT_CS / 8] >> 53 & 3, 2); /* D, not L */
	for (int sel = BOOT_CS; sel <= BOOT_DS; sel += 8) {
		ck_assert_uint_eq(gdt[sel / 8] & 0xff0f00ffffffffff, 0xf00000000ffff); /* base 0, limit */
		ck_assert_uint_eq(gdt[sel / 8] >> 47 & 1, 1);			       /* present */
		ck_assert_uint_eq(gdt[sel / 8] >> 55 & 1, 1);			       /* limit in pages */
	}
	ck_assert_uint_eq(gdt[BOOT_TSS / 8] >> 40 & 0xff, 0x8b);
	ck_assert_uint_eq(gdt[BOOT_TSS / 8] & 0xffff, 0x67);
}
END_TEST

/* RAM of this size as regions without pages behind them: enough for what only reads the map. */
static void ram_of(uint64_t size)
{
	struct ram_range range[2];
	int n = arch_ram_ranges(size, range, 2);

	ck_assert_int_gt(n, 0);
	mem.n = n;
	for (int i = 0; i < n; i++)
		mem.region[i] = (struct mem_region){.gpa = range[i].gpa, .size = range[i].size, .fd = -1};
}

static void ck_range(const struct e820_range *r, uint64_t gpa, uint64_t end, unsigned type)
{
	ck_assert_uint_eq(r->gpa, gpa);
	ck_assert_uint_eq(r->gpa + r->size, end);
	ck_assert_uint_eq(r->type, type);
}

START_TEST(e820_at_every_size)
{
	static const struct {
		uint64_t size, low, high;
	} t[] = {
		{64 * MIB, 64 * MIB, 0},
		{3 * GIB, 3 * GIB, 0},
		{3 * GIB + 2 * MIB, 3 * GIB, 4 * GIB + 2 * MIB},
		{5 * GIB, 3 * GIB, 6 * GIB},
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct e820_range map[E820_MAX];
		unsigned n;

		ram_of(t[i].size);
		n = x86_e820(&mem, true, map);
		ck_assert_uint_eq(n, t[i].high ? 5 : 4);
		ck_range(&map[0], 0, 0x9fc00, E820_RAM);
		ck_range(&map[1], 0x9fc00, 0x100000, E820_RESERVED);
		ck_range(&map[2], 0x100000, t[i].low, E820_RAM);
		ck_range(&map[3], 0xe0000000, 0xe0100000, E820_RESERVED);
		if (t[i].high)
			ck_range(&map[4], 4 * GIB, t[i].high, E820_RAM);
	}
}
END_TEST

START_TEST(e820_without_pci_has_no_ecam)
{
	struct e820_range map[E820_MAX];

	ram_of(5 * GIB);
	ck_assert_uint_eq(x86_e820(&mem, false, map), 4);
	ck_range(&map[2], 0x100000, 3 * GIB, E820_RAM);
	ck_range(&map[3], 4 * GIB, 6 * GIB, E820_RAM);
}
END_TEST

START_TEST(e820_merges_neighbours)
{
	struct e820_range map[E820_MAX];

	mem = (struct guest_mem){.n = 4,
		.region = {{.size = GIB}, {.gpa = GIB, .size = 2 * GIB}, {.gpa = 4 * GIB, .size = GIB},
			{.gpa = 5 * GIB, .size = GIB}}};
	ck_assert_uint_eq(x86_e820(&mem, true, map), 5);
	ck_range(&map[2], 0x100000, 3 * GIB, E820_RAM);
	ck_range(&map[4], 4 * GIB, 6 * GIB, E820_RAM);
}
END_TEST

START_TEST(ram_ranges)
{
	struct ram_range r[2];

	ck_assert_int_eq(arch_ram_ranges(0, r, 2), -EINVAL);
	ck_assert_int_eq(arch_ram_ranges(MIB + 1, r, 2), -EINVAL);
	ck_assert_int_eq(arch_ram_ranges(-4096ULL, r, 2), -EINVAL);
	ck_assert_int_eq(arch_ram_ranges(5 * GIB, r, 1), -EINVAL);
	ck_assert_int_eq(arch_ram_ranges(3 * GIB, r, 1), 1);
	ck_assert_int_eq(arch_ram_ranges(3 * GIB + 4096, r, 2), 2);
	ck_assert_uint_eq(r[0].size, 3 * GIB);
	ck_assert_uint_eq(r[1].gpa, 4 * GIB);
	ck_assert_uint_eq(r[1].size, 4096);
}
END_TEST

START_TEST(pci_window_fits_the_cpu)
{
	struct pci_layout l;

	x86_pci_layout(&l, 64 * MIB, 46);
	ck_assert_uint_eq(l.mem32, 0xc0000000);
	ck_assert_uint_eq(l.ecam, 0xe0000000);
	ck_assert_uint_eq(l.mem64, 64 * GIB);
	ck_assert_uint_eq(l.mem64_size, 64 * GIB);
	x86_pci_layout(&l, 64 * GIB, 46);
	ck_assert_uint_eq(l.mem64, 64 * GIB);
	x86_pci_layout(&l, 64 * GIB + 4096, 46);
	ck_assert_uint_eq(l.mem64, 128 * GIB);
	x86_pci_layout(&l, 5 * GIB, 36); /* 64 GiB in all */
	ck_assert_uint_eq(l.mem64, 32 * GIB);
	ck_assert_uint_eq(l.mem64_size, 32 * GIB);
	x86_pci_layout(&l, 64 * GIB, 36);
	ck_assert_uint_eq(l.mem64_size, 0);
	x86_pci_layout(&l, 64 * GIB - 4096, 36);
	ck_assert_uint_eq(l.mem64_size, 0);
	ck_assert(x86_reaches(64 * GIB, 36) && x86_reaches(3 * GIB, 32) && x86_reaches(UINT64_MAX, 64));
	ck_assert(!x86_reaches(64 * GIB + 4096, 36) && !x86_reaches(1024 * GIB, 36));
	ck_assert_uint_ge(arch_phys_bits(), 32);
	ck_assert_uint_le(arch_phys_bits(), 52);
}
END_TEST

static bool apart(uint64_t a, uint64_t alen, uint64_t b, uint64_t blen)
{
	return !alen || !blen || a + alen <= b || b + blen <= a;
}

/* RAM, windows and registers, whatever the amount of RAM and the CPU. */
START_TEST(nothing_overlaps)
{
	static const uint64_t around[] = {2 * MIB, 3 * GIB, 4 * GIB, 32 * GIB, 61 * GIB, 63 * GIB, 64 * GIB,
		128 * GIB, 1023 * GIB, 1024 * GIB, 16384 * GIB};
	static const uint64_t fixed[][2] = {{PCI_ECAM_BASE, PCI_ECAM_SIZE}, {PCI_MEM32_BASE, PCI_MEM32_SIZE},
		{MMIO_PLATFORM, MMIO_PLATFORM_SIZE}, {IOAPIC_BASE, IOAPIC_SIZE}, {LAPIC_BASE, 0x1000},
		{IDENTITY_MAP_ADDR, 0x4000}};

	for (size_t i = 0; i < 3 * sizeof(around) / sizeof(around[0]); i++) {
		uint64_t size = around[i / 3] + (i % 3 - 1) * 4096, top;
		struct e820_range map[E820_MAX];
		struct ram_range ram[2];
		int n = arch_ram_ranges(size, ram, 2);
		unsigned nmap;

		ck_assert_int_ge(n, 1);
		mem = (struct guest_mem){.n = n};
		for (int r = 0; r < n; r++)
			mem.region[r] = (struct mem_region){
				.gpa = ram[r].gpa, .size = ram[r].size, .host = (uint8_t *)4096};
		top = mem_top(&mem);
		nmap = x86_e820(&mem, true, map);
		for (unsigned bits = 36; bits <= 52; bits++) {
			struct pci_layout l;

			if (!x86_reaches(top, bits))
				continue;
			x86_pci_layout(&l, top, bits);
			ck_assert(!l.mem64_size || l.mem64 + l.mem64_size <= 1ULL << bits);
			ck_assert(!l.mem64_size || l.mem64 % l.mem64_size == 0);
			for (int r = 0; r < n; r++) {
				ck_assert(apart(l.mem64, l.mem64_size, ram[r].gpa, ram[r].size));
				for (size_t f = 0; f < sizeof(fixed) / sizeof(fixed[0]); f++)
					ck_assert(apart(fixed[f][0], fixed[f][1], ram[r].gpa, ram[r].size));
			}
			for (unsigned m = 0; m < nmap; m++) {
				ck_assert(apart(l.mem64, l.mem64_size, map[m].gpa, map[m].size));
				ck_assert(apart(l.mem32, l.mem32_size, map[m].gpa, map[m].size));
				ck_assert(map[m].type != E820_RAM || mem_at(&mem, map[m].gpa, map[m].size));
			}
		}
		for (size_t f = 0; f < sizeof(fixed) / sizeof(fixed[0]); f++)
			for (size_t g = 0; g < f; g++)
				ck_assert(apart(fixed[f][0], fixed[f][1], fixed[g][0], fixed[g][1]));
	}
}
END_TEST

START_TEST(linux_refusals)
{
	struct image im;
	struct guest_config cfg;

#define REFUSED(change, words)           \
	do {                             \
		im = bzimage();          \
		change;                  \
		cfg = config(&im);       \
		ck_refused(&cfg, words); \
	} while (0)
	unit_ram(&mem, 0, 8 * MIB);
	REFUSED(header(&im)->xloadflags = XLF_CAN_BE_LOADED_ABOVE_4G,
		"is a 32-bit kernel; give an x86-64 one");
	REFUSED(header(&im)->version = 0x20b, "boot protocol 2.11 is too old");
	REFUSED(header(&im)->loadflags = 0, "is a zImage");
	REFUSED(header(&im)->syssize = 0, "no kernel follows");
	REFUSED(header(&im)->syssize = 0xffffffff,
		"is truncated: its header speaks of 68719478256 bytes, the file has 17920");
	REFUSED(header(&im)->syssize = 16384 / 16 + 1, "is truncated");
	REFUSED(header(&im)->syssize = 0x200 / 16, "no 64-bit entry");
	REFUSED(header(&im)->setup_sects = 255, "is truncated");
	REFUSED(header(&im)->setup_sects = 0, "is truncated");
	REFUSED(im.len -= 16, "is truncated");
	REFUSED(im.len = 1024, "is truncated");
	REFUSED(im.len = 0x250, "is truncated");
	REFUSED(header(&im)->init_size = 4 * MIB + 1, "give at least --memory 9M");
	REFUSED(header(&im)->pref_address = GIB, "but RAM ends at 0x800000; give at least --memory 1026M");
	REFUSED(header(&im)->pref_address = -1ULL, "where no guest has RAM");
	REFUSED(header(&im)->init_size = 0xffffffff, "where no guest has RAM");
	REFUSED(header(&im)->relocatable_kernel = 0; header(&im)->pref_address = 0x10000, "below 1 MiB");
	REFUSED(header(&im)->pref_address = 0;
		header(&im)->kernel_alignment = 0xffffffff, "where no guest has RAM");
#undef REFUSED
}
END_TEST

START_TEST(linux_odd_but_good)
{
	struct image im = bzimage();
	struct guest_config cfg;
	uint8_t *ram = unit_ram(&mem, 0, 8 * MIB);

	header(&im)->init_size = 4 * MIB; /* to the last byte of RAM */
	cfg = config(&im);
	ck_assert_int_eq(try_boot(&cfg), 0);

	im = bzimage();
	im.len -= 15; /* the last paragraph is not full */
	cfg = config(&im);
	ck_assert_int_eq(try_boot(&cfg), 0);

	im = bzimage();
	memmove(im.data + 5 * 512, im.data + 3 * 512, 16384);
	im.len = 5 * 512 + 16384 + 100; /* a signature behind the kernel */
	header(&im)->setup_sects = 0;	/* means 4 */
	header(&im)->pref_address = 0;	/* relocatable: ours to choose */
	cfg = config(&im);
	memset(ram, 0, 8 * MIB);
	ck_assert_int_eq(try_boot(&cfg), 0);
	ck_assert_uint_eq(boot->cpu.rip, 2 * MIB + 0x200);
	ck_assert_mem_eq(ram + 2 * MIB, im.data + 5 * 512, 16384);
	ck_assert_uint_eq(ram[2 * MIB + 16384], 0);
}
END_TEST

static uint64_t initrd_gpa(void)
{
	return zero_page()->hdr.ramdisk_image | (uint64_t)zero_page()->ext_ramdisk_image << 32;
}

START_TEST(initrd_is_placed)
{
	struct image im = bzimage();
	struct guest_config cfg = config(&im);
	static uint8_t rd[2 * MIB + 4096];
	uint8_t *ram = unit_ram(&mem, 0, 8 * MIB);

	for (size_t i = 0; i < sizeof(rd); i++)
		rd[i] = i * 11 + 1;
	/* One byte: the last page of RAM. */
	cfg.initrd = file_of(rd, 1);
	ck_assert_int_eq(try_boot(&cfg), 0);
	ck_assert_uint_eq(initrd_gpa(), 8 * MIB - 4096);
	/* Whole pages: up to the last byte. */
	cfg.initrd = file_of(rd, 8192);
	ck_assert_int_eq(try_boot(&cfg), 0);
	ck_assert_uint_eq(initrd_gpa(), 8 * MIB - 8192);
	ck_assert_uint_eq(zero_page()->hdr.ramdisk_size, 8192);
	ck_assert_mem_eq(ram + 8 * MIB - 8192, rd, 8192);
	/* All that the kernel leaves, and a byte more. */
	cfg.initrd = file_of(rd, 2 * MIB);
	ck_assert_int_eq(try_boot(&cfg), 0);
	ck_assert_uint_eq(initrd_gpa(), 6 * MIB);
	cfg.initrd = file_of(rd, 2 * MIB + 1);
	ck_refused(&cfg, ": 2049 KiB do not fit in the 2048 KiB that the kernel leaves; give more --memory");
	ck_assert_ptr_nonnull(strstr(message, "--initrd "));
	/* initrd_addr_max is the last byte it may take. */
	cfg.initrd = file_of(rd, 8192);
	header(&im)->initrd_addr_max = 7 * MIB - 1;
	cfg.kernel = file_of(im.data, im.len);
	ck_assert_int_eq(try_boot(&cfg), 0);
	ck_assert_uint_eq(initrd_gpa(), 7 * MIB - 8192);
	/* No room there: elsewhere only for a kernel that can reach it. */
	header(&im)->initrd_addr_max = 6 * MIB - 1;
	cfg.kernel = file_of(im.data, im.len);
	ck_assert_int_eq(try_boot(&cfg), 0);
	ck_assert_uint_eq(initrd_gpa(), 8 * MIB - 8192);
	header(&im)->xloadflags = XLF_KERNEL_64;
	cfg.kernel = file_of(im.data, im.len);
	ck_refused(&cfg, "8 KiB do not fit in the 0 KiB");
}
END_TEST

START_TEST(initrd_above_4_gib)
{
	struct image im = bzimage();
	struct guest_config cfg = config(&im);
	static uint8_t rd[3 * MIB];
	uint8_t *high;

	rd[0] = 1;
	unit_ram(&mem, 0, 8 * MIB);
	high = unit_ram(&mem, 4 * GIB, 4 * MIB);
	cfg.initrd = file_of(rd, sizeof(rd));
	ck_assert_int_eq(try_boot(&cfg), 0);
	ck_assert_uint_eq(initrd_gpa(), 4 * GIB + MIB);
	ck_assert_uint_eq(high[MIB], 1);
	header(&im)->xloadflags = XLF_KERNEL_64;
	cfg.kernel = file_of(im.data, im.len);
	ck_refused(&cfg, "do not fit");
}
END_TEST

/* Regions that meet (guest NUMA nodes) are one RAM to a loader. */
START_TEST(pieces_across_regions)
{
	struct image im = bzimage();
	struct guest_config cfg = config(&im);
	uint8_t *a = unit_ram(&mem, 0, 4 * MIB + 4096), *b = unit_ram(&mem, 4 * MIB + 4096, 4 * MIB);

	ck_assert_int_eq(try_boot(&cfg), 0);
	ck_assert_mem_eq(a + 4 * MIB, im.data + 3 * 512, 4096);
	ck_assert_mem_eq(b, im.data + 3 * 512 + 4096, 16384 - 4096);
}
END_TEST

START_TEST(command_lines)
{
	struct image im = bzimage();
	struct guest_config cfg = config(&im);
	static char text[CMDLINE_MAX + 2];
	uint8_t *ram = unit_ram(&mem, 0, 8 * MIB);

	cfg.append = "quiet";
	ck_assert_int_eq(try_boot(&cfg), 0);
	ck_assert_str_eq((char *)ram + ADDR_CMDLINE, "quiet");
	cfg.append = "";
	ck_assert_int_eq(try_boot(&cfg), 0);
	ck_assert_str_eq((char *)ram + ADDR_CMDLINE, "");
	cfg.append = memset(text, 'x', 2047);
	ck_assert_int_eq(try_boot(&cfg), 0);
	ck_assert_str_eq((char *)ram + ADDR_CMDLINE, text);
	text[2047] = 'x';
	ck_refused(&cfg, "--append: the command line has 2048 bytes; this kernel takes at most 2047");
	header(&im)->cmdline_size = 0xffffffff;
	cfg.kernel = file_of(im.data, im.len);
	memset(text, 'x', CMDLINE_MAX - 1);
	ck_assert_int_eq(try_boot(&cfg), 0);
	text[CMDLINE_MAX - 1] = 'x';
	ck_refused(&cfg, "has 65536 bytes; this kernel takes at most 65535");
}
END_TEST

START_TEST(files_that_are_no_files)
{
	char dir[] = "/tmp/pinvm-test-XXXXXX", path[64];
	struct image im = bzimage();
	struct guest_config cfg = config(&im), none = {0};

	unit_ram(&mem, 0, 8 * MIB);
	ck_refused(&none, "--kernel: none given");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	none.kernel = cfg.initrd = dir;
	ck_refused(&none, "is a directory; give a file");
	ck_refused(&cfg, "--initrd /tmp/pinvm-test-");
	snprintf(path, sizeof(path), "%s/fifo", dir);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	none.kernel = cfg.initrd = path;
	ck_refused(&none, "is a FIFO");
	ck_refused(&cfg, "is a FIFO");
	unlink(path);
	ck_refused(&none, "No such file or directory");
	rmdir(dir);
	none.kernel = "/dev/null";
	ck_refused(&none, "--kernel /dev/null: is not a file; give a regular file or a block device");
	none.kernel = cfg.initrd = file_of("", 0);
	ck_refused(&none, "is empty");
	ck_refused(&cfg, "is empty");
}
END_TEST

START_TEST(unreadable)
{
	char path[] = "/tmp/pinvm-test-XXXXXX";
	struct guest_config cfg = {.kernel = path};
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fchmod(fd, 0), 0);
	if (!geteuid())
		ck_assert_int_eq(seteuid(65534), 0);
	ck_refused(&cfg, "Permission denied");
	ck_assert_int_eq(seteuid(getuid()), 0);
	unlink(path);
}
END_TEST

START_TEST(other_formats)
{
	static const struct {
		unsigned off, len;
		const char *magic, *words;
	} t[] = {
		{0, 2, "\x1f\x8b", "is compressed by gzip; unpack it (gzip -dc)"},
		{0, 6, "\xfd\x37zXZ", "is compressed by xz"},
		{0, 4, "\x28\xb5\x2f\xfd", "is compressed by zstd"},
		{0x38, 4, "ARMd", "is an arm64 kernel (Image); this is an x86-64 host"},
		{0, 2, "MZ", "is an EFI program"},
		{0, 1, "x", "is no kernel pinvm knows; give a bzImage"},
	};

	unit_ram(&mem, 0, 8 * MIB);
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct image im = {.len = 4096};
		struct guest_config cfg;

		memcpy(im.data + t[i].off, t[i].magic, t[i].len);
		cfg = config(&im);
		ck_refused(&cfg, t[i].words);
	}
}
END_TEST

/* A restart lays the same image anew; one that was cut meanwhile is refused, not read as zeros. */
START_TEST(loads_again_from_the_same_file)
{
	struct image im = bzimage();
	struct guest_config cfg = config(&im);
	uint8_t *ram = unit_ram(&mem, 0, 8 * MIB), seed[32];

	ck_assert_int_eq(try_boot(&cfg), 0);
	memcpy(seed, ram + ADDR_SETUP_DATA + 16, 32);
	memset(ram, 0x55, 8 * MIB);
	ck_assert_int_eq(arch_boot_load(boot, &cfg, &mem), 0);
	ck_assert_mem_eq(ram + KERNEL_M * MIB, im.data + 3 * 512, 16384);
	ck_assert_mem_ne(ram + ADDR_SETUP_DATA + 16, seed, 32);
	ck_assert_uint_eq(zero_page()->e820_entries, 4);
	ck_assert_int_eq(truncate(cfg.kernel, 2048), 0);
	ck_assert_int_eq(arch_boot_load(boot, &cfg, &mem), -EINVAL);
}
END_TEST

START_TEST(too_little_ram)
{
	struct image im = bzimage();
	struct guest_config cfg = config(&im);

	unit_ram(&mem, 0, MIB);
	ck_refused(&cfg, "--memory: a guest needs more than 1 MiB");
}
END_TEST

UNIT_MAIN("boot", linux_is_placed, linux_refusals, linux_odd_but_good, initrd_is_placed, initrd_above_4_gib,
	pieces_across_regions, command_lines, files_that_are_no_files, unreadable, other_formats,
	loads_again_from_the_same_file, too_little_ram, page_tables_map_4_gib_onto_themselves, gdt_is_flat,
	e820_at_every_size, e820_without_pci_has_no_ecam,
	e820_merges_neighbours, ram_ranges, pci_window_fits_the_cpu, nothing_overlaps)
