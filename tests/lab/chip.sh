# shellcheck shell=sh disable=SC2034,SC2154
# SPDX-License-Identifier: Apache-2.0
#
# chip.sh: the stock cloud kernel over local APICs in pinvm (--irqchip user): it starts its CPUs, is interrupted by timers,
# devices and other CPUs, takes CPUs away and gives them back, and powers off.

tests='one smp hotplug disk mmio restart'
quick='' # vmm.timers boots eight CPUs

# What each kind of interrupt counted, and what the kernel complains of.
chip_look()
{
	guest_does <<-'END'
		fact online "$(cat /sys/devices/system/cpu/online)"
		grep -q '^flags.* x2apic .*' /proc/cpuinfo && fact has x2apic
		grep -q '^flags.* tsc_deadline_timer' /proc/cpuinfo && fact has tsc_deadline_timer
		sleep 2
		awk '/^ *(LOC|RES|CAL|ERR|SPU|MIS):/ { n = 0; for (i = 2; $i ~ /^[0-9]+$/; i++) n += $i; print $1, n }' \
			/proc/interrupts | facts irq
		dmesg | sed 's/^<[0-9]*>//; s/^\[[^]]*\] //' >/log
		grep -Ei 'x2apic|lapic|apic error|spurious' /log | facts apic
		grep -Ei 'error|bug|warn|fail|call trace|unexpected|unable|cannot' /log | facts dmesg
		off
	END
}

irq()	# NAME
{
	fact irq | sed -n "s/^$1: //p"
}

chip_is_sane()	# ONLINE
{
	report_is .irqchip.controller 'local APICs and IOAPIC in pinvm'
	fact_is online "$1"
	for f in x2apic tsc_deadline_timer; do
		fact has | grep -qx $f || fail "the guest's CPU has no $f"
	done
	[ "$(irq LOC)" -gt 0 ] || fail "no timer interrupt"
	for i in ERR SPU MIS; do
		[ "$(irq $i)" -eq 0 ] || fail "$i: $(irq $i)"
	done
	! fact apic | grep -i 'apic error' || fail "an APIC error"
	grep -v '^#' tests/lab/dmesg.allow >"$work/allow"
	! fact dmesg | grep -Ev -f "$work/allow" >"$work/trouble" || fail "the guest's kernel complains: $(cat "$work/trouble")"
	echo "note: $(fact irq | tr '\n' ' ')"
}

case_one()
{
	chip_look
	boot 0 -c 1 -m 512M --irqchip user
	chip_is_sane 0
}

case_smp()
{
	chip_look
	boot 0 -c 8 -m 512M --irqchip user --rng
	chip_is_sane 0-7
	[ "$(irq CAL)" -gt 0 ] || fail "no CPU called another"
}

case_hotplug()
{
	guest_does <<-'END'
		cpus=/sys/devices/system/cpu
		for n in 1 2 3; do
			for c in 1 2 3; do
				echo 0 >$cpus/cpu$c/online || fact hotplug "CPU $c stays"
			done
			fact left "$(cat $cpus/online)"
			for c in 1 2 3; do
				echo 1 >$cpus/cpu$c/online || fact hotplug "CPU $c does not come back"
			done
		done
		fact online "$(cat $cpus/online)"
		off
	END
	boot 0 -c 4 -m 512M --irqchip user
	fact_is hotplug ''
	fact_is left "0
0
0"
	fact_is online 0-3
}

case_disk() { copies ,queues=4 ,queues=4 -c 4 --irqchip user; }
case_mmio() { copies ,queues=4 ,queues=4 -c 4 --irqchip user --transport mmio; }

case_restart()
{
	guest_does <<-'END'
		fact online "$(cat /sys/devices/system/cpu/online)"
		[ "$(head -c 1 /dev/vda)" = 2 ] && off
		[ "$(head -c 1 /dev/vda)" = 1 ] && n=2 || n=1
		printf $n | dd of=/dev/vda conv=fsync,notrunc 2>/dev/null
		reboot -f
	END
	dd if=/dev/zero of="$work/disk" bs=1M count=1 2>/dev/null
	boot 0 -c 2 -m 512M --irqchip user --on-reset restart -d "$work/disk"
	report_is .restarts 2
	fact_is online "0-1
0-1
0-1"
}
