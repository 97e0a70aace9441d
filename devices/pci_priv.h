/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What pci.c (bus), pci_dev.c (header, BARs, capabilities) and msix.c tell each other.
 * Lock order: the bus's lock, then one device mutex at a time.
 */
#ifndef PINVM_PCI_PRIV_H
#define PINVM_PCI_PRIV_H

#include "devices/pci.h"

#define PCI_CFG_SIZE  256  /* what a device has */
#define PCI_ECAM_FUNC 4096 /* what ECAM gives a function; the rest reads as 0 */

/* A mutex whose holder inherits the priority of who waits: vCPUs may run at different real-time priorities.
 */
void pci_lock_init(pthread_mutex_t *lock);

/* off + len <= PCI_ECAM_FUNC. Device mutex held. */
void pci_cfg_read(struct pci_dev *dev, unsigned off, uint8_t *data, unsigned len);
/* The same, bus lock held too. True: what the device decodes may have changed, call pci_bus_remap(). */
bool pci_cfg_write(struct pci_dev *dev, unsigned off, const uint8_t *data, unsigned len);
/* Power-on contents. Bus lock and device mutex held. */
void pci_cfg_reset(struct pci_dev *dev);
/* Place a BAR at power-on address addr. Before the device is added. */
void pci_bar_place(struct pci_dev *dev, unsigned bar, uint64_t addr);
bool pci_mem_enabled(const struct pci_dev *dev);

/* msix.c; device mutex held. msix_touches: does the access meet the table or PBA? read and write take any off
 * and len. */
bool msix_touches(const struct msix *m, unsigned bar, uint64_t off, unsigned len);
void msix_read(struct msix *m, uint64_t off, uint8_t *data, unsigned len);
void msix_write(struct msix *m, uint64_t off, const uint8_t *data, unsigned len);
void msix_control_written(struct msix *m);
void msix_reset(struct msix *m);
void msix_close(struct msix *m);

#endif
