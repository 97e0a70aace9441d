/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The other end of a split virtqueue: a driver over mock guest RAM, for tests, fuzzers and measurements. It
 * keeps the rules (barriers included) unless a test writes to the ring by hand. One thread at a time.
 */
#ifndef PINVM_TESTS_RING_DRIVER_H
#define PINVM_TESTS_RING_DRIVER_H

#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "devices/virtio/ring_atomics.h"
#include "devices/virtio/virtq.h"
#include "vmm/memory/mem.h"

#define must(cond) ((cond) ? (void)0 : ring_driver_die(__FILE__, __LINE__, #cond))

static inline void ring_driver_die(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: not so: %s\n", file, line, what);
	abort();
}

#define RING_FEATURES	(1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_RING_F_INDIRECT_DESC)
#define RING_EVENT_IDX	(1ULL << VIRTIO_RING_F_EVENT_IDX)
#define RING_SPACE(num) (((num)*16ULL + 6 + (num)*2ULL + 3) / 4 * 4 + 6 + (num)*8ULL)

struct ring_seg {
	uint64_t gpa;
	uint32_t len;
	bool write;
};

struct ring_driver {
	const struct guest_mem *mem;
	struct virtq_cfg cfg;
	bool event_idx;
	uint8_t *desc, *avail, *used;
	uint16_t avail_idx, last_used; /* next to publish; next to look at */
	uint16_t kicked;	       /* avail index at the last look whether to kick */
	unsigned nfree;
	uint16_t free[VIRTQ_MAX_SIZE];
	uint16_t len[VIRTQ_MAX_SIZE]; /* direct descriptors of the chain that begins here */
};

static inline void ring_desc_put(
	uint8_t *table, unsigned i, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
	uint64_t rest = len | (uint64_t)flags << 32 | (uint64_t)next << 48;
	uint8_t *d = table + 16 * (size_t)i;

	if ((uintptr_t)d & 7) {
		ring_copy(d, &addr, 8);
		ring_copy(d + 8, &rest, 8);
		return;
	}
	atomic_store_explicit((_Atomic uint64_t *)d, addr, memory_order_relaxed);
	atomic_store_explicit((_Atomic uint64_t *)(d + 8), rest, memory_order_relaxed);
}

/* Empty rings of `num` entries at gpa (RING_SPACE(num) bytes), both indices at `base`. */
static inline void ring_init(struct ring_driver *r, const struct guest_mem *mem, uint64_t gpa, uint16_t num,
	uint16_t base, uint64_t features)
{
	memset(r, 0, sizeof(*r));
	r->mem = mem;
	r->event_idx = features & RING_EVENT_IDX;
	r->cfg = (struct virtq_cfg){
		.num = num, .base = base, .ready = true, .desc = gpa, .avail = gpa + 16ULL * num};
	r->cfg.used = (r->cfg.avail + 6 + 2ULL * num + 3) & ~3ULL;
	r->desc = mem_at(mem, gpa, RING_SPACE(num));
	must(r->desc);
	memset(r->desc, 0, RING_SPACE(num));
	r->avail = r->desc + (r->cfg.avail - gpa);
	r->used = r->desc + (r->cfg.used - gpa);
	r->avail_idx = r->last_used = r->kicked = base;
	ring_store16(r->avail + 2, base);
	ring_store16(r->used + 2, base);
	for (unsigned i = 0; i < num; i++)
		r->free[r->nfree++] = num - 1 - i;
}

/* Link segments into a direct chain; returns its head, or -1 when there are not enough free descriptors. */
static inline int ring_chain(struct ring_driver *r, const struct ring_seg *seg, unsigned n)
{
	uint16_t id[VIRTQ_MAX_SIZE];

	if (n > r->nfree || !n)
		return -1;
	for (unsigned i = 0; i < n; i++)
		id[i] = r->free[--r->nfree];
	for (unsigned i = 0; i < n; i++)
		ring_desc_put(r->desc, id[i], seg[i].gpa, seg[i].len,
			(seg[i].write ? VRING_DESC_F_WRITE : 0) | (i + 1 < n ? VRING_DESC_F_NEXT : 0),
			i + 1 < n ? id[i + 1] : 0);
	r->len[id[0]] = n;
	return id[0];
}

/* The first `direct` segments as descriptors, the others in a table at gpa `table`. */
static inline int ring_chain_indirect(
	struct ring_driver *r, const struct ring_seg *seg, unsigned direct, unsigned n, uint64_t table)
{
	uint8_t *t = mem_at(r->mem, table, 16ULL * (n - direct));
	struct ring_seg all[VIRTQ_MAX_SIZE];
	unsigned i;
	int head;

	must(t && n > direct);
	memcpy(all, seg, direct * sizeof(*seg));
	all[direct] = (struct ring_seg){table, 16 * (n - direct), false};
	head = ring_chain(r, all, direct + 1);
	if (head < 0)
		return head;
	for (i = direct; i < n; i++)
		ring_desc_put(t, i - direct, seg[i].gpa, seg[i].len,
			(seg[i].write ? VRING_DESC_F_WRITE : 0) | (i + 1 < n ? VRING_DESC_F_NEXT : 0),
			i - direct + 1);
	/* the last direct descriptor becomes an indirect one */
	for (i = head; ring_desc_load(r->desc + 16 * i).flags & VRING_DESC_F_NEXT;)
		i = ring_desc_load(r->desc + 16 * i).next;
	ring_desc_put(r->desc, i, table, 16 * (n - direct), VRING_DESC_F_INDIRECT, 0);
	return head;
}

static inline void ring_offer(struct ring_driver *r, uint16_t head)
{
	ring_store16(r->avail + 4 + 2 * (r->avail_idx & (r->cfg.num - 1)), head);
	r->avail_idx++;
}

/* Publish what was offered. True: the device wants a kick. */
static inline bool ring_publish(struct ring_driver *r)
{
	uint16_t old = r->kicked;

	ring_store16_release(r->avail + 2, r->avail_idx);
	r->kicked = r->avail_idx;
	ring_fence();
	if (r->event_idx)
		return vring_need_event(ring_load16(r->used + 4 + 8 * r->cfg.num), r->avail_idx, old);
	return !(ring_load16(r->used) & VRING_USED_F_NO_NOTIFY);
}

static inline int ring_add(struct ring_driver *r, const struct ring_seg *seg, unsigned n)
{
	int head = ring_chain(r, seg, n);

	if (head >= 0) {
		ring_offer(r, head);
		ring_publish(r);
	}
	return head;
}

/* The next used chain: true, its head and length; its descriptors are free again. */
static inline bool ring_used(struct ring_driver *r, uint32_t *head, uint32_t *len)
{
	const uint8_t *e = r->used + 4 + 8 * (r->last_used & (r->cfg.num - 1));
	uint16_t i;

	if (ring_load16_acquire(r->used + 2) == r->last_used)
		return false;
	*head = atomic_load_explicit((const _Atomic uint32_t *)e, memory_order_relaxed);
	*len = atomic_load_explicit((const _Atomic uint32_t *)(e + 4), memory_order_relaxed);
	r->last_used++;
	must(*head < r->cfg.num);
	i = *head;
	for (unsigned n = r->len[*head]; n; n--) {
		r->free[r->nfree++] = i;
		i = ring_desc_load(r->desc + 16 * i).next;
	}
	r->len[*head] = 0;
	return true;
}

/* Ask for an interrupt at the next used chain. False: there is one already. */
static inline bool ring_arm(struct ring_driver *r)
{
	if (r->event_idx)
		ring_store16(r->avail + 4 + 2 * r->cfg.num, r->last_used);
	else
		ring_store16(r->avail, 0);
	ring_fence();
	return ring_load16_acquire(r->used + 2) == r->last_used;
}

#endif
