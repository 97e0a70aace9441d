// SPDX-License-Identifier: Apache-2.0
/* A guest's cgroup, the VMM's end of it; see cgroup.h. Main. */
#include "vmm/cgroup/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/cgroup/steps.h"
#include "vmm/guardian.h"
#include "vmm/hostfile.h"
#include "vmm/log.h"
#include "vmm/options/values.h"
#include "vmm/place/place.h"
#include "vmm/report/parts.h"

/* What is read again and again, by descriptors that are open before privileges drop. */
enum { FILE_STAT, FILE_WEIGHT, FILE_MAX, FILES };
static const char *const names[FILES] = {"cpu.stat", "cpu.weight", "cpu.max"};

struct cgroup {
	struct cgroup_plan plan;
	struct cgroup_work work;
	struct guardian *guardian;
	unsigned first; /* step of the guardian's */
	bool made;
	int fd[FILES]; /* -1: the kernel has no such file */
};

/* Neither weight nor max reach them; only a shorter sched_rt_runtime_us does. */
static void doubt_realtime(const struct guest_config *cfg)
{
	struct place_rule rule;

	for (unsigned i = 0; i < cfg->nscheds && (cfg->cgroup.weight || cfg->cgroup.max); i++)
		if (!place_parse_sched(cfg->scheds[i], &rule) &&
			(rule.sched.policy == SCHED_FIFO || rule.sched.policy == SCHED_RR ||
				rule.sched.policy == SCHED_DEADLINE))
			log_warn(
				"--cgroup %s: weight and max do not hold back real-time threads (--sched %s)",
				cfg->cgroup.path, cfg->scheds[i]);
}

int cgroup_open_at(
	struct cgroup **out, const struct guest_config *cfg, struct guardian_plan *plan, const char *root)
{
	struct cgroup *cg;
	int err;

	*out = NULL;
	if (!cfg->cgroup.path)
		return 0;
	cg = calloc(1, sizeof(*cg));
	if (!cg)
		return log_errno(-ENOMEM, "--cgroup %s", cfg->cgroup.path);
	for (int i = 0; i < FILES; i++)
		cg->fd[i] = -1;
	cg->work.parent = cg->work.home = -1;
	err = cgroup_find(&cg->plan, cfg, root);
	if (!err)
		err = cgroup_steps(&cg->work, &cg->plan, plan, &cg->first);
	if (err) {
		cgroup_free(cg);
		return err;
	}
	doubt_realtime(cfg);
	*out = cg;
	return 0;
}

int cgroup_open(struct cgroup **cg, const struct guest_config *cfg, struct guardian_plan *plan)
{
	return cgroup_open_at(cg, cfg, plan, "");
}

void cgroup_free(struct cgroup *cg)
{
	if (!cg)
		return;
	for (int i = 0; i < FILES; i++)
		if (cg->fd[i] >= 0)
			close(cg->fd[i]);
	cgroup_steps_close(&cg->work);
	free(cg);
}

/* ---- what the kernel says ---- */

/* The file as it is now, without its last line's end. 0 or -errno. */
static int read_now(const struct cgroup *cg, int file, char *out, size_t n)
{
	ssize_t got;

	*out = '\0';
	if (cg->fd[file] < 0)
		return -ENOENT;
	got = pread(cg->fd[file], out, n - 1, 0);
	if (got < 0)
		return -errno;
	out[got] = '\0';
	if (got && out[got - 1] == '\n')
		out[got - 1] = '\0';
	return 0;
}

/* Of a cgroup without the cpu controller: -ENOENT. */
static int read_weight(const struct cgroup *cg, uint64_t *weight)
{
	char text[64];
	int err = read_now(cg, FILE_WEIGHT, text, sizeof(text));

	if (!err && value_uint(text, weight))
		err = -EPROTO;
	return err;
}

static int read_max(const struct cgroup *cg, struct cgroup_max *max)
{
	char text[64];
	int err = read_now(cg, FILE_MAX, text, sizeof(text));

	if (!err && !cgroup_read_max(text, max))
		err = -EPROTO;
	return err;
}

static void open_files(struct cgroup *cg)
{
	char path[PATH_MAX + 64];

	for (int i = 0; i < FILES; i++) {
		snprintf(path, sizeof(path), "%s%s/%s", cg->plan.root, cg->plan.dir, names[i]);
		cg->fd[i] = open(path, O_RDONLY | O_CLOEXEC);
	}
}

/* Is this process among those of the cgroup? Any number of others may be. */
static int check_member(const struct cgroup *cg)
{
	char path[PATH_MAX + 64], *line = NULL;
	size_t size = 0;
	int err = -ESRCH;
	FILE *f;

	snprintf(path, sizeof(path), "%s%s/cgroup.procs", cg->plan.root, cg->plan.dir);
	f = fopen(path, "re");
	if (!f)
		return log_errno(-errno, "--cgroup %s: %s", cg->plan.typed, path);
	while (err && getline(&line, &size, f) > 0)
		if (atoi(line) == (int)getpid())
			err = 0;
	free(line);
	fclose(f);
	if (err)
		log_err("--cgroup %s: this process was moved there, and is not in %s", cg->plan.typed, path);
	return err;
}

/* ---- having it done ---- */

static int ask(struct cgroup *cg, enum cgroup_step step, uint64_t a, uint64_t b, uint64_t *answer)
{
	uint64_t arg[GUARDIAN_ARGS] = {a, b};
	int err = guardian_ask(cg->guardian, cg->first + step, arg);

	if (!err && answer)
		*answer = arg[0];
	return err;
}

static int why_not(int err, const char *file, char *why, size_t n)
{
	if (err == -EPIPE)
		snprintf(why, n, "the guardian, which sets it, is gone");
	else if (err == -ETIMEDOUT)
		snprintf(why, n, "no answer from the guardian, which sets it");
	else if (err == -ENOENT || err == -ENODEV)
		snprintf(why, n, "the cgroup has no %s: the cpu controller is not on for it", file);
	else
		snprintf(why, n, "%s: %s", file, strerror(-err));
	return err;
}

static int set_weight(struct cgroup *cg, uint64_t weight, char *why, size_t n)
{
	uint64_t now = 0;
	int err = cg->fd[FILE_WEIGHT] < 0 ? -ENOENT : ask(cg, CGROUP_WEIGHT, weight, 0, NULL);

	if (!err)
		err = read_weight(cg, &now);
	if (err)
		return why_not(err, names[FILE_WEIGHT], why, n);
	if (now == weight)
		return 0;
	snprintf(why, n, "weight %" PRIu64 " was set, and the kernel says %" PRIu64, weight, now);
	return -EIO;
}

static int set_max(struct cgroup *cg, const struct cgroup_max *max, char *why, size_t n)
{
	struct cgroup_max now;
	int err = cg->fd[FILE_MAX] < 0 ? -ENOENT : ask(cg, CGROUP_MAX, max->quota_us, max->period_us, NULL);
	char a[64], b[64];

	if (!err)
		err = read_max(cg, &now);
	if (err)
		return why_not(err, names[FILE_MAX], why, n);
	if (now.quota_us == max->quota_us && now.period_us == max->period_us)
		return 0;
	cgroup_format_max(max, a, sizeof(a));
	cgroup_format_max(&now, b, sizeof(b));
	snprintf(why, n, "max %s was set, and the kernel says %s", a, b);
	return -EIO;
}

int cgroup_set(struct cgroup *cg, uint64_t weight, const struct cgroup_max *max, char *why, size_t n)
{
	uint64_t before = 0;
	int err;

	if (weight && max->period_us)
		read_weight(cg, &before);
	err = weight ? set_weight(cg, weight, why, n) : 0;
	if (err || !max->period_us)
		return err;
	err = set_max(cg, max, why, n);
	/* Both or none; what cannot be put back either is for the next one who looks. */
	if (err && before)
		ask(cg, CGROUP_WEIGHT, before, 0, NULL);
	return err;
}

static int refuse(const struct cgroup *cg, enum cgroup_step step, int err)
{
	const char *typed = cg->plan.typed, *dir = cg->plan.dir;

	if (err == -EACCES || err == -EPERM)
		log_err("--cgroup %s: no permission to %s %s; %s", typed,
			step == CGROUP_MAKE ? "make" : "move a process into", dir, cgroup_delegation);
	else if (step == CGROUP_JOIN && err == -EBUSY)
		log_err("--cgroup %s: %s has controllers on for its children (cgroup.subtree_control), so no "
			"process can be in it; name a "
			"child of it",
			typed, dir);
	else
		log_errno(err, "--cgroup %s: %s", typed, step == CGROUP_MAKE ? "mkdir" : "cgroup.procs");
	return err;
}

int cgroup_enter(struct cgroup *cg, struct guardian *guardian)
{
	uint64_t made = 0;
	char why[160];
	int err;

	if (!cg)
		return 0;
	cg->guardian = guardian;
	cgroup_steps_close(&cg->work);
	err = ask(cg, CGROUP_MAKE, 0, 0, &made);
	if (err)
		return refuse(cg, CGROUP_MAKE, err);
	cg->made = made;
	open_files(cg);
	err = cgroup_set(cg, cg->plan.weight, &cg->plan.max, why, sizeof(why));
	if (err) {
		log_err("--cgroup %s: %s", cg->plan.typed, why);
		return err;
	}
	err = ask(cg, CGROUP_JOIN, 0, 0, NULL);
	if (err)
		return refuse(cg, CGROUP_JOIN, err);
	log_info("cgroup: %s%s, guardian %d", cg->plan.dir, cg->made ? ", made" : "",
		(int)guardian_pid(guardian));
	return check_member(cg);
}

/* ---- what is shown ---- */

static json_t *weight_json(const struct cgroup *cg)
{
	uint64_t weight;

	return read_weight(cg, &weight) ? json_null() : json_integer((json_int_t)weight);
}

static json_t *us_json(uint64_t us)
{
	return us == CGROUP_NO_QUOTA ? json_null() : json_integer((json_int_t)us);
}

static void add_max(json_t *to, const struct cgroup *cg)
{
	struct cgroup_max max;
	char text[64];
	bool told = !read_max(cg, &max);

	if (told)
		cgroup_format_max(&max, text, sizeof(text));
	json_object_set_new(to, "max", told ? json_string(text) : json_null());
	json_object_set_new(to, "quota_usec", told ? us_json(max.quota_us) : json_null());
	json_object_set_new(to, "period_usec", told ? us_json(max.period_us) : json_null());
}

/* cpu.stat under the kernel's own names: usage_usec, nr_throttled, throttled_usec and more. */
static void add_stat(json_t *to, const struct cgroup *cg)
{
	char text[2048], *save, name[64];
	uint64_t n;

	if (read_now(cg, FILE_STAT, text, sizeof(text)))
		return;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (sscanf(line, "%63s %" SCNu64, name, &n) == 2)
			json_object_set_new(to, name, json_integer((json_int_t)n));
}

json_t *cgroup_json(const struct cgroup *cg)
{
	json_t *json;

	if (!cg)
		return json_null();
	json = json_pack("{s:o, s:b, s:o}", "path", report_text(cg->plan.dir), "created", cg->made, "weight",
		weight_json(cg));
	if (!json)
		return NULL;
	add_max(json, cg);
	add_stat(json, cg);
	return json;
}

/* The CPUs that it leaves to those in it, of one that is there. */
static void plan_cpus(const struct cgroup_plan *plan, char *out, size_t n)
{
	char path[PATH_MAX + 64];

	snprintf(path, sizeof(path), "%s/cpuset.cpus.effective", plan->dir);
	if (!plan->exists || hostfile_text(plan->root, path, out, n) || !*out)
		snprintf(out, n, "as above");
}

int cgroup_print_plan(FILE *out, const struct guest_config *cfg)
{
	char weight[24] = "as it is", max[64] = "as it is", cpus[256];
	struct cgroup_plan plan;
	int err;

	if (!cfg->cgroup.path)
		return 0;
	err = cgroup_find(&plan, cfg, "");
	if (err)
		return err;
	if (plan.weight)
		snprintf(weight, sizeof(weight), "%" PRIu64, plan.weight);
	if (plan.max.period_us)
		cgroup_format_max(&plan.max, max, sizeof(max));
	plan_cpus(&plan, cpus, sizeof(cpus));
	fprintf(out, "\n%-36s  %-8s  %-10s  %-8s  %s\n", "cgroup", "weight", "max", "CPUs", "what becomes of it");
	fprintf(out, "%-36s  %-8s  %-10s  %-8s  %s\n", plan.dir, weight, max, cpus,
		plan.exists ? "stays, and gets back what it had" : "made for the guest, removed with it");
	return 0;
}
