// SPDX-License-Identifier: Apache-2.0
/*
 * What a queue waits for, and how long it is worth to wait for that awake: the next chain from the driver,
 * or, while it has chains that are not done, the back end. Kicks are switched off only while the ring is
 * looked at; before the loop sleeps virtq_sleep() asks for them again, and looks once more. On the queue's
 * loop.
 */
#include "devices/virtio/virtio.h"
#include "vmm/util.h"

/* What moves when it has come. */
static uint16_t index_of(const struct virtio_queue *q, bool backend)
{
	return backend ? q->vq.used_idx : q->vq.last_avail;
}

uint64_t virtio_wait_expect(struct loop_idle *idle, uint64_t now, uint64_t came, uint64_t price_ns)
{
	struct virtio_queue *q = container_of(idle, struct virtio_queue, idle);
	struct virtio_wait *w = &q->wait;
	bool backend = q->stalled || virtq_inflight(&q->vq);
	bool moved = w->begun && w->index != index_of(q, w->backend);
	uint64_t end;

	/* A wait that began after the loop's last one was over has ended while it worked: at once. */
	if (moved)
		patience_note(&w->gap[w->backend], came > w->since ? came - w->since : 0, price_ns);
	if (moved || !w->begun || w->backend != backend)
		w->since = now;
	w->begun = true;
	w->backend = backend;
	w->index = index_of(q, backend);
	end = w->since + w->gap[backend].worth_ns;
	if (end <= now)
		return 0;
	virtq_hush(&q->vq);
	return end - now;
}

bool virtio_wait_look(const struct loop_idle *idle)
{
	const struct virtio_queue *q = container_of(idle, const struct virtio_queue, idle);

	return !q->stalled && virtq_waiting(&q->vq);
}
