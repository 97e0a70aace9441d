/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A rate with a burst: a token bucket, kept as the one moment at which it will be full again (GCRA, the
 * generic cell rate algorithm). Pure: the caller brings the time. Any thread, lock-free: the queues of a
 * device share one, whatever loops they are on. Nothing here allocates or fails.
 */
#ifndef PINVM_LIMIT_H
#define PINVM_LIMIT_H

#include <stdatomic.h>
#include <stdint.h>

/*
 * In any time t at most burst + rate * t units go through, and one request for each thread that asks: a
 * request goes as soon as one unit is free, and what it took beyond that is paid before the next one may go.
 */
struct limit {
	_Atomic uint64_t rate;	/* units a second; 0: no limit */
	_Atomic uint64_t burst; /* units that may go at once after a quiet time; 1.. */
	_Atomic uint64_t tat;	/* ns: when all that was taken is paid (theoretical arrival time); past: the
				   bucket is full */
	_Atomic uint64_t rest;	/* what of a ns is to be paid beside that: units * 10^9, below rate */
};

/* Once more, by any thread: another rate from now on, and what was owed is forgiven. burst 0: a tenth of a
 * second's worth, at least 1 unit. */
void limit_init(struct limit *l, uint64_t rate, uint64_t burst);
/* Nothing goes through any more; returns when all that was taken would have been paid, for limit_follow(). Any thread. */
uint64_t limit_close(struct limit *l);
/*
 * `to`, which nobody uses yet, takes the place of `from`, which was closed at `tat`: what was there to be used at once still
 * is (up to the new burst), and what was owed still is. From no limit one begins with nothing to be used at once, as nobody
 * knows what went before.
 */
void limit_follow(
	struct limit *to, const struct limit *from, uint64_t tat, uint64_t now_ns, uint64_t rate, uint64_t burst);
/* What stands for burst 0. */
uint64_t limit_burst(uint64_t rate, uint64_t burst);

/* now_ns: a monotonic clock. 0: go on; else ns until one unit is free, if nobody else takes it. */
uint64_t limit_wait(const struct limit *l, uint64_t now_ns);
/* Units that went through. Any number: what is not there is owed. */
void limit_take(struct limit *l, uint64_t now_ns, uint64_t units);

/* Those of a device: bytes, and operations (requests, packets). */
struct limits {
	struct limit bytes, ops;
};

/* As somebody gave them: a second, and at once; 0: no limit, limit_init()'s burst. */
struct limit_rates {
	uint64_t bps, bps_burst, ops, ops_burst;
};

/* `to` takes the place of `from`, which lets nothing through any more; whoever waits for that one has to be told. */
void limits_follow(struct limits *to, struct limits *from, uint64_t now_ns, const struct limit_rates *rates);

/* Rates a second and bursts as in limit_init(). */
void limits_init(struct limits *l, uint64_t bps, uint64_t bps_burst, uint64_t ops, uint64_t ops_burst);
/* 0: go on; else ns until both may. */
uint64_t limits_wait(const struct limits *l, uint64_t now_ns);
/* One operation of so many bytes went through. */
void limits_take(struct limits *l, uint64_t now_ns, uint64_t bytes);

#endif
