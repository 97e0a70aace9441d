// SPDX-License-Identifier: Apache-2.0
/* How long polling is worth it; see patience.h. Pure. */
#include "vmm/loop/patience.h"

#include "vmm/util.h"

#define FORGET 256 /* gaps that are remembered, about */
#define REVIEW 8   /* gaps between two choices */

uint64_t patience_choose(const struct patience *p, uint64_t price_ns)
{
	uint64_t asleep = p->n * price_ns, best = asleep - asleep / 20, choice = 0;
	uint64_t hits = 0, hit_ns = 0; /* of the buckets below the edge */

	for (unsigned i = 0; i < PATIENCE_BUCKETS - 1; i++) {
		uint64_t edge = 2ULL << i, cost;

		if (edge > price_ns)
			break;
		hits += p->seen[i];
		hit_ns += p->seen[i] * (edge * 3 / 4); /* the middle of the bucket */
		cost = hit_ns + (p->n - hits) * (edge + price_ns);
		if (cost < best) {
			best = cost;
			choice = edge;
		}
	}
	return choice;
}

void patience_note(struct patience *p, uint64_t gap_ns, uint64_t price_ns)
{
	p->seen[log2_bucket(gap_ns, PATIENCE_BUCKETS)]++;
	p->n++;
	if (p->n >= FORGET) {
		p->n = 0;
		for (unsigned i = 0; i < PATIENCE_BUCKETS; i++) {
			p->seen[i] /= 2;
			p->n = (uint16_t)(p->n + p->seen[i]);
		}
	}
	if (++p->fresh < REVIEW)
		return;
	p->fresh = 0;
	p->worth_ns = (uint32_t)patience_choose(p, price_ns);
}
