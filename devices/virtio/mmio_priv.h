/* SPDX-License-Identifier: Apache-2.0 */
/* virtio-mmio's own, for mmio.c and its tests. */
#ifndef PINVM_VIRTIO_MMIO_PRIV_H
#define PINVM_VIRTIO_MMIO_PRIV_H

#include <linux/virtio_mmio.h>

#include "devices/virtio/devs.h"
#include "devices/virtio/regs.h"
#include "vmm/irq.h"

#define MMIO_MAGIC   0x74726976 /* "virt" */
#define MMIO_VERSION 2
#define MMIO_VENDOR  0x564e4950 /* "PINV" */

struct virtio_mmio {
	struct vregs regs;
	pthread_mutex_t lock;
	struct irq_src irq;
	uint64_t base;
	unsigned patience_ms; /* how long a write of 0 to Status waits for the device to drain */
};

#endif
