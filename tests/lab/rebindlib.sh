# shellcheck shell=sh disable=SC2034,SC2154
# SPDX-License-Identifier: Apache-2.0
#
# rebindlib.sh: two disks that are read and written all the time while their
# drivers come and go, whatever bus they are on. Sourced by driver.sh and mmio.sh,
# which set at1 and at2, where the disks are in the guest's sysfs, and disk_options,
# how pinvm puts them there.

# The loops of reads and writes outlive every error; /stop ends them. A disk
# that comes back may have another name: it is found by its place on the bus.
guest_head()	# LOOPS
{
	echo "loops=$1 at1=$at1 at2=$at2"
	cat <<-'END'
		# A node of its own for a disk: writing to /dev/vdX when the driver is away would leave a file there in the way
		# of the next node.
		disk()	# 1 OR 2
		{
			eval "at=\$at$1"
			for dev in "$at"/virtio*/block/*/dev; do
				IFS=: read -r major minor <"$dev" || return 1
				[ -b "/disk$1-$minor" ] || mknod "/disk$1-$minor" b "$major" "$minor"
				echo "/disk$1-$minor"
			done 2>/dev/null
		}
		ready()
		{
			[ -n "$(disk 1)" ] && [ -n "$(disk 2)" ]
		}
		busy()
		{
			while [ ! -e /stop ]; do
				a=$(disk 1) b=$(disk 2)
				[ -z "$a" ] || dd if=$a of=/dev/null bs=64k iflag=direct
				[ -z "$b" ] || dd if=/dev/zero of=$b bs=64k count=64 oflag=direct conv=notrunc
			done 2>/dev/null
		}
		conclude()
		{
			>/stop
			wait
			await ready
			for s in /sys/bus/virtio/devices/*/status; do fact status "$(cat $s)"; done
			fact sum "$(sum_of $(disk 1))"
			dd if=$(disk 1) of=$(disk 2) bs=64k conv=fsync,notrunc 2>/dev/null
			fact sum2 "$(sum_of $(disk 2))"
			fact oops "$(dmesg | grep -cE 'WARNING:|BUG:|Oops|nobody cared')"
			off
		}
		busy & busy &
	END
}

# After it the device works: the sums are right, no device asks for a reset.
run_it()
{
	two_disks 4
	limit=900
	# shellcheck disable=SC2086 # words
	boot 0 -c 2 $disk_options -d "$work/disk,queues=2" -d "$work/disk2,queues=2"
	copied
	is "device status" 0x0000000f "$(fact status | sort -u)"
	! grep -Ei 'needs.reset' "$work/log" || fail "a device asked for a reset"
	echo "note: $(fact loops) loops"
}

# The driver of one device is taken away in the middle of its I/O.
rebind()	# LOOPS BUS DRIVER DEVICE
{
	{
		guest_head "$1"
		echo "bus=$2 driver=$3 device=$4"
		cat <<-'END'
			i=0
			while [ $i -lt $loops ]; do
				echo $device >/sys/bus/$bus/drivers/$driver/unbind || fact unbind failed
				echo $device >/sys/bus/$bus/drivers/$driver/bind || fact bind failed
				await ready
				i=$((i + 1))
			done
			fact loops $i
			conclude
		END
	} | guest_does
	run_it
	fact_is loops "$1"
}
