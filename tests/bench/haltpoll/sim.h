/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A simulator of halt polling: traces of halts, the kernel's moves of a vCPU's window below a ceiling (the
 * plant), who sets that ceiling or polls by a rule of its own (competitors), and what it costs.
 * Deterministic: no clock, no randomness but its own. One thread.
 *
 * The price of a halt, for everybody: ns polled + block_ns for each block + weight * latency added, where the
 * latency of a block is wake_ns and what a runnable task of somebody else's delays it. Regret: the price of a
 * trace over the lowest that any fixed ceiling would have had on the same trace and the same kernel.
 */
#ifndef PINVM_BENCH_HALTPOLL_SIM_H
#define PINVM_BENCH_HALTPOLL_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "vmm/haltpoll/decide.h"

#define SIM_NAME  32
#define SIM_TIME  30e9 /* ns that a trace fills, unless that takes too many halts */
#define SIM_HALTS 1000000

/* The vCPU runs for run_ns, halts, and its event comes gap_ns later. */
struct halt {
	uint32_t run_ns, gap_ns;
};

struct trace {
	char name[SIM_NAME], family[SIM_NAME];
	double limit; /* of our regret */
	struct halt *halt;
	size_t n;
	/* Somebody else's task on the same CPU, runnable for busy_ns of each period_ns; 0: nobody. */
	uint64_t period_ns, busy_ns;
	/* Where it was recorded: what a block cost there, and how late one woke; 0: made, or nobody knows. */
	uint64_t block_ns, wake_ns;
};

/* families.c: how many made traces there are; trace i with about `scale` of its full length; to be freed.
 * With a variant above 0 it is another one of its kind, with another seed and other lengths of all that has
 * one: the controller was not tuned with those. */
unsigned sim_traces(void);
int sim_trace_make(struct trace *trace, unsigned i, unsigned variant, double scale);
void sim_trace_free(struct trace *trace);
/*
 * file.c: what tools/halts wrote: lines "RUN HALT", # for comments, and before the first of them
 *   unit NS            of all numbers of such lines; without: 1
 *   host BLOCK WAKE    what a block costs there and how late one wakes, in ns; without: not known
 *   family NAME        without: recorded
 * 0 or -errno; -EINVAL with the number of the line in *line.
 */
int sim_trace_read(struct trace *trace, const char *path, unsigned *line);
/*
 * A recording as it is played: halts without the wake-up that the recorder's host needed, again from the
 * beginning until SIM_TIME is full. Not as it was: each time longer or shorter by the same factor, so that a
 * block and a wake-up, together, cost what they cost on that host; or so that half of the gaps are shorter
 * than half of `price`, where it is hard to say whether polls pay. To be freed. 0 or -errno; -ENODATA: it is
 * not known what they cost where it was recorded.
 */
enum sim_pace { SIM_AS_IT_WAS, SIM_AT_PACE, SIM_NEAR, SIM_PACES };
int sim_trace_play(struct trace *to, const struct trace *recorded, enum sim_pace how,
	const struct halt_host *host, double price);

/* The host, and the vCPU on it. */
struct plant {
	struct halt_host host;
	unsigned weight;
	const struct trace *trace;
	uint64_t now_ns, window_ns;
	/* What came of it. */
	double polled_ns, latency_ns;
	uint64_t blocks;
	struct halt_window *count; /* as KVM and schedstat would count; NULL: nobody asks */
};

/* plant.c: one halt below a ceiling the kernel was given; one with a window somebody chose. */
void plant_halt(struct plant *plant, const struct halt *halt, uint64_t ceiling_ns);
/* Returns how long it was until the vCPU went on. */
uint64_t plant_poll(struct plant *plant, const struct halt *halt, uint64_t window_ns);
double plant_price(const struct plant *plant);

/* rivals.c and ours.c: run a whole trace. */
struct competitor {
	const char *name;
	void (*run)(struct plant *plant, uint64_t arg);
	uint64_t arg;
};
extern const struct competitor sim_competitor[];
extern const unsigned sim_competitors;
#define SIM_OURS 0 /* the first of them */
void sim_run_fixed(struct plant *plant, uint64_t ceiling_ns);
void sim_run_ours(struct plant *plant, uint64_t unused);
/* Where ours writes its inputs and decisions; NULL: nowhere. */
extern FILE *sim_decisions;

/* score.c */
struct result {
	double cpu, latency_ns; /* CPU time spent on halts over the trace's time; mean latency of a halt */
	double price;		/* of a halt */
	double regret;
};

struct scored {
	struct trace trace; /* without its halts */
	uint64_t best_ns;   /* the fixed ceiling that was best */
	double best_price;
	double bare_price; /* of the best fixed window, that no kernel offers */
	struct result result[16];
};

/* Of a family over all of them: the worst regret of a competitor; the first that is of the same family as
 * entry i. */
double sim_worst(const struct scored *scored, unsigned n, const char *family, unsigned competitor);
unsigned sim_first_of_family(const struct scored *scored, unsigned i);
void sim_score(
	struct scored *scored, const struct trace *trace, const struct halt_host *host, unsigned weight);

/* A kernel, and a machine. */
struct setting {
	const char *name;
	struct halt_host host;
	unsigned weight;
};
extern const struct setting sim_setting[];
extern const unsigned sim_settings, sim_held_out; /* in all; the last so many are for held-out traces only */

/* svg.c: a plot of the worst regret by family and competitor. 0 or -errno. */
int sim_plot(const char *path, const struct scored *scored, unsigned n);

#endif
