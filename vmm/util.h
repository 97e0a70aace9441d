/* SPDX-License-Identifier: Apache-2.0 */
/* What every room needs and C lacks. Any thread. */
#ifndef PINVM_UTIL_H
#define PINVM_UTIL_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

/* The struct that `ptr` is the field `member` of. */
#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

/* Elements of an array; not of a pointer. */
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* CLOCK_MONOTONIC in nanoseconds. */
static inline uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static inline struct timespec timespec_of(uint64_t ns)
{
	return (struct timespec){.tv_sec = ns / 1000000000u, .tv_nsec = ns % 1000000000u};
}

/* In a loop that waits awake: the sibling thread of the core may have its resources. */
static inline void relax_cpu(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#else
	__asm__ volatile("yield" ::: "memory");
#endif
}

/* A counter with one writer, which readers see whole: no locked instruction. */
static inline void count_add(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_store_explicit(
		counter, atomic_load_explicit(counter, memory_order_relaxed) + n, memory_order_relaxed);
}

/* The histograms of times: bucket n counts from 2^n up to 2^(n+1); 0 also holds 0, the last one all above it. */
static inline unsigned log2_bucket(uint64_t n, unsigned buckets)
{
	unsigned bucket = 63 - __builtin_clzll(n | 1);

	return bucket < buckets ? bucket : buckets - 1;
}

/* An Ethernet address as people write it; returns text. */
#define MAC_TEXT sizeof("00:00:00:00:00:00")

static inline const char *mac_text(const uint8_t mac[6], char text[MAC_TEXT])
{
	snprintf(text, MAC_TEXT, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
	return text;
}

/* A text's hash (FNV-1a, 64 bits): the same each time, and no secret. */
static inline uint64_t hash_text(const char *text)
{
	uint64_t h = 0xcbf29ce484222325u;

	while (*text)
		h = (h ^ (uint8_t)*text++) * 0x100000001b3u;
	return h;
}

#endif
