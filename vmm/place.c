// SPDX-License-Identifier: Apache-2.0
/* The plan of threads, its check against this host, and its proof; see place.h. */
#include "vmm/place.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/hostfile.h"
#include "vmm/log.h"

#define CPUS_TEXT 256

/* sched_setattr(2); <linux/sched/types.h> and <sched.h> can not be included together. */
struct sched_attr {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};

/* ---- the plan ---- */

static bool matches(const struct place_rule *rule, const struct placement *row)
{
	if (rule->role != row->role)
		return false;
	if (rule->index >= 0)
		return (unsigned)rule->index == row->index;
	return !rule->name[0] || !strcmp(rule->name, row->name + strlen("io:"));
}

static bool is_narrow(const struct place_rule *rule)
{
	return rule->index >= 0 || rule->name[0];
}

static int nth_cpu(const cpu_set_t *set, unsigned n)
{
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, set) && !n--)
			return cpu;
	return -1;
}

static int pin_row(struct placement *row, const struct place_rule *rule, const char *text)
{
	row->pinned = true;
	row->cpus_why = text;
	row->cpus = rule->cpus;
	if (rule->each) {
		int cpu = nth_cpu(&rule->cpus, row->index);

		if (cpu < 0) {
			log_err("--pin %s: %d CPUs for more vCPUs than that; name at least one for each", text,
				CPU_COUNT(&rule->cpus));
			return -EINVAL;
		}
		CPU_ZERO(&row->cpus);
		CPU_SET(cpu, &row->cpus);
	}
	return 0;
}

/* Apply one rule to every row it speaks of. Narrow rules come after the broad ones; of equals the last one stays. */
static int apply_rule(struct place *place, const char *option, const char *text, bool narrow)
{
	bool pin = option[2] == 'p', hit = false;
	struct place_rule rule;
	const char *why = pin ? place_parse_pin(text, &rule) : place_parse_sched(text, &rule);
	int err = 0;

	if (why) {
		log_err("%s %s: %s", option, text, why);
		return -EINVAL;
	}
	for (unsigned i = 0; i < place->n && !err; i++) {
		struct placement *row = &place->row[i];

		if (!matches(&rule, row))
			continue;
		hit = true;
		if (is_narrow(&rule) != narrow)
			continue;
		if (pin) {
			err = pin_row(row, &rule, text);
		} else {
			row->sched = rule.sched;
			row->sched_given = true;
			row->sched_why = text;
		}
	}
	if (!hit && !err) {
		log_err("%s %s: this guest has no such thread", option, text);
		err = -EINVAL;
	}
	return err;
}

static int apply_rules(struct place *place, const char *option, char **text, unsigned n)
{
	int err = 0;

	for (int narrow = 0; narrow < 2; narrow++)
		for (unsigned i = 0; i < n && !err; i++)
			err = apply_rule(place, option, text[i], narrow);
	return err;
}

static void add_row(struct place *place, enum place_role role, unsigned index, const char *fmt, const char *name)
{
	struct placement *row = &place->row[place->n++];

	row->role = role;
	row->index = index;
	row->cpus = place->allowed;
	snprintf(row->name, sizeof(row->name), fmt, name);
	if (role == PLACE_VCPU)
		snprintf(row->name, sizeof(row->name), "vcpu%u", index);
}

static int add_rows(struct place *place, const struct guest_config *cfg)
{
	place->row = calloc(cfg->cpus.count + cfg->niothreads + 2, sizeof(*place->row));
	if (!place->row)
		return -ENOMEM;
	add_row(place, PLACE_EMULATOR, 0, "%s", "emulator");
	add_row(place, PLACE_IOTHREAD, 0, "io:%s", "main");
	for (unsigned i = 0; i < cfg->niothreads; i++)
		add_row(place, PLACE_IOTHREAD, i + 1, "io:%s", cfg->iothreads[i]);
	for (unsigned i = 0; i < cfg->cpus.count; i++)
		add_row(place, PLACE_VCPU, i, "%s", "");
	return 0;
}

/* ---- the check ---- */

/* A CPU list in a file of /sys; the whole set where there is no such file. */
static void read_cpus(const char *path, cpu_set_t *set)
{
	if (hostfile_list("", path, set))
		memset(set, 0xff, sizeof(*set));
}

static int check_allowed(const struct place *place, const struct placement *row)
{
	char cpus[CPUS_TEXT], outside[CPUS_TEXT];
	cpu_set_t online, rest;

	CPU_AND(&rest, &row->cpus, &place->allowed);
	if (CPU_EQUAL(&rest, &row->cpus))
		return 0;
	CPU_XOR(&rest, &rest, &row->cpus);
	read_cpus("/sys/devices/system/cpu/online", &online);
	place_format_cpus(&rest, outside, sizeof(outside));
	CPU_AND(&rest, &rest, &online);
	if (!CPU_COUNT(&rest)) {
		place_format_cpus(&online, cpus, sizeof(cpus));
		log_err("--pin %s: CPU %s is not on line here (%s are)", row->cpus_why, outside, cpus);
	} else {
		place_format_cpus(&place->allowed, cpus, sizeof(cpus));
		log_err("--pin %s: CPU %s is outside what this process may use (%s); widen its cpuset or taskset",
			row->cpus_why, outside, cpus);
	}
	return -EINVAL;
}

static int doubt(const struct guest_config *cfg, const char *text)
{
	if (!cfg->strict_placement) {
		log_warn("%s", text);
		return 0;
	}
	log_err("%s (--strict-placement)", text);
	return -EINVAL;
}

static int check_pair(const struct guest_config *cfg, const struct placement *a, const struct placement *b)
{
	cpu_set_t siblings;
	int cpu = nth_cpu(&a->cpus, 0);
	char text[200], path[96];

	if (CPU_COUNT(&a->cpus) != 1 || CPU_COUNT(&b->cpus) != 1)
		return 0;
	if (CPU_EQUAL(&a->cpus, &b->cpus)) {
		snprintf(text, sizeof(text), "--pin: %s and %s share CPU %d: each waits while the other runs", a->name,
			b->name, cpu);
		return doubt(cfg, text);
	}
	snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
	read_cpus(path, &siblings);
	if (cfg->cpus.threads > 1 || CPU_COUNT(&siblings) > 16 || !CPU_ISSET(nth_cpu(&b->cpus, 0), &siblings))
		return 0;
	snprintf(text, sizeof(text), "--pin: %s and %s sit on two threads of one core (CPUs %d and %d): they slow each other",
		a->name, b->name, cpu, nth_cpu(&b->cpus, 0));
	return doubt(cfg, text);
}

static int check_row(const struct place *place, const struct guest_config *cfg, unsigned i)
{
	const struct placement *row = &place->row[i];
	int err = row->pinned ? check_allowed(place, row) : 0;

	if (!err && row->pinned && row->sched.policy == SCHED_DEADLINE) {
		log_err("--sched %s: the kernel refuses SCHED_DEADLINE together with a CPU list (--pin %s); leave one of them "
			"out",
			row->sched_why, row->cpus_why);
		err = -EINVAL;
	}
	for (unsigned j = 0; j < i && !err && row->pinned && row->role == PLACE_VCPU; j++)
		if (place->row[j].role == PLACE_VCPU && place->row[j].pinned)
			err = check_pair(cfg, &place->row[j], row);
	return err;
}

int place_plan(struct place *place, const struct guest_config *cfg)
{
	int err;

	memset(place, 0, sizeof(*place));
	CPU_ZERO(&place->allowed);
	if (sched_getaffinity(0, sizeof(place->allowed), &place->allowed) < 0)
		return log_errno(-errno, "sched_getaffinity");
	err = add_rows(place, cfg);
	if (!err)
		err = apply_rules(place, "--pin", cfg->pins, cfg->npins);
	if (!err)
		err = apply_rules(place, "--sched", cfg->scheds, cfg->nscheds);
	for (unsigned i = 0; i < place->n && !err; i++)
		err = check_row(place, cfg, i);
	if (err)
		place_free(place);
	return err;
}

void place_free(struct place *place)
{
	free(place->row);
	place->row = NULL;
	place->n = 0;
}

struct placement *place_find(struct place *place, enum place_role role, unsigned index)
{
	for (unsigned i = 0; i < place->n; i++)
		if (place->row[i].role == role && place->row[i].index == index)
			return &place->row[i];
	return NULL;
}

/* ---- the hands ---- */

static bool is_realtime(int policy)
{
	return policy == SCHED_FIFO || policy == SCHED_RR;
}

static int sched_refused(const struct placement *p, int err)
{
	struct rlimit rt = {0}, nice = {0};

	getrlimit(RLIMIT_RTPRIO, &rt);
	getrlimit(RLIMIT_NICE, &nice);
	if (err == -EPERM && is_realtime(p->sched.policy))
		log_err("--sched %s: not permitted: RLIMIT_RTPRIO is %lu; raise it to %d (ulimit -r, limits.conf) or give "
			"CAP_SYS_NICE",
			p->sched_why, (unsigned long)rt.rlim_cur, p->sched.prio);
	else if (err == -EPERM || err == -EACCES)
		log_err("--sched %s: not permitted: it needs CAP_SYS_NICE%s", p->sched_why,
			p->sched.policy == SCHED_DEADLINE ? "" : ", or RLIMIT_NICE (ulimit -e)");
	else if (err == -EBUSY)
		log_err("--sched %s: the CPUs have no bandwidth left for it (sched_rt_runtime_us)", p->sched_why);
	else
		log_errno(err, "--sched %s", p->sched_why);
	return err;
}

static int set_sched(const struct placement *p)
{
	struct sched_attr attr = {
		.size = sizeof(attr),
		.policy = p->sched.policy,
		.priority = is_realtime(p->sched.policy) ? p->sched.prio : 0,
		.nice = p->sched.policy == SCHED_OTHER || p->sched.policy == SCHED_BATCH ? p->sched.prio : 0,
		.runtime = p->sched.runtime,
		.deadline = p->sched.deadline,
		.period = p->sched.period,
	};

	return syscall(SYS_sched_setattr, 0, &attr, 0) < 0 ? sched_refused(p, -errno) : 0;
}

static int read_back(struct placement *p)
{
	struct sched_attr attr = {.size = sizeof(attr)};

	CPU_ZERO(&p->actual_cpus);
	if (sched_getaffinity(0, sizeof(p->actual_cpus), &p->actual_cpus) < 0)
		return log_errno(-errno, "%s: sched_getaffinity", p->name);
	if (syscall(SYS_sched_getattr, 0, &attr, sizeof(attr), 0) < 0)
		return log_errno(-errno, "%s: sched_getattr", p->name);
	p->actual_sched = (struct place_sched){
		.policy = attr.policy,
		.prio = is_realtime(attr.policy) ? (int)attr.priority : attr.nice,
		.runtime = attr.runtime, /* of other policies it is the time slice */
		.deadline = attr.deadline,
		.period = attr.period,
	};
	p->applied = true;
	return 0;
}

static bool same_sched(const struct place_sched *a, const struct place_sched *b)
{
	if (a->policy != b->policy || a->prio != b->prio)
		return false;
	return a->policy != SCHED_DEADLINE ||
	       (a->runtime == b->runtime && a->deadline == b->deadline && a->period == b->period);
}

static int mismatch(const struct placement *p)
{
	char wanted[CPUS_TEXT], actual[CPUS_TEXT];

	if (!CPU_EQUAL(&p->cpus, &p->actual_cpus)) {
		place_format_cpus(&p->cpus, wanted, sizeof(wanted));
		place_format_cpus(&p->actual_cpus, actual, sizeof(actual));
		log_err("%s: wanted on CPUs %s, the kernel says %s", p->name, wanted, actual);
		return -EXDEV;
	}
	if (p->sched_given && !same_sched(&p->sched, &p->actual_sched)) {
		place_format_sched(&p->sched, wanted, sizeof(wanted));
		place_format_sched(&p->actual_sched, actual, sizeof(actual));
		log_err("%s: wanted under %s, the kernel says %s", p->name, wanted, actual);
		return -EXDEV;
	}
	return 0;
}

int place_apply(struct placement *p)
{
	int err = 0;

	if (sched_setaffinity(0, sizeof(p->cpus), &p->cpus) < 0)
		return log_errno(-errno, "%s: sched_setaffinity%s%s", p->name, p->cpus_why ? ", --pin " : "",
			p->cpus_why ? p->cpus_why : "");
	if (p->sched_given)
		err = set_sched(p);
	if (!err)
		err = read_back(p);
	return err ? err : mismatch(p);
}

/* ---- the table ---- */

void place_head(char *line, size_t n, bool with_actual)
{
	snprintf(line, n, "%-16s %-12s %-24s %s", "thread", "CPUs", "policy", with_actual ? "as read back" : "because");
}

void place_line(const struct placement *row, bool with_actual, char *line, size_t n)
{
	char cpus[CPUS_TEXT], sched[96] = "inherited", actual[CPUS_TEXT], policy[96];

	place_format_cpus(&row->cpus, cpus, sizeof(cpus));
	if (row->sched_given)
		place_format_sched(&row->sched, sched, sizeof(sched));
	if (with_actual && row->applied) {
		place_format_cpus(&row->actual_cpus, actual, sizeof(actual));
		place_format_sched(&row->actual_sched, policy, sizeof(policy));
		snprintf(line, n, "%-16s %-12s %-24s %s %s", row->name, cpus, sched, actual, policy);
		return;
	}
	snprintf(line, n, "%-16s %-12s %-24s %s%s%s%s", row->name, cpus, sched,
		row->cpus_why ? "--pin " : "the CPUs this process may use", row->cpus_why ? row->cpus_why : "",
		row->sched_why ? ", --sched " : "", row->sched_why ? row->sched_why : "");
}
