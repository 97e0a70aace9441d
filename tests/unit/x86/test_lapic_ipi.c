// SPDX-License-Identifier: Apache-2.0
/* Messages to local APICs: who is meant, and what it gets. Intel SDM 3A, 11.6, 11.11, 11.12.9 to 11.12.11. */
#include "tests/unit/x86/lapic_unit.h"

#define VECTOR 0x41

enum { LOGICAL = 1 << 11, LEVEL = 1 << 15, ASSERT = 1 << 14, SELF = 1 << 18, ALL = 2 << 18, OTHERS = 3 << 18 };

/* Who has the vector, as bits; it is taken out again. */
static uint32_t got(unsigned n)
{
	uint32_t who = 0;

	for (unsigned i = 0; i < n; i++) {
		struct lapic *l = lapics_at(set, i);

		if (lapic_pending(l) != VECTOR)
			continue;
		who |= 1u << i;
		lapic_ack(l);
		ck_assert_msg(lapic_pending(l) == -1, "%u has it once", i);
		if (lapic_base(l) & 0x400)
			wr(i, X_EOI, 0);
		else
			put(i, P_EOI, 0);
	}
	return who;
}

/* Who was woken, as bits. */
static uint32_t were_woken(unsigned n)
{
	uint32_t who = 0;

	for (unsigned i = 0; i < n; i++)
		who |= woken[i] ? 1u << i : 0;
	memset(woken, 0, sizeof(woken));
	return who;
}

/* 11.12.9, 11.12.10: destinations in x2APIC mode. Ids 0 to 19: two clusters. */
START_TEST(x2apic_destinations)
{
	static const struct {
		uint32_t dest;
		bool logical;
		uint32_t who;
	} row[] = {
		{0, false, 1}, {1, false, 2}, {19, false, 1 << 19}, {20, false, 0}, {0xff, false, 0}, {0xfffffffe, false, 0},
		{0xffffffff, false, 0xfffff}, {0xffffffff, true, 0xfffff}, {0x00000001, true, 1}, {0x0000ffff, true, 0xffff},
		{0x00000005, true, 5}, {0x0001000f, true, 0xf0000}, {0x0001ffff, true, 0xf0000}, {0x0001fff0, true, 0},
		{0x00000000, true, 0}, {0x00010000, true, 0}, {0x0002ffff, true, 0}, {0x000000ff, true, 0xff},
	};

	make_x2(20);
	for (unsigned i = 0; i < sizeof(row) / sizeof(row[0]); i++)
		for (unsigned sender = 0; sender < 20; sender += 7) {
			ck_assert_int_eq(wr(sender, X_ICR, (uint64_t)row[i].dest << 32 | (row[i].logical ? LOGICAL : 0) | VECTOR), 0);
			ck_assert_msg(were_woken(20) == (row[i].who & ~(1u << sender)), "row %u", i);
			ck_assert_msg(got(20) == row[i].who, "row %u", i);
		}
	lapics_destroy(set);
}
END_TEST

/* 11.6.2.1, 11.6.2.2: destinations in xAPIC mode, flat and cluster model. */
START_TEST(xapic_destinations)
{
	static const struct {
		uint32_t dfr;
		uint8_t dest;
		bool logical;
		uint32_t who;
	} row[] = {
		{0xf0000000, 0, false, 1}, {0xf0000000, 3, false, 8}, {0xf0000000, 4, false, 0}, {0xf0000000, 0xff, false, 15},
		{0xf0000000, 0x01, true, 1}, {0xf0000000, 0x0c, true, 12}, {0xf0000000, 0xf0, true, 0},
		{0xf0000000, 0xff, true, 15}, {0xf0000000, 0x00, true, 0},
		/* cluster: LDRs 0x01 0x02 0x14 0x18 */
		{0x00000000, 0x03, true, 3}, {0x00000000, 0x1f, true, 12}, {0x00000000, 0x14, true, 4},
		{0x00000000, 0x0c, true, 0}, {0x00000000, 0x2f, true, 0}, {0x00000000, 0xff, true, 15}, {0x00000000, 2, false, 4},
	};
	static const uint8_t flat[] = {0x01, 0x02, 0x04, 0x08}, cluster[] = {0x01, 0x02, 0x14, 0x18};

	make(4);
	for (unsigned i = 0; i < 4; i++) {
		started(i);
		put(i, P_SVR, ON);
	}
	were_woken(4);
	for (unsigned i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		for (unsigned j = 0; j < 4; j++) {
			put(j, P_DFR, row[i].dfr);
			put(j, P_LDR, (uint32_t)(row[i].dfr ? flat : cluster)[j] << 24);
		}
		put(1, P_ICR_HIGH, (uint32_t)row[i].dest << 24);
		put(1, P_ICR, (row[i].logical ? LOGICAL : 0) | VECTOR);
		ck_assert_msg(were_woken(4) == (row[i].who & ~2u), "row %u", i);
		ck_assert_msg(got(4) == row[i].who, "row %u", i);
	}
	ck_assert_msg(lapics_msi(set, 0xfeeff000, VECTOR, NULL) == 4, "a device's broadcast");
	ck_assert_uint_eq(got(4), 15);
	lapics_destroy(set);
}
END_TEST

/* While CPUs change over one by one, each hears what its own mode says. */
START_TEST(modes_mixed)
{
	make(4);
	for (unsigned i = 0; i < 4; i++) {
		started(i);
		put(i, P_SVR, ON);
		put(i, P_LDR, 1u << (24 + i));
	}
	x2(2);
	x2(3);
	wr(2, X_ICR, 1ULL << 32 | VECTOR);
	ck_assert_uint_eq(got(4), 2);
	put(0, P_ICR_HIGH, 3 << 24);
	put(0, P_ICR, VECTOR);
	ck_assert_uint_eq(got(4), 8);
	put(0, P_ICR_HIGH, 0xffu << 24);
	put(0, P_ICR, VECTOR);
	ck_assert_uint_eq(got(4), 15);
	wr(3, X_ICR, 0xffffffffULL << 32 | VECTOR);
	ck_assert_uint_eq(got(4), 15);
	wr(3, X_ICR, 0xfULL << 32 | LOGICAL | VECTOR);
	ck_assert_uint_eq(got(4), 15);
	wr(3, X_ICR, 0x10001ULL << 32 | LOGICAL | VECTOR);
	ck_assert_uint_eq(got(4), 0);
	lapics_destroy(set);
}
END_TEST

/* 11.6.1, 11.12.11 */
START_TEST(shorthands)
{
	static const struct {
		uint32_t icr, who;
	} row[] = {{SELF, 2}, {ALL, 15}, {OTHERS, 13}, {OTHERS | LEVEL, 13}, {ALL | LEVEL | ASSERT, 15}};

	make_x2(4);
	for (unsigned i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		wr(1, X_ICR, 3ULL << 32 | row[i].icr | VECTOR);
		ck_assert_uint_eq(were_woken(4), row[i].who & ~2u);
		ck_assert_uint_eq(got(4), row[i].who);
	}
	ck_assert_msg(!has(0, X_TMR, VECTOR), "an IPI is an edge");
	wr(1, X_SELF, VECTOR);
	ck_assert_uint_eq(were_woken(4), 0);
	ck_assert_uint_eq(got(4), 2);
	lapics_destroy(set);
}
END_TEST

/* 11.6.1: every delivery mode, to one and by shorthand. */
START_TEST(delivery_modes)
{
	struct lapic_events ev;

	make_x2(3);
	for (unsigned mode = 0; mode < 8; mode++)
		for (unsigned others = 0; others < 2; others++) {
			wr(1, X_ICR, 2ULL << 32 | (others ? OTHERS : 0) | mode << 8 | ASSERT | VECTOR);
			for (unsigned i = 0; i < 3; i++) {
				bool to = i == 2 || (others && i == 0 && mode != LAPIC_LOWEST);
				struct lapic *l = lapics_at(set, i);

				if (mode == LAPIC_LOWEST && others)
					to = i == 0 || i == 2 ? lapic_pending(l) >= 0 : false;
				ck_assert_int_eq(lapic_pending(l), to && mode <= LAPIC_LOWEST ? VECTOR : -1);
				lapic_take(l, &ev);
				ck_assert_int_eq(ev.nmi, to && mode == LAPIC_NMI);
				ck_assert_int_eq(ev.init, to && mode == LAPIC_INIT);
				ck_assert_msg(!ev.sipi, "nobody waits, and after INIT it is another message");
				if (ev.init) {
					started(i);
					x2(i);
				}
			}
			ck_assert(mode != LAPIC_LOWEST || __builtin_popcount(got(3)) == 1);
			got(3);
		}
	/* INIT that is not asserted, at level: old software's way to end it. */
	wr(1, X_ICR, 2ULL << 32 | LAPIC_INIT << 8 | LEVEL);
	ck_assert(!lapic_take(lapics_at(set, 2), &ev));
	wr(1, X_ICR, 2ULL << 32 | LAPIC_INIT << 8 | LEVEL | ASSERT);
	ck_assert(lapic_take(lapics_at(set, 2), &ev) && ev.init);
	lapics_destroy(set);
}
END_TEST

/* 11.6.2.4: the one with the lowest priority of those that are meant, and take vectors. */
START_TEST(lowest_priority)
{
	make_x2(4);
	wr(0, X_TPR, 0x30);
	wr(1, X_TPR, 0x20);
	wr(2, X_TPR, 0x10);
	wr(3, X_TPR, 0x20);
	wr(0, X_ICR, 0xfULL << 32 | LOGICAL | LAPIC_LOWEST << 8 | VECTOR);
	ck_assert_uint_eq(got(4), 4);
	wr(0, X_ICR, 0xbULL << 32 | LOGICAL | LAPIC_LOWEST << 8 | VECTOR);
	ck_assert_uint_eq(got(4) & ~10u, 0);
	wr(2, X_SVR, 0xff);
	wr(3, X_SVR, 0xff);
	wr(0, X_ICR, 0xfULL << 32 | LOGICAL | LAPIC_LOWEST << 8 | VECTOR);
	ck_assert_uint_eq(got(4), 2);
	wr(0, X_ICR, 0xcULL << 32 | LOGICAL | LAPIC_LOWEST << 8 | VECTOR);
	ck_assert_uint_eq(got(4), 0);
	wr(1, X_TPR, 0x30);
	wr(0, X_TPR, 0x00);
	wr(0, X_ICR, OTHERS | LAPIC_LOWEST << 8 | VECTOR);
	ck_assert_msg(got(4) == 2, "all but the sender");
	lapics_destroy(set);
}
END_TEST

/* Among equals, a vector stays where it is, and different ones spread. */
START_TEST(lowest_priority_spreads)
{
	uint32_t all = 0;

	make_x2(4);
	for (unsigned vector = 0x41; vector < 0x45; vector++) {
		uint32_t first = 0;

		for (unsigned n = 0; n < 3; n++)
			for (unsigned i = 0; i < 4; i++) {
				if (!i)
					wr(0, X_ICR, 0xfULL << 32 | LOGICAL | LAPIC_LOWEST << 8 | vector);
				if (lapic_pending(lapics_at(set, i)) < 0)
					continue;
				ck_assert(!first || first == 1u << i);
				first = 1u << i;
				lapic_ack(lapics_at(set, i));
				wr(i, X_EOI, 0);
			}
		all |= first;
	}
	ck_assert_uint_eq(all, 15);
	lapics_destroy(set);
}
END_TEST

/* 11.11.1, 11.11.2; ids from 256 up as KVM_CAP_X2APIC_API has them. */
START_TEST(msis_decoded)
{
	static const struct {
		uint64_t addr;
		uint32_t data;
		int err;
		struct lapic_msg msg;
	} row[] = {
		{0xfee00000, 0x41, 0, {.vector = 0x41}},
		{0xfee05000, 0x41, 0, {.dest = 5, .vector = 0x41}},
		{0xfeeff004, 0x141, 0, {.dest = 0xff, .vector = 0x41, .mode = LAPIC_LOWEST, .logical = true}},
		{0xfee0300c, 0x41, 0, {.dest = 3, .vector = 0x41, .logical = true, .lowest = true}},
		{0xfee00000, 0xc041, 0, {.vector = 0x41, .level = true}},
		{0xfee00000, 0x8041, -EINVAL, {0}},
		{0xfee00000, 0x4441, 0, {.vector = 0x41, .mode = LAPIC_NMI}},
		{0xfee00000, 0xffff0041, 0, {.vector = 0x41}},
		{0xfee00ff0, 0x41, 0, {.vector = 0x41}},
		{0x00000100fee34000, 0x41, 0, {.dest = 0x134, .vector = 0x41}},
		{0xffffff00feeff000, 0x41, 0, {.dest = LAPIC_ALL, .vector = 0x41}},
		{0x00000001fee00000, 0x41, -EINVAL, {0}},
		{0xfed00000, 0x41, -EINVAL, {0}},
		{0xfef00000, 0x41, -EINVAL, {0}},
		{0, 0, -EINVAL, {0}},
	};

	for (unsigned i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		const struct lapic_msg *want = &row[i].msg;
		struct lapic_msg m;
		int err = lapic_msi_decode(&m, row[i].addr, row[i].data);

		ck_assert_msg(err == row[i].err, "row %u", i);
		if (!err)
			ck_assert_msg(m.dest == want->dest && m.vector == want->vector && m.mode == want->mode &&
					m.logical == want->logical && m.level == want->level && m.lowest == want->lowest,
				"row %u", i);
	}
}
END_TEST

START_TEST(msis_arrive)
{
	make_x2(4);
	ck_assert_uint_eq(lapics_msi(set, 0xfee02000, VECTOR, NULL), 1);
	ck_assert_uint_eq(were_woken(4), 4);
	ck_assert_uint_eq(got(4), 4);
	ck_assert_uint_eq(lapics_msi(set, 0xfee02000, VECTOR, lapics_at(set, 2)), 1);
	ck_assert_msg(were_woken(4) == 0, "its own thread raised it");
	ck_assert_uint_eq(got(4), 4);
	ck_assert_uint_eq(lapics_msi(set, 0xfee0f004, 0xc000 | VECTOR, NULL), 4);
	ck_assert(has(3, X_TMR, VECTOR));
	ck_assert_uint_eq(got(4), 15);
	ck_assert_int_eq(ended, VECTOR);
	ck_assert_uint_eq(lapics_msi(set, 0xfee0600c, VECTOR, NULL), 1);
	ck_assert_uint_eq(got(4) & ~6u, 0);
	ck_assert_msg(lapics_msi(set, 0xfeeff000, VECTOR, NULL) == 0, "255 is an id in x2APIC mode, and nobody's");
	ck_assert_uint_eq(lapics_msi(set, 0xfec00000, VECTOR, NULL), 0);
	ck_assert_uint_eq(got(4), 0);
	lapics_destroy(set);
}
END_TEST

/* Ids above 255 share their lower 8 bits with others while in xAPIC mode. */
START_TEST(wide_ids)
{
	static const uint32_t id[] = {1, 0x101, 0x3000};

	make_with(3, id);
	for (unsigned i = 0; i < 3; i++) {
		started(i);
		put(i, P_SVR, ON);
	}
	put(2, P_ICR_HIGH, 1 << 24);
	put(2, P_ICR, VECTOR);
	ck_assert_uint_eq(got(3), 3);
	for (unsigned i = 0; i < 3; i++)
		x2(i);
	wr(0, X_ICR, 1ULL << 32 | VECTOR);
	ck_assert_uint_eq(got(3), 1);
	wr(0, X_ICR, 0x101ULL << 32 | VECTOR);
	ck_assert_uint_eq(got(3), 2);
	wr(0, X_ICR, 0x3000ULL << 32 | VECTOR);
	ck_assert_uint_eq(got(3), 4);
	wr(0, X_ICR, 0x03000001ULL << 32 | LOGICAL | VECTOR);
	ck_assert_uint_eq(got(3), 4);
	ck_assert_uint_eq(lapics_msi(set, 0x10000000000ULL | 0xfee01000, VECTOR, NULL), 1);
	ck_assert_uint_eq(got(3), 2);
	lapics_destroy(set);
}
END_TEST

/* Ids as a topology leaves them: with holes. */
START_TEST(ids_with_holes)
{
	static const uint32_t id[] = {0, 1, 2, 4, 5, 6};

	make_with(6, id);
	for (unsigned i = 0; i < 6; i++) {
		started(i);
		x2(i);
	}
	for (unsigned dest = 0; dest < 10; dest++) {
		uint32_t want = 0;

		for (unsigned i = 0; i < 6; i++)
			want |= id[i] == dest ? 1u << i : 0;
		wr(0, X_ICR, (uint64_t)dest << 32 | VECTOR);
		ck_assert_uint_eq(got(6), want);
	}
	lapics_destroy(set);
}
END_TEST

UNIT_MAIN("lapic_ipi", x2apic_destinations, xapic_destinations, modes_mixed, shorthands, delivery_modes, lowest_priority,
	lowest_priority_spreads, msis_decoded, msis_arrive, wide_ids, ids_with_holes)
