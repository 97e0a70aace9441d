// SPDX-License-Identifier: Apache-2.0
/*
 * The local APIC's registers as its guest sees them: MSRs in x2APIC mode (Intel SDM 3A, 11.12.1), a page in xAPIC mode
 * (11.4.1), and IA32_APIC_BASE that chooses between them (11.12.5). The vCPU's thread.
 */
#include <errno.h>

#include "arch/x86/lapic_priv.h"
#include "arch/x86/layout.h"
#include "vmm/bus.h"

#define VERSION (0x14 | (LVTS - 1) << 16 | 1 << 24) /* 11.4.8; EOI messages can be suppressed */

/* Who may do what with a register, by mode; and the bits a write may set (others: #GP in x2APIC mode, else ignored). */
enum { RD = 1, WR = 2, X2_RD = 4, X2_WR = 8 };
#define R1 (RD | X2_RD)
#define W1 (WR | X2_WR)

static const struct reg {
	uint8_t access;
	uint32_t mask;
} regs[0x40] = {
	[R_ID] = {R1},
	[R_VERSION] = {R1},
	[R_TPR] = {R1 | W1, 0xff},
	[R_APR] = {RD},
	[R_PPR] = {R1},
	[R_EOI] = {W1, 0},
	[R_LDR] = {R1 | WR, 0xff000000},
	[R_DFR] = {RD | WR, 0xf0000000},
	[R_SVR] = {R1 | W1, 0x13ff},
	[R_ISR ... R_ISR + 7] = {R1},
	[R_TMR ... R_TMR + 7] = {R1},
	[R_IRR ... R_IRR + 7] = {R1},
	[R_ESR] = {R1 | W1, 0},
	/* Bit 12, the delivery status, is nobody's to write, and CPUs ignore it. */
	[R_ICR] = {R1 | W1, 0x000cdfff},
	[R_ICR_HIGH] = {RD | WR, 0xff000000},
	[R_LVT + LVT_TIMER] = {R1 | W1, 0x000710ff},
	[R_LVT + LVT_THERMAL] = {R1 | W1, 0x000117ff},
	[R_LVT + LVT_PERF] = {R1 | W1, 0x000117ff},
	[R_LVT + LVT_LINT0] = {R1 | W1, 0x0001f7ff},
	[R_LVT + LVT_LINT1] = {R1 | W1, 0x0001f7ff},
	[R_LVT + LVT_ERROR] = {R1 | W1, 0x000110ff},
	[R_INITIAL] = {R1 | W1, UINT32_MAX},
	[R_CURRENT] = {R1},
	[R_DIVIDE] = {R1 | W1, 0xb},
	[R_SELF_IPI] = {X2_WR, 0xff},
};

#define LVT_READ_ONLY (1u << 12 | 1u << 14) /* delivery status, remote IRR: never set here */

static bool is_x2(const struct lapic *lapic)
{
	return lapic->base & BASE_X2APIC;
}

/* ---- one register ---- */

static uint32_t get(struct lapic *lapic, unsigned reg)
{
	switch (reg) {
	case R_ID: /* 11.4.6, 11.12.5.1 */
		return is_x2(lapic) ? lapic->id : lapic->id << 24;
	case R_VERSION:
		return VERSION;
	case R_TPR:
		return lapic->tpr;
	case R_PPR:
		return atomic_load_explicit(&lapic->ppr, memory_order_relaxed);
	case R_LDR:
		return is_x2(lapic) ? (lapic->id & ~0xfu) << 12 | 1u << lapic->id % 16 : lapic->ldr;
	case R_DFR:
		return lapic->dfr;
	case R_SVR:
		return lapic->svr;
	case R_ISR ... R_ISR + 7:
		return lapic->isr[reg - R_ISR];
	case R_TMR ... R_TMR + 7:
		return atomic_load(&lapic->tmr[reg - R_TMR]);
	case R_IRR ... R_IRR + 7:
		return atomic_load(&lapic->irr[reg - R_IRR]);
	case R_ESR:
		return lapic->esr;
	case R_ICR:
		return lapic->icr;
	case R_ICR_HIGH:
		return lapic->icr >> 32;
	case R_LVT ... R_LVT + LVTS - 1:
		return lapic->lvt[reg - R_LVT];
	case R_INITIAL:
		return lapic->initial;
	case R_CURRENT:
		return lapic_timer_current(lapic);
	case R_DIVIDE:
		return lapic->divide;
	default:
		return 0;
	}
}

/* 11.4.7.2: while software has it disabled, all local interrupts are masked. */
static void set_svr(struct lapic *lapic, uint32_t value)
{
	lapic->svr = value;
	lapic_publish(lapic);
	if (value & SVR_ENABLED)
		return;
	for (unsigned i = 0; i < LVTS; i++)
		lapic->lvt[i] |= LVT_MASKED;
}

static void set_lvt(struct lapic *lapic, enum lapic_lvt which, uint32_t value)
{
	value &= ~LVT_READ_ONLY;
	if (which == LVT_TIMER && lapic->set->cfg.no_deadline)
		value &= ~TIMER_DEADLINE;
	if (!(lapic->svr & SVR_ENABLED))
		value |= LVT_MASKED;
	if (which == LVT_TIMER)
		lapic_timer_lvt(lapic, value);
	else
		lapic->lvt[which] = value;
}

/* value has only bits that the register has. */
static void set(struct lapic *lapic, unsigned reg, uint32_t value)
{
	switch (reg) {
	case R_TPR:
		lapic->tpr = value;
		lapic_prioritize(lapic);
		break;
	case R_EOI:
		lapic_eoi(lapic);
		break;
	case R_LDR:
		lapic->ldr = value;
		lapic_publish(lapic);
		break;
	case R_DFR: /* 11.6.2.2: the bits below are ones */
		lapic->dfr = value | 0x0fffffff;
		lapic_publish(lapic);
		break;
	case R_SVR:
		lapic_timer_run(lapic); /* what was due before it was disabled */
		set_svr(lapic, value);
		break;
	case R_ESR:
		lapic->esr = lapic->esr_new;
		lapic->esr_new = 0;
		break;
	case R_ICR:
		lapic->icr = (lapic->icr & ~0xffffffffULL) | (value & ~(1u << 12));
		lapic_send_icr(lapic);
		break;
	case R_ICR_HIGH:
		lapic->icr = (lapic->icr & 0xffffffff) | (uint64_t)value << 32;
		break;
	case R_LVT ... R_LVT + LVTS - 1:
		set_lvt(lapic, reg - R_LVT, value);
		break;
	case R_INITIAL:
		lapic_timer_initial(lapic, value);
		break;
	case R_DIVIDE:
		lapic_timer_divide(lapic, value);
		break;
	case R_SELF_IPI:
		lapic_send_self(lapic, value);
		break;
	}
}

/* ---- MSRs ---- */

uint64_t lapic_base(const struct lapic *lapic)
{
	return lapic->base;
}

/*
 * 11.12.5 and figure 11-29: x2APIC is entered from xAPIC, with all registers but the upper half of the ICR (11.12.5.1), and
 * left for off; off is left for xAPIC, whose registers are then those of power-up (11.4.3).
 */
static int set_base(struct lapic *lapic, uint64_t value)
{
	uint64_t reserved = ~((1ULL << lapic->set->cfg.phys_bits) - 1) | 0x2ff;
	unsigned old = lapic->base & (BASE_ENABLED | BASE_X2APIC), new = value & (BASE_ENABLED | BASE_X2APIC);

	if (lapic->set->cfg.no_x2apic)
		reserved |= BASE_X2APIC;
	if (value & reserved || new == BASE_X2APIC)
		return -EINVAL;
	if ((!old && new & BASE_X2APIC) || (old & BASE_X2APIC && new == BASE_ENABLED))
		return -EINVAL;
	lapic->base = value;
	if (old != new && new & BASE_X2APIC)
		lapic->icr &= 0xffffffff;
	if (old && !new)
		lapic_power_up(lapic);
	else
		lapic_publish(lapic);
	return 0;
}

static int x2_read(struct lapic *lapic, unsigned reg, uint64_t *value)
{
	if (!is_x2(lapic) || reg >= 0x40 || !(regs[reg].access & X2_RD))
		return -EINVAL;
	*value = reg == R_ICR ? lapic->icr : get(lapic, reg);
	return 0;
}

static int x2_write(struct lapic *lapic, unsigned reg, uint64_t value)
{
	if (!is_x2(lapic) || reg >= 0x40 || !(regs[reg].access & X2_WR) || (uint32_t)value & ~regs[reg].mask)
		return -EINVAL;
	if (reg == R_LVT + LVT_TIMER && ((value & LVT_TIMER_MODE) == LVT_TIMER_MODE ||
						(value & TIMER_DEADLINE && lapic->set->cfg.no_deadline)))
		return -EINVAL;
	if (reg == R_ICR)
		lapic->icr = value; /* 11.12.9: both halves at once */
	else if (value >> 32)
		return -EINVAL;
	set(lapic, reg, value);
	return 0;
}

int lapic_msr_read(struct lapic *lapic, uint32_t msr, uint64_t *value)
{
	*value = 0;
	if (msr == MSR_APIC_BASE) {
		*value = lapic->base;
		return 0;
	}
	if (msr == MSR_TSC_DEADLINE && !lapic->set->cfg.no_deadline) {
		lapic_timer_run(lapic);
		*value = lapic->deadline;
		return 0;
	}
	if (msr < MSR_X2APIC || msr > MSR_X2APIC_END)
		return -EINVAL;
	return x2_read(lapic, msr - MSR_X2APIC, value);
}

int lapic_msr_write(struct lapic *lapic, uint32_t msr, uint64_t value)
{
	if (msr == MSR_APIC_BASE)
		return set_base(lapic, value);
	if (msr == MSR_TSC_DEADLINE && !lapic->set->cfg.no_deadline) {
		lapic_timer_deadline(lapic, value);
		return 0;
	}
	if (msr < MSR_X2APIC || msr > MSR_X2APIC_END)
		return -EINVAL;
	return x2_write(lapic, msr - MSR_X2APIC, value);
}

/* ---- the page ---- */

/* A page that the guest has moved is nowhere: what is on the bus stays where it is. */
static bool answers(const struct lapic *lapic)
{
	return lapic->base & BASE_ENABLED && !is_x2(lapic) && lapic->base >> 12 == LAPIC_BASE >> 12;
}

/* 11.5.3: to a register that is not there. */
static bool page_allows(struct lapic *lapic, unsigned reg, unsigned access)
{
	if (reg < 0x40 && regs[reg].access & access)
		return true;
	if (reg >= 0x40 || !(regs[reg].access & (RD | WR)))
		lapic_error(lapic, ESR_ILLEGAL_REG);
	return false;
}

/* 11.4.1: registers are 32 bits at multiples of 16. Parts of one can be read, and nothing between two of them. */
void lapic_page_read(struct lapic *lapic, uint64_t off, uint8_t *data, unsigned len)
{
	uint32_t value = 0;

	if (!answers(lapic)) {
		bus_put(data, len, UINT64_MAX);
		return;
	}
	if (off % 16 + len <= 4 && page_allows(lapic, off / 16, RD))
		value = get(lapic, off / 16) >> off % 16 * 8;
	bus_put(data, len, value);
}

void lapic_page_write(struct lapic *lapic, uint64_t off, const uint8_t *data, unsigned len)
{
	unsigned reg = off / 16;

	if (answers(lapic) && off % 16 == 0 && len == 4 && page_allows(lapic, reg, WR))
		set(lapic, reg, bus_get(data, 4) & regs[reg].mask);
}
