// SPDX-License-Identifier: Apache-2.0
/* Opening the host ends of a serial port, and moving bytes without waiting; see console/port.h. */
#include "vmm/console/port.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "vmm/log.h"
#include "vmm/console/tty.h"

#define PTY_LOOK_MS	5
#define PTY_EMPTY_LOOKS 3   /* this often empty: its reader has it all */
#define PTY_STILL_LOOKS 100 /* this often the same: nobody reads */

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/*
 * A descriptor for what fd is open on that may be used without waiting. O_NONBLOCK belongs to the open file
 * description, which a shell and its other children share, so it is set on a new description where /proc
 * gives one. A regular file has its offset there and never waits: it is only duplicated.
 */
static int own_fd(int fd, int mode, enum port_how *how)
{
	char path[32];
	struct stat st;
	int own;

	*how = PORT_DIRECT;
	if (fstat(fd, &st))
		return -errno;
	if (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		own = open(path, mode | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		if (own >= 0)
			return own;
		*how = PORT_POLLED;
	} else if (S_ISSOCK(st.st_mode)) {
		*how = PORT_SOCKET;
	}
	own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	return own < 0 ? -errno : own;
}

static int open_stdio(struct console_port *p)
{
	int ret;

	/* A standard descriptor that is closed is an end without input, or without a reader. */
	ret = own_fd(STDIN_FILENO, O_RDONLY, &p->in_how);
	p->in = ret < 0 ? -1 : ret;
	ret = own_fd(STDOUT_FILENO, O_WRONLY, &p->out_how);
	p->out = ret < 0 ? -1 : ret;
	p->out_shy = p->out >= 0 && isatty(p->out);
	if (p->in < 0 || !isatty(p->in))
		return 0;
	ret = tty_take(p->in);
	if (ret)
		return log_errno(ret, "--serial stdio: standard input cannot be set to raw mode");
	p->tty = true;
	return 0;
}

/* Say in our own words why the end at `path` will not do. */
static int refuse(int err, const char *kind, const char *path, const char *why)
{
	log_err("--serial %s=%s: %s", kind, path ? path : "", why);
	return err;
}

static int open_file(struct console_port *p, const char *path)
{
	if (!path || !*path)
		return refuse(-EINVAL, "file", path, "give the path of the file to write");
	/* O_NONBLOCK: a FIFO without a reader is an error here, not a wait, and a slow reader never blocks
	 * us. */
	p->out = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
	if (p->out >= 0)
		return 0;
	if (errno == EISDIR)
		return refuse(-EISDIR, "file", path, "is a directory; give the path of a file");
	if (errno == ENXIO)
		return refuse(-ENXIO, "file", path, "nobody reads this FIFO; start its reader first");
	return log_errno(-errno, "--serial file=%s", path);
}

static int open_pty(struct console_port *p)
{
	struct termios tio;
	char name[64];

	p->in = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (p->in < 0 || grantpt(p->in) || unlockpt(p->in) || ptsname_r(p->in, name, sizeof(name)))
		return log_errno(-errno, "--serial pty: no pseudo terminal to be had");
	p->slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	p->out = fcntl(p->in, F_DUPFD_CLOEXEC, 0);
	if (p->slave < 0 || p->out < 0 || tcgetattr(p->slave, &tio))
		return log_errno(-errno, "--serial pty: %s", name);
	cfmakeraw(&tio); /* no echo: it would come back as the guest's input */
	if (tcsetattr(p->slave, TCSANOW, &tio))
		return log_errno(-errno, "--serial pty: %s", name);
	printf("serial: %s\n", name);
	fflush(stdout);
	clearerr(stdout); /* where nobody is told, the guest runs all the same */
	return 0;
}

static int open_socket(struct console_port *p, const char *path)
{
	int ret;

	if (!path || !*path)
		return refuse(-EINVAL, "socket", path, "give the path of the socket to make");
	p->in_how = p->out_how = PORT_SOCKET;
	ret = p->listener = listener_open(&p->socket, path, 4, -1);
	if (ret == -ENAMETOOLONG)
		return refuse(ret, "socket", path, "a socket's path has at most 107 bytes");
	if (ret == -EADDRINUSE)
		return refuse(ret, "socket", path, "another process listens there; choose another path");
	if (ret == -EEXIST)
		return refuse(ret, "socket", path, "exists and is not a socket; choose another path");
	if (ret == -EDEADLK)
		return refuse(ret, "socket", path, "another process holds a lock on its directory");
	return ret < 0 ? log_errno(ret, "--serial socket=%s", path) : 0;
}

int port_open(struct console_port *p, const struct guest_config *cfg)
{
	int ret = 0;

	*p = (struct console_port){.kind = cfg->serial, .in = -1, .out = -1, .listener = -1, .slave = -1};
	switch (cfg->serial) {
	case SERIAL_OFF:
		break;
	case SERIAL_STDIO:
		ret = open_stdio(p);
		break;
	case SERIAL_FILE:
		ret = open_file(p, cfg->serial_path);
		break;
	case SERIAL_PTY:
		ret = open_pty(p);
		break;
	case SERIAL_SOCKET:
		ret = open_socket(p, cfg->serial_path);
		break;
	}
	if (ret)
		port_close(p);
	return ret;
}

/*
 * A hang-up of the master throws away what the terminal's reader has not read yet: wait while it reads on. Bytes may be
 * on their way inside the kernel for a moment in which the count is 0, so it must stay 0 for some looks.
 */
static void drain_pty(struct console_port *p)
{
	const struct timespec look = {.tv_nsec = PTY_LOOK_MS * 1000000L};
	int left, before = 0, still = 0, empty = 0;

	while (empty < PTY_EMPTY_LOOKS && still < PTY_STILL_LOOKS && !ioctl(p->slave, FIONREAD, &left)) {
		empty = left ? 0 : empty + 1;
		still = left && left == before ? still + 1 : 0;
		before = left;
		nanosleep(&look, NULL);
	}
}

void port_close(struct console_port *p)
{
	if (p->slave >= 0)
		drain_pty(p);
	if (p->tty)
		tty_release();
	p->tty = false;
	if (own_file_remove(&p->socket))
		log_warn("--serial socket=%s: can not be removed; do that", p->socket.path);
	close_fd(&p->in);
	close_fd(&p->out);
	close_fd(&p->listener);
	close_fd(&p->slave);
}

static bool poll_now(int fd, short events)
{
	struct pollfd pfd = {.fd = fd, .events = events};

	return poll(&pfd, 1, 0) > 0;
}

ssize_t port_read(struct console_port *p, void *buf, size_t len)
{
	ssize_t n;

	if ((p->tty && !tty_ready()) || (p->in_how == PORT_POLLED && !poll_now(p->in, POLLIN)))
		return -EAGAIN;
	do
		n = p->in_how == PORT_SOCKET ? recv(p->in, buf, len, MSG_DONTWAIT) : read(p->in, buf, len);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

ssize_t port_write(struct console_port *p, const void *buf, size_t len)
{
	ssize_t n;

	if (p->out_how == PORT_POLLED) {
		/* A pipe that is ready has room for a page, a terminal for a character. */
		size_t sure = p->out_shy ? 1 : 4096;

		if (!poll_now(p->out, POLLOUT))
			return -EAGAIN;
		len = len < sure ? len : sure;
	}
	do
		n = p->out_how == PORT_SOCKET ? send(p->out, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL)
					      : write(p->out, buf, len);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

bool port_hung_up(const struct console_port *p)
{
	struct pollfd pfd = {.fd = p->out};

	return poll(&pfd, 1, 0) > 0 && (pfd.revents & (POLLHUP | POLLERR));
}

void port_drop_client(struct console_port *p)
{
	close_fd(&p->in);
	close_fd(&p->out);
}

bool port_accept(struct console_port *p)
{
	static const char busy[] = "pinvm: another client has this serial port\r\n";
	bool taken = false;
	int fd;

	while ((fd = accept4(p->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		if (p->out >= 0) {
			send(fd, busy, sizeof(busy) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
			close(fd);
			continue;
		}
		p->in = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		p->out = fd;
		if (p->in < 0)
			port_drop_client(p);
		else
			taken = true;
	}
	return taken;
}
