// SPDX-License-Identifier: Apache-2.0
/*
 * packets: datagrams of random size between a guest and its host, each checked for what is in it. One thread,
 * one process at each end.
 *
 * usage: packets serve PORT
 *        packets run ADDRESS PORT [up|down|both [COUNT [MAX [SEED [WINDOW]]]]]
 *        packets flood ADDRESS PORT COUNT SIZE
 *        packets burst ADDRESS PORT COUNT SIZE BATCH MS
 *        packets sink PORT
 *
 * `serve` answers one `run` and ends. COUNT datagrams (1000) go up (from `run` to `serve`), down, or both
 * ways at once; their payload is of a random size up to MAX bytes (1472). A TCP connection to the same port
 * carries the terms and the credit: no more than WINDOW datagrams (64) are on their way, so that nothing is
 * lost for want of room. Both ends print one line of what they received, and end with status 0 when nothing
 * was bad, lost or twice. `flood` just sends, without asking whether anybody is there.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "program.h"

#define BATCH	  32
#define ROOM	  65536
#define STALLED_S 20 /* without credit: what is on its way is given up */
#define OVER_MS	  60000

/* Before the content of a datagram; all in the sender's byte order, both ends are of one kind. */
struct head {
	uint32_t sum; /* of all that follows */
	uint32_t run; /* its seed: not a datagram of an earlier run */
	uint32_t seq;
	uint32_t size; /* of the content */
};

struct terms {
	uint32_t up, down, max, seed, window;
};

/* What goes over TCP: how far the receiver has come, and once that its sender sent all. */
struct note {
	uint32_t seen, sent, over;
};

struct end {
	int udp, tcp;
	struct terms terms;
	uint32_t to_send, sent, acked;
	uint32_t to_get, seen, told;
	uint64_t got, bytes, bad, twice, late, foreign, stalls;
	uint64_t first_ns, last_ns;
	bool peer_over, said_over;
	uint8_t *have;
};

static uint8_t room[BATCH][ROOM];
static struct iovec iov[BATCH];
static struct mmsghdr msg[BATCH];

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

/* Words at a time: a byte at a time is too slow for a guest of a software CPU. */
static uint32_t sum_of(const uint8_t *p, size_t n)
{
	uint64_t h = n, w;

	for (; n >= 8; p += 8, n -= 8) {
		memcpy(&w, p, 8);
		h = (h ^ w) * 0x9e3779b97f4a7c15ULL;
		h ^= h >> 29;
	}
	w = 0;
	memcpy(&w, p, n);
	return mix(h ^ w);
}

/* Datagram `seq` of the run: the same at both ends and every time. Returns its length. */
static size_t fill(uint8_t *p, const struct terms *t, uint32_t seq)
{
	uint64_t state = mix(((uint64_t)t->seed << 32 | seq) + 1);
	struct head h = {.run = t->seed, .seq = seq};
	size_t n;

	h.size = t->max > sizeof(h) ? state % (t->max - sizeof(h) + 1) : 0;
	for (n = 0; n < h.size; n += 8) {
		state = state * 6364136223846793005ULL + 1442695040888963407ULL;
		memcpy(p + sizeof(h) + n, &state, 8);
	}
	n = sizeof(h) + h.size;
	memcpy(p, &h, sizeof(h));
	h.sum = sum_of(p + sizeof(h.sum), n - sizeof(h.sum));
	memcpy(p, &h.sum, sizeof(h.sum));
	return n;
}

static void take(struct end *e, const uint8_t *p, size_t n)
{
	struct head h;

	if (n < sizeof(h)) {
		e->bad++;
		return;
	}
	memcpy(&h, p, sizeof(h));
	if (h.run != e->terms.seed) {
		e->foreign++;
		return;
	}
	if (h.size != n - sizeof(h) || h.seq >= e->to_get ||
		h.sum != sum_of(p + sizeof(h.sum), n - sizeof(h.sum))) {
		e->bad++;
		return;
	}
	if (e->have[h.seq / 8] & 1 << h.seq % 8) {
		e->twice++;
		return;
	}
	e->have[h.seq / 8] |= 1 << h.seq % 8;
	e->last_ns = now_ns();
	if (!e->got++)
		e->first_ns = e->last_ns;
	e->bytes += n;
	if (h.seq < e->seen)
		e->late++;
	else
		e->seen = h.seq + 1;
}

static void prepare(void)
{
	for (unsigned i = 0; i < BATCH; i++) {
		iov[i] = (struct iovec){room[i], ROOM};
		msg[i].msg_hdr = (struct msghdr){.msg_iov = &iov[i], .msg_iovlen = 1};
	}
}

static void receive(struct end *e)
{
	int n;

	for (unsigned i = 0; i < BATCH; i++)
		iov[i].iov_len = ROOM;
	n = recvmmsg(e->udp, msg, BATCH, MSG_DONTWAIT, NULL);
	/* A socket hears of what became of an earlier datagram; that one counts as lost. */
	for (int i = 0; i < n; i++)
		take(e, room[i], msg[i].msg_len);
}

/* Sends what the window allows; false: there is no room in the socket. */
static bool send_some(struct end *e)
{
	uint32_t may = e->acked + e->terms.window - e->sent, left = e->to_send - e->sent;
	unsigned n = may < left ? may : left;
	int done;

	if (n > BATCH)
		n = BATCH;
	for (unsigned i = 0; i < n; i++)
		iov[i].iov_len = fill(room[i], &e->terms, e->sent + i);
	done = n ? sendmmsg(e->udp, msg, n, MSG_DONTWAIT) : 0;
	if (done < 0)
		return errno != EAGAIN && errno != ENOBUFS;
	e->sent += done;
	return true;
}

static void tell(struct end *e, bool over)
{
	struct note note = {.seen = e->seen, .sent = e->sent, .over = over};

	if (send(e->tcp, &note, sizeof(note), MSG_NOSIGNAL) != sizeof(note))
		die("the other end went away");
	e->told = e->seen;
}

static void whole(int fd, void *buf, size_t n)
{
	for (size_t at = 0; at < n;) {
		ssize_t got = recv(fd, (char *)buf + at, n - at, 0);

		if (got <= 0)
			die("the other end went away");
		at += got;
	}
}

static void hear(struct end *e)
{
	struct note note;

	whole(e->tcp, &note, sizeof(note));
	if (note.seen > e->acked)
		e->acked = note.seen;
	e->peer_over |= note.over;
}

/* All that was to come is here, or what is not will not come: the last of it was sent a while ago. */
static bool got_all(const struct end *e, uint64_t heard_ns)
{
	return e->got + e->bad >= e->to_get || now_ns() - heard_ns > STALLED_S * 1000000000ULL;
}

/* Both directions until both ends have said that they are through. */
static void work(struct end *e)
{
	struct pollfd pfd[] = {{.fd = e->udp}, {.fd = e->tcp, .events = POLLIN}};
	uint64_t credit_ns = now_ns(), heard_ns = credit_ns;

	while (!e->said_over || !e->peer_over) {
		bool may_send = e->sent < e->to_send && e->sent - e->acked < e->terms.window;
		uint64_t got = e->got;
		uint32_t acked = e->acked;

		pfd[0].events = POLLIN | (may_send ? POLLOUT : 0);
		if (poll(pfd, 2, 100) < 0 && errno != EINTR)
			die("poll");
		if (pfd[0].revents & ~POLLOUT)
			receive(e);
		if (pfd[1].revents)
			hear(e);
		if (may_send && !send_some(e))
			usleep(1000);
		if (e->seen - e->told >= e->terms.window / 4)
			tell(e, false);
		if (e->acked != acked)
			credit_ns = now_ns();
		else if (e->sent - e->acked >= e->terms.window &&
			 now_ns() - credit_ns > STALLED_S * 1000000000ULL) {
			e->acked = e->sent;
			e->stalls++;
			credit_ns = now_ns();
		}
		if (e->got != got || e->sent < e->to_send)
			heard_ns = now_ns();
		if (!e->said_over && e->sent == e->to_send && got_all(e, heard_ns)) {
			tell(e, true);
			e->said_over = true;
		}
		if (now_ns() - heard_ns > OVER_MS * 1000000ULL)
			die("nothing more was heard");
	}
}

static int conclude(const struct end *e)
{
	uint64_t lost = e->to_get - e->got;

	printf("packets: sent %u received %llu of %u bad %llu lost %llu twice %llu late %llu foreign %llu "
	       "stalls %llu "
	       "bytes %llu in %llu ms\n",
		e->sent, (unsigned long long)e->got, e->to_get, (unsigned long long)e->bad,
		(unsigned long long)lost, (unsigned long long)e->twice, (unsigned long long)e->late,
		(unsigned long long)e->foreign, (unsigned long long)e->stalls, (unsigned long long)e->bytes,
		(unsigned long long)(e->last_ns - e->first_ns) / 1000000);
	return e->bad || lost || e->twice;
}

static int udp_socket(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0), bytes = 8 << 20;

	if (fd < 0)
		die("socket");
	/* What this cannot give, the window must spare. */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	return fd;
}

static int go(struct end *e)
{
	int on = 1;

	setsockopt(e->tcp, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	e->have = calloc(1, e->to_get / 8 + 1);
	if (!e->have)
		die("memory");
	prepare();
	work(e);
	free(e->have);
	return conclude(e);
}

static int serve(const char *port)
{
	struct sockaddr_in a = address("0.0.0.0", port), peer;
	socklen_t len = sizeof(peer);
	struct end e = {.udp = udp_socket()};
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 1) < 0 ||
		bind(e.udp, (struct sockaddr *)&a, sizeof(a)) < 0)
		die("port %s", port);
	e.tcp = accept(fd, (struct sockaddr *)&peer, &len);
	if (e.tcp < 0)
		die("accept");
	whole(e.tcp, &e.terms, sizeof(e.terms));
	whole(e.tcp, &peer.sin_port, sizeof(peer.sin_port));
	if (connect(e.udp, (struct sockaddr *)&peer, sizeof(peer)) < 0)
		die("connect");
	e.to_send = e.terms.down;
	e.to_get = e.terms.up;
	tell(&e, false);
	return go(&e);
}

static int run(char **argv, int argc)
{
	struct sockaddr_in a = address(argv[0], argv[1]), own;
	socklen_t len = sizeof(own);
	struct end e = {.udp = udp_socket(), .tcp = socket(AF_INET, SOCK_STREAM, 0)};
	const char *way = argc > 2 ? argv[2] : "both";
	uint32_t n[] = {1000, 1472, 1, 64};

	for (int i = 3; i < argc && i < 7; i++)
		n[i - 3] = strtoul(argv[i], NULL, 0);
	if (n[1] < sizeof(struct head) || n[1] > ROOM - 64 || n[3] < 1)
		return fprintf(stderr, "packets: MAX is %zu to %d, WINDOW 1 or more\n", sizeof(struct head),
			       ROOM - 64),
		       2;
	e.terms = (struct terms){
		strcmp(way, "down") ? n[0] : 0, strcmp(way, "up") ? n[0] : 0, n[1], n[2], n[3]};
	e.to_send = e.terms.up;
	e.to_get = e.terms.down;
	if (connect(e.tcp, (struct sockaddr *)&a, sizeof(a)) < 0 ||
		connect(e.udp, (struct sockaddr *)&a, sizeof(a)) < 0)
		die("%s", argv[0]);
	getsockname(e.udp, (struct sockaddr *)&own, &len);
	if (send(e.tcp, &e.terms, sizeof(e.terms), 0) != sizeof(e.terms) ||
		send(e.tcp, &own.sin_port, sizeof(own.sin_port), 0) != sizeof(own.sin_port))
		die("%s", argv[0]);
	hear(&e); /* ready */
	return go(&e);
}

/* An error of one datagram (the link is down, there is no room) is no reason to stop. */
static int flood(char **argv)
{
	struct sockaddr_in a = address(argv[0], argv[1]);
	unsigned long count = strtoul(argv[2], NULL, 0), size = strtoul(argv[3], NULL, 0), sent = 0;
	int fd = udp_socket();

	if (size > ROOM - 64)
		return 2;
	for (unsigned long i = 0; i < count; i++)
		sent += sendto(fd, room[0], size, 0, (struct sockaddr *)&a, sizeof(a)) >= 0;
	printf("packets: flooded %lu, the socket took %lu\n", count, sent);
	return 0;
}

static int burst(char **argv)
{
	struct sockaddr_in a = address(argv[0], argv[1]);
	unsigned long count = strtoul(argv[2], NULL, 0), size = strtoul(argv[3], NULL, 0);
	unsigned long batch = strtoul(argv[4], NULL, 0), ms = strtoul(argv[5], NULL, 0);
	struct mmsghdr all[1024];
	int fd = udp_socket();

	if (size > ROOM || !batch || batch > 1024 || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return 2;
	iov[0] = (struct iovec){room[0], size};
	for (unsigned i = 0; i < 1024; i++)
		all[i].msg_hdr = (struct msghdr){.msg_iov = iov, .msg_iovlen = 1};
	for (unsigned long i = 0; i < count; i += batch) {
		if (sendmmsg(fd, all, batch, 0) != (int)batch)
			die("sendmmsg");
		usleep(ms * 1000);
	}
	return 0;
}

static int sink(const char *port)
{
	struct sockaddr_in a = address("0.0.0.0", port);
	int fd = udp_socket();

	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		die("port %s", port);
	while (recv(fd, room[0], ROOM, 0) >= 0)
		;
	return 2;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "serve"))
		return serve(argv[2]);
	if (argc >= 4 && argc <= 9 && !strcmp(argv[1], "run"))
		return run(argv + 2, argc - 2);
	if (argc == 6 && !strcmp(argv[1], "flood"))
		return flood(argv + 2);
	if (argc == 8 && !strcmp(argv[1], "burst"))
		return burst(argv + 2);
	if (argc == 3 && !strcmp(argv[1], "sink"))
		return sink(argv[2]);
	fprintf(stderr, "usage: packets serve PORT | run ADDRESS PORT [up|down|both [COUNT [MAX [SEED "
			"[WINDOW]]]]] |\n"
			"       flood ADDRESS PORT COUNT SIZE | burst ADDRESS PORT COUNT SIZE BATCH MS | "
			"sink PORT\n");
	return 2;
}
