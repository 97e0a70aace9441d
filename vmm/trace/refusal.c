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

/* Has this process what perf_event_open asks for? */
static bool has_right(const char *root)
{
	char text[32];
	uint64_t caps;

	if (hostfile_line(root, "/proc/self/status", "CapEff:", text, sizeof(text)))
		return false;
	caps = strtoull(text, NULL, 16);
	return caps & (1ULL << CAP_PERFMON_BIT | 1ULL << CAP_SYS_ADMIN_BIT);
}

static void say_refused(const char *root, char *why, size_t n)
{
	char paranoid[16] = "unknown";

	hostfile_text(root, "/proc/sys/kernel/perf_event_paranoid", paranoid, sizeof(paranoid));
	if (has_right(root))
		snprintf(why, n,
			"perf_event_open is refused although this process has CAP_PERFMON: a container's "
			"seccomp profile "
			"or a security module forbids it, and must allow it");
	else if (atoi(paranoid) <= MAY_ALL && *paranoid != 'u')
		snprintf(why, n,
			"perf_event_open is refused: the guest runs as another user, or with rights this "
			"process has not; "
			"be that user, or have CAP_PERFMON");
	else
		snprintf(why, n,
			"perf_event_open is refused: CAP_PERFMON is missing (before Linux 5.8 "
			"CAP_SYS_ADMIN), and "
			"kernel.perf_event_paranoid is %s; run it as root or with that capability, or set "
			"kernel.perf_event_paranoid=-1",
			*paranoid ? paranoid : "unknown");
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
