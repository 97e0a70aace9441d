/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The only place with memory ordering: loads and stores on rings that another party (a guest's driver, or in
 * tests a driver thread) reads and writes at the same time. C11 atomics; every field is fetched exactly once
 * by its load.
 */
#ifndef PINVM_RING_ATOMICS_H
#define PINVM_RING_ATOMICS_H

#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "virtio 1.x rings are little endian, and so are the hosts pinvm runs on"
#endif

#if defined(__SANITIZE_THREAD__)
#define RING_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RING_TSAN 1
#endif
#endif

#ifdef RING_TSAN
extern _Atomic int ring_tsan_fence;
#endif

struct ring_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

static inline uint16_t ring_load16(const void *p)
{
	return atomic_load_explicit((const _Atomic uint16_t *)p, memory_order_relaxed);
}

/* What the other side wrote before it stored this index is visible after this load. */
static inline uint16_t ring_load16_acquire(const void *p)
{
	return atomic_load_explicit((const _Atomic uint16_t *)p, memory_order_acquire);
}

static inline void ring_store16(void *p, uint16_t v)
{
	atomic_store_explicit((_Atomic uint16_t *)p, v, memory_order_relaxed);
}

static inline void ring_store32(void *p, uint32_t v)
{
	atomic_store_explicit((_Atomic uint32_t *)p, v, memory_order_relaxed);
}

/* What was written before is visible to whoever sees this index. */
static inline void ring_store16_release(void *p, uint16_t v)
{
	atomic_store_explicit((_Atomic uint16_t *)p, v, memory_order_release);
}

/*
 * Order a store before a later load, both ways between the two sides: "I published an index, do you want to
 * hear of it?" against "I asked to hear of it, did you publish?". Anything weaker loses wake-ups.
 */
static inline void ring_fence(void)
{
#ifdef RING_TSAN /* does not model fences: a read-modify-write on one shared word gives it the same order */
	atomic_fetch_add_explicit(&ring_tsan_fence, 1, memory_order_seq_cst);
#else
	atomic_thread_fence(memory_order_seq_cst);
#endif
}

/* An indirect table may lie at any address. Volatile: read once, though not in one piece, which a guest that
 * changes a descriptor meanwhile has to bear. Such a race is intended, so the thread sanitizer does not
 * watch. */
__attribute__((noinline, unused, no_sanitize("thread"))) static struct ring_desc ring_desc_unaligned(
	const void *p)
{
	const volatile struct __attribute__((packed)) {
		uint64_t addr;
		uint32_t len;
		uint16_t flags, next;
	} *d = p;

	return (struct ring_desc){d->addr, d->len, d->flags, d->next};
}

/* One descriptor, each of its fields read once. */
static inline struct ring_desc ring_desc_load(const void *p)
{
	uint64_t rest;
	struct ring_desc d;

	if (__builtin_expect((uintptr_t)p & 7, 0))
		return ring_desc_unaligned(p);
	d.addr = atomic_load_explicit((const _Atomic uint64_t *)p, memory_order_relaxed);
	rest = atomic_load_explicit((const _Atomic uint64_t *)((const char *)p + 8), memory_order_relaxed);
	d.len = (uint32_t)rest;
	d.flags = (uint16_t)(rest >> 32);
	d.next = (uint16_t)(rest >> 48);
	return d;
}

/* Copy bytes between guest RAM and our own: each guest byte is touched once, whoever else writes it
 * meanwhile. */
static inline void ring_copy(void *dst, const void *src, size_t len)
{
#ifdef RING_TSAN /* the race with a hostile guest is intended: say so byte by byte */
	for (size_t i = 0; i < len; i++)
		atomic_store_explicit((_Atomic uint8_t *)dst + i,
			atomic_load_explicit((const _Atomic uint8_t *)src + i, memory_order_relaxed),
			memory_order_relaxed);
#else
	memcpy(dst, src, len);
#endif
}

/* A counter with one writer and any reader: no locked instruction. */
static inline void ring_count(_Atomic uint64_t *counter)
{
	atomic_store_explicit(
		counter, atomic_load_explicit(counter, memory_order_relaxed) + 1, memory_order_relaxed);
}

#endif
