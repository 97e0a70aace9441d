// SPDX-License-Identifier: Apache-2.0
/*
 * The split virtqueue, device side; see virtq.h. Runs on the thread of the loop that owns the queue.
 * Everything a driver writes is fetched once into a local and checked there; ring pointers were resolved and
 * bounded when the queue started, so a pop costs the same whatever the ring's size.
 */
#include "devices/virtio/virtq.h"

#include <assert.h>
#include <errno.h>
#include <linux/virtio_ring.h>

#include "devices/virtio/ring_atomics.h"
#include "vmm/util.h"

#ifdef RING_TSAN
_Atomic int ring_tsan_fence;
#endif

static const uint8_t *used_event(const struct virtq *vq)
{
	return vq->avail + RING_ENTRIES + sizeof(uint16_t) * vq->num;
}

static uint8_t *avail_event(const struct virtq *vq)
{
	return vq->used + RING_ENTRIES + USED_ELEM_SIZE * vq->num;
}

/* Chains and bytes are counted a batch at a time. */
static void count_pops(struct virtq *vq)
{
	uint16_t n = vq->last_avail - vq->counted;

	if (!n)
		return;
	count_add(&vq->stats.pops, n);
	count_add(&vq->stats.batches, 1);
	vq->counted = vq->last_avail;
}

static void count_bytes(struct virtq *vq)
{
	if (!(vq->to_guest | vq->from_guest))
		return;
	count_add(&vq->stats.to_guest, vq->to_guest);
	count_add(&vq->stats.from_guest, vq->from_guest);
	vq->to_guest = vq->from_guest = 0;
}

/* No entry is known any more, so that virtq_pop() comes to virtq_refill(), which knows why. */
static void halt(struct virtq *vq)
{
	count_pops(vq);
	vq->running = false;
	vq->avail_idx = vq->last_avail;
}

void virtq_break(struct virtq *vq)
{
	halt(vq);
	vq->broken = true;
}

int virtq_start(struct virtq *vq, const struct guest_mem *mem, const struct virtq_cfg *cfg, uint64_t features)
{
	bool event_idx = features & 1ULL << VIRTIO_RING_F_EVENT_IDX;
	uint64_t tail = event_idx ? sizeof(uint16_t) : 0;
	uint16_t num = cfg->num;
	const uint8_t *desc, *avail;
	uint8_t *used;

	assert(!virtq_inflight(vq));
	if (!num || num & (num - 1) || num > VIRTQ_MAX_SIZE)
		return -EINVAL;
	if (cfg->desc % 16 || cfg->avail % 2 || cfg->used % 4)
		return -EINVAL;
	desc = mem_at(mem, cfg->desc, DESC_SIZE * (uint64_t)num);
	avail = mem_at(mem, cfg->avail, RING_ENTRIES + sizeof(uint16_t) * (uint64_t)num + tail);
	used = mem_at(mem, cfg->used, RING_ENTRIES + USED_ELEM_SIZE * (uint64_t)num + tail);
	if (!desc || !avail || !used)
		return -EINVAL;

	vq->mem = mem;
	vq->near = mem->region[0];
	vq->desc = desc;
	vq->avail = avail;
	vq->used = used;
	vq->num = num;
	vq->mask = num - 1;
	/* Every chain that was taken has been returned, so one index serves both rings. */
	vq->last_avail = vq->avail_idx = vq->counted = vq->used_idx = vq->flushed = cfg->base;
	vq->event_idx = event_idx;
	vq->indirect = features & 1ULL << VIRTIO_RING_F_INDIRECT_DESC;
	vq->armed = vq->quiet = vq->broken = false;
	vq->running = true;
	ring_store16(used + RING_FLAGS, 0);
	return 0;
}

uint16_t virtq_stop(struct virtq *vq)
{
	halt(vq);
	return vq->last_avail;
}

bool virtq_far(struct virtq *vq, uint64_t gpa, uint64_t len)
{
	for (unsigned i = 0; i < vq->mem->n; i++) {
		const struct mem_region *r = &vq->mem->region[i];

		if (mem_region_holds(r, gpa, len)) {
			vq->near = *r;
			return true;
		}
	}
	return false;
}

int virtq_refill(struct virtq *vq)
{
	uint16_t idx;

	if (!vq->running)
		return vq->broken ? -EPROTO : 0;
	idx = ring_load16_acquire(vq->avail + RING_IDX);
	if ((uint16_t)(idx - vq->last_avail) > vq->num) {
		virtq_break(vq);
		return -EPROTO;
	}
	if (idx == vq->last_avail)
		return 0;
	vq->avail_idx = idx;
	vq->armed = false; /* kicks were asked for at an index that is behind now */
	return 1;
}

/* 2.7.10: with EVENT_IDX when the published range covers used_event, else unless the driver said no. */
static bool wants_call(const struct virtq *vq, uint16_t old, uint16_t idx)
{
	if (vq->event_idx)
		return vring_need_event(ring_load16(used_event(vq)), idx, old);
	return !(ring_load16(vq->avail + RING_FLAGS) & VRING_AVAIL_F_NO_INTERRUPT);
}

bool virtq_flush(struct virtq *vq)
{
	uint16_t old = vq->flushed;

	count_pops(vq);
	count_bytes(vq);
	if (vq->used_idx == old || !vq->running)
		return false;
	count_add(&vq->stats.pushes, (uint16_t)(vq->used_idx - old));
	ring_store16_release(vq->used + RING_IDX, vq->used_idx);
	vq->flushed = vq->used_idx;
	ring_fence(); /* the driver: store used_event, fence, load used.idx */
	if (!wants_call(vq, old, vq->used_idx))
		return false;
	count_add(&vq->stats.calls, 1);
	return true;
}

bool virtq_sleep(struct virtq *vq)
{
	if (!vq->running)
		return true;
	if (vq->last_avail != vq->avail_idx)
		return false;
	if (vq->armed)
		return true;
	if (vq->event_idx)
		ring_store16(avail_event(vq), vq->last_avail);
	else
		ring_store16(vq->used + RING_FLAGS, 0);
	vq->armed = true;
	vq->quiet = false;
	ring_fence(); /* the driver: store avail.idx, fence, load avail_event or used.flags */
	return ring_load16_acquire(vq->avail + RING_IDX) == vq->last_avail;
}

bool virtq_waiting(const struct virtq *vq)
{
	return vq->running && ring_load16_acquire(vq->avail + RING_IDX) != vq->last_avail;
}

void virtq_wake(struct virtq *vq)
{
	vq->armed = false;
	/* With EVENT_IDX it is enough not to move avail_event: the driver has passed it. */
	if (vq->event_idx || vq->quiet || !vq->running)
		return;
	ring_store16(vq->used + RING_FLAGS, VRING_USED_F_NO_NOTIFY);
	vq->quiet = true;
}

void virtq_hush(struct virtq *vq)
{
	if (!vq->armed || !vq->running)
		return;
	/* An index that the driver has passed: it will not be in the range of what it adds next. */
	if (vq->event_idx)
		ring_store16(avail_event(vq), (uint16_t)(vq->last_avail - 1));
	virtq_wake(vq);
}

static size_t iov_move(struct iovec **iov, unsigned *n, void *buf, size_t len, bool in)
{
	size_t moved = 0;

	while (moved < len && *n) {
		struct iovec *v = *iov;
		size_t part = v->iov_len < len - moved ? v->iov_len : len - moved;

		if (in)
			ring_copy((char *)buf + moved, v->iov_base, part);
		else
			ring_copy(v->iov_base, (char *)buf + moved, part);
		moved += part;
		v->iov_base = (char *)v->iov_base + part;
		v->iov_len -= part;
		if (!v->iov_len) {
			(*iov)++;
			(*n)--;
		}
	}
	return moved;
}

size_t iov_take(struct iovec **iov, unsigned *n, void *dst, size_t len)
{
	return iov_move(iov, n, dst, len, true);
}

size_t iov_put(struct iovec **iov, unsigned *n, const void *src, size_t len)
{
	return iov_move(iov, n, (void *)src, len, false);
}
