/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-pci's own: pci.c (reset, kicks, BAR, life), pci_common.c (common configuration), pci_caps.c
 * (capabilities). Everything here is called with the PCI device's mutex held.
 *
 *   BAR 0   0x0000 common configuration   0x0100 ISR   0x0200 device configuration
 *           0x1000 notify, 4 bytes a queue             0x2000 MSI-X table and pending bits
 */
#ifndef PINVM_VIRTIO_PCI_PRIV_H
#define PINVM_VIRTIO_PCI_PRIV_H

#include <linux/virtio_pci.h>
#include <stdatomic.h>

#include "devices/pci.h"
#include "devices/virtio/devs.h"
#include "devices/virtio/regs.h"
#include "vmm/util.h"

#define VP_BAR	    0
#define AT_COMMON   0x0000
#define COMMON_LEN  (VIRTIO_PCI_COMMON_Q_USEDHI + 4)
#define AT_ISR	    0x0100
#define AT_CONFIG   0x0200
#define AT_NOTIFY   0x1000
#define NOTIFY_STEP 4
#define AT_MSIX	    0x2000
#define MAX_QUEUES  ((AT_MSIX - AT_NOTIFY) / NOTIFY_STEP)

struct virtio_pci {
	struct pci_dev pci;
	struct vregs regs;
	unsigned nvec, cfg_cap; /* cfg_cap: the PCI_CFG capability, a window into the BARs */
	uint64_t gpa;		/* of the BAR while it is mapped, else 0 */
	_Atomic uint16_t config_vector;
	_Atomic uint16_t *vector; /* of each queue */
};

#define vp_container(p, member) container_of(p, struct virtio_pci, member)

static inline struct virtio_pci *vp_of(struct pci_dev *dev)
{
	return vp_container(dev, pci);
}

/* off + len <= COMMON_LEN */
void vp_common_read(struct virtio_pci *vp, uint32_t off, uint8_t *data, unsigned len);
void vp_common_write(struct virtio_pci *vp, uint32_t off, const uint8_t *data, unsigned len);

/* 0, or -ENOSPC. Before the device is added. */
int vp_add_caps(struct virtio_pci *vp);
void vp_cfg_read(struct pci_dev *pci, unsigned off, unsigned len);
void vp_cfg_written(struct pci_dev *pci, unsigned off, unsigned len);

#endif
