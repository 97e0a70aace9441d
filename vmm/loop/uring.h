/* SPDX-License-Identifier: Apache-2.0 */
/* Between the two files of the io_uring engine, for nobody else. */
#ifndef PINVM_LOOP_URING_H
#define PINVM_LOOP_URING_H

#include <liburing.h>
#include <sys/uio.h>

#include "vmm/loop/engine.h"

/* The kinds of user_data, in its lowest three bits. What comes back with 0 interests nobody. */
enum { TAG_NONE, TAG_WATCH, TAG_IO, TAG_GUARD, TAG_MASK = 7 };

struct uring {
	struct io_uring ring;
	unsigned depth, inflight; /* file operations */
	unsigned todo;		  /* slots that wait for room in the submission queue */
	struct loop_io *first, **last;
	bool enabled;
	/* Of a loop that is served in passing. The guard reads an eventfd that counts completions, the first byte into *flag. */
	int event;
	bool guarding;
	int guard_err;
	struct iovec into[2];
	_Atomic uint8_t rest[7]; /* of a count of 1: zeros when the guard has ended */
};

/* uring_setup.c; see engine.h */
int uring_create(struct loop *loop, unsigned depth);
void uring_destroy(struct loop *loop);
int uring_own(struct loop *loop);
int uring_move_workers(struct loop *loop, const void *cpus, unsigned size);

#endif
