// SPDX-License-Identifier: Apache-2.0
/*
 * The local APIC's timer (Intel SDM 3A, 11.5.4): one-shot, periodic, TSC deadline. Nothing runs here by itself: the time it
 * fires is a number, and lapic_timer_run() looks at the clock. The vCPU's thread.
 */
#include "arch/x86/lapic_priv.h"

static uint64_t now(const struct lapic *lapic)
{
	const struct lapic_config *cfg = &lapic->set->cfg;

	return cfg->ops.ns(cfg->arg);
}

static uint64_t tsc(const struct lapic *lapic)
{
	const struct lapic_config *cfg = &lapic->set->cfg;

	return cfg->ops.tsc(cfg->arg, lapic->index);
}

static uint32_t mode(const struct lapic *lapic)
{
	return lapic->lvt[LVT_TIMER] & LVT_TIMER_MODE;
}

/* Bits 3, 1 and 0 of the divide configuration: by 2, 4, ... 128, 1. */
static unsigned shift(uint32_t divide)
{
	return ((divide & 3) + (divide >> 1 & 4) + 1) & 7;
}

static uint64_t ticks_ns(const struct lapic *lapic, uint32_t ticks)
{
	return ((uint64_t)ticks * LAPIC_BUS_NS) << shift(lapic->divide);
}

/* At least so long, or a guest could make its host do nothing but this. */
static uint64_t period(const struct lapic *lapic)
{
	uint64_t ns = ticks_ns(lapic, lapic->initial);

	return ns < LAPIC_MIN_PERIOD_NS ? LAPIC_MIN_PERIOD_NS : ns;
}

static void stop(struct lapic *lapic)
{
	lapic->due = LAPIC_NEVER;
	lapic->deadline = 0;
	lapic->moved = true;
}

/* The counter came to zero. Periods that nobody looked at are one interrupt, and none of them is made up for. */
static void next_period(struct lapic *lapic, uint64_t at)
{
	uint64_t ns = period(lapic);

	if (mode(lapic) == TIMER_PERIODIC)
		lapic->due += ((at - lapic->due) / ns + 1) * ns;
	else
		lapic->due = LAPIC_NEVER;
}

bool lapic_timer_run(struct lapic *lapic)
{
	if (lapic->deadline) {
		if (tsc(lapic) < lapic->deadline)
			return false;
		lapic->deadline = 0; /* 11.5.4.1: it is disarmed, and reads as 0 */
	} else if (lapic->due != LAPIC_NEVER) {
		uint64_t at = now(lapic);

		if (at < lapic->due)
			return false;
		next_period(lapic, at);
	} else {
		return false;
	}
	lapic->moved = true;
	lapic_lvt_fire(lapic, LVT_TIMER);
	return true;
}

void lapic_timer_reset(struct lapic *lapic)
{
	lapic->initial = lapic->divide = 0;
	stop(lapic);
}

/* What was due under the old entry fires under it. 11.5.4.1: in and out of TSC deadline mode the timer is disarmed. */
void lapic_timer_lvt(struct lapic *lapic, uint32_t value)
{
	uint32_t old = mode(lapic), new = value & LVT_TIMER_MODE;

	lapic_timer_run(lapic);
	if (old != new && (old | new) & TIMER_DEADLINE)
		stop(lapic);
	lapic->lvt[LVT_TIMER] = value;
	lapic->moved = true;
}

void lapic_timer_initial(struct lapic *lapic, uint32_t value)
{
	if (mode(lapic) & TIMER_DEADLINE) /* ignored there */
		return;
	lapic_timer_run(lapic);
	lapic->initial = value;
	lapic->moved = true;
	if (!value)
		stop(lapic);
	else
		lapic->due = now(lapic) + (mode(lapic) == TIMER_PERIODIC ? period(lapic) : ticks_ns(lapic, value));
}

uint32_t lapic_timer_current(struct lapic *lapic)
{
	uint64_t at, left;

	lapic_timer_run(lapic);
	if (lapic->due == LAPIC_NEVER)
		return 0;
	at = now(lapic);
	if (at >= lapic->due)
		return 0;
	left = (lapic->due - at + ticks_ns(lapic, 1) - 1) / ticks_ns(lapic, 1); /* one that has begun is still there */
	return left > lapic->initial ? lapic->initial : left;
}

/* What is left of the count is left, at another speed. */
void lapic_timer_divide(struct lapic *lapic, uint32_t value)
{
	uint32_t left = lapic_timer_current(lapic);

	lapic->divide = value;
	lapic->moved = true;
	if (lapic->due != LAPIC_NEVER)
		lapic->due = now(lapic) + ticks_ns(lapic, left);
}

void lapic_timer_deadline(struct lapic *lapic, uint64_t value)
{
	if (mode(lapic) != TIMER_DEADLINE) /* ignored there */
		return;
	lapic_timer_run(lapic);
	lapic->deadline = value;
	lapic->moved = true;
}

/* a * mul / div, rounded up, or LAPIC_NEVER when it does not fit behind `from`. */
static uint64_t later(uint64_t from, uint64_t a, uint64_t mul, uint64_t div)
{
	unsigned __int128 n = ((unsigned __int128)a * mul + div - 1) / div + from;

	return n >= LAPIC_NEVER ? LAPIC_NEVER : n;
}

uint64_t lapic_timer_ns(struct lapic *lapic)
{
	uint64_t at;

	if (lapic->lvt[LVT_TIMER] & LVT_MASKED)
		return LAPIC_NEVER;
	if (!lapic->deadline)
		return lapic->due;
	at = tsc(lapic);
	return later(now(lapic), lapic->deadline > at ? lapic->deadline - at : 0, 1000000, lapic->set->cfg.tsc_khz);
}

bool lapic_timer_moved(struct lapic *lapic)
{
	bool moved = lapic->moved;

	lapic->moved = false;
	return moved;
}

void lapic_timer_reclock(struct lapic *lapic)
{
	lapic->moved = true;
}

uint64_t lapic_timer_tsc(struct lapic *lapic)
{
	uint64_t at;

	if (lapic->lvt[LVT_TIMER] & LVT_MASKED)
		return LAPIC_NEVER;
	if (lapic->deadline)
		return lapic->deadline;
	if (lapic->due == LAPIC_NEVER)
		return LAPIC_NEVER;
	at = now(lapic);
	return later(tsc(lapic), lapic->due > at ? lapic->due - at : 0, lapic->set->cfg.tsc_khz, 1000000);
}
