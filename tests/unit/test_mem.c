// SPDX-License-Identifier: Apache-2.0
/* Guest RAM: the one translation, at every edge. */
#include <errno.h>
#include <string.h>

#include "tests/unit/unit.h"
#include "vmm/mem.h"

#define GIB (1ULL << 30)

START_TEST(translates_only_inside_one_region)
{
	struct guest_mem mem = {0};
	uint8_t *low = unit_ram(&mem, 0, 0x2000);
	uint8_t *high = unit_ram(&mem, 0x10000, 0x1000);

	ck_assert_ptr_eq(mem_at(&mem, 0, 1), low);
	ck_assert_ptr_eq(mem_at(&mem, 0x1fff, 1), low + 0x1fff);
	ck_assert_ptr_eq(mem_at(&mem, 0, 0x2000), low);
	ck_assert_ptr_eq(mem_at(&mem, 0x10000, 0x1000), high);
	ck_assert_ptr_null(mem_at(&mem, 0x1fff, 2));
	ck_assert_ptr_null(mem_at(&mem, 0x2000, 1));
	ck_assert_ptr_null(mem_at(&mem, 0x2000, 0));
	ck_assert_ptr_null(mem_at(&mem, 0x11000, 1));
	ck_assert_ptr_null(mem_at(&mem, 0, UINT64_MAX));
	ck_assert_ptr_null(mem_at(&mem, 0x10, UINT64_MAX - 0x0f));
	ck_assert_ptr_null(mem_at(&mem, UINT64_MAX, 2));
	ck_assert_uint_eq(mem_top(&mem), 0x11000);
}
END_TEST

START_TEST(copies_are_bounded)
{
	struct guest_mem mem = {0};
	char back[4];

	unit_ram(&mem, 0x1000, 0x1000);
	ck_assert_int_eq(mem_write(&mem, 0x1ffc, "abc", 4), 0);
	ck_assert_int_eq(mem_read(&mem, 0x1ffc, back, 4), 0);
	ck_assert_str_eq(back, "abc");
	ck_assert_int_eq(mem_write(&mem, 0x1ffd, "abc", 4), -EFAULT);
	ck_assert_int_eq(mem_read(&mem, 0xfff, back, 4), -EFAULT);
}
END_TEST

static void check_layout(uint64_t size, bool shared)
{
	struct memory_config cfg = {.size = size, .shared = shared};
	struct guest_mem mem;
	uint64_t sum = 0;

	ck_assert_int_eq(mem_create(&mem, &cfg), 0);
	for (unsigned i = 0; i < mem.n; i++) {
		sum += mem.region[i].size;
		ck_assert_uint_eq((uintptr_t)mem.region[i].host % (2 << 20), mem.region[i].gpa % (2 << 20));
		ck_assert_int_eq(mem.region[i].fd >= 0, shared);
		memset(mem_at(&mem, mem.region[i].gpa + mem.region[i].size - 1, 1), 7, 1);
	}
	ck_assert_uint_eq(sum, size);
	ck_assert_ptr_null(mem_at(&mem, mem_top(&mem), 1));
	mem_destroy(&mem);
	ck_assert_uint_eq(mem.n, 0);
}

START_TEST(lays_ram_around_the_hole)
{
	check_layout(64 << 20, false);
	check_layout(512 << 20, true);
	check_layout(3 * GIB, false);
	check_layout(3 * GIB + (2 << 20), true);
	check_layout(5 * GIB, false);
}
END_TEST

START_TEST(shared_ram_is_the_file)
{
	struct memory_config cfg = {.size = 64 << 20, .shared = true};
	struct guest_mem mem;
	uint8_t *again;

	ck_assert_int_eq(mem_create(&mem, &cfg), 0);
	memcpy(mem_at(&mem, 0x5000, 4), "ping", 4);
	again = mmap(NULL, 0x1000, PROT_READ, MAP_SHARED, mem.region[0].fd, mem.region[0].fd_offset + 0x5000);
	ck_assert_ptr_ne(again, MAP_FAILED);
	ck_assert_mem_eq(again, "ping", 4);
	munmap(again, 0x1000);
	mem_destroy(&mem);
}
END_TEST

UNIT_MAIN("mem", translates_only_inside_one_region, copies_are_bounded, lays_ram_around_the_hole, shared_ram_is_the_file)
