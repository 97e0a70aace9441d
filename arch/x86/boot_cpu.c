// SPDX-License-Identifier: Apache-2.0
/* The tables in low RAM that the boot CPU starts with: GDT and identity page tables. Main only. */
#include <errno.h>

#include "arch/x86/boot.h"
#include "arch/x86/layout.h"

/* Intel SDM vol. 3, 3.4.5 and 3.5: flat 4 GiB segments, present, DPL 0. */
#define GDT_CODE64 0x00af9b000000ffffULL
#define GDT_CODE32 0x00cf9b000000ffffULL
#define GDT_DATA   0x00cf93000000ffffULL
#define GDT_TSS32  0x00008b0000000067ULL /* busy, base 0, limit 0x67 */

/* Intel SDM vol. 3, 4.5 */
#define PTE_TABLE (1 | 2)	   /* present, writable */
#define PTE_2M	  (1 | 2 | 1 << 7) /* and a page of its own */
#define ENTRIES	  512
#define MAP_GIB	  4

static int write_gdt(const struct boot_cpu *cpu, const struct guest_mem *mem)
{
	const uint64_t gdt[] = {
		[BOOT_CS / 8] = cpu->long_mode ? GDT_CODE64 : GDT_CODE32,
		[BOOT_DS / 8] = GDT_DATA,
		[BOOT_TSS / 8] = GDT_TSS32,
	};

	_Static_assert(sizeof(gdt) == BOOT_GDT_LIMIT + 1, "the limit covers the table");
	return mem_write(mem, ADDR_GDT, gdt, sizeof(gdt));
}

/* A PML4 and a PDPT with one page directory of 2 MiB pages for each GiB: every 64-bit CPU has those. */
static int write_page_tables(const struct guest_mem *mem)
{
	uint64_t(*table)[ENTRIES] = mem_at(mem, ADDR_PML4, (2 + MAP_GIB) * sizeof(*table));

	if (!table)
		return -EFAULT;
	for (unsigned i = 0; i < ENTRIES; i++) {
		table[0][i] = i ? 0 : (ADDR_PML4 + sizeof(*table)) | PTE_TABLE;
		table[1][i] = i < MAP_GIB ? (ADDR_PML4 + (2 + i) * sizeof(*table)) | PTE_TABLE : 0;
	}
	for (uint64_t i = 0; i < MAP_GIB * ENTRIES; i++)
		table[2 + i / ENTRIES][i % ENTRIES] = i << 21 | PTE_2M;
	return 0;
}

int boot_cpu_tables(const struct boot_cpu *cpu, const struct guest_mem *mem)
{
	int r = write_gdt(cpu, mem);

	return r || !cpu->long_mode ? r : write_page_tables(mem);
}
