# shellcheck shell=sh disable=SC2034,SC2154
# SPDX-License-Identifier: Apache-2.0
#
# record.sh: the halts of a stock guest at a load, as they come: nothing polls. Not tests but recordings, so no group of
# the lab's own. tools/record-haltpoll runs them and keeps what they leave in LAB_OUT/halts.

tests='idle rr iperf fio build'
quick=

case_idle() { record idle "${RECORD_IDLE:-80}"; }
case_rr() { record rr 20; }
case_iperf() { record iperf 50; }
case_fio() { record fio 25; }
case_build() { record build "${RECORD_BUILD:-90}"; }

# TCP, a byte there and a byte back, by a tap.
load_rr()	# OPTIONS...
{
	net_room --tap "tap0=$ours/24"
	net_guest <<-'END'
		up
		fact load rr
		while :; do
			/ask run $ours 7001 100000
			sleep 1
		done
	END
	guest_gets ask
	host_bg build/lab/ask serve 7001
	working -c 1 -m 512M -N tap=tap0 "$@"
}

load_iperf()	# OPTIONS...
{
	load_net "$@"
}

# 4 KiB at a time, one after the other, of a file without holes.
load_fio()	# OPTIONS...
{
	head -c 64M /dev/zero >"$work/disk"
	fio_load fio '--bs=4k --rw=randread --iodepth=1' "$@"
}

# gcc, over and over, two at a time; what it makes goes to a file system and from there to the disk.
load_build()	# OPTIONS...
{
	need mkfs.ext4
	[ -f build/lab/build.cpio ] || skip "no build/lab/build.cpio: run make build/lab/build.cpio"
	truncate -s 256M "$work/disk"
	mkfs.ext4 -q "$work/disk" || fail "no file system"
	base=$PWD/build/lab/build.cpio
	guest_does <<-'END'
		await test -b /dev/vda
		mkdir /m
		mount -t ext4 /dev/vda /m || fact mount failed
		cd /m
		# The driver finds its compiler by PATH, as /usr/bin is a link here.
		export TMPDIR=/m PATH="$PATH:$(dirname /usr/lib/gcc/*/*/cc1)"
		fact load build
		while make -s -j2 -f /build/Makefile; do
			sync
			rm -f *.o
			fact built all
		done
		fact build failed
		sleep 100000
	END
	working -c 1 -m 1G -d "$work/disk" "$@"
}

vcpus()
{
	"$pinvm" ctl traced report --json | jq '.vcpus | length'
}

record()	# LOAD SECONDS
{
	# shellcheck source=tests/lab/tracelib.sh
	. tests/lab/tracelib.sh
	can_trace
	"load_$1" --halt-poll off
	sleep 5
	to=${LAB_OUT:-$work}/halts
	mkdir -p "$to"
	pids='' v=0
	while [ $v -lt "$(vcpus)" ]; do
		PINVM=$pinvm tools/halts traced "$2" $v >"$to/$1.$v.new" 2>"$work/halts.$v" &
		pids="$pids $!"
		v=$((v + 1))
	done
	for p in $pids; do
		wait "$p" || fail "not recorded: $(cat "$work"/halts.*)"
	done
	cat "$work"/halts.*
	cost=$(build/lab/wakes) || fail 'nothing wakes'
	! grep -q 'Call Trace\|BUG:\|rcu:.*stall\|Oops\|fact: build failed\|fact: mount failed' "$work/serial" ||
		fail 'the guest is in trouble'
	stop_traced
	while [ $v -gt 0 ]; do
		v=$((v - 1))
		n=$(grep -vc '^#' "$to/$1.$v.new")
		[ "$n" -gt 0 ] || fail "vCPU $v did not halt"
		{
			echo "# guest kernel $(tools/kernel cloud version), ${LAB:-native} host"
			echo "host $cost"
			cat "$to/$1.$v.new"
		} >"$to/$1.$v"
		rm "$to/$1.$v.new"
		echo "note: vCPU $v: $n halts, half of them shorter than $(grep -v '^[#h]' "$to/$1.$v" | sort -n -k 2 |
			awk '{ h[NR] = $2 } END { print h[int((NR + 1) / 2)] }') ns; block and wake-up cost $cost ns"
	done
}
