#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Metrics 7 and 11: memory beside guest RAM, and wake-ups while the guest is
# idle. The figures come from the lab, where the peers run; how memory grows is
# measured on this machine's /dev/kvm.

# shellcheck source=tools/bench.d/lib.sh
. "$(dirname "$0")/lib.sh"
name='memory overhead' def='private-dirty beside guest RAM, KiB, 1 vCPU + blk (no net yet)'

grown()	# PINVM-ARGS...
{
	rm -f "$OUT/look"
	VMM=pinvm RAM=256 FACTS=$OUT/look IDLE_SECONDS=0 SETTLE_SECONDS=0.5 "$B/bench/vmm_run" -m bench-hold -t 60 \
		-x "$(dirname "$0")/look" -- "$B/pinvm" run -k "$B/guest/bench_blk.elf" \
		-p 'requests=64 depth=8 end=hang' -m 256M "$@" >/dev/null 2>&1 || :
	sed -n 's/^pinvm private_kib //p' "$OUT/look"
}

kib=$(fact pinvm private_kib)
where=lab
if [ -z "$kib" ] && have_kvm; then
	kib=$(grown -d "$OUT/disk.img,ro")
	where='bare-metal guest'
fi
peer="microvm $(fact microvm private_kib), q35 $(fact q35 private_kib)"
for v in microvm q35; do
	n=$(fact $v private_kib)
	[ -z "$n" ] || value 7 "${v}_kib" "$n"
done
if [ -n "$kib" ]; then
	value 7 kib "$kib"
	row 7 "$name" "$def" "$kib" '<= 512' "$(verdict "$kib <= 512")" "$peer" "$where"
else
	skip 7 "$name" "$def" '<= 512' 'needs the lab or /dev/kvm'
fi
if have_kvm; then
	for n in 1 2 4 8; do
		echo "$n $(grown -c $n -d "$OUT/disk.img,ro")" >>"$OUT/fit.v.$$"
		echo "$n $(grown -d "$OUT/disk.img,ro,queues=$n")" >>"$OUT/fit.q.$$"
	done
	v=$(slope <"$OUT/fit.v.$$") q=$(slope <"$OUT/fit.q.$$")
	rm -f "$OUT/fit.v.$$" "$OUT/fit.q.$$"
	value 7 kib_per_vcpu "$v"
	value 7 kib_per_queue "$q"
	row 7a '  per vCPU' 'slope over 1, 2, 4, 8, KiB' "$v" '<= 32' "$(verdict "$v <= 32")" - ''
	row 7b '  per queue' 'slope over 1, 2, 4, 8, KiB; idle queues' "$q" '<= 8' "$(verdict "$q <= 8")" - ''
fi
name='idle wake-ups' def='context switches outside vCPU threads, 10 s (defined: 60), idle guest'
n=$(fact pinvm idle_switches)
if [ -n "$n" ]; then
	value 11 switches "$n"
	row 11 "$name" "$def" "$n" 0 "$(verdict "$n == 0")" \
		"microvm $(fact microvm idle_switches), q35 $(fact q35 idle_switches)" ''
else
	skip 11 "$name" "$def" 0 'needs the lab'
fi
