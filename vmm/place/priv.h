/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of vmm/place/, for nobody else. Main, unless said otherwise. */
#ifndef PINVM_PLACE_PRIV_H
#define PINVM_PLACE_PRIV_H

#include "vmm/options/typed.h"
#include "vmm/place/place.h"

#define CPUS_TEXT 256

/* A rule in a message, so that the reason behind it has room; for as long as the block lasts. */
#define RULE_SHOWN(text) options_shown(text, (char[OPTIONS_SHOWN]){0}, OPTIONS_SHOWN)

static inline bool place_is_realtime(int policy)
{
	return policy == SCHED_FIFO || policy == SCHED_RR;
}

static inline bool is_subset(const cpu_set_t *of, const cpu_set_t *set)
{
	cpu_set_t both;

	CPU_AND(&both, of, set);
	return CPU_EQUAL(&both, set);
}

bool place_same_sched(const struct place_sched *a, const struct place_sched *b);
/* False: a change left a task of this row under a policy that is neither the plan's nor the one it had. */
bool place_is_back(const struct placement *row, const struct place_sched *is);

/* Give the rows what n rules of --pin, or else of --sched, say, and touch them. 0, or -EINVAL, logged. The texts stay. */
int place_rules(struct place *place, bool pin, char *const *text, unsigned n);
/* Want for a row what is wanted for another, for the same reasons. */
void place_want(struct placement *row, const struct placement *as);
/* A worker stands where its iothread stands, and under its policy; but the kernel lets no deadline be inherited. */
void place_follow(struct place *place, struct placement *row);

/* Put a task (0: the calling one) under a policy, as the role of its row asks for. 0 or -errno, not logged. Any thread. */
int place_set_sched(pid_t tid, const struct placement *p, const struct place_sched *sched);

/*
 * Put the tasks that stand for a row of the kernel's now on these CPUs, and under this policy; NULL: as they are. 0 or
 * -errno, not logged; -EINVAL: a kernel that does not let such tasks be moved.
 */
int place_move_tasks(struct place *place, const struct placement *row, const cpu_set_t *cpus, const struct place_sched *sched);

/* Note what was counted of a task of this process up to now. Any thread. */
void place_count(struct placement *p, pid_t tid);

/* Release the rules that live.c keeps. */
void place_forget_texts(struct place *place);

#endif
