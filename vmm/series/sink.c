// SPDX-License-Identifier: Apache-2.0
/* Lines into a bounded file or a pipe; see sink.h. Main only. */
#include "vmm/series/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/log.h"

static int open_one(const char *path)
{
	/* O_NONBLOCK: a FIFO that nobody reads is refused, and a slow reader is not waited for. */
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);

	return fd < 0 ? log_errno(-errno, "--stats %s", path) : fd;
}

/* Another guest's lines between ours would help nobody. Where there are no locks, nothing is known. */
static int claim(const struct sink *sink, int fd)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	if (!fcntl(fd, F_OFD_SETLK, &lock) || (errno != EAGAIN && errno != EACCES))
		return 0;
	log_err("--stats %s: another guest writes it", sink->path);
	return -EBUSY;
}

static int open_older(struct sink *sink)
{
	struct stat st;

	if (asprintf(&sink->older, "%s.1", sink->path) < 0) {
		sink->older = NULL;
		return log_errno(-ENOMEM, "--stats %s", sink->path);
	}
	sink->fd[1] = open_one(sink->older);
	if (sink->fd[1] < 0)
		return sink->fd[1];
	if (!fstat(sink->fd[1], &st) && S_ISREG(st.st_mode))
		return claim(sink, sink->fd[1]);
	log_err("--stats %s: %s, where its older half goes, is no file", sink->path, sink->older);
	return -EINVAL;
}

int sink_open(struct sink *sink, const char *path, uint64_t max)
{
	struct stat st = {0};
	int err;

	*sink = (struct sink){.fd = {-1, -1}, .half = max / 2, .path = strdup(path)};
	if (!sink->path)
		return log_errno(-ENOMEM, "--stats %s", path);
	sink->fd[0] = open_one(path);
	err = sink->fd[0] < 0 ? sink->fd[0] : 0;
	if (!err && fstat(sink->fd[0], &st) < 0)
		err = log_errno(-errno, "--stats %s", path);
	if (!err && S_ISREG(st.st_mode)) {
		err = claim(sink, sink->fd[0]);
		err = err ? err : open_older(sink);
	} else if (!err && !S_ISFIFO(st.st_mode) && !S_ISCHR(st.st_mode)) {
		log_err("--stats %s: neither a file nor a pipe", path);
		err = -EINVAL;
	}
	if (err)
		sink_close(sink);
	return err;
}

int sink_begin(struct sink *sink)
{
	for (int i = 0; sink->older && i < 2; i++)
		if (ftruncate(sink->fd[i], 0) < 0)
			return log_errno(-errno, "--stats %s", sink->path);
	return 0;
}

static bool is_named(const char *path, int fd)
{
	struct stat a, b;

	return !stat(path, &a) && !fstat(fd, &b) && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* The half that is written is full. Names are exchanged only while they are those of our files. */
static int turn(struct sink *sink)
{
	int full = sink->fd[0];

	if (ftruncate(sink->fd[1], 0) < 0)
		return -errno;
	if (!is_named(sink->path, sink->fd[0]) || !is_named(sink->older, sink->fd[1]) ||
		renameat2(AT_FDCWD, sink->path, AT_FDCWD, sink->older, RENAME_EXCHANGE) < 0)
		log_info("--stats %s: it is full, and its name can not be exchanged with %s; they take turns", sink->path,
			sink->older);
	sink->fd[0] = sink->fd[1];
	sink->fd[1] = full;
	return 0;
}

/* All of it, or nothing. */
static int append(struct sink *sink, const char *text, size_t len)
{
	struct stat st;
	ssize_t n;
	int err = fstat(sink->fd[0], &st) < 0 ? -errno : 0;

	if (!err && len > sink->half)
		err = -EFBIG;
	if (!err && (uint64_t)st.st_size + len > sink->half) {
		err = turn(sink);
		st.st_size = 0;
	}
	if (err)
		return err;
	do
		n = write(sink->fd[0], text, len);
	while (n < 0 && errno == EINTR);
	if (n == (ssize_t)len)
		return 0;
	err = n < 0 ? -errno : -ENOSPC;
	if (n > 0 && ftruncate(sink->fd[0], st.st_size) < 0)
		return -errno;
	return err;
}

static void forget_rest(struct sink *sink)
{
	free(sink->rest);
	sink->rest = NULL;
}

/* What is left of the line before. 0, or -errno: not all of it went. */
static int finish(struct sink *sink)
{
	ssize_t n;

	if (!sink->rest)
		return 0;
	n = write(sink->fd[0], sink->rest + sink->rest_at, sink->rest_len - sink->rest_at);
	if (n < 0)
		return -errno;
	sink->rest_at += n;
	if (sink->rest_at < sink->rest_len)
		return -EAGAIN;
	forget_rest(sink);
	return 0;
}

static int send_line(struct sink *sink, const char *text, size_t len)
{
	int err = finish(sink);
	ssize_t n;

	if (err)
		return err;
	n = write(sink->fd[0], text, len);
	if (n < 0)
		return -errno;
	if (n == (ssize_t)len)
		return 0;
	sink->rest_at = 0;
	sink->rest_len = len - n;
	sink->rest = malloc(sink->rest_len);
	if (!sink->rest)
		return -ENOMEM;
	memcpy(sink->rest, text + n, sink->rest_len);
	return 0;
}

/* Said when it begins, and a few times at most. */
static void lost(struct sink *sink, int err)
{
	sink->lost++;
	if (!sink->failing && sink->said++ < LOG_FEW)
		log_note("--stats %s: %s; lines are left out", sink->path,
			err == -EAGAIN ? "its reader is slow" : strerror(-err));
	sink->failing = true;
}

int sink_line(struct sink *sink, const char *text, size_t len)
{
	int err = sink->older ? append(sink, text, len) : send_line(sink, text, len);

	if (err)
		lost(sink, err);
	else
		sink->failing = false;
	return err == -EAGAIN || err == -EPIPE ? 0 : err;
}

void sink_close(struct sink *sink)
{
	for (int i = 0; sink->path && i < 2; i++)
		if (sink->fd[i] >= 0)
			close(sink->fd[i]);
	forget_rest(sink);
	free(sink->path);
	free(sink->older);
	*sink = (struct sink){.fd = {-1, -1}};
}
