/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long it is worth to poll for an event before sleeping for it, learnt from how long the last ones took
 * to come. Polling costs the time until the event, or all of it in vain; sleeping costs a price: the CPU time
 * of two context switches, and what the delay of a wake-up is worth to the guest. The time chosen is the one
 * that would have been cheapest for the gaps seen, and never longer than the price: so it costs at most twice
 * what the best choice would have, whatever comes (the ski-rental bound). Pure; one thread, its owner's.
 */
#ifndef PINVM_LOOP_PATIENCE_H
#define PINVM_LOOP_PATIENCE_H

#include <stdint.h>

#define PATIENCE_BUCKETS   32 /* of nanoseconds: log2_bucket() */
#define PATIENCE_SWITCH_NS 5000 /* the CPU time of going to sleep and of waking up */

struct patience {
	uint16_t seen[PATIENCE_BUCKETS]; /* halved when they come to 256: what is long ago counts little */
	uint16_t n;			 /* all of them */
	uint8_t fresh;			 /* since the choice was made */
	uint32_t worth_ns;		 /* the choice */
};

/* The price of a sleep when a wake-up's delay counts `weight` times its CPU time. */
static inline uint64_t patience_price(unsigned weight)
{
	return PATIENCE_SWITCH_NS * (1ULL + weight);
}

/* An event came so long after its owner had nothing left to do. Now and then makes the choice anew, for that
 * price. */
void patience_note(struct patience *p, uint64_t gap_ns, uint64_t price_ns);

/* The choice for those gaps; 0: sleep at once. A gain of less than a twentieth is none. */
uint64_t patience_choose(const struct patience *p, uint64_t price_ns);

#endif
