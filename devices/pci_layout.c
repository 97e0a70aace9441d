// SPDX-License-Identifier: Apache-2.0
/* Where PCI's windows may be; main. A file of its own: who only asks for the address map needs no bus. */
#include "devices/pci.h"

void pci_place_mem64(struct pci_layout *layout, uint64_t floor, uint64_t least, unsigned bits)
{
	uint64_t limit = bits < 64 ? 1ULL << bits : UINT64_MAX;

	for (uint64_t size = layout->mem64_size; size >= least; size /= 2) {
		uint64_t base = (floor + size - 1) & ~(size - 1);

		if (base >= floor && base < limit && size <= limit - base) {
			layout->mem64 = base;
			layout->mem64_size = size;
			return;
		}
	}
	layout->mem64 = layout->mem64_size = 0;
}
