// SPDX-License-Identifier: Apache-2.0
/*
 * The serial port: echo=N sends N bytes of input back, looking at LSR; irq with it: by interrupts from IOAPIC pin 4.
 * sum=N only adds up N bytes of input. flood=N writes N bytes that nobody may be reading.
 */
#include "tests/guest/lib/guest.h"

#define VECTOR 0x42

enum {
	DATA = PIO_SERIAL,
	IER = PIO_SERIAL + 1,
	IIR = PIO_SERIAL + 2,
	FCR = IIR,
	MCR = PIO_SERIAL + 4,
	LSR = PIO_SERIAL + 5,
};

#define IER_RX	  1
#define IER_TX	  2
#define IIR_NONE  1
#define IIR_CAUSE 0x0f
#define IIR_TX	  2
#define LSR_DATA  1
#define LSR_THRE  0x20
#define FIFO	  16

static uint8_t ring[256]; /* between the two directions, in interrupts */
static unsigned head, tail;
static volatile uint64_t received, sent, interrupts, tx_causes;

static void send_some(void)
{
	for (unsigned i = 0; i < FIFO && tail != head; i++, sent++)
		outb(DATA, ring[tail++ % sizeof(ring)]);
}

static void on_serial(struct frame *f)
{
	uint8_t cause;

	interrupts++;
	while (!((cause = inb(IIR)) & IIR_NONE)) {
		if ((cause & IIR_CAUSE) == IIR_TX) {
			tx_causes++;
			send_some();
		}
		while (head - tail < sizeof(ring) && inb(LSR) & LSR_DATA) {
			ring[head++ % sizeof(ring)] = inb(DATA);
			received++;
		}
		/* Input has the higher priority, so it must wait while there is no room for it. */
		outb(IER, (head - tail < sizeof(ring) ? IER_RX : 0) | (head != tail ? IER_TX : 0));
	}
}

static void echo_by_interrupts(uint64_t n)
{
	irq_on(VECTOR, on_serial);
	ioapic_set(PIN_SERIAL, VECTOR);
	outb(FCR, 0x81); /* FIFO on, interrupt at 8 bytes or when they have waited */
	outb(MCR, 0x0b);
	outb(IER, IER_RX);
	while (sent < n)
		wait_irq();
	outb(IER, 0);
	/* Far fewer than bytes, but there, in both directions. */
	check(received == n && interrupts && tx_causes && interrupts < 3 * n);
}

static void echo_by_looking(uint64_t n)
{
	for (uint64_t i = 0; i < n; i++) {
		while (!(inb(LSR) & LSR_DATA))
			;
		outb(DATA, inb(DATA));
	}
}

static void sum(uint64_t n)
{
	uint64_t total = 0;

	while (n--) {
		while (!(inb(LSR) & LSR_DATA))
			;
		total += inb(DATA);
	}
	print("sum %lu\n", total);
}

int main(void)
{
	lapic_init();
	if (arg("sum"))
		sum(arg_number("sum", 0));
	if (arg("echo") && arg("irq"))
		echo_by_interrupts(arg_number("echo", 0));
	else if (arg("echo"))
		echo_by_looking(arg_number("echo", 0));
	for (uint64_t i = 0, n = arg_number("flood", 0); i < n; i++) {
		check(i % 64 || inb(LSR) & LSR_THRE); /* never busy, whoever reads */
		outb(DATA, "0123456789abcdef"[i % 16]);
	}
	if (arg("say"))
		print("SUCCESS %s\n", arg("say"));
	return 0;
}
