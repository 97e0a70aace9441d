/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ask a running guest, by its name, over its control socket: the other end of server.h. For `ctl`, `list` and
 * every subcommand that looks at a guest from outside. One thread, no guest of its own.
 */
#ifndef PINVM_CONTROL_ASK_H
#define PINVM_CONTROL_ASK_H

#include <jansson.h>
#include <limits.h>
#include <stdint.h>
#include <sys/types.h>

#define ASK_NS 10000000000ULL /* how long an answer may take: a guest that restarts gives none meanwhile */

/* In the help of whoever asks. */
#define ASK_NAME_HELP "NAME is what --name says, or the path of its control socket, with a /.\n"

struct ask {
	const char *name;	   /* as the user typed it */
	char path[PATH_MAX + 512]; /* of its socket */
	uint64_t limit_ns;	   /* of one answer */
	int stop_fd;		   /* readable: do not wait any longer (-ECANCELED); -1: none */
	pid_t pid;		   /* of who answered last, as this process sees it; 0: nobody did */
};

/*
 * Where the guest `name` listens: a guest's name, or the path of a socket, with a / in it; `name` must stay.
 * Nothing is opened. 0, or the exit status (END_USAGE, END_SETUP), logged.
 */
int ask_open(struct ask *ask, const char *name);

/*
 * Send a request (request.h) and wait for its answer. 0 with an object that has a boolean "ok", the caller's,
 * in *reply; or -errno: -EPROTO when it is no such object.
 */
int ask_send(struct ask *ask, const json_t *request, json_t **reply);
/* Why ask_send() failed, as one logged line; the exit status END_SETUP. */
int ask_no_answer(const struct ask *ask, int err);

/*
 * A command without arguments; what it has to say, the caller's, in *result (NULL: nothing). 0, or -errno,
 * not logged. -ASK_REFUSED: it said no, and *result is the text why.
 */
#define ASK_REFUSED ENOTSUP
int ask_for(struct ask *ask, const char *command, json_t **result);

#endif
