// SPDX-License-Identifier: Apache-2.0
/*
 * Who else decides how long to poll; see sim.h. Each is written from its description: KVM's own window below
 * a fixed ceiling (Documentation/virt/kvm/halt-polling.rst), the adaptive polling of QEMU's event loop
 * (poll-max-ns, poll-grow, poll-shrink of an iothread), and a moving average.
 */
#include "tests/bench/haltpoll/sim.h"

#define QEMU_MAX   32768 /* poll-max-ns of an iothread */
#define QEMU_START 4000
#define QEMU_GROW  2
#define EWMA_PART  8 /* a gap's weight is one in so many */
#define EWMA_MAX   50000

#define for_each_halt(h, p) \
	for (const struct halt *h = (p)->trace->halt; h < (p)->trace->halt + (p)->trace->n; h++)

void sim_run_fixed(struct plant *p, uint64_t ceiling)
{
	for_each_halt(h, p) plant_halt(p, h, ceiling);
}

/* A window that holds stays; one that was too short doubles, unless it would have had to be longer than
 * allowed: then none. */
static void run_qemu(struct plant *p, uint64_t unused)
{
	uint64_t window = 0;

	for_each_halt(h, p)
	{
		uint64_t took = plant_poll(p, h, window);

		if (took <= window)
			continue;
		if (took > QEMU_MAX)
			window = 0;
		else
			window = window ? window * QEMU_GROW : QEMU_START;
		if (window > QEMU_MAX)
			window = QEMU_MAX;
	}
}

/* Twice the mean gap, if that is short. */
static void run_ewma(struct plant *p, uint64_t unused)
{
	double mean = EWMA_MAX;

	for_each_halt(h, p)
	{
		uint64_t window = mean * 2 <= EWMA_MAX ? mean * 2 : 0;

		mean += ((double)plant_poll(p, h, window) - mean) / EWMA_PART;
	}
}

const struct competitor sim_competitor[] = {
	{"auto", sim_run_ours, 0},
	{"off", sim_run_fixed, 0},
	{"kernel 10us", sim_run_fixed, 10000},
	{"kernel 50us", sim_run_fixed, 50000},
	{"kernel 200us", sim_run_fixed, 200000},
	{"QEMU aio", run_qemu, 0},
	{"EWMA", run_ewma, 0},
};

const unsigned sim_competitors = sizeof(sim_competitor) / sizeof(sim_competitor[0]);
