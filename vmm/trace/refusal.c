// SPDX-License-Identifier: Apache-2.0
/* What to say where the kernel does not let us trace: what is missing, and how to allow it. One thread. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "vmm/hostfile.h"
#include "vmm/trace/priv.h"

#define CAP_SYS_ADMIN_BIT 21
#define CAP_PERFMON_BIT	  38
#define MAY_ALL		  (-1) /* kernel.perf_event_paranoid that lets everybody have raw tracepoints */
#define MAY_PERFMON	  2    /* above it, kernels of Debian and Ubuntu take CAP_SYS_ADMIN only */

static bool has_capability(const char *root, unsigned bit)
{
	char text[32];

	if (hostfile_line(root, "/proc/self/status", "CapEff:", text, sizeof(text)))
		return false;
	return strtoull(text, NULL, 16) >> bit & 1;
}

/* What the kernel asks for, by the only measure there is of it; "unknown" and one that matches none. */
static int read_paranoid(const char *root, char *text, size_t n)
{
	char *end;
	long level;

	if (!hostfile_text(root, "/proc/sys/kernel/perf_event_paranoid", text, n)) {
		level = strtol(text, &end, 10);
		if (end != text && !*end && level >= MAY_ALL && level <= 100)
			return level;
	}
	snprintf(text, n, "unknown");
	return MAY_PERFMON;
}

static void say_refused(const char *root, char *why, size_t n)
{
	bool perfmon = has_capability(root, CAP_PERFMON_BIT), admin = has_capability(root, CAP_SYS_ADMIN_BIT);
	char text[24];
	int paranoid = read_paranoid(root, text, sizeof(text));

	if (perfmon && !admin && paranoid > MAY_PERFMON)
		snprintf(why, n,
			"perf_event_open is refused although this process has CAP_PERFMON: "
			"kernel.perf_event_paranoid "
			"is %s, and above 2 some distributions' kernels want CAP_SYS_ADMIN; set "
			"kernel.perf_event_paranoid=2, or run it as root",
			text);
	else if (perfmon || admin)
		snprintf(why, n,
			"perf_event_open is refused although this process has CAP_PERFMON: a container's "
			"seccomp "
			"profile or a security module forbids it, and must allow it");
	else if (paranoid <= MAY_ALL)
		snprintf(why, n,
			"perf_event_open is refused: the guest runs as another user, or with rights this "
			"process "
			"has not; be that user, or have CAP_PERFMON");
	else
		snprintf(why, n,
			"perf_event_open is refused: CAP_PERFMON is missing (before Linux 5.8 "
			"CAP_SYS_ADMIN), and "
			"kernel.perf_event_paranoid is %s; run it as root or with that capability, or set "
			"kernel.perf_event_paranoid=-1",
			text);
}

void trace_say_open(int err, int tid, const char *root, char *why, size_t n)
{
	if (err == -EACCES || err == -EPERM)
		say_refused(root, why, n);
	else if (err == -ENOSYS)
		snprintf(why, n, "this kernel has no perf_event_open (CONFIG_PERF_EVENTS)");
	else if (err == -ESRCH)
		snprintf(why, n, "thread %d is gone: the guest ended or restarted", tid);
	else if (err == -EMFILE || err == -ENFILE)
		snprintf(why, n,
			"too few open files for the events of all vCPUs: raise the limit (ulimit -n, "
			"LimitNOFILE=)");
	else
		snprintf(why, n, "perf_event_open of thread %d: %s", tid, strerror(-err));
}

void trace_say_locked(int err, unsigned vcpus, const char *root, char *why, size_t n)
{
	char kb[24] = "unknown";
	struct rlimit limit;

	if (err != -ENOMEM) {
		snprintf(why, n, "the rings of %u vCPUs: %s", vcpus, strerror(-err));
		return;
	}
	hostfile_text(root, "/proc/sys/kernel/perf_event_mlock_kb", kb, sizeof(kb));
	getrlimit(RLIMIT_MEMLOCK, &limit);
	snprintf(why, n,
		"the rings of %u vCPUs may not be locked in memory, not even with one page each: raise "
		"kernel.perf_event_mlock_kb (it is %s, for each CPU) or the limit of locked memory (it is "
		"%llu KiB; "
		"ulimit -l, LimitMEMLOCK=), or give CAP_IPC_LOCK",
		vcpus, kb, (unsigned long long)limit.rlim_cur >> 10);
}
