// SPDX-License-Identifier: Apache-2.0
/* The console on a terminal: raw mode, escape keys, and the terminal given back however it ends. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "tests/unit/unit.h"
#include "vmm/console/console.h"
#include "vmm/loop/loop.h"

static struct loop *loop;
static struct console *con;
static int master, slave, quits;
static struct termios before;

static void on_quit(void *arg)
{
	quits++;
}

/* A terminal with settings of its own, so that giving back means these and not some default. */
static void make_terminal(void)
{
	master = posix_openpt(O_RDWR | O_NOCTTY);
	ck_assert_int_ge(master, 0);
	ck_assert_int_eq(grantpt(master) | unlockpt(master), 0);
	slave = open(ptsname(master), O_RDWR | O_NOCTTY);
	ck_assert_int_ge(slave, 0);
	ck_assert_int_eq(tcgetattr(slave, &before), 0);
	before.c_cc[VMIN] = 3;
	before.c_cc[VKILL] = 'K' - '@';
	ck_assert_int_eq(tcsetattr(slave, TCSANOW, &before), 0);
	ck_assert_int_eq(tcgetattr(slave, &before), 0);
}

static bool is_raw(void)
{
	struct termios now;

	ck_assert_int_eq(tcgetattr(slave, &now), 0);
	return !(now.c_lflag & (ECHO | ICANON | ISIG | IEXTEN)) && !(now.c_iflag & (ICRNL | IXON)) &&
	       now.c_cc[VMIN] == 1;
}

static bool is_as_before(void)
{
	struct termios now;

	ck_assert_int_eq(tcgetattr(slave, &now), 0);
	return now.c_iflag == before.c_iflag && now.c_oflag == before.c_oflag &&
	       now.c_cflag == before.c_cflag && now.c_lflag == before.c_lflag &&
	       !memcmp(now.c_cc, before.c_cc, sizeof(now.c_cc));
}

static void open_on_terminal(void)
{
	struct guest_config cfg = {.serial = SERIAL_STDIO};

	ck_assert_int_eq(dup2(slave, STDIN_FILENO), STDIN_FILENO);
	ck_assert_int_eq(dup2(slave, STDOUT_FILENO), STDOUT_FILENO);
	ck_assert_int_eq(loop_create(&loop, "test", IO_AUTO, 1), 0);
	ck_assert_int_eq(console_open(&con, &cfg, loop, on_quit, NULL), 0);
}

static void type(const char *keys)
{
	ck_assert_int_eq(write(master, keys, strlen(keys)), strlen(keys));
}

static void step(void)
{
	if (loop_step(loop, false) < 0)
		ck_abort_msg("the loop fails");
}

/* ---- a guest that receives ---- */

static struct {
	char data[256];
	size_t n, room;
	int breaks;
} guest;

static size_t guest_room(void *arg)
{
	return guest.room;
}

static void guest_put(void *arg, const uint8_t *data, size_t len)
{
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
	guest.room = room;
	console_set_rx(con, &(struct console_rx){.room = guest_room, .put = guest_put, .brk = guest_brk});
}

/* ---- keys ---- */

START_TEST(raw_and_back)
{
	make_terminal();
	open_on_terminal();
	ck_assert(is_raw());
	ck_assert_int_eq(fcntl(STDIN_FILENO, F_GETFL) & O_NONBLOCK, 0);
	guest_listen(16);
	type("\003\032\r\021"); /* Ctrl-C, Ctrl-Z, Enter and Ctrl-Q are the guest's */
	while (guest.n < 4)
		step();
	ck_assert_mem_eq(guest.data, "\003\032\r\021", 4);
	console_close(con);
	ck_assert(is_as_before());
	loop_destroy(loop);
}
END_TEST

START_TEST(escape_keys)
{
	char got[512] = "";
	size_t n = 0;

	make_terminal();
	open_on_terminal();
	guest_listen(100);
	type("a\001ab\001\001c\001bd\001"
	     "h");
	while (!strstr(got, "Ctrl-A x ends the guest")) {
		step();
		if (poll(&(struct pollfd){.fd = master, .events = POLLIN}, 1, 0) > 0)
			n += read(master, got + n, sizeof(got) - 1 - n);
	}
	ck_assert_uint_eq(guest.n, 6);
	ck_assert_mem_eq(guest.data, "a\001b\001cd", 6);
	ck_assert_int_eq(guest.breaks, 1);
	ck_assert_int_eq(quits, 0);
	type("\001");
	step();
	type("x");
	while (!quits)
		step();
	ck_assert_int_eq(quits, 1);
	ck_assert_uint_eq(guest.n, 6);
	console_close(con);
	ck_assert(is_as_before());
	loop_destroy(loop);
}
END_TEST

/* The guest reads nothing: what was typed waits for it, and the key that ends it works. */
START_TEST(ends_a_guest_that_does_not_read)
{
	char line[100];

	make_terminal();
	open_on_terminal();
	guest_listen(0);
	memset(line, '.', sizeof(line));
	line[99] = '\0';
	for (int i = 0; i < 20; i++)
		type(line);
	type("\001x");
	while (!quits)
		step();
	guest.room = sizeof(guest.data);
	console_rx_ready(con);
	while (guest.n < sizeof(guest.data))
		step();
	console_close(con);
	ck_assert(is_as_before());
	loop_destroy(loop);
}
END_TEST

/* A terminal that is stopped (Ctrl-S of its user, or a window nobody drains) holds up neither guest nor loop.
 */
START_TEST(stopped_terminal)
{
	static char got[4 * CONSOLE_RING];
	uint8_t block[4096];
	size_t n = 0;

	make_terminal();
	open_on_terminal();
	guest_listen(16);
	memset(block, 'o', sizeof(block));
	for (size_t i = 0; i < 2 * CONSOLE_RING; i += sizeof(block)) {
		console_write(con, block, sizeof(block));
		ck_assert_int_ge(loop_step(loop, true), 0);
	}
	ck_assert_uint_gt(console_drops(con), 0);
	type("k");
	while (!guest.n)
		step();
	while (!memmem(got, n, "bytes of serial output lost]", 28)) {
		if (poll(&(struct pollfd){.fd = master, .events = POLLIN}, 1, 0) > 0) {
			ck_assert_uint_lt(n, sizeof(got));
			n += read(master, got + n, sizeof(got) - n);
		} else {
			step();
		}
	}
	console_close(con);
	ck_assert(is_as_before());
	loop_destroy(loop);
}
END_TEST

/* ---- job control: a child whose controlling terminal it is, watched from here ---- */

static pid_t child;
static int report; /* one byte for each of the child's steps */

static char next_report(void)
{
	char c = 0;

	ck_assert_int_eq(read(report, &c, 1), 1);
	return c;
}

static void say(int fd, char c)
{
	if (write(fd, &c, 1) != 1)
		_exit(8);
}

/* Run the console, say 'o' once open, then 'R' or 'C' (raw or cooked) for each key. Ctrl-A x ends. */
static void foreground_job(int fd)
{
	open_on_terminal();
	guest_listen(1);
	say(fd, 'o');
	while (!quits) {
		step();
		if (!guest.n)
			continue;
		guest.n = 0;
		guest.room = 1;
		console_rx_ready(con);
		say(fd, is_raw() ? 'R' : 'C');
	}
	console_close(con);
	_exit(is_as_before() ? 0 : 7);
}

/* A shell that reads its next line while the console is its background job. */
static void shell(int fd)
{
	char line[8] = "";
	pid_t job = fork();
	int status;

	if (!job) {
		setpgid(0, 0);
		open_on_terminal();
		guest_listen(16);
		say(fd, 'o');
		step(); /* the line below: seen, and left to the shell */
		ck_assert_int_ge(loop_step(loop, true), 0);
		console_close(con);
		_exit(guest.n ? 7 : 0);
	}
	if (waitpid(job, &status, WUNTRACED) != job || !WIFEXITED(status) || WEXITSTATUS(status)) {
		kill(job, SIGKILL);
		_exit(6);
	}
	_exit(read(slave, line, sizeof(line)) == 3 && !memcmp(line, "ls\n", 3) ? 0 : 5);
}

static void spawn(void (*run)(int fd))
{
	struct rlimit none = {0};
	int p[2];

	make_terminal();
	ck_assert_int_eq(pipe(p), 0);
	report = p[0];
	child = fork();
	ck_assert_int_ge(child, 0);
	if (!child) {
		setrlimit(RLIMIT_CORE, &none);
		setsid();
		if (!ioctl(slave, TIOCSCTTY, 0))
			run(p[1]);
		_exit(9);
	}
	close(p[1]);
}

static void expect_exit(int code)
{
	int status;

	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == code, "wait status %#x", status);
}

START_TEST(stop_and_continue)
{
	int status;

	spawn(foreground_job);
	ck_assert_int_eq(next_report(), 'o');
	ck_assert(is_raw());
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(kill(child, SIGTSTP), 0);
		ck_assert_int_eq(waitpid(child, &status, WUNTRACED), child);
		ck_assert(WIFSTOPPED(status));
		ck_assert(is_as_before());
		ck_assert_int_eq(kill(child, SIGCONT), 0);
		type("k");
		ck_assert_int_eq(next_report(), 'R');
		ck_assert(is_raw());
	}
	/* SIGSTOP gives no warning; the shell sets its own mode, and raw mode comes back with SIGCONT. */
	ck_assert_int_eq(kill(child, SIGSTOP), 0);
	ck_assert_int_eq(waitpid(child, &status, WUNTRACED), child);
	ck_assert_int_eq(tcsetattr(slave, TCSANOW, &before), 0);
	ck_assert_int_eq(kill(child, SIGCONT), 0);
	type("k\n");
	ck_assert_int_eq(next_report(), 'R');
	type("\001x");
	expect_exit(0);
	ck_assert(is_as_before());
}
END_TEST

START_TEST(fatal_signal)
{
	int status;

	spawn(foreground_job);
	ck_assert_int_eq(next_report(), 'o');
	ck_assert(is_raw());
	ck_assert_int_eq(kill(child, SIGQUIT), 0);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFSIGNALED(status));
	ck_assert_int_eq(WTERMSIG(status), SIGQUIT);
	ck_assert(is_as_before());
}
END_TEST

/* In the background the terminal is left alone: its settings, and what is typed to the shell. */
START_TEST(background_job)
{
	spawn(shell);
	ck_assert_int_eq(next_report(), 'o');
	ck_assert(is_as_before());
	type("ls\n");
	expect_exit(0);
	ck_assert(is_as_before());
}
END_TEST

UNIT_MAIN("tty", raw_and_back, escape_keys, ends_a_guest_that_does_not_read, stopped_terminal,
	stop_and_continue, fatal_signal, background_job)
