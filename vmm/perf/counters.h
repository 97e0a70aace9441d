/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters of the kernel (perf_event_open(2)) on the threads of another process: every event for the guest
 * and for the host apart where the hardware can, in groups that are counted at the same time. The client's
 * one thread.
 */
#ifndef PINVM_PERF_COUNTERS_H
#define PINVM_PERF_COUNTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "vmm/perf/events.h"
#include "vmm/perf/guest.h"

/* What a count is of: code of the guest, of the host (KVM and pinvm), or both together, where they cannot be
 * told apart. */
enum perf_side { PERF_GUEST, PERF_HOST, PERF_BOTH, PERF_SIDES };

/* As the kernel has it: `enabled` and `running` are ns of the thread on a CPU, and of those with the counter
 * on. */
struct perf_count {
	uint64_t value, enabled, running;
};

/* What is known of a count after a time. */
struct perf_value {
	bool known;	/* false: the counter never got its turn, `n` is 0 */
	uint64_t n;	/* scaled to the whole time */
	double counted; /* share of the time that was counted, 0 to 1: 1 when nothing was scaled */
};

/* The time between two readings; a thread that was on no CPU has counted nothing, for certain. Pure. */
struct perf_count perf_count_since(const struct perf_count *now, const struct perf_count *before);
struct perf_value perf_scale(const struct perf_count *count);
/* Both together; unknown when one is. Pure. */
struct perf_value perf_sum(const struct perf_value *a, const struct perf_value *b);

struct perf_counters {
	const struct perf_selection *events;
	unsigned threads;
	int *fd;		  /* of each thread, event and side; -1: there is none */
	struct perf_count *count; /* as last read */
};

/* The place of a count among those of all threads. */
static inline size_t perf_at(
	const struct perf_selection *events, unsigned thread, unsigned event, enum perf_side side)
{
	return ((size_t)thread * events->n + event) * PERF_SIDES + side;
}

/*
 * Open and start all counters. `asked`: the events were asked for by name, and one that cannot be had is an
 * error; else it is taken out of *events, with the reason. 0, or -errno, logged; -ESRCH: a thread has ended,
 * not logged. perf_counters_close() in any case.
 */
int perf_counters_open(struct perf_counters *counters, const struct perf_guest *guest,
	struct perf_selection *events, bool asked);
/* Into counters->count. 0 or -errno, logged. */
int perf_counters_read(struct perf_counters *counters);
void perf_counters_close(struct perf_counters *counters);

/*
 * Why perf_event_open() refused (-EACCES, -EPERM), and how it is allowed: `paranoid` is
 * kernel.perf_event_paranoid, -2: not known. Pure.
 */
void perf_refusal(int err, int paranoid, char *out, size_t n);

#endif
