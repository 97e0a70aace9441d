# shellcheck shell=sh disable=SC2034,SC2154
# SPDX-License-Identifier: Apache-2.0
#
# vmm.sh: other groups' tests again, of guests whose vCPUs halt and poll in pinvm (--halt-poll vmm): disk.basic is
# vmm.disk_basic here. And what only this mode has.

tests='timers window served served_split served_net'
quick='timers served'
others='chip.smp chip.hotplug chip.restart disk.basic disk.fio_uring disk.fio_plain disk.fio_polled disk.discard
	disk.sigkill_once net.traffic net.ping_pci net.ping_mmio net.pairs_pci net.packets_mmio tap.link_quick mmio.short
	driver.reload_quick driver.rng life.poweroff life.reset life.reset_triple life.panic life.button life.restart_smp
	serial.socket boot.pvh boot.multiboot'

for other in $others; do
	tests="$tests ${other%.*}_${other#*.}"
	eval "case_${other%.*}_${other#*.}() { again ${other%.*} ${other#*.}; }"
done

# Every guest is started so; its report says that it was.
again()	# GROUP TEST
{
	real=$pinvm
	pinvm=$work/pinvm.vmm
	# shellcheck disable=SC2016 # the script's own
	printf '#!/bin/sh\n[ "$1" = run ] || exec "%s" "$@"\nshift\nexec "%s" run --halt-poll vmm "$@"\n' "$real" "$real" >"$pinvm"
	chmod +x "$pinvm"
	# shellcheck disable=SC1090 # one of $others
	. "tests/lab/$1.sh"
	"case_$2"
	[ -s "$work/report" ] || return 0 # it was killed
	report_is .halt_poll.mode vmm
	echo "note: $(polled)"
}

polled()
{
	jq -r '[.halt_poll.vmm.vcpus[]] | "halts \(map(.halts) | add), polled \(map(.polls) | add), hits \(map(.hits) | add), blocked \(map(.waits) | add)"' \
		"$work/report"
}

# Sleeps of each CPU end, one after the other and all together, and none of them early by the guest's own clock.
case_timers()
{
	guest_does <<-'END'
		stamp()
		{
			sed 's/ .*//; s/\.//' /proc/uptime
		}
		naps()	# CPU
		{
			i=0
			while [ $i -lt 50 ]; do
				taskset -c $1 usleep 2000
				i=$((i + 1))
			done
			echo "cpu $1 napped $i"
		}
		begun=$(stamp)
		for cpu in 0 1 2 3 4 5 6 7; do
			naps $cpu >/naps.$cpu &
		done
		wait
		[ $(($(stamp) - begun)) -ge 10 ] || fact early "50 naps of 2 ms took less than 100 ms"
		cat /naps.* | facts naps
		awk '/^ *LOC:/ { for (i = 2; i <= 9; i++) print (($i >= 50) ? "enough" : $i) }' /proc/interrupts | sort -u | facts timers
		fact online "$(cat /sys/devices/system/cpu/online)"
		off
	END
	boot 0 -c 8 -m 512M --halt-poll vmm,max=1ms
	fact_is online 0-7
	fact_is early ''
	is "CPUs that napped" 8 "$(fact naps | grep -c 'napped 50$')"
	fact_is timers enough
	report_is '[.halt_poll.vmm.vcpus[] | select(.halts > 0 and .waits > 0)] | length' 8
	echo "note: $(polled)"
}

# Disks that vCPUs serve: what is read and written is right, and no other thread had a hand in it.
served()	# OPTIONS...
{
	copies ,iothread=vcpu0 ,queues=2,iothread=vcpu1 -c 2 "$@"
	report_is '[.devices[].queues[].iothread] | unique | join(" ")' 'vcpu0 vcpu1'
}

case_served() { served --halt-poll vmm; }
case_served_split() { served; }

# And a net: TCP both ways.
case_served_net()
{
	. tests/lab/net.sh
	tcp ,iothread=vcpu0 24
	report_is '[.devices[0].queues[:2][].iothread] | unique | join(" ")' vcpu0
}

# The same guest and load, off, with a window, and off again: polls are counted in the middle alone.
case_window()
{
	guest_does <<-'END'
		fact state ready
		while :; do usleep 500; done
	END
	start -c 1 -m 512M -n window --control "$work/control" --halt-poll vmm,max=1ms
	wait_for 'fact: state ready'
	until_true 60 polls_grow || fail "it never polled: $(halt_poll)"
	"$pinvm" ctl "$work/control" halt-poll off >"$work/ctl" || fail "off was not taken: $(cat "$work/ctl")"
	later 2 # one was under way
	seen=$(halt_poll .vmm.vcpus[0].polls)
	later 20
	is "polls with off" "$seen" "$(halt_poll .vmm.vcpus[0].polls)"
	"$pinvm" ctl "$work/control" halt-poll vmm,max=1ms >"$work/ctl" || fail "vmm was not taken: $(cat "$work/ctl")"
	until_true 60 polled_since "$seen" || fail "it does not poll again: $(halt_poll)"
	"$pinvm" ctl "$work/control" stop 0 >"$work/ctl"
	finish 14
}

halt_poll()	# [JQ-PATH]
{
	"$pinvm" ctl "$work/control" halt-poll --json 2>/dev/null | jq "${1:-.}"
}

later()	# HALTS
{
	halts=$(halt_poll .vmm.vcpus[0].halts)
	until_true 60 halted_since $((halts + $1)) || fail "it does not halt any more"
}

polls_grow() { [ "$(halt_poll .vmm.vcpus[0].hits)" -gt 0 ]; }
halted_since() { [ "$(halt_poll .vmm.vcpus[0].halts)" -ge "$1" ]; }
polled_since() { [ "$(halt_poll .vmm.vcpus[0].polls)" -gt "$1" ]; }
