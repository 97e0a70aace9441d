/* SPDX-License-Identifier: Apache-2.0 */
/* A transport that counts, and a driver's steps towards a device, for tests and fuzzers of virtio devices. */
#ifndef PINVM_TESTS_FAKE_VIRTIO_H
#define PINVM_TESTS_FAKE_VIRTIO_H

#include "devices/virtio/virtio.h"
#include "tests/unit/fake_loop.h"

struct fake_transport {
	struct virtio_transport t;
	unsigned notified[8], config_changes, resets_wanted;
};

static inline void fake_notify(struct virtio_transport *t, unsigned q, struct loop *loop)
{
	((struct fake_transport *)t)->notified[q]++;
}

static inline void fake_config_changed(struct virtio_transport *t)
{
	((struct fake_transport *)t)->config_changes++;
}

static inline void fake_needs_reset(struct virtio_transport *t)
{
	((struct fake_transport *)t)->resets_wanted++;
}

static inline void fake_plug(struct fake_transport *ft, struct virtio_dev *dev)
{
	memset(ft, 0, sizeof(*ft));
	ft->t = (struct virtio_transport){fake_notify, fake_config_changed, fake_needs_reset};
	dev->transport = &ft->t;
}

/* DRIVER_OK with these rings (those of queues beyond n stay off); the loops run afterwards, by the caller. */
static inline void fake_driver_ok(
	struct virtio_dev *dev, const struct ring_driver *drv, unsigned n, uint64_t features)
{
	must(virtio_features_ok(dev, features));
	dev->features = features;
	for (unsigned i = 0; i < dev->nvq; i++)
		dev->queue[i].cfg = i < n ? drv[i].cfg : (struct virtq_cfg){0};
	virtio_start(dev);
}

/* Publish, and kick when the device wants it. Returns whether it did. */
static inline bool fake_submit(struct virtio_dev *dev, unsigned q, struct ring_driver *drv)
{
	bool kick = ring_publish(drv);

	if (kick)
		fake_ready(dev->queue[q].loop, dev->queue[q].kick_fd);
	return kick;
}

struct fake_done {
	struct done done;
	unsigned fired;
};

static inline void fake_fire(struct done *done)
{
	((struct fake_done *)done)->fired++;
}

/* Reset; true: drained at once. */
static inline bool fake_reset(struct virtio_dev *dev, struct fake_done *d)
{
	*d = (struct fake_done){.done.fn = fake_fire};
	virtio_stop(dev, &d->done);
	return d->fired;
}

#endif
