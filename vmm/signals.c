// SPDX-License-Identifier: Apache-2.0
/* The signals that ask a guest to end; see signals.h. The handler runs in main, between any two instructions. */
#include "vmm/signals.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vmm/log.h"
#include "vmm/util.h"

static const int asking[] = {SIGTERM, SIGINT, SIGHUP};
#define NASKING COUNT(asking)

static volatile sig_atomic_t asked_fd = -1, asked;

static void on_signal(int sig)
{
	uint64_t one = 1;
	int err = errno;

	asked = sig;
	if (asked_fd >= 0 && write(asked_fd, &one, sizeof(one)) < 0)
		asked = sig; /* the counter is full, and so readable as well */
	errno = err;
}

/* Ignored ones too: a shell ignores SIGINT for what it starts in the background, and who sends it wants an end. */
static int take_over(void)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	sigset_t set;

	sigemptyset(&set);
	for (unsigned i = 0; i < NASKING; i++)
		sigaddset(&set, asking[i]);
	action.sa_mask = set;
	for (unsigned i = 0; i < NASKING; i++)
		if (sigaction(asking[i], &action, NULL) < 0)
			return -errno;
	return -pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

int signals_open(int *fd)
{
	int err;

	*fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (*fd < 0)
		return log_errno(-errno, "eventfd");
	asked = 0;
	asked_fd = *fd;
	err = take_over();
	if (!err)
		return 0;
	signals_close(fd);
	return log_errno(err, "signals");
}

int signals_take(int fd)
{
	uint64_t count;

	return read(fd, &count, sizeof(count)) == sizeof(count) ? asked : 0;
}

void signals_close(int *fd)
{
	int old = *fd;

	*fd = -1;
	asked_fd = -1;
	if (old >= 0)
		close(old);
}
