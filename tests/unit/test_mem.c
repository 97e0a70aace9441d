// SPDX-License-Identifier: Apache-2.0
/* Guest RAM: the one translation, at every edge. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/unit/unit.h"
#include "vmm/log.h"
#include "vmm/memory/mem.h"
#include "vmm/memory/fill.h"
#include "vmm/memory/pages.h"
#include "vmm/memory/plan.h"
#include "vmm/memory/proof.h"

#define GIB (1ULL << 30)

START_TEST(translates_only_inside_one_region)
{
	struct guest_mem mem = {0};
	uint8_t *low = unit_ram(&mem, 0, 0x2000);
	uint8_t *high = unit_ram(&mem, 0x10000, 0x1000);

	ck_assert_ptr_eq(mem_at(&mem, 0, 1), low);
	ck_assert_ptr_eq(mem_at(&mem, 0x1fff, 1), low + 0x1fff);
	ck_assert_ptr_eq(mem_at(&mem, 0, 0x2000), low);
	ck_assert_ptr_eq(mem_at(&mem, 0x10000, 0x1000), high);
	ck_assert_ptr_null(mem_at(&mem, 0x1fff, 2));
	ck_assert_ptr_null(mem_at(&mem, 0x2000, 1));
	ck_assert_ptr_null(mem_at(&mem, 0x2000, 0));
	ck_assert_ptr_null(mem_at(&mem, 0x11000, 1));
	ck_assert_ptr_null(mem_at(&mem, 0, UINT64_MAX));
	ck_assert_ptr_null(mem_at(&mem, 0x10, UINT64_MAX - 0x0f));
	ck_assert_ptr_null(mem_at(&mem, UINT64_MAX, 2));
	ck_assert_uint_eq(mem_top(&mem), 0x11000);
}
END_TEST

START_TEST(copies_are_bounded)
{
	struct guest_mem mem = {0};
	char back[4];

	unit_ram(&mem, 0x1000, 0x1000);
	ck_assert_int_eq(mem_write(&mem, 0x1ffc, "abc", 4), 0);
	ck_assert_int_eq(mem_read(&mem, 0x1ffc, back, 4), 0);
	ck_assert_str_eq(back, "abc");
	ck_assert_int_eq(mem_write(&mem, 0x1ffd, "abc", 4), -EFAULT);
	ck_assert_int_eq(mem_read(&mem, 0xfff, back, 4), -EFAULT);
}
END_TEST

static struct mem_plan plan;

static int create(struct guest_mem *mem, const struct guest_config *cfg)
{
	struct fill_limits limits = {.stop_fd = -1};
	int err = mem_plan(&plan, cfg, "");

	return err ? err : mem_create(mem, &plan, &limits);
}

static void check_layout(uint64_t size, bool shared)
{
	struct guest_config cfg = {.cpus.count = 1, .memory = {.size = size, .shared = shared}};
	struct guest_mem mem;
	uint64_t sum = 0;

	ck_assert_int_eq(create(&mem, &cfg), 0);
	for (unsigned i = 0; i < mem.n; i++) {
		sum += mem.region[i].size;
		ck_assert_uint_eq((uintptr_t)mem.region[i].host % (2 << 20), mem.region[i].gpa % (2 << 20));
		ck_assert_int_eq(mem.region[i].fd >= 0, shared);
		memset(mem_at(&mem, mem.region[i].gpa + mem.region[i].size - 1, 1), 7, 1);
	}
	ck_assert_uint_eq(sum, size);
	ck_assert_ptr_null(mem_at(&mem, mem_top(&mem), 1));
	mem_destroy(&mem);
	ck_assert_uint_eq(mem.n, 0);
}

START_TEST(lays_ram_around_the_hole)
{
	check_layout(64 << 20, false);
	check_layout(512 << 20, true);
	check_layout(3 * GIB, false);
	check_layout(3 * GIB + (2 << 20), true);
	check_layout(5 * GIB, false);
}
END_TEST

START_TEST(shared_ram_is_the_file)
{
	struct guest_config cfg = {.cpus.count = 1, .memory = {.size = 64 << 20, .shared = true}};
	struct guest_mem mem;
	uint8_t *again;

	ck_assert_int_eq(create(&mem, &cfg), 0);
	memcpy(mem_at(&mem, mem.region[0].gpa + 0x5000, 4), "ping", 4);
	again = mmap(NULL, 0x1000, PROT_READ, MAP_SHARED, mem.region[0].fd, mem.region[0].fd_offset + 0x5000);
	ck_assert_ptr_ne(again, MAP_FAILED);
	ck_assert_mem_eq(again, "ping", 4);
	munmap(again, 0x1000);
	/* Nobody it is shared with can take a page away from under the guest. */
	ck_assert_int_lt(ftruncate(mem.region[0].fd, 4096), 0);
	mem_destroy(&mem);
}
END_TEST

static long minor_faults(void)
{
	struct rusage use;

	getrusage(RUSAGE_SELF, &use);
	return use.ru_minflt;
}

/* Touch every page of RAM; returns the faults that took. */
static long touch_all(struct guest_mem *mem)
{
	long before = minor_faults();

	for (unsigned i = 0; i < mem->n; i++)
		for (uint64_t off = 0; off < mem->region[i].size; off += 4096)
			((volatile uint8_t *)mem->region[i].host)[off] = 1;
	return minor_faults() - before;
}

START_TEST(preallocated_ram_takes_no_fault)
{
	struct guest_config cfg = {.cpus.count = 1, .memory = {.size = 64 << 20}};
	char off[] = "off";
	struct guest_mem mem;

	cfg.memory.hugepages = off;
	ck_assert_int_eq(create(&mem, &cfg), 0);
	ck_assert_int_ge(touch_all(&mem), (64 << 20) / 4096);
	mem_destroy(&mem);
	ck_assert_uint_eq(plan.filled, 0);

	cfg.memory.prealloc = TRI_ON;
	ck_assert_int_eq(create(&mem, &cfg), 0);
	ck_assert_int_le(touch_all(&mem), 2); /* of this program's own */
	mem_destroy(&mem);
	ck_assert_uint_eq(plan.filled, 64 << 20);
}
END_TEST

START_TEST(locked_ram_is_locked)
{
	struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
	struct guest_config cfg = {.cpus.count = 1, .memory = {.size = 16 << 20, .lock = true}};
	struct guest_mem mem;

	if (geteuid() && setrlimit(RLIMIT_MEMLOCK, &limit) < 0) {
		puts("skip: RLIMIT_MEMLOCK is too low here to lock 16 MiB");
		return;
	}
	ck_assert_int_eq(create(&mem, &cfg), 0);
	ck_assert_uint_eq(plan.block[0].locked, 16 << 20);
	ck_assert(plan.block[0].proven);
	mem_destroy(&mem);
}
END_TEST

/* Whether the kernel has memory policies, and lets this process set one and ask for its effect (a container's seccomp profile may not). */
static bool have_policies(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int err, node = 0;
	node_set zero;

	ck_assert_ptr_ne(p, MAP_FAILED);
	CPU_ZERO(&zero);
	CPU_SET(0, &zero);
	err = numa_bind(p, 4096, MEM_POLICY_BIND, &zero);
	if (!err && syscall(SYS_move_pages, 0, 1UL, &p, NULL, &node, 0) < 0)
		err = -errno;
	munmap(p, 4096);
	if (err)
		printf("skip: memory can not be bound to node 0, or be asked for it, here: %s\n", strerror(-err));
	return !err;
}

static uint64_t on_all_nodes(const struct mem_block *b)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < MEM_HOST_NODES; i++)
		sum += b->on_node[i];
	return sum;
}

/* Nobody asked for a node; where it is now is known all the same. */
START_TEST(preallocated_ram_is_read_back)
{
	struct guest_config cfg = {.cpus.count = 1, .memory = {.size = 32 << 20, .prealloc = TRI_ON}};
	struct guest_mem mem;
	char line[1024];

	ck_assert_int_eq(create(&mem, &cfg), 0);
	ck_assert(plan.block[0].proven);
	mem_plan_line(&plan, 0, true, line, sizeof(line));
	ck_assert_msg(strstr(line, "4K any") != NULL, "%s", line);
	mem_destroy(&mem);
	if (!plan.block[0].checked) {
		puts("skip: the kernel does not tell where pages are here (move_pages)");
		return;
	}
	ck_assert_uint_eq(plan.block[0].present, 32 << 20);
	ck_assert_uint_eq(on_all_nodes(&plan.block[0]), 32 << 20);
	ck_assert_msg(strstr(line, " node") != NULL, "%s", line);
}
END_TEST

/* A node for each page is asked for only where there are pages, and the question is not longer than it may be. */
START_TEST(asking_has_an_end)
{
	struct guest_config cfg = {.cpus.count = 1, .memory = {.size = 32 << 20, .prealloc = TRI_ON}};
	struct fill_limits limits = {.stop_fd = eventfd(1, EFD_CLOEXEC)}, late = {.stop_fd = -1, .deadline_ns = 1};
	struct guest_mem mem;

	ck_assert_int_eq(create(&mem, &cfg), 0);
	ck_assert_int_eq(mem_prove(&plan, &mem, &limits), -ECANCELED);
	ck_assert_int_eq(mem_prove(&plan, &mem, &late), -ETIME);
	ck_assert_uint_eq(mem_look(&plan, &mem, &late), 0);
	ck_assert_uint_eq(plan.block[0].checked, 0);
	mem_destroy(&mem);
	cfg.memory.prealloc = TRI_OFF;
	ck_assert_int_eq(create(&mem, &cfg), 0);
	ck_assert(!plan.block[0].proven);
	ck_assert_int_eq(mem_prove(&plan, &mem, &limits), 0);
	mem_destroy(&mem);
	if (!have_policies())
		return;
	cfg.memory.host_node = (char[]){"0"};
	ck_assert_int_eq(create(&mem, &cfg), 0);
	ck_assert(plan.block[0].proven);
	ck_assert_int_eq(mem_prove(&plan, &mem, &limits), 0);
	ck_assert_uint_eq(plan.block[0].checked, 0);
	mem_destroy(&mem);
}
END_TEST

/* Memory that came with its use: where it went is seen at the end. */
START_TEST(the_end_shows_where_memory_went)
{
	struct guest_config cfg = {.cpus.count = 1, .memory = {.size = 32 << 20}};
	struct fill_limits limits = {.stop_fd = -1};
	struct mem_block *b = &plan.block[0];
	char zero[] = "0", off[] = "off";
	struct guest_mem mem;

	if (!have_policies())
		return;
	cfg.memory.host_node = zero;
	cfg.memory.hugepages = off;
	ck_assert_int_eq(create(&mem, &cfg), 0);
	ck_assert_uint_eq(b->present, 0);
	memset(mem_at(&mem, b->gpa + (5 << 20), 3 << 20), 1, 3 << 20);
	ck_assert_uint_eq(mem_look(&plan, &mem, &limits), 0);
	ck_assert_uint_eq(b->checked, 32 << 20);
	ck_assert_uint_eq(b->present, 3 << 20);
	ck_assert_uint_eq(b->on_node[0], 3 << 20);
	ck_assert_uint_eq(b->actual_page, 4096);
	ck_assert_str_eq(log_first_error(), "");
	/* As if it had been meant for another node. */
	CPU_ZERO(&b->nodes);
	CPU_SET(1, &b->nodes);
	b->policy = MEM_POLICY_PREFERRED;
	ck_assert_uint_eq(mem_look(&plan, &mem, &limits), 0);
	b->policy = MEM_POLICY_BIND;
	ck_assert_uint_eq(mem_look(&plan, &mem, &limits), 3 << 20);
	ck_assert_uint_eq(b->misplaced, 3 << 20);
	ck_assert_msg(strstr(log_first_error(), "wanted on bind:1, at the end 3072 KiB lie on other nodes") != NULL, "%s",
		log_first_error());
	mem_destroy(&mem);
}
END_TEST

/* A block of 512 MiB on nodes 0 and 17 as it was read back, in MiB on each of them and on node 2. */
static int compare(enum mem_policy policy, unsigned on0, unsigned on17, unsigned on2)
{
	static struct guest_config cfg;
	struct mem_block *b = &plan.block[0];

	plan = (struct mem_plan){.cfg = &cfg, .pages = MEM_PAGES_HUGETLB, .page = 2 << 20, .prealloc = true, .n = 1};
	b->size = b->checked = 512 << 20;
	b->policy = b->actual_policy = policy;
	b->nodes_why = "[0,17]";
	CPU_SET(0, &b->nodes);
	CPU_SET(17, &b->nodes);
	b->actual_nodes = b->nodes;
	b->actual_page = plan.page;
	b->on_node[0] = (uint64_t)on0 << 20;
	b->on_node[17] = (uint64_t)on17 << 20;
	b->on_node[2] = (uint64_t)on2 << 20;
	b->present = on_all_nodes(b);
	b->misplaced = policy == MEM_POLICY_PREFERRED ? 0 : b->on_node[2];
	return mem_compare(&plan, b);
}

START_TEST(each_node_has_its_share)
{
	char line[1024];

	ck_assert_int_eq(compare(MEM_POLICY_BIND, 512, 0, 0), 0);
	ck_assert_int_eq(compare(MEM_POLICY_BIND, 510, 0, 2), -EXDEV);
	ck_assert_int_eq(compare(MEM_POLICY_BIND, 510, 0, 0), -EXDEV);
	ck_assert_int_eq(compare(MEM_POLICY_PREFERRED, 256, 0, 256), 0);
	ck_assert_int_eq(compare(MEM_POLICY_INTERLEAVE, 256, 256, 0), 0);
	ck_assert_int_eq(compare(MEM_POLICY_INTERLEAVE, 258, 254, 0), 0);
	ck_assert_int_eq(compare(MEM_POLICY_INTERLEAVE, 512, 0, 0), -EXDEV);
	ck_assert_int_eq(compare(MEM_POLICY_INTERLEAVE, 240, 272, 0), -EXDEV);
	ck_assert_int_eq(compare(MEM_POLICY_INTERLEAVE, 255, 256, 1), -EXDEV);
	ck_assert_int_eq(compare(MEM_POLICY_BIND, 200, 312, 0), 0);
	plan.block[0].proven = true;
	mem_plan_line(&plan, 0, true, line, sizeof(line));
	ck_assert_msg(strstr(line, "bind:0,17 node0=200M node17=312M") != NULL, "%s", line);
}
END_TEST

/* Not every byte can lie on a huge page, and not everything that does not is the fault of fragmented memory. */
START_TEST(huge_pages_are_counted_where_they_can_be)
{
	struct guest_config cfg = {.cpus.count = 1, .strict_placement = true, .memory = {.size = 9 << 20, .prealloc = TRI_ON}};
	char thp[] = "thp";
	struct guest_mem mem;

	cfg.memory.hugepages = thp;
	if (pages_thp_off("", false) || pages_thp_size() != 2 << 20) {
		puts("skip: this host has no transparent huge pages of 2 MiB");
		return;
	}
	ck_assert_msg(create(&mem, &cfg) == 0, "%s", log_first_error());
	ck_assert_uint_eq(plan.block[0].huge, 8 << 20);
	ck_assert_uint_eq(plan.block[0].huge_room, 8 << 20);
	mem_destroy(&mem);
	ck_assert_int_eq(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0), 0);
	ck_assert_int_eq(create(&mem, &cfg), -EXDEV);
	ck_assert_msg(strstr(log_first_error(), "0 of 8 MiB lie on huge pages: they are switched off for this process") != NULL,
		"%s", log_first_error());
	cfg.strict_placement = false;
	ck_assert_int_eq(create(&mem, &cfg), 0);
	mem_destroy(&mem);
}
END_TEST

START_TEST(bound_ram_lies_where_it_should)
{
	struct guest_config cfg = {.cpus.count = 1, .memory = {.size = 32 << 20, .prealloc = TRI_ON}};
	char zero[] = "0";
	struct guest_mem mem;
	char line[1024];

	if (!have_policies())
		return;
	cfg.memory.host_node = zero;
	ck_assert_int_eq(create(&mem, &cfg), 0);
	ck_assert(plan.block[0].proven);
	ck_assert_int_eq(plan.block[0].actual_policy, MEM_POLICY_BIND);
	ck_assert_uint_eq(plan.block[0].on_node[0], 32 << 20);
	mem_plan_line(&plan, 0, true, line, sizeof(line));
	ck_assert_msg(strstr(line, "bind:0 node0=32M") != NULL, "%s", line);
	mem_destroy(&mem);
}
END_TEST

/* A wish that the memory does not fulfil is an error, whatever the plan's check thought. */
START_TEST(a_difference_is_an_error)
{
	struct guest_config cfg = {.cpus.count = 1, .memory = {.size = 4 << 20, .prealloc = TRI_ON}};
	struct fill_limits limits = {.stop_fd = -1};
	char zero[] = "0", off[] = "off";
	struct guest_mem mem;

	cfg.memory.hugepages = off;
	ck_assert_int_eq(create(&mem, &cfg), 0);
	plan.page = 2 << 20;
	ck_assert_int_eq(mem_prove(&plan, &mem, &limits), -EXDEV);
	mem_destroy(&mem);

	if (!have_policies())
		return;
	cfg.memory.hugepages = NULL;
	cfg.memory.host_node = zero;
	ck_assert_int_eq(create(&mem, &cfg), 0);
	ck_assert_int_eq(mem_prove(&plan, &mem, &limits), 0);
	CPU_SET(1, &plan.block[0].nodes);
	ck_assert_int_eq(mem_prove(&plan, &mem, &limits), -EXDEV);
	mem_destroy(&mem);
}
END_TEST

/* Somebody takes the last page between the check and the mapping. */
START_TEST(pages_gone_meanwhile_are_no_sigbus)
{
	struct guest_config cfg = {.cpus.count = 1, .memory = {.size = 64 << 20}};
	struct fill_limits limits = {.stop_fd = -1};
	char size[] = "2M";
	struct guest_mem mem;

	cfg.memory.hugepages = size;
	if (mem_plan(&plan, &cfg, "") != -ENOMEM) {
		puts("skip: this host has huge pages free, or none at all; the test wants a pool that is empty");
		return;
	}
	plan.pages = MEM_PAGES_HUGETLB;
	plan.prealloc = true;
	ck_assert_int_eq(mem_create(&mem, &plan, &limits), -ENOMEM);
	ck_assert_uint_eq(mem.n, 0);
}
END_TEST

UNIT_MAIN("mem", translates_only_inside_one_region, copies_are_bounded, lays_ram_around_the_hole, shared_ram_is_the_file,
	preallocated_ram_takes_no_fault, locked_ram_is_locked, preallocated_ram_is_read_back, asking_has_an_end,
	the_end_shows_where_memory_went, each_node_has_its_share, huge_pages_are_counted_where_they_can_be, bound_ram_lies_where_it_should, a_difference_is_an_error,
	pages_gone_meanwhile_are_no_sigbus)
