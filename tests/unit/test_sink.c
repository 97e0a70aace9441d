// SPDX-License-Identifier: Apache-2.0
/* Where a time series goes: a file that stays within its bound, whole lines on a full disk, pipes with slow readers. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/said.h"
#include "tests/unit/unit.h"
#include "vmm/series/sink.h"

#define HALF 1000
#define LINE 100 /* bytes, its end included */

static struct sink sink;

static void enter(void)
{
	char dir[] = "/tmp/pinvm-sink-XXXXXX";

	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_int_eq(chdir(dir), 0);
}

static void leave(void)
{
	sink_close(&sink);
	ck_assert_int_eq(system("rm -r \"$PWD\""), 0);
}

static void begin(void)
{
	enter();
	ck_assert_int_eq(sink_open(&sink, "s", 2 * HALF), 0);
	ck_assert_int_eq(sink_begin(&sink), 0);
}

/* Line n of a series: its number, filled up. */
static const char *text(unsigned n, unsigned len)
{
	static char line[16384];

	memset(line, '.', len);
	line[snprintf(line, len, "%06u", n)] = ' ';
	line[len - 1] = '\n';
	return line;
}

static void put(unsigned from, unsigned to)
{
	for (unsigned n = from; n < to; n++)
		sink_line(&sink, text(n, LINE), LINE);
}

static size_t contents(const char *path, char *out, size_t size)
{
	int fd = open(path, O_RDONLY);
	ssize_t n = read(fd, out, size);

	ck_assert_int_ge(n, 0);
	close(fd);
	return n;
}

/* The file has these lines and nothing else. */
static void has(const char *path, unsigned from, unsigned to)
{
	static char got[65536];
	size_t len = contents(path, got, sizeof(got));

	ck_assert_uint_eq(len, (to - from) * LINE);
	for (unsigned n = from; n < to; n++)
		ck_assert_mem_eq(got + (n - from) * LINE, text(n, LINE), LINE);
}

START_TEST(newest_lines_under_the_first_name)
{
	begin();
	put(0, 10);
	has("s", 0, 10);
	has("s.1", 0, 0);
	put(10, 11);
	has("s", 10, 11);
	has("s.1", 0, 10);
	put(11, 99);
	has("s", 90, 99);
	has("s.1", 80, 90);
	ck_assert_uint_eq(sink.lost, 0);
	leave();
}
END_TEST

/* Somebody moved a file away: nothing that is not ours is renamed, and what is ours stays within its bound. */
START_TEST(names_that_are_not_ours)
{
	begin();
	put(0, 3);
	ck_assert_int_eq(rename("s", "taken"), 0);
	ck_assert_int_eq(system("echo mine >s"), 0);
	put(3, 14);
	has("taken", 0, 10);
	has("s.1", 10, 14);
	put(14, 31);
	has("taken", 20, 30);
	has("s.1", 30, 31);
	ck_assert_int_eq(system("grep -q mine s"), 0);
	ck_assert_uint_eq(sink.lost, 0);
	leave();
}
END_TEST

START_TEST(what_was_there_goes_at_the_beginning)
{
	enter();
	ck_assert_int_eq(system("echo old >s; echo older >s.1"), 0);
	ck_assert_int_eq(sink_open(&sink, "s", 2 * HALF), 0);
	ck_assert_int_eq(system("grep -q old s && grep -q older s.1"), 0);
	ck_assert_int_eq(sink_begin(&sink), 0);
	has("s", 0, 0);
	has("s.1", 0, 0);
	leave();
}
END_TEST

START_TEST(a_line_that_is_too_long)
{
	begin();
	put(0, 4);
	sink_line(&sink, text(4, HALF + 1), HALF + 1);
	put(4, 6);
	has("s", 0, 6);
	ck_assert_uint_eq(sink.lost, 1);
	leave();
}
END_TEST

/* A limit of file sizes is as good as a full disk: a write is cut short there, and then fails. */
START_TEST(a_full_disk)
{
	struct rlimit limit = {4 * LINE + 30, RLIM_INFINITY};

	signal(SIGXFSZ, SIG_IGN);
	begin();
	setrlimit(RLIMIT_FSIZE, &limit);
	put(0, 7);
	limit.rlim_cur = RLIM_INFINITY;
	setrlimit(RLIMIT_FSIZE, &limit);
	has("s", 0, 4);
	ck_assert_uint_eq(sink.lost, 3);
	ck_assert_str_eq(said, "--stats s: No space left on device; lines are left out");
	ck_assert_uint_eq(lines, 1);
	put(4, 5);
	has("s", 0, 5);
	leave();
}
END_TEST

/* The reader of a pipe gets whole lines, and never holds up who writes. */
START_TEST(a_slow_reader)
{
	enum { LONG = 10000 };
	static char got[65536];
	int reader;
	ssize_t len;

	enter();
	ck_assert_int_eq(mkfifo("p", 0600), 0);
	ck_assert_int_eq(sink_open(&sink, "p", 2 * HALF), -ENXIO);
	reader = open("p", O_RDONLY | O_NONBLOCK);
	ck_assert_int_eq(sink_open(&sink, "p", 2 * HALF), 0);
	ck_assert_int_eq(fcntl(reader, F_SETPIPE_SZ, 16384), 16384);
	ck_assert_int_eq(sink_begin(&sink), 0);
	for (unsigned i = 0; i < 4; i++)
		sink_line(&sink, text(i, LONG), LONG);
	ck_assert_ptr_nonnull(sink.rest);
	ck_assert_uint_eq(sink.lost, 2);
	ck_assert_str_eq(said, "--stats p: its reader is slow; lines are left out");
	len = read(reader, got, sizeof(got));
	ck_assert_int_gt(len, LONG);
	ck_assert_int_lt(len, 2 * LONG);
	sink_line(&sink, text(4, LINE), LINE);
	ck_assert_int_eq(read(reader, got + len, sizeof(got) - len), 2 * LONG - len + LINE);
	ck_assert_mem_eq(got, text(0, LONG), LONG);
	ck_assert_mem_eq(got + LONG, text(1, LONG), LONG);
	ck_assert_mem_eq(got + 2 * LONG, text(4, LINE), LINE);
	ck_assert_uint_eq(sink.lost, 2);
	close(reader);
	leave();
}
END_TEST

START_TEST(a_reader_that_leaves)
{
	char got[4 * LINE];
	int reader;

	signal(SIGPIPE, SIG_IGN);
	enter();
	ck_assert_int_eq(mkfifo("p", 0600), 0);
	reader = open("p", O_RDONLY | O_NONBLOCK);
	ck_assert_int_eq(sink_open(&sink, "p", 2 * HALF), 0);
	put(0, 1);
	close(reader);
	put(1, 2);
	ck_assert_int_eq(sink_line(&sink, text(2, LINE), LINE), 0);
	ck_assert_uint_eq(sink.lost, 2);
	reader = open("p", O_RDONLY | O_NONBLOCK);
	put(3, 4);
	ck_assert_int_eq(read(reader, got, sizeof(got)), 2 * LINE);
	ck_assert_mem_eq(got, text(0, LINE), LINE);
	ck_assert_mem_eq(got + LINE, text(3, LINE), LINE);
	close(reader);
	leave();
}
END_TEST

START_TEST(what_is_refused)
{
	struct sink other;

	enter();
	ck_assert_int_eq(sink_open(&sink, ".", 2 * HALF), -EISDIR);
	ck_assert_int_eq(sink_open(&sink, "none/s", 2 * HALF), -ENOENT);
	ck_assert_int_eq(mkdir("t.1", 0700), 0);
	ck_assert_int_eq(sink_open(&sink, "t", 2 * HALF), -EISDIR);
	ck_assert_int_eq(mkfifo("u.1", 0600), 0);
	ck_assert_int_lt(sink_open(&sink, "u", 2 * HALF), 0);
	ck_assert_int_eq(sink_open(&sink, "s", 2 * HALF), 0);
	ck_assert_int_eq(sink_open(&other, "s", 2 * HALF), -EBUSY);
	ck_assert_str_eq(said, "--stats s: another guest writes it");
	leave();
}
END_TEST

/* Neither bounded nor beside another file. */
START_TEST(a_character_device)
{
	enter();
	ck_assert_int_eq(sink_open(&sink, "/dev/full", 2 * HALF), 0);
	ck_assert_int_eq(sink_begin(&sink), 0);
	put(0, 50);
	ck_assert_uint_eq(sink.lost, 50);
	ck_assert_uint_eq(lines, 1);
	ck_assert_int_eq(sink_line(&sink, text(50, LINE), LINE), -ENOSPC);
	sink_close(&sink);
	ck_assert_int_eq(sink_open(&sink, "/dev/null", 2 * HALF), 0);
	put(0, 50);
	ck_assert_int_eq(sink_line(&sink, text(50, LINE), LINE), 0);
	ck_assert_uint_eq(sink.lost, 0);
	ck_assert_int_ne(access("/dev/null.1", F_OK), 0);
	leave();
}
END_TEST

UNIT_MAIN("sink", newest_lines_under_the_first_name, names_that_are_not_ours, what_was_there_goes_at_the_beginning,
	a_line_that_is_too_long, a_full_disk, a_slow_reader, a_reader_that_leaves, what_is_refused, a_character_device)
