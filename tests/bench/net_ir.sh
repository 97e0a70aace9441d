#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# net_ir.sh PROGRAM: instructions per packet in queue and device code, counted
# by callgrind. What the program itself adds (the fake tap) is not counted.
# One line a case: "tx|tx2|rx QUEUE-SIZE BATCH INSTRUCTIONS".

set -eu
command -v valgrind >/dev/null || { echo "skip: valgrind is not installed (apt-get install valgrind)"; exit 77; }
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT INT TERM
for way in tx tx2 rx; do
	for size in "256 1" "256 16" "128 32" "256 32" "1024 32" "256 128"; do
		# shellcheck disable=SC2086 # two numbers
		n=$(timeout 120 valgrind --tool=callgrind --toggle-collect=measured --callgrind-out-file="$tmp/out" \
			"$1" $way $size 3200 2>"$tmp/err") || { cat "$tmp/err"; exit 1; }
		ir=$(callgrind_annotate --auto=no --threshold=100 "$tmp/out" |
			awk '/ file:function$/ { on = 1 } on && /:/ && !/tests\// { gsub(",", "", $1); sum += $1 }
				END { print sum }')
		echo "$way $size $n $ir" | awk '{ printf "%-3s %4d %3d %.1f\n", $1, $2, $3, $5 / $4 }'
	done
done
