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
int virtio_rng_create(struct virtio_dev **dev, const char *name, const struct guest_mem *mem, struct loop *loop);

struct pci_bus;
struct vm;

/* Put dev behind virtio-pci (modern only) at the next free slot. The transport owns dev from now on; on failure dev is gone
 * too. Main, before vCPUs run. 0, or -errno (-EINVAL, -ENOMEM, -ENOSPC, what irq_open() said) after one logged line. */
int virtio_pci_create(struct virtio_transport **transport, struct pci_bus *bus, struct vm *vm, struct virtio_dev *dev);

#endif
