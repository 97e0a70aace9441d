// SPDX-License-Identifier: Apache-2.0
/* The address map: no two things at one place, everything within what the host's addresses reach. */
#include "arch/arm64/layout.h"

#include <errno.h>

#include "arch/arch.h"
#include "devices/pci.h"
#include "devices/virtio/devs.h"
#include "tests/unit/mockmem.h"
#include "tests/unit/unit.h"

#define MIB (1ULL << 20)
#define GIB (1ULL << 30)

struct place {
	const char *name;
	uint64_t base, size;
};

/* All that stands below RAM; a GICv2's CPU interface and a GICv3's redistributors are not of one guest. */
static unsigned places(struct place *p)
{
	unsigned n = 0;

	p[n++] = (struct place){"serial", MMIO_SERIAL, 0x1000};
	p[n++] = (struct place){"RTC", MMIO_RTC, 0x1000};
	p[n++] = (struct place){"GICv2 distributor", GIC_DIST, GICV2_DIST_SIZE};
	p[n++] = (struct place){"GICv2 CPU interface", GICV2_CPU, GICV2_CPU_SIZE};
	p[n++] = (struct place){"GICv2m", GICV2M, GICV2M_SIZE};
	p[n++] = (struct place){"ITS", GIC_ITS, GIC_ITS_SIZE};
	p[n++] = (struct place){"redistributors", GIC_REDIST, 255 * GIC_REDIST_SIZE};
	p[n++] = (struct place){"PCI window", PCI_MEM32_BASE, PCI_MEM32_SIZE};
	p[n++] = (struct place){"ECAM", PCI_ECAM_BASE, PCI_ECAM_SIZE};
	p[n++] = (struct place){"RAM", RAM_BASE, GIB};
	for (unsigned i = 0; i < arch_mmio_slots(); i++) {
		struct mmio_slot slot;

		arch_mmio_slot(&slot, i);
		p[n++] = (struct place){"virtio-mmio", slot.base, slot.size};
	}
	return n;
}

START_TEST(nothing_overlaps)
{
	struct place p[64];
	unsigned n = places(p);

	for (unsigned i = 0; i < n; i++)
		for (unsigned j = 0; j < i; j++)
			ck_assert_msg(
				p[i].base + p[i].size <= p[j].base || p[j].base + p[j].size <= p[i].base,
				"%s at %#llx and %s at %#llx", p[i].name, (unsigned long long)p[i].base,
				p[j].name, (unsigned long long)p[j].base);
	ck_assert_uint_eq(
		GIC_DIST % GICV3_DIST_SIZE, 0); /* where KVM wants GICv3's, whatever the host's pages */
	ck_assert_uint_le(GIC_DIST + GICV3_DIST_SIZE, GICV2_CPU);
	ck_assert_uint_eq(GIC_REDIST % 0x10000, 0);
	ck_assert_uint_eq(GIC_ITS % 0x10000, 0);
}
END_TEST

START_TEST(pins_are_their_own)
{
	bool taken[BOARD_PINS] = {[PIN_SERIAL] = true, [PIN_POWER] = true};
	struct mmio_slot slot;

	ck_assert_int_ne(PIN_SERIAL, PIN_POWER);
	for (unsigned i = 0; i < arch_mmio_slots(); i++) {
		arch_mmio_slot(&slot, i);
		ck_assert_int_lt(slot.gsi, BOARD_PINS);
		ck_assert(!taken[slot.gsi]);
		taken[slot.gsi] = true;
	}
}
END_TEST

START_TEST(ram)
{
	struct ram_range r[2] = {{0, 0}, {7, 7}};

	ck_assert_int_eq(arch_ram_ranges(2 * MIB, r, 2), 1);
	ck_assert_uint_eq(r[0].gpa, RAM_BASE);
	ck_assert_uint_eq(r[0].size, 2 * MIB);
	ck_assert_uint_eq(r[1].gpa, 7);
	ck_assert_int_eq(arch_ram_ranges((1ULL << 62), r, 1), 1);
	ck_assert_int_eq(arch_ram_ranges(0, r, 1), -EINVAL);
	ck_assert_int_eq(arch_ram_ranges(4095, r, 1), -EINVAL);
	ck_assert_int_eq(arch_ram_ranges(2 * MIB, r, 0), -EINVAL);
	ck_assert_int_eq(arch_ram_ranges(UINT64_MAX - 4095, r, 1), -EINVAL);
}
END_TEST

/* At the end of RAM, of what Linux looks at, on a multiple of its size; below RAM where there is too little.
 */
START_TEST(tail)
{
	struct guest_mem m = {.n = 1, .region = {{.gpa = RAM_BASE}}};
	static const struct {
		uint64_t size, at;
	} t[] = {
		{2 * MIB, 2 * MIB - TAIL_SIZE},
		{2 * MIB + 4096, 2 * MIB - TAIL_SIZE},
		{2 * MIB - 4096, 2 * MIB - 2 * TAIL_SIZE},
		{TAIL_SIZE, 0},
		{BOOT_WINDOW, BOOT_WINDOW - TAIL_SIZE},
		{BOOT_WINDOW + 4096, BOOT_WINDOW - TAIL_SIZE},
		{1024 * GIB, BOOT_WINDOW - TAIL_SIZE},
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		m.region[0].size = t[i].size;
		ck_assert_uint_eq(arm64_tail(&m), RAM_BASE + t[i].at);
	}
	m.region[0].size = TAIL_SIZE - 4096;
	ck_assert_uint_lt(arm64_tail(&m), RAM_BASE);
}
END_TEST

/*
 * The narrowest addresses that reach RAM and a window of 1 GiB and more behind it, but none wider than the host has. A
 * level of KVM's tables more begins at 35 and at 44 bits (pages of 4K).
 */
START_TEST(width)
{
	static const struct {
		uint64_t ram;
		unsigned most, bits, window; /* GiB; 0: none */
	} t[] = {
		{2 * MIB, 48, 32, 2},
		{1 * GIB, 48, 32, 2},
		{1 * GIB + 4096, 48, 32, 1},
		{2 * GIB, 48, 32, 1},
		{2 * GIB + 4096, 48, 33, 4},
		{3 * GIB, 48, 33, 4},
		{14 * GIB, 48, 34, 1},
		{14 * GIB + 4096, 48, 35, 16},
		{31 * GIB, 40, 36, 32},
		{63 * GIB, 36, 36, 0},
		{63 * GIB - 4096, 36, 36, 0},
		{62 * GIB, 36, 36, 1},
		{512 * GIB, 40, 40, 64},
		{1023 * GIB, 40, 40, 0},
		{1023 * GIB, 48, 41, 64},
		{8190 * GIB, 48, 43, 1},
		{8191 * GIB, 48, 44, 64},
		{1 * GIB, 32, 32, 2},
		{3 * GIB, 32, 32, 0},
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		uint64_t top = RAM_BASE + t[i].ram;
		struct pci_layout out;

		ck_assert_msg(arm64_ipa_bits(top, t[i].most) == t[i].bits, "case %zu: %u", i, arm64_ipa_bits(top, t[i].most));
		arm64_pci_layout(&out, top, t[i].most);
		ck_assert_msg(out.mem64_size == t[i].window * GIB, "case %zu: %#llx", i, (unsigned long long)out.mem64_size);
		ck_assert(!out.mem64_size || (out.mem64 >= top && out.mem64 + out.mem64_size <= 1ULL << t[i].bits));
	}
}
END_TEST

START_TEST(windows)
{
	struct pci_layout out;

	arch_pci_layout(&out, 2 * GIB);
	ck_assert_uint_eq(out.ecam, PCI_ECAM_BASE);
	ck_assert_uint_eq(out.ecam_size, PCI_ECAM_SIZE);
	ck_assert_uint_eq(out.mem32 + out.mem32_size, PCI_MEM32_BASE + PCI_MEM32_SIZE);
	ck_assert_uint_eq(out.mem64, 2 * GIB); /* every host has 32 bits of address and more */
	ck_assert_uint_eq(out.mem64_size, 2 * GIB);
}
END_TEST

UNIT_MAIN("layout", nothing_overlaps, pins_are_their_own, ram, tail, width, windows)
