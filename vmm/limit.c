// SPDX-License-Identifier: Apache-2.0
/* Rates with bursts. Any thread; nothing is published through these atomics, so they are all relaxed. */
#include "vmm/limit.h"

#define SECOND 1000000000u /* ns */

#define load(p) atomic_load_explicit(p, memory_order_relaxed)
#define swap(p, old, new) \
	atomic_compare_exchange_weak_explicit(p, old, new, memory_order_relaxed, memory_order_relaxed)

uint64_t limit_burst(uint64_t rate, uint64_t burst)
{
	return burst ? burst : rate / 10 ? rate / 10 : 1;
}

void limit_init(struct limit *l, uint64_t rate, uint64_t burst)
{
	burst = limit_burst(rate, burst);
	atomic_store_explicit(&l->burst, burst, memory_order_relaxed);
	atomic_store_explicit(&l->tat, 0, memory_order_relaxed);
	atomic_store_explicit(&l->rest, 0, memory_order_relaxed);
	atomic_store_explicit(&l->rate, rate, memory_order_relaxed);
}

/* Time in which `rate` makes so many units, and what is left of a ns. */
static uint64_t time_of(uint64_t units, uint64_t rate, uint64_t *rest)
{
	unsigned __int128 all, ns;

	if (units <= UINT64_MAX / SECOND) { /* nearly always: spare the long division */
		*rest = units * SECOND % rate;
		return units * SECOND / rate;
	}
	all = (unsigned __int128)units * SECOND;
	ns = all / rate;
	*rest = all % rate;
	return ns > UINT64_MAX ? UINT64_MAX : ns;
}

uint64_t limit_close(struct limit *l)
{
	return atomic_exchange_explicit(&l->tat, UINT64_MAX, memory_order_relaxed);
}

/* Units below the brim: what is not there to be used at once, and what is owed beside that. */
static unsigned __int128 missing(const struct limit *l, uint64_t tat, uint64_t now_ns)
{
	return tat > now_ns ? ((unsigned __int128)(tat - now_ns) * load(&l->rate) + SECOND - 1) / SECOND : 0;
}

void limit_follow(
	struct limit *to, const struct limit *from, uint64_t tat, uint64_t now_ns, uint64_t rate, uint64_t burst)
{
	unsigned __int128 lacks, had, ns;

	limit_init(to, rate, burst);
	if (!rate)
		return;
	burst = load(&to->burst);
	lacks = burst;
	if (load(&from->rate)) {
		had = load(&from->burst);
		lacks = missing(from, tat, now_ns);
		if (lacks + burst > had) /* that much less, or more, fits into the new one */
			lacks = lacks + burst - had;
		else
			lacks = 0;
	}
	ns = lacks * SECOND / rate;
	if (ns > UINT64_MAX - now_ns)
		ns = UINT64_MAX - now_ns;
	atomic_store_explicit(&to->tat, now_ns + (uint64_t)ns, memory_order_relaxed);
	atomic_store_explicit(&to->rest, (uint64_t)(lacks * SECOND % rate), memory_order_relaxed);
}

uint64_t limit_wait(const struct limit *l, uint64_t now_ns)
{
	uint64_t rate = load(&l->rate), tat = load(&l->tat), slack, rest;

	if (!rate || tat <= now_ns)
		return 0;
	slack = time_of(load(&l->burst) - 1, rate, &rest);
	return tat - now_ns > slack ? tat - now_ns - slack : 0;
}

/* Without the parts of a ns, many small requests at a high rate would be free. 1: they have become a whole
 * one. */
static unsigned add_rest(struct limit *l, uint64_t rate, uint64_t rest)
{
	uint64_t old = load(&l->rest), new;

	if (!rest)
		return 0;
	do {
		new = old < rate ? old : 0; /* of a rate that was */
		new = new < rate - rest ? new + rest : new - (rate - rest);
	} while (!swap(&l->rest, &old, new));
	return new < rest;
}

void limit_take(struct limit *l, uint64_t now_ns, uint64_t units)
{
	uint64_t rate = load(&l->rate), tat = load(&l->tat), cost, rest, new;

	if (!rate || !units)
		return;
	cost = time_of(units, rate, &rest);
	if (__builtin_add_overflow(cost, add_rest(l, rate, rest), &cost))
		cost = UINT64_MAX;
	do {
		if (__builtin_add_overflow(tat > now_ns ? tat : now_ns, cost, &new))
			new = UINT64_MAX;
	} while (!swap(&l->tat, &tat, new));
}

void limits_init(struct limits *l, uint64_t bps, uint64_t bps_burst, uint64_t ops, uint64_t ops_burst)
{
	limit_init(&l->bytes, bps, bps_burst);
	limit_init(&l->ops, ops, ops_burst);
}

uint64_t limits_wait(const struct limits *l, uint64_t now_ns)
{
	uint64_t bytes = limit_wait(&l->bytes, now_ns), ops = limit_wait(&l->ops, now_ns);

	return bytes > ops ? bytes : ops;
}

void limits_take(struct limits *l, uint64_t now_ns, uint64_t bytes)
{
	limit_take(&l->bytes, now_ns, bytes);
	limit_take(&l->ops, now_ns, 1);
}

void limits_follow(struct limits *to, struct limits *from, uint64_t now_ns, const struct limit_rates *rates)
{
	uint64_t bytes = limit_close(&from->bytes), ops = limit_close(&from->ops);

	limit_follow(&to->bytes, &from->bytes, bytes, now_ns, rates->bps, rates->bps_burst);
	limit_follow(&to->ops, &from->ops, ops, now_ns, rates->ops, rates->ops_burst);
}
