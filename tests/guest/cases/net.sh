# shellcheck shell=sh disable=SC2034,SC2154
# SPDX-License-Identifier: Apache-2.0
#
# net.sh: a net by a tap, in a network namespace of its own.

case_net_echo() { net_guest net 'echo=512 batch=16'; success; says '512 frames echoed'; }
case_net_alone() { net_guest net 'echo=200 ask=100 batch=1 event irq'; success; says '100 frames received'; }
case_net_merged() { net_guest net 'echo=512 batch=128 event merge irq'; success; }
case_net_asked() { net_guest net 'ask=2560 batch=256 event merge irq'; success; says '2560 frames received'; }
case_net_plain() { net_guest net 'echo=512 ask=512 batch=64 event merge' --io-engine plain; success; }
case_net_commands() { net_guest net commands; success; }
case_net_reset() { net_guest net 'reset=20 event'; success; says '20 resets'; }
case_net_large() { net_guest net large=16; success; says "16 large frames"; reports '.devices[0].dropped' 0; }
# What nobody but the host's kernel counts, and what the other end of the wire is.
case_net_report()
{
	net_guest net 'echo=512 batch=16' -v
	success
	reports '.devices[0] | .tap, .mtu, .pairs, .link' "$(printf 't0\n1500\n1\nup')"
	reports '.devices[0] | .from_guest.packets >= 512 and .to_guest.packets >= 512' true
	reports '.devices[0] | .from_guest.bytes >= 512 * 60 and .to_guest.bytes >= 512 * 60' true
	grep -q "net0: tap t0, mac $(report '.devices[0].mac'), mtu 1500, pairs 1, link up" "$tmp/err" || bad "-v has no line of net0"
	! grep -q 'made one' "$tmp/err" || bad 'it says that it made a tap that was there'
}

# A name without a tap behind it makes one, which is said without being asked for.
case_net_made()
{
	tools/netns --check 2>"$tmp/err" || skip "$(cat "$tmp/err")"
	$bounded tools/netns -- "$pinvm" run "$guests/hello.elf" -m 16 --debug-exit --timeout 600 --net tap=typo \
		>"$tmp/out" 2>"$tmp/err" </dev/null
	rc=$?
	success
	[ "$(cat "$tmp/err")" = 'pinvm: net0: there was no tap typo: made one, without an address and in no bridge' ] ||
		bad 'it does not say so'
}

case_net_mmio() { net_guest net 'mmio echo=512 ask=512 batch=16 event merge irq' --transport mmio; success; }
case_net_mmio_reset() { net_guest net 'mmio reset=10' --transport mmio; success; }

# What is sent before the last batch came back is one kick, whatever its size.
case_net_kicks()
{
	for batch in 1 16 128; do
		net_guest net "echo=$((batch * 8)) batch=$batch event merge"
		success
		reports '.devices[0].queues[1].kicks <= 8' true
	done
}

case_net_hostile()
{
	net_guest hostile_net '' --rng -c 3
	success
	says 'nonsense buffers'
	says 'receive buffers changed while frames came'
	reports '.devices[0].dropped > 100' true
}
