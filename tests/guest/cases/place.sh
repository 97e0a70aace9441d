# shellcheck shell=sh disable=SC2034,SC2154
# SPDX-License-Identifier: Apache-2.0
#
# place.sh: where threads stand, and with which policy.

# The copy ends with a FLUSH, which the iothread leaves to a worker.
case_place_uring()
{
	two_cpus
	copy 'depth=8 piece=65536' --io-engine io_uring --sched iothread=other:19 --pin iothread="$hi" --pin vcpu0="$lo" --pin emulator="$lo" -v
	placed
	reports '.threads[] | select(.name == "iou-wrk io:main") | .tasks > 0 and .placement.actual == .placement.wanted' true
	reports '.threads[] | select(.name == "iou-wrk io:main") | .placement.actual_policy' other:19
	grep -q '^pinvm: iou-wrk io:main  *'"$hi .*none yet" "$tmp/err" || bad "-v has no row for the kernel's workers"
}

case_place_plain()
{
	two_cpus
	copy 'depth=8 piece=65536' --io-engine plain --iothread other --sched iothread:main=batch:19 --pin iothread:main="$hi" --pin iothread:other="$lo" -v
	placed
	reports '.threads[] | select(.name == "io:main-w") | .placement | .actual, .actual_policy' "$(printf '%s\nbatch:19' "$hi")"
	reports '.threads[] | select(.name == "io:other-w") | .placement.actual' "$lo"
	grep -q "^pinvm: io:main-w  *$hi .* $hi batch:19" "$tmp/err" || bad "-v does not say where the worker is"
}

# What KVM makes at the first entry, as a child of the vCPU, is neither real-time nor where the vCPU is.
case_place_fifo()
{
	two_cpus
	disk disk 64k
	printf '\0' | dd of="$tmp/disk" conv=notrunc 2>/dev/null
	guest blk restart=2 --on-reset restart -d "$tmp/disk" -c 2 --sched vcpu0=fifo:1 --sched iothread=fifo:2 \
		--sched emulator=fifo:3 --pin vcpu0="$hi" --pin emulator="$lo"
	needs_policy
	status 0
	placed
	reports '[.threads[] | select(.name | startswith("kvm-")) | .placement | .actual, .actual_policy] |
		. == [] or . == ["'"$lo"'", "other"]' true
}

# Nor has it what children inherit in spite of reset-on-fork, or what pinvm itself was started with.
case_place_helper()
{
	for policy in idle batch:5 other:5 fifo; do
		if [ $policy = fifo ]; then
			chrt -f 1 true 2>/dev/null || continue
			bounded="$bounded chrt -f 1" guest hello '' -v
		else
			guest hello '' -v --sched vcpu=$policy
		fi
		needs_policy
		success
		placed
		reports '[.threads[] | select(.name | startswith("kvm-")) | .placement.actual_policy] | . == [] or . == ["other"]' true
		reports '[.threads[] | select(.name | startswith("kvm-"))] | length' "$(grep -c '^pinvm: kvm-' "$tmp/err")"
	done
}

# Two that spin for each other on one CPU take turns under rr; fifo is refused.
case_place_turns()
{
	two_cpus
	guest smp cpus=2 -c 2 --pin vcpu="$hi" --sched vcpu=rr:1
	needs_policy
	success
	guest smp cpus=2 -c 2 --pin vcpu="$hi" --sched vcpu=fifo:1
	status 4
	grep -q "^pinvm: error: --sched vcpu=fifo:1: vcpu0-1 have only CPU $hi, .*rr:1" "$tmp/err" || bad "no such refusal"
}

# No child may have this policy, and KVM makes one.
case_place_deadline()
{
	guest hello '' -c 2 --sched 'vcpu0=deadline=[5ms,20ms,20ms]'
	needs_policy
	success
	placed
	disk from 1M
	head -c 1M /dev/zero >"$tmp/to"
	for engine in plain auto; do
		guest blk 'copy depth=4 piece=65536' --io-engine $engine --sched 'iothread=deadline=[5ms,20ms,20ms]' \
			-d "$tmp/from" -d "$tmp/to"
		success
		placed
	done
}
