// SPDX-License-Identifier: Apache-2.0
/* pinvm stat: what two documents of a guest tell together. */
#include "tests/unit/stat_unit.h"

#define EPS 1e-6

START_TEST(counters_grow)
{
	json_t *doc =
		rated("{'name': 'vm', 'pid': 7, 'duration_s': 10, 'vcpus': [{'index': 0, 'user_exits': 100,"
		      "'exits_by_kvm_reason': {'io': 60}, 'kvm_stats': {'exits': 1000, 'halt_exits': 5}}]}",
			"{'name': 'vm', 'pid': 7, 'duration_s': 12, 'vcpus': [{'index': 0, 'user_exits': 300,"
			"'exits_by_kvm_reason': {'io': 160, 'mmio': 8}, 'kvm_stats': {'exits': 1010, "
			"'halt_exits': 5}}]}");

	ck_assert_double_eq_tol(at(doc, "interval_s"), 2, EPS);
	ck_assert_double_eq_tol(at(doc, "vcpus.0.rates.user_exits"), 100, EPS);
	ck_assert_double_eq_tol(at(doc, "vcpus.0.rates.user_exits_by_reason.io"), 50, EPS);
	/* A reason nobody had before has counted from 0. */
	ck_assert_double_eq_tol(at(doc, "vcpus.0.rates.user_exits_by_reason.mmio"), 4, EPS);
	ck_assert_double_eq_tol(at(doc, "vcpus.0.rates.kvm_exits"), 5, EPS);
	ck_assert_double_eq_tol(at(doc, "vcpus.0.rates.kvm_events.halt_exits"), 0, EPS);
	/* It has a name of its own. */
	ck_assert_double_eq(at(doc, "vcpus.0.rates.kvm_events.exits"), -1);
	/* And what was there stays. */
	ck_assert_double_eq(at(doc, "vcpus.0.user_exits"), 300);
	json_decref(doc);
}
END_TEST

START_TEST(units_are_base_units)
{
	json_t *doc = rated("{'duration_s': 1, 'devices': [{'name': 'd', 'queues': [{'requests': 0, 'bytes': "
			    "{'to_guest': 0}}]}],"
			    "'vcpus': [{'index': 0, 'task': {'at_s': 5, 'run_ns': 0}}]}",
		"{'duration_s': 2, 'devices': [{'name': 'd', 'queues': [{'requests': 4, 'bytes': "
		"{'to_guest': 512}}]}],"
		"'vcpus': [{'index': 0, 'task': {'at_s': 7, 'run_ns': 500000000}}]}");

	ck_assert_double_eq_tol(at(doc, "devices.0.queues.0.rates.requests"), 4, EPS);
	ck_assert_double_eq_tol(at(doc, "devices.0.queues.0.rates.moved_bytes.to_guest"), 512, EPS);
	/* What is of /proc was read at other times than the report. */
	ck_assert_double_eq_tol(at(doc, "vcpus.0.rates.cpu_seconds"), 0.25, EPS);
	json_decref(doc);
}
END_TEST

START_TEST(resets_and_gaps_have_no_rate)
{
	static const char before[] =
		"{'pid': 7, 'duration_s': 10, 'restarts': 1, 'routing_writes': 50, 'serial': {'dropped': 4},"
		"'vcpus': [{'index': 0, 'user_exits': 100, 'exits_by_kvm_reason': {'io': 9, 'mmio': 3}}]}";
	json_t *doc = rated(before,
		"{'pid': 7, 'duration_s': 11, 'restarts': 2, 'routing_writes': 3,"
		"'vcpus': [{'index': 0, 'user_exits': 99, 'exits_by_kvm_reason': {'io': 10}}]}");

	ck_assert_double_eq_tol(at(doc, "rates.restarts"), 1, EPS);
	ck_assert_double_eq(at(doc, "rates.routing_writes"), -1);
	ck_assert_double_eq(at(doc, "rates.serial_dropped_bytes"), -1);
	ck_assert_double_eq(at(doc, "vcpus.0.rates.user_exits"), -1);
	ck_assert_double_eq_tol(at(doc, "vcpus.0.rates.user_exits_by_reason.io"), 1, EPS);
	ck_assert_double_eq(at(doc, "vcpus.0.rates.user_exits_by_reason.mmio"), -1);
	json_decref(doc);

	/* A number that appears is not what the interval added; neither is all of a new vCPU's. */
	doc = rated("{'pid': 7, 'duration_s': 10, 'vcpus': []}",
		"{'pid': 7, 'duration_s': 11, 'restarts': 2, 'vcpus': [{'index': 0, 'user_exits': 99,"
		"'exits_by_kvm_reason': {'io': 10}}]}");
	ck_assert_double_eq(at(doc, "rates.restarts"), -1);
	ck_assert_double_eq(at(doc, "vcpus.0.rates.user_exits"), -1);
	ck_assert_double_eq(at(doc, "vcpus.0.rates.user_exits_by_reason.io"), -1);
	json_decref(doc);
}
END_TEST

START_TEST(no_time_no_rates)
{
	static const char *const now[] = {
		"{'pid': 7, 'duration_s': 10, 'restarts': 2}",			/* no time between */
		"{'pid': 7, 'duration_s': 9, 'restarts': 2}",			/* backwards */
		"{'pid': 8, 'duration_s': 11, 'restarts': 2}",			/* another guest */
		"{'pid': 7, 'name': 'other', 'duration_s': 11, 'restarts': 2}", /* likewise */
		"{'pid': 7, 'restarts': 2}", "{'pid': 7, 'duration_s': [], 'restarts': 2}", /* no clock */
	};

	for (size_t i = 0; i < sizeof(now) / sizeof(now[0]); i++) {
		json_t *doc = rated("{'pid': 7, 'duration_s': 10, 'restarts': 1}", now[i]);

		ck_assert_msg(at(doc, "rates.restarts") < 0, "%s", now[i]);
		json_decref(doc);
	}
	json_decref(rated(NULL, "{'duration_s': 10, 'vcpus': [{'index': 0, 'user_exits': 3}]}"));
}
END_TEST

/* Anything may come over a socket. */
START_TEST(odd_documents_do_no_harm)
{
	static const char *const odd[] = {
		"{}",
		"{'vcpus': {}, 'threads': 3, 'memory': 'x', 'devices': null}",
		"{'vcpus': [1, null, [], {}, {'index': []}], 'devices': [{'queues': 3}, {'queues': [1, {}]}, "
		"7]}",
		"{'vcpus': [{'index': 0, 'kvm_stats': [], 'profile': {'times': {'handlers': {'io': 3, "
		"'mmio': {'histogram':"
		"[1, -2, 'x', 3.5]}}}}, 'task': 'x', 'rates': 5, 'time': [], 'exits_by_kvm_reason': {'a': "
		"'b'}}]}",
		"{'threads': [{'name': 3}, {'name': 3}, {'name': null}, {}]}",
		"{'memory': [{'gpa': 'x', 'actual': {'bytes_on_node': []}}], 'kvm_stats_kinds': 3, "
		"'kvm_stats': {'x': 1}}",
	};

	for (size_t b = 0; b < sizeof(odd) / sizeof(odd[0]); b++) {
		for (size_t n = 0; n < sizeof(odd) / sizeof(odd[0]); n++) {
			json_t *doc = rated(odd[b], odd[n]), *before = made(odd[b]);
			struct subjects s;

			ck_assert_int_eq(subjects_find(&s, doc, before), 0);
			free(WRITTEN(screen_write(doc, out, 80)));
			free(WRITTEN(prometheus_write(&s, out)));
			free(WRITTEN(csv_write(&s, out)));
			subjects_free(&s);
			json_decref(doc);
			json_decref(before);
		}
	}
}
END_TEST

/* Each with its own, whatever the order was before. */
START_TEST(many_vcpus)
{
	json_t *before = json_object(), *now = json_object(), *list[2] = {json_array(), json_array()};
	struct subjects s;

	for (int i = 0; i < 255; i++) {
		json_array_insert_new(list[0], 0, json_pack("{s:i, s:i}", "index", i, "user_exits", 1000));
		json_array_append_new(list[1], json_pack("{s:i, s:i}", "index", i, "user_exits", 1000 + i));
	}
	json_object_set_new(before, "vcpus", list[0]);
	json_object_set_new(now, "vcpus", list[1]);
	json_object_set_new(before, "duration_s", json_integer(1));
	json_object_set_new(now, "duration_s", json_integer(2));
	ck_assert_int_eq(subjects_find(&s, now, before), 0);
	ck_assert_uint_eq(s.n, 256);
	document_rates(&s);
	for (int i = 0; i < 255; i++)
		ck_assert_double_eq_tol(
			json_number_value(json_at(json_array_get(list[1], i), "rates.user_exits")), i, EPS);
	subjects_free(&s);
	json_decref(before);
	json_decref(now);
}
END_TEST

START_TEST(since_the_placement)
{
	static const struct {
		const char *thread;
		double switches, migrations;
	} c[] = {
		{"{'placement': {'counted_before': {'involuntary_switches': 3, 'migrations': 2}}, 'task': {'involuntary_switches': 10, "
		 "'migrations': 2}}", 7, 0},
		{"{'placement': {'counted_before': null}, 'task': {'involuntary_switches': 10, 'migrations': 2}}", 10, 2},
		{"{'task': {'involuntary_switches': 10}}", 10, -1},
		{"{'placement': {'counted_before': {'involuntary_switches': 11, 'migrations': -1}}, 'task': {'involuntary_switches': "
		 "10, 'migrations': 2}}", 10, 2},
		{"{'placement': 5}", -1, -1},
	};

	for (size_t i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		json_t *thread = made(c[i].thread);

		document_since_placement(thread);
		ck_assert_double_eq(at(thread, "task.since_placement.involuntary_switches"), c[i].switches);
		ck_assert_double_eq(at(thread, "task.since_placement.migrations"), c[i].migrations);
		json_decref(thread);
	}
}
END_TEST

START_TEST(threads_of_one_name)
{
	json_t *before = made(
		"{'duration_s': 1, 'threads': [{'name': 'x', 'tid': 5, 'task': {'at_s': 1, 'migrations': 1}},"
		"{'name': 'x', 'tid': 6, 'task': {'at_s': 1, 'migrations': 10}}]}");
	json_t *now = made("{'duration_s': 2, 'threads': [{'name': 'x', 'tid': 6, 'task': {'at_s': 2, "
			   "'migrations': 12}},"
			   "{'name': 'x', 'tid': 7, 'task': {'at_s': 2, 'migrations': 50}}]}");
	struct subjects s;

	ck_assert_int_eq(subjects_find(&s, now, before), 0);
	ck_assert_uint_eq(s.n, 3);
	ck_assert_str_eq(s.subject[1].id[0], "x");
	ck_assert_str_eq(s.subject[2].id[0], "x 7");
	document_rates(&s);
	ck_assert_double_eq_tol(at(now, "threads.0.rates.migrations"), 2, EPS);
	ck_assert_double_eq(at(now, "threads.1.rates.migrations"), -1);
	subjects_free(&s);
	json_decref(before);
	json_decref(now);
}
END_TEST

/* KVM's array, pinvm's array and pinvm's object count alike. */
START_TEST(histograms)
{
	static const char before[] =
		"{'duration_s': 1, 'vcpus': [{'index': 0, 'kvm_stats': {'halt_wait_hist': [1, 0, 0, 0, 0], "
		"'halt_wait_ns': 0},"
		"'profile': {'times': {'handlers': {'io': {'ns': 100, 'histogram': {'64': 1}}}}}}],"
		"'devices': [{'name': 'd', 'queues': [{'latency_ns': {'sum': 0, 'histogram': [0, 0, 0, 0]}}, "
		"{'latency_ns': null}]}]}";
	static const char now[] = "{'duration_s': 2, 'vcpus': [{'index': 0, 'kvm_stats': {'halt_wait_hist': "
				  "[1, 0, 3, 0, 1], 'halt_wait_ns': 30},"
				  "'profile': {'times': {'handlers': {'io': {'ns': 700, 'histogram': {'64': "
				  "1, '128': 2}}, 'mmio': {'ns': 9,"
				  "'histogram': {'8': 1}}}}}}],"
				  "'devices': [{'name': 'd', 'queues': [{'latency_ns': {'sum': 8, "
				  "'histogram': [0, 0, 2, 0]}}, {'latency_ns': null}]}]}";
	json_t *doc = rated(before, now);

	/* Bucket 2 of KVM's is 2 and 3 ns: at most 4. */
	ck_assert_double_eq_tol(at(doc, "vcpus.0.rates.halt_wait_seconds_count"), 4, EPS);
	ck_assert_double_eq_tol(at(doc, "vcpus.0.p50.halt_wait_seconds") * 1e9, 4, EPS);
	ck_assert_double_eq_tol(at(doc, "vcpus.0.mean.halt_wait_seconds") * 1e9, 7.5, EPS);
	/* The last bucket has no end. */
	ck_assert_double_eq(at(doc, "vcpus.0.p99.halt_wait_seconds"), -1);
	ck_assert_double_eq_tol(at(doc, "vcpus.0.mean.handler_seconds.io") * 1e9, 300, EPS);
	ck_assert_double_eq_tol(at(doc, "vcpus.0.p99.handler_seconds.io") * 1e9, 256, EPS);
	ck_assert_double_eq_tol(at(doc, "vcpus.0.rates.handler_seconds_count.mmio"), 1, EPS);
	/* Bucket 2 of pinvm's is 4 to 7 ns. */
	ck_assert_double_eq_tol(at(doc, "devices.0.queues.0.p50.latency_seconds") * 1e9, 8, EPS);
	ck_assert_double_eq_tol(at(doc, "devices.0.queues.0.mean.latency_seconds") * 1e9, 4, EPS);
	ck_assert_double_eq(at(doc, "devices.0.queues.1.p50.latency_seconds"), -1);
	json_decref(doc);
	/* One that became less says nothing of the interval. */
	doc = rated(now, before);
	ck_assert_double_eq(at(doc, "vcpus.0.rates.halt_wait_seconds_count"), -1);
	json_decref(doc);
}
END_TEST

#define VCPU(at_s, run, delay, guest, user, kernel, more)                                               \
	"{'duration_s': " at_s ", 'vcpus': [{'index': 0, 'task': {'at_s': " at_s ", 'run_ns': " run     \
	", 'run_delay_ns': " delay ", 'guest_ns': " guest ", 'user_ns': " user ", 'kernel_ns': " kernel \
	"}" more "}]}"

static void is_time(const char *before, const char *now, double guest, double kernel, double vmm, double halt,
	double steal)
{
	json_t *doc = rated(before, now);

	ck_assert_double_eq_tol(at(doc, "vcpus.0.time.guest"), guest, 0.01);
	ck_assert_double_eq_tol(at(doc, "vcpus.0.time.kernel"), kernel, 0.01);
	ck_assert_double_eq_tol(at(doc, "vcpus.0.time.vmm"), vmm, 0.01);
	ck_assert_double_eq_tol(at(doc, "vcpus.0.time.halt"), halt, 0.01);
	ck_assert_double_eq_tol(at(doc, "vcpus.0.time.steal"), steal, 0.01);
	ck_assert_double_eq_tol(guest + kernel + vmm + halt + steal, 100, 0.01);
	json_decref(doc);
}

START_TEST(time_of_vcpus)
{
	/* 1 s: 600 ms on a CPU, by 50 ticks of the guest's, 2 of pinvm's, 8 of the kernel's; 100 ms without
	 * one. */
	is_time(VCPU("1", "0", "0", "0", "0", "0", ""),
		VCPU("2", "600000000", "100000000", "500000000", "20000000", "80000000", ""), 50, 8, 2, 30,
		10);
	/* KVM polled for 50 ms of the kernel's time: idle. */
	is_time(VCPU("1", "0", "0", "0", "0", "0",
			", 'kvm_stats': {'halt_poll_success_ns': 0, 'halt_poll_fail_ns': 7}"),
		VCPU("2", "600000000", "100000000", "500000000", "20000000", "80000000",
			", 'kvm_stats': {'halt_poll_success_ns': 30000000, 'halt_poll_fail_ns': 20000007}"),
		50, 3, 2, 35, 10);
	/* The vCPU's thread polled for 15 ms of pinvm's time. */
	is_time(VCPU("1", "0", "0", "0", "0", "0", ", 'halt_poll': {'polled_ns': 4}"),
		VCPU("2", "600000000", "100000000", "500000000", "20000000", "80000000", ", 'halt_poll': {'polled_ns': 15000004}"),
		50, 8, 0.5, 31.5, 10);
	/* With pinvm's own clock, what its handlers had the kernel do is pinvm's. */
	is_time(VCPU("1", "0", "0", "0", "0", "0", ", 'profile': {'times': {'vmm_ns': 0}}"),
		VCPU("2", "600000000", "100000000", "500000000", "20000000", "80000000",
			", 'profile': {'times': {'vmm_ns': 40000000}}"),
		50, 6, 4, 30, 10);
	/* No tick fell into a short interval: as in the thread's life. */
	is_time(VCPU("1", "0", "0", "750", "0", "250", ""), VCPU("2", "4000000", "0", "750", "0", "250", ""),
		0.3, 0.1, 0, 99.6, 0);
	/* Halted all the time: KVM would count that when it ends. */
	is_time(VCPU("1", "5", "0", "0", "0", "0", ""), VCPU("2", "5", "0", "0", "0", "0", ""), 0, 0, 0, 100,
		0);
	/* Clocks that were not read together: no more than there is. */
	is_time(VCPU("1", "0", "0", "0", "0", "0", ""), VCPU("2", "1100000000", "10", "1", "0", "0", ""), 100,
		0, 0, 0, 0);
}
END_TEST

START_TEST(time_that_nobody_tells)
{
	json_t *doc = rated("{'duration_s': 1, 'vcpus': [{'index': 0, 'task': {'at_s': 1, 'run_ns': 5}}]}",
		"{'duration_s': 2, 'vcpus': [{'index': 0, 'task': {'at_s': 2, 'run_ns': 6}}]}");

	ck_assert_double_eq(at(doc, "vcpus.0.time.guest"), -1);
	json_decref(doc);
	doc = rated("{'duration_s': 1, 'threads': [{'name': 'e', 'tid': 1, 'task': {'at_s': 1, 'run_ns': 0, "
		    "'run_delay_ns': 0}}]}",
		"{'duration_s': 2, 'threads': [{'name': 'e', 'tid': 1, 'task': {'at_s': 2, 'run_ns': "
		"250000000,"
		"'run_delay_ns': 10000000}}]}");
	ck_assert_double_eq_tol(at(doc, "threads.0.time.cpu"), 25, EPS);
	ck_assert_double_eq_tol(at(doc, "threads.0.time.steal"), 1, EPS);
	json_decref(doc);
}
END_TEST

UNIT_MAIN("stat_rates", counters_grow, units_are_base_units, resets_and_gaps_have_no_rate, no_time_no_rates,
	odd_documents_do_no_harm, many_vcpus, since_the_placement, threads_of_one_name, histograms, time_of_vcpus,
	time_that_nobody_tells)
