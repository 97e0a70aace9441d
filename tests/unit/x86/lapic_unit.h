/* SPDX-License-Identifier: Apache-2.0 */
/* Local APICs under a clock of the test's own, which writes down who was woken and what was ended. */
#ifndef PINVM_TESTS_LAPIC_UNIT_H
#define PINVM_TESTS_LAPIC_UNIT_H

#include <errno.h>
#include <string.h>

#include "arch/x86/lapic.h"
#include "tests/unit/unit.h"

#define ON	 0x1ff /* SVR: enabled, spurious vector 0xff */
#define TSC_KHZ	 2000000
#define APICS	 20
#define BASE_ON	 0xfee00800
#define BASE_X2	 0xfee00c00
#define BASE_BSP 0x100

/* x2APIC MSRs; the xAPIC's offset is (msr - 0x800) * 16. */
enum {
	X_ID = 0x802,
	X_VERSION = 0x803,
	X_TPR = 0x808,
	X_PPR = 0x80a,
	X_EOI = 0x80b,
	X_LDR = 0x80d,
	X_SVR = 0x80f,
	X_ISR = 0x810,
	X_TMR = 0x818,
	X_IRR = 0x820,
	X_ESR = 0x828,
	X_ICR = 0x830,
	X_TIMER = 0x832,
	X_LINT0 = 0x835,
	X_ERROR = 0x837,
	X_INITIAL = 0x838,
	X_CURRENT = 0x839,
	X_DIVIDE = 0x83e,
	X_SELF = 0x83f,
};
#define P_TPR 0x80
#define P_EOI 0xb0
#define P_LDR 0xd0
#define P_DFR 0xe0
#define P_SVR 0xf0
#define P_ESR 0x280
#define P_ICR 0x300
#define P_ICR_HIGH 0x310

static struct lapics *set;
static uint64_t clock_ns, clock_tsc;
static unsigned woken[APICS];
static int ended; /* the last EOI that was sent on, -1 */

static inline void fake_wake(void *arg, unsigned index)
{
	woken[index]++;
}

static inline void fake_eoi(void *arg, uint8_t vector)
{
	ended = vector;
}

static inline uint64_t fake_tsc(void *arg, unsigned index)
{
	return clock_tsc;
}

static inline uint64_t fake_ns(void *arg)
{
	return clock_ns;
}

/* Both clocks, at TSC_KHZ. */
static inline void pass(uint64_t ns)
{
	clock_ns += ns;
	clock_tsc += ns * (TSC_KHZ / 1000) / 1000;
}

static inline void make_with(unsigned n, const uint32_t *id)
{
	struct lapic_config cfg = {.n = n,
		.id = id,
		.phys_bits = 40,
		.tsc_khz = TSC_KHZ,
		.ops = {fake_wake, fake_eoi, fake_tsc, fake_ns}};

	clock_ns = 1000;
	clock_tsc = 5000000;
	ended = -1;
	ck_assert_int_eq(lapics_create(&set, &cfg), 0);
}

/* Ids from 0 up. */
static inline void make(unsigned n)
{
	static uint32_t id[APICS];

	for (unsigned i = 0; i < n; i++)
		id[i] = i;
	make_with(n, id);
}

static inline int wr(unsigned i, uint32_t msr, uint64_t value)
{
	return lapic_msr_write(lapics_at(set, i), msr, value);
}

static inline uint64_t rd(unsigned i, uint32_t msr)
{
	uint64_t value;

	ck_assert_msg(lapic_msr_read(lapics_at(set, i), msr, &value) == 0, "rdmsr %#x", msr);
	return value;
}

static inline void put(unsigned i, uint64_t off, uint32_t value)
{
	uint8_t b[4];

	memcpy(b, &value, 4);
	lapic_page_write(lapics_at(set, i), off, b, 4);
}

static inline uint32_t get(unsigned i, uint64_t off)
{
	uint32_t value;

	lapic_page_read(lapics_at(set, i), off, (uint8_t *)&value, 4);
	return value;
}

/* Into x2APIC mode, and enabled. */
static inline void x2(unsigned i)
{
	ck_assert_int_eq(wr(i, MSR_APIC_BASE, BASE_X2 | (i ? 0 : BASE_BSP)), 0);
	ck_assert_int_eq(wr(i, X_SVR, ON), 0);
}

/* Started, if it waited. */
static inline void started(unsigned i)
{
	struct lapic_msg sipi = {.mode = LAPIC_SIPI, .dest = LAPIC_ALL};
	struct lapic_events ev;

	if (lapic_waits(lapics_at(set, i)))
		lapics_send(set, &sipi, NULL);
	lapic_take(lapics_at(set, i), &ev);
	ck_assert(!lapic_waits(lapics_at(set, i)));
}

/* N local APICs in x2APIC mode, enabled and started. */
static inline void make_x2(unsigned n)
{
	make(n);
	for (unsigned i = 0; i < n; i++) {
		started(i);
		x2(i);
	}
	memset(woken, 0, sizeof(woken));
}

static inline unsigned send_to(unsigned i, uint8_t vector, bool level)
{
	struct lapic_msg msg = {.dest = i, .vector = vector, .level = level};

	return lapics_send(set, &msg, NULL);
}

static inline bool has(unsigned i, uint32_t first, uint8_t vector)
{
	return rd(i, first + vector / 32) >> vector % 32 & 1;
}

#endif
