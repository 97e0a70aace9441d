// SPDX-License-Identifier: Apache-2.0
/* See show.h. One thread, no guest of its own. */
#include "vmm/control/show.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/log.h"

#define PATH_SHOWN 256 /* bytes of the names that lead to a member */
#define LIST_SHOWN 16

/* The controls of ISO 8859-1, U+0080 to U+009F, are two bytes each in UTF-8, which is all that JSON has. */
void show_text(const char *text)
{
	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		if (p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0) {
			putchar('?');
			p++;
		} else {
			putchar(*p < ' ' || *p == 0x7f ? '?' : *p);
		}
	}
}

/* jansson writes what is above 0x7e as it is; a program may have it, a terminal would act on some of it. */
void show_json(const json_t *value)
{
	size_t ascii = isatty(STDOUT_FILENO) ? JSON_ENSURE_ASCII : 0;
	char *text = json_dumps(value, JSON_INDENT(2) | JSON_REAL_PRECISION(9) | ascii);

	for (char *p = text; p && *p; p++)
		if (*p == 0x7f)
			*p = '?';
	puts(text ? text : "{}");
	free(text);
}

static void show_value(const json_t *value)
{
	char *text;

	if (json_is_string(value)) {
		show_text(json_string_value(value));
		return;
	}
	text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(9));
	show_text(text ? text : "?");
	free(text);
}

static const char *text_in(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "-";
}

void show_column(const char *text, int width)
{
	int len = strlen(text);

	show_text(text);
	printf("%*s ", len < width ? width - len : 0, "");
}

/* Threads that were moved: from where, to where, under which policy; warnings to those who read. */
static bool show_moves(json_t *result)
{
	json_t *threads = json_object_get(result, "threads"), *one;
	size_t i;

	if (!json_object_get(json_array_get(threads, 0), "before"))
		return false;
	show_column("THREAD", 20);
	show_column("BEFORE", 12);
	show_column("CPUS", 12);
	puts("POLICY");
	json_array_foreach(threads, i, one)
	{
		const json_t *place = json_object_get(one, "placement");

		show_column(text_in(one, "name"), 20);
		show_column(text_in(json_object_get(one, "before"), "cpus"), 12);
		show_column(text_in(place, json_is_null(json_object_get(place, "actual")) ? "wanted" : "actual"), 12);
		show_text(text_in(place, "actual_policy"));
		puts("");
	}
	json_array_foreach(json_object_get(result, "warnings"), i, one)
	{
		if (json_is_string(one))
			log_warn("%s", json_string_value(one));
	}
	return true;
}

static bool has_parts(json_t *array)
{
	return json_is_object(json_array_get(array, 0));
}

/* One line: its members, a comma between. */
static void show_part(json_t *object)
{
	const char *name, *gap = "";
	json_t *value;

	json_object_foreach(object, name, value)
	{
		fputs(gap, stdout);
		show_text(name);
		putchar(' ');
		show_value(value);
		gap = ", ";
	}
	puts("");
}

/* The newest are the last. */
static void show_parts(const char *path, json_t *array)
{
	size_t n = json_array_size(array), from = n > LIST_SHOWN ? n - LIST_SHOWN : 0;

	if (from) {
		show_text(path);
		printf(" (%zu, the last %d; --json has all)\n", n, LIST_SHOWN);
	}
	for (size_t i = from; i < n; i++) {
		show_text(path);
		printf(".%zu ", i);
		show_part(json_array_get(array, i));
	}
}

/* A line for each member, with the names that lead there: auto.limits.budget 100. */
static void show_members(const char *above, json_t *object)
{
	const char *name;
	json_t *value;

	json_object_foreach(object, name, value)
	{
		char path[PATH_SHOWN];

		snprintf(path, sizeof(path), "%s%s%s", above, *above ? "." : "", name);
		if (json_is_object(value)) {
			show_members(path, value);
		} else if (has_parts(value)) {
			show_parts(path, value);
		} else {
			show_text(path);
			putchar(' ');
			show_value(value);
			puts("");
		}
	}
}

void show_result(json_t *result, bool as_json)
{
	if (as_json)
		show_json(result);
	else if (result && !show_moves(result))
		show_members("", result);
}
