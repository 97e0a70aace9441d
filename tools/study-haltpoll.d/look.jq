# SPDX-License-Identifier: Apache-2.0
# look.jq: one look of tools/study-haltpoll: what its two reports ($ra, $rb) and two readings of threads ($ta, $tb) differ by.

def sum: add // 0;

# Of the whole guest, but for halts and the polls in them, which are vCPU 0's: by KVM, or in pinvm.
def counts:
	(.vcpus[0].kvm_stats // {}) as $kvm | (.halt_poll.vmm.vcpus[0] // {}) as $vmm |
	{
		exits: ([.vcpus[].kvm_stats.exits // 0] | sum),
		user_exits: ([.vcpus[].exits_by_kvm_reason | del(.intr) | add // 0] | sum),
		interrupted: ([.vcpus[].exits_by_kvm_reason.intr // 0] | sum),
		halts: ([$kvm.halt_exits // 0, .vcpus[0].exits_by_kvm_reason.hlt // 0] | max),
		polls: (($kvm.halt_attempted_poll // 0) + ($vmm.polls // 0)),
		poll_hits: (($kvm.halt_successful_poll // 0) + ($vmm.hits // 0)),
		polled_ns: (($kvm.halt_poll_success_ns // 0) + ($kvm.halt_poll_fail_ns // 0) + ($vmm.polled_ns // 0)),
		device_polls: ([.threads[].poll.polls // 0] | sum),
		device_hits: ([.threads[].poll.hits // 0] | sum),
		device_polled_ns: ([.threads[].poll.polled_ns // 0] | sum),
		kicks: ([.devices[].queues[]?.kicks // 0] | sum),
		interrupts: ([.devices[].queues[]?.interrupts // 0] | sum),
		reasons: (reduce (.vcpus[].exits_by_kvm_reason | del(.intr) | to_entries[]) as $e ({}; .[$e.key] += $e.value))
	};

# Who is woken, who wakes it, and the threads that are no vCPUs.
def threads:
	def total: {run_ns: (map(.run_ns) | sum), delay_ns: (map(.delay_ns) | sum), voluntary: (map(.voluntary) | sum),
		forced: (map(.forced) | sum)};
	{
		woken: (map(select(.name == "vcpu0")) | total),
		waker: (map(select(.name == "vcpu1")) | total),
		others: (map(select(.name | test("^vcpu") | not)) | total)
	};

def less($a):
	with_entries(.key as $k | if (.value | type) == "number" then .value -= ($a[$k] // 0) else .value |= less($a[$k] // {}) end);

{
	round: $round, mode: $mode, source: $source, load: $load, ns: $ns,
	late: ($late | split(" ") | map(split("=") | {key: .[0], value: (.[1] | tonumber)}) | from_entries),
	counts: ($rb[0] | counts | less($ra[0] | counts)),
	threads: ($tb | threads | less($ta | threads))
}
