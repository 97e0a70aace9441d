// SPDX-License-Identifier: Apache-2.0
/* Power registers, pvpanic and debug exit, with guest_end() and irq_raise() played by the test. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "devices/debugexit.h"
#include "devices/power.h"
#include "devices/pvpanic.h"
#include "tests/unit/unit.h"
#include "vmm/guest.h"
#include "vmm/irq.h"
#include "vmm/log.h"

static struct guest *const guest = (struct guest *)0x1000; /* never dereferenced */
static struct irq_src irq;
static struct power *power;
static unsigned ends, raises;
static int status;
static char cause[200];
static uint32_t seen_at_raise;
static bool handler_off;

void guest_end(struct guest *g, int s, const char *fmt, ...)
{
	va_list ap;

	ck_assert_ptr_eq(g, guest);
	va_start(ap, fmt);
	vsnprintf(cause, sizeof(cause), fmt, ap);
	va_end(ap);
	status = s;
	ends++;
}

static uint32_t power_get(uint64_t off, unsigned len)
{
	uint8_t b[8];

	memset(b, 0xee, sizeof(b));
	power_bus_ops.read(power, off, b, len);
	return bus_get(b, len);
}

static void power_set(uint64_t off, uint64_t value, unsigned len)
{
	uint8_t b[8];

	bus_put(b, len, value);
	power_bus_ops.write(power, off, b, len);
}

void irq_raise(struct irq_src *src, struct loop *loop)
{
	ck_assert_ptr_eq(src, &irq);
	ck_assert_ptr_null(loop);
	raises++;
	if (!handler_off)
		seen_at_raise = power_get(POWER_GED, 4);
}

static void setup(void)
{
	ck_assert_int_eq(power_create(&power, guest, &irq), 0);
}

START_TEST(s5_powers_off)
{
	setup();
	power_set(POWER_SLEEP_CTL, POWER_SLP_TYP_S5 << 2, 1);
	ck_assert_msg(!ends, "without SLP_EN nothing happens");
	power_set(POWER_SLEEP_CTL, POWER_SLP_EN | POWER_SLP_TYP_S5 << 2, 1);
	ck_assert_uint_eq(ends, 1);
	ck_assert_int_eq(status, END_POWEROFF);
	ck_assert_str_ne(cause, "");
	ck_assert_uint_eq(power_get(POWER_SLEEP_STS, 1), 0);
	power_destroy(power);
}
END_TEST

/* Send log lines to a file of its own; lines_logged() counts them. */
static int log_to_memfd(void)
{
	int fd = memfd_create("log", 0);
	char path[64];

	ck_assert_int_ge(fd, 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ck_assert_int_eq(log_open(path), 0);
	return fd;
}

static unsigned lines_logged(int fd)
{
	char buf[4096];
	ssize_t got = pread(fd, buf, sizeof(buf), 0);
	unsigned n = 0;

	for (ssize_t i = 0; i < got; i++)
		n += buf[i] == '\n';
	return n;
}

START_TEST(other_sleep_types_do_nothing)
{
	int log = log_to_memfd();

	setup();
	for (unsigned type = 0; type < 8; type++)
		if (type != POWER_SLP_TYP_S5)
			power_set(POWER_SLEEP_CTL, POWER_SLP_EN | type << 2, 1);
	power_set(POWER_SLEEP_STS, 0xff, 1);
	ck_assert_uint_eq(ends, 0);
	ck_assert_msg(lines_logged(log) == 1, "a guest can make it complain once");
	power_reset(power);
	power_set(POWER_SLEEP_CTL, POWER_SLP_EN | 3 << 2, 1);
	ck_assert_msg(lines_logged(log) == 2, "and once more after a reset");
	power_destroy(power);
}
END_TEST

START_TEST(reset_takes_its_value_only)
{
	setup();
	for (unsigned v = 0; v < 256; v++)
		if (v != POWER_RESET_VALUE)
			power_set(POWER_RESET, v, 1);
	ck_assert_uint_eq(ends, 0);
	power_set(POWER_RESET, POWER_RESET_VALUE, 1);
	ck_assert_uint_eq(ends, 1);
	ck_assert_int_eq(status, END_RESET);
	power_destroy(power);
}
END_TEST

START_TEST(button_sets_bit_before_interrupt)
{
	setup();
	ck_assert_uint_eq(power_get(POWER_GED, 4), 0);
	power_button(power);
	ck_assert_uint_eq(raises, 1);
	ck_assert_uint_eq(seen_at_raise, POWER_GED_BUTTON);
	ck_assert_msg(!power_get(POWER_GED, 4), "a read clears the event");
	ck_assert_uint_eq(ends, 0);
	power_destroy(power);
}
END_TEST

START_TEST(reset_forgets_the_button)
{
	setup();
	handler_off = true;
	power_button(power);
	power_button(power);
	ck_assert_uint_eq(raises, 2);
	power_reset(power);
	ck_assert_uint_eq(power_get(POWER_GED, 4), 0);
	power_destroy(power);
}
END_TEST

START_TEST(odd_accesses_stay_inside)
{
	setup();
	for (unsigned len = 1; len <= 8; len++)
		for (uint64_t off = 0; off + len <= POWER_SIZE; off++) {
			ck_assert_uint_eq(power_get(off, len), 0);
			power_set(off, 0, len);
		}
	ck_assert_uint_eq(ends, 0);
	power_set(2, (uint64_t)POWER_RESET_VALUE << 16, 4);
	ck_assert_msg(ends == 1 && status == END_RESET, "a wide write reaches each register it covers");
	power_destroy(power);
}
END_TEST

START_TEST(panic_ends_the_guest)
{
	struct pvpanic *p;
	uint8_t b = 0xee;
	int log = log_to_memfd();

	ck_assert_int_eq(pvpanic_create(&p, guest), 0);
	pvpanic_bus_ops.read(p, 0, &b, 1);
	ck_assert_uint_eq(b, PVPANIC_PANICKED | PVPANIC_CRASH_LOADED);
	b = PVPANIC_CRASH_LOADED;
	pvpanic_bus_ops.write(p, 0, &b, 1);
	pvpanic_bus_ops.write(p, 0, &b, 1);
	ck_assert_uint_eq(lines_logged(log), 1);
	b = 0xfc;
	pvpanic_bus_ops.write(p, 0, &b, 1);
	ck_assert_uint_eq(ends, 0);
	b = PVPANIC_PANICKED;
	pvpanic_bus_ops.write(p, 0, &b, 1);
	ck_assert_uint_eq(ends, 1);
	ck_assert_int_eq(status, END_PANIC);
	pvpanic_destroy(p);
}
END_TEST

START_TEST(debug_exit_is_always_odd)
{
	static const struct {
		uint32_t value;
		unsigned len;
		int status;
	} t[] = {{0, 1, 1}, {1, 1, 3}, {0x31, 1, 0x63}, {127, 1, 255}, {128, 1, 1}, {255, 1, 255},
		{0x10002, 4, 5}};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		uint8_t b[4];

		bus_put(b, t[i].len, t[i].value);
		debugexit_bus_ops.write(guest, 0, b, t[i].len);
		ck_assert_uint_eq(ends, i + 1);
		ck_assert_int_eq(status, t[i].status);
	}
}
END_TEST

UNIT_MAIN("power", s5_powers_off, other_sleep_types_do_nothing, reset_takes_its_value_only,
	button_sets_bit_before_interrupt, reset_forgets_the_button, odd_accesses_stay_inside,
	panic_ends_the_guest, debug_exit_is_always_odd)
