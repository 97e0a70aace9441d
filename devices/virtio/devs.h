/* SPDX-License-Identifier: Apache-2.0 */
/* The virtio devices there are, one constructor each; devices.c calls them in the order the guest sees. Then transports. */
#ifndef PINVM_VIRTIO_DEVS_H
#define PINVM_VIRTIO_DEVS_H

#include "devices/virtio/virtio.h"
#include "vmm/disk.h"
#include "vmm/tap.h"

/* disk: opened, from malloc(), and owned by the device from now on (also on failure). name: "disk0".. */
int virtio_blk_create(struct virtio_dev **dev, const char *name, const struct guest_mem *mem, struct loop *loop,
	struct disk *disk, const struct disk_config *cfg);
/* loops: pair i is served by loops[i % nloops], commands and the link by the first. Opens the tap cfg names. */
int virtio_net_create(struct virtio_dev **dev, const char *name, const struct guest_mem *mem, struct loop *const *loops,
	unsigned nloops, const struct net_config *cfg);
/* Of a network device: its tap, for as long as it lives, and the address its driver reads. Any thread. */
struct tap *virtio_net_tap(struct virtio_dev *dev);
void virtio_net_mac(struct virtio_dev *dev, uint8_t mac[6]);
int virtio_rng_create(struct virtio_dev **dev, const char *name, const struct guest_mem *mem, struct loop *loop);

struct bus;
struct irq_src;
struct pci_bus;
struct vm;

/* Put dev behind virtio-pci (modern only) at the next free slot. The transport owns dev from now on; on failure dev is gone
 * too. Main, before vCPUs run. 0, or -errno (-EINVAL, -ENOMEM, -ENOSPC, what irq_open() said) after one logged line. */
int virtio_pci_create(struct virtio_transport **transport, struct pci_bus *bus, struct vm *vm, struct virtio_dev *dev);

/* Where a device behind virtio-mmio is (arch_mmio_slot()): its registers, and its pin, edge-triggered. */
struct mmio_slot {
	uint64_t base, size; /* bytes */
	int gsi;
};

/*
 * Put dev behind virtio-mmio (version 2 only) on the board, before that is frozen. irq: the source to be connected to the
 * slot's pin, the transport's own. Otherwise as virtio_pci_create(), and what bus_add() said.
 */
int virtio_mmio_create(struct virtio_transport **transport, struct bus *board, const struct mmio_slot *slot, struct vm *vm,
	struct virtio_dev *dev, struct irq_src **irq);

#endif
