// SPDX-License-Identifier: Apache-2.0
/*
 * ask: a request and its response over TCP, one after the other, as netperf's TCP_RR does it. One thread, one
 * process at each end.
 *
 * usage: ask serve PORT                  answers one connection after the other
 *        ask run ADDRESS PORT SECONDS [BYTES]
 *
 * `run` sends BYTES (1), waits until as many came back, and begins again. It prints how often a second.
 */
#define _GNU_SOURCE
#include <netinet/tcp.h>
#include <stdbool.h>
#include <time.h>
#include <unistd.h>

#include "program.h"

#define ROOM 65536

static char room[ROOM];

static void at_once(int fd)
{
	int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

/* Is the other end still there? */
static bool take(int fd, size_t bytes)
{
	while (bytes) {
		ssize_t n = read(fd, room, bytes < ROOM ? bytes : ROOM);

		if (n <= 0)
			return false;
		bytes -= n;
	}
	return true;
}

static void serve(const char *port)
{
	struct sockaddr_in a = address("0.0.0.0", port);
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 1) < 0)
		die("port %s", port);
	for (int peer; (peer = accept(fd, NULL, NULL)) >= 0;) {
		ssize_t n;

		at_once(peer);
		while ((n = read(peer, room, ROOM)) > 0 && write(peer, room, n) == n)
			;
		close(peer);
	}
	die("accept");
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static int run(char **argv, int argc)
{
	struct sockaddr_in a = address(argv[0], argv[1]);
	double begin = now(), seconds = atof(argv[2]);
	unsigned long bytes = argc > 3 ? strtoul(argv[3], NULL, 0) : 1, n = 0;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (!bytes || bytes > ROOM)
		return fprintf(stderr, "ask: BYTES is 1 to %d\n", ROOM), 2;
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		die("%s", argv[0]);
	at_once(fd);
	for (; now() - begin < seconds; n++)
		if (write(fd, room, bytes) != (ssize_t)bytes || !take(fd, bytes))
			die("%s", argv[0]);
	printf("ask: %.0f a second\n", n / (now() - begin));
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "serve"))
		serve(argv[2]);
	if ((argc == 5 || argc == 6) && !strcmp(argv[1], "run"))
		return run(argv + 2, argc - 2);
	fprintf(stderr, "usage: ask serve PORT | run ADDRESS PORT SECONDS [BYTES]\n");
	return 2;
}
