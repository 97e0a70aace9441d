// SPDX-License-Identifier: Apache-2.0
/* Rates with bursts. Any thread; nothing is published through these atomics, so they are all relaxed. */
#include "vmm/limit.h"

#define SECOND 1000000000u /* ns */

#define load(p) atomic_load_explicit(p, memory_order_relaxed)
#define swap(p, old, new) \
	atomic_compare_exchange_weak_explicit(p, old, new, memory_order_relaxed, memory_order_relaxed)

void limit_init(struct limit *l, uint64_t rate, uint64_t burst)
{
	if (!burst)
		burst = rate / 10 ? rate / 10 : 1;
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
