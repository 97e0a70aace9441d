# shellcheck shell=sh disable=SC2034,SC2154
# SPDX-License-Identifier: Apache-2.0
#
# haltpoll.sh: halt polling of a stock guest, as KVM's tracepoint kvm_halt_poll_ns and its statistics have it: off, 5 ms,
# changed while the guest runs, by the controller; and recorded for the simulator.

tests='off long live auto budget record'
quick='live'

# A guest that sleeps a millisecond at a time, traced in an instance of tracefs of its own.
sleeper()	# OPTIONS...
{
	need jq
	tracefs=/sys/kernel/tracing
	[ -d $tracefs/events ] || mount -t tracefs tracefs $tracefs 2>/dev/null
	[ -e $tracefs/events/kvm/kvm_halt_poll_ns ] || skip "no tracepoint kvm:kvm_halt_poll_ns to be read"
	export XDG_RUNTIME_DIR="$work/names"
	mkdir -p "$XDG_RUNTIME_DIR"
	guest_does <<-'END'
		fact load sleeper
		while :; do usleep 1000; done
	END
	instance=$tracefs/instances/pinvm-lab
	rmdir "$instance" 2>/dev/null
	mkdir "$instance" || skip "no instance of tracefs to be made"
	echo 1 >"$instance"/events/kvm/kvm_halt_poll_ns/enable
	start -n sleeper -c 1 --grace 0 "$@"
	wait_for 'fact: load'
	: >"$instance"/trace
}

done_sleeping()
{
	"$pinvm" ctl sleeper stop 0 >/dev/null
	finish 14
	echo 0 >"$instance"/events/enable
	rmdir "$instance"
}

kvm_stat()	# NAME
{
	"$pinvm" ctl sleeper report --json | jq ".vcpus[0].kvm_stats.$1"
}

more_halts()
{
	[ "$(kvm_stat halt_exits)" -ge "$halts_wanted" ]
}

halts()	# N more
{
	halts_wanted=$(($(kvm_stat halt_exits) + $1))
	until_true 120 more_halts || fail "it does not halt"
}

# Windows in the trace by their length, as notes; the largest is $most.
windows()
{
	sed -n 's/.*halt_poll_ns \([0-9]*\) .*/\1/p' "$instance"/trace | sort -n | uniq -c >"$work/windows"
	sed 's/^/note: windows: /' "$work/windows"
	most=$(awk '{ m = $2 } END { print m + 0 }' "$work/windows")
	: >"$instance"/trace
}

# One beyond what is usual since the last look: it takes some halts in a row that are short, which a busy host may not have soon.
grown()
{
	windows >/dev/null
	[ "$most" -gt 200000 ]
}

case_off()
{
	sleeper --halt-poll off
	halts 500
	windows
	is "the largest window" 0 "$most"
	is "polls" 0 "$(kvm_stat halt_attempted_poll)"
	done_sleeping
}

case_long()
{
	sleeper --halt-poll 5ms
	until_true "$limit" grown || fail "no window above $most ns"
	[ "$(kvm_stat halt_attempted_poll)" -gt 0 ] || fail "no polls"
	done_sleeping
}

case_live()
{
	sleeper --halt-poll off
	halts 100
	windows
	is "the largest window with off" 0 "$most"
	"$pinvm" ctl sleeper halt-poll 5ms | sed 's/^/note: /'
	until_true "$limit" grown || fail "no window above $most ns with 5ms"
	"$pinvm" ctl sleeper halt-poll off | sed 's/^/note: /'
	halts 5
	windows
	halts 100
	windows
	is "the largest window with off again" 0 "$most"
	done_sleeping
}

decided()
{
	[ "$("$pinvm" ctl sleeper halt-poll --json | jq .decisions)" -ge 30 ]
}

case_auto()
{
	sleeper --halt-poll "auto,max=5ms,weight=100,trace=$work/decisions"
	until_true 300 decided || fail "it does not decide"
	windows
	"$pinvm" ctl sleeper halt-poll --json >"$work/state"
	jq -r '.auto.host, (.auto.recent | group_by(.reason)[] | [.[0].reason, length])' -c "$work/state" | sed 's/^/note: /'
	jq -r '.auto.recent[-5:][] | "note: \(.halts) halts, ceiling \(.ceiling_ns), expected \(.expected_ns), realised \(.realised_ns): \(.why)"' \
		"$work/state"
	is "why it stopped" null "$(jq .auto.stopped "$work/state")"
	done_sleeping
	report_is .halt_poll.mode auto
	[ -x build/bench/haltpoll ] || return 0
	build/bench/haltpoll --replay "$work/decisions" || fail "its trace does not replay"
}

# What the kernel counted as polled, of the time from the first look on.
case_budget()
{
	sleeper --halt-poll 'auto,max=5ms,weight=1000,budget=10'
	"$pinvm" ctl sleeper report --json >"$work/before"
	sleep 20
	"$pinvm" ctl sleeper report --json >"$work/after"
	share=$(jq -n --slurpfile a "$work/after" --slurpfile b "$work/before" \
		'def polled: .[0].vcpus[0].kvm_stats | .halt_poll_success_ns + .halt_poll_fail_ns;
		(($a | polled) - ($b | polled)) / (($a[0].duration_s - $b[0].duration_s) * 1e9)')
	echo "note: polled: $share of the time"
	[ "$(jq -n "$share <= 0.105")" = true ] || fail "polled for $share of the time with a budget of 10 %"
	done_sleeping
}

# Real guests in the simulator: the controller's regret on what they do is within its limit.
case_record()
{
	# shellcheck source=tests/lab/tracelib.sh
	. tests/lab/tracelib.sh
	can_trace
	[ -x build/bench/haltpoll ] || skip "no build/bench/haltpoll: run make build/bench/haltpoll"
	for load in idle blk net; do
		load_$load
		PINVM=$pinvm tools/halts traced 20 >"${LAB_OUT:-$work}/halts-$load" || fail "$load was not recorded"
		stop_traced
		set -- "$@" "${LAB_OUT:-$work}/halts-$load"
	done
	build/bench/haltpoll -v "$@" >"$work/regret" || { cat "$work/regret"; fail "the regret is above its limit"; }
	sed 's/^/note: /' "$work/regret"
}
