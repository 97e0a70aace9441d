// SPDX-License-Identifier: Apache-2.0
/* PCI configuration space; see pci.h. */
#include "tests/guest/lib/pci.h"

#include <linux/pci_regs.h>

#define PORT_DATA (PIO_PCI + 4)
#define BAR(n)	  (PCI_BASE_ADDRESS_0 + 4 * (n))

static void select(unsigned dev, unsigned off)
{
	outl(PIO_PCI, 1u << 31 | dev << 11 | (off & 0xfc));
}

uint32_t pci_read(unsigned dev, unsigned off, unsigned len)
{
	select(dev, off);
	if (len == 1)
		return inb(PORT_DATA + off % 4);
	return len == 2 ? inw(PORT_DATA + off % 4) : inl(PORT_DATA);
}

void pci_write(unsigned dev, unsigned off, unsigned len, uint32_t value)
{
	select(dev, off);
	if (len == 1)
		outb(PORT_DATA + off % 4, value);
	else if (len == 2)
		outw(PORT_DATA + off % 4, value);
	else
		outl(PORT_DATA, value);
}

static uintptr_t ecam(unsigned dev, unsigned off)
{
	return PCI_ECAM_BASE + dev * 8 * 4096 + off;
}

uint32_t ecam_read(unsigned dev, unsigned off, unsigned len)
{
	if (len == 1)
		return *(volatile uint8_t *)ecam(dev, off);
	return len == 2 ? *(volatile uint16_t *)ecam(dev, off) : *(volatile uint32_t *)ecam(dev, off);
}

void ecam_write(unsigned dev, unsigned off, unsigned len, uint32_t value)
{
	if (len == 1)
		*(volatile uint8_t *)ecam(dev, off) = value;
	else if (len == 2)
		*(volatile uint16_t *)ecam(dev, off) = value;
	else
		*(volatile uint32_t *)ecam(dev, off) = value;
}

bool pci_find(uint16_t vendor, uint16_t device, unsigned nth, unsigned *dev)
{
	for (unsigned i = 0; i < PCI_DEVS; i++) {
		if (pci_read(i, PCI_VENDOR_ID, 4) != (vendor | (uint32_t)device << 16) || nth--)
			continue;
		*dev = i;
		return true;
	}
	return false;
}

unsigned pci_cap(unsigned dev, uint8_t id, unsigned after)
{
	unsigned at = pci_read(dev, after ? after + PCI_CAP_LIST_NEXT : PCI_CAPABILITY_LIST, 1);

	/* No list is longer than the space it lies in. */
	for (unsigned n = 0; at && n < 48; n++, at = pci_read(dev, at + PCI_CAP_LIST_NEXT, 1))
		if (pci_read(dev, at, 1) == id)
			return at;
	return 0;
}

static bool is64(unsigned dev, unsigned bar)
{
	return pci_read(dev, BAR(bar), 4) & PCI_BASE_ADDRESS_MEM_TYPE_64;
}

uint64_t pci_bar(unsigned dev, unsigned bar)
{
	uint64_t addr = pci_read(dev, BAR(bar), 4) & ~15u;

	return is64(dev, bar) ? addr | (uint64_t)pci_read(dev, BAR(bar + 1), 4) << 32 : addr;
}

void pci_bar_set(unsigned dev, unsigned bar, uint64_t addr)
{
	pci_write(dev, BAR(bar), 4, addr);
	if (is64(dev, bar))
		pci_write(dev, BAR(bar + 1), 4, addr >> 32);
}

uint64_t pci_bar_size(unsigned dev, unsigned bar)
{
	uint64_t was = pci_bar(dev, bar), ones;

	pci_bar_set(dev, bar, ~0ull);
	ones = pci_bar(dev, bar);
	pci_bar_set(dev, bar, was);
	if (!is64(dev, bar))
		ones |= 0xffffffffull << 32;
	return ~ones + 1;
}

void pci_enable(unsigned dev, bool on)
{
	uint32_t bits = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, now = pci_read(dev, PCI_COMMAND, 2);

	pci_write(dev, PCI_COMMAND, 2, on ? now | bits : now & ~bits);
}
