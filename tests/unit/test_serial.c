// SPDX-License-Identifier: Apache-2.0
/* The 16550A: registers, interrupt edges, FIFO, loopback, what Linux's 8250 driver tries out, hostile
 * accesses. */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "devices/serial.h"
#include "tests/unit/unit.h"
#include "vmm/console/console.h"
#include "vmm/irq.h"

enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR, FCR = IIR };

/* ---- the neighbours ---- */

static struct console_rx rx;
static uint8_t sent[1 << 16];
static size_t nsent;
static atomic_uint raises, readies;

void irq_raise(struct irq_src *src, struct loop *loop)
{
	raises++;
}

void console_write(struct console *con, const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		sent[nsent++ % sizeof(sent)] = data[i];
}

void console_set_rx(struct console *con, const struct console_rx *r)
{
	rx = r ? *r : (struct console_rx){0};
}

void console_rx_ready(struct console *con)
{
	readies++;
}

static struct serial *s;

static void setup(void)
{
	nsent = 0;
	ck_assert_int_eq(serial_create(&s, NULL, NULL), 0);
	raises = readies = 0;
}

static uint8_t rd(unsigned reg)
{
	uint8_t v = 0;

	serial_bus_ops.read(s, reg, &v, 1);
	return v;
}

static void wr(unsigned reg, uint8_t v)
{
	serial_bus_ops.write(s, reg, &v, 1);
}

static bool has_data(void)
{
	return rd(LSR) % 2;
}

static unsigned raised(void)
{
	return atomic_exchange(&raises, 0);
}

/* As the console does: never more than there is room for. Returns what went in. */
static size_t type(const char *text, size_t len)
{
	size_t room = rx.room(rx.arg);

	room = room < len ? room : len;
	rx.put(rx.arg, (const uint8_t *)text, room);
	return room;
}

/* ---- registers ---- */

START_TEST(power_on_state)
{
	setup();
	ck_assert_uint_eq(rd(IER), 0);
	ck_assert_uint_eq(rd(IIR), 0x01);
	ck_assert_uint_eq(rd(LCR), 0x03);
	ck_assert_uint_eq(rd(MCR), 0);
	ck_assert_uint_eq(rd(LSR), 0x60);
	ck_assert_uint_eq(rd(MSR), 0xb0);
	ck_assert_uint_eq(rd(DATA), 0);
	wr(LCR, 0x80);
	ck_assert_uint_eq(rd(DATA), 1);
	ck_assert_uint_eq(rd(IER), 0);
	ck_assert_uint_eq(raised(), 0);
	serial_destroy(s);
}
END_TEST

START_TEST(divisor_latch_is_apart)
{
	setup();
	wr(IER, 0x05);
	wr(LCR, 0x83);
	wr(DATA, 0x12);
	wr(IER, 0x34);
	ck_assert_uint_eq(rd(DATA), 0x12);
	ck_assert_uint_eq(rd(IER), 0x34);
	wr(LCR, 0x03);
	ck_assert_uint_eq(rd(IER), 0x05);
	ck_assert_uint_eq(nsent, 0);
	serial_destroy(s);
}
END_TEST

START_TEST(sends_bytes)
{
	setup();
	for (const char *p = "hello\n"; *p; p++)
		wr(DATA, *p);
	ck_assert_uint_eq(nsent, 6);
	ck_assert_mem_eq(sent, "hello\n", 6);
	ck_assert_uint_eq(raised(), 0);
	serial_destroy(s);
}
END_TEST

START_TEST(reset_is_power_on)
{
	setup();
	wr(IER, 0x0f);
	wr(SCR, 0xaa);
	wr(FCR, 0xc1);
	wr(MCR, 0x1f);
	raised();
	serial_reset(s);
	ck_assert_uint_eq(rd(IER), 0);
	ck_assert_uint_eq(rd(SCR), 0);
	ck_assert_uint_eq(rd(IIR), 0x01);
	ck_assert_uint_eq(rd(MCR), 0);
	ck_assert_uint_eq(rd(MSR), 0xb0);
	ck_assert_uint_eq(raised(), 0);
	serial_destroy(s);
}
END_TEST

/* ---- interrupts ---- */

START_TEST(thre_edges)
{
	setup();
	wr(IER, 0x02);
	ck_assert_msg(raised() == 1, "enabling the interrupt of an empty transmitter asserts it");
	ck_assert_uint_eq(rd(IIR), 0x02);
	ck_assert_msg(rd(IIR) == 0x01, "the read that reports it acknowledges it");
	wr(IER, 0x02);
	ck_assert_msg(raised() == 0, "it was enabled before");
	for (int i = 0; i < 16; i++)
		wr(DATA, 'x');
	ck_assert_msg(raised() == 1, "one interrupt a burst");
	ck_assert_uint_eq(rd(LSR), 0x60);
	wr(DATA, 'y');
	ck_assert_msg(raised() == 1, "a handler that only looks at LSR hears of the next byte too");
	wr(IER, 0);
	ck_assert_uint_eq(rd(IIR), 0x01);
	serial_destroy(s);
}
END_TEST

START_TEST(rx_interrupt_and_trigger)
{
	setup();
	wr(IER, 0x01);
	wr(FCR, 0x81); /* FIFO, trigger 8 */
	ck_assert_uint_eq(rd(IIR), 0xc1);
	ck_assert_uint_eq(type("1234567", 7), 7);
	ck_assert_uint_eq(raised(), 1);
	ck_assert_msg(rd(IIR) == 0xcc, "below the trigger level: character timeout");
	type("8", 1);
	ck_assert_uint_eq(rd(IIR), 0xc4);
	ck_assert_msg(raised() == 0, "the line is up already");
	for (int i = 0; i < 8; i++) {
		ck_assert_uint_eq(rd(LSR), 0x61);
		ck_assert_uint_eq(rd(DATA), '1' + i);
	}
	ck_assert_uint_eq(rd(LSR), 0x60);
	ck_assert_uint_eq(rd(IIR), 0xc1);
	type("9", 1);
	ck_assert_uint_eq(raised(), 1);
	serial_destroy(s);
}
END_TEST

START_TEST(causes_in_order_of_priority)
{
	setup();
	wr(FCR, 0x01);
	wr(MCR, 0x10);
	wr(MCR, 0x1f);
	wr(MCR, 0); /* modem line deltas */
	rx.brk(rx.arg);
	type("a", 1);
	raised();
	wr(IER, 0x0f);
	ck_assert_uint_eq(raised(), 1);
	ck_assert_uint_eq(rd(IIR) & 0x0f, 0x06);
	ck_assert_msg(rd(LSR) == 0xf1, "break, at the top of the FIFO");
	ck_assert_msg(raised() == 1, "acknowledging one cause announces the next");
	ck_assert_uint_eq(rd(IIR) & 0x0f, 0x04);
	ck_assert_uint_eq(rd(DATA), 0);
	ck_assert_uint_eq(rd(DATA), 'a');
	ck_assert_uint_eq(raised(), 1);
	ck_assert_uint_eq(rd(IIR) & 0x0f, 0x02);
	ck_assert_uint_eq(raised(), 1);
	ck_assert_uint_eq(rd(IIR) & 0x0f, 0x00);
	ck_assert_uint_ne(rd(MSR) & 0x0f, 0);
	ck_assert_uint_eq(rd(IIR) & 0x0f, 0x01);
	ck_assert_uint_eq(raised(), 0);
	serial_destroy(s);
}
END_TEST

/* ---- FIFO ---- */

START_TEST(fifo_bounds)
{
	char text[64];

	setup();
	memset(text, 'r', sizeof(text));
	ck_assert_msg(type(text, sizeof(text)) == 1, "without FIFO there is one holding register");
	ck_assert_uint_eq(rd(DATA), 'r');
	wr(FCR, 0x01);
	wr(IER, 0x01);
	ck_assert_uint_eq(type(text, sizeof(text)), 16);
	ck_assert_uint_eq(type(text, sizeof(text)), 0);
	readies = 0;
	for (int i = 0; i < 15; i++)
		rd(DATA);
	ck_assert_msg(readies == 0, "no wake-up a byte");
	rd(DATA);
	ck_assert_uint_ge(readies, 1);
	ck_assert_uint_eq(has_data(), 0);
	serial_destroy(s);
}
END_TEST

START_TEST(fifo_clear_keeps_early_input)
{
	setup();
	wr(FCR, 0x01);
	wr(IER, 0);
	ck_assert_uint_eq(type("early", 5), 5);
	wr(FCR, 0x07);
	ck_assert_msg(has_data() == 0, "cleared");
	ck_assert_uint_eq(rd(DATA), 0);
	wr(IER, 0x01);
	ck_assert_msg(raised() == 1, "and here it comes again");
	for (const char *p = "early"; *p; p++)
		ck_assert_uint_eq(rd(DATA), *p);
	wr(IER, 0);
	type("p", 1);
	wr(FCR, 0x07);
	for (int i = 0; i < 7; i++)
		ck_assert_uint_eq(has_data(), 0);
	ck_assert_msg(has_data(), "a guest that polls for input gets it");
	ck_assert_uint_eq(rd(DATA), 'p');
	serial_destroy(s);
}
END_TEST

/* ---- loopback and Linux ---- */

START_TEST(loopback)
{
	static const struct {
		uint8_t mcr, msr;
	} wires[] = {{0x11, 0x20}, {0x12, 0x10}, {0x14, 0x40}, {0x18, 0x80}, {0x1f, 0xf0}, {0x10, 0x00}};

	setup();
	for (unsigned i = 0; i < sizeof(wires) / sizeof(wires[0]); i++) {
		wr(MCR, wires[i].mcr);
		ck_assert_uint_eq(rd(MSR) & 0xf0, wires[i].msr);
		ck_assert_uint_eq(rd(MSR) & 0x0f, 0);
	}
	wr(MCR, 0x14);
	rd(MSR);
	wr(MCR, 0x10);
	ck_assert_msg(rd(MSR) == 0x04, "the end of a ring");
	wr(FCR, 0x01);
	ck_assert_uint_eq(rx.room(rx.arg), 0);
	for (int i = 0; i < 20; i++)
		wr(DATA, i);
	ck_assert_uint_eq(nsent, 0);
	ck_assert_uint_eq(rd(LSR), 0x63);
	for (int i = 0; i < 16; i++)
		ck_assert_uint_eq(rd(DATA), i);
	ck_assert_uint_eq(rd(LSR), 0x60);
	wr(MCR, 0);
	ck_assert_uint_eq(rd(MSR) & 0xf0, 0xb0);
	ck_assert_uint_eq(rx.room(rx.arg), 16);
	serial_destroy(s);
}
END_TEST

/* The register accesses by which Linux's 8250 driver tells a 16550A from its relatives. */
START_TEST(linux_takes_it_for_a_16550a)
{
	uint8_t status1, status2;
	unsigned count;

	setup();
	wr(IER, 0);
	ck_assert_uint_eq(rd(IER) & 0x0f, 0);
	wr(IER, 0x0f);
	ck_assert_uint_eq(rd(IER) & 0x0f, 0x0f);
	wr(IER, 0);
	wr(MCR, 0x10 | 0x08 | 0x02);
	ck_assert_uint_eq(rd(MSR) & 0xf0, 0x90);
	wr(MCR, 0);
	wr(LCR, 0xbf);
	wr(2, 0);
	wr(LCR, 0);
	wr(FCR, 0x01);
	ck_assert_uint_eq(rd(IIR) >> 6, 3);
	/* no extended feature register */
	wr(LCR, 0x80);
	ck_assert_uint_ne(rd(2), 0);
	wr(LCR, 0xbf);
	ck_assert_uint_ne(rd(2), 0);
	/* not a National Semiconductor 16552 or later */
	wr(LCR, 0);
	status1 = rd(MCR);
	wr(LCR, 0xe0);
	status2 = rd(2);
	ck_assert_uint_eq((status1 ^ status2) & 0x10, 0);
	wr(LCR, 0);
	wr(MCR, status1 ^ 0x10);
	wr(LCR, 0xe0);
	status2 = rd(2);
	wr(LCR, 0);
	wr(MCR, status1);
	ck_assert_uint_eq((status1 ^ status2) & 0x10, 0);
	/* not a 16750 */
	wr(FCR, 0x21);
	ck_assert_uint_eq(rd(IIR) >> 5 & 1, 0);
	wr(LCR, 0x80);
	wr(FCR, 0x21);
	ck_assert_uint_eq(rd(IIR) >> 5 & 1, 0);
	wr(LCR, 0);
	/* no UART unit enable bit, as an XScale has */
	wr(IER, 0x40);
	ck_assert_uint_eq(rd(IER), 0);
	/* 16 bytes of FIFO, counted in loopback */
	wr(FCR, 0x07);
	wr(MCR, 0x10);
	for (int i = 0; i < 256; i++)
		wr(DATA, i);
	for (count = 0; has_data() && count < 256; count++)
		rd(DATA);
	ck_assert_uint_eq(count, 16);
	wr(MCR, 0);
	ck_assert_uint_eq(nsent, 0);
	serial_destroy(s);
}
END_TEST

/* Its start-up: the two tests for transmitters that do not interrupt, and no interrupt lost in a burst of
 * output. */
START_TEST(linux_starts_it)
{
	unsigned left = 100, handled = 0;

	setup();
	wr(FCR, 0x01);
	wr(FCR, 0x07);
	wr(FCR, 0);
	for (unsigned r = LSR; r <= MSR; r++)
		rd(r);
	wr(LCR, 0x03);
	wr(IER, 0x02);
	ck_assert_uint_eq(rd(IIR) & 1, 0);
	wr(IER, 0);
	wr(IER, 0x02);
	ck_assert_msg((rd(IIR) & 1) == 0, "enabled again, asserted again");
	wr(IER, 0);
	ck_assert_uint_eq(rd(LSR) & 0x40, 0x40);
	wr(FCR, 0x81);
	raised();
	wr(IER, 0x07);
	while (raised()) {
		uint8_t iir = rd(IIR);

		handled++;
		if (iir & 1)
			continue;
		ck_assert_uint_eq(rd(LSR) & 0x60, 0x60);
		for (int i = 0; i < 16 && left; i++, left--)
			wr(DATA, 'o');
		if (!left)
			wr(IER, 0x05);
	}
	ck_assert_uint_eq(nsent, 100);
	ck_assert_uint_le(handled, 8);
	serial_destroy(s);
}
END_TEST

/* ---- the hostile guest ---- */

START_TEST(any_offset_and_length)
{
	static const uint64_t offs[] = {0, 1, 7, 8, 9, 100, UINT64_MAX, UINT64_MAX - 3};
	uint8_t b[8], w[8] = {0x41, 0, 0, 3, 0, 0, 0, 0x5a};

	setup();
	serial_bus_ops.write(s, 0, w, 8);
	ck_assert_uint_eq(nsent, 1);
	ck_assert_uint_eq(rd(SCR), 0x5a);
	for (unsigned i = 0; i < sizeof(offs) / sizeof(offs[0]); i++)
		for (unsigned len = 1; len <= 8; len++) {
			memset(b, 0, sizeof(b));
			serial_bus_ops.write(s, offs[i], w, len);
			serial_bus_ops.read(s, offs[i], b, len);
			if (offs[i] >= SERIAL_SIZE)
				ck_assert_uint_eq(
					bus_get(b, len), len == 8 ? UINT64_MAX : (1ull << (8 * len)) - 1);
		}
	serial_bus_ops.read(s, 6, b, 8);
	for (int i = 2; i < 8; i++)
		ck_assert_uint_eq(b[i], 0xff);
	serial_destroy(s);
}
END_TEST

/* Several hostile vCPUs at once. */
static void *hammer(void *arg)
{
	uint64_t seed = (uintptr_t)arg;
	uint8_t b[8];

	for (int i = 0; i < 100000; i++) {
		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		memset(b, (int)(seed >> 50), sizeof(b));
		if (seed >> 63)
			serial_bus_ops.write(s, seed >> 33 & 7, b, 1 + (seed >> 40 & 7));
		else
			serial_bus_ops.read(s, seed >> 33 & 7, b, 1 + (seed >> 40 & 7));
	}
	return NULL;
}

/* Input floods meanwhile; the FIFO stays within its bounds (as CVE-2020-27174 was about) and the port works
 * after it. */
START_TEST(register_hammer_under_flood)
{
	pthread_t t[2];
	char flood[32] = "flood";

	setup();
	for (uintptr_t i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_create(&t[i], NULL, hammer, (void *)(i + 1)), 0);
	for (int i = 0; i < 100000; i++) {
		if (rx.room(rx.arg) > 16)
			ck_abort_msg("too much room");
		type(flood, sizeof(flood));
		if (!(i % 100))
			rx.brk(rx.arg);
	}
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	serial_reset(s);
	for (int i = 0; i < 16; i++)
		rd(DATA);
	ck_assert_uint_eq(rd(LSR), 0x60);
	type("z", 1);
	ck_assert_uint_eq(has_data(), 1);
	ck_assert_uint_eq(rd(DATA), 'z');
	serial_destroy(s);
}
END_TEST

#define PIPED (1 << 20)

static uint8_t pattern(size_t i)
{
	return i * 31 + (i >> 8) * 7;
}

static void *feed(void *arg)
{
	int fd = *(int *)arg;
	uint8_t b[4096];

	for (size_t at = 0; at < PIPED; at += sizeof(b)) {
		for (size_t i = 0; i < sizeof(b); i++)
			b[i] = pattern(at + i);
		for (size_t n = 0; n < sizeof(b);) {
			ssize_t ret = write(fd, b + n, sizeof(b) - n);

			if (ret <= 0)
				return "write";
			n += ret;
		}
	}
	close(fd);
	return NULL;
}

/* A pipe of 1 MiB into a guest that reads by interrupts: every byte arrives, once, in order. */
START_TEST(piped_input_is_complete)
{
	size_t got = 0;
	pthread_t t;
	int p[2];

	setup();
	ck_assert_int_eq(pipe(p), 0);
	ck_assert_int_eq(pthread_create(&t, NULL, feed, &p[1]), 0);
	wr(FCR, 0x01);
	wr(IER, 0x01);
	for (;;) {
		uint8_t b[16];
		size_t room = rx.room(rx.arg);
		ssize_t n = read(p[0], b, room);

		if (n <= 0)
			break;
		rx.put(rx.arg, b, n);
		if (raised() != 1)
			ck_abort_msg("no interrupt at byte %zu", got);
		for (; has_data(); got++)
			if (rd(DATA) != pattern(got))
				ck_abort_msg("byte %zu is wrong", got);
	}
	pthread_join(t, NULL);
	ck_assert_uint_eq(got, PIPED);
	serial_destroy(s);
}
END_TEST

UNIT_MAIN("serial", power_on_state, divisor_latch_is_apart, sends_bytes, reset_is_power_on, thre_edges,
	rx_interrupt_and_trigger, causes_in_order_of_priority, fifo_bounds, fifo_clear_keeps_early_input,
	loopback, linux_takes_it_for_a_16550a, linux_starts_it, any_offset_and_length,
	register_hammer_under_flood, piped_input_is_complete)
