/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers and foreign text as `pinvm stat` prints them. Names and words come over a socket or from /proc:
 * what a terminal would act on (C0, DEL, C1, line separators) never leaves here. Pure; any thread.
 */
#ifndef PINVM_STAT_TEXT_H
#define PINVM_STAT_TEXT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* A copy, malloc()ed, in which each such character is one '?', and each byte that is no UTF-8, too. NULL: no
 * memory. */
char *text_safe(const char *text);
/* How many columns safe text takes, one a code point. */
unsigned text_columns(const char *text);
/* Where its first n columns end, in bytes. */
size_t text_cut(const char *text, unsigned n);

#define TEXT_NUMBER 24 /* room for what these write */

/* 7 8.5 120 1.2k 34M: a count, or how many a second. */
const char *text_count(double n, char out[TEXT_NUMBER]);
/* 512 1.2K 34M 2.0G: bytes, powers of 1024. */
const char *text_bytes(double n, char out[TEXT_NUMBER]);
/* 350ns 1.2us 34ms 1.5s */
const char *text_seconds(double s, char out[TEXT_NUMBER]);
/* 0.0 12.3 100.0 */
const char *text_percent(double n, char out[TEXT_NUMBER]);

/* The member of nested objects that "a.b.c" leads to; NULL: there is none. */
json_t *json_at(const json_t *json, const char *path);
/* Likewise a number, or a boolean as 0 and 1. False: there is none. */
bool json_number_at(const json_t *json, const char *path, double *out);
/* Likewise a text; NULL: there is none. */
const char *json_text_at(const json_t *json, const char *path);

#endif
