// SPDX-License-Identifier: Apache-2.0
/* Host ends of the serial port that others come to and go from: ptys and sockets. */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "tests/unit/console_unit.h"

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
	const TTest *both[] = {pty_end, socket_one_client_a_time, socket_half_closed_and_dead,
		socket_stale_live_and_foreign};

	return run_both("console_clients", both, COUNT(both), NULL, 0);
}
