// SPDX-License-Identifier: Apache-2.0
/* Halt polling in the report; see haltpoll.h. Names in it are a promise to scripts. Main. */
#include <jansson.h>

#include "vmm/guest.h"
#include "vmm/haltpoll/kernel.h"
#include "vmm/haltpoll/priv.h"

/* null: this kernel does not tell its own. */
static json_t *ceiling_json(const struct haltpoll *hp)
{
	uint64_t ns = hp->ceiling_ns;

	return hp->given || !kernel_haltpoll("", &ns) ? json_integer(ns) : json_null();
}

static json_t *entry_json(const struct haltpoll_entry *entry)
{
	const struct halt_decision *d = &entry->decision;

	return json_pack("{s:f, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:s, s:s}", "at_s", entry->at_ns / 1e9,
		"window_ns", (json_int_t)entry->wall_ns, "halts", (json_int_t)d->halts, "ceiling_ns",
		(json_int_t)d->ceiling_ns, "expected_ns", (json_int_t)d->expected_ns, "realised_ns",
		(json_int_t)d->realised_ns, "without_ns", (json_int_t)d->price_ns, "polled", d->polled,
		"reason", halt_reason_name(d->reason), "why", halt_reason_text(d->reason));
}

/* Oldest first. */
static json_t *ring_json(const struct haltpoll_auto *ctl)
{
	json_t *list = json_array();
	uint64_t first = ctl->decisions > HALTPOLL_RING ? ctl->decisions - HALTPOLL_RING : 0;

	for (uint64_t i = first; i < ctl->decisions; i++)
		json_array_append_new(list, entry_json(&ctl->ring[i % HALTPOLL_RING]));
	return list;
}

static json_t *auto_json(const struct haltpoll_auto *ctl)
{
	const struct halt_host *host = &ctl->state.host;
	const struct halt_limits *limits = &ctl->state.limits;

	return json_pack("{s:{s:I, s:i, s:i}, s:{s:I, s:I, s:I, s:i, s:i}, s:s?, s:o}", "limits", "max_ns",
		(json_int_t)limits->max_ns, "budget", (int)limits->budget, "weight", (int)limits->weight,
		"host", "block_ns", (json_int_t)host->block_ns, "wake_ns", (json_int_t)host->wake_ns,
		"grow_start_ns", (json_int_t)host->grow_start_ns, "grow", (int)host->grow, "shrink",
		(int)host->shrink, "stopped", ctl->stopped, "recent", ring_json(ctl));
}

/* null: no vCPU was asked yet, or KVM has no such switch. */
static json_t *guest_polls_json(const struct haltpoll *hp)
{
	int polls = haltpoll_guest_polls(hp);

	return polls < 0 ? json_null() : json_boolean(polls);
}

/* Of a guest whose vCPUs halt here; whether or not they poll now. */
static json_t *vmm_json(const struct haltpoll *hp)
{
	const struct poll_rules *rules = &hp->spec.rules;
	json_t *list = json_array();

	for (unsigned i = 0; i < hp->guest->cfg->cpus.count; i++)
		json_array_append_new(list, poller_json(hp->guest->vcpu[i].poller));
	if (hp->spec.mode != HALTPOLL_VMM)
		return json_pack("{s:n, s:o}", "rules", "vcpus", list);
	return json_pack("{s:{s:I, s:I, s:i, s:i}, s:o}", "rules", "max_ns", (json_int_t)rules->max_ns, "grow_start_ns",
		(json_int_t)rules->grow_start_ns, "grow", (int)rules->grow, "shrink", (int)rules->shrink, "vcpus", list);
}

/* vCPUs that halt here do not poll by default: whatever the kernel's own is, it is not theirs. */
static const char *mode_of(const struct haltpoll *hp)
{
	bool here = hp->guest->cfg->irqchip == IRQCHIP_USER;

	return haltpoll_mode_name(here && hp->spec.mode == HALTPOLL_DEFAULT ? HALTPOLL_OFF : hp->spec.mode);
}

json_t *haltpoll_json(const struct haltpoll *hp)
{
	json_t *json;

	if (!hp)
		return json_null();
	json = json_pack("{s:s, s:o, s:I, s:o}", "mode", mode_of(hp), "ceiling_ns", ceiling_json(hp),
		"decisions", (json_int_t)(hp->ctl ? hp->ctl->decisions : 0), "guest_polls", guest_polls_json(hp));
	if (json && hp->ctl)
		json_object_set_new(json, "auto", auto_json(hp->ctl));
	if (json && hp->guest->cfg->irqchip == IRQCHIP_USER)
		json_object_set_new(json, "vmm", vmm_json(hp));
	return json;
}
