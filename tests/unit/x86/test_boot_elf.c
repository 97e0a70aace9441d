// SPDX-License-Identifier: Apache-2.0
/* ELF kernels by PVH and Multiboot: placement, what they are told, and the files that lie. */
#include <elf.h>

#include "arch/x86/boot.h"
#include "arch/x86/layout.h"
#include "tests/unit/bootimage.h"

#define TEXT_OFF  0x1000
#define TEXT_LEN  0x1800
#define TEXT_MEM  0x3000
#define DATA_OFF  0x3000
#define DATA_LEN  0x400
#define DATA_MEM  0x10000
#define NOTE_OFF  0x200
#define MB_OFF	  0x1010 /* of a Multiboot header */
#define TEXT_GPA  (2 * MIB)
#define DATA_GPA  (3 * MIB)
#define ENTRY	  (TEXT_GPA + 0x40)
#define KERNEL_VA 0xffffffff80000000

/* What a test changes before an image is made of it. */
struct elf {
	Elf64_Ehdr e;
	Elf64_Phdr p[3]; /* text, data, note */
	Elf64_Nhdr note;
	char owner[4];
	uint64_t phys_entry;
	size_t len;
	uint32_t multiboot[8]; /* header, where the first is not 0 */
};

static struct elf elf_base(void)
{
	struct elf f = {
		.e = {.e_type = ET_EXEC,
			.e_machine = EM_X86_64,
			.e_entry = KERNEL_VA + ENTRY,
			.e_phoff = 64,
			.e_phentsize = sizeof(Elf64_Phdr),
			.e_phnum = 3},
		.p = {{.p_type = PT_LOAD,
			      .p_offset = TEXT_OFF,
			      .p_paddr = TEXT_GPA,
			      .p_vaddr = KERNEL_VA + TEXT_GPA,
			      .p_filesz = TEXT_LEN,
			      .p_memsz = TEXT_MEM},
			{.p_type = PT_LOAD,
				.p_offset = DATA_OFF,
				.p_paddr = DATA_GPA,
				.p_vaddr = KERNEL_VA + DATA_GPA,
				.p_filesz = DATA_LEN,
				.p_memsz = DATA_MEM},
			{.p_type = PT_NOTE, .p_offset = NOTE_OFF, .p_filesz = 16 + 20 + 12, .p_align = 4}},
		.note = {.n_namesz = 4, .n_descsz = 8, .n_type = 18},
		.owner = "Xen",
		.phys_entry = ENTRY,
		.len = DATA_OFF + DATA_LEN,
	};

	memcpy(f.e.e_ident, ELFMAG, SELFMAG);
	f.e.e_ident[EI_CLASS] = ELFCLASS64;
	f.e.e_ident[EI_DATA] = ELFDATA2LSB;
	return f;
}

/* The same kernel for Multiboot: 32-bit, without a note. */
static struct elf multiboot_base(void)
{
	struct elf f = elf_base();

	f.e.e_ident[EI_CLASS] = ELFCLASS32;
	f.e.e_machine = EM_386;
	f.e.e_phentsize = sizeof(Elf32_Phdr);
	f.e.e_phoff = sizeof(Elf32_Ehdr);
	f.e.e_entry = ENTRY;
	f.e.e_phnum = 2;
	f.p[0].p_vaddr = TEXT_GPA;
	f.p[1].p_vaddr = DATA_GPA;
	f.multiboot[0] = 0x1badb002;
	f.multiboot[1] = 3;
	f.multiboot[2] = -(0x1badb002 + 3);
	return f;
}

static void put_headers32(const struct elf *f, uint8_t *data)
{
	Elf32_Ehdr e = {
		.e_type = f->e.e_type,
		.e_machine = f->e.e_machine,
		.e_entry = f->e.e_entry,
		.e_phoff = f->e.e_phoff,
		.e_phentsize = f->e.e_phentsize,
		.e_phnum = f->e.e_phnum,
	};

	memcpy(e.e_ident, f->e.e_ident, EI_NIDENT);
	memcpy(data, &e, sizeof(e));
	for (int i = 0; i < 3; i++) {
		Elf32_Phdr p = {
			.p_type = f->p[i].p_type,
			.p_offset = f->p[i].p_offset,
			.p_vaddr = f->p[i].p_vaddr,
			.p_paddr = f->p[i].p_paddr,
			.p_filesz = f->p[i].p_filesz,
			.p_memsz = f->p[i].p_memsz,
		};

		memcpy(data + sizeof(e) + i * sizeof(p), &p, sizeof(p));
	}
}

static struct image elf_image(const struct elf *f)
{
	struct image im = {.len = f->len};
	uint8_t *at = im.data + NOTE_OFF;

	for (size_t i = TEXT_OFF; i < sizeof(im.data); i++)
		im.data[i] = i * 5 + 3;
	if (f->e.e_ident[EI_CLASS] == ELFCLASS32) {
		put_headers32(f, im.data);
	} else {
		memcpy(im.data, &f->e, sizeof(f->e));
		memcpy(im.data + 64, f->p, sizeof(f->p));
	}
	/* A note of somebody else before ours. */
	memcpy(at, &(Elf64_Nhdr){.n_namesz = 4, .n_descsz = 1, .n_type = 18}, 12);
	memcpy(at + 12, "GNU\0\1\0\0\0", 8);
	memcpy(at + 20, &f->note, 12);
	memcpy(at + 32, f->owner, 4);
	memcpy(at + 36, &f->phys_entry, 8);
	if (f->multiboot[0])
		memcpy(im.data + MB_OFF, f->multiboot, sizeof(f->multiboot));
	return im;
}

static int boot_elf(const struct elf *f, struct guest_config *cfg, struct image *im)
{
	*im = elf_image(f);
	cfg->kernel = file_of(im->data, im->len);
	return try_boot(cfg);
}

static void ck_segments(const uint8_t *ram, const struct image *im)
{
	ck_assert_mem_eq(ram + TEXT_GPA, im->data + TEXT_OFF, TEXT_LEN);
	ck_assert_mem_eq(ram + DATA_GPA, im->data + DATA_OFF, DATA_LEN);
	for (int i = TEXT_LEN; i < TEXT_MEM; i++)
		ck_assert_uint_eq(ram[TEXT_GPA + i], 0);
	for (int i = DATA_LEN; i < DATA_MEM; i++)
		ck_assert_uint_eq(ram[DATA_GPA + i], 0);
	ck_assert_uint_eq(ram[TEXT_GPA + TEXT_MEM], 0x55);
	ck_assert_uint_eq(ram[TEXT_GPA - 1], 0x55);
}

static uint64_t get(const uint8_t *ram, uint64_t at, unsigned len)
{
	uint64_t v = 0;

	memcpy(&v, ram + at, len);
	return v;
}

/* Offsets as start_info.h and boot.rst print them, so that the loader's own structs are not believed. */
START_TEST(pvh_is_placed)
{
	struct elf f = elf_base();
	struct guest_config cfg = {.append = "a b", .initrd = file_of("initrd", 6)};
	uint8_t *ram = memset(unit_ram(&mem, 0, 8 * MIB), 0x55, 8 * MIB);
	uint64_t info, mod, map;
	struct image im;

	ck_assert_int_eq(boot_elf(&f, &cfg, &im), 0);
	ck_assert_str_eq(arch_boot_protocol(boot), "pvh");
	ck_segments(ram, &im);
	ck_assert_uint_eq(ram[DATA_GPA + DATA_MEM], 0x55);
	ck_assert(!boot->cpu.long_mode);
	ck_assert_uint_eq(boot->cpu.rip, ENTRY);
	info = boot->cpu.rbx;
	ck_assert_uint_eq(get(ram, info, 4), 0x336ec578);
	ck_assert_uint_eq(get(ram, info + 4, 4), 1);
	ck_assert_uint_eq(get(ram, info + 8, 4), 0);
	ck_assert_uint_eq(get(ram, info + 12, 4), 1);
	mod = get(ram, info + 16, 8);
	ck_assert_str_eq((char *)ram + get(ram, info + 24, 8), "a b");
	ck_assert_uint_eq(get(ram, info + 32, 8), ADDR_RSDP);
	map = get(ram, info + 40, 8);
	ck_assert_uint_eq(get(ram, info + 48, 4), 4);
	ck_assert_uint_eq(get(ram, mod, 8), 8 * MIB - 4096);
	ck_assert_uint_eq(get(ram, mod + 8, 8), 6);
	ck_assert_mem_eq(ram + 8 * MIB - 4096, "initrd", 6);
	ck_assert_uint_eq(get(ram, map, 8), 0);
	ck_assert_uint_eq(get(ram, map + 8, 8), 0x9fc00);
	ck_assert_uint_eq(get(ram, map + 16, 4), 1);
	ck_assert_uint_eq(get(ram, map + 48, 8), MIB);
	ck_assert_uint_eq(get(ram, map + 56, 8), 7 * MIB);
	ck_assert_uint_eq(get(ram, map + 72, 8), 0xe0000000);
	ck_assert_uint_eq(get(ram, map + 88, 4), 2);
}
END_TEST

START_TEST(pvh_note_forms)
{
	struct guest_config cfg = {0};
	struct elf f = elf_base();
	struct image im;
	uint8_t *ram = unit_ram(&mem, 0, 8 * MIB);

	f.note.n_descsz = 4;
	f.p[2].p_filesz -= 4;
	ck_assert_int_eq(boot_elf(&f, &cfg, &im), 0);
	ck_assert_uint_eq(boot->cpu.rip, ENTRY);
	ck_assert_uint_eq(get(ram, boot->cpu.rbx + 12, 4), 0); /* no modules */
	ck_assert_uint_eq(get(ram, boot->cpu.rbx + 16, 8), 0);
	ck_assert_str_eq((char *)ram + ADDR_CMDLINE, "console=ttyS0");
	/* A 32-bit kernel may be PVH too. */
	f = multiboot_base();
	f.multiboot[0] = 0;
	f.e.e_phnum = 3;
	ck_assert_int_eq(boot_elf(&f, &cfg, &im), 0);
	ck_assert_str_eq(arch_boot_protocol(boot), "pvh");
}
END_TEST

START_TEST(multiboot_is_placed)
{
	struct elf f = multiboot_base();
	struct guest_config cfg = {.append = "debug=3", .initrd = file_of("module!", 7)};
	uint8_t *ram = memset(unit_ram(&mem, 0, 8 * MIB), 0x55, 8 * MIB);
	uint64_t info, mod, map;
	struct image im;

	ck_assert_int_eq(boot_elf(&f, &cfg, &im), 0);
	ck_assert_str_eq(arch_boot_protocol(boot), "multiboot");
	ck_assert_mem_eq(ram + TEXT_GPA + MB_OFF - TEXT_OFF, f.multiboot, 12);
	ck_segments(ram, &im);
	ck_assert(!boot->cpu.long_mode);
	ck_assert_uint_eq(boot->cpu.rip, ENTRY);
	ck_assert_uint_eq(boot->cpu.rax, 0x2badb002);
	info = boot->cpu.rbx;
	ck_assert_uint_eq(get(ram, info, 4), 1 << 0 | 1 << 2 | 1 << 3 | 1 << 6 | 1 << 9);
	ck_assert_uint_eq(get(ram, info + 4, 4), 639);
	ck_assert_uint_eq(get(ram, info + 8, 4), 7 * 1024);
	ck_assert_str_eq(strchr((char *)ram + get(ram, info + 16, 4), ' '), " debug=3");
	ck_assert_uint_eq(get(ram, info + 20, 4), 1);
	mod = get(ram, info + 24, 4);
	ck_assert_uint_eq(get(ram, mod, 4), DATA_GPA + DATA_MEM); /* right behind the kernel */
	ck_assert_uint_eq(get(ram, mod + 4, 4), DATA_GPA + DATA_MEM + 7);
	ck_assert_str_eq((char *)ram + get(ram, mod + 8, 4), strrchr(cfg.initrd, '/') + 1);
	ck_assert_uint_eq(get(ram, info + 44, 4), 4 * 24);
	map = get(ram, info + 48, 4);
	ck_assert_uint_eq(get(ram, map, 4), 20);
	ck_assert_uint_eq(get(ram, map + 48 + 4, 8), MIB);
	ck_assert_uint_eq(get(ram, map + 48 + 12, 8), 7 * MIB);
	ck_assert_uint_eq(get(ram, map + 48 + 20, 4), 1);
	ck_assert_str_eq((char *)ram + get(ram, info + 64, 4), "pinvm");
}
END_TEST

START_TEST(multiboot_virtual_entry)
{
	struct elf f = multiboot_base();
	struct guest_config cfg = {0};
	struct image im;
	uint8_t *ram = unit_ram(&mem, 0, 8 * MIB);

	f.p[0].p_vaddr = 0xc0000000 + TEXT_GPA;
	f.e.e_entry = 0xc0000000 + ENTRY;
	ck_assert_int_eq(boot_elf(&f, &cfg, &im), 0);
	ck_assert_uint_eq(boot->cpu.rip, ENTRY);
	ck_assert_uint_eq(get(ram, boot->cpu.rbx, 4), 1 << 0 | 1 << 2 | 1 << 6 | 1 << 9);
	ck_assert_str_eq((char *)ram + ADDR_CMDLINE, strrchr(cfg.kernel, '/') + 1);
}
END_TEST

/* A flat binary with the addresses in its header: at 0x100 of the file, all of which is loaded. */
static struct image flat(uint32_t load_end, uint32_t bss_end)
{
	struct image im = {.len = 0x4000};
	uint32_t h[8] = {0x1badb002, 1 << 16, -(0x1badb002 + (1u << 16)), TEXT_GPA + 0x100, TEXT_GPA,
		load_end, bss_end, TEXT_GPA + 0x200};

	for (size_t i = 0; i < im.len; i++)
		im.data[i] = i * 3 + 1;
	memcpy(im.data + 0x100, h, sizeof(h));
	return im;
}

START_TEST(multiboot_addresses)
{
	struct image im = flat(0, 0);
	struct guest_config cfg = config(&im);
	uint8_t *ram = memset(unit_ram(&mem, 0, 8 * MIB), 0x55, 8 * MIB);

	ck_assert_int_eq(try_boot(&cfg), 0);
	ck_assert_mem_eq(ram + TEXT_GPA, im.data, 0x4000);
	ck_assert_uint_eq(ram[TEXT_GPA + 0x4000], 0x55);
	ck_assert_uint_eq(boot->cpu.rip, TEXT_GPA + 0x200);
	memset(ram, 0x55, 8 * MIB);
	im = flat(TEXT_GPA + 0x1000, TEXT_GPA + 0x5000);
	cfg = config(&im);
	ck_assert_int_eq(try_boot(&cfg), 0);
	ck_assert_mem_eq(ram + TEXT_GPA, im.data, 0x1000);
	ck_assert_uint_eq(ram[TEXT_GPA + 0x1000], 0);
	ck_assert_uint_eq(ram[TEXT_GPA + 0x4fff], 0);
	ck_assert_uint_eq(ram[TEXT_GPA + 0x5000], 0x55);
}
END_TEST

START_TEST(multiboot_addresses_that_lie)
{
	struct guest_config cfg;
	struct image im;

#define REFUSED(load_end, bss_end, word, value, words)                               \
	do {                                                                         \
		im = flat(load_end, bss_end);                                        \
		if (word)                                                            \
			memcpy(im.data + 0x100 + 4 * (word), &(uint32_t){value}, 4); \
		cfg = config(&im);                                                   \
		ck_refused(&cfg, words);                                             \
	} while (0)
	unit_ram(&mem, 0, 8 * MIB);
	REFUSED(TEXT_GPA + 0x4001, 0, 0, 0, "is truncated");
	REFUSED(TEXT_GPA - 1, 0, 0, 0, "end before they begin");
	REFUSED(0, TEXT_GPA + 0x3fff, 0, 0, "bss in its Multiboot header ends before");
	REFUSED(0, 0x900000, 0, 0, "where this guest has no RAM");
	REFUSED(0, 0, 3, TEXT_GPA - 1, "begin before the file");
	REFUSED(0, 0, 3, TEXT_GPA + 0x101, "begin before the file");
	REFUSED(0, 0, 7, TEXT_GPA + 0x4000, "entry point 0x204000 is in none");
#undef REFUSED
}
END_TEST

#define REFUSED(base, change, words)     \
	do {                             \
		f = base();              \
		change;                  \
		im = elf_image(&f);      \
		cfg = config(&im);       \
		ck_refused(&cfg, words); \
	} while (0)

START_TEST(elf_headers_that_lie)
{
	struct guest_config cfg;
	struct image im;
	struct elf f;

	unit_ram(&mem, 0, 8 * MIB);
	REFUSED(elf_base, f.e.e_machine = EM_AARCH64, "is an arm64 kernel; this is an x86-64 host");
	REFUSED(elf_base, f.e.e_machine = EM_RISCV, "is for another CPU (ELF machine 243)");
	REFUSED(elf_base, f.e.e_type = ET_REL, "not a linked program");
	REFUSED(elf_base, f.e.e_ident[EI_DATA] = ELFDATA2MSB, "big-endian");
	REFUSED(elf_base, f.e.e_ident[EI_CLASS] = 7, "damaged (class 7)");
	REFUSED(elf_base, f.e.e_phnum = 0, "no program headers");
	REFUSED(elf_base, f.e.e_phnum = 65, "has 65 program headers; at most 64");
	REFUSED(elf_base, f.e.e_phnum = 0xffff, "has 65535 program headers");
	REFUSED(elf_base, f.e.e_phentsize = 55, "damaged (program headers of 55 bytes)");
	REFUSED(elf_base, f.e.e_phoff = f.len - 167, "program headers lie past the end");
	REFUSED(elf_base, f.e.e_phoff = f.len + 1, "program headers lie past the end");
	REFUSED(elf_base, f.e.e_phoff = -1ULL, "program headers lie past the end");
	REFUSED(elf_base, f.len = 63, "is truncated: it ends in its ELF header");
	REFUSED(elf_base, f.len = 4, "is truncated");
	REFUSED(elf_base, f.owner[0] = 'x', "is an ELF file with neither a PVH note nor a Multiboot header");
	REFUSED(elf_base, f.note.n_type = 17, "neither a PVH note");
	REFUSED(elf_base, f.note.n_descsz = 2, "neither a PVH note");
}
END_TEST

START_TEST(elf_notes_that_lie)
{
	struct guest_config cfg;
	struct image im;
	struct elf f;

	unit_ram(&mem, 0, 8 * MIB);
	REFUSED(elf_base, f.p[2].p_filesz = 65537, "has 65537 bytes of notes");
	REFUSED(elf_base, f.p[2].p_offset = f.len - 47, "notes lie past the end");
	REFUSED(elf_base, f.p[2].p_offset = -1ULL, "notes lie past the end");
	REFUSED(elf_base, f.note.n_descsz = 13, "note in it runs past the end");
	REFUSED(elf_base, f.note.n_descsz = 0xffffffff, "note in it runs past the end");
	REFUSED(elf_base, f.note.n_namesz = 0xffffffff, "note in it runs past the end");
	REFUSED(elf_base, f.p[2].p_filesz = 20 + 12, "note in it runs past the end");
	REFUSED(elf_base, f.p[2].p_filesz = 20 + 11, "neither a PVH note");
	REFUSED(elf_base, f.p[2].p_filesz = 0, "neither a PVH note");
	REFUSED(elf_base, f.phys_entry = 0, "entry point 0 is in none of its loaded segments");
	REFUSED(elf_base, f.phys_entry = TEXT_GPA + TEXT_LEN, "is in none of its loaded segments");
	REFUSED(elf_base, f.phys_entry = TEXT_GPA - 1, "is in none of its loaded segments");
	REFUSED(elf_base, f.p[0].p_paddr = f.phys_entry = 4 * GIB,
		"in none of its loaded segments below 4 GiB");
}
END_TEST

START_TEST(elf_segments_that_lie)
{
	struct guest_config cfg;
	struct image im;
	struct elf f;

	unit_ram(&mem, 0, 8 * MIB);
	REFUSED(elf_base, f.p[1].p_memsz = DATA_LEN - 1, "has 1024 bytes in the file but 1023 in memory");
	REFUSED(elf_base, f.p[1].p_memsz = 0, "has 1024 bytes in the file but 0 in memory");
	REFUSED(elf_base, f.p[1].p_filesz++, "is truncated: a segment lies past the end");
	REFUSED(elf_base, f.len--, "is truncated");
	REFUSED(elf_base, f.p[1].p_offset = -1ULL, "is truncated");
	REFUSED(elf_base, f.p[1].p_paddr = -4096ULL, "ends beyond all addresses");
	REFUSED(elf_base, f.p[1].p_memsz = -1ULL, "ends beyond all addresses");
	REFUSED(elf_base, f.p[1].p_paddr = ADDR_ZERO_PAGE, "wants to be loaded at 0x7000; below 1 MiB");
	REFUSED(elf_base, f.p[1].p_paddr = MIB - 1, "wants to be loaded at 0xfffff");
	REFUSED(elf_base, f.p[1].p_paddr = 0, "wants to be loaded at 0;");
	REFUSED(elf_base, f.p[1].p_paddr = TEXT_GPA + TEXT_MEM - 1,
		"segments at 0x200000 and 0x202fff overlap");
	REFUSED(elf_base, f.p[1].p_paddr = TEXT_GPA - DATA_MEM + 1, "overlap");
	REFUSED(elf_base, f.p[1].p_paddr = 8 * MIB - DATA_MEM + 1,
		"where this guest has no RAM; give it more --memory");
	REFUSED(elf_base, f.p[1].p_paddr = 0xfee00000, "0xfee00000-0xfee0ffff, where this guest has no RAM");
	REFUSED(elf_base, f.p[1].p_memsz = 1ULL << 40, "where this guest has no RAM");
	REFUSED(elf_base, f.p[0].p_type = f.p[1].p_type = PT_NULL, "has nothing to load");
}
END_TEST

START_TEST(elf_at_the_edges)
{
	struct elf f = elf_base();
	struct guest_config cfg = {0};
	struct image im;

	unit_ram(&mem, 0, 8 * MIB);
	f.p[1].p_paddr = 8 * MIB - DATA_MEM; /* to the last byte of RAM */
	ck_assert_int_eq(boot_elf(&f, &cfg, &im), 0);
	cfg.initrd = file_of("x", 1);
	ck_refused(&cfg, "1 KiB do not fit in the 0 KiB that the kernel leaves");
	cfg.initrd = NULL;
	f = elf_base();
	f.p[1].p_paddr = TEXT_GPA + TEXT_MEM; /* segments that touch */
	ck_assert_int_eq(boot_elf(&f, &cfg, &im), 0);
	f.p[1].p_paddr = MIB;
	ck_assert_int_eq(boot_elf(&f, &cfg, &im), 0);
}
END_TEST

START_TEST(multiboot_headers_that_lie)
{
	struct guest_config cfg;
	struct image im;
	struct elf f;

	unit_ram(&mem, 0, 8 * MIB);
	REFUSED(multiboot_base, f.multiboot[2]++, "Multiboot header has a wrong checksum");
	REFUSED(multiboot_base, f.multiboot[1] = 4;
		f.multiboot[2] = -(f.multiboot[0] + 4), "asks for a video mode");
	REFUSED(multiboot_base, f.multiboot[1] = 0x100;
		f.multiboot[2] = -(f.multiboot[0] + 0x100), "unknown to Multiboot 1 (flags 0x100)");
	REFUSED(multiboot_base, f.multiboot[0] = 0xe85250d6; f.multiboot[1] = 0; f.multiboot[2] = 24;
		f.multiboot[3] = -(0xe85250d6 + 24), "is a Multiboot 2 kernel");
	REFUSED(multiboot_base, f.e.e_phoff = 0x3400, "program headers lie past the end");
	REFUSED(multiboot_base, f.e.e_ident[0] = 0, "is not an ELF file; link it as ELF or set flag bit 16");
	REFUSED(multiboot_base, f.e.e_entry = 0, "is in none of its loaded segments");
	REFUSED(multiboot_base, f.p[0].p_paddr = 0x8000, "below 1 MiB");
}
END_TEST

START_TEST(multiboot_header_in_the_first_8_kib)
{
	struct elf f = multiboot_base();
	uint32_t h[3];
	struct guest_config cfg;
	struct image im;

	unit_ram(&mem, 0, 8 * MIB);
	memcpy(h, f.multiboot, sizeof(h));
	f.multiboot[0] = 0;
	im = elf_image(&f);
	memcpy(im.data + 8192 - 12, h, 12);
	cfg = config(&im);
	ck_assert_int_eq(try_boot(&cfg), 0);
	im = elf_image(&f);
	memcpy(im.data + 8192 - 8, h, 12);
	cfg = config(&im);
	ck_refused(&cfg, "neither a PVH note nor a Multiboot header");
	im = elf_image(&f);
	memcpy(im.data + 4098, h, 12); /* not aligned */
	cfg = config(&im);
	ck_refused(&cfg, "neither a PVH note nor a Multiboot header");
}
END_TEST

START_TEST(modules_that_do_not_fit)
{
	static uint8_t big[5 * MIB];
	struct elf f = multiboot_base();
	struct guest_config cfg;
	struct image im = elf_image(&f);

	unit_ram(&mem, 0, 8 * MIB);
	cfg = config(&im);
	cfg.initrd = file_of(big, 5 * MIB - DATA_MEM); /* to the last byte of RAM */
	ck_assert_int_eq(try_boot(&cfg), 0);
	cfg.initrd = file_of(big, 5 * MIB - DATA_MEM + 1);
	ck_refused(&cfg, "5057 KiB do not fit in the 5056 KiB that the kernel leaves");
	f = elf_base();
	im = elf_image(&f);
	cfg = config(&im);
	cfg.initrd = file_of(big, 5 * MIB - DATA_MEM);
	ck_assert_int_eq(try_boot(&cfg), 0);
	cfg.initrd = file_of(big, 5 * MIB - DATA_MEM + 1);
	ck_refused(&cfg, "5057 KiB do not fit in the 5056 KiB that the kernel leaves");
}
END_TEST

UNIT_MAIN("boot_elf", pvh_is_placed, pvh_note_forms, multiboot_is_placed, multiboot_virtual_entry,
	multiboot_addresses, multiboot_addresses_that_lie, elf_headers_that_lie, elf_notes_that_lie,
	elf_segments_that_lie, elf_at_the_edges, multiboot_headers_that_lie,
	multiboot_header_in_the_first_8_kib, modules_that_do_not_fit)
