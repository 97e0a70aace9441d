// SPDX-License-Identifier: Apache-2.0
/*
 * The host end of the serial port; see console.h: its life, its input and the clients of its socket. All of
 * it runs on the console's loop (or on main, before and after the loop runs), apart from console_rx_ready().
 */
#include "vmm/console/console.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "vmm/console/priv.h"
#include "vmm/log.h"

#define READS_PER_CALL 64
#define CTRL_A	       1

static const char help_text[] = "\r\n[pinvm: Ctrl-A x ends the guest, Ctrl-A b sends a break, "
				"Ctrl-A a sends Ctrl-A, Ctrl-A h shows this]\r\n";

/* ---- input ---- */

static size_t rx_room(struct console *c)
{
	return c->rx.room ? c->rx.room(c->rx.arg) : 0;
}

static void in_post(struct console *c)
{
	if (!atomic_exchange(&c->rx_posted, true))
		loop_post(c->loop, &c->in_call);
}

void console_rx_ready(struct console *c)
{
	if (atomic_load(&c->rx_waiting))
		in_post(c);
}

/* Hand the guest what was read ahead. Returns the room it has left; when that is 0 its console_rx_ready()
 * calls us. */
static size_t in_deliver(struct console *c)
{
	for (;;) {
		size_t room = rx_room(c);

		if (!room) {
			/* Look once more after saying that we wait: room made in between was not announced.
			 */
			if (atomic_exchange(&c->rx_waiting, true))
				return 0;
			continue;
		}
		atomic_store(&c->rx_waiting, false);
		if (c->brk) {
			c->brk = false;
			if (c->rx.brk)
				c->rx.brk(c->rx.arg);
			continue;
		}
		if (!c->pend_n)
			return room;
		room = room < c->pend_n ? room : c->pend_n;
		c->rx.put(c->rx.arg, c->pend + c->pend_at, room);
		c->pend_n -= room;
		c->pend_at = c->pend_n ? c->pend_at + room : 0;
	}
}

/* The byte after Ctrl-A. True: it goes to the guest. */
static bool escape_key(struct console *c, uint8_t key)
{
	c->escape = false;
	switch (key) {
	case 'a':
	case CTRL_A:
		return true;
	case 'b':
		c->brk = true;
		return false;
	case 'x':
		if (c->on_quit)
			c->on_quit(c->quit_arg);
		return false;
	default:
		console_write(c, (const uint8_t *)help_text, sizeof(help_text) - 1);
		return false;
	}
}

/* Take the escape keys out of what a user typed. Returns the bytes that remain. */
static size_t in_escapes(struct console *c, uint8_t *p, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		if (c->escape) {
			if (escape_key(c, p[i]))
				p[n++] = CTRL_A;
		} else if (p[i] == CTRL_A) {
			c->escape = true;
		} else {
			p[n++] = p[i];
		}
	}
	return n;
}

static void in_unwatch(struct console *c)
{
	if (c->in_watched)
		loop_unwatch(c->loop, &c->in_ev);
	c->in_watched = false;
}

/* No more input. That is not the guest's end, and a client that only stopped sending may still read. */
static void in_finish(struct console *c)
{
	c->in_end = true;
	if (c->port.kind != SERIAL_SOCKET)
		in_unwatch(c);
	else if (port_hung_up(&c->port))
		console_client_gone(c);
}

/*
 * How much to read now. A terminal is read ahead of the guest, so that Ctrl-A x ends one that reads nothing;
 * other input stays where it is until the guest has room.
 */
static size_t in_wanted(struct console *c, size_t room)
{
	if (c->port.in < 0 || c->in_end)
		return 0;
	if (!c->port.tty)
		return room ? PEND_SIZE : 0;
	if (c->pend_at) {
		memmove(c->pend, c->pend + c->pend_at, c->pend_n);
		c->pend_at = 0;
	}
	return PEND_SIZE - c->pend_n;
}

static void in_run(struct console *c)
{
	for (unsigned i = 0; i < READS_PER_CALL; i++) {
		size_t want = in_wanted(c, in_deliver(c));
		uint8_t *p = c->pend + c->pend_at + c->pend_n;
		ssize_t n;

		if (!want)
			return;
		n = port_read(&c->port, p, want);
		if (n == -EAGAIN)
			return;
		if (n <= 0) {
			in_finish(c);
			return;
		}
		c->pend_n += c->port.tty ? in_escapes(c, p, n) : (size_t)n;
	}
	in_post(c); /* others have their turn first */
}

static void on_in_call(struct loop_call *call)
{
	struct console *c = console_of(call, in_call);

	atomic_store(&c->rx_posted, false);
	in_run(c);
}

static void on_in_ready(struct loop_ev *ev, uint32_t events)
{
	struct console *c = console_of(ev, in_ev);

	if (c->in_end)
		in_finish(c);
	else
		in_run(c);
}

/* A descriptor that cannot be waited for (a file) is read whenever the guest has room. */
static int in_watch(struct console *c)
{
	int ret;

	c->in_end = false;
	if (c->port.in < 0)
		return 0;
	ret = loop_watch(c->loop, &c->in_ev, c->port.in, EPOLLIN);
	c->in_watched = !ret;
	return ret == -EPERM ? 0 : ret;
}

/* ---- clients of a socket ---- */

void console_client_gone(struct console *c)
{
	in_unwatch(c);
	console_out_unwatch(c);
	port_drop_client(&c->port);
	c->blocked = true; /* until somebody connects */
}

static void on_connect(struct loop_ev *ev, uint32_t events)
{
	struct console *c = console_of(ev, listen_ev);

	/* The one before may have left in the same instant. */
	if (c->port.out >= 0 && port_hung_up(&c->port))
		console_client_gone(c);
	if (!port_accept(&c->port))
		return;
	if (in_watch(c)) {
		console_client_gone(c);
		return;
	}
	c->blocked = false;
	in_run(c);
	if (c->port.out >= 0)
		console_out_run(c);
}

/* ---- life ---- */

void console_set_rx(struct console *c, const struct console_rx *rx)
{
	c->rx = rx ? *rx : (struct console_rx){0};
	if (rx)
		in_post(c);
}

int console_open(struct console **out, const struct guest_config *cfg, struct loop *loop,
	void (*on_quit)(void *arg), void *arg)
{
	struct console *c = calloc(1, sizeof(*c));
	int ret;

	if (!c)
		return log_errno(-ENOMEM, "--serial");
	c->loop = loop;
	c->on_quit = on_quit;
	c->quit_arg = arg;
	c->in_call.fn = on_in_call;
	c->in_ev.fn = on_in_ready;
	c->listen_ev.fn = on_connect;
	ret = console_out_init(c);
	if (ret) {
		log_errno(ret, "--serial: room for its output");
		goto out_free;
	}
	ret = port_open(&c->port, cfg);
	if (ret)
		goto out_out;
	/* Without an output at all bytes are dropped at once; with a listener they wait for a client. */
	c->dead = c->port.out < 0 && c->port.listener < 0;
	ret = in_watch(c);
	if (!ret && c->port.listener >= 0)
		ret = loop_watch(loop, &c->listen_ev, c->port.listener, EPOLLIN);
	if (ret) {
		log_errno(ret, "--serial: waiting for input");
		goto out_port;
	}
	*out = c;
	return 0;
out_port:
	in_unwatch(c);
	port_close(&c->port);
out_out:
	console_out_exit(c);
out_free:
	free(c);
	return ret;
}

void console_close(struct console *c)
{
	if (!c)
		return;
	c->rx = (struct console_rx){0};
	console_flush(c);
	in_unwatch(c);
	console_out_unwatch(c);
	loop_timer_cancel(c->loop, &c->out_timer);
	if (c->port.listener >= 0)
		loop_unwatch(c->loop, &c->listen_ev);
	/* Calls on their way to the loop point into c: let them arrive. */
	for (int i = 0; i < 100 && (atomic_load(&c->out_posted) || atomic_load(&c->rx_posted)); i++)
		loop_step(c->loop, true);
	loop_timer_cancel(c->loop, &c->out_timer);
	port_close(&c->port);
	if (console_drops(c))
		log_info("serial: %llu bytes of output were lost", (unsigned long long)console_drops(c));
	console_out_exit(c);
	free(c);
}
