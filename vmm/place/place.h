/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where each thread of a guest runs, and under which scheduling policy. A plan is made from the configuration by main
 * (pure), checked against this host, applied by each thread on itself before the first guest instruction, and read back
 * from the kernel: a difference is an error. sched(7), cpuset(7).
 */
#ifndef PINVM_PLACE_H
#define PINVM_PLACE_H

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "vmm/config.h"

/*
 * PLACE_WORKER: what an iothread's engine lets wait for the disk in its place (io_uring's own workers, or the plain engine's
 * thread). PLACE_HELPER: a task that KVM made in this process. PLACE_STRAY: a task nobody planned, found at the end.
 */
enum place_role { PLACE_VCPU, PLACE_IOTHREAD, PLACE_EMULATOR, PLACE_WORKER, PLACE_HELPER, PLACE_STRAY };

/* A worker of the ring of a vCPU that serves queues; it stands where the emulator does, out of the guest's way. */
#define PLACE_OF_VCPU 0x10000u

struct place_sched {
	int policy;                         /* SCHED_OTHER, _BATCH, _IDLE, _FIFO, _RR, _DEADLINE */
	int prio;                           /* _FIFO and _RR: 1..99; _OTHER and _BATCH: nice, -20..19; _IDLE: nothing */
	uint64_t runtime, deadline, period; /* _DEADLINE: ns */
};

/* One --pin or --sched as typed. */
struct place_rule {
	enum place_role role;
	int index;     /* vcpuN; -1: every one of the role */
	char name[16]; /* iothread:NAME; "": every one */
	cpu_set_t cpus;
	bool each; /* vCPU i gets the i-th CPU of the list */
	struct place_sched sched;
};

/* Text to rule. NULL, or why not, in words that follow "--pin TEXT: ". Pure. */
const char *place_parse_pin(const char *text, struct place_rule *rule);
const char *place_parse_sched(const char *text, struct place_rule *rule);
static inline const char *place_parse(bool pin, const char *text, struct place_rule *rule)
{
	return pin ? place_parse_pin(text, rule) : place_parse_sched(text, rule);
}

/* One thread: what is wanted and why, and (after place_apply()) what the kernel says. */
struct placement {
	enum place_role role;
	unsigned index; /* of a vCPU or an iothread; a worker has its iothread's, or PLACE_OF_VCPU + its vCPU's */
	char name[32];	/* the thread's */
	cpu_set_t cpus;
	struct place_sched sched;
	bool pinned, sched_given;
	const char *cpus_why, *sched_why; /* text of the rule, NULL: none */
	bool by_kernel; /* tasks the kernel makes when it needs them, at the CPUs it was told (IORING_REGISTER_IOWQ_AFF) */

	bool applied;	/* read back; by_kernel: registered */
	bool touched;	/* by the rule at hand (place/live.h) */
	pid_t tid;	/* 0: none yet */
	unsigned tasks; /* by_kernel: how many there were at the last look */
	cpu_set_t actual_cpus;
	struct place_sched actual_sched;
	/* What the kernel had counted by the time it stood there; not counted where nothing was asked for, or it does not tell. */
	bool counted;
	uint64_t switches_before, migrations_before; /* involuntary ones */
	bool lost;		 /* a change failed, and could not be taken back (place/live.c) */
	struct place_sched home; /* lost: misplaced until it has this policy again, or the plan's */
};

struct place_text;

struct place {
	cpu_set_t allowed;     /* this process's CPUs when the plan was made */
	cpu_set_t allowed_now; /* those, and what unpinned threads had at the last look */
	/* Emulator, each iothread (main first) and its worker, vCPUs; behind them what place_tasks() found. */
	struct placement *row;
	unsigned n, planned, room; /* rows in use, of them planned ones, and allocated ones */
	pid_t *foreign;		   /* tasks that were there before the plan: an embedder's own */
	unsigned nforeign;
	unsigned misplaced;		/* what place_look() or place_read() found */
	int inherited, inherited_prio;	/* the policy a thread starts with that is given none */
	bool live;			/* the guest runs: this is another plan for it */
	struct place_text *texts;	/* rules that were given later than the configuration's (place/live.c) */
};

/*
 * Make the plan and check it: CPUs allowed and on line, rules that match a thread, lists long enough. Warnings
 * (place_check()) become refusals with --strict-placement. 0, or -errno after one logged line. Main.
 */
int place_plan(struct place *place, const struct guest_config *cfg);
/* The same with `root` before /sys and /proc: "" is this host, tests make their own. */
int place_plan_at(struct place *place, const struct guest_config *cfg, const char *root);
/*
 * The plan's doubts about itself, for place_plan_at(); cfg->force turns some refusals into doubts. 0, or -EINVAL after one
 * logged line.
 */
int place_check(const struct place *place, const struct guest_config *cfg, const char *root);
void place_free(struct place *place);
struct placement *place_find(struct place *place, enum place_role role, unsigned index);
/* Whose worker that is. */
struct placement *place_owner(struct place *place, const struct placement *worker);

/* An engine is chosen now: its worker is the kernel's, or a thread of ours. index: the worker's. Returns its row. Main. */
struct placement *place_worker(struct place *place, unsigned index, bool by_kernel);

/*
 * Put the calling thread where its row says, and read back; without a pin that is at least the plan's CPUs, of those that
 * this process may still use. 0 or -errno, logged. The thread itself.
 */
int place_apply(struct placement *p);

/*
 * Look at every task of this process (place/tasks.c). A task that KVM made inherits the place of the thread that first
 * entered the guest: place_helpers() moves it to the emulator's CPUs and reads back; before the guest runs, 0 or -errno,
 * logged. place_look() is for the end: each row gets the kernel's latest answer, one error line for each task outside its
 * row's CPUs (without a pin: outside what this process may use by then), under a policy that a change could not take back,
 * or without a row (which gets one), and returns how many those were. Main.
 * place_read() does the same as often as somebody asks, and logs nothing.
 */
int place_helpers(struct place *place);
unsigned place_look(struct place *place);
unsigned place_read(struct place *place);
/* Note which tasks are there already. 0 or -errno, logged. */
int place_foreign(struct place *place);
/* What the kernel says of a task (0: the calling one). 0 or -errno, not logged. */
int place_ask(pid_t tid, cpu_set_t *cpus, struct place_sched *sched);

/* The table as lines of text: its head, and a row; with_actual: with what was read back, else with the reason. */
void place_head(char *line, size_t n, bool with_actual);
void place_line(const struct placement *row, bool with_actual, char *line, size_t n);
/* CPUs as the kernel writes them: 0,2-5. */
void place_format_cpus(const cpu_set_t *set, char *out, size_t n);
void place_format_sched(const struct place_sched *sched, char *out, size_t n);

#endif
