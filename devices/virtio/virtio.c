// SPDX-License-Identifier: Apache-2.0
/*
 * The common part of virtio devices: starting and stopping queues that live on several loops, listening to
 * kicks, telling the transport. See virtio.h for who calls what; functions named home_ and queue_ run on the
 * home loop and on the queue's loop.
 *
 * Order is kept by going through the home loop: a stop posted after a start arrives there after it, and what
 * the home loop then posts to a queue's loop arrives in the same order.
 */
#include "devices/virtio/virtio.h"

#include <assert.h>
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "devices/virtio/limits.h"
#include "devices/virtio/ring_atomics.h"
#include "vmm/log.h"
#include "vmm/util.h"

void virtio_needs_reset(struct virtio_dev *dev, const char *why)
{
	if (atomic_exchange(&dev->broken, true))
		return;
	if (log_few(&dev->complaints))
		log_warn("%s: %s; the device waits for a reset by its driver", dev->name, why);
	dev->transport->needs_reset(dev->transport);
}

void virtio_config_changed(struct virtio_dev *dev)
{
	atomic_fetch_add(&dev->config_gen, 1);
	dev->transport->config_changed(dev->transport);
}

bool virtio_features_ok(const struct virtio_dev *dev, uint64_t wanted)
{
	if (wanted & ~dev->offered || !(wanted & 1ULL << VIRTIO_F_VERSION_1))
		return false;
	for (const struct virtio_need *n = dev->ops->needs; n && n->any; n++)
		if (wanted >> n->feature & 1 && !(wanted & n->any))
			return false;
	return true;
}

void virtio_flush(struct virtio_dev *dev, unsigned q)
{
	struct virtio_queue *vq = &dev->queue[q];

	if (unlikely(vq->times))
		vq->times->round = 0;
	if (!virtq_flush(&vq->vq))
		return;
	count_add(&vq->signals, 1);
	dev->transport->notify(dev->transport, q, vq->loop);
}

int virtio_time(struct virtio_dev *dev)
{
	for (unsigned i = 0; i < dev->nvq; i++) {
		dev->queue[i].times = calloc(1, sizeof(struct virtio_times));
		if (!dev->queue[i].times)
			return -ENOMEM;
	}
	return 0;
}

uint64_t virtio_time_now(struct virtio_queue *q)
{
	if (!q->times->round)
		q->times->round = loop_now(q->loop);
	return q->times->round;
}

void virtio_time_add(struct virtio_queue *q, uint64_t since)
{
	uint64_t ns = virtio_time_now(q) - since;

	count_add(&q->times->sum, ns);
	count_add(&q->times->histogram[log2_bucket(ns, VIRTIO_BUCKETS)], 1);
}

void virtio_resume(struct virtio_dev *dev, unsigned q)
{
	dev->queue[q].stalled = false;
}

static void queue_ignore_kicks(struct virtio_queue *q)
{
	if (q->watched)
		loop_unwatch(q->loop, &q->kick);
	q->watched = false;
}

/* A queue whose driver broke the rules, or that the host cannot serve: neither kicks nor entries count until
 * a reset. */
static void queue_broken(struct virtio_queue *q, const char *what)
{
	char why[64];

	queue_ignore_kicks(q);
	virtq_break(&q->vq);
	snprintf(why, sizeof(why), "queue %u: %s", q->index, what);
	virtio_needs_reset(q->dev, why);
}

static void queue_run(struct virtio_queue *q)
{
	int r;

	q->again = false;
	if (!q->live || q->stalled || q->vq.broken)
		return;
	virtq_wake(&q->vq);
	r = q->dev->ops->kick(q->dev, q->index);
	if (r == VIRTIO_STALLED)
		q->stalled = true;
	else if (r == VIRTIO_AGAIN)
		q->again = true;
	else if (r < 0)
		queue_broken(q, r == -EPROTO ? "the driver broke the ring" : "out of host resources");
}

void virtio_again(struct virtio_dev *dev, unsigned q)
{
	dev->queue[q].stalled = false;
	queue_run(&dev->queue[q]);
}

static void queue_paused(struct loop_timer *timer)
{
	struct virtio_queue *q = container_of(timer, struct virtio_queue, pause);

	q->paused = false;
	virtio_again(q->dev, q->index);
}

int virtio_pause(struct virtio_dev *dev, unsigned q, uint64_t ns)
{
	struct virtio_queue *vq = &dev->queue[q];

	count_add(&vq->limited, 1);
	loop_timer_set(vq->loop, &vq->pause, ns);
	vq->paused = true;
	return VIRTIO_STALLED;
}

static void queue_kicked(struct loop_ev *ev, uint32_t events)
{
	struct virtio_queue *q = container_of(ev, struct virtio_queue, kick);

	count_add(&q->kicks, 1);
	queue_run(q);
}

/* The end of a round: tell the guest what is done, and see what else it wants; before sleeping ask it for
 * kicks. */
static bool queue_idle(struct loop_idle *idle, bool sleeping)
{
	struct virtio_queue *q = container_of(idle, struct virtio_queue, idle);

	virtio_flush(q->dev, q->index);
	if (q->stalled || (!q->again && (sleeping ? virtq_sleep(&q->vq) : !virtq_waiting(&q->vq))))
		return false;
	queue_run(q);
	virtio_flush(q->dev, q->index);
	return true;
}

static void queue_start(struct loop_call *call)
{
	struct virtio_queue *q = container_of(call, struct virtio_queue, start_call);
	int err = -EINVAL;

	if (q->frozen.num <= q->dev->queue_max)
		err = virtq_start(&q->vq, q->dev->mem, &q->frozen, q->dev->features);
	if (err) {
		queue_broken(q, "its size or its rings' addresses are not valid");
		return;
	}
	q->stalled = q->again = q->wait.begun = false;
	q->live = true;
	loop_idle_add(q->loop,
		&q->idle); /* this round's idle call finds what was made available before DRIVER_OK */
	err = loop_watch(q->loop, &q->kick, q->kick_fd, EPOLLIN);
	if (err) {
		log_errno(err, "%s: queue %u: watching its kicks", q->dev->name, q->index);
		queue_broken(q, "out of host resources");
		return;
	}
	q->watched = true;
}

static void home_start(struct loop_call *call)
{
	struct virtio_dev *dev = container_of(call, struct virtio_dev, start_call);
	int err = dev->ops->start ? dev->ops->start(dev) : 0;

	if (err) {
		log_errno(err, "%s: start", dev->name);
		virtio_needs_reset(dev, "it could not start");
		return;
	}
	for (unsigned i = 0; i < dev->nvq; i++) {
		struct virtio_queue *q = &dev->queue[i];

		if (!q->frozen.ready)
			continue;
		q->ready = true;
		loop_post(q->loop, &q->start_call);
	}
}

void virtio_start(struct virtio_dev *dev)
{
	if (atomic_load(&dev->stopping)) {
		virtio_needs_reset(dev, "started while requests from before its reset are in flight");
		return;
	}
	if (dev->started)
		return;
	dev->started = true;
	if (dev->ops->settle)
		dev->ops->settle(dev, dev->features);
	for (unsigned i = 0; i < dev->nvq; i++)
		dev->queue[i].frozen = dev->queue[i].cfg;
	loop_post(dev->loop, &dev->start_call);
}

/* One queue less (or the home loop's own part): the last one, on whichever thread, ends the stop. */
static void stop_step(struct virtio_dev *dev)
{
	struct done *done = dev->on_stopped;

	if (atomic_fetch_sub(&dev->pending, 1) != 1)
		return;
	atomic_store(&dev->broken, false);
	atomic_store(&dev->stopping, false);
	done->fn(done);
}

static void queue_drained(struct done *done)
{
	struct virtio_queue *q = container_of(done, struct virtio_queue, stopped);

	assert(!virtq_inflight(&q->vq));
	stop_step(q->dev);
}

static void queue_stop(struct loop_call *call)
{
	struct virtio_queue *q = container_of(call, struct virtio_queue, stop_call);

	if (!q->live) {
		stop_step(q->dev);
		return;
	}
	q->live = false;
	queue_ignore_kicks(q);
	loop_timer_cancel(q->loop, &q->pause);
	q->paused = false;
	loop_idle_del(q->loop, &q->idle);
	q->frozen.base = virtq_stop(&q->vq);
	q->dev->ops->stop(q->dev, q->index, &q->stopped);
}

static void home_stop(struct loop_call *call)
{
	struct virtio_dev *dev = container_of(call, struct virtio_dev, stop_call);

	for (unsigned i = 0; i < dev->nvq; i++) {
		struct virtio_queue *q = &dev->queue[i];

		if (!q->ready)
			continue;
		q->ready = false;
		atomic_fetch_add(&dev->pending, 1);
		loop_post(q->loop, &q->stop_call);
	}
	stop_step(dev);
}

void virtio_stop(struct virtio_dev *dev, struct done *done)
{
	if (atomic_load(&dev->stopping))
		return;
	if (dev->ops->settle)
		dev->ops->settle(dev, 0);
	if (!dev->started) {
		atomic_store(&dev->broken, false);
		done->fn(done);
		return;
	}
	dev->started = false;
	dev->on_stopped = done;
	atomic_store(&dev->pending, 1);
	atomic_store(&dev->stopping, true);
	loop_post(dev->loop, &dev->stop_call);
}

static int queue_init(struct virtio_dev *dev, unsigned i)
{
	struct virtio_queue *q = &dev->queue[i];

	q->dev = dev;
	q->index = i;
	q->loop = dev->loop;
	q->kick.fn = queue_kicked;
	q->idle.fn = queue_idle;
	q->idle.expect = virtio_wait_expect;
	q->idle.look = virtio_wait_look;
	q->start_call.fn = queue_start;
	q->stop_call.fn = queue_stop;
	q->pause.fn = queue_paused;
	q->stopped.fn = queue_drained;
	q->limit_of = -1;
	errand_init(&q->limit, virtio_limits_take);
	q->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return q->kick_fd < 0 ? log_errno(-errno, "%s: eventfd", dev->name) : 0;
}

int virtio_init(struct virtio_dev *dev, const struct virtio_ops *ops, const char *name,
	const struct guest_mem *mem, struct loop *loop, unsigned nvq, uint16_t queue_max)
{
	dev->ops = ops;
	snprintf(dev->name, sizeof(dev->name), "%s", name);
	dev->mem = mem;
	dev->loop = loop;
	dev->offered = 1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_RING_F_EVENT_IDX |
		       1ULL << VIRTIO_RING_F_INDIRECT_DESC;
	dev->queue_max = queue_max;
	dev->start_call.fn = home_start;
	dev->stop_call.fn = home_stop;
	dev->queue = calloc(nvq, sizeof(*dev->queue));
	if (!dev->queue)
		return log_errno(-ENOMEM, "%s: %u queues", name, nvq);
	for (; dev->nvq < nvq; dev->nvq++) {
		int err = queue_init(dev, dev->nvq);

		if (err) {
			virtio_fini(dev);
			return err;
		}
	}
	return 0;
}

void virtio_fini(struct virtio_dev *dev)
{
	for (unsigned i = 0; i < dev->nvq; i++) {
		struct virtio_queue *q = &dev->queue[i];

		queue_ignore_kicks(q);
		loop_timer_cancel(q->loop, &q->pause);
		if (q->live)
			loop_idle_del(q->loop, &q->idle);
		close(q->kick_fd);
		free(q->times);
	}
	free(dev->queue);
	dev->queue = NULL;
	dev->nvq = 0;
}
