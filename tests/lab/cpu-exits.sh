#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# cpu-exits.sh: count what the CPU switches change, on a host whose /dev/kvm runs stock Linux.
#
# usage: tools/lab --timeout 1200 -- tests/lab/cpu-exits.sh [CASE...]    (default: all)
#
# A stock guest is booted once with a switch at its default and once without; the kernel's own tracepoints count its
# exits while cpu-load works in it. Prints the counts, and fails where they do not show the effect.

set -u
export LC_ALL=C
cd "$(dirname "$0")/../.." || exit 1
trace=/sys/kernel/tracing
events=$trace/events/kvm
keys='kvm_exit:exit_reason kvm_eoi:vector kvm_pv_eoi:vector kvm_hypercall:nr kvm_msr:write,ecx.hex'
failed=0
tmp=$(mktemp -d)
pid=''
trap 'finish' EXIT
trap 'exit 1' HUP INT TERM
trap '' PIPE

# shellcheck disable=SC2317 # by the trap
finish()
{
	[ -z "$pid" ] || kill "$pid" 2>/dev/null
	for k in $keys; do
		echo "!hist:keys=${k#*:}" >>"$events/${k%%:*}/trigger" 2>/dev/null
	done
	rm -rf "$tmp"
}

prepare()
{
	[ -d "$events" ] || mount -t tracefs tracefs $trace
	[ -d "$events" ] || { echo "cpu-exits: no $events: root of a host with kvm is needed" >&2; exit 1; }
	for k in $keys; do
		echo "hist:keys=${k#*:}" >>"$events/${k%%:*}/trigger"
	done
	kernel=$(tools/kernel cloud path) || exit 1
	"${CC:-cc}" -O2 -static -pthread -o "$tmp/cpu-load" tests/lab/cpu-load.c || exit 1
	tools/initramfs -o "$tmp/initrd" --init tests/lab/cpu-init --add "$tmp/cpu-load:/bin/cpu-load" || exit 1
}

says()	# PATTERN, or the guest's end
{
	while kill -0 "$pid" 2>/dev/null && ! grep -q "$1" "$tmp/$run"; do
		sleep 0.3
	done
	grep -q "$1" "$tmp/$run"
}

# Boots a guest and counts between its two marks; the histograms stay in $tmp/$run.EVENT.
count()	# RUN LOAD OPTIONS...
{
	run=$1 load=$2
	shift 2
	rm -f "$tmp/go"
	mkfifo "$tmp/go"
	build/pinvm run "$kernel" -i "$tmp/initrd" -p "console=ttyS0 quiet load=$load" --timeout 400 "$@" \
		<"$tmp/go" >"$tmp/$run" 2>&1 &
	pid=$!
	exec 7>"$tmp/go"
	says 'mark: begin'
	for k in $keys; do
		echo "hist:keys=${k#*:}:clear" >>"$events/${k%%:*}/trigger"
	done
	echo go >&7
	says 'mark: end'
	done=$?
	for k in $keys; do
		cat "$events/${k%%:*}/hist" >"$tmp/$run.${k%%:*}"
	done
	echo go >&7
	exec 7>&-
	wait "$pid"
	pid=''
	[ $done = 0 ] || { echo "cpu-exits: the guest of '$run' did not get to its end" >&2; tail -n 5 "$tmp/$run" >&2; exit 1; }
}

hits()	# RUN EVENT [KEY]
{
	sed -n "s/^{ *${3:-.*} *} hitcount: *\([0-9]*\).*/\1/p" "$tmp/$1.$2" | awk '{ n += $1 } END { print n + 0 }'
}

expect()	# WHAT CONDITION...
{
	what=$1
	shift
	if [ "$@" ]; then
		echo "ok: $what"
	else
		failed=1
		echo "FAILED: $what: $*"
	fi
}

# SVM's and VMX's exit reasons differ.
if grep -q svm /proc/cpuinfo; then
	hlt=120
else
	hlt=12
fi

case_hlt()
{
	count on idle,300 -c 1
	count off idle,300 -c 1 --exits hlt=off
	a=$(hits on kvm_exit "exit_reason: *$hlt") b=$(hits off kvm_exit "exit_reason: *$hlt")
	echo "HLT exits in 300 sleeps: $a, with --exits hlt=off $b"
	expect 'hlt=off ends HLT exits' "$b" = 0 -a "$a" -ge 150
}

case_eoi()
{
	count on idle,300 -c 1
	count off idle,300 -c 1 --kvm pv-eoi=off
	for r in on off; do
		echo "pv-eoi $r: $(hits $r kvm_eoi) interrupts ended, $(hits $r kvm_pv_eoi) without an exit," \
			"$(hits $r kvm_msr 'write: *1, ecx: *80b') EOI writes"
	done
	expect 'pv-eoi=on ends interrupts without exits' "$(hits on kvm_pv_eoi)" -gt $(($(hits on kvm_eoi) / 2))
	expect 'pv-eoi=off does not' "$(hits off kvm_pv_eoi)" = 0
}

case_ipi()
{
	# A call to all others is a shorthand of the APIC; the hypercall is for some of many.
	count on shoot,200 -c 6
	count off shoot,200 -c 6 --kvm pv-ipi=off
	for r in on off; do
		echo "pv-ipi $r: $(hits $r kvm_hypercall 'nr: *10') hypercalls," \
			"$(hits $r kvm_msr 'write: *1, ecx: *830') ICR writes"
	done
	expect 'pv-ipi=on sends by hypercall' "$(hits on kvm_hypercall 'nr: *10')" -gt 0
	expect 'pv-ipi=off does not' "$(hits off kvm_hypercall 'nr: *10')" = 0
}

prepare
for c in "${@:-all}"; do
	case $c in
	all) case_hlt; case_eoi; case_ipi ;;
	hlt | eoi | ipi) "case_$c" ;;
	*) echo "cpu-exits: no case '$c'" >&2; exit 2 ;;
	esac
done
exit $failed
