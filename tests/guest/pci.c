// SPDX-License-Identifier: Apache-2.0
/* PCI: both doors to configuration space show the same, what is not there reads as ones, BARs say their size. */
#include <linux/pci_regs.h>

#include "tests/guest/lib/pci.h"

#define VIRTIO_VENDOR 0x1af4
#define CONFIG_BYTES  256

static void doors_agree(unsigned dev)
{
	for (unsigned off = 0; off < CONFIG_BYTES; off += 4) {
		uint32_t v = pci_read(dev, off, 4);

		check(ecam_read(dev, off, 4) == v);
		check(pci_read(dev, off + 2, 2) == v >> 16 && ecam_read(dev, off + 2, 2) == v >> 16);
		check(pci_read(dev, off + 3, 1) == v >> 24 && ecam_read(dev, off + 1, 1) == (v >> 8 & 0xff));
	}
	/* What one writes the other reads. */
	ecam_write(dev, PCI_INTERRUPT_LINE, 1, 0xa5);
	check(pci_read(dev, PCI_INTERRUPT_LINE, 1) == 0xa5);
	pci_write(dev, PCI_INTERRUPT_LINE, 1, 0x5a);
	check(ecam_read(dev, PCI_INTERRUPT_LINE, 1) == 0x5a);
}

static void bars(unsigned dev)
{
	uint64_t size = pci_bar_size(dev, 0), at = pci_bar(dev, 0);

	check(size >= 4096 && !(size & (size - 1)));
	check(at >= PCI_MEM32_BASE && at % size == 0); /* placed before boot */
	check(pci_bar_size(dev, 0) == size && pci_bar(dev, 0) == at);
	check(pci_cap(dev, PCI_CAP_ID_MSIX, 0) && pci_cap(dev, PCI_CAP_ID_VNDR, 0));
	check(*(volatile uint32_t *)(uintptr_t)at == ~0u); /* does not decode yet */
	pci_enable(dev, true);
	check(*(volatile uint32_t *)(uintptr_t)at != ~0u);
	pci_enable(dev, false);
	check(*(volatile uint32_t *)(uintptr_t)at == ~0u);
}

int main(void)
{
	unsigned found = 0;

	check(pci_read(0, PCI_CLASS_DEVICE, 2) == 0x0600); /* host bridge */
	for (unsigned dev = 0; dev < PCI_DEVS; dev++) {
		if (pci_read(dev, PCI_VENDOR_ID, 2) == 0xffff) {
			check(pci_read(dev, PCI_CLASS_REVISION, 4) == ~0u);
			check(ecam_read(dev, PCI_VENDOR_ID, 4) == ~0u);
			continue;
		}
		doors_agree(dev);
		if (pci_read(dev, PCI_VENDOR_ID, 2) == VIRTIO_VENDOR) {
			bars(dev);
			found++;
		}
	}
	print("%u virtio devices\n", found);
	check(found == arg_number("devices", found));
	outl(PIO_PCI, 0); /* not enabled: nobody answers */
	check(inl(PIO_PCI + 4) == ~0u);
	print("SUCCESS\n");
	return 0;
}
