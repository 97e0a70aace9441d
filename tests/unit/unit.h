/* SPDX-License-Identifier: Apache-2.0 */
/* What every unit test program shares: one main, dice, and a piece of mock guest RAM. */
#ifndef PINVM_TESTS_UNIT_H
#define PINVM_TESTS_UNIT_H

#include <check.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#include "vmm/memory/mem.h"

/* Run the tests of tc, each in a process of its own; tc comes from unit_case(). */
static inline TCase *unit_case(const char *name)
{
	TCase *tc = tcase_create(name);

	tcase_set_timeout(tc, 60);
	return tc;
}

static inline int unit_run_case(const char *name, TCase *tc)
{
	Suite *s = suite_create(name);
	SRunner *sr = srunner_create(s);
	int failed;

	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

static inline int unit_run(const char *name, const TTest *const *tests, size_t n)
{
	TCase *tc = unit_case(name);

	for (size_t i = 0; i < n; i++)
		tcase_add_test(tc, tests[i]);
	return unit_run_case(name, tc);
}

/* A test that is run with _i = 0, 1, ... times - 1. */
struct unit_test {
	const TTest *test;
	int times;
};

static inline int unit_run_times(const char *name, const struct unit_test *tests, size_t n)
{
	TCase *tc = unit_case(name);

	for (size_t i = 0; i < n; i++)
		tcase_add_loop_test(tc, tests[i].test, 0, tests[i].times);
	return unit_run_case(name, tc);
}

/* UNIT_MAIN("bus", test_a, test_b): a program that runs these tests once. */
#define UNIT_MAIN(name, ...)                                                                                           \
	int main(void)                                                                                                 \
	{                                                                                                              \
		const TTest *tests[] = {__VA_ARGS__};                                                                  \
		return unit_run(name, tests, sizeof(tests) / sizeof(tests[0]));                                        \
	}

/* UNIT_MAIN_TIMES("bus", {test_a, 1}, {test_b, 3}) */
#define UNIT_MAIN_TIMES(name, ...)                                                                                     \
	int main(void)                                                                                                 \
	{                                                                                                              \
		const struct unit_test tests[] = {__VA_ARGS__};                                                        \
		return unit_run_times(name, tests, sizeof(tests) / sizeof(tests[0]));                                  \
	}

/*
 * Whether a soak has lasted long enough, counted from the first time this was asked: threads that wait for each other turn by
 * turn do so in a second or two, and for hours where other programs have the CPUs. What they have done by then counts.
 */
static inline bool unit_enough(void)
{
	static _Atomic long begun;
	struct timespec now;
	long first = 0;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (atomic_compare_exchange_strong(&begun, &first, now.tv_sec))
		return false;
	return now.tv_sec - first > 20;
}

/* xorshift: anything, but the same again when a failure is looked at. *state is not 0. */
static inline uint64_t unit_dice(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Add RAM [gpa, gpa + size) to mem, with an inaccessible page behind it so that an overrun faults. Whole pages. */
static inline uint8_t *unit_ram(struct guest_mem *mem, uint64_t gpa, uint64_t size)
{
	uint8_t *p = mmap(NULL, size + 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(p, MAP_FAILED);
	ck_assert_int_eq(mprotect(p, size, PROT_READ | PROT_WRITE), 0);
	mem->region[mem->n++] = (struct mem_region){.gpa = gpa, .size = size, .host = p, .fd = -1};
	return p;
}

#endif
