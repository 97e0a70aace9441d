// SPDX-License-Identifier: Apache-2.0
/* Clients of a control socket that are many, slow, rude or gone, over socket pairs, on both of a loop's
 * engines. */
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "tests/unit/loops.h"
#include "vmm/control/server.h"
#include "vmm/listener.h"

#define BIG  (4u << 20) /* more than a socket holds */
#define HOUR 3600000000000ull

static struct loop *loop;
static struct server *server;
static unsigned answers;
static uint64_t stall_ns = HOUR; /* however slow this machine is, a client is not */

/* "big": a long text. "none": nothing. Else the line in <>, with its length where it has a zero inside. */
static char *answer(void *arg, const char *line, size_t len)
{
	char *text;

	answers++;
	if (len == 4 && !memcmp(line, "none", 4))
		return NULL;
	if (len == 3 && !memcmp(line, "big", 3)) {
		text = malloc(BIG + 1);
		memset(text, 'x', BIG);
		text[BIG] = '\0';
		return text;
	}
	ck_assert_int_ge(asprintf(&text, "<%.*s:%zu>", len < 20 ? (int)len : 20, line, len), 0);
	return text;
}

static char *refuse(void *arg, const char *why)
{
	char *text;

	ck_assert_int_ge(asprintf(&text, "!%s", why), 0);
	return text;
}

static bool start(int engine)
{
	const struct server_ops ops = {.answer = answer, .refuse = refuse, .stall_ns = stall_ns};

	loop = make(engine, 0);
	if (loop)
		ck_assert_int_eq(server_create(&server, loop, -1, &ops), 0);
	return loop;
}

static void finish(void)
{
	server_destroy(server);
	loop_destroy(loop);
}

/* Until nobody has anything to do. */
static void settle(void)
{
	int n;

	do
		n = loop_step(loop, true);
	while (n > 0);
	ck_assert_int_eq(n, 0);
}

/* Our end of a new client's connection; *err: what the server said. */
static int join(int *err)
{
	int pair[2], ret;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
	ret = server_add(server, pair[1]);
	if (err)
		*err = ret;
	else
		ck_assert_int_eq(ret, 0);
	return pair[0];
}

static void say(int fd, const char *text)
{
	ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* All there is to read by now; *ended: and then the end. */
static size_t take(int fd, char *text, size_t n, bool *ended)
{
	size_t len = 0;
	ssize_t got = 1;

	while (len < n - 1 && (got = read(fd, text + len, n - 1 - len)) > 0)
		len += got;
	text[len] = '\0';
	if (ended)
		*ended = got == 0 || (got < 0 && errno == ECONNRESET);
	return len;
}

static void hears(int fd, const char *want, bool end)
{
	char text[8192];
	bool ended;

	settle();
	take(fd, text, sizeof(text), &ended);
	ck_assert_str_eq(text, want);
	ck_assert_int_eq(ended, end);
}

START_TEST(lines)
{
	int fd;

	if (!start(_i))
		return;
	fd = join(NULL);
	say(fd, "a\nbb\n\n");
	hears(fd, "<a:1>\n<bb:2>\n<:0>\n", false);
	say(fd, "cut in");
	hears(fd, "", false);
	say(fd, "to pieces\nnext");
	hears(fd, "<cut into pieces:15>\n", false);
	say(fd, "\n");
	hears(fd, "<next:4>\n", false);
	ck_assert_int_eq(send(fd, "a\0b\n", 4, 0), 4);
	hears(fd, "<a:3>\n", false);
	close(fd);
	settle();
	ck_assert_uint_eq(server_clients(server), 0);
	finish();
}
END_TEST

/* Whole lines that came before the end of input are answered, a cut one is not. */
START_TEST(half_closed)
{
	int fd;

	if (!start(_i))
		return;
	fd = join(NULL);
	say(fd, "a\nb\nc");
	shutdown(fd, SHUT_WR);
	hears(fd, "<a:1>\n<b:1>\n", true);
	ck_assert_uint_eq(server_clients(server), 0);
	close(fd);
	finish();
}
END_TEST

START_TEST(long_line)
{
	char line[SERVER_LINE + 1];
	int fd, other;

	if (!start(_i))
		return;
	fd = join(NULL);
	other = join(NULL);
	memset(line, 'y', sizeof(line));
	line[SERVER_LINE - 1] = '\n';
	line[SERVER_LINE] = '\0';
	say(fd, line);
	hears(fd, "<yyyyyyyyyyyyyyyyyyyy:4095>\n", false);
	line[SERVER_LINE - 1] = 'y';
	say(fd, line);
	hears(fd, "!a line is longer than 4095 bytes\n", true);
	ck_assert_uint_eq(server_clients(server), 1);
	say(other, "z\n");
	hears(other, "<z:1>\n", false);
	close(fd);
	close(other);
	finish();
}
END_TEST

START_TEST(many)
{
	int fd[SERVER_CLIENTS], more, err;
	char text[32], want[64];

	if (!start(_i))
		return;
	for (int i = 0; i < SERVER_CLIENTS; i++)
		fd[i] = join(NULL);
	more = join(&err);
	ck_assert_int_eq(err, -EBUSY);
	hears(more, "!too many clients\n", true);
	close(more);
	for (int half = 0; half < 2; half++)
		for (int i = 0; i < SERVER_CLIENTS; i++) {
			snprintf(text, sizeof(text), half ? "%d\n" : "n", i);
			say(fd[i], text);
		}
	for (int i = 0; i < SERVER_CLIENTS; i++) {
		snprintf(text, sizeof(text), "n%d", i);
		snprintf(want, sizeof(want), "<%s:%zu>\n", text, strlen(text));
		hears(fd[i], want, false);
	}
	close(fd[3]);
	settle();
	fd[3] = join(NULL);
	say(fd[3], "new\n");
	hears(fd[3], "<new:3>\n", false);
	for (int i = 0; i < SERVER_CLIENTS; i++)
		close(fd[i]);
	settle();
	ck_assert_uint_eq(server_clients(server), 0);
	finish();
}
END_TEST

/* One that has much to ask does not keep the others waiting for all of it. */
START_TEST(turns)
{
	static char text[2000 + 1];
	int greedy, other;

	if (!start(_i))
		return;
	greedy = join(NULL);
	other = join(NULL);
	settle();
	answers = 0;
	for (int i = 0; i < 2000; i += 2)
		memcpy(text + i, "g\n", 3);
	say(greedy, text);
	say(other, "o\n");
	ck_assert_int_gt(loop_step(loop, true), 0);
	ck_assert_uint_le(answers, 2 * SERVER_TURN + 1);
	take(other, text, sizeof(text), NULL);
	ck_assert_str_eq(text, "<o:1>\n");
	for (unsigned before = 0; answers < 1001; before = answers) {
		settle();
		ck_assert_uint_gt(answers, before);
		take(greedy, text, sizeof(text), NULL); /* a socket holds some hundred lines */
	}
	close(greedy);
	close(other);
	finish();
}
END_TEST

/* Who takes its answer slowly gets all of it, and nothing more is read of it meanwhile. */
START_TEST(slow)
{
	static char text[BIG];
	size_t len = 0;
	int fd;

	if (!start(_i))
		return;
	fd = join(NULL);
	answers = 0;
	say(fd, "big\nbig\nsmall\n");
	settle();
	ck_assert_uint_eq(answers, 1);
	ck_assert_uint_eq(server_clients(server), 1);
	while (len < 2 * (BIG + 1ul)) {
		size_t n = take(fd, text, 65536, NULL);

		ck_assert_uint_gt(n, 0);
		len += n;
		ck_assert_uint_le(answers, 1 + len / (BIG / 2)); /* what the socket holds is far less */
		settle();
	}
	ck_assert_uint_eq(answers, 3);
	close(fd);
	finish();
}
END_TEST

START_TEST(stalled)
{
	int fd, other;

	stall_ns = 300000000;
	if (!start(_i))
		return;
	fd = join(NULL);
	other = join(NULL);
	say(fd, "big\nbig\n");
	settle();
	say(other, "o\n");
	hears(other, "<o:1>\n", false);
	while (server_clients(server) == 2) /* the timer ends it */
		ck_assert_int_ge(loop_step(loop, false), 0);
	say(other, "p\n");
	hears(other, "<p:1>\n", false);
	close(fd);
	close(other);
	finish();
}
END_TEST

/* Gone with an answer on its way, gone unheard, and without an answer to give. */
START_TEST(gone)
{
	int fd;

	if (!start(_i))
		return;
	fd = join(NULL);
	say(fd, "big\n");
	settle();
	ck_assert_uint_eq(server_clients(server), 1);
	close(fd);
	settle();
	ck_assert_uint_eq(server_clients(server), 0);
	fd = join(NULL);
	say(fd, "a\nb\n");
	close(fd);
	settle();
	ck_assert_uint_eq(server_clients(server), 0);
	fd = join(NULL);
	say(fd, "none\na\n");
	hears(fd, "", true);
	ck_assert_uint_eq(server_clients(server), 0);
	close(fd);
	fd = join(NULL);
	say(fd, "big\n");
	settle();
	finish(); /* with a client that waits */
	close(fd);
}
END_TEST

/* Clients that say nothing wake nobody: no event, no timer. */
START_TEST(idle)
{
	int fd[SERVER_CLIENTS];

	if (!start(_i))
		return;
	for (int i = 0; i < SERVER_CLIENTS; i++) {
		fd[i] = join(NULL);
		say(fd[i], "a\n");
		hears(fd[i], "<a:1>\n", false);
	}
	settle();
	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(loop_step(loop, true), 0);
	for (int i = 0; i < SERVER_CLIENTS; i++)
		close(fd[i]);
	finish();
}
END_TEST

/* Out of descriptors: who waits at the door is let in when a client leaves, and when others leave some, both unasked. */
START_TEST(no_descriptors)
{
	const struct server_ops ops = {.answer = answer, .refuse = refuse, .stall_ns = stall_ns};
	char path[] = "/tmp/pinvm-server-XXXXXX";
	struct rlimit limit;
	struct own_file file;
	int fd[3], listener, spare;

	ck_assert_ptr_nonnull(mkdtemp(path));
	loop = make(_i, 0);
	if (!loop) {
		rmdir(path);
		return;
	}
	ck_assert_int_eq(chdir(path), 0);
	listener = listener_open(&file, "s", 8, -1);
	ck_assert_int_ge(listener, 0);
	ck_assert_int_eq(server_create(&server, loop, listener, &ops), 0);
	fd[0] = listener_connect("s");
	settle();
	ck_assert_uint_eq(server_clients(server), 1);
	for (int i = 1; i < 3; i++) {
		fd[i] = listener_connect("s");
		ck_assert_int_ge(fd[i], 0);
	}
	spare = dup(fd[0]);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = spare + 1;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	settle();
	ck_assert_msg(server_clients(server) == 1, "%u", server_clients(server));
	say(fd[1], "a\n");
	say(fd[2], "b\n");
	close(spare); /* by anybody: a timer finds out */
	while (server_clients(server) < 2)
		ck_assert_int_ge(loop_step(loop, false), 0);
	hears(fd[1], "<a:1>\n", false);
	close(fd[0]); /* its end here is of use to us alone, its other end is what lets the next one in */
	ck_assert_int_ge(dup(STDIN_FILENO), 0);
	while (server_clients(server) != 2 || answers < 2)
		ck_assert_int_ge(loop_step(loop, false), 0);
	hears(fd[2], "<b:1>\n", false);
	own_file_remove(&file);
	rmdir(path);
	finish();
}
END_TEST

int main(void)
{
	const TTest *both[] = {lines, half_closed, long_line, many, turns, slow, stalled, gone, idle, no_descriptors};

	return run_both("control server", both, COUNT(both), NULL, 0);
}
