#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Metrics 1 and 2: the system calls from main() to the first KVM_RUN, how they
# grow with vCPUs and queues, and whether their order makes KVM wait.

# shellcheck source=tools/bench.d/lib.sh
. "$(dirname "$0")/lib.sh"
name='set-up syscalls' def="main() to first KVM_RUN, 1 vCPU + blk${NET:+ + net}"
hazards='SRCU hazards' hazards_def='memslot/vCPU ioctls after an io-bus registration, routing writes beyond 1'
if ! have_kvm || ! command -v strace >/dev/null; then
	skip 1 "$name" "$def" '<= 150' 'needs /dev/kvm and strace'
	skip 2 "$hazards" "$hazards_def" 0 'needs /dev/kvm and strace'
	exit 0
fi

# Entries of system calls, without the dynamic loader's: its last act is to
# unmap ld.so.cache, which is the first munmap of all. A KVM_RUN that comes back
# with EINTR did not enter the guest: pinvm does that once, so that KVM makes its
# helper task before the guest runs. The sandbox does not count
# either: libcap-ng reads /proc/PID/status many times, and the number of the last capability before main() (open, fstat,
# read, close).
calls()	# TRACE
{
	awk '/ ioctl\(.*KVM_RUN/ && !/EINTR/ { exit } / resumed>|--- SIG/ { next }
		/ (prctl|capget|capset)\(/ { next }
		/openat\(.*\/proc\/([0-9]+\/status|sys\/kernel\/cap_last_cap)/ { sandbox[$1] = 3; next }
		sandbox[$1] > 0 { sandbox[$1]--; next }
		main { n++ } / munmap\(/ { main = 1 }
		END { print n + 0 }' "$1"
}

# What registers something on an io bus, and what must not come after that.
count_hazards()	# TRACE
{
	awk '/KVM_RUN/ && !/EINTR/ { exit }
		/ioctl\(.*(KVM_IOEVENTFD|KVM_CREATE_IRQCHIP|KVM_CREATE_PIT2|KVM_REGISTER_COALESCED_MMIO)/ { bus = 1 }
		/KVM_SET_GSI_ROUTING/ && ++routes > 1 { n++ }
		/KVM_CREATE_VCPU/ { vcpu[$NF] = 1 }
		bus && /KVM_SET_USER_MEMORY_REGION|KVM_CREATE_VCPU/ { n++; next }
		bus && match($0, /ioctl\([0-9]+/) && substr($0, RSTART + 6, RLENGTH - 6) in vcpu { n++ }
		END { print n + 0 }' "$1"
}

ours()	# PINVM-ARGS...
{
	rm -f "$OUT/strace.out"
	# shellcheck disable=SC2086 # words
	STRACE="strace -f -o $OUT/strace.out" guest hello '' "$@" $NET || :
}

theirs()	# MACHINE
{
	rm -f "$OUT/strace.qemu"
	# shellcheck disable=SC2046 # words
	timeout -k 1 10 strace -f -e signal=none -o "$OUT/strace.qemu" $(qemu "$1" "$B/guest/hello.elf" x) \
		>/dev/null 2>&1 </dev/null || :
	grep -q KVM_RUN "$OUT/strace.qemu"
}

most=0
for _ in 1 2 3; do
	ours -d "$OUT/disk.img,ro"
	n=$(calls "$OUT/strace.out")
	[ "$n" -le "$most" ] || most=$n
done
bad=$(count_hazards "$OUT/strace.out")
for n in 1 2 4 8; do
	ours -c $n -d "$OUT/disk.img,ro"
	echo "$n $(calls "$OUT/strace.out")" >>"$OUT/fit.vcpus.$$"
	bad=$((bad + $(count_hazards "$OUT/strace.out")))
	ours -d "$OUT/disk.img,ro,queues=$n"
	echo "$n $(calls "$OUT/strace.out")" >>"$OUT/fit.queues.$$"
	bad=$((bad + $(count_hazards "$OUT/strace.out")))
done
per_vcpu=$(slope <"$OUT/fit.vcpus.$$")
per_queue=$(slope <"$OUT/fit.queues.$$")
rm -f "$OUT/fit.vcpus.$$" "$OUT/fit.queues.$$"

peer='' peer_bad=''
for m in microvm q35; do
	if theirs $m; then
		n=$(calls "$OUT/strace.qemu")
		bad_qemu=$(count_hazards "$OUT/strace.qemu")
		peer="$peer${peer:+, }$m $n" peer_bad="$peer_bad${peer_bad:+, }$m $bad_qemu"
		value 1 "${m}_calls" "$n"
		value 2 "${m}_hazards" "$bad_qemu"
	fi
done
value 1 calls "$most"
value 1 per_vcpu "$per_vcpu"
value 1 per_queue "$per_queue"
value 2 hazards "$bad"
row 1 "$name" "$def" "$most" '<= 150' "$(verdict "$most > 0 && $most <= 150")" "${peer:--}" ''
row 1a '  per vCPU' 'slope over 1, 2, 4, 8' "$per_vcpu" '<= 8' "$(verdict "$per_vcpu <= 8")" - \
	'6 KVM ioctls and mmap, 5 calls of pthread_create, up to 5 of the new thread'
row 1b '  per queue' 'slope over 1, 2, 4, 8' "$per_queue" '<= 4' "$(verdict "$per_queue <= 4")" - ''
row 2 "$hazards" "$hazards_def" "$bad" 0 "$(verdict "$bad == 0 && $most > 0")" "${peer_bad:--}" ''
