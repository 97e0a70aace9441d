# shellcheck shell=sh disable=SC2034,SC2154
# SPDX-License-Identifier: Apache-2.0
#
# trace.sh: tracepoints: pinvm stat --trace.

# Skips where they are not to be had.
can_trace()
{
	need jq
	[ "$(id -u)" -eq 0 ] || skip "only root may trace"
	[ -d /sys/kernel/tracing/events/kvm ] || skip "there is no /sys/kernel/tracing/events/kvm"
}

# Until FILE has so many lines.
until_lines()	# FILE N
{
	until [ "$(wc -l <"$1")" -ge "$2" ]; do
		kill -0 "$stat" || bad "stat ended: $(cat "$tmp/stat.err")"
		still_runs
	done
}

# NAME JQ-PATH: of the first vCPU's report.
vcpu_now()
{
	ctl "$1" report | jq ".vcpus[0] | $2"
}

# Between two pauses of the guest, all that the report counts is in the tracepoints, and nothing else is.
case_stat_trace()
{
	can_trace
	io='[(.exits_by_kvm_reason.io // 0), ([.profile.accesses[] | select(.address == 1016 and .op == "write") | .exits] | add // 0)]'
	# Slowly, so that the kernel's ring is not full before it is read, however late that is.
	guest_start halt 'gap=312500 count=10 lines=100000' -n traced --serial off
	until [ -S "$tmp/pinvm/traced.sock" ] && seen=$(exits_now traced) && [ "$seen" -gt 0 ]; do still_runs; done
	ctl traced pause || bad "pause: $(cat "$tmp/ctl.err")"
	before=$(vcpu_now traced .user_exits) io_before=$(vcpu_now traced "$io")
	: >"$tmp/stat"
	$bounded "$pinvm" stat traced --trace --watch --json --interval 200ms >"$tmp/stat" 2>"$tmp/stat.err" &
	stat=$!
	until_lines "$tmp/stat" 1
	ctl traced resume
	until [ "$(exits_now traced)" -gt $((before + 500)) ]; do still_runs; done
	ctl traced pause
	until_lines "$tmp/stat" $(($(wc -l <"$tmp/stat") + 2))
	kill "$stat"
	wait "$stat"
	after=$(vcpu_now traced .user_exits) io_after=$(vcpu_now traced "$io")
	ctl traced stop 0
	ended
	tail -n 1 "$tmp/stat" | jq '.vcpus[0].trace' >"$tmp/trace"
	[ "$(jq '.lost + .malformed + .crowded' "$tmp/trace")" = 0 ] || bad "lost: $(cat "$tmp/trace")"
	got=$(jq '.events["kvm:kvm_userspace_exit"]' "$tmp/trace")
	[ "$got" -eq $((after - before)) ] || bad "$got events, but $((after - before)) exits"
	got=$(jq '[.user_exits[].exits] | add' "$tmp/trace")
	[ "$got" -eq $((after - before)) ] || bad "$got exits by reason, but $((after - before)) exits"
	got=$(jq -c '[([.user_exits[] | select(.name == "io") | .exits] | add),
		([.accesses[] | select(.address == 1016 and .op == "write") | .count] | add)]' "$tmp/trace")
	wanted=$(jq -cn "$io_after as \$a | $io_before as \$b | [range(2) | \$a[.] - \$b[.]]")
	[ "$got" = "$wanted" ] || bad "exits by port and writes of it: $got, but the report has $wanted"
}

# Of the last line: a number of the first vCPU's trace.
traced()
{
	tail -n 1 "$tmp/stat" | jq ".vcpus[0].trace$1"
}

# The kernel confirms what --halt-poll says, and changes of it: no window grows with off, and with 5ms some are longer
# than any that is the kernel's own.
case_stat_trace_halt_poll()
{
	can_trace
	guest_start halt 'lines=100000 count=1000000 gap=20000 long=80000' -n polled --serial off --halt-poll off
	until [ -S "$tmp/pinvm/polled.sock" ]; do still_runs; done
	$bounded "$pinvm" stat polled --trace --watch --json --interval 200ms >"$tmp/stat" 2>"$tmp/stat.err" &
	stat=$!
	until_lines "$tmp/stat" 4
	[ "$(traced .halt_poll.grown)" = 0 ] || bad "a window grew with off"
	ctl polled halt-poll 5ms >"$tmp/ctl"
	until [ "$(traced .halt_poll.longest_ns)" -gt 200000 ]; do
		kill -0 "$stat" || bad "no window is longer than 200 us"
		sleep 0.1
	done
	ctl polled halt-poll off >"$tmp/ctl"
	until_lines "$tmp/stat" $(($(wc -l <"$tmp/stat") + 2))
	seen=$(traced .halt_poll.grown)
	until_lines "$tmp/stat" $(($(wc -l <"$tmp/stat") + 3))
	[ "$(traced .halt_poll.grown)" = "$seen" ] || bad "a window grew with off again"
	kill "$stat"
	wait "$stat"
	ctl polled stop 0
	ended
	ends 14 'control socket'
}

# Who may not is told what is missing; the guest does not notice.
case_stat_trace_refused()
{
	can_trace
	need setpriv util-linux
	guest_start exits button -n untraced
	next_line
	$bounded setpriv --bounding-set -perfmon,-sys_admin "$pinvm" stat untraced --trace >"$tmp/stat" 2>"$tmp/stat.err"
	rc=$?
	if [ "$(cat /proc/sys/kernel/perf_event_paranoid)" -ge 0 ]; then
		status 4
		grep -q 'CAP_PERFMON is missing' "$tmp/stat.err" || bad "it said '$(cat "$tmp/stat.err")'"
		[ ! -s "$tmp/stat" ] || bad "it printed '$(cat "$tmp/stat")'"
	fi
	chmod 711 "$top" "$tmp"
	chown -R 65534 "$tmp/pinvm"
	$bounded setpriv --reuid 65534 --regid 65534 --clear-groups "$pinvm" stat "$tmp/pinvm/untraced.sock" --trace \
		>"$tmp/stat" 2>"$tmp/stat.err"
	rc=$?
	chown -R 0 "$tmp/pinvm"
	status 4
	grep -q 'may not be read by this user' "$tmp/stat.err" || bad "it said '$(cat "$tmp/stat.err")'"
	$bounded "$pinvm" stat untraced --trace --interval 50ms >"$tmp/stat" 2>"$tmp/stat.err" || bad "$(cat "$tmp/stat.err")"
	ctl untraced powerbutton
	ended
	ends 0 'powered off'
}
