// SPDX-License-Identifier: Apache-2.0
/*
 * The hands of --halt-poll auto: a timer on main's loop, one reading of each vCPU's counters, one decision,
 * at most one ioctl. Main only; what a vCPU is asked it answers in its own thread.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/guest.h"
#include "vmm/haltpoll/kernel.h"
#include "vmm/haltpoll/priv.h"
#include "vmm/haltpoll/trace.h"
#include "vmm/log.h"
#include "vmm/util.h"

#define IDLE_NS	   1600000000ULL  /* between two looks at a guest that hardly halts, or hardly wakes */
#define MEASURE_NS 30000000000ULL /* between two looks at what a block costs */
#define ASK_NS	   10000000000ULL /* between two questions whether the guest polls by itself */
#define TRACE_MAX  (64L << 20)
#define NO_CEILING "KVM does not take a ceiling any more"

static void ask_guest(struct haltpoll_auto *ctl, uint64_t now)
{
	struct guest *guest = ctl->hp->guest;

	if (ctl->asked_ns && now - ctl->asked_ns < ASK_NS)
		return;
	ctl->asked_ns = now;
	for (unsigned i = 0; i < guest->cfg->cpus.count; i++) {
		atomic_store_explicit(&guest->vcpu[i].polls_asked, true, memory_order_release);
		vcpu_kick(&guest->vcpu[i]);
	}
}

/* ---- what a decision leaves behind ---- */

/* Nobody would see any more what polls come to: there are none, if KVM takes that. */
static void stop_for(struct haltpoll_auto *ctl, const char *why)
{
	ctl->stopped = why;
	if (ctl->hp->ceiling_ns)
		haltpoll_give(ctl->hp, 0);
	halt_state_renew(&ctl->state, &ctl->state.host, &ctl->state.limits);
	ctl->trace_begun = false;
	log_warn("--halt-poll auto: %s; the ceiling is %llu ns until the guest restarts or `ctl halt-poll` gives another",
		why, (unsigned long long)ctl->hp->ceiling_ns);
}

void haltpoll_auto_resume(struct haltpoll_auto *ctl)
{
	if (!ctl->stopped)
		return;
	ctl->stopped = NULL;
	ctl->hp->ceiling_ns = 0;
	ctl->delay_ns = HALT_WINDOW_NS;
	loop_timer_set(ctl->hp->guest->loop, &ctl->timer, ctl->delay_ns);
}

/* Before the first decision, not sooner: a controller that is refused leaves nothing in the trace. */
static void begin_trace(struct haltpoll_auto *ctl)
{
	if (ctl->hp->trace && !ctl->trace_begun)
		halt_trace_begin(ctl->hp->trace, &ctl->state);
	ctl->trace_begun = true;
}

static void write_trace(struct haltpoll *hp, const struct halt_input *in, const struct halt_decision *d)
{
	if (!hp->trace)
		return;
	halt_trace_step(hp->trace, in, d);
	if (!fflush(hp->trace) && ftell(hp->trace) < TRACE_MAX)
		return;
	if (ferror(hp->trace))
		log_warn("--halt-poll trace: it can not be written any more");
	else
		log_note("--halt-poll trace: ends at its limit of %ld MiB", TRACE_MAX >> 20);
	fclose(hp->trace);
	hp->trace = NULL;
}

static void keep_decision(
	struct haltpoll_auto *ctl, uint64_t now, uint64_t wall, const struct halt_decision *d)
{
	ctl->ring[ctl->decisions % HALTPOLL_RING] =
		(struct haltpoll_entry){.at_ns = now - ctl->start_ns, .wall_ns = wall, .decision = *d};
	ctl->decisions++;
}

/* ---- a look ---- */

static bool changed_much(uint64_t a, uint64_t b)
{
	return a > b + b / 2 || b > a + a / 2;
}

/* Begin anew where the host is not what it was, or at the start: true, and the state has ceiling 0. */
static bool measure(struct haltpoll_auto *ctl, const struct halt_limits *limits, uint64_t now)
{
	struct halt_host host = {.grow_start_ns = 10000, .grow = 2};
	uint64_t value;

	if (ctl->measured_ns && now - ctl->measured_ns < MEASURE_NS)
		return false;
	haltpoll_measure(&host.block_ns, &host.wake_ns);
	if (!kernel_haltpoll("_grow_start", &value) && value)
		host.grow_start_ns = value;
	if (!kernel_haltpoll("_grow", &value) && value)
		host.grow = value;
	if (!kernel_haltpoll("_shrink", &value))
		host.shrink = value;
	if (ctl->measured_ns && !changed_much(host.block_ns, ctl->state.host.block_ns) &&
		!changed_much(host.wake_ns, ctl->state.host.wake_ns)) {
		ctl->measured_ns = now;
		return false;
	}
	ctl->measured_ns = now;
	halt_state_renew(&ctl->state, &host, limits);
	ctl->trace_begun = false;
	return true;
}

/* What was counted since the last decision. *due: it is time for another one. */
static int look(struct haltpoll_auto *ctl, uint64_t wall, bool *due)
{
	double halts = 0, most = 0;

	for (unsigned i = 0; i < ctl->hp->guest->cfg->cpus.count; i++) {
		struct halt_window *w = &ctl->window[i];
		double polled;
		int err = haltpoll_read(ctl, i, w);

		if (err)
			return err;
		polled = w->success_ns + w->fail_ns;
		halts += halts_of(w);
		most = polled > most ? polled : most;
	}
	*due = halts >= HALT_MIN_HALTS || most * 100 > (double)ctl->state.limits.budget * wall;
	return 0;
}

static void decide(struct haltpoll_auto *ctl, uint64_t now)
{
	struct haltpoll *hp = ctl->hp;
	struct halt_input in = {.wall_ns = now - ctl->begun_ns,
		.guest_polls = haltpoll_guest_polls(hp) > 0,
		.n = hp->guest->cfg->cpus.count,
		.vcpu = ctl->window};
	struct halt_decision d;
	int err;

	begin_trace(ctl);
	d = halt_decide(&ctl->state, &in);
	err = d.ceiling_ns == hp->ceiling_ns ? 0 : haltpoll_give(hp, d.ceiling_ns);
	keep_decision(ctl, now, in.wall_ns, &d);
	write_trace(hp, &in, &d);
	haltpoll_readings_keep(ctl);
	ctl->begun_ns = now;
	if (err)
		stop_for(ctl, NO_CEILING);
}

/* A guest that does nothing is looked at less and less often, unless its polls have a budget. */
static uint64_t next_delay(const struct haltpoll_auto *ctl, bool decided)
{
	bool watched = ctl->hp->ceiling_ns && ctl->state.limits.budget < 100;

	if (decided || watched)
		return HALT_WINDOW_NS;
	return ctl->delay_ns * 2 > IDLE_NS ? IDLE_NS : ctl->delay_ns * 2;
}

static void on_timer(struct loop_timer *timer)
{
	struct haltpoll_auto *ctl = container_of(timer, struct haltpoll_auto, timer);
	uint64_t now = now_ns();
	bool due = false;

	if (guest_is_ending(ctl->hp->guest)) /* or about to restart: its statistics are on the move */
		goto again;
	if (look(ctl, now - ctl->begun_ns, &due)) {
		stop_for(ctl, "KVM's statistics can not be read any more");
		return;
	}
	if (due) {
		ask_guest(ctl, now);
		decide(ctl, now);
		if (measure(ctl, &ctl->state.limits, now) && ctl->hp->ceiling_ns && haltpoll_give(ctl->hp, 0))
			stop_for(ctl, NO_CEILING);
	}
	if (ctl->stopped)
		return;
again:
	ctl->delay_ns = next_delay(ctl, due);
	loop_timer_set(ctl->hp->guest->loop, &ctl->timer, ctl->delay_ns);
}

int haltpoll_auto_start(struct haltpoll_auto **out, struct haltpoll *hp, const struct halt_limits *limits,
	char *why, size_t n)
{
	struct haltpoll_auto *ctl = calloc(1, sizeof(*ctl));
	int err;

	*out = NULL;
	if (!ctl) {
		snprintf(why, n, "no memory");
		return -ENOMEM;
	}
	ctl->hp = hp;
	ctl->timer.fn = on_timer;
	ctl->delay_ns = HALT_WINDOW_NS;
	err = haltpoll_readings_open(ctl, why, n);
	if (err) {
		haltpoll_auto_stop(ctl);
		return err;
	}
	measure(ctl, limits, now_ns());
	ctl->start_ns = ctl->begun_ns = now_ns();
	loop_timer_set(hp->guest->loop, &ctl->timer, ctl->delay_ns);
	*out = ctl;
	return 0;
}

void haltpoll_auto_stop(struct haltpoll_auto *ctl)
{
	if (!ctl)
		return;
	loop_timer_cancel(ctl->hp->guest->loop, &ctl->timer);
	haltpoll_readings_close(ctl);
	free(ctl);
}
