/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What pinvm says to its user: one line per message, on stderr or in --log FILE.
 * Any thread may log; a line is one write(2), so lines never interleave.
 */
#ifndef PINVM_LOG_H
#define PINVM_LOG_H

#include <stdatomic.h>
#include <stdbool.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_NOTICE, LOG_INFO, LOG_DEBUG };

/* Lines at or below this level are written. Default LOG_NOTICE; each -v adds one. Set before threads start. */
void log_set_level(enum log_level level);
bool log_enabled(enum log_level level);

/* Send lines to `path` (created 0600, appended) instead of stderr. Returns 0 or -errno. */
int log_open(const char *path);
void log_close(void);
/* The descriptor that lines go to: the log's, not the caller's. */
int log_output(void);

/* Text of the first error logged by this process, "" if none: why a set-up was refused. Read by main. */
const char *log_first_error(void);

#define log_err(...)   log_line(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_WARN, __VA_ARGS__)
/* What the person at the terminal waits to hear: why a guest ended otherwise than by powering off, what a key does. */
#define log_note(...)  log_line(LOG_NOTICE, __VA_ARGS__)
#define log_info(...)  log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)

void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Errors and warnings that somebody else is to be told. */
struct log_catch {
	char error[640];     /* the first error; "": none */
	char warnings[1280]; /* one a line */
};
/* From here on those of the calling thread go there and not to the log; NULL: to the log again. */
void log_catch(struct log_catch *into);

/*
 * For what a guest can bring about as often as it likes, resets in between: true for the first LOG_FEW times, or it fills
 * the log's disk. *n counts them for as long as its owner lives. Any thread.
 */
#define LOG_FEW 32
static inline bool log_few(atomic_uint *n)
{
	return atomic_load_explicit(n, memory_order_relaxed) < LOG_FEW && atomic_fetch_add(n, 1) < LOG_FEW;
}

/* Log "MESSAGE: strerror" as an error and return `err` (negative errno), so that a failing line can log and return. */
int log_errno(int err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
