# shellcheck shell=sh disable=SC2034,SC2154
# SPDX-License-Identifier: Apache-2.0
#
# study.sh: the exits of a stock guest by reason, a look at each load with each switch: not tests but measurements, so
# no group of the lab's own. tools/study-exits runs them and makes tables of what they leave in LAB_OUT/study.

seconds=${STUDY_SECONDS:-10}
tests=

# What a switch is on the command line.
variant()	# NAME
{
	case $1 in
	base) ;;
	eoi) echo '--kvm pv-eoi=off' ;;
	pause) echo '--exits pause=off' ;;
	hlt) echo '--exits hlt=off' ;;
	mmio) echo '--transport mmio' ;;
	esac
}

for l in idle busy net blk; do
	for v in base eoi pause hlt mmio; do
		# Without a device there is no transport.
		case $l$v in idlemmio | busymmio) continue ;; esac
		tests="$tests ${l}_$v"
		eval "case_${l}_$v() { look $l $v; }"
	done
done
quick=

look()	# LOAD VARIANT
{
	# shellcheck source=tests/lab/tracelib.sh
	. tests/lab/tracelib.sh
	can_trace
	options=$(variant "$2")
	# shellcheck disable=SC2086 # words
	load_$1 $options
	settle
	"$pinvm" stat traced --trace --json --interval "${seconds}s" >"$work/stat" 2>"$work/stat.err" ||
		fail "stat: $(cat "$work/stat.err")"
	# A guest whose kernel complains does not do the work it was looked at for.
	! grep -q 'Call Trace\|BUG:\|rcu:.*stall\|Oops' "$work/serial" || fail 'the guest is in trouble'
	stop_traced
	mkdir -p "${LAB_OUT:-$work}/study"
	jq --arg load "$1" --arg variant "$2" --arg options "$options" --arg host "$(uname -r)" \
		--arg cpu "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)" --arg lab "${LAB:-native}" \
		-f tests/lab/study.jq "$work/stat" >"${LAB_OUT:-$work}/study/$1_$2.json.new" || fail "jq cannot read what stat said"
	mv "${LAB_OUT:-$work}/study/$1_$2.json.new" "${LAB_OUT:-$work}/study/$1_$2.json"
	jq -r '"note: \(.exits_per_s | floor) exits/s, \(.user_exits_per_s | floor) to pinvm: " +
		(.exits[:4] | map("\(.name // .number) \(.per_s | floor)") | join(", "))' \
		"${LAB_OUT:-$work}/study/$1_$2.json"
}
