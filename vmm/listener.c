// SPDX-License-Identifier: Apache-2.0
/* Listening UNIX sockets; see listener.h. */
#include "vmm/listener.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

int own_file_note(struct own_file *file)
{
	struct stat st;

	if (lstat(file->path, &st))
		return -errno;
	file->dev = st.st_dev;
	file->ino = st.st_ino;
	return 0;
}

void own_file_remove(struct own_file *file)
{
	struct stat st;

	if (file->ino && !lstat(file->path, &st) && st.st_dev == file->dev && st.st_ino == file->ino)
		unlink(file->path);
	file->ino = 0;
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

static int bind_at(int fd, const struct sockaddr_un *sun)
{
	int err;

	fchmod(fd, 0600); /* becomes the mode of the file that bind() makes */
	if (!bind(fd, (const struct sockaddr *)sun, sizeof(*sun)))
		return 0;
	if (errno != EADDRINUSE)
		return -errno;
	err = listener_reclaim(sun->sun_path, false);
	if (!err && bind(fd, (const struct sockaddr *)sun, sizeof(*sun)))
		err = -errno;
	return err;
}

int listener_open(struct own_file *file, const char *path, int backlog)
{
	struct sockaddr_un sun;
	int fd, err = address(&sun, path);

	file->ino = 0;
	if (err)
		return err;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	err = bind_at(fd, &sun);
	if (err)
		goto out_close;
	memcpy(file->path, sun.sun_path, sizeof(file->path));
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
