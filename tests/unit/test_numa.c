// SPDX-License-Identifier: Apache-2.0
/* The host's nodes as its files tell them, and policies as the kernel gives them back. */
#include <errno.h>
#include <linux/mempolicy.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/unit/fake_root.h"
#include "vmm/hostfile.h"
#include "vmm/memory/numa.h"
#include "vmm/place/place.h"

#define NODE "/sys/devices/system/node"
#define KIB  1024ULL
#define PAGE 4096

static const char *spell(const cpu_set_t *set)
{
	static char text[256];

	place_format_cpus(set, text, sizeof(text));
	return text;
}

static const char *online(void)
{
	node_set set;

	numa_online(fake_root, &set);
	return spell(&set);
}

static const char *allowed(void)
{
	node_set set;

	numa_allowed(fake_root, &set);
	return spell(&set);
}

static const char *cpus(unsigned node)
{
	cpu_set_t set;

	numa_cpus(fake_root, node, &set);
	return spell(&set);
}

START_TEST(reads_small_files)
{
	char text[8];
	uint64_t n = 5;
	cpu_set_t set;

	fake_root_open();
	fake_root_put("/a", "1234567\n");
	ck_assert_int_eq(hostfile_text(fake_root, "/a", text, sizeof(text)), -EFBIG);
	ck_assert_int_eq(hostfile_uint(fake_root, "/a", &n), 0);
	ck_assert_uint_eq(n, 1234567);
	fake_root_put("/a", "123\n");
	ck_assert_int_eq(hostfile_text(fake_root, "/a", text, sizeof(text)), 0);
	ck_assert_str_eq(text, "123");
	ck_assert_int_eq(hostfile_text(fake_root, "/b", text, sizeof(text)), -ENOENT);
	ck_assert_int_eq(hostfile_text(fake_root, "/", text, sizeof(text)), -EISDIR);
	fake_root_put("/a", "12 apples");
	ck_assert_int_eq(hostfile_uint(fake_root, "/a", &n), -EINVAL);
	ck_assert_uint_eq(n, 1234567);
	ck_assert_int_eq(hostfile_list(fake_root, "/a", &set), -EINVAL);
	ck_assert_int_eq(CPU_COUNT(&set), 0);
	fake_root_put("/a", "\n");
	ck_assert_int_eq(hostfile_list(fake_root, "/a", &set), 0);
	ck_assert_int_eq(CPU_COUNT(&set), 0);
	fake_root_put("/a", "Name:\tx\nGroups:\t1 2\n");
	ck_assert_int_eq(hostfile_line(fake_root, "/a", "Groups:", text, sizeof(text)), 0);
	ck_assert_str_eq(text, "1 2");
	ck_assert_int_eq(hostfile_line(fake_root, "/a", "Group:", text, sizeof(text)), -ENODATA);
	ck_assert_int_eq(hostfile_line(fake_root, "/a", "", text, 3), -EFBIG);
	fake_root_close();
}
END_TEST

START_TEST(two_nodes_with_their_cpus)
{
	fake_root_open();
	fake_root_put(NODE "/online", "0-1,5\n");
	fake_root_put(NODE "/node0/cpulist", "0-3,8\n");
	fake_root_put(NODE "/node1/cpulist", "4-7\n");
	fake_root_put(NODE "/node5/cpulist", "\n");
	ck_assert_str_eq(online(), "0-1,5");
	ck_assert_str_eq(allowed(), "0-1,5");
	ck_assert_str_eq(cpus(0), "0-3,8");
	ck_assert_str_eq(cpus(1), "4-7");
	ck_assert_str_eq(cpus(5), "");
	ck_assert_str_eq(cpus(9), "");
	fake_root_close();
}
END_TEST

START_TEST(allowed_are_those_with_memory_that_the_cpuset_grants)
{
	fake_root_open();
	fake_root_put(NODE "/online", "0-3\n");
	fake_root_put(NODE "/has_memory", "0,2-3\n");
	ck_assert_str_eq(allowed(), "0,2-3");
	fake_root_put("/proc/self/status", "Name:\tcat\nMems_allowed:\t0000000e\nMems_allowed_list:\t1-3\nSeccomp:\t0\n");
	ck_assert_str_eq(allowed(), "2-3");
	ck_assert_str_eq(online(), "0-3");
	fake_root_put("/proc/self/status", "Name:\tcat\nMems_allowed_list:\tmany\n");
	ck_assert_str_eq(allowed(), "0,2-3");
	fake_root_close();
}
END_TEST

START_TEST(a_host_without_nodes_has_one)
{
	fake_root_open();
	ck_assert_str_eq(online(), "0");
	ck_assert_str_eq(allowed(), "0");
	ck_assert_str_eq(cpus(0), "0-1023");
	fake_root_put("/sys/devices/system/cpu/online", "0-2\n");
	ck_assert_str_eq(cpus(0), "0-2");
	ck_assert_str_eq(cpus(1), "");
	ck_assert_uint_eq(numa_available(fake_root, 0), UINT64_MAX);
	fake_root_put("/proc/meminfo", "MemTotal:  900 kB\nMemFree:   100 kB\nMemAvailable:     700 kB\n");
	ck_assert_uint_eq(numa_available(fake_root, 0), 700 * KIB);
	ck_assert_uint_eq(numa_available(fake_root, 1), UINT64_MAX);
	fake_root_put(NODE "/online", "nonsense\n");
	ck_assert_str_eq(online(), "0");
	fake_root_close();
}
END_TEST

static void put_meminfo(const char *numbers)
{
	unsigned long free, active, inactive, dirty, slab;
	char text[512];

	ck_assert_int_eq(sscanf(numbers, "%lu %lu %lu %lu %lu", &free, &active, &inactive, &dirty, &slab), 5);
	snprintf(text, sizeof(text),
		"Node 1 MemTotal:       999999 kB\nNode 1 MemFree:        %lu kB\nNode 1 Active:         7777 kB\n"
		"Node 1 Active(anon):   7777 kB\nNode 1 Active(file):   %lu kB\nNode 1 Inactive(file): %lu kB\n"
		"Node 1 Dirty:          %lu kB\nNode 1 WritebackTmp:   7777 kB\nNode 1 Slab:           7777 kB\n"
		"Node 1 SReclaimable:   %lu kB\n",
		free, active, inactive, dirty, slab);
	fake_root_put(NODE "/node1/meminfo", text);
}

START_TEST(available_is_free_and_what_can_be_dropped)
{
	fake_root_open();
	fake_root_put(NODE "/online", "0-1\n");
	ck_assert_uint_eq(numa_available(fake_root, 1), UINT64_MAX);
	put_meminfo("10000 2000 3000 1000 500");
	ck_assert_uint_eq(numa_available(fake_root, 1), (10000 + 4000 + 500) * KIB);
	/* Two nodes: each keeps 400 * 5 / 4 = 500 kB, of free memory and of the cache; of slab at most a half. */
	fake_root_put("/proc/sys/vm/min_free_kbytes", "800\n");
	ck_assert_uint_eq(numa_available(fake_root, 1), (9500 + 3500 + 250) * KIB);
	put_meminfo("100 0 0 1000 0");
	ck_assert_uint_eq(numa_available(fake_root, 1), 0);
	fake_root_put(NODE "/node1/meminfo", "garbage\n");
	ck_assert_uint_eq(numa_available(fake_root, 1), UINT64_MAX);
	fake_root_put(NODE "/node1/meminfo", "Node 1 MemFree:  99999999999999999999 kB\n");
	ck_assert_uint_eq(numa_available(fake_root, 1), 0);
	fake_root_close();
}
END_TEST

START_TEST(this_host_is_understood)
{
	node_set on, may;
	cpu_set_t mine, all, of;

	numa_online("", &on);
	numa_allowed("", &may);
	ck_assert_int_gt(CPU_COUNT(&may), 0);
	CPU_AND(&on, &on, &may);
	ck_assert_msg(CPU_EQUAL(&on, &may), "a node is allowed that is not on line");
	ck_assert_int_eq(sched_getaffinity(0, sizeof(mine), &mine), 0);
	CPU_ZERO(&all);
	for (unsigned node = 0; node < CPU_SETSIZE; node++)
		if (CPU_ISSET(node, &may)) {
			numa_cpus("", node, &of);
			CPU_OR(&all, &all, &of);
			ck_assert_uint_gt(numa_available("", node), 0);
		}
	ck_assert_int_gt(CPU_COUNT(&all), 0);
}
END_TEST

static void *fresh(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(p, MAP_FAILED);
	return p;
}

/* Whether the kernel has memory policies at all; else the tests of them have nothing to look at. */
static bool have_policies(void *p)
{
	enum mem_policy policy;
	node_set nodes;
	int err = numa_policy_at(p, &policy, &nodes);

	if (err == -ENOSYS || err == -EPERM) {
		puts("skip: this kernel has no memory policies, or they are not permitted here");
		return false;
	}
	ck_assert_int_eq(err, 0);
	return true;
}

/* A set of the one node this process surely may use. */
static unsigned one_node(node_set *set)
{
	unsigned node = 0;

	numa_allowed("", set);
	while (!CPU_ISSET(node, set))
		node++;
	CPU_ZERO(set);
	CPU_SET(node, set);
	return node;
}

START_TEST(policies_read_back_as_they_were_set)
{
	static const enum mem_policy all[] = {MEM_POLICY_BIND, MEM_POLICY_PREFERRED, MEM_POLICY_INTERLEAVE};
	enum mem_policy policy;
	node_set wanted, got;

	one_node(&wanted);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		char *p = fresh(4 * PAGE);

		if (!have_policies(p))
			return;
		ck_assert_int_eq(numa_policy_at(p, &policy, &got), 0);
		ck_assert_int_eq(policy, MEM_POLICY_DEFAULT);
		ck_assert_int_eq(CPU_COUNT(&got), 0);
		ck_assert_int_eq(numa_bind(p, 2 * PAGE, all[i], &wanted), 0);
		ck_assert_int_eq(numa_policy_at(p + PAGE, &policy, &got), 0);
		ck_assert_int_eq(policy, all[i]);
		ck_assert(CPU_EQUAL(&got, &wanted));
		ck_assert_int_eq(numa_policy_at(p + 2 * PAGE, &policy, &got), 0);
		ck_assert_int_eq(policy, MEM_POLICY_DEFAULT);
		munmap(p, 4 * PAGE);
	}
}
END_TEST

START_TEST(policies_of_shared_memory_are_the_files)
{
	int fd = memfd_create("numa", MFD_CLOEXEC);
	enum mem_policy policy;
	node_set wanted, got;
	char *p, *again;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, PAGE), 0);
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	again = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert(p != MAP_FAILED && again != MAP_FAILED);
	if (!have_policies(p))
		return;
	one_node(&wanted);
	ck_assert_int_eq(numa_bind(p, PAGE, MEM_POLICY_BIND, &wanted), 0);
	ck_assert_int_eq(numa_policy_at(again, &policy, &got), 0);
	ck_assert_int_eq(policy, MEM_POLICY_BIND);
	ck_assert(CPU_EQUAL(&got, &wanted));
}
END_TEST

START_TEST(nodes_that_do_not_exist_are_refused)
{
	node_set set;
	void *p = fresh(PAGE);
	int err;

	if (!have_policies(p))
		return;
	CPU_ZERO(&set);
	ck_assert_int_eq(numa_bind(p, PAGE, MEM_POLICY_DEFAULT, &set), 0);
	ck_assert_int_eq(numa_bind(p, PAGE, MEM_POLICY_BIND, &set), -EINVAL);
	ck_assert_int_eq(numa_bind(p, PAGE, MEM_POLICY_PREFERRED, &set), -EINVAL);
	ck_assert_int_eq(numa_bind(p, PAGE, (enum mem_policy)9, &set), -EINVAL);
	CPU_SET(CPU_SETSIZE - 1, &set);
	ck_assert_int_eq(numa_bind(p, PAGE, MEM_POLICY_BIND, &set), -EINVAL);
	ck_assert_int_eq(numa_bind(p, PAGE, MEM_POLICY_INTERLEAVE, &set), -EINVAL);
	one_node(&set);
	err = numa_bind((char *)p + 1, PAGE, MEM_POLICY_BIND, &set);
	ck_assert_msg(err == -EINVAL, "an address inside a page: %d", err);
	ck_assert_int_eq(munmap(p, PAGE), 0);
	ck_assert_int_eq(numa_bind(p, PAGE, MEM_POLICY_BIND, &set), -EFAULT);
}
END_TEST

/* Several preferred nodes: the kernel (5.15) drops those that are not there, so that this works with one node, too. */
START_TEST(several_may_be_preferred)
{
	enum mem_policy policy;
	node_set set, got, one;
	void *p = fresh(PAGE);
	int err;

	if (!have_policies(p))
		return;
	one_node(&one);
	numa_allowed("", &set);
	if (CPU_COUNT(&set) < 2)
		CPU_SET(CPU_COUNT(&one) + 5, &set);
	err = numa_bind(p, PAGE, MEM_POLICY_PREFERRED, &set);
	if (err == -EINVAL) {
		puts("skip: this kernel takes one preferred node only, or one that exists");
		return;
	}
	ck_assert_int_eq(err, 0);
	ck_assert_int_eq(numa_policy_at(p, &policy, &got), 0);
	ck_assert_int_eq(policy, MEM_POLICY_PREFERRED);
	CPU_AND(&one, &one, &got);
	ck_assert_int_eq(CPU_COUNT(&one), 1);
}
END_TEST

static int own_mode(void)
{
	int mode = -1;

	ck_assert_int_eq(syscall(SYS_get_mempolicy, &mode, NULL, 0, NULL, 0), 0);
	return mode;
}

/* Only where the host balances, and only where nobody chose a policy before (numactl). */
START_TEST(balancing_is_kept_away)
{
	if (!have_policies(fresh(PAGE)))
		return;
	fake_root_open();
	ck_assert_int_eq(numa_stay(fake_root), 0);
	fake_root_put("/proc/sys/kernel/numa_balancing", "0\n");
	ck_assert_int_eq(numa_stay(fake_root), 0);
	ck_assert_int_eq(own_mode(), MPOL_DEFAULT);
	fake_root_put("/proc/sys/kernel/numa_balancing", "2\n");
	ck_assert_int_eq(syscall(SYS_set_mempolicy, MPOL_INTERLEAVE, &(unsigned long){1}, 8UL), 0);
	ck_assert_int_eq(numa_stay(fake_root), 0);
	ck_assert_int_eq(own_mode(), MPOL_INTERLEAVE);
	ck_assert_int_eq(syscall(SYS_set_mempolicy, MPOL_DEFAULT, NULL, 0UL), 0);
	ck_assert_int_eq(numa_stay(fake_root), 1);
	ck_assert_int_eq(own_mode(), MPOL_LOCAL);
	fake_root_close();
}
END_TEST

UNIT_MAIN("numa", reads_small_files, two_nodes_with_their_cpus, allowed_are_those_with_memory_that_the_cpuset_grants,
	a_host_without_nodes_has_one, available_is_free_and_what_can_be_dropped, this_host_is_understood,
	policies_read_back_as_they_were_set, policies_of_shared_memory_are_the_files, nodes_that_do_not_exist_are_refused,
	several_may_be_preferred, balancing_is_kept_away)
