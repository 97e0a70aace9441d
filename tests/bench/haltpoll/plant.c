// SPDX-License-Identifier: Apache-2.0
/* The kernel and the machine; see sim.h. Of virt/kvm/kvm_main.c: kvm_vcpu_halt(), grow and shrink. */
#include "tests/bench/haltpoll/sim.h"

#define ABORT_NS 300	/* until a poll sees that another task is runnable */
#define DELAY_NS 500000 /* the longest that such a task keeps one that woke from its CPU */

/* How long the other task is still runnable at that time; 0: it is not. *until: when it is again. */
static uint64_t other_busy(const struct trace *trace, uint64_t now, uint64_t *until)
{
	uint64_t at;

	*until = UINT64_MAX;
	if (!trace->busy_ns)
		return 0;
	at = now % trace->period_ns;
	if (at < trace->busy_ns)
		return trace->busy_ns - at;
	*until = now - at + trace->period_ns;
	return 0;
}

static void count(uint64_t hist[HALT_BUCKETS], uint64_t ns)
{
	unsigned bucket = ns ? 64 - __builtin_clzll(ns) : 0;

	hist[bucket < HALT_BUCKETS ? bucket : HALT_BUCKETS - 1]++;
}

struct outcome {
	uint64_t polled, waited; /* waited: it blocked for so long */
	bool blocked;
};

static struct outcome halt_for(struct plant *p, const struct halt *halt, uint64_t window)
{
	uint64_t again, busy, delay = 0;
	struct outcome out = {.polled = halt->gap_ns};

	p->now_ns += halt->run_ns;
	busy = other_busy(p->trace, p->now_ns, &again);
	if (window && busy)
		window = window < ABORT_NS ? window : ABORT_NS;
	else if (window && again - p->now_ns < window)
		window = again - p->now_ns;
	if (window && halt->gap_ns <= window) {
		p->now_ns += halt->gap_ns;
	} else {
		busy = other_busy(p->trace, p->now_ns + halt->gap_ns, &again);
		delay = busy < DELAY_NS ? busy : DELAY_NS;
		out.blocked = true;
		out.polled = window;
		out.waited = halt->gap_ns - window + p->host.wake_ns + delay;
		p->now_ns += halt->gap_ns + p->host.wake_ns + delay;
		p->latency_ns += p->host.wake_ns + delay;
		p->blocks++;
	}
	p->polled_ns += out.polled;
	if (p->count) {
		p->count->run_ns += halt->run_ns + out.polled;
		p->count->slices += out.blocked;
		p->count->delay_ns += delay;
	}
	return out;
}

static void count_halt(struct halt_window *w, const struct outcome *out, bool polled)
{
	if (out->blocked) {
		count(w->wait, out->waited);
		w->wait_ns += out->waited;
	}
	if (!polled)
		return;
	count(out->blocked ? w->fail : w->success, out->polled);
	*(out->blocked ? &w->fail_ns : &w->success_ns) += out->polled;
}

static uint64_t grown(const struct plant *p)
{
	uint64_t to = p->window_ns * p->host.grow;

	return to < p->host.grow_start_ns ? p->host.grow_start_ns : to;
}

static uint64_t shrunk(const struct plant *p)
{
	uint64_t to = p->host.shrink ? p->window_ns / p->host.shrink : 0;

	return to < p->host.grow_start_ns ? 0 : to;
}

void plant_halt(struct plant *p, const struct halt *halt, uint64_t ceiling)
{
	uint64_t halted;
	struct outcome out;

	if (p->window_ns > ceiling)
		p->window_ns = ceiling;
	out = halt_for(p, halt, p->window_ns);
	halted = out.polled + out.waited;
	if (!out.blocked)
		halted = halt->gap_ns;
	if (p->count)
		count_halt(p->count, &out, p->window_ns != 0);
	if (!ceiling)
		p->window_ns = 0;
	else if (halted <= p->window_ns)
		; /* the window is good */
	else if (p->window_ns && halted > ceiling)
		p->window_ns = shrunk(p);
	else if (p->window_ns < ceiling && halted < ceiling)
		p->window_ns = grown(p);
}

uint64_t plant_poll(struct plant *p, const struct halt *halt, uint64_t window)
{
	struct outcome out = halt_for(p, halt, window);

	return out.blocked ? out.polled + out.waited : halt->gap_ns;
}

double plant_price(const struct plant *p)
{
	return p->polled_ns + (double)p->blocks * p->host.block_ns + p->weight * p->latency_ns;
}
