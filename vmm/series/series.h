/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The time series of a run (--stats FILE): now and then a line with the guest's counters, each one JSON object, written by
 * main's loop; no vCPU and no iothread knows of it. Main only.
 */
#ifndef PINVM_SERIES_SERIES_H
#define PINVM_SERIES_SERIES_H

#include <stdint.h>

struct guest;
struct json_t;
struct series;

/* A series has two halves (sink.h), each with room for some lines of the largest guests. */
#define SERIES_MAX_MIN	    (1ULL << 20)
#define SERIES_MAX_DEFAULT  (64ULL << 20)
#define SERIES_INTERVAL_MIN 1000000ULL /* ns */

/* What guest->cfg asks for; NULL: nothing. While there is a right to open files. 0, or -errno, logged. */
int series_open(struct series **series, struct guest *guest);
/* The first line, and from now on one each interval. NULL: nothing happens, here and below. 0, or -errno, logged. */
int series_begin(struct series *series);
/* The last one, with the totals of it all: vCPUs and devices have come to their end. 0, or -errno: it could not be written. */
int series_end(struct series *series);
void series_close(struct series *series);

/* series_json.c: the totals of this moment; lost: lines left out so far. Names are a promise, and those of the report. NULL
 * without memory. */
struct json_t *series_json(const struct guest *guest, uint64_t lost);

#endif
