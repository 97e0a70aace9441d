# shellcheck shell=sh disable=SC2034,SC2154
# SPDX-License-Identifier: Apache-2.0
#
# netlib.sh: what the tests of the network device share. Sourced by them, in
# the test's subshell. The host's end of each test is a network namespace of
# its own (tools/netns), the guest's is 10.0.2.2 on eth0.

via=pci		# the transport
ours=10.0.2.1
theirs=10.0.2.2
mac=52:54:00:12:34:56

# Adds the tests of a list to $tests, by each transport: case_ping_pci calls net_ping with $via set.
by_each()	# TEST...
{
	for t; do
		for v in pci mmio; do
			tests="$tests ${t}_$v"
			eval "case_${t}_$v() { via=$v; net_$t; }"
		done
	done
}

# The namespace lives as long as the sleeper in it.
net_room()	# OPTIONS-OF-TOOLS/NETNS...
{
	need ip ethtool nsenter
	why=$(tools/netns --check 2>&1) || skip "$why"
	tools/netns "$@" -- sleep 100000 2>"$work/out.netns" &
	room=$!
	more_pids="$more_pids $room"
	until [ "$(cat /proc/$room/comm 2>/dev/null)" = sleep ]; do
		kill -0 $room 2>/dev/null || fail "no namespace: $(cat "$work/out.netns")"
		sleep 0.1
	done
	enter="nsenter --target $room --net"
	[ "$(id -u)" = 0 ] || enter="$enter --user --preserve-credentials"
	here_pinvm=$pinvm
	enter_by pinvm "$here_pinvm"
}

# From now on $pinvm is a script that runs COMMAND in the room.
enter_by()	# NAME COMMAND...
{
	pinvm=$work/$1
	shift
	{
		printf '#!/bin/sh\nexec %s -- ' "$enter"
		printf '"%s" ' "$@"
		# shellcheck disable=SC2016
		echo '"$@"'
	} >"$pinvm"
	chmod +x "$pinvm"
}

host()	# COMMAND...
{
	# shellcheck disable=SC2086 # words
	$enter -- "$@"
}

# Frames for the guest that found no room in the tap's queue.
dropped_on()	# TAP
{
	host ip -s -j link show "$1" | jq '.[0].stats64.tx.dropped'
}

# In the background; $! and $last are the command itself.
host_bg()	# COMMAND...
{
	# shellcheck disable=SC2086 # words
	$enter -- "$@" &
	last=$!
	more_pids="$more_pids $last"
}

# The guest's script, after what every guest of these tests knows to do.
net_guest()
{
	base=$net_cpio
	net_script
}

iperf_guest()
{
	base=$iperf_cpio
	net_script
}

net_script()
{
	{
		cat <<-'END'
			ours=10.0.2.1
			# The stock one, fq_codel, drops packets that a busy host makes wait, and tells no sender.
			echo pfifo_fast >/proc/sys/net/core/default_qdisc
			carrier()	# WANTED
			{
				[ "$(cat /sys/class/net/eth0/carrier 2>/dev/null)" = "$1" ]
			}
			up()
			{
				await test -d /sys/class/net/eth0
				ip link set eth0 up
				ip addr add 10.0.2.2/24 dev eth0
				await carrier 1
			}
			# Sent and received, as ping counts them.
			lossless()	# NAME PING-OPTIONS...
			{
				name=$1
				shift
				/usr/bin/ping -q "$@" $ours >/ping 2>&1
				fact $name "$(sed -n 's/^\([0-9]*\) packets transmitted, \([0-9]*\) received.*/\1 \2/p' /ping)"
			}
			answers()
			{
				/usr/bin/ping -q -c 1 -W 1 $ours >/dev/null 2>&1
			}
			# Waits until the host calls. The first call says that the guest is there.
			await_call()	# NAME
			{
				fact waiting $1
				nc -l -p 7 >/dev/null
			}
			# What never came to the driver: "dropped N" of each queueing discipline.
			queueing()
			{
				/bin/tc -s qdisc show dev eth0 |
					sed -n 's/^qdisc \([^ ]*\).*/\1/p; s/.*(\(dropped [0-9]*\),.*/\1/p' | tr '\n' ' '
			}
			status()
			{
				for s in /sys/bus/virtio/devices/*/status; do fact status "$(cat $s)"; done
			}
		END
		cat
	} | guest_does
}

net_start()	# OPTIONS...
{
	set -- -c 2 -m 256M "$@"
	[ $via = pci ] || set -- --transport mmio "$@"
	start "$@"
}

# The host's side of await_call.
call()	# NAME
{
	wait_for "fact: waiting $1"
	until_true 60 host busybox nc -w 5 $theirs 7 </dev/null || fail "the guest cannot be called"
}

# All lines of the guest about NAME say the same.
facts_are()	# NAME LINES VALUE
{
	is "the guest's $1" "$2 x $3" "$(fact "$1" | wc -l) x $(fact "$1" | sort -u)"
}

# A line of tests/lab/packets.c: the figure behind WORD.
of()	# WORD LINE
{
	echo "$2" | sed -n "s/.* $1 \([0-9]*\).*/\1/p"
}

arrived()	# WHO COUNT LINE
{
	is "what $1 received" "$2" "$(of received "$3")"
	for w in bad lost twice; do
		is "$w at $1" 0 "$(of $w "$3")"
	done
}
