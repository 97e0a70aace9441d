// SPDX-License-Identifier: Apache-2.0
/*
 * One PCI function: type 0 header, BAR registers, capability list. Built by main; afterwards vCPU threads
 * come here with the device mutex held.
 */
#include "devices/pci_priv.h"

#include <assert.h>
#include <errno.h>
#include <linux/pci_regs.h>
#include <string.h>

#include "vmm/bus.h"
#include "vmm/pi_mutex.h"

#define STATUS_RW1C                                                                      \
	(PCI_STATUS_PARITY | PCI_STATUS_SIG_TARGET_ABORT | PCI_STATUS_REC_TARGET_ABORT | \
		PCI_STATUS_REC_MASTER_ABORT | PCI_STATUS_SIG_SYSTEM_ERROR | PCI_STATUS_DETECTED_PARITY)

void pci_lock_init(pthread_mutex_t *lock)
{
	int err = pi_mutex_init(lock);

	assert(!err); /* vm_init() found that this kernel has them */
	(void)err;
}

void pci_dev_init(struct pci_dev *dev, const struct pci_dev_ops *ops, const char *name, uint16_t vendor,
	uint16_t device, uint16_t subvendor, uint16_t subdevice, uint32_t class_rev)
{
	*dev = (struct pci_dev){.ops = ops, .name = name, .cap_end = PCI_STD_HEADER_SIZEOF};
	pci_lock_init(&dev->lock);
	bus_put(dev->cfg + PCI_VENDOR_ID, 2, vendor);
	bus_put(dev->cfg + PCI_DEVICE_ID, 2, device);
	bus_put(dev->cfg + PCI_CLASS_REVISION, 4, class_rev);
	bus_put(dev->cfg + PCI_SUBSYSTEM_VENDOR_ID, 2, subvendor);
	bus_put(dev->cfg + PCI_SUBSYSTEM_ID, 2, subdevice);
	/* No I/O BARs, so no COMMAND.IO. */
	bus_put(dev->wmask + PCI_COMMAND, 2,
		PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_PARITY | PCI_COMMAND_SERR |
			PCI_COMMAND_INTX_DISABLE);
	dev->wmask[PCI_CACHE_LINE_SIZE] = 0xff;
	dev->wmask[PCI_LATENCY_TIMER] = 0xff;
	dev->wmask[PCI_INTERRUPT_LINE] = 0xff;
}

void pci_dev_bar(struct pci_dev *dev, unsigned bar, uint64_t size, bool is64, bool prefetch)
{
	unsigned reg = PCI_BASE_ADDRESS_0 + 4 * bar;

	assert(bar + is64 < PCI_BARS && size >= 16 && !(size & (size - 1)) && (is64 || size <= 1ull << 31));
	dev->bar[bar] = (struct pci_bar){.size = size, .is64 = is64, .prefetch = prefetch};
	dev->cfg[reg] =
		(is64 ? PCI_BASE_ADDRESS_MEM_TYPE_64 : 0) | (prefetch ? PCI_BASE_ADDRESS_MEM_PREFETCH : 0);
	bus_put(dev->wmask + reg, is64 ? 8 : 4, ~(size - 1));
}

int pci_dev_cap(struct pci_dev *dev, uint8_t id, const void *body, unsigned len, const void *wmask)
{
	unsigned at = dev->cap_end, link = PCI_CAPABILITY_LIST;

	if (len > PCI_CFG_SIZE - at)
		return -ENOSPC;
	while (dev->cfg[link])
		link = dev->cfg[link] + PCI_CAP_LIST_NEXT;
	dev->cfg[link] = at;
	dev->cfg[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
	memcpy(dev->cfg + at, body, len);
	dev->cfg[at] = id;
	dev->cfg[at + PCI_CAP_LIST_NEXT] = 0;
	if (wmask)
		memcpy(dev->wmask + at, wmask, len);
	dev->cap_end = (at + len + 3) & ~3u;
	return at;
}

bool pci_mem_enabled(const struct pci_dev *dev)
{
	return dev->cfg[PCI_COMMAND] & PCI_COMMAND_MEMORY;
}

static void bars_from_cfg(struct pci_dev *dev)
{
	for (unsigned i = 0; i < PCI_BARS; i++) {
		struct pci_bar *b = &dev->bar[i];

		if (b->size)
			b->addr = bus_get(dev->cfg + PCI_BASE_ADDRESS_0 + 4 * i, b->is64 ? 8 : 4) &
				  ~(b->size - 1);
	}
}

void pci_bar_place(struct pci_dev *dev, unsigned bar, uint64_t addr)
{
	struct pci_bar *b = &dev->bar[bar];
	uint8_t *reg = dev->cfg + PCI_BASE_ADDRESS_0 + 4 * bar;
	unsigned len = b->is64 ? 8 : 4;

	bus_put(reg, len, addr | (bus_get(reg, len) & (b->size - 1)));
	b->addr = addr;
}

void pci_cfg_read(struct pci_dev *dev, unsigned off, uint8_t *data, unsigned len)
{
	if (off + len > PCI_CFG_SIZE) {
		memset(data, 0, len);
		return;
	}
	if (dev->ops->cfg_read)
		dev->ops->cfg_read(dev, off, len);
	memcpy(data, dev->cfg + off, len);
}

bool pci_cfg_write(struct pci_dev *dev, unsigned off, const uint8_t *data, unsigned len)
{
	uint8_t old[PCI_STD_HEADER_SIZEOF];
	bool was = pci_mem_enabled(dev), is;

	if (off + len > PCI_CFG_SIZE)
		return false;
	memcpy(old, dev->cfg, sizeof(old));
	for (unsigned i = 0; i < len; i++) {
		uint8_t mask = dev->wmask[off + i], *reg = &dev->cfg[off + i];

		*reg = (*reg & ~mask) | (data[i] & mask);
		if (off + i == PCI_STATUS + 1)
			*reg &= ~(data[i] & (STATUS_RW1C >> 8));
	}
	bars_from_cfg(dev);
	if (dev->msix)
		msix_control_written(dev->msix);
	if (dev->ops->cfg_written)
		dev->ops->cfg_written(dev, off, len);
	is = pci_mem_enabled(dev);
	return was != is ||
	       (is && memcmp(old + PCI_BASE_ADDRESS_0, dev->cfg + PCI_BASE_ADDRESS_0, 4 * PCI_BARS));
}

void pci_cfg_reset(struct pci_dev *dev)
{
	memcpy(dev->cfg, dev->cfg0, sizeof(dev->cfg));
	bars_from_cfg(dev);
	if (dev->msix)
		msix_reset(dev->msix);
}

static bool in_bar(const struct pci_dev *dev, unsigned bar, uint64_t off, unsigned len)
{
	return bar < PCI_BARS && off < dev->bar[bar].size && len <= dev->bar[bar].size - off;
}

void pci_bar_read(struct pci_dev *dev, unsigned bar, uint64_t off, uint8_t *data, unsigned len)
{
	memset(data, 0xff, len);
	if (!in_bar(dev, bar, off, len))
		return;
	if (dev->msix && msix_touches(dev->msix, bar, off, len))
		msix_read(dev->msix, off, data, len);
	else if (dev->ops->bar_read)
		dev->ops->bar_read(dev, bar, off, data, len);
}

void pci_bar_write(struct pci_dev *dev, unsigned bar, uint64_t off, const uint8_t *data, unsigned len)
{
	if (!in_bar(dev, bar, off, len))
		return;
	if (dev->msix && msix_touches(dev->msix, bar, off, len))
		msix_write(dev->msix, off, data, len);
	else if (dev->ops->bar_write)
		dev->ops->bar_write(dev, bar, off, data, len);
}
