// SPDX-License-Identifier: Apache-2.0
/* The names of guests as files; see names.h. */
#include "vmm/control/names.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/log.h"
#include "vmm/util.h"

#define BACKLOG	     16
#define SWEEP_MAX    256 /* names that are asked at a time */
#define DEFAULT_NAME "pinvm-" /* and the process's number */

/* A directory that only this user writes to: whoever else could would have the guests' names. */
static int own_directory(const char *path, bool make)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 && errno == ENOENT && make) {
		if (mkdir(path, 0700) && errno != EEXIST)
			return -errno;
		fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	}
	if (fd < 0)
		return -errno;
	/* Who may read it could hold the lock; systemd makes such ones. */
	if (!fstat(fd, &st) && st.st_uid == geteuid() && !(st.st_mode & 0022) &&
		(!make || !(st.st_mode & 0077) || !fchmod(fd, 0700)))
		return fd;
	close(fd);
	return -EPERM;
}

int names_open(char *dir, size_t n, bool make)
{
	const char *xdg = getenv("XDG_RUNTIME_DIR");
	struct stat st;
	int fd;

	if (xdg && *xdg == '/' && !stat(xdg, &st) && st.st_uid == geteuid()) {
		snprintf(dir, n, "%s/pinvm", xdg);
		return own_directory(dir, make);
	}
	/* There are systems without /run, and user namespaces whose root may not write there. */
	if (!geteuid()) {
		fd = own_directory("/run/pinvm", make);
		if (fd >= 0) {
			snprintf(dir, n, "/run/pinvm");
			return fd;
		}
	}
	snprintf(dir, n, "/tmp/pinvm-%u", (unsigned)geteuid());
	fd = own_directory(dir, make);
	if (fd >= 0) {
		close(fd);
		snprintf(dir + strlen(dir), n - strlen(dir), "/pinvm");
		fd = own_directory(dir, make);
	}
	if (fd == -ENOENT && !geteuid())
		snprintf(dir, n, "/run/pinvm"); /* where it would be */
	return fd;
}

int names_look(unsigned i, char *dir, size_t n)
{
	static const char *const where[] = {"/run/user/%u/pinvm", "/run/pinvm", "/tmp/pinvm-%u/pinvm"};
	char first[PATH_MAX + 16];
	int fd = names_open(first, sizeof(first), false);

	if (!i) {
		snprintf(dir, n, "%s", first);
		return fd;
	}
	if (fd >= 0)
		close(fd);
	if (i > COUNT(where))
		return -ERANGE;
	snprintf(dir, n, where[i - 1], (unsigned)geteuid());
	return strcmp(dir, first) ? own_directory(dir, false) : -ENOENT;
}

static int refuse_name(int err, const char *name, const char *path)
{
	if (err == -EADDRINUSE)
		log_err("--name %s: another guest has this name (%s); choose another", name, path);
	else if (err == -EEXIST)
		log_err("--name %s: %s is neither a socket nor a link to one; remove it, or choose another "
			"name",
			name, path);
	else
		log_errno(err, "--name %s: %s", name, path);
	return err;
}

static int listen_at(struct names_claim *claim, const char *path, int held)
{
	int fd = listener_open(&claim->socket, path, BACKLOG, held);

	if (fd >= 0) {
		claim->fd = fd;
		return 0;
	}
	if (fd == -EADDRINUSE)
		log_err("--control %s: another process listens there; choose another path", path);
	else if (fd == -EEXIST)
		log_err("--control %s: exists and is not a socket; choose another path", path);
	else if (fd == -EDEADLK)
		log_err("--control %s: another process holds a lock on its directory", path);
	else if (fd == -ENAMETOOLONG)
		log_err("--control %s: a socket's path has at most 107 bytes", path);
	else
		log_errno(fd, "--control %s", path);
	return fd;
}

/* The name leads to the socket, unless they are the same file. 0 or -errno, logged. */
static int link_name(struct names_claim *claim, const char *at)
{
	char to[PATH_MAX + sizeof(claim->socket.path) + 1] = "", cwd[PATH_MAX];
	struct stat st;

	if (!stat(at, &st) && st.st_dev == claim->socket.dev && st.st_ino == claim->socket.ino)
		return 0;
	if (*claim->socket.path != '/' && getcwd(cwd, sizeof(cwd)))
		snprintf(to, sizeof(to), "%s/", cwd);
	strncat(to, claim->socket.path, sizeof(to) - strlen(to) - 1);
	if (symlink(to, at))
		return log_errno(-errno, "--control %s: a link at %s", claim->socket.path, at);
	memcpy(claim->link.path, at, strlen(at) + 1);
	own_file_note(&claim->link);
	return 0;
}

/* The directory is ours to change. */
static int claim_in(struct names_claim *claim, int fd, const char *dir, const char *name, const char *path)
{
	char at[sizeof(claim->socket.path)];
	int err;

	if (snprintf(at, sizeof(at), "%s/%s" NAMES_SUFFIX, dir, name) >= (int)sizeof(at)) {
		log_warn("--name %s: too long for a socket in %s: no control by name", name, dir);
		return path ? listen_at(claim, path, fd) : 0;
	}
	err = listener_reclaim(at, true);
	if (err)
		return refuse_name(err, name, at);
	err = listen_at(claim, path ? path : at, path ? fd : LISTENER_LOCKED);
	if (!err && path)
		err = link_name(claim, at);
	return err;
}

int names_claim(struct names_claim *claim, const char *name, const char *path)
{
	char dir[PATH_MAX + 16];
	int err, fd = names_open(dir, sizeof(dir), true);

	*claim = (struct names_claim){.fd = -1};
	if (fd < 0) {
		log_warn("%s: %s: no control by name (pinvm ctl %s); --control off does without", dir,
			strerror(-fd), name);
		return path ? listen_at(claim, path, -1) : 0;
	}
	/* One at a time: a socket that is bound and does not listen yet looks stale. */
	err = listener_lock(fd);
	err = err ? log_errno(err, "--name %s: another process holds a lock on %s", name, dir)
		  : claim_in(claim, fd, dir, name, path);
	close(fd);
	if (!err)
		return 0;
	names_release(claim);
	if (claim->fd >= 0)
		close(claim->fd);
	claim->fd = -1;
	return err;
}

size_t names_length(const char *file)
{
	size_t len = strlen(file), suffix = strlen(NAMES_SUFFIX);

	return *file != '.' && len > suffix && !strcmp(file + len - suffix, NAMES_SUFFIX) ? len - suffix : 0;
}

/* A guest without a name is called after its process. What lives is not asked: that would wake it. */
static bool is_named_after_living(const char *name, size_t len)
{
	char *end;
	long pid = strncmp(name, DEFAULT_NAME, strlen(DEFAULT_NAME)) ? 0 : strtol(name + strlen(DEFAULT_NAME), &end, 10);

	return pid > 0 && pid <= INT_MAX && end == name + len && (!kill((pid_t)pid, 0) || errno == EPERM);
}

/* In the directory, which is locked: who binds there does it under this lock, so who does not listen is gone. */
static void sweep(DIR *listed, const char *dir, const char *own)
{
	struct dirent *entry;
	char at[PATH_MAX + 300];
	unsigned asked = 0;

	while (asked < SWEEP_MAX && (entry = readdir(listed))) {
		size_t len = names_length(entry->d_name);

		if (!len || (strlen(own) == len && !strncmp(own, entry->d_name, len)) || is_named_after_living(entry->d_name, len))
			continue;
		snprintf(at, sizeof(at), "%s/%s", dir, entry->d_name);
		listener_reclaim(at, false); /* where a link leads, another mount namespace may know */
		asked++;
	}
}

void names_sweep(const char *own)
{
	char dir[PATH_MAX + 16];
	int fd = names_open(dir, sizeof(dir), false);
	DIR *listed = fd < 0 || flock(fd, LOCK_EX | LOCK_NB) ? NULL : fdopendir(fd);

	if (listed) {
		sweep(listed, dir, own);
		closedir(listed);
	} else if (fd >= 0) {
		close(fd);
	}
}

/* The rights to remove what it made may have gone with its capabilities: root's, in another user's directory. */
static void remove_file(struct own_file *file)
{
	int err = own_file_remove(file);

	if (err)
		log_warn("%s: can not be removed (%s); do that", file->path, strerror(-err));
}

void names_release(struct names_claim *claim)
{
	remove_file(&claim->link);
	remove_file(&claim->socket);
}
