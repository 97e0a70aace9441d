// SPDX-License-Identifier: Apache-2.0
/* A 16550A; see serial.h. vCPU threads come by the bus, the console's loop by room() and put(). */
#include "devices/serial.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/console/console.h"
#include "vmm/irq.h"
#include "vmm/pi_mutex.h"

enum { /* registers; the first two are the divisor latch while LCR_DLAB is set */
	REG_DATA = 0,
	REG_IER = 1,
	REG_IIR = 2, /* FCR when written */
	REG_LCR = 3,
	REG_MCR = 4,
	REG_LSR = 5,
	REG_MSR = 6,
	REG_SCR = 7,
};

enum {
	IER_RDI = 0x01,
	IER_THRI = 0x02,
	IER_RLSI = 0x04,
	IER_MSI = 0x08,
	IER_ALL = 0x0f,

	IIR_NONE = 0x01,
	IIR_MSI = 0x00,
	IIR_THRI = 0x02,
	IIR_RDI = 0x04,
	IIR_RLSI = 0x06,
	IIR_TIMEOUT = 0x0c,
	IIR_FIFO = 0xc0,

	FCR_ENABLE = 0x01,
	FCR_CLEAR_RX = 0x02,

	LCR_DLAB = 0x80,

	MCR_DTR = 0x01,
	MCR_RTS = 0x02,
	MCR_OUT1 = 0x04,
	MCR_OUT2 = 0x08,
	MCR_LOOP = 0x10,
	MCR_ALL = 0x1f,

	LSR_DR = 0x01,
	LSR_OE = 0x02,
	LSR_BI = 0x10,
	LSR_THRE = 0x20,
	LSR_TEMT = 0x40,
	LSR_FIFOE = 0x80,

	MSR_DCTS = 0x01,
	MSR_DDSR = 0x02,
	MSR_TERI = 0x04,
	MSR_DDCD = 0x08,
	MSR_CTS = 0x10,
	MSR_DSR = 0x20,
	MSR_RI = 0x40,
	MSR_DCD = 0x80,
};

#define FIFO_SIZE 16

/*
 * Back-to-back reads of LSR that count as a guest waiting for input without interrupts, and reads of LSR in
 * all after which input is let in whatever the guest does; see struct serial.held.
 */
#define POLLS_IN_A_ROW 8
#define POLLS_IN_ALL   4096

struct fifo {
	uint16_t slot[FIFO_SIZE]; /* a byte, and above it the LSR error bits that arrived with it */
	unsigned head, n;
};

struct serial {
	pthread_mutex_t lock;
	struct irq_src *irq;
	struct console *con;

	uint8_t ier, lcr, mcr, msr, scr, dll, dlm;
	uint8_t cause;	 /* IIR identification of the top cause when the line was last looked at */
	uint8_t trigger; /* RX FIFO level of the data interrupt */
	bool fifo;	 /* FCR_ENABLE */
	bool thr_empty;	 /* a THRE interrupt that was not acknowledged yet */
	bool burst;	 /* the last access wrote a byte to send */
	bool overrun;	 /* in loopback mode; the console never sends too much */

	struct fifo wire, loop; /* received from the console; from ourselves in loopback mode */

	/*
	 * Clearing the RX FIFO does not lose what the user typed or piped in while the driver was not up:
	 * those bytes are held back, as if they arrived later, until the guest enables the data interrupt or
	 * is seen to poll for input.
	 */
	bool held;
	unsigned polls_row, polls;
};

static void fifo_push(struct fifo *f, uint16_t v)
{
	f->slot[(f->head + f->n++) % FIFO_SIZE] = v;
}

static uint16_t fifo_pop(struct fifo *f)
{
	uint16_t v = f->slot[f->head];

	f->head = (f->head + 1) % FIFO_SIZE;
	f->n--;
	return v;
}

static struct fifo *rx_fifo(struct serial *s)
{
	return s->mcr & MCR_LOOP ? &s->loop : &s->wire;
}

/* The receive FIFO as the guest sees it: NULL when there is nothing to read. */
static struct fifo *rx_visible(struct serial *s)
{
	struct fifo *f = rx_fifo(s);

	return f->n && !(f == &s->wire && s->held) ? f : NULL;
}

static unsigned rx_capacity(const struct serial *s)
{
	return s->fifo ? FIFO_SIZE : 1;
}

/* The highest of the enabled causes, in the data sheet's order of priority. */
static uint8_t top_cause(struct serial *s)
{
	const struct fifo *rx = rx_visible(s);

	if ((s->ier & IER_RLSI) && (s->overrun || (rx && rx->slot[rx->head] >> 8)))
		return IIR_RLSI;
	if ((s->ier & IER_RDI) && rx)
		return !s->fifo || rx->n >= s->trigger ? IIR_RDI : IIR_TIMEOUT;
	if ((s->ier & IER_THRI) && s->thr_empty)
		return IIR_THRI;
	if ((s->ier & IER_MSI) && (s->msr & 0x0f))
		return IIR_MSI;
	return IIR_NONE;
}

/*
 * The state changed: interrupt if the line rose. If another cause came to the top, whether by its arrival or
 * because the guest acknowledged the one above it, the line stayed high on the wire and an edge-triggered pin
 * would not hear of it: interrupt then too. A handler that finds nothing to do is harmless, a lost cause is
 * not.
 */
static void line_update(struct serial *s)
{
	uint8_t was = s->cause, now = top_cause(s);

	s->cause = now;
	if (now == IIR_NONE || now == was || (was == IIR_RDI && now == IIR_TIMEOUT) ||
		(was == IIR_TIMEOUT && now == IIR_RDI))
		return;
	irq_raise(s->irq, NULL);
}

/* Let held input in. */
static void rx_release(struct serial *s)
{
	s->held = false;
	s->polls_row = s->polls = 0;
}

static uint8_t read_data(struct serial *s)
{
	struct fifo *rx = rx_visible(s);

	return rx ? fifo_pop(rx) : 0;
}

static uint8_t read_iir(struct serial *s)
{
	uint8_t id = top_cause(s);

	if (id == IIR_THRI)
		s->thr_empty = false;
	return id | (s->fifo ? IIR_FIFO : 0);
}

static uint8_t read_lsr(struct serial *s)
{
	uint8_t v = LSR_THRE | LSR_TEMT;
	struct fifo *rx;

	if (s->held && (++s->polls_row >= POLLS_IN_A_ROW || ++s->polls >= POLLS_IN_ALL))
		rx_release(s);
	if (s->overrun)
		v |= LSR_OE;
	s->overrun = false;
	rx = rx_visible(s);
	if (!rx)
		return v;
	v |= LSR_DR | rx->slot[rx->head] >> 8;
	for (unsigned i = 0; i < rx->n && s->fifo; i++)
		if (rx->slot[(rx->head + i) % FIFO_SIZE] >> 8)
			v |= LSR_FIFOE;
	rx->slot[rx->head] &= 0xff;
	return v;
}

static uint8_t read_msr(struct serial *s)
{
	uint8_t v = s->msr;

	s->msr &= 0xf0;
	return v;
}

static uint8_t reg_read(struct serial *s, unsigned reg)
{
	s->burst = false;
	if (reg != REG_LSR)
		s->polls_row = 0;
	switch (reg) {
	case REG_DATA:
		return s->lcr & LCR_DLAB ? s->dll : read_data(s);
	case REG_IER:
		return s->lcr & LCR_DLAB ? s->dlm : s->ier;
	case REG_IIR:
		return read_iir(s);
	case REG_LCR:
		return s->lcr;
	case REG_MCR:
		return s->mcr;
	case REG_LSR:
		return read_lsr(s);
	case REG_MSR:
		return read_msr(s);
	default:
		return s->scr;
	}
}

/*
 * A byte is sent, and gone at once: the THRE interrupt falls and rises again. Handlers fill the FIFO in one
 * go, so the first byte of such a burst interrupts and the others do not (each would cost a system call).
 */
static void write_data(struct serial *s, uint8_t v)
{
	if (!s->burst && s->cause == IIR_THRI)
		s->cause = IIR_NONE;
	s->burst = true;
	if (!(s->mcr & MCR_LOOP))
		console_write(s->con, &v, 1);
	else if (s->loop.n < rx_capacity(s))
		fifo_push(&s->loop, v);
	else
		s->overrun = true;
	s->thr_empty = true;
}

static void write_ier(struct serial *s, uint8_t v)
{
	/* The transmitter is always empty: enabling its interrupt asserts it (Linux tests for that). */
	if ((v & ~s->ier) & IER_THRI)
		s->thr_empty = true;
	s->ier = v & IER_ALL;
	if (s->ier & IER_RDI)
		rx_release(s);
}

static void write_fcr(struct serial *s, uint8_t v)
{
	static const uint8_t trigger[] = {1, 4, 8, 14};
	bool fifo = v & FCR_ENABLE;

	if ((fifo && (v & FCR_CLEAR_RX)) || fifo != s->fifo) {
		s->loop.n = 0;
		s->overrun = false;
		s->held = !(s->ier & IER_RDI);
		s->polls_row = s->polls = 0;
	}
	s->fifo = fifo;
	if (fifo)
		s->trigger = trigger[v >> 6];
}

static void write_mcr(struct serial *s, uint8_t v)
{
	uint8_t lines = MSR_CTS | MSR_DSR | MSR_DCD, changed;

	if ((v ^ s->mcr) & MCR_LOOP)
		s->loop.n = 0;
	s->mcr = v & MCR_ALL;
	if (v & MCR_LOOP)
		lines = (v & MCR_RTS ? MSR_CTS : 0) | (v & MCR_DTR ? MSR_DSR : 0) |
			(v & MCR_OUT1 ? MSR_RI : 0) | (v & MCR_OUT2 ? MSR_DCD : 0);
	changed = (s->msr ^ lines) & 0xf0;
	if (lines & MSR_RI)
		changed &= ~MSR_RI; /* only the end of a ring counts */
	s->msr = lines | (s->msr & 0x0f) | changed >> 4;
}

static void reg_write(struct serial *s, unsigned reg, uint8_t v)
{
	s->polls_row = 0;
	if (reg != REG_DATA)
		s->burst = false;
	switch (reg) {
	case REG_DATA:
		if (s->lcr & LCR_DLAB)
			s->dll = v;
		else
			write_data(s, v);
		break;
	case REG_IER:
		if (s->lcr & LCR_DLAB)
			s->dlm = v;
		else
			write_ier(s, v);
		break;
	case REG_IIR:
		write_fcr(s, v);
		break;
	case REG_LCR:
		s->lcr = v;
		break;
	case REG_MCR:
		write_mcr(s, v);
		break;
	case REG_SCR:
		s->scr = v;
		break;
	default: /* LSR and MSR belong to the factory's test bench */
		break;
	}
}

/* Input can come in. Asked for only when the FIFO has run empty, so that a refill costs one wake-up, not
 * sixteen. */
static bool rx_wanted(const struct serial *s)
{
	return !(s->mcr & MCR_LOOP) && !s->wire.n;
}

static void serial_read(void *dev, uint64_t off, uint8_t *data, unsigned len)
{
	struct serial *s = dev;
	bool wanted;

	pthread_mutex_lock(&s->lock);
	for (unsigned i = 0; i < len; i++) {
		if (off >= SERIAL_SIZE || off + i >= SERIAL_SIZE) {
			data[i] = 0xff;
			continue;
		}
		data[i] = reg_read(s, off + i);
		line_update(s);
	}
	wanted = rx_wanted(s);
	pthread_mutex_unlock(&s->lock);
	if (wanted)
		console_rx_ready(s->con);
}

static void serial_write(void *dev, uint64_t off, const uint8_t *data, unsigned len)
{
	struct serial *s = dev;
	bool wanted;

	pthread_mutex_lock(&s->lock);
	for (unsigned i = 0; i < len && off < SERIAL_SIZE && off + i < SERIAL_SIZE; i++) {
		reg_write(s, off + i, data[i]);
		line_update(s);
	}
	wanted = rx_wanted(s);
	pthread_mutex_unlock(&s->lock);
	if (wanted)
		console_rx_ready(s->con);
}

const struct bus_ops serial_bus_ops = {.read = serial_read, .write = serial_write};

/* In loopback mode the receiver is off the wire: input waits with the console instead of being lost. */
static size_t rx_room(void *arg)
{
	struct serial *s = arg;
	size_t room = 0;

	pthread_mutex_lock(&s->lock);
	if (!(s->mcr & MCR_LOOP) && s->wire.n < rx_capacity(s))
		room = rx_capacity(s) - s->wire.n;
	pthread_mutex_unlock(&s->lock);
	return room;
}

static void rx_put(void *arg, const uint8_t *data, size_t len)
{
	struct serial *s = arg;

	pthread_mutex_lock(&s->lock);
	/* A vCPU may have made the FIFO smaller since room(): the array is the bound that counts. */
	for (size_t i = 0; i < len && s->wire.n < FIFO_SIZE; i++)
		fifo_push(&s->wire, data[i]);
	line_update(s);
	pthread_mutex_unlock(&s->lock);
}

static void rx_break(void *arg)
{
	struct serial *s = arg;

	pthread_mutex_lock(&s->lock);
	if (s->wire.n < FIFO_SIZE)
		fifo_push(&s->wire, LSR_BI << 8);
	line_update(s);
	pthread_mutex_unlock(&s->lock);
}

void serial_reset(struct serial *s)
{
	pthread_mutex_lock(&s->lock);
	s->ier = s->mcr = s->scr = s->dlm = 0;
	s->lcr = 0x03; /* what a BIOS would leave: 8n1 */
	s->dll = 1;    /* and 115200 */
	s->msr = MSR_CTS | MSR_DSR | MSR_DCD;
	s->trigger = 1;
	s->fifo = s->overrun = s->held = s->burst = false;
	s->thr_empty = true;
	s->cause = IIR_NONE;
	s->loop.n = 0;
	s->polls_row = s->polls = 0;
	pthread_mutex_unlock(&s->lock);
	console_rx_ready(s->con);
}

int serial_create(struct serial **out, struct irq_src *irq, struct console *con)
{
	struct serial *s = calloc(1, sizeof(*s));
	int ret;

	if (!s)
		return -ENOMEM;
	s->irq = irq;
	s->con = con;
	ret = pi_mutex_init(&s->lock);
	if (ret)
		goto out_free;
	serial_reset(s);
	console_set_rx(con, &(struct console_rx){.room = rx_room, .put = rx_put, .brk = rx_break, .arg = s});
	*out = s;
	return 0;
out_free:
	free(s);
	return ret;
}

void serial_destroy(struct serial *s)
{
	if (!s)
		return;
	console_set_rx(s->con, NULL);
	pthread_mutex_destroy(&s->lock);
	free(s);
}
