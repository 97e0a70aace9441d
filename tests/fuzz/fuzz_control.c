// SPDX-License-Identifier: Apache-2.0
/*
 * The control socket. An input is what three clients do: a byte says who and what, say so many bytes (that
 * follow), read, or stop talking. Beyond "no crash and no leak": each line gets one answer, in JSON, in its
 * order, and nothing else does; a client that sent too long a line is told so and cut off, the others are
 * not.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"
#include "tests/unit/ring_driver.h"
#include "vmm/control/request.h"
#include "vmm/control/server.h"
#include "vmm/loop/loop.h"

#define CLIENTS 3

struct talker {
	int fd;
	unsigned line;		  /* bytes since the last end of one */
	unsigned asked, answered; /* lines */
	bool dead;		  /* said too long a line */
	size_t have;
	char in[1 << 16]; /* the beginning of an answer */
};

static struct loop *loop;
static struct server *server;
static struct talker talker[CLIENTS];

static int echo(struct control_call *call)
{
	call->result = json_pack("{s:s?, s:s?}", "one", call->arg[0], "two", call->arg[1]);
	must(call->result);
	return 0;
}

static int broken(struct control_call *call)
{
	snprintf(call->why, sizeof(call->why), "%s", call->arg[0] ? call->arg[0] : "no");
	return -EIO;
}

static const struct control_command table[] = {
	{"echo", "says its arguments", {{"one", "the first"}, {"two", "the second"}}, echo},
	{"fail", "an error", {{"why", "a text"}}, broken},
};

static char *answer(void *arg, const char *line, size_t len)
{
	return request_answer(table, 2, NULL, line, len);
}

static char *refuse(void *arg, const char *why)
{
	return request_refuse(why);
}

static void settle(void)
{
	int n;

	do
		n = loop_step(loop, true);
	while (n > 0);
	must(!n);
}

/* What the server makes of these bytes. */
static void count(struct talker *t, const char *p, size_t n)
{
	for (size_t i = 0; i < n && !t->dead; i++) {
		t->line++;
		t->dead = p[i] != '\n' && t->line == SERVER_LINE;
		if (p[i] != '\n' && !t->dead)
			continue;
		t->line = 0;
		t->asked++;
	}
}

static void say(struct talker *t, const char *p, size_t n)
{
	ssize_t sent = send(t->fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);

	must(sent >= 0 || errno == EAGAIN || errno == EPIPE);
	if (sent > 0)
		count(t, p, sent);
}

static void check_answer(const char *line, size_t len)
{
	json_t *root = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL), *ok = json_object_get(root, "ok");

	must(json_is_boolean(ok));
	must(json_is_true(ok) == !json_object_get(root, "error"));
	must(json_is_true(ok) || !json_object_get(root, "result"));
	json_decref(root);
}

static void hear(struct talker *t)
{
	ssize_t n;

	while ((n = recv(t->fd, t->in + t->have, sizeof(t->in) - t->have, MSG_DONTWAIT)) > 0) {
		char *start = t->in, *end;

		t->have += n;
		while ((end = memchr(start, '\n', t->in + t->have - start))) {
			check_answer(start, end - start);
			t->answered++;
			start = end + 1;
		}
		t->have -= start - t->in;
		memmove(t->in, start, t->have);
		must(t->have < sizeof(t->in));
		settle();
	}
	must(t->answered <= t->asked);
}

static void begin(void)
{
	const struct server_ops ops = {.answer = answer, .refuse = refuse, .stall_ns = UINT64_MAX};

	if (!loop)
		must(!loop_create(&loop, "fuzz", IO_PLAIN, 0));
	must(!server_create(&server, loop, -1, &ops));
	for (int i = 0; i < CLIENTS; i++) {
		int pair[2];

		must(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair));
		memset(&talker[i], 0, offsetof(struct talker, in));
		talker[i].fd = pair[0];
		must(!server_add(server, pair[1]));
	}
}

static void end(void)
{
	unsigned left = 0;

	for (int i = 0; i < CLIENTS; i++) {
		settle();
		hear(&talker[i]);
		must(talker[i].answered == talker[i].asked && !talker[i].have);
		shutdown(talker[i].fd, SHUT_WR);
	}
	settle();
	must(!server_clients(server));
	for (int i = 0; i < CLIENTS; i++) {
		left += recv(talker[i].fd, talker[i].in, 1, MSG_DONTWAIT) > 0;
		close(talker[i].fd);
	}
	must(!left);
	server_destroy(server);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *p = (const char *)data, *last = p + size;

	begin();
	while (p < last) {
		struct talker *t = &talker[(*p & 3) % CLIENTS];
		unsigned what = *p >> 2 & 3;
		size_t n = *p >> 4 & 15;

		p++;
		n = (n + 1) * (what == 1 ? 64 : 8);
		n = n < (size_t)(last - p) ? n : (size_t)(last - p);
		if (what < 2) {
			say(t, p, n);
			p += n;
		} else if (what == 2) {
			settle();
			hear(t);
		} else if (n > 64) {
			shutdown(t->fd, SHUT_WR);
		} else {
			settle();
		}
	}
	end();
	return 0;
}
