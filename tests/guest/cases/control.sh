# shellcheck shell=sh disable=SC2034,SC2154
# SPDX-License-Identifier: Apache-2.0
#
# control.sh: running guests by their control socket: pinvm ctl and pinvm list.

no_sockets()
{
	[ -z "$(ls "$tmp/pinvm")" ] || bad "left behind: $(ls "$tmp/pinvm")"
}

case_control()
{
	guest_start exits button -n one -c 2
	next_line
	[ "$(stat -c %a "$tmp/pinvm/one.sock" "$tmp/pinvm")" = "$(printf '600\n700')" ] || bad "the socket is others' too"
	[ "$(ctl_status one state)" = running ] || bad "it is '$(ctl_status one state)', not running"
	[ "$(ctl_status one vcpus) $(ctl_status one memory)" = '2 16777216' ] || bad "it does not know its size"
	# A list does not wait long for who is busy.
	until "$pinvm" list | grep "^one *$(ctl_status one pid) *running *2 *16M " >&2; do kill -0 "$pid" || bad "list: $("$pinvm" list)"; done
	[ "$("$pinvm" list --json | grep -c '"name": "one"')" -eq 1 ] || bad "list: $("$pinvm" list --json)"
	ctl one powerbutton
	ended
	says pressed
	ends 0 'powered off'
	no_sockets
	ctl one status
	[ $? -eq 4 ] || bad "status of a guest that is gone"
}

# No vCPU returns to user space while the guest is paused, one that did all the time before and does so after.
case_control_pause()
{
	guest_start serial flood=2000000000 -n two --serial off
	for _ in 1 2 3; do
		until [ "$(exits_now two)" -gt "${seen:-0}" ]; do still_runs; done
		ctl two pause || bad "pause: $(cat "$tmp/ctl.err")"
		[ "$(ctl_status two state)" = paused ] || bad "it is not paused"
		seen=$(exits_now two)
		sleep 0.2
		[ "$(exits_now two)" -eq "$seen" ] || bad "it ran while it was paused"
		for what in pause resume resume; do ctl two $what || bad "$what: $(cat "$tmp/ctl.err")"; done
	done
	ctl two pause
	ctl two stop 0
	ended
	ends 14 'control socket'
	no_sockets
}

# To the power-on state and on, although --on-reset says exit; paused it stays so.
case_control_reset()
{
	guest_start exits button -n three
	next_line
	for n in 1 2 3; do
		ctl three reset || bad "reset: $(cat "$tmp/ctl.err")"
		next_line
		[ "$line" = waiting ] || bad "it said '$line'"
		[ "$(ctl_status three restarts)" -eq $n ] || bad "restarts are not $n"
	done
	for what in pause reset; do ctl three $what || bad "$what: $(cat "$tmp/ctl.err")"; done
	[ "$(ctl_status three state) $(ctl_status three restarts)" = 'paused 4' ] || bad "it does not stay paused"
	ctl three resume
	next_line
	[ "$line" = waiting ] || bad "it said '$line'"
	ctl three stop 60
	ended
	ends 0 'powered off'
	reports .restarts 4
}

# THREAD LIST: the kernel's own word of where it may run.
stands()
{
	tid=$(ctl five report | jq -r --arg n "$1" '(.threads[], (.vcpus[] | .name = "vcpu\(.index)")) | select(.name == $n) | .tid')
	is=$(sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' "/proc/$(ctl_status five pid)/task/$tid/status")
	[ "$is" = "$2" ] || bad "$1 stands on CPUs $is, not on $2"
}

# Threads go to and fro between two CPUs, at work: each time they are where the answer says, and nothing is lost.
case_control_pin()
{
	need jq
	[ "$(nproc)" -ge 2 ] || skip "one CPU is allowed here, two are needed"
	# shellcheck disable=SC2046
	set -- $(taskset -pc $$ | sed 's/.*: //; s/[-,]/ /g')
	disk disk 65536
	guest_start blk 'soak=1000000000000' -n five -d "$tmp/disk"
	until ctl five status >/dev/null; do still_runs; done
	for _ in 1 2 3 4 5; do
		for cpu in "$1" "$2"; do
			ctl five pin "vcpu=$cpu" "iothread=$cpu" "emulator=$cpu" --json >"$tmp/pin" || bad "pin: $(cat "$tmp/ctl.err")"
			[ "$(jq -r '[.threads[] | select(.placement.wanted != "'"$cpu"'")] | length' "$tmp/pin")" -eq 0 ] || bad "$(cat "$tmp/pin")"
			[ "$(jq .misplaced "$tmp/pin")" -eq 0 ] || bad "$(cat "$tmp/pin")"
			for thread in vcpu0 io:main emulator; do stands $thread "$cpu"; done
		done
	done
	kill -0 "$pid" || bad "it ended before it was moved"
	! ctl five pin vcpu0=999 vcpu1=0 || bad "it has no vcpu1"
	grep -q 'pin vcpu1=0: this guest has no such thread' "$tmp/ctl.err" || bad "it does not say why: $(cat "$tmp/ctl.err")"
	ctl five sched vcpu=batch:19 >&2 || bad "sched: $(cat "$tmp/ctl.err")"
	ctl five report >"$tmp/pin"
	for what in wanted actual; do
		[ "$(jq -r ".vcpus[0].placement.${what}_policy" "$tmp/pin")" = batch:19 ] || bad "its $what policy: $(cat "$tmp/pin")"
	done
	ctl five stop 0
	ended
	ends 14 'control socket'
	reports .misplaced 0
}

# A guest that would need half an hour under its limit gets through as soon as that is gone; words of what can not be.
case_control_limits()
{
	need jq
	disk disk 65536
	guest_start blk 'count=2000 depth=8 irq' -n six -d "$tmp/disk,iops=1,iops-burst=1,bps=1G" --rng
	until [ "$(ctl six report | jq '.devices[0].limited')" -gt 0 ]; do still_runs; done
	[ "$(ctl six limits disk0 | tr '\n' ' ')" = 'bps 1073741824 bps_burst 107374182 iops 1 iops_burst 1 ' ] || bad "$(ctl six limits disk0)"
	while read -r what why; do
		# shellcheck disable=SC2046
		! ctl six limits $(echo "$what" | tr _ ' ') || bad "limits $what was done"
		grep -q "limits $why" "$tmp/ctl.err" || bad "limits $what: not '$why' but $(tail -n 1 "$tmp/ctl.err")"
	done <<-'END'
		disk1_off  disk1: no such disk or network device; there are disk0
		rng_off  rng: no such disk or network device
		disk0_pps=1  disk0: pps: there are bps, bps-burst, iops, iops-burst, each =VALUE or =off, and off
		disk0_queues=1  disk0: queues: there are
		disk0_iops  disk0: iops: there are
		disk0_iops=0  disk0: iops=0: must be 1 to
		disk0_bps=1M_bps=2M  disk0: bps is given twice
		disk0_bps=8Mbit  disk0: bps=8Mbit: it counts bytes, not bits
		disk0_iops=off_iops-burst=9  disk0: iops-burst: without a rate nothing is held back; add iops=
	END
	ctl six limits disk0 bps=off >&2 || bad "$(cat "$tmp/ctl.err")"
	ctl six limits disk0 iops=2 iops-burst=1 --json >"$tmp/limits" || bad "$(cat "$tmp/ctl.err")"
	[ "$(jq -c . "$tmp/limits")" = '{"bps":null,"bps_burst":null,"iops":2,"iops_burst":1}' ] || bad "$(cat "$tmp/limits")"
	[ "$(ctl six report | jq -c '.devices[0].limits, .devices[1].limits')" = "$(jq -c . "$tmp/limits"; echo null)" ] || bad "it is not in the report"
	kill -0 "$pid" || bad "it ended before its limit did"
	ctl six limits disk0 off >&2 || bad "$(cat "$tmp/ctl.err")"
	ended
	success
	reports '.devices[0].limits.iops' null
}

# An iothread polls while it is told to, and not once more when it is not. Counts of polls and requests are waited for.
polls()
{
	ctl nine iothread main | sed -n 's/^polls //p'
}

requests_come()
{
	from=$(ctl nine report | jq '.devices[0].queues[0].requests')
	until [ "$(ctl nine report | jq '.devices[0].queues[0].requests')" -gt $((from + 100)) ]; do still_runs; done
}

case_control_iothread()
{
	need jq
	disk disk 65536
	guest_start blk 'count=100000000 depth=1' -n nine -d "$tmp/disk" --iothread other
	requests_come
	[ "$(ctl nine iothread main | sort | tr '\n' ' ')" = 'hits 0 max_ns 0 polled_ns 0 polls 0 weight 4 ' ] || bad "$(ctl nine iothread main)"
	ctl nine iothread main poll-max=5ms poll-weight=1000 >&2 || bad "$(cat "$tmp/ctl.err")"
	until [ "$(polls)" -gt 0 ]; do still_runs; done
	[ "$(ctl nine report | jq -c '.threads[] | select(.name == "io:main").poll | [.max_ns, .weight, .polls > 0]')" = '[5000000,1000,true]' ] ||
		bad "the report does not say how it polls"
	[ "$(ctl nine report | jq -c '.threads[] | select(.name == "io:other").poll')" = null ] || bad "the other one was meant, too"
	ctl nine iothread main off --json >"$tmp/poll" || bad "$(cat "$tmp/ctl.err")"
	seen=$(jq .polls "$tmp/poll")
	requests_come
	[ "$(polls)" -eq "$seen" ] || bad "it polled with off: $seen, then $(polls)"
	ctl nine reset
	until [ "$(ctl_status nine restarts)" = 1 ]; do still_runs; done
	requests_come
	[ "$(polls)" -eq "$seen" ] || bad "it polled with off after a restart"
	ctl nine stop 0
	ended
	ends 14 'control socket'
	reports '.threads[] | select(.name == "io:main").poll.max_ns' 0
}

# A paused guest that is to stop goes on, so that it can power off; a second time ends it at once.
case_control_stop()
{
	for how in signal stop; do
		guest_start exits button -n four --grace 60
		next_line
		ctl four pause
		if [ $how = signal ]; then kill -TERM "$pid"; else ctl four stop; fi
		ended
		ends 0 'powered off'
		no_sockets
	done
	guest_start exits hang -n four --grace 1000
	next_line
	ctl four stop
	[ "$(ctl_status four state)" = stopping ] || bad "it is not stopping"
	for word in reset pause; do
		! ctl four $word || bad "$word was done instead"
		grep -q "$word: the guest is being stopped" "$tmp/ctl.err" || bad "it does not say why"
	done
	ctl four stop
	ended
	ends 14 'control socket'
	no_sockets
}

# One name, one guest; the name of one that was killed is free.
case_control_name()
{
	guest_start exits button -n five
	next_line
	$bounded "$pinvm" run "$guests/hello.elf" -m 16 -n five --debug-exit >"$tmp/out2" 2>"$tmp/err2" </dev/null
	[ $? -eq 4 ] || bad "a second guest had the name too"
	grep -q 'error: --name five: another guest has this name' "$tmp/err2" || bad "it said '$(cat "$tmp/err2")'"
	$bounded "$pinvm" run "$guests/hello.elf" -m 16 -n five --debug-exit --control off >"$tmp/out2" 2>&1 </dev/null
	[ $? -eq 1 ] || bad "without a socket it needs no name"
	[ "$(ctl_status five state)" = running ] || bad "the first does not answer any more"
	kill -9 "$(ctl_status five pid)"
	ended
	[ -S "$tmp/pinvm/five.sock" ] || bad "nothing is left to reclaim"
	! "$pinvm" list | grep '^five ' >&2 || bad "list shows the dead"
	guest hello '' -n five
	success
	no_sockets
	# Nobody asks for that name again: the next guest clears it away.
	guest_start exits button -n five
	next_line
	kill -9 "$(ctl_status five pid)"
	ended
	guest_start exits button -n six
	next_line
	until [ ! -e "$tmp/pinvm/five.sock" ]; do kill -0 "$pid" || bad "what is left of the dead stays"; sleep 0.05; done
	[ "$(ctl_status six state)" = running ] || bad "its own name is gone, too"
	ctl six powerbutton
	ended
	ends 0 'powered off'
	no_sockets
}

# A socket elsewhere is found by the name too; both files go when a signal ends it.
case_control_path()
{
	guest_start exits button -n six --control "$tmp/elsewhere"
	next_line
	[ "$(stat -c %a "$tmp/elsewhere")" = 600 ] || bad "the socket is others' too"
	[ "$(ctl_status six state)$(ctl_status "$tmp/elsewhere" state)" = runningrunning ] || bad "it is not found"
	kill -TERM "$pid"
	ended
	ends 0 'powered off'
	no_sockets
	[ ! -e "$tmp/elsewhere" ] || bad "the socket was left behind"
}

# Clients that ask for ever and never read, and ones that talk nonsense, are cut off and hold nobody up.
case_control_clients()
{
	need socat
	guest_start serial flood=2000000000 -n seven --serial off
	until [ -S "$tmp/pinvm/seven.sock" ] && seen=$(exits_now seven) && [ "$seen" -gt 0 ]; do still_runs; done
	clients=
	for _ in 1 2 3; do
		yes '{"command":"report"}' | $bounded socat -u - "UNIX-CONNECT:$tmp/pinvm/seven.sock" 2>/dev/null &
		clients="$clients $!"
	done
	head -c 1M /dev/urandom | $bounded socat -t 1 - "UNIX-CONNECT:$tmp/pinvm/seven.sock" >"$tmp/nonsense" 2>/dev/null
	! grep -q '"ok":true' "$tmp/nonsense" || bad "nonsense was understood"
	[ "$(ctl_status seven state)" = running ] || bad "it does not answer any more"
	# shellcheck disable=SC2086
	wait $clients
	[ "$(exits_now seven)" -gt "$seen" ] || bad "the guest stood still"
	ctl seven stop 0
	ended
	ends 14 'control socket'
}
