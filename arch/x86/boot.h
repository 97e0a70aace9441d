/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel image of an x86 guest: what its loaders share, and the state in which the boot CPU starts.
 * All of it is main's, before a vCPU runs (at the start and at each restart).
 */
#ifndef PINVM_X86_BOOT_H
#define PINVM_X86_BOOT_H

#include <asm/bootparam.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/arch.h"
#include "vmm/bootfile.h"
#include "vmm/config.h"
#include "vmm/memory/mem.h"

/* Selectors of the GDT that boot_cpu_tables() writes at ADDR_GDT. */
#define BOOT_CS	       0x10
#define BOOT_DS	       0x18
#define BOOT_TSS       0x20
#define BOOT_GDT_LIMIT 0x27

/*
 * How the boot CPU starts: interrupts off, all segments flat (BOOT_CS, BOOT_DS), GDT at ADDR_GDT, no IDT.
 * long_mode: CR0.PE|PG, CR4.PAE, EFER.LME|LMA, CR3 = ADDR_PML4, which maps the low 4 GiB onto themselves.
 * Otherwise 32-bit protected mode, paging off, TR = BOOT_TSS (busy 32-bit TSS, base 0, limit 0x67).
 * General registers not named here are 0.
 */
struct boot_cpu {
	bool long_mode;
	uint64_t rip, rax, rbx, rsi;
};

/* A piece of a kernel file and its place in RAM; bytes of memsz behind filesz are zero. */
struct boot_segment {
	uint64_t off, filesz;
	uint64_t gpa, memsz;
	uint64_t vaddr;
};

#define BOOT_HEAD_SIZE	  8192 /* a Multiboot header lies in these bytes */
#define BOOT_MAX_SEGMENTS 64

struct boot_loader;

struct arch_boot {
	const struct boot_loader *loader;
	struct boot_file kernel, initrd;
	uint8_t head[BOOT_HEAD_SIZE]; /* first bytes of the kernel, zero behind its end */
	char *cmdline;
	uint64_t cmdline_max; /* bytes the kernel takes, NUL not counted */
	bool pci;	      /* the guest has PCI; valid from arch_boot_load() on */
	struct boot_cpu cpu;  /* valid after arch_boot_load() */

	struct setup_header linux_hdr; /* boot_linux.c */
	struct boot_segment segment[BOOT_MAX_SEGMENTS];
	unsigned nsegments;
	uint64_t entry; /* guest-physical, where the loader starts the CPU */
};

/* One boot protocol. */
struct boot_loader {
	const char *name;
	const char *append; /* command line when --append is missing */
	bool argv0;	    /* the command line starts with the kernel's name */
	/* Is the file mine? 1, 0, or -errno after a logged line when it is but cannot be booted. */
	int (*open)(struct arch_boot *boot);
	/* Lay everything into RAM and fill boot->cpu. 0 or -errno, logged. */
	int (*load)(struct arch_boot *boot, const struct guest_mem *mem);
};

extern const struct boot_loader boot_linux, boot_pvh, boot_multiboot;

/*
 * boot_elf.c
 * elf_open: read the headers of an ELF file (32- or 64-bit, x86) into boot->segment. *entry: e_entry as it
 * stands there. 1, 0 when it is not ELF, or -errno, logged. elf_note: find the note of that type of the owner
 * "Xen" (4 or 8 bytes). 1, 0, or -errno, logged. boot_check_segments: refuse what lies: below 1 MiB, over
 * each other, bytes the file does not have. 0 or -EINVAL, logged. boot_load_segments: copy them into RAM.
 * *end: the first byte behind them, on a page. 0 or -errno, logged. boot_entry_ok: refuse an entry point that
 * is not in the bytes loaded from the file, or not below 4 GiB.
 */
int elf_open(struct arch_boot *boot, uint64_t *entry);
int elf_note(struct arch_boot *boot, uint32_t type, uint64_t *value);
int boot_check_segments(const struct arch_boot *boot);
int boot_load_segments(struct arch_boot *boot, const struct guest_mem *mem, uint64_t *end);
int boot_entry_ok(const struct arch_boot *boot);

/* Put the command line at ADDR_CMDLINE. 0 or -errno, logged. */
int boot_write_cmdline(const struct arch_boot *boot, const struct guest_mem *mem);

/* Write the GDT (and page tables when cpu->long_mode) that struct boot_cpu speaks of. 0 or -EFAULT. */
int boot_cpu_tables(const struct boot_cpu *cpu, const struct guest_mem *mem);

/* layout.c: the memory map as the guest is told it. */
#define E820_MAX (MEM_MAX_REGIONS + 4)

enum e820_type { E820_RAM = 1, E820_RESERVED = 2 };

struct e820_range {
	uint64_t gpa, size;
	uint32_t type;
};

/* Ascending, not overlapping, neighbours merged; pci: with the ECAM. Returns the number of entries, at most E820_MAX. */
unsigned x86_e820(const struct guest_mem *mem, bool pci, struct e820_range out[E820_MAX]);

/* First byte behind the RAM that starts at 0, at most RAM_LOW_MAX. */
uint64_t x86_ram_low_end(const struct guest_mem *mem);

/* Can a CPU of that many physical address bits reach RAM that ends at mem_top? */
bool x86_reaches(uint64_t mem_top, unsigned phys_bits);

/* arch_pci_layout() for a CPU of that many physical address bits. */
void x86_pci_layout(struct pci_layout *out, uint64_t mem_top, unsigned phys_bits);

#endif
