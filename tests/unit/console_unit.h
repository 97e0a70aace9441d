/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the serial port's host ends share: a console over a loop of either engine, somebody at
 * its other end, and a guest that receives. Included by one .c file. */
#ifndef PINVM_TESTS_CONSOLE_UNIT_H
#define PINVM_TESTS_CONSOLE_UNIT_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>

#include "tests/unit/loops.h"
#include "vmm/console/console.h"

static struct loop *loop;
static struct console *con;
static char dir[64], path[96];
static int quits;

static inline void on_quit(void *arg)
{
	quits++;
}

static inline int try_open(enum serial_kind kind, char *serial_path)
{
	struct guest_config cfg = {.serial = kind, .serial_path = serial_path};

	return console_open(&con, &cfg, loop, on_quit, NULL);
}

static const enum io_engine engines[] = {IO_PLAIN, IO_URING};

static inline void setup(int engine)
{
	const char *why;

	signal(SIGPIPE, SIG_IGN);
	strcpy(dir, "/tmp/pinvm-test-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/end", dir);
	ck_assert_int_eq(loop_create(&loop, "test", engines[engine] == IO_URING ? IO_AUTO : IO_PLAIN, 1), 0);
	if (engines[engine] == IO_URING && strcmp(loop_engine(loop, &why), "io_uring"))
		printf("skip: %s\n", why);
}

static inline void teardown(void)
{
	console_close(con);
	con = NULL;
	loop_destroy(loop);
	unlink(path);
	ck_assert_int_eq(rmdir(dir), 0);
}

static inline void say(const char *text)
{
	console_write(con, (const uint8_t *)text, strlen(text));
}

static inline uint8_t pattern(size_t i)
{
	return 'A' + (i * 31 + (i >> 8) * 7) % 26;
}

static inline void say_pattern(size_t from, size_t len)
{
	for (size_t i = from; i < from + len; i++) {
		uint8_t b = pattern(i);

		console_write(con, &b, 1);
	}
}

/* An assertion costs a system call: one a run of bytes, not one a byte. */
static inline void expect_pattern(const uint8_t *data, size_t len)
{
	size_t i = 0;

	while (i < len && data[i] == pattern(i))
		i++;
	ck_assert_msg(i == len, "byte %zu of %zu is wrong", i, len);
}

/* Standard input or output for the rest of this test's process. */
static inline void become(int target, int fd)
{
	ck_assert_int_eq(dup2(fd, target), target);
	close(fd);
}

/* ---- the other side, on the same loop: what a descriptor gives is gathered, step by step ---- */

struct peer {
	struct loop_ev ev;
	uint8_t *data;
	size_t n, size;
	bool end;
};

static inline void peer_ready(struct loop_ev *ev, uint32_t events)
{
	struct peer *p = (struct peer *)ev;

	for (;;) {
		ssize_t n;

		if (p->size - p->n < 65536) {
			p->size += 1 << 20;
			p->data = realloc(p->data, p->size);
		}
		n = read(ev->fd, p->data + p->n, 65536);
		if (n <= 0) {
			p->end |= n == 0 || errno != EAGAIN;
			return;
		}
		p->n += n;
	}
}

static inline void peer_open(struct peer *p, int fd)
{
	*p = (struct peer){.ev.fn = peer_ready};
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	ck_assert_int_eq(loop_watch(loop, &p->ev, fd, EPOLLIN), 0);
}

static inline void peer_close(struct peer *p)
{
	loop_unwatch(loop, &p->ev);
	close(p->ev.fd);
	free(p->data);
}

static inline void step(void)
{
	if (loop_step(loop, false) < 0)
		ck_abort_msg("the loop fails");
}

static inline void peer_wait(struct peer *p, size_t n)
{
	while (p->n < n && !p->end)
		step();
	ck_assert_uint_ge(p->n, n);
}

static inline bool peer_has(const struct peer *p, const char *text)
{
	return p->n && memmem(p->data, p->n, text, strlen(text));
}

static inline void peer_expect(struct peer *p, const char *text)
{
	while (!peer_has(p, text) && !p->end)
		step();
	ck_assert_msg(peer_has(p, text), "no '%s'", text);
}

/* ---- a guest that receives ---- */

static struct {
	uint8_t data[1 << 20];
	size_t n, room;
	int breaks;
} guest;

static inline size_t guest_room(void *arg)
{
	return guest.room;
}

static inline void guest_put(void *arg, const uint8_t *data, size_t len)
{
	if (len > guest.room || len > sizeof(guest.data) - guest.n)
		ck_abort_msg("more input than there is room for");
	memcpy(guest.data + guest.n, data, len);
	guest.n += len;
	guest.room -= len;
}

static inline void guest_brk(void *arg)
{
	guest.breaks++;
}

static inline void guest_listen(size_t room)
{
	guest.n = guest.breaks = 0;
	guest.room = room;
	console_set_rx(con, &(struct console_rx){.room = guest_room, .put = guest_put, .brk = guest_brk});
}

/* Drain 16 bytes a time until n have come. */
static inline void guest_wait(size_t n)
{
	while (guest.n < n) {
		if (!guest.room) {
			guest.room = n - guest.n < 16 ? n - guest.n : 16;
			console_rx_ready(con);
		}
		step();
	}
}

static inline int out_pipe(void)
{
	int p[2];

	ck_assert_int_eq(pipe2(p, O_CLOEXEC), 0);
	become(STDOUT_FILENO, p[1]);
	return p[0];
}

#endif
