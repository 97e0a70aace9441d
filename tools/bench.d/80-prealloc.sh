#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Metric 15: how fast preallocation is, by threads, against one thread that
# touches every page.

# shellcheck source=tools/bench.d/lib.sh
. "$(dirname "$0")/lib.sh"
name='prealloc, 1 thread' mib=1024 rounds=4
def="bytes/s to a one-thread touch loop, $mib MiB, minima"
free=$(awk '/^MemAvailable:/ { printf "%d", $2 / 1024 }' /proc/meminfo)
if [ "$free" -lt $((mib * 2)) ]; then
	skip 15 "$name" "$def" 'near linear' "needs $((mib * 2)) MiB of free memory"
	exit 0
fi
lines=$(timeout 120 "$B/bench/fill_rate" $mib $rounds)
touch_ns=$(echo "$lines" | sed -n 's/^touch //p')
gb_s()	# NS
{
	calc "$mib / 1024 * 1.073741824e9 / $1"
}

rate=$(gb_s "$touch_ns")
value 15 touch_gb_s "$rate"
# A shared host gives threads less than the CPUs they run on: the CPU time that all of them took together tells whether
# they stood in each other's way.
id=15
echo "$lines" | while read -r what threads ns cpu; do
	case $what.$threads in
	fill.1) alone=$cpu note='' ;;
	fill.*) id=15.$threads name="  $threads threads" note=", $(calc "$cpu / $alone") of 1 thread's CPU time" ;;
	*) continue ;;
	esac
	r=$(calc "$touch_ns / $ns")
	value 15 "ratio_$threads" "$r"
	value 15 "cpu_ratio_$threads" "$(calc "$cpu / $alone")"
	row "$id" "$name" "$def" "$r" ">= $(calc "0.8 * $threads" %.1f)" "$(verdict "$r >= 0.8 * $threads")" - \
		"$(gb_s "$ns") GB/s; the loop $rate$note"
done
