#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# selftest.sh: the promises of tools/lab, each seen kept. Boots several hosts,
# one after another.
#
# usage: tests/lab/selftest.sh [CASE...]   (default: all)

set -u
cd "$(dirname "$0")/../.." || exit 1
lab=tools/lab
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
failed=0

# Runs the lab; leaves its status in $rc, its words in $tmp/stdout, $tmp/stderr.
run()
{
	LAB=software timeout -k 10 300 $lab "$@" >"$tmp/stdout" 2>"$tmp/stderr"
	rc=$?
}

expect()	# WHAT CONDITION...
{
	what=$1
	shift
	if "$@"; then
		echo "ok: $what"
	else
		failed=1
		echo "FAILED: $what (status $rc)"
		sed 's/^/  stdout: /' "$tmp/stdout"
		sed 's/^/  stderr: /' "$tmp/stderr"
	fi
}

# shellcheck disable=SC2317
said()	# stdout|stderr PATTERN
{
	grep -q -- "$2" "$tmp/$1"
}

# shellcheck disable=SC2317
wait_for()	# SECONDS COMMAND...
{
	n=$(($1 * 5))
	shift
	until "$@"; do
		[ "$n" -gt 0 ] || return 1
		n=$((n - 1))
		sleep 0.2
	done
}

# One host answers most questions: the script below prints what it finds.
case_inside()
{
	cat >"$tmp/inside.sh" <<-'END'
		#!/bin/sh
		echo "args $# <$1> <$2>"
		echo "cwd $PWD"
		echo "env $LAB <$WORD>"
		echo "on stderr" >&2
		echo "again" >/dev/stdout
		echo "file" >"$LAB_OUT/result"
		echo "private" >"$PRIVATE"
		echo "module $(ls -d /sys/module/kvm_amd)"
		tools/lab --can-native && echo "native yes"
		tools/lab --native -- sh -c 'echo "inner $LAB"; exit 9'
		echo "inner status $?"
		echo "nodes $(echo /sys/devices/system/node/node[0-9]*)"
		for d in /dev/net/tun /dev/vhost-net /dev/shm /dev/pts/ptmx /sys/kernel/tracing/events/kvm; do
			[ -e $d ] && echo "has $d"
		done
		dd if=/dev/zero of="$LAB_SCRATCH/direct" bs=4096 count=1 oflag=direct 2>/dev/null && echo "direct"
		dd if=/dev/zero bs=1M count=4 2>/dev/null | tr '\0' 'x' | fold -w 79
		echo
		printf 'no newline at the end'
		exit 201
	END
	chmod +x "$tmp/inside.sh"
	PRIVATE=$tmp/private WORD="it's \"quoted\" \$HOME" \
		run --scratch 1G --out "$tmp/out" -- "$tmp/inside.sh" "a  b" "c'd"
	expect "exit status comes out" [ $rc = 201 ]
	expect "arguments go in" said stdout "^args 2 <a  b> <c'd>$"
	expect "same directory" said stdout "^cwd $PWD$"
	# shellcheck disable=SC2016
	expect "environment goes in" said stdout '^env software <it.s "quoted" $HOME>$'
	expect "stderr joins stdout" said stdout '^on stderr$'
	expect "/dev/stdout can be opened again" said stdout '^again$'
	expect "LAB_OUT is outside too" grep -q file "$tmp/out/result"
	expect "other writes are private" [ ! -e "$tmp/private" ]
	expect "kvm-amd is there" said stdout '^module /sys'
	expect "--can-native says yes inside" said stdout '^native yes$'
	expect "--native runs in place" said stdout '^inner native$'
	expect "--native passes the status" said stdout '^inner status 9$'
	expect "two NUMA nodes" said stdout 'nodes .*node0 .*node1$'
	expect "devices and file systems" [ "$(grep -c '^has ' "$tmp/stdout")" = 5 ]
	expect "O_DIRECT on the scratch disk" said stdout '^direct$'
	expect "4 MiB come through whole" [ "$(grep '^x' "$tmp/stdout" | tr -d '\n' | wc -c)" = 4194304 ]
	expect "the last words are not lost" [ "$(tail -c 21 "$tmp/stdout")" = 'no newline at the end' ]
	expect "the console is kept" [ -f "$tmp/out/lab-console.log" ]
}

case_streaming()
{
	LAB=software timeout -k 10 300 $lab --quiet -- \
		sh -c 'echo first; while sleep 1; do :; done' >"$tmp/stdout" 2>"$tmp/stderr" &
	pid=$!
	rc=none
	expect "output comes while the script runs" wait_for 200 said stdout '^first$'
	qemu=$(qemu_of $pid)
	expect "its QEMU is found" [ -n "$qemu" ]
	kill $pid
	wait $pid
	rc=$?
	expect "SIGTERM ends the lab" [ $rc -ge 124 ]
	expect "and its QEMU" wait_for 20 gone "$qemu"
}

# The QEMU below a process: a child of a child of ...
qemu_of()	# PID
{
	ps -e -o pid=,ppid=,comm= | awk -v top="$1" '
		{ parent[$1] = $2; name[$1] = $3 }
		END { for (p in name) if (name[p] ~ /^qemu-system/)
			for (q = p; q > 1; q = parent[q]) if (q == top) print p }'
}

# shellcheck disable=SC2317
gone()	# PID
{
	! kill -0 "$1" 2>/dev/null
}

case_ends()
{
	run --timeout 60 -- sleep 1000
	expect "time limit is 124" [ $rc = 124 ]
	expect "and says so" said stderr 'time limit of 60 s'
	run -- sh -c 'echo c >/proc/sysrq-trigger; sleep 100'
	expect "a panic is 125" [ $rc = 125 ]
	expect "and shows the console" said stderr 'sysrq triggered crash'
	run -- sh -c 'busybox poweroff -f; sleep 100'
	expect "a power-off is 125" [ $rc = 125 ]
	run -- sh -c 'sleep 1000 & exit 3'
	expect "a daemon left behind does not hold the lab" [ $rc = 3 ]
	run --append rdinit=/nothing -- true
	expect "a host that does not come up is 125" [ $rc = 125 ]
	run --qemu -no-such-option -- true
	expect "a QEMU that does not start is 125" [ $rc = 125 ]
	expect "and shows its words" said stderr 'no-such-option'
}

case_usage()
{
	for bad in '--cpus x -- true' '--memory 1X -- true' '--timeout 0 -- true' '--what -- true' ''; do
		# shellcheck disable=SC2086
		run $bad
		expect "refused: $bad" [ $rc = 125 ]
	done
	run --help
	expect "--help" [ $rc = 0 ]
	expect "--help speaks" said stdout 'usage: tools/lab'
}

case_clean()
{
	mkdir "$tmp/t"
	TMPDIR=$tmp/t run --quiet -- true
	expect "true is 0" [ $rc = 0 ]
	expect "--quiet is quiet" [ ! -s "$tmp/stderr" ]
	expect "no temporary file is left" [ -z "$(ls -A "$tmp/t")" ]
}

for c in "${@:-all}"; do
	case $c in
	all)
		case_usage
		case_inside
		case_streaming
		case_ends
		case_clean ;;
	*) "case_$c" ;;
	esac
done
exit $failed
