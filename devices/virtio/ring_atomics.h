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
	size_t len, next; /* 32 and 16 bits */
	uint16_t flags;
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

/* 64 bits at any address, read once, though not always in one piece. */
struct __attribute__((packed)) ring_word {
	uint64_t v;
};

static inline uint64_t ring_load64(const void *p)
{
#ifdef RING_TSAN /* where both sides can be atomic it wants to see that; elsewhere the race is intended */
	uint64_t v;

	if (!((uintptr_t)p & 7))
		return atomic_load_explicit((const _Atomic uint64_t *)p, memory_order_relaxed);
	for (unsigned i = 0; i < sizeof(v); i++)
		((uint8_t *)&v)[i] =
			atomic_load_explicit((const _Atomic uint8_t *)p + i, memory_order_relaxed);
	return v;
#else
	return ((const volatile struct ring_word *)p)->v;
#endif
}

/*
 * One descriptor, each of its fields read once. An indirect table may lie at any address; there a guest that
 * changes a descriptor meanwhile has to bear a mixture of old and new.
 */
static inline struct ring_desc ring_desc_load(const void *p)
{
	uint64_t addr = ring_load64(p), rest = ring_load64((const char *)p + 8);

	return (struct ring_desc){addr, (uint32_t)rest, rest >> 48, (uint16_t)(rest >> 32)};
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

#endif
