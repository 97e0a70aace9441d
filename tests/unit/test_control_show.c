// SPDX-License-Identifier: Apache-2.0
/* What `pinvm ctl` prints of an answer: lines for people, whatever its shape, and nothing that a terminal acts on. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/stat_unit.h"
#include "vmm/control/show.h"

/* malloc()ed. */
static char *shown(const char *json, bool as_json)
{
	json_t *result = json ? made(json) : NULL;
	FILE *real = stdout;
	char *text = NULL;
	size_t n;

	stdout = open_memstream(&text, &n);
	show_result(result, as_json);
	fclose(stdout);
	stdout = real;
	json_decref(result);
	return text;
}

START_TEST(lines)
{
	static const struct {
		const char *json, *want;
	} c[] = {
		{NULL, ""},
		{"{}", ""},
		{"{'bps': 1048576, 'iops': null, 'on': true, 'x': 0.5, 'name': 'disk0'}", "bps 1048576\niops null\non true\nx 0.5\nname disk0\n"},
		{"{'mode': 'auto', 'auto': {'limits': {'budget': 100, 'weight': 4}, 'stopped': null, 'recent': []}}",
			"mode auto\nauto.limits.budget 100\nauto.limits.weight 4\nauto.stopped null\nauto.recent []\n"},
		{"{'auto': {'recent': [{'halts': 7, 'why': 'cheaper'}, {'halts': 9, 'why': 'it pays'}]}, 'cpus': [1, 2]}",
			"auto.recent.0 halts 7, why cheaper\nauto.recent.1 halts 9, why it pays\ncpus [1,2]\n"},
		{"{'vcpus': [5, {'a': 1}], 'more': [{'a': [1]}, 7]}", "vcpus [5,{\"a\":1}]\nmore.0 a [1]\nmore.1 \n"},
	};

	for (size_t i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		char *text = shown(c[i].json, false);

		ck_assert_str_eq(text, c[i].want);
		free(text);
	}
}
END_TEST

START_TEST(long_lists)
{
	char json[4096] = "{'recent': [", *text;

	for (int i = 0; i < 20; i++)
		sprintf(json + strlen(json), "%s{'n': %d}", i ? ", " : "", i);
	strcat(json, "]}");
	text = shown(json, false);
	ck_assert_msg(!strncmp(text, "recent (20, the last 16; --json has all)\nrecent.4 n 4\n", 54), "%s", text);
	ck_assert_str_eq(strstr(text, "recent.19"), "recent.19 n 19\n");
	free(text);
	text = shown("{'a': {'b': 1}}", true);
	ck_assert_str_eq(text, "{\n  \"a\": {\n    \"b\": 1\n  }\n}\n");
	free(text);
}
END_TEST

START_TEST(harmless_lines)
{
	char *text = shown("{'" NASTY "': {'" NASTY "': '" NASTY "'}, 'list': [{'" NASTY "': '" NASTY "'}], 'texts': ['" NASTY "']}", false);

	harmless(text);
	free(text);
}
END_TEST

UNIT_MAIN("control_show", lines, long_lists, harmless_lines)
