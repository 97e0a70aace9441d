/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Other CPUs and policies for the threads of a running guest: rules of --pin and --sched, given again. The promise is that
 * of the start: the new plan is checked against this host, applied, and read back from the kernel; where one thread does
 * not come to stand as it should, all go back. Main, which owns the plan.
 */
#ifndef PINVM_PLACE_LIVE_H
#define PINVM_PLACE_LIVE_H

#include "vmm/place/place.h"

/* What a change needs of the rest of the program. */
struct place_env {
	const struct guest_config *cfg; /* strict_placement and force, as at the start */
	const char *root;		/* place_plan_at() */
	/* From now on the ring with that worker's index makes its workers on these CPUs. Returns when that is so: 0 or -errno. */
	int (*workers)(void *arg, unsigned worker, const cpu_set_t *cpus);
	void *arg;
};

/* A thread that was given another place, and what the kernel said of it before. */
struct place_move {
	const struct placement *row;
	cpu_set_t cpus;
	struct place_sched sched;
};

struct place_change {
	struct place_move *move;
	unsigned n;
	bool malformed; /* no rules, or one that cannot be read: what was asked is wrong, and not only that it is refused */
};

/*
 * Apply rules (separated by blanks) of --pin, or else of --sched, to every thread that each of them names, whatever was said
 * of it before. Workers go with their iothread, KVM's helpers with the emulator. 0, and change->move is the caller's to
 * free; or -errno after one logged line, and then every thread is where it was, or the line says which one is not, and
 * change->malformed says whether the rules are to blame.
 */
int place_again(struct place *place, const struct place_env *env, bool pin, const char *rules, struct place_change *change);

#endif
