# shellcheck shell=sh disable=SC2034,SC2154
# SPDX-License-Identifier: Apache-2.0
#
# debian.sh: a real Debian file system on the first partition of a disk, up to
# its login prompt and down again. tests/lab/mkdebian makes the disk.

tests='login'
quick=''

# The drivers of the root disk are modules, as in Debian's own initrd.
root_initrd()
{
	guest_does <<-'END'
		root=$(sed -n 's/.*root=\([^ ]*\).*/\1/p' /proc/cmdline)
		await test -b "$root"
		mkdir /m
		mount -t ext4 "$root" /m || fact mount failed
		umount /proc /sys
		mount -o move /dev /m/dev
		exec switch_root /m /sbin/init
	END
}

case_login()
{
	disk=$(tests/lab/mkdebian --cached) || skip "no Debian disk: run tests/lab/mkdebian, which needs the network"
	need socat
	cp --sparse=always "$disk" "$work/disk" || fail "cannot copy $disk"
	root_initrd
	limit=400
	words="root=/dev/vda1 rw"
	start_raw -c 2 -m 1G -d "$work/disk,queues=2" --rng --serial "socket=$work/sock"
	until_true 30 test -S "$work/sock" || fail "no socket"
	mkfifo "$work/in"
	socat -,ignoreeof "UNIX-CONNECT:$work/sock" <"$work/in" >>"$work/serial" 2>"$work/socat" &
	more_pids=$!
	exec 5>"$work/in"
	wait_for 'ttyS0.*$'
	wait_for 'login: '
	echo root >&5
	wait_for '# $'
	# The echo of what is typed must not look like the answer.
	# shellcheck disable=SC2016 # for the guest's shell
	echo 'uname -a; findmnt -no SOURCE /; echo "sys""temd says $(systemctl is-system-running --wait)"' >&5
	wait_for "Linux .* $(tools/kernel cloud version)"
	wait_for '^/dev/vda1'
	wait_for '^systemd says '
	echo "note: $(grep -a '^systemd says' "$work/serial" | tr -d '\r')"
	echo poweroff >&5
	finish 0
	e2fsck -fn "$work/disk?offset=1048576" >"$work/fsck" 2>&1 || fail "e2fsck: $(cat "$work/fsck")"
}
