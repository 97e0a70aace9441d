// SPDX-License-Identifier: Apache-2.0
/* The controller of --halt-poll auto on a trace, stepped as the VMM steps it; see sim.h. */
#include <string.h>

#include "tests/bench/haltpoll/sim.h"
#include "vmm/haltpoll/trace.h"

FILE *sim_decisions;

void sim_run_ours(struct plant *p, uint64_t unused)
{
	struct halt_limits limits = {.max_ns = 1000000, .budget = 100, .weight = p->weight};
	struct halt_window window = {0};
	struct halt_state state;
	uint64_t begun = 0, ceiling = 0, halts = 0;

	halt_state_init(&state, &p->host, &limits);
	if (sim_decisions)
		halt_trace_begin(sim_decisions, &state);
	p->count = &window;
	for (const struct halt *h = p->trace->halt; h < p->trace->halt + p->trace->n; h++) {
		struct halt_input in = {.n = 1, .vcpu = &window};
		struct halt_decision d;

		plant_halt(p, h, ceiling);
		halts++;
		if (p->now_ns - begun < HALT_WINDOW_NS || halts < HALT_MIN_HALTS)
			continue;
		in.wall_ns = p->now_ns - begun;
		d = halt_decide(&state, &in);
		if (sim_decisions)
			halt_trace_step(sim_decisions, &in, &d);
		ceiling = d.ceiling_ns;
		memset(&window, 0, sizeof(window));
		begun = p->now_ns;
		halts = 0;
	}
}
