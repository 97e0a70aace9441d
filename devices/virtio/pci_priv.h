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

#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <time.h>

#include "devices/pci.h"
#include "devices/virtio/devs.h"
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

#define ISR_QUEUE  1
#define ISR_CONFIG 2

struct vp_queue {
	struct virtq_cfg cfg; /* the registers; frozen from queue_enable on */
	uint64_t kick_gpa;    /* where kicks are caught in the kernel, or 0 */
	_Atomic uint16_t vector;
};

struct virtio_pci {
	struct pci_dev pci;
	struct virtio_transport transport;
	struct virtio_dev *dev;
	struct vm *vm;
	unsigned nvec, cfg_cap; /* cfg_cap: the PCI_CFG capability, a window into the BARs */
	uint64_t gpa;		/* of the BAR while it is mapped, else 0 */

	uint32_t dfselect, gfselect;
	uint64_t wanted; /* driver_feature */
	uint16_t qselect;
	struct vp_queue *queue;
	bool noted; /* a driver's mistake was logged since the last reset */

	_Atomic uint16_t config_vector;
	_Atomic uint8_t status; /* the driver's bits; written under the mutex */
	_Atomic uint8_t isr;
	_Atomic bool needs_reset;

	/* Reset: draining is the mutex's, from the request until the registers are back at power-on. */
	bool draining;
	_Atomic bool drained;
	struct done stopped;
	sem_t stopped_sem;
	unsigned drain_ms;

	/* Main's: a reset was asked for and not waited for yet, which ends at `until`. */
	bool asked;
	struct timespec until;
};

static inline bool vp_running(const struct virtio_pci *vp)
{
	return !vp->draining && vp->status & VIRTIO_CONFIG_S_DRIVER_OK;
}

#define vp_container(p, member) container_of(p, struct virtio_pci, member)

static inline struct virtio_pci *vp_of(struct pci_dev *dev)
{
	return vp_container(dev, pci);
}

/* Log a driver's mistake, once per reset. */
void vp_note(struct virtio_pci *vp, const char *what);
/* Status 0 was written: ask the device to stop. Until it has drained, status reads as it was and writes go
 * nowhere. */
void vp_begin_reset(struct virtio_pci *vp);
/* DRIVER_OK was written: freeze the queues and start. */
void vp_go_live(struct virtio_pci *vp);

/* off + len <= COMMON_LEN */
void vp_common_read(struct virtio_pci *vp, uint32_t off, uint8_t *data, unsigned len);
void vp_common_write(struct virtio_pci *vp, uint32_t off, const uint8_t *data, unsigned len);

/* 0, or -ENOSPC. Before the device is added. */
int vp_add_caps(struct virtio_pci *vp);
void vp_cfg_read(struct pci_dev *pci, unsigned off, unsigned len);
void vp_cfg_written(struct pci_dev *pci, unsigned off, unsigned len);

#endif
