// SPDX-License-Identifier: Apache-2.0
/* Raw mode with job control; see tty.h. Main, and signal handlers on whatever thread. */
#include "vmm/console/tty.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "vmm/util.h"

static const int handled[] = {SIGTSTP, SIGCONT, SIGQUIT, SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE};
#define NHANDLED COUNT(handled)

/* Written while no handler is installed, apart from `raw`. */
static struct {
	atomic_bool taken, raw;
	int fd;
	struct termios cooked, wanted;
	bool installed[NHANDLED];
} tty;

/* A terminal that is not our controlling one knows no foreground and stops nobody. */
static bool in_foreground(void)
{
	pid_t pgrp = tcgetpgrp(tty.fd);

	return pgrp < 0 || pgrp == getpgrp();
}

/* In the background the terminal is another job's, and tcsetattr() would stop us. */
static void set_raw(bool raw)
{
	if (in_foreground() && !tcsetattr(tty.fd, TCSANOW, raw ? &tty.wanted : &tty.cooked))
		atomic_store(&tty.raw, raw);
}

static void on_tstp(int sig)
{
	int err = errno;

	set_raw(false);
	atomic_store(&tty.raw, false); /* whoever has the terminal next may change it */
	raise(SIGSTOP);
	set_raw(true);
	errno = err;
}

/* After SIGSTOP, which nobody can catch, the shell has set its own mode. */
static void on_cont(int sig)
{
	int err = errno;

	set_raw(true);
	errno = err;
}

static void on_fatal(int sig)
{
	set_raw(false);
	raise(sig); /* SA_RESETHAND: this time it is the default action */
}

static void install(unsigned i)
{
	struct sigaction sa = {.sa_flags = SA_RESTART}, old;

	if (handled[i] == SIGTSTP) {
		sa.sa_handler = on_tstp;
	} else if (handled[i] == SIGCONT) {
		sa.sa_handler = on_cont;
	} else {
		sa.sa_handler = on_fatal;
		sa.sa_flags = SA_RESETHAND | SA_NODEFER;
	}
	if (sigaction(handled[i], NULL, &old) || (old.sa_flags & SA_SIGINFO) || old.sa_handler != SIG_DFL)
		return;
	tty.installed[i] = !sigaction(handled[i], &sa, NULL);
}

int tty_take(int fd)
{
	if (atomic_load(&tty.taken))
		return -EBUSY;
	if (tcgetattr(fd, &tty.cooked))
		return -errno;
	tty.fd = fd;
	tty.wanted = tty.cooked;
	/* Output processing stays as it is: lines of our own log on the same terminal need their carriage
	 * returns. */
	tty.wanted.c_iflag &= ~(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
	tty.wanted.c_lflag &= ~(ECHO | ECHONL | ICANON | ISIG | IEXTEN);
	tty.wanted.c_cc[VMIN] = 1;
	tty.wanted.c_cc[VTIME] = 0;
	atomic_store(&tty.taken, true);
	for (unsigned i = 0; i < NHANDLED; i++)
		install(i);
	set_raw(true);
	return 0;
}

bool tty_ready(void)
{
	if (!in_foreground())
		return false;
	if (!atomic_load(&tty.raw))
		set_raw(true);
	return true;
}

void tty_release(void)
{
	const struct sigaction dfl = {.sa_handler = SIG_DFL};

	if (!atomic_load(&tty.taken))
		return;
	set_raw(false);
	for (unsigned i = 0; i < NHANDLED; i++) {
		if (tty.installed[i])
			sigaction(handled[i], &dfl, NULL);
		tty.installed[i] = false;
	}
	/* A stop and continue between the two steps above would have set it raw again. */
	if (atomic_load(&tty.raw))
		set_raw(false);
	atomic_store(&tty.taken, false);
}
