#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Metric 13, the part that the VMM adds: exec to the first KVM_RUN, by the
# host kernel's tracepoint; on this machine's /dev/kvm, else what the lab saw.

# shellcheck source=tools/bench.d/lib.sh
. "$(dirname "$0")/lib.sh"
name='  added part' def='exec to the first guest instruction, to the better peer, minima' target=0.1
rounds=5

# The NTH KVM_RUN (0xae80) of that command, after its exec, in ns. pinvm's first
# one does not enter the guest.
first_run()	# NTH COMMAND...
{
	nth=$1
	shift
	line=$(perf record -q -e syscalls:sys_enter_ioctl --filter 'cmd == 0xae80' -k CLOCK_MONOTONIC \
		-o "$OUT/perf.data" -- "$B/bench/vmm_run" -m hanging -t 10 -x true -- "$@" 2>/dev/null)
	at=$(perf script -i "$OUT/perf.data" --ns -F time 2>/dev/null | sort -n | sed -n "${nth}s/[: ]//gp")
	start=$(echo "$line" | sed 's/.*exec_ns \([0-9]*\).*/\1/')
	echo "$at $start" | awk 'NF == 2 { printf "%.0f", $1 * 1e9 - $2 }'
}

if have_kvm && command -v perf >/dev/null && perf list 2>/dev/null | grep -q 'syscalls:sys_enter_ioctl'; then
	FACTS=$OUT/start
	: >"$FACTS"
	i=0
	while [ $i -lt $rounds ]; do
		i=$((i + 1))
		echo "pinvm entry_ns $(first_run 2 "$B/pinvm" run -k "$B/guest/exits.elf" -p hang -m 256M \
			-d "$OUT/disk.img,ro")" >>"$FACTS"
		for m in microvm q35; do
			# shellcheck disable=SC2046 # words
			echo "$m entry_ns $(first_run 1 $(qemu $m "$B/guest/exits.elf" hang))" >>"$FACTS"
		done
	done
fi
ours=$(fact pinvm entry_ns) microvm=$(fact microvm entry_ns) q35=$(fact q35 entry_ns)
if [ -z "$ours" ] || [ -z "$microvm$q35" ]; then
	skip 13a "$name" "$def" "<= $target" 'needs /dev/kvm, perf and QEMU, or the lab'
	exit 0
fi
best=$(printf '%s\n' "$microvm" "$q35" | sort -n | sed -n '/./{p;q}')
r=$(calc "$ours / $best" %.4f)
value 13a ratio "$r"
value 13a pinvm_ms "$(calc "$ours / 1e6" %.2f)"
[ -z "$microvm" ] || value 13a microvm_ms "$(calc "$microvm / 1e6" %.2f)"
[ -z "$q35" ] || value 13a q35_ms "$(calc "$q35 / 1e6" %.2f)"
row 13a "$name" "$def" "$r" "<= $target" "$(verdict "$r <= $target")" \
	"microvm $(calc "${microvm:-0} / 1e6") ms, q35 $(calc "${q35:-0} / 1e6") ms" "pinvm $(calc "$ours / 1e6") ms"
