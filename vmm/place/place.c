// SPDX-License-Identifier: Apache-2.0
/* The plan of threads, its check against this host, and its proof; see place.h. */
#include "vmm/place/place.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/log.h"
#include "vmm/place/priv.h"

#define SPARE_ROWS 8 /* for tasks that place/tasks.c finds */

/* sched.h has no name for it: children of the thread start under SCHED_OTHER. */
#define FLAG_RESET_ON_FORK 0x01

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

/* The role of one thread, or of some. */
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
	row->pinned = row->touched = true;
	row->cpus_why = text;
	row->cpus = rule->cpus;
	if (rule->each) {
		int cpu = nth_cpu(&rule->cpus, row->index);

		if (cpu < 0) {
			log_err("--pin %s: %d CPUs for more vCPUs than that; name at least one for each", RULE_SHOWN(text),
				CPU_COUNT(&rule->cpus));
			return -EINVAL;
		}
		CPU_ZERO(&row->cpus);
		CPU_SET(cpu, &row->cpus);
	}
	return 0;
}

/* ", it has vcpu0 to vcpu3", or the iothreads; empty where there is none of the kind. */
static void others_text(const struct place *place, enum place_role role, char *out, size_t n)
{
	const struct placement *first = NULL, *last = NULL;
	size_t len = 0;

	*out = '\0';
	for (unsigned i = 0; i < place->n; i++) {
		const struct placement *row = &place->row[i];

		if (row->role != role)
			continue;
		first = first ? first : row;
		last = row;
		if (role == PLACE_IOTHREAD && len < n)
			len += snprintf(out + len, n - len, "%siothread:%s", len ? ", " : "; it has ", row->name + strlen("io:"));
	}
	if (role == PLACE_VCPU && first)
		snprintf(out, n, first == last ? "; it has %s" : "; it has %s to %s", first->name, last->name);
}

/* Apply one rule to every row it speaks of, if its role is of that kind. */
static int apply_rule(struct place *place, bool pin, const char *text, bool narrow)
{
	const char *option = pin ? "--pin" : "--sched";
	bool hit = false;
	struct place_rule rule;
	const char *why = place_parse(pin, text, &rule);
	char others[128];
	int err = 0;

	if (why) {
		log_err("%s %s: %s", option, RULE_SHOWN(text), why);
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
			row->sched_given = row->touched = true;
			row->sched_why = text;
		}
	}
	if (!hit && !err) {
		others_text(place, rule.role, others, sizeof(others));
		log_err("%s %s: this guest has no such thread%s", option, RULE_SHOWN(text), others);
		err = -EINVAL;
	}
	return err;
}

int place_rules(struct place *place, bool pin, char *const *text, unsigned n)
{
	int err = 0;

	for (int narrow = 0; narrow < 2; narrow++)
		for (unsigned i = 0; i < n && !err; i++)
			err = apply_rule(place, pin, text[i], narrow);
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

static void add_iothread(struct place *place, const struct guest_config *cfg, unsigned index, const char *name)
{
	add_row(place, PLACE_IOTHREAD, index, "io:%s", name);
	add_row(place, PLACE_WORKER, index, "%s", "");
	place_worker(place, index, cfg->io_engine != IO_PLAIN);
}

static int add_rows(struct place *place, const struct guest_config *cfg)
{
	place->room = 1 + 2 * (cfg->niothreads + 1) + 2 * cfg->cpus.count + SPARE_ROWS;
	place->row = calloc(place->room, sizeof(*place->row));
	if (!place->row)
		return log_errno(-ENOMEM, "placement");
	add_row(place, PLACE_EMULATOR, 0, "%s", "emulator");
	add_iothread(place, cfg, 0, "main");
	for (unsigned i = 0; i < cfg->niothreads; i++)
		add_iothread(place, cfg, i + 1, cfg->iothreads[i].name);
	for (unsigned i = 0; i < cfg->cpus.count; i++)
		add_row(place, PLACE_VCPU, i, "%s", "");
	for (unsigned i = 0; i < cfg->cpus.count; i++) {
		if (!config_vcpu_serves(cfg, i))
			continue;
		add_row(place, PLACE_WORKER, PLACE_OF_VCPU + i, "%s", "");
		place_worker(place, PLACE_OF_VCPU + i, true);
	}
	place->planned = place->n;
	return 0;
}

void place_want(struct placement *row, const struct placement *as)
{
	row->cpus = as->cpus;
	row->pinned = as->pinned;
	row->cpus_why = as->cpus_why;
	row->sched = as->sched;
	row->sched_given = as->sched_given;
	row->sched_why = as->sched_why;
}

void place_follow(struct place *place, struct placement *row)
{
	const struct placement *io = row->index < PLACE_OF_VCPU ? place_owner(place, row) : place_find(place, PLACE_EMULATOR, 0);

	row->touched = io->touched;
	place_want(row, io);
	if (io->sched.policy == SCHED_DEADLINE)
		row->sched = (struct place_sched){.policy = SCHED_OTHER};
	if (row->index >= PLACE_OF_VCPU) { /* its policy is what the kernel lets a vCPU's children have */
		row->sched_given = false;
		row->sched_why = NULL;
	}
}

struct placement *place_owner(struct place *place, const struct placement *worker)
{
	return worker->index < PLACE_OF_VCPU ? place_find(place, PLACE_IOTHREAD, worker->index) :
					       place_find(place, PLACE_VCPU, worker->index - PLACE_OF_VCPU);
}

struct placement *place_worker(struct place *place, unsigned index, bool by_kernel)
{
	struct placement *row = place_find(place, PLACE_WORKER, index);
	const struct placement *io = place_owner(place, row);

	row->by_kernel = by_kernel;
	if (by_kernel)
		snprintf(row->name, sizeof(row->name), "iou-wrk %.15s", io->name);
	else
		snprintf(row->name, sizeof(row->name), "%.13s-w", io->name);
	return row;
}

static void note_inherited(struct place *place)
{
	struct sched_param param = {0};

	place->inherited = sched_getscheduler(0);
	sched_getparam(0, &param);
	place->inherited_prio = param.sched_priority;
}

int place_plan_at(struct place *place, const struct guest_config *cfg, const char *root)
{
	int err;

	memset(place, 0, sizeof(*place));
	CPU_ZERO(&place->allowed);
	if (sched_getaffinity(0, sizeof(place->allowed), &place->allowed) < 0)
		return log_errno(-errno, "sched_getaffinity");
	note_inherited(place);
	err = place_foreign(place);
	if (!err)
		err = add_rows(place, cfg);
	if (!err)
		err = place_rules(place, true, cfg->pins, cfg->npins);
	if (!err)
		err = place_rules(place, false, cfg->scheds, cfg->nscheds);
	for (unsigned i = 0; i < place->n && !err; i++)
		if (place->row[i].role == PLACE_WORKER)
			place_follow(place, &place->row[i]);
	if (!err)
		err = place_check(place, cfg, root);
	if (err)
		place_free(place);
	return err;
}

int place_plan(struct place *place, const struct guest_config *cfg)
{
	return place_plan_at(place, cfg, "");
}

void place_free(struct place *place)
{
	place_forget_texts(place);
	free(place->row);
	free(place->foreign);
	memset(place, 0, sizeof(*place));
}

struct placement *place_find(struct place *place, enum place_role role, unsigned index)
{
	for (unsigned i = 0; i < place->n; i++)
		if (place->row[i].role == role && place->row[i].index == index)
			return &place->row[i];
	return NULL;
}

/* ---- the hands ---- */

static int sched_refused(const struct placement *p, int err)
{
	struct rlimit rt = {0};
	char cpus[CPUS_TEXT];

	getrlimit(RLIMIT_RTPRIO, &rt);
	place_format_cpus(&p->cpus, cpus, sizeof(cpus));
	if (err == -EPERM && place_is_realtime(p->sched.policy))
		log_err("--sched %s: not permitted: RLIMIT_RTPRIO is %lu; raise it to %d (ulimit -r, limits.conf) or give "
			"CAP_SYS_NICE",
			RULE_SHOWN(p->sched_why), (unsigned long)rt.rlim_cur, p->sched.prio);
	else if (err == -EPERM && p->sched.policy == SCHED_DEADLINE)
		log_err("--sched %s: not permitted: it needs CAP_SYS_NICE, and every CPU of the host or of its cpuset partition "
			"(%s is what this process may use)",
			RULE_SHOWN(p->sched_why), cpus);
	else if (err == -EPERM || err == -EACCES)
		log_err("--sched %s: not permitted: it needs CAP_SYS_NICE, or RLIMIT_NICE (ulimit -e)", RULE_SHOWN(p->sched_why));
	else if (err == -EBUSY)
		log_err("--sched %s: the CPUs have no bandwidth left for it (sched_rt_runtime_us)", RULE_SHOWN(p->sched_why));
	else
		log_errno(err, "--sched %s", RULE_SHOWN(p->sched_why));
	return err;
}

/*
 * KVM makes a task of its own (kvm-nx-lpage-recovery, since Linux 6.13) as a child of the thread that first enters the
 * guest: without the flag it would be real-time like a vCPU, and under SCHED_DEADLINE, which no child may have, KVM_RUN
 * would fail for ever. An iothread's workers are to have its policy, unless it is that one.
 */
static bool resets_on_fork(const struct placement *p, const struct place_sched *sched)
{
	return (p->role != PLACE_IOTHREAD && p->role != PLACE_WORKER) || sched->policy == SCHED_DEADLINE;
}

int place_set_sched(pid_t tid, const struct placement *p, const struct place_sched *sched)
{
	struct sched_attr attr = {
		.size = sizeof(attr),
		.policy = sched->policy,
		.flags = resets_on_fork(p, sched) ? FLAG_RESET_ON_FORK : 0,
		.priority = place_is_realtime(sched->policy) ? sched->prio : 0,
		.nice = sched->policy == SCHED_OTHER || sched->policy == SCHED_BATCH ? sched->prio : 0,
		.runtime = sched->runtime,
		.deadline = sched->deadline,
		.period = sched->period,
	};

	return syscall(SYS_sched_setattr, tid, &attr, 0) < 0 ? -errno : 0;
}

int place_ask(pid_t tid, cpu_set_t *cpus, struct place_sched *sched)
{
	struct sched_attr attr = {.size = sizeof(attr)};

	CPU_ZERO(cpus);
	if (sched_getaffinity(tid, sizeof(*cpus), cpus) < 0 || syscall(SYS_sched_getattr, tid, &attr, sizeof(attr), 0) < 0)
		return -errno;
	*sched = (struct place_sched){
		.policy = attr.policy,
		.prio = place_is_realtime(attr.policy) ? (int)attr.priority : attr.nice,
		.runtime = attr.runtime, /* of other policies it is the time slice */
		.deadline = attr.deadline,
		.period = attr.period,
	};
	return 0;
}

static int read_back(struct placement *p)
{
	int err = place_ask(0, &p->actual_cpus, &p->actual_sched);

	if (err)
		return log_errno(err, "%s: what the kernel says of its place", p->name);
	if (p->role != PLACE_EMULATOR) /* main's is asked for when it is needed */
		p->tid = gettid();
	p->applied = true;
	return 0;
}

bool place_same_sched(const struct place_sched *a, const struct place_sched *b)
{
	if (a->policy != b->policy || (a->prio != b->prio && a->policy != SCHED_IDLE))
		return false; /* a nice value is kept under SCHED_IDLE, for later, and means nothing */
	return a->policy != SCHED_DEADLINE ||
	       (a->runtime == b->runtime && a->deadline == b->deadline && a->period == b->period);
}

bool place_is_back(const struct placement *row, const struct place_sched *is)
{
	return !row->lost || place_same_sched(&row->home, is) || (row->sched_given && place_same_sched(&row->sched, is));
}

static int mismatch(const struct placement *p)
{
	char wanted[CPUS_TEXT], actual[CPUS_TEXT];

	if (p->pinned && !CPU_EQUAL(&p->cpus, &p->actual_cpus)) {
		place_format_cpus(&p->cpus, wanted, sizeof(wanted));
		place_format_cpus(&p->actual_cpus, actual, sizeof(actual));
		log_err("%s: wanted on CPUs %s, the kernel says %s", p->name, wanted, actual);
		return -EXDEV;
	}
	if (p->sched_given && !place_same_sched(&p->sched, &p->actual_sched)) {
		place_format_sched(&p->sched, wanted, sizeof(wanted));
		place_format_sched(&p->actual_sched, actual, sizeof(actual));
		log_err("%s: wanted under %s, the kernel says %s", p->name, wanted, actual);
		return -EXDEV;
	}
	return 0;
}

/*
 * Who is not pinned has what this process may use, and that can change after the plan: CPUs come on line and go, a cpuset
 * is widened. More than planned is right, then. Fewer may also come from a parent that is pinned: ask for all.
 */
static int spread(struct placement *p)
{
	if (is_subset(&p->actual_cpus, &p->cpus))
		return 0;
	sched_setaffinity(0, sizeof(p->cpus), &p->cpus); /* refused: none of them is left */
	return read_back(p);
}

int place_apply(struct placement *p)
{
	int err = 0;

	if (p->pinned && sched_setaffinity(0, sizeof(p->cpus), &p->cpus) < 0)
		return log_errno(-errno, "%s: sched_setaffinity, --pin %s", p->name, RULE_SHOWN(p->cpus_why));
	if (p->sched_given)
		err = place_set_sched(0, p, &p->sched);
	err = err ? sched_refused(p, err) : read_back(p);
	if (!err && !p->pinned)
		err = spread(p);
	err = err ? err : mismatch(p);
	if (!err && (p->pinned || p->sched_given))
		place_count(p, gettid());
	return err;
}

/* ---- the table ---- */

void place_head(char *line, size_t n, bool with_actual)
{
	snprintf(line, n, "%-16s %-12s %-24s %s", "thread", "CPUs", "policy", with_actual ? "as read back" : "because");
}

/* Why, in words. A worker's reason is its iothread. */
static void format_why(const struct placement *row, char *out, size_t n)
{
	if (row->role == PLACE_WORKER)
		snprintf(out, n, row->index < PLACE_OF_VCPU ? "as its iothread" : "as emulator");
	else if (row->role == PLACE_HELPER || row->role == PLACE_STRAY)
		snprintf(out, n, "as emulator");
	else
		snprintf(out, n, "%s%s%s%s", row->cpus_why ? "--pin " : "the CPUs this process may use",
			row->cpus_why ? row->cpus_why : "", row->sched_why ? ", --sched " : "",
			row->sched_why ? row->sched_why : "");
}

static void format_actual(const struct placement *row, char *out, size_t n)
{
	char cpus[CPUS_TEXT], policy[96];

	place_format_cpus(&row->actual_cpus, cpus, sizeof(cpus));
	place_format_sched(&row->actual_sched, policy, sizeof(policy));
	if (row->by_kernel && !row->tasks)
		snprintf(out, n, "none yet; the kernel took the CPUs");
	else
		snprintf(out, n, "%s %s", cpus, policy);
}

void place_line(const struct placement *row, bool with_actual, char *line, size_t n)
{
	char cpus[CPUS_TEXT], sched[96] = "inherited", last[CPUS_TEXT + 96];

	place_format_cpus(&row->cpus, cpus, sizeof(cpus));
	if (row->sched_given)
		place_format_sched(&row->sched, sched, sizeof(sched));
	if (with_actual && row->applied)
		format_actual(row, last, sizeof(last));
	else
		format_why(row, last, sizeof(last));
	snprintf(line, n, "%-16s %-12s %-24s %s", row->name, cpus, sched, last);
}
