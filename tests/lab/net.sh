# shellcheck shell=sh disable=SC2034,SC2154
# SPDX-License-Identifier: Apache-2.0
#
# net.sh: stock virtio_net over pinvm's taps, by virtio-pci and by virtio-mmio:
# what is sent arrives, once and as it was sent. See netlib.sh.

# shellcheck source=tests/lab/netlib.sh
. tests/lab/netlib.sh

tests=
by_each ping tcp tcp_plain udp udp_plain jumbo pairs packets rate
tests="$tests polled"
quick='traffic'
also='' options=''

net_ping()
{
	net_room --tap tap0=$ours/24
	net_guest <<-'END'
		up
		fact mac "$(cat /sys/class/net/eth0/address)"
		fact mtu "$(cat /sys/class/net/eth0/mtu)"
		for size in 0 1 18 63 500 1471 1472; do lossless sent -c 10 -i 0.02 -M do -s $size; done
		lossless split -c 10 -i 0.02 -s 20000
		await_call end
		off
	END
	net_start -N tap=tap0,mac=$mac
	wait_for "fact: waiting end"
	host ping -q -c 20 -i 0.02 -M 'do' -s 1472 $theirs >"$work/ping" || fail "the guest does not answer: $(cat "$work/ping")"
	call end
	finish 0
	fact_is mac $mac
	fact_is mtu 1500
	facts_are sent 7 "10 10"
	fact_is split "10 10"
	grep -q '^20 packets transmitted, 20 received' "$work/ping" || fail "the host lost some: $(cat "$work/ping")"
}

# What the tap handed over, in (from the guest) and out: "packets bytes".
counted()	# in|out
{
	way=rx
	[ "$1" = in ] || way=tx
	host ip -s -j link show tap0 | jq -r ".[0].stats64.$way | [.packets, .bytes] | join(\" \")"
}

# Are there more bytes than so many frames of the MTU could hold? Most of the bytes are in the largest packets.
large()	# in|out
{
	set -- "$(counted "$1")"
	[ $((${1% *} * 1514)) -lt "${1#* }" ]
}

# The guest against an iperf3 of the host's: MIB one way and back, and what iperf3 says of it.
iperf()	# NET-OPTIONS MIB IPERF-OPTIONS
{
	need iperf3
	net_room --tap tap0=$ours/24
	{
		echo "also=\"$also\""
		echo "go=\"iperf3 -J -c $ours -n $2M $3\""
		cat <<-'END'
			figure()	# FILE SECTION KEY
			{
				awk -v s="\"$2\":" -v k="\"$3\":" '$1 == s { on = 1 } on && $1 == k { sub(",", "", $2); print $2; exit }' $1
			}
			features()
			{
				ethtool -k eth0 | sed -n 's/^\(.x-checksumming\|tcp-segmentation-offload\): \(o[nf]*\).*/\1 \2/p' | facts feature
			}
			go()	# NAME OPTIONS
			{
				$go $2 >/json || fact iperf "$(grep error /json)"
				sum=sum_received
				grep -q '"sum_received":' /json || sum=sum
				fact $1 "$(figure /json $sum bytes)"
				fact $1_retransmits "$(figure /json sum_sent retransmits)"
				fact $1_lost "$(figure /json sum lost_packets) of $(figure /json sum packets)"
			}
			up
			features
			go up
			go down -R
			[ -z "$also" ] || $also | facts packets
			off
		END
	} | iperf_guest
	host_bg iperf3 -s >"$work/iperf" 2>&1
	[ -z "$also" ] || host_bg "$packets" serve 7000 >"$work/packets"
	limit=900
	# shellcheck disable=SC2086 # words
	net_start -N "tap=tap0$1" $options
	finish 0
	is "trouble of iperf3" '' "$(fact iperf)"
	for way in up down; do
		[ "$(fact $way)" -gt 0 ] || fail "$way: nothing arrived"
	done
	echo "note: packets and bytes: in $(counted in), out $(counted out);" \
		"dropped by the tap $(dropped_on tap0), by the device $(jq .devices[0].dropped "$work/report")"
}

tcp()	# NET-OPTIONS MIB
{
	iperf "$1" "$2" ''
	echo "note: retransmits up $(fact up_retransmits), down $(fact down_retransmits)"
	for way in up down; do
		# The receiver stops counting when the sender says that it is through.
		[ "$(fact $way)" -ge $(($2 * 7 << 17)) ] || fail "$way: of $2 MiB $(fact $way) bytes arrived"
	done
}

net_tcp()
{
	tcp '' 64
	for f in rx-checksumming tx-checksumming tcp-segmentation-offload; do
		fact feature | grep -qx "$f on" || fail "the guest has no $f"
	done
	for way in in out; do
		large $way || fail "$way: packets are not larger than the MTU"
	done
}

# Linux looks at checksums even where the device leaves none out: rx-checksumming says nothing here.
net_tcp_plain()
{
	tcp ,offload=off 16
	for f in tx-checksumming tcp-segmentation-offload; do
		fact feature | grep -qx "$f off" || fail "the guest has $f"
	done
	for way in in out; do
		! large $way || fail "$way: packets are larger than the MTU"
	done
}

# One guest for the quick run: TCP with offloads, and 20000 datagrams.
case_traffic()
{
	host_packets=10000
	also="packets run $ours 7000 both $host_packets 1472 $$ 256"
	tcp '' 24
	arrived "the guest" $host_packets "$(fact packets)"
	arrived "the host" $host_packets "$(cat "$work/packets")"
	large in || fail "packets are not larger than the MTU"
}

# The same by an iothread that polls.
case_polled()
{
	options='--iothread main,poll-max=200us,poll-weight=100'
	case_traffic
	report_is '.threads[] | select(.name == "io:main") | .poll | .hits > 0 and .hits <= .polls' true
}

udp()	# NET-OPTIONS
{
	iperf "$1" 8 '-u -b 40M -l 1400'
	echo "note: lost up $(fact up_lost), down $(fact down_lost)"
}

net_udp() { udp ''; }
net_udp_plain() { udp ,offload=off; }

# Frames of 9000 bytes: no part of them is split on the way.
net_jumbo()
{
	net_room --mtu 9000 --tap tap0=$ours/24
	net_guest <<-END
		up
		fact mtu "\$(cat /sys/class/net/eth0/mtu)"
		for size in 8972 8971 1473; do lossless sent -c 10 -i 0.02 -M do -s \$size; done
		lossless too_large -c 1 -W 1 -M do -s 8973
		fact packets "\$(packets run $ours 7000 both 2000 8972)"
		await_call end
		off
	END
	host_bg "$packets" serve 7000 >"$work/packets"
	net_start -N tap=tap0,mtu=9000
	wait_for "fact: waiting end"
	host ping -q -c 10 -i 0.02 -M 'do' -s 8972 $theirs >"$work/ping" || fail "the guest does not answer: $(cat "$work/ping")"
	call end
	finish 0
	fact_is mtu 9000
	facts_are sent 3 "10 10"
	fact_is too_large "1 0"
	arrived "the guest" 2000 "$(fact packets)"
	arrived "the host" 2000 "$(cat "$work/packets")"
}

# Two queue pairs on two iothreads, and both carry packets.
net_pairs()
{
	net_room --queues --tap tap0=$ours/24
	net_guest <<-END
		combined()
		{
			fact combined "\$(ethtool -l eth0 | sed -n 's/^Combined:[^0-9]*//p' | tr '\n' ' ')"
		}
		up
		combined
		taskset -c 0 packets run $ours 7000 both 3000 | facts packets
		taskset -c 1 packets run $ours 7001 both 3000 | facts packets
		ethtool -L eth0 combined 1 || fact ethtool failed
		combined
		lossless one -c 20 -i 0.02
		ethtool -L eth0 combined 2 || fact ethtool failed
		combined
		lossless two -c 20 -i 0.02
		taskset -c 1 packets run $ours 7002 both 1000 | facts packets_after
		status
		off
	END
	for port in 7000 7001 7002; do
		host_bg "$packets" serve $port >"$work/packets.$port"
	done
	net_start --iothread a --iothread b -N 'tap=tap0,pairs=2,iothread=[a,b]'
	finish 0
	is "combined channels" "2 2 /2 1 /2 2 /" "$(fact combined | tr '\n' /)"
	fact_is one "20 20"
	fact_is two "20 20"
	arrived "the guest" 1000 "$(fact packets_after)"
	fact packets | while read -r line; do
		arrived "the guest" 3000 "$line"
	done
	arrived "the host" 3000 "$(cat "$work/packets.7000")"
	arrived "the host" 3000 "$(cat "$work/packets.7001")"
	facts_are status 1 0x0000000f
	report_is '[.devices[0].queues[:4][].iothread] | join(" ")' 'io:a io:a io:b io:b'
	for q in 0 1 2 3; do
		n=$(jq ".devices[0].queues[$q].completions" "$work/report")
		echo "note: queue $q: $n"
		[ "$n" -gt 100 ] || fail "queue $q carried $n packets"
	done
}

# COUNT datagrams of random size each way, at the same time.
packets()	# COUNT
{
	net_room --tap tap0=$ours/24
	net_guest <<-END
		up
		packets run $ours 7000 both $1 1472 $$ 256 | facts packets
		fact queueing \$(queueing)
		fact counts "\$(cd /sys/class/net/eth0/statistics; grep . tx_packets tx_dropped rx_packets rx_dropped | tr '\n' ' ')"
		grep -E '^(Ip|Udp):' /proc/net/snmp | facts snmp
		status
		off
	END
	host_bg "$packets" serve 7000 >"$work/packets"
	limit=1800
	net_start -N tap=tap0
	finish 0
	echo "note: seed $$; $(cat "$work/packets"); $(fact packets)"
	# Where one was lost, should it have been.
	{
		fact queueing
		fact counts
		fact snmp
		host ip -s -j link show tap0 | jq -c '.[0].stats64'
		host grep -E '^(Ip|Udp):' /proc/net/snmp
		jq -c '.devices[0]' "$work/report"
	} | sed 's/^/trail: /'
	fact_is queueing "pfifo_fast dropped 0"
	arrived "the guest" "$1" "$(fact packets)"
	arrived "the host" "$1" "$(cat "$work/packets")"
	facts_are status 1 0x0000000f
}

net_packets() { packets 500000; }

# Milliseconds from the first to the last datagram, in a line of tests/lab/packets.c.
took()	# LINE
{
	[ -n "$1" ] || fail "a run of packets did not end"
	echo "$1" | sed -n 's/.* in \([0-9]*\) ms.*/\1/p'
}

# The time of the slow one is four times that of the quick one, roughly: both had a burst for nothing.
ratio()	# WHAT SLOW QUICK
{
	echo "note: $1: $2 ms and $3 ms"
	r=$(($2 * 10 / $3))
	if [ $r -lt 25 ] || [ $r -gt 60 ]; then
		fail "$1: $2 ms is not four times $3 ms"
	fi
}

# Taps with limits, a factor of 4 between two of them: the same packets take 4 times as long.
net_rate()
{
	net_room --tap tap0=10.0.2.1/24 --tap tap1=10.0.3.1/24 --tap tap2=10.0.4.1/24 --tap tap3=10.0.5.1/24
	net_guest <<-'END'
		up
		for i in 1 2 3; do
			ip link set eth$i up
			ip addr add 10.0.$((i + 2)).2/24 dev eth$i
		done
		for way in up down; do
			for i in 0 1; do packets run 10.0.$((i + 2)).1 700$i $way 2000 100 1 32 | facts $way$i; done
			for i in 2 3; do packets run 10.0.$((i + 2)).1 700$i $way 1000 1400 1 32 | facts $way$i; done
			fact through $way
			[ $way = down ] || nc -l -p 7 >/dev/null
		done
		off
	END
	limit=900
	net_start -N tap=tap0,pps=200 -N tap=tap1,pps=800 -N tap=tap2,bps=100K -N tap=tap3,bps=400K
	for way in up down; do
		for i in 0 1 2 3; do
			host_bg "$packets" serve 700$i >"$work/$way$i"
		done
		[ $way = up ] || host busybox nc -w 5 $theirs 7 </dev/null || fail "the guest cannot be called"
		wait_for "fact: through $way"
	done
	finish 0
	ratio "packets, up" "$(took "$(cat "$work/up0")")" "$(took "$(cat "$work/up1")")"
	ratio "bytes, up" "$(took "$(cat "$work/up2")")" "$(took "$(cat "$work/up3")")"
	ratio "packets, down" "$(took "$(fact down0)")" "$(took "$(fact down1)")"
	ratio "bytes, down" "$(took "$(fact down2)")" "$(took "$(fact down3)")"
}
