// SPDX-License-Identifier: Apache-2.0
/* Counters on another process's threads; see counters.h. */
#include "vmm/perf/counters.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/hostfile.h"
#include "vmm/log.h"

#define PARANOID "/proc/sys/kernel/perf_event_paranoid"

static bool has_side(const struct perf_event *event, enum perf_side side)
{
	return event->split ? side != PERF_BOTH : side == PERF_BOTH;
}

static int open_event(const struct perf_event *event, enum perf_side side, pid_t tid, int leader)
{
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.type = event->type,
		.config = event->config,
		.read_format =
			PERF_FORMAT_GROUP | PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING,
		.disabled = leader < 0,
		.exclude_host = side == PERF_GUEST,
		.exclude_guest = side == PERF_HOST,
	};
	int fd = syscall(SYS_perf_event_open, &attr, tid, -1, leader, PERF_FLAG_FD_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* ---- what is said ---- */

void perf_refusal(int err, int paranoid, char *out, size_t n)
{
	if (paranoid >= 2)
		snprintf(out, n,
			"not permitted: kernel.perf_event_paranoid is %d; as root, allow your own processes: "
			"sysctl "
			"kernel.perf_event_paranoid=1, or run pinvm perf with CAP_PERFMON (as root)",
			paranoid);
	else if (err == -EPERM)
		snprintf(out, n,
			"not permitted: a filter of system calls, as containers have, or a security module "
			"refuses "
			"perf_event_open(2); run pinvm perf outside, or with CAP_PERFMON");
	else
		snprintf(out, n,
			"not permitted: the guest runs as another user, or with rights that this process "
			"does not have; "
			"run pinvm perf as that user, or with CAP_PERFMON and CAP_SYS_PTRACE (as root)");
}

static int refused(int err)
{
	char text[16], why[320];
	bool known = !hostfile_text("", PARANOID, text, sizeof(text));

	perf_refusal(err, known ? atoi(text) : -2, why, sizeof(why));
	log_err("perf: %s", why);
	return err;
}

/* Is it the event that this machine lacks? */
static const char *lacks(int err)
{
	switch (err) {
	case -ENOENT:
	case -ENODEV:
	case -EOPNOTSUPP:
	case -EINVAL:
		return "this CPU or its kernel does not count it";
	case -EBUSY:
		return "somebody else has the counter to himself";
	default:
		return NULL;
	}
}

static int no_counter(int err, const struct perf_guest *guest)
{
	if (err == -EACCES || err == -EPERM)
		return refused(err);
	if (err == -ENOSYS)
		log_err("perf: this kernel has no perf_event_open(2) (CONFIG_PERF_EVENTS)");
	else if (err == -EMFILE)
		log_err("perf: the limit of open files (ulimit -Hn) leaves no room for the counters of %u "
			"threads; choose fewer "
			"events with -e",
			guest->n);
	else if (err != -ESRCH)
		log_errno(err, "perf_event_open");
	return err;
}

/* ---- opening ---- */

/* The kernel's answer to the event on this thread alone, not counted. */
static int probe(const struct perf_event *event, pid_t tid)
{
	int err = 0;

	for (enum perf_side side = 0; side < PERF_SIDES && !err; side++) {
		int fd = has_side(event, side) ? open_event(event, side, tid, -1) : -1;

		if (fd >= 0)
			close(fd);
		else if (has_side(event, side))
			err = fd;
	}
	return err;
}

/* Look what can be had on the first thread, before counters of all of them are made. */
static int probe_all(struct perf_selection *events, const struct perf_guest *guest, bool asked)
{
	for (unsigned i = 0; i < events->n;) {
		struct perf_event *event = &events->event[i];
		int err = probe(event, guest->thread[0].tid);

		/* Some PMUs count, but cannot tell a guest from its host. */
		if (event->split && lacks(err)) {
			event->split = false;
			err = probe(event, guest->thread[0].tid);
		}
		if (!err) {
			i++;
		} else if (!lacks(err)) {
			return no_counter(err, guest);
		} else if (asked) {
			log_err("perf: -e %s: %s", event->name, lacks(err));
			return err;
		} else {
			perf_drop(events, i, lacks(err));
		}
	}
	return 0;
}

static bool leads(const struct perf_selection *events, unsigned i, enum perf_side side)
{
	return !i || events->event[i - 1].group != events->event[i].group ||
	       !has_side(&events->event[i - 1], side);
}

static int open_thread(struct perf_counters *c, unsigned thread, pid_t tid)
{
	for (enum perf_side side = 0; side < PERF_SIDES; side++) {
		int leader = -1;

		for (unsigned i = 0; i < c->events->n; i++) {
			int *fd = &c->fd[perf_at(c->events, thread, i, side)];

			if (!has_side(&c->events->event[i], side))
				continue;
			if (leads(c->events, i, side))
				leader = -1;
			*fd = open_event(&c->events->event[i], side, tid, leader);
			if (*fd < 0)
				return *fd;
			leader = leader < 0 ? *fd : leader;
		}
	}
	return 0;
}

/* A counter is an open file: as many as may be. */
static void raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static void start(const struct perf_counters *c)
{
	for (unsigned t = 0; t < c->threads; t++)
		for (enum perf_side side = 0; side < PERF_SIDES; side++)
			for (unsigned i = 0; i < c->events->n; i++)
				if (has_side(&c->events->event[i], side) && leads(c->events, i, side))
					ioctl(c->fd[perf_at(c->events, t, i, side)], PERF_EVENT_IOC_ENABLE,
						PERF_IOC_FLAG_GROUP);
}

int perf_counters_open(
	struct perf_counters *c, const struct perf_guest *guest, struct perf_selection *events, bool asked)
{
	size_t n;
	int err;

	*c = (struct perf_counters){.events = events};
	raise_limit();
	err = probe_all(events, guest, asked);
	if (err)
		return err;
	n = perf_at(events, guest->n, 0, 0);
	c->fd = malloc((n + 1) * sizeof(*c->fd));
	c->count = calloc(n + 1, sizeof(*c->count));
	if (!c->fd || !c->count)
		return log_errno(-ENOMEM, "perf: counters");
	memset(c->fd, 0xff, (n + 1) * sizeof(*c->fd));
	c->threads = guest->n;
	for (unsigned t = 0; t < guest->n; t++) {
		err = open_thread(c, t, guest->thread[t].tid);
		if (err)
			return no_counter(err, guest);
	}
	start(c);
	return 0;
}

void perf_counters_close(struct perf_counters *c)
{
	size_t n = c->threads ? perf_at(c->events, c->threads, 0, 0) : 0;

	for (size_t i = 0; i < n; i++)
		if (c->fd[i] >= 0)
			close(c->fd[i]);
	free(c->fd);
	free(c->count);
}

/* ---- reading ---- */

/* One group: its leader's file has the counts of all, and the times. */
static int read_group(struct perf_counters *c, unsigned thread, unsigned first, enum perf_side side)
{
	struct {
		uint64_t nr, enabled, running, value[PERF_EVENTS];
	} data;
	ssize_t got = read(c->fd[perf_at(c->events, thread, first, side)], &data, sizeof(data));

	if (got < 0)
		return log_errno(-errno, "perf: reading counters");
	if (got < (ssize_t)(3 * sizeof(uint64_t)) || data.nr > PERF_EVENTS ||
		first + data.nr > c->events->n || got < (ssize_t)((3 + data.nr) * sizeof(uint64_t)))
		return log_errno(-EIO, "perf: reading counters");
	for (unsigned i = 0; i < data.nr; i++)
		c->count[perf_at(c->events, thread, first + i, side)] =
			(struct perf_count){data.value[i], data.enabled, data.running};
	return 0;
}

int perf_counters_read(struct perf_counters *c)
{
	for (unsigned t = 0; t < c->threads; t++)
		for (enum perf_side side = 0; side < PERF_SIDES; side++)
			for (unsigned i = 0; i < c->events->n; i++) {
				int err = 0;

				if (has_side(&c->events->event[i], side) && leads(c->events, i, side))
					err = read_group(c, t, i, side);
				if (err)
					return err;
			}
	return 0;
}

struct perf_count perf_count_since(const struct perf_count *now, const struct perf_count *before)
{
	return (struct perf_count){
		now->value - before->value, now->enabled - before->enabled, now->running - before->running};
}

struct perf_value perf_scale(const struct perf_count *count)
{
	unsigned __int128 n = count->value;

	if (!count->enabled || count->running >= count->enabled)
		return (struct perf_value){true, count->value, 1};
	if (!count->running)
		return (struct perf_value){false, 0, 0};
	n = n * count->enabled / count->running;
	return (struct perf_value){
		true, n > UINT64_MAX ? UINT64_MAX : (uint64_t)n, (double)count->running / count->enabled};
}

struct perf_value perf_sum(const struct perf_value *a, const struct perf_value *b)
{
	if (!a->known || !b->known)
		return (struct perf_value){false, 0, 0};
	return (struct perf_value){true, a->n + b->n, a->counted < b->counted ? a->counted : b->counted};
}
