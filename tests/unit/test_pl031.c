// SPDX-License-Identifier: Apache-2.0
/* The clock chip as a driver meets it, and accesses no driver makes. */
#include "devices/pl031.h"

#include <time.h>

#include "tests/unit/unit.h"

static struct pl031 rtc;

static uint32_t get(uint64_t off)
{
	uint8_t data[4];

	pl031_bus_ops.read(&rtc, off, data, 4);
	return bus_get(data, 4);
}

static void set(uint64_t off, uint32_t value)
{
	uint8_t data[4];

	bus_put(data, 4, value);
	pl031_bus_ops.write(&rtc, off, data, 4);
}

/* Between two looks at the host's clock. */
START_TEST(tells_the_time)
{
	uint32_t before = time(NULL), told = get(0), after = time(NULL);

	ck_assert(told - before <= after - before);
	set(8, 1000);
	told = get(0);
	ck_assert(told - 1000 <= (uint32_t)time(NULL) - before);
	ck_assert(get(8) - told <= (uint32_t)time(NULL) - before);
	set(8, 0xffffffff);
	ck_assert((uint32_t)(get(0) + 1) <= (uint32_t)time(NULL) - before);
	pl031_reset(&rtc);
	ck_assert_uint_ge(get(0), before);
}
END_TEST

START_TEST(is_a_pl031)
{
	uint64_t id = 0;

	for (unsigned i = 0; i < 8; i++)
		id |= (uint64_t)get(0xfe0 + 4 * i) << 8 * i;
	ck_assert_uint_eq(id, 0xb105f00d00041031);
	ck_assert_uint_eq(get(0xc), 1);
	set(4, 77);
	ck_assert_uint_eq(get(4), 77);
	pl031_reset(&rtc);
	ck_assert_uint_eq(get(4), 0);
}
END_TEST

START_TEST(any_access)
{
	uint8_t data[8];

	for (uint64_t off = 0; off < PL031_SIZE; off++)
		for (unsigned len = 1; len <= 8 && off + len <= PL031_SIZE; len++) {
			pl031_bus_ops.read(&rtc, off, data, len);
			pl031_bus_ops.write(&rtc, off, data, len);
		}
	pl031_bus_ops.read(&rtc, 0xfe0, data, 1);
	ck_assert_uint_eq(data[0], 0x31);
	pl031_bus_ops.read(&rtc, 0xfe1, data, 1);
	ck_assert_uint_eq(data[0], 0);
}
END_TEST

UNIT_MAIN("pl031", tells_the_time, is_a_pl031, any_access)
