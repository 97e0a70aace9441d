/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which events `pinvm perf` can count: one table of names, and what the kernel and the CPU of this host make
 * of them. Pure but for reading below `root` ("" is this host). The client's one thread.
 */
#ifndef PINVM_PERF_EVENTS_H
#define PINVM_PERF_EVENTS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define PERF_EVENTS  32 /* of one selection, at most */
#define PERF_NAME    24
#define PERF_DEVICES "/sys/bus/event_source/devices"

/* The CPU and its performance monitoring unit (PMU). */
struct perf_machine {
	char pmu[64];	   /* its name in PERF_DEVICES; "": there is none */
	uint32_t pmu_type; /* perf_event_attr.type of its own events */
	bool hybrid;	   /* there are other kinds of cores, with another PMU each; this one is counted */
	char cpus[128];	   /* hybrid: the cores it counts, a list */
	char vendor[16];   /* of x86; "": not known */
	unsigned family, model;
};

struct perf_event {
	char name[PERF_NAME];
	uint32_t type; /* of perf_event_attr, as config */
	uint64_t config;
	bool split;	/* guest and host are counted apart */
	bool time;	/* in nanoseconds */
	unsigned group; /* those of one number are counted at the same time, and stand together */
};

/* One that was wanted and that this machine does not have. */
struct perf_missing {
	char name[PERF_NAME];
	char why[160];
};

struct perf_selection {
	struct perf_event event[PERF_EVENTS];
	unsigned n;
	struct perf_missing missing[PERF_EVENTS]; /* always none where events were asked for by name */
	unsigned nmissing;
};

void perf_machine_read(const char *root, struct perf_machine *machine);

/*
 * The events of `list`, names from the table or rNNN with commas between, in the table's order; NULL: the
 * usual ones. 0; -EINVAL: the list is wrong, -ENODEV: this machine does not have what it asks for, after one
 * logged line.
 */
int perf_select(
	const char *root, const struct perf_machine *machine, const char *list, struct perf_selection *out);
/* Take event i out, for this reason. */
void perf_drop(struct perf_selection *selection, unsigned i, const char *why);

/* The table for people: help, man page (man(7) requests), completion. */
void perf_events_help(FILE *out);
void perf_events_man(FILE *out);
void perf_events_words(FILE *out);

#endif
