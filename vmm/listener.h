/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A UNIX socket that listens at a path: made 0600, a stale one reclaimed, and at the end only our own
 * removed. Waits for nobody but a
 * moment for a lock. Each struct is for one thread at a time.
 */
#ifndef PINVM_LISTENER_H
#define PINVM_LISTENER_H

#include <stdbool.h>
#include <sys/types.h>
#include <sys/un.h>

/* A file that we made at a path; ino 0: none. */
struct own_file {
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	dev_t dev;
	ino_t ino;
};

/* Take down what lies at file->path now as ours. 0 or -errno. */
int own_file_note(struct own_file *file);
/* Remove it, unless it is another's by now, who found ours stale or removed it. Harmless without one. 0; -errno: it stays. */
int own_file_remove(struct own_file *file);

/*
 * A listening stream socket, non-blocking, at `path`, which is noted in *file. Of several starters at once, one has it: they
 * take turns by a lock on the directory, which `held` is if the caller has that lock already
 * (-1: none; LISTENER_LOCKED: this very one). Returns the
 * descriptor, or -ENAMETOOLONG (107 bytes are the most), -EEXIST (there, and no socket), -EADDRINUSE (a process listens
 * there), -EDEADLK (another process keeps the lock), another -errno (-EACCES: a stale one lies there, and the directory
 * cannot be locked): then nothing is left behind. Logs nothing.
 */
#define LISTENER_LOCKED (-2)
int listener_open(struct own_file *file, const char *path, int backlog, int held);
/* Lock a directory; one starter at a time, each in a moment, so nobody is waited for who keeps it. 0 or -errno. */
int listener_lock(int dir);

/*
 * Remove a socket file, or with `links` a symbolic link to one or to nothing, whose process is gone: one that refuses
 * connections. 0: nothing lies there any more. -EADDRINUSE: somebody answers, -EEXIST: it is something else, or another
 * -errno. Who calls it has locked the directory: between the question and the removal somebody may take the path.
 */
int listener_reclaim(const char *path, bool links);

/*
 * Connect to `path` without waiting. Returns the descriptor, -ECONNREFUSED when the socket there is stale,
 * -EAGAIN when its owner lives and has no room, or another -errno.
 */
int listener_connect(const char *path);

#endif
