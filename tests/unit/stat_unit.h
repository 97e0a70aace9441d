/* SPDX-License-Identifier: Apache-2.0 */
/* Documents made up for the tests of `pinvm stat`. */
#ifndef PINVM_TESTS_STAT_UNIT_H
#define PINVM_TESTS_STAT_UNIT_H

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/unit.h"
#include "vmm/stat/document.h"
#include "vmm/stat/export.h"
#include "vmm/stat/metrics.h"
#include "vmm/stat/screen.h"
#include "vmm/stat/text.h"

/* Names that would move a terminal's cursor, end a line or a label, or are no text at all: in JSON. */
#define NASTY	   "a\\\"b\\\\c\\nd\\u001b[2Je\\u009b1mf\\u007fg,h"
#define NASTY_SAFE "a\"b\\c?d?[2Je?1mf?g,h"

/* JSON with ' for ", as it is easier to read here. */
static inline json_t *made(const char *text)
{
	char *copy = strdup(text);
	json_error_t why;
	json_t *json;

	for (char *p = copy; *p; p++)
		if (*p == '\'')
			*p = '"';
	json = json_loads(copy, 0, &why);
	ck_assert_msg(json != NULL, "%s: %s", why.text, copy);
	free(copy);
	return json;
}

/* `now` with its rates, after `before` (NULL: none). */
static inline json_t *rated(const char *before, const char *now)
{
	json_t *b = before ? made(before) : NULL, *n = made(now);
	struct subjects s;

	ck_assert_int_eq(subjects_find(&s, n, b), 0);
	document_rates(&s);
	subjects_free(&s);
	json_decref(b);
	return n;
}

/* The number at a path that also goes into arrays: "vcpus.0.rates.user_exits"; -1: there is none. */
static inline double at(const json_t *json, const char *path)
{
	while (json && *path) {
		char key[64];
		size_t n = strcspn(path, ".");

		ck_assert_uint_lt(n, sizeof(key));
		memcpy(key, path, n);
		key[n] = '\0';
		json = json_is_array(json) ? json_array_get(json, atoi(key)) : json_object_get(json, key);
		path += n + (path[n] == '.');
	}
	return json_is_number(json) ? json_number_value(json) : -1;
}

/* What a function writes, malloc()ed. */
#define WRITTEN(call)                                       \
	({                                                  \
		char *text_ = NULL;                         \
		size_t size_;                               \
		FILE *out = open_memstream(&text_, &size_); \
		call;                                       \
		fclose(out);                                \
		text_;                                      \
	})

/* Nothing in it that a terminal acts on, but ends of lines. */
static inline void harmless(const char *text)
{
	char *safe = text_safe(text);

	for (char *p = safe; *p; p++)
		if (*p == '?' && text[p - safe] == '\n')
			*p = '\n';
	ck_assert_str_eq(safe, text);
	free(safe);
}

#endif
