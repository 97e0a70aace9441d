/* SPDX-License-Identifier: Apache-2.0 */
/* What `pinvm stat` says to programs; metrics.h names the numbers. Pure. */
#ifndef PINVM_STAT_EXPORT_H
#define PINVM_STAT_EXPORT_H

#include <stdio.h>

#include "vmm/stat/metrics.h"

/*
 * Prometheus' text format 0.0.4: counters and gauges as they are now, no rates. A value of a label holds no
 * character that a terminal acts on.
 */
void prometheus_write(const struct subjects *s, FILE *out);

/*
 * CSV, RFC 4180 with lines ending in \n: one number a line, as many fields in each. time is of day, in
 * seconds; value is what it came to, per_second how fast it grew in the interval (empty: not known, or no
 * counter).
 */
void csv_header(FILE *out);
void csv_write(const struct subjects *s, FILE *out);

/* A number with all of its digits, a whole one without any behind the point; returns out. */
#define EXPORT_NUMBER 32
const char *export_number(double n, char out[EXPORT_NUMBER]);

#endif
