// SPDX-License-Identifier: Apache-2.0
/* Listening UNIX sockets; see listener.h. */
#include "vmm/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOCK_TRIES    200
#define LOCK_PAUSE_NS 10000000 /* 2 s in all */

int own_file_note(struct own_file *file)
{
	struct stat st;

	if (lstat(file->path, &st))
		return -errno;
	file->dev = st.st_dev;
	file->ino = st.st_ino;
	return 0;
}

int own_file_remove(struct own_file *file)
{
	struct stat st;
	int err = 0;

	if (file->ino && (lstat(file->path, &st) || (st.st_dev == file->dev && st.st_ino == file->ino && unlink(file->path))))
		err = -errno;
	file->ino = 0;
	return err == -ENOENT ? 0 : err;
}

int listener_lock(int dir)
{
	const struct timespec pause = {.tv_nsec = LOCK_PAUSE_NS};

	for (unsigned i = 0; flock(dir, LOCK_EX | LOCK_NB); i++) {
		if (errno != EWOULDBLOCK || i == LOCK_TRIES)
			return -errno;
		nanosleep(&pause, NULL);
	}
	return 0;
}

static bool is_same(int a, int b)
{
	struct stat one, two;

	return !fstat(a, &one) && !fstat(b, &two) && one.st_dev == two.st_dev && one.st_ino == two.st_ino;
}

/* Lock the directory of `path`. *dir: its descriptor, -1: `held` is that lock, or there is none. 0 or -errno. */
static int lock_directory(const char *path, int held, int *dir)
{
	char name[sizeof(((struct sockaddr_un *)0)->sun_path)];
	const char *slash = strrchr(path, '/');
	bool have;
	int err;

	*dir = -1;
	if (held == LISTENER_LOCKED)
		return 0;
	snprintf(name, sizeof(name), "%.*s", slash ? (int)(slash + 1 - path) : 1, slash ? path : ".");
	*dir = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*dir < 0)
		return -errno;
	have = held >= 0 && is_same(*dir, held);
	err = have ? 0 : listener_lock(*dir);
	if (have || err) {
		close(*dir);
		*dir = -1;
	}
	return err;
}

static int address(struct sockaddr_un *sun, const char *path)
{
	*sun = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(sun->sun_path))
		return -ENAMETOOLONG;
	memcpy(sun->sun_path, path, strlen(path) + 1);
	return 0;
}

int listener_connect(const char *path)
{
	struct sockaddr_un sun;
	int fd, err = address(&sun, path);

	if (err)
		return err;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (!connect(fd, (const struct sockaddr *)&sun, sizeof(sun)))
		return fd;
	err = -errno;
	close(fd);
	return err;
}

int listener_reclaim(const char *path, bool links)
{
	struct stat st;
	int fd;

	if (lstat(path, &st))
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode) && !(links && S_ISLNK(st.st_mode)))
		return -EEXIST;
	fd = listener_connect(path);
	if (fd >= 0)
		close(fd);
	if (fd >= 0 || fd == -EAGAIN)
		return -EADDRINUSE;
	if (fd != -ECONNREFUSED && fd != -ENOENT)
		return fd;
	return unlink(path) && errno != ENOENT ? -errno : 0;
}

/* can_lock: the directory is locked, so that who is found dead there is, and nobody takes the path meanwhile. */
static int bind_at(int fd, const struct sockaddr_un *sun, bool can_lock)
{
	struct stat st;
	int err;

	fchmod(fd, 0600); /* becomes the mode of the file that bind() makes */
	if (!bind(fd, (const struct sockaddr *)sun, sizeof(*sun)))
		return 0;
	if (errno != EADDRINUSE)
		return -errno;
	if (!can_lock && !lstat(sun->sun_path, &st) && S_ISSOCK(st.st_mode)) {
		int there = listener_connect(sun->sun_path);

		if (there >= 0)
			close(there);
		return there == -ECONNREFUSED ? -EACCES : -EADDRINUSE;
	}
	err = listener_reclaim(sun->sun_path, false);
	if (!err && bind(fd, (const struct sockaddr *)sun, sizeof(*sun)))
		err = -errno;
	return err;
}

static int listen_at(struct own_file *file, const struct sockaddr_un *sun, int backlog, bool can_lock)
{
	int err, fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	err = bind_at(fd, sun, can_lock);
	if (err)
		goto out_close;
	memcpy(file->path, sun->sun_path, sizeof(file->path));
	err = own_file_note(file);
	if (!err && listen(fd, backlog))
		err = -errno;
	if (!err)
		return fd;
	own_file_remove(file);
out_close:
	close(fd);
	return err;
}

/* From bind() to listen() a socket looks like one whose process is gone: who may lock the directory does, all that time. */
int listener_open(struct own_file *file, const char *path, int backlog, int held)
{
	struct sockaddr_un sun;
	int dir, fd, err = address(&sun, path);

	file->ino = 0;
	if (err)
		return err;
	err = lock_directory(path, held, &dir);
	if (err == -EWOULDBLOCK)
		return -EDEADLK;
	fd = listen_at(file, &sun, backlog, !err);
	if (dir >= 0)
		close(dir);
	return fd;
}
