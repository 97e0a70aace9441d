#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Metric 6 with a guest that does nothing else: kicks and interrupts of the
# queue that a batch of frames goes through. Two lengths of run, so that set-up
# cancels out. 25-packets.sh has stock guests.

# shellcheck source=tools/bench.d/lib.sh
. "$(dirname "$0")/lib.sh"
name='kicks + interrupts per batch'
def='bare-metal guest, 64-byte frames'
why=
have_kvm || why='needs /dev/kvm'
[ -n "$why" ] || why=$(tools/netns --check 2>&1) || :
if [ -n "$why" ]; then
	skip 6 "$name" "$def, batches of 1, 16, 256" '<= 2' "$why"
	exit 0
fi

signals()	# WAY BATCH BATCHES: "kicks interrupts"
{
	q=0
	[ "$1" != send ] || q=1
	timeout -k 5 90 tools/netns --tap t0 -- tests/guest/host/reflected "$B/guest/host/reflect" \
		"$B/pinvm" run -k "$B/guest/bench_net.elf" -m 16 -p "way=$1 batch=$2 total=$(($2 * $3))" --timeout 60 \
		--debug-exit --net tap=t0 --report "$OUT/report.json" </dev/null >"$OUT/guest.log" 2>"$OUT/guest.err" || :
	grep -q SUCCESS "$OUT/guest.log" || { echo "bench_net failed: $OUT/guest.log" >&2; return 1; }
	jq -r ".devices[0].queues[$q] | \"\\(.kicks) \\(.interrupts)\"" "$OUT/report.json"
}

for way in send receive; do
	for batch in 1 16 256; do
		a=$(signals $way $batch 8) b=$(signals $way $batch 24)
		# shellcheck disable=SC2086 # two numbers each
		set -- $a $b
		kicks=$(calc "($3 - $1) / 16") irqs=$(calc "($4 - $2) / 16")
		both=$(calc "$kicks + $irqs")
		value 6 "kicks_${way}_$batch" "$kicks"
		value 6 "interrupts_${way}_$batch" "$irqs"
		row 6 "$name" "$def, $way, batches of $batch" "$both" '<= 2' "$(verdict "$both <= 2")" - \
			"$kicks kicks, $irqs interrupts"
	done
done
