// SPDX-License-Identifier: Apache-2.0
/* The report's vCPUs and threads: where they are, and what they counted. Main. */
#include <stdio.h>
#include <string.h>

#include "vmm/guest.h"
#include "vmm/haltpoll/poller.h"
#include "vmm/iothread.h"
#include "vmm/place/place.h"
#include "vmm/profile/kvmstats.h"
#include "vmm/profile/profile.h"
#include "vmm/report/parts.h"

json_t *report_cpulist(const cpu_set_t *set)
{
	char text[512];

	place_format_cpus(set, text, sizeof(text));
	return json_string(text);
}

json_t *report_sched(const struct place_sched *sched)
{
	char text[96];

	place_format_sched(sched, text, sizeof(text));
	return json_string(text);
}

/* Of its life before it stood there; null: not counted. */
static json_t *counted_json(const struct placement *p)
{
	if (!p->counted)
		return json_null();
	return json_pack("{s:I, s:I}", "involuntary_switches", (json_int_t)p->switches_before, "migrations",
		(json_int_t)p->migrations_before);
}

json_t *report_placement(const struct placement *p)
{
	bool none = p->by_kernel && !p->tasks;
	json_t *wanted = p->pinned ? report_cpulist(&p->cpus) : json_null();
	json_t *policy = p->sched_given ? report_sched(&p->sched) : json_null();

	return json_pack("{s:o, s:o, s:o, s:o, s:o}", "wanted", wanted, "actual",
		none ? json_null() : report_cpulist(&p->actual_cpus), "wanted_policy", policy,
		"actual_policy", none ? json_null() : report_sched(&p->actual_sched), "counted_before", counted_json(p));
}

/* null: the kernel makes such tasks when it needs them. */
static json_t *tid_json(const struct placement *row)
{
	return row->tid ? json_integer(row->tid) : json_null();
}

json_t *report_poll(const struct iothread *io)
{
	unsigned weight = io->poll.poll_weight;
	struct loop_stats n;

	loop_stats(io->loop, &n);
	return json_pack("{s:I, s:i, s:I, s:I, s:I}", "max_ns", (json_int_t)io->poll.poll_max_ns, "weight",
		(int)(weight ? weight : IOTHREAD_POLL_WEIGHT), "polls", (json_int_t)n.polls, "hits", (json_int_t)n.hits,
		"polled_ns", (json_int_t)n.polled_ns);
}

/* How an iothread waited: asleep, or (null: it never did) awake. */
static void loop_json(json_t *thread, const struct iothread *io)
{
	struct loop_stats n;

	loop_stats(io->loop, &n);
	json_object_set_new(thread, "sleeps", json_integer((json_int_t)n.sleeps));
	json_object_set_new(thread, "poll", io->poll.poll_max_ns || n.polls ? report_poll(io) : json_null());
}

static json_t *thread_json(const struct guest *guest, const struct placement *row)
{
	json_t *thread = json_pack(
		"{s:s, s:o, s:o}", "name", row->name, "tid", tid_json(row), "placement", report_placement(row));

	if (row->by_kernel)
		json_object_set_new(thread, "tasks", json_integer(row->tasks));
	if (row->role == PLACE_STRAY)
		json_object_set_new(thread, "unplanned", json_true());
	if (row->role == PLACE_IOTHREAD && row->index < guest->niothreads)
		loop_json(thread, &guest->iothread[row->index]);
	return thread;
}

json_t *report_threads(const struct guest *guest)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < guest->place.n; i++)
		if (guest->place.row[i].role != PLACE_VCPU)
			json_array_append_new(list, thread_json(guest, &guest->place.row[i]));
	return list;
}

json_t *report_exits(const struct vcpu *vcpu)
{
	json_t *reasons = json_object();

	for (unsigned r = 0; r < VCPU_EXIT_REASONS; r++) {
		const char *name = vcpu_exit_name(r);
		char number[16];

		snprintf(number, sizeof(number), "%u", r);
		if (vcpu->exits[r])
			json_object_set_new(reasons, name ? name : number, json_integer(vcpu->exits[r]));
	}
	return reasons;
}

json_t *report_vcpus(const struct guest *guest)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < guest->cfg->cpus.count; i++) {
		const struct vcpu *vcpu = &guest->vcpu[i];

		json_array_append_new(
			list, json_pack("{s:i, s:o, s:I, s:o, s:o}", "index", i, "tid",
				      tid_json(vcpu->thread.place), "user_exits",
				      (json_int_t)vcpu->user_exits, "exits_by_kvm_reason", report_exits(vcpu),
				      "placement", report_placement(vcpu->thread.place)));
		json_object_set_new(json_array_get(list, i), "kvm_stats",
			kvmstats_json(guest->kvmstats, KVMSTATS_VCPU + i));
		json_object_set_new(json_array_get(list, i), "halt_poll", poller_json(vcpu->poller));
		json_object_set_new(
			json_array_get(list, i), "profile", profile_json(vcpu->profile, &guest->bus));
	}
	return list;
}
