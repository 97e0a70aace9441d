# shellcheck shell=sh disable=SC2034,SC2154
# SPDX-License-Identifier: Apache-2.0
#
# wake.sh: wake-ups: each that was asked for comes, and no other.

# SOURCE OPTIONS...: the guest counts its wake-ups by a timer, by another CPU or by a disk, and there is one HLT for each.
wakes()
{
	source=$1
	shift
	case $source in
	ipi) set -- -c 2 "$@" ;;
	device) disk disk 64k; set -- -d "$tmp/disk" "$@" ;;
	esac
	guest wake "source=$source n=150 gap=50000" "$@"
	# An option that is not there: of the program, or of this host's KVM.
	if [ "$rc" -eq 2 ] || [ "$rc" -eq 4 ]; then
		skip "$(head -n 1 "$tmp/err")"
	fi
	success
	says "wake source=$source n=150 "
	# KVM counts them, or they come to pinvm; some KVMs cannot leave them to the guest.
	[ -n "${no_exits:-}" ] || reports '.vcpus[0] | (.kvm_stats == null or .kvm_stats.halt_exits == 150) or .exits_by_kvm_reason.hlt == 150' true
	[ "$source" != device ] || reports '.devices[0].queues[0] | [.requests, .interrupts] == [150, 150]' true
}

case_wake() { for s in timer ipi device; do wakes $s; done; }
case_wake_off() { for s in timer ipi device; do wakes $s --halt-poll off; done; }
case_wake_200us() { for s in timer ipi device; do wakes $s --halt-poll 200us; done; }
case_wake_auto() { for s in timer ipi device; do wakes $s --halt-poll auto; done; }
case_wake_vmm() { for s in timer ipi device; do wakes $s --halt-poll vmm; done; }
case_wake_no_exits() { no_exits=1; for s in timer ipi device; do wakes $s --exits hlt=off; done; }
case_chip_wake() { chip=user; case_wake; }
case_wake_iothread() { wakes device --iothread main,poll-max=5ms,poll-weight=1000; }
case_chip_wake_iothread() { chip=user; case_wake_iothread; }

# The study of all modes, in short: a row each, with one halt for each wake-up, and not twice as many.
case_study_haltpoll()
{
	need jq
	two_cpus
	tools/study-haltpoll --rounds 1 --wakes 50 --warm 5 --modes 'off poll-long' --sources 'timer device' --build "${guests%/guest}" \
		--out "$tmp/study" >"$tmp/out" 2>"$tmp/err" || bad "it failed"
	jq -c '[.rows[] | [.source, .mode, .late_median.median > 0, (.halts.median | floor), .interrupts.median]]' \
		"$tmp/study/wakeups.json" >"$tmp/got"
	[ "$(cat "$tmp/got")" = '[["timer","off",true,1,0],["device","off",true,1,1],["device","poll-long",true,1,1]]' ] ||
		bad "rows: $(cat "$tmp/got")"
	[ "$(grep -c '^| `' "$tmp/study/wakeups.md")" -eq 3 ] || bad "the tables have not three rows"
}
