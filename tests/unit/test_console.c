// SPDX-License-Identifier: Apache-2.0
/* The host ends of the serial port: files, pipes, and readers that do not read. test_console_clients.c has
 * ptys and sockets. */
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "tests/unit/console_unit.h"
#include "vmm/console/port.h"

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

int main(void)
{
	const TTest *both[] = {off_swallows, file_gets_everything, file_refusals, full_disk,
		stdio_leaves_shared_flags_alone, slow_reader_gets_a_marker, output_is_complete, close_flushes,
		close_gives_up, reader_is_gone, standard_descriptors_closed, piped_input_is_complete,
		input_from_a_file, stdio_over_a_socket, shared_descriptors_are_asked_first};

	return run_both("console", both, COUNT(both), NULL, 0);
}
