// SPDX-License-Identifier: Apache-2.0
/* Limits that change; see limits.h. Main, but for virtio_limits_take(). */
#include "devices/virtio/limits.h"

#include <errno.h>

#include "vmm/util.h"

static struct limits *limits_of(struct virtio_queue *q)
{
	struct virtio_limits *l = q->dev->limits;

	return q->limit_of >= 0 && virtio_limits_on(l) ? &l->of[q->limit_of][l->now] : NULL;
}

void virtio_limits_init(struct virtio_dev *dev, struct virtio_limits *limits, const struct limit_rates *rates)
{
	dev->limits = limits;
	limits->rates = *rates;
	for (unsigned i = 0; i < VIRTIO_LIMITS_OF; i++)
		limits_init(&limits->of[i][0], rates->bps, rates->bps_burst, rates->ops, rates->ops_burst);
	for (unsigned i = 0; i < dev->nvq; i++)
		dev->queue[i].limits = limits_of(&dev->queue[i]);
}

int virtio_limits_take(struct errand *errand)
{
	struct virtio_queue *q = container_of(errand, struct virtio_queue, limit);

	q->limits = q->limits_next;
	if (q->paused) {
		loop_timer_cancel(q->loop, &q->pause);
		q->paused = false;
		virtio_again(q->dev, q->index);
	}
	return 0;
}

int virtio_limits_begin(struct virtio_dev *dev, const struct limit_rates *rates)
{
	struct virtio_limits *l = dev->limits;

	for (unsigned i = 0; i < dev->nvq; i++)
		if (!errand_idle(&dev->queue[i].limit))
			return -EBUSY;
	for (unsigned i = 0; i < VIRTIO_LIMITS_OF; i++)
		limits_follow(&l->of[i][!l->now], &l->of[i][l->now], loop_now(dev->loop), rates);
	l->rates = *rates;
	l->now = !l->now;
	for (unsigned i = 0; i < dev->nvq; i++) {
		struct virtio_queue *q = &dev->queue[i];

		if (q->limit_of < 0)
			continue;
		q->limits_next = limits_of(q);
		errand_begin(&q->limit, q->loop);
	}
	return 0;
}

int virtio_limits_wait(struct virtio_dev *dev, uint64_t until)
{
	int err = 0;

	for (unsigned i = 0; i < dev->nvq; i++) {
		int late = dev->queue[i].limit_of < 0 ? 0 : errand_wait(&dev->queue[i].limit, until, true);

		err = late ? late : err;
	}
	return err;
}
