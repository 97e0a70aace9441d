// SPDX-License-Identifier: Apache-2.0
/* A guest's threads, from its own report; see guest.h. */
#include "vmm/perf/guest.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/control/ask.h"
#include "vmm/guest.h"
#include "vmm/hostfile.h"
#include "vmm/log.h"
#include "vmm/options/values.h"

static bool is_plain(const char *text)
{
	while (*text >= ' ' && *text < 0x7f)
		text++;
	return !*text;
}

static void add(struct perf_guest *guest, const json_t *row, int vcpu)
{
	const char *name = json_string_value(json_object_get(row, "name"));
	json_int_t tid = json_integer_value(json_object_get(row, "tid"));
	struct perf_thread *thread = &guest->thread[guest->n];

	/* No tid: a task that the kernel makes when it needs it, and has not yet. */
	if (tid <= 0 || tid > INT_MAX || (vcpu < 0 && (!name || !is_plain(name))))
		return;
	thread->tid = tid;
	thread->vcpu = vcpu;
	if (vcpu < 0)
		snprintf(thread->name, sizeof(thread->name), "%s", name);
	else
		snprintf(thread->name, sizeof(thread->name), "vcpu%d", vcpu);
	guest->n++;
}

int perf_guest_threads(struct perf_guest *guest, const json_t *report, bool all)
{
	const json_t *vcpus = json_object_get(report, "vcpus");
	const json_t *others = all ? json_object_get(report, "threads") : NULL;
	size_t n = json_array_size(vcpus) + json_array_size(others);

	guest->thread = calloc(n ? n : 1, sizeof(*guest->thread));
	if (!guest->thread)
		return -ENOMEM;
	for (size_t i = 0; i < json_array_size(vcpus); i++)
		add(guest, json_array_get(vcpus, i), i);
	for (size_t i = 0; i < json_array_size(others); i++)
		add(guest, json_array_get(others, i), -1);
	return guest->n ? 0 : -EPROTO;
}

/*
 * The number is the guest's own, which is another where the guest is in a PID namespace and pinvm perf is
 * not; and a process whose threads these are not is not touched.
 */
static int check_threads(const struct perf_guest *guest)
{
	char path[64], name[32];

	for (unsigned i = 0; i < guest->n; i++) {
		const struct perf_thread *t = &guest->thread[i];
		int err;

		snprintf(path, sizeof(path), "/proc/%d/task/%d/comm", (int)guest->pid, (int)t->tid);
		err = hostfile_text("", path, name, sizeof(name));
		if (!err && (t->vcpu < 0 || !strcmp(name, t->name)))
			continue;
		if (kill(guest->pid, 0) && errno == ESRCH)
			log_err("perf: %s: the guest has ended", guest->name);
		else
			log_err("perf: %s: its thread %s (tid %d) is not in process %d as seen from here: "
				"run pinvm perf in the guest's "
				"PID namespace",
				guest->name, t->name, (int)t->tid, (int)guest->pid);
		return END_SETUP;
	}
	return 0;
}

static int no_report(const struct ask *ask, int err, const json_t *why)
{
	if (err != -ASK_REFUSED)
		return ask_no_answer(ask, err);
	log_err("%s: %s", ask->name, json_is_string(why) ? json_string_value(why) : "refused");
	return END_SETUP;
}

int perf_guest_find(struct perf_guest *guest, const char *name, bool all)
{
	struct ask ask;
	json_t *report = NULL;
	int status, err;

	*guest = (struct perf_guest){.pidfd = -1};
	status = ask_open(&ask, name);
	if (status)
		return status;
	err = ask_for(&ask, "report", &report);
	if (err) {
		status = no_report(&ask, err, report);
		goto out;
	}
	status = END_SETUP;
	guest->pid = ask.pid;
	name = json_string_value(json_object_get(report, "name"));
	guest->name = strdup(name && !value_name(name) ? name : ask.name); /* who answers may be anybody */
	err = guest->name ? perf_guest_threads(guest, report, all) : -ENOMEM;
	if (err) {
		log_errno(err, "perf: %s: its report", ask.name);
		goto out;
	}
	guest->pidfd = syscall(SYS_pidfd_open, guest->pid, 0);
	if (guest->pidfd < 0)
		log_errno(-errno, "perf: %s: process %d", guest->name, (int)guest->pid);
	else
		status = check_threads(guest);
out:
	json_decref(report);
	return status;
}

void perf_guest_free(struct perf_guest *guest)
{
	if (guest->pidfd >= 0)
		close(guest->pidfd);
	free(guest->thread);
	free(guest->name);
}
