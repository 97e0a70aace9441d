// SPDX-License-Identifier: Apache-2.0
/* The IOAPIC's registers, and what reaches the sources behind its pins. */
#include <string.h>

#include "arch/x86/ioapic.h"
#include "tests/unit/unit.h"
#include "vmm/irq.h"

static struct ioapic *ioapic;
static struct irq_src pin4;
static struct irq_msg routed;
static int routes, masks, resets, raises, forgotten;
static bool high, kept; /* pin 4's line; a raise that the mask keeps back */

int irq_route(struct irq_src *src, const struct irq_msg *msg)
{
	routes++;
	routed = *msg;
	return 0;
}

int irq_mask(struct irq_src *src, bool masked)
{
	masks++;
	src->masked = masked;
	return 0;
}

void irq_raise(struct irq_src *src, struct loop *loop)
{
	raises++;
	src->raised++;
	kept = src->masked;
}

bool irq_pending(const struct irq_src *src)
{
	return kept;
}

void irq_forget(struct irq_src *src)
{
	forgotten++;
	kept = false;
}

static bool line(void *arg)
{
	return *(bool *)arg;
}

void irq_reset(struct irq_src *src)
{
	resets++;
	src->masked = true;
}

static void put(uint64_t off, uint32_t value)
{
	uint8_t b[4];

	bus_put(b, 4, value);
	ioapic_bus_ops.write(ioapic, off, b, 4);
}

static uint32_t get(uint64_t off)
{
	uint8_t b[4];

	ioapic_bus_ops.read(ioapic, off, b, 4);
	return bus_get(b, 4);
}

static void set(uint8_t idx, uint32_t value)
{
	put(0x00, idx);
	put(0x10, value);
}

static uint32_t reg(uint8_t idx)
{
	put(0x00, idx);
	return get(0x10);
}

static void make(void)
{
	ck_assert_int_eq(ioapic_create(&ioapic), 0);
	ioapic_connect(ioapic, 4, &pin4);
}

START_TEST(says_what_it_is)
{
	make();
	ck_assert_uint_eq(reg(1), 0x170020);
	ck_assert_uint_eq(reg(0), 0);
	set(0, 0xffffffff);
	ck_assert_uint_eq(reg(0), 0x0f000000);
	for (unsigned pin = 0; pin < 24; pin++)
		ck_assert_uint_eq(reg(0x10 + 2 * pin), 0x10000);
	ioapic_destroy(ioapic);
}
END_TEST

START_TEST(routes_an_unmasked_pin)
{
	make();
	set(0x19, 0x03000000);
	ck_assert_int_eq(routes, 0);
	set(0x18, 0x0841); /* vector 0x41, logical destination 3, edge */
	ck_assert_int_eq(routes, 1);
	ck_assert(!pin4.masked);
	ck_assert_uint_eq(routed.addr, 0xfee03004);
	ck_assert_uint_eq(routed.data, 0x41);
	set(0x18, 0x0841);
	ck_assert_msg(routes == 1, "the same again changes nothing");
	set(0x18, 0x10841);
	ck_assert(pin4.masked);
	ck_assert_int_eq(routes, 1);
	ioapic_destroy(ioapic);
}
END_TEST

START_TEST(read_only_bits_stay)
{
	make();
	set(0x18, 0xffffffff);
	ck_assert_uint_eq(reg(0x18), 0x1afff);
	set(0x19, 0xffffffff);
	ck_assert_uint_eq(reg(0x19), 0xff000000);
	ioapic_destroy(ioapic);
}
END_TEST

#define LEVEL  0x8000
#define MASKED 0x10000
#define REMOTE 0x4000

START_TEST(a_level_comes_again)
{
	make();
	pin4.line = line;
	pin4.line_arg = &high;
	set(0x18, 0x41 | LEVEL);
	ck_assert(raises == 0 && !(reg(0x18) & REMOTE));
	high = true;
	irq_raise(&pin4, NULL);
	ck_assert_uint_eq(routed.data, 0x41 | 3 << 14);
	ck_assert(reg(0x18) & REMOTE);
	ioapic_eoi(ioapic, 0x42);
	ck_assert_msg(raises == 1 && reg(0x18) & REMOTE, "another's end");
	ioapic_eoi(ioapic, 0x41);
	ck_assert_msg(raises == 2 && reg(0x18) & REMOTE, "still high: again");
	high = false;
	put(0x40, 0x41);
	ck_assert_msg(raises == 2 && !(reg(0x18) & REMOTE), "by its own register, and it is down");
	ioapic_destroy(ioapic);
}
END_TEST

START_TEST(a_masked_level_goes_by_its_line)
{
	make();
	pin4.line = line;
	pin4.line_arg = &high;
	high = true;
	set(0x18, 0x41 | LEVEL | MASKED);
	irq_raise(&pin4, NULL);
	ck_assert(!(reg(0x18) & REMOTE));
	ioapic_eoi(ioapic, 0x41);
	ck_assert_int_eq(raises, 1);
	high = false;
	set(0x18, 0x41 | LEVEL);
	ck_assert(forgotten == 1 && !kept && raises == 1 && !(reg(0x18) & REMOTE));
	set(0x18, 0x41 | LEVEL | MASKED);
	high = true;
	set(0x18, 0x41 | LEVEL);
	ck_assert_msg(raises == 2 && reg(0x18) & REMOTE, "high, whether anybody raised it or not");
	/* An edge-triggered one has no line, and keeps what was raised. */
	set(0x18, 0x41 | MASKED);
	irq_raise(&pin4, NULL);
	set(0x18, 0x41);
	ck_assert(raises == 3 && forgotten == 2 && kept);
	ioapic_eoi(ioapic, 0x41);
	ck_assert_int_eq(raises, 3);
	ioapic_destroy(ioapic);
}
END_TEST

START_TEST(survives_every_register_and_width)
{
	uint8_t b[8];

	make();
	for (unsigned idx = 0; idx < 256; idx++) {
		set(idx, 0xa5a5a5a5);
		reg(idx);
	}
	for (unsigned len = 1; len <= 8; len++)
		for (uint64_t off = 0; off < 0x1000; off += 3) {
			memset(b, 0xff, sizeof(b));
			ioapic_bus_ops.write(ioapic, off, b, len);
			ioapic_bus_ops.read(ioapic, off, b, len);
		}
	ioapic_reset(ioapic);
	ck_assert_int_gt(resets, 0);
	ck_assert_uint_eq(reg(0x18), 0x10000);
	ioapic_destroy(ioapic);
}
END_TEST

UNIT_MAIN("ioapic", a_level_comes_again, a_masked_level_goes_by_its_line, says_what_it_is, routes_an_unmasked_pin, read_only_bits_stay, survives_every_register_and_width)
