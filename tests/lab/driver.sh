# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
#
# driver.sh: stock drivers come and go while their devices work. The guest may
# see I/O errors; afterwards the device must be as good as new.

# shellcheck disable=SC2034
tests='reload rebind rebind_pci rng'
# shellcheck disable=SC2034
quick='reload_quick rebind_quick'

# The loops of reads and writes outlive every error; /stop ends them. A disk
# that comes back may have another name: it is found by its place on the bus.
guest_head()	# LOOPS
{
	echo "loops=$1"
	cat <<-'END'
		# A node of its own for the disk in a slot: writing to /dev/vdX when the driver is away would leave a file there
		# in the way of the next node.
		disk()	# SLOT
		{
			for dev in /sys/bus/pci/devices/0000:00:0$1.0/virtio*/block/*/dev; do
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
			off
		}
		busy & busy &
	END
}

# After it the device works: the sums are right, no device asks for a reset.
run_it()
{
	sum=$(make_disk "$work/a" 4)
	truncate -s 4M "$work/b"
	limit=900
	boot 0 -c 2 -d "$work/a,queues=2" -d "$work/b,queues=2"
	fact_is sum "$sum"
	fact_is sum2 "$sum"
	is "what the host has" "$sum" "$(sum_of "$work/b")"
	is "device status" 0x0000000f "$(fact status | sort -u)"
	! grep -Ei 'needs.reset' "$work/log" || fail "a device asked for a reset"
	echo "note: $(fact loops) loops"
}

# A module in use cannot go: try until the readers are between two opens.
reload()	# LOOPS
{
	{
		guest_head "$1"
		cat <<-'END'
			i=0
			while [ $i -lt $loops ]; do
				n=0
				until rmmod virtio_blk 2>/dev/null; do
					n=$((n + 1))
					[ $n -lt 2000 ] || { fact rmmod "in vain"; break 2; }
				done
				load virtio_blk
				i=$((i + 1))
			done
			fact loops $i
			conclude
		END
	} | guest_does
	run_it
	fact_is loops "$1"
}

case_reload_quick() { reload 5; }
case_reload() { reload 20; }

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

case_rebind_quick() { rebind 5 virtio virtio_blk virtio0; }
case_rebind() { rebind 20 virtio virtio_blk virtio0; }
case_rebind_pci() { rebind 20 pci virtio-pci 0000:00:01.0; }

case_rng()
{
	guest_does <<-'END'
		(while [ ! -e /stop ]; do dd if=/dev/hwrng of=/dev/null bs=512 count=64 2>/dev/null; done) &
		i=0
		while [ $i -lt 20 ]; do
			rmmod virtio_rng 2>/dev/null && load virtio-rng && i=$((i + 1))
		done
		>/stop
		wait
		fact loops $i
		fact bytes "$(dd if=/dev/hwrng bs=64 count=4 2>/dev/null | wc -c)"
		fact status "$(cat /sys/bus/virtio/devices/virtio0/status)"
		off
	END
	boot 0 -c 2 --rng
	fact_is loops 20
	fact_is bytes 256
	fact_is status 0x0000000f
}
