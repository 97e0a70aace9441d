/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a guest answered, for people or as JSON, on stdout; it came over a socket, so nothing in it reaches a terminal that
 * would act on it.
 */
#ifndef PINVM_CONTROL_SHOW_H
#define PINVM_CONTROL_SHOW_H

#include <jansson.h>
#include <stdbool.h>

/* A text without control characters. */
void show_text(const char *text);
/* The same, at least so many bytes wide, and a blank. */
void show_column(const char *text, int width);
/*
 * What a command had to say, an object or NULL: a line for each member, of objects in it with both names (auto.limits.budget
 * 100), for each part of a list one with all of its members, for threads a table; or JSON.
 */
void show_result(json_t *result, bool as_json);
/* As JSON, whatever it is. */
void show_json(const json_t *value);

#endif
