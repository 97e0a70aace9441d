// SPDX-License-Identifier: Apache-2.0
/* Feature masks, paravirtual switches and the rest of what x86_cpuid_edit() does to KVM's list. */
#include <errno.h>
#include <stdarg.h>
#include <sys/ioctl.h>

#include "arch/arch.h"
#include "arch/x86/cpufeature.h"
#include "tests/unit/x86/cpuid_tables.h"

static struct guest_config cfg;
static struct vm vm = {.cfg = &cfg};
static union cpuid_list list;
static int exits_can = 15;
static unsigned exits_asked;

/* The seam: what this host's KVM can. */
int vm_cap(const struct vm *v, int cap)
{
	(void)v;
	if (cap == KVM_CAP_X86_DISABLE_EXITS)
		exits_asked++;
	return cap == KVM_CAP_X86_DISABLE_EXITS ? exits_can : 0;
}

/* KVM_GET_SUPPORTED_CPUID of a host, or its refusal. */
static const struct cpuid_host *supported;
static int refusal;

int ioctl(int fd, unsigned long request, ...)
{
	struct kvm_cpuid2 *out;
	va_list ap;

	va_start(ap, request);
	out = va_arg(ap, struct kvm_cpuid2 *);
	va_end(ap);
	ck_assert_uint_eq(request, KVM_GET_SUPPORTED_CPUID);
	ck_assert_int_eq(fd, vm.kvm_fd);
	ck_assert_uint_eq(out->nent, X86_CPUID_MAX);
	if (refusal) {
		errno = refusal;
		return -1;
	}
	memcpy(out->entries, supported->entries, supported->n * sizeof(out->entries[0]));
	out->nent = supported->n;
	return 0;
}

static int edit(const struct cpuid_host *host)
{
	return x86_cpuid_edit(list_of(&list, host), &vm);
}

static struct kvm_cpuid_entry2 *entry(uint32_t leaf, uint32_t subleaf)
{
	struct kvm_cpuid_entry2 *e = x86_cpuid_entry(&list.head, leaf, subleaf);

	ck_assert_msg(e, "no leaf %#x.%u", leaf, subleaf);
	return e;
}

static void fresh(void)
{
	memset(&cfg, 0, sizeof(cfg));
	cfg.cpus.count = 1;
}

/* ---- names ---- */

START_TEST(names_are_those_of_linux)
{
	static const struct {
		const char *name;
		uint32_t leaf, subleaf;
		enum cpuid_reg reg;
		unsigned bit;
	} t[] = {
		{"fpu", 1, 0, CPUID_EDX, 0},
		{"tsc", 1, 0, CPUID_EDX, 4},
		{"apic", 1, 0, CPUID_EDX, 9},
		{"clflush", 1, 0, CPUID_EDX, 19},
		{"sse2", 1, 0, CPUID_EDX, 26},
		{"ht", 1, 0, CPUID_EDX, 28},
		{"pni", 1, 0, CPUID_ECX, 0},
		{"monitor", 1, 0, CPUID_ECX, 3},
		{"vmx", 1, 0, CPUID_ECX, 5},
		{"cx16", 1, 0, CPUID_ECX, 13},
		{"pcid", 1, 0, CPUID_ECX, 17},
		{"x2apic", 1, 0, CPUID_ECX, 21},
		{"tsc_deadline_timer", 1, 0, CPUID_ECX, 24},
		{"xsave", 1, 0, CPUID_ECX, 26},
		{"avx", 1, 0, CPUID_ECX, 28},
		{"hypervisor", 1, 0, CPUID_ECX, 31},
		{"arat", 6, 0, CPUID_EAX, 2},
		{"fsgsbase", 7, 0, CPUID_EBX, 0},
		{"tsc_adjust", 7, 0, CPUID_EBX, 1},
		{"avx2", 7, 0, CPUID_EBX, 5},
		{"erms", 7, 0, CPUID_EBX, 9},
		{"avx512f", 7, 0, CPUID_EBX, 16},
		{"smap", 7, 0, CPUID_EBX, 20},
		{"sha_ni", 7, 0, CPUID_EBX, 29},
		{"avx512vl", 7, 0, CPUID_EBX, 31},
		{"umip", 7, 0, CPUID_ECX, 2},
		{"pku", 7, 0, CPUID_ECX, 3},
		{"waitpkg", 7, 0, CPUID_ECX, 5},
		{"la57", 7, 0, CPUID_ECX, 16},
		{"rdpid", 7, 0, CPUID_ECX, 22},
		{"bus_lock_detect", 7, 0, CPUID_ECX, 24},
		{"fsrm", 7, 0, CPUID_EDX, 4},
		{"md_clear", 7, 0, CPUID_EDX, 10},
		{"serialize", 7, 0, CPUID_EDX, 14},
		{"amx_tile", 7, 0, CPUID_EDX, 24},
		{"arch_capabilities", 7, 0, CPUID_EDX, 29},
		{"avx_vnni", 7, 1, CPUID_EAX, 4},
		{"amx_fp16", 7, 1, CPUID_EAX, 21},
		{"xsaves", 0xd, 1, CPUID_EAX, 3},
		{"syscall", 0x80000001, 0, CPUID_EDX, 11},
		{"nx", 0x80000001, 0, CPUID_EDX, 20},
		{"pdpe1gb", 0x80000001, 0, CPUID_EDX, 26},
		{"rdtscp", 0x80000001, 0, CPUID_EDX, 27},
		{"lm", 0x80000001, 0, CPUID_EDX, 29},
		{"svm", 0x80000001, 0, CPUID_ECX, 2},
		{"abm", 0x80000001, 0, CPUID_ECX, 5},
		{"topoext", 0x80000001, 0, CPUID_ECX, 22},
		{"perfctr_core", 0x80000001, 0, CPUID_ECX, 23},
		{"mwaitx", 0x80000001, 0, CPUID_ECX, 29},
		{"nonstop_tsc", 0x80000007, 0, CPUID_EDX, 8},
		{"clzero", 0x80000008, 0, CPUID_EBX, 0},
		{"wbnoinvd", 0x80000008, 0, CPUID_EBX, 9},
		{"ibpb", 0x80000008, 0, CPUID_EBX, 12},
		{"virt_ssbd", 0x80000008, 0, CPUID_EBX, 25},
		{"npt", 0x8000000a, 0, CPUID_EDX, 0},
		{"avic", 0x8000000a, 0, CPUID_EDX, 13},
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct cpufeature f;

		ck_assert_msg(cpufeature_find(t[i].name, strlen(t[i].name), &f), "%s", t[i].name);
		ck_assert_msg(f.leaf == t[i].leaf && f.subleaf == t[i].subleaf && f.reg == t[i].reg &&
				      f.bit == t[i].bit,
			"%s is %x.%x %d:%u", t[i].name, f.leaf, f.subleaf, f.reg, f.bit);
		ck_assert(arch_cpu_feature_known(t[i].name));
	}
}
END_TEST

START_TEST(names_are_unique_and_bits_in_range)
{
	const struct cpufeature_word *word;
	unsigned names = 0;

	for (size_t i = 0; (word = cpufeature_word(i)); i++) {
		const char *p = word->names;

		for (unsigned bit = 0; *p; bit++) {
			size_t n = strcspn(p, " ");
			struct cpufeature f;

			ck_assert_uint_lt(bit, 32);
			ck_assert_uint_gt(n, 0);
			if (*p != '.') {
				/* The look-up ends at the first of a name: a second one would be found
				 * elsewhere. */
				ck_assert(cpufeature_find(p, n, &f));
				ck_assert_msg(f.leaf == word->leaf && f.subleaf == word->subleaf &&
						      f.reg == word->reg && f.bit == bit,
					"%.*s twice", (int)n, p);
				names++;
			}
			p += n + (p[n] == ' ');
		}
	}
	ck_assert_uint_gt(names, 200);
}
END_TEST

START_TEST(odd_names_are_unknown)
{
	struct cpufeature f;

	ck_assert(!cpufeature_find("", 0, &f));
	ck_assert(!cpufeature_find(".", 1, &f));
	ck_assert(!cpufeature_find("sse2 ss", 7, &f));
	ck_assert(!cpufeature_find("avx51", 5, &f));
	ck_assert(!arch_cpu_feature_known("SSE2"));
}
END_TEST

/* ---- masks ---- */

START_TEST(minus_hides_and_nothing_else)
{
	static char features[] = "-avx2,-pcid,-rdtscp";
	union cpuid_list plain;

	fresh();
	ck_assert_int_eq(edit(&intel), 0);
	plain = list;
	cfg.cpus.features = features;
	ck_assert_int_eq(edit(&intel), 0);
	ck_assert_uint_eq(entry(7, 0)->ebx, x86_cpuid_entry(&plain.head, 7, 0)->ebx & ~(1u << 5));
	ck_assert_uint_eq(entry(1, 0)->ecx, x86_cpuid_entry(&plain.head, 1, 0)->ecx & ~(1u << 17));
	ck_assert_uint_eq(
		entry(0x80000001, 0)->edx, x86_cpuid_entry(&plain.head, 0x80000001, 0)->edx & ~(1u << 27));
	entry(7, 0)->ebx |= 1u << 5;
	entry(1, 0)->ecx |= 1u << 17;
	entry(0x80000001, 0)->edx |= 1u << 27;
	ck_assert_mem_eq(&list, &plain, sizeof(list));
}
END_TEST

START_TEST(plus_is_refused_when_absent)
{
	static char has[] = "+avx2", lacks[] = "+amx_tile", unknown[] = "-nosuchthing",
		    last_wins[] = "-x2apic";

	fresh();
	cfg.cpus.features = has;
	ck_assert_int_eq(edit(&intel), 0);
	cfg.cpus.features = lacks;
	ck_assert_int_eq(edit(&intel), -ENOTSUP);
	ck_assert_int_eq(edit(&small), -ENOTSUP);
	cfg.cpus.features = unknown;
	ck_assert_int_eq(edit(&intel), -EINVAL);
	cfg.cpus.features = last_wins; /* also against what pinvm itself sets */
	ck_assert_int_eq(edit(&intel), 0);
	ck_assert(!(entry(1, 0)->ecx & 1u << 21));
}
END_TEST

START_TEST(amd_aliases_go_with_the_feature)
{
	static char features[] = "-mmx,-sse2,-fpu";

	fresh();
	cfg.cpus.features = features;
	ck_assert_int_eq(edit(&amd), 0);
	ck_assert_uint_eq(entry(1, 0)->edx & (1u << 23 | 1u << 26 | 1), 0);
	ck_assert_uint_eq(entry(0x80000001, 0)->edx & (1u << 23 | 1), 0);
	ck_assert(entry(0x80000001, 0)->edx & 1u << 26); /* there it is pdpe1gb */
}
END_TEST

/* ---- paravirtual switches ---- */

START_TEST(each_switch_moves_its_own_bits)
{
	static const struct {
		size_t at;
		uint32_t bits;
	} t[] = {
		{offsetof(struct kvm_config, steal_time), 1u << KVM_FEATURE_STEAL_TIME},
		{offsetof(struct kvm_config, pv_eoi), 1u << KVM_FEATURE_PV_EOI},
		{offsetof(struct kvm_config, pv_unhalt), 1u << KVM_FEATURE_PV_UNHALT},
		{offsetof(struct kvm_config, pv_tlb_flush), 1u << KVM_FEATURE_PV_TLB_FLUSH},
		{offsetof(struct kvm_config, pv_ipi), 1u << KVM_FEATURE_PV_SEND_IPI},
		{offsetof(struct kvm_config, async_pf), 1u << KVM_FEATURE_ASYNC_PF |
								1u << KVM_FEATURE_ASYNC_PF_VMEXIT |
								1u << KVM_FEATURE_ASYNC_PF_INT},
		{offsetof(struct kvm_config, poll_control), 1u << KVM_FEATURE_POLL_CONTROL},
		{offsetof(struct kvm_config, sched_yield), 1u << KVM_FEATURE_PV_SCHED_YIELD},
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		enum tristate *want;

		fresh();
		want = (enum tristate *)((char *)&cfg.kvm + t[i].at);
		ck_assert(!x86_cpuid_pv_narrowed(&cfg.kvm));
		ck_assert_int_eq(edit(&intel), 0);
		ck_assert_uint_eq(entry(KVM_CPUID_FEATURES, 0)->eax, PV_ALL);
		*want = TRI_OFF;
		ck_assert(x86_cpuid_pv_narrowed(&cfg.kvm));
		ck_assert_int_eq(edit(&intel), 0);
		ck_assert_uint_eq(entry(KVM_CPUID_FEATURES, 0)->eax, PV_ALL & ~t[i].bits);
		ck_assert_int_eq(edit(&small), 0);
		*want = TRI_ON;
		ck_assert(!x86_cpuid_pv_narrowed(&cfg.kvm));
		ck_assert_int_eq(edit(&intel), 0);
		ck_assert_int_eq(edit(&small), -ENOTSUP);
	}
}
END_TEST

START_TEST(made_leaves_ignore_ecx)
{
	fresh();
	cfg.exits.mwait = TRI_OFF;
	ck_assert_int_eq(edit(&small), 0);
	ck_assert_uint_eq(guest_cpuid(&list.head, 5, 0x1234).eax, 64);
	ck_assert_uint_eq(guest_cpuid(&list.head, 6, 0x1234).eax & 4, 4);
	ck_assert_uint_eq(entry(KVM_CPUID_FEATURES, 0)->flags, 0);
}
END_TEST

START_TEST(hints)
{
	fresh();
	ck_assert_int_eq(edit(&intel), 0);
	ck_assert_uint_eq(entry(KVM_CPUID_FEATURES, 0)->edx, 0);
	cfg.kvm.realtime_hint = TRI_OFF;
	ck_assert_int_eq(edit(&intel), 0);
	ck_assert_uint_eq(entry(KVM_CPUID_FEATURES, 0)->edx, 0);
	ck_assert(!x86_cpuid_pv_narrowed(&cfg.kvm));
	cfg.kvm.realtime_hint = TRI_ON;
	ck_assert_int_eq(edit(&intel), 0);
	ck_assert_uint_eq(entry(KVM_CPUID_FEATURES, 0)->edx, 1u << KVM_HINTS_REALTIME);
	ck_assert_uint_eq(entry(KVM_CPUID_FEATURES, 0)->eax, PV_ALL);
}
END_TEST

START_TEST(extended_destinations_are_never_promised)
{
	struct kvm_cpuid_entry2 entries[sizeof(intel_entries) / sizeof(intel_entries[0])];
	struct cpuid_host host = {entries, intel.n};

	fresh();
	memcpy(entries, intel_entries, sizeof(entries));
	for (size_t i = 0; i < host.n; i++)
		if (entries[i].function == KVM_CPUID_FEATURES)
			entries[i].eax |= 1u << KVM_FEATURE_MSI_EXT_DEST_ID;
	ck_assert_int_eq(edit(&host), 0);
	ck_assert_uint_eq(entry(KVM_CPUID_FEATURES, 0)->eax, PV_ALL);
}
END_TEST

START_TEST(kvmclock_off_needs_a_known_tsc)
{
	static const struct {
		uint32_t den, num, crystal, base;
		bool ok;
	} t[] = {
		{0, 0, 0, 0, false},
		{2, 200, 0, 0, false},
		{2, 200, 25000000, 0, true},
		{2, 200, 0, 2500, true},
		{0, 200, 25000000, 2500, false},
		{2, 0, 25000000, 2500, false},
	};
	struct kvm_cpuid_entry2 entries[sizeof(intel_entries) / sizeof(intel_entries[0]) + 2];
	struct cpuid_host host = {entries, intel.n + 2};

	fresh();
	cfg.kvm.kvmclock = TRI_OFF;
	ck_assert_int_eq(edit(&intel), -ENOTSUP);
	ck_assert_int_eq(edit(&amd), -ENOTSUP);
	memcpy(entries, intel_entries, sizeof(intel_entries));
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		entries[intel.n] = (struct kvm_cpuid_entry2){
			.function = 0x15, .eax = t[i].den, .ebx = t[i].num, .ecx = t[i].crystal};
		entries[intel.n + 1] = (struct kvm_cpuid_entry2){.function = 0x16, .eax = t[i].base};
		ck_assert_int_eq(edit(&host), t[i].ok ? 0 : -ENOTSUP);
		if (!t[i].ok)
			continue;
		ck_assert_uint_eq(entry(KVM_CPUID_FEATURES, 0)->eax,
			PV_ALL & ~(1u << KVM_FEATURE_CLOCKSOURCE | 1u << KVM_FEATURE_CLOCKSOURCE2 |
					 1u << KVM_FEATURE_CLOCKSOURCE_STABLE_BIT));
		ck_assert_uint_eq(entry(0x15, 0)->ebx, t[i].num);
	}
}
END_TEST

START_TEST(halting_without_exits_has_no_pv_unhalt)
{
	fresh();
	cfg.exits.hlt = TRI_OFF;
	ck_assert_int_eq(edit(&intel), 0);
	ck_assert_uint_eq(entry(KVM_CPUID_FEATURES, 0)->eax, PV_ALL & ~(1u << KVM_FEATURE_PV_UNHALT));
	cfg.kvm.pv_unhalt = TRI_ON;
	ck_assert_int_eq(edit(&intel), -EINVAL);
}
END_TEST

/* ---- platform, PMU, AMX ---- */

/* What KVM would do by a local APIC that it does not have. */
START_TEST(no_apic_in_kvm_has_no_pv_of_it)
{
	const uint32_t gone = 1u << KVM_FEATURE_ASYNC_PF | 1u << KVM_FEATURE_ASYNC_PF_VMEXIT | 1u << KVM_FEATURE_ASYNC_PF_INT |
			      1u << KVM_FEATURE_PV_EOI | 1u << KVM_FEATURE_PV_UNHALT | 1u << KVM_FEATURE_PV_SEND_IPI;

	fresh();
	cfg.irqchip = IRQCHIP_USER;
	ck_assert_int_eq(edit(&intel), 0);
	ck_assert_uint_eq(entry(KVM_CPUID_FEATURES, 0)->eax, PV_ALL & ~gone);
	ck_assert_uint_eq(entry(1, 0)->ecx & (1u << 21 | 1u << 24), 1u << 21 | 1u << 24);
	cfg.kvm.pv_eoi = TRI_ON;
	ck_assert_int_eq(edit(&intel), -EINVAL);
}
END_TEST

START_TEST(platform_bits)
{
	fresh();
	ck_assert_int_eq(edit(&small), 0);
	ck_assert_uint_eq(entry(1, 0)->ecx, 1u << 31 | 1u << 24 | 1u << 21 | 1);
	ck_assert_uint_eq(entry(6, 0)->eax, 4);
	ck_assert_ptr_null(x86_cpuid_entry(&list.head, 5, 0));
	ck_assert_uint_ge(entry(0, 0)->eax, 0xb);
	ck_assert_int_eq(edit(&intel), 0);
	ck_assert_uint_eq(entry(0, 0)->eax, 0x1f);
	ck_assert_uint_eq(entry(0x40000000, 0)->ebx, 0x4b4d564b); /* KVMKVMKVM stays */
}
END_TEST

START_TEST(mwait_comes_with_leaf_5)
{
	fresh();
	ck_assert_int_eq(edit(&intel), 0);
	ck_assert(!(entry(1, 0)->ecx & 1u << 3));
	cfg.exits.mwait = TRI_OFF;
	ck_assert_int_eq(edit(&intel), 0);
	ck_assert(entry(1, 0)->ecx & 1u << 3);
	ck_assert_uint_eq(entry(5, 0)->eax, 64);
	ck_assert_uint_eq(entry(5, 0)->ebx, 64);
	ck_assert_uint_eq(entry(5, 0)->ecx & 3, 3);
	ck_assert_uint_ne(entry(5, 0)->edx, 0);
}
END_TEST

START_TEST(pmu)
{
	const uint32_t intel_ecx = 1u << 2 | 1u << 4 | 1u << 15;

	fresh();
	ck_assert_int_eq(edit(&intel), 0);
	ck_assert_uint_eq(entry(0xa, 0)->eax | entry(0xa, 0)->edx, 0);
	ck_assert_uint_eq(entry(0x1c, 0)->eax, 0);
	ck_assert_uint_eq(entry(1, 0)->ecx & intel_ecx, 0);
	ck_assert(!(entry(1, 0)->edx & 1u << 21));
	ck_assert(!(entry(7, 0)->edx & 1u << 19));
	ck_assert(!(entry(7, 1)->eax & 1u << 8));
	ck_assert_int_eq(edit(&amd), 0);
	ck_assert_ptr_null(x86_cpuid_entry(&list.head, 0x80000022, 0));
	ck_assert_uint_eq(entry(0x80000001, 0)->ecx & (1u << 23 | 1u << 24 | 1u << 28), 0);
	cfg.pmu = true;
	ck_assert_int_eq(edit(&intel), 0);
	ck_assert_uint_eq(entry(0xa, 0)->eax, 0x08300805);
	ck_assert_uint_eq(entry(1, 0)->ecx & intel_ecx, intel_ecx);
	ck_assert(entry(1, 0)->edx & 1u << 21);
	ck_assert_int_eq(edit(&amd), 0);
	ck_assert_uint_eq(entry(0x80000022, 0)->ebx, 6);
	ck_assert_uint_eq(entry(0x80000001, 0)->ecx & (1u << 23 | 1u << 24), 1u << 23 | 1u << 24);
}
END_TEST

START_TEST(amx_needs_its_state)
{
	struct kvm_cpuid_entry2 entries[sizeof(intel_entries) / sizeof(intel_entries[0])];
	struct cpuid_host host = {entries, intel.n};
	const uint32_t amx = 1u << 22 | 1u << 24 | 1u << 25;

	fresh();
	memcpy(entries, intel_entries, sizeof(entries));
	ck_assert_int_eq(edit(&host), 0);
	ck_assert_uint_eq(entry(7, 0)->edx & amx, 0);
	ck_assert_uint_eq(entry(7, 1)->eax, 1u << 4);
	ck_assert_uint_eq(entry(7, 1)->edx, 0);
	for (size_t i = 0; i < host.n; i++)
		if (entries[i].function == 0xd && entries[i].index == 0)
			entries[i].eax |= 3u << 17;
	ck_assert_int_eq(edit(&host), 0);
	ck_assert_uint_eq(entry(7, 0)->edx & amx, amx);
	ck_assert_uint_eq(entry(7, 1)->edx, 1u << 8);
}
END_TEST

/* ---- limits, and the way from KVM ---- */

START_TEST(a_full_list_is_refused_not_overrun)
{
	static struct kvm_cpuid_entry2 entries[X86_CPUID_MAX];
	struct cpuid_host host = {entries, X86_CPUID_MAX};

	fresh();
	memcpy(entries, small_entries, sizeof(small_entries));
	for (unsigned i = small.n; i < X86_CPUID_MAX; i++)
		entries[i] = (struct kvm_cpuid_entry2){.function = 0x90000000 + i};
	/* Leaves 6 and 0x40000001 and three of 0xb are to be made, and these four a wish more. */
	for (host.n = X86_CPUID_MAX; host.n > X86_CPUID_MAX - 5; host.n--)
		ck_assert_int_eq(edit(&host), -ENOSPC);
	ck_assert_int_eq(edit(&host), 0);
	ck_assert_uint_eq(list.head.nent, X86_CPUID_MAX);
	cfg.exits.mwait = TRI_OFF;
	ck_assert_int_eq(edit(&host), -ENOSPC);
	host.n--;
	ck_assert_int_eq(edit(&host), 0);
	host.n = 0;
	ck_assert_int_eq(edit(&host), -ENOTSUP);
}
END_TEST

START_TEST(from_kvm_to_a_table)
{
	struct kvm_cpuid2 *cpuid;

	fresh();
	vm.kvm_fd = 1234;
	supported = &amd;
	ck_assert_int_eq(x86_cpuid_create(&cpuid, &vm), 0);
	list_of(&list, &amd);
	ck_assert_int_eq(x86_cpuid_edit(&list.head, &vm), 0);
	ck_assert_uint_eq(cpuid->nent, list.head.nent);
	ck_assert_mem_eq(cpuid->entries, list.head.entries, cpuid->nent * sizeof(cpuid->entries[0]));
	free(cpuid);
	for (int i = 0; i < 2; i++) {
		refusal = i ? EIO : E2BIG;
		ck_assert_int_eq(x86_cpuid_create(&cpuid, &vm), -refusal);
		ck_assert_ptr_null(cpuid);
	}
}
END_TEST

START_TEST(exits_are_checked_by_what_kvm_can)
{
	static const struct {
		size_t at;
		int bit;
	} t[] = {
		{offsetof(struct exits_config, hlt), KVM_X86_DISABLE_EXITS_HLT},
		{offsetof(struct exits_config, pause), KVM_X86_DISABLE_EXITS_PAUSE},
		{offsetof(struct exits_config, mwait), KVM_X86_DISABLE_EXITS_MWAIT},
		{offsetof(struct exits_config, cstate), KVM_X86_DISABLE_EXITS_CSTATE},
	};
	struct kvm_cpuid2 *cpuid;

	supported = &intel;
	fresh();
	ck_assert_int_eq(x86_cpuid_create(&cpuid, &vm), 0);
	free(cpuid);
	ck_assert_uint_eq(exits_asked, 0);
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		fresh();
		*(enum tristate *)((char *)&cfg.exits + t[i].at) = TRI_OFF;
		exits_can = t[i].bit;
		ck_assert_int_eq(x86_cpuid_create(&cpuid, &vm), 0);
		free(cpuid);
		exits_can = 15 & ~t[i].bit;
		ck_assert_int_eq(x86_cpuid_create(&cpuid, &vm), -ENOTSUP);
		*(enum tristate *)((char *)&cfg.exits + t[i].at) = TRI_ON;
		ck_assert_int_eq(x86_cpuid_create(&cpuid, &vm), 0);
		free(cpuid);
	}
}
END_TEST

START_TEST(pmu_on_needs_counters)
{
	struct kvm_cpuid2 *cpuid;

	fresh();
	cfg.pmu = true;
	supported = &intel;
	ck_assert_int_eq(x86_cpuid_create(&cpuid, &vm), 0);
	free(cpuid);
	supported = &amd;
	ck_assert_int_eq(x86_cpuid_create(&cpuid, &vm), 0);
	free(cpuid);
	supported = &small;
	ck_assert_int_eq(x86_cpuid_create(&cpuid, &vm), -ENOTSUP);
}
END_TEST

UNIT_MAIN("cpuid", names_are_those_of_linux, names_are_unique_and_bits_in_range, odd_names_are_unknown,
	minus_hides_and_nothing_else, plus_is_refused_when_absent, amd_aliases_go_with_the_feature,
	each_switch_moves_its_own_bits, made_leaves_ignore_ecx, hints,
	extended_destinations_are_never_promised, kvmclock_off_needs_a_known_tsc,
	halting_without_exits_has_no_pv_unhalt, no_apic_in_kvm_has_no_pv_of_it, platform_bits, mwait_comes_with_leaf_5, pmu,
	amx_needs_its_state, a_full_list_is_refused_not_overrun, from_kvm_to_a_table,
	exits_are_checked_by_what_kvm_can, pmu_on_needs_counters)
