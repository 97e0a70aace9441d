#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# setup_calls.sh: count the system calls from main() to the first KVM_RUN, with 1 and with 9 vCPUs, a disk and an rng.
#
# usage: tests/bench/setup_calls.sh [BUILD-DIRECTORY]
#
# A KVM_RUN that comes back with EINTR did not enter the guest. Calls of the dynamic loader do not count: it ends by unmapping its cache.

set -eu
b=${1:-build}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
truncate -s 1M "$tmp/disk"

calls()	# VCPUS
{
	timeout 60 strace -f -o "$tmp/calls" "$b/pinvm" run "$b/guest/hello.elf" -c "$1" -m 64 \
		-d "$tmp/disk,ro" --rng --debug-exit --timeout 30 </dev/null >/dev/null 2>&1 || true
	awk '/ munmap\(/ && !on { on = 1; next }
		/ resumed>| --- |\+\+\+/ { next }
		/KVM_RUN/ && !/EINTR/ { print n; exit }
		on { n++ }' "$tmp/calls"
}

one=$(calls 1)
nine=$(calls 9)
echo "set-up: $one system calls with 1 vCPU, $(((nine - one + 7) / 8)) more for each other"
