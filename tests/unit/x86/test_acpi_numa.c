// SPDX-License-Identifier: Apache-2.0
/* The nodes as ACPI tells them: SRAT and SLIT, entry by entry. */
#include <errno.h>
#include <string.h>

#include "arch/arch.h"
#include "arch/x86/cpuid.h"
#include "tests/unit/x86/acpi_tables.h"
#include "vmm/guest.h"
#include "vmm/log.h"

/* Zero: what the specification reserves, and what nobody uses. */
static void zero(const void *p, size_t len)
{
	for (const uint8_t *b = p; len--; b++)
		ck_assert_uint_eq(*b, 0);
}

/* The APIC id an entry is about; *node: where it puts it. */
static uint32_t srat_cpu(const uint8_t *e, uint32_t *node)
{
	const struct srat_lapic *l = (const void *)e;
	const struct srat_x2apic *x = (const void *)e;

	if (e[0] == SRAT_LAPIC) {
		ck_assert_uint_eq(l->length, 16);
		ck_assert_uint_eq(l->flags, SRAT_ENABLED);
		zero(&l->sapic_eid, 8); /* and domain_high, clock_domain */
		ck_assert_uint_lt(l->apic_id, 255);
		*node = l->domain_low;
		return l->apic_id;
	}
	ck_assert_uint_eq(x->type, SRAT_X2APIC);
	ck_assert_uint_eq(x->length, 24);
	ck_assert_uint_eq(x->flags, SRAT_ENABLED);
	zero(&x->reserved0, 2);
	zero(&x->clock_domain, 8); /* and reserved1 */
	ck_assert_uint_ge(x->apic_id, 255);
	*node = x->domain;
	return x->apic_id;
}

static void srat_range(const uint8_t *e, const struct node_range *want)
{
	const struct srat_memory *m = (const void *)e;

	ck_assert_uint_eq(m->type, SRAT_MEMORY);
	ck_assert_uint_eq(m->length, 40);
	ck_assert_uint_eq(m->flags, SRAT_ENABLED);
	ck_assert_uint_eq(m->domain, want->node);
	ck_assert_uint_eq(m->base, want->gpa);
	ck_assert_uint_eq(m->size, want->size);
	zero(&m->reserved0, 2);
	zero(&m->reserved1, 4);
	zero(&m->reserved2, 8);
}

static void check_srat(const struct cpu_config *cpus)
{
	struct guest_nodes nodes;
	const struct acpi_srat *srat;
	const uint8_t *e, *end;
	uint32_t before = 0;

	three_nodes(&nodes, cpus->count);
	srat = find("SRAT", build_nodes(cpus, &nodes));
	ck_assert_uint_eq(srat->h.revision, 3);
	ck_assert_uint_eq(srat->reserved0, 1);
	zero(srat->reserved1, 8);
	e = (const uint8_t *)(srat + 1);
	end = (const uint8_t *)srat + srat->h.length;
	for (unsigned n = 0; n < cpus->count; n++, e += e[1]) {
		uint32_t node, id = srat_cpu(e, &node);
		unsigned i = 0;

		while (i < cpus->count && x86_apic_id(cpus, i) != id)
			i++;
		ck_assert_uint_lt(i, cpus->count);
		ck_assert_uint_eq(node, nodes.node_of_vcpu[i]);
		ck_assert_uint_ge(node, before);
		before = node;
		nodes.node_of_vcpu[i] = ~0u; /* not twice */
	}
	for (unsigned i = 0; i < nodes.nranges; i++, e += e[1])
		srat_range(e, &nodes.range[i]);
	ck_assert_ptr_eq(e, end);
}

START_TEST(srat_has_every_cpu_and_range)
{
	check_srat(&(struct cpu_config){.count = 3});
	check_srat(&(struct cpu_config){.count = 255});
	check_srat(&(struct cpu_config){.count = 256});
	/* Ids up to 315: a socket of 12 takes 16. */
	check_srat(&(struct cpu_config){.count = 240, .sockets = 20, .cores = 6, .threads = 2});
}
END_TEST

START_TEST(slit_is_the_matrix)
{
	struct cpu_config cpus = {.count = 4};
	const struct acpi_slit *slit;
	struct guest_nodes nodes;

	three_nodes(&nodes, cpus.count);
	slit = find("SLIT", build_nodes(&cpus, &nodes));
	ck_assert_uint_eq(slit->h.revision, 1);
	ck_assert_uint_eq(slit->h.length, 44 + 9);
	ck_assert_uint_eq(slit->domains, 3);
	ck_assert_mem_eq(slit + 1, ((uint8_t[]){10, 21, 31, 22, 10, 32, 254, 11, 10}), 9);
}
END_TEST

START_TEST(no_nodes_no_tables)
{
	struct cpu_config cpus = {.count = 4};
	struct guest_nodes none = {.n = 0, .nranges = 1, .range = {{0, 1 << 30, 0}}};
	int used = build_nodes(&cpus, &none);

	ck_assert_ptr_null(lookup("SRAT", used));
	ck_assert_ptr_null(lookup("SLIT", used));
	used = build(&cpus, true);
	ck_assert_ptr_null(lookup("SRAT", used));
}
END_TEST

/* The nodes of the configuration reach the guest, their RAM cut at the hole. */
START_TEST(describes_nodes)
{
	static struct guest guest;
	struct numa_config numas[] = {
		{.cpus = (char *)"[1,3]", .size = 2ULL << 30},
		{.cpus = (char *)"[0,2]", .size = 2ULL << 30, .distance = (char *)"0:33"},
	};
	struct guest_config cfg = {.cpus = {.count = 4}, .memory = {.size = 4ULL << 30}, .numas = numas, .nnumas = 2,
		.transport = TRANSPORT_MMIO};
	static const struct node_range want[] = {
		{0, 2ULL << 30, 0}, {2ULL << 30, 1ULL << 30, 1}, {RAM_HIGH, 1ULL << 30, 1}};
	static const uint8_t apic_ids[] = {1, 3, 0, 2};
	uint8_t *ram = unit_ram(&guest.mem, 0, 2 << 20);
	const struct acpi_slit *slit;
	const struct acpi_srat *srat;
	const uint8_t *e;
	uint32_t node;

	guest.cfg = &cfg;
	ck_assert_int_eq(arch_describe(&guest, NULL), 0);
	memcpy(buf, ram + ADDR_RSDP, sizeof(buf));
	srat = find("SRAT", sizeof(buf));
	e = (const uint8_t *)(srat + 1);
	for (unsigned i = 0; i < 4; i++, e += e[1]) {
		ck_assert_uint_eq(srat_cpu(e, &node), apic_ids[i]);
		ck_assert_uint_eq(node, i / 2);
	}
	for (unsigned i = 0; i < 3; i++, e += e[1])
		srat_range(e, &want[i]);
	slit = find("SLIT", sizeof(buf));
	ck_assert_mem_eq(slit + 1, ((uint8_t[]){10, 33, 33, 10}), 4);
	cfg.cpus.count = 5; /* one is in no node */
	ck_assert_int_eq(log_open("/dev/null"), 0);
	ck_assert_int_eq(arch_describe(&guest, NULL), -EINVAL);
}
END_TEST

UNIT_MAIN("acpi_numa", srat_has_every_cpu_and_range, slit_is_the_matrix, no_nodes_no_tables, describes_nodes)
