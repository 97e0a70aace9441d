# shellcheck shell=sh disable=SC2034,SC2154
# SPDX-License-Identifier: Apache-2.0
#
# driver.sh: stock drivers come and go while their devices work. The guest may
# see I/O errors; afterwards the device must be as good as new.

tests='reload rebind rebind_pci rng'
quick=''

at1=/sys/bus/pci/devices/0000:00:01.0 at2=/sys/bus/pci/devices/0000:00:02.0 disk_options=''
# shellcheck source=tests/lab/rebindlib.sh
. tests/lab/rebindlib.sh

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

case_reload_quick() { reload 3; }
case_reload() { reload 20; }

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
