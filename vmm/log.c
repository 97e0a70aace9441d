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
	for (int i = 0; i < len; i++)
		if (iscntrl((unsigned char)line[i]))
			line[i] = '?'; /* a name from outside must not forge a second line */
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
