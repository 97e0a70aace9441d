/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An allocator that fails once, when a test says so, and counts what is not freed: one source file of a
 * program. Without OWN_ALLOCATOR it is not there.
 */
#ifndef PINVM_TESTS_FAKE_ALLOC_H
#define PINVM_TESTS_FAKE_ALLOC_H

#include <stdbool.h>
#include <stdlib.h>

/* Sanitizers bring allocators of their own, which do not stand aside. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define OWN_ALLOCATOR 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define OWN_ALLOCATOR 0
#endif
#endif
#ifndef OWN_ALLOCATOR
#define OWN_ALLOCATOR 1
#endif

static long alloc_left = -1; /* allocations until one fails; < 0: none does */
static bool alloc_counting;
static long alloc_live;

#if OWN_ALLOCATOR
void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_memalign(size_t, size_t);
void __libc_free(void *);

static bool alloc_refused(void)
{
	return alloc_counting && alloc_left >= 0 && alloc_left-- == 0;
}

static void *alloc_count(void *p)
{
	alloc_live += alloc_counting && p;
	return p;
}

void *malloc(size_t n)
{
	return alloc_refused() ? NULL : alloc_count(__libc_malloc(n));
}

void *calloc(size_t n, size_t size)
{
	return alloc_refused() ? NULL : alloc_count(__libc_calloc(n, size));
}

void *aligned_alloc(size_t align, size_t n)
{
	return alloc_refused() ? NULL : alloc_count(__libc_memalign(align, n));
}

void free(void *p)
{
	alloc_live -= alloc_counting && p;
	__libc_free(p);
}
#endif

#endif
