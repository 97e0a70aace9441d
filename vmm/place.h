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

#include "vmm/config.h"

enum place_role { PLACE_VCPU, PLACE_IOTHREAD, PLACE_EMULATOR };

struct place_sched {
	int policy;                         /* SCHED_OTHER, _BATCH, _IDLE, _FIFO, _RR, _DEADLINE */
	int prio;                           /* _FIFO and _RR: 1..99; _OTHER and _BATCH: nice, -20..19 */
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

/* One thread: what is wanted and why, and (after place_apply()) what the kernel says. */
struct placement {
	enum place_role role;
	unsigned index;
	char name[16]; /* the thread's */
	cpu_set_t cpus;
	struct place_sched sched;
	bool pinned, sched_given;
	const char *cpus_why, *sched_why; /* text of the rule, NULL: none */

	bool applied;
	cpu_set_t actual_cpus;
	struct place_sched actual_sched;
};

struct place {
	cpu_set_t allowed; /* this process's CPUs when the plan was made */
	struct placement *row; /* emulator, iothreads (main first), vCPUs */
	unsigned n;
};

/*
 * Make the plan and check it: CPUs allowed and on line, rules that match a thread, lists long enough. Warnings (vCPUs
 * that share a CPU or a core) become refusals with --strict-placement. 0, or -errno after one logged line. Main.
 */
int place_plan(struct place *place, const struct guest_config *cfg);
void place_free(struct place *place);
struct placement *place_find(struct place *place, enum place_role role, unsigned index);

/* Put the calling thread where its row says, and read back. 0 or -errno, logged. The thread itself. */
int place_apply(struct placement *p);

/* The table as lines of text: its head, and a row; with_actual: with what was read back, else with the reason. */
void place_head(char *line, size_t n, bool with_actual);
void place_line(const struct placement *row, bool with_actual, char *line, size_t n);
/* CPUs as the kernel writes them: 0,2-5. */
void place_format_cpus(const cpu_set_t *set, char *out, size_t n);
void place_format_sched(const struct place_sched *sched, char *out, size_t n);

#endif
