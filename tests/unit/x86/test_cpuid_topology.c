// SPDX-License-Identifier: Apache-2.0
/*
 * A guest finds the sockets, cores and threads it was given: every vCPU's CPUID is decoded in the ways Linux
 * knows, and the results must agree with each other, with the configuration and with the APIC ids.
 */
#include "arch/x86/topology.h"
#include "tests/unit/x86/cpuid_tables.h"

static struct guest_config cfg;
static struct vm vm = {.cfg = &cfg};
static union cpuid_list list;

int vm_cap(const struct vm *v, int cap)
{
	(void)v;
	(void)cap;
	return 0;
}

struct place {
	uint32_t apic_id;
	unsigned package, core, thread; /* core: within the package; thread: within the core */
	unsigned cores, threads;	/* of this package, of this core */
};

/* The number of bits that n ids need. */
static unsigned order(unsigned n)
{
	unsigned bits = 0;

	while (1u << bits < n)
		bits++;
	return bits;
}

static unsigned bits(uint32_t v, unsigned from, unsigned n)
{
	return v >> from & ((1u << n) - 1);
}

static struct place split(uint32_t id, unsigned thread_bits, unsigned package_bits)
{
	return (struct place){.apic_id = id,
		.package = id >> package_bits,
		.core = bits(id, thread_bits, package_bits - thread_bits),
		.thread = bits(id, 0, thread_bits)};
}

/* Leaf 0xb or 0x1f: shifts and counts level by level. SDM 3A 9.9.5, AMD APM 3 E.3.8. */
static struct place from_levels(struct kvm_cpuid2 *l, uint32_t leaf)
{
	struct kvm_cpuid_entry2 smt = guest_cpuid(l, leaf, 0), last = smt;
	struct place p;

	ck_assert_uint_eq(bits(smt.ecx, 8, 8), 1);
	for (unsigned i = 1; i < 8; i++) {
		struct kvm_cpuid_entry2 e = guest_cpuid(l, leaf, i);

		if (bits(e.ecx, 8, 8) == 0)
			break;
		ck_assert_uint_eq(bits(e.ecx, 0, 8), i);
		ck_assert_uint_eq(bits(e.ecx, 8, 8), 2); /* no modules, tiles or dies */
		ck_assert_uint_ge(e.eax, last.eax);
		last = e;
	}
	ck_assert_uint_eq(smt.edx, last.edx);
	p = split(smt.edx, smt.eax & 0x1f, last.eax & 0x1f);
	p.threads = smt.ebx & 0xffff;
	p.cores = (last.ebx & 0xffff) / p.threads;
	return p;
}

/* Leaves 1 and 4, before there was leaf 0xb: ids in powers of two, so counts are upper bounds. */
static struct place from_legacy(struct kvm_cpuid2 *l)
{
	struct kvm_cpuid_entry2 one = guest_cpuid(l, 1, 0), four = guest_cpuid(l, 4, 0);
	unsigned logical = one.edx & 1u << 28 ? bits(one.ebx, 16, 8) : 1, cores = bits(four.eax, 26, 6) + 1;
	struct place p = split(one.ebx >> 24, order(logical) - order(cores), order(logical));

	p.cores = cores;
	p.threads = logical / cores;
	return p;
}

/* Leaves 0x80000008 and 0x8000001e. */
static struct place from_amd(struct kvm_cpuid2 *l)
{
	struct kvm_cpuid_entry2 size = guest_cpuid(l, 0x80000008, 0), ids = guest_cpuid(l, 0x8000001e, 0);
	bool ext = guest_cpuid(l, 0x80000001, 0).ecx & 1u << 22;
	unsigned threads = ext ? bits(ids.ebx, 8, 8) + 1 : 1, n = bits(size.ecx, 0, 8) + 1;
	uint32_t id = guest_cpuid(l, 1, 0).ebx >> 24;
	struct place p = split(id, order(threads), bits(size.ecx, 12, 4));

	p.threads = threads;
	p.cores = n / threads;
	if (!ext)
		return p;
	ck_assert_uint_eq(ids.eax, guest_cpuid(l, 0xb, 0).edx);
	ck_assert_uint_eq(bits(ids.ebx, 0, 8), p.core);
	ck_assert_uint_eq(bits(ids.ecx, 0, 8), p.package); /* one node a socket */
	ck_assert_uint_eq(bits(ids.ecx, 8, 3), 0);
	return p;
}

static void same_place(const struct place *a, const struct place *b)
{
	ck_assert_uint_eq(a->package, b->package);
	ck_assert_uint_eq(a->core, b->core);
	ck_assert_uint_eq(a->thread, b->thread);
}

/* Caches by APIC id: [31:14] after shifting is "ids that share it" - 1, a power of two. */
static void check_caches(uint32_t leaf, const struct x86_topology *topo)
{
	for (unsigned i = 0; i < 8; i++) {
		struct kvm_cpuid_entry2 e = guest_cpuid(&list.head, leaf, i);
		unsigned level = bits(e.eax, 5, 3), shared = bits(e.eax, 14, 12) + 1;

		if (!bits(e.eax, 0, 5))
			break;
		ck_assert_uint_eq(order(shared), level <= 2 ? topo->thread_bits : topo->package_bits);
		ck_assert_uint_eq(shared & (shared - 1), 0);
		if (leaf != 4)
			ck_assert_uint_eq(e.eax >> 26, 0);
	}
}

static void check_machine(const struct cpuid_host *host, unsigned sockets, unsigned cores, unsigned threads)
{
	unsigned n = sockets * cores * threads;
	struct x86_topology topo;

	cfg.cpus = (struct cpu_config){.count = n, .sockets = sockets, .cores = cores, .threads = threads};
	x86_topology(&topo, &cfg.cpus);
	ck_assert_int_eq(x86_cpuid_edit(list_of(&list, host), &vm), 0);
	ck_assert_uint_ge(guest_cpuid(&list.head, 0, 0).eax, 0xb);
	check_caches(host == &intel ? 4 : 0x8000001d, &topo);
	for (unsigned i = 0; i < n; i++) {
		struct place want, got;

		want = split(x86_apic_id(&cfg.cpus, i), topo.thread_bits, topo.package_bits);
		ck_assert_uint_eq(want.package, i / threads / cores);
		ck_assert_uint_eq(want.core, i / threads % cores);
		ck_assert_uint_eq(want.thread, i % threads);
		x86_cpuid_ids(&list.head, &cfg.cpus, i);
		got = from_levels(&list.head, 0xb);
		ck_assert_uint_eq(got.apic_id, want.apic_id);
		same_place(&got, &want);
		ck_assert_uint_eq(got.threads, threads);
		ck_assert_uint_eq(got.cores, cores);
		ck_assert_uint_eq(guest_cpuid(&list.head, 1, 0).ebx >> 24, want.apic_id & 0xff);
		ck_assert_uint_eq(!!(guest_cpuid(&list.head, 1, 0).edx & 1u << 28), cores * threads > 1);
		if (want.apic_id > 255)
			continue;
		if (host == &intel) {
			got = from_levels(&list.head, 0x1f);
			same_place(&got, &want);
			if (topo.package_bits > 6)
				continue; /* more than leaf 4 can count */
			got = from_legacy(&list.head);
			ck_assert_uint_eq(order(got.cores), order(cores));
			ck_assert_uint_eq(order(got.threads), order(threads));
		} else {
			got = from_amd(&list.head);
			ck_assert_uint_eq(got.cores, cores);
			ck_assert_uint_eq(got.threads, threads);
			ck_assert_uint_eq(
				!!(guest_cpuid(&list.head, 0x80000001, 0).ecx & 2), cores * threads > 1);
		}
		same_place(&got, &want);
	}
}

static void matrix(const struct cpuid_host *host)
{
	static const unsigned few[] = {1, 2, 3, 4}, cores[] = {1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 24, 31, 32},
			      threads[] = {1, 2, 3, 4};

	for (unsigned s = 0; s < 4; s++)
		for (unsigned c = 0; c < sizeof(cores) / sizeof(cores[0]); c++)
			for (unsigned t = 0; t < 4; t++)
				check_machine(host, few[s], cores[c], threads[t]);
	check_machine(host, 255, 1, 1);
	check_machine(host, 1, 255, 1);
	check_machine(host, 1, 64, 1);
	check_machine(host, 1, 127, 2);
	check_machine(host, 8, 16, 2);
}

START_TEST(intel_guests)
{
	matrix(&intel);
}
END_TEST

START_TEST(amd_guests)
{
	matrix(&amd);
}
END_TEST

/* No threads of its own, no TOPOEXT, no leaf 0xb. */
START_TEST(old_amd_guests)
{
	matrix(&small);
}
END_TEST

START_TEST(what_the_host_is_does_not_show)
{
	cfg.cpus = (struct cpu_config){.count = 1};
	ck_assert_int_eq(x86_cpuid_edit(list_of(&list, &intel), &vm), 0);
	x86_cpuid_ids(&list.head, &cfg.cpus, 0);
	for (unsigned i = 0; i < 5; i++)
		ck_assert_uint_eq(guest_cpuid(&list.head, 0x1f, i).edx, 0);
	ck_assert_uint_eq(guest_cpuid(&list.head, 0x1f, 2).ebx, 0);
	ck_assert_uint_eq(guest_cpuid(&list.head, 0x1f, 3).ecx >> 8, 0);
	ck_assert_int_eq(x86_cpuid_edit(list_of(&list, &amd), &vm), 0);
	ck_assert_ptr_null(x86_cpuid_entry(&list.head, 0x80000026, 0));
	ck_assert_uint_eq(guest_cpuid(&list.head, 0x80000001, 0).ecx & 2, 0);
	ck_assert_uint_eq(guest_cpuid(&list.head, 0x80000008, 0).ecx, 0x20000000);
	/* Only max extended leaf, vendor and brand are the host's: Intel's reserved fields are not touched.
	 */
	cfg.cpus.count = 8;
	ck_assert_int_eq(x86_cpuid_edit(list_of(&list, &intel), &vm), 0);
	ck_assert_uint_eq(guest_cpuid(&list.head, 0x80000008, 0).ecx, 0);
	ck_assert_uint_eq(guest_cpuid(&list.head, 0x80000001, 0).ecx, 0x121);
}
END_TEST

START_TEST(a_table_serves_all_vcpus)
{
	union cpuid_list first;

	cfg.cpus = (struct cpu_config){.count = 6, .sockets = 1, .cores = 3, .threads = 2};
	ck_assert_int_eq(x86_cpuid_edit(list_of(&list, &amd), &vm), 0);
	x86_cpuid_ids(&list.head, &cfg.cpus, 0);
	first = list;
	x86_cpuid_ids(&list.head, &cfg.cpus, 5);
	ck_assert_int_ne(memcmp(&first, &list, sizeof(list)), 0);
	x86_cpuid_ids(&list.head, &cfg.cpus, 0); /* as after a restart */
	ck_assert_mem_eq(&first, &list, sizeof(list));
}
END_TEST

UNIT_MAIN("cpuid_topology", intel_guests, amd_guests, old_amd_guests, what_the_host_is_does_not_show,
	a_table_serves_all_vcpus)
