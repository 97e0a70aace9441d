/* SPDX-License-Identifier: Apache-2.0 */
/* `pinvm stat` for people: a document (document.h) with its rates as text. Pure. */
#ifndef PINVM_STAT_SCREEN_H
#define PINVM_STAT_SCREEN_H

#include <jansson.h>
#include <stdio.h>

/* Lines of `width` columns at most (GRID_WIDE: whole), in a stable order. */
void screen_write(const json_t *doc, FILE *out, unsigned width);

/* A line of words, made safe, cut where the screen ends. */
void screen_line(const char *text, FILE *out, unsigned width);

/* screen_settings.c: halt polling and its last decision, and the guest's cgroup. */
void screen_settings(const json_t *doc, FILE *out, unsigned width);

/* screen_why.c: why vCPUs leave the guest, the busiest reasons of each. */
void screen_why(const json_t *doc, FILE *out, unsigned width);

/* screen_trace.c: what --trace saw; nothing without it. */
void screen_trace(const json_t *doc, FILE *out, unsigned width);

#endif
