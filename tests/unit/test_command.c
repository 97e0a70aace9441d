// SPDX-License-Identifier: Apache-2.0
/* Options of the commands that are not `run`: from words to values, and what is said of them. */
#include <errno.h>
#include <string.h>

#include "tests/unit/said.h"
#include "tests/unit/unit.h"
#include "vmm/options/command.h"

struct values {
	char *file;
	uint64_t interval;
	unsigned count;
	bool json;
};

static const struct command_option option[] = {
	{'o', {"output", "FILE", "where to", OPT_STRING, offsetof(struct values, file), .min = 1, .max = 8}},
	{0, {"interval", "TIME", "how long", OPT_DURATION, offsetof(struct values, interval),
		    .max = 60000000000, .def = 1000000000}},
	{'c', {"count", "N", "how often", OPT_UINT, offsetof(struct values, count), .max = 9, .def = 1}},
	{0, {"json", NULL, "for programs", OPT_BOOL, offsetof(struct values, json)}},
};

static const struct command_options table = {"look", option, sizeof(option) / sizeof(option[0])};

#define WORDS 12

/* Parse a line of words; those left over are in word[1..words-1]. */
static char text[128], *word[WORDS];
static int words;
static struct values v;

static int parse(const char *line)
{
	char *save;

	strcpy(text, line);
	word[0] = (char *)"look";
	words = 1;
	for (char *p = strtok_r(text, " ", &save); p; p = strtok_r(NULL, " ", &save))
		word[words++] = p;
	memset(&v, 0, sizeof(v));
	lines = 0;
	return command_parse(&table, &words, word, &v);
}

START_TEST(options_stand_anywhere)
{
	ck_assert_int_eq(parse("vm"), 0);
	ck_assert_int_eq(words, 2);
	ck_assert_uint_eq(v.interval, 1000000000);
	ck_assert_uint_eq(v.count, 1);
	ck_assert(!v.json && !v.file);

	ck_assert_int_eq(parse("--json vm -c3 stat --interval=20ms -o f"), 0);
	ck_assert_int_eq(words, 3);
	ck_assert_str_eq(word[1], "vm");
	ck_assert_str_eq(word[2], "stat");
	ck_assert_uint_eq(v.interval, 20000000);
	ck_assert_uint_eq(v.count, 3);
	ck_assert(v.json);
	ck_assert_str_eq(v.file, "f");
	command_free(&table, &v);
	ck_assert_ptr_null(v.file);
	ck_assert_uint_eq(lines, 0);
}
END_TEST

START_TEST(two_dashes_end_them)
{
	ck_assert_int_eq(parse("vm -c 2 -- --json -x"), 0);
	ck_assert_int_eq(words, 5);
	ck_assert_str_eq(word[2], "--");
	ck_assert_str_eq(word[3], "--json");
	ck_assert_str_eq(word[4], "-x");
	ck_assert(!v.json);
}
END_TEST

START_TEST(help_is_asked_for)
{
	ck_assert_int_eq(parse("vm -o f --help --nonsense"), 1);
	ck_assert_ptr_null(v.file);
	ck_assert_int_eq(parse("-h"), 1);
	ck_assert_uint_eq(lines, 0);
}
END_TEST

START_TEST(mistakes_are_one_line)
{
	static const struct {
		const char *line, *said;
	} wrong[] = {
		{"vm --jsn", "look: --jsn: unknown option; did you mean --json?"},
		{"vm --frobnicate=3", "look: --frobnicate: unknown option; `pinvm help look` lists them"},
		{"vm -x", "look: -x: unknown option; `pinvm help look` lists them"},
		{"vm -o", "look: --output: needs a value, FILE"},
		{"vm -c 1 --count 2", "look: --count: given twice"},
		{"vm -o f -c 10", "look: --count 10: must be 0 to 9"},
		{"vm --json=maybe", "look: --json maybe: must be on or off"},
		{"vm -o 123456789", "look: --output 123456789: must be at most 8 characters"},
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		ck_assert_int_eq(parse(wrong[i].line), -EINVAL);
		ck_assert_str_eq(said, wrong[i].said);
		ck_assert_uint_eq(lines, 1);
		ck_assert_ptr_null(v.file);
	}
}
END_TEST

/* All that is printed of the table, and the parser knows every word of it. */
START_TEST(texts_are_of_the_table)
{
	char *out;
	size_t n;
	FILE *f = open_memstream(&out, &n);

	command_help(f, &table);
	fclose(f);
	ck_assert_str_eq(out, "  -o, --output FILE           where to\n"
			      "      --interval TIME         how long (default 1s)\n"
			      "  -c, --count N               how often, 0 to 9 (default 1)\n"
			      "      --json                  for programs\n");
	free(out);
	f = open_memstream(&out, &n);
	command_words(f, &table);
	fclose(f);
	ck_assert_str_eq(out, "--output --interval --count --json");
	free(out);
	f = open_memstream(&out, &n);
	command_man(f, &table);
	fclose(f);
	ck_assert_ptr_nonnull(strstr(out, ".TP\n\\fB\\-o\\fR, \\fB\\-\\-output\\fR FILE\nwhere to\n"));
	ck_assert_ptr_nonnull(strstr(out, ".TP\n\\fB\\-\\-json\\fR\nfor programs\n"));
	free(out);
}
END_TEST

UNIT_MAIN("command", options_stand_anywhere, two_dashes_end_them, help_is_asked_for, mistakes_are_one_line,
	texts_are_of_the_table)
