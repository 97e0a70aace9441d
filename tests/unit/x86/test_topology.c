// SPDX-License-Identifier: Apache-2.0
/* APIC ids: fields as wide as the counts need, unique, ascending. */
#include "arch/x86/cpuid.h"
#include "arch/x86/topology.h"
#include "tests/unit/unit.h"

START_TEST(fills_what_is_open)
{
	static const struct {
		struct cpu_config in;
		unsigned sockets, cores, threads;
	} t[] = {
		{{.count = 1}, 1, 1, 1},
		{{.count = 8}, 1, 8, 1},
		{{.count = 8, .sockets = 2}, 2, 4, 1},
		{{.count = 8, .threads = 2}, 1, 4, 2},
		{{.count = 8, .cores = 2}, 4, 2, 1},
		{{.count = 12, .sockets = 2, .cores = 3}, 2, 3, 2},
		{{.count = 12, .sockets = 2, .cores = 3, .threads = 2}, 2, 3, 2},
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct x86_topology topo;

		x86_topology(&topo, &t[i].in);
		ck_assert_uint_eq(topo.sockets, t[i].sockets);
		ck_assert_uint_eq(topo.cores, t[i].cores);
		ck_assert_uint_eq(topo.threads, t[i].threads);
	}
}
END_TEST

START_TEST(packs_fields)
{
	struct cpu_config flat = {.count = 288}, odd = {.count = 12, .sockets = 2, .cores = 3, .threads = 2};

	for (unsigned i = 0; i < 288; i++)
		ck_assert_uint_eq(x86_apic_id(&flat, i), i);
	ck_assert_uint_eq(x86_apic_id(&odd, 0), 0);
	ck_assert_uint_eq(x86_apic_id(&odd, 1), 1);
	ck_assert_uint_eq(x86_apic_id(&odd, 5), 2 << 1 | 1);
	ck_assert_uint_eq(x86_apic_id(&odd, 6), 1 << 3);
	ck_assert_uint_eq(x86_apic_id(&odd, 11), 1 << 3 | 2 << 1 | 1);
	for (unsigned i = 1; i < 12; i++)
		ck_assert_uint_gt(x86_apic_id(&odd, i), x86_apic_id(&odd, i - 1));
}
END_TEST

UNIT_MAIN("topology", fills_what_is_open, packs_fields)
