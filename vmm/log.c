// SPDX-License-Identifier: Apache-2.0
/* Messages; see log.h. The level and the descriptor are set by main before other threads exist. */
#include "vmm/log.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PREFIX_LEN 14 /* "pinvm: error: " */

static enum log_level max_level = LOG_NOTICE;
static int log_fd = STDERR_FILENO;
static char first_error[512]; /* main's, while a guest is being built */
static _Thread_local struct log_catch *caught;

void log_set_level(enum log_level level)
{
	max_level = level;
}

bool log_enabled(enum log_level level)
{
	return level <= max_level;
}

int log_open(const char *path)
{
	/* O_NONBLOCK: a FIFO is refused when nobody reads it, and loses lines rather than stop a vCPU. */
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK | O_CLOEXEC, 0600);

	if (fd < 0)
		return log_errno(-errno, "--log %s", path);
	log_close();
	log_fd = fd;
	return 0;
}

void log_close(void)
{
	if (log_fd != STDERR_FILENO)
		close(log_fd);
	log_fd = STDERR_FILENO;
}

int log_output(void)
{
	return log_fd;
}

const char *log_first_error(void)
{
	return first_error;
}

void log_catch(struct log_catch *into)
{
	caught = into;
	if (into)
		into->error[0] = into->warnings[0] = '\0';
}

static void keep(enum log_level level, const char *text, int len)
{
	size_t have = strlen(caught->warnings);

	if (level == LOG_WARN)
		snprintf(caught->warnings + have, sizeof(caught->warnings) - have, "%s%.*s", have ? "\n" : "", len, text);
	else if (!caught->error[0])
		snprintf(caught->error, sizeof(caught->error), "%.*s", len, text);
}

/* A name from outside must not forge a second line, nor talk to the terminal: U+0080 to U+009F, in UTF-8, do that too. */
static int harmless(char *line, int len)
{
	int n = 0;

	for (int i = 0; i < len; i++) {
		unsigned char c = line[i];
		bool two = c == 0xc2 && i + 1 < len && (line[i + 1] & 0xe0) == 0x80;

		line[n++] = two || iscntrl(c) ? '?' : line[i];
		i += two;
	}
	return n;
}

/* One line, one write: a line of another thread can not end up inside it. */
static void emit(enum log_level level, const char *fmt, va_list ap, int err)
{
	static const char *const prefix[] = {"error: ", "warning: ", "", "", "debug: "};
	char line[1024];
	int len, room = sizeof(line) - 2;

	if (!log_enabled(level))
		return;
	len = snprintf(line, room, "pinvm: %s", prefix[level]);
	len += vsnprintf(line + len, room - len, fmt, ap);
	if (err && len < room)
		len += snprintf(line + len, room - len, ": %s", strerror(-err));
	if (len > room)
		len = room;
	len = harmless(line, len);
	if (caught && level <= LOG_WARN) {
		int prefix_len = strlen("pinvm: ") + strlen(prefix[level]);

		keep(level, line + prefix_len, len - prefix_len);
		return;
	}
	if (level == LOG_ERROR && !first_error[0])
		snprintf(first_error, sizeof(first_error), "%.*s", len - PREFIX_LEN, line + PREFIX_LEN);
	line[len++] = '\n';
	if (write(log_fd, line, len) < 0)
		return; /* nobody left to tell */
}

void log_line(enum log_level level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	emit(level, fmt, ap, 0);
	va_end(ap);
}

int log_errno(int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	emit(LOG_ERROR, fmt, ap, err);
	va_end(ap);
	return err;
}
