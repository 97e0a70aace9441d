// SPDX-License-Identifier: Apache-2.0
/*
 * THE table; see metrics.h. A new number in the report is a row here, and is then in Prometheus' text, CSV
 * and JSON. Names are a promise to dashboards: add, do not rename. Constant data.
 */
#include <string.h>

#include "vmm/stat/metrics.h"
#include "vmm/stat/text.h"
#include "vmm/util.h"

#define NS	 1e-9
#define US	 1e-6

const char *const metric_scopes[METRIC_SCOPES] = {
	[OF_GUEST] = "guest",
	[OF_VCPU] = "vcpu",
	[OF_THREAD] = "thread",
	[OF_MEMORY] = "memory",
	[OF_DEVICE] = "device",
	[OF_QUEUE] = "queue",
};

const char *const metric_labels[METRIC_SCOPES][2] = {
	[OF_VCPU] = {"vcpu"},
	[OF_THREAD] = {"thread"},
	[OF_MEMORY] = {"region"},
	[OF_DEVICE] = {"device"},
	[OF_QUEUE] = {"device", "queue"},
};

/* KVM's statistics that are no plain counts, and those with rows of their own. */
static bool no_event(const json_t *doc, const char *member)
{
	return !strcmp(member, "exits") || json_object_get(json_at(doc, "kvm_stats_kinds"), member);
}

/* What a task of the host did: the same of vCPUs and other threads. */
#define TASK(of)                                                                                          \
	{of, COUNTER, "cpu", "seconds", "Time the thread ran on a CPU, in the guest or outside it.",      \
		"task.run_ns", NS},                                                                       \
		{of, COUNTER, "run_delay", "seconds", "Time the thread was ready to run and had no CPU.", \
			"task.run_delay_ns", NS},                                                         \
		{of, COUNTER, "user", "seconds", "CPU time in pinvm's own code; ticks of the host.",      \
			"task.user_ns", NS},                                                              \
		{of, COUNTER, "kernel", "seconds", "CPU time in the host's kernel; ticks of the host.",   \
			"task.kernel_ns", NS},                                                            \
		{of, COUNTER, "voluntary_switches", NULL, "How often the thread gave its CPU up.",        \
			"task.voluntary_switches"},                                                       \
		{of, COUNTER, "involuntary_switches", NULL, "How often the thread's CPU was taken away.", \
			"task.involuntary_switches"},                                                     \
		{of, COUNTER, "migrations", NULL, "How often the thread came to another CPU.",            \
			"task.migrations"},                                                               \
	{                                                                                                 \
		of, GAUGE, "on_cpu", NULL, "The CPU the thread is on, or was on last.", "task.cpu"        \
	}

#define MAPPED(key, size, words)                                                                            \
	{                                                                                                   \
		OF_GUEST, GAUGE, "mapped", "bytes",                                                         \
			"Guest memory KVM has mapped, by the size of the mapping.", "kvm_stats." key, size, \
			"page_size", words                                                                  \
	}

#define PASSED(key, words)                                                                                  \
	{OF_DEVICE, COUNTER, key "_packets", NULL, "Packets " words ", as the host counts them.",           \
		key ".packets"},                                                                            \
	{                                                                                                   \
		OF_DEVICE, COUNTER, key, "bytes", "Bytes " words ", as the host counts them.", key ".bytes" \
	}

const struct metric metric_table[] = {
	{OF_GUEST, GAUGE, "uptime", "seconds", "Time since the guest was set up.", "duration_s"},
	{OF_GUEST, COUNTER, "restarts", NULL, "Resets after which the guest went on.", "restarts"},
	{OF_GUEST, GAUGE, "misplaced_tasks", NULL,
		"Tasks that were not where they had to be, when last looked at.", "misplaced"},
	{OF_GUEST, COUNTER, "serial_dropped", "bytes", "Serial output that nobody took.", "serial.dropped"},
	{OF_GUEST, COUNTER, "routing_writes", NULL, "Writes of KVM's interrupt routing table.",
		"routing_writes"},
	{OF_GUEST, GAUGE, "halt_poll_ceiling", "seconds",
		"How long KVM, or with --halt-poll vmm its thread, may poll at most before a halted vCPU sleeps.",
		"halt_poll.ceiling_ns", NS},
	{OF_GUEST, COUNTER, "halt_poll_decisions", NULL, "Decisions of --halt-poll auto.",
		"halt_poll.decisions"},
	{OF_GUEST, COUNTER, "cgroup_cpu", "seconds", "CPU time of the guest's cgroup.", "cgroup.usage_usec",
		US},
	{OF_GUEST, COUNTER, "cgroup_throttled", "seconds",
		"Time that threads of the guest's cgroup waited for its next period.",
		"cgroup.throttled_usec", US},
	{OF_GUEST, COUNTER, "cgroup_throttled_periods", NULL,
		"Periods in which the guest's cgroup used up its maximum.", "cgroup.nr_throttled"},
	MAPPED("pages_4k", 4096, "4K"),
	MAPPED("pages_2m", 2097152, "2M"),
	MAPPED("pages_1g", 1073741824, "1G"),
	{OF_GUEST, COUNTER, "kvm_events", NULL, "KVM's own counts of the VM, under the kernel's names.",
		"kvm_stats", .label = "event", .skip = no_event},

	{OF_VCPU, COUNTER, "user_exits", NULL, "Returns from KVM_RUN, interrupted ones included.",
		"user_exits"},
	{OF_VCPU, COUNTER, "user_exits_by_reason", NULL, "Returns from KVM_RUN by KVM's reason (intr: interrupted, as by what came for queues it serves).",
		"exits_by_kvm_reason", .label = "reason"},
	{OF_VCPU, COUNTER, "user_exits_by_target", NULL,
		"Returns from KVM_RUN by what the guest reached for.", "profile.targets", .label = "target"},
	{OF_VCPU, COUNTER, "kvm_exits", NULL, "Exits from the guest, most of which KVM handles itself.",
		"kvm_stats.exits"},
	{OF_VCPU, COUNTER, "kvm_events", NULL, "KVM's own counts of the vCPU, under the kernel's names.",
		"kvm_stats", .label = "event", .skip = no_event},
	{OF_VCPU, COUNTER, "guest", "seconds", "CPU time in the guest; ticks of the host.", "task.guest_ns",
		NS},
	TASK(OF_VCPU),
	{OF_VCPU, COUNTER, "vmm", "seconds",
		"Time in pinvm between two stays in KVM_RUN (--profile times=on).", "profile.times.vmm_ns",
		NS},
	{OF_VCPU, COUNTER, "kvm_run", "seconds", "Time in KVM_RUN, guest and kernel (--profile times=on).",
		"profile.times.guest_and_kernel_ns", NS},
	/* KVM knows nothing of a vCPU that halts in pinvm. */
	{OF_VCPU, GAUGE, "halted", NULL, "1 while the vCPU is halted and sleeps.", "kvm_stats.blocking",
		.rather = "halt_poll.asleep"},
	{OF_VCPU, HISTOGRAM, "halt_wait", "seconds", "Sleeps of a halted vCPU.", "kvm_stats.halt_wait_hist",
		.sum = "kvm_stats.halt_wait_ns"},
	{OF_VCPU, HISTOGRAM, "halt_poll_success", "seconds", "Polls of a halted vCPU that saved a sleep.",
		"kvm_stats.halt_poll_success_hist", .sum = "kvm_stats.halt_poll_success_ns"},
	{OF_VCPU, HISTOGRAM, "halt_poll_fail", "seconds", "Polls of a halted vCPU that were in vain.",
		"kvm_stats.halt_poll_fail_hist", .sum = "kvm_stats.halt_poll_fail_ns"},
	{OF_VCPU, GAUGE, "halt_window", "seconds", "How long the vCPU's thread polls, as its last halt left it (--halt-poll vmm).",
		"halt_poll.window_ns", NS},
	{OF_VCPU, COUNTER, "halt_polls", NULL, "Halts that the vCPU's thread polled.", "halt_poll.polls"},
	{OF_VCPU, COUNTER, "halt_hits", NULL, "Halts that ended while the vCPU's thread polled.", "halt_poll.hits"},
	{OF_VCPU, COUNTER, "halt_cuts", NULL, "Polls of the vCPU's thread in which another one had the CPU.",
		"halt_poll.cuts"},
	{OF_VCPU, COUNTER, "halt_waits", NULL, "Halts in which the vCPU's thread gave its CPU up.", "halt_poll.waits"},
	{OF_VCPU, COUNTER, "halt_polled", "seconds", "Time the vCPU's thread polled.", "halt_poll.polled_ns", NS},
	{OF_VCPU, COUNTER, "halt_waited", "seconds", "Time for which the vCPU's thread had given its CPU up.",
		"halt_poll.waited_ns", NS},
	{OF_VCPU, HISTOGRAM, "halt", "seconds", "Halts that ended in pinvm, until their events came.", "halt_poll.lengths"},
	{OF_VCPU, HISTOGRAM, "handler", "seconds",
		"Handling of exits in pinvm by KVM's reason (--profile times=on).", "profile.times.handlers",
		.label = "reason"},
	{OF_VCPU, SHARE, "guest", "percent", "", "time.guest"},
	{OF_VCPU, SHARE, "kernel", "percent", "", "time.kernel"},
	{OF_VCPU, SHARE, "vmm", "percent", "", "time.vmm"},
	{OF_VCPU, SHARE, "halt", "percent", "", "time.halt"},
	{OF_VCPU, SHARE, "steal", "percent", "", "time.steal"},
	{OF_VCPU, GAUGE, "traced_exits", "per_second", "Exits from the guest by the CPU's reason, as traced.",
		"trace.exits_per_s", .label = "reason"},
	{OF_VCPU, GAUGE, "traced_exit_mean", "seconds",
		"Mean time from such an exit to the next entry, as traced.", "trace.exit_mean_ns", NS,
		.label = "reason"},
	{OF_VCPU, GAUGE, "traced_user_exits", "per_second", "Exits to user space by KVM's reason, as traced.",
		"trace.user_exits_per_s", .label = "reason"},
	{OF_VCPU, GAUGE, "traced_accesses", "per_second", "What the guest reached for, as traced.",
		"trace.accesses_per_s", .label = "target"},
	{OF_VCPU, GAUGE, "traced_interrupts", "per_second",
		"Interrupts of the host that hit the vCPU's thread, as traced.", "trace.interrupts_per_s",
		.label = "cause"},
	{OF_VCPU, GAUGE, "traced_lost", NULL, "Traced events whose record found no room: counted only.",
		"trace.lost"},

	TASK(OF_THREAD),
	{OF_THREAD, COUNTER, "loop_sleeps", NULL, "How often the iothread had nothing to do, and slept.",
		"sleeps"},
	{OF_THREAD, GAUGE, "loop_poll_max", "seconds", "How long the iothread may poll before it sleeps.",
		"poll.max_ns", NS},
	{OF_THREAD, COUNTER, "loop_polls", NULL, "How often the iothread polled before that.", "poll.polls"},
	{OF_THREAD, COUNTER, "loop_poll_hits", NULL, "Polls of the iothread that saved a sleep.",
		"poll.hits"},
	{OF_THREAD, COUNTER, "loop_polled", "seconds", "CPU time the iothread polled.", "poll.polled_ns", NS},
	{OF_THREAD, SHARE, "cpu", "percent", "", "time.cpu"},
	{OF_THREAD, SHARE, "steal", "percent", "", "time.steal"},

	{OF_MEMORY, GAUGE, "size", "bytes", "Guest memory of a region.", "size"},
	{OF_MEMORY, GAUGE, "present", "bytes", "Guest memory that has pages, of what was looked at.",
		"actual.present_bytes"},
	{OF_MEMORY, GAUGE, "huge", "bytes", "Guest memory on huge pages.", "actual.huge_bytes"},
	{OF_MEMORY, GAUGE, "locked", "bytes", "Guest memory that cannot be swapped out.",
		"actual.locked_bytes"},
	{OF_MEMORY, GAUGE, "misplaced", "bytes", "Guest memory on a node it must not be on.",
		"actual.misplaced_bytes"},
	{OF_MEMORY, GAUGE, "on_node", "bytes", "Guest memory by node of the host.", "actual.bytes_on_node",
		.label = "node"},

	{OF_DEVICE, COUNTER, "errors", NULL, "Requests that failed, and rings that made no sense.", "errors"},
	{OF_DEVICE, COUNTER, "dropped_packets", NULL, "Packets that went nowhere.", "dropped"},
	{OF_DEVICE, COUNTER, "limited", NULL, "How often a queue waited for the device's limits.", "limited"},
	PASSED("from_guest", "the guest sent"),
	PASSED("to_guest", "for the guest"),

	{OF_QUEUE, COUNTER, "requests", NULL, "Requests taken from the queue.", "requests"},
	{OF_QUEUE, COUNTER, "completions", NULL, "Requests given back.", "completions"},
	{OF_QUEUE, COUNTER, "kicks", NULL, "How often the guest woke the device.", "kicks"},
	{OF_QUEUE, COUNTER, "interrupts", NULL, "How often the device interrupted the guest.", "interrupts"},
	{OF_QUEUE, COUNTER, "batches", NULL,
		"How often requests were taken: as many at a time as there were.", "batches"},
	{OF_QUEUE, COUNTER, "moved", "bytes", "Data of the requests.", "bytes", .label = "direction"},
	{OF_QUEUE, HISTOGRAM, "latency", "seconds",
		"From taking a disk request to giving it back (--profile times=on).", "latency_ns"},
};

const unsigned metrics = COUNT(metric_table);
