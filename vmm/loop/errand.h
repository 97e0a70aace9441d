/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A call into a loop's thread that somebody waits for, though not for ever: main has a running guest's loops do something
 * while it answers a request. Main, or one other thread that runs no loop it waits for.
 */
#ifndef PINVM_LOOP_ERRAND_H
#define PINVM_LOOP_ERRAND_H

#include <semaphore.h>
#include <stdatomic.h>

#include "vmm/loop/loop.h"

struct errand {
	int (*fn)(struct errand *errand); /* on the loop's thread: 0 or -errno */
	struct {
		struct loop_call call;
		sem_t back;
		_Atomic int state, err;
	} private;
};

void errand_init(struct errand *errand, int (*fn)(struct errand *errand));
/*
 * Run it on the loop and wait. What fn said; -EBUSY: the last one is still under way; -ETIMEDOUT after `ns`: fn will not be
 * called, or with `insist` it will when the loop gets to it. The struct and what fn uses stay until then.
 */
int errand_run(struct errand *errand, struct loop *loop, uint64_t ns, bool insist);
/* Its two halves, for several at once: begin (not while one is under way) and wait, until now_ns() is `until`. */
void errand_begin(struct errand *errand, struct loop *loop);
int errand_wait(struct errand *errand, uint64_t until, bool insist);
/* None is under way. */
bool errand_idle(const struct errand *errand);

#endif
