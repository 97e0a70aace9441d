// SPDX-License-Identifier: Apache-2.0
/* Preallocation: how many threads fill, on which CPUs, what each, and in which order. */
#include "tests/unit/fill_unit.h"

static int allowed_cpus(void)
{
	cpu_set_t set;

	ck_assert_int_eq(sched_getaffinity(0, sizeof(set), &set), 0);
	return CPU_COUNT(&set);
}

/* A host with these CPUs in its two nodes; %d: the first one of ours. */
static void two_nodes(const char *cpus0, const char *cpus1)
{
	const char *list[] = {cpus0, cpus1};
	char path[64], text[16];
	cpu_set_t set;
	int cpu = 0;

	ck_assert_int_eq(sched_getaffinity(0, sizeof(set), &set), 0);
	while (!CPU_ISSET(cpu, &set))
		cpu++;
	fake_root_open();
	fake_root_put("/sys/devices/system/node/online", "0-1\n");
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/cpulist", i);
		snprintf(text, sizeof(text), list[i], cpu);
		fake_root_put(path, text);
	}
	ways.root = fake_root;
}

START_TEST(as_many_threads_as_are_of_use)
{
	struct fill_area area = map(6 * FILL_CHUNK, PAGE, 0);
	int cpus = allowed_cpus();

	ck_assert_int_eq(fill(&area, 1), 0);
	ck_assert_int_eq(result.threads, cpus < 6 ? cpus : 6);
	limits.threads = 1;
	ck_assert_int_eq(fill(&area, 1), 0);
	ck_assert_int_eq(result.threads, 1);
	limits.threads = 1000;
	area.size = FILL_CHUNK;
	ck_assert_int_eq(fill(&area, 1), 0);
	ck_assert_int_eq(result.threads, 1);
}
END_TEST

START_TEST(no_more_threads_than_the_nodes_have_cpus)
{
	struct fill_area area = map(6 * FILL_CHUNK, PAGE, 0);
	int cpus = allowed_cpus();

	two_nodes("%d\n", "\n");
	CPU_SET(0, &area.nodes);
	ck_assert_int_eq(fill(&area, 1), 0);
	ck_assert_int_eq(result.threads, 1);
	/* A node with memory alone: every CPU will do. */
	CPU_ZERO(&area.nodes);
	CPU_SET(1, &area.nodes);
	ck_assert_int_eq(fill(&area, 1), 0);
	ck_assert_int_eq(result.threads, cpus < 6 ? cpus : 6);
	fake_root_close();
}
END_TEST

/* What nobody bound to a node lies where it is filled: near those who will use it. */
START_TEST(unbound_areas_are_filled_near_their_users)
{
	struct fill_area area[2] = {map(6 * FILL_CHUNK, PAGE, 0), map(6 * FILL_CHUNK, PAGE, 0)};
	int cpus = allowed_cpus();

	two_nodes("901\n", "%d,900\n");
	CPU_SET(900, &limits.users);
	ck_assert_int_eq(fill(area, 2), 0);
	ck_assert_int_eq(result.threads, 1);
	ck_assert_uint_eq(result.bytes, 12 * FILL_CHUNK);
	/* No CPU of theirs may be used: any will do. */
	CPU_ZERO(&limits.users);
	CPU_SET(901, &limits.users);
	ck_assert_int_eq(fill(area, 2), 0);
	ck_assert_int_eq(result.threads, cpus < 12 ? cpus : 12);
	/* One thread for two groups does the work of both, whatever it would rather do. */
	CPU_SET(900, &limits.users);
	CPU_SET(0, &area[0].nodes);
	limits.threads = 1;
	ck_assert_int_eq(fill(area, 2), 0);
	ck_assert_uint_eq(result.bytes, 12 * FILL_CHUNK);
	fake_root_close();
}
END_TEST

START_TEST(choice_is_what_the_policy_leaves)
{
	static const struct {
		enum mem_policy policy;
		unsigned nodes, choice;
	} t[] = {
		{MEM_POLICY_BIND, 1, 1}, {MEM_POLICY_BIND, 2, 2}, {MEM_POLICY_BIND, 5, 5}, {MEM_POLICY_INTERLEAVE, 3, 1},
		{MEM_POLICY_PREFERRED, 1, FILL_LAST}, {MEM_POLICY_PREFERRED, 2, FILL_LAST}, {MEM_POLICY_DEFAULT, 0, FILL_LAST},
		{MEM_POLICY_BIND, 0, FILL_LAST},
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct fill_area area = {.policy = t[i].policy};

		for (unsigned n = 0; n < t[i].nodes; n++)
			CPU_SET(3 * n, &area.nodes);
		ck_assert_msg(fill_choice(&area) == t[i].choice, "row %zu: %u", i, fill_choice(&area));
	}
}
END_TEST

/*
 * Who can only have pages of one node gets them before somebody with a choice takes them. The one with more choice comes
 * first in the list, and its first page can not be had: the other is filled to the end all the same.
 */
START_TEST(areas_with_less_choice_come_first)
{
	for (unsigned more = 2; more < 4; more++)
		for (unsigned threads = 1; threads < 3; threads++) {
			struct fill_area area[2] = {map(3 * FILL_CHUNK, PAGE, 0), map(FILL_CHUNK + PAGE, PAGE, 0)};

			area[0].policy = more == 2 ? MEM_POLICY_BIND : MEM_POLICY_PREFERRED;
			area[1].policy = MEM_POLICY_BIND;
			CPU_SET(0, &area[0].nodes);
			CPU_SET(1, &area[0].nodes);
			CPU_SET(1, &area[1].nodes);
			ck_assert_int_eq(munmap(area[0].host, PAGE), 0);
			limits.threads = threads;
			ck_assert_int_eq(fill(area, 2), -ENOMEM);
			ck_assert_ptr_eq(where, area[0].host);
			ck_assert_uint_eq(present(&area[1]), area[1].size / PAGE);
			ck_assert_uint_ge(result.bytes, area[1].size);
			ck_assert_uint_ge(result.threads, 1);
			no_thread_is_left();
			munmap(area[0].host + PAGE, area[0].size - PAGE);
			munmap(area[1].host, area[1].size);
		}
}
END_TEST

static struct fill_group group_of_cpus(unsigned first, unsigned last, uint64_t chunks)
{
	struct fill_group group = {.bytes = chunks * FILL_CHUNK, .chunks = chunks};

	for (unsigned cpu = first; cpu <= last; cpu++)
		CPU_SET(cpu, &group.cpus);
	return group;
}

START_TEST(threads_are_shared_out_by_bytes_and_cpus)
{
	static const struct {
		uint64_t chunks[2];
		unsigned cpus[2][2], most, want[2];
	} t[] = {
		{{100, 100}, {{0, 7}, {8, 15}}, 32, {8, 8}},   /* all CPUs */
		{{100, 100}, {{0, 7}, {8, 15}}, 6, {3, 3}},    /* a limit */
		{{300, 100}, {{0, 7}, {8, 15}}, 4, {3, 1}},    /* by bytes */
		{{100, 100}, {{0, 0}, {1, 15}}, 32, {1, 15}},  /* a small node */
		{{100, 2}, {{0, 7}, {8, 15}}, 32, {8, 2}},     /* few chunks */
		{{100, 100}, {{0, 3}, {0, 3}}, 32, {2, 2}},    /* the same CPUs are not counted twice */
		{{100, 0}, {{0, 3}, {4, 7}}, 32, {4, 0}},      /* an empty area */
		{{0, 0}, {{0, 3}, {4, 7}}, 32, {0, 0}},
		{{1, 1}, {{0, 3}, {4, 7}}, 1, {1, 0}},         /* one thread fills both */
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct fill_group group[2];
		unsigned n;

		for (int g = 0; g < 2; g++)
			group[g] = group_of_cpus(t[i].cpus[g][0], t[i].cpus[g][1], t[i].chunks[g]);
		n = fill_share(group, 2, t[i].most);
		ck_assert_msg(group[0].threads == t[i].want[0] && group[1].threads == t[i].want[1], "row %zu: %u and %u", i,
			group[0].threads, group[1].threads);
		ck_assert_uint_eq(n, t[i].want[0] + t[i].want[1]);
	}
	ck_assert_uint_eq(fill_share(NULL, 0, 32), 0);
}
END_TEST

START_TEST(chunks_are_whole_pages)
{
	static const uint64_t t[][2] = {{PAGE, FILL_CHUNK}, {65536, FILL_CHUNK}, {HUGE, FILL_CHUNK}, {32 * MIB, 32 * MIB},
		{512 * MIB, 512 * MIB}, {1024 * MIB, 1024 * MIB}, {3 * MIB, 30 * MIB}};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct fill_area area = {.page = t[i][0]};

		ck_assert_uint_eq(fill_chunk(&area), t[i][1]);
	}
}
END_TEST

START_TEST(without_threads_main_fills)
{
	struct fill_area area = map(3 * FILL_CHUNK, PAGE, 0);

	allow_threads(false);
	ck_assert_int_eq(fill(&area, 1), 0);
	allow_threads(true);
	ck_assert_uint_eq(result.threads, 0);
	ck_assert_uint_eq(result.bytes, area.size);
	ck_assert_int_eq(faults_of_a_touch(&area), 0);
}
END_TEST

UNIT_MAIN("fill_threads", as_many_threads_as_are_of_use, no_more_threads_than_the_nodes_have_cpus,
	unbound_areas_are_filled_near_their_users, choice_is_what_the_policy_leaves,
	areas_with_less_choice_come_first, threads_are_shared_out_by_bytes_and_cpus, chunks_are_whole_pages,
	without_threads_main_fills)
