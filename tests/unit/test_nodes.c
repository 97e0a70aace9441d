// SPDX-License-Identifier: Apache-2.0
/* The guest's nodes over an address map with a hole: who has which vCPUs and which RAM, and how far it is. */
#include "vmm/memory/nodes.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "arch/arch.h"
#include "tests/unit/said.h"
#include "tests/unit/unit.h"

#define MIB(n) ((uint64_t)(n) << 20)
#define LOW    MIB(3072) /* RAM below the hole, whose other end is at 4 GiB */
#define HIGH   MIB(4096)


/* An architecture of our own, with up to four ranges. */
static unsigned holes = 1;

int arch_ram_ranges(uint64_t size, struct ram_range *out, unsigned max)
{
	unsigned n = 0;

	if (!size || size % 4096 || max < holes + 1)
		return -EINVAL;
	while (size) {
		uint64_t take = n < holes && size > LOW ? LOW : size;

		out[n] = (struct ram_range){.gpa = n * HIGH, .size = take};
		size -= take;
		n++;
	}
	return n;
}

unsigned arch_phys_bits(void)
{
	return 46;
}

static struct numa_config numas[NODES_MAX + 1];

/* A guest with as many nodes as there are sizes before a 0; one vCPU in each. */
static struct guest_config config(const uint64_t *sizes)
{
	static char cpus[NODES_MAX + 1][8];
	struct guest_config cfg = {.numas = numas};

	memset(numas, 0, sizeof(numas));
	for (unsigned i = 0; i <= NODES_MAX && sizes[i]; i++) {
		snprintf(cpus[i], sizeof(cpus[i]), "%u", i);
		numas[i] = (struct numa_config){.cpus = cpus[i], .size = sizes[i]};
		cfg.memory.size += sizes[i];
		cfg.nnumas++;
	}
	cfg.cpus.count = cfg.nnumas;
	return cfg;
}

#define CONFIG(...) config((const uint64_t[NODES_MAX + 2]){__VA_ARGS__})

static void range_is(const struct guest_nodes *nodes, unsigned i, uint64_t gpa, uint64_t size, unsigned node)
{
	ck_assert_uint_lt(i, nodes->nranges);
	ck_assert_uint_eq(nodes->range[i].gpa, gpa);
	ck_assert_uint_eq(nodes->range[i].size, size);
	ck_assert_uint_eq(nodes->range[i].node, node);
}

#define accept(nodes, cfg) ck_assert_msg(guest_nodes(nodes, cfg) == 0, "%s", said)

/* One line that says this. */
static void refused(const struct guest_config *cfg, const char *text)
{
	struct guest_nodes nodes;

	lines = 0;
	ck_assert_int_eq(guest_nodes(&nodes, cfg), -EINVAL);
	ck_assert_uint_eq(lines, 1);
	ck_assert_msg(strstr(said, text) != NULL, "said: %s\nnot: %s", said, text);
}

START_TEST(no_nodes)
{
	struct guest_config cfg = {.cpus = {.count = 300}, .memory = {.size = LOW + MIB(512)}};
	struct guest_nodes nodes;

	accept(&nodes, &cfg);
	ck_assert_uint_eq(nodes.n, 0);
	ck_assert_uint_eq(nodes.nranges, 2);
	range_is(&nodes, 0, 0, LOW, 0);
	range_is(&nodes, 1, HIGH, MIB(512), 0);
	cfg.memory.size = LOW;
	accept(&nodes, &cfg);
	ck_assert_uint_eq(nodes.nranges, 1);
	cfg.memory.size = 0;
	refused(&cfg, "--memory");
}
END_TEST

START_TEST(all_below_the_hole)
{
	struct guest_config cfg = CONFIG(MIB(256), MIB(768));
	struct guest_nodes nodes;

	accept(&nodes, &cfg);
	ck_assert_uint_eq(nodes.n, 2);
	ck_assert_uint_eq(nodes.nranges, 2);
	range_is(&nodes, 0, 0, MIB(256), 0);
	range_is(&nodes, 1, MIB(256), MIB(768), 1);
}
END_TEST

START_TEST(boundary_at_the_hole)
{
	struct guest_config cfg = CONFIG(LOW, MIB(1024));
	struct guest_nodes nodes;

	accept(&nodes, &cfg);
	ck_assert_uint_eq(nodes.nranges, 2);
	range_is(&nodes, 0, 0, LOW, 0);
	range_is(&nodes, 1, HIGH, MIB(1024), 1);
}
END_TEST

START_TEST(a_page_beside_the_hole)
{
	struct guest_config before, behind;
	struct guest_nodes nodes;

	before = CONFIG(LOW - 4096, MIB(1024));
	accept(&nodes, &before);
	ck_assert_uint_eq(nodes.nranges, 3);
	range_is(&nodes, 0, 0, LOW - 4096, 0);
	range_is(&nodes, 1, LOW - 4096, 4096, 1);
	range_is(&nodes, 2, HIGH, MIB(1024) - 4096, 1);
	behind = CONFIG(LOW + 4096, MIB(1024));
	accept(&nodes, &behind);
	ck_assert_uint_eq(nodes.nranges, 3);
	range_is(&nodes, 0, 0, LOW, 0);
	range_is(&nodes, 1, HIGH, 4096, 0);
	range_is(&nodes, 2, HIGH + 4096, MIB(1024), 1);
}
END_TEST

START_TEST(a_node_over_the_hole)
{
	struct guest_config cfg = CONFIG(MIB(2048), MIB(2048), MIB(2048));
	struct guest_nodes nodes;

	accept(&nodes, &cfg);
	ck_assert_uint_eq(nodes.nranges, 4);
	range_is(&nodes, 0, 0, MIB(2048), 0);
	range_is(&nodes, 1, MIB(2048), MIB(1024), 1);
	range_is(&nodes, 2, HIGH, MIB(1024), 1);
	range_is(&nodes, 3, HIGH + MIB(1024), MIB(2048), 2);
}
END_TEST

/* As many nodes as there may be, over as many holes as an address map may have; nothing twice, nothing left
 * out. */
START_TEST(many_nodes)
{
	struct guest_nodes nodes;
	struct guest_config cfg;
	uint64_t size[NODES_MAX + 2] = {0}, have[NODES_MAX] = {0};

	holes = 7;
	for (unsigned i = 0; i < NODES_MAX; i++)
		size[i] = MIB(1500) + 4096 * i;
	cfg = config(size);
	accept(&nodes, &cfg);
	ck_assert_uint_eq(nodes.n, NODES_MAX);
	for (unsigned i = 0; i < nodes.nranges; i++) {
		const struct node_range *r = &nodes.range[i];

		ck_assert_uint_gt(r->size, 0);
		ck_assert_uint_le(r->gpa % HIGH + r->size, r->gpa < 7 * HIGH ? LOW : UINT64_MAX);
		ck_assert(!i || r->gpa >= r[-1].gpa + r[-1].size);
		ck_assert(!i || r->node == r[-1].node || r->node == r[-1].node + 1);
		have[r->node] += r->size;
	}
	for (unsigned i = 0; i < NODES_MAX; i++) {
		ck_assert_uint_eq(have[i], size[i]);
		ck_assert_uint_eq(nodes.node_of_vcpu[i], i);
	}
	size[NODES_MAX] = MIB(64);
	cfg = config(size);
	refused(&cfg, "--numa: 17 are given; a guest has at most 16 nodes");
}
END_TEST

START_TEST(vcpus)
{
	struct guest_config cfg = CONFIG(MIB(64), MIB(64));
	struct guest_nodes nodes;

	cfg.cpus.count = 6;
	numas[0].cpus = (char *)"[0,3-5]";
	numas[1].cpus = (char *)"1-2";
	accept(&nodes, &cfg);
	for (unsigned i = 0; i < 6; i++)
		ck_assert_uint_eq(nodes.node_of_vcpu[i], i == 1 || i == 2);
	cfg.cpus.count = 256;
	numas[0].cpus = (char *)"[0-255,^3]";
	numas[1].cpus = (char *)"3";
	accept(&nodes, &cfg);
	ck_assert_uint_eq(nodes.node_of_vcpu[255], 0);
	ck_assert_uint_eq(nodes.node_of_vcpu[3], 1);
}
END_TEST

START_TEST(wrong_vcpus)
{
	struct guest_config cfg = CONFIG(MIB(64), MIB(64));

	cfg.cpus.count = 4;
	numas[0].cpus = (char *)"0-1";
	numas[1].cpus = (char *)"1-3";
	refused(&cfg, "--numa cpus=1-3: vCPU 1 is in node 0 already");
	numas[1].cpus = (char *)"2";
	refused(&cfg, "--numa: of --cpus 4, vCPU 3 is in no node");
	numas[0].cpus = (char *)"0";
	refused(&cfg, "--numa: of --cpus 4, vCPU 1,3 are in no node");
	numas[1].cpus = (char *)"1-4";
	refused(&cfg, "--numa cpus=1-4: there is no vCPU 4; --cpus 4 makes 0 to 3");
	numas[1].cpus = NULL;
	refused(&cfg, "--numa memory=64M: node 1 has no vCPU; add cpus=LIST");
	numas[1].cpus = (char *)"x";
	refused(&cfg, "--numa cpus=x: not a CPU list");
	cfg.cpus.count = 257;
	refused(&cfg, "--cpus 257");
}
END_TEST

START_TEST(wrong_sizes)
{
	struct guest_config cfg = CONFIG(MIB(64), MIB(64));

	cfg.memory.size = MIB(256);
	refused(&cfg, "--memory 256M: the nodes of --numa have 128M together; give --memory 128M");
	numas[1].size = 0;
	refused(&cfg, "--numa cpus=1: node 1 has no RAM; add memory=SIZE");
	numas[1].size = MIB(64) + 1024;
	refused(&cfg, "--numa memory=65537K: must be a multiple of 4K");
	numas[1].size = UINT64_MAX - 4095;
	refused(&cfg, "--numa: nodes 0-1 have more than 16T together");
}
END_TEST

START_TEST(distances)
{
	struct guest_config cfg = CONFIG(MIB(64), MIB(64), MIB(64), MIB(64));
	static const uint8_t want[4][4] = {
		{10, 15, 20, 254}, {15, 10, 31, 20}, {20, 32, 10, 11}, {254, 20, 11, 10}};
	struct guest_nodes nodes;

	accept(&nodes, &cfg);
	for (unsigned a = 0; a < 4; a++)
		for (unsigned b = 0; b < 4; b++)
			ck_assert_uint_eq(nodes.distance[a][b], a == b ? 10 : 20);
	numas[0].distance = (char *)"[0:10,1:15]"; /* and so it is back from 1 */
	numas[1].distance = (char *)"2:31";	   /* but 2 says 32 */
	numas[2].distance = (char *)"[1:32,3:11]";
	numas[3].distance = (char *)"[0:254]";
	accept(&nodes, &cfg);
	for (unsigned a = 0; a < 4; a++)
		for (unsigned b = 0; b < 4; b++)
			ck_assert_uint_eq(nodes.distance[a][b], want[a][b]);
}
END_TEST

START_TEST(wrong_distances)
{
	static const struct {
		const char *text, *why;
	} bad[] = {
		{"[2:20]", "there is no node 2; 2 --numa make 0 to 1"},
		{"0:20", "this is node 0, which is 10 from itself"},
		{"[1:10]", "only a node itself is at 10"},
		{"[1:9]", "a distance is 11 to 254"},
		{"[1:255]", "a distance is 11 to 254"},
		{"[1:99999999999999999999]", "a distance is 11 to 254"},
		{"[16:20]", "at most 16 nodes"},
		{"[99999999999999999999:20]", "at most 16 nodes"},
		{"[1:20,1:30]", "a node stands there twice"},
		{"", "write it as"},
		{"[]", "write it as"},
		{"[1:20", "write it as"},
		{"1:20]", "write it as"},
		{"[1:20,]", "write it as"},
		{"[1:20]x", "write it as"},
		{"1", "write it as"},
		{"1:", "write it as"},
		{":20", "write it as"},
		{"-1:20", "write it as"},
		{" 1:20", "write it as"},
		{"1: 20", "write it as"},
		{"1:20x", "write it as"},
	};
	struct guest_config cfg = CONFIG(MIB(64), MIB(64));

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char start[64];

		numas[0].distance = (char *)bad[i].text;
		snprintf(start, sizeof(start), "--numa distance=%s: ", bad[i].text);
		refused(&cfg, start);
		ck_assert_msg(strstr(said, bad[i].why) != NULL, "said: %s\nnot: %s", said, bad[i].why);
	}
}
END_TEST

UNIT_MAIN("nodes", no_nodes, all_below_the_hole, boundary_at_the_hole, a_page_beside_the_hole,
	a_node_over_the_hole, many_nodes, vcpus, wrong_vcpus, wrong_sizes, distances, wrong_distances)
