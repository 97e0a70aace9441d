/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long halts are, rebuilt from KVM's histograms, and what a ceiling would cost on such halts. Pure
 * functions of numbers.
 */
#ifndef PINVM_HALTPOLL_DIST_H
#define PINVM_HALTPOLL_DIST_H

#include <stdint.h>

/* KVM's: bucket 0 counts 0 ns, bucket i from 2^(i-1) up to 2^i, the last one all that is longer, too. */
#define HALT_BUCKETS 32
#define HALT_PARTS   4 /* of a bucket, here */
#define HALT_POINTS  (HALT_BUCKETS * HALT_PARTS)

/* What one vCPU counted between two readings. The histograms are KVM's statistics halt_poll_success_hist,
 * halt_poll_fail_hist and halt_wait_hist, and so are the sums. */
struct halt_window {
	uint64_t success[HALT_BUCKETS], fail[HALT_BUCKETS], wait[HALT_BUCKETS];
	uint64_t success_ns, fail_ns, wait_ns;
	uint64_t run_ns, delay_ns,
		slices; /* of its thread: on a CPU, waiting for one, times it got one (schedstat) */
};

/* The host: how KVM moves a vCPU's window (parameters of the module kvm), what it costs to block, how late
 * one wakes. */
struct halt_host {
	uint64_t grow_start_ns;
	unsigned grow, shrink; /* factors; shrink 0: to nothing */
	uint64_t block_ns;     /* CPU time of a block and the wake-up from it */
	uint64_t wake_ns;      /* from the event until it runs again */
};

/* Number of halts by length; point p of bucket i stands for its part of the bucket. */
struct halt_dist {
	double n[HALT_POINTS];
	double total;
};

/* The length a point stands for. */
double halt_point_ns(unsigned point);

/* Halts of a window: successful polls were as long as they are; waits were longer by the mean failed poll, as
 * many as had one, and shorter by wake_ns. */
void halt_dist_add(struct halt_dist *dist, const struct halt_window *window, uint64_t wake_ns);
void halt_dist_scale(struct halt_dist *dist, double factor);
static inline double halts_of(const struct halt_window *w)
{
	double n = 0;

	for (unsigned i = 0; i < HALT_BUCKETS; i++)
		n += w->success[i] + w->wait[i];
	return n;
}

/* Of a halt, on average. */
struct halt_cost {
	double ns;     /* polled + price of each block */
	double polled; /* ns */
};

/*
 * What a ceiling costs when halts come as they are distributed, each for itself, and the window moves as KVM
 * moves it: from nothing it grows with halts below the ceiling, shrinks with those above. price: of a block.
 */
struct halt_cost halt_dist_cost(
	const struct halt_dist *dist, const struct halt_host *host, uint64_t ceiling_ns, double price);

#endif
