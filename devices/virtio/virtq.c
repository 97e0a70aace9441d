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

/* Both rings begin with le16 flags, idx; an event index follows the last entry. */
enum { RING_FLAGS = 0, RING_IDX = 2, RING_ENTRIES = 4 };

#define DESC_SIZE      16
#define USED_ELEM_SIZE 8
#define CHAIN_MAX      (1ULL << 32) /* bytes; virtio 1.2, 2.7.4.2 */
#define TABLE_MAX      65536	    /* descriptors an indirect table can address */

#define unlikely(x) __builtin_expect(!!(x), 0)

#ifdef RING_TSAN
_Atomic int ring_tsan_fence;
#endif

static const uint8_t *avail_entry(const struct virtq *vq, uint16_t idx)
{
	return vq->avail + RING_ENTRIES + sizeof(uint16_t) * (idx & vq->mask);
}

static const uint8_t *used_event(const struct virtq *vq)
{
	return vq->avail + RING_ENTRIES + sizeof(uint16_t) * vq->num;
}

static uint8_t *avail_event(const struct virtq *vq)
{
	return vq->used + RING_ENTRIES + USED_ELEM_SIZE * vq->num;
}

/* A driver that wrote nonsense once is not listened to again before it resets the device. */
static int virtq_break(struct virtq *vq)
{
	vq->running = false;
	vq->broken = true;
	return -EPROTO;
}

int virtq_start(struct virtq *vq, const struct guest_mem *mem, const struct virtq_cfg *cfg, uint64_t features)
{
	bool event_idx = features & 1ULL << VIRTIO_RING_F_EVENT_IDX;
	uint64_t tail = event_idx ? sizeof(uint16_t) : 0;
	uint16_t num = cfg->num;
	const uint8_t *desc, *avail;
	uint8_t *used;

	assert(!vq->inflight);
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
	vq->near = &mem->region[0];
	vq->desc = desc;
	vq->avail = avail;
	vq->used = used;
	vq->num = num;
	vq->mask = num - 1;
	/* Every chain that was taken has been returned, so one index serves both rings. */
	vq->last_avail = vq->avail_idx = vq->used_idx = vq->flushed = cfg->base;
	vq->event_idx = event_idx;
	vq->indirect = features & 1ULL << VIRTIO_RING_F_INDIRECT_DESC;
	vq->armed = vq->quiet = vq->broken = false;
	vq->running = true;
	ring_store16(used + RING_FLAGS, 0);
	return 0;
}

uint16_t virtq_stop(struct virtq *vq)
{
	vq->running = false;
	return vq->last_avail;
}

/* Not where the last buffer was: somewhere else, or nowhere. */
__attribute__((noinline, cold)) static void *far_away(struct virtq *vq, uint64_t gpa, uint32_t len)
{
	for (unsigned i = 0; i < vq->mem->n; i++) {
		const struct mem_region *r = &vq->mem->region[i];
		void *host = mem_region_at(r, gpa, len);

		if (host) {
			vq->near = r;
			return host;
		}
	}
	return NULL;
}

static inline void *translate(struct virtq *vq, uint64_t gpa, uint32_t len)
{
	void *host = mem_region_at(vq->near, gpa, len);

	return __builtin_expect(!!host, 1) ? host : far_away(vq, gpa, len);
}

/* Where an indirect descriptor leads (2.7.5.3). Its WRITE flag means nothing; any alignment will do. */
static const uint8_t *indirect_table(struct virtq *vq, const struct ring_desc *d, unsigned *size)
{
	if (!vq->indirect || d->flags & VRING_DESC_F_NEXT)
		return NULL;
	if (!d->len || d->len % DESC_SIZE || d->len / DESC_SIZE > TABLE_MAX)
		return NULL;
	*size = d->len / DESC_SIZE;
	return translate(vq, d->addr, d->len);
}

/*
 * Follow a chain from `head`. Counting its descriptors bounds it: one that is longer than the queue runs in a
 * circle, or breaks 2.7.5.3.1.
 */
static int walk(struct virtq *vq, struct virtq_chain *chain, uint16_t head)
{
	unsigned left = chain->cap < vq->num ? chain->cap : vq->num, size = vq->num;
	const uint8_t *table = vq->desc, *at = table + DESC_SIZE * (size_t)head;
	struct iovec *iov = chain->iov, *writable = NULL;
	uint64_t total = 0, read_len = 0;
	bool nested = false;

	for (;;) {
		struct ring_desc d = ring_desc_load(at);

		if (d.flags & VRING_DESC_F_INDIRECT) {
			at = table = nested ? NULL : indirect_table(vq, &d, &size);
			if (unlikely(!table))
				return -EPROTO;
			nested = true;
			continue;
		}
		if (unlikely(!left--))
			return -EPROTO;
		if (!(d.flags & VRING_DESC_F_WRITE)) {
			if (unlikely(writable))
				return -EPROTO;
		} else if (!writable) {
			writable = iov;
			read_len = total;
		}
		if (!unlikely(d.len == 0)) {
			iov->iov_base = translate(vq, d.addr, d.len);
			if (unlikely(!iov->iov_base))
				return -EPROTO;
			iov->iov_len = d.len;
			iov++;
			total += d.len;
		}
		if (!(d.flags & VRING_DESC_F_NEXT))
			break;
		if (unlikely(d.next >= size))
			return -EPROTO;
		at = table + DESC_SIZE * (size_t)d.next;
	}
	if (!writable) {
		writable = iov;
		read_len = total;
	}
	chain->nread = writable - chain->iov;
	chain->nwrite = iov - writable;
	chain->read_len = read_len;
	chain->write_len = total - read_len;
	return unlikely(total > CHAIN_MAX) ? -EPROTO : 0;
}

/* Look for entries beyond those known. 1, 0, or -EPROTO when the driver claims more than fit. */
static int refill(struct virtq *vq)
{
	uint16_t idx = ring_load16_acquire(vq->avail + RING_IDX);

	if (idx == vq->last_avail)
		return 0;
	if (unlikely((uint16_t)(idx - vq->last_avail) > vq->num))
		return virtq_break(vq);
	vq->avail_idx = idx;
	return 1;
}

int virtq_pop(struct virtq *vq, struct virtq_chain *chain)
{
	uint16_t head;

	if (unlikely(!vq->running))
		return vq->broken ? -EPROTO : 0;
	if (vq->last_avail == vq->avail_idx) {
		int more = refill(vq);

		if (more <= 0)
			return more;
	}
	head = ring_load16(avail_entry(vq, vq->last_avail));
	if (unlikely(head >= vq->num || vq->busy[head]))
		return virtq_break(vq);
	if (unlikely(walk(vq, chain, head)))
		return virtq_break(vq);
	chain->head = head;
	vq->busy[head] = 1;
	vq->inflight++;
	vq->last_avail++;
	vq->armed = false; /* kicks were asked for at an index that is behind now */
	ring_count(&vq->stats.pops);
	return 1;
}

void virtq_push(struct virtq *vq, uint16_t head, uint32_t written)
{
	uint8_t *elem;

	assert(head < VIRTQ_MAX_SIZE && vq->busy[head]);
	vq->busy[head] = 0;
	vq->inflight--;
	if (unlikely(!vq->running))
		return;
	elem = vq->used + RING_ENTRIES + USED_ELEM_SIZE * (vq->used_idx & vq->mask);
	ring_store32(elem, head);
	ring_store32(elem + 4, written);
	vq->used_idx++;
	ring_count(&vq->stats.pushes);
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

	if (vq->used_idx == old || unlikely(!vq->running))
		return false;
	ring_store16_release(vq->used + RING_IDX, vq->used_idx);
	vq->flushed = vq->used_idx;
	ring_fence(); /* the driver: store used_event, fence, load used.idx */
	if (!wants_call(vq, old, vq->used_idx))
		return false;
	ring_count(&vq->stats.calls);
	return true;
}

bool virtq_sleep(struct virtq *vq)
{
	if (unlikely(!vq->running))
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

void virtq_wake(struct virtq *vq)
{
	vq->armed = false;
	/* With EVENT_IDX it is enough not to move avail_event: the driver has passed it. */
	if (vq->event_idx || vq->quiet || unlikely(!vq->running))
		return;
	ring_store16(vq->used + RING_FLAGS, VRING_USED_F_NO_NOTIFY);
	vq->quiet = true;
}

unsigned virtq_inflight(const struct virtq *vq)
{
	return vq->inflight;
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
