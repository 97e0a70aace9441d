// SPDX-License-Identifier: Apache-2.0
/* A vCPU's halts under --halt-poll vmm; see poller.h. */
#include "vmm/haltpoll/poller.h"

#include <jansson.h>

#include "vmm/util.h"

void poll_live_set(struct poll_live *live, const struct poll_rules *rules)
{
	if (rules->max_ns) { /* off leaves the others: a halt that read the old max divides by them */
		atomic_store_explicit(&live->grow_start_ns, rules->grow_start_ns, memory_order_relaxed);
		atomic_store_explicit(&live->grow, rules->grow, memory_order_relaxed);
		atomic_store_explicit(&live->shrink, rules->shrink, memory_order_relaxed);
	}
	atomic_store_explicit(&live->max_ns, rules->max_ns, memory_order_release);
}

/* Rules read in the midst of a change are of both: they hold for one halt. */
static struct poll_rules rules_of(const struct poller *poller)
{
	const struct poll_live *live = poller->live;
	struct poll_rules rules = {0};

	if (live && !poller->guest_polls)
		rules.max_ns = atomic_load_explicit(&live->max_ns, memory_order_acquire);
	if (!rules.max_ns)
		return rules;
	rules.grow_start_ns = atomic_load_explicit(&live->grow_start_ns, memory_order_relaxed);
	rules.grow = atomic_load_explicit(&live->grow, memory_order_relaxed);
	rules.shrink = atomic_load_explicit(&live->shrink, memory_order_relaxed);
	return rules;
}

uint64_t poller_for(const struct poller *poller, uint64_t left_ns)
{
	struct poll_rules rules = rules_of(poller);

	return poll_window_for(&poller->window, &rules, left_ns);
}

static void set(_Atomic uint64_t *counter, uint64_t value)
{
	atomic_store_explicit(counter, value, memory_order_relaxed);
}

static uint64_t get(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

void poller_ended(struct poller *poller, const struct poll_end *end)
{
	struct poll_rules rules = rules_of(poller);

	count_add(&poller->halts, 1);
	count_add(&poller->halted_ns, end->halt_ns);
	count_add(&poller->lengths[log2_bucket(end->halt_ns, POLLER_BUCKETS)], 1);
	if (end->polled_ns) {
		count_add(&poller->polls, 1);
		count_add(&poller->polled_ns, end->polled_ns);
		count_add(&poller->hits, !end->waited_ns);
		count_add(&poller->cuts, end->cut);
	}
	if (end->waited_ns) {
		count_add(&poller->waits, 1);
		count_add(&poller->waited_ns, end->waited_ns);
	}
	poll_window_move(&poller->window, &rules, end);
	set(&poller->window_ns, poller->window.ns);
	if (poller->window.ns > get(&poller->longest_ns))
		set(&poller->longest_ns, poller->window.ns);
}

/* Without empty buckets; the key is the least of the values. */
static json_t *lengths_json(const struct poller *poller)
{
	json_t *histogram = json_object();

	for (unsigned i = 0; i < POLLER_BUCKETS; i++) {
		uint64_t n = get(&poller->lengths[i]);
		char least[24];

		snprintf(least, sizeof(least), "%llu", i ? 1ULL << i : 0);
		if (n)
			json_object_set_new(histogram, least, json_integer((json_int_t)n));
	}
	return json_pack("{s:I, s:o}", "ns", (json_int_t)get(&poller->halted_ns), "histogram", histogram);
}

json_t *poller_json(const struct poller *poller)
{
	if (!poller)
		return json_null();
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:o}", "window_ns",
		(json_int_t)get(&poller->window_ns), "longest_ns", (json_int_t)get(&poller->longest_ns), "halts",
		(json_int_t)get(&poller->halts), "polls", (json_int_t)get(&poller->polls), "hits",
		(json_int_t)get(&poller->hits), "cuts", (json_int_t)get(&poller->cuts), "polled_ns",
		(json_int_t)get(&poller->polled_ns), "waits", (json_int_t)get(&poller->waits), "waited_ns",
		(json_int_t)get(&poller->waited_ns), "asleep",
		atomic_load_explicit(&poller->asleep, memory_order_relaxed), "lengths", lengths_json(poller));
}
