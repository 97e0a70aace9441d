/* SPDX-License-Identifier: Apache-2.0 */
/* The guest that `pinvm perf` looks at: its process and its threads. The client's one thread. */
#ifndef PINVM_PERF_GUEST_H
#define PINVM_PERF_GUEST_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

struct perf_thread {
	pid_t tid;
	int vcpu; /* -1: it runs no guest */
	char name[32];
};

struct perf_guest {
	char *name;
	pid_t pid;
	int pidfd;		    /* readable: the process has ended */
	struct perf_thread *thread; /* vCPUs first, in their order */
	unsigned n;
};

/*
 * Ask the guest `name` for its threads: its vCPUs, with `all` the others too that exist. 0, or the exit
 * status (END_USAGE, END_SETUP), logged. perf_guest_free() in any case.
 */
int perf_guest_find(struct perf_guest *guest, const char *name, bool all);
void perf_guest_free(struct perf_guest *guest);

/* The threads in a report (`pinvm ctl NAME report`): 0, -ENOMEM, or -EPROTO: it has none. Pure. */
int perf_guest_threads(struct perf_guest *guest, const json_t *report, bool all);

#endif
