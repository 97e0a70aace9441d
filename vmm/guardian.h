/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guardian: a small child that does for a guest what needs privileges after the guest's threads have
 * dropped theirs, and that undoes it when the guest is gone, whatever ended it. DESIGN.md section 2, 7.
 *
 * What it can do is a table, a step with its undoing each, made before it is forked. It watches the process
 * that made it (the VMM) by pidfd. The VMM talks to it by messages of one size that name a step and give it
 * numbers, and is not trusted: no message carries a path, a descriptor or a pid; a step checks its numbers;
 * what it undoes, it remembers itself. Steps are undone in the reverse order of the table, each once.
 *
 * It keeps its standard error and the log (for what could not be undone), the descriptors its steps name, and
 * the capabilities they name; it has no_new_privs, a session of its own, so that no terminal and no `timeout`
 * ends it before the VMM, and nobody can trace it. It stays in the cgroup that pinvm was started in, so that
 * a guest that is held back does not hold back what manages it.
 */
#ifndef PINVM_GUARDIAN_H
#define PINVM_GUARDIAN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define GUARDIAN_ARGS  2 /* numbers that go with a step */
#define GUARDIAN_STEPS 8
#define GUARDIAN_FDS   8
#define GUARDIAN_RATE  64 /* messages a second that it listens to: more would be somebody else's CPU time */

/* One thing to do, and how to undo it. Both run in the guardian only. */
struct guardian_step {
	/*
	 * arg: untrusted numbers, and what is left there is the answer. Asked again, it takes the new value.
	 * 0 or -errno; then what was there before is still there.
	 */
	int (*apply)(void *ctx, uint64_t arg[GUARDIAN_ARGS]);
	/*
	 * Back to how it was, once. alive: the VMM still runs. 0; -errno: it could not be done, and while the
	 * VMM is alive it is tried again after its death. why: what to say then, in words, before the
	 * error's.
	 */
	int (*undo)(void *ctx, bool alive, const char **why);
	void *ctx; /* the guardian's copy, since the fork */
};

struct guardian_plan {
	const char *name; /* the guest's, for ps */
	struct guardian_step step[GUARDIAN_STEPS];
	unsigned n;
	uint64_t caps;	      /* 1 << CAP_...: capabilities to keep, of those there are */
	int fd[GUARDIAN_FDS]; /* descriptors to keep */
	unsigned nfds;
};

struct guardian;

/* Add a step; returns its number. fd < 0: it needs none. */
unsigned guardian_plan_step(struct guardian_plan *plan, const struct guardian_step *step);
void guardian_plan_fd(struct guardian_plan *plan, int fd);

/*
 * Fork it: before there are threads, and before privileges are dropped. 0 or -errno, logged. Main.
 */
int guardian_start(struct guardian **guardian, const struct guardian_plan *plan);

/*
 * Have it take a step. 0, or -errno: the step's own, -EPIPE: it is gone, -ETIMEDOUT: no answer within two
 * seconds. Not logged. Main.
 */
int guardian_ask(struct guardian *guardian, unsigned step, uint64_t arg[GUARDIAN_ARGS]);

/*
 * Have it undo everything, now, and end. What can not be undone while this process lives is left to it, until
 * then. 0, or -errno of the first such step, or of guardian_ask(). Frees guardian; NULL is fine. Main.
 */
int guardian_end(struct guardian *guardian);

pid_t guardian_pid(const struct guardian *guardian);

#endif
