#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Metrics 7 and 11: memory beside guest RAM, and wake-ups while the guest is
# idle. On this machine's /dev/kvm with bare-metal guests that halt for ever
# (pinvm's has used its disk before); without one, what the lab found.

# shellcheck source=tools/bench.d/lib.sh
. "$(dirname "$0")/lib.sh"
name='memory overhead' def="private-dirty beside guest RAM, KiB, 1 vCPU + blk${NET:+ + net}"
idle='idle wake-ups' idle_def='context switches outside vCPU threads, 10 s (defined: 60)'
look=$OUT/look

# Leaves "NAME private_kib N" and "NAME idle_switches N" in $look.
look_at()	# NAME WORD COMMAND...
{
	VMM=$1 word=$2
	export VMM RAM=256 FACTS="$look" IDLE_SECONDS SETTLE_SECONDS
	shift 2
	"$B/bench/vmm_run" -m "$word" -t 60 -x "$(dirname "$0")/look" -- "$@" >/dev/null 2>&1 || :
}

ours()	# PINVM-ARGS...
{
	# shellcheck disable=SC2086 # words
	look_at pinvm bench-hold "$B/pinvm" run -k "$B/guest/bench_blk.elf" -p 'requests=64 depth=8 end=hang' -m 256M $NET "$@"
}

grown()	# PINVM-ARGS...
{
	rm -f "$look"
	ours "$@"
	sed -n 's/^pinvm private_kib //p' "$look"
}

peers()	# NAME
{
	for m in microvm q35; do
		n=$(fact $m "$1")
		[ -z "$n" ] || printf '%s%s %s' "$sep" $m "$n"
		[ -z "$n" ] || sep=', '
	done
}

if have_kvm; then
	for n in 1 2 4 8; do
		IDLE_SECONDS=0 SETTLE_SECONDS=0.5
		echo "$n $(grown -c $n -d "$OUT/disk.img,ro")" >>"$OUT/fit.v.$$"
		echo "$n $(grown -d "$OUT/disk.img,ro,queues=$n")" >>"$OUT/fit.q.$$"
	done
	v=$(slope <"$OUT/fit.v.$$") q=$(slope <"$OUT/fit.q.$$")
	rm -f "$OUT/fit.v.$$" "$OUT/fit.q.$$" "$look"
	IDLE_SECONDS=10 SETTLE_SECONDS=3
	ours -d "$OUT/disk.img,ro"
	for m in microvm q35; do
		# The word comes from a guest that says it will hang: SeaBIOS needs its time before that.
		# shellcheck disable=SC2046 # words
		look_at $m hanging $(qemu $m "$B/guest/exits.elf" hang)
	done
	FACTS=$look
fi

kib=$(fact pinvm private_kib) switches=$(fact pinvm idle_switches)
if [ -z "$kib" ]; then
	skip 7 "$name" "$def" '<= 512' 'needs /dev/kvm or the lab'
	skip 11 "$idle" "$idle_def" 0 'needs /dev/kvm or the lab'
	exit 0
fi
for m in microvm q35; do
	n=$(fact $m private_kib)
	[ -z "$n" ] || value 7 "${m}_kib" "$n"
done
sep=''
value 7 kib "$kib"
row 7 "$name" "$def" "$kib" '<= 512' "$(verdict "$kib <= 512")" "$(peers private_kib)" ''
if have_kvm; then
	value 7 kib_per_vcpu "$v"
	value 7 kib_per_queue "$q"
	row 7a '  per vCPU' 'slope over 1, 2, 4, 8, KiB' "$v" '<= 32' "$(verdict "$v <= 32")" - ''
	row 7b '  per queue' 'slope over 1, 2, 4, 8, KiB; idle queues' "$q" '<= 8' "$(verdict "$q <= 8")" - ''
fi
value 11 switches "$switches"
row 11 "$idle" "$idle_def" "$switches" 0 "$(verdict "$switches == 0")" "$(peers idle_switches)" ''
