// SPDX-License-Identifier: Apache-2.0
/* The plan of guest RAM against hosts of its own making: what is refused, in which words, and what is not. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/unit/fake_root.h"
#include "tests/unit/unit.h"
#include "vmm/log.h"
#include "vmm/memory/plan.h"

#define GIB (1ULL << 30)
#define MIB (1ULL << 20)

static struct mem_plan plan;

static void put_number(const char *dir, const char *file, unsigned n)
{
	char path[256], text[16];

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	snprintf(text, sizeof(text), "%u\n", n);
	fake_root_put(path, text);
}

static void put_node(unsigned node, unsigned free_2m, unsigned free_1g, unsigned free_mib)
{
	char dir[128], path[192], text[512];

	snprintf(dir, sizeof(dir), "/sys/devices/system/node/node%u", node);
	snprintf(path, sizeof(path), "%s/hugepages/hugepages-2048kB", dir);
	put_number(path, "free_hugepages", free_2m);
	put_number(path, "nr_hugepages", free_2m + 5);
	snprintf(path, sizeof(path), "%s/hugepages/hugepages-1048576kB", dir);
	put_number(path, "free_hugepages", free_1g);
	put_number(path, "nr_hugepages", free_1g);
	snprintf(path, sizeof(path), "%s/cpulist", dir);
	snprintf(text, sizeof(text), "%u\n", node);
	fake_root_put(path, text);
	snprintf(path, sizeof(path), "%s/meminfo", dir);
	snprintf(text, sizeof(text),
		"Node %u MemTotal:       9000000 kB\nNode %u MemFree:        %u kB\nNode %u Active(file):   0 kB\n"
		"Node %u Inactive(file): 0 kB\nNode %u FilePages:      0 kB\nNode %u Shmem:          0 kB\n"
		"Node %u SReclaimable:   0 kB\nNode %u Dirty:   0 kB\n",
		node, node, free_mib << 10, node, node, node, node, node, node);
	fake_root_put(path, text);
}

static void put_pool(const char *kib, unsigned total, unsigned free)
{
	char dir[128];

	snprintf(dir, sizeof(dir), "/sys/kernel/mm/hugepages/hugepages-%skB", kib);
	put_number(dir, "nr_hugepages", total);
	put_number(dir, "free_hugepages", free);
	put_number(dir, "resv_hugepages", 0);
	put_number(dir, "surplus_hugepages", 0);
	put_number(dir, "nr_overcommit_hugepages", 0);
}

/* Two nodes with 100 and 300 free pages of 2M, none and two of 1G, 4 and 8 GiB of memory. */
static void make_host(void)
{
	fake_root_open();
	fake_root_put("/sys/devices/system/node/online", "0-1\n");
	fake_root_put("/sys/devices/system/node/has_memory", "0-1\n");
	fake_root_put("/proc/self/status", "Name:\tx\nMems_allowed_list:\t0-1\n");
	fake_root_put("/proc/self/cgroup", "0::/box\n");
	put_node(0, 100, 0, 4 << 10);
	put_node(1, 300, 2, 8 << 10);
	put_pool("2048", 410, 400);
	put_pool("1048576", 2, 2);
	fake_root_put("/sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n");
	fake_root_put("/sys/kernel/mm/transparent_hugepage/shmem_enabled", "always within_size advise [never] deny force\n");
}

static int try(uint64_t size, const char *hugepages, const char *nodes)
{
	struct guest_config cfg = {.cpus.count = 1, .memory = {.size = size}};

	cfg.memory.hugepages = (char *)hugepages;
	cfg.memory.host_node = (char *)nodes;
	return mem_plan(&plan, &cfg, fake_root);
}

static void fails(int err, uint64_t size, const char *hugepages, const char *nodes, const char *words)
{
	ck_assert_int_eq(try(size, hugepages, nodes), err);
	ck_assert_msg(strstr(log_first_error(), words) != NULL, "'%s' does not say '%s'", log_first_error(), words);
}

static void fails_cfg(const struct guest_config *cfg, int err, const char *words)
{
	ck_assert_int_eq(mem_plan(&plan, cfg, fake_root), err);
	ck_assert_msg(strstr(log_first_error(), words) != NULL, "'%s' does not say '%s'", log_first_error(), words);
}

START_TEST(what_fits_is_planned)
{
	make_host();
	ck_assert_int_eq(try(800 * MIB, "2M", NULL), 0);
	ck_assert_uint_eq(plan.page, 2 * MIB);
	ck_assert(plan.prealloc);
	ck_assert_int_eq(try(600 * MIB, "2M", "1"), 0);
	ck_assert_int_eq(plan.block[0].policy, MEM_POLICY_BIND);
	ck_assert(CPU_ISSET(1, &plan.block[0].nodes));
	ck_assert_int_eq(try(800 * MIB, "2M", "0-1"), 0);
	ck_assert_int_eq(try(2 * GIB, "1G", "1"), 0);
	ck_assert_int_eq(try(6 * GIB, NULL, NULL), 0);
	ck_assert(!plan.prealloc);
	ck_assert_int_eq(try(1 * GIB, "thp", NULL), 0);
	fake_root_close();
}
END_TEST

/* Each in a process of its own: the first error is what is looked at. */
static const struct {
	uint64_t size;
	const char *hugepages, *nodes;
	int err;
	const char *words;
} refused[] = {
	{802 * MIB, "2M", NULL, -ENOMEM, "needs 401 pages of 2M, 400 are free (node 0: 100, node 1: 300); reserve them: echo 411 >"},
	{202 * MIB, "2M", "0", -ENOMEM, "needs 101 pages of 2M there, 100 are free (node 0: 100, node 1: 300)"},
	{202 * MIB, "2M", "0", -ENOMEM, "echo 106 > /sys/devices/system/node/node0/hugepages/hugepages-2048kB/nr_hugepages"},
	{1 * GIB, "1G", "0", -ENOMEM, "needs 1 pages of 1G there, 0 are free (node 0: 0, node 1: 2); reserve them: echo 1 > "
		"/sys/devices/system/node/node0/hugepages/hugepages-1048576kB/nr_hugepages, or at boot: hugepagesz=1G hugepages=0:1"},
	{1536 * MIB, "1G", NULL, -EINVAL, "1536M: not a whole number of 1G pages"},
	{4 * MIB, "4M", NULL, -EINVAL, "no pages of that size; it has 2M 1G"},
	{512 * MIB, NULL, "2", -EINVAL, "this host has no node 2; it has 0-1"},
	{512 * MIB, "/tmp", NULL, -ENOTSUP, "not on a hugetlbfs mount"},
	{512 * MIB, "/nonexistent", NULL, -ENOENT, "--memory hugepages=/nonexistent: No such file"},
};

START_TEST(what_does_not_fit_is_refused)
{
	make_host();
	fails(refused[_i].err, refused[_i].size, refused[_i].hugepages, refused[_i].nodes, refused[_i].words);
	fake_root_close();
}
END_TEST

START_TEST(the_cpuset_has_a_say)
{
	make_host();
	fake_root_put("/proc/self/status", "Mems_allowed_list:\t0\n");
	fails(-EINVAL, 64 * MIB, NULL, "1", "memory of node 1 is outside what this process may use (0)");
	fake_root_close();
}
END_TEST

START_TEST(the_hugetlb_cgroup_has_a_say)
{
	make_host();
	fake_root_put("/sys/fs/cgroup/box/hugetlb.2MB.max", "67108864\n");
	fake_root_put("/sys/fs/cgroup/box/hugetlb.2MB.current", "0\n");
	ck_assert_int_eq(try(64 * MIB, "2M", NULL), 0);
	fails(-ENOMEM, 66 * MIB, "2M", NULL, "needs 66M, the hugetlb cgroup");
	fake_root_close();
}
END_TEST

/* What could fail only while the guest runs is refused before. */
START_TEST(late_failures_are_refused)
{
	struct guest_config cfg = {.cpus.count = 1, .memory = {.size = 64 * MIB, .prealloc = TRI_OFF}};
	char size[] = "2M";

	make_host();
	cfg.memory.hugepages = size;
	ck_assert_int_eq(mem_plan(&plan, &cfg, fake_root), -EINVAL);
	ck_assert_msg(strstr(log_first_error(), "prealloc=off") != NULL, "%s", log_first_error());
	cfg.force = true;
	ck_assert_int_eq(mem_plan(&plan, &cfg, fake_root), 0);
	fake_root_close();
}
END_TEST

/* The same from each node, or the kernel takes it where nobody asked. */
START_TEST(interleaved_pages_are_needed_on_each_node)
{
	struct guest_config cfg = {.cpus.count = 1, .memory = {.size = 200 * MIB}};
	char size[] = "2M", nodes[] = "0-1";

	make_host();
	cfg.memory.hugepages = size;
	cfg.memory.host_node = nodes;
	cfg.memory.policy = MEM_POLICY_INTERLEAVE - MEM_POLICY_BIND;
	ck_assert_int_eq(mem_plan(&plan, &cfg, fake_root), 0);
	cfg.memory.size = 404 * MIB;
	ck_assert_int_eq(mem_plan(&plan, &cfg, fake_root), -ENOMEM);
	ck_assert_msg(strstr(log_first_error(), "needs 101 pages of 2M there, 100 are free (node 0: 100, node 1: 300)") &&
			      strstr(log_first_error(), "node/node0/"),
		"%s", log_first_error());
	fake_root_close();
}
END_TEST

START_TEST(ordinary_memory_is_asked_for_too)
{
	struct guest_config cfg = {.cpus.count = 1, .memory = {.size = 6 * GIB, .prealloc = TRI_ON}};
	char node[] = "0";

	make_host();
	ck_assert_int_eq(mem_plan(&plan, &cfg, fake_root), 0);
	cfg.memory.host_node = node;
	ck_assert_int_eq(mem_plan(&plan, &cfg, fake_root), -ENOMEM);
	ck_assert_msg(strstr(log_first_error(), "6G is wanted from there, about 4G is to be had") != NULL, "%s",
		log_first_error());
	cfg.memory.host_node = NULL;
	cfg.memory.size = 13 * GIB;
	ck_assert_int_eq(mem_plan(&plan, &cfg, fake_root), -ENOMEM);
	fake_root_close();
}
END_TEST

START_TEST(the_memory_cgroup_has_a_say)
{
	struct guest_config cfg = {.cpus.count = 1, .memory = {.size = 512 * MIB, .prealloc = TRI_ON}};

	make_host();
	fake_root_put("/sys/fs/cgroup/memory.max", "max\n");
	fake_root_put("/sys/fs/cgroup/box/memory.max", "629145600\n"); /* 600M, of which 300M are used, 250M by page cache */
	fake_root_put("/sys/fs/cgroup/box/memory.current", "314572800\n");
	fake_root_put("/sys/fs/cgroup/box/memory.stat", "anon 1\ninactive_file 157286400\nactive_file 104857600\n");
	ck_assert_int_eq(mem_plan(&plan, &cfg, fake_root), 0);
	fake_root_put("/proc/self/cgroup", "4:memory:/one/two\n0::/\n");
	fake_root_put("/sys/fs/cgroup/memory/one/two/memory.limit_in_bytes", "9223372036854771712\n");
	fake_root_put("/sys/fs/cgroup/memory/one/two/memory.usage_in_bytes", "0\n");
	ck_assert_int_eq(mem_plan(&plan, &cfg, fake_root), 0);
	fake_root_put("/sys/fs/cgroup/memory/one/memory.limit_in_bytes", "209715200\n");
	fake_root_put("/sys/fs/cgroup/memory/one/memory.usage_in_bytes", "1048576\n");
	fails_cfg(&cfg, -ENOMEM, "the memory cgroup /sys/fs/cgroup/memory/one leaves about 199M");
	cfg.memory.prealloc = TRI_OFF;
	ck_assert_int_eq(mem_plan(&plan, &cfg, fake_root), 0);
	fake_root_close();
}
END_TEST

START_TEST(pages_of_a_node_are_reserved_there)
{
	make_host();
	fails(-ENOMEM, 900 * MIB, "2M", "1", "node1/hugepages/hugepages-2048kB/nr_hugepages");
	fake_root_close();
}
END_TEST

START_TEST(a_cpuset_narrows_the_pools)
{
	struct guest_config cfg = {.cpus.count = 1, .memory = {.size = 200 * MIB}};
	char size[] = "2M";

	make_host();
	cfg.memory.hugepages = size;
	ck_assert_int_eq(mem_plan(&plan, &cfg, fake_root), 0);
	fake_root_put("/proc/self/status", "Mems_allowed_list:\t0\n");
	ck_assert_int_eq(mem_plan(&plan, &cfg, fake_root), 0);
	cfg.memory.size = 202 * MIB;
	fails_cfg(&cfg, -ENOMEM, "needs 101 pages of 2M, 100 are free on node 0");
	fake_root_close();
}
END_TEST

START_TEST(shared_memory_is_not_charged_late)
{
	struct guest_config cfg = {.cpus.count = 1, .memory = {.size = 200 * MIB, .shared = true}};

	make_host();
	fake_root_put("/proc/sys/vm/overcommit_memory", "1\n");
	ck_assert_int_eq(mem_plan(&plan, &cfg, fake_root), 0);
	fake_root_put("/proc/sys/vm/overcommit_memory", "2\n");
	fails_cfg(&cfg, -EINVAL, "add prealloc=on");
	cfg.memory.prealloc = TRI_ON;
	ck_assert_int_eq(mem_plan(&plan, &cfg, fake_root), 0);
	fake_root_close();
}
END_TEST

START_TEST(transparent_huge_pages_must_be_on)
{
	struct guest_config cfg = {.cpus.count = 1, .memory = {.size = 64 * MIB}};
	char thp[] = "thp";

	make_host();
	cfg.memory.hugepages = thp;
	ck_assert_int_eq(mem_plan(&plan, &cfg, fake_root), 0);
	cfg.memory.shared = true;
	ck_assert_int_eq(mem_plan(&plan, &cfg, fake_root), -EINVAL);
	ck_assert_msg(strstr(log_first_error(), "shmem_enabled") != NULL, "%s", log_first_error());
	cfg.memory.shared = false;
	fake_root_put("/sys/kernel/mm/transparent_hugepage/enabled", "always madvise [never]\n");
	ck_assert_int_eq(mem_plan(&plan, &cfg, fake_root), -EINVAL);
	fake_root_close();
}
END_TEST

START_TEST(locking_needs_the_limit)
{
	struct guest_config cfg = {.cpus.count = 1, .memory = {.size = 64 * MIB, .lock = true}};
	struct rlimit low = {1 << 20, 1 << 20};

	make_host();
	ck_assert_int_eq(setrlimit(RLIMIT_MEMLOCK, &low), 0);
	if (!geteuid()) {
		ck_assert_int_eq(mem_plan(&plan, &cfg, fake_root), 0); /* CAP_IPC_LOCK */
		chmod(fake_root, 0755);
		ck_assert_int_eq(setuid(65534), 0);
	}
	ck_assert_int_eq(mem_plan(&plan, &cfg, ""), -EPERM);
	ck_assert_msg(strstr(log_first_error(), "RLIMIT_MEMLOCK is 1M; raise it (ulimit -l 65536") != NULL, "%s",
		log_first_error());
}
END_TEST

/* Two guest nodes, each on a host node of its own, on pages that only one of them has enough of. */
START_TEST(guest_nodes_take_from_their_own)
{
	static struct numa_config numa[2];
	struct guest_config cfg = {.cpus.count = 2, .memory = {.size = 400 * MIB}, .numas = numa, .nnumas = 2};
	char size[] = "2M", a[] = "0", b[] = "1";

	make_host();
	cfg.memory.hugepages = size;
	numa[0] = (struct numa_config){.cpus = a, .size = 200 * MIB, .host_node = a};
	numa[1] = (struct numa_config){.cpus = b, .size = 200 * MIB, .host_node = b};
	ck_assert_int_eq(mem_plan(&plan, &cfg, fake_root), 0);
	ck_assert_uint_eq(plan.n, 2);
	ck_assert(CPU_ISSET(0, &plan.block[0].nodes) && CPU_ISSET(1, &plan.block[1].nodes));
	ck_assert_uint_eq(plan.block[1].gpa, plan.block[0].gpa + 200 * MIB);
	numa[0].size = 202 * MIB;
	numa[1].size = 198 * MIB;
	ck_assert_int_eq(mem_plan(&plan, &cfg, fake_root), -ENOMEM);
	ck_assert_msg(strstr(log_first_error(), "--numa host-node=0: needs 101 pages") != NULL, "%s", log_first_error());
	fake_root_close();
}
END_TEST

START_TEST(spellings)
{
	static const char *const good[] = {"off", "thp", "2M", "1G", "64K", "/dev/hugepages"};
	static const char *const bad[] = {"", "on", "3M", "4K", "2", "huge", "-1", "2MB"};
	enum mem_pages pages;
	uint64_t size;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		ck_assert_msg(!mem_parse_hugepages(good[i], &pages, &size), "%s", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(mem_parse_hugepages(bad[i], &pages, &size) != NULL, "accepted: %s", bad[i]);
}
END_TEST

UNIT_MAIN_TIMES("mem_plan", {what_fits_is_planned, 1},
	{what_does_not_fit_is_refused, sizeof(refused) / sizeof(refused[0])},
	{the_cpuset_has_a_say, 1}, {the_hugetlb_cgroup_has_a_say, 1},
	{late_failures_are_refused, 1}, {interleaved_pages_are_needed_on_each_node, 1},
	{ordinary_memory_is_asked_for_too, 1}, {the_memory_cgroup_has_a_say, 1},
	{pages_of_a_node_are_reserved_there, 1}, {a_cpuset_narrows_the_pools, 1},
	{shared_memory_is_not_charged_late, 1}, {transparent_huge_pages_must_be_on, 1},
	{locking_needs_the_limit, 1}, {guest_nodes_take_from_their_own, 1}, {spellings, 1})
