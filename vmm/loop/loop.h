/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An event loop: one io_uring, or (where io_uring is refused) epoll and one worker thread behind the same interface.
 * A loop is an object, not a thread: whoever calls loop_step() runs it. All calls are for the thread that runs the loop,
 * except loop_post() and loop_stop(), which any thread may use. Nothing here allocates after loop_create().
 *
 * Structs below are embedded in their owners; fields marked `private` belong to the loop.
 */
#ifndef PINVM_LOOP_H
#define PINVM_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "vmm/config.h"

struct loop;

/*
 * A watched descriptor. Edge-triggered: fn runs after each new readiness, so it drains the descriptor or arranges to be
 * called again; it may also run once with nothing to do. An eventfd that is watched need not be read.
 */
struct loop_ev {
	void (*fn)(struct loop_ev *ev, uint32_t events);
	int fd;
	struct { uint32_t events; unsigned slot; } private; /* slot + 1; 0: not watched */
};

/* A call into the loop's thread. In flight from loop_post() until fn starts; post it again only after that. */
struct loop_call {
	void (*fn)(struct loop_call *call);
	struct { struct loop_call *next; } private;
};

/*
 * Asked at the beginning of each step, after all that the steps before it did. sleeping: the step may sleep if nobody has
 * work, so whoever wants to be woken arranges for it now; false: this is a nonblock step, nobody needs to. Returns true
 * when it did work or has more: then the step does not sleep.
 *
 * A loop that polls (loop_poll()) first asks with sleeping false; when nobody has work it asks each how long it is worth to
 * wait awake for what comes next, then looks again and again until one of them has something or that time is over, and
 * only then asks with sleeping true. Both may be NULL: nobody waits awake for such a hook.
 */
struct loop_idle {
	bool (*fn)(struct loop_idle *idle, bool sleeping);
	/* ns from now, at CLOCK_MONOTONIC; came: when the last wait was over. What it costs to sleep is the owner's to weigh. */
	uint64_t (*expect)(struct loop_idle *idle, uint64_t now, uint64_t came, uint64_t price_ns);
	bool (*look)(const struct loop_idle *idle); /* without a system call: is there something now? */
	struct { struct loop_idle *next, **prev; } private;
};

/* A one-shot timer on CLOCK_MONOTONIC. */
struct loop_timer {
	void (*fn)(struct loop_timer *timer);
	struct { uint64_t deadline; struct loop_timer *next, **prev; } private;
};

/*
 * One file operation. fn gets what the system call would return, or -errno. iov and the buffers stay valid until then.
 * Short transfers and EINTR are the owner's to handle (disk.c does).
 */
struct loop_io {
	void (*fn)(struct loop_io *io, int res);
	struct {
		struct loop_call done;
		struct loop_io *next;
		const struct iovec *iov;
		uint64_t off, len;
		int op, fd, n, mode, res;
	} private;
};

/*
 * Make a loop. engine IO_AUTO tries io_uring and falls back to plain; IO_URING and IO_PLAIN insist.
 * depth: file operations that may be in flight at once without waiting; 0: there will be none, and the plain engine
 * needs no worker thread. name: the thread's role, for messages
 * and for the names of threads it owns. Returns 0 or -errno (logged).
 * The ring starts disabled: the first loop_step() enables it, and its caller becomes the owning thread.
 */
int loop_create(struct loop **loop, const char *name, enum io_engine engine, unsigned depth);
/* Where the plain engine's worker is to stand; without: as the loop's thread. Before loop_own(). */
struct placement;
void loop_place_worker(struct loop *loop, struct placement *worker);
/* Where the workers that the kernel makes for the ring are to stand from now on (cpu_set_t); no call moves those there are. Without
 * a ring nothing happens. 0 or -errno. */
int loop_move_workers(struct loop *loop, const void *cpus, unsigned size);
/*
 * The same for a thread that has something else to do, in a system call that ends with EINTR for a signal and looks at a
 * byte before it begins: a vCPU's, with kvm_run's immediate_exit. io_uring only. worker_cpus (cpu_set_t): where the kernel's
 * workers for its ring are to stand; it stays until loop_own(). Then the calls below under "in passing" are the thread's.
 */
int loop_create_passing(struct loop **loop, const char *name, unsigned depth, const void *worker_cpus, unsigned size);
/* By anyone once no thread runs the loop and no loop_io is in flight. NULL is fine. */
void loop_destroy(struct loop *loop);
const char *loop_name(const struct loop *loop);
/* "io_uring" or "plain", and when IO_AUTO fell back, why (errno as text), else NULL. */
const char *loop_engine(const struct loop *loop, const char **why);

/*
 * Poll before sleeping, for at most max_ns (0: never, which is the default), where the sources of events think it worth it.
 * weight: what a wake-up's delay counts, in its own CPU time (loop/patience.h). Holds from the next step on.
 */
void loop_poll(struct loop *loop, uint64_t max_ns, unsigned weight);

/* Become the owning thread now: what the first loop_step() does otherwise. 0 or -errno. */
int loop_own(struct loop *loop);
/* Handle what is ready; unless nonblock, sleep first when nothing is. Returns how many callbacks ran, or -errno. */
int loop_step(struct loop *loop, bool nonblock);
/* Step until loop_stop(). 0 or -errno. */
int loop_run(struct loop *loop);
void loop_stop(struct loop *loop); /* any thread */
/* A step that sleeps, or the next one that would, returns. Any thread. */
void loop_nudge(struct loop *loop);

/*
 * In passing. loop_serve(): before each call. It handles what is there, a bounded amount, and prepares for what comes then: that
 * ends a call which has begun with EINTR, and sets *flag to 1 for one that has not. Nothing is there: no system call. The
 * flag may also be set for nothing. 0 or -errno. The byte stays where it is until loop_release(), which returns when nothing
 * will write it any more. Between loop_serve() and loop_release() only callbacks use the loop.
 * loop_sleep(): one step, which sleeps until `until` (loop_now(); UINT64_MAX: without end) at most.
 * loop_look(): would a step find something? Memory only, for who waits awake.
 */
int loop_serve(struct loop *loop, uint8_t *flag);
int loop_sleep(struct loop *loop, uint64_t until);
bool loop_look(struct loop *loop);
int loop_release(struct loop *loop);
/*
 * While a loop is held only posted calls and the ends of file operations are handled: whoever gave them is waiting. Idle
 * hooks, timers and watches wait; none is lost.
 */
void loop_hold(struct loop *loop, bool held);

/*
 * -EPERM when the descriptor cannot be waited for (a regular file), -EBUSY when ev is watched already, -ENOSPC when the
 * loop watches LOOP_WATCHES others. After loop_unwatch() fn is not called again; it is harmless when not watched.
 */
#define LOOP_WATCHES 1024
int loop_watch(struct loop *loop, struct loop_ev *ev, int fd, uint32_t events);
void loop_unwatch(struct loop *loop, struct loop_ev *ev);

void loop_post(struct loop *loop, struct loop_call *call); /* any thread, lock-free; calls run in the order posted */

void loop_idle_add(struct loop *loop, struct loop_idle *idle);
void loop_idle_del(struct loop *loop, struct loop_idle *idle);

/* CLOCK_MONOTONIC in nanoseconds: the clock of the timers. Any thread. */
uint64_t loop_now(const struct loop *loop);
void loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t ns_from_now); /* again: moves it */
void loop_timer_cancel(struct loop *loop, struct loop_timer *timer);                    /* harmless when not set */

void loop_readv(struct loop *loop, struct loop_io *io, int fd, const struct iovec *iov, int n, uint64_t off);
void loop_writev(struct loop *loop, struct loop_io *io, int fd, const struct iovec *iov, int n, uint64_t off);
void loop_fdatasync(struct loop *loop, struct loop_io *io, int fd);
void loop_fallocate(struct loop *loop, struct loop_io *io, int fd, int mode, uint64_t off, uint64_t len);

/*
 * Add 1 to an eventfd (O_NONBLOCK) with the next submission: no system call of its own on io_uring. The descriptor stays
 * open until the next loop_step() returned. A counter that is full (2^64 - 2) does not make the loop wait.
 */
void loop_signal(struct loop *loop, int eventfd);

/* Counted by the loop's thread; any thread may read them. */
struct loop_stats {
	uint64_t steps, sleeps; /* sleeps: waits that were allowed to block */
	uint64_t sqes, cqes;    /* operations handed to the engine, and answers it gave (readiness included) */
	uint64_t wakeups;       /* by loop_post() or loop_stop() */
	uint64_t polls, hits;   /* times it waited awake before sleeping, and something came of that before it gave up */
	uint64_t polled_ns;     /* in all of them together */
};
void loop_stats(const struct loop *loop, struct loop_stats *stats);

#endif
