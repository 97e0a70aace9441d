# shellcheck shell=sh disable=SC2034,SC2154
# SPDX-License-Identifier: Apache-2.0
#
# load.sh: tests of the arm64 lab that put load on devices and CPUs. Sourced by
# host.sh, in the host. Their programs, /bin/packets and /bin/soak, are in host
# and guests.

random_disk()	# MIB
{
	dd if=/dev/urandom of=/img bs=1M count="$1" 2>/dev/null
}

sum_of_image()
{
	set -- "$(sha256sum /img)"
	echo "${1%% *}"
}

# Of each queue of a device, a line.
figures()	# DEVICE KEY
{
	awk -v d="\"$1\"," -v k="\"$2\":" '$1 == "\"name\":" { on = $2 == d } on && $1 == k { sub(",", "", $2); print $2 }' /report
}

# The figure behind WORD in a line of soak or packets.
of()	# WORD LINE
{
	echo "$2" | sed -n "s/.* $1 \([0-9]*\).*/\1/p"
}

nothing_bad()	# LINE
{
	case $1 in
	*' bad 0 failed 0'*) ;;
	*) wrong "soak said: '$1'" ;;
	esac
}

at_least()	# WHAT WANTED GOT...
{
	what=$1 wanted=$2
	shift 2
	[ $# -gt 0 ] || wrong "$what: no figure"
	for got; do
		[ "${got:-0}" -ge "$wanted" ] || wrong "$what: wanted $wanted or more, got '$got'"
	done
}

# All of RAM is where the report says, on pages of 2M, from before the start; and they are given back.
case_hugepages()
{
	free=$(sed -n 's/^HugePages_Free: *//p' /proc/meminfo)
	boot 0 look -m 256M,hugepages=2M
	is "pages wanted and got" '"page_size": 2097152,
"page_size": 2097152,' "$(grep -o '"page_size": [0-9]*,' /report)"
	grep -q '"prealloc": {' /report || wrong "nothing was filled before the start"
	grep -q '"bytes": 268435456,' /report || wrong "not all of it was filled"
	grep -q '"present_bytes": 268435456,' /report || wrong "not all of it is there in the end"
	is "free pages afterwards" "$free" "$(sed -n 's/^HugePages_Free: *//p' /proc/meminfo)"
	boot 4 look -m 512M,hugepages=2M
	grep -q "hugepages" /log || wrong "what is missing is not said"
}

# Four vCPUs come and go while each of them has requests on its way.
case_four()
{
	random_disk 4
	pin=0-1 want=0-1
	[ "$(nproc)" -lt 4 ] || pin=0-3/each want=
	boot 0 hotplug -m 256M,hugepages=2M -c 4 -d /img,queues=4 --pin vcpu=$pin
	fact_is cpus 4
	fact_is hotplug ''
	fact_is left "0
3
2"
	fact_is online 0-3
	fact_is killed 9
	nothing_bad "$(fact soak)"
	at_least "requests while CPUs came and went" 100 "$(of reads "$(fact soak)")"
	for i in 0 1 2 3; do
		is "vCPU $i wanted and is" "${want:-$i} ${want:-$i}" "$(placed $i)"
	done
}

# What the host wrote is what the guest reads, and the other way round; random requests between.
case_verify()
{
	random_disk 4
	before=$(sum_of_image)
	boot 0 verify\ n=800 -m 256M -c 2 -d /img,queues=2 "$@"
	fact_is before "$before"
	nothing_bad "$(fact soak)"
	at_least "writes" 500 "$(of writes "$(fact soak)")"
	fact_is after "$(sum_of_image)"
	[ "$before" != "$(sum_of_image)" ] || wrong "nothing was written"
	is "requests not completed" "$(figures disk0 requests)" "$(figures disk0 completions)"
}

tap()	# NUMBER
{
	tunctl -t tap"$1" >/dev/null
	ip addr add 10.0.$((2 + $1)).1/24 dev tap"$1"
	ip link set tap"$1" up
}

all_arrived()	# WHO COUNT LINE
{
	is "what $1 received" "$2" "$(of received "$3")"
	for w in bad lost twice; do
		is "$w at $1" 0 "$(of $w "$3")"
	done
}

# Datagrams of random size both ways at once, each checked.
case_packets()
{
	tap 0
	packets serve 7000 >/served 2>&1 &
	boot 0 packets\ n=4000 -m 256M -c 2 -N tap=tap0 "$@"
	kill $! 2>/dev/null
	wait
	all_arrived "the guest" 4000 "$(fact packets)"
	all_arrived "the host" 4000 "$(cat /served)"
	tunctl -d tap0 >/dev/null
}

# One request at a time on each queue, the two ends on CPUs of their own, and around the disk's rings: a wake-up lost for
# want of a barrier stops it for good. A CPU in software hardly ever loses one, so this says most on real ones;
# tests/unit/test_virtq_race.c is what looks for the barriers themselves.
case_soak()
{
	if [ "$(nproc)" -lt 4 ]; then
		skip "a host with 4 CPUs is wanted"
		return
	fi
	random_disk 4
	tap 0
	tap 1
	soak echo 7 >/echo 2>&1 &
	limit=900
	boot 0 "soak n=$rounds" -m 256M -c 2 -d /img,queues=2 -N tap=tap0 -N tap=tap1 --pin vcpu=0-1/each --pin iothread=2 --pin emulator=3 "$@"
	limit=240
	kill $!
	wait
	tunctl -d tap0 >/dev/null
	tunctl -d tap1 >/dev/null
	fact_is event_idx "1
1
1"
	fact_is spread ''
	nothing_bad "$(fact disk)"
	nothing_bad "$(fact net)"
	is "datagrams that came back" $((2 * (rounds / 4))) "$(of reads "$(fact net)")"
	# shellcheck disable=SC2046 # words
	at_least "requests of a queue of the disk" "$rounds" $(figures disk0 requests)
	is "requests not completed" "$(figures disk0 requests)" "$(figures disk0 completions)"
	# shellcheck disable=SC2046 # words
	at_least "frames of the network" $((rounds / 4)) $(figures net0 completions | head -n 2) $(figures net1 completions | head -n 2)
	is "vCPU 0 wanted and is" "0 0" "$(placed 0)"
	is "vCPU 1 wanted and is" "1 1" "$(placed 1)"
	grep -q '^pinvm: io:main  *2  *[^ ]*  *2 ' /log || wrong "the iothread is not on CPU 2"
	for d in disk0 net0 net1; do
		echo "    $d:$(for k in completions kicks interrupts; do printf ' %s' $k "$(figures $d $k | tr '\n' ' ')"; done)"
	done
}

# 0, 2, 4, 8, 12 and 14 have tests of their own; 10 and those of the debug-exit port need devices that arm64 has not.
case_status()
{
	limit=8
	boot 124 wait -m 256M
	limit=240
	grep -q '"status": 124' /report || wrong "the report does not say 124"
	report=/dev/full
	boot 6 look -m 256M
	report=/report
}
