// SPDX-License-Identifier: Apache-2.0
/*
 * A guest against the serial port and the console behind it, up to the descriptors (console/port.c is faked):
 * any register in any width, while input floods in and the reader of the output is slow, fails, leaves and
 * comes back. An input is a byte for the kind of console, then steps of four bytes: what, which register, two
 * of value.
 *
 * A model after the data sheet (PC16550D, 8) says what each register reads as and when the line must have
 * been raised. Input arrives whole and in order; output too, but for what the console says it lost; buffers
 * keep their bounds.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "devices/serial.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/fuzz_ring.h"
#include "tests/fuzz/serial_model.h"
#include "tests/unit/fake_loop.h"
#include "vmm/console/priv.h"
#include "vmm/irq.h"
#include "vmm/log.h"

#define MS	1000000ull
#define OUT_FD	1001
#define IN_FD	1002
#define BELL_FD 1003
#define OUT_MAX (1u << 20) /* bytes an input may send in all */
#define IN_MAX	20000	   /* bytes of input: more than is read ahead */

static struct loop loop;
static struct serial *serial;
static struct console *con;
static struct irq_src irq;
static struct console_rx real_rx;

/* ---- the host's side ---- */

static struct {
	bool tty, file;
	uint64_t budget; /* bytes the reader takes before it makes us wait */
	int err;	 /* what the next writes fail with */
	bool failed;	 /* one has */
	size_t typed;	 /* bytes of input that can be read */
	size_t made;	 /* input so far; each byte follows from its number */
	uint8_t key;	 /* comes after a Ctrl-A, before the others */
	bool caller, hung_up;
	unsigned quits, breaks;
} host;

static struct {
	uint8_t *sent, *got; /* by the guest; by the reader, with what the console put in between */
	size_t nsent, ngot;
} out;

static struct {
	uint8_t byte[IN_MAX + 4096]; /* what the guest is to get */
	size_t n, at;
	unsigned breaks, quits;
} in;

int port_open(struct console_port *p, const struct guest_config *cfg)
{
	*p = (struct console_port){
		.kind = cfg->serial, .in = IN_FD, .out = OUT_FD, .listener = -1, .slave = -1};
	p->tty = host.tty;
	if (cfg->serial == SERIAL_SOCKET) {
		p->listener = BELL_FD;
		p->in = p->out = -1;
	}
	if (cfg->serial == SERIAL_FILE)
		p->in = -1;
	return 0;
}

void port_close(struct console_port *p)
{
}

static uint8_t input_byte(size_t i)
{
	return 2 + i % 250; /* never Ctrl-A */
}

/* A key after Ctrl-A, and what is to come of it. */
static ssize_t read_key(uint8_t *p)
{
	p[0] = 1;
	p[1] = host.key;
	host.key = 0;
	if (p[1] == 'a' || p[1] == 1)
		in.byte[in.n++] = 1;
	else if (p[1] == 'b')
		in.breaks = 1;
	else
		in.quits++;
	return 2;
}

ssize_t port_read(struct console_port *p, void *buf, size_t len)
{
	size_t n = host.typed < len ? host.typed : len;

	must(p->in == IN_FD && len);
	if (host.key && len >= 2)
		return read_key(buf);
	if (host.hung_up)
		return 0;
	for (size_t i = 0; i < n; i++)
		((uint8_t *)buf)[i] = in.byte[in.n++] = input_byte(host.made++);
	host.typed -= n;
	return n ? (ssize_t)n : -EAGAIN;
}

ssize_t port_write(struct console_port *p, const void *buf, size_t len)
{
	size_t n = host.budget < len ? host.budget : len;

	must(p->out == OUT_FD && len && len <= CONSOLE_RING);
	if (host.err) {
		host.failed = true;
		return host.err;
	}
	memcpy(out.got + out.ngot, buf, n);
	out.ngot += n;
	host.budget -= n;
	return n ? (ssize_t)n : -EAGAIN;
}

bool port_accept(struct console_port *p)
{
	if (!host.caller || p->out >= 0)
		return false;
	host.caller = host.hung_up = false;
	p->in = IN_FD;
	p->out = OUT_FD;
	return true;
}

bool port_hung_up(const struct console_port *p)
{
	return host.hung_up;
}

void port_drop_client(struct console_port *p)
{
	p->in = p->out = -1;
}

static void on_quit(void *arg)
{
	host.quits++;
}

int loop_step(struct loop *l, bool nonblock)
{
	return fake_step(l);
}

void irq_raise(struct irq_src *src, struct loop *l)
{
	must(src == &irq && !l);
	raises++;
}

static void model_sent(uint8_t v)
{
	out.sent[out.nsent++] = v;
}

/* ---- between console and port: what arrives, and that it fits ---- */

static size_t rx_room(void *arg)
{
	size_t room = real_rx.room(real_rx.arg);

	must(room <= FIFO && room + m.wire.n <= FIFO);
	return room;
}

static void rx_put(void *arg, const uint8_t *data, size_t len)
{
	uint8_t before = cause();

	must(len && len <= rx_room(NULL));
	for (size_t i = 0; i < len; i++) {
		must(in.at < in.n && data[i] == in.byte[in.at]);
		in.at++;
		m.wire.v[m.wire.n++] = data[i];
	}
	real_rx.put(real_rx.arg, data, len);
	look(before);
	told();
}

static void rx_break(void *arg)
{
	uint8_t before = cause();

	must(rx_room(NULL) && in.breaks);
	in.breaks = 0;
	m.wire.v[m.wire.n++] = 0x1000;
	real_rx.brk(real_rx.arg);
	look(before);
	told();
}

/* ---- the guest ---- */

static void wr(unsigned reg, uint64_t v, unsigned len)
{
	uint8_t *b = malloc(len); /* of exactly this size, for ASan */

	must(b);
	bus_put(b, len, v);
	if (!reg)
		b[0] |= 0x80; /* what the guest sends is not what the console says */
	for (unsigned i = 0; i < len && reg + i < SERIAL_SIZE; i++) {
		uint8_t before = cause();

		model_write(reg + i, b[i]);
		look(before);
	}
	serial_bus_ops.write(serial, reg, b, len);
	free(b);
	told();
}

static uint8_t rd(unsigned reg, unsigned len)
{
	uint8_t b[16];

	memset(b, 0xc5, sizeof(b));
	serial_bus_ops.read(serial, reg, b, len);
	for (unsigned i = 0; i < len; i++) {
		uint8_t before = cause();

		must(b[i] == (reg + i < SERIAL_SIZE ? model_read(reg + i) : 0xff));
		look(before);
	}
	for (unsigned i = len; i < sizeof(b); i++)
		must(b[i] == 0xc5);
	told();
	return b[0];
}

/* As an 8250 driver serves an interrupt: one cause a time, until there is none. */
static void serve(unsigned v)
{
	for (unsigned i = 0; i < 64; i++)
		switch (rd(IIR, 1) & 0xf) {
		case NONE:
			return;
		case RLSI:
			rd(LSR, 1);
			break;
		case THRI:
			for (unsigned j = 0; j < v % 20; j++)
				wr(DATA, v + j, 1);
			break;
		case MODEM:
			rd(MSR, 1);
			break;
		default:
			rd(DATA, 1);
		}
}

/* ---- descriptors that become ready, as epoll tells: once a change, and once when the watch is new ---- */

static void run(uint64_t ns)
{
	bool watched = con->watched, in_watched = con->in_watched;

	for (loop.now += ns;;) {
		bool more = fake_step(&loop);

		if (con->watched && !watched && (host.budget || host.err))
			fake_ready(&loop, OUT_FD);
		if (con->in_watched && !in_watched && (host.typed || host.key))
			fake_ready(&loop, IN_FD);
		if (!more && con->watched == watched && con->in_watched == in_watched)
			break;
		watched = con->watched;
		in_watched = con->in_watched;
	}
	must(con->used <= CONSOLE_RING && con->pend_n <= PEND_SIZE);
}

static void reader(unsigned v)
{
	bool blocked = !host.budget && !host.err;

	host.err = v & 0x8000 ? (v & 1 ? -EIO : v & 2 ? -ENOSPC : -EPIPE) : 0;
	host.budget = v & 0x4000 ? OUT_MAX : v % 0x4000;
	if (blocked && (host.budget || host.err))
		fake_ready(&loop, OUT_FD);
}

static void type(unsigned n)
{
	n = n < IN_MAX - host.made - host.typed ? n : IN_MAX - host.made - host.typed;
	host.typed += n;
	if (n)
		fake_ready(&loop, IN_FD);
}

/* More than one guest access each would give in the time. */
static void burst(unsigned n)
{
	uint8_t *b = out.sent + out.nsent;

	n = n < OUT_MAX / 2 - out.nsent ? n : 0;
	for (unsigned i = 0; i < n; i++)
		b[i] = 0x80 | (out.nsent + i);
	out.nsent += n;
	console_write(con, b, n);
}

static void caller(unsigned v)
{
	static const uint8_t key[] = {'a', 'b', 'x', 1};

	if (host.tty) {
		host.key = in.n < IN_MAX ? key[v % 4] : 0;
		fake_ready(&loop, IN_FD);
	} else if (con->port.kind == SERIAL_SOCKET && v & 1) {
		host.hung_up = true;
		fake_ready(&loop, IN_FD);
	} else if (con->port.kind == SERIAL_SOCKET) {
		host.caller = true;
		fake_ready(&loop, BELL_FD);
	}
}

static void step(uint8_t what, uint8_t reg, unsigned v)
{
	switch (what % 16) {
	case 0:
	case 1:
	case 2:
	case 3:
		wr(reg % SERIAL_SIZE, v, 1);
		break;
	case 4:
	case 5:
	case 6:
		rd(reg % SERIAL_SIZE, 1);
		break;
	case 7:
		wr(reg % (SERIAL_SIZE + 1), v * 0x100010001ull, 1 + what / 16 % 8);
		break;
	case 8:
		rd(reg % (SERIAL_SIZE + 1), 1 + what / 16 % 8);
		break;
	case 9:
		serve(v);
		break;
	case 10:
		run(v * (MS / 1000));
		break;
	case 11:
		reader(v);
		break;
	case 12:
		type(v >= 0xf800 ? PEND_SIZE + v % 16 : v % 64);
		break;
	case 13:
		burst(v >= 0xf800 ? CONSOLE_RING + v % 16 : v % 1024);
		break;
	case 14:
		caller(reg);
		break;
	default:
		for (unsigned i = 0; i < v % 64; i++)
			rd(reg % SERIAL_SIZE, 1);
		if (v < 256) {
			serial_reset(serial);
			model_reset();
		}
	}
}

/* ---- the end: the reader reads, a driver comes up, and all must be there ---- */

/* The console's own line at `at`: how much it says was lost, and how long it is. A write that fails may have
 * cut it. */
static size_t lost_at(size_t at, size_t *len)
{
	static const char mark[] = "\r\n[pinvm: ";
	const char *p = (const char *)out.got + at;
	size_t n = 0;

	while (at + n < out.ngot && !(out.got[at + n] & 0x80) && (n < 2 || p[n - 1] != '\n' || n == 2))
		n++;
	*len = n;
	if (n > sizeof(mark) && p[n - 1] == '\n') {
		must(!memcmp(p, mark, sizeof(mark) - 1));
		n = strtoul(p + sizeof(mark) - 1, NULL, 10);
		must(n);
		return n;
	}
	must(host.failed && n && !memcmp(p, mark, n < sizeof(mark) - 1 ? n : sizeof(mark) - 1));
	return 0;
}

static void check_output(void)
{
	size_t at = 0, len;

	out.got[out.ngot] = '\0';
	for (size_t i = 0; i < out.ngot; i += len) {
		len = 1;
		if (out.got[i] & 0x80) {
			must(at < out.nsent && out.got[i] == out.sent[at]);
			at++;
		} else {
			at += lost_at(i, &len);
		}
	}
	must(at <= out.nsent);
	/* not announced where nobody was there to hear it */
	must(at == out.nsent || con->dead || con->failed_lost);
	must(console_drops(con) || at == out.nsent);
}

static void recover(void)
{
	host.tty = false;
	host.key = 0;
	if (con->port.kind == SERIAL_SOCKET && con->port.out < 0) {
		host.caller = true;
		fake_ready(&loop, BELL_FD);
	}
	host.hung_up = false;
	reader(0x4000);
	wr(LCR, 3, 1);
	wr(MCR, 0x0b, 1);
	wr(IER, 0, 1);
	wr(IIR, 7, 1);
	wr(IER, 5, 1);
	for (unsigned i = 0; i < IN_MAX / 8; i++) {
		run(200 * MS);
		while (rd(LSR, 1) & 1)
			rd(DATA, 1);
		if (con->port.in < 0 || con->in_end || (!host.typed && in.at == in.n))
			break;
	}
	run(200 * MS);
	must(!con->used && !con->marker_len);
	must(con->port.in < 0 || con->in_end || (!host.typed && in.at == in.n));
	must(host.quits == in.quits);
	check_output();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum serial_kind kinds[] = {SERIAL_STDIO, SERIAL_SOCKET, SERIAL_FILE, SERIAL_PTY};
	struct guest_config cfg = {.serial = kinds[size ? data[0] % 4 : 0]};
	struct console_rx rx = {.room = rx_room, .put = rx_put, .brk = rx_break};

	if (!out.sent) {
		out.sent = malloc(OUT_MAX);
		out.got = malloc(OUT_MAX);
		must(out.sent && out.got && !log_open("/dev/null"));
	}
	out.nsent = out.ngot = 0;
	memset(&in, 0, sizeof(in));
	memset(&m, 0, sizeof(m));
	memset(&host, 0, sizeof(host));
	memset(&loop, 0, sizeof(loop));
	host.tty = size && data[0] & 4 && cfg.serial == SERIAL_STDIO;
	loop.watch_err = size && data[0] & 8 && cfg.serial == SERIAL_FILE ? -EPERM : 0;
	must(!console_open(&con, &cfg, &loop, on_quit, NULL) && !serial_create(&serial, &irq, con));
	model_reset();
	raises = due = up = 0;
	real_rx = con->rx;
	con->rx = rx;
	for (data++; size >= 5 && out.nsent < OUT_MAX / 2; data += 4, size -= 4) {
		step(data[0], data[1], data[2] | data[3] << 8);
		must(in.breaks <= 1);
	}
	recover();
	serial_destroy(serial);
	console_close(con);
	return 0;
}
