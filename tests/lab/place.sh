# shellcheck shell=sh disable=SC2034,SC2154
# SPDX-License-Identifier: Apache-2.0
#
# place.sh: every thread of a guest runs where and how it was told to, as the
# host's own tools say, with no privilege left.

tests='threads cpuset deadline privileges user'
quick='threads'

waiting_guest()
{
	guest_does <<-'END'
		fact here yes
		sleep 10000
	END
}

stop_guest()
{
	kill -TERM "$pid"
	finish 14
}

# "NAME CPUS POLICY PRIORITY NICE" of each thread; io_uring's workers carry a number that differs.
tasks()
{
	for t in "/proc/$pid/task/"*; do
		name=$(sed 's/^\(iou-[a-z]*\)-[0-9]*$/\1/' "$t/comm")
		cpus=$(sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' "$t/status")
		# shellcheck disable=SC2046 # words
		set -- $(sed 's/^.*) //' "$t/stat")
		echo "$name $cpus policy=${39} prio=${38} nice=${17}"
	done | sort -u
}

task_is()	# NAME REST
{
	tasks | grep -qx "$1 $2" || fail "wanted '$1 $2', the threads are: $(tasks)"
}

# SCHED_OTHER is 0, FIFO 1, RR 2, BATCH 3, DEADLINE 6.
case_threads()
{
	make_disk "$work/disk" 8 >/dev/null
	guest_does <<-'END'
		sum_of /dev/vda >/dev/null
		fact here yes
		sleep 10000
	END
	start -c 2 -d "$work/disk,iothread=fast" --iothread fast --grace 0 \
		--pin vcpu=0-1/each --pin iothread=1 --pin iothread:fast=0 --pin emulator=0 \
		--sched vcpu0=rr:2 --sched vcpu1=other:-5 --sched iothread:fast=fifo:3 --sched emulator=batch:5
	wait_for 'fact: here yes'
	task_is vcpu0 '0 policy=2 prio=2 nice=0'
	task_is vcpu1 '1 policy=0 prio=0 nice=-5'
	task_is io:fast '0 policy=1 prio=3 nice=0'
	task_is io:main '1 policy=0 prio=0 nice=0'
	task_is pinvm '0 policy=3 prio=0 nice=5'
	# io_uring's own, if there is one by now, stays where its ring's thread is.
	! tasks | grep iou | grep -Evq '^iou-[a-z]* [01] ' || fail "a worker went astray: $(tasks)"
	stop_guest
	report_is '.vcpus[1].placement.actual' 1
	report_is '.threads[] | select(.name == "io:fast").placement.actual_policy' fifo:3
}

# What the process may use is all it uses, and is shown.
case_cpuset()
{
	waiting_guest
	printf '#!/bin/sh\nexec taskset -c 1 "%s" "$@"\n' "$pinvm" >"$work/narrow"
	chmod +x "$work/narrow"
	pinvm=$work/narrow
	start -c 2 --grace 0
	wait_for 'fact: here yes'
	! tasks | grep -v ' 1 policy=' || fail "threads outside CPU 1"
	stop_guest
	report_is .host.cpus_allowed 1
	report_is '.vcpus[0].placement.actual' 1
	start -c 1 --pin vcpu=0
	finish 4
	grep -q 'pin vcpu=0: CPU 0 is outside what this process may use (1)' "$work/log" || fail "$(cat "$work/log")"
}

case_deadline()
{
	guest_does <<-'END'
		fact here yes
		off
	END
	boot 0 -c 1 --sched 'vcpu0=deadline=[8ms,10ms,10ms]'
	report_is '.vcpus[0].placement.actual_policy' 'deadline=[8ms,10ms,10ms]'
}

# "CapEff CapPrm CapBnd NoNewPrivs" of each thread, one line for all that agree.
privileges()
{
	for t in "/proc/$pid/task/"*; do
		sed -n 's/^\(CapEff\|CapPrm\|CapBnd\|CapAmb\|NoNewPrivs\):[[:space:]]*//p' "$t/status" | tr '\n' ' '
		echo
	done | sort -u
}

case_privileges()
{
	waiting_guest
	start -c 1 --rng --grace 0 --sched vcpu=fifo:1 --pin vcpu=1
	wait_for 'fact: here yes'
	is "capabilities and no_new_privs" "0000000000000000 0000000000000000 0000000000000000 0000000000000000 1 " "$(privileges)"
	stop_guest
}

# A user with /dev/kvm and files of its own needs nobody's help.
case_user()
{
	need setpriv
	guest_does <<-'END'
		fact sum "$(sum_of /dev/vda)"
		off
	END
	sum=$(make_disk "$work/disk" 4)
	chmod 0666 /dev/kvm
	cp "$kernel" "$work/kernel"
	chmod 0755 "${work%/*}"
	chown -R 65534:65534 "$work"
	rc=0
	setpriv --reuid 65534 --regid 65534 --clear-groups "$pinvm" run "$work/kernel" -i "$work/initrd" -p 'console=ttyS0 quiet' \
		-c 2 -m 256M,prealloc=on -d "$work/disk" --rng --pin vcpu=0-1/each --timeout "$limit" \
		--serial "file=$work/serial" --report "$work/report" >"$work/log" 2>&1 </dev/null || rc=$?
	is "exit status" 0 "$rc"
	fact_is sum "$sum"
	report_is '.vcpus[1].placement.actual' 1
}
