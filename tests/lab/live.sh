# shellcheck shell=sh disable=SC2034,SC2154
# SPDX-License-Identifier: Apache-2.0
#
# live.sh: threads of a stock guest at work go to other CPUs and policies,
# and are there as the host's own tools say; limits of its disk change.

tests='repin far realtime realtime_given limits'
quick=''

two_cpus()
{
	[ "$(nproc)" -ge 2 ] || skip "one CPU, and threads are to go from one to another"
}

ctl()
{
	"$pinvm" ctl "$work/socket" "$@" >"$work/said" 2>"$work/said.err"
}

done_by()	# COMMAND...
{
	ctl "$@" || fail "ctl $*: $(cat "$work/said.err")"
}

# "TID CPU NAME" of each thread, as ps has it.
threads()
{
	ps -L -p "$pid" -o tid=,psr=,comm=
}

# The threads of that name may run on CPU alone, and have run there last.
stand_on()	# CPU PATTERN
{
	threads | while read -r tid cpu name; do
		echo "$name" | grep -q "$2" || continue
		list=$(sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' "/proc/$pid/task/$tid/status" 2>/dev/null) || continue
		[ "${list:-$1} $cpu" = "$1 $1" ] || exit 1
	done
}

# Writes that are made lasting one by one, which io_uring has its workers do.
writing_guest()	# SECONDS
{
	base=$fio_cpio
	guest_does <<-END
		fact here yes
		fio --name=w --filename=/dev/vda --ioengine=libaio --direct=1 --rw=randwrite --bs=4k --size=4m --iodepth=8 --fdatasync=1 \\
			--time_based --runtime=$1 --verify=0 >/dev/null
		fact fio \$?
		off
	END
}

case_repin()
{
	two_cpus
	need ps jq
	limit=900
	truncate -s 4M "$work/disk"
	writing_guest 90
	start -c 2 -m 512M --io-engine io_uring -d "$work/disk" --control "$work/socket"
	wait_for 'fact: here yes'
	workers=0
	for cpu in 1 0 1 0; do
		done_by pin "vcpu=$cpu" "iothread=$cpu" "emulator=$cpu"
		for who in '^vcpu' '^io:main' '^iou-wrk'; do
			until_true 60 stand_on "$cpu" "$who" || fail "$who is not on CPU $cpu: $(threads)"
		done
		workers=$((workers + $(threads | grep -c iou-wrk)))
		ctl report
		is "misplaced threads on CPU $cpu" 0 "$(jq .misplaced "$work/said")"
		is "wanted and actual" "$cpu $cpu" "$(jq -r '.vcpus[0].placement | "\(.wanted) \(.actual)"' "$work/said")"
		! threads | grep -E 'kvm-|pinvm' | while read -r tid _ name; do
			grep -q "^Cpus_allowed_list:[[:space:]]*$cpu\$" "/proc/$pid/task/$tid/status" || echo "$name"
		done | grep . || fail "threads of the emulator stayed: $(threads)"
	done
	[ $workers -gt 0 ] || fail "io_uring never had a worker, which was to be moved"
	done_by pin vcpu=0-1/each iothread=0-1
	finish 0
	fact_is fio 0
	report_is .misplaced 0
	report_is '.vcpus[1].placement.actual' 1
}

# A vCPU that goes where its memory is not: it is told, and its memory stays.
case_far()
{
	need jq
	there=$(cut -d , -f 1 /sys/devices/system/node/node1/cpulist 2>/dev/null | cut -d - -f 1)
	here=$(cut -d , -f 1 /sys/devices/system/node/node0/cpulist 2>/dev/null | cut -d - -f 1)
	if [ -z "$there" ] || [ -z "$here" ]; then
		skip "one host node with CPUs, and a vCPU is to leave its memory"
	fi
	guest_does <<-'END'
		fact here yes
		sleep 10000
	END
	start -c 1 -m 256M,host-node=0,prealloc=on --pin "vcpu=$here" --control "$work/socket" --grace 0
	wait_for 'fact: here yes'
	done_by pin "vcpu=$there" --json
	is "warnings" 'vcpu0: its CPUs are on host node 1, its memory is on node 0 and stays there: each access is to another node' \
		"$(jq -r '.warnings[]' "$work/said")"
	done_by pin "vcpu=$here" --json
	is "warnings at home" 0 "$(jq '.warnings | length' "$work/said")"
	kill -TERM "$pid"
	finish 14
}

# Without the right it says what would give it; that done, it works, and so it does with the right from the start.
case_realtime() { realtime without; }
case_realtime_given() { realtime with; }
realtime()	# without|with
{
	need prlimit jq
	guest_does <<-'END'
		fact here yes
		sleep 10000
	END
	rtprio=5
	[ "$1" = with ] || rtprio=0
	printf '#!/bin/sh\nexec prlimit --rtprio=%s "%s" "$@"\n' $rtprio "$pinvm" >"$work/limited"
	chmod +x "$work/limited"
	real=$pinvm
	pinvm=$work/limited
	start -c 1 --pin vcpu=0 --control "$work/socket" --grace 0
	pinvm=$real
	wait_for 'fact: here yes'
	if [ "$1" = without ]; then
		! ctl sched vcpu0=fifo:3 || fail "it took a policy without the right"
		advice=$(sed -n 's/.*as root: \(prlimit --pid [0-9]* --rtprio=3\), then again.*/\1/p' "$work/said.err")
		[ -n "$advice" ] || fail "no advice: $(cat "$work/said.err")"
		$advice || fail "$advice"
	fi
	done_by sched vcpu0=fifo:3
	tid=$(threads | sed -n 's/^ *\([0-9]*\) .*vcpu0.*/\1/p')
	is "policy and priority" 'FF 3' "$(ps -L -p "$pid" -o tid=,cls=,rtprio= | awk -v t="$tid" '$1 == t { print $2, $3 }')"
	done_by sched vcpu0=other
	done_by sched vcpu0=rr:1
	kill -TERM "$pid"
	finish 14
	report_is '.vcpus[0].placement.actual_policy' rr:1
	report_is '.vcpus[0].placement.wanted_policy' rr:1
}

# A guest that could not end in time under its limit does as soon as that is gone.
case_limits()
{
	need jq
	truncate -s 8M "$work/disk"
	guest_does <<-'END'
		fact here yes
		cat /dev/vda >/dev/null
		fact read $?
		off
	END
	start -c 1 -d "$work/disk,iops=1,iops-burst=1" --control "$work/socket"
	wait_for 'fact: here yes'
	done_by limits disk0 iops=20 --json
	is "iops" 20 "$(jq .iops "$work/said")"
	done_by limits disk0 off
	finish 0
	fact_is read 0
	report_is '.devices[0].limits.iops' null
}
