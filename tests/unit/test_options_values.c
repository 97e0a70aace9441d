// SPDX-License-Identifier: Apache-2.0
/* The spellings of values: sizes, counts_and_bits, durations, CPU lists, names, and items between commas. */
#include <stdio.h>
#include <string.h>

#include "tests/unit/unit.h"
#include "vmm/options/values.h"

START_TEST(sizes)
{
	char text[32];
	uint64_t v = 77;

	ck_assert_ptr_null(value_size("512", 1 << 20, &v));
	ck_assert_uint_eq(v, 512ULL << 20);
	ck_assert_ptr_null(value_size("512", 1, &v));
	ck_assert_uint_eq(v, 512);
	ck_assert_ptr_null(value_size("3K", 1, &v));
	ck_assert_uint_eq(v, 3072);
	ck_assert_ptr_null(value_size("2T", 1, &v));
	ck_assert_uint_eq(v, 2ULL << 40);
	value_format_size(v, text, sizeof(text));
	ck_assert_str_eq(text, "2T");
	value_format_size(1536ULL << 20, text, sizeof(text));
	ck_assert_str_eq(text, "1536M");
	value_format_size(0, text, sizeof(text));
	ck_assert_str_eq(text, "0");
	v = 77;
	for (const char *const *bad = (const char *const[]){"", "K", "1k", "1KB", "1 K", " 1", "-1", "1.5G",
		     "0x1", "1P", NULL};
		*bad; bad++)
		ck_assert_msg(value_size(*bad, 1, &v) != NULL, "%s", *bad);
	ck_assert_str_eq(value_size("16777216T", 1, &v), "too large");
	ck_assert_str_eq(value_size("18446744073709551616", 1, &v), "too large");
	ck_assert_ptr_null(value_size("18446744073709551615", 1, &v));
	ck_assert_uint_eq(v, UINT64_MAX);
	ck_assert_str_eq(value_size("18446744073709551615", 1 << 20, &v), "too large");
}
END_TEST

/* Counts go by 1000, and bits of networks are told in bytes. */
START_TEST(counts_and_bits)
{
	uint64_t v = 77;

	ck_assert_ptr_null(value_count("12", &v));
	ck_assert_uint_eq(v, 12);
	ck_assert_ptr_null(value_count("3K", &v));
	ck_assert_uint_eq(v, 3000);
	ck_assert_ptr_null(value_count("2G", &v));
	ck_assert_uint_eq(v, 2000000000);
	ck_assert_str_eq(value_count("18446744073709552K", &v), "too large");
	for (const char *const *bad = (const char *const[]){"", "K", "1k", "1T", "1.5K", "-1", " 1", NULL}; *bad; bad++)
		ck_assert_msg(value_count(*bad, &v) != NULL, "%s", *bad);
	ck_assert_uint_eq(v, 2000000000);
	ck_assert(value_bits("10Mbit", &v));
	ck_assert_uint_eq(v, 1250000);
	ck_assert(value_bits("1Gbps", &v));
	ck_assert_uint_eq(v, 125000000);
	ck_assert(value_bits("64bit/s", &v));
	ck_assert_uint_eq(v, 8);
	for (const char *const *bad = (const char *const[]){"", "bit", "10M", "10", "10MB", "10Xbit", "1Mbits/h",
		     "18446744073709551615Kbit", NULL};
		*bad; bad++)
		ck_assert_msg(!value_bits(*bad, &v), "%s", *bad);
}
END_TEST

START_TEST(durations)
{
	char text[32];
	uint64_t v = 77;

	ck_assert_ptr_null(value_duration("7", &v));
	ck_assert_uint_eq(v, 7000000000ULL);
	ck_assert_ptr_null(value_duration("7ns", &v));
	ck_assert_uint_eq(v, 7);
	ck_assert_ptr_null(value_duration("50us", &v));
	ck_assert_uint_eq(v, 50000);
	value_format_duration(v, text, sizeof(text));
	ck_assert_str_eq(text, "50us");
	ck_assert_ptr_null(value_duration("3ms", &v));
	ck_assert_uint_eq(v, 3000000);
	value_format_duration(60000000000ULL, text, sizeof(text));
	ck_assert_str_eq(text, "60s");
	value_format_duration(1, text, sizeof(text));
	ck_assert_str_eq(text, "1ns");
	for (const char *const *bad =
			(const char *const[]){"", "s", "1m", "1h", "1S", "1 s", "1.5s", "-1s", "1sec", NULL};
		*bad; bad++)
		ck_assert_msg(value_duration(*bad, &v) != NULL, "%s", *bad);
	ck_assert_str_eq(value_duration("18446744074", &v), "too large");
}
END_TEST

static bool list_is(const char *text, const char *cpus)
{
	char got[256] = "";
	cpu_set_t set;

	if (value_cpulist(text, &set, sizeof(set)))
		return false;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &set))
			snprintf(got + strlen(got), sizeof(got) - strlen(got), "%d ", cpu);
	return !strcmp(got, cpus);
}

START_TEST(cpu_lists)
{
	cpu_set_t set;

	ck_assert(list_is("0", "0 "));
	ck_assert(list_is("2-5,8,^3", "2 4 5 8 "));
	ck_assert(list_is("^3,2-5,8", "2 4 5 8 "));
	ck_assert(list_is("[0,2-3]", "0 2 3 "));
	ck_assert(list_is("0-7,^2-5", "0 1 6 7 "));
	ck_assert(list_is("5-5,5", "5 "));
	ck_assert(list_is("1023", "1023 "));
	for (const char *const *bad = (const char *const[]){"", ",", "1,", ",1", "1-", "-1", "^", "^1",
		     "1,^1", "3-2", "1024", "0-1024", "0-18446744073709551616", "a", "1 ", "[1", "1]", "[1]x",
		     "[]", "1--2", "1-2-3", "^^1", NULL};
		*bad; bad++)
		ck_assert_msg(value_cpulist(*bad, &set, sizeof(set)) != NULL, "%s", *bad);
}
END_TEST

START_TEST(numbers_switches_and_names)
{
	uint64_t v;
	bool on;

	ck_assert_ptr_null(value_uint("007", &v));
	ck_assert_uint_eq(v, 7);
	ck_assert_ptr_nonnull(value_uint("7x", &v));
	ck_assert_ptr_nonnull(value_uint("", &v));
	ck_assert_ptr_null(value_bool("on", &on));
	ck_assert(on);
	ck_assert_ptr_null(value_bool("off", &on));
	ck_assert(!on);
	ck_assert_ptr_nonnull(value_bool("onn", &on));
	ck_assert_ptr_null(value_name("vm-1.a_B"));
	for (const char *const *bad =
			(const char *const[]){".", "..", "-a", "a/b", "a b", "a\n", "\xc3\xa4", NULL};
		*bad; bad++)
		ck_assert_msg(value_name(*bad) != NULL, "%s", *bad);
}
END_TEST

/* Cut `text` up; the items come back joined by '|', an unclosed bracket as '!'. */
static bool items_are(const char *text, bool keyed, const char *want)
{
	char copy[64], got[128] = "", *rest = copy, *item;

	strcpy(copy, text);
	while (rest) {
		item = value_item(&rest, keyed);
		keyed = true;
		if (!item)
			return strcat(got, "!"), !strcmp(got, want);
		strcat(strcat(got, item), "|");
	}
	return !strcmp(got, want);
}

START_TEST(items)
{
	ck_assert(items_are("a,b=c", true, "a|b=c|"));
	ck_assert(items_are("a,,b,c", true, "a,b|c|"));
	ck_assert(items_are("a,,,b", true, "a,|b|"));
	ck_assert(items_are("", true, "|"));
	ck_assert(items_are("a,", true, "a||"));
	ck_assert(items_are(",,", true, ",|"));
	ck_assert(items_are("a=[0,2-3],b=1", true, "a=[0,2-3]|b=1|"));
	ck_assert(items_are("a=[1,,2]", true, "a=[1,,2]|"));
	ck_assert(items_are("a=x[1,b]", true, "a=x[1|b]|"));
	ck_assert(items_are("a=b=[1,2]", true, "a=b=[1|2]|"));
	ck_assert(items_are("a=[1,2", true, "!"));
	ck_assert(items_are("a=[1]x,b", true, "!"));
	ck_assert(items_are("p=[1,b=[2,3]", false, "p=[1|b=[2,3]|"));
}
END_TEST

UNIT_MAIN("options_values", sizes, counts_and_bits, durations, cpu_lists, numbers_switches_and_names, items)
