/* SPDX-License-Identifier: Apache-2.0 */
/* What every room needs and C lacks. Any thread. */
#ifndef PINVM_UTIL_H
#define PINVM_UTIL_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* The struct that `ptr` is the field `member` of. */
#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

/* CLOCK_MONOTONIC in nanoseconds. */
static inline uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
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
