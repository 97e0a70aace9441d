/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The clients of a control socket: lines in, lines out, on a loop that has other work. It never waits for a
 * client, and what one of them does bounds what it costs: so many clients, so long a line, one answer at a
 * time (further lines are not read until it is taken), and one that does not take its answer is cut off. A
 * client that says nothing costs nothing. It knows neither JSON nor guests. All calls are for the loop's
 * thread.
 */
#ifndef PINVM_CONTROL_SERVER_H
#define PINVM_CONTROL_SERVER_H

#include <stddef.h>
#include <stdint.h>

#define SERVER_CLIENTS 16   /* at once */
#define SERVER_LINE    4096 /* bytes of a line, its end included */
#define SERVER_TURN    64   /* lines of one client before others have their turn */

struct loop;
struct server;

/* What a server asks its owner. */
struct server_ops {
	/* The answer to a line (without its end, not terminated) as one malloc()ed text without an end of
	 * line; NULL: none. */
	char *(*answer)(void *arg, const char *line, size_t len);
	/* The answer when there is none to give: constant text, why. */
	char *(*refuse)(void *arg, const char *why);
	void *arg;
	uint64_t stall_ns; /* a client that took nothing of its answer for so long is cut off */
};

/* fd: a listening socket, non-blocking, the server's from now on; < 0: clients come by server_add() only. 0
 * or -errno. */
int server_create(struct server **server, struct loop *loop, int fd, const struct server_ops *ops);
/* Close everything. NULL is fine. */
void server_destroy(struct server *server);

/* Serve a connected stream socket, non-blocking, and close it in the end or when this fails. 0 or -errno. */
int server_add(struct server *server, int fd);
/* How many there are now. */
unsigned server_clients(const struct server *server);

#endif
