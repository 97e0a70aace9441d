// SPDX-License-Identifier: Apache-2.0
/* Asking a running guest; see ask.h. One thread, no guest of its own. */
#include "vmm/control/ask.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/control/names.h"
#include "vmm/guest.h"
#include "vmm/log.h"
#include "vmm/options/values.h"
#include "vmm/util.h"

#define REPLY_MAX (16u << 20)
#define STEP	  65536u /* bytes a reply grows by, at first */

/* A socket of that name lies at ask->path, but nobody listens there. */
static bool is_stale(const struct ask *ask)
{
	int fd = listener_connect(ask->path);

	if (fd >= 0)
		close(fd);
	return fd == -ECONNREFUSED || fd == -ENOENT;
}

/* Where the name is; where it is nowhere, it would be in the first place. 0, or the exit status, logged. */
static int find(struct ask *ask)
{
	char dir[PATH_MAX + 16], path[sizeof(ask->path)];
	bool found = false;
	struct stat st;
	int fd;

	for (unsigned i = 0; (fd = names_look(i, dir, sizeof(dir))) != -ERANGE; i++) {
		if (fd >= 0)
			close(fd);
		if (!i && fd < 0 && fd != -ENOENT) {
			log_errno(fd, "%s", dir);
			return END_SETUP;
		}
		snprintf(path, sizeof(path), "%s/%s" NAMES_SUFFIX, dir, ask->name);
		if (i && (fd < 0 || lstat(path, &st) || (found && !is_stale(ask))))
			continue;
		found = !lstat(path, &st);
		memcpy(ask->path, path, sizeof(path));
	}
	return 0;
}

int ask_open(struct ask *ask, const char *name)
{
	*ask = (struct ask){.name = name, .limit_ns = ASK_NS, .stop_fd = -1};
	if (strchr(name, '/')) {
		snprintf(ask->path, sizeof(ask->path), "%s", name);
		return 0;
	}
	if (value_name(name)) {
		log_err("%.60s: a name is letters, digits, '.', '_' and '-'; the path of a socket has a /",
			name);
		return END_USAGE;
	}
	return find(ask);
}

static int wait_for(const struct ask *ask, int fd, short events, uint64_t deadline)
{
	struct pollfd pfd[2] = {{.fd = fd, .events = events}, {.fd = ask->stop_fd, .events = POLLIN}};
	uint64_t now = now_ns();
	int n = poll(pfd, 2, deadline > now ? (deadline - now) / 1000000 + 1 : 0);

	if (n > 0)
		return pfd[1].revents ? -ECANCELED : 0;
	return n ? -errno : -ETIMEDOUT;
}

static int send_all(const struct ask *ask, int fd, const char *text, size_t len, uint64_t deadline)
{
	while (len) {
		ssize_t n = send(fd, text, len, MSG_NOSIGNAL);
		int err = n < 0 ? -errno : 0;

		if (err == -EAGAIN)
			err = wait_for(ask, fd, POLLOUT, deadline);
		if (err && err != -EINTR)
			return err;
		text += n > 0 ? n : 0;
		len -= n > 0 ? n : 0;
	}
	return 0;
}

/* One line, however it comes. 0 or -errno; *text is the caller's either way. */
static int read_line(const struct ask *ask, int fd, char **text, uint64_t deadline)
{
	size_t len = 0, room = 0;

	for (;;) {
		ssize_t n;
		int err;

		if (len + 1 >= room) {
			size_t more = room ? 2 * room : STEP;
			char *grown = more <= REPLY_MAX ? realloc(*text, more) : NULL;

			if (!grown)
				return -ENOMEM;
			*text = grown;
			room = more;
		}
		n = recv(fd, *text + len, room - len - 1, 0);
		err = n < 0 ? -errno : n ? 0 : -ECONNRESET;
		if (err == -EAGAIN)
			err = wait_for(ask, fd, POLLIN, deadline);
		if (err && err != -EINTR)
			return err;
		len += n > 0 ? n : 0;
		(*text)[len] = '\0';
		if (len && (*text)[len - 1] == '\n')
			return 0;
	}
}

/* Who listens there: a guest in a PID namespace of its own knows itself by another number. */
static pid_t peer(int fd)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) ? 0 : cred.pid;
}

static int parse(const char *answer, json_t **reply)
{
	*reply = json_loads(answer, 0, NULL);
	if (json_is_object(*reply) && json_is_boolean(json_object_get(*reply, "ok")))
		return 0;
	json_decref(*reply);
	*reply = NULL;
	return -EPROTO;
}

int ask_send(struct ask *ask, const json_t *request, json_t **reply)
{
	char *text = json_dumps(request, JSON_COMPACT), *answer = NULL;
	uint64_t deadline = now_ns() + ask->limit_ns;
	int fd, err = text ? 0 : -ENOMEM;

	*reply = NULL;
	if (err)
		return err;
	fd = listener_connect(ask->path);
	err = fd < 0 ? fd : send_all(ask, fd, text, strlen(text), deadline);
	if (!err)
		err = send_all(ask, fd, "\n", 1, deadline);
	/* A guest that has no time for us closes, and says why first. */
	if (!err || err == -EPIPE || err == -ECONNRESET)
		err = read_line(ask, fd, &answer, deadline);
	if (!err)
		err = parse(answer, reply);
	if (!err)
		ask->pid = peer(fd);
	if (fd >= 0)
		close(fd);
	free(answer);
	free(text);
	return err;
}

int ask_no_answer(const struct ask *ask, int err)
{
	const char *name = ask->name, *path = ask->path;
	bool typed = !strcmp(name, path); /* the path, which is said once */
	const char *who = typed ? "" : name, *colon = typed ? "" : ": ";
	struct stat st;

	if (err == -ENOENT)
		log_err("%s: no such guest (%s); pinvm list shows this user's", name, path);
	else if (err == -ECONNREFUSED && !stat(path, &st) && !S_ISSOCK(st.st_mode))
		log_err("%s%s%s is no socket", who, colon, path);
	else if (err == -ECONNREFUSED)
		log_err("%s: no such guest any more (%s is left of it)", name, path);
	else if (err == -ECONNRESET || err == -EPIPE)
		log_err("%s: the guest ended, or had no time for this client (%s)", name, path);
	else if (err == -EAGAIN || err == -ETIMEDOUT)
		log_err("%s: no answer in time: still being set up, or restarting (%s)", name, path);
	else if (err == -EPROTO)
		log_err("%s: not a guest of pinvm that answers at %s", name, path);
	else if (err == -EACCES || err == -EPERM)
		log_err("%s%s%s: %s; the socket of a guest is for the user who started it, and for root", who, colon, path,
			strerror(-err));
	else
		log_errno(err, "%s%s%s", who, colon, path);
	return END_SETUP;
}

int ask_for(struct ask *ask, const char *command, json_t **result)
{
	json_t *request = json_pack("{s:s}", "command", command), *reply = NULL;
	int err = request ? ask_send(ask, request, &reply) : -ENOMEM;

	*result = NULL;
	if (!err && !json_is_true(json_object_get(reply, "ok")))
		err = -ASK_REFUSED;
	if (!err)
		*result = json_incref(json_object_get(reply, "result"));
	else if (err == -ASK_REFUSED)
		*result = json_incref(json_object_get(reply, "error"));
	json_decref(reply);
	json_decref(request);
	return err;
}
