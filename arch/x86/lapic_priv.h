/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of a local APIC, shared by lapic*.c. Registers by their number: xAPIC offset / 16, x2APIC MSR - 0x800. */
#ifndef PINVM_X86_LAPIC_PRIV_H
#define PINVM_X86_LAPIC_PRIV_H

#include <stdatomic.h>

#include "arch/x86/lapic.h"

enum lapic_reg {
	R_ID = 0x02,
	R_VERSION = 0x03,
	R_TPR = 0x08,
	R_APR = 0x09,
	R_PPR = 0x0a,
	R_EOI = 0x0b,
	R_LDR = 0x0d,
	R_DFR = 0x0e,
	R_SVR = 0x0f,
	R_ISR = 0x10,
	R_TMR = 0x18,
	R_IRR = 0x20,
	R_ESR = 0x28,
	R_ICR = 0x30,
	R_ICR_HIGH = 0x31,
	R_LVT = 0x32, /* six of them, in the order of enum lapic_lvt */
	R_INITIAL = 0x38,
	R_CURRENT = 0x39,
	R_DIVIDE = 0x3e,
	R_SELF_IPI = 0x3f,
};

enum lapic_lvt { LVT_TIMER, LVT_THERMAL, LVT_PERF, LVT_LINT0, LVT_LINT1, LVT_ERROR, LVTS };

#define LVT_MASKED	(1u << 16)
#define LVT_TIMER_MODE	(3u << 17)
#define TIMER_ONE_SHOT	(0u << 17)
#define TIMER_PERIODIC	(1u << 17)
#define TIMER_DEADLINE	(2u << 17)

#define SVR_ENABLED	   (1u << 8)
#define SVR_NO_EOI_MESSAGE (1u << 12)

#define BASE_BSP     (1u << 8)
#define BASE_X2APIC  (1u << 10)
#define BASE_ENABLED (1u << 11)

#define ESR_SEND_ILLEGAL    (1u << 5)
#define ESR_RECEIVE_ILLEGAL (1u << 6)
#define ESR_ILLEGAL_REG	    (1u << 7)

/* What others need to know of one to find out whether a message is for it: its `door`. */
#define DOOR_ON	     (1u << 0) /* IA32_APIC_BASE */
#define DOOR_X2	     (1u << 1)
#define DOOR_ENABLED (1u << 2) /* SVR */
#define DOOR_CLUSTER (1u << 3) /* DFR; clear: flat */
#define DOOR_LDR(d)  ((d) >> 24)

/* Events: what comes besides vectors, in one word so that INIT and SIPI keep their order. */
#define EV_NMI	     (1u << 0)
#define EV_INIT	     (1u << 1)
#define EV_SIPI	     (1u << 2)
#define EV_ILLEGAL   (1u << 3) /* a message with a vector below 16 */
#define EV_PAGE(ev)  ((ev) >> 8 & 0xff)
#define EV_PAGE_SHIFT 8

struct lapic {
	/* Written by any thread. */
	_Alignas(64) _Atomic uint32_t irr[8];
	_Atomic uint32_t tmr[8];
	_Atomic uint32_t events;
	/* Written by its vCPU's thread, read by any. */
	_Alignas(64) _Atomic uint32_t door;
	_Atomic uint8_t ppr;
	/* Constant. */
	uint32_t id;
	unsigned index;
	struct lapics *set;
	/* The vCPU thread's own. */
	bool waits;
	uint64_t base;
	uint64_t icr;
	uint32_t isr[8];
	uint32_t tpr, svr, ldr, dfr;
	uint32_t esr, esr_new; /* what the guest reads, and what has gathered since it last wrote */
	uint32_t lvt[LVTS];
	uint32_t initial, divide;
	uint64_t due;	   /* ns, of the counter; LAPIC_NEVER: it stands */
	uint64_t deadline; /* TSC; 0: none */
	bool moved;	   /* since lapic_timer_moved() was asked */
};

struct lapics {
	struct lapic_config cfg;
	uint16_t *by_id; /* index + 1, up to the highest id; 0: nobody's */
	uint32_t max_id;
	struct lapic at[];
};

/* lapic.c */
void lapic_accept(struct lapic *lapic, uint8_t vector, bool level); /* any thread; vector >= 16 */
int lapic_highest(const uint32_t word[8]);
void lapic_prioritize(struct lapic *lapic); /* PPR, after TPR or ISR changed */
void lapic_publish(struct lapic *lapic);    /* door, after base, SVR, LDR or DFR changed */
void lapic_eoi(struct lapic *lapic);
void lapic_lvt_fire(struct lapic *lapic, enum lapic_lvt which);
void lapic_error(struct lapic *lapic, uint32_t bit);
void lapic_power_up(struct lapic *lapic); /* all registers but IA32_APIC_BASE and the id (SDM 3A, 11.4.7.1) */

/* lapic_ipi.c */
void lapic_send_icr(struct lapic *lapic);
void lapic_send_self(struct lapic *lapic, uint8_t vector);

/* lapic_timer.c */
void lapic_timer_reset(struct lapic *lapic);
void lapic_timer_lvt(struct lapic *lapic, uint32_t value);
void lapic_timer_initial(struct lapic *lapic, uint32_t value);
void lapic_timer_divide(struct lapic *lapic, uint32_t value);
uint32_t lapic_timer_current(struct lapic *lapic);
void lapic_timer_deadline(struct lapic *lapic, uint64_t tsc);

#endif
