#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Instructions per block request in queue and device code, counted by callgrind: virtq_ir.sh PROGRAM
# What the program itself adds (the fake disk, the loop that answers) is not counted.
set -eu
command -v valgrind >/dev/null || { echo "skip: valgrind is not installed (apt-get install valgrind)"; exit 77; }
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT INT TERM
echo "queue batch indirect instructions/request (target: 250)"
for args in "128 32 0" "256 32 0" "1024 32 0" "256 32 1" "256 8 0" "256 1 0"; do
	# shellcheck disable=SC2086 # three numbers
	set -- "$1" $args
	n=$(timeout 120 valgrind --tool=callgrind --toggle-collect=measured --callgrind-out-file="$tmp/out" \
		"$1" "$2" "$3" 3200 "$4" 2>"$tmp/err") || { cat "$tmp/err"; exit 1; }
	ir=$(callgrind_annotate --auto=no --threshold=100 "$tmp/out" |
		awk '/ file:function$/ { on = 1 } on && /:/ && !/tests\// { gsub(",", "", $1); sum += $1 } END { print sum }')
	echo "$args $n $ir" | awk '{ printf "%5d %5d %8d %d\n", $1, $2, $3, $5 / $4 }'
done
