// SPDX-License-Identifier: Apache-2.0
/* The terminal of --watch; see terminal.h. One thread. */
#include "vmm/stat/terminal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "vmm/log.h"
#include "vmm/printed.h"
#include "vmm/util.h"

/* ECMA-48 and xterm's alternate screen. */
#define ENTER	  "\033[?1049h\033[?25l" /* other screen, no cursor */
#define LEAVE	  "\033[?25h\033[?1049l"
#define HOME	  "\033[H"
#define REST_LINE "\033[K"
#define REST	  "\033[J"

static unsigned size(bool rows)
{
	struct winsize ws;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) < 0)
		return 0;
	return rows ? ws.ws_row : ws.ws_col;
}

unsigned terminal_columns(void)
{
	unsigned columns = size(false);
	const char *text = getenv("COLUMNS");

	if (columns)
		return columns;
	columns = text ? strtoul(text, NULL, 10) : 0;
	return columns < 10000 ? columns : 0;
}

static void wake_by(struct terminal *t, int fd)
{
	struct epoll_event ev = {.events = EPOLLIN};

	epoll_ctl(t->wake_fd, EPOLL_CTL_ADD, fd, &ev);
}

int terminal_begin(struct terminal *t)
{
	static const int taken[] = {SIGINT, SIGTERM, SIGHUP, SIGTSTP, SIGWINCH};
	sigset_t set;

	*t = (struct terminal){.is_one = isatty(STDOUT_FILENO), .signal_fd = -1, .gone_fd = -1};
	t->wake_fd = epoll_create1(EPOLL_CLOEXEC);
	if (t->wake_fd < 0)
		return log_errno(-errno, "epoll");
	sigemptyset(&set);
	for (unsigned i = 0; i < COUNT(taken); i++)
		sigaddset(&set, taken[i]);
	t->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (t->signal_fd < 0)
		return log_errno(-errno, "signalfd");
	sigprocmask(SIG_BLOCK, &set, NULL);
	wake_by(t, t->signal_fd);
	return 0;
}

void terminal_follow(struct terminal *t, pid_t pid)
{
	if (t->gone_fd >= 0 || pid <= 0)
		return;
	t->gone_fd = pidfd_open(pid, 0);
	if (t->gone_fd >= 0)
		wake_by(t, t->gone_fd);
}

static void give_back(struct terminal *t)
{
	if (!t->drawn)
		return;
	fputs(LEAVE, stdout);
	printed_flush();
	t->drawn = false;
}

void terminal_end(struct terminal *t)
{
	give_back(t);
	if (t->signal_fd >= 0)
		close(t->signal_fd);
	if (t->gone_fd >= 0)
		close(t->gone_fd);
	if (t->wake_fd >= 0)
		close(t->wake_fd);
	t->signal_fd = t->gone_fd = t->wake_fd = -1;
}

/* The next line, without its end; NULL: there is none. */
static const char *next_line(const char **text, int *len)
{
	const char *line = *text;

	if (!*line)
		return NULL;
	*len = strcspn(line, "\n");
	*text += *len + (line[*len] == '\n');
	return line;
}

static unsigned count_lines(const char *text)
{
	unsigned n = 0;
	int len = 0;

	while (next_line(&text, &len))
		n++;
	return n;
}

static void draw(struct terminal *t, const char *text)
{
	unsigned rows = size(true), lines = count_lines(text);
	unsigned shown = lines < rows || !rows ? lines : rows - 1; /* the last row tells of the rest */
	int len = 0;

	if (!t->drawn)
		fputs(ENTER, stdout);
	t->drawn = true;
	fputs(HOME, stdout);
	/* Erased before it is written: behind a full line that would take its last character. */
	for (unsigned i = 0; i < shown; i++) {
		const char *line = next_line(&text, &len);

		printf("%s" REST_LINE "%.*s", i ? "\n" : "", len, line);
	}
	if (shown < lines)
		printf("\n" REST_LINE "%.*s", (int)size(false),
			"... and more; the window is not tall enough");
	else if (shown < rows)
		fputs("\n" REST, stdout);
}

void terminal_show(struct terminal *t, const char *text)
{
	if (t->is_one)
		draw(t, text);
	else
		printf("%s\n", text);
	printed_flush();
}

/* Ctrl-Z: the shell gets its screen, and on it goes from there. */
static void stop(struct terminal *t)
{
	give_back(t);
	raise(SIGSTOP);
}

enum terminal_event terminal_poll(struct terminal *t)
{
	enum terminal_event event = TERMINAL_TIME;
	struct signalfd_siginfo info;

	while (event != TERMINAL_END && read(t->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGTSTP)
			stop(t);
		event = info.ssi_signo == SIGTSTP || info.ssi_signo == SIGWINCH ? TERMINAL_RESIZED
										: TERMINAL_END;
	}
	return event;
}

enum terminal_event terminal_wait(struct terminal *t, uint64_t until_ns)
{
	struct pollfd pfd[] = {{.fd = t->signal_fd, .events = POLLIN}, {.fd = STDOUT_FILENO},
		{.fd = t->gone_fd, .events = POLLIN}};
	enum terminal_event event;
	struct timespec left = {0};
	uint64_t now = now_ns();

	if (now < until_ns)
		left = timespec_of(until_ns - now);
	ppoll(pfd, COUNT(pfd), &left, NULL);
	if (pfd[1].revents & (POLLERR | POLLHUP))
		return TERMINAL_END; /* nobody reads any more */
	event = terminal_poll(t);
	return event == TERMINAL_TIME && pfd[2].revents ? TERMINAL_GONE : event;
}
