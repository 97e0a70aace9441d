# shellcheck shell=sh disable=SC2034,SC2154
# SPDX-License-Identifier: Apache-2.0
#
# kvmstats.sh: KVM's statistics in the report.

# A return to user space is an exit, but for those by a signal.
exits_cover_user_exits()
{
	reports '.vcpus | all(.kvm_stats.exits >= ([.exits_by_kvm_reason | del(.intr)[]] | add // 0))' true
	reports '[.vcpus[].exits_by_kvm_reason[]] | add > 50' true
	exits_have_reasons
}

case_kvm_stats()
{
	guest smp 'cpus=2 ipi timer' -c 2
	success
	has_kvm_stats
	exits_cover_user_exits
	reports '.kvm_stats | has("remote_tlb_flush") and has("pages_4k")' true
	# 20 timers, and the other CPU halts until it is stopped.
	reports '.vcpus[0].kvm_stats.halt_exits >= 20' true
	reports '.vcpus[1].kvm_stats.halt_exits >= 1' true
	reports '.vcpus[] | .kvm_stats.halt_wait_hist | length > 10 and add > 0' "$(printf 'true\ntrue')"
	reports '.kvm_stats_kinds.halt_wait_hist | .type, .unit, .base, .exponent' "$(printf 'log_hist\nseconds\n10\n-9')"
}

# With each request the guest halts once.
case_kvm_stats_halts()
{
	disk disk 64k
	for count in 100 1100; do
		guest blk "count=$count depth=1 irq" -d "$tmp/disk"
		success
		has_kvm_stats
		reports ".vcpus[0].kvm_stats.halt_exits >= $count" true
		reports ".vcpus[0].kvm_stats.halt_exits < $count * 2 + 200" true
	done
}

# A vCPU that never leaves is got out by a signal.
case_kvm_stats_signal()
{
	need jq
	guest_start exits spin -n spins --grace 0
	next_line
	why=$(ctl spins report | jq -r .kvm_stats_missing)
	[ "$why" = null ] || skip "$why"
	# Whatever a signal finds it at: once at least it was in the guest.
	until [ "$(kvm_stat spins signal_exits)" -ge 1 ]; do
		for what in pause resume; do ctl spins $what || bad "$what: $(cat "$tmp/ctl.err")"; done
	done
	ctl spins stop 0
	ended
	ends 14 'control socket'
}

# A restart is a new VM, whose own figures begin at 0.
case_kvm_stats_restart()
{
	disk disk 64k
	printf '\0' | dd of="$tmp/disk" conv=notrunc 2>/dev/null
	guest blk restart=10 --on-reset restart -d "$tmp/disk" -c 2
	status 0
	has_kvm_stats
	reports .restarts 10
	exits_cover_user_exits
	reports '.kvm_stats | has("remote_tlb_flush")' true
}

# The limit is raised as far as it may be; where that is not enough they stay away, and nothing else does.
case_kvm_stats_files()
{
	guest smp cpus=8 -c 8
	has_kvm_stats
	for how in -Sn:0 -n:8; do
		(ulimit "${how%:*}" 50 && guest smp cpus=8 -c 8 && exit "$rc")
		rc=$?
		success
		reports '[.vcpus[] | select(.kvm_stats == null)] | length' "${how#*:}"
	done
	reports '.kvm_stats_missing | test("8 vCPUs and a limit of 50 open files")' true
}
