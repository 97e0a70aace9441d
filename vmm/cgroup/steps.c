// SPDX-License-Identifier: Apache-2.0
/* A cgroup's part of the guardian's table; see steps.h. Runs in the guardian, but for what prepares it. */
#include "vmm/cgroup/steps.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/log.h"
#include "vmm/util.h"

#define EMPTY_NS 1000000000ULL /* how long a cgroup that is to go may take to be left by all */

/* ---- small files ---- */

static int read_small(int dir, const char *file, char *out, size_t n)
{
	int fd = openat(dir, file, O_RDONLY | O_CLOEXEC);
	ssize_t got;
	int err = 0;

	if (fd < 0)
		return -errno;
	got = read(fd, out, n - 1);
	if (got < 0)
		err = -errno;
	out[got > 0 ? got : 0] = '\0';
	out[strcspn(out, "\n")] = '\0';
	close(fd);
	return err;
}

static int write_small(int dir, const char *file, const char *text)
{
	int fd = openat(dir, file, O_WRONLY | O_TRUNC | O_CLOEXEC);
	int err = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		err = -errno;
	close(fd);
	return err;
}

/* Remember what was there at the first time, and what the kernel makes of ours. */
static int set_kept(int dir, struct cgroup_kept *kept, const char *text)
{
	char now[sizeof(kept->before)];
	int err = read_small(dir, kept->file, now, sizeof(now));

	if (!err)
		err = write_small(dir, kept->file, text);
	if (err)
		return err;
	if (!*kept->ours)
		snprintf(kept->before, sizeof(kept->before), "%s", now);
	return read_small(dir, kept->file, kept->ours, sizeof(kept->ours));
}

/* Of a cgroup that goes itself there is nothing to put back, nor of one that somebody else removed. */
static int put_back(const struct cgroup_work *work, const struct cgroup_kept *kept, const char **why)
{
	char now[sizeof(kept->ours)];
	int err;

	*why = "the cgroup's weight or max could not be put back";
	if (work->made)
		return 0;
	err = read_small(work->dir, kept->file, now, sizeof(now));
	if (!err && !strcmp(now, kept->ours))
		err = write_small(work->dir, kept->file, kept->before);
	return err == -ENOENT || err == -ENODEV ? 0 : err;
}

/* ---- the steps ---- */

static const char *own_name(const struct cgroup_work *work)
{
	return strrchr(work->plan->dir, '/') + 1;
}

static int make(void *ctx, uint64_t arg[GUARDIAN_ARGS])
{
	struct cgroup_work *work = ctx;

	if (work->dir >= 0)
		return -EALREADY;
	work->made = !mkdirat(work->parent, own_name(work), 0755);
	if (!work->made && errno != EEXIST)
		return -errno;
	work->dir = openat(work->parent, own_name(work), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (work->dir < 0) {
		int err = -errno;

		if (work->made)
			unlinkat(work->parent, own_name(work), AT_REMOVEDIR);
		return err;
	}
	arg[0] = work->made;
	return 0;
}

/* Has another taken the place of the one that was made? */
static bool is_ours(const struct cgroup_work *work)
{
	struct stat a, b;

	return !fstat(work->dir, &a) && !fstatat(work->parent, own_name(work), &b, AT_SYMLINK_NOFOLLOW) &&
	       a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

/* The last thread may be on its way out. */
static int unmake(void *ctx, bool alive, const char **why)
{
	struct cgroup_work *work = ctx;
	uint64_t end = now_ns() + EMPTY_NS;
	struct pollfd events = {
		.fd = openat(work->dir, "cgroup.events", O_RDONLY | O_CLOEXEC), .events = POLLPRI};
	int err = 0;

	*why = "the cgroup it made could not be removed, others use it by now";
	while (work->made && is_ours(work)) {
		char text[256];

		err = unlinkat(work->parent, own_name(work), AT_REMOVEDIR) ? -errno : 0;
		if (err != -EBUSY || now_ns() > end)
			break;
		poll(&events, 1, 20);
		read_small(work->dir, "cgroup.events", text, sizeof(text));
		lseek(events.fd, 0, SEEK_SET);
		err = read(events.fd, text, sizeof(text)) < 0 ? -errno : 0; /* or it is ready for ever */
	}
	if (events.fd >= 0)
		close(events.fd);
	return err;
}

static int set_weight(void *ctx, uint64_t arg[GUARDIAN_ARGS])
{
	struct cgroup_work *work = ctx;
	char text[24];

	if (!cgroup_weight_ok(arg[0]) || arg[1])
		return -EINVAL;
	snprintf(text, sizeof(text), "%" PRIu64, arg[0]);
	return set_kept(work->dir, &work->weight, text);
}

static int unset_weight(void *ctx, bool alive, const char **why)
{
	struct cgroup_work *work = ctx;

	return put_back(work, &work->weight, why);
}

static int set_max(void *ctx, uint64_t arg[GUARDIAN_ARGS])
{
	struct cgroup_max max = {arg[0], arg[1]};
	struct cgroup_work *work = ctx;
	char text[64];

	if (!cgroup_max_ok(&max))
		return -EINVAL;
	cgroup_write_max(&max, text, sizeof(text));
	return set_kept(work->dir, &work->max, text);
}

static int unset_max(void *ctx, bool alive, const char **why)
{
	struct cgroup_work *work = ctx;

	return put_back(work, &work->max, why);
}

static void format_pid(const struct cgroup_work *work, char out[24])
{
	snprintf(out, 24, "%d", (int)work->vmm);
}

static int join(void *ctx, uint64_t arg[GUARDIAN_ARGS])
{
	struct cgroup_work *work = ctx;
	char pid[24];

	format_pid(work, pid);
	return write_small(work->dir, "cgroup.procs", pid);
}

/*
 * Back to where the VMM came from, so that the cgroup that was made is empty. It stays in one that was there
 * before: what an operator limits there holds to the last. A pid of the dead may be another's by now.
 */
static int leave(void *ctx, bool alive, const char **why)
{
	struct cgroup_work *work = ctx;
	char pid[24];

	if (!alive || !work->made)
		return 0;
	format_pid(work, pid);
	if (write(work->home, pid, strlen(pid)) < 0 && errno != ESRCH)
		return -errno;
	return 0;
}

/* What is done, and how it is undone. */
static const struct guardian_step table[CGROUP_STEPS] = {
	[CGROUP_MAKE] = {make, unmake},
	[CGROUP_WEIGHT] = {set_weight, unset_weight},
	[CGROUP_MAX] = {set_max, unset_max},
	[CGROUP_JOIN] = {join, leave},
};

/* ---- main prepares ---- */

static int open_below(const struct cgroup_plan *plan, const char *dir, const char *file, int flags)
{
	char path[PATH_MAX + 64];

	snprintf(path, sizeof(path), "%s%s%s", plan->root, dir, file);
	return open(path, flags | O_CLOEXEC);
}

int cgroup_steps(struct cgroup_work *work, const struct cgroup_plan *plan, struct guardian_plan *guardian,
	unsigned *first)
{
	char parent[PATH_MAX];
	const char *name;

	memset(work, 0, sizeof(*work));
	work->plan = plan;
	work->vmm = getpid();
	work->dir = -1;
	work->home = -1;
	work->weight.file = "cpu.weight";
	work->max.file = "cpu.max";
	cgroup_parent(plan, parent, &name);
	work->parent = open_below(plan, parent, "", O_RDONLY | O_DIRECTORY);
	if (work->parent < 0)
		return log_errno(-errno, "--cgroup %s: %s", plan->typed, parent);
	if (*plan->home)
		work->home = open_below(plan, plan->home, "/cgroup.procs", O_WRONLY);
	guardian_plan_fd(guardian, work->parent);
	guardian_plan_fd(guardian, work->home);
	if (plan->override)
		guardian->caps |= 1ULL << CAP_DAC_OVERRIDE;
	if (plan->cpuset)
		guardian->caps |= 1ULL << CAP_SYS_NICE;
	*first = guardian->n;
	for (unsigned i = 0; i < CGROUP_STEPS; i++) {
		struct guardian_step step = table[i];

		step.ctx = work;
		guardian_plan_step(guardian, &step);
	}
	return 0;
}

void cgroup_steps_close(struct cgroup_work *work)
{
	if (work->parent >= 0)
		close(work->parent);
	if (work->home >= 0)
		close(work->home);
	work->parent = work->home = -1;
}
