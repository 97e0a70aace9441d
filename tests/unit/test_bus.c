// SPDX-License-Identifier: Apache-2.0
/* The bus: sorted insertion, overlap, look-up at the edges. */
#include <errno.h>

#include "tests/unit/unit.h"
#include "vmm/bus.h"

static uint64_t seen_off;
static unsigned seen_len;

static void rd(void *dev, uint64_t off, uint8_t *data, unsigned len)
{
	seen_off = off;
	seen_len = len;
	bus_put(data, len, (uintptr_t)dev);
}

static void wr(void *dev, uint64_t off, const uint8_t *data, unsigned len)
{
	seen_off = off;
	seen_len = len;
}

static const struct bus_ops ops = {rd, wr};

START_TEST(finds_every_edge)
{
	struct bus bus = {0};
	uint8_t b[8];

	ck_assert_int_eq(bus_add(&bus, BUS_MMIO, 0x3000, 0x1000, &ops, (void *)3, "c"), 0);
	ck_assert_int_eq(bus_add(&bus, BUS_MMIO, 0x1000, 0x1000, &ops, (void *)1, "a"), 0);
	ck_assert_int_eq(bus_add(&bus, BUS_MMIO, 0x2000, 0x1000, &ops, (void *)2, "b"), 0);
	bus_freeze(&bus);
	for (uint64_t i = 1; i <= 3; i++) {
		ck_assert(bus_read(&bus, BUS_MMIO, i * 0x1000, b, 4));
		ck_assert_uint_eq(bus_get(b, 4), i);
		ck_assert(bus_read(&bus, BUS_MMIO, i * 0x1000 + 0xffc, b, 4));
		ck_assert_uint_eq(bus_get(b, 4), i);
		ck_assert_uint_eq(seen_off, 0xffc);
	}
	ck_assert(!bus_read(&bus, BUS_MMIO, 0xfff, b, 1));
	ck_assert(!bus_read(&bus, BUS_MMIO, 0x4000, b, 1));
	ck_assert_msg(!bus_read(&bus, BUS_MMIO, 0x1fff, b, 2), "an access over the end of a range belongs to nobody");
	ck_assert_uint_eq(bus_get(b, 2), 0xffff);
	ck_assert(!bus_write(&bus, BUS_PIO, 0x1000, b, 1));
}
END_TEST

START_TEST(refuses_overlap_and_wrap)
{
	struct bus bus = {0};

	ck_assert_int_eq(bus_add(&bus, BUS_PIO, 0x100, 0x10, &ops, NULL, "a"), 0);
	ck_assert_int_eq(bus_add(&bus, BUS_PIO, 0x10f, 1, &ops, NULL, "b"), -EEXIST);
	ck_assert_int_eq(bus_add(&bus, BUS_PIO, 0xf0, 0x11, &ops, NULL, "b"), -EEXIST);
	ck_assert_int_eq(bus_add(&bus, BUS_PIO, 0xf0, 0x10, &ops, NULL, "b"), 0);
	ck_assert_int_eq(bus_add(&bus, BUS_MMIO, UINT64_MAX - 1, 4, &ops, NULL, "w"), -EINVAL);
	ck_assert_int_eq(bus_add(&bus, BUS_MMIO, UINT64_MAX, 1, &ops, NULL, "last"), 0);
	ck_assert_int_eq(bus_add(&bus, BUS_MMIO, 0, 0, &ops, NULL, "empty"), -EINVAL);
}
END_TEST

/* Of a range that several share: the upper half is somebody's. */
static const char *upper_half(void *dev, uint64_t off, uint64_t *at)
{
	*at = off - 0x800;
	return off >= 0x800 ? "upper" : NULL;
}

START_TEST(tells_whose_an_address_is)
{
	static const struct bus_ops shared = {.read = rd, .write = wr, .owner = upper_half};
	struct bus bus = {0};
	uint64_t off = 99;

	ck_assert_int_eq(bus_add(&bus, BUS_MMIO, 0x1000, 0x1000, &ops, NULL, "own"), 0);
	ck_assert_int_eq(bus_add(&bus, BUS_MMIO, 0x2000, 0x1000, &shared, NULL, "shared"), 0);
	bus_freeze(&bus);
	ck_assert_str_eq(bus_owner(&bus, BUS_MMIO, 0x1fff, &off), "own");
	ck_assert_uint_eq(off, 0xfff);
	ck_assert_str_eq(bus_owner(&bus, BUS_MMIO, 0x27ff, &off), "shared");
	ck_assert_uint_eq(off, 0x7ff);
	ck_assert_str_eq(bus_owner(&bus, BUS_MMIO, 0x2800, &off), "upper");
	ck_assert_uint_eq(off, 0);
	ck_assert_ptr_null(bus_owner(&bus, BUS_MMIO, 0x3000, &off));
	ck_assert_ptr_null(bus_owner(&bus, BUS_PIO, 0x1000, &off));
}
END_TEST

UNIT_MAIN("bus", finds_every_edge, refuses_overlap_and_wrap, tells_whose_an_address_is)
