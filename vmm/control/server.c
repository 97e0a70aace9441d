// SPDX-License-Identifier: Apache-2.0
/* Clients of a control socket; see server.h. Runs on the thread of its loop. */
#include "vmm/control/server.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/loop/loop.h"
#include "vmm/util.h"

#define RETRY_NS 250000000

struct client {
	struct server *server;
	struct client *next, **prev;
	struct loop_ev ev;
	struct loop_timer stall; /* set while an answer waits for its reader */
	struct loop_timer again; /* set when it had its turn and has more */
	char *out;		 /* the answer that is being sent; NULL: none */
	size_t out_len, out_at;
	size_t have; /* bytes in `in` */
	bool last;   /* cut off once the answer is sent */
	char in[SERVER_LINE];
};

struct server {
	struct loop *loop;
	struct server_ops ops;
	struct loop_ev ev; /* the listening socket */
	struct loop_timer retry; /* set while somebody waits who could not be let in */
	struct client *clients;
	unsigned n;
};

/* One that waited for a descriptor may have it now. The event that told of it does not come again. */
static void room(struct server *s)
{
	if (s->retry.private.prev)
		loop_timer_set(s->loop, &s->retry, 0);
}

static void drop(struct client *c)
{
	struct server *s = c->server;

	loop_unwatch(s->loop, &c->ev);
	loop_timer_cancel(s->loop, &c->stall);
	loop_timer_cancel(s->loop, &c->again);
	close(c->ev.fd);
	*c->prev = c->next;
	if (c->next)
		c->next->prev = c->prev;
	s->n--;
	room(s);
	free(c->out);
	free(c);
}

/* Take the answer over and put an end to its line; without one the client is of no use any more. */
static void set_out(struct client *c, char *text)
{
	c->out = text;
	if (!text) {
		c->last = true;
		return;
	}
	c->out_len = strlen(text) + 1;
	text[c->out_len - 1] = '\n'; /* its length is known from here on */
	c->out_at = 0;
}

/* 0: nothing waits any more. -EAGAIN, or the client is gone. */
static int flush(struct client *c)
{
	while (c->out) {
		ssize_t n = send(
			c->ev.fd, c->out + c->out_at, c->out_len - c->out_at, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			if (!c->stall.private.prev)
				loop_timer_set(c->server->loop, &c->stall, c->server->ops.stall_ns);
			return -EAGAIN;
		}
		if (n < 0)
			return -errno;
		loop_timer_cancel(c->server->loop, &c->stall);
		c->out_at += n;
		if (c->out_at == c->out_len) {
			free(c->out);
			c->out = NULL;
		}
	}
	return c->last ? -ECONNRESET : 0;
}

/* Answer the first line there is, if one is whole. */
static bool take_line(struct client *c)
{
	const struct server_ops *ops = &c->server->ops;
	char *end = memchr(c->in, '\n', c->have);
	size_t used;

	if (!end && c->have < sizeof(c->in))
		return false;
	if (!end) {
		c->last = true; /* where its next line begins, nobody knows */
		set_out(c, ops->refuse(ops->arg, "a line is longer than 4095 bytes"));
		return true;
	}
	used = end + 1 - c->in;
	set_out(c, ops->answer(ops->arg, c->in, used - 1));
	c->have -= used;
	memmove(c->in, end + 1, c->have);
	return true;
}

/* 0: there is more in `in`. -EAGAIN, or the client is gone. */
static int fill(struct client *c)
{
	for (;;) {
		ssize_t n = recv(c->ev.fd, c->in + c->have, sizeof(c->in) - c->have, MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		c->have += n > 0 ? n : 0;
		return n > 0 ? 0 : n ? -errno : -ECONNRESET;
	}
}

static void serve(struct client *c)
{
	int err;

	for (unsigned turn = 0; turn < SERVER_TURN;) {
		err = flush(c);
		if (!err && take_line(c)) {
			turn++;
			continue;
		}
		if (!err)
			err = fill(c);
		if (err == -EAGAIN)
			return;
		if (err) {
			drop(c);
			return;
		}
	}
	loop_timer_set(c->server->loop, &c->again, 0);
}

static void on_client(struct loop_ev *ev, uint32_t events)
{
	serve(container_of(ev, struct client, ev));
}

static void on_again(struct loop_timer *timer)
{
	serve(container_of(timer, struct client, again));
}

static void on_stall(struct loop_timer *timer)
{
	drop(container_of(timer, struct client, stall));
}

static int refuse_client(struct server *s, int fd)
{
	char *text = s->ops.refuse(s->ops.arg, "too many clients");

	if (text)
		send(fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL);
	free(text);
	send(fd, "\n", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	close(fd);
	return -EBUSY;
}

int server_add(struct server *s, int fd)
{
	struct client *c;
	int err;

	if (s->n == SERVER_CLIENTS)
		return refuse_client(s, fd);
	c = calloc(1, sizeof(*c));
	err = c ? 0 : -ENOMEM;
	if (!err) {
		c->ev.fn = on_client;
		err = loop_watch(s->loop, &c->ev, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP);
	}
	if (err) {
		free(c);
		close(fd);
		return err;
	}
	c->server = s;
	c->stall.fn = on_stall;
	c->again.fn = on_again;
	c->next = s->clients;
	c->prev = &s->clients;
	if (c->next)
		c->next->prev = &c->next;
	s->clients = c;
	s->n++;
	return 0;
}

/* All who wait. Out of descriptors or memory: again when a client leaves, or after a while, as others have some too. */
static void let_in(struct server *s)
{
	for (;;) {
		int fd = accept4(s->ev.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			server_add(s, fd);
			continue;
		}
		if (errno == EINTR || errno == ECONNABORTED)
			continue;
		if (errno != EAGAIN)
			loop_timer_set(s->loop, &s->retry, RETRY_NS);
		return;
	}
}

static void on_listener(struct loop_ev *ev, uint32_t events)
{
	let_in(container_of(ev, struct server, ev));
}

static void on_retry(struct loop_timer *timer)
{
	let_in(container_of(timer, struct server, retry));
}

int server_create(struct server **out, struct loop *loop, int fd, const struct server_ops *ops)
{
	struct server *s = calloc(1, sizeof(*s));
	int err = s ? 0 : -ENOMEM;

	*out = NULL;
	if (!err) {
		s->loop = loop;
		s->ops = *ops;
		s->ev.fn = on_listener;
		s->retry.fn = on_retry;
		s->ev.fd = fd;
		err = fd < 0 ? 0 : loop_watch(loop, &s->ev, fd, EPOLLIN);
	}
	if (err) {
		free(s);
		if (fd >= 0)
			close(fd);
		return err;
	}
	*out = s;
	return 0;
}

void server_destroy(struct server *s)
{
	if (!s)
		return;
	for (struct client *client = s->clients, *next; client; client = next) {
		next = client->next;
		drop(client);
	}
	loop_timer_cancel(s->loop, &s->retry);
	loop_unwatch(s->loop, &s->ev);
	if (s->ev.fd >= 0)
		close(s->ev.fd);
	free(s);
}

unsigned server_clients(const struct server *s)
{
	return s->n;
}
