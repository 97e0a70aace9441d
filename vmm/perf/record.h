/* SPDX-License-Identifier: Apache-2.0 */
/* What `pinvm perf NAME record` has perf(1) do: its command line, and which thread was which vCPU. Pure. */
#ifndef PINVM_PERF_RECORD_H
#define PINVM_PERF_RECORD_H

#include <stdio.h>

#include "vmm/perf/events.h"
#include "vmm/perf/guest.h"

struct perf_record {
	char *output, *event;		    /* event: as perf(1) writes it; NULL: perf_record_event()'s */
	uint64_t duration_ns;		    /* 0: until somebody ends it */
	unsigned frequency;		    /* 0: perf's */
	char *kallsyms, *modules, *vmlinux; /* of the guest; NULL: none */
	bool all, dry_run;
	char **more; /* options for perf record, as they are */
	int nmore;
};

/* A list of words that grows; NULL behind the last, for execv(3). */
struct perf_words {
	char **word;
	unsigned n;
	bool failed; /* there was no memory for one */
};

/*
 * The event by default, and in `why` what is to be said of it ("": nothing): a trace of the CPU where it has
 * one, else samples of it, else of a clock.
 */
const char *perf_record_event(const char *root, const struct perf_machine *machine, char *why, size_t n);
/* perf(1)'s command line; perf_words_free() in any case. 0 or -ENOMEM. */
int perf_record_words(struct perf_words *words, const struct perf_record *record,
	const struct perf_guest *guest, const char *event);
/* How the file is looked at, the same way. */
int perf_report_words(struct perf_words *words, const struct perf_record *record);
void perf_words_free(struct perf_words *words);
/* As one types it in a shell, with a line end. */
void perf_words_print(FILE *out, const struct perf_words *words);

/* Thread, vCPU and name, a line each, below one that starts with '#'. */
void perf_record_map(FILE *out, const struct perf_guest *guest);

#endif
