/* SPDX-License-Identifier: Apache-2.0 */
/* The virtio devices there are, one constructor each; guest.c calls them in the order the guest sees. */
#ifndef PINVM_VIRTIO_DEVS_H
#define PINVM_VIRTIO_DEVS_H

#include "devices/virtio/virtio.h"
#include "vmm/disk.h"

/* disk: opened, from malloc(), and owned by the device from now on (also on failure). name: "disk0".. */
int virtio_blk_create(struct virtio_dev **dev, const char *name, const struct guest_mem *mem, struct loop *loop,
	struct disk *disk, const struct disk_config *cfg);
int virtio_rng_create(struct virtio_dev **dev, const char *name, const struct guest_mem *mem, struct loop *loop);

struct pci_bus;
struct vm;
struct virtio_pci;

/* Put dev behind virtio-pci (modern only) at the next free slot. The transport owns dev from now on; on failure dev is gone
 * too. Main, before vCPUs run. 0, or -errno (-EINVAL, -ENOMEM, -ENOSPC, what irq_open() said) after one logged line. */
int virtio_pci_create(struct virtio_pci **vp, struct pci_bus *bus, struct vm *vm, struct virtio_dev *dev);
/*
 * As at power-on, by main while no vCPU runs; loops keep running. -ETIMEDOUT (logged) when the device has not drained in
 * 10 s: what is in flight may still write guest RAM, and reads the device's memory, so neither may be used for anything
 * else or freed; its status reads non-zero until it has drained. ask_reset() only begins: several devices that were asked
 * before the first is waited for drain side by side, within the same 10 s.
 */
void virtio_pci_ask_reset(struct virtio_pci *vp);
int virtio_pci_reset(struct virtio_pci *vp);
/* By main after vCPUs and loops have ended their threads. */
void virtio_pci_destroy(struct virtio_pci *vp);

#endif
