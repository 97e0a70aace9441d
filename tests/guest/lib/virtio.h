/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drivers for bare-metal guests: virtio 1 over PCI with MSI-X, or over MMIO when the command line says `mmio`, its split
 * rings, and virtio-blk on them. Whoever tests a device's patience uses the rings directly; whoever moves data uses struct
 * blk. A device is one CPU's at a time.
 */
#ifndef PINVM_TESTS_GUEST_VIRTIO_H
#define PINVM_TESTS_GUEST_VIRTIO_H

#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>

#include "tests/guest/lib/guest.h"

#define F_EVENT_IDX (1ull << VIRTIO_RING_F_EVENT_IDX)
#define F_INDIRECT  (1ull << VIRTIO_RING_F_INDIRECT_DESC)
#define F_VERSION_1 (1ull << VIRTIO_F_VERSION_1)
#define F_BLK_FLUSH (1ull << VIRTIO_BLK_F_FLUSH)

#define VQ_MAX 256

struct vdev {
	unsigned slot;	/* on PCI bus 0, or of the board's virtio-mmio devices */
	uintptr_t mmio; /* its registers; 0: it is on PCI, where they are in several places */
	uintptr_t common, notify, isr, config, msix;
	uint32_t notify_step;
	uint64_t offered, features;
};

struct vq {
	struct vdev *dev;
	unsigned index, num;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uintptr_t kick;
	uint16_t added, published, taken; /* ring indices; added: not yet shown to the device */
	uint64_t kicks;
};

/* Zeroed memory for rings and buffers, never given back. align is a power of two. */
void *take_memory(size_t size, size_t align);
/* RAM of fixed place that no loader touches: what is written there outlives a restart in place. */
#define KEPT_RAM ((volatile uint32_t *)0xf00000)

/* The nth device of a kind (from 0), reset. False: there is none. */
bool vdev_open(struct vdev *v, uint16_t id, unsigned nth);
/* Where its registers are, from its capabilities and BARs: again after a BAR has moved. */
void vdev_map(struct vdev *v);
/* Status 0, and wait until it reads so: then nothing is in flight. */
void vdev_reset(struct vdev *v);
/* ACKNOWLEDGE, DRIVER, `features` as far as they are offered (VERSION_1 always), FEATURES_OK. */
void vdev_negotiate(struct vdev *v, uint64_t features);
void vdev_go(struct vdev *v); /* DRIVER_OK */
uint8_t vdev_status(const struct vdev *v);

/*
 * MSI-X: entry n of the table sends `vector` to this CPU. Entries start masked. Over MMIO there is one pin for all:
 * msix_enable() and entries say nothing, msix_set() routes the pin, and the vector's handler must call vdev_ack(). It tells
 * what the interrupt was for; over PCI, where the vector says it, both of VIRTIO_MMIO_INT_VRING and _CONFIG.
 */
unsigned vdev_ack(struct vdev *v);
void msix_enable(struct vdev *v, bool on);
void msix_set(struct vdev *v, unsigned n, unsigned vector);
void msix_mask(struct vdev *v, unsigned n, bool masked);
bool msix_pending(const struct vdev *v, unsigned n, unsigned nvec);
void vdev_config_entry(struct vdev *v, unsigned n);

/* A queue of num entries with memory of its own; interrupts by MSI-X entry `entry` (VIRTIO_MSI_NO_VECTOR: none). Before
 * vdev_go(). vq_place() only writes the registers: for rings in places of the test's own. */
void vq_open(struct vq *q, struct vdev *v, unsigned index, unsigned num, unsigned entry);
void vq_place(struct vdev *v, unsigned index, unsigned num, uint64_t desc, uint64_t avail, uint64_t used);
void vq_entry(struct vdev *v, unsigned index, unsigned entry);
unsigned vq_max(struct vdev *v, unsigned index);
void vq_desc(struct vq *q, unsigned i, const void *buf, uint32_t len, uint16_t flags, uint16_t next);
/* Make a chain available; vq_publish() shows the device all such, and kicks it if it asked for that (true). */
void vq_add(struct vq *q, uint16_t head);
bool vq_publish(struct vq *q);
void vq_kick(struct vq *q); /* whether it asked or not */
/* One used element; false: there is none. */
bool vq_take(struct vq *q, uint32_t *head, uint32_t *len);
/* Ask for an interrupt at the next used element. False: there is one already. */
bool vq_arm(struct vq *q);
/* No interrupts until vq_arm(). */
void vq_disarm(struct vq *q);

/* ---- virtio-blk ---- */

#define BLK_MAX_DEPTH 64
#define SECTOR	      512

struct blk_slot {
	struct virtio_blk_outhdr head;
	uint8_t status;
	bool busy;
	uint32_t len; /* used.len */
};

struct blk {
	struct vdev v;
	struct vq q;
	unsigned depth, busy;
	bool indirect;
	uint64_t done;
	struct blk_slot *slot;
	struct vring_desc *table; /* indirect ones, 4 a slot */
};

/* Open disk n, negotiate, one queue with room for `depth` requests (at most BLK_MAX_DEPTH); entry as for vq_open(). */
bool blk_open(struct blk *b, unsigned n, unsigned depth, uint64_t features, unsigned entry);
/* The same again after vdev_reset(). */
void blk_start(struct blk *b, uint64_t features, unsigned entry);
uint64_t blk_sectors(const struct blk *b);
/* Queue a request in a free slot, and return the slot; data of len bytes at buf. Not yet published. */
unsigned blk_add(struct blk *b, uint32_t type, uint64_t sector, void *buf, uint32_t len);
/* Take what is used; each must say OK and have the length its type makes. Returns how many. */
unsigned blk_reap(struct blk *b);
/* Publish, and wait by looking at the ring until at most `left` are busy. */
void blk_drain(struct blk *b, unsigned left);
/* One request, waited for. Returns its status byte. */
uint8_t blk_do(struct blk *b, uint32_t type, uint64_t sector, void *buf, uint32_t len);

#endif
