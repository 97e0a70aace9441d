# shellcheck shell=sh disable=SC2034,SC2154
# SPDX-License-Identifier: Apache-2.0
#
# lib.sh: what the lab's tests are written in. Sourced by tests/lab/run, which
# runs each test in a subshell with a directory of its own, $work.
#
# A test writes the guest's script with `guest_does`, boots it with `boot` (or
# `start` and, when the guest is to be met while it runs, `finish`), and asserts
# on what the guest said on its serial port. The first thing that is not as it
# should be ends the test.

limit=400	# seconds for one guest, unless the test says otherwise
words=		# more words for the guest's kernel command line
image=		# what to boot instead of the stock bzImage
base=$guest_cpio

fail()
{
	echo "FAILED: $*"
	if [ -f "$work/log" ]; then
		tail -n 15 "$work/log" | sed 's/^/    log: /'
	fi
	if [ -f "$work/serial" ]; then
		tail -n 25 "$work/serial" | tr -d '\r' | sed 's/^/    serial: /'
	fi
	exit 1
}

skip()	# REASON
{
	echo "$*" >"$work/skip"
	exit 77
}

need()	# PROGRAM...
{
	for p; do
		command -v "$p" >/dev/null || skip "no $p: run tools/setup"
	done
}

is()	# WHAT WANTED GOT
{
	[ "$2" = "$3" ] || fail "$1: wanted '$2', got '$3'"
}

# The guest's script comes on standard input; it runs after guest-init's set-up.
guest_does()
{
	mkdir -p "$work/add"
	cat >"$work/add/case"
	(cd "$work/add" && echo case | cpio -o -H newc --quiet) >"$work/case.cpio"
	cat "$base" "$work/case.cpio" >"$work/initrd"
}

# A program of the lab's as /PROGRAM, beside that script.
guest_gets()	# PROGRAM
{
	[ -f "build/lab/$1" ] || skip "no build/lab/$1: run make lab-files"
	cp "build/lab/$1" "$work/add/$1"
	(cd "$work/add" && echo "$1" | cpio -o -H newc --quiet) >>"$work/initrd"
}

# Is there direct I/O on that file?
has_direct()	# FILE
{
	dd if="$1" of=/dev/null bs=4096 count=1 iflag=direct 2>/dev/null
}

# A raw image of random data; prints its checksum.
make_disk()	# FILE MIB
{
	head -c "$2M" /dev/urandom >"$1" || fail "cannot write $1"
	sum_of "$1"
}

sum_of()	# FILE
{
	sha256sum <"$1" | cut -d ' ' -f 1
}

# A disk of random data and an empty one, both in $work, and the lines of a guest that copies the first to the second.
two_disks()	# MIB
{
	sum=$(make_disk "$work/disk" "$1")
	dd if=/dev/zero of="$work/disk2" bs=1M count="$1" 2>/dev/null
}

copying()
{
	cat <<-'END'
		fact sum "$(sum_of /dev/vda)"
		dd if=/dev/vda of=/dev/vdb bs=64k conv=fsync,notrunc 2>/dev/null
		echo 3 >/proc/sys/vm/drop_caches
		fact sum2 "$(sum_of /dev/vdb)"
	END
}

# What such a guest read is what the host has, and what it wrote as well.
copied()
{
	fact_is sum "$sum"
	fact_is sum2 "$sum"
	cmp "$work/disk" "$work/disk2" || fail "what the guest wrote is not on the host"
}

# All of it, with more words for each of the disks.
copies()	# WORDS WORDS2 OPTIONS...
{
	two_disks 8
	{ copying; echo off; } | guest_does
	first=$work/disk$1 second=$work/disk2$2
	shift 2
	boot 0 -d "$first" -d "$second" "$@"
	copied
}

# Starts a guest that talks to $work/serial; $pid is pinvm itself.
start()	# OPTIONS...
{
	start_raw --serial "file=$work/serial" "$@"
}

# The same without a serial option.
start_raw()	# OPTIONS...
{
	rm -f "$work/serial" "$work/log" "$work/report"
	: >"$work/serial"
	"$pinvm" run "${image:-$kernel}" -i "$work/initrd" -p "console=ttyS0 quiet $words" \
		--timeout "$limit" --report "$work/report" --log "$work/log" -v \
		"$@" </dev/null >"$work/stdout" 2>&1 &
	pid=$!
}

ended()
{
	! kill -0 "$pid" 2>/dev/null
}

# Waits until COMMAND succeeds: for SECONDS, or the guest's end.
until_true()	# SECONDS COMMAND...
{
	ticks=$(($1 * 5))
	shift
	until "$@"; do
		ticks=$((ticks - 1))
		if [ $ticks -lt 0 ] || ended; then
			"$@"
			return
		fi
		sleep 0.2
	done
}

said()	# PATTERN
{
	grep -q -- "$1" "$work/serial"
}

wait_for()	# PATTERN
{
	until_true "$limit" said "$1" || fail "the guest never said '$1'"
}

# The guest's end: pinvm keeps its own time limit, and is killed if it does not.
finish()	# STATUS
{
	ticks=$(((limit + 30) * 5))
	until ended; do
		ticks=$((ticks - 1))
		if [ $ticks -lt 0 ]; then
			kill -9 "$pid"
			wait "$pid"
			fail "pinvm did not end by itself"
		fi
		sleep 0.2
	done
	rc=0
	wait "$pid" || rc=$?
	[ -z "$1" ] || is "exit status" "$1" "$rc"
}

boot()	# STATUS OPTIONS...
{
	status=$1
	shift
	start "$@"
	finish "$status"
}

# What the guest said of NAME, all its lines.
fact()	# NAME
{
	tr -d '\r' <"$work/serial" | sed -n "s/^.*fact: $1 //p"
}

fact_is()	# NAME VALUE
{
	is "the guest's $1" "$2" "$(fact "$1")"
}

report_is()	# JQ-PATH VALUE
{
	is "the report's $1" "$2" "$(jq -r "$1" "$work/report")"
}

# Whatever a test left running, and nothing else.
end_case()
{
	for p in $pid $more_pids; do
		kill -9 "$p" 2>/dev/null
		wait "$p" 2>/dev/null
	done
}
