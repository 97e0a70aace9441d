// SPDX-License-Identifier: Apache-2.0
/*
 * A console's output: the ring that vCPU threads append to, and the loop's thread that empties it into a
 * descriptor without ever waiting for whoever reads that. console_write() and console_drops() run on any
 * thread.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <time.h>

#include "vmm/console/priv.h"
#include "vmm/log.h"
#include "vmm/pi_mutex.h"

#define MS	       1000000ull
#define PACE_NS	       (2 * MS)	  /* output is gathered for this long after the first byte was written */
#define PACE_FAILED_NS (100 * MS) /* between attempts to write to a full disk */
#define FLUSH_STALL_MS 500
#define FLUSH_TOTAL_MS 3000

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
	if (!c->marker_len && !c->used && c->lost && !c->dead)
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

static void out_failed(struct console *c, int err)
{
	if (c->port.kind == SERIAL_SOCKET) {
		console_client_gone(c);
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
void console_out_run(struct console *c)
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

void console_out_unwatch(struct console *c)
{
	if (c->watched)
		loop_unwatch(c->loop, &c->out_ev);
	c->watched = c->blocked = false;
}

static void on_out_call(struct loop_call *call)
{
	struct console *c = console_of(call, out_call);

	atomic_store(&c->out_posted, false);
	console_out_run(c);
}

static void on_out_ready(struct loop_ev *ev, uint32_t events)
{
	struct console *c = console_of(ev, out_ev);

	console_out_unwatch(c);
	console_out_run(c);
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
		console_out_run(c);
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ull + ts.tv_nsec / MS;
}

/* For as long as somebody reads. */
void console_flush(struct console *c)
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

/* ---- life ---- */

int console_out_init(struct console *c)
{
	int ret;

	c->out_call.fn = on_out_call;
	c->out_timer.fn = on_out_timer;
	c->out_ev.fn = on_out_ready;
	c->ring = mmap(NULL, CONSOLE_RING, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (c->ring == MAP_FAILED)
		return -errno;
	ret = pi_mutex_init(&c->lock);
	if (ret)
		munmap(c->ring, CONSOLE_RING);
	return ret;
}

void console_out_exit(struct console *c)
{
	pthread_mutex_destroy(&c->lock);
	munmap(c->ring, CONSOLE_RING);
}
