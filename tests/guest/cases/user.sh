# shellcheck shell=sh disable=SC2034,SC2154
# SPDX-License-Identifier: Apache-2.0
#
# user.sh: as a user without rights, and what rights are left of those there were.

# Lines of /proc/PID/task/*/status of the guest in the background, each once.
of_all_tasks()
{
	sed -n "s/^$1:[[:space:]]*//p" /proc/"$(pgrep -P "$pid")"/task/*/status 2>/dev/null | sort -u
}

can_look_at_tasks()
{
	need pgrep procps
	! grep -q __tsan_init "$pinvm" || skip "ThreadSanitizer's own thread keeps its privileges"
}

# SOCKET THREADS: the guest in the background has that many vCPUs and iothreads, and main, the last, is confined too.
until_running()
{
	until [ -S "$1" ] && [ "$(of_all_tasks Name | grep -c '^vcpu\|^io:')" -ge "$2" ] &&
		[ "$(of_all_tasks NoNewPrivs)" = 1 ]; do
		still_runs
	done
}

case_no_privileges()
{
	can_look_at_tasks
	disk disk 64k
	for engine in plain auto; do
		guest_start serial 'echo=1' -c 3 -d "$tmp/disk" --iothread other --io-engine $engine --serial "socket=$tmp/sock" --grace 0
		until_running "$tmp/sock" 5
		for field in CapEff CapPrm CapInh CapAmb CapBnd; do
			[ $field != CapBnd ] || [ "$(id -u)" -eq 0 ] || continue
			got=$(of_all_tasks $field)
			[ "$got" = 0000000000000000 ] || bad "$engine: $field is $got"
		done
		kill -TERM "$pid"
		ended
		pid=
	done
}

# $as_user COMMAND..., bounded: as a user without rights but the group of /dev/kvm: the real one where it has such a group, else
# a node of the same device in a /dev of its own. $1: setpriv's words for capabilities. Files are in $tmp/home.
make_user()
{
	[ "$(id -u)" -eq 0 ] || skip "not root: this user is an unprivileged one already"
	chmod 711 "$top" "$tmp"
	mkdir -p "$tmp/home/names"
	cp "$pinvm" "$guests/blk.elf" "$guests/hello.elf" "$guests/serial.elf" "$tmp/home"
	chown -R 65534:65534 "$tmp/home"
	user="setpriv --reuid 65534 --regid 65534 $1"
	node=$(stat -c '0x%t 0x%T' /dev/kvm)
	if [ "$(stat -c '%a %g' /dev/kvm | sed 's/^[0-9]*[67][0-7] [1-9].*/group/')" = group ]; then
		echo "exec $user --groups $(stat -c %g /dev/kvm) \"\$@\"" >"$tmp/as_user"
	else
		cat >"$tmp/as_user" <<-EOF
			exec unshare -m sh -c 'mount -t tmpfs none /dev && chmod 755 /dev && mknod -m 666 /dev/null c 1 3 &&
				mknod -m 660 /dev/kvm c $node && chgrp 65533 /dev/kvm && exec $user --groups 65533 "\$@"' - "\$@"
		EOF
	fi
	as_user="env XDG_RUNTIME_DIR=$tmp/home/names sh $tmp/as_user $bounded"
	$as_user true 2>"$tmp/err" || skip "a user that may use /dev/kvm can not be made here: $(tail -n 1 "$tmp/err")"
}

# ARGUMENTS...: pinvm as that user, with what guest() leaves behind.
user_runs()
{
	$as_user "$tmp/home/pinvm" run "$@" -m 16 --debug-exit --timeout 600 --report "$tmp/home/report" \
		>"$tmp/out" 2>"$tmp/err" </dev/null
	rc=$?
	cp "$tmp/home/report" "$tmp/report"
}

case_user()
{
	make_user ''
	two_cpus
	for name in from to; do
		head -c 1M /dev/urandom >"$tmp/home/$name"
		chown 65534:65534 "$tmp/home/$name"
	done
	chmod 600 "$tmp/home/from" "$tmp/home/to"
	for engine in auto plain; do
		user_runs "$tmp/home/blk.elf" -p 'copy depth=8 piece=65536' -c 2 -d "$tmp/home/from" -d "$tmp/home/to" \
			--io-engine $engine --rng --pin vcpu="$lo,$hi/each" --pin iothread="$hi" --sched vcpu=batch:19
		success
		placed
		cmp "$tmp/home/from" "$tmp/home/to" >&2 || bad "the copy differs"
	done
}

# That user's guest is found and stopped by that user; nobody else sees it.
case_user_control()
{
	make_user ''
	$as_user "$tmp/home/pinvm" run "$tmp/home/serial.elf" -n theirs -m 16 -p echo=1 --timeout 600 --grace 0 --serial off \
		>"$tmp/out" 2>"$tmp/err" </dev/null &
	pid=$!
	until $as_user "$tmp/home/pinvm" list | grep '^theirs .* running ' >/dev/null; do still_runs; done
	[ "$(stat -c '%a %u' "$tmp/home/names/pinvm/theirs.sock")" = '600 65534' ] || bad "its socket is others' too"
	! $bounded "$pinvm" list | grep theirs >&2 || bad "root's list shows it"
	$as_user "$tmp/home/pinvm" ctl theirs stop || bad "it could not be stopped"
	wait "$pid"
	rc=$?
	pid=
	status 14
	[ ! -e "$tmp/home/names/pinvm/theirs.sock" ] || bad "the socket was left behind"
}

# A user's real-time priority is what RLIMIT_RTPRIO says.
limit_rtprio()
{
	need prlimit util-linux
	prlimit --rtprio="$1:$1" --pid "$(exec sh -c 'echo $PPID')" 2>"$tmp/err" || skip "$(cat "$tmp/err")"
}

case_user_rtprio_refused()
{
	make_user ''
	limit_rtprio 0
	user_runs "$tmp/home/hello.elf" --sched vcpu=fifo:5
	status 4
	grep -q '^pinvm: error: --sched vcpu=fifo:5: not permitted: RLIMIT_RTPRIO is 0; raise it to 5' "$tmp/err" ||
		bad "it does not name the limit"
	[ "$(grep -vc '^pinvm: warning: ' "$tmp/err")" -eq 1 ] || bad "not one line of error"
}

case_user_rtprio_raised()
{
	make_user ''
	limit_rtprio 5
	user_runs "$tmp/home/hello.elf" --sched vcpu=fifo:5
	success
	reports '.vcpus[0].placement.actual_policy' fifo:5
	user_runs "$tmp/home/hello.elf" --sched vcpu=fifo:6
	status 4
	grep -q 'RLIMIT_RTPRIO is 5; raise it to 6' "$tmp/err" || bad "it does not name the limit"
}

# The one capability that a policy needs, and it is gone when the guest runs.
case_user_cap_sys_nice()
{
	make_user '--inh-caps +sys_nice --ambient-caps +sys_nice'
	limit_rtprio 0
	user_runs "$tmp/home/hello.elf" --sched vcpu=fifo:5
	needs_policy
	success
	reports '.vcpus[0].placement.actual_policy' fifo:5
	can_look_at_tasks
	# A guest that waits for its serial port.
	$as_user "$tmp/home/pinvm" run "$tmp/home/serial.elf" -m 16 -p echo=1 --debug-exit --timeout 600 --grace 0 \
		--serial "socket=$tmp/home/sock" --sched vcpu=fifo:5 >"$tmp/out" 2>"$tmp/err" </dev/null &
	pid=$!
	until_running "$tmp/home/sock" 2
	got=$(of_all_tasks CapEff)$(of_all_tasks CapPrm)$(of_all_tasks CapAmb)
	[ "$got" = "$(printf '%048d' 0)" ] || bad "left are $got"
	kill -TERM "$pid"
	wait "$pid"
	rc=$?
	pid=
	status 14
}
