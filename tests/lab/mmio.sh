# shellcheck shell=sh disable=SC2034,SC2154
# SPDX-License-Identifier: Apache-2.0
#
# mmio.sh: stock guests whose devices are behind virtio-mmio, found by ACPI,
# and that have no PCI.

tests='disk many log rebind rebind_virtio reload restart'
quick='short'

at1=/sys/bus/platform/devices/LNRO0005:00 at2=/sys/bus/platform/devices/LNRO0005:01 disk_options='--transport mmio'
# shellcheck source=tests/lab/rebindlib.sh
. tests/lab/rebindlib.sh

# What every case looks at: where the devices are, and that nothing else is there.
board()
{
	cat <<-'END'
		fact pci "$(ls /sys/bus/pci/devices 2>/dev/null | wc -l)"
		for d in /sys/bus/platform/drivers/virtio-mmio/LNRO0005*; do
			[ -e "$d" ] && fact mmio "$(basename "$d")"
		done
	END
}

no_complaint()
{
	! grep -Ei 'needs.reset|ignored' "$work/log" || fail "the driver broke a rule, or a device asked for a reset"
}

# Both disks and the rng, on two CPUs, with an interrupt for each.
disk()	# MIB
{
	two_disks "$1"
	{
		board
		copying
		cat <<-'END'
			fact queues "$(ls /sys/block/vdb/mq | wc -l)"
			fact serial "$(cat /sys/block/vda/serial)"
			fact cpus "$(nproc)"
			fact rng "$(cat /sys/class/misc/hw_random/rng_current)"
			fact bytes "$(dd if=/dev/hwrng bs=64 count=4 2>/dev/null | wc -c)"
			fact lines "$(grep -c virtio /proc/interrupts)"
			fact edges "$(grep virtio /proc/interrupts | grep -vc edge)"
			for s in /sys/bus/virtio/devices/*/status; do fact status "$(cat $s)"; done
			off
		END
	} | guest_does
	boot 0 -c 2 --transport mmio -d "$work/disk,serial=lab-0001" -d "$work/disk2,queues=2" --rng
	copied
	fact_is pci 0
	is "devices" "LNRO0005:00 LNRO0005:01 LNRO0005:02" "$(fact mmio | xargs)"
	fact_is queues 2
	fact_is serial lab-0001
	fact_is cpus 2
	fact_is rng virtio_rng.0
	fact_is bytes 256
	fact_is lines 3
	fact_is edges 0
	is "device status" 0x0000000f "$(fact status | sort -u)"
	no_complaint
}

case_short() { disk 2; }
case_disk() { disk 16; }

# A device for every pin there is.
case_many()
{
	set --
	i=0
	while [ $i -lt 16 ]; do
		truncate -s 1M "$work/d$i"
		echo "this is disk $i" | dd of="$work/d$i" conv=notrunc 2>/dev/null
		set -- "$@" -d "$work/d$i"
		i=$((i + 1))
	done
	{
		board
		cat <<-'END'
			for d in /sys/block/vd*; do
				fact disk "$(head -n 1 "/dev/${d##*/}")"
			done
			fact bytes "$(dd if=/dev/hwrng bs=64 count=4 2>/dev/null | wc -c)"
			off
		END
	} | guest_does
	boot 0 --transport mmio "$@" --rng
	is "devices" 17 "$(fact mmio | wc -l)"
	is "disks" 16 "$(fact disk | sort -u | grep -c 'this is disk')"
	fact_is bytes 256
	no_complaint
}

# The kernel finds nothing amiss on a board without PCI.
case_log()
{
	# shellcheck source=tests/lab/machine.sh
	. "$here/machine.sh"
	truncate -s 1M "$work/a"
	look
	boot 0 -c 2 --transport mmio -d "$work/a" --rng
	fact_is online 0-1
	quiet_log
	no_complaint
}

# The driver of the transport or of the disk.
come_and_go()	# LOOPS BUS DRIVER DEVICE
{
	rebind "$@"
	fact_is oops 0
	no_complaint
}

case_rebind() { come_and_go 20 platform virtio-mmio LNRO0005:00; }
case_rebind_virtio() { come_and_go 20 virtio virtio_blk virtio0; }

case_reload()
{
	guest_does <<-'END'
		i=0
		while [ $i -lt 10 ]; do
			dd if=/dev/hwrng of=/dev/null bs=512 count=8 2>/dev/null
			rmmod virtio_mmio && load virtio_mmio && i=$((i + 1))
			await test -b /dev/vda
		done
		fact loops $i
		fact sum "$(sum_of /dev/vda)"
		fact bytes "$(dd if=/dev/hwrng bs=64 count=4 2>/dev/null | wc -c)"
		fact oops "$(dmesg | grep -cE 'WARNING:|BUG:|Oops|nobody cared')"
		off
	END
	sum=$(make_disk "$work/a" 2)
	boot 0 -c 2 --transport mmio -d "$work/a" --rng
	fact_is loops 10
	fact_is oops 0
	fact_is sum "$sum"
	fact_is bytes 256
	no_complaint
}

# Byte n of the disk is written by boot n.
case_restart()
{
	truncate -s 1M "$work/disk"
	guest_does <<-'END'
		count=$(tr -d '\0' </dev/vda | wc -c)
		if [ "$count" -ge 3 ]; then
			fact boots "$count"
			off
		fi
		printf x | dd of=/dev/vda bs=1 seek="$count" conv=fsync,notrunc 2>/dev/null
		again
	END
	boot 0 -c 2 --transport mmio --on-reset restart -d "$work/disk"
	fact_is boots 3
	report_is .restarts 3
	no_complaint
}
