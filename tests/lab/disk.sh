# shellcheck shell=sh disable=SC2034,SC2154
# SPDX-License-Identifier: Apache-2.0
#
# disk.sh: stock virtio_blk over pinvm's disks: what the guest reads is what
# the host has, and what it was told is safe is safe.

tests='basic ro direct engines fio_uring fio_plain fio_polled discard files sigkill powercut many'
quick='fio_quick sigkill_once'

direct_works()	# FILE
{
	has_direct "$1" || skip "the file system of $work has no O_DIRECT: give tools/lab --scratch"
}

case_basic()
{
	sum=$(make_disk "$work/disk" 8)
	cp "$work/disk" "$work/disk2"
	guest_does <<-'END'
		fact sum "$(sum_of /dev/vda)"
		fact size "$(cat /sys/block/vda/size)"
		fact serial "$(cat /sys/block/vda/serial)"
		fact queues "$(ls /sys/block/vdb/mq | wc -l)"
		fact depth "$(cat /sys/block/vdb/queue/nr_requests)"
		fact cache "$(cat /sys/block/vda/queue/write_cache)"
		fact sum2 "$(sum_of /dev/vdb)"
		dd if=/dev/vda of=/dev/vdb bs=4096 skip=256 count=256 conv=fsync,notrunc 2>/dev/null
		off
	END
	boot 0 -c 4 -d "$work/disk,serial=lab-0001" -d "$work/disk2,queues=4,queue-size=32"
	fact_is sum "$sum"
	fact_is sum2 "$sum"
	fact_is size 16384
	fact_is serial lab-0001
	fact_is queues 4
	fact_is cache "write back"
	[ "$(fact depth)" -le 64 ] || fail "queue-size=32 gives the guest $(fact depth) requests"
	dd if="$work/disk" bs=4096 skip=256 count=256 2>/dev/null |
		dd of="$work/disk" bs=4096 conv=notrunc 2>/dev/null
	cmp "$work/disk" "$work/disk2" || fail "what the guest wrote is not on the host"
	note_engine
}

note_engine()
{
	echo "note: engine $(jq -r '[.devices[].io_engine] | unique | join(",")' "$work/report")"
}

case_ro()
{
	sum=$(make_disk "$work/disk" 4)
	guest_does <<-'END'
		fact flag "$(cat /sys/block/vda/ro)"
		echo something 2>/fault >/dev/vda || fact write "refused"
		blockdev --setrw /dev/vda 2>/dev/null
		dd if=/dev/zero of=/dev/vda bs=4096 count=4 conv=fsync,notrunc 2>/dev/null || fact write "refused"
		blockdev --flushbufs /dev/vda
		fact sum "$(sum_of /dev/vda)"
		off
	END
	boot 0 -d "$work/disk,ro"
	fact_is flag 1
	[ -n "$(fact write)" ] || fail "a write to a read-only disk was not refused"
	fact_is sum "$sum"
	is "the file after" "$sum" "$(sum_of "$work/disk")"
}

case_direct()
{
	sum=$(make_disk "$work/disk" 8)
	direct_works "$work/disk"
	guest_does <<-'END'
		fact sum "$(sum_of /dev/vda)"
		dd if=/dev/vda of=/dev/vda bs=64k count=16 seek=64 conv=fsync,notrunc 2>/dev/null
		# Half sectors of the host's, at odd places.
		dd if=/dev/vda of=/dev/vda bs=512 skip=3 count=5 seek=12289 conv=fsync,notrunc 2>/dev/null
		off
	END
	boot 0 -d "$work/disk,direct"
	fact_is sum "$sum"
	is "the megabyte written" "$(dd if="$work/disk" bs=1M count=1 2>/dev/null | sum_of /dev/stdin)" \
		"$(dd if="$work/disk" bs=1M skip=4 count=1 2>/dev/null | sum_of /dev/stdin)"
	is "the sectors written" "$(dd if="$work/disk" bs=512 skip=3 count=5 2>/dev/null | sum_of /dev/stdin)" \
		"$(dd if="$work/disk" bs=512 skip=12289 count=5 2>/dev/null | sum_of /dev/stdin)"
}

case_engines()
{
	sum=$(make_disk "$work/disk" 8)
	guest_does <<-'END'
		fact sum "$(sum_of /dev/vda)"
		off
	END
	for e in io_uring plain; do
		boot 0 -d "$work/disk" --io-engine $e
		fact_is sum "$sum"
		report_is '.devices[0].io_engine' $e
	done
}

# Random writes of random sizes, each read back and checked by its crc32c.
fio_does()	# MIB
{
	base=$fio_cpio
	guest_does <<-END
		cat >/job <<-JOB
			[global]
			ioengine=libaio
			direct=1
			rw=randwrite
			bsrange=512-64k
			blockalign=512
			bs_unaligned=0
			size=$1m
			iodepth=16
			verify=crc32c
			verify_fatal=1
			do_verify=1
			group_reporting=0
			[a]
			filename=/dev/vda
			[b]
			filename=/dev/vdb
		JOB
		fio --output=/result --output-format=terse /job
		fact fio \$?
		for d in vda vdb; do fact sum \$d \$(sum_of /dev/\$d); done
		facts result <<-TAIL
			\$(cut -d ';' -f 3,5,47 /result | head -n 4)
		TAIL
		off
	END
}

fio_case()	# ENGINE MIB CPUS [DISK-B-WORDS [OPTIONS...]]
{
	engine=$1 cpus=$3 words_b=${4:-}
	fio_does "$2"
	truncate -s "$2M" "$work/a" "$work/b"
	limit=900
	shift "$(($# < 4 ? $# : 4))"
	boot 0 -c "$cpus" -m 1G --io-engine "$engine" -d "$work/a,queues=4,queue-size=32" -d "$work/b,queues=2$words_b" "$@"
	fact_is fio 0
	report_is '.devices[0].io_engine' "$engine"
	for d in a b; do
		fact_is "sum vd$d" "$(sum_of "$work/$d")"
	done
}

case_fio_quick()
{
	fio_case io_uring 8 2
}

# Both engines, by iothreads that poll: nothing is lost. Delays weigh much here, or an emulated CPU would always be too slow.
case_fio_polled()
{
	for e in io_uring plain; do
		fio_case $e 8 2 ,iothread=p --iothread main,poll-max=10ms,poll-weight=1000 --iothread p,poll-max=100us
		report_is '[.threads[].poll // empty | .hits <= .polls] | length == 2 and all' true
		report_is '.threads[] | select(.name == "io:main") | .poll.polls > 0' true
	done
}

case_fio_uring()
{
	truncate -s 1M "$work/a"
	direct_works "$work/a"
	fio_case io_uring 32 4 ,direct
}

case_fio_plain()
{
	truncate -s 1M "$work/a"
	direct_works "$work/a"
	fio_case plain 32 4 ,direct
}

# KiB that a file takes on the host.
kib()	# FILE
{
	du -k "$1" | cut -f 1
}

case_discard()
{
	make_disk "$work/disk" 16 >/dev/null
	cp "$work/disk" "$work/copy"
	before=$(kib "$work/disk")
	guest_does <<-'END'
		fact max "$(cat /sys/block/vda/queue/discard_max_bytes) $(cat /sys/block/vda/queue/write_zeroes_max_bytes)"
		/usr/bin/blkdiscard -o 4194304 -l 8388608 /dev/vda && fact discard done
		/usr/bin/blkdiscard -z -o 1048576 -l 1048576 /dev/vda && fact zeroes done
		sync
		off
	END
	boot 0 -d "$work/disk"
	fact_is discard "done"
	fact_is zeroes "done"
	case $(fact max) in
	0\ * | *\ 0) fail "discard_max_bytes write_zeroes_max_bytes: $(fact max)" ;;
	esac
	after=$(kib "$work/disk")
	[ "$after" -le $((before - 7168)) ] || fail "the file took $before KiB, and $after after 8 MiB were discarded"
	dd if=/dev/zero of="$work/copy" bs=1M seek=1 count=1 conv=notrunc 2>/dev/null
	dd if=/dev/zero of="$work/copy" bs=1M seek=4 count=8 conv=notrunc 2>/dev/null
	cmp "$work/disk" "$work/copy" || fail "discarded and zeroed ranges do not read as zeroes, or others do"
}

# Files on ext4, seen again by another boot and by e2fsck.
case_files()
{
	truncate -s 64M "$work/disk"
	mkfs.ext4 -q -F "$work/disk" || fail "mkfs.ext4"
	direct_works "$work/disk"
	guest_does <<-'END'
		mkdir /m
		mount -t ext4 /dev/vda /m
		if [ -f /m/sums ]; then
			(cd /m && sha256sum -c sums >/result 2>&1; fact check $?)
			fact files "$(grep -c ': OK$' /result)"
		else
			for i in 1 2 3 4 5 6 7 8; do
				dd if=/dev/urandom of=/m/file$i bs=$((i * 37777)) count=$i conv=fsync 2>/dev/null
			done
			(cd /m && sha256sum file* >sums)
			sync
			mount -o remount,ro /m
		fi
		umount /m
		off
	END
	boot 0 -d "$work/disk"
	e2fsck -fn "$work/disk" >"$work/fsck" 2>&1 || fail "e2fsck: $(cat "$work/fsck")"
	boot 0 -d "$work/disk,direct"
	fact_is check 0
	fact_is files 8
}

# Numbered records, each flushed before its number is told.
records()
{
	truncate -s 4M "$work/disk"
	guest_does <<-'END'
		n=0
		while [ $n -lt 8000 ]; do
			n=$((n + 1))
			printf 'record %08d %494s\n' $n x | dd of=/dev/vda bs=512 seek=$n conv=fsync,notrunc 2>/dev/null &&
				echo "fact: record $n"
		done
	END
}

# Killed after the guest told of N records: each it told of is on the disk.
kill_after()	# N
{
	start -m 256M -d "$work/disk"
	wait_for "fact: record $1[^0-9]"
	kill -KILL "$pid"
	wait "$pid"
	is "status of a killed pinvm" 137 $?
	told=$(fact record | tail -n 1)
	i=1
	while [ "$i" -le "$told" ]; do
		dd if="$work/disk" bs=512 skip="$i" count=1 2>/dev/null | grep -qa "^record 0*$i " ||
			fail "record $i of $told is not on the disk"
		i=$((i + 1))
	done
	echo "note: $told records"
}

case_sigkill_once()
{
	records
	kill_after 20
}

case_sigkill()
{
	records
	for n in 3 11 30 54 90; do
		kill_after $n
	done
}

# Killed in the middle of writes again and again: the journal brings the file
# system back, and every file that was flushed is whole.
case_powercut()
{
	truncate -s 64M "$work/disk"
	mkfs.ext4 -q -F "$work/disk" || fail "mkfs.ext4"
	guest_does <<-'END'
		mkdir /m
		mount -t ext4 /dev/vda /m || fact mount failed
		for f in /m/*.sum; do
			[ -f "$f" ] || continue
			fact old "${f##*/} $(cat "$f") $(sum_of "${f%.sum}")"
		done
		n=$(ls /m/*.sum 2>/dev/null | wc -l)
		fact start "$n"
		while [ $n -lt 1000 ]; do
			n=$((n + 1))
			dd if=/dev/urandom of=/m/f$n bs=9999 count=3 conv=fsync 2>/dev/null
			sum_of /m/f$n >/m/t
			sync
			mv /m/t /m/f$n.sum
			sync
			echo "fact: file $n"
		done
	END
	told=0
	for cut in 1 2 3 4 5; do
		start -m 256M -d "$work/disk"
		wait_for "fact: start"
		found=$(fact start)
		[ "$found" -ge "$told" ] || fail "cut $cut: $told files were told of, $found are there"
		fact old | awk '$2 != $3 { bad = 1; print } END { exit bad }' || fail "cut $cut: a file is broken"
		wait_for "fact: file $((found + 2 + cut))[^0-9]"
		kill -KILL "$pid"
		wait "$pid"
		told=$(fact file | tail -n 1)
	done
	echo "note: $told files"
	e2fsck -fy "$work/disk" >"$work/fsck" 2>&1
	[ $? -le 1 ] || fail "e2fsck: $(cat "$work/fsck")"
}

# Twelve disks, on iothreads of their own and on main's.
case_many()
{
	set --
	for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
		make_disk "$work/d$i" 1 >/dev/null
		[ $((i % 2)) = 0 ] && t= || t=,iothread=io$((i % 4))
		set -- "$@" -d "$work/d$i$t"
	done
	guest_does <<-'END'
		for d in a b c d e f g h i j k l; do
			fact "sum" "$(sum_of /dev/vd$d)"
		done
		off
	END
	boot 0 -c 2 --iothread io1 --iothread io3 "$@"
	is "the sums of all disks" "$(for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sum_of "$work/d$i"; done)" "$(fact sum)"
}
