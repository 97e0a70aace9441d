// SPDX-License-Identifier: Apache-2.0
/*
 * What speaks against a plan of threads: refusals (a CPU that is off line or not allowed; some give way to --force), and
 * doubts, which are warnings or, with --strict-placement, refusals. See place.h. Reads the host's files below `root`. Main.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "vmm/hostfile.h"
#include "vmm/log.h"
#include "vmm/place/place.h"

#define CPUS_TEXT 256

struct check {
	const struct place *place;
	const struct guest_config *cfg;
	const char *root;
};

static int first_cpu(const cpu_set_t *set)
{
	int cpu = 0;

	while (cpu < CPU_SETSIZE && !CPU_ISSET(cpu, set))
		cpu++;
	return cpu;
}

static bool is_subset(const cpu_set_t *of, const cpu_set_t *set)
{
	cpu_set_t both;

	CPU_AND(&both, of, set);
	return CPU_EQUAL(&both, set);
}

/* 0: none. */
static int rt_priority(const struct placement *row)
{
	return row->sched_given && (row->sched.policy == SCHED_FIFO || row->sched.policy == SCHED_RR) ? row->sched.prio : 0;
}

/* The policy of a thread whether it was asked for or is inherited: 0: none that is real-time. */
static int rt_policy(const struct check *c, const struct placement *row, int *prio)
{
	int policy = row->sched_given ? row->sched.policy : c->place->inherited;

	*prio = row->sched_given ? row->sched.prio : c->place->inherited_prio;
	return policy == SCHED_FIFO || policy == SCHED_RR ? policy : 0;
}

static int __attribute__((format(printf, 2, 3))) doubt(const struct check *c, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (!c->cfg->strict_placement) {
		log_warn("%s", text);
		return 0;
	}
	log_err("%s (--strict-placement)", text);
	return -EINVAL;
}

/* One that --force turns into a doubt. */
static int __attribute__((format(printf, 2, 3))) refuse(const struct check *c, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (c->cfg->force)
		return doubt(c, "%s", text);
	log_err("%s; %s", text,
		c->place->live ? "a guest that was started with --force takes it" : "--force starts it all the same");
	return -EINVAL;
}

/* ---- one row ---- */

static int check_allowed(const struct check *c, const struct placement *row)
{
	char cpus[CPUS_TEXT], outside[CPUS_TEXT];
	cpu_set_t online, rest;

	if (is_subset(&c->place->allowed, &row->cpus))
		return 0;
	CPU_AND(&rest, &row->cpus, &c->place->allowed);
	CPU_XOR(&rest, &rest, &row->cpus);
	if (hostfile_list(c->root, "/sys/devices/system/cpu/online", &online))
		memset(&online, 0xff, sizeof(online));
	place_format_cpus(&rest, outside, sizeof(outside));
	CPU_AND(&rest, &rest, &online);
	if (!CPU_COUNT(&rest)) {
		place_format_cpus(&online, cpus, sizeof(cpus));
		log_err("--pin %s: CPU %s is not on line here (%s are)", row->cpus_why, outside, cpus);
	} else {
		place_format_cpus(&c->place->allowed, cpus, sizeof(cpus));
		log_err("--pin %s: CPU %s is outside what this process may use (%s); widen its cpuset or taskset",
			row->cpus_why, outside, cpus);
	}
	return -EINVAL;
}

static int check_row(const struct check *c, const struct placement *row)
{
	int err = 0;

	if (c->place->live && !row->touched)
		return 0; /* it stands where it stands, and who changes that begins somewhere */
	if (row->pinned)
		err = check_allowed(c, row);

	if (!err && row->pinned && row->sched.policy == SCHED_DEADLINE) {
		log_err("--sched %s: the kernel refuses SCHED_DEADLINE together with a CPU list (--pin %s); leave one of them "
			"out",
			row->sched_why, row->cpus_why);
		err = -EINVAL;
	}
	return err;
}

/* ---- vCPUs that have one CPU each ---- */

struct lone {
	unsigned n;	       /* vCPUs */
	int cpu[CPU_SETSIZE];  /* of each one, what it is pinned to; -1: it floats */
	int core[CPU_SETSIZE]; /* of each one, the lowest CPU of that core; -1: not known */
};

/* The lowest thread of the core. -1: the host does not say. */
static int core_of(const struct check *c, int cpu)
{
	char path[96];
	cpu_set_t siblings;

	snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
	if (hostfile_list(c->root, path, &siblings) || !CPU_ISSET(cpu, &siblings))
		return -1;
	return first_cpu(&siblings);
}

/* The lowest index with the same value: its own where it is the first of them. */
static unsigned first_like(const int *value, unsigned i)
{
	unsigned first = 0;

	while (value[first] != value[i])
		first++;
	return first;
}

static void find_lone(const struct check *c, struct lone *lone)
{
	lone->n = 0;
	for (unsigned i = 0; i < c->place->n && lone->n < CPU_SETSIZE; i++) {
		const struct placement *row = &c->place->row[i];

		if (row->role == PLACE_VCPU)
			lone->cpu[lone->n++] = row->pinned && CPU_COUNT(&row->cpus) == 1 ? first_cpu(&row->cpus) : -1;
	}
	for (unsigned i = 0; i < lone->n; i++) {
		unsigned first = first_like(lone->cpu, i);

		lone->core[i] = lone->cpu[i] < 0 ? -1 : first < i ? lone->core[first] : core_of(c, lone->cpu[i]);
	}
}

static int check_shared(const struct check *c, const struct lone *lone)
{
	char text[CPUS_TEXT];
	cpu_set_t who;
	int err = 0;

	for (unsigned i = 0; i < lone->n && !err; i++) {
		if (lone->cpu[i] < 0 || first_like(lone->cpu, i) < i)
			continue;
		CPU_ZERO(&who);
		for (unsigned j = i; j < lone->n; j++)
			if (lone->cpu[j] == lone->cpu[i])
				CPU_SET(j, &who);
		place_format_cpus(&who, text, sizeof(text));
		if (CPU_COUNT(&who) > 1)
			err = doubt(c, "--pin: vcpu%s share CPU %d: each waits while another runs; give each a CPU of its own",
				text, lone->cpu[i]);
	}
	return err;
}

/* vCPUs that are wrong together: the first such group, and how many there are. */
struct groups {
	cpu_set_t who, cpus;
	unsigned n;
};

/* Those on one CPU have been spoken of. */
static void note_group(struct groups *groups, const cpu_set_t *who, const struct lone *lone)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	for (unsigned i = 0; i < lone->n; i++)
		if (CPU_ISSET(i, who))
			CPU_SET(lone->cpu[i], &cpus);
	if (CPU_COUNT(&cpus) < 2 || groups->n++)
		return;
	groups->who = *who;
	groups->cpus = cpus;
}

static int doubt_groups(const struct check *c, const struct groups *groups, const char *what, const char *advice)
{
	char vcpus[CPUS_TEXT], cpus[CPUS_TEXT], more[48] = "";

	if (!groups->n)
		return 0;
	place_format_cpus(&groups->who, vcpus, sizeof(vcpus));
	place_format_cpus(&groups->cpus, cpus, sizeof(cpus));
	if (groups->n > 1)
		snprintf(more, sizeof(more), ", and %u more cores are so", groups->n - 1);
	return doubt(c, "--pin: vcpu%s %s (CPUs %s)%s: %s", vcpus, what, cpus, more, advice);
}

/* Of a core; vCPUs are counted thread by thread. 0: nobody said. */
static unsigned guest_threads(const struct check *c)
{
	return c->cfg->cpus.threads ? c->cfg->cpus.threads : 1;
}

/* A core of the host with vCPUs on several of its threads that are not of one core to the guest. */
static int check_cores(const struct check *c, const struct lone *lone)
{
	unsigned threads = guest_threads(c);
	struct groups groups = {.n = 0};

	for (unsigned i = 0; i < lone->n; i++) {
		bool mixed = false;
		cpu_set_t who;

		CPU_ZERO(&who);
		if (lone->core[i] < 0 || first_like(lone->core, i) < i)
			continue;
		for (unsigned j = i; j < lone->n; j++) {
			if (lone->core[j] != lone->core[i])
				continue;
			CPU_SET(j, &who);
			mixed |= j / threads != i / threads;
		}
		if (mixed)
			note_group(&groups, &who, lone);
	}
	return doubt_groups(c, &groups, "sit on threads of one core",
		threads > 1 ? "they slow each other; give each a core, or put there vCPUs that are of one core to the guest" :
			      "they slow each other; give each a core, or tell the guest with --cpus N,threads=2");
}

/* The reverse: a core of the guest that is on several of the host. */
static int check_apart(const struct check *c, const struct lone *lone)
{
	unsigned threads = guest_threads(c);
	struct groups groups = {.n = 0};

	for (unsigned i = 0; i < lone->n; i += threads) {
		int core = -1;
		bool apart = false;
		cpu_set_t who;

		CPU_ZERO(&who);
		for (unsigned j = i; j < i + threads && j < lone->n; j++) {
			if (lone->core[j] < 0)
				continue;
			CPU_SET(j, &who);
			apart |= core >= 0 && core != lone->core[j];
			core = lone->core[j];
		}
		if (apart)
			note_group(&groups, &who, lone);
	}
	return doubt_groups(c, &groups, "are threads of one core to the guest and of several here",
		"it expects them to share what they do not; pin them to threads of one core, or leave threads= out");
}

static int check_vcpus(const struct check *c)
{
	struct lone lone;
	int err;

	find_lone(c, &lone);
	err = check_shared(c, &lone);
	if (!err)
		err = check_cores(c, &lone);
	return err ? err : check_apart(c, &lone);
}

/* ---- vCPUs that halt in the guest: their CPUs are never free ---- */

/* Pinned threads of the guest that have no CPU but those of `row`. Returns how many there are. */
static unsigned crowd(const struct check *c, const struct placement *row, const char **other)
{
	unsigned n = 0;

	for (unsigned i = 0; i < c->place->n; i++) {
		const struct placement *b = &c->place->row[i];

		if (!b->pinned || b->role == PLACE_WORKER || !is_subset(&row->cpus, &b->cpus))
			continue;
		n++;
		if (b != row)
			*other = b->name;
	}
	return n;
}

static int check_no_exits(const struct check *c)
{
	char cpus[CPUS_TEXT];
	const char *other = "";

	for (unsigned i = 0; c->cfg->exits.hlt == TRI_OFF && i < c->place->n; i++) {
		const struct placement *row = &c->place->row[i];

		if (row->role != PLACE_VCPU || !row->pinned || crowd(c, row, &other) <= (unsigned)CPU_COUNT(&row->cpus))
			continue;
		place_format_cpus(&row->cpus, cpus, sizeof(cpus));
		return refuse(c,
			"--exits hlt=off: CPU %s is %s's and %s's: a vCPU that halts in the guest leaves it to nobody; "
			"give each a CPU of its own, or leave hlt=off out",
			cpus, row->name, other);
	}
	return 0;
}

/* ---- vCPUs that may never run again ---- */

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
	return refuse(c,
		"%s%s: vcpu%s have only CPU %s, where a busy one may keep %s waiting for ever: a guest whose vCPUs wait for each "
		"other hangs; give each a CPU of its own, or let them take turns (--sched vcpu=rr:%d)",
		row->sched_given ? "--sched " : "the policy pinvm was started with", row->sched_given ? row->sched_why : "", vcpus,
		cpus, row->name, prio);
}

static int check_hang(const struct check *c)
{
	cpu_set_t who;

	for (unsigned i = 0; i < c->place->n; i++)
		if (in_the_way(c, &c->place->row[i], &who) >= (unsigned)CPU_COUNT(&c->place->row[i].cpus))
			return refuse_hang(c, &c->place->row[i], &who);
	return 0;
}

/* ---- real-time vCPUs: they run for as long as the guest wants to, and whoever needs their CPU waits ---- */

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
	return doubt(c,
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
	return doubt(c,
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
			err = doubt(c,
				"--sched %s: %s preempts %s on CPU %d: the guest stands still while its devices are served; "
				"give %s another CPU",
				io->sched_why, io->name, vcpu->name, first_cpu(&io->cpus), io->name);
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
	return doubt(c,
		"--sched: kernel.sched_rt_runtime_us is -1: a busy real-time vCPU locks up CPU %s, which the host also uses; "
		"isolate it (isolcpus=), or sysctl kernel.sched_rt_runtime_us=950000",
		text);
}

static int check_realtime(const struct check *c)
{
	bool full;
	int err = check_nothing_left(c, &full);

	for (unsigned i = 0; i < c->place->n && !err && !full; i++)
		err = check_starved(c, &c->place->row[i]);
	for (unsigned i = 0; i < c->place->n && !err; i++)
		err = check_preempted(c, &c->place->row[i]);
	return err ? err : check_rt_guard(c);
}

int place_check(const struct place *place, const struct guest_config *cfg, const char *root)
{
	struct check c = {.place = place, .cfg = cfg, .root = root};
	int err = 0;

	for (unsigned i = 0; i < place->n && !err; i++)
		err = check_row(&c, &place->row[i]);
	if (!err)
		err = check_hang(&c);
	if (!err)
		err = check_no_exits(&c);
	if (!err)
		err = check_vcpus(&c);
	return err ? err : check_realtime(&c);
}
