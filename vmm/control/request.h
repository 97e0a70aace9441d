/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One line of the control protocol: a request as JSON text becomes the call of a command, and what came of it
 * the answer.
 *
 *   {"command": "stop", "arguments": {"grace": "5s"}, "id": 1}
 *   {"ok": true, "result": {...}, "id": 1}                    result: with some commands
 *   {"ok": false, "error": "in words", "status": 4, "id": 1}     2: the request is wrong; 4: what it asks for was not done
 *
 * "arguments" may be left out, and "id", a string or an integer, comes back. Main, or whoever tests it.
 */
#ifndef PINVM_CONTROL_REQUEST_H
#define PINVM_CONTROL_REQUEST_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define CONTROL_ARGS 2 /* of a command, at most */

struct guest;

/* A request on its way through its command. */
struct control_call {
	struct guest *guest;
	const char *arg[CONTROL_ARGS]; /* in the table's order; NULL: not given */
	json_t *result;		       /* the command's to make; NULL: none */
	char why[640];		       /* what went wrong, in words */
};

/* All arguments are texts. */
struct control_arg {
	const char *name, *help; /* name NULL: there is none */
	const char *value;	 /* not NULL: `pinvm ctl` takes it as NAME=VALUE, in any order; what stands for the value */
	char rest;		 /* `ctl` takes all further words as this one, joined by this; 0: one word */
	bool must;		 /* the help shows that it is not to be left out; the command says so itself */
};

struct control_command {
	const char *name, *help;
	struct control_arg arg[CONTROL_ARGS];
	int (*run)(struct control_call *call); /* 0, or -errno with `why`; -EINVAL, and no other: an argument is wrong */
	bool document; /* what it says is for programs: `ctl` shows it as JSON in any case */
};

/* THE table of commands (commands.c). */
extern const struct control_command control_table[];
extern const unsigned control_commands;

/* Commands in files of their own. */
int control_halt_poll(struct control_call *call); /* halt_poll.c */
int control_pin(struct control_call *call);	  /* place.c */
int control_sched(struct control_call *call);
int control_limits(struct control_call *call);	 /* limits.c */
int control_iothread(struct control_call *call); /* iothread.c */
int control_cgroup(struct control_call *call);	 /* cgroup.c */

/* Nothing is asked of a guest whose end is decided: 0, or -ESHUTDOWN, in words. */
int control_living(struct control_call *call);

/* NULL: there is none of that name. */
const struct control_command *control_find(const struct control_command *table, unsigned n, const char *name);

/* The answer to a line as malloc()ed text without an end of line; NULL: no memory. The line may be anything.
 */
char *request_answer(
	const struct control_command *table, unsigned n, struct guest *guest, const char *line, size_t len);
/* The same to what never became a request. */
char *request_refuse(const char *why);

#endif
