# shellcheck shell=sh disable=SC2034,SC2154
# SPDX-License-Identifier: Apache-2.0
#
# tap.sh: taps and drivers that come and go under a guest's network, who may
# have which tap, and a host that sends what nobody takes. See netlib.sh.

# shellcheck source=tests/lab/netlib.sh
. tests/lab/netlib.sh

tests=
by_each link gone rebind flood fd
tests="$tests rebind_bus_pci rebind_bus_mmio made owned busy rootless readme"
quick=''

# A guest that says what its link does: `falls` and `comes`, and each time a ping over what came back.
link_guest()	# TIMES
{
	{
		cat <<-END
			up
			lossless before -c 5 -i 0.05
			fact watching
			for i in $(seq -s ' ' "$1"); do
		END
		cat <<-'END'
				await carrier 0
				fact fell $i
				await carrier 1
				await answers
				lossless after -c 10 -i 0.05
				fact through $i
			done
			status
			off
		END
	} | net_guest
}

link_ends()	# TIMES
{
	finish 0
	fact_is before "5 5"
	facts_are after "$1" "10 10"
	facts_are status 1 0x0000000f
	is "what was awaited in vain" '' "$(fact await)"
	echo "note: $(jq .devices[0].dropped "$work/report") frames dropped"
}

link()	# TIMES
{
	net_room --tap tap0=$ours/24
	link_guest "$1"
	net_start -N tap=tap0
	wait_for "fact: watching"
	for i in $(seq "$1"); do
		host ip link set tap0 down
		wait_for "fact: fell $i"
		host ip link set tap0 up
		wait_for "fact: through $i"
	done
	link_ends "$1"
}

net_link() { link 3; }

case_link_quick()
{
	via=pci
	link 1
}

# The tap is deleted under the guest, and made again.
net_gone()
{
	net_room --tap tap0=$ours/24
	link_guest 3
	net_start -N tap=tap0
	wait_for "fact: watching"
	for i in 1 2 3; do
		host ip link del tap0
		wait_for "fact: fell $i"
		host ip tuntap add tap0 mode tap
		host ip addr add $ours/24 dev tap0
		host ip link set tap0 up
		wait_for "fact: through $i"
	done
	link_ends 3
}

# The driver is taken away from its device and brought back, LOOPS times, while both sides send all they can.
rebind()	# LOOPS BUS DRIVER
{
	net_room --tap tap0=$ours/24
	{
		echo "loops=$1 bus=$2 driver=$3"
		cat <<-'END'
			send()
			{
				while [ ! -e /stop ]; do packets flood $ours 9 2000 1400 || sleep 0.1; done >/dev/null 2>&1
			}
			again()
			{
				await test -d /sys/class/net/eth0
				ip link set eth0 up
				ip addr add 10.0.2.2/24 dev eth0
			}
			up
			device=$(ls /sys/bus/$bus/drivers/$driver | grep -E '^(virtio[0-9]|0000:|LNRO)' | head -n 1)
			fact device $device
			send & send &
			i=0
			while [ $i -lt $loops ]; do
				echo $device >/sys/bus/$bus/drivers/$driver/unbind || fact unbind failed
				echo $device >/sys/bus/$bus/drivers/$driver/bind || fact bind failed
				again
				await answers || break
				i=$((i + 1))
			done
			>/stop
			wait
			fact loops $i
			await_call calm
			lossless after -c 20 -i 0.02
			packets run $ours 7000 both 2000 | facts packets
			status
			off
		END
	} | net_guest
	host_bg "$packets" serve 7000 >"$work/packets"
	limit=900
	net_start -N tap=tap0,mac=$mac
	# Known for good, so that what is sent goes out while the guest's driver is away.
	host ip neigh replace $theirs lladdr $mac dev tap0
	# More than the guest takes, with gaps in which something else gets through.
	host_bg "$packets" burst $theirs 9 1000000000 1000 256 10
	wait_for "fact: loops"
	kill "$last"
	call calm
	finish 0
	fact_is loops "$1"
	is "bind and unbind" '' "$(fact bind)$(fact unbind)"
	fact_is after "20 20"
	arrived "the guest" 2000 "$(fact packets)"
	arrived "the host" 2000 "$(cat "$work/packets")"
	facts_are status 1 0x0000000f
	! grep -Ei 'needs.reset' "$work/log" || fail "the device asked for a reset"
	echo "note: $(fact device), $(jq .devices[0].dropped "$work/report") frames dropped"
}

net_rebind() { rebind 10 virtio virtio_net; }

case_rebind_bus_pci()
{
	via=pci
	rebind 10 pci virtio-pci
}

case_rebind_bus_mmio()
{
	via=mmio
	rebind 10 platform virtio-mmio
}

# The thread of that name: clock ticks and switches so far.
cost_of()	# THREAD
{
	for t in /proc/"$pid"/task/*; do
		[ "$(cat "$t/comm")" = "$1" ] || continue
		ticks=$(sed 's/.*) //' "$t/stat" | awk '{ print $12 + $13 }')
		switches=$(awk '/ctxt_switches/ { n += $2 } END { print n }' "$t/status")
		return
	done
	fail "no thread $1"
}

# 200000 datagrams for a guest that takes none: the thread of its device does not run for them.
flood_in_vain()	# WHAT
{
	host ip neigh replace $theirs lladdr $mac dev tap0
	cost_of io:a
	before="$ticks $switches" dropped=$(dropped_on tap0) begin=$(date +%s%N)
	host "$packets" flood $theirs 9 200000 1000 >/dev/null
	took=$((($(date +%s%N) - begin) / 10000000))
	dropped=$(($(dropped_on tap0) - dropped))
	cost_of io:a
	ticks=$((ticks - ${before% *})) switches=$((switches - ${before#* }))
	echo "note: $1: $dropped dropped in $took ticks; the iothread's: $ticks ticks, $switches switches"
	[ $dropped -gt 190000 ] || fail "$1: only $dropped of 200000 were dropped"
	[ $((ticks * 20)) -lt "$took" ] || fail "$1: the iothread ran for $ticks of $took ticks"
	[ $switches -lt 1000 ] || fail "$1: the iothread ran $switches times"
}

net_flood()
{
	net_room --tap tap0=$ours/24 --tap tap1=10.0.3.1/24
	theirs_too=10.0.3.2
	net_guest <<-'END'
		ip link set eth1 up
		ip addr add 10.0.3.2/24 dev eth1
		up
		lossless before -c 5 -i 0.05
		ip link set eth0 down
		await_call down
		ip link set eth0 up
		await answers
		lossless after -c 20 -i 0.02
		device=$(readlink -f /sys/class/net/eth0/device)
		device=${device##*/}
		echo $device >/sys/bus/virtio/drivers/virtio_net/unbind
		await_call unbound
		echo $device >/sys/bus/virtio/drivers/virtio_net/bind
		up
		await answers
		lossless after -c 20 -i 0.02
		off
	END
	net_start --iothread a -N "tap=tap0,mac=$mac,iothread=a" -N tap=tap1
	for what in down unbound; do
		wait_for "fact: waiting $what"
		flood_in_vain $what
		theirs=$theirs_too call $what
	done
	finish 0
	fact_is before "5 5"
	facts_are after 2 "20 20"
}

# The tap comes as a descriptor; pinvm itself may have none made.
net_fd()
{
	net_room --tap tap0=$ours/24
	enter_by with_fd "$tapfd" tap0 9 "$here_pinvm"
	net_guest <<-'END'
		up
		lossless sent -c 20 -i 0.02
		off
	END
	net_start -N fd=9
	finish 0
	fact_is sent "20 20"
}

# Without any capability: root's rights to the files here, none over networks.
powerless()
{
	enter_by powerless setpriv --bounding-set=-all --inh-caps=-all --no-new-privs "$here_pinvm"
}

case_owned()
{
	need setpriv
	[ "$(id -u)" = 0 ] || skip "needs root"
	net_room
	powerless
	host ip tuntap add tap0 mode tap user 12345
	host ip tuntap add tap1 mode tap user 0
	net_guest <<-'END'
		up
		lossless sent -c 20 -i 0.02
		off
	END
	for tap in tap0 tap2; do
		net_start -N tap=$tap
		finish 4
		grep -Eq "$tap: (there is none, and making one|it belongs to another)" "$work/log" || fail "$tap: the reason is not told"
	done
	host ip addr add $ours/24 dev tap1
	host ip link set tap1 up
	net_start -N tap=tap1
	finish 0
	fact_is sent "20 20"
}

# One that is not there is made, and goes with its guest.
case_made()
{
	net_room
	net_guest <<-'END'
		up
		await answers
		lossless sent -c 20 -i 0.02
		off
	END
	net_start -N tap=made0
	until_true 60 host ip addr add $ours/24 dev made0 2>/dev/null || fail "no made0"
	finish 0
	fact_is sent "20 20"
	! host ip link show made0 2>/dev/null || fail "made0 is still there"
}

# A tap that another guest has is refused, and that one goes on.
case_busy()
{
	net_room --tap tap0=$ours/24
	net_guest <<-'END'
		up
		await_call end
		lossless sent -c 20 -i 0.02
		off
	END
	net_start -N tap=tap0
	wait_for "fact: waiting end"
	rc=0
	"$pinvm" run "$kernel" -N tap=tap0 --serial off --timeout 60 2>"$work/second" || rc=$?
	is "status of the second" 4 $rc
	grep -q 'tap0: another program has it open' "$work/second" || fail "in other words: $(cat "$work/second")"
	call end
	finish 0
	fact_is sent "20 20"
}

# The README's line for who is not root, as somebody who has nothing but the two devices.
case_rootless()
{
	need setpriv
	dir=$(mktemp -d "${TMPDIR:-/tmp}/rootless.XXXXXX") || fail "no directory"
	trap 'rm -rf "$dir"; end_case' EXIT
	tools/initramfs -o "$dir/initrd.cpio" --init tools/guest-init --kernel "$(tools/kernel cloud dir)" \
		--module virtio_pci --module virtio_net || fail "no initramfs"
	mkdir "$dir/tools"
	cp tools/netns "$dir/tools/"
	cp "$pinvm" "$dir/pinvm"
	cp "$kernel" "$dir/vmlinuz"
	chmod -R a+rX "$dir"
	as='env'
	[ "$(id -u)" != 0 ] || as='setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all'
	for f in /dev/kvm /dev/net/tun; do
		$as test -w $f || skip "$f is not for everybody here"
	done
	cd "$dir" || fail "no directory"
	PATH=$PATH:. $as timeout "$limit" tools/netns --tap tap0=10.0.2.1/24 -- \
		pinvm run vmlinuz -i initrd.cpio -p "console=ttyS0 quiet" -N tap=tap0 >"$work/serial" 2>&1 </dev/null
	is "status" 0 $?
	said 'guest: net eth0 .*: 10.0.2.1 answered 5 of 5' || fail "no answer"
}

# The N-th block of lines to type below a heading of README.md.
of_readme()	# HEADING N
{
	awk -v h="### $1" -v want="$2" '
		/^#/ { on = $0 == h }
		!on { next }
		/^    / { if (!was) n++; was = 1; if (n == want) print substr($0, 5); next }
		{ was = 0 }' README.md
}

# The bridge and the NAT of the README, as written, and a network beyond the host's.
case_readme()
{
	need nft sysctl
	[ "$(id -u)" = 0 ] || skip "needs root for two namespaces"
	modprobe -q -a bridge veth nf_tables nft_chain_nat nft_masq
	net_room
	for block in "A bridge" NAT; do
		of_readme "$block" 1 >"$work/block"
		[ -s "$work/block" ] || fail "README.md has no '$block'"
		host sh -e "$work/block" >"$work/stdout" 2>&1 || fail "$block: $(cat "$work/stdout")"
	done
	tools/netns -- sleep 100000 &
	beyond=$!
	more_pids="$more_pids $beyond"
	until [ "$(cat /proc/$beyond/comm 2>/dev/null)" = sleep ]; do sleep 0.1; done
	host ip link add out0 type veth peer name far0 netns "$beyond"
	host ip address add 192.0.2.1/24 dev out0
	host ip link set out0 up
	nsenter --target "$beyond" --net ip address add 192.0.2.2/24 dev far0
	nsenter --target "$beyond" --net ip link set far0 up
	nsenter --target "$beyond" --net busybox nc -l -p 7000 >"$work/far" &
	more_pids="$more_pids $!"
	{
		echo 'await test -d /sys/class/net/eth0'
		of_readme "A bridge" 2
		cat <<-'END'
			await answers
			lossless host -c 20 -i 0.02
			ip route add default via 10.0.2.1
			ours=192.0.2.2
			lossless beyond -c 20 -i 0.02
			echo hello | nc -w 5 $ours 7000
			off
		END
	} | net_guest
	net_start -N tap=tap0
	finish 0
	fact_is host "20 20"
	fact_is beyond "20 20"
	is "what arrived beyond" hello "$(cat "$work/far")"
	nsenter --target "$beyond" --net ip route show default | grep . && fail "the far side knows a way back"
	return 0
}
