// SPDX-License-Identifier: Apache-2.0
/*
 * Local APICs: their state, what waits and what is in service; see lapic.h. Raising is any thread's, the rest the vCPU
 * thread's.
 */
#include "arch/x86/lapic.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arch/x86/lapic_priv.h"
#include "arch/x86/layout.h"

#define CLASS(vector) ((vector) & 0xf0)

/* ---- bits ---- */

int lapic_highest(const uint32_t word[8])
{
	for (int i = 7; i >= 0; i--)
		if (word[i])
			return i * 32 + 31 - __builtin_clz(word[i]);
	return -1;
}

static int highest_irr(const struct lapic *lapic)
{
	for (int i = 7; i >= 0; i--) {
		uint32_t word = atomic_load(&lapic->irr[i]);

		if (word)
			return i * 32 + 31 - __builtin_clz(word);
	}
	return -1;
}

/*
 * SDM 3A, 11.8.4: into the IRR, where a second one of the same vector is the same one. The TMR comes first: who sees the
 * IRR's bit must see how it came.
 */
void lapic_accept(struct lapic *lapic, uint8_t vector, bool level)
{
	uint32_t bit = 1u << vector % 32;
	_Atomic uint32_t *tmr = &lapic->tmr[vector / 32];

	if (!(atomic_load_explicit(tmr, memory_order_relaxed) & bit) != !level) {
		if (level)
			atomic_fetch_or(tmr, bit);
		else
			atomic_fetch_and(tmr, ~bit);
	}
	atomic_fetch_or(&lapic->irr[vector / 32], bit);
}

/* ---- priorities ---- */

/* SDM 3A, 11.8.3.1. */
void lapic_prioritize(struct lapic *lapic)
{
	int isr = lapic_highest(lapic->isr);
	uint8_t in_service = isr < 0 ? 0 : CLASS(isr);

	atomic_store_explicit(&lapic->ppr, CLASS(lapic->tpr) >= in_service ? lapic->tpr : in_service,
		memory_order_relaxed);
}

bool lapic_wants(const struct lapic *lapic)
{
	return atomic_load(&lapic->events) || highest_irr(lapic) >= 0;
}

int lapic_pending(struct lapic *lapic)
{
	int vector = highest_irr(lapic);

	if (vector < 0 || !(lapic->base & BASE_ENABLED))
		return -1;
	return CLASS(vector) > CLASS(atomic_load_explicit(&lapic->ppr, memory_order_relaxed)) ? vector : -1;
}

uint8_t lapic_ack(struct lapic *lapic)
{
	int vector = lapic_pending(lapic);

	if (vector < 0) /* SDM 3A, 11.9 */
		return lapic->svr;
	/* Nobody else takes bits out. */
	atomic_fetch_and(&lapic->irr[vector / 32], ~(1u << vector % 32));
	lapic->isr[vector / 32] |= 1u << vector % 32;
	lapic_prioritize(lapic);
	return vector;
}

enum lapic_step lapic_inject(struct lapic *lapic, bool ready, uint8_t *vector)
{
	if (lapic->waits || lapic_pending(lapic) < 0)
		return LAPIC_NOTHING;
	if (!ready)
		return LAPIC_WINDOW;
	*vector = lapic_ack(lapic);
	return LAPIC_INJECT;
}

/* SDM 3A, 11.8.5. */
void lapic_eoi(struct lapic *lapic)
{
	int vector = lapic_highest(lapic->isr);
	const struct lapic_config *cfg = &lapic->set->cfg;

	if (vector < 0)
		return;
	lapic->isr[vector / 32] &= ~(1u << vector % 32);
	lapic_prioritize(lapic);
	if (atomic_load(&lapic->tmr[vector / 32]) & 1u << vector % 32 && !(lapic->svr & SVR_NO_EOI_MESSAGE))
		cfg->ops.eoi(cfg->arg, vector);
}

void lapic_set_cr8(struct lapic *lapic, uint8_t cr8)
{
	if (lapic->tpr >> 4 == (cr8 & 0xf)) /* all that CR8 has of it; what a write to the TPR put below stays */
		return;
	lapic->tpr = (uint32_t)(cr8 & 0xf) << 4;
	lapic_prioritize(lapic);
}

uint8_t lapic_cr8(const struct lapic *lapic)
{
	return lapic->tpr >> 4;
}

/* ---- local interrupts ---- */

/*
 * SDM 3A, 11.5.3: gathered until the guest writes the ESR; each bit that is new interrupts. A vector of the error entry that
 * is illegal itself is one more error, and no second interrupt.
 */
void lapic_error(struct lapic *lapic, uint32_t bit)
{
	uint32_t lvt = lapic->lvt[LVT_ERROR];

	if (lapic->esr_new & bit)
		return;
	lapic->esr_new |= bit;
	if (lvt & LVT_MASKED)
		return;
	if ((lvt & 0xff) < 16)
		lapic->esr_new |= ESR_RECEIVE_ILLEGAL;
	else
		lapic_accept(lapic, lvt, false);
}

/* An entry of the local vector table without delivery mode: it is fixed and edge-triggered (SDM 3A, 11.5.1). */
void lapic_lvt_fire(struct lapic *lapic, enum lapic_lvt which)
{
	uint32_t lvt = lapic->lvt[which];

	if (lvt & LVT_MASKED)
		return;
	if ((lvt & 0xff) < 16) /* 11.5.2 */
		lapic_error(lapic, ESR_RECEIVE_ILLEGAL);
	else
		lapic_accept(lapic, lvt, false);
}

/* ---- NMI, INIT, SIPI ---- */

bool lapic_take(struct lapic *lapic, struct lapic_events *out)
{
	uint32_t ev = atomic_load_explicit(&lapic->events, memory_order_relaxed);

	*out = (struct lapic_events){0};
	if (!ev)
		return false;
	ev = atomic_exchange(&lapic->events, 0);
	if (ev & EV_INIT) { /* 11.4.7.3: all but the id and IA32_APIC_BASE */
		lapic_power_up(lapic);
		lapic->waits = !(lapic->base & BASE_BSP);
		out->init = true;
	}
	if (ev & EV_ILLEGAL)
		lapic_error(lapic, ESR_RECEIVE_ILLEGAL);
	if (!lapic->waits) {
		out->nmi = ev & EV_NMI;
	} else if (ev & EV_SIPI) {
		lapic->waits = false;
		out->sipi = true;
		out->page = EV_PAGE(ev);
	}
	return out->nmi || out->init || out->sipi;
}

bool lapic_waits(const struct lapic *lapic)
{
	return lapic->waits;
}

/* ---- life ---- */

void lapic_publish(struct lapic *lapic)
{
	uint32_t door = lapic->ldr & 0xff000000;

	if (lapic->base & BASE_ENABLED)
		door |= DOOR_ON;
	if (lapic->base & BASE_X2APIC)
		door |= DOOR_X2;
	if (lapic->svr & SVR_ENABLED)
		door |= DOOR_ENABLED;
	if (lapic->dfr >> 28 == 0)
		door |= DOOR_CLUSTER;
	atomic_store_explicit(&lapic->door, door, memory_order_release);
}

void lapic_power_up(struct lapic *lapic)
{
	lapic->tpr = lapic->ldr = lapic->esr = lapic->esr_new = 0;
	lapic->icr = 0;
	lapic->svr = 0xff;
	lapic->dfr = UINT32_MAX;
	for (unsigned i = 0; i < LVTS; i++)
		lapic->lvt[i] = LVT_MASKED;
	lapic_timer_reset(lapic);
	lapic_publish(lapic); /* from here on nothing more is let in */
	for (unsigned i = 0; i < 8; i++) {
		lapic->isr[i] = 0;
		atomic_store(&lapic->irr[i], 0);
		atomic_store(&lapic->tmr[i], 0);
	}
	lapic_prioritize(lapic);
}

void lapics_reset(struct lapics *set)
{
	for (unsigned i = 0; i < set->cfg.n; i++) {
		struct lapic *lapic = &set->at[i];

		lapic->base = LAPIC_BASE | BASE_ENABLED | (i ? 0 : BASE_BSP);
		lapic->waits = i > 0;
		lapic_power_up(lapic);
		atomic_store(&lapic->events, 0);
	}
}

struct lapic *lapics_at(struct lapics *set, unsigned index)
{
	return &set->at[index];
}

static bool config_is_good(const struct lapic_config *cfg)
{
	if (!cfg->n || cfg->n >= UINT16_MAX || !cfg->tsc_khz || cfg->phys_bits < 32 || cfg->phys_bits > 52)
		return false;
	for (unsigned i = 1; i < cfg->n; i++)
		if (cfg->id[i] <= cfg->id[i - 1])
			return false;
	return cfg->id[cfg->n - 1] <= UINT16_MAX;
}

int lapics_create(struct lapics **out, const struct lapic_config *cfg)
{
	struct lapics *set;
	size_t size;

	*out = NULL;
	if (!config_is_good(cfg))
		return -EINVAL;
	size = sizeof(*set) + cfg->n * sizeof(set->at[0]);
	set = aligned_alloc(_Alignof(struct lapics), size);
	if (!set)
		return -ENOMEM;
	memset(set, 0, size);
	set->cfg = *cfg;
	set->max_id = cfg->id[cfg->n - 1];
	set->by_id = calloc(set->max_id + 1, sizeof(*set->by_id));
	if (!set->by_id) {
		free(set);
		return -ENOMEM;
	}
	for (unsigned i = 0; i < cfg->n; i++) {
		set->by_id[cfg->id[i]] = i + 1;
		set->at[i].id = cfg->id[i];
		set->at[i].index = i;
		set->at[i].set = set;
	}
	lapics_reset(set);
	*out = set;
	return 0;
}

void lapics_destroy(struct lapics *set)
{
	if (!set)
		return;
	free(set->by_id);
	free(set);
}
