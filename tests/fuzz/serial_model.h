/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A 16550A after its data sheet (PC16550D, 8): what each register reads as, and when the line must have been
 * raised. Who includes it runs it beside the device, and defines model_sent(), which takes what leaves the
 * transmitter.
 */
#ifndef PINVM_FUZZ_SERIAL_MODEL_H
#define PINVM_FUZZ_SERIAL_MODEL_H

#include <string.h>

#include "tests/unit/ring_driver.h"

#define FIFO 16

enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR };
enum { NONE = 1, THRI = 2, RDI = 4, RLSI = 6, TIMEOUT = 12, MODEM = 0 }; /* IIR */

static void model_sent(uint8_t v);

static struct {
	uint8_t ier, lcr, mcr, scr, dll, dlm, lines, delta;
	bool fifo, thr_empty, overrun, held;
	unsigned trigger, row, polls;
	struct queue {
		uint16_t v[FIFO];
		unsigned n;
	} wire, self;
} m;
static unsigned raises, due; /* since the last look; how many there must have been */
static bool up;		     /* a cause was there since */

static struct queue *received(void)
{
	struct queue *q = m.mcr & 0x10 ? &m.self : &m.wire;

	return q->n && !(q == &m.wire && m.held) ? q : NULL;
}

static uint8_t cause(void)
{
	struct queue *q = received();

	if (m.ier & 4 && (m.overrun || (q && q->v[0] >> 8)))
		return RLSI;
	if (m.ier & 1 && q)
		return !m.fifo || q->n >= m.trigger ? RDI : TIMEOUT;
	if (m.ier & 2 && m.thr_empty)
		return THRI;
	return m.ier & 8 && m.delta ? MODEM : NONE;
}

static bool same_line(uint8_t a, uint8_t b)
{
	return a == b || (a == RDI && b == TIMEOUT) || (a == TIMEOUT && b == RDI);
}

/* Around everything that may move the line. */
static void look(uint8_t before)
{
	uint8_t now = cause();

	up |= now != NONE;
	due += now != NONE && !same_line(before, now);
}

static void told(void)
{
	must(raises >= due && (!raises || up));
	raises = due = 0;
	up = cause() != NONE;
}

static uint8_t pop(struct queue *q)
{
	uint8_t v = q ? q->v[0] : 0;

	if (q)
		memmove(q->v, q->v + 1, --q->n * sizeof(q->v[0]));
	return v;
}

static uint8_t model_lsr(void)
{
	struct queue *q;
	uint8_t v = 0x60 | m.overrun << 1;

	if (m.held && (++m.row >= 8 || ++m.polls >= 4096)) {
		m.held = false;
		m.row = m.polls = 0;
	}
	m.overrun = false;
	q = received();
	if (!q)
		return v;
	v |= 1 | q->v[0] >> 8;
	for (unsigned i = 0; i < q->n && m.fifo; i++)
		v |= q->v[i] >> 8 ? 0x80 : 0;
	q->v[0] &= 0xff;
	return v;
}

static uint8_t model_read(unsigned reg)
{
	uint8_t v;

	if (reg != LSR)
		m.row = 0;
	switch (reg) {
	case DATA:
		return m.lcr & 0x80 ? m.dll : pop(received());
	case IER:
		return m.lcr & 0x80 ? m.dlm : m.ier;
	case IIR:
		v = cause();
		m.thr_empty &= v != THRI;
		return v | (m.fifo ? 0xc0 : 0);
	case LCR:
		return m.lcr;
	case MCR:
		return m.mcr;
	case LSR:
		return model_lsr();
	case MSR:
		v = m.lines | m.delta;
		m.delta = 0;
		return v;
	default:
		return m.scr;
	}
}

static void model_data(uint8_t v)
{
	m.thr_empty = true;
	if (!(m.mcr & 0x10))
		model_sent(v);
	else if (m.self.n < (m.fifo ? FIFO : 1))
		m.self.v[m.self.n++] = v;
	else
		m.overrun = true;
}

static void model_mcr(uint8_t v)
{
	uint8_t was = m.lines;

	if ((v ^ m.mcr) & 0x10)
		m.self.n = 0;
	m.mcr = v & 0x1f;
	m.lines = 0xb0;
	if (v & 0x10)
		m.lines = (v & 2) << 3 | (v & 1) << 5 | (v & 4) << 4 | (v & 8) << 4;
	m.delta |= ((was ^ m.lines) & 0xb0) >> 4;
	m.delta |= (was & ~m.lines & 0x40) >> 4;
}

static void model_fcr(uint8_t v)
{
	static const uint8_t level[] = {1, 4, 8, 14};

	if ((v & 3) == 3 || (v & 1) != m.fifo) {
		m.self.n = m.row = m.polls = 0;
		m.overrun = false;
		m.held = !(m.ier & 1);
	}
	m.fifo = v & 1;
	if (m.fifo)
		m.trigger = level[v >> 6];
}

static void model_write(unsigned reg, uint8_t v)
{
	bool latch = m.lcr & 0x80;

	m.row = 0;
	if (reg == DATA && latch)
		m.dll = v;
	else if (reg == DATA)
		model_data(v);
	else if (reg == IER && latch)
		m.dlm = v;
	else if (reg == IER) {
		m.thr_empty |= v & ~m.ier & 2;
		m.ier = v & 0xf;
		if (v & 1) {
			m.held = false;
			m.polls = 0;
		}
	} else if (reg == IIR)
		model_fcr(v);
	else if (reg == LCR)
		m.lcr = v;
	else if (reg == MCR)
		model_mcr(v);
	else if (reg == SCR)
		m.scr = v;
}

static void model_reset(void)
{
	m.ier = m.mcr = m.scr = m.dlm = m.delta = 0;
	m.lcr = 3;
	m.dll = m.trigger = 1;
	m.lines = 0xb0;
	m.fifo = m.overrun = m.held = false;
	m.thr_empty = true;
	m.self.n = m.row = m.polls = 0;
}

#endif
