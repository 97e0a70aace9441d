// SPDX-License-Identifier: Apache-2.0
/*
 * Messages between local APICs, and from devices to them (Intel SDM 3A, 11.6, 11.11, 11.12.9 to 11.12.11): who is meant,
 * and what it gets. Any thread; of a target only its atomic words are touched.
 */
#include <errno.h>
#include <limits.h>
#include <stddef.h>

#include "arch/x86/lapic_priv.h"
#include "arch/x86/layout.h"

#define ICR_MODE(icr)	    ((icr) >> 8 & 7)
#define ICR_LOGICAL	    (1u << 11)
#define ICR_ASSERT	    (1u << 14)
#define ICR_LEVEL	    (1u << 15)
#define ICR_SHORTHAND(icr)  ((icr) >> 18 & 3)
enum { TO_DEST, TO_SELF, TO_ALL, TO_OTHERS };

#define MSI_LOGICAL	(1u << 2)
#define MSI_REDIRECT	(1u << 3)
#define MSI_DATA_LEVEL	(1u << 15)
#define MSI_DATA_ASSERT (1u << 14)

/* ---- who ---- */

/* 11.12.10: the id makes the logical id: its cluster, and its bit in it. */
static bool matches_logical_x2(uint32_t id, uint32_t dest)
{
	return dest >> 16 == id >> 4 && dest & 1u << id % 16;
}

/* 11.6.2.2 */
static bool matches_logical(uint32_t door, uint32_t dest)
{
	uint32_t ldr = DOOR_LDR(door);

	if (dest > 0xff)
		return false;
	if (dest == 0xff)
		return true;
	if (door & DOOR_CLUSTER)
		return ldr >> 4 == dest >> 4 && ldr & dest & 0xf;
	return ldr & dest;
}

static bool matches(const struct lapic *lapic, const struct lapic_msg *msg)
{
	uint32_t door = atomic_load_explicit(&lapic->door, memory_order_acquire);

	if (!(door & DOOR_ON))
		return false;
	if (msg->dest == LAPIC_ALL)
		return true;
	if (door & DOOR_X2)
		return msg->logical ? matches_logical_x2(lapic->id, msg->dest) : lapic->id == msg->dest;
	if (msg->logical)
		return matches_logical(door, msg->dest);
	return msg->dest == 0xff || (lapic->id & 0xff) == msg->dest; /* 11.6.2.1 */
}

/* ---- what ---- */

/* INIT ends what was there before it, and a SIPI waits for it (SDM 3A, 9.4): the later one is the one that counts. */
static void post(struct lapic *to, uint32_t ev)
{
	uint32_t old = atomic_load_explicit(&to->events, memory_order_relaxed), new;

	do {
		if (ev & EV_INIT)
			new = ev;
		else if (ev & EV_SIPI)
			new = (old & ~(0xffu << EV_PAGE_SHIFT)) | ev;
		else
			new = old | ev;
	} while (!atomic_compare_exchange_weak(&to->events, &old, new));
}

/* 11.4.7.2: one that its software has disabled takes NMI, INIT and SIPI, but no vector. */
static bool takes_vectors(const struct lapic *lapic)
{
	return atomic_load_explicit(&lapic->door, memory_order_acquire) & DOOR_ENABLED;
}

static bool deliver(struct lapic *to, const struct lapic_msg *msg)
{
	switch (msg->mode) {
	case LAPIC_FIXED:
	case LAPIC_LOWEST:
		if (!takes_vectors(to))
			return false;
		if (msg->vector < 16) /* 11.5.3: its ESR will say so */
			post(to, EV_ILLEGAL);
		else
			lapic_accept(to, msg->vector, msg->level);
		return true;
	case LAPIC_NMI:
		post(to, EV_NMI);
		return true;
	case LAPIC_INIT:
		post(to, EV_INIT);
		return true;
	case LAPIC_SIPI:
		post(to, EV_SIPI | (uint32_t)msg->vector << EV_PAGE_SHIFT);
		return true;
	default:
		return false;
	}
}

static unsigned deliver_and_wake(struct lapic *to, const struct lapic_msg *msg, struct lapic *self)
{
	const struct lapic_config *cfg = &to->set->cfg;

	if (!deliver(to, msg))
		return 0;
	if (to != self)
		cfg->ops.wake(cfg->arg, to->index);
	return 1;
}

/*
 * 11.6.2.4: to the one with the lowest priority. Among equals the vector chooses, so that an interrupt stays with a CPU as
 * long as priorities do.
 */
static struct lapic *lowest(struct lapics *set, const struct lapic_msg *msg, const struct lapic *except)
{
	unsigned n = set->cfg.n, first = msg->vector % n, best = UINT_MAX;
	struct lapic *found = NULL;

	for (unsigned i = 0; i < n; i++) {
		struct lapic *lapic = &set->at[(first + i) % n];
		unsigned class = atomic_load_explicit(&lapic->ppr, memory_order_relaxed) >> 4;

		if (lapic == except || class >= best || !matches(lapic, msg) || !takes_vectors(lapic))
			continue;
		best = class;
		found = lapic;
	}
	return found;
}

static unsigned send(struct lapics *set, const struct lapic_msg *msg, struct lapic *self, const struct lapic *except)
{
	unsigned n = 0;

	if (msg->mode == LAPIC_LOWEST || (msg->lowest && msg->mode == LAPIC_FIXED)) {
		struct lapic *to = lowest(set, msg, except);

		return to ? deliver_and_wake(to, msg, self) : 0;
	}
	for (unsigned i = 0; i < set->cfg.n; i++)
		if (&set->at[i] != except && matches(&set->at[i], msg))
			n += deliver_and_wake(&set->at[i], msg, self);
	return n;
}

/* The one with that id, where no other can be meant: ids above 254 share their lower 8 bits in xAPIC mode. */
static struct lapic *only(struct lapics *set, const struct lapic_msg *msg)
{
	bool one = !msg->logical && set->max_id < 0xff && msg->dest <= set->max_id && set->by_id[msg->dest];

	return one ? &set->at[set->by_id[msg->dest] - 1] : NULL;
}

unsigned lapics_send(struct lapics *set, const struct lapic_msg *msg, struct lapic *self)
{
	struct lapic *to = only(set, msg);

	if (to)
		return matches(to, msg) ? deliver_and_wake(to, msg, self) : 0;
	return send(set, msg, self, NULL);
}

/* ---- from a guest's CPU ---- */

/* Where the ICR says: 8 bits of destination in xAPIC mode, 32 in x2APIC mode, all ones for all. */
static uint32_t icr_dest(const struct lapic *lapic)
{
	uint32_t high = lapic->icr >> 32;

	if (lapic->base & BASE_X2APIC)
		return high;
	return high >> 24 == 0xff ? LAPIC_ALL : high >> 24;
}

void lapic_send_icr(struct lapic *lapic)
{
	uint32_t icr = lapic->icr;
	struct lapic_msg msg = {
		.dest = icr_dest(lapic),
		.vector = icr,
		.mode = ICR_MODE(icr),
		.logical = icr & ICR_LOGICAL,
	};
	struct lapics *set = lapic->set;

	/* 11.6.1: trigger mode and level are those of edges, whatever is written, but an INIT that is not asserted is none. */
	if (msg.mode == LAPIC_INIT && (icr & (ICR_LEVEL | ICR_ASSERT)) == ICR_LEVEL)
		return;
	if (msg.mode <= LAPIC_LOWEST && msg.vector < 16)
		lapic_error(lapic, ESR_SEND_ILLEGAL);
	switch (ICR_SHORTHAND(icr)) {
	case TO_DEST:
		lapics_send(set, &msg, lapic);
		break;
	case TO_SELF:
		deliver(lapic, &msg);
		break;
	case TO_ALL:
		msg.dest = LAPIC_ALL;
		lapics_send(set, &msg, lapic);
		break;
	case TO_OTHERS:
		msg.dest = LAPIC_ALL;
		send(set, &msg, lapic, lapic);
	}
}

/* 11.12.11 */
void lapic_send_self(struct lapic *lapic, uint8_t vector)
{
	struct lapic_msg msg = {.vector = vector};

	if (vector < 16)
		lapic_error(lapic, ESR_SEND_ILLEGAL);
	deliver(lapic, &msg);
}

/* ---- from a device ---- */

int lapic_msi_decode(struct lapic_msg *msg, uint64_t addr, uint32_t data)
{
	if ((uint32_t)addr >> 20 != LAPIC_BASE >> 20 || (addr >> 32 & 0xff))
		return -EINVAL;
	*msg = (struct lapic_msg){
		.dest = (addr >> 12 & 0xff) | (uint32_t)(addr >> 32),
		.vector = data,
		.mode = data >> 8 & 7,
		.logical = addr & MSI_LOGICAL,
		.level = data & MSI_DATA_LEVEL,
		.lowest = addr & MSI_REDIRECT,
	};
	/* A level that is taken back: nothing to deliver. */
	return msg->level && !(data & MSI_DATA_ASSERT) ? -EINVAL : 0;
}

unsigned lapics_msi(struct lapics *set, uint64_t addr, uint32_t data, struct lapic *self)
{
	struct lapic_msg msg;

	return lapic_msi_decode(&msg, addr, data) ? 0 : lapics_send(set, &msg, self);
}
