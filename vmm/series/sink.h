/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines of text into a file whose size has a bound, or into a pipe. The file has an older half beside it, FILE.1: when
 * FILE is full, FILE.1 is emptied, and the two exchange their names, so that FILE goes on with the newest lines. Both are
 * opened once, at the start: nothing is opened later, when there may be no right to. Where the names can not be exchanged
 * any more, the two take turns under those they have. A line is there whole or not at all. Main only.
 */
#ifndef PINVM_SERIES_SINK_H
#define PINVM_SERIES_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sink {
	char *path, *older; /* older NULL: no regular file, so neither bounded nor exchanged */
	int fd[2];	    /* what is written, and the older half */
	uint64_t half;	    /* bytes of each */
	char *rest;	    /* of a line that a pipe took only the beginning of */
	size_t rest_at, rest_len;
	uint64_t lost; /* lines that found no room */
	bool failing;
	unsigned said;
};

/*
 * Open, or create (0600), and change nothing yet. max: bytes of both halves. 0, or -errno after one logged line: also for
 * what is neither file, pipe nor character device, and for a FIFO that nobody reads.
 */
int sink_open(struct sink *sink, const char *path, uint64_t max);
/* Empty it. 0, or -errno after one logged line. */
int sink_begin(struct sink *sink);
/*
 * A line, its end included. It is left out, and counted, where it finds no room or a reader is too slow. 0, or -errno: it could
 * not be written; what a reader does or does not do is no error.
 */
int sink_line(struct sink *sink, const char *text, size_t len);
/* Zeroed, or closed already: nothing happens. */
void sink_close(struct sink *sink);

#endif
