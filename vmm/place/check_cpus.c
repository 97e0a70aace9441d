// SPDX-License-Identifier: Apache-2.0
/*
 * What speaks against the CPUs of vCPUs: several on one, cores that are not those of the guest, and a vCPU that halts in the
 * guest on a CPU that others need. Reads the host's topology below `root`. Main.
 */
#include "vmm/place/check.h"

#include <stdio.h>

#include "vmm/hostfile.h"

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
			err = check_doubt(c, "--pin: vcpu%s share CPU %d: each waits while another runs; give each a CPU of its own",
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
	return check_doubt(c, "--pin: vcpu%s %s (CPUs %s)%s: %s", vcpus, what, cpus, more, advice);
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

int check_vcpus(const struct check *c)
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

int check_no_exits(const struct check *c)
{
	char cpus[CPUS_TEXT];
	const char *other = "";

	for (unsigned i = 0; c->cfg->exits.hlt == TRI_OFF && i < c->place->n; i++) {
		const struct placement *row = &c->place->row[i];

		if (row->role != PLACE_VCPU || !row->pinned || crowd(c, row, &other) <= (unsigned)CPU_COUNT(&row->cpus))
			continue;
		place_format_cpus(&row->cpus, cpus, sizeof(cpus));
		return check_refuse(c,
			"--exits hlt=off: CPU %s is %s's and %s's: a vCPU that halts in the guest leaves it to nobody; "
			"give each a CPU of its own, or leave hlt=off out",
			cpus, row->name, other);
	}
	return 0;
}
