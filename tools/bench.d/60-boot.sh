#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Metrics 12 and 13, from what lab-run found: exits and time of a boot of the
# stock Debian cloud kernel.

# shellcheck source=tools/bench.d/lib.sh
. "$(dirname "$0")/lib.sh"
name='boot exits' def='user-space exits, exec to power-off, quiet, 8 MiB read, without serial output'
n=$(fact pinvm exits)
if [ -n "$n" ]; then
	peer=
	for v in pinvm microvm q35; do
		all=$(fact $v exits) serial=$(fact $v serial_writes)
		[ -n "$all" ] || continue
		value 12 "${v}_exits" $((all - ${serial:-0}))
		value 12 "${v}_serial_writes" "${serial:-0}"
		[ $v = pinvm ] || peer="$peer${peer:+, }$v $((all - ${serial:-0}))"
	done
	serial=$(fact pinvm serial_writes)
	n=$((n - ${serial:-0}))
	row 12 "$name" "$def" "$n" '<= 2050' "$(verdict "$n <= 2050")" "$peer" \
		"PIO $(fact pinvm exits_reason_2), MMIO $(fact pinvm exits_reason_6); ${serial:-0} bytes of serial output apart"
else
	skip 12 "$name" "$def" '<= 2050' 'needs the lab'
fi

both()	# FACT: "ours better-peer microvm q35" in ms
{
	echo "$(fact pinvm "$1") $(fact microvm "$1") $(fact q35 "$1")" | awk 'NF == 3 {
		printf "%.1f %.1f %.1f %.1f", $1 / 1e6, ($2 < $3 ? $2 : $3) / 1e6, $2 / 1e6, $3 / 1e6 }'
}

ratio()	# ID NAME DEFINITION FACT TARGET
{
	# shellcheck disable=SC2046 # four numbers
	set -- "$@" $(both "$4")
	if [ $# -lt 9 ]; then
		skip "$1" "$2" "$3" "<= $5" 'needs the lab'
		return
	fi
	r=$(calc "$6 / $7" %.3f)
	value "$1" ratio "$r"
	value "$1" pinvm_ms "$6"
	value "$1" microvm_ms "$8"
	value "$1" q35_ms "$9"
	row "$1" "$2" "$3" "$r" "<= $5" "$(verdict "$r <= $5")" "microvm $8 ms, q35 $9 ms" "pinvm $6 ms"
}
ratio 13 'boot time' "exec to the guest's init, to the better peer, minima" boot_ns 0.7
