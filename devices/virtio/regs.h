/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registers that every transport has, whatever their places: features, device status, queues, reset,
 * kicks, device configuration (virtio 1.2, sections 2.1 to 2.5 and 3.1.1). vCPU threads with `lock` held,
 * unless said otherwise. What the device says (interrupts, NEEDS_RESET, the end of a reset) comes from loops,
 * takes no lock, and is picked up from atomics.
 */
#ifndef PINVM_VIRTIO_REGS_H
#define PINVM_VIRTIO_REGS_H

#include <linux/virtio_config.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <time.h>

#include "devices/virtio/virtio.h"
#include "vmm/util.h"

struct vm;
struct vregs;

struct vregs_ops {
	/* Where the guest writes a kick of queue q; 0: nowhere just now. */
	uint64_t (*kick_gpa)(struct vregs *r, unsigned q);
	bool kick_by_value; /* all queues there: the value is the queue's number, 4 bytes */
	/* No interrupt may go out any more: a reset begins, or main's is through. May be NULL. */
	void (*quiet)(struct vregs *r);
};

struct vregs_queue {
	struct virtq_cfg cfg; /* the registers; frozen while ready */
	uint64_t kick_gpa;    /* where kicks are caught in the kernel, or 0 */
};

struct vregs {
	struct virtio_transport transport;
	const struct vregs_ops *ops;
	struct virtio_dev *dev;
	struct vm *vm;
	pthread_mutex_t *lock; /* the transport's */

	uint32_t dfselect, gfselect, qselect;
	uint64_t wanted; /* features the driver wrote */
	struct vregs_queue *queue;
	bool noted; /* a driver's mistake was logged since the last reset */

	_Atomic uint8_t status; /* the driver's bits; written under the lock */
	_Atomic uint8_t isr;	/* VIRTIO_*_INT_VRING and _CONFIG, or PCI's ISR bits, which are the same */
	_Atomic bool needs_reset;

	/* Reset: draining is the lock's, from the request until the registers are back at power-on. */
	bool draining;
	_Atomic bool drained;
	struct done stopped;
	sem_t stopped_sem;
	unsigned drain_ms;

	/* Main's: a reset was asked for and not waited for yet, which ends at `until`. */
	bool asked;
	struct timespec until;
};

#define ISR_QUEUE  1
#define ISR_CONFIG 2

static inline bool vregs_running(const struct vregs *r)
{
	return !r->draining && r->status & VIRTIO_CONFIG_S_DRIVER_OK;
}

static inline struct vregs *vregs_of(struct virtio_transport *t)
{
	return container_of(t, struct vregs, transport);
}

/* All but r->transport and r->ops, which are the caller's and there already. 0, or -ENOMEM. Main. */
int vregs_init(struct vregs *r, struct virtio_dev *dev, struct vm *vm, pthread_mutex_t *lock);
/* Also right when nothing was initialised but zeroed. Main. */
void vregs_fini(struct vregs *r);

/* Log a driver's mistake, once per reset. */
void vregs_note(struct vregs *r, const char *what);

/* The second half of a reset, if the device has drained: to be called at every access, before anything else.
 */
void vregs_catch_up(struct vregs *r);
/* The kicks that are to be caught in the kernel have changed, or their place. */
void vregs_update_kicks(struct vregs *r);
/* A kick that was not. Any q. */
void vregs_kick(struct vregs *r, uint32_t q);

/* Device status (2.1). A write of 0 asks the device to stop: until it has drained, status reads as it was,
 * and nothing else can be done to the device. */
uint8_t vregs_status(const struct vregs *r);
void vregs_set_status(struct vregs *r, uint8_t value);
/* Wait for a reset that was begun, at most that long. No loop ever waits for the lock, so it may be held. */
bool vregs_wait_drained(struct vregs *r, unsigned ms);

/* 32 bits of the features the device offers, and of those the driver wrote, by the selectors. */
uint32_t vregs_offered(const struct vregs *r);
uint32_t vregs_wanted(const struct vregs *r);
void vregs_set_wanted(struct vregs *r, uint32_t v);

/* The selected queue; NULL: there is none of that number. */
struct vregs_queue *vregs_selected(const struct vregs *r);
/* The same to set it up; NULL (noted) also when it is ready or the device runs. */
struct virtq_cfg *vregs_setup(struct vregs *r);
/* 0 and what is no power of two or too large is noted and ignored. */
void vregs_set_num(struct vregs *r, struct virtq_cfg *cfg, uint32_t v);

static inline void vregs_set_half(uint64_t *addr, unsigned shift, uint32_t v)
{
	*addr = (*addr & ~(0xffffffffull << shift)) | (uint64_t)v << shift;
}

/* Device configuration; an access that is not all inside does nothing (data stays). */
void vregs_config_read(struct vregs *r, uint64_t off, uint8_t *data, unsigned len);
void vregs_config_write(struct vregs *r, uint64_t off, const uint8_t *data, unsigned len);

static inline bool vregs_within(uint64_t off, unsigned len, uint64_t base, uint64_t size)
{
	return off >= base && off - base < size && len <= size - (off - base);
}

/* For transports, as virtio.h says; vregs_reset() leaves out what is the transport's own. needs_reset: also
 * tell the guest. */
void vregs_ask_reset(struct virtio_transport *t);
int vregs_reset(struct virtio_transport *t);
void vregs_needs_reset(struct virtio_transport *t);

#endif
