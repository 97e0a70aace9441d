// SPDX-License-Identifier: Apache-2.0
/* A local APIC: priorities, acknowledge and EOI, errors, CR8, INIT and SIPI. Sections are those of Intel SDM 3A. */
#include "tests/unit/x86/lapic_unit.h"

/* 11.8.3.1: the processor priority out of TPR and the vector in service. */
START_TEST(ppr_is_the_higher_class)
{
	static const struct {
		uint8_t tpr, service, ppr;
	} row[] = {
		{0x00, 0x00, 0x00},
		{0x31, 0x00, 0x31},
		{0x00, 0x45, 0x40},
		{0x3f, 0x45, 0x40},
		{0x41, 0x45, 0x41},
		{0x50, 0x45, 0x50},
		{0xff, 0x45, 0xff},
	};

	for (unsigned i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		make_x2(1);
		if (row[i].service) {
			send_to(0, row[i].service, false);
			ck_assert_uint_eq(lapic_ack(lapics_at(set, 0)), row[i].service);
		}
		ck_assert_int_eq(wr(0, X_TPR, row[i].tpr), 0);
		ck_assert_msg(rd(0, X_PPR) == row[i].ppr, "row %u: %#lx", i, (unsigned long)rd(0, X_PPR));
		lapics_destroy(set);
	}
}
END_TEST

/* 11.8.3: a vector interrupts when its class is above that of the PPR. */
START_TEST(class_decides_who_interrupts)
{
	make_x2(1);
	for (unsigned tpr = 0; tpr < 256; tpr += 5)
		for (unsigned vector = 16; vector < 256; vector += 3) {
			int want = vector >> 4 > tpr >> 4 ? (int)vector : -1;

			wr(0, X_TPR, tpr);
			send_to(0, vector, false);
			ck_assert_int_eq(lapic_pending(lapics_at(set, 0)), want);
			wr(0, X_TPR, 0);
			ck_assert_uint_eq(lapic_ack(lapics_at(set, 0)), vector);
			wr(0, X_EOI, 0);
		}
	lapics_destroy(set);
}
END_TEST

/* 11.8.4, 11.8.5: the highest first, nested by class, and each EOI ends the highest one in service. */
START_TEST(interrupts_nest_by_class)
{
	struct lapic *l;

	make_x2(1);
	l = lapics_at(set, 0);
	send_to(0, 0x41, false);
	send_to(0, 0x52, false);
	send_to(0, 0x53, false);
	ck_assert(lapic_wants(l));
	ck_assert_uint_eq(lapic_ack(l), 0x53);
	ck_assert(has(0, X_ISR, 0x53) && !has(0, X_IRR, 0x53));
	ck_assert_msg(lapic_pending(l) == -1, "0x52 is of the class in service");
	send_to(0, 0x61, false);
	ck_assert_uint_eq(lapic_ack(l), 0x61);
	ck_assert_uint_eq(rd(0, X_PPR), 0x60);
	wr(0, X_EOI, 0);
	ck_assert(!has(0, X_ISR, 0x61) && has(0, X_ISR, 0x53));
	ck_assert_int_eq(lapic_pending(l), -1);
	wr(0, X_EOI, 0);
	ck_assert_uint_eq(lapic_ack(l), 0x52);
	wr(0, X_EOI, 0);
	ck_assert_uint_eq(lapic_ack(l), 0x41);
	wr(0, X_EOI, 0);
	wr(0, X_EOI, 0); /* one too many */
	ck_assert_uint_eq(rd(0, X_PPR), 0);
	ck_assert(!lapic_wants(l));
	lapics_destroy(set);
}
END_TEST

/* 11.8.4: one is held in the IRR while the same one is in service, a third is the second. */
START_TEST(same_vector_waits_behind_itself)
{
	struct lapic *l;

	make_x2(1);
	l = lapics_at(set, 0);
	send_to(0, 0x41, false);
	lapic_ack(l);
	send_to(0, 0x41, false);
	send_to(0, 0x41, false);
	ck_assert(has(0, X_ISR, 0x41) && has(0, X_IRR, 0x41));
	ck_assert_int_eq(lapic_pending(l), -1);
	wr(0, X_EOI, 0);
	ck_assert_uint_eq(lapic_ack(l), 0x41);
	wr(0, X_EOI, 0);
	ck_assert_int_eq(lapic_pending(l), -1);
	lapics_destroy(set);
}
END_TEST

START_TEST(injection_waits_for_the_window)
{
	uint8_t vector = 0;
	struct lapic *l;

	make_x2(1);
	l = lapics_at(set, 0);
	ck_assert_int_eq(lapic_inject(l, true, &vector), LAPIC_NOTHING);
	send_to(0, 0x41, false);
	ck_assert_int_eq(lapic_inject(l, false, &vector), LAPIC_WINDOW);
	ck_assert(has(0, X_IRR, 0x41));
	ck_assert_int_eq(lapic_inject(l, true, &vector), LAPIC_INJECT);
	ck_assert_uint_eq(vector, 0x41);
	ck_assert_int_eq(lapic_inject(l, true, &vector), LAPIC_NOTHING);
	lapics_destroy(set);
}
END_TEST

/* 11.8.6 */
START_TEST(cr8_is_the_upper_half_of_the_tpr)
{
	struct lapic *l;

	make_x2(1);
	l = lapics_at(set, 0);
	wr(0, X_TPR, 0x57);
	ck_assert_uint_eq(lapic_cr8(l), 5);
	lapic_set_cr8(l, 5);
	ck_assert_msg(rd(0, X_TPR) == 0x57, "the CPU's CR8 is what it was");
	lapic_set_cr8(l, 0xb);
	ck_assert_uint_eq(rd(0, X_TPR), 0xb0);
	ck_assert_uint_eq(rd(0, X_PPR), 0xb0);
	send_to(0, 0xb1, false);
	ck_assert_int_eq(lapic_pending(l), -1);
	lapic_set_cr8(l, 0xa);
	ck_assert_int_eq(lapic_pending(l), 0xb1);
	lapics_destroy(set);
}
END_TEST

/* 11.8.5: the end of a level-triggered one is told, unless the SVR's bit 12 says no. */
START_TEST(eoi_of_a_level_is_told)
{
	make_x2(1);
	for (unsigned i = 0; i < 4; i++) {
		bool level = i & 1, quiet = i & 2;

		wr(0, X_SVR, ON | (quiet ? 0x1000 : 0));
		send_to(0, 0x41, level);
		ck_assert_uint_eq(has(0, X_TMR, 0x41), level);
		lapic_ack(lapics_at(set, 0));
		ended = -1;
		wr(0, X_EOI, 0);
		ck_assert_int_eq(ended, level && !quiet ? 0x41 : -1);
	}
	lapics_destroy(set);
}
END_TEST

/* 11.9: nothing (any more) to take: the spurious vector, without a bit in service. */
START_TEST(spurious_is_not_in_service)
{
	struct lapic *l;

	make_x2(1);
	l = lapics_at(set, 0);
	wr(0, X_SVR, 0x1e7);
	send_to(0, 0x41, false);
	wr(0, X_TPR, 0x40);
	ck_assert_uint_eq(lapic_ack(l), 0xe7);
	for (unsigned i = 0; i < 8; i++)
		ck_assert_uint_eq(rd(0, X_ISR + i), 0);
	ck_assert(has(0, X_IRR, 0x41));
	lapics_destroy(set);
}
END_TEST

/* 11.5.3: errors gather until a write shows them; each new one interrupts, by the error entry. */
START_TEST(errors_gather_and_are_latched)
{
	struct lapic *l;

	make_x2(1);
	l = lapics_at(set, 0);
	wr(0, X_ERROR, 0x70);
	wr(0, X_SELF, 5); /* send illegal, and receive illegal */
	ck_assert_uint_eq(rd(0, X_ESR), 0);
	ck_assert_uint_eq(lapic_ack(l), 0x70);
	wr(0, X_EOI, 0);
	wr(0, X_SELF, 5);
	ck_assert_msg(lapic_pending(l) == -1, "the same error again interrupts once it was written");
	lapic_take(l, &(struct lapic_events){0});
	ck_assert_int_eq(lapic_pending(l), 0x70);
	lapic_ack(l);
	wr(0, X_EOI, 0);
	wr(0, X_ESR, 0);
	ck_assert_uint_eq(rd(0, X_ESR), 0x60);
	ck_assert_uint_eq(rd(0, X_ESR), 0x60);
	wr(0, X_ESR, 0);
	ck_assert_uint_eq(rd(0, X_ESR), 0);
	wr(0, X_SELF, 5);
	ck_assert_int_eq(lapic_pending(l), 0x70);
	lapics_destroy(set);
}
END_TEST

/* 11.5.2, 11.5.3: what is illegal, where. */
START_TEST(illegal_vectors)
{
	struct lapic_events ev;
	struct lapic *l;

	make_x2(2);
	l = lapics_at(set, 1);
	for (unsigned vector = 0; vector < 32; vector++) {
		bool good = vector >= 16;

		wr(0, X_ICR, 1ULL << 32 | vector);
		ck_assert(!lapic_take(l, &ev));
		ck_assert_int_eq(lapic_pending(l), good ? (int)vector : -1);
		wr(0, X_ESR, 0);
		ck_assert_uint_eq(rd(0, X_ESR), good ? 0 : 0x20);
		wr(1, X_ESR, 0);
		ck_assert_uint_eq(rd(1, X_ESR), good ? 0 : 0x40);
		if (good) {
			lapic_ack(l);
			wr(1, X_EOI, 0);
		}
	}
	/* An error entry that is illegal itself makes no endless row of errors. */
	wr(0, X_ERROR, 3);
	wr(0, X_SELF, 0);
	wr(0, X_ESR, 0);
	ck_assert_uint_eq(rd(0, X_ESR), 0x60);
	ck_assert_int_eq(lapic_pending(lapics_at(set, 0)), -1);
	lapics_destroy(set);
}
END_TEST

/* 11.4.7.2: disabled by software. */
START_TEST(disabled_by_software)
{
	struct lapic_events ev;
	struct lapic *l;

	make_x2(1);
	l = lapics_at(set, 0);
	wr(0, X_TIMER, 0x31);
	send_to(0, 0x41, false);
	wr(0, X_SVR, 0xff);
	ck_assert_msg(lapic_pending(l) == 0x41, "what it had it keeps");
	ck_assert_uint_eq(rd(0, X_TIMER), 0x10031);
	ck_assert_int_eq(wr(0, X_TIMER, 0x32), 0);
	ck_assert_uint_eq(rd(0, X_TIMER), 0x10032);
	ck_assert_uint_eq(send_to(0, 0x42, false), 0);
	lapic_ack(l);
	wr(0, X_EOI, 0);
	ck_assert(!lapic_wants(l));
	lapics_send(set, &(struct lapic_msg){.mode = LAPIC_NMI}, NULL);
	ck_assert(lapic_take(l, &ev) && ev.nmi);
	wr(0, X_SVR, ON);
	ck_assert_msg(rd(0, X_TIMER) == 0x10032, "what was masked stays so");
	lapics_destroy(set);
}
END_TEST

/* 9.4: the boot CPU runs, the others wait for INIT and SIPI. */
START_TEST(others_wait_for_sipi)
{
	struct lapic_msg sipi = {.mode = LAPIC_SIPI, .vector = 0x9a, .dest = 1}, init = {.mode = LAPIC_INIT, .dest = 1},
			 nmi = {.mode = LAPIC_NMI, .dest = 1};
	struct lapic_events ev;
	struct lapic *l;

	make(2);
	l = lapics_at(set, 1);
	ck_assert(!lapic_waits(lapics_at(set, 0)) && lapic_waits(l));
	ck_assert(!lapic_take(l, &ev));
	lapics_send(set, &nmi, NULL);
	ck_assert_msg(!lapic_take(l, &ev), "an NMI does not start it");
	lapics_send(set, &init, NULL);
	lapics_send(set, &sipi, NULL);
	ck_assert_uint_eq(woken[1], 3);
	ck_assert(lapic_take(l, &ev) && ev.init && ev.sipi && ev.page == 0x9a && !ev.nmi);
	ck_assert(!lapic_waits(l));
	lapics_send(set, &sipi, NULL);
	ck_assert_msg(!lapic_take(l, &ev), "who runs ignores it");
	lapics_send(set, &sipi, NULL);
	lapics_send(set, &init, NULL);
	ck_assert_msg(lapic_take(l, &ev) && ev.init && !ev.sipi, "the INIT came later");
	ck_assert(lapic_waits(l));
	sipi.vector = 0x11;
	lapics_send(set, &sipi, NULL);
	sipi.vector = 0x12;
	lapics_send(set, &sipi, NULL);
	ck_assert(lapic_take(l, &ev) && !ev.init && ev.sipi && ev.page == 0x12);
	lapics_destroy(set);
}
END_TEST

/* 11.4.7.3, 11.12.5.1: INIT leaves the id and the mode, and nothing else. */
START_TEST(init_resets_the_registers)
{
	struct lapic_msg init = {.mode = LAPIC_INIT, .dest = LAPIC_ALL};
	struct lapic_events ev;

	make_x2(2);
	for (unsigned i = 0; i < 2; i++) {
		struct lapic *l = lapics_at(set, i);

		wr(i, X_TPR, 0x33);
		wr(i, X_TIMER, 0x20040);
		wr(i, X_INITIAL, 1000);
		send_to(i, 0x41, true);
		lapic_ack(l);
		send_to(i, 0x51, true);
	}
	lapics_send(set, &init, NULL);
	for (unsigned i = 0; i < 2; i++) {
		struct lapic *l = lapics_at(set, i);

		ck_assert(lapic_take(l, &ev) && ev.init);
		ck_assert_msg(lapic_waits(l) == (i == 1), "the boot CPU begins at its reset vector");
		ck_assert_uint_eq(lapic_base(l), i ? BASE_X2 : BASE_X2 | BASE_BSP);
		ck_assert_uint_eq(rd(i, X_ID), i);
		ck_assert_uint_eq(rd(i, X_TPR), 0);
		ck_assert_uint_eq(rd(i, X_SVR), 0xff);
		ck_assert_uint_eq(rd(i, X_TIMER), 0x10000);
		ck_assert_uint_eq(rd(i, X_INITIAL), 0);
		ck_assert_uint_eq(lapic_timer_ns(l), LAPIC_NEVER);
		for (uint32_t msr = X_ISR; msr < X_IRR + 8; msr++)
			ck_assert_uint_eq(rd(i, msr), 0);
		ck_assert(!lapic_wants(l));
	}
	lapics_destroy(set);
}
END_TEST

START_TEST(refuses_a_bad_config)
{
	static const uint32_t twice[] = {1, 1}, high[] = {0x10000}, one[] = {0};
	struct lapic_config good = {.n = 1, .id = one, .phys_bits = 40, .tsc_khz = 1}, c;
	struct lapics *s;

	ck_assert_int_eq(lapics_create(&s, &good), 0);
	lapics_destroy(s);
	c = good, c.n = 0;
	ck_assert_int_eq(lapics_create(&s, &c), -EINVAL);
	c = good, c.n = 2, c.id = twice;
	ck_assert_int_eq(lapics_create(&s, &c), -EINVAL);
	c = good, c.id = high;
	ck_assert_int_eq(lapics_create(&s, &c), -EINVAL);
	c = good, c.tsc_khz = 0;
	ck_assert_int_eq(lapics_create(&s, &c), -EINVAL);
	c = good, c.phys_bits = 64;
	ck_assert_int_eq(lapics_create(&s, &c), -EINVAL);
}
END_TEST

UNIT_MAIN("lapic", ppr_is_the_higher_class, class_decides_who_interrupts, interrupts_nest_by_class,
	same_vector_waits_behind_itself, injection_waits_for_the_window, cr8_is_the_upper_half_of_the_tpr,
	eoi_of_a_level_is_told, spurious_is_not_in_service, errors_gather_and_are_latched, illegal_vectors,
	disabled_by_software, others_wait_for_sipi, init_resets_the_registers, refuses_a_bad_config)
