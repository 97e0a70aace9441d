/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of `pinvm perf`. */
#ifndef PINVM_PERF_PRIV_H
#define PINVM_PERF_PRIV_H

#include "vmm/options/command.h"
#include "vmm/perf/events.h"

/* An action: `pinvm perf NAME stat`. */
struct perf_action {
	const char *name, *args, *help;
	const struct command_options *options;
	/* The words behind the action, without its options; the exit status. */
	int (*run)(const char *guest, int argc, char **argv);
	void (*more)(FILE *out); /* what its help has besides; NULL: nothing */
};

extern const struct perf_action perf_stat_action, perf_record_action;

/*
 * A descriptor that is readable when this process is to end (SIGINT, SIGTERM, SIGHUP), which it then does not
 * do by itself any more. -errno, logged.
 */
int perf_signals(void);

#endif
