// SPDX-License-Identifier: Apache-2.0
/* What speaks against the policies of threads: who would wait for whom without end. Reads the host's files below `root`. Main. */
#include "vmm/place/check.h"

#include <string.h>

#include "vmm/hostfile.h"

/* ---- vCPUs that may never run again ---- */

/* The policy of a thread whether it was asked for or is inherited: 0: none that is real-time. */
static int rt_policy(const struct check *c, const struct placement *row, int *prio)
{
	int policy = row->sched_given ? row->sched.policy : c->place->inherited;

	*prio = row->sched_given ? row->sched.prio : c->place->inherited_prio;
	return place_is_realtime(policy) ? policy : 0;
}

/*
 * Those that keep `row` waiting for as long as they are busy, where it has no other CPU to go to: of a higher priority, or
 * of the same one and with no slice of time that ends. Returns how many there are.
 */
static unsigned in_the_way(const struct check *c, const struct placement *row, cpu_set_t *who)
{
	int prio, other;

	CPU_ZERO(who);
	if (row->role != PLACE_VCPU || !rt_policy(c, row, &prio))
		return 0;
	for (unsigned i = 0; i < c->place->n; i++) {
		const struct placement *b = &c->place->row[i];
		int policy = b->role == PLACE_VCPU && b != row ? rt_policy(c, b, &other) : 0;

		if (policy && is_subset(&row->cpus, &b->cpus) && (other > prio || (other == prio && policy == SCHED_FIFO)))
			CPU_SET(b->index, who);
	}
	return (unsigned)CPU_COUNT(who);
}

static int refuse_hang(const struct check *c, const struct placement *row, cpu_set_t *who)
{
	char vcpus[CPUS_TEXT], cpus[CPUS_TEXT];
	int prio;

	rt_policy(c, row, &prio);
	CPU_SET(row->index, who);
	place_format_cpus(who, vcpus, sizeof(vcpus));
	place_format_cpus(&row->cpus, cpus, sizeof(cpus));
	return check_refuse(c,
		"%s%s: vcpu%s have only CPU %s, where a busy one may keep %s waiting for ever: a guest whose vCPUs wait for each "
		"other hangs; give each a CPU of its own, or let them take turns (--sched vcpu=rr:%d)",
		row->sched_given ? "--sched " : "the policy pinvm was started with", row->sched_given ? row->sched_why : "", vcpus,
		cpus, row->name, prio);
}

int check_hang(const struct check *c)
{
	cpu_set_t who;

	for (unsigned i = 0; i < c->place->n; i++)
		if (in_the_way(c, &c->place->row[i], &who) >= (unsigned)CPU_COUNT(&c->place->row[i].cpus))
			return refuse_hang(c, &c->place->row[i], &who);
	return 0;
}

/* ---- real-time vCPUs: they run for as long as the guest wants to, and whoever needs their CPU waits ---- */

/* 0: none. */
static int rt_priority(const struct placement *row)
{
	return row->sched_given && place_is_realtime(row->sched.policy) ? row->sched.prio : 0;
}

/* CPUs that real-time vCPUs of at least this priority keep to themselves. Returns how many such vCPUs there are. */
static unsigned rt_cpus(const struct place *place, int prio, cpu_set_t *cpus)
{
	unsigned n = 0;

	CPU_ZERO(cpus);
	for (unsigned i = 0; i < place->n; i++) {
		const struct placement *row = &place->row[i];

		if (row->role != PLACE_VCPU || !rt_priority(row) || rt_priority(row) < prio)
			continue;
		CPU_OR(cpus, cpus, &row->cpus);
		n++;
	}
	return n;
}

/* vCPUs that float over more CPUs than they are leave some free. */
static bool fills(unsigned vcpus, const cpu_set_t *cpus)
{
	return vcpus && vcpus >= (unsigned)CPU_COUNT(cpus);
}

static int check_nothing_left(const struct check *c, bool *full)
{
	char text[CPUS_TEXT];
	cpu_set_t cpus;
	unsigned n = rt_cpus(c->place, 1, &cpus);

	*full = fills(n, &cpus) && CPU_EQUAL(&cpus, &c->place->allowed);
	if (!*full)
		return 0;
	place_format_cpus(&cpus, text, sizeof(text));
	return check_doubt(c,
		"--sched: real-time vCPUs take every CPU this process may use (%s): while they are busy nothing else runs "
		"there, pinvm's own threads included; leave one CPU out with --pin",
		text);
}

/* The guest waits for a device whose thread waits for the guest to stop running. */
static int check_starved(const struct check *c, const struct placement *row)
{
	char text[CPUS_TEXT];
	cpu_set_t cpus;
	unsigned n = rt_cpus(c->place, rt_priority(row), &cpus);

	if ((row->role != PLACE_EMULATOR && row->role != PLACE_IOTHREAD) || row->sched.policy == SCHED_DEADLINE ||
		!fills(n, &cpus) || !is_subset(&cpus, &row->cpus))
		return 0;
	place_format_cpus(&row->cpus, text, sizeof(text));
	return check_doubt(c,
		"--sched: %s has only CPU %s, which real-time vCPUs keep while they are busy: the guest starves its own "
		"devices; pin %s elsewhere, or give it the higher priority",
		row->name, text, row->name);
}

/* The reverse: the guest stands still while its devices are served. */
static int check_preempted(const struct check *c, const struct placement *io)
{
	int err = 0;

	if (io->role != PLACE_IOTHREAD || !io->pinned || CPU_COUNT(&io->cpus) != 1)
		return 0;
	for (unsigned i = 0; i < c->place->n && !err; i++) {
		const struct placement *vcpu = &c->place->row[i];

		if (vcpu->role == PLACE_VCPU && vcpu->pinned && CPU_EQUAL(&vcpu->cpus, &io->cpus) &&
			rt_priority(io) > rt_priority(vcpu))
			err = check_doubt(c,
				"--sched %s: %s preempts %s on CPU %d: the guest stands still while its devices are served; "
				"give %s another CPU",
				RULE_SHOWN(io->sched_why), io->name, vcpu->name, first_cpu(&io->cpus), io->name);
	}
	return err;
}

/* kernel.sched_rt_runtime_us = -1: no share of a CPU is kept for others. That is meant to be so on isolated CPUs. */
static int check_rt_guard(const struct check *c)
{
	cpu_set_t cpus, isolated;
	char text[CPUS_TEXT];

	if (!rt_cpus(c->place, 1, &cpus) ||
		hostfile_text(c->root, "/proc/sys/kernel/sched_rt_runtime_us", text, sizeof(text)) || strcmp(text, "-1") != 0)
		return 0;
	hostfile_list(c->root, "/sys/devices/system/cpu/isolated", &isolated);
	if (is_subset(&isolated, &cpus))
		return 0;
	place_format_cpus(&cpus, text, sizeof(text));
	return check_doubt(c,
		"--sched: kernel.sched_rt_runtime_us is -1: a busy real-time vCPU locks up CPU %s, which the host also uses; "
		"isolate it (isolcpus=), or sysctl kernel.sched_rt_runtime_us=950000",
		text);
}

int check_realtime(const struct check *c)
{
	bool full;
	int err = check_nothing_left(c, &full);

	for (unsigned i = 0; i < c->place->n && !err && !full; i++)
		err = check_starved(c, &c->place->row[i]);
	for (unsigned i = 0; i < c->place->n && !err; i++)
		err = check_preempted(c, &c->place->row[i]);
	return err ? err : check_rt_guard(c);
}
