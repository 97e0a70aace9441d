// SPDX-License-Identifier: Apache-2.0
/* What `pinvm perf` counts on hosts that are made up for it. */
#include <errno.h>
#include <linux/perf_event.h>
#include <string.h>

#include "tests/unit/fake_root.h"
#include "tests/unit/said.h"
#include "tests/unit/unit.h"
#include "vmm/perf/events.h"
#include "vmm/perf/pmu.h"

static struct perf_machine machine;
static struct perf_selection s;

static void setup_pmu(const char *name, const char *type)
{
	char path[128];

	snprintf(path, sizeof(path), PERF_DEVICES "/%s/type", name);
	fake_root_put(path, type);
}

static void setup_cpu(const char *vendor, unsigned family, unsigned model)
{
	char text[256];

	snprintf(text, sizeof(text),
		"processor\t: 0\nvendor_id\t: %s\ncpu family\t: %u\nmodel\t\t: %u\nmodel name\t: Some CPU "
		"7\n",
		vendor, family, model);
	fake_root_put("/proc/cpuinfo", text);
}

static int choose(const char *list)
{
	lines = 0;
	perf_machine_read(fake_root, &machine);
	return perf_select(fake_root, &machine, list, &s);
}

static const struct perf_event *get(const char *name)
{
	for (unsigned i = 0; i < s.n; i++)
		if (!strcmp(s.event[i].name, name))
			return &s.event[i];
	ck_abort_msg("%s is not counted", name);
}

START_TEST(the_usual_events)
{
	fake_root_open();
	setup_pmu("cpu", "4\n");
	setup_pmu("software", "1\n");
	setup_pmu("uncore_imc_0", "14\n");
	setup_cpu("GenuineIntel", 6, 0x8f);
	ck_assert_int_eq(choose(NULL), 0);
	ck_assert_str_eq(machine.pmu, "cpu");
	ck_assert(!machine.hybrid);
	ck_assert_uint_eq(s.n, 13);
	ck_assert_uint_eq(s.nmissing, 0);
	ck_assert(get("cycles")->split && get("page-walks")->split);
	ck_assert(!get("context-switches")->split && !get("task-clock")->split);
	ck_assert(get("task-clock")->time && !get("cycles")->time);
	ck_assert_uint_eq(get("dTLB-load-misses")->type, PERF_TYPE_HW_CACHE);
	ck_assert_uint_eq(get("dTLB-load-misses")->config, 0x10003);
	ck_assert_uint_eq(get("page-walks")->type, 4);
	ck_assert_uint_eq(get("page-walks")->config, 0x0e12);
	fake_root_close();
}
END_TEST

/* What makes a ratio is one group, and stands together. */
START_TEST(pairs_are_groups)
{
	static const char *const pair[][2] = {{"cycles", "instructions"},
		{"cache-references", "cache-misses"}, {"branches", "branch-misses"},
		{"dTLB-loads", "dTLB-load-misses"}};
	unsigned changes = 0;

	fake_root_open();
	setup_pmu("cpu", "4\n");
	setup_cpu("AuthenticAMD", 25, 1);
	ck_assert_int_eq(choose(NULL), 0);
	for (size_t i = 0; i < sizeof(pair) / sizeof(pair[0]); i++)
		ck_assert_uint_eq(get(pair[i][0])->group, get(pair[i][1])->group);
	for (unsigned i = 1; i < s.n; i++)
		changes += s.event[i].group != s.event[i - 1].group;
	ck_assert_uint_eq(changes, 5);
	ck_assert_int_eq(choose("r12,instructions,r34,cycles,cs"), 0);
	ck_assert_uint_eq(s.n, 5);
	ck_assert_str_eq(s.event[0].name, "cycles");
	ck_assert_str_eq(s.event[1].name, "instructions");
	ck_assert_str_eq(s.event[2].name, "context-switches");
	ck_assert_uint_eq(get("r12")->config, 0x12);
	ck_assert_uint_eq(get("r12")->type, PERF_TYPE_RAW);
	ck_assert_uint_ne(get("r12")->group, get("r34")->group);
	ck_assert_uint_ne(get("r12")->group, get("context-switches")->group);
	fake_root_close();
}
END_TEST

START_TEST(page_walks_by_cpu)
{
	static const struct {
		const char *vendor;
		unsigned family, model;
		uint64_t config; /* 0: not known */
	} cpu[] = {
		{"GenuineIntel", 6, 0x2a, 0x0208},
		{"GenuineIntel", 6, 0x3e, 0x8208},
		{"GenuineIntel", 6, 0x4f, 0x0e08},
		{"GenuineIntel", 6, 0x55, 0x0e08},
		{"GenuineIntel", 6, 0x6a, 0x0e08},
		{"GenuineIntel", 6, 0xcf, 0x0e12},
		{"GenuineIntel", 6, 0x1c, 0},
		{"GenuineIntel", 15, 0x2a, 0},
		{"AuthenticAMD", 0x17, 0x31, 0xf045},
		{"AuthenticAMD", 0x19, 0x11, 0xf045},
		{"AuthenticAMD", 0x1a, 2, 0xf045},
		{"AuthenticAMD", 0x15, 2, 0},
		{"HygonGenuine", 0x18, 1, 0xf045},
		{"CentaurHauls", 7, 0x3b, 0},
	};
	char number[32];

	fake_root_open();
	setup_pmu("cpu", "4\n");
	for (size_t i = 0; i < sizeof(cpu) / sizeof(cpu[0]); i++) {
		setup_cpu(cpu[i].vendor, cpu[i].family, cpu[i].model);
		if (cpu[i].config) {
			ck_assert_int_eq(choose("page-walks"), 0);
			ck_assert_uint_eq(get("page-walks")->config, cpu[i].config);
			continue;
		}
		ck_assert_int_eq(choose("page-walks"), -ENODEV);
		snprintf(number, sizeof(number), "family %u, model %u)", cpu[i].family, cpu[i].model);
		ck_assert_ptr_nonnull(strstr(said, number));
		ck_assert_uint_eq(lines, 1);
		ck_assert_int_eq(choose(NULL), 0); /* the others are counted all the same */
		ck_assert_uint_eq(s.n, 12);
		ck_assert_str_eq(s.missing[0].name, "page-walks");
	}
	fake_root_close();
}
END_TEST

/* The kernel's own name goes before any list. */
START_TEST(page_walks_by_name)
{
	fake_root_open();
	setup_pmu("armv8_pmuv3_0", "8\n");
	ck_assert_int_eq(choose("page-walks"), -ENODEV);
	ck_assert_ptr_nonnull(strstr(said, "no event dtlb_walk"));
	fake_root_put(PERF_DEVICES "/armv8_pmuv3_0/events/dtlb_walk", "event=0x0034\n");
	fake_root_put(PERF_DEVICES "/armv8_pmuv3_0/format/event", "config:0-15\n");
	ck_assert_int_eq(choose("page-walks,cycles"), 0);
	ck_assert_uint_eq(get("page-walks")->type, 8);
	ck_assert_uint_eq(get("page-walks")->config, 0x34);
	ck_assert_uint_eq(get("cycles")->type, PERF_TYPE_HARDWARE);
	fake_root_close();
}
END_TEST

START_TEST(aliases_are_put_into_their_fields)
{
	uint64_t config;

	fake_root_open();
	fake_root_put(PERF_DEVICES "/cpu/format/event", "config:0-7,32-35\n");
	fake_root_put(PERF_DEVICES "/cpu/format/umask", "config:8-15\n");
	fake_root_put(PERF_DEVICES "/cpu/format/inv", "config:23\n");
	fake_root_put(PERF_DEVICES "/cpu/format/ldlat", "config1:0-15\n");
	fake_root_put(PERF_DEVICES "/cpu/format/odd", "config:9-\n");
	fake_root_put(PERF_DEVICES "/cpu/events/a", "event=0x3c5,umask=0x12,inv\n");
	fake_root_put(PERF_DEVICES "/cpu/events/wide", "event=0x12345\n");
	fake_root_put(PERF_DEVICES "/cpu/events/load", "event=1,ldlat=3\n");
	fake_root_put(PERF_DEVICES "/cpu/events/odd", "odd=1\n");
	fake_root_put(PERF_DEVICES "/cpu/events/none", "nosuch=1\n");
	fake_root_put(PERF_DEVICES "/cpu/events/path", "../events/a=1\n");
	ck_assert_int_eq(perf_alias(fake_root, "cpu", "a", &config), 0);
	ck_assert_uint_eq(config, 0x3008012c5);
	ck_assert_int_eq(perf_alias(fake_root, "cpu", "wide", &config), -EINVAL);
	ck_assert_int_eq(perf_alias(fake_root, "cpu", "load", &config), -EINVAL);
	ck_assert_int_eq(perf_alias(fake_root, "cpu", "odd", &config), -EINVAL);
	ck_assert_int_eq(perf_alias(fake_root, "cpu", "none", &config), -EINVAL);
	ck_assert_int_eq(perf_alias(fake_root, "cpu", "path", &config), -EINVAL);
	ck_assert_int_eq(perf_alias(fake_root, "cpu", "b", &config), -ENOENT);
	fake_root_close();
}
END_TEST

START_TEST(several_kinds_of_cores)
{
	fake_root_open();
	setup_pmu("cpu_atom", "10\n");
	setup_pmu("cpu_core", "4\n");
	fake_root_put(PERF_DEVICES "/cpu_core/cpus", "0-15\n");
	setup_cpu("GenuineIntel", 6, 0x97);
	ck_assert_int_eq(choose("cycles,dTLB-loads,page-walks,cs,r1"), 0);
	ck_assert(machine.hybrid);
	ck_assert_str_eq(machine.pmu, "cpu_core");
	ck_assert_str_eq(machine.cpus, "0-15");
	ck_assert_uint_eq(get("cycles")->config, 4ULL << 32);
	ck_assert_uint_eq(get("dTLB-loads")->config, 4ULL << 32 | 3);
	ck_assert_uint_eq(get("page-walks")->type, 4);
	ck_assert_uint_eq(get("page-walks")->config, 0x0e12);
	ck_assert_uint_eq(get("context-switches")->config, PERF_COUNT_SW_CONTEXT_SWITCHES);
	ck_assert_uint_eq(get("r1")->type, 4);
	fake_root_close();
}
END_TEST

START_TEST(without_a_pmu)
{
	fake_root_open();
	setup_pmu("software", "1\n");
	setup_cpu("AuthenticAMD", 25, 1);
	ck_assert_int_eq(choose(NULL), 0);
	ck_assert_uint_eq(s.n, 4);
	ck_assert_uint_eq(s.nmissing, 9);
	for (unsigned i = 0; i < s.nmissing; i++)
		ck_assert_str_eq(s.missing[i].why, PERF_NO_PMU);
	ck_assert_uint_eq(lines, 0);
	ck_assert_int_eq(choose("cs,faults,migrations,major-faults"), 0);
	ck_assert_uint_eq(s.n, 4);
	ck_assert_int_eq(choose("cs,instructions"), -ENODEV);
	ck_assert_str_eq(said, "perf: -e instructions: " PERF_NO_PMU);
	fake_root_close();
}
END_TEST

START_TEST(wrong_lists)
{
	static const struct {
		const char *list, *said;
	} wrong[] = {
		{"cyles", "perf: -e cyles: unknown event; did you mean cycles?"},
		{"nonsense", "perf: -e nonsense: unknown event; `pinvm help perf` lists them, and rNNN is "
			     "one by its number"},
		{"cs,,faults", "perf: -e: an empty name in the list"},
		{"cs,", "perf: -e: an empty name in the list"},
		{"kvm:kvm_exit", "perf: -e kvm:kvm_exit: tracepoints and modifiers are for perf(1); `pinvm "
				 "help perf` lists the events"},
		{"cs,context-switches", "perf: -e context-switches: given twice"},
		{"r1,cycles,r1", "perf: -e r1: given twice"},
		{"r12345678901234567", "perf: -e r12345678901234567: unknown event; `pinvm help perf` lists "
				       "them, and rNNN is one by "
				       "its number"},
		{"a\nb", "perf: -e a?b: unknown event; `pinvm help perf` lists them, and rNNN is one by its "
			 "number"},
	};
	char many[512] = "cycles";

	fake_root_open();
	setup_pmu("cpu", "4\n");
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		ck_assert_int_eq(choose(wrong[i].list), -EINVAL);
		ck_assert_str_eq(said, wrong[i].said);
		ck_assert_uint_eq(lines, 1);
	}
	for (unsigned i = 0; i < PERF_EVENTS; i++)
		sprintf(many + strlen(many), ",r%x", i);
	ck_assert_int_eq(choose(many), -EINVAL);
	ck_assert_uint_eq(lines, 1);
	fake_root_close();
}
END_TEST

START_TEST(dropped_events_are_missing)
{
	fake_root_open();
	setup_pmu("cpu", "4\n");
	setup_cpu("AuthenticAMD", 25, 1);
	ck_assert_int_eq(choose("cycles,instructions,cs"), 0);
	perf_drop(&s, 1, "for a reason");
	ck_assert_uint_eq(s.n, 2);
	ck_assert_str_eq(s.event[1].name, "context-switches");
	ck_assert_uint_eq(s.nmissing, 1);
	ck_assert_str_eq(s.missing[0].name, "instructions");
	ck_assert_str_eq(s.missing[0].why, "for a reason");
	fake_root_close();
}
END_TEST

START_TEST(tracers)
{
	fake_root_open();
	setup_pmu("cpu", "4\n");
	ck_assert_ptr_null(perf_tracer(fake_root));
	setup_pmu("cs_etm", "9\n");
	ck_assert_str_eq(perf_tracer(fake_root), "cs_etm");
	setup_pmu("intel_pt", "8\n");
	ck_assert_str_eq(perf_tracer(fake_root), "intel_pt");
	fake_root_close();
}
END_TEST

UNIT_MAIN("perf_events", the_usual_events, pairs_are_groups, page_walks_by_cpu, page_walks_by_name,
	aliases_are_put_into_their_fields, several_kinds_of_cores, without_a_pmu, wrong_lists,
	dropped_events_are_missing, tracers)
