/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `pinvm stat` shows, as one JSON document: the guest's report, and what was seen from outside. Names in
 * it are a promise to scripts: add, do not rename. One thread.
 */
#ifndef PINVM_STAT_DOCUMENT_H
#define PINVM_STAT_DOCUMENT_H

#include <jansson.h>

#include "vmm/control/ask.h"

/*
 * Take one: the report, with `state` and `time` (of day, seconds) besides, and `task` (task.h) of each
 * thread. 0 with the document, the caller's, or -errno as ask_for() has it; a refusal is
 * logged.
 */
int document_take(struct ask *ask, json_t **doc);

/*
 * Pure: add since_placement to the thread's task: what of its involuntary_switches and migrations came after it was placed
 * (placement.counted_before); where nothing was asked for, or that is not known, since it began.
 */
void document_since_placement(json_t *thread);

struct subjects;

/*
 * Pure: add what two documents tell together. Each object that has numbers gets `rates`: how much its metrics
 * grew a second, by metric_name(), of histograms how many values there were, NAME_count; `mean`, `p50` and
 * `p99` of histograms: seconds, of the interval. Threads get `time`: percent of the interval by kind. What is
 * not known is missing; there is no rate without a document before, without time in between, or of a number
 * that became less.
 */
void document_rates(struct subjects *subjects);

#endif
