# shellcheck shell=sh disable=SC2034,SC2154
# SPDX-License-Identifier: Apache-2.0
#
# life.sh: how a guest ends, and what pinvm's exit status says of it.

tests='poweroff reset reset_acpi reset_triple restart restart_smp panic panic_reset
	button deaf twice timeout'
quick='panic'

case_poweroff()
{
	guest_does <<-'END'
		off
	END
	boot 0 -c 2
	report_is .exit.status 0
	report_is .exit.cause "guest powered off"
}

case_reset()
{
	guest_does <<-'END'
		again
	END
	boot 8
	report_is .exit.cause "guest reset"
}

case_reset_acpi()
{
	guest_does <<-'END'
		again
	END
	words=reboot=acpi
	boot 8
}

case_reset_triple()
{
	guest_does <<-'END'
		again
	END
	words=reboot=triple
	boot 12
}

# The guest counts its boots on the disk, byte n is written by boot n, and restarts until there are that many.
counting()
{
	truncate -s 1M "$work/disk"
	{
		echo "most=$1"
		cat <<-'END'
			count=$(tr -d '\0' </dev/vda | wc -c)
			if [ "$count" -ge "$most" ]; then
				fact boots "$count"
				fact online "$(cat /sys/devices/system/cpu/online)"
				off
			fi
			printf x | dd of=/dev/vda bs=1 seek="$count" conv=fsync,notrunc 2>/dev/null
			again
		END
	} | guest_does
}

restart()
{
	counting "$1"
	limit=1200
	boot 0 -m 256M -d "$work/disk" --on-reset restart
	fact_is boots "$1"
	is "bytes on the disk" "$1" "$(tr -d '\0' <"$work/disk" | wc -c)"
	report_is .restarts "$1"
}

case_restart() { restart 10; }

case_restart_smp()
{
	counting 10
	limit=1200
	boot 0 -c 4 -m 512M -d "$work/disk,queues=4" --rng --on-reset restart
	fact_is boots 10
	fact_is online 0-3
}

case_panic()
{
	guest_does <<-'END'
		load pvpanic pvpanic-mmio
		echo c >/proc/sysrq-trigger
		sleep 1000
	END
	boot 10
	report_is .exit.cause "guest panic"
}

# Without the notifier's driver a panic is what panic= makes of it.
case_panic_reset()
{
	guest_does <<-'END'
		echo c >/proc/sysrq-trigger
		sleep 1000
	END
	words=panic=1
	boot 8
}

case_button()
{
	guest_does <<-'END'
		load button evdev
		mkdir -p /etc/acpi/PWRF
		printf '#!/bin/sh\necho "fact: button pressed"\npoweroff -f\n' >/etc/acpi/PWRF/00000080
		chmod 755 /etc/acpi/PWRF/00000080
		await test -c /dev/input/event0
		acpid -d &	# stays, and needs no log file
		sleep 1
		fact ready now
		sleep 1000
	END
	start --grace 60
	wait_for "fact: ready"
	kill -TERM "$pid"
	finish 0
	fact_is button pressed
}

deaf()
{
	guest_does <<-'END'
		fact ready now
		sleep 1000
	END
}

# Nobody listens to the button.
case_deaf()
{
	deaf
	start --grace 2
	wait_for "fact: ready"
	kill -TERM "$pid"
	finish 14
	report_is .exit.status 14
}

case_twice()
{
	deaf
	start --grace 100
	wait_for "fact: ready"
	kill -INT "$pid"
	until_true 20 grep -q 'asking the guest' "$work/log" || fail "the first signal was not heard"
	kill -INT "$pid"
	finish 14
}

case_timeout()
{
	deaf
	limit=12
	boot 124
	report_is .exit.status 124
}
