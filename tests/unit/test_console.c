// SPDX-License-Identifier: Apache-2.0
/* The host ends of the serial port: files, pipes, sockets, ptys, and readers that do not read. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/unit/unit.h"
#include "vmm/console/console.h"
#include "vmm/console/port.h"
#include "vmm/loop/loop.h"

static struct loop *loop;
static struct console *con;
static char dir[64], path[96];
static int quits;

static void on_quit(void *arg)
{
	quits++;
}

static int try_open(enum serial_kind kind, char *serial_path)
{
	struct guest_config cfg = {.serial = kind, .serial_path = serial_path};

	return console_open(&con, &cfg, loop, on_quit, NULL);
}

static const enum io_engine engines[] = {IO_PLAIN, IO_URING};

static void setup(int engine)
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

static void teardown(void)
{
	console_close(con);
	con = NULL;
	loop_destroy(loop);
	unlink(path);
	ck_assert_int_eq(rmdir(dir), 0);
}

static void say(const char *text)
{
	console_write(con, (const uint8_t *)text, strlen(text));
}

static uint8_t pattern(size_t i)
{
	return 'A' + (i * 31 + (i >> 8) * 7) % 26;
}

static void say_pattern(size_t from, size_t len)
{
	for (size_t i = from; i < from + len; i++) {
		uint8_t b = pattern(i);

		console_write(con, &b, 1);
	}
}

/* An assertion costs a system call: one a run of bytes, not one a byte. */
static void expect_pattern(const uint8_t *data, size_t len)
{
	size_t i = 0;

	while (i < len && data[i] == pattern(i))
		i++;
	ck_assert_msg(i == len, "byte %zu of %zu is wrong", i, len);
}

/* Standard input or output for the rest of this test's process. */
static void become(int target, int fd)
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

static void peer_ready(struct loop_ev *ev, uint32_t events)
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

static void peer_open(struct peer *p, int fd)
{
	*p = (struct peer){.ev.fn = peer_ready};
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	ck_assert_int_eq(loop_watch(loop, &p->ev, fd, EPOLLIN), 0);
}

static void peer_close(struct peer *p)
{
	loop_unwatch(loop, &p->ev);
	close(p->ev.fd);
	free(p->data);
}

static void step(void)
{
	if (loop_step(loop, false) < 0)
		ck_abort_msg("the loop fails");
}

static void peer_wait(struct peer *p, size_t n)
{
	while (p->n < n && !p->end)
		step();
	ck_assert_uint_ge(p->n, n);
}

static bool peer_has(const struct peer *p, const char *text)
{
	return p->n && memmem(p->data, p->n, text, strlen(text));
}

static void peer_expect(struct peer *p, const char *text)
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

static size_t guest_room(void *arg)
{
	return guest.room;
}

static void guest_put(void *arg, const uint8_t *data, size_t len)
{
	if (len > guest.room || len > sizeof(guest.data) - guest.n)
		ck_abort_msg("more input than there is room for");
	memcpy(guest.data + guest.n, data, len);
	guest.n += len;
	guest.room -= len;
}

static void guest_brk(void *arg)
{
	guest.breaks++;
}

static void guest_listen(size_t room)
{
	guest.n = guest.breaks = 0;
	guest.room = room;
	console_set_rx(con, &(struct console_rx){.room = guest_room, .put = guest_put, .brk = guest_brk});
}

/* Drain 16 bytes a time until n have come. */
static void guest_wait(size_t n)
{
	while (guest.n < n) {
		if (!guest.room) {
			guest.room = n - guest.n < 16 ? n - guest.n : 16;
			console_rx_ready(con);
		}
		step();
	}
}

/* ---- off, file ---- */

START_TEST(off_swallows)
{
	setup(_i);
	ck_assert_int_eq(try_open(SERIAL_OFF, NULL), 0);
	say("nobody");
	ck_assert_uint_eq(console_drops(con), 0);
	teardown();
}
END_TEST

START_TEST(file_gets_everything)
{
	char got[64] = "";
	struct stat st;
	int fd;

	setup(_i);
	umask(0);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	ck_assert_int_eq(write(fd, "old old old old old", 19), 19);
	close(fd);
	unlink(path);
	ck_assert_int_eq(try_open(SERIAL_FILE, path), 0);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	say("first\n");
	step();
	say("second\n");
	console_close(con);
	ck_assert_int_eq(try_open(SERIAL_FILE, path), 0);
	say("anew\n");
	console_close(con);
	con = NULL;
	fd = open(path, O_RDONLY);
	ck_assert_int_eq(read(fd, got, sizeof(got)), 5);
	ck_assert_str_eq(got, "anew\n");
	close(fd);
	teardown();
}
END_TEST

START_TEST(file_refusals)
{
	setup(_i);
	ck_assert_int_eq(try_open(SERIAL_FILE, dir), -EISDIR);
	ck_assert_int_eq(try_open(SERIAL_FILE, NULL), -EINVAL);
	ck_assert_int_eq(try_open(SERIAL_FILE, "/nowhere/at/all"), -ENOENT);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert_int_eq(try_open(SERIAL_FILE, path), -ENXIO);
	teardown();
}
END_TEST

static void on_own_timer(struct loop_timer *timer)
{
	quits++;
}

/* A full disk costs output, not the guest; and while the guest is silent nobody tries again. */
START_TEST(full_disk)
{
	struct loop_timer own = {.fn = on_own_timer};

	setup(_i);
	ck_assert_int_eq(try_open(SERIAL_FILE, "/dev/full"), 0);
	say("lost");
	while (!console_drops(con))
		step();
	ck_assert_uint_eq(console_drops(con), 4);
	say("lost too");
	ck_assert_uint_eq(console_drops(con), 12);
	ck_assert_msg(loop_step(loop, false) == 1, "one more attempt, for what came meanwhile");
	ck_assert_msg(loop_step(loop, false) == 1, "nothing came");
	loop_timer_set(loop, &own, 150000000);
	ck_assert_int_eq(loop_step(loop, false), 1);
	ck_assert_int_eq(quits, 1);
	teardown();
}
END_TEST

/* ---- standard input and output ---- */

static int out_pipe(void)
{
	int p[2];

	ck_assert_int_eq(pipe2(p, O_CLOEXEC), 0);
	become(STDOUT_FILENO, p[1]);
	return p[0];
}

static int in_pipe(void)
{
	int p[2];

	ck_assert_int_eq(pipe2(p, O_CLOEXEC), 0);
	become(STDIN_FILENO, p[0]);
	return p[1];
}

START_TEST(stdio_leaves_shared_flags_alone)
{
	struct peer reader;
	int in;

	setup(_i);
	in = in_pipe();
	peer_open(&reader, out_pipe());
	ck_assert_int_eq(try_open(SERIAL_STDIO, NULL), 0);
	guest_listen(16);
	say("out");
	peer_expect(&reader, "out");
	ck_assert_int_eq(write(in, "in", 2), 2);
	guest_wait(2);
	ck_assert_mem_eq(guest.data, "in", 2);
	ck_assert_int_eq(fcntl(STDIN_FILENO, F_GETFL) & O_NONBLOCK, 0);
	ck_assert_int_eq(fcntl(STDOUT_FILENO, F_GETFL) & O_NONBLOCK, 0);
	close(in);
	peer_close(&reader);
	teardown();
}
END_TEST

/* The reader stops: the guest goes on; then it reads: everything before the gap, one marker, everything
 * after. */
START_TEST(slow_reader_gets_a_marker)
{
	size_t pipe_size, total, lost = 12345;
	char marker[80];
	struct peer reader;
	int fd;

	setup(_i);
	become(STDIN_FILENO, open("/dev/null", O_RDONLY));
	fd = out_pipe();
	pipe_size = fcntl(fd, F_GETPIPE_SZ);
	ck_assert_int_eq(try_open(SERIAL_STDIO, NULL), 0);
	say_pattern(0, pipe_size);
	step(); /* into the pipe */
	say_pattern(pipe_size, CONSOLE_RING + lost);
	ck_assert_uint_eq(console_drops(con), lost);
	peer_open(&reader, fd);
	total = pipe_size + CONSOLE_RING;
	snprintf(marker, sizeof(marker), "\r\n[pinvm: %zu bytes of serial output lost]\r\n", lost);
	peer_wait(&reader, total + strlen(marker));
	ck_assert_mem_eq(reader.data + total, marker, strlen(marker));
	expect_pattern(reader.data, total);
	say("after");
	peer_wait(&reader, total + strlen(marker) + 5);
	ck_assert_mem_eq(reader.data + total + strlen(marker), "after", 5);
	ck_assert_uint_eq(console_drops(con), lost);
	peer_close(&reader);
	teardown();
}
END_TEST

static void *chatter(void *arg)
{
	say_pattern(0, 200000);
	return NULL;
}

/* A vCPU writes while the loop's thread moves: every byte, in order, and without waking the loop for each. */
START_TEST(output_is_complete)
{
	struct loop_stats stats;
	struct peer reader;
	pthread_t t;

	setup(_i);
	become(STDIN_FILENO, open("/dev/null", O_RDONLY));
	peer_open(&reader, out_pipe());
	ck_assert_int_eq(try_open(SERIAL_STDIO, NULL), 0);
	ck_assert_int_eq(pthread_create(&t, NULL, chatter, NULL), 0);
	peer_wait(&reader, 200000);
	pthread_join(t, NULL);
	expect_pattern(reader.data, 200000);
	ck_assert_uint_eq(console_drops(con), 0);
	loop_stats(loop, &stats);
	ck_assert_uint_lt(stats.wakeups, 200000 / 10);
	peer_close(&reader);
	teardown();
}
END_TEST

START_TEST(close_flushes)
{
	struct peer reader;
	int fd;

	setup(_i);
	become(STDIN_FILENO, open("/dev/null", O_RDONLY));
	fd = out_pipe();
	ck_assert_int_eq(try_open(SERIAL_STDIO, NULL), 0);
	say("the last words");
	console_close(con);
	con = NULL;
	become(STDOUT_FILENO, open("/dev/null", O_WRONLY));
	peer_open(&reader, fd);
	while (!reader.end)
		step();
	ck_assert_uint_eq(reader.n, 14);
	ck_assert_mem_eq(reader.data, "the last words", 14);
	peer_close(&reader);
	teardown();
}
END_TEST

/* Nobody reads and nobody will: the end comes all the same. */
START_TEST(close_gives_up)
{
	int fd;

	setup(_i);
	become(STDIN_FILENO, open("/dev/null", O_RDONLY));
	fd = out_pipe();
	ck_assert_int_eq(try_open(SERIAL_STDIO, NULL), 0);
	say_pattern(0, CONSOLE_RING);
	console_close(con);
	con = NULL;
	close(fd);
	teardown();
}
END_TEST

START_TEST(reader_is_gone)
{
	setup(_i);
	become(STDIN_FILENO, open("/dev/null", O_RDONLY));
	close(out_pipe());
	ck_assert_int_eq(try_open(SERIAL_STDIO, NULL), 0);
	say("to nobody");
	while (!console_drops(con))
		step();
	say_pattern(0, CONSOLE_RING * 2);
	ck_assert_uint_eq(console_drops(con), 9 + CONSOLE_RING * 2);
	teardown();
}
END_TEST

START_TEST(standard_descriptors_closed)
{
	setup(_i);
	close(STDIN_FILENO);
	close(STDOUT_FILENO);
	ck_assert_int_eq(try_open(SERIAL_STDIO, NULL), 0);
	guest_listen(16);
	say("void");
	ck_assert_int_ge(loop_step(loop, true), 0);
	teardown();
}
END_TEST

static void *feed(void *arg)
{
	int fd = *(int *)arg;

	for (size_t at = 0, n; at < sizeof(guest.data); at += n) {
		uint8_t b[5000];

		n = sizeof(guest.data) - at < sizeof(b) ? sizeof(guest.data) - at : sizeof(b);
		for (size_t i = 0; i < n; i++)
			b[i] = at + i == 77 ? 1 : pattern(at + i); /* Ctrl-A is data in a pipe */
		if (write(fd, b, n) != (ssize_t)n)
			return "short write";
	}
	close(fd);
	return NULL;
}

START_TEST(piped_input_is_complete)
{
	void *trouble;
	pthread_t t;
	int fd;

	setup(_i);
	fd = in_pipe();
	become(STDOUT_FILENO, open("/dev/null", O_WRONLY));
	ck_assert_int_eq(try_open(SERIAL_STDIO, NULL), 0);
	guest_listen(0);
	ck_assert_int_eq(pthread_create(&t, NULL, feed, &fd), 0);
	guest_wait(sizeof(guest.data));
	pthread_join(t, &trouble);
	ck_assert_ptr_null(trouble);
	ck_assert_uint_eq(guest.data[77], 1);
	guest.data[77] = pattern(77);
	expect_pattern(guest.data, sizeof(guest.data));
	ck_assert_int_eq(quits, 0);
	teardown();
}
END_TEST

START_TEST(input_from_a_file)
{
	uint8_t b[40000];
	int fd;

	setup(_i);
	for (size_t i = 0; i < sizeof(b); i++)
		b[i] = pattern(i);
	fd = open(path, O_RDWR | O_CREAT, 0600);
	ck_assert_int_eq(write(fd, b, sizeof(b)), sizeof(b));
	lseek(fd, 0, SEEK_SET);
	become(STDIN_FILENO, fd);
	become(STDOUT_FILENO, open("/dev/null", O_WRONLY));
	ck_assert_int_eq(try_open(SERIAL_STDIO, NULL), 0);
	guest_listen(1);
	guest_wait(sizeof(b));
	ck_assert_mem_eq(guest.data, b, sizeof(b));
	/* its end is the end of input and of nothing else */
	guest.room = 16;
	console_rx_ready(con);
	ck_assert_int_ge(loop_step(loop, true), 0);
	say("still here");
	ck_assert_int_eq(quits, 0);
	teardown();
}
END_TEST

START_TEST(stdio_over_a_socket)
{
	struct peer reader;
	int sv[2];

	setup(_i);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	ck_assert_int_eq(dup2(sv[1], STDIN_FILENO), STDIN_FILENO);
	become(STDOUT_FILENO, sv[1]);
	ck_assert_int_eq(try_open(SERIAL_STDIO, NULL), 0);
	guest_listen(16);
	ck_assert_int_eq(write(sv[0], "ping", 4), 4);
	guest_wait(4);
	ck_assert_mem_eq(guest.data, "ping", 4);
	peer_open(&reader, sv[0]);
	say_pattern(0, CONSOLE_RING);
	peer_wait(&reader, CONSOLE_RING);
	ck_assert_int_eq(fcntl(STDOUT_FILENO, F_GETFL) & O_NONBLOCK, 0);
	peer_close(&reader);
	teardown();
}
END_TEST

/* What others share and /proc does not give us anew is asked with poll() first, and never filled beyond its
 * room. */
START_TEST(shared_descriptors_are_asked_first)
{
	struct console_port port = {.in_how = PORT_POLLED, .out_how = PORT_POLLED};
	size_t total = 0;
	uint8_t b[8192];
	ssize_t n;
	int p[2];

	setup(_i);
	ck_assert_int_eq(pipe(p), 0);
	port.in = p[0];
	port.out = p[1];
	ck_assert_int_eq(port_read(&port, b, sizeof(b)), -EAGAIN);
	memset(b, 'p', sizeof(b));
	while ((n = port_write(&port, b, sizeof(b))) > 0)
		total += n;
	ck_assert_int_eq(n, -EAGAIN);
	ck_assert_uint_eq(total, fcntl(p[1], F_GETPIPE_SZ));
	ck_assert_int_eq(port_read(&port, b, sizeof(b)), sizeof(b));
	ck_assert_int_gt(port_write(&port, b, sizeof(b)), 0);
	port_drop_client(&port);
	/* a terminal that nobody drains */
	p[0] = posix_openpt(O_RDWR | O_NOCTTY);
	ck_assert_int_eq(grantpt(p[0]) | unlockpt(p[0]), 0);
	port.out = open(ptsname(p[0]), O_RDWR | O_NOCTTY);
	port.out_shy = true;
	while ((n = port_write(&port, b, sizeof(b))) > 0)
		ck_assert_int_eq(n, 1);
	ck_assert_int_eq(n, -EAGAIN);
	close(port.out);
	close(p[0]);
	teardown();
}
END_TEST

/* ---- pty ---- */

START_TEST(pty_end)
{
	char line[80] = "";
	struct peer term;
	ssize_t n;
	int fd;

	setup(_i);
	fd = out_pipe();
	ck_assert_int_eq(try_open(SERIAL_PTY, NULL), 0);
	n = read(fd, line, sizeof(line) - 1);
	ck_assert_int_gt(n, 8);
	ck_assert_int_eq(line[n - 1], '\n');
	ck_assert_int_eq(strncmp(line, "serial: /dev/pts/", 17), 0);
	line[n - 1] = '\0';
	close(fd);
	guest_listen(16);
	for (int round = 0; round < 2; round++) { /* a terminal program comes, goes, and comes again */
		fd = open(line + 8, O_RDWR | O_NOCTTY);
		ck_assert_int_ge(fd, 0);
		peer_open(&term, fd);
		say("login: ");
		peer_expect(&term, "login: ");
		guest.n = 0;
		ck_assert_int_eq(write(fd, "me\r", 3), 3);
		guest_wait(3);
		ck_assert_mem_eq(guest.data, "me\r", 3);
		peer_close(&term);
	}
	say_pattern(0, CONSOLE_RING); /* nobody reads */
	guest.n = 0;
	fd = open(line + 8, O_RDWR | O_NOCTTY);
	peer_open(&term, fd);
	peer_wait(&term, CONSOLE_RING);
	ck_assert_uint_eq(guest.n, 0);
	expect_pattern(term.data, CONSOLE_RING);
	peer_close(&term);
	teardown();
}
END_TEST

/* ---- socket ---- */

static int dial(const char *to)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(sun.sun_path, to);
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun))) {
		close(fd);
		return -errno;
	}
	return fd;
}

START_TEST(socket_one_client_a_time)
{
	struct peer first, second, third;
	struct stat st;

	setup(_i);
	umask(0);
	ck_assert_int_eq(try_open(SERIAL_SOCKET, path), 0);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	guest_listen(16);
	say("boot messages");
	step();
	peer_open(&first, dial(path));
	peer_expect(&first, "boot messages");
	ck_assert_int_eq(write(first.ev.fd, "ls", 2), 2);
	guest_wait(2);
	ck_assert_mem_eq(guest.data, "ls", 2);
	peer_open(&second, dial(path));
	peer_expect(&second, "another client has this serial port");
	while (!second.end)
		step();
	say("for the first");
	peer_expect(&first, "for the first");
	peer_close(&second);
	peer_close(&first);
	peer_open(&third, dial(path));
	say("for the third");
	peer_expect(&third, "for the third");
	ck_assert(!peer_has(&third, "for the first"));
	console_close(con);
	con = NULL;
	ck_assert_int_eq(access(path, F_OK), -1);
	peer_close(&third);
	teardown();
}
END_TEST

/* A client that only stops sending still reads; one that dies with output in flight does not take the guest
 * along. */
START_TEST(socket_half_closed_and_dead)
{
	struct peer p;

	setup(_i);
	ck_assert_int_eq(try_open(SERIAL_SOCKET, path), 0);
	guest_listen(16);
	peer_open(&p, dial(path));
	ck_assert_int_eq(write(p.ev.fd, "uname", 5), 5);
	shutdown(p.ev.fd, SHUT_WR);
	guest_wait(5);
	say("Linux");
	peer_expect(&p, "Linux");
	peer_close(&p);
	say_pattern(0, CONSOLE_RING / 2);
	step();
	peer_open(&p, dial(path));
	peer_wait(&p, 1000);
	peer_close(&p);
	teardown();
}
END_TEST

START_TEST(socket_stale_live_and_foreign)
{
	struct console *live;
	char buf[200];
	int fd;

	setup(_i);
	ck_assert_int_eq(try_open(SERIAL_SOCKET, path), 0);
	live = con;
	ck_assert_msg(try_open(SERIAL_SOCKET, path) == -EADDRINUSE, "somebody listens there");
	fd = dial(path);
	ck_assert_msg(fd >= 0, "and goes on listening");
	close(fd);
	console_close(live);
	con = NULL;

	struct sockaddr_un sun = {.sun_family = AF_UNIX};

	strcpy(sun.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	close(fd);
	ck_assert_int_eq(dial(path), -ECONNREFUSED);
	ck_assert_msg(try_open(SERIAL_SOCKET, path) == 0, "nobody does any more");
	/* what another put there is not ours to remove */
	ck_assert_int_eq(unlink(path), 0);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	console_close(con);
	con = NULL;
	ck_assert_int_eq(access(path, F_OK), 0);
	ck_assert_int_eq(try_open(SERIAL_SOCKET, path), -EEXIST);
	ck_assert_int_eq(access(path, F_OK), 0);
	memset(buf, 'l', sizeof(buf));
	buf[sizeof(buf) - 1] = '\0';
	ck_assert_int_eq(try_open(SERIAL_SOCKET, buf), -ENAMETOOLONG);
	ck_assert_int_eq(try_open(SERIAL_SOCKET, "/nowhere/at/all"), -ENOENT);
	teardown();
}
END_TEST

int main(void)
{
	const TTest *tests[] = {off_swallows, file_gets_everything, file_refusals, full_disk,
		stdio_leaves_shared_flags_alone, slow_reader_gets_a_marker, output_is_complete, close_flushes,
		close_gives_up, reader_is_gone, standard_descriptors_closed, piped_input_is_complete,
		input_from_a_file, stdio_over_a_socket, shared_descriptors_are_asked_first, pty_end,
		socket_one_client_a_time, socket_half_closed_and_dead, socket_stale_live_and_foreign};
	Suite *s = suite_create("console");
	TCase *tc = tcase_create("console");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_set_timeout(tc, 60);
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		tcase_add_loop_test(tc, tests[i], 0, 2);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
