# shellcheck shell=sh disable=SC2034,SC2154
# SPDX-License-Identifier: Apache-2.0
#
# mmio.sh: what only virtio-mmio has. Twins of other rooms' cases are with those, as case_mmio_NAME.

# Over MMIO a kick does not either; an interrupt costs the two accesses that read its reason and acknowledge it.
case_mmio_exits()
{
	disk disk 64k
	for how in '':0 irq:5800; do
		few=$(exits_of blk "count=100 depth=1 ${how%:*} mmio" -d "$tmp/disk" --transport mmio) || exit $?
		many=$(exits_of blk "count=3000 depth=1 ${how%:*} mmio" -d "$tmp/disk" --transport mmio) || exit $?
		more=$((many - few - ${how#*:}))
		if [ $more -ge 50 ] || [ $more -le -50 ]; then
			bad "${how%:*}: $few exits for 100 requests, $many for 3000"
		fi
	done
}

case_mmio()
{
	disk disk 64k
	guest mmio 'devices=2 mmio' -d "$tmp/disk" --rng --transport mmio
	success
}

# As many as there are pins.
case_mmio_full()
{
	disk disk 64k
	set --
	while [ $# -lt 32 ]; do set -- -d "$tmp/disk,ro" "$@"; done
	guest mmio 'devices=17 mmio' "$@" --rng --transport mmio
	success
}
