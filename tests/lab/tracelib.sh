# shellcheck shell=sh disable=SC2034,SC2154
# SPDX-License-Identifier: Apache-2.0
#
# tracelib.sh: loads under which a stock guest is traced. Sourced by trace.sh and study.sh, in the test's subshell.
# Each starts a guest of the name `traced` that works until it is stopped, and returns when it does.

# shellcheck source=tests/lab/netlib.sh
. tests/lab/netlib.sh
export XDG_RUNTIME_DIR="$work/run"
mkdir "$XDG_RUNTIME_DIR"

can_trace()
{
	need jq
	[ "$(id -u)" = 0 ] || skip "only root may trace"
	[ -d /sys/kernel/tracing/events/kvm ] || skip "there is no /sys/kernel/tracing/events/kvm"
}

# A guest that cannot be set up is a skip that says why: not every host has every switch.
working()	# OPTIONS...
{
	start -n traced --grace 0 "$@"
	until_true "$limit" said 'fact: load'
	if ended; then
		rc=0
		wait "$pid" || rc=$?
		[ $rc != 4 ] || skip "$(tail -n 1 "$work/log")"
		fail "the guest ended with status $rc"
	fi
	said 'fact: load' || fail "the guest never began its work"
}

load_idle()	# OPTIONS...
{
	guest_does <<-'END'
		fact load idle
		sleep 100000
	END
	working -c 1 "$@"
}

# Two CPUs that compute, wait for each other with PAUSE, and unmap memory that the other one has.
load_busy()	# OPTIONS...
{
	guest_does <<-'END'
		fact load busy
		while :; do
			/cpu-load pause 300000
			/cpu-load shoot 300
		done
	END
	guest_gets cpu-load
	working -c 2 "$@"
}

# fio on a disk of 64 MiB, past the guest's cache; past the host's where its file system can.
fio_load()	# NAME FIO-OPTIONS OPTIONS...
{
	name=$1 job=$2
	shift 2
	[ -f "$work/disk" ] || truncate -s 64M "$work/disk"
	direct=
	! has_direct "$work/disk" || direct=,direct
	base=$fio_cpio
	guest_does <<-END
		fact load $name
		fio --name=load --filename=/dev/vda --ioengine=libaio --direct=1 $job --size=64m \
			--time_based --runtime=100000 --output=/result
		fact fio ended
		sleep 100000
	END
	working -c 1 -m 512M -d "$work/disk$direct" "$@"
}

# 8 KiB at a time, reads and writes.
load_blk()	# OPTIONS...
{
	fio_load blk '--bs=8k --rw=randrw --iodepth=4' "$@"
}

# TCP both ways by a tap, to an iperf3 of the host's.
load_net()	# OPTIONS...
{
	need iperf3
	net_room --tap "tap0=$ours/24"
	iperf_guest <<-END
		up
		fact load net
		while :; do
			iperf3 -c $ours --bidir -t 80000 >/dev/null 2>&1
			sleep 1
		done
	END
	host_bg iperf3 -s >"$work/iperf" 2>&1
	working -c 1 -m 512M -N tap=tap0 "$@"
}

# Until the load runs at its pace: two looks, the second of which counts.
settle()
{
	"$pinvm" stat traced --trace --json --interval 5s >"$work/warm" 2>"$work/stat.err" || fail "stat: $(cat "$work/stat.err")"
}

stop_traced()
{
	"$pinvm" ctl traced stop 0 || fail "it cannot be stopped"
	finish 14
}
