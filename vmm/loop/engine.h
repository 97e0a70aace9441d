/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between loop.c and its two engines, for nobody else. The common part keeps the watches, posts, timers and
 * idle hooks; an engine waits for descriptors and carries out file operations. All on the loop's thread
 * unless said otherwise.
 */
#ifndef PINVM_LOOP_ENGINE_H
#define PINVM_LOOP_ENGINE_H

#include <stdatomic.h>

#include "vmm/loop/loop.h"
#include "vmm/util.h"

enum loop_op { LOOP_READV, LOOP_WRITEV, LOOP_FDATASYNC, LOOP_FALLOCATE };

/* gen moves with each unwatch, so that an event already on its way to a former watch is known as stale. */
struct loop_slot {
	struct loop_ev *ev;
	uint32_t gen;
	uint32_t late; /* events that came while the loop was held */
	uint8_t state;
};
enum {
	SLOT_FREE,
	SLOT_LIVE,
	SLOT_TO_ARM,
	SLOT_TO_REMOVE
}; /* the latter two: io_uring, when its queue was full */

struct loop_engine {
	const char *name;
	int (*create)(struct loop *loop, unsigned depth);
	void (*destroy)(struct loop *loop);
	int (*own)(struct loop *loop); /* the calling thread is the one that will run the loop */
	int (*arm)(struct loop *loop, unsigned slot);
	bool (*disarm)(struct loop *loop, unsigned slot, int fd); /* false: the slot is not free yet */
	/* Submit what is queued, sleep at most `ns` (0: not at all, < 0: without limit) for something to
	 * happen. */
	int (*wait)(struct loop *loop, int64_t ns);
	bool (*ready)(struct loop *loop);    /* what was queued has been submitted: would wait() find something? */
	void (*dispatch)(struct loop *loop); /* callbacks for what wait() found, a bounded number */
	void (*io)(struct loop *loop, struct loop_io *io);
	void (*signal)(struct loop *loop, int fd);
	int (*move_workers)(struct loop *loop, const void *cpus, unsigned size); /* NULL: the kernel makes none */
	/* Of a loop that is served in passing (serve.c). */
	/* Submit what is queued; from here on what comes sets *flag and ends a system call. 1: something is there already,
	 * and ends none; 2: it can not be done now. */
	int (*guard)(struct loop *loop, uint8_t *flag);
	bool (*came)(struct loop *loop); /* since then; memory only */
	void (*relax)(struct loop *loop); /* what comes need not set the flag; memory only */
	int (*forget)(struct loop *loop); /* *flag is not written any more when this returns */
};

extern const struct loop_engine loop_uring, loop_plain;

struct loop {
	const struct loop_engine *engine;
	void *state; /* the engine's */
	char name[16], why[64];
	struct placement *worker_place; /* the plain engine's; NULL: as the loop's thread */
	bool owned;
	bool passing; /* made by loop_create_passing() */
	const void *worker_cpus; /* of such a one */
	unsigned worker_size;
	bool guarded; /* between guard() and relax() */
	bool held;    /* loop_hold() */
	uint64_t until; /* a sleep ends then */
	struct loop_ev clock; /* serve.c: a timerfd */
	uint64_t clock_at;    /* when it goes off; UINT64_MAX: not */
	struct loop_timer breath;
	int ran; /* callbacks of this step */
	struct loop_slot slot[LOOP_WATCHES];
	unsigned nslots; /* slots at and above were never used */
	struct loop_ev wake;
	struct loop_idle *idles, *idle_cursor;
	struct loop_timer *timers; /* sorted by deadline */
	uint64_t poll_max, price;  /* ns; loop_poll() */
	uint64_t came;		   /* when the last wait, asleep or awake, was over; of a loop that polls */
	struct {
		_Atomic uint64_t steps, sleeps, sqes, cqes, wakeups, polls, hits, polled_ns;
	} stats;
	/* Any thread from here on. */
	_Alignas(64) _Atomic(struct loop_call *) posted; /* newest first */
	atomic_bool sleeping, stop, nudged;
};

/* Any thread: loop_post() of several calls linked newest first, at the price of one. */
void loop_post_all(struct loop *loop, struct loop_call *newest, struct loop_call *oldest);

/* loop.c: the end of a round, and whether there is reason for another one. */
bool loop_ask_idle(struct loop *loop, bool sleeping);
bool loop_came(struct loop *loop);
/* serve.c: the parts of a loop that is served in passing. */
int loop_clock_open(struct loop *loop);
void loop_clock_close(struct loop *loop);

/* What an engine carries along with a watch, in 64 bits of which it may use the lowest three. */
static inline uint64_t loop_slot_tag(const struct loop *loop, unsigned slot)
{
	return (uint64_t)loop->slot[slot].gen << 32 | (uint64_t)slot << 3;
}

/* The slot a tag stands for, or NULL when it is stale. */
static inline struct loop_slot *loop_slot_of(struct loop *loop, uint64_t tag)
{
	struct loop_slot *s = &loop->slot[(uint32_t)tag >> 3];

	return s->ev && s->gen == (uint32_t)(tag >> 32) ? s : NULL;
}

static inline void loop_ev_run(struct loop *loop, struct loop_ev *ev, uint32_t events)
{
	if (loop->held && ev != &loop->wake) {
		loop->slot[ev->private.slot - 1].late |= events;
		return;
	}
	loop->ran += ev != &loop->wake;
	ev->fn(ev, events);
}

#endif
