# shellcheck shell=sh disable=SC2034,SC2154
# SPDX-License-Identifier: Apache-2.0
#
# demo.sh: `make demo` on a machine whose /dev/kvm can run Linux: this host. See tests/lab/run.

tests='native checksum interrupt'
quick='native'

# Leaves all it said in $work/stdout. What it makes must be in $work/t, and gone in the end.
run_demo()	# STATUS ARGS...
{
	wanted=$1
	shift
	mkdir -p "$work/t"
	rc=0
	env -u LAB TMPDIR="$work/t" timeout 300 tools/demo "$@" >"$work/stdout" 2>&1 || rc=$?
	is "the demo's status" "$wanted" "$rc$([ "$rc" = "$wanted" ] || cat "$work/stdout")"
	is "files left behind" '' "$(ls -A "$work/t")"
}

case_native()
{
	echo 300 >/proc/sys/vm/nr_hugepages
	run_demo 0 --pinvm "$pinvm"
	grep -q "demo: the guest runs on this machine's /dev/kvm" "$work/stdout" || fail "it did not run natively"
	is "checks" 12 "$(grep -c '^    ok ' "$work/stdout")"
	grep -q '^    guest: disk vda 16777216 bytes' "$work/stdout" || fail "the guest's words are not shown"
	grep -q '^demo: pinvm ended with status 0' "$work/stdout" || fail "the exit status is not shown"
	grep -q '^    pinvm: vcpu1 .* 1 other' "$work/stdout" || fail "the placement is not shown"
	grep -q '^    pinvm: 0-0x1fffffff .*2M hugetlb' "$work/stdout" || fail "the memory is not shown"
}

# A pinvm that spoils the image before the guest sees it.
case_checksum()
{
	cat >"$work/spoiler" <<-END
		#!/bin/sh
		for a; do
			case \$a in */disk.img,ro) printf 'not those bytes.' | dd of="\${a%,ro}" bs=1 seek=8191 conv=notrunc ;; esac
		done
		exec "$pinvm" "\$@"
	END
	chmod +x "$work/spoiler"
	run_demo 1 --pinvm "$work/spoiler"
	is "what failed" 1 "$(grep -c '^    FAILED ' "$work/stdout")"
	grep -q '^    FAILED .*the checksum of the image' "$work/stdout" || fail "the wrong checksum was not found"
	grep -q '^demo: not all of it is true' "$work/stdout" || fail "it does not say so"
}

# Processes with a file of the demo on their command line; the brackets keep grep itself out.
of_demo()
{
	grep -ls -- "$work/t/[p]invm-demo" /proc/[0-9]*/cmdline
}

guest_is_up()
{
	grep -q 'guest: kernel' "$work/stdout"
}

case_interrupt()
{
	mkdir "$work/t"
	env -u LAB TMPDIR="$work/t" tools/demo --pinvm "$pinvm" >"$work/stdout" 2>&1 &
	pid=$!
	until_true "$limit" guest_is_up || fail "the guest never came up: $(cat "$work/stdout")"
	kill "$pid"
	rc=0
	wait "$pid" || rc=$?
	is "the demo's status" 143 "$rc"
	is "processes left behind" '' "$(of_demo)"
	is "files left behind" '' "$(ls -A "$work/t")"
}
