// SPDX-License-Identifier: Apache-2.0
/* The controller; see decide.h. Pure functions. */
#include "vmm/haltpoll/decide.h"

#include <string.h>

#define FORGET	     0.9170040432046712 /* a window's weight: half after 8 of them */
#define GAIN	     0.05		/* no move is worth less */
#define FEW_POLLS    8			/* say nothing of contention */
#define DELAY_SHARE  0.1
#define DELAY_MIN_NS 50000
#define BACKOFF_MAX  32	 /* windows */
#define CALM	     16	 /* windows in which nobody wanted the CPUs, and the back-off begins anew */
#define RESERVE	     0.9 /* of the budget: a guest that changes its ways is seen a window later */
#define BIAS_FORGET  0.98
#define TAIL	     0.125 /* of all halts: no more may be longer than C for a rung above */

static const struct {
	const char *name, *text;
} reasons[HALT_REASONS] = {
	[HALT_START] = {"start", "too few halts were seen yet"},
	[HALT_KEEP] = {"keep", "no other ceiling gains 5 %"},
	[HALT_CONFIRM] = {"confirm", "another ceiling would gain; a second window has to say so, too"},
	[HALT_UP] = {"up", "longer polls cost less than the blocks they save"},
	[HALT_DOWN] = {"down", "shorter polls cost less"},
	[HALT_NO_GAIN] = {"no-gain", "polls gain less than 5 %"},
	[HALT_CONTENDED] = {"contended", "other tasks want the CPUs, which ends polls and delays wake-ups"},
	[HALT_RESTING] = {"resting", "other tasks wanted the CPUs a short time ago"},
	[HALT_PROBE] = {"probe", "other tasks want the CPUs, and polls are tried again"},
	[HALT_RESUME] = {"resume", "no other task wants the CPUs any more: polls as before"},
	[HALT_WORTH] = {"worth", "other tasks want the CPUs, and polls pay nevertheless"},
	[HALT_BUDGET] = {"budget", "the budget of polling is used up"},
	[HALT_GUEST] = {"guest", "the guest polls by itself and turned the host's polling off"},
};

const char *halt_reason_text(enum halt_reason reason)
{
	return reasons[reason].text;
}

const char *halt_reason_name(enum halt_reason reason)
{
	return reasons[reason].name;
}

double halt_price(const struct halt_host *host, const struct halt_limits *limits)
{
	return (double)host->block_ns + (double)limits->weight * host->wake_ns;
}

/* The edges from *edge on below `top`, and top. */
static void add_rungs(struct halt_state *s, uint64_t *edge, double top)
{
	if (top > s->limits.max_ns)
		top = s->limits.max_ns;
	for (; *edge < top && s->rungs < HALT_RUNGS - 1; *edge *= 2)
		s->rung_ns[s->rungs++] = *edge;
	if (top >= s->rung_ns[s->rungs - 1] + 1 && s->rungs < HALT_RUNGS)
		s->rung_ns[s->rungs++] = top;
}

void halt_state_init(struct halt_state *s, const struct halt_host *host, const struct halt_limits *limits)
{
	double price = halt_price(host, limits);
	uint64_t edge = 1;

	memset(s, 0, sizeof(*s));
	s->host = *host;
	s->limits = *limits;
	while (edge * 2 <= host->grow_start_ns)
		edge *= 2;
	s->rungs = 1; /* 0 */
	add_rungs(s, &edge, price + host->wake_ns);
	s->bound = s->rungs - 1;
	add_rungs(s, &edge, 2 * price + host->wake_ns);
}

void halt_state_renew(struct halt_state *s, const struct halt_host *host, const struct halt_limits *limits)
{
	struct halt_limits same = *limits; /* it may be of *s */
	struct halt_host now = *host;
	uint64_t debt_ns = s->debt_ns;

	halt_state_init(s, &now, &same);
	s->debt_ns = debt_ns;
}

/* ---- what a window says ---- */

static uint64_t polled_ns(const struct halt_window *w)
{
	return w->success_ns + w->fail_ns;
}

/* Polls that end far below the shortest window there is were not ended by time. */
static bool polls_aborted(const struct halt_state *s, const struct halt_window *w)
{
	uint64_t ceiling = s->rung_ns[s->rung];
	uint64_t shortest = ceiling < s->host.grow_start_ns ? ceiling : s->host.grow_start_ns, fails = 0,
		 aborted = 0;

	for (unsigned i = 0; i < HALT_BUCKETS; i++) {
		fails += w->fail[i];
		aborted += (1ULL << i) <= shortest / 4 ? w->fail[i] : 0;
	}
	return fails >= FEW_POLLS && aborted * 2 > fails;
}

static bool thread_waits(const struct halt_state *s, const struct halt_window *w)
{
	double price = halt_price(&s->host, &s->limits), least = price > DELAY_MIN_NS ? price : DELAY_MIN_NS;

	return w->slices >= FEW_POLLS && w->delay_ns > least * w->slices &&
	       w->delay_ns > DELAY_SHARE * (w->run_ns + w->delay_ns);
}

/* What is learned of a window: of the vCPUs that nobody disturbed. */
struct lesson {
	struct halt_dist dist;
	double halts, disturbed, delayed, most_halts; /* most: of one vCPU */
	double polled, most_polled;		      /* ns */
	double blocks;
};

static void look(struct lesson *l, const struct halt_state *s, const struct halt_input *in)
{
	memset(l, 0, sizeof(*l));
	for (unsigned v = 0; v < in->n; v++) {
		const struct halt_window *w = &in->vcpu[v];
		double halts = halts_of(w), polled = polled_ns(w);

		l->halts += halts;
		l->polled += polled;
		for (unsigned i = 0; i < HALT_BUCKETS; i++)
			l->blocks += w->wait[i];
		l->most_halts = halts > l->most_halts ? halts : l->most_halts;
		l->most_polled = polled > l->most_polled ? polled : l->most_polled;
		if (thread_waits(s, w))
			l->delayed += halts;
		if (thread_waits(s, w) || polls_aborted(s, w))
			l->disturbed += halts;
		else
			halt_dist_add(&l->dist, w, s->host.wake_ns);
	}
}

/* How far the rung in force is from what it was computed to cost on this very window. */
static void learn(struct halt_state *s, const struct lesson *l, double price, double realised)
{
	double *bias = &s->bias[s->rung];

	halt_dist_scale(&s->dist, FORGET);
	for (unsigned p = 0; p < HALT_POINTS; p++)
		s->dist.n[p] += l->dist.n[p];
	s->dist.total += l->dist.total;
	for (unsigned r = 1; r < s->rungs; r++)
		s->bias[r] *= BIAS_FORGET;
	if (s->rung && l->halts >= HALT_MIN_HALTS && l->disturbed == 0)
		*bias += (realised - halt_dist_cost(&l->dist, &s->host, s->rung_ns[s->rung], price).ns -
				 *bias) /
			 2;
}

/* ---- the choice ---- */

static bool contended(struct halt_state *s, const struct lesson *l)
{
	if (l->halts && l->disturbed * 2 >= l->halts) {
		s->calm = 0;
		return true;
	}
	if (++s->calm >= CALM)
		s->backoff = 0;
	return false;
}

/* The debt is of the vCPU that polls most, so that it bounds all of them. */
static bool over_budget(struct halt_state *s, const struct lesson *l, uint64_t wall_ns)
{
	if (s->limits.budget >= 100)
		return false;
	s->debt_ns += l->most_polled - RESERVE * s->limits.budget / 100 * wall_ns;
	if (s->debt_ns < 0)
		s->debt_ns = 0;
	return s->debt_ns > 0;
}

/* Is hardly any halt longer than a block costs? */
static bool thin_tail(const struct halt_dist *dist, double price)
{
	double longer = 0;

	for (unsigned p = 0; p < HALT_POINTS; p++)
		longer += halt_point_ns(p) > price ? dist->n[p] : 0;
	return longer <= TAIL * dist->total;
}

/* The price of each rung; one that would break the budget or is not for such a guest is out of reach. The
 * cheapest is returned. */
static unsigned cheapest(const struct halt_state *s, const struct lesson *l, uint64_t wall_ns, double price,
	double cost[HALT_RUNGS])
{
	double share = RESERVE * s->limits.budget / 100 * wall_ns;
	unsigned best = 0, last = thin_tail(&s->dist, price) ? s->rungs - 1 : s->bound;

	cost[0] = price;
	for (unsigned r = 1; r < s->rungs; r++) {
		struct halt_cost c = halt_dist_cost(&s->dist, &s->host, s->rung_ns[r], price);

		cost[r] = c.ns + s->bias[r];
		if (r > last || (s->limits.budget < 100 && c.polled * l->most_halts > share))
			cost[r] = price * 1e6;
		if (cost[r] < cost[best])
			best = r;
	}
	return cost[best] > (1 - GAIN) * price ? 0 : best;
}

static enum halt_reason go(struct halt_state *s, unsigned rung, enum halt_reason reason)
{
	s->rung = rung;
	s->lean = 0;
	return reason;
}

/*
 * Nothing is learned of the guest while others run on its CPUs. Polls stay as long as those that are not cut
 * short pay; otherwise there are none, and they are tried again after a time that doubles.
 */
static enum halt_reason bear(struct halt_state *s, const struct lesson *l, double price, double realised)
{
	s->unseen = l->delayed * 2 < l->halts;
	if (s->rung && realised <= (1 - GAIN) * price)
		return go(s, s->rung, HALT_WORTH);
	if (s->rest && --s->rest)
		return go(s, 0, HALT_RESTING);
	if (!s->rung && s->backoff)
		return go(s, s->probe ? s->probe : s->bound, HALT_PROBE);
	if (s->rung)
		s->probe = s->rung;
	s->backoff = s->backoff ? s->backoff * 2 : 1;
	if (s->backoff > BACKOFF_MAX)
		s->backoff = BACKOFF_MAX;
	s->rest = s->backoff;
	return go(s, 0, HALT_CONTENDED);
}

/* Delays can be seen without polls, and are over; whether polls would be cut short shows when there are some.
 */
static enum halt_reason resume(struct halt_state *s)
{
	unsigned rung = s->probe;

	s->probe = 0;
	return go(s, rung, HALT_RESUME);
}

/* One rung up, any number down, and only after a second window that says the same. */
static enum halt_reason move(struct halt_state *s, unsigned best, const double cost[HALT_RUNGS])
{
	int lean = best > s->rung ? 1 : -1;
	bool second = s->lean == lean;

	if (best == s->rung || (best && cost[best] > (1 - GAIN) * cost[s->rung]))
		return go(s, s->rung, s->rung ? HALT_KEEP : HALT_NO_GAIN);
	s->lean = lean;
	if (!second)
		return HALT_CONFIRM;
	s->rung = lean > 0 ? s->rung + 1 : best;
	if (!s->rung)
		return HALT_NO_GAIN;
	return lean > 0 ? HALT_UP : HALT_DOWN;
}

static enum halt_reason choose(struct halt_state *s, const struct halt_input *in, const struct lesson *l,
	double price, double realised)
{
	double cost[HALT_RUNGS];
	bool spent = over_budget(s, l, in->wall_ns);
	unsigned best;

	if (in->guest_polls)
		return go(s, 0, HALT_GUEST);
	if (spent)
		return go(s, 0, HALT_BUDGET);
	if (contended(s, l))
		return bear(s, l, price, realised);
	learn(s, l, price, realised);
	if (s->rest && s->unseen && --s->rest)
		return go(s, 0, HALT_RESTING);
	s->rest = 0;
	if (s->probe && !s->rung)
		return resume(s);
	if (s->dist.total < HALT_MIN_HALTS)
		return s->rung ? HALT_KEEP : HALT_START;
	best = cheapest(s, l, in->wall_ns, price, cost);
	return move(s, best, cost);
}

struct halt_decision halt_decide(struct halt_state *s, const struct halt_input *in)
{
	double price = halt_price(&s->host, &s->limits);
	struct halt_decision d = {.price_ns = price};
	struct lesson l;

	look(&l, s, in);
	d.halts = l.halts;
	d.polled = in->wall_ns ? l.most_polled / in->wall_ns : 0;
	d.realised_ns = l.halts ? (l.polled + l.blocks * price) / l.halts : 0;
	d.reason = choose(s, in, &l, price, d.realised_ns);
	d.ceiling_ns = s->rung_ns[s->rung];
	d.expected_ns = halt_dist_cost(&s->dist, &s->host, d.ceiling_ns, price).ns + s->bias[s->rung];
	return d;
}
