# shellcheck shell=sh disable=SC2034,SC2154
# SPDX-License-Identifier: Apache-2.0
#
# blk.sh: disks: what is read and written is right, and costs the kicks, interrupts and exits it should. By both transports.

copy()
{
	disk from 4M
	head -c 4M /dev/zero >"$tmp/to"
	args=$1
	shift
	guest blk "copy $args id=the-serial" -d "$tmp/from" -d "$tmp/to,serial=the-serial" "$@"
	success
	cmp "$tmp/from" "$tmp/to" >&2 || bad "the copy differs"
}

case_blk_depth_1() { copy 'depth=1 piece=65536'; }
case_blk_depth_8() { copy 'depth=8 piece=16384 event'; }
case_blk_depth_32() { copy 'depth=32 piece=4096 event indirect'; }
case_blk_indirect() { copy 'depth=16 piece=8192 indirect'; }
case_blk_plain() { copy 'depth=8 piece=16384 event indirect' --io-engine plain; }
case_mmio_copy() { copy 'depth=8 piece=16384 event indirect mmio' --transport mmio; }
case_mmio_plain() { copy 'depth=16 piece=8192 mmio' --transport mmio --io-engine plain; }
case_blk_iothreads() { copy 'depth=8 piece=16384' --iothread other; }

# Requests of a driver that is quick enough are found in the ring, and neither side pays for a kick: at most one is asked
# for whenever polling found nothing, and one more when something else came. How often it finds something is the machine's.
case_blk_polled() { polled; }
case_blk_polled_plain() { polled --io-engine plain; }
polled()
{
	two_cpus
	copy 'depth=1 piece=4096 event' --iothread main,poll-max=5ms,poll-weight=1000 "$@"
	kicks_for_sleeps
	copy 'depth=1 piece=4096 event' "$@"
	reports '.devices[0].queues[0] | .kicks == .requests' true
	reports '.threads[] | select(.name == "io:main") | .poll' null
	guest_start blk 'count=1000000000000 event' -n polled -d "$tmp/from" --iothread main,poll-max=5ms,poll-weight=1000 "$@"
	until [ "$(ctl polled report | jq '.threads[] | select(.name == "io:main") | .poll.hits')" -gt 100 ]; do
		still_runs
	done
	ctl polled stop 0
	ended
	kicks_for_sleeps
}

kicks_for_sleeps()
{
	reports "(.threads[] | select(.name == \"io:main\")) as \$io | .devices[0].queues[0] |
		.requests > 100 and .kicks <= \$io.sleeps + \$io.poll.polls - \$io.poll.hits" true
	reports '.threads[] | select(.name == "io:main") | .poll | .hits <= .polls and .polled_ns > 0' true
}

case_blk_direct()
{
	disk from 4k
	dd if="$tmp/from" of=/dev/null iflag=direct 2>/dev/null || skip "$tmp has no direct I/O"
	disk from 4M
	head -c 4M /dev/zero >"$tmp/to"
	guest blk 'copy depth=8 piece=16384' -d "$tmp/from,direct" -d "$tmp/to,direct"
	success
	cmp "$tmp/from" "$tmp/to" >&2 || bad "the copy differs"
}

case_blk_status()
{
	disk disk 64k
	guest blk status -d "$tmp/disk"
	success
	cp "$tmp/disk" "$tmp/before"
	guest blk 'status ro' -d "$tmp/disk,ro"
	success
	cmp "$tmp/disk" "$tmp/before" >&2 || bad "a disk that is ro was written"
	[ "$(stat -c %s "$tmp/disk")" -eq 65536 ] || bad "the disk grew"
}

# At depth 1 each request is one kick and one interrupt, and HLT is all the waiting there is.
case_blk_interrupts() { interrupts ''; }
case_mmio_interrupts() { interrupts mmio; }
interrupts()
{
	disk disk 64k
	for how in '' event; do
		# shellcheck disable=SC2046
		guest blk "count=300 depth=1 irq $how $1" -d "$tmp/disk" $(over "$1")
		success
		says '300 requests, 300 kicks, 300 interrupts'
		reports '.devices[0].queues[0].interrupts' 300
	done
	# shellcheck disable=SC2046
	guest blk "count=800 depth=8 irq event indirect $1" -d "$tmp/disk" $(over "$1")
	success
	reports '.devices[0].queues[0] | .interrupts <= 800 and .kicks <= 800 and .requests == 800' true
}

# A request never returns to user space.
case_blk_exits()
{
	disk disk 64k
	for depth in 1 8 32; do
		few=$(exits_of blk "count=100 depth=$depth irq event" -d "$tmp/disk") || exit $?
		many=$(exits_of blk "count=3000 depth=$depth irq event" -d "$tmp/disk") || exit $?
		[ $((many - few)) -lt 50 ] ||
			bad "depth $depth: $few exits for 100 requests, $many for 3000"
	done
}

soak()
{
	disk disk 64k
	# shellcheck disable=SC2046
	guest blk "soak=66000 $1" -d "$tmp/disk" $(over "${1##* }")
	success
	reports '.devices[0].queues[0].requests >= 66000' true
	reports '.devices[0].queues[0] | .kicks <= .requests / 10' true
}

# So many requests of 4 KiB, and in no time more than the limit lets through.
limited()	# LIMIT REQUESTS-A-SECOND REQUESTS
{
	guest bench_blk "requests=$3 depth=8" -d "$tmp/disk,$1"
	success
	reports '.devices[0].queues[0].requests' "$3"
	reports ".devices[0].queues[0].requests <= .duration_s * $2 + 2" true
	reports '.devices[0].limited > 0' true
}

# Twice the rate in half the time, and of 4 KiB the same as bytes: no sooner. That it is not later is the unit tests', which
# have a clock of their own.
case_blk_limits()
{
	disk disk 8M
	limited iops=150,iops-burst=1 150 100
	limited iops=300,iops-burst=1 300 200
	limited bps=600K,bps-burst=1K 150 100
	guest bench_blk 'requests=1000 depth=8' -d "$tmp/disk"
	success
	reports '.devices[0] | has("limited")' false
}

case_blk_wrap() { soak ''; }
case_blk_wrap_event() { soak 'event indirect'; }
case_mmio_wrap() { soak 'event mmio'; }
case_blk_reset() { disk disk 1M; guest blk reset=20 -d "$tmp/disk"; success; says '20 resets'; }
case_mmio_reset() { disk disk 1M; guest blk 'reset=20 mmio' -d "$tmp/disk" --transport mmio; success; says '20 resets'; }

case_hostile() { hostile ''; }
case_mmio_hostile() { hostile mmio; }
hostile()
{
	disk disk 64k
	# shellcheck disable=SC2046
	guest hostile "$1" -d "$tmp/disk" --rng -c 2 $(over "$1")
	success
	says 'rings in the hole'
	[ "$(grep -c 'waits for a reset' "$tmp/err")" -eq 12 ] || bad "not one line in the log for each of 12 mistakes"
}
