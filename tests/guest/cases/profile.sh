# shellcheck shell=sh disable=SC2034,SC2154
# SPDX-License-Identifier: Apache-2.0
#
# profile.sh: the exit profile against the exits that a guest made and counted.

# What the report has of the addresses whose exits tests/guest/profile.c counts, a line each: vCPU, kind, address, op, size,
# device, offset, exits. $1: the rng's register.
profiled()
{
	report ".vcpus[] | .index as \$i | .profile.accesses[] | select(([.address] | inside([128, 144, 152, 1023, 4026531840,
		4273995776, 4273995792, 3758096384])) or (.device == \"rng\" and (.offset == $1 or .offset == 21 or .offset >= 4096)))
		| [\$i, .kind, .address, .op, .size, .device, .offset, .exits] | map(tostring) | join(\" \")" >"$tmp/lines" || exit $?
	sort "$tmp/lines" >"$tmp/got"
}

# All exits of a reason are somewhere: at an address that is listed or not, or without room for one.
profile_is_whole()
{
	for kind in io:pio mmio:mmio; do
		reports "[.vcpus[] | (.exits_by_kvm_reason.${kind%:*} // 0) == ([.profile.accesses[] |
			select(.kind == \"${kind#*:}\").exits] | add // 0) + .profile.others.exits.${kind#*:} + .profile.other.${kind#*:}] |
			all" true
		reports "[.vcpus[] | (.exits_by_kvm_reason.${kind%:*} // 0) == ([.profile.targets | to_entries[] |
			select(.key | startswith(\"${kind#*:} \")).value] | add // 0)] | all" true
	done
}

case_profile() { profile 18 '0 mmio 3221225490 read 2 rng 18 22'; }
case_mmio_profile() { profile 12 '0 mmio 4261412876 read 4 rng 12 22' mmio; }
profile()
{
	# shellcheck disable=SC2046
	guest profile "${3-}" -c 2 --rng $(over "${3-}")
	success
	profiled "$1"
	{
		cat <<-EOF
		0 pio 128 write 1 null null 3
		0 pio 128 write 2 null null 4
		0 pio 128 write 4 null null 5
		0 pio 144 read 1 null null 6
		0 pio 144 read 2 null null 7
		0 pio 144 read 4 null null 8
		0 pio 1023 write 1 serial 7 9
		0 pio 1023 read 1 serial 7 10
		1 pio 152 write 1 null null 23
		0 mmio 4026531840 read 1 null null 11
		0 mmio 4026531840 read 2 null null 12
		0 mmio 4026531840 read 4 null null 13
		0 mmio 4026531840 read 8 null null 14
		0 mmio 4026531840 write 1 null null 15
		0 mmio 4026531840 write 2 null null 16
		0 mmio 4026531840 write 4 null null 17
		0 mmio 4026531840 write 8 null null 18
		0 mmio 4273995776 write 4 IOAPIC 0 19
		0 mmio 4273995792 read 4 IOAPIC 16 20
		$2
		EOF
		[ -n "${3-}" ] || printf '%s\n' '0 mmio 3758096384 read 4 pci ecam 0 21' '0 mmio 3221225493 read 1 rng 21 24'
	} | sort >"$tmp/wanted"
	diff "$tmp/wanted" "$tmp/got" >&2 || bad "the profile is not what the guest did"
	reports '.devices[0].queues[0].kicks > 0' true
	reports '[.vcpus[].profile.other[]] | add' 0
	reports '.vcpus[0].profile.times' null
	reports '[.vcpus[].exits_by_kvm_reason | keys[]] | unique - ["io", "mmio"] | map(select(. != "ioapic_eoi" and . != "intr")) | length' 0
	reports '.devices[-1].queues[0] | [.requests, .completions, .batches, .bytes.to_guest, .bytes.from_guest, .latency_ns] |
		map(tostring) | join(" ")' '1 1 1 64 0 null'
	profile_is_whole
}

# HLT does not reach user space: KVM counts it.
case_profile_halts()
{
	guest profile '' -c 2 --rng
	success
	has_kvm_stats
	reports '.vcpus[0].kvm_stats.halt_exits' 28
	reports '.vcpus[0].exits_by_kvm_reason.hlt' null
}

# Where the local APICs are pinvm's, HLT and the x2APIC's MSRs reach it: 28 interrupts to oneself, and as many ends of them.
case_profile_apic()
{
	guest profile '' -c 2 --rng --irqchip user
	success
	reports '.vcpus[0].exits_by_kvm_reason.hlt' 28
	reports '[.vcpus[0].profile.accesses[] | select(.kind == "msr" and (.address == 2059 or .address == 2111)) |
		[.address, .op, .size, .exits] | map(tostring) | join(" ")] | sort | join(", ")' '2059 write 8 28, 2111 write 8 28'
	reports '[.vcpus[] | ((.exits_by_kvm_reason | (.rdmsr // 0) + (.wrmsr // 0)) ==
		([.profile.accesses[] | select(.kind == "msr").exits] | add // 0))] | all' true
}

# What KVM does not know comes to pinvm when it is to, by MSR and by call.
case_profile_unknown()
{
	guest profile '' -c 2 --rng --profile unknown=on
	success
	reports "[.vcpus[0].profile.accesses[] | $not_an_address" 'msr 1246448717 read 8 25, msr 1246448718 write 8 26'
	reports '.vcpus[0].exits_by_kvm_reason | [.rdmsr, .wrmsr, .hypercall] | map(tostring) | join(" ")' '25 26 null'
	reports "[.vcpus[1].profile.accesses[] | $not_an_address" ''
	profile_is_whole
}

not_an_address='select(.kind == "msr" or .kind == "hypercall") | [.kind, .address, .op, .size, .exits] |
	map(tostring) | join(" ")] | sort | join(", ")'

case_profile_hypercall()
{
	for limit in 2 60; do
		guest profile call -c 2 --rng --profile unknown=on
		[ "$rc" -eq 124 ] || break
		[ "$(tail -n 1 "$tmp/out" | tr -d '\r')" != calling ] || skip "this host's KVM does not carry out VMCALL"
	done
	success
	reports "[.vcpus[0].profile.accesses[] | $not_an_address" \
		'hypercall 12 null null 27, msr 1246448717 read 8 25, msr 1246448718 write 8 26'
	reports '.vcpus[0].exits_by_kvm_reason.hypercall' 27
}

case_profile_queues() { profile_queues ''; }
case_mmio_profile_queues() { profile_queues mmio; }
profile_queues()
{
	disk disk 64k
	# shellcheck disable=SC2046
	guest profile "disk $1" -c 2 --rng -d "$tmp/disk" --profile times=on $(over "$1")
	success
	reports '.devices[0].queues[0] | [.requests, .completions, .batches, .bytes.to_guest, .bytes.from_guest] |
		map(tostring) | join(" ")' "41 41 6 $((3 * 8 * 512)) $((2 * 8 * 1024))"
	reports '.devices[0].errors' 0
	reports '.devices[0].queues[0].latency_ns | (.histogram | add) == 41 and .sum > 0' true
	# Each lay between a power of two and the next: so does their sum.
	reports '.devices[0].queues[0].latency_ns | .sum / ([.histogram | to_entries[] | .value * pow(2; .key)] | add) |
		. > 0.9 and . < 2' true
}

# More addresses than there is room for: the rest is counted by kind.
case_profile_full()
{
	guest profile many=3000 -c 2 --rng
	success
	reports '.vcpus[0].profile.other.mmio > 2000' true
	reports '.vcpus[1].profile.other.mmio' 0
	reports '.vcpus[0].profile.accesses | length' 64
	reports '.vcpus[0].profile.others.addresses > 300' true
	reports '[.vcpus[0].profile.accesses[] | select(.address >= 4043309056 and .address < 4043321056)] |
		length == (map(.exits) | add)' true
	profile_is_whole
}

case_profile_times()
{
	guest profile '' -c 2 --rng --profile times=on
	success
	reports '[.vcpus[] | (.profile.times.handlers | map_values(.histogram | add) | del(.intr)) ==
		(.exits_by_kvm_reason | del(.intr))] | all' true
	reports '[.vcpus[] | (.profile.times.handlers.intr.histogram // {} | add // 0) <= (.exits_by_kvm_reason.intr // 0)] | all' true
	reports '[.vcpus[].profile.times | .vmm_ns >= ([.handlers[].ns] | add) and .guest_and_kernel_ns > 0] | all' true
	reports '.duration_s * 1e9 >= ([.vcpus[].profile.times | .vmm_ns + .guest_and_kernel_ns] | max)' true
}
