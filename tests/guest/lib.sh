# shellcheck shell=sh disable=SC2034,SC2154
# SPDX-License-Identifier: Apache-2.0
#
# lib.sh: the words that the cases are written in. Sourced by tests/guest/run, which runs each case in a subshell with a
# directory of its own, $tmp. The first thing that is not as it should be ends the case.

# Bounds of each kind, for what hangs: the guest's own by --timeout, the program's by timeout(1), which --foreground keeps
# from sending a signal twice. Non-interactive shells start background jobs deaf to SIGINT.
bounded="env --default-signal=INT,HUP,TERM timeout --foreground -k 5 660"

# GUEST "ARGUMENTS" OPTIONS...: status in $rc, words in $tmp/out and $tmp/err, report in $tmp/report. $memory and $limit may be
# set before, and for all three ways to run one $chip: "user" is --irqchip user, and $by: who serves the disks and the net.
chip=
by=
guest()
{
	g=$1 a=$2
	shift 2
	was=
	[ -z "$by" ] || for word; do
		shift
		[ "$was" != -d ] || word="$word,iothread=$by"
		set -- "$@" "$word"
		was=$word
	done
	$bounded "$pinvm" run "$guests/$g.elf" -p "$a" -m "${memory:-16}" --debug-exit --timeout "${limit:-600}" --report "$tmp/report" ${chip:+--irqchip "$chip"} "$@" \
		>"$tmp/out" 2>"$tmp/err" </dev/null
	rc=$?
}

# The same with the tap t0, in a network namespace of its own, and host/reflect at its other end.
net_guest()
{
	g=$1 a=$2
	shift 2
	tools/netns --check 2>"$tmp/err" || skip "$(cat "$tmp/err")"
	$bounded tools/netns --tap t0 -- tests/guest/host/reflected "$guests/host/reflect" \
		"$pinvm" run "$guests/$g.elf" -p "$a" -m "${memory:-16}" --debug-exit --timeout "${limit:-600}" \
		--report "$tmp/report" --net "tap=t0${by:+,iothread=$by}" ${chip:+--irqchip "$chip"} "$@" >"$tmp/out" 2>"$tmp/err" </dev/null
	rc=$?
	[ "$rc" -ne 125 ] || skip "$(tail -n 1 "$tmp/err")"
}

# The same in the background, its output line by line on descriptor 3: next_line, then ended.
guest_start()
{
	g=$1 a=$2
	shift 2
	rm -f "$tmp/fifo"
	mkfifo "$tmp/fifo"
	$bounded "$pinvm" run "$guests/$g.elf" -p "$a" -m "${memory:-16}" --debug-exit --timeout "${limit:-600}" --report "$tmp/report" ${chip:+--irqchip "$chip"} "$@" \
		>"$tmp/fifo" 2>"$tmp/err" </dev/null &
	pid=$!
	exec 3<"$tmp/fifo"
	: >"$tmp/out"
}

next_line()
{
	line=
	IFS= read -r line <&3 || [ -n "$line" ] || return 1
	line=${line%"$(printf '\r')"}
	printf '%s\n' "$line" >>"$tmp/out"
}

ended()
{
	cat <&3 >>"$tmp/out"
	exec 3<&-
	wait "$pid"
	rc=$?
	pid=
}

bad()
{
	echo "$*" >"$tmp/why"
	exit 1
}

skip()
{
	echo "$*" >"$tmp/why"
	exit 77
}

need()	# PROGRAM [PACKAGE]
{
	command -v "$1" >/dev/null || skip "$1 is missing; ${2:+its package is }${2:-tools/setup installs it}"
}

# Between two looks for what a guest in the background is to do.
still_runs()
{
	kill -0 "$pid" || bad "it ended"
	sleep 0.05
}

status()
{
	[ "$rc" -eq "$1" ] || bad "status $rc, not $1"
}

says()
{
	grep -q -- "$1" "$tmp/out" || bad "it did not say '$1'"
}

# Status 1 and the last word: what a guest that checks itself ends with.
success()
{
	status 1
	says SUCCESS
	! grep "runtime error" "$tmp/err" >&2 || bad "undefined behaviour"
}

report()
{
	need jq
	jq -r "$1" "$tmp/report"
}

reports()
{
	got=$(report "$1") || exit $?
	[ "$got" = "$2" ] || bad "report: $1 is '$got', not '$2'"
}

# An ending in all of its forms: exit status, report's status, a cause in words.
ends()
{
	status "$1"
	reports .exit.status "$1"
	reports ".exit.cause | test(\"$2\")" true
}

user_exits()
{
	report '[.vcpus[].user_exits] | add'
}

# How many a guest has that succeeds: as guest()
exits_of()
{
	guest "$@"
	success
	user_exits
}

disk()
{
	head -c "$2" /dev/urandom >"$tmp/$1"
}

# The cases that take a transport: "" or mmio.
over() { [ "$1" = mmio ] && echo '--transport mmio'; }

ctl()
{
	$bounded "$pinvm" ctl "$@" 2>>"$tmp/ctl.err"
}

# NAME KEY: of its status.
ctl_status()
{
	ctl "$1" status | sed -n "s/^$2 //p"
}

exits_now()
{
	need jq
	ctl "$1" report | jq '[.vcpus[].user_exits] | add'
}

# Their names are the kernel's; those looked at here are x86's.
has_kvm_stats()
{
	[ "$(report .kvm_stats_missing)" = null ] || skip "$(report .kvm_stats_missing)"
}

exits_have_reasons()
{
	reports '.vcpus | all(.user_exits == ([.exits_by_kvm_reason[]] | add // 0))' true
}

# The first and the last CPU this shell may use, in $lo and $hi.
two_cpus()
{
	list=$(sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' /proc/self/status)
	lo=${list%%[-,]*} hi=${list##*[-,]}
	[ "$lo" != "$hi" ] || skip "one CPU is allowed here, two are needed"
}

# Everything was where the plan had it, to the last look.
placed()
{
	reports .misplaced 0
	reports '[.threads[], .vcpus[]] | all(.placement | .wanted == .actual or .wanted == null or .actual == null)' true
	reports '[.threads[], .vcpus[]] | all(.placement | .wanted_policy == .actual_policy or .wanted_policy == null
		or .actual == null)' true
}

# A policy that this user, or this host, may not give: no failure of ours.
needs_policy()
{
	! grep -Eq 'not permitted|no bandwidth' "$tmp/err" || skip "$(sed 's/^pinvm: error: //' "$tmp/err")"
}
