/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `pinvm perf`: a running guest's threads under the kernel's performance events, by vCPU, guest and host
 * apart. A client in a process of its own, never in the VMM. One thread.
 */
#ifndef PINVM_PERF_PERF_H
#define PINVM_PERF_PERF_H

#include <stdio.h>

/* `pinvm perf NAME stat|record ...`: the exit status. */
int perf_main(int argc, char **argv);
/* Its help, its part of the man page (man(7) requests), and what the completion offers of it. */
void perf_help(FILE *out);
void perf_man(FILE *out);
void perf_words(FILE *out);
void perf_flags(FILE *out);
void perf_values(FILE *out);

#endif
