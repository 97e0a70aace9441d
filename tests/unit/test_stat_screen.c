// SPDX-License-Identifier: Apache-2.0
/* pinvm stat for people: text that is safe, tables that fit, and what the screen says. */
#include "tests/unit/stat_unit.h"
#include "vmm/stat/grid.h"

static char number[TEXT_NUMBER];

START_TEST(numbers)
{
	ck_assert_str_eq(text_count(0, number), "0");
	ck_assert_str_eq(text_count(0.04, number), "0.0");
	ck_assert_str_eq(text_count(1.26, number), "1.3");
	ck_assert_str_eq(text_count(9.96, number), "10");
	ck_assert_str_eq(text_count(42.4, number), "42");
	ck_assert_str_eq(text_count(999.4, number), "999");
	ck_assert_str_eq(text_count(999.6, number), "1.0k");
	ck_assert_str_eq(text_count(123456, number), "123k");
	ck_assert_str_eq(text_count(1e30, number), "99999T");
	ck_assert_str_eq(text_count(-1, number), "-");
	ck_assert_str_eq(text_count(__builtin_nan(""), number), "-");
	ck_assert_str_eq(text_count(__builtin_inf(), number), "-");
	ck_assert_str_eq(text_bytes(1536, number), "1.5K");
	ck_assert_str_eq(text_bytes(1073741824, number), "1G");
	ck_assert_str_eq(text_seconds(0, number), "0ns");
	ck_assert_str_eq(text_seconds(3.4e-7, number), "340ns");
	ck_assert_str_eq(text_seconds(0.0015, number), "1.5ms");
	ck_assert_str_eq(text_seconds(90, number), "90s");
	ck_assert_str_eq(text_percent(100, number), "100.0");
	ck_assert_str_eq(text_percent(-3, number), "0.0");
}
END_TEST

static void is_safe(const char *text, const char *safe)
{
	char *got = text_safe(text);

	ck_assert_str_eq(got, safe);
	free(got);
}

START_TEST(foreign_text)
{
	is_safe("", "");
	is_safe("caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80");
	is_safe("a\x1b[2J\r\n\t\x7f", "a?[2J????");
	is_safe("\xc2\x80\xc2\x9f\xc2\xa0", "??\xc2\xa0"); /* C1, and what follows it */
	is_safe("\x9b"
		"1m\xff\xc2",
		"?1m??");				    /* no UTF-8, and cut off */
	is_safe("\xc0\x9b\xe0\x80\x9b", "?????");	    /* overlong */
	is_safe("\xed\xa0\x80\xf4\x90\x80\x80", "???????"); /* a surrogate, and beyond the last one */
	is_safe("\xe2\x80\xa8\xe2\x80\xae\xef\xbb\xbf",
		"???"); /* line separator, right to left, zero width */
	ck_assert_uint_eq(text_columns("a\xc3\xa9\xe2\x82\xac"), 3);
	ck_assert_uint_eq(text_cut("a\xc3\xa9\xe2\x82\xac", 2), 3);
	ck_assert_uint_eq(text_cut("ab", 5), 2);
}
END_TEST

static char *grid(unsigned width)
{
	static const struct grid_column column[] = {
		{"NAME", GRID_LEFT}, {"N", GRID_RIGHT, 4}, {"WORDS", GRID_CUT}, {"END", GRID_RIGHT}, {NULL}};
	struct grid g;

	grid_begin(&g, column);
	for (unsigned row = 0; row < 2; row++) {
		grid_cell(&g, row ? "longer" : "a");
		grid_cell(&g, row ? "12345" : NULL);
		grid_cell(&g, row ? "" : "many words");
		grid_cell(&g, "x");
	}
	return WRITTEN(grid_end(&g, out, width));
}

START_TEST(grids)
{
	static const struct {
		unsigned width;
		const char *text;
	} is[] = {
		{0, "NAME       N WORDS      END\na          - many words   x\nlonger 12345 -            "
		    "x\n"},
		{27, "NAME       N WORDS      END\na          - many words   x\nlonger 12345 -            "
		     "x\n"},
		{26, "NAME       N WORDS\na          - many words\nlonger 12345 -\nno room for END\n"},
		{20, "NAME       N WORDS\na          - many w~\nlonger 12345 -\nno room for END\n"},
		{17, "NAME       N\na          -\nlonger 12345\nno room for WORD~\n"},
		{6, "NAME\na\nlonger\nno ro~\n"},
	};

	for (size_t i = 0; i < sizeof(is) / sizeof(is[0]); i++) {
		char *text = grid(is[i].width);

		ck_assert_str_eq(text, is[i].text);
		free(text);
	}
	free(grid(3)); /* nothing fits */
}
END_TEST

static const char before[] = "{'name': 'vm', 'pid': 7, 'duration_s': 10, 'vcpus': [{'index': 0, "
			     "'exits_by_kvm_reason': {'io': 0, 'mmio': 0, 'hlt': 0},"

			     "'kvm_stats': {'halt_exits': 0, 'io_exits': 0},"
			     "'profile': {'targets': {'pio serial': 0, 'pio debug': 0, 'mmio rng': 0}, "
			     "'times': {'handlers': {'io': {'ns': 0, 'histogram': {}}}}}}],"
			     "'devices': [{'name': 'disk0', 'errors': 0, 'queues': [{'requests': 0, "
			     "'batches': 0, 'bytes': {'to_guest': 0,"
			     "'from_guest': 0}, 'latency_ns': {'sum': 0, 'histogram': []}}]}, {'name': "
			     "'rng', 'queues': [{'requests': 0}]}]}";
static const char now[] =
	"{'name': 'vm', 'pid': 7, 'duration_s': 12, 'state': 'paused', 'restarts': 3, 'misplaced': 1, "
	"'vcpus': [{'index': 0,"
	"'exits_by_kvm_reason': {'io': 3000, 'mmio': 20, 'hlt': 0}, 'kvm_stats': {'halt_exits': 200, "
	"'io_exits': 99999},"
	"'profile': {'targets': {'pio serial': 2900, 'pio debug': 100, 'mmio rng': 20}, "
	"'times': {'handlers': {'io': {'ns': 3000000, 'histogram': {'512': 3000}}}}}, "
	"'placement': {'wanted': '3',"
	"'wanted_policy': 'fifo:1'}}],"
	"'devices': [{'name': 'disk0', 'errors': 4, 'queues': [{'requests': 80, 'batches': 10, 'iothread': "
	"'io:main',"
	"'bytes': {'to_guest': 8192, 'from_guest': 0}, 'latency_ns': {'sum': 0, 'histogram': [0, 0, 8, "
	"0]}}]},"
	"{'name': 'rng', 'queues': [{'requests': 2}]}],"
	"'memory': [{'gpa': 4294967296, 'size': 1073741824, 'guest_node': 1, 'backing': 'hugetlb', 'wanted': "
	"{'page_size': 2097152},"
	"'actual': {'page_size': 2097152, 'bytes_on_node': {'0': 536870912, '1': 536870912}}}],"
	"'kvm_stats': {'pages_4k': 256, 'pages_2m': 4}, 'threads': [{'name': 'emulator', 'tid': 7}]}";

/* The line of the screen that begins like this, blanks of any number as one. */
static void shows(const char *text, const char *line)
{
	for (const char *p = text; *p; p += strcspn(p, "\n") + 1) {
		const char *l = line;
		const char *q = p + strspn(p, " ");

		for (; *l && (*l == *q || (*l == ' ' && *q == ' ')); l++, q++)
			q += *q == ' ' ? strspn(q, " ") - 1 : 0;
		if (!*l)
			return;
	}
	fputs(text, stderr); /* more than Check takes */
	ck_abort_msg("no line %s", line);
}

/* Lines that the screen has, at the rates between two reports; and after '!' what it has nowhere. */
#define SCREEN_SAYS(was, is, ...) screen_says(was, is, (const char *const[]){__VA_ARGS__, NULL})
static void screen_says(const char *was, const char *is, const char *const *lines)
{
	json_t *doc = rated(was, is);
	char *text = WRITTEN(screen_write(doc, out, GRID_WIDE));

	for (; *lines; lines++) {
		if (**lines == '!')
			ck_assert_ptr_null(strstr(text, *lines + 1));
		else
			shows(text, *lines);
	}
	free(text);
	json_decref(doc);
}

START_TEST(screen)
{
	SCREEN_SAYS(before, now, "vm: paused, pid 7, up 12 s, restarts: 3, tasks misplaced: 1; the last 2.00 s:",
		"0 - 3 fifo:1 - - - - - - - - -", "0 1.5k 1us pinvm io: serial 1.4k, debug 50", "0 100 - KVM halt_exits",
		"0 10 - pinvm mmio: rng 10", "!io_exits", "!hlt", "disk0 0 40 4K 0 - - 8 8ns 8ns 4 - io:main",
		"rng 0 1 - - - - - - - - - -", "0x100000000 1G 1 hugetlb 2M - - - 0 512M, 1 512M",
		"mapped by KVM: 1M in pages of 4K, 8M in pages of 2M", "emulator - any - - - - - - 7");
}
END_TEST

START_TEST(screen_fits)
{
	json_t *doc = rated(before, now);

	for (unsigned width = 1; width <= 200; width++) {
		char *text = WRITTEN(screen_write(doc, out, width));

		for (char *save, *line = strtok_r(text, "\n", &save); line;
			line = strtok_r(NULL, "\n", &save))
			ck_assert_uint_le(text_columns(line), width);
		free(text);
	}
	json_decref(doc);
}
END_TEST

START_TEST(screen_is_harmless)
{
	json_t *doc = rated("{'duration_s': 1, 'vcpus': [{'index': 0, 'exits_by_kvm_reason': {'" NASTY
			    "': 0}}]}",
		"{'name': '" NASTY "', 'duration_s': 2, 'state': '" NASTY
		"', 'vcpus': [{'index': 0, 'exits_by_kvm_reason':"
		"{'" NASTY "': 5}, 'placement': {'wanted': '" NASTY "', 'actual_policy': '" NASTY "'}}],"
		"'devices': [{'name': '" NASTY "', 'queues': [{'iothread': '" NASTY
		"'}]}], 'threads': [{'name': '" NASTY "'}],"
		"'memory': [{'backing': '" NASTY "', 'actual': {'bytes_on_node': {'" NASTY "': 1}}}]}");
	char *text = WRITTEN(screen_write(doc, out, GRID_WIDE));

	harmless(text);
	ck_assert_ptr_nonnull(strstr(text, NASTY_SAFE));
	free(text);
	json_decref(doc);
}
END_TEST

/* An address that has a name, and one that has none. */
START_TEST(traced_addresses)
{
	json_t *doc = made("{'trace': {}, 'vcpus': [{'index': 0, 'trace': {'accesses': [{'kind': 'msr', 'op': 'write', 'address': 1760, 'name': "
			   "'IA32_TSC_DEADLINE', 'per_s': 9}, {'kind': 'pio', 'op': 'write', 'address': 1016, 'name': null, 'per_s': 3}]}}]}");
	char *text = WRITTEN(screen_trace(doc, out, GRID_WIDE));

	ck_assert_msg(strstr(text, " msr write 0x6e0 IA32_TSC_DEADLINE\n") != NULL, "%s", text);
	ck_assert_msg(strstr(text, " pio write 0x3f8\n") != NULL, "%s", text);
	free(text);
	json_decref(doc);
}
END_TEST

/* Polls of KVM: two vCPUs in two seconds, with times and (an older kernel) without; none where it did not poll. */
START_TEST(kvm_polls)
{
	static const char *const was = "{'duration_s': 1, 'vcpus': [{'index': 0, 'kvm_stats': {'halt_attempted_poll': 5, "
				       "'halt_successful_poll': 5, 'halt_poll_success_hist': [0, 5, 0], 'halt_poll_success_ns': 7, "
				       "'halt_poll_fail_hist': [0, 0, 0], 'halt_poll_fail_ns': 0}}, {'index': 1, 'kvm_stats': "
				       "{'halt_attempted_poll': 0, 'halt_successful_poll': 0}}]}";

	SCREEN_SAYS(was,
		"{'duration_s': 3, 'halt_poll': {'mode': 'fixed', 'ceiling_ns': 50000}, 'vcpus': [{'index': 0, "
		"'kvm_stats': {'halt_attempted_poll': 305, 'halt_successful_poll': 205, "
		"'halt_poll_success_hist': [0, 5, 200], 'halt_poll_success_ns': 100000007, "
		"'halt_poll_fail_hist': [0, 0, 100], 'halt_poll_fail_ns': 300000000}}, {'index': 1, 'kvm_stats': "
		"{'halt_attempted_poll': 100, 'halt_successful_poll': 100}}]}",
		"halt polling: fixed, at most 50us\n", "200 halts/s polled, 75 % ended so, 20 % of a CPU\n");
	SCREEN_SAYS("{'duration_s': 1, 'vcpus': [{'index': 0, 'kvm_stats': {'halt_attempted_poll': 0, 'halt_successful_poll': 0}}]}",
		"{'duration_s': 2, 'halt_poll': {'mode': 'default', 'ceiling_ns': 200000}, 'vcpus': [{'index': 0, 'kvm_stats': "
		"{'halt_attempted_poll': 40, 'halt_successful_poll': 10}}]}",
		"40 halts/s polled, 25 % ended so\n");
	SCREEN_SAYS(was,
		"{'duration_s': 3, 'halt_poll': {'mode': 'off', 'ceiling_ns': 0}, 'vcpus': [{'index': 0, 'kvm_stats': "
		"{'halt_attempted_poll': 5, 'halt_successful_poll': 5}}]}",
		"!halts/s");
}
END_TEST

/* Of vCPUs that halt in pinvm. */
START_TEST(vmm_polls)
{
	SCREEN_SAYS("{'duration_s': 1, 'vcpus': [{'index': 0, 'halt_poll': {'polls': 0, 'hits': 0, 'polled_ns': 0}}, {'index': 1, "
		    "'halt_poll': {'polls': 10, 'hits': 5, 'polled_ns': 7}}]}",
		"{'duration_s': 3, 'halt_poll': {'mode': 'vmm', 'ceiling_ns': 200000}, 'vcpus': [{'index': 0, 'halt_poll': "
		"{'window_ns': 40000, 'polls': 300, 'hits': 200, 'polled_ns': 200000000}}, {'index': 1, 'halt_poll': {'window_ns': 0, "
		"'polls': 110, 'hits': 105, 'polled_ns': 200000007}}]}",
		"halt polling: vmm, at most 200us\n",
		"200 halts/s polled, 75 % ended so, 20 % of a CPU; windows now 0ns to 40us\n");
	SCREEN_SAYS(NULL, "{'halt_poll': {'mode': 'off', 'ceiling_ns': 0}, 'vcpus': [{'index': 0, 'halt_poll': null}]}", "!halts/s");
}
END_TEST

START_TEST(iothread_polls)
{
	SCREEN_SAYS("{'time': 1, 'duration_s': 1, 'threads': [{'name': 'io:main', 'poll': {'max_ns': 0, 'polls': 10, 'hits': 0, "
		    "'polled_ns': 0}}, {'name': 'io:a', 'poll': {'polls': 7}}]}",
		"{'time': 3, 'duration_s': 3, 'threads': [{'name': 'io:main', 'poll': {'max_ns': 50000, 'weight': 4, 'polls': 50, "
		"'hits': 10, 'polled_ns': 500000000}}, {'name': 'io:a', 'poll': {'max_ns': 0, 'polls': 7}}, {'name': 'io:b', 'poll': null}]}",
		"io:main polls for at most 50us before it sleeps, weight 4: 20/s, 25 % found something, 25 % of a CPU\n", "!io:a polls");
}
END_TEST

START_TEST(settings)
{
	SCREEN_SAYS("{'duration_s': 1, 'cgroup': {'usage_usec': 0, 'throttled_usec': 0}}",
		"{'duration_s': 2, 'halt_poll': {'mode': 'auto', 'ceiling_ns': 50000, 'decisions': 7, 'guest_polls': true,"
		"'auto': {'stopped': 'why\\u009b', 'recent': [{'why': 'old'}, {'window_ns': 1000000000, 'halts': 400, "
		"'expected_ns': 9000, 'realised_ns': 12000, 'without_ns': 30000, 'polled': 0.031, 'why': 'cheaper'}]}},"
		"'cgroup': {'path': '/x', 'weight': 200, 'max': '150%', 'usage_usec': 500000, 'throttled_usec': 250000}}",
		"halt polling: auto, at most 50us, decisions: 7; the guest polls by itself; stopped: why?",
		"400 halts in 1s, 3.1 % of it polled; a halt cost 12us, expected now 9us, without polls 30us: cheaper",
		"cgroup /x, weight 200, max 150%: 50 % of a CPU used, 25 % throttled");
	SCREEN_SAYS(NULL, "{'halt_poll': {'mode': 'default', 'ceiling_ns': null, 'auto': {'recent': []}}, 'cgroup': null}",
		"halt polling: default, at most -", "!cgroup");
	SCREEN_SAYS(NULL, "{'halt_poll': {'mode': 'auto', 'ceiling_ns': 0, 'decisions': 3}}",
		"halt polling: auto, off at the moment, decisions: 3\n");
	SCREEN_SAYS(NULL, "{'halt_poll': {'mode': 'off', 'ceiling_ns': 0}}", "halt polling: off\n");
}
END_TEST

START_TEST(since_placement)
{
	SCREEN_SAYS(NULL,
		"{'vcpus': [{'index': 5, 'task': {'involuntary_switches': 77, 'migrations': 66, 'since_placement': "
		"{'involuntary_switches': 4, 'migrations': 0}}}]}",
		"5 - any - - - - - - - - 4 0");
}
END_TEST

UNIT_MAIN("stat_screen", numbers, foreign_text, grids, screen, screen_fits, screen_is_harmless, traced_addresses, kvm_polls, vmm_polls, iothread_polls,
	settings, since_placement)
