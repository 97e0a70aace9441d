#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Metrics 3 and 4: what a block request costs in exits, kicks and system calls
# of the data thread. Two lengths of run, so that set-up cancels out.

# shellcheck source=tools/bench.d/lib.sh
. "$(dirname "$0")/lib.sh"
def='user-space exits + kicks per 4 KiB read, depth'
if ! have_kvm; then
	skip 3 'exits per block request' "$def 1, 8, 32" '0 + 1, 0.3, 0.1' 'needs /dev/kvm'
	skip 4 'syscalls per batch' 'data threads only' '<= 2' 'needs /dev/kvm'
	exit 0
fi
few=512 many=2048

counters()	# DEPTH REQUESTS: "user_exits kicks interrupts requests"
{
	guest bench_blk "requests=$2 depth=$1" -d "$OUT/disk.img,ro" --debug-exit --report "$OUT/report.json" || :
	grep -q SUCCESS "$OUT/guest.log" || { echo "bench_blk failed: $OUT/guest.log" >&2; return 1; }
	jq -r '[.vcpus[0].user_exits, (.devices[0].queues[0] | .kicks, .interrupts, .requests)] | join(" ")' \
		"$OUT/report.json"
}

# The data thread is the one that calls itself io:main.
thread_calls()	# DEPTH REQUESTS: "calls kicks"
{
	STRACE="strace -f -e signal=none -o $OUT/strace.io" counters "$1" "$2" >"$OUT/counters"
	awk '/prctl\(PR_SET_NAME, "io:main"/ { io = $1 } $1 == io && !/ resumed>/ { n++ } END { printf "%d ", n }' \
		"$OUT/strace.io"
	cut -d' ' -f2 <"$OUT/counters"
}

for depth in 1 8 32; do
	case $depth in 1) most=1 ;; 8) most=0.3 ;; 32) most=0.1 ;; esac
	a=$(counters $depth $few) b=$(counters $depth $many)
	# shellcheck disable=SC2086 # four numbers each
	set -- $a $b
	n=$(($8 - $4))
	exits=$(calc "($5 - $1) / $n" %.3f) kicks=$(calc "($6 - $2) / $n" %.3f) irqs=$(calc "($7 - $3) / $n" %.3f)
	value 3 "exits_depth_$depth" "$exits"
	value 3 "kicks_depth_$depth" "$kicks"
	value 3 "interrupts_depth_$depth" "$irqs"
	# Printing the guest's own counts costs an exit a digit: less than 1 in 100 requests is that.
	row 3 "exits per block request" "$def $depth" "$exits + $kicks" "0 + $most" \
		"$(verdict "$exits < 0.01 && $exits > -0.01 && $kicks <= $most")" - "$irqs interrupts a request"
done

command -v strace >/dev/null || { skip 4 'syscalls per batch' 'data threads only' '<= 2' 'needs strace'; exit 0; }
for depth in 1 32; do
	# shellcheck disable=SC2046 # two numbers each
	set -- $(thread_calls $depth $((depth * 16))) $(thread_calls $depth $((depth * 256)))
	calls=$(calc "($3 - $1) / ($4 - $2)")
	value 4 "calls_depth_$depth" "$calls"
	row 4 "syscalls per batch" "data threads, per kick, depth $depth" "$calls" '<= 2' "$(verdict "$calls <= 2")" - ''
done
