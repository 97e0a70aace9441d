/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The terminal that `pinvm stat --watch` draws on, or the pipe it writes to, and the signals that end or
 * change that: one object a process. One thread.
 */
#ifndef PINVM_STAT_TERMINAL_H
#define PINVM_STAT_TERMINAL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct terminal {
	bool is_one; /* standard output is a terminal: it is drawn on in place */
	bool drawn;  /* it was changed, and must be given back */
	int signal_fd;
	int gone_fd; /* of terminal_follow(), readable: the process ended; -1: none is known */
	int wake_fd; /* readable: either is; for who waits elsewhere */
};

enum terminal_event { TERMINAL_TIME, TERMINAL_RESIZED, TERMINAL_GONE, TERMINAL_END };

/* Columns of standard output: a terminal's; else what COLUMNS says; else 0, no bound. */
unsigned terminal_columns(void);

/* Take over SIGINT, SIGTERM, SIGHUP, SIGTSTP and SIGWINCH. 0 or -errno, logged. */
int terminal_begin(struct terminal *t);
/* End waits from now on when this process has ended: TERMINAL_GONE. What cannot be followed is waited for as before. */
void terminal_follow(struct terminal *t, pid_t pid);
/* Show a text, whole lines of at most terminal_columns(); in place as much of it as there are rows for. */
void terminal_show(struct terminal *t, const char *text);
/* Wait until then (CLOCK_MONOTONIC, ns), or until something else happened. Stops and continues the process.
 */
enum terminal_event terminal_wait(struct terminal *t, uint64_t until_ns);
/* What happened that was not waited for. */
enum terminal_event terminal_poll(struct terminal *t);
/* Give it back as it was. Harmless at any time. */
void terminal_end(struct terminal *t);

#endif
