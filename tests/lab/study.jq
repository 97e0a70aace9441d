# SPDX-License-Identifier: Apache-2.0
# study.jq: what one look of `pinvm stat --trace --json` comes to: rates of all vCPUs together.

# Sum the rows of all vCPUs that have the same key; the busiest first.
def summed(rows; key; row):
	[.vcpus[].trace | rows[]] | group_by(key) | map((.[0] | row) + {per_s: (map(.per_s) | add)}) |
		map(select(.per_s > 0)) | sort_by(-.per_s);
def per_s(event): ([.vcpus[].trace.events[event] // 0] | add) / .trace.seconds;

{
	load: $load, variant: $variant, options: $options, host: $host, cpu: $cpu, lab: $lab,
	seconds: .trace.interval_s, vcpus: (.vcpus | length),
	lost: ([.vcpus[].trace | .lost + .malformed + .crowded] | add),
	exits_per_s: per_s("kvm:kvm_exit"),
	user_exits_per_s: per_s("kvm:kvm_userspace_exit"),
	eoi_per_s: per_s("kvm:kvm_eoi"),
	pv_eoi_per_s: per_s("kvm:kvm_pv_eoi"),
	requests_per_s: ([.devices[].queues[]? | .rates.requests // 0] | add // 0),
	bytes_per_s: ([.devices[].queues[]? | .rates.moved_bytes // {} | .[]] | add // 0),
	kicks_per_s: ([.devices[].queues[]? | .rates.kicks // 0] | add // 0),
	interrupts_per_s: ([.devices[].queues[]? | .rates.interrupts // 0] | add // 0),
	cpu_percent: ([.vcpus[].time.cpu // 0] | add),
	exits: ([.vcpus[].trace.exits[]] | group_by([.isa, .number]) | map({
			isa: .[0].isa, number: .[0].number, name: .[0].name, per_s: (map(.per_s) | add),
			mean_us: ((map(.timed) | add) as $n | if $n > 0 then (map(.ns) | add) / $n / 1000 else null end)
		}) | map(select(.per_s > 0)) | sort_by(-.per_s)),
	user_exits: summed(.user_exits; .number; {number, name}),
	accesses: (summed(.accesses; [.kind, .op, .address]; {kind, op, address, name}) | .[:12]),
	interrupts: summed(.interrupts; [.irq, .name]; {irq, name}),
	missing: (.trace.missing | keys)
}
