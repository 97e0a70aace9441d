#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Metric 5: instructions of queue and device code, counted by callgrind.

# shellcheck source=tools/bench.d/lib.sh
. "$(dirname "$0")/lib.sh"
name='instructions per request' def='queue + blk code, callgrind Ir, direct chains'
if ! command -v valgrind >/dev/null; then
	skip 5 "$name" "$def" '<= 250' 'needs valgrind'
	exit 0
fi

ir()	# RING-SIZE BATCH INDIRECT [TIMES]: instructions a request
{
	n=$(timeout 120 valgrind --tool=callgrind --toggle-collect=measured --callgrind-out-file="$OUT/callgrind.out" \
		"$B/bench/virtq_ir" "$1" "$2" 3200 "$3" "${4:-0}" 2>"$OUT/callgrind.err")
	sed -n 's/.*Collected : *//p' "$OUT/callgrind.err" | awk -v n="$n" '{ printf "%.1f", $1 / n }'
}

direct=$(ir 256 32 0)
indirect=$(ir 256 32 1)
one=$(ir 256 1 0)
for size in 64 128 256 512 1024; do
	each=$(ir $size 16 0)
	value 5 "size_$size" "$each"
	echo "$size $each" >>"$OUT/fit.$$"
done
# O(1): the exponent of a power law is nothing.
exponent=$(awk '{ print log($1), log($2) }' "$OUT/fit.$$" | slope)
rm -f "$OUT/fit.$$"
value 5 direct_batch_32 "$direct"
value 5 indirect_batch_32 "$indirect"
value 5 alone "$one"
value 5 exponent "$exponent"
row 5 "$name" "$def, batch 32" "$direct" '<= 250' "$(verdict "$direct <= 250")" - "$one alone"
row 5 "$name" 'indirect chains, batch 32' "$indirect" '<= 250' "$(verdict "$indirect <= 250")" - ''
row 5a '  growth' 'exponent over ring sizes 64..1024' "$exponent" 'O(1): 0' \
	"$(verdict "$exponent < 0.05 && $exponent > -0.05")" - ''

# The same of packets: tx and rx, and what frames in two descriptors cost (tx2). The fake tap does not count.
packet()	# WAY RING-SIZE BATCH: instructions a packet
{
	n=$(timeout 120 valgrind --tool=callgrind --toggle-collect=measured --callgrind-out-file="$OUT/callgrind.out" \
		"$B/bench/net_ir" "$1" "$2" "$3" 3200 2>"$OUT/callgrind.err")
	callgrind_annotate --auto=no --threshold=100 "$OUT/callgrind.out" |
		awk -v n="$n" '/ file:function$/ { on = 1 }
			on && /:/ && !/tests\// { gsub(",", "", $1); sum += $1 }
			END { printf "%.1f", sum / n }'
}

def='queue + net code, callgrind Ir'
for way in tx rx; do
	one=$(packet $way 256 1) batch=$(packet $way 256 64)
	value 5 "net_${way}_batch_64" "$batch"
	value 5 "net_${way}_alone" "$one"
	row 5 'instructions per packet' "$def, $way, batch 64" "$batch" '<= 120' "$(verdict "$batch <= 120")" - "$one alone"
	for size in 128 256 512 1024; do
		echo "$size $(packet $way $size 32)"
	done >"$OUT/fit.$$"
	exponent=$(awk '{ print log($1), log($2) }' "$OUT/fit.$$" | slope)
	rm -f "$OUT/fit.$$"
	value 5 "net_${way}_exponent" "$exponent"
	row 5a '  growth' "exponent over ring sizes 128..1024, $way" "$exponent" 'O(1): 0' \
		"$(verdict "$exponent < 0.05 && $exponent > -0.05")" - ''
done

# What the profile adds to each exit: 32 addresses in turn, without and with times.
exit_ir()	# TIMES: instructions an exit
{
	timeout 120 valgrind --tool=callgrind --toggle-collect=measured --callgrind-out-file="$OUT/callgrind.out" \
		"$B/bench/profile_ir" 100000 32 "$1" 2>"$OUT/callgrind.err" >/dev/null
	sed -n 's/.*Collected : *//p' "$OUT/callgrind.err" | awk '{ printf "%.1f", $1 / 100000 }'
}

# An exit costs a microsecond and more: what is counted of it by default is to be lost in that.
counts=$(exit_ir 0) times=$(exit_ir 1) timed=$(ir 256 32 0 1)
value 5b profile "$counts"
value 5b profile_times "$times"
value 5b requests_times "$timed"
row 5b 'exit profile' 'instructions it adds to an exit, callgrind Ir' "$counts" '<= 60' "$(verdict "$counts <= 60")" - \
	"$times with --profile times=on"
row 5b '  disk requests' 'the same as 5 with --profile times=on' "$timed" - - - "$direct without"
