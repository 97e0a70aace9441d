# shellcheck shell=sh disable=SC2034,SC2154
# SPDX-License-Identifier: Apache-2.0
#
# cgroup.sh: a guest in a cgroup v2 of its own: weight and max as the kernel
# has them, changed while it runs, and everything undone, after SIGKILL too.

tests='made live share killed existing memory cpuset user refused none'
quick='live'

# $group: a cgroup whose children have the controllers CONTROLLER...
group_with()	# CONTROLLER...
{
	root=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
	[ -n "$root" ] || skip "no cgroup v2 is mounted"
	group=$root/pinvm-lab-${work##*.}-$$
	mkdir -p "$group"
	for c; do
		for d in "$root" "$group"; do
			grep -qw "$c" "$d/cgroup.subtree_control" && continue
			echo "+$c" >"$d/cgroup.subtree_control" 2>/dev/null || skip "cgroup v2 has no controller $c here"
		done
	done
}

waiting_guest()
{
	guest_does <<-'END'
		fact here yes
		sleep 10000
	END
}

busy_guest()
{
	guest_does <<-'END'
		fact here yes
		while :; do :; done
	END
}

# A number of a cgroup's cpu.stat.
stat_of()	# DIR NAME
{
	sed -n "s/^$2 //p" "$1/cpu.stat"
}

set_live()	# SETTING...
{
	"$pinvm" ctl "$work/socket" cgroup "$@" >"$work/set" 2>"$work/set.err" || fail "ctl cgroup $*: $(cat "$work/set.err")"
}

stop_guest()
{
	kill -TERM "$pid"
	finish 14
}

kill_guest()
{
	kill -KILL "$pid"
	wait "$pid" 2>/dev/null
}

# The guardian may need a moment after a SIGKILL.
gone()	# DIR
{
	for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		[ -d "$1" ] || return 0
		sleep 0.2
	done
	fail "$1 is left behind, with the processes '$(cat "$1/cgroup.procs")'"
}

# All of it is there, memory too, and nothing else; with pinvm's end it is gone.
case_made()
{
	group_with cpu memory
	waiting_guest
	start -c 2 -m 256M,prealloc=on --rng --iothread io --grace 0 --cgroup "${group#"$root"/}/guest,weight=300,max=150%/50ms"
	wait_for 'fact: here yes'
	is cpu.weight 300 "$(cat "$group/guest/cpu.weight")"
	is cpu.max '75000 50000' "$(cat "$group/guest/cpu.max")"
	is processes "$pid" "$(ours "$group/guest/cgroup.procs" | tr '\n' ' ' | sed 's/ $//')"
	is threads "$(find "/proc/$pid/task" -mindepth 1 -maxdepth 1 | wc -l)" "$(ours "$group/guest/cgroup.threads" | wc -l)"
	charged=$(cat "$group/guest/memory.current")
	[ "$charged" -ge $((256 << 20)) ] || fail "$charged bytes are charged to the guest's cgroup"
	guardian=$(ps -o pid= --ppid "$pid" | tr -d ' ')
	is "the guardian" pinvm-guardian "$(cat "/proc/$guardian/comm")"
	stop_guest
	[ ! -d "$group/guest" ] || fail "the cgroup is still there when pinvm has ended"
	[ ! -d "/proc/$guardian" ] || fail "the guardian is still there"
	report_is .cgroup.path "$group/guest"
	report_is .cgroup.created true
	report_is .cgroup.weight 300
	report_is .cgroup.max 75ms/50ms
	report_is '.cgroup.usage_usec > 0' true
	rmdir "$group"
}

# Before Linux 6.13 a VM has a thread of the kernel's, which KVM puts where the VM's process is.
ours()	# FILE
{
	while read -r task; do
		[ "$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$task/status")" = 2 ] || echo "$task"
	done <"$1"
}

throttled_more()
{
	[ "$(stat_of "$group/guest" nr_throttled)" -ge $((before + 5)) ]
}

# After every privilege was dropped: less, none, another weight.
case_live()
{
	group_with cpu
	busy_guest
	start -c 1 -m 128M --grace 0 --control "$work/socket" --cgroup "$group/guest"
	wait_for 'fact: here yes'
	is cpu.max 'max 100000' "$(cat "$group/guest/cpu.max")"
	before=$(stat_of "$group/guest" nr_throttled)
	set_live max=20%
	is cpu.max '20000 100000' "$(cat "$group/guest/cpu.max")"
	grep -qx 'max 20%' "$work/set" || fail "ctl said $(cat "$work/set")"
	until_true 60 throttled_more || fail "a busy guest was throttled $(stat_of "$group/guest" nr_throttled) times, before $before"
	set_live weight=7 max=off
	is cpu.max 'max 100000' "$(cat "$group/guest/cpu.max")"
	is cpu.weight 7 "$(cat "$group/guest/cpu.weight")"
	! "$pinvm" ctl "$work/socket" cgroup weight=0 2>"$work/set.err" || fail "a weight of 0 was taken"
	grep -q 'weight 0: must be 1 to 10000' "$work/set.err" || fail "it said $(cat "$work/set.err")"
	is cpu.weight 7 "$(cat "$group/guest/cpu.weight")"
	stop_guest
	[ ! -d "$group/guest" ] || fail "the cgroup is still there"
	report_is '.cgroup.nr_throttled >= 5' true
	report_is .cgroup.weight 7
	report_is .cgroup.max off
	rmdir "$group"
}

# Two busy guests on one CPU get it by weight: not measured to the percent, the lab's clock is what it is.
case_share()
{
	group_with cpu
	busy_guest
	start -c 1 -m 128M --grace 0 --pin vcpu=1 --cgroup "$group/light,weight=100"
	wait_for 'fact: here yes'
	light=$pid more_pids=$pid
	mv "$work/serial" "$work/serial.light"
	start -c 1 -m 128M --grace 0 --pin vcpu=1 --cgroup "$group/heavy,weight=800"
	wait_for 'fact: here yes'
	l=$(stat_of "$group/light" usage_usec)
	h=$(stat_of "$group/heavy" usage_usec)
	sleep 10
	l=$(($(stat_of "$group/light" usage_usec) - l))
	h=$(($(stat_of "$group/heavy" usage_usec) - h))
	[ $h -gt $((3 * l)) ] || fail "weight 800 had $h us, weight 100 had $l us"
	stop_guest
	kill -TERM "$light"
	wait "$light"
	for d in light heavy; do
		[ ! -d "$group/$d" ] || fail "$d is left behind"
	done
	rmdir "$group"
}

case_killed()
{
	group_with cpu
	waiting_guest
	start -c 2 -m 128M --cgroup "$group/guest,weight=50"
	wait_for 'fact: here yes'
	guardian=$(ps -o pid= --ppid "$pid" | tr -d ' ')
	# What a shell does to a job at its end does not reach the guardian.
	kill -TERM "$guardian"
	kill -INT "$guardian"
	kill_guest
	gone "$group/guest"
	rmdir "$group"
}

# One that is there stays, and is as it was; what somebody else sets meanwhile stays, too.
case_existing()
{
	group_with cpu
	mkdir "$group/guest"
	echo 250 >"$group/guest/cpu.weight"
	echo '30000 100000' >"$group/guest/cpu.max"
	waiting_guest
	start -c 1 -m 128M --grace 0 --control "$work/socket" --cgroup "$group/guest,weight=500,max=off"
	wait_for 'fact: here yes'
	is cpu.weight 500 "$(cat "$group/guest/cpu.weight")"
	is cpu.max 'max 100000' "$(cat "$group/guest/cpu.max")"
	set_live weight=600
	stop_guest
	report_is .cgroup.created false
	is cpu.weight 250 "$(cat "$group/guest/cpu.weight")"
	is cpu.max '30000 100000' "$(cat "$group/guest/cpu.max")"
	start -c 1 -m 128M --cgroup "$group/guest,weight=500,max=60%"
	wait_for 'fact: here yes'
	echo 333 >"$group/guest/cpu.weight"
	kill_guest
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		[ "$(cat "$group/guest/cpu.max")" != '30000 100000' ] || break
		sleep 0.2
	done
	is cpu.max '30000 100000' "$(cat "$group/guest/cpu.max")"
	is cpu.weight 333 "$(cat "$group/guest/cpu.weight")"
	rmdir "$group/guest" "$group"
}

# RAM is charged there, so its limit is the guest's.
case_memory()
{
	group_with cpu memory
	mkdir "$group/guest"
	echo 64M >"$group/guest/memory.max"
	waiting_guest
	start -c 1 -m 256M,prealloc=on --cgroup "$group/guest"
	finish 4
	grep -q "error: --memory 256M: .*, the memory cgroup $group/guest leaves about" "$work/log" || fail "it said $(cat "$work/log")"
	is processes '' "$(cat "$group/guest/cgroup.procs")"
	rmdir "$group/guest" "$group"
}

# CPUs that a cgroup leaves are all there are, for --pin too.
case_cpuset()
{
	group_with cpu cpuset
	mkdir "$group/guest"
	echo 1 >"$group/guest/cpuset.cpus"
	waiting_guest
	start -c 2 -m 128M --grace 0 --cgroup "$group/guest"
	wait_for 'fact: here yes'
	stop_guest
	report_is '.vcpus[1].placement.actual' 1
	start -c 1 -m 128M --pin vcpu=0 --cgroup "$group/guest"
	finish 4
	grep -q 'pin vcpu=0: CPU 0 is outside what this process may use (1)' "$work/log" || fail "it said $(cat "$work/log")"
	rmdir "$group/guest" "$group"
}

# A user with a subtree of its own, as systemd delegates them, needs nobody's help; without one it hears what it needs.
case_user()
{
	need setpriv
	group_with cpu
	mkdir -p "$group/user/launch"
	echo +cpu >"$group/user/cgroup.subtree_control"
	chown -R 65534:65534 "$group/user"
	chmod 0666 /dev/kvm
	waiting_guest
	cp "$kernel" "$work/kernel"
	image=$work/kernel
	chmod 0755 "${work%/*}"
	cat >"$work/user" <<-END
		#!/bin/sh
		[ -e "$work/plain" ] || echo \$\$ >"$group/user/launch/cgroup.procs"
		chown 65534 "$work/serial"
		exec setpriv --reuid 65534 --regid 65534 --clear-groups "$pinvm" "\$@"
	END
	chmod +x "$work/user"
	program=$pinvm
	chown -R 65534:65534 "$work"
	pinvm=$work/user
	start -c 1 -m 128M --grace 0 --control "$work/socket" --cgroup "$group/user/guest,weight=40"
	wait_for 'fact: here yes'
	is cpu.weight 40 "$(cat "$group/user/guest/cpu.weight")"
	pinvm=$program
	set_live max=70%
	is cpu.max '70000 100000' "$(cat "$group/user/guest/cpu.max")"
	stop_guest
	[ ! -d "$group/user/guest" ] || fail "the cgroup is still there"
	: >"$work/plain"
	pinvm=$work/user
	start -c 1 -m 128M --cgroup "$group/other,weight=40"
	finish 4
	grep -q "no permission to write $group; have the subtree delegated: systemd-run --user" "$work/log" || fail "it said $(cat "$work/log")"
	rmdir "$group/user/launch" "$group/user" "$group"
}

# The line that says what would work does work.
case_refused()
{
	group_with cpu
	mkdir "$group/plain"
	guest_does <<-'END'
		off
	END
	boot 4 -c 1 -m 128M --cgroup "$group/plain/guest,max=50%"
	grep -q "max: the cpu controller is not on for children of $group/plain; as root: echo +cpu | tee " "$work/log" ||
		fail "it said $(cat "$work/log")"
	sh -c "$(sed -n 's/^.*as root: //p' "$work/log")" >/dev/null || fail "the advice does not work"
	boot 0 -c 1 -m 128M --cgroup "$group/plain/guest,max=150%"
	# With controllers on for its children it takes no process, unless all of them are threaded ones.
	boot 4 -c 1 -m 128M --cgroup /
	grep -q 'not below' "$work/log" || fail "it said $(cat "$work/log")"
	boot 4 -c 1 -m 128M --cgroup "$root"
	grep -q 'root of all cgroups' "$work/log" || fail "it said $(cat "$work/log")"
	rmdir "$group/plain" "$group"
}

# Without the option there is no child.
case_none()
{
	waiting_guest
	start -c 1 -m 128M --grace 0
	wait_for 'fact: here yes'
	is "children" '' "$(ps -o pid= --ppid "$pid")"
	stop_guest
	report_is .cgroup null
}
