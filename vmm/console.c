// SPDX-License-Identifier: Apache-2.0
/*
 * The ring between the guest's serial port and its host end; see console.h. console_write() and
 * console_rx_ready() run on any thread, everything else on the console's loop (or main, before and after the
 * loop runs).
 */
#include "vmm/console.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <time.h>

#include "vmm/console_port.h"
#include "vmm/log.h"
#include "vmm/loop.h"

#define MS	       1000000ull
#define PACE_NS	       (2 * MS)	  /* output is gathered for this long after the first byte was written */
#define PACE_FAILED_NS (100 * MS) /* between attempts to write to a full disk */
#define FLUSH_STALL_MS 500
#define FLUSH_TOTAL_MS 3000
#define PEND_SIZE      16384 /* input read ahead; what a user can type before a stuck guest hides Ctrl-A x */
#define READS_PER_CALL 64

#define CTRL_A 1

/* The console that a callback's argument is a part of. */
#define console_of(ptr, member) ((struct console *)((char *)(ptr)-offsetof(struct console, member)))

static const char help_text[] = "\r\n[pinvm: Ctrl-A x ends the guest, Ctrl-A b sends a break, "
				"Ctrl-A a sends Ctrl-A, Ctrl-A h shows this]\r\n";

struct console {
	struct console_port port;
	struct loop *loop;
	void (*on_quit)(void *arg);
	void *quit_arg;

	/* Output. Under lock: */
	pthread_mutex_t lock;
	uint8_t *ring;
	size_t head, used;
	uint64_t lost; /* bytes dropped since the last marker; while not 0 no more are taken */
	bool awake;    /* the loop was told, or comes back by itself: a timer or a watch */
	bool dead;     /* nobody will ever read */
	_Atomic uint64_t drops;

	/* Output, the loop's own: */
	struct loop_call out_call;
	struct loop_timer out_timer;
	struct loop_ev out_ev;
	bool blocked; /* waiting for the reader, by watch or (where that is refused) by timer */
	bool watched;
	bool warned;
	uint64_t failed_lost; /* c->lost when a write failed; 0: the last write went well */
	char marker[80];
	size_t marker_at, marker_len;
	uint64_t marker_lost;

	/* Input */
	struct console_rx rx;
	struct loop_call in_call;
	struct loop_ev in_ev, listen_ev;
	bool in_watched, in_end, escape, brk;
	size_t pend_at, pend_n;
	_Atomic bool rx_waiting, rx_posted;
	atomic_bool out_posted;
	uint8_t pend[PEND_SIZE];
};

/* ---- output: any thread ---- */

void console_write(struct console *c, const uint8_t *data, size_t len)
{
	size_t n, at, first;
	bool wake;

	if (c->port.kind == SERIAL_OFF)
		return;
	pthread_mutex_lock(&c->lock);
	n = c->lost || c->dead ? 0 : CONSOLE_RING - c->used;
	n = n < len ? n : len;
	at = (c->head + c->used) % CONSOLE_RING;
	first = n < CONSOLE_RING - at ? n : CONSOLE_RING - at;
	memcpy(c->ring + at, data, first);
	memcpy(c->ring, data + first, n - first);
	c->used += n;
	if (n < len) {
		c->lost += len - n;
		c->drops += len - n;
	}
	wake = !c->awake && !c->dead && len;
	c->awake |= wake;
	pthread_mutex_unlock(&c->lock);
	if (wake) {
		atomic_store(&c->out_posted, true);
		loop_post(c->loop, &c->out_call);
	}
}

uint64_t console_drops(const struct console *c)
{
	return c->drops;
}

/* ---- output: the loop ---- */

static void marker_make(struct console *c)
{
	c->marker_at = 0;
	c->marker_lost = c->lost;
	c->marker_len = snprintf(c->marker, sizeof(c->marker),
		"\r\n[pinvm: %llu bytes of serial output lost]\r\n", (unsigned long long)c->lost);
	c->lost = 0;
}

/*
 * The next bytes to write, 0 when there are none. The marker goes where the gap is: dropping began with a
 * full ring and went on until the ring was written out.
 */
static size_t out_next(struct console *c, const uint8_t **p)
{
	size_t n;

	pthread_mutex_lock(&c->lock);
	if (!c->marker_len && !c->used && c->lost)
		marker_make(c);
	if (c->marker_len) {
		*p = (const uint8_t *)c->marker + c->marker_at;
		n = c->marker_len - c->marker_at;
	} else {
		*p = c->ring + c->head;
		n = c->used < CONSOLE_RING - c->head ? c->used : CONSOLE_RING - c->head;
	}
	pthread_mutex_unlock(&c->lock);
	return n;
}

static void out_done(struct console *c, size_t n)
{
	c->failed_lost = 0;
	if (c->marker_len) {
		c->marker_at += n;
		if (c->marker_at == c->marker_len)
			c->marker_len = 0;
		return;
	}
	pthread_mutex_lock(&c->lock);
	c->used -= n;
	/* Back to the start when empty: a quiet console touches one page of its ring. */
	c->head = c->used ? (c->head + n) % CONSOLE_RING : 0;
	pthread_mutex_unlock(&c->lock);
}

/* Give up what waits: it is lost, and counted. */
static void out_discard(struct console *c, bool dead)
{
	pthread_mutex_lock(&c->lock);
	c->lost += c->used;
	c->drops += c->used;
	if (c->marker_len)
		c->lost += c->marker_lost;
	c->used = c->head = c->marker_len = 0;
	c->failed_lost = c->lost;
	c->dead = dead;
	pthread_mutex_unlock(&c->lock);
}

static void client_gone(struct console *c);

static void out_failed(struct console *c, int err)
{
	if (c->port.kind == SERIAL_SOCKET) {
		client_gone(c);
		return;
	}
	out_discard(c, err == -EPIPE || err == -EBADF);
	if (!c->warned)
		log_warn("serial output: %s; the guest goes on without it", strerror(-err));
	c->warned = true;
}

/* Write until nothing is left (true) or the reader keeps us waiting or fails (false). */
static bool out_write(struct console *c)
{
	const uint8_t *p;
	size_t n, moved = 0;

	while ((n = out_next(c, &p)) && moved < CONSOLE_RING) {
		ssize_t ret = c->port.out < 0 ? -EAGAIN : port_write(&c->port, p, n);

		if (ret == -EAGAIN) {
			c->blocked = true;
			return false;
		}
		if (ret < 0) {
			out_failed(c, ret);
			return false;
		}
		out_done(c, ret);
		moved += ret;
	}
	return true;
}

/* Write, and see to it that we come back: when the reader reads, when a client connects, or after the pace.
 */
static void out_run(struct console *c)
{
	out_write(c);
	if (!c->blocked) {
		loop_timer_set(c->loop, &c->out_timer, c->failed_lost ? PACE_FAILED_NS : PACE_NS);
		return;
	}
	if (c->watched || c->port.out < 0)
		return;
	if (loop_watch(c->loop, &c->out_ev, c->port.out, EPOLLOUT))
		loop_timer_set(c->loop, &c->out_timer, PACE_NS);
	else
		c->watched = true;
}

static void out_unwatch(struct console *c)
{
	if (c->watched)
		loop_unwatch(c->loop, &c->out_ev);
	c->watched = c->blocked = false;
}

static void on_out_call(struct loop_call *call)
{
	struct console *c = console_of(call, out_call);

	atomic_store(&c->out_posted, false);
	out_run(c);
}

static void on_out_ready(struct loop_ev *ev, uint32_t events)
{
	struct console *c = console_of(ev, out_ev);

	out_unwatch(c);
	out_run(c);
}

/* The pace is over. If nothing came meanwhile, sleep until console_write() calls. */
static void on_out_timer(struct loop_timer *timer)
{
	struct console *c = console_of(timer, out_timer);
	bool idle;

	c->blocked = false;
	pthread_mutex_lock(&c->lock);
	idle = !c->marker_len && !c->used && c->lost == c->failed_lost;
	if (idle)
		c->awake = false;
	pthread_mutex_unlock(&c->lock);
	if (!idle)
		out_run(c);
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ull + ts.tv_nsec / MS;
}

/* The guest is gone: write what is left, for as long as somebody reads. */
static void out_flush(struct console *c)
{
	uint64_t end = now_ms() + FLUSH_TOTAL_MS, left;
	struct pollfd pfd = {.events = POLLOUT};

	for (;;) {
		c->blocked = false;
		if (out_write(c) || !c->blocked || c->port.out < 0)
			break;
		pfd.fd = c->port.out;
		left = now_ms() < end ? end - now_ms() : 0;
		if (poll(&pfd, 1, left < FLUSH_STALL_MS ? left : FLUSH_STALL_MS) == 0)
			break;
	}
	out_discard(c, true);
}

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
		client_gone(c);
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

static void client_gone(struct console *c)
{
	in_unwatch(c);
	out_unwatch(c);
	port_drop_client(&c->port);
	c->blocked = true; /* until somebody connects */
}

static void on_connect(struct loop_ev *ev, uint32_t events)
{
	struct console *c = console_of(ev, listen_ev);

	/* The one before may have left in the same instant. */
	if (c->port.out >= 0 && port_hung_up(&c->port))
		client_gone(c);
	if (!port_accept(&c->port))
		return;
	if (in_watch(c)) {
		client_gone(c);
		return;
	}
	c->blocked = false;
	in_run(c);
	if (c->port.out >= 0)
		out_run(c);
}

/* ---- life ---- */

void console_set_rx(struct console *c, const struct console_rx *rx)
{
	c->rx = rx ? *rx : (struct console_rx){0};
	if (rx)
		in_post(c);
}

static int lock_init(pthread_mutex_t *lock)
{
	pthread_mutexattr_t attr;
	int ret = -pthread_mutexattr_init(&attr);

	if (ret)
		return ret;
	ret = -pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT);
	if (!ret)
		ret = -pthread_mutex_init(lock, &attr);
	pthread_mutexattr_destroy(&attr);
	return ret;
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
	c->out_call.fn = on_out_call;
	c->out_timer.fn = on_out_timer;
	c->out_ev.fn = on_out_ready;
	c->in_call.fn = on_in_call;
	c->in_ev.fn = on_in_ready;
	c->listen_ev.fn = on_connect;
	c->ring = mmap(NULL, CONSOLE_RING, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (c->ring == MAP_FAILED) {
		ret = log_errno(-errno, "--serial: memory for its output");
		goto out_free;
	}
	ret = lock_init(&c->lock);
	if (ret) {
		log_errno(ret, "--serial: mutex");
		goto out_ring;
	}
	ret = port_open(&c->port, cfg);
	if (ret)
		goto out_lock;
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
out_lock:
	pthread_mutex_destroy(&c->lock);
out_ring:
	munmap(c->ring, CONSOLE_RING);
out_free:
	free(c);
	return ret;
}

void console_close(struct console *c)
{
	if (!c)
		return;
	c->rx = (struct console_rx){0};
	out_flush(c);
	in_unwatch(c);
	out_unwatch(c);
	loop_timer_cancel(c->loop, &c->out_timer);
	if (c->port.listener >= 0)
		loop_unwatch(c->loop, &c->listen_ev);
	/* Calls on their way to the loop point into c: let them arrive. */
	for (int i = 0; i < 100 && (atomic_load(&c->out_posted) || atomic_load(&c->rx_posted)); i++)
		loop_step(c->loop, true);
	loop_timer_cancel(c->loop, &c->out_timer);
	port_close(&c->port);
	pthread_mutex_destroy(&c->lock);
	munmap(c->ring, CONSOLE_RING);
	free(c);
}
