#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Instructions the exit profile adds to an exit, counted by callgrind, and nanoseconds, the least of five runs:
# profile_ir.sh PROGRAM
set -eu
command -v valgrind >/dev/null || { echo "skip: valgrind is not installed (apt-get install valgrind)"; exit 77; }
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT INT TERM
echo "addresses times instructions/exit ns/exit"
for args in "1 0" "32 0" "256 0" "5000 0" "32 1"; do
	# shellcheck disable=SC2086 # two numbers
	set -- "$1" $args
	timeout 120 valgrind --tool=callgrind --toggle-collect=measured --callgrind-out-file="$tmp/out" \
		"$1" 100000 "$2" "$3" 2>"$tmp/err" >/dev/null || { cat "$tmp/err"; exit 1; }
	ns=$(for _ in 1 2 3 4 5; do "$1" 2000000 "$2" "$3" ns; done | sort -n | head -n 1)
	sed -n 's/.*Collected : *//p' "$tmp/err" | awk -v a="$args" -v ns="$ns" '{ split(a, b); printf "%9d %5d %17.1f %7s\n", b[1], b[2], $1 / 100000, ns }'
done
