# shellcheck shell=sh disable=SC2034,SC2154
# SPDX-License-Identifier: Apache-2.0
#
# pages.sh: guest RAM comes from the pages and nodes that were asked for, the
# kernel says so too, it is refused where it can not, and it is given back.

tests='truth huge_2m huge_1g mount thp spread preferred near choice two_nodes no_fault locked refused refused_user given_back'
quick='huge_2m'

nodes=/sys/devices/system/node

two_nodes()
{
	[ -d $nodes/node1 ] || skip "this host has one memory node"
}

# Pages of 2M on a node; what is there at the end of the test is given back.
reserve()	# NODE PAGES
{
	pool=$nodes/node$1/hugepages/hugepages-2048kB
	echo "$2" >"$pool/nr_hugepages"
	is "pages reserved on node $1" "$2" "$(cat "$pool/nr_hugepages")"
}

free_on()	# NODE KB
{
	cat "$nodes/node$1/hugepages/hugepages-$2kB/free_hugepages"
}

quiet_guest()
{
	guest_does <<-'END'
		fact memory "$(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo)"
		off
	END
}

# A guest that says it is there, then waits to be ended.
waiting_guest()
{
	guest_does <<-'END'
		fact here yes
		sleep 10000
	END
}

# Of the running guest's memory, the line of numa_maps with the most pages: policy and nodes in the kernel's words.
numa_map()
{
	awk '{ n = 0; for (i = 3; i <= NF; i++) if ($i ~ /^N[0-9]+=/) { split($i, a, "="); n += a[2] }
		for (i = 3; i <= NF; i++) if ($i ~ /^kernelpagesize_kB=/) { split($i, k, "="); n *= k[2] }
		if (n > most) { most = n; line = $0 } } END { print line }' "/proc/$pid/numa_maps"
}

maps_say()	# PATTERN
{
	numa_map | grep -Eq -- "$1" || fail "numa_maps does not say '$1': $(numa_map)"
}

maps_do_not_say()	# PATTERN
{
	! numa_map | grep -Eq -- "$1" || fail "numa_maps says '$1': $(numa_map)"
}

stop_guest()
{
	kill -TERM "$pid"
	finish 14
}

case_huge_2m()
{
	two_nodes
	reserve 1 256
	waiting_guest
	start -m 512M,hugepages=2M,host-node=1 --grace 0
	wait_for 'fact: here yes'
	maps_say ' bind:1 .*N1=256 .*kernelpagesize_kB=2048'
	maps_do_not_say ' N0='
	is "pages left" 0 "$(free_on 1 2048)"
	grep -q '2M hugetlb.* bind:1 .*2M bind:1 node1=512M' "$work/log" || fail "no read-back in the log"
	stop_guest
	report_is '.memory[0].actual.bytes_on_node["1"]' $((512 << 20))
	report_is '.memory[0].actual.page_size' $((2 << 20))
	report_is .prealloc.bytes $((512 << 20))
	is "pages given back" 256 "$(free_on 1 2048)"
}

case_huge_1g()
{
	two_nodes
	[ -d $nodes/node1/hugepages/hugepages-1048576kB ] || skip "this host has no pages of 1G"
	[ "$(free_on 1 1048576)" -ge 1 ] || skip "no page of 1G is free on node 1 (hugepagesz=1G hugepages=1:1)"
	before=$(free_on 1 1048576)
	waiting_guest
	start -m 1G,hugepages=1G,host-node=1 --grace 0
	wait_for 'fact: here yes'
	maps_say ' bind:1 .*N1=1 .*kernelpagesize_kB=1048576'
	stop_guest
	is "pages given back" "$before" "$(free_on 1 1048576)"
}

# A mount of the user's: shared or not, nothing is left there.
case_mount()
{
	reserve 0 130
	mkdir "$work/huge"
	mount -t hugetlbfs -o pagesize=2M none "$work/huge" || fail "no hugetlbfs"
	quiet_guest
	for shared in on off; do
		boot 0 -m "256M,hugepages=$work/huge,shared=$shared"
		report_is '.memory[0].backing' hugetlbfs
		report_is '.memory[0].actual.page_size' $((2 << 20))
		is "files left on the mount" "" "$(ls -A "$work/huge")"
		is "pages given back" 130 "$(free_on 0 2048)"
	done
	boot 0 -m 256M,hugepages=2M,shared=on
	report_is '.memory[0].backing' 'hugetlb memfd'
	umount "$work/huge"
}

case_thp()
{
	echo madvise >/sys/kernel/mm/transparent_hugepage/enabled
	quiet_guest
	boot 0 -m 256M,hugepages=thp,prealloc=on
	[ "$(jq '.memory[0].actual.huge_bytes' "$work/report")" -ge $((200 << 20)) ] ||
		fail "on huge pages: $(jq -c .memory "$work/report")"
	boot 0 -m 256M,hugepages=off,prealloc=on
	report_is '.memory[0].actual.huge_bytes' 0
	echo never >/sys/kernel/mm/transparent_hugepage/enabled
	boot 4 -m 256M,hugepages=thp
	grep -q 'transparent_hugepage/enabled' "$work/log" || fail "the refusal does not name the file"
	echo madvise >/sys/kernel/mm/transparent_hugepage/enabled
}

case_spread()
{
	two_nodes
	waiting_guest
	start -m '256M,host-node=[0,1],policy=interleave,prealloc=on' --grace 0
	wait_for 'fact: here yes'
	maps_say ' interleave:0-1 .*N0=32768 N1=32768'
	stop_guest
	report_is '.memory[0].actual.bytes_on_node["0"]' $((128 << 20))
	report_is '.memory[0].actual.policy' interleave:0-1
}

case_preferred()
{
	two_nodes
	waiting_guest
	start -m 256M,host-node=1,policy=preferred,prealloc=on --grace 0
	wait_for 'fact: here yes'
	maps_say ' prefer(=|:)1 .*N1=65536 '
	stop_guest
	report_is '.memory[0].actual.policy' preferred:1
}

# Nobody said where: then where the pinned vCPUs are.
case_near()
{
	two_nodes
	quiet_guest
	boot 0 -m 256M,prealloc=on --pin vcpu=1
	report_is '.memory[0].actual.bytes_on_node["1"]' $((256 << 20))
}

# Who has a choice of nodes leaves the others theirs.
case_choice()
{
	two_nodes
	reserve 0 100
	reserve 1 100
	quiet_guest
	boot 0 -c 2 -m 400M,hugepages=2M --numa cpus=0,memory=200M,host-node=[0,1] --numa cpus=1,memory=200M,host-node=1
	report_is '.memory[1].actual.bytes_on_node["1"]' $((200 << 20))
}

# Two nodes of the guest, each on a node of the host, and the vCPUs of each where its memory is.
case_two_nodes()
{
	two_nodes
	guest_does <<-'END'
		fact nodes "$(cat /sys/devices/system/node/online)"
		fact cpus "$(cat /sys/devices/system/node/node0/cpulist) $(cat /sys/devices/system/node/node1/cpulist)"
		fact far "$(cat /sys/devices/system/node/node1/distance)"
		fact here yes
		sleep 10000
	END
	start -c 2 -m 512M,prealloc=on --numa cpus=0,memory=192M,host-node=1 --numa cpus=1,memory=320M,host-node=0,distance=[0:31] \
		--pin vcpu0=1 --pin vcpu1=0 --grace 0
	wait_for 'fact: here yes'
	fact_is nodes 0-1
	fact_is cpus '0 1'
	fact_is far '31 10'
	grep -c ' bind:[01] .*N[01]=' "/proc/$pid/numa_maps" >"$work/bound"
	is "bound pieces" 2 "$(cat "$work/bound")"
	stop_guest
	is "CPUs of the vCPUs" '1 0' "$(jq -r '[.vcpus[].placement.actual] | join(" ")' "$work/report")"
	report_is '.memory[0].actual.bytes_on_node["1"]' $((192 << 20))
	report_is '.memory[1].actual.bytes_on_node["0"]' $((320 << 20))
}

# Page faults of the vCPU threads on the host.
faults()
{
	sum=0
	for t in "/proc/$pid/task/"*; do
		case $(cat "$t/comm") in
		vcpu*) sum=$((sum + $(cut -d ' ' -f 10,12 "$t/stat" | tr ' ' +))) ;;
		esac
	done
	echo $sum
}

# The guest touches 160 MiB of its 256 between two looks at the host's fault counters; prints how many there were.
touch_and_count()	# OPTIONS...
{
	rm -f "$work/go"
	truncate -s 64K "$work/go"
	guest_does <<-'END'
		go() { blockdev --flushbufs /dev/vda; [ "$(tr -d '\0' </dev/vda)" = "$1" ]; }
		mkdir -p /fill
		mount -t tmpfs -o size=200M none /fill
		fact ready yes
		until go 1; do sleep 0.5; done
		dd if=/dev/zero of=/fill/all bs=1M count=160 2>/dev/null
		fact touched "$(stat -c %s /fill/all)"
		until go 12; do sleep 0.5; done
		off
	END
	start "$@" -d "$work/go"
	wait_for 'fact: ready'
	before=$(faults)
	printf 1 | dd of="$work/go" conv=notrunc 2>/dev/null
	wait_for 'fact: touched'
	after=$(faults)
	fact_is touched $((160 << 20))
	printf 12 | dd of="$work/go" conv=notrunc 2>/dev/null
	finish 0
	echo $((after - before)) >"$work/faults"
}

# The first run shows that the count sees faults at all.
case_no_fault()
{
	touch_and_count -m 256M,hugepages=off
	[ "$(cat "$work/faults")" -ge 20000 ] || fail "without preallocation there were only $(cat "$work/faults") faults"
	touch_and_count -m 256M,hugepages=off,prealloc=on
	is "host faults after preallocation" 0 "$(cat "$work/faults")"
	reserve 0 128
	touch_and_count -m 256M,hugepages=2M
	is "host faults on huge pages" 0 "$(cat "$work/faults")"
}

# Leaves of KVM's own page tables, by size, of the one guest that runs.
leaves()	# 4k|2m|1g
{
	cat "/sys/kernel/debug/kvm/$pid-"*"/pages_$1"
}

# Nested paging maps huge pages as such; where KVM keeps shadows instead, sizes are the guest's as much as the host's.
case_truth()
{
	[ "$(cat /sys/module/kvm_amd/parameters/npt 2>/dev/null || cat /sys/module/kvm_intel/parameters/ept 2>/dev/null)" = Y ] ||
		skip "this host has no nested paging (make lab runs the test in one that has)"
	mountpoint -q /sys/kernel/debug || mount -t debugfs none /sys/kernel/debug
	reserve 0 128
	guest_does <<-'END'
		mkdir -p /fill
		mount -t tmpfs -o size=200M none /fill
		dd if=/dev/zero of=/fill/all bs=1M count=160 2>/dev/null
		fact here yes
		sleep 10000
	END
	start -c 1 -m 256M,hugepages=2M --grace 0
	wait_for 'fact: here yes'
	echo "note: leaves: $(leaves 4k) of 4K, $(leaves 2m) of 2M, $(leaves 1g) of 1G"
	[ "$(leaves 2m)" -ge 80 ] || fail "only $(leaves 2m) leaves of 2M"
	[ "$(leaves 4k)" -le 1 ] || fail "$(leaves 4k) leaves of 4K; the APIC page alone may be one"
	stop_guest
	start -c 1 -m 256M,hugepages=off --grace 0
	wait_for 'fact: here yes'
	[ "$(leaves 4k)" -ge 5000 ] || fail "on small pages only $(leaves 4k) leaves of 4K: this counts nothing"
	stop_guest
}

case_locked()
{
	waiting_guest
	start -m 128M,lock=on --grace 0
	wait_for 'fact: here yes'
	[ "$(sed -n 's/^VmLck:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$pid/status")" -ge $((128 << 10)) ] ||
		fail "VmLck: $(grep VmLck "/proc/$pid/status")"
	stop_guest
	report_is '.memory[0].actual.locked_bytes' $((128 << 20))
}

# Refused with these words, at once, and nothing was taken.
refuses()	# PATTERN OPTIONS...
{
	words_wanted=$1
	shift
	boot 4 "$@"
	grep -Eq -- "$words_wanted" "$work/log" || fail "not refused with '$words_wanted': $(cat "$work/log")"
	is "lines of error" 1 "$(wc -l <"$work/log")"
}

case_refused()
{
	two_nodes
	: | guest_does
	reserve 0 127
	reserve 1 0
	refuses 'needs 128 pages of 2M, 127 are free .node 0: 127, node 1: 0.; reserve them: echo 128 >' -m 256M,hugepages=2M
	refuses 'host-node=1: needs 100 pages of 2M there, 0 are free .*node1/hugepages' -m 200M,hugepages=2M,host-node=1
	refuses '1536M: not a whole number of 1G pages' -m 1536M,hugepages=1G
	refuses 'this host has no node 2; it has 0-1' -m 256M,host-node=2
	refuses 'not on a hugetlbfs mount' -m "256M,hugepages=$work"
	mkdir "$work/huge"
	mount -t hugetlbfs -o pagesize=1G none "$work/huge" || fail "no hugetlbfs of 1G pages"
	refuses 'not a whole number of 1G pages' -m "256M,hugepages=$work/huge"
	umount "$work/huge"
	mount -t hugetlbfs -o pagesize=2M,size=64M none "$work/huge" || fail "no hugetlbfs"
	refuses "the mount's own limit leaves 32" -m "128M,hugepages=$work/huge"
	umount "$work/huge"
	is "pages still free" 127 "$(free_on 0 2048)"
}

# As a user: what root's capabilities would have let through.
case_refused_user()
{
	need setpriv
	: | guest_does
	chmod 0666 /dev/kvm
	chmod 0755 "$work" "${work%/*}"
	cp "$kernel" "$work/kernel"
	for try in 'RLIMIT_MEMLOCK is 64K@-m 128M,lock=on' 'RLIMIT_RTPRIO is 0; raise it to 3@-m 128M --sched vcpu=fifo:3'; do
		rc=0
		# shellcheck disable=SC2086 # words
		prlimit --memlock=65536 --rtprio=0 setpriv --reuid 65534 --regid 65534 --clear-groups \
			"$pinvm" run "$work/kernel" -i "$work/initrd" --serial off --timeout 60 ${try#*@} >"$work/said" 2>&1 || rc=$?
		is "status of ${try#*@}" 4 "$rc"
		grep -q "${try%%@*}" "$work/said" || fail "not refused with '${try%%@*}': $(cat "$work/said")"
	done
}

# However a guest ends, its pages are free again.
case_given_back()
{
	reserve 0 128
	quiet_guest
	boot 0 -m 256M,hugepages=2M
	is "pages after power-off" 128 "$(free_on 0 2048)"
	waiting_guest
	for signal in TERM KILL; do
		start -m 256M,hugepages=2M --grace 0
		wait_for 'fact: here yes'
		is "pages while it runs" 0 "$(free_on 0 2048)"
		kill -$signal "$pid"
		finish ''
		is "pages after SIG$signal" 128 "$(free_on 0 2048)"
	done
}
