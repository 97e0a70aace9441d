// SPDX-License-Identifier: Apache-2.0
/*
 * What the records of one vCPU's thread come to; see trace.h for which interrupt ended a run of the guest.
 * One thread.
 */
#include <stdio.h>
#include <string.h>

#include "vmm/trace/priv.h"
#include "vmm/util.h"

/* Of kvm_exit: the field isa on x86; ret on arm64, whose top bit says that an SError was pending besides. */
#define KVM_ISA_VMX	 1
#define KVM_ISA_SVM	 2
#define VMX_FAILED_ENTRY 0x80000000u
#define ARM_CODE	 0x7fffffff
#define ARM_TRAP	 2

/* Of kvm_mmio: the field type. */
#define MMIO_READ_LEAVES 0
#define MMIO_WRITE	 2

void trace_account_begin(
	struct trace_account *account, struct trace_vcpu *vcpu, const struct trace_formats *formats)
{
	*account = (struct trace_account){.vcpu = vcpu, .formats = formats};
	trace_account_gap(account);
}

void trace_account_gap(struct trace_account *account)
{
	account->reason = -1;
	account->hit = -1;
	account->in_guest = false;
	account->owed = false;
}

/* ---- rows, found or made; -1: there is no room for another ---- */

static int reason_row(struct trace_vcpu *v, enum trace_isa isa, uint32_t code)
{
	unsigned i = 0;

	while (i < v->reasons && (v->reason[i].isa != isa || v->reason[i].code != code))
		i++;
	if (i == TRACE_REASONS) {
		v->crowded++;
		return -1;
	}
	if (i == v->reasons) {
		v->reason[i] = (struct trace_reason){.isa = isa, .code = code};
		v->reasons++;
	}
	v->reason[i].exits.n++;
	return i;
}

static void reach(struct trace_vcpu *v, enum trace_reach kind, bool write, int64_t address)
{
	unsigned i = 0;

	while (i < v->reached &&
		(v->reach[i].address != address || v->reach[i].kind != kind || v->reach[i].write != write))
		i++;
	if (i == TRACE_REACHED) {
		v->crowded++;
		return;
	}
	if (i == v->reached) {
		v->reach[i] = (struct trace_reached){.kind = kind, .write = write, .address = address};
		v->reached++;
	}
	v->reach[i].n.n++;
}

static int cause_row(struct trace_vcpu *v, int irq, const char *name)
{
	unsigned i = 0;

	while (i < v->causes && (v->cause[i].irq != irq || strcmp(v->cause[i].name, name) != 0))
		i++;
	if (i == TRACE_CAUSES) {
		v->crowded++;
		return -1;
	}
	if (i == v->causes) {
		v->cause[i] = (struct trace_cause){.irq = irq};
		snprintf(v->cause[i].name, sizeof(v->cause[i].name), "%s", name);
		v->causes++;
	}
	v->cause[i].hits.n++;
	return i;
}

/* ---- events ---- */

static void entered(struct trace_account *a, uint64_t now)
{
	struct trace_reason *r = a->reason >= 0 ? &a->vcpu->reason[a->reason] : NULL;

	if (r && now >= a->exit_ns) {
		uint64_t ns = now - a->exit_ns;

		r->timed++;
		r->ns += ns;
		r->histogram[log2_bucket(ns, TRACE_BUCKETS)]++;
	}
	trace_account_gap(a);
	a->in_guest = true;
}

static void left(struct trace_account *a, uint64_t now, enum trace_isa isa, uint32_t code)
{
	bool external = trace_is_external(isa, code);

	if (external && a->hit >= 0)
		a->vcpu->cause[a->hit].ended++;
	a->owed = external && a->hit < 0;
	a->hit = -1;
	a->in_guest = false;
	a->reason = reason_row(a->vcpu, isa, code);
	a->exit_ns = now;
}

static void interrupted(struct trace_account *a, int irq, const char *name)
{
	int row = cause_row(a->vcpu, irq, name);

	if (a->owed && row >= 0)
		a->vcpu->cause[row].ended++;
	a->owed = false;
	if (a->in_guest && a->hit < 0)
		a->hit = row;
}

/* value[]: exit_reason, isa, ret, esr_ec */
static void exit_event(
	struct trace_account *a, const struct trace_sample *s, const int64_t value[], unsigned have)
{
	enum trace_isa isa = a->formats->isa;
	uint32_t code = value[0];

	if (have & 1 << 2) {
		isa = have & 1 << 3 && (value[2] & ARM_CODE) == ARM_TRAP ? TRACE_ISA_ARM_EC : TRACE_ISA_ARM;
		code = isa == TRACE_ISA_ARM ? value[2] & ARM_CODE : value[3];
	} else if (have & 1 << 1) {
		isa = value[1] == KVM_ISA_VMX	? TRACE_ISA_VMX
		      : value[1] == KVM_ISA_SVM ? TRACE_ISA_SVM
						: TRACE_ISA_UNKNOWN;
	}
	/* Above the basic reason are flags, of which only the failed entry is no circumstance. */
	left(a, s->time_ns, isa, isa == TRACE_ISA_VMX ? code & (VMX_FAILED_ENTRY | 0xffff) : code);
}

static void poll_event(struct trace_poll *poll, int64_t grow, int64_t window)
{
	poll->grown += grow != 0;
	poll->shrunk += grow == 0;
	poll->window_ns = window;
	if (poll->window_ns > poll->longest_ns)
		poll->longest_ns = window;
}

static bool device_event(struct trace_account *a, const struct trace_sample *s, int64_t irq)
{
	char name[TRACE_NAME];
	const struct trace_field *field = &a->formats->event[TRACE_EV_DEVICE_IRQ].field[1];

	if (!trace_field_text(field, s->raw, s->len, name, sizeof(name)))
		return false;
	interrupted(a, irq, name);
	return true;
}

/* All fields that the event needs are in value[]; those it has besides by `have`. */
static bool account_event(struct trace_account *a, enum trace_event event, const struct trace_sample *s,
	const int64_t value[TRACE_FIELDS], unsigned have)
{
	struct trace_vcpu *v = a->vcpu;

	switch (event) {
	case TRACE_EV_EXIT:
		exit_event(a, s, value, have);
		return true;
	case TRACE_EV_ENTRY:
		entered(a, s->time_ns);
		return true;
	case TRACE_EV_USER_EXIT:
		reach(v, TRACE_USER, false, have & 2 && value[1] < 0 ? value[1] : value[0]);
		return true;
	case TRACE_EV_MSR:
		reach(v, TRACE_MSR, value[0], value[1]);
		return true;
	case TRACE_EV_PIO:
		reach(v, TRACE_PIO, value[0], value[1]);
		return true;
	case TRACE_EV_MMIO:
		/* A read that goes to user space is traced twice: when it leaves, and with what it got. */
		if (value[0] != MMIO_READ_LEAVES)
			reach(v, TRACE_MMIO, value[0] == MMIO_WRITE, value[1]);
		return true;
	case TRACE_EV_FAST_MMIO:
		reach(v, TRACE_FAST_MMIO, true, value[0]);
		return true;
	case TRACE_EV_APIC:
		reach(v, TRACE_APIC, value[0], value[1]);
		return true;
	case TRACE_EV_HALT_POLL:
		poll_event(&v->poll, value[0], value[1]);
		return true;
	case TRACE_EV_DEVICE_IRQ:
		return device_event(a, s, value[0]);
	default:
		interrupted(a, -1, trace_kinds[event].cause);
		return true;
	}
}

bool trace_account_sample(struct trace_account *a, const struct trace_sample *s)
{
	const struct trace_field type = {.offset = 0, .size = 2};
	int64_t id, value[TRACE_FIELDS] = {0};
	const struct trace_format *format;
	enum trace_event event;
	unsigned have = 0;

	if (!trace_field_get(&type, s->raw, s->len, &id))
		return false;
	event = trace_event_of(a->formats, id);
	if (event == TRACE_EVENTS || trace_kinds[event].only_counted)
		return false;
	a->records[event]++;
	format = &a->formats->event[event];
	for (unsigned i = 0; i < TRACE_FIELDS; i++) {
		if (!format->field[i].size)
			continue;
		if (!trace_field_get(&format->field[i], s->raw, s->len, &value[i]))
			return false;
		have |= 1u << i;
	}
	return account_event(a, event, s, value, have);
}
