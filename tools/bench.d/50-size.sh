#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Metric 10: how large the program is. Sizes in KiB.

# shellcheck source=tools/bench.d/lib.sh
. "$(dirname "$0")/lib.sh"

# Our own text and data: the program as everyone builds it links the libraries
# dynamically. What --gc-sections threw away does not count.
own=$(size "$B/pinvm" | awk 'NR == 2 { printf "%d", ($1 + $2 + 1023) / 1024 }')
q=$(size "$(command -v qemu-system-x86_64 || echo /nonexistent)" 2>/dev/null |
	awk 'NR == 2 { printf "%d", ($1 + $2) / 1024 }')
value 10 own_kib "$own"
[ -z "$q" ] || value 10 qemu_kib "$q"
row 10 'binary, own' 'text + data, KiB' "$own" '<= 300' "$(verdict "$own <= 300")" "${q:+QEMU $q}" ''
if [ -x build/static/pinvm ]; then
	strip -o "$OUT/pinvm.static" build/static/pinvm
	all=$(($(stat -c %s "$OUT/pinvm.static") / 1024))
	value 10 static_kib "$all"
	row 10a 'binary, static' 'stripped, in all, KiB' "$all" '<= 1536' "$(verdict "$all <= 1536")" - ''
else
	skip 10a 'binary, static' 'stripped, in all, KiB' '<= 1536' 'make STATIC=1 failed'
fi
