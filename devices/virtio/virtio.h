/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio device: a function of (guest memory, virtqs, kick and call events, back end). It never sees KVM, a
 * transport or a register. Transport calls (virtio_start ... virtio_stop) come from vCPU threads under the transport's
 * mutex and only post to the loops; ops run on the loops' threads.
 */
#ifndef PINVM_VIRTIO_H
#define PINVM_VIRTIO_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "devices/virtio/virtq.h"
#include "vmm/loop.h"

#define VIRTIO_ID_NET 1
#define VIRTIO_ID_BLK 2
#define VIRTIO_ID_RNG 4

/* Completion of something asynchronous. fn runs once, on any thread. */
struct done {
	void (*fn)(struct done *done);
};

struct virtio_dev;

struct virtio_ops {
	uint16_t id, nvq;
	/* Home loop, before any queue runs: features and config are frozen. 0 or -errno (NEEDS_RESET). May be NULL. */
	int (*start)(struct virtio_dev *dev);
	/* The queue's loop: chains may be waiting. Handles at most one queue size of them; virtio.c calls again. -EPROTO from
	 * virtq_pop() is given back, virtio.c sets NEEDS_RESET and stops the queue. */
	int (*kick)(struct virtio_dev *dev, unsigned q);
	/* The queue's loop: take no new chains; call done when nothing of this queue is in flight (may be at once). */
	void (*stop)(struct virtio_dev *dev, unsigned q, struct done *done);
	/* vCPU thread, under the transport mutex: the guest wrote config space; off + len is inside config_len. May be NULL. */
	void (*write_config)(struct virtio_dev *dev, uint32_t off, const void *data, unsigned len);
	void (*destroy)(struct virtio_dev *dev);
};

/* What a device tells its transport: any thread, lock-free. Implemented by virtio pci.c / mmio.c (or a test). */
struct virtio_transport {
	void (*notify)(struct virtio_transport *t, unsigned q, struct loop *loop);
	void (*config_changed)(struct virtio_transport *t);
	void (*needs_reset)(struct virtio_transport *t);
};

struct virtio_queue {
	struct virtq vq;
	struct virtq_cfg cfg; /* transport's, until start */
	struct loop *loop;    /* set when the device is built */
	int kick_fd;          /* eventfd, made by virtio_init() */
	struct loop_ev kick;
	struct loop_idle idle;
	struct loop_call start_call, stop_call;
	struct done stopped;
	struct virtio_dev *dev;
	unsigned index;
	bool live; /* between start and stop, on the loop's thread */
	_Atomic uint64_t kicks, signals; /* events in, interrupts out */
};

struct virtio_dev {
	const struct virtio_ops *ops;
	char name[32]; /* "disk0", "rng": for messages and reports */
	const struct guest_mem *mem;
	struct loop *loop; /* home */
	uint64_t offered;  /* VIRTIO_F_VERSION_1, RING_EVENT_IDX and RING_INDIRECT_DESC included */
	uint64_t features; /* negotiated; the transport's until start, then frozen */
	unsigned nvq;
	uint16_t queue_max;
	struct virtio_queue *queue; /* [nvq] */
	uint8_t config[64];         /* device configuration as the guest reads it; written by the device under its rules */
	unsigned config_len;
	_Atomic uint32_t config_gen;
	struct virtio_transport *transport;
	_Atomic unsigned pending; /* start or stop steps still running */
	struct done *on_stopped;
	_Atomic bool broken; /* NEEDS_RESET was reported since the last reset */
};

/* For devices: set up the common part (queues all on `loop` until changed, kick eventfds). 0 or -errno. */
int virtio_init(struct virtio_dev *dev, const struct virtio_ops *ops, const char *name, const struct guest_mem *mem,
	struct loop *loop, unsigned nvq, uint16_t queue_max);
void virtio_fini(struct virtio_dev *dev);

/* For devices, on the queue's loop: publish pushed chains and interrupt the guest if it wants that. */
void virtio_flush(struct virtio_dev *dev, unsigned q);
/* For devices, any thread. */
void virtio_config_changed(struct virtio_dev *dev);
void virtio_needs_reset(struct virtio_dev *dev, const char *why); /* logs once per reset */

/* For transports, under their mutex. start: DRIVER_OK was written. stop: `done` fires when every started queue has drained
 * and no ring will be touched; also right when the device was never started. */
void virtio_start(struct virtio_dev *dev);
void virtio_stop(struct virtio_dev *dev, struct done *done);
bool virtio_features_ok(const struct virtio_dev *dev, uint64_t wanted); /* a subset, VERSION_1 included */

#endif
