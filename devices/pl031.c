// SPDX-License-Identifier: Apache-2.0
/* The clock chip; see pl031.h. Accessed by vCPU threads: each register is one atomic word. */
#include "devices/pl031.h"

#include <time.h>

enum {
	REG_DATA = 0x00,
	REG_MATCH = 0x04,
	REG_LOAD = 0x08,
	REG_CONTROL = 0x0c,
	REG_ID = 0xfe0, /* eight words, a byte in each */
};

/* Part 031 by Arm, then a PrimeCell's. */
static const uint8_t ids[] = {0x31, 0x10, 0x04, 0x00, 0x0d, 0xf0, 0x05, 0xb1};

static uint32_t now(void)
{
	return (uint32_t)time(NULL);
}

static uint32_t reg_read(struct pl031 *rtc, uint64_t reg)
{
	switch (reg) {
	case REG_DATA:
	case REG_LOAD:
		return now() + rtc->offset;
	case REG_MATCH:
		return rtc->match;
	case REG_CONTROL:
		return 1; /* it runs */
	default:
		return reg >= REG_ID ? ids[(reg - REG_ID) / 4] : 0;
	}
}

static void pl031_read(void *dev, uint64_t off, uint8_t *data, unsigned len)
{
	bus_put(data, len, reg_read(dev, off & ~3ULL) >> 8 * (off & 3));
}

static void pl031_write(void *dev, uint64_t off, const uint8_t *data, unsigned len)
{
	struct pl031 *rtc = dev;
	uint32_t value = bus_get(data, len);

	if (off == REG_LOAD)
		rtc->offset = value - now();
	else if (off == REG_MATCH)
		rtc->match = value;
}

const struct bus_ops pl031_bus_ops = {pl031_read, pl031_write};

void pl031_reset(struct pl031 *rtc)
{
	rtc->offset = 0;
	rtc->match = 0;
}
