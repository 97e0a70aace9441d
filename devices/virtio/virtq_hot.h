/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a virtqueue does once a chain, inlined into its device's loop over chains; virtq.h says what it
 * promises, virtq.c has the rest. Everything a driver writes is fetched once into a local and checked there.
 */
#ifndef PINVM_VIRTQ_HOT_H
#define PINVM_VIRTQ_HOT_H

#include <assert.h>
#include <errno.h>
#include <linux/virtio_ring.h>

#include "devices/virtio/ring_atomics.h"
#include "devices/virtio/virtq.h"

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* Both rings begin with le16 flags, idx; an event index follows the last entry. */
enum { RING_FLAGS = 0, RING_IDX = 2, RING_ENTRIES = 4 };

#define DESC_SIZE      16
#define USED_ELEM_SIZE 8
#define CHAIN_MAX      (1ULL << 32) /* bytes; virtio 1.2, 2.7.4.2 */
#define TABLE_MAX      65536	    /* descriptors an indirect table can address */

/* For virtq_pop(), when it knows of no more entries. 1: now it does; 0; -EPROTO: the driver claims more than
 * fit. */
int virtq_refill(struct virtq *vq);
/* A driver that wrote nonsense once is not listened to again before it resets the device. */
__attribute__((cold)) void virtq_break(struct virtq *vq);
/* Find another region that holds all of [gpa, gpa + len), and make it `near`. False: there is none. */
__attribute__((cold)) bool virtq_far(struct virtq *vq, uint64_t gpa, uint64_t len);

/* Whether that is RAM; `near` holds it then. */
static inline bool virtq_ram(struct virtq *vq, uint64_t gpa, uint64_t len)
{
	return likely(mem_region_holds(&vq->near, gpa, len)) || virtq_far(vq, gpa, len);
}

/* A walk along a chain. */
struct virtq_walk {
	const uint8_t *table; /* `size` descriptors: the queue's, or an indirect table */
	size_t size;
	bool indirect;		 /* in a table */
	struct ring_desc d;	 /* the current one */
	struct iovec *iov, *end; /* its segment goes to iov; passing the end: the chain runs in a circle */
	uint64_t bytes;
};

/* Step into the table an indirect descriptor leads to (2.7.5.3). Its WRITE flag means nothing. */
static inline bool virtq_enter_table(struct virtq *vq, struct virtq_walk *w)
{
	if (w->indirect || !vq->indirect || w->d.flags & VRING_DESC_F_NEXT)
		return false;
	if (w->d.len % DESC_SIZE || w->d.len / DESC_SIZE > TABLE_MAX || !virtq_ram(vq, w->d.addr, w->d.len))
		return false;
	w->table = mem_region_host(&vq->near, w->d.addr);
	w->size = w->d.len / DESC_SIZE;
	w->indirect = true;
	w->d = ring_desc_load(w->table);
	return true;
}

/* The current descriptor's segment; one of no bytes counts, and is dropped. */
static inline bool virtq_take_segment(struct virtq *vq, struct virtq_walk *w)
{
	if (unlikely(w->iov == w->end))
		return false;
	if (unlikely(!virtq_ram(vq, w->d.addr, w->d.len))) {
		w->end--;
		return !w->d.len;
	}
	*w->iov++ = (struct iovec){mem_region_host(&vq->near, w->d.addr), w->d.len};
	w->bytes += w->d.len;
	return true;
}

/* On to the next descriptor. */
static inline bool virtq_step(struct virtq_walk *w)
{
	if (unlikely(w->d.next >= w->size))
		return false;
	w->d = ring_desc_load(w->table + DESC_SIZE * w->d.next);
	return true;
}

/* Take the segments of one direction, 0 or WRITE. 1: one of the other follows; 0: the chain ends; -EPROTO. */
static __always_inline int virtq_take(struct virtq *vq, struct virtq_walk *w, uint16_t direction)
{
	for (;;) {
		if (unlikely((w->d.flags & (VRING_DESC_F_WRITE | VRING_DESC_F_INDIRECT)) != direction)) {
			if (!(w->d.flags & VRING_DESC_F_INDIRECT))
				return 1;
			if (unlikely(!virtq_enter_table(vq, w)))
				return -EPROTO;
			continue;
		}
		if (unlikely(!virtq_take_segment(vq, w)))
			return -EPROTO;
		if (!(w->d.flags & VRING_DESC_F_NEXT))
			return 0;
		if (!virtq_step(w))
			return -EPROTO;
	}
}

/* Follow the chain from `head`: what the device may read, then what it may write. False: it is malformed. */
static __always_inline bool virtq_follow(struct virtq *vq, struct virtq_chain *chain, size_t head)
{
	struct virtq_walk w = {
		.table = vq->desc,
		.size = vq->num,
		.d = ring_desc_load(vq->desc + DESC_SIZE * head),
		.iov = chain->iov,
		.end = chain->iov + (chain->cap < vq->num ? chain->cap : vq->num), /* 2.7.5.3.1 */
	};
	int more = virtq_take(vq, &w, 0);

	if (unlikely(more < 0))
		return false;
	chain->nread = w.iov - chain->iov;
	chain->read_len = w.bytes;
	if (likely(more) && unlikely(virtq_take(vq, &w, VRING_DESC_F_WRITE)))
		return false;
	chain->nwrite = w.iov - chain->iov - chain->nread;
	chain->write_len = w.bytes - chain->read_len;
	return w.bytes <= CHAIN_MAX;
}

/* The next entry of the available ring, which is not checked and not taken. 1; 0; -EPROTO. */
static __always_inline int virtq_next(struct virtq *vq, size_t *head)
{
	if (unlikely(vq->last_avail == vq->avail_idx)) {
		int more = virtq_refill(vq);

		if (more <= 0)
			return more;
	}
	*head = ring_load16(vq->avail + RING_ENTRIES + sizeof(uint16_t) * (size_t)(vq->last_avail & vq->mask));
	return 1;
}

static __always_inline int virtq_pop(struct virtq *vq, struct virtq_chain *chain)
{
	size_t head;
	int more = virtq_next(vq, &head);

	if (unlikely(more <= 0))
		return more;
	if (unlikely(head >= vq->num || vq->busy[head] || !virtq_follow(vq, chain, head))) {
		virtq_break(vq);
		return -EPROTO;
	}
	chain->head = head;
	vq->busy[head] = 1;
	vq->last_avail++;
	return 1;
}

/*
 * The next chain when it is the simplest there is: known already, one segment of that direction (0 or WRITE)
 * and of `least` bytes (1..), near the last one. False: nothing was taken, and virtq_pop() is to look.
 */
static __always_inline bool virtq_pop_one(
	struct virtq *vq, uint16_t direction, uint32_t least, struct iovec *iov, size_t *head)
{
	uint16_t at = vq->last_avail;
	struct ring_desc d;
	uint64_t off, end; /* huge, or wrapping, when it is below that RAM */
	size_t h;

	if (unlikely(at == vq->avail_idx))
		return false;
	h = ring_load16(vq->avail + RING_ENTRIES + sizeof(uint16_t) * (size_t)(at & vq->mask));
	if (unlikely(h >= vq->num || vq->busy[h]))
		return false;
	d = ring_desc_load(vq->desc + DESC_SIZE * h);
	if (unlikely((d.flags & (VRING_DESC_F_NEXT | VRING_DESC_F_WRITE | VRING_DESC_F_INDIRECT)) !=
		     direction))
		return false;
	off = d.addr - vq->near.gpa;
	if (unlikely(d.len < least || __builtin_add_overflow(off, d.len, &end) || end > vq->near.size))
		return false;
	*iov = (struct iovec){vq->near.host + off, d.len};
	*head = h;
	vq->busy[h] = 1;
	vq->last_avail = at + 1;
	return true;
}

/* What nearly every chain of virtio-blk is: some bytes to read, data of either direction, one byte to write.
 */
struct virtq_request {
	size_t head; /* in the descriptor table */
	const uint8_t *first;
	uint8_t *last;
	struct iovec data; /* 1.. bytes */
	bool write;	   /* data is to be written */
};

/*
 * The next chain when it is such a request, its first segment of `first` bytes; for queues of three entries
 * and more. 1; 0, -EPROTO: as virtq_pop(); -EAGAIN: nothing was taken, and virtq_pop() is to look.
 */
static __always_inline int virtq_pop_request(struct virtq *vq, uint32_t first, struct virtq_request *r)
{
	const uint16_t kind = VRING_DESC_F_NEXT | VRING_DESC_F_WRITE | VRING_DESC_F_INDIRECT;
	struct virtq_walk w = {.table = vq->desc, .size = vq->num};
	size_t head;
	int more = virtq_next(vq, &head);

	if (unlikely(more <= 0))
		return more;
	if (unlikely(head >= vq->num || vq->busy[head]))
		return -EAGAIN;
	w.d = ring_desc_load(vq->desc + DESC_SIZE * head);
	if (w.d.flags & VRING_DESC_F_INDIRECT && unlikely(!virtq_enter_table(vq, &w)))
		return -EAGAIN;
	if (unlikely((w.d.flags & kind) != VRING_DESC_F_NEXT || w.d.len != first ||
		     !virtq_ram(vq, w.d.addr, first)))
		return -EAGAIN;
	r->first = mem_region_host(&vq->near, w.d.addr);
	if (!virtq_step(&w) || unlikely((w.d.flags & (kind & ~VRING_DESC_F_WRITE)) != VRING_DESC_F_NEXT ||
					w.d.len >= CHAIN_MAX - first || !virtq_ram(vq, w.d.addr, w.d.len)))
		return -EAGAIN;
	r->data = (struct iovec){mem_region_host(&vq->near, w.d.addr), w.d.len};
	r->write = w.d.flags & VRING_DESC_F_WRITE;
	if (!virtq_step(&w) || unlikely((w.d.flags & kind) != VRING_DESC_F_WRITE || w.d.len != 1 ||
					!virtq_ram(vq, w.d.addr, 1)))
		return -EAGAIN;
	r->last = mem_region_host(&vq->near, w.d.addr);
	r->head = head;
	vq->busy[head] = 1;
	vq->last_avail++;
	return 1;
}

static inline void virtq_put_used(struct virtq *vq, size_t at, size_t head, uint32_t written)
{
	uint8_t *elem = vq->used + RING_ENTRIES + USED_ELEM_SIZE * (at & vq->mask);

	ring_store32(elem, head);
	ring_store32(elem + 4, written);
}

static inline void virtq_push_running(struct virtq *vq, size_t head, uint32_t written)
{
	assert(head < VIRTQ_MAX_SIZE && vq->busy[head]);
	vq->busy[head] = 0;
	virtq_put_used(vq, vq->used_idx++, head, written);
}

static inline void virtq_push(struct virtq *vq, size_t head, uint32_t written)
{
	uint16_t at = vq->used_idx++;

	assert(head < VIRTQ_MAX_SIZE && vq->busy[head]);
	vq->busy[head] = 0;
	if (likely(vq->running))
		virtq_put_used(vq, at, head, written);
}

#endif
