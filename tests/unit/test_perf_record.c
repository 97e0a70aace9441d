// SPDX-License-Identifier: Apache-2.0
/* perf(1)'s command line as `pinvm perf record` makes it, on hosts made up for it, and what it says of
 * threads. */
#include <string.h>

#include "tests/unit/fake_root.h"
#include "tests/unit/said.h"
#include "tests/unit/unit.h"
#include "vmm/perf/record.h"

static struct perf_thread three[3] = {{101, 0, "vcpu0"}, {102, 1, "vcpu1"}, {103, -1, "io:main"}};
static struct perf_guest guest = {.name = (char *)"vm", .pid = 100, .thread = three, .n = 2};

static char line[1024];

static void print(struct perf_words *words)
{
	FILE *f = fmemopen(line, sizeof(line), "w");

	memset(line, 0, sizeof(line));
	ck_assert_ptr_nonnull(f);
	ck_assert_ptr_null(words->word[words->n]); /* as execv() wants it */
	perf_words_print(f, words);
	fclose(f);
	perf_words_free(words);
}

static const char *record(const struct perf_record *r, const char *event)
{
	struct perf_words words;

	ck_assert_int_eq(perf_record_words(&words, r, &guest, event), 0);
	print(&words);
	return line;
}

START_TEST(the_plain_line)
{
	struct perf_record r = {.output = (char *)"perf.data"};

	ck_assert_str_eq(record(&r, "cpu-clock"), "perf record -o perf.data -e cpu-clock -t 101,102\n");
	r.duration_ns = 2000000000;
	ck_assert_str_eq(
		record(&r, "cycles:GH"), "perf record -o perf.data -e cycles:GH -t 101,102 -- sleep 2\n");
	r.duration_ns = 1050000000;
	r.frequency = 99;
	ck_assert_str_eq(record(&r, "intel_pt//"),
		"perf record -o perf.data -e intel_pt// -F 99 -t 101,102 -- sleep 1.050000000\n");
}
END_TEST

START_TEST(symbols_make_it_perf_kvm)
{
	static char more1[] = "-g", more2[] = "it's";
	char *more[] = {more1, more2};
	struct perf_record r = {.output = (char *)"my data",
		.kallsyms = (char *)"k",
		.modules = (char *)"m",
		.vmlinux = (char *)"$v",
		.more = more,
		.nmore = 2,
		.duration_ns = 1000000000};
	struct perf_words words;

	ck_assert_str_eq(record(&r, "cycles:GH"), "perf kvm --host --guest --guestkallsyms=k "
						  "--guestmodules=m '--guestvmlinux=$v' record -o 'my data' "
						  "-e cycles:GH -t 101,102 -g 'it'\\''s' -- sleep 1\n");
	ck_assert_int_eq(perf_report_words(&words, &r), 0);
	print(&words);
	ck_assert_str_eq(line,
		"perf kvm --host --guest --guestkallsyms=k --guestmodules=m '--guestvmlinux=$v' report "
		"-i 'my data' --sort comm,symbol\n");
	r.kallsyms = r.modules = r.vmlinux = NULL;
	ck_assert_int_eq(perf_report_words(&words, &r), 0);
	print(&words);
	ck_assert_str_eq(line, "perf report -i 'my data' --sort comm,symbol\n");
}
END_TEST

START_TEST(many_threads_are_one_list)
{
	struct perf_record r = {.output = (char *)"f"};
	struct perf_guest large = {.n = 300};
	struct perf_words words;
	unsigned commas = 0;

	large.thread = calloc(large.n, sizeof(*large.thread));
	for (unsigned i = 0; i < large.n; i++)
		large.thread[i].tid = 2147483000 + i;
	ck_assert_int_eq(perf_record_words(&words, &r, &large, "cs"), 0);
	ck_assert_str_eq(words.word[words.n - 2], "-t");
	for (const char *p = words.word[words.n - 1]; *p; p++)
		commas += *p == ',';
	ck_assert_uint_eq(commas, 299);
	ck_assert_uint_eq(strlen(words.word[words.n - 1]), 300 * 11 - 1);
	perf_words_free(&words);
	free(large.thread);
}
END_TEST

/* What a host has decides, the best first; whoever does not get a trace is told so. */
START_TEST(the_best_event_there_is)
{
	struct perf_machine machine;
	char why[160];

	fake_root_open();
	fake_root_put(PERF_DEVICES "/software/type", "1\n");
	perf_machine_read(fake_root, &machine);
	ck_assert_str_eq(perf_record_event(fake_root, &machine, why, sizeof(why)), "cpu-clock");
	ck_assert_ptr_nonnull(strstr(why, "no PMU"));
	fake_root_put(PERF_DEVICES "/cpu/type", "4\n");
	perf_machine_read(fake_root, &machine);
	ck_assert_str_eq(perf_record_event(fake_root, &machine, why, sizeof(why)), "cycles:GH");
	ck_assert_ptr_nonnull(strstr(why, "no trace"));
	fake_root_put(PERF_DEVICES "/cs_etm/type", "9\n");
	ck_assert_str_eq(perf_record_event(fake_root, &machine, why, sizeof(why)), "cs_etm//");
	fake_root_put(PERF_DEVICES "/arm_spe_0/type", "9\n");
	ck_assert_str_eq(perf_record_event(fake_root, &machine, why, sizeof(why)), "arm_spe_0//");
	ck_assert_ptr_nonnull(strstr(why, "arm_spe_0"));
	fake_root_put(PERF_DEVICES "/intel_pt/type", "8\n");
	ck_assert_str_eq(perf_record_event(fake_root, &machine, why, sizeof(why)), "intel_pt//");
	ck_assert_str_eq(why, "");
	fake_root_close();
}
END_TEST

START_TEST(threads_to_vcpus)
{
	char *text;
	size_t n;
	FILE *f = open_memstream(&text, &n);
	struct perf_guest all = guest;

	all.n = 3;
	perf_record_map(f, &all);
	fclose(f);
	ck_assert_str_eq(
		text, "# guest vm, pid 100: tid, vCPU, name\n101 0 vcpu0\n102 1 vcpu1\n103 - io:main\n");
	free(text);
}
END_TEST

UNIT_MAIN("perf_record", the_plain_line, symbols_make_it_perf_kvm, many_threads_are_one_list,
	the_best_event_there_is, threads_to_vcpus)
