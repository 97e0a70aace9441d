// SPDX-License-Identifier: Apache-2.0
/* pinvm stat for programs: Prometheus' text, CSV, and the dashboard that uses their names. */
#include "tests/unit/stat_unit.h"

#include "vmm/stat/stat.h"

#define BOARD "docs/grafana/pinvm.json"

static const char nasty[] =
	"{'name': '" NASTY "', 'version': '0', 'duration_s': 1.5, 'time': 1700000000.25, 'restarts': 2,"
	"'kvm_stats': {'pages_4k': 2, 'a, b': 4, 'peak': 5}, 'kvm_stats_kinds': {'peak': {'type': 'peak'}},"
	"'vcpus': [{'index': 0, 'user_exits': 9007199254740991, 'exits_by_kvm_reason': {'" NASTY "': 3},"
	"'kvm_stats': {'exits': 5, 'halt_wait_ns': 1500, 'halt_wait_hist': [1, 0, 2, 0, 0, 0, 0, 0, 0, 4, "
	"5]},"
	"'profile': {'times': {'vmm_ns': 1, 'handlers': {'io': {'ns': 300, 'histogram': {'256': 1}}}}}}],"
	"'devices': [{'name': 'd,0', 'errors': 1, 'queues': [{'requests': 3, 'latency_ns': {'histogram': [1, "
	"2]}}]}]}";

static char *exported(
	const char *document, const char *before, void (*write)(const struct subjects *s, FILE *out))
{
	json_t *doc = made(document), *old = before ? made(before) : NULL;
	struct subjects s;
	char *text;

	ck_assert_int_eq(subjects_find(&s, doc, old), 0);
	text = WRITTEN(write(&s, out));
	subjects_free(&s);
	json_decref(old);
	json_decref(doc);
	return text;
}

static void has_line(const char *text, const char *line)
{
	size_t len = strlen(line);

	for (const char *p = text; (p = strstr(p, line)); p++)
		if ((p == text || p[-1] == '\n') && p[len] == '\n')
			return;
	fputs(text, stderr); /* more than Check takes */
	ck_abort_msg("no line %s", line);
}

static unsigned count(const char *text, const char *what)
{
	unsigned n = 0;

	for (const char *p = text; (p = strstr(p, what)); p++)
		n++;
	return n;
}

START_TEST(prometheus_text)
{
	char *text = exported(nasty, NULL, prometheus_write);

#define GUEST "guest=\"a\\\"b\\\\c?d?[2Je?1mf?g,h\""
	harmless(text);
	has_line(text, "pinvm_guest_info{" GUEST ",version=\"0\"} 1");
	has_line(text, "# TYPE pinvm_guest_uptime_seconds gauge");
	has_line(text, "pinvm_guest_uptime_seconds{" GUEST "} 1.5");
	has_line(text, "# TYPE pinvm_guest_restarts_total counter");
	has_line(text, "pinvm_guest_mapped_bytes{" GUEST ",page_size=\"4K\"} 8192");
	has_line(text, "pinvm_guest_kvm_events_total{" GUEST ",event=\"a, b\"} 4");
	ck_assert_ptr_null(strstr(text, "peak"));
	has_line(text, "pinvm_vcpu_user_exits_total{" GUEST ",vcpu=\"0\"} 9007199254740991");
	has_line(text, "pinvm_vcpu_user_exits_by_reason_total{" GUEST
		       ",vcpu=\"0\",reason=\"a\\\"b\\\\c?d?[2Je?1mf?g,h\"} 3");
	has_line(text, "pinvm_vcpu_vmm_seconds_total{" GUEST ",vcpu=\"0\"} 1e-09");
	has_line(text, "pinvm_queue_requests_total{" GUEST ",device=\"d,0\",queue=\"0\"} 3");
	free(text);
}
END_TEST

/* Who knows whether a vCPU sleeps: KVM, or, where vCPUs halt in pinvm, their threads. Each is told of once. */
START_TEST(halted_vcpus)
{
	char *text = exported("{'name': 'vm', 'halt_poll': {'mode': 'vmm', 'ceiling_ns': 200000}, 'vcpus': ["
			      "{'index': 0, 'kvm_stats': {'blocking': 1}, 'halt_poll': null},"
			      "{'index': 1, 'kvm_stats': {'blocking': 0}, 'halt_poll': {'asleep': true}},"
			      "{'index': 2, 'kvm_stats': {'blocking': 0}, 'halt_poll': {'asleep': false}}]}",
		NULL, prometheus_write);

	has_line(text, "pinvm_vcpu_halted{guest=\"vm\",vcpu=\"0\"} 1");
	has_line(text, "pinvm_vcpu_halted{guest=\"vm\",vcpu=\"1\"} 1");
	has_line(text, "pinvm_vcpu_halted{guest=\"vm\",vcpu=\"2\"} 0");
	ck_assert_uint_eq(count(text, "\npinvm_vcpu_halted{"), 3);
	ck_assert_uint_eq(count(text, "# TYPE pinvm_vcpu_halted "), 1);
	has_line(text, "pinvm_guest_halt_poll_ceiling_seconds{guest=\"vm\"} 0.0002");
	ck_assert_ptr_null(strstr(text, "How long KVM may poll"));
	free(text);
}
END_TEST

/* Buckets count up; what has no end is in the last one only. */
START_TEST(prometheus_histograms)
{
	char *text = exported(nasty, NULL, prometheus_write);

#define HALT "pinvm_vcpu_halt_wait_seconds_%s{" GUEST ",vcpu=\"0\"%s} %s"
	has_line(text, "# TYPE pinvm_vcpu_halt_wait_seconds histogram");
	has_line(text, "pinvm_vcpu_halt_wait_seconds_bucket{" GUEST ",vcpu=\"0\",le=\"2.56e-07\"} 3");
	has_line(text, "pinvm_vcpu_halt_wait_seconds_bucket{" GUEST ",vcpu=\"0\",le=\"1.024e-06\"} 7");
	has_line(text, "pinvm_vcpu_halt_wait_seconds_bucket{" GUEST ",vcpu=\"0\",le=\"4.294967296\"} 7");
	has_line(text, "pinvm_vcpu_halt_wait_seconds_bucket{" GUEST ",vcpu=\"0\",le=\"+Inf\"} 12");
	has_line(text, "pinvm_vcpu_halt_wait_seconds_sum{" GUEST ",vcpu=\"0\"} 1.5e-06");
	has_line(text, "pinvm_vcpu_halt_wait_seconds_count{" GUEST ",vcpu=\"0\"} 12");
	has_line(text,
		"pinvm_vcpu_handler_seconds_bucket{" GUEST ",vcpu=\"0\",reason=\"io\",le=\"2.56e-07\"} 0");
	has_line(text,
		"pinvm_vcpu_handler_seconds_bucket{" GUEST ",vcpu=\"0\",reason=\"io\",le=\"1.024e-06\"} 1");
	/* Without a sum it is none. */
	ck_assert_ptr_null(strstr(text, "pinvm_queue_latency_seconds"));
	free(text);
}
END_TEST

/* The man page has every name once, and no other. */
START_TEST(the_man_page_has_the_names)
{
	char *text = exported(nasty, NULL, prometheus_write), *man = WRITTEN(metrics_man(out)), want[160], name[METRIC_NAME];
	unsigned found = 0;

	for (const char *p = text; (p = strstr(p, "\n# TYPE ")); p++) {
		ck_assert_int_eq(sscanf(p, " # TYPE %95s", name), 1);
		if (!strcmp(name, "pinvm_guest_info"))
			continue;
		snprintf(want, sizeof(want), "\n\\fB%s\\fR", name);
		ck_assert_msg(count(man, want) == 1, "%s", name);
		found++;
	}
	ck_assert_uint_gt(found, 8);
	for (unsigned i = 0; i < metrics; i++) {
		snprintf(want, sizeof(want), "\n\\fB%s\\fR", metric_prometheus_name(&metric_table[i], name));
		ck_assert_uint_eq(count(man, want), metric_table[i].type != SHARE);
		ck_assert(metric_table[i].type == SHARE || *metric_table[i].help);
	}
	free(man);
	free(text);
}
END_TEST

/* A name has one HELP and one TYPE, before all of its numbers, which stand together. */
START_TEST(prometheus_families)
{
	char *text = exported(
		"{'name': 'vm', 'duration_s': 1, 'kvm_stats': {'pages_4k': 1, 'pages_2m': 1, 'pages_1g': 0},"
		"'vcpus': [{'index': 0, 'user_exits': 1, 'task': {'run_ns': 1}}, {'index': 1, 'user_exits': "
		"2,"
		"'task': {'run_ns': 2}}], 'threads': [{'name': 'e', 'task': {'run_ns': 1}}]}",
		NULL, prometheus_write);
	char last[METRIC_NAME] = "", seen[4096] = "";

	for (char *save, *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char name[METRIC_NAME], marked[METRIC_NAME + 2];

		if (sscanf(line, "# HELP %90[a-z_]", name) == 1) {
			snprintf(marked, sizeof(marked), " %s ", name);
			ck_assert_msg(!strstr(seen, marked), "%s", line);
			strcat(seen, marked);
			strcpy(last, name);
		} else if (sscanf(line, "# TYPE %90[a-z_]", name) == 1 ||
			   sscanf(line, "%90[a-z_]", name) == 1) {
			ck_assert_str_eq(name, last);
		}
	}
	ck_assert_ptr_nonnull(strstr(seen, " pinvm_vcpu_cpu_seconds_total "));
	ck_assert_ptr_nonnull(strstr(seen, " pinvm_thread_cpu_seconds_total "));
	free(text);
}
END_TEST

/* What promtool would say of the table: names are plain, counters are _total, no unit that is not a base
 * unit. */
START_TEST(names_are_good)
{
	for (unsigned i = 0; i < metrics; i++) {
		const struct metric *m = &metric_table[i];
		char name[METRIC_NAME], *p;

		metric_prometheus_name(m, name);
		ck_assert_uint_eq(strspn(name, "abcdefghijklmnopqrstuvwxyz_"), strlen(name));
		p = strstr(name, "_total");
		ck_assert_msg((m->type == COUNTER) == (p && !p[6]), "%s", name);
		ck_assert_msg(!strstr(name, "_ns") && !strstr(name, "_ms"), "%s", name);
		ck_assert_msg(
			m->type == SHARE || (*m->help && m->help[strlen(m->help) - 1] == '.'), "%s", name);
		for (unsigned j = 0; j < i; j++) {
			const struct metric *other = &metric_table[j];

			if (other->scope == m->scope && other->type != SHARE && m->type != SHARE)
				ck_assert_msg(
					strcmp(other->name, m->name) ||
						strcmp(other->unit ? other->unit : "",
							m->unit ? m->unit : "") ||
						(other->value && m->value && strcmp(other->value, m->value)),
					"%s twice", name);
		}
	}
}
END_TEST

/* Fields of a CSV line; a quote opens and closes. */
static unsigned fields(const char *line, size_t len)
{
	bool quoted = false;
	unsigned n = 1;

	for (size_t i = 0; i < len; i++) {
		quoted ^= line[i] == '"';
		n += !quoted && line[i] == ',';
	}
	ck_assert(!quoted);
	return n;
}

START_TEST(csv_lines)
{
	char *text = exported(nasty, NULL, csv_write), *head = WRITTEN(csv_header(out));
	unsigned lines = 0;

	harmless(text);
	ck_assert_uint_eq(fields(head, strlen(head)), 9);
	for (const char *p = text; *p; p += strcspn(p, "\n") + 1, lines++)
		ck_assert_uint_eq(fields(p, strcspn(p, "\n")), 9);
	ck_assert_uint_gt(lines, 10);
#define NAME "1700000000.250,\"a\"\"b\\c?d?[2Je?1mf?g,h\","
	has_line(text, NAME "guest,,,restarts,,2,");
	has_line(text, NAME "vcpu,0,,user_exits,,9007199254740991,");
	has_line(text, NAME "queue,\"d,0\",0,requests,,3,");
	has_line(text, NAME "vcpu,0,,halt_wait_seconds_count,,12,");
	free(text);
	free(head);
}
END_TEST

START_TEST(csv_rates)
{
	char *text = exported("{'name': 'vm', 'duration_s': 3, 'time': 5, 'restarts': 2, 'vcpus': [{'index': "
			      "0, 'kvm_stats':"
			      "{'halt_wait_hist': [0, 0, 0, 4, 0], 'halt_wait_ns': 20}}]}",
		"{'name': 'vm', 'duration_s': 1, 'restarts': 1, 'vcpus': [{'index': 0, 'kvm_stats':"
		"{'halt_wait_hist': [0, 0, 0, 0, 0], 'halt_wait_ns': 0}}]}",
		csv_write);

	has_line(text, "5.000,vm,guest,,,restarts,,2,0.5");
	has_line(text, "5.000,vm,guest,,,uptime_seconds,,3,");
	has_line(text, "5.000,vm,vcpu,0,,halt_wait_seconds_count,,4,2");
	has_line(text, "5.000,vm,vcpu,0,,halt_wait_seconds_sum,,2e-08,1e-08");
	has_line(text, "5.000,vm,vcpu,0,,halt_wait_seconds_p99,,8e-09,");
	free(text);
}
END_TEST

/* ---- the dashboard ---- */

static bool is_exported(const char *word)
{
	static const char *const suffix[] = {"", "_bucket", "_sum", "_count"};
	char name[METRIC_NAME], full[METRIC_NAME + 8];

	for (unsigned i = 0; i < metrics; i++) {
		bool histogram = metric_table[i].type == HISTOGRAM;

		for (unsigned k = histogram; metric_table[i].type != SHARE && k < (histogram ? 4 : 1); k++) {
			snprintf(full, sizeof(full), "%s%s", metric_prometheus_name(&metric_table[i], name),
				suffix[k]);
			if (!strcmp(full, word))
				return true;
		}
	}
	return !strcmp(word, "pinvm_guest_info");
}

static unsigned check_words(const char *text)
{
	unsigned n = 0;

	for (const char *p = text; (p = strstr(p, "pinvm_")); n++) {
		char word[METRIC_NAME];
		size_t len = strspn(p, "abcdefghijklmnopqrstuvwxyz_0123456789");

		ck_assert_uint_lt(len, sizeof(word));
		memcpy(word, p, len);
		word[len] = '\0';
		ck_assert_msg(is_exported(word), "%s: nothing exports %s", BOARD, word);
		p += len;
	}
	return n;
}

START_TEST(board_uses_what_is_exported)
{
	json_error_t why;
	json_t *board = json_load_file(BOARD, 0, &why), *panel, *target;
	unsigned n = 0;
	size_t i, t;

	ck_assert_msg(board != NULL, "%s: %s", BOARD, why.text);
	json_array_foreach(json_object_get(board, "panels"), i, panel)
	{
		const char *type = json_string_value(json_object_get(panel, "type"));
		size_t targets = json_array_size(json_object_get(panel, "targets"));

		ck_assert(!strcmp(type, "row") == !targets);
		json_array_foreach(json_object_get(panel, "targets"), t, target)
			ck_assert_uint_gt(check_words(json_string_value(json_object_get(target, "expr"))), 0);
		n += targets;
	}
	ck_assert_uint_gt(n, 10);
	json_array_foreach(json_at(board, "templating.list"), i, panel)
	{
		const char *query = json_text_at(panel, "definition");

		ck_assert(!query || check_words(query));
	}
	json_decref(board);
}
END_TEST

START_TEST(no_rates_without_a_document_before)
{
	char *text = exported(nasty, NULL, csv_write);

	/* time,guest,of,id,queue,metric,label,value, and nothing more. */
	for (const char *p = strchr(text, '\n'); p; p = strchr(p + 1, '\n'))
		ck_assert_int_eq(p[-1], ',');
	ck_assert_uint_gt(count(text, "\n"), 10);
	free(text);
}
END_TEST

UNIT_MAIN("stat_export", prometheus_text, halted_vcpus, prometheus_histograms, prometheus_families, the_man_page_has_the_names, names_are_good,
	csv_lines, csv_rates, board_uses_what_is_exported, no_rates_without_a_document_before)
