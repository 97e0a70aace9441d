/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limits of a device's queues that can be changed while they run. Queues share them; each looks at those it was given last,
 * on its own loop's thread. A change makes new ones beside the old ones and has each queue go over to them; one that waited
 * looks again at once. Main.
 */
#ifndef PINVM_VIRTIO_LIMITS_H
#define PINVM_VIRTIO_LIMITS_H

#include "devices/virtio/virtio.h"
#include "vmm/limit.h"

#define VIRTIO_LIMITS_OF 2 /* kinds of queues with limits of their own: directions */

struct virtio_limits {
	struct limit_rates rates; /* as they were given */
	unsigned now;		  /* which of two */
	struct limits of[VIRTIO_LIMITS_OF][2];
};

/* For devices, while they are made: queue->limit_of is set, limits are zeroed, part of the device. */
void virtio_limits_init(struct virtio_dev *dev, struct virtio_limits *limits, const struct limit_rates *rates);
/*
 * Other limits from now on. 0 and each queue will go over to them when its loop runs; -EBUSY: one has not yet heard of the
 * last ones. Then wait until now_ns() is `until`: 0, or -ETIMEDOUT, and it will be done all the same.
 */
int virtio_limits_begin(struct virtio_dev *dev, const struct limit_rates *rates);
int virtio_limits_wait(struct virtio_dev *dev, uint64_t until);

/* Anything is limited. */
static inline bool virtio_limits_on(const struct virtio_limits *limits)
{
	return limits->rates.bps || limits->rates.ops;
}

/* Queues go over: on their loops' threads, for virtio.c. */
int virtio_limits_take(struct errand *errand);

#endif
