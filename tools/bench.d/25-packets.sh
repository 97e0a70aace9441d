#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Metric 6 with a stock guest, from what the lab found (look-net): what a
# packet costs in kicks and interrupts when they come alone, 16 or 256 at a
# time, sent by the guest (up) and by the host (down).

# shellcheck source=tools/bench.d/lib.sh
. "$(dirname "$0")/lib.sh"
name='kicks + interrupts per packet'

both()	# VMM WAY_SIZE: their sum, or nothing
{
	k=$(fact "$1" "net_kicks_$2") i=$(fact "$1" "net_interrupts_$2")
	[ -z "$k" ] || [ -z "$i" ] || calc "$k + $i" %.3f
}

for way in up down; do
	for size in 1 16 256; do
		w=${way}_$size
		def="stock guest, $way, batches of $size"
		most=$(calc "2 / $size" %.3f)
		n=$(both pinvm "$w")
		if [ -z "$n" ]; then
			skip 6 "$name" "$def" "<= $most" 'needs the lab'
			continue
		fi
		peers=
		for v in pinvm microvm q35; do
			[ -n "$(both $v "$w")" ] || continue
			value 6 "${v}_kicks_$w" "$(fact $v "net_kicks_$w")"
			value 6 "${v}_interrupts_$w" "$(fact $v "net_interrupts_$w")"
			value 6 "${v}_exits_$w" "$(fact $v "net_exits_$w")"
			value 6 "${v}_returns_$w" "$(fact $v "net_returns_$w")"
			[ $v = pinvm ] || peers="$peers${peers:+, }$v $(both $v "$w")"
		done
		row 6 "$name" "$def" "$n" "<= $most" "$(verdict "$n <= $most")" "$peers" \
			"$(fact pinvm "net_kicks_$w") kicks; $(fact pinvm "net_exits_$w") exits, $(fact pinvm "net_returns_$w") to user space"
	done
done
