# shellcheck shell=sh disable=SC2034,SC2154
# SPDX-License-Identifier: Apache-2.0
#
# machine.sh: the stock cloud kernel sees the CPUs, clocks and memory that were
# asked for, and has nothing to complain about.

tests='one two eight topology hole memfd masks exits'
quick='topology'

look()
{
	guest_does <<-'END'
		cpus=/sys/devices/system/cpu
		fact online "$(cat $cpus/online)"
		fact packages "$(cat $cpus/cpu*/topology/physical_package_id | sort -u | wc -l)"
		for c in $cpus/cpu[0-9]*; do
			fact "siblings" "$(cat $c/topology/core_siblings_list) $(cat $c/topology/thread_siblings_list)"
		done
		for f in x2apic tsc_deadline_timer hypervisor arat constant_tsc; do
			grep -q "^flags.* $f\( \|$\)" /proc/cpuinfo && fact has "$f"
		done
		fact clock "$(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)"
		fact memory "$(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo)"
		fact ram "$(sed -n 's/^\(.*\) : System RAM/\1/p' /proc/iomem | tr '\n' ' ')"
		dmesg | sed 's/^<[0-9]*>//; s/^\[[^]]*\] //' >/log
		grep -Ei 'error|bug|warn|fail|call trace|unexpected|unable|cannot' /log | facts dmesg
		off
	END
}

# The kernel log holds no trouble but what dmesg.allow explains.
quiet_log()
{
	grep -v '^#' tests/lab/dmesg.allow >"$work/allow"
	fact dmesg | grep -Ev -f "$work/allow" >"$work/trouble" || return 0
	fail "the guest's kernel complains: $(cat "$work/trouble")"
}

has_features()
{
	for f in x2apic tsc_deadline_timer hypervisor; do
		fact has | grep -qx "$f" || fail "the guest's CPU has no $f"
	done
	fact_is clock kvm-clock
}

# At most 1/8 of it is the kernel's own.
memory_is()	# MIB
{
	got=$(fact memory)
	[ "${got:-0}" -gt $(($1 * 1024 * 7 / 8 - 65536)) ] || fail "of $1 MiB the guest has $got KiB"
	[ "$got" -lt $(($1 * 1024)) ] || fail "of $1 MiB the guest has even $got KiB"
}

case_one()
{
	look
	boot 0 -c 1 -m 512M
	fact_is online 0
	has_features
	memory_is 512
	quiet_log
}

case_two()
{
	look
	boot 0 -c 2 -m 512M --rng
	fact_is online 0-1
	has_features
	memory_is 512
	report_is .exit.status 0
	quiet_log
}

case_eight()
{
	look
	boot 0 -c 8 -m 1G
	fact_is online 0-7
	has_features
	quiet_log
}

# CPU 4s+2c+t is thread t of core c of socket s.
case_topology()
{
	look
	boot 0 -c 8,sockets=2,cores=2,threads=2 -m 768M
	fact_is online 0-7
	fact_is packages 2
	is "siblings in socket and core" \
		"0-3 0-1/0-3 0-1/0-3 2-3/0-3 2-3/4-7 4-5/4-7 4-5/4-7 6-7/4-7 6-7/" \
		"$(fact siblings | tr '\n' /)"
}

# More RAM than fits below the hole: the rest lies from 4 GiB on, and is used.
case_hole()
{
	look
	boot 0 -c 2 -m 3584M
	memory_is 3584
	quiet_log
	fact ram | grep -q '00100000-bfffffff' || fail "RAM below the hole: $(fact ram)"
	fact ram | grep -q '100000000-11fffffff' || fail "RAM above the hole: $(fact ram)"
}

case_memfd()
{
	look
	boot 0 -c 2 -m 3584M,shared=on
	memory_is 3584
	report_is '.memory[0].backing' memfd
	quiet_log
}

# A feature that is masked is gone; paravirtual features are switches.
case_masks()
{
	guest_does <<-'END'
		fact aes "$(grep -c '^flags.* aes ' /proc/cpuinfo)"
		fact clock "$(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)"
		off
	END
	boot 0 -c 1,cpu=host,-aes --kvm steal-time=off
	fact_is aes 0
	# Without kvmclock the guest needs CPUID to say the TSC's frequency; where it does not, that is a refusal.
	start -c 1 --kvm kvmclock=off
	finish ''
	if [ "$rc" = 4 ]; then
		grep -q 'kvmclock=off: this host does not say its TSC frequency' "$work/log" || fail "refused in other words"
		return 0
	fi
	is "exit status" 0 "$rc"
	[ "$(fact clock)" != kvm-clock ] || fail "kvm-clock although kvmclock=off"
}

# A guest that keeps the core on HLT, where the host allows it.
case_exits()
{
	look
	start -c 1 --exits hlt=off,pause=off
	finish ''
	if [ "$rc" = 4 ]; then
		skip "the host refuses: $(tail -n 1 "$work/log")"
	fi
	is "exit status" 0 "$rc"
	has_features
}
