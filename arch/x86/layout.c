// SPDX-License-Identifier: Apache-2.0
/* The address map put to use: where RAM lies, what E820 says of it, where PCI windows and slots are. Main only. */
#include "arch/x86/layout.h"

#include <cpuid.h>
#include <errno.h>

#include "arch/arch.h"
#include "arch/x86/boot.h"
#include "devices/pci.h"
#include "devices/virtio/devs.h"

#define PAGE 4096

int arch_ram_ranges(uint64_t size, struct ram_range *out, unsigned max)
{
	uint64_t low = size < RAM_LOW_MAX ? size : RAM_LOW_MAX;
	uint64_t high = size - low;

	if (!size || size % PAGE || high > UINT64_MAX - RAM_HIGH || max < (high ? 2 : 1))
		return -EINVAL;
	out[0] = (struct ram_range){.gpa = 0, .size = low};
	if (!high)
		return 1;
	out[1] = (struct ram_range){.gpa = RAM_HIGH, .size = high};
	return 2;
}

unsigned arch_phys_bits(void)
{
	unsigned a, b, c, d;

	/* 36 is what every CPU that lacks the leaf has. */
	return __get_cpuid(0x80000008, &a, &b, &c, &d) && (a & 0xff) ? a & 0xff : 36;
}

bool x86_reaches(uint64_t mem_top, unsigned phys_bits)
{
	return phys_bits >= 64 || mem_top <= 1ULL << phys_bits;
}

void x86_pci_layout(struct pci_layout *out, uint64_t mem_top, unsigned phys_bits)
{
	*out = (struct pci_layout){
		.ecam = PCI_ECAM_BASE,
		.ecam_size = PCI_ECAM_SIZE,
		.mem32 = PCI_MEM32_BASE,
		.mem32_size = PCI_MEM32_SIZE,
		.mem64_size = PCI_MEM64_SIZE,
		.mech1 = true,
	};
	pci_place_mem64(out, mem_top > RAM_HIGH ? mem_top : RAM_HIGH, PCI_MEM64_MIN, phys_bits);
}

void arch_pci_layout(struct pci_layout *out, uint64_t mem_top)
{
	x86_pci_layout(out, mem_top, arch_phys_bits());
}

_Static_assert(MMIO_PIN_FIRST + MMIO_SLOTS_FIRST == IOAPIC_PINS && MMIO_PIN_FIRST > PIN_GED &&
		       MMIO_PIN_REST > PIN_SERIAL && MMIO_PIN_REST + MMIO_SLOTS - MMIO_SLOTS_FIRST == 8,
	"pins of slots are no other's");
_Static_assert(MMIO_SLOTS * MMIO_SLOT_SIZE <= MMIO_PLATFORM_SIZE, "slots are in the platform's window");

unsigned arch_mmio_slots(void)
{
	return MMIO_SLOTS;
}

void arch_mmio_slot(struct mmio_slot *out, unsigned i)
{
	*out = (struct mmio_slot){
		.base = MMIO_PLATFORM + (uint64_t)i * MMIO_SLOT_SIZE,
		.size = MMIO_SLOT_SIZE,
		.gsi = i < MMIO_SLOTS_FIRST ? MMIO_PIN_FIRST + i : MMIO_PIN_REST + i - MMIO_SLOTS_FIRST,
	};
}

uint64_t x86_ram_low_end(const struct guest_mem *mem)
{
	uint64_t end = 0;

	for (unsigned i = 0; i < mem->n && mem->region[i].gpa == end; i++)
		end += mem->region[i].size;
	return end < RAM_LOW_MAX ? end : RAM_LOW_MAX;
}

/* Add [gpa, end) unless it is empty, as part of the entry before it where it can be. */
static void add(struct e820_range *out, unsigned *n, uint64_t gpa, uint64_t end, enum e820_type type)
{
	struct e820_range *prev = *n ? &out[*n - 1] : NULL;

	if (gpa >= end)
		return;
	if (prev && prev->type == type && prev->gpa + prev->size == gpa)
		prev->size += end - gpa;
	else
		out[(*n)++] = (struct e820_range){.gpa = gpa, .size = end - gpa, .type = type};
}

unsigned x86_e820(const struct guest_mem *mem, bool pci, struct e820_range out[E820_MAX])
{
	uint64_t low = x86_ram_low_end(mem);
	unsigned n = 0;

	add(out, &n, 0, low < ADDR_EBDA ? low : ADDR_EBDA, E820_RAM);
	add(out, &n, ADDR_EBDA, ADDR_KERNEL, E820_RESERVED);
	add(out, &n, ADDR_KERNEL, low, E820_RAM);
	/* Linux uses the ECAM only when E820 (and the DSDT) keep it for the board. */
	if (pci)
		add(out, &n, PCI_ECAM_BASE, PCI_ECAM_BASE + PCI_ECAM_SIZE, E820_RESERVED);
	for (unsigned i = 0; i < mem->n; i++)
		if (mem->region[i].gpa >= RAM_HIGH)
			add(out, &n, mem->region[i].gpa, mem->region[i].gpa + mem->region[i].size, E820_RAM);
	return n;
}
