# shellcheck shell=sh disable=SC2034,SC2154
# SPDX-License-Identifier: Apache-2.0
#
# memory.sh: where the guest's memory is, and what the guest sees of it.

tests='guest_nodes guest_nodes_hole'
quick=''

# What the guest's kernel made of SRAT and SLIT.
look_at_nodes()
{
	guest_does <<-'END'
		cd /sys/devices/system/node
		fact online "$(cat online)"
		for n in node[0-9]*; do
			fact cpulist "$n $(cat "$n/cpulist")"
			fact distance "$n $(cat "$n/distance")"
			fact "MemTotal.$n" "$(sed -n 's/.*MemTotal: *\([0-9]*\) kB/\1/p' "$n/meminfo")"
		done
		dmesg | sed -n 's/^.*SRAT: Node \(.*\)/\1/p' | facts srat
		dmesg | grep -E 'SRAT|SLIT|llc-sibling|Faking a node' | grep -Ei 'not|invalid|fail|ignor|fak|overlap' | facts trouble
		off
	END
}

# A guest that keeps an eighth of its RAM, and the first node the kernel too, still has about what it was given.
node_has()	# NODE MIB
{
	got=$(fact "MemTotal.node$1")
	[ "${got:-0}" -gt $(($2 * 1024 * 3 / 4 - 65536)) ] || fail "of $2 MiB node $1 has $got KiB"
	[ "$got" -le $(($2 * 1024)) ] || fail "of $2 MiB node $1 has even $got KiB"
}

lines_are()	# FACT LINE/LINE
{
	is "the guest's $1" "$2" "$(fact "$1" | paste -sd /)"
}

# The boot CPU is in node 1: nodes keep their numbers all the same.
case_guest_nodes()
{
	look_at_nodes
	boot 0 -c 4,sockets=2 --numa cpus=2-3,memory=256M,distance=1:31 --numa cpus=0-1,memory=512M
	lines_are trouble ''
	fact_is online 0-1
	lines_are cpulist 'node0 2-3/node1 0-1'
	lines_are distance 'node0 10 31/node1 31 10'
	lines_are srat '0 PXM 0 [mem 0x00000000-0x0fffffff]/1 PXM 1 [mem 0x10000000-0x2fffffff]'
	node_has 0 256
	node_has 1 512
}

# A node on both sides of the hole below 4 GiB, and a longer way there than back.
case_guest_nodes_hole()
{
	look_at_nodes
	boot 0 -c 3,sockets=3 --numa 'cpus=[0,2],memory=1G,distance=[1:15]' --numa cpus=1,memory=2560M,distance=0:40
	lines_are trouble ''
	fact_is online 0-1
	lines_are cpulist 'node0 0,2/node1 1'
	lines_are distance 'node0 10 15/node1 40 10'
	lines_are srat "0 PXM 0 [mem 0x00000000-0x3fffffff]/1 PXM 1 [mem 0x40000000-0xbfffffff]/1 PXM 1 [mem \
0x100000000-0x11fffffff]"
	node_has 0 1024
	node_has 1 2560
}
