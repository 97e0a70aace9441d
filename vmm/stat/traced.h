/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `pinvm stat --trace`: what the kernel's tracepoints tell (vmm/trace/trace.h), put into the documents.
 * Tracing is only as long as this process looks. One thread.
 */
#ifndef PINVM_STAT_TRACED_H
#define PINVM_STAT_TRACED_H

#include <jansson.h>
#include <sys/types.h>

#include "vmm/control/ask.h"
#include "vmm/trace/trace.h"

struct traced {
	struct trace *trace; /* NULL: nothing is traced, or the guest's threads are just being replaced */
	struct trace_thread *thread;
	unsigned n;
};

/* Trace the vCPUs of a document's guest. 0 or -errno, logged with what is missing. */
int traced_begin(struct traced *traced, const struct ask *ask, const json_t *doc);
void traced_end(struct traced *traced); /* harmless at any time */

/* Take in what the kernel has, until then (CLOCK_MONOTONIC, ns) or until fd has something to read. */
void traced_wait(struct traced *traced, uint64_t until_ns, int fd);

/*
 * Add `trace` to the document and to each of its vCPUs: the interval since the last call. A guest that was
 * restarted has other threads: their numbers begin at 0.
 */
void traced_add(struct traced *traced, const struct ask *ask, json_t *doc);

#endif
