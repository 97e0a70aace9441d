// SPDX-License-Identifier: Apache-2.0
/* The local APIC's registers: who may read and write what, in either mode, and how one mode becomes another. Intel SDM 3A. */
#include "tests/unit/x86/lapic_unit.h"

#define NONE 0xffffffffffffffff

/* Table 11-6 (x2APIC) with 11.12.1.3: what may be read, written, and the bits that must be zero there. */
static const struct {
	uint16_t first, last;
	bool read, write;
	uint64_t must_be_zero;
} table[] = {
	{0x802, 0x803, true, false, NONE},
	{0x808, 0x808, true, true, 0xffffffffffffff00},
	{0x80a, 0x80a, true, false, NONE},
	{0x80b, 0x80b, false, true, NONE},
	{0x80d, 0x80d, true, false, NONE},
	{0x80f, 0x80f, true, true, 0xffffffffffffec00},
	{0x810, 0x827, true, false, NONE},
	{0x828, 0x828, true, true, NONE},
	{0x830, 0x830, true, true, 0x00000000fff32000},
	{0x832, 0x832, true, true, 0xfffffffffff8ef00},
	{0x833, 0x834, true, true, 0xfffffffffffee800},
	{0x835, 0x836, true, true, 0xfffffffffffe0800},
	{0x837, 0x837, true, true, 0xfffffffffffeef00},
	{0x838, 0x838, true, true, 0xffffffff00000000},
	{0x839, 0x839, true, false, NONE},
	{0x83e, 0x83e, true, true, 0xfffffffffffffff4},
	{0x83f, 0x83f, false, true, 0xffffffffffffff00},
};

static int row_of(uint32_t msr)
{
	for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (msr >= table[i].first && msr <= table[i].last)
			return i;
	return -1;
}

START_TEST(x2apic_msrs_fault_as_they_should)
{
	uint64_t value;

	make_x2(1);
	for (uint32_t msr = 0x800; msr < 0x900; msr++) {
		int row = row_of(msr);
		bool read = row >= 0 && table[row].read, write = row >= 0 && table[row].write;

		ck_assert_msg(lapic_msr_read(lapics_at(set, 0), msr, &value) == (read ? 0 : -EINVAL), "rdmsr %#x", msr);
		ck_assert_msg(wr(0, msr, 0) == (write ? 0 : -EINVAL), "wrmsr %#x", msr);
		for (unsigned bit = 0; bit < 64; bit++)
			ck_assert_msg(wr(0, msr, 1ULL << bit) == (write && !(table[row].must_be_zero >> bit & 1) ? 0 : -EINVAL),
				"wrmsr %#x bit %u", msr, bit);
	}
	ck_assert_msg(wr(0, X_TIMER, 3 << 17) == -EINVAL, "the timer's fourth mode is reserved");
	ck_assert_int_eq(wr(0, 0x7ff, 0), -EINVAL);
	ck_assert_int_eq(wr(0, 0x900, 0), -EINVAL);
	ck_assert_int_eq(lapic_msr_read(lapics_at(set, 0), 0x10, &value), -EINVAL);
	lapics_destroy(set);
}
END_TEST

/* 11.12.2: without the mode there are no such MSRs, and in it no page. */
START_TEST(each_mode_has_one_door)
{
	uint8_t b[8];

	make(1);
	for (uint32_t msr = 0x800; msr < 0x900; msr++) {
		uint64_t value;

		ck_assert_int_eq(wr(0, msr, 0), -EINVAL);
		ck_assert_int_eq(lapic_msr_read(lapics_at(set, 0), msr, &value), -EINVAL);
	}
	put(0, P_TPR, 0x20);
	ck_assert_uint_eq(get(0, P_TPR), 0x20);
	x2(0);
	ck_assert_msg(rd(0, X_TPR) == 0x20, "it is the same register");
	put(0, P_TPR, 0x30);
	ck_assert_uint_eq(rd(0, X_TPR), 0x20);
	lapic_page_read(lapics_at(set, 0), P_TPR, b, 8);
	for (unsigned i = 0; i < 8; i++)
		ck_assert_uint_eq(b[i], 0xff);
	lapics_destroy(set);
}
END_TEST

/* Figure 11-29 and 11.12.5: every pair of states. */
START_TEST(mode_changes)
{
	static const uint64_t base[] = {0xfee00000, 0xfee00800, 0xfee00c00, 0xfee00400};
	enum { OFF, XAPIC, X2APIC, INVALID };
	static const bool legal[3][4] = {
		[OFF] = {true, true, false, false},
		[XAPIC] = {true, true, true, false},
		[X2APIC] = {true, false, true, false},
	};

	for (unsigned from = OFF; from <= X2APIC; from++)
		for (unsigned to = OFF; to <= INVALID; to++) {
			make(1);
			ck_assert_uint_eq(rd(0, MSR_APIC_BASE), BASE_ON | BASE_BSP);
			ck_assert_int_eq(wr(0, MSR_APIC_BASE, base[from]), 0);
			ck_assert_msg(wr(0, MSR_APIC_BASE, base[to]) == (legal[from][to] ? 0 : -EINVAL), "%u to %u", from,
				to);
			ck_assert_uint_eq(rd(0, MSR_APIC_BASE), base[legal[from][to] ? to : from]);
			lapics_destroy(set);
		}
}
END_TEST

START_TEST(apic_base_has_reserved_bits)
{
	make(1);
	for (unsigned bit = 0; bit < 64; bit++) {
		bool good = bit == 8 || bit == 10 || (bit >= 11 && bit < 40);

		ck_assert_msg(wr(0, MSR_APIC_BASE, (1ULL << bit) | 0x800) == (good ? 0 : -EINVAL), "bit %u", bit);
		lapics_reset(set);
	}
	lapics_destroy(set);
}
END_TEST

/* 11.4.3, 11.4.7.1: off forgets all, and takes nothing. */
START_TEST(off_is_off)
{
	struct lapic *l;

	make_x2(1);
	l = lapics_at(set, 0);
	wr(0, X_TPR, 0x10);
	send_to(0, 0x41, false);
	ck_assert_int_eq(wr(0, MSR_APIC_BASE, 0xfee00000), 0);
	ck_assert(!lapic_wants(l) && lapic_pending(l) == -1);
	ck_assert_uint_eq(send_to(0, 0x41, false), 0);
	ck_assert_uint_eq(get(0, P_TPR), UINT32_MAX);
	ck_assert_int_eq(wr(0, MSR_APIC_BASE, BASE_ON), 0);
	ck_assert_uint_eq(get(0, P_TPR), 0);
	ck_assert_uint_eq(get(0, P_SVR), 0xff);
	ck_assert_uint_eq(get(0, P_DFR), UINT32_MAX);
	lapics_destroy(set);
}
END_TEST

START_TEST(a_page_that_moved_is_nowhere)
{
	make(1);
	ck_assert_int_eq(wr(0, MSR_APIC_BASE, 0xfed00800), 0);
	ck_assert_uint_eq(get(0, P_SVR), UINT32_MAX);
	put(0, P_TPR, 0x20);
	ck_assert_int_eq(wr(0, MSR_APIC_BASE, BASE_ON), 0);
	ck_assert_uint_eq(get(0, P_TPR), 0);
	lapics_destroy(set);
}
END_TEST

/* 11.4.6, 11.4.8, 11.12.5.1, 11.12.10: who it is. */
/* What CPUID does not have is reserved (11.12.1, 11.5.1), and its MSRs are nobody's. */
START_TEST(features_can_be_absent)
{
	static const uint32_t one[] = {0};
	struct lapic_config cfg = {.n = 1, .id = one, .phys_bits = 40, .tsc_khz = TSC_KHZ, .no_x2apic = true,
		.no_deadline = true, .ops = {fake_wake, fake_eoi, fake_tsc, fake_ns}};
	uint64_t value;

	ck_assert_int_eq(lapics_create(&set, &cfg), 0);
	ck_assert_int_eq(wr(0, MSR_APIC_BASE, BASE_X2 | BASE_BSP), -EINVAL);
	ck_assert_uint_eq(rd(0, MSR_APIC_BASE), BASE_ON | BASE_BSP);
	ck_assert_int_eq(wr(0, MSR_TSC_DEADLINE, 1), -EINVAL);
	ck_assert_int_eq(lapic_msr_read(lapics_at(set, 0), MSR_TSC_DEADLINE, &value), -EINVAL);
	put(0, P_SVR, ON);
	put(0, 0x320, 2 << 17 | 0x41);
	ck_assert_uint_eq(get(0, 0x320), 0x41);
	put(0, 0x320, 1 << 17 | 0x41);
	ck_assert_uint_eq(get(0, 0x320), 1 << 17 | 0x41);
	lapics_destroy(set);
	cfg.no_x2apic = false;
	ck_assert_int_eq(lapics_create(&set, &cfg), 0);
	x2(0);
	ck_assert_int_eq(wr(0, X_TIMER, 2 << 17 | 0x41), -EINVAL);
	ck_assert_int_eq(wr(0, X_TIMER, 1 << 17 | 0x41), 0);
	lapics_destroy(set);
}
END_TEST

/* 11.12.5.1: into x2APIC mode the registers go along, but for the upper half of the ICR. */
START_TEST(registers_go_along)
{
	make(1);
	put(0, P_SVR, ON);
	put(0, P_TPR, 0x30);
	put(0, 0x320, 0x41);
	put(0, P_ICR_HIGH, 0x05000000);
	ck_assert_int_eq(wr(0, MSR_APIC_BASE, BASE_X2 | BASE_BSP), 0);
	ck_assert(rd(0, X_SVR) == ON && rd(0, X_TPR) == 0x30 && rd(0, X_TIMER) == 0x41);
	ck_assert_uint_eq(rd(0, X_ICR) >> 32, 0);
	lapics_destroy(set);
}
END_TEST

START_TEST(ids_and_version)
{
	static const uint32_t id[] = {0, 3, 17, 0x23};

	make_with(4, id);
	for (unsigned i = 0; i < 4; i++) {
		ck_assert_uint_eq(get(i, 0x20), id[i] << 24);
		put(i, 0x20, 0x55000000);
		ck_assert_uint_eq(get(i, 0x20), id[i] << 24);
		ck_assert_uint_eq(get(i, 0x30), 0x01050014);
		ck_assert_uint_eq(get(i, P_LDR), 0);
		x2(i);
		ck_assert_uint_eq(rd(i, X_ID), id[i]);
		ck_assert_uint_eq(rd(i, X_LDR), (id[i] >> 4) << 16 | 1u << (id[i] & 15));
		ck_assert_uint_eq(rd(i, X_VERSION), 0x01050014);
	}
	lapics_destroy(set);
}
END_TEST

/* 11.4.1: 32 bits at multiples of 16; a read may be of a part. 11.5.3: registers that are none. */
START_TEST(page_accesses)
{
	uint8_t b[8], ones[8];

	memset(ones, 0xff, sizeof(ones));
	make(1);
	put(0, P_SVR, ON);
	put(0, P_ICR_HIGH, 0x12000000);
	for (unsigned len = 1; len <= 8; len++)
		for (uint64_t off = 0; off + len <= 0x400; off++) {
			if (len == 4 && off % 16 == 0)
				continue;
			lapic_page_write(lapics_at(set, 0), off, ones, len);
			memset(b, 0x5a, sizeof(b));
			lapic_page_read(lapics_at(set, 0), off, b, len);
			for (unsigned i = len; i < 8; i++)
				ck_assert_uint_eq(b[i], 0x5a);
			if (off % 16 + len > 4)
				for (unsigned i = 0; i < len; i++)
					ck_assert_uint_eq(b[i], 0);
		}
	ck_assert_msg(get(0, P_SVR) == ON && get(0, P_TPR) == 0, "such a write changes nothing");
	lapic_page_read(lapics_at(set, 0), P_ICR_HIGH + 3, b, 1);
	ck_assert_uint_eq(b[0], 0x12);
	put(0, P_ESR, 0);
	put(0, P_ESR, 0);
	ck_assert_uint_eq(get(0, P_ESR), 0);
	get(0, 0x40);
	put(0, P_ESR, 7);
	ck_assert_uint_eq(get(0, P_ESR), 0x80);
	put(0, 0x3f0, 0x41); /* the self IPI register is x2APIC's */
	get(0, 0xff0);
	put(0, P_ESR, 0);
	ck_assert_uint_eq(get(0, P_ESR), 0x80);
	ck_assert_int_eq(lapic_pending(lapics_at(set, 0)), -1);
	get(0, P_EOI); /* is there, but not to be read */
	put(0, 0x180, 0);
	put(0, P_ESR, 0);
	ck_assert_uint_eq(get(0, P_ESR), 0);
	lapics_destroy(set);
}
END_TEST

/* In xAPIC mode, reserved bits are ignored. */
START_TEST(page_ignores_reserved_bits)
{
	static const struct {
		uint16_t off;
		uint32_t reads;
	} row[] = {
		{0x80, 0xff}, {0xd0, 0xff000000}, {0xe0, UINT32_MAX}, {0xf0, 0x13ff}, {0x310, 0xff000000}, {0x320, 0x700ff},
		{0x330, 0x107ff}, {0x340, 0x107ff}, {0x350, 0x1a7ff}, {0x360, 0x1a7ff}, {0x370, 0x100ff}, {0x380, UINT32_MAX},
		{0x3e0, 0xb},
	};

	make(1);
	put(0, P_SVR, ON);
	for (unsigned i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		put(0, row[i].off, UINT32_MAX);
		if (row[i].off == 0x380) /* its mode is the reserved one: the counter does not take it */
			continue;
		ck_assert_msg(get(0, row[i].off) == row[i].reads, "%#x: %#x", row[i].off, get(0, row[i].off));
	}
	ck_assert_uint_eq(lapic_timer_ns(lapics_at(set, 0)), LAPIC_NEVER);
	lapics_destroy(set);
}
END_TEST

UNIT_MAIN("lapic_regs", x2apic_msrs_fault_as_they_should, each_mode_has_one_door, mode_changes, apic_base_has_reserved_bits,
	off_is_off, a_page_that_moved_is_nowhere, features_can_be_absent, registers_go_along, ids_and_version, page_accesses, page_ignores_reserved_bits)
