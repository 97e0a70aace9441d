# shellcheck shell=sh disable=SC2034,SC2154
# SPDX-License-Identifier: Apache-2.0
#
# memory.sh: memory before the start.

# Enough small pages that filling them lasts, for guest(). What is told to stop gets through a part of it only.
much_memory()
{
	memory=$(awk '$1 == "MemAvailable:" { print int($2 / 4096) }' /proc/meminfo)
	[ "$memory" -ge 1024 ] || skip "$((memory * 4)) MiB of memory are to be had, the test takes 4096"
	[ "$memory" -le 8192 ] || memory=8192
	memory=$memory,hugepages=off,prealloc=on
}

# The process that fills, once it has a thread for it, in $filling. Its parent is what bounds it. False: it has ended.
until_filling()
{
	need pgrep procps
	until filling=$(pgrep -P "$pid") && grep -qsx fill /proc/"$filling"/task/*/comm; do
		kill -0 "$pid" 2>/dev/null || return
	done
}

case_stop_while_filling()
{
	much_memory
	for sig in TERM INT; do
		# The guest runs where all was filled before the signal was sent: then once more.
		for _ in 1 2 3 4 5 6 7 8 9 10; do
			guest_start hello ''
			until_filling && kill "-$sig" "$filling"
			ended
			[ "$rc" -eq 1 ] || break
		done
		ends 14 'stopped on request while memory was prepared'
		[ ! -s "$tmp/out" ] || bad "the guest ran"
	done
}

case_timeout_while_filling()
{
	much_memory
	limit=50ms
	guest hello ''
	ends 124 'time limit reached while memory was prepared'
	[ ! -s "$tmp/out" ] || bad "the guest ran"
}

# The report has the kernel's own figures, of memory that was there before the start and of memory that came with its use.
case_memory_read_back()
{
	memory=32,prealloc=on
	guest hello '' -v
	success
	reports '.prealloc.bytes' $((32 << 20))
	reports '.memory[0].actual.page_size' "$(getconf PAGESIZE)"
	reports '.memory[0].actual.misplaced_bytes' 0
	[ "$(report '.memory[0].actual.checked_bytes')" -gt 0 ] || skip "the kernel does not tell where pages are here"
	reports '.memory[0].actual | .present_bytes, ([.bytes_on_node[]] | add)' "$(printf '%d\n%d' $((32 << 20)) $((32 << 20)))"
	grep -q '^pinvm: 0-0x1ffffff .* 4K any node[0-9]*=' "$tmp/err" || bad "-v does not say where memory lies"
	memory=32
	guest hello ''
	success
	reports '.prealloc' null
	reports '.memory[0].actual | .present_bytes > 0 and .present_bytes < 16777216 and .checked_bytes == 33554432' true
}
