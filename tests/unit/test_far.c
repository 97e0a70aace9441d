// SPDX-License-Identifier: Apache-2.0
/* vCPUs and memory on nodes of made-up hosts: when they are far apart, and when nobody can tell. */
#include <string.h>

#include "tests/unit/fake_root.h"
#include "vmm/memory/far.h"
#include "vmm/memory/plan.h"

static struct mem_plan plan;

static void two_nodes(void)
{
	fake_root_open();
	fake_root_put("/sys/devices/system/node/online", "0-1\n");
	fake_root_put("/sys/devices/system/node/node0/cpulist", "0-1\n");
	fake_root_put("/sys/devices/system/node/node1/cpulist", "2-3\n");
}

/* Block i, of a guest's node, is wanted on a host's node, and unless `on` < 0 lies there. */
static void block(unsigned i, unsigned guest_node, int wanted, int on)
{
	struct mem_block *b = &plan.block[i];

	plan.n = i + 1;
	b->guest_node = guest_node;
	b->nodes_why = wanted < 0 ? NULL : "typed";
	b->present = on < 0 ? 0 : 4096;
	if (wanted >= 0)
		CPU_SET(wanted, &b->nodes);
	if (on >= 0)
		CPU_SET(on, &b->on);
}

static bool far(unsigned vcpu, int first, int last, char *text)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	for (int cpu = first; cpu <= last; cpu++)
		CPU_SET(cpu, &cpus);
	text[0] = '\0';
	return mem_far(&plan, fake_root, vcpu, &cpus, text, 256);
}

START_TEST(where_it_lies)
{
	char text[256];

	two_nodes();
	block(0, 0, -1, 0);
	ck_assert(far(0, 2, 3, text));
	ck_assert_str_eq(text, "vcpu0: its CPUs are on host node 1, its memory is on node 0 and stays there: each access is to another node");
	ck_assert(!far(0, 0, 1, text));
	ck_assert(!far(0, 1, 2, text)); /* some of them are near */
	block(1, 0, -1, 1);
	ck_assert(!far(0, 2, 3, text)); /* some of it is */
	ck_assert_str_eq(text, "");
	fake_root_close();
}
END_TEST

/* Not looked at: then where it was to come from. What lies elsewhere counts as it lies. */
START_TEST(where_it_is_wanted)
{
	char text[256];

	two_nodes();
	block(0, 0, 1, -1);
	ck_assert(far(3, 0, 0, text));
	ck_assert_ptr_nonnull(strstr(text, "vcpu3: its CPUs are on host node 0, its memory is on node 1"));
	block(0, 0, 1, 0);
	ck_assert(!far(3, 0, 0, text));
	fake_root_close();
}
END_TEST

START_TEST(nobody_can_tell)
{
	char text[256];

	two_nodes();
	ck_assert(!far(0, 2, 3, text));
	block(0, 0, -1, -1);
	ck_assert(!far(0, 2, 3, text));
	block(0, 0, -1, 0);
	ck_assert_msg(!far(0, 8, 9, text), "CPUs that no node has");
	fake_root_close();
}
END_TEST

/* Each vCPU has the memory of its own node of the guest. */
START_TEST(nodes_of_the_guest)
{
	char text[256];

	two_nodes();
	plan.guest.n = 2;
	plan.guest.node_of_vcpu[1] = 1;
	block(0, 0, -1, 0);
	block(1, 1, -1, 1);
	ck_assert(!far(0, 0, 1, text) && !far(1, 2, 3, text));
	ck_assert(far(0, 2, 2, text));
	ck_assert(far(1, 0, 0, text));
	ck_assert_ptr_nonnull(strstr(text, "vcpu1: its CPUs are on host node 0, its memory is on node 1"));
	fake_root_close();
}
END_TEST

UNIT_MAIN("far", where_it_lies, where_it_is_wanted, nobody_can_tell, nodes_of_the_guest)
