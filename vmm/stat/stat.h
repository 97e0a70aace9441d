/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `pinvm stat NAME`: what a running guest does, for people and for programs. It looks from outside: at the
 * guest's report, over its control socket, and at /proc. One thread, in a process of its own, never the
 * VMM's.
 */
#ifndef PINVM_STAT_STAT_H
#define PINVM_STAT_STAT_H

#include <stdio.h>

/* The exit status. */
int stat_command(int argc, char **argv);
/* Its help, its options for the man page (man(7) requests) and for the completion, blanks between. */
void stat_help(FILE *out);
void stat_man(FILE *out);
/* Every number of stat, by its name for Prometheus. */
void metrics_man(FILE *out);
void stat_flags(FILE *out);

#endif
