// SPDX-License-Identifier: Apache-2.0
/* Another plan for threads that run; see live.h. Main. */
#include "vmm/place/live.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "vmm/hostfile.h"
#include "vmm/log.h"
#include "vmm/place/priv.h"

#define RULES 64 /* of one change */

/* A rule that rows refer to as their reason. */
struct place_text {
	struct place_text *next;
	char text[];
};

struct live {
	struct place *place; /* as it is */
	struct place trial;  /* as it is to be: the same rows, in the same order */
	const struct place_env *env;
	bool pin;
	struct place_move *move; /* those that were begun */
	unsigned n;
	bool malformed; /* see place_change */
	char why[960];
};

static int __attribute__((format(printf, 3, 4))) fails(struct live *l, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(l->why, sizeof(l->why), fmt, ap);
	va_end(ap);
	return err;
}

/* ---- texts ---- */

void place_forget_texts(struct place *place)
{
	struct place_text *t;

	while ((t = place->texts)) {
		place->texts = t->next;
		free(t);
	}
}

static bool is_used(const struct place *place, const char *text)
{
	for (unsigned i = 0; i < place->n; i++)
		if (place->row[i].cpus_why == text || place->row[i].sched_why == text)
			return true;
	return false;
}

/* Those that no row gives as its reason any more. */
static void drop_texts(struct place *place)
{
	for (struct place_text **at = &place->texts, *t; (t = *at);) {
		if (is_used(place, t->text)) {
			at = &t->next;
			continue;
		}
		*at = t->next;
		free(t);
	}
}

/* Keep one for as long as a row refers to it. NULL: no memory. */
static char *keep_text(struct place *place, const char *text, size_t len)
{
	struct place_text *t = malloc(sizeof(*t) + len + 1);

	if (!t)
		return NULL;
	memcpy(t->text, text, len);
	t->text[len] = '\0';
	t->next = place->texts;
	place->texts = t;
	return t->text;
}

/* The rules, cut apart and kept: how many, or -errno, logged. What one lacks that cannot be read, place_rules() says. */
static int keep_rules(struct live *l, const char *rules, char **rule)
{
	const char *const name = l->pin ? "--pin" : "--sched";
	struct place_rule parsed;
	int n = 0;

	for (size_t len; *(rules += strspn(rules, " ")); rules += len) {
		len = strcspn(rules, " ");
		if (n == RULES) {
			log_err("%s: more than %d assignments at once", name, RULES);
			return -EINVAL;
		}
		rule[n] = keep_text(l->place, rules, len);
		if (!rule[n])
			return log_errno(-ENOMEM, "%s", name);
		l->malformed |= place_parse(l->pin, rule[n++], &parsed) != NULL;
	}
	if (n)
		return n;
	l->malformed = true;
	log_err("%s: give a role and %s", name, l->pin ? "CPUs, as in vcpu0=3" : "a policy, as in vcpu=fifo:1");
	return -EINVAL;
}

/* ---- the new plan ---- */

/* CPUs that were allowed at the start, or that a thread has which was never given any; of those, the ones on line. */
static void see_allowed(struct live *l)
{
	cpu_set_t online;

	l->trial.allowed = l->place->allowed_now;
	if (!hostfile_list(l->env->root, "/sys/devices/system/cpu/online", &online))
		CPU_AND(&l->trial.allowed, &l->trial.allowed, &online);
}

static void follow(struct place *trial)
{
	const struct placement *emulator = place_find(trial, PLACE_EMULATOR, 0);

	for (unsigned i = 0; i < trial->n; i++) {
		struct placement *row = &trial->row[i];

		if (row->role == PLACE_WORKER) {
			place_follow(trial, row);
		} else if (row->role == PLACE_HELPER) {
			row->touched = emulator->touched;
			row->cpus = emulator->cpus;
			row->pinned = emulator->pinned;
		}
	}
}

/* Threads that somebody else put right. */
static void forget_lost(struct place *place)
{
	for (unsigned i = 0; i < place->n; i++)
		if (!place->row[i].by_kernel && place_is_back(&place->row[i], &place->row[i].actual_sched))
			place->row[i].lost = false;
}

static int plan(struct live *l, const char *rules)
{
	char *rule[RULES];
	int n, err;

	place_read(l->place);
	forget_lost(l->place);
	n = keep_rules(l, rules, rule);
	if (n < 0)
		return n;
	l->trial = *l->place;
	l->trial.live = true;
	l->trial.row = calloc(l->place->n, sizeof(*l->trial.row));
	l->move = calloc(l->place->n, sizeof(*l->move));
	if (!l->trial.row || !l->move)
		return log_errno(-ENOMEM, "placement");
	memcpy(l->trial.row, l->place->row, l->place->n * sizeof(*l->trial.row));
	for (unsigned i = 0; i < l->trial.n; i++)
		l->trial.row[i].touched = false;
	see_allowed(l);
	err = place_rules(&l->trial, l->pin, rule, n);
	if (err)
		return err;
	follow(&l->trial);
	return place_check(&l->trial, l->env->cfg, l->env->root);
}

/* ---- hands ---- */

/* What goes to the emulator's CPUs is nobody's to give a policy. A loop without files has no worker. */
static bool concerned(const struct live *l, const struct placement *row)
{
	bool to_emulator = row->role == PLACE_HELPER || (row->role == PLACE_WORKER && row->index >= PLACE_OF_VCPU);

	return row->touched && (l->pin || !to_emulator) && (row->by_kernel || row->tid);
}

/* RLIMIT_NICE for a way between policies: to leave SCHED_IDLE takes the right to the nice value that was kept there. */
static rlim_t nice_needed(const struct place_sched *from, const struct place_sched *to)
{
	bool has_nice = to->policy == SCHED_OTHER || to->policy == SCHED_BATCH;
	int nice = has_nice ? to->prio : 0;

	if (from->policy == SCHED_IDLE && (!has_nice || from->prio < nice))
		nice = from->prio;
	return 20 - nice;
}

/* The kernel's answer to whether it may be: what is missing, and what would give it. */
static int sched_refused(struct live *l, const struct placement *row, const struct place_sched *was, int err)
{
	const char *const gave = "pinvm gave up its capabilities when the guest started";
	struct rlimit rt = {0}, nice = {0};

	getrlimit(RLIMIT_RTPRIO, &rt);
	getrlimit(RLIMIT_NICE, &nice);
	if (err == -EBUSY)
		return fails(l, err, "--sched %s: the CPUs have no bandwidth left for it (sched_rt_runtime_us)",
			RULE_SHOWN(row->sched_why));
	if (err != -EPERM && err != -EACCES)
		return fails(l, err, "--sched %s: %s: %s", RULE_SHOWN(row->sched_why), row->name, strerror(-err));
	if (row->sched.policy == SCHED_DEADLINE || was->policy == SCHED_DEADLINE)
		return fails(l, err, "--sched %s: not permitted: %s, and to take or leave a deadline needs CAP_SYS_NICE; give it at the start",
			RULE_SHOWN(row->sched_why), gave);
	if (place_is_realtime(row->sched.policy) && (was->policy != SCHED_IDLE || rt.rlim_cur < (rlim_t)row->sched.prio))
		return fails(l, err,
			"--sched %s: not permitted: %s, and RLIMIT_RTPRIO is %lu; as root: prlimit --pid %d --rtprio=%d, then again, or "
			"start it with that limit (ulimit -r %d)",
			RULE_SHOWN(row->sched_why), gave, (unsigned long)rt.rlim_cur, getpid(), row->sched.prio, row->sched.prio);
	return fails(l, err,
		"--sched %s: not permitted: %s, and RLIMIT_NICE is %lu; as root: prlimit --pid %d --nice=%lu, then again, or start it "
		"with that limit",
		RULE_SHOWN(row->sched_why), gave, (unsigned long)nice.rlim_cur, getpid(),
		(unsigned long)nice_needed(was, &row->sched));
}

/* What the limits of this process allow in the end, it may give itself. */
static void raise_limit(int which, rlim_t need)
{
	struct rlimit limit;

	if (getrlimit(which, &limit) || limit.rlim_cur >= need || limit.rlim_max < need)
		return;
	limit.rlim_cur = need;
	setrlimit(which, &limit);
}

static void raise_limits(const struct place_sched *from, const struct place_sched *to)
{
	if (place_is_realtime(to->policy))
		raise_limit(RLIMIT_RTPRIO, to->prio);
	if (from->policy == SCHED_IDLE || (!place_is_realtime(to->policy) && to->policy != SCHED_DEADLINE))
		raise_limit(RLIMIT_NICE, nice_needed(from, to));
}

static int give_sched(struct live *l, const struct placement *row, const struct place_sched *was)
{
	int err;

	raise_limits(was, &row->sched);
	if (row->by_kernel)
		err = place_move_tasks(l->place, &l->place->row[row - l->trial.row], NULL, &row->sched);
	else
		err = place_set_sched(row->tid, row, &row->sched);
	return err ? sched_refused(l, row, was, err) : 0;
}

/* Of a row of the kernel's: first the ring, so that what it makes from now on is right, then what it has made. */
static int set_cpus(struct live *l, unsigned i, const cpu_set_t *cpus)
{
	const struct placement *row = &l->place->row[i];
	int err;

	if (!row->by_kernel)
		return sched_setaffinity(row->tid, sizeof(*cpus), cpus) < 0 ? -errno : 0;
	err = l->env->workers(l->env->arg, row->index, cpus);
	return err ? err : place_move_tasks(l->place, row, cpus, NULL);
}

static int give_cpus(struct live *l, unsigned i)
{
	const struct placement *row = &l->trial.row[i];
	int err = set_cpus(l, i, &row->cpus);

	if (err == -EINVAL && row->by_kernel)
		return fails(l, err, "--pin %s: %s: this kernel does not move them (Linux 6.3 does); end the guest, and start it so",
			RULE_SHOWN(row->cpus_why), row->name);
	if (err == -ETIMEDOUT)
		return fails(l, err, "--pin %s: its loop gets no CPU to hear of it: %s", RULE_SHOWN(row->cpus_why), row->name);
	return err ? fails(l, err, "--pin %s: %s: %s", RULE_SHOWN(row->cpus_why), row->name, strerror(-err)) : 0;
}

static int apply(struct live *l)
{
	int err = 0;

	for (unsigned i = 0; i < l->trial.n && !err; i++) {
		struct place_move *m = &l->move[l->n];

		if (!concerned(l, &l->trial.row[i]))
			continue;
		m->row = &l->place->row[i];
		m->cpus = m->row->by_kernel ? m->row->cpus : m->row->actual_cpus;
		m->sched = m->row->by_kernel && !m->row->tasks ? m->row->sched : m->row->actual_sched;
		err = l->pin ? give_cpus(l, i) : give_sched(l, &l->trial.row[i], &m->sched);
		if (!err || m->row->by_kernel) /* a call that was refused did nothing; one of several may have */
			l->n++;
	}
	return err;
}

/* The kernel's own answer for every row that was given something. */
static int read_back(struct live *l)
{
	char wanted[CPUS_TEXT], is[CPUS_TEXT];

	place_read(l->place);
	for (unsigned i = 0; i < l->trial.n; i++) {
		const struct placement *want = &l->trial.row[i], *row = &l->place->row[i];

		if (!concerned(l, want) || (row->by_kernel ? !row->tasks : row->tid != want->tid))
			continue; /* there is none now, or it ended */
		if (l->pin && !CPU_EQUAL(&want->cpus, &row->actual_cpus)) {
			place_format_cpus(&want->cpus, wanted, sizeof(wanted));
			place_format_cpus(&row->actual_cpus, is, sizeof(is));
			return fails(l, -EXDEV, "--pin %s: %s: wanted on CPUs %s, the kernel says %s",
				RULE_SHOWN(want->cpus_why), row->name, wanted, is);
		}
		if (!l->pin && !place_same_sched(&want->sched, &row->actual_sched)) {
			place_format_sched(&want->sched, wanted, sizeof(wanted));
			place_format_sched(&row->actual_sched, is, sizeof(is));
			return fails(l, -EXDEV, "--sched %s: %s: wanted under %s, the kernel says %s",
				RULE_SHOWN(want->sched_why), row->name, wanted, is);
		}
	}
	return 0;
}

/* ---- back ---- */

/* Threads to be named in one line, vCPUs as a range. */
struct names {
	cpu_set_t vcpus;
	char others[256];
	unsigned n;
};

static void name_one(struct names *names, const struct placement *row)
{
	size_t len = strlen(names->others);

	names->n++;
	if (row->role == PLACE_VCPU)
		CPU_SET(row->index, &names->vcpus);
	else
		snprintf(names->others + len, sizeof(names->others) - len, "%s%s", len ? ", " : "", row->name);
}

static void __attribute__((format(printf, 3, 4))) add_why(struct live *l, const struct names *names, const char *fmt, ...)
{
	size_t len = strlen(l->why);
	char vcpus[CPUS_TEXT];
	va_list ap;

	place_format_cpus(&names->vcpus, vcpus, sizeof(vcpus));
	len += snprintf(l->why + len, sizeof(l->why) - len, "; %s%s%s%s", vcpus[0] ? "vcpu" : "", vcpus,
		vcpus[0] && names->others[0] ? ", " : "", names->others);
	if (len >= sizeof(l->why))
		return;
	va_start(ap, fmt);
	vsnprintf(l->why + len, sizeof(l->why) - len, fmt, ap);
	va_end(ap);
}

static int undo_one(struct live *l, const struct place_move *m)
{
	unsigned i = m->row - l->place->row;

	if (l->pin)
		return set_cpus(l, i, &m->cpus);
	raise_limits(&l->trial.row[i].sched, &m->sched);
	if (m->row->by_kernel)
		return place_move_tasks(l->place, m->row, NULL, &m->sched);
	return place_set_sched(m->row->tid, m->row, &m->sched);
}

/* What an earlier change left astray stays so until it is right: its home is still what it had before that one. */
static void lose(struct live *l, unsigned i, const struct place_sched *home)
{
	struct placement *row = &l->place->row[i];

	if (l->pin)
		return; /* its CPUs tell */
	if (!row->lost)
		row->home = *home;
	row->lost = true;
	l->trial.row[i].lost = false; /* it is named once */
}

static void undo(struct live *l)
{
	struct names stuck = {.n = 0}, astray = {.n = 0};
	int first = 0;

	while (l->n) {
		const struct place_move *m = &l->move[--l->n];
		int err = undo_one(l, m);

		if (!err || err == -ESRCH)
			continue;
		first = first ? first : err;
		name_one(&stuck, m->row);
		lose(l, m->row - l->place->row, &m->sched);
	}
	place_read(l->place);
	for (unsigned i = 0; i < l->place->planned; i++) {
		const struct placement *row = &l->place->row[i];

		if (l->trial.row[i].lost && (!row->by_kernel || row->tasks) && !place_is_back(row, &row->actual_sched))
			name_one(&astray, row);
	}
	if (stuck.n)
		add_why(l, &stuck, " can not go back to where %s (%s)", stuck.n > 1 ? "they were" : "it was", strerror(-first));
	if (astray.n)
		add_why(l, &astray, " still %s the policy that an earlier change left", astray.n > 1 ? "have" : "has");
	if (!stuck.n && !astray.n)
		snprintf(l->why + strlen(l->why), sizeof(l->why) - strlen(l->why), "; every thread is where it was");
}

/* ---- all of it ---- */

static void commit(struct live *l)
{
	for (unsigned i = 0; i < l->trial.n; i++) {
		struct placement *row = &l->place->row[i];
		const struct placement *want = &l->trial.row[i];

		place_want(row, want);
		if (!l->pin && want->touched)
			row->lost = false;
	}
	place_read(l->place); /* what is misplaced by the new plan */
	for (unsigned i = 0; i < l->n; i++) {
		struct placement *row = &l->place->row[l->move[i].row - l->place->row];

		if (!row->by_kernel && row->role != PLACE_HELPER)
			place_count(row, row->tid);
	}
}

int place_again(struct place *place, const struct place_env *env, bool pin, const char *rules, struct place_change *change)
{
	struct live l = {.place = place, .env = env, .pin = pin};
	int err = plan(&l, rules);

	*change = (struct place_change){.malformed = l.malformed};
	if (!err) {
		err = apply(&l);
		if (!err)
			err = read_back(&l);
		if (err) {
			undo(&l);
			log_err("%s", l.why);
		}
	}
	if (!err) {
		commit(&l);
		change->move = l.move;
		change->n = l.n;
		l.move = NULL;
	}
	free(l.move);
	free(l.trial.row);
	drop_texts(place);
	return err;
}
