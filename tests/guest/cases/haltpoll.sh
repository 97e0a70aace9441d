# shellcheck shell=sh disable=SC2034,SC2154
# SPDX-License-Identifier: Apache-2.0
#
# haltpoll.sh: halt polling in KVM, as KVM itself counted it.

# NAME KEY: of a running guest's first vCPU.
kvm_stat()
{
	ctl "$1" report | jq ".vcpus[0].kvm_stats.$2"
}

# NAME N: that many more halts from now on.
halts()
{
	need jq
	until_halts=$(($(kvm_stat "$1" halt_exits) + $2))
	until [ "$(kvm_stat "$1" halt_exits)" -ge "$until_halts" ]; do still_runs; done
}

# NAME: more polls from now on.
more_polls()
{
	need jq
	until_polls=$(kvm_stat "$1" halt_attempted_poll)
	until [ "$(kvm_stat "$1" halt_attempted_poll)" -gt "${until_polls:-0}" ]; do still_runs; done
}

halt_poll_known()
{
	need jq
	grep -q 'lacks KVM_CAP_HALT_POLL' "$tmp/err" && skip "this kernel lacks KVM_CAP_HALT_POLL"
	[ "$(report .kvm_stats_missing)" = null ] || skip "$(report .kvm_stats_missing)"
}

case_halt_poll()
{
	guest halt '' --halt-poll off
	halt_poll_known
	success
	reports '.halt_poll | [.mode, .ceiling_ns] == ["off", 0]' true
	reports '.vcpus[0].kvm_stats | .halt_exits >= 500 and .halt_attempted_poll == 0 and .halt_poll_fail_ns == 0' true
	guest_start halt 'lines=100000 count=1000000' -n polled --halt-poll 5ms
	more_polls polled
	ctl polled stop 0
	ended
	reports '.halt_poll | [.mode, .ceiling_ns] == ["fixed", 5000000]' true
	reports '.vcpus[0].kvm_stats | .halt_attempted_poll > 0 and (.halt_poll_success_ns + .halt_poll_fail_ns) > 0' true
	guest halt '' --halt-poll 0
	reports '.halt_poll | [.mode, .ceiling_ns] == ["off", 0]' true
	guest halt ''
	reports .halt_poll.mode default
	[ ! -r /sys/module/kvm/parameters/halt_poll_ns ] ||
		reports .halt_poll.ceiling_ns "$(cat /sys/module/kvm/parameters/halt_poll_ns)"
}

# The screen tells of KVM's polls as it does of those in pinvm.
case_halt_poll_screen()
{
	guest halt '' --halt-poll off
	halt_poll_known
	for how in 5ms 'vmm,max=4s,grow-start=4s,shrink=1'; do
		guest_start halt 'lines=100000 count=1000000' -n seen --halt-poll "$how"
		until $bounded "$pinvm" stat seen --interval 200ms >"$tmp/stat" 2>/dev/null &&
			grep -q '^  [0-9.k]* halts/s polled, [0-9]* % ended so' "$tmp/stat"; do
			kill -0 "$pid" || bad "it ended: $(grep halt "$tmp/stat")"
		done
		grep -q "^halt polling: .*, at most [45]m\{0,1\}s" "$tmp/stat" || bad "the ceiling: $(grep halt "$tmp/stat")"
		ctl seen stop 0
		ended
	done
}

# The largest window that KVM gave the vCPU with that thread, 0 without.
largest_window()	# TID
{
	awk -v tid="$1" '/kvm_halt_poll_ns: / && $0 ~ "-" tid " " {
		for (i = 1; i < NF; i++) if ($i == "halt_poll_ns" && $(i + 1) + 0 > most) most = $(i + 1) + 0
	} END { print most + 0 }' "$instance/trace"
}

# By KVM's own tracepoint: no window with off; with 5ms those that halts of 0.3 ms make grow, beyond what is usual.
case_halt_poll_windows()
{
	[ -e /sys/kernel/tracing/events/kvm/kvm_halt_poll_ns ] || skip "no tracepoint kvm:kvm_halt_poll_ns to be read"
	instance=/sys/kernel/tracing/instances/pinvm-test-$$
	mkdir "$instance" 2>/dev/null || skip "no instance of tracefs to be made"
	trap 'end_case; echo 0 >"$instance/events/enable"; rmdir "$instance"' EXIT
	echo 1 >"$instance/events/kvm/kvm_halt_poll_ns/enable"
	guest halt gap=20000 --halt-poll off
	halt_poll_known
	success
	most=$(largest_window "$(report '.vcpus[0].tid')")
	[ "$most" -eq 0 ] || bad "a window of $most ns with off"
	guest_start halt 'gap=20000 lines=100000 count=1000000' -n windows --halt-poll 5ms
	more_polls windows
	tid=$(ctl windows report | jq '.vcpus[0].tid')
	until [ "$(largest_window "$tid")" -gt 200000 ]; do still_runs; done
	ctl windows halt-poll 100us >/dev/null
	halts windows 1
	: >"$instance/trace"
	halts windows 500
	most=$(largest_window "$tid")
	[ "$most" -le 100000 ] || bad "a window of $most ns with 100us"
	ctl windows stop 0
	ended
}

# Off, long, off and the kernel's own again, while it halts all the time; and off in the VM of a restart.
case_halt_poll_live()
{
	guest_start halt 'lines=100000 count=1000000' -n polled --halt-poll off
	halts polled 50
	[ "$(kvm_stat polled halt_attempted_poll)" = 0 ] || bad "it polled with off"
	[ "$(ctl polled halt-poll 5ms | sort | tr '\n' ' ')" = 'ceiling_ns 5000000 decisions 0 guest_polls null mode fixed ' ] ||
		bad "halt-poll: $(cat "$tmp/ctl.err")"
	more_polls polled
	ctl polled halt-poll off >"$tmp/ctl"
	halts polled 1
	seen=$(kvm_stat polled halt_attempted_poll)
	halts polled 50
	[ "$(kvm_stat polled halt_attempted_poll)" -eq "$seen" ] || bad "it polled with off again"
	ctl polled halt-poll 5s && bad "5 s were taken"
	grep -q 'halt-poll 5s: must be at most 4s' "$tmp/ctl.err" || bad "it does not say why: $(cat "$tmp/ctl.err")"
	ctl polled reset
	until [ "$(ctl_status polled restarts)" = 1 ]; do still_runs; done
	halts polled 50
	[ "$(kvm_stat polled halt_attempted_poll)" -eq "$seen" ] || bad "it polled with off after a restart"
	[ "$(ctl polled halt-poll default | sed -n 's/^mode //p')" = default ] || bad "default was not taken"
	ctl polled stop 0
	ended
	ends 14 'control socket'
}

# It decides, says why, and its trace gives the same decisions when they are made again. It runs until it has decided and
# its vCPU, asked with the first decision, has answered.
case_halt_poll_auto()
{
	rm -f "$tmp/decisions"
	guest_start halt 'gap=1000 lines=100000 count=1000000' -n decides --halt-poll "auto,trace=$tmp/decisions"
	halts decides 200
	until ctl decides halt-poll --json | jq -e '.decisions > 2 and .guest_polls == false' >"$tmp/ctl"; do
		still_runs
	done
	ctl decides stop 0
	ended
	reports '.halt_poll | .mode == "auto" and .decisions > 2 and .guest_polls == false and .auto.stopped == null' true
	reports '.halt_poll.auto | .limits == {"max_ns": 1000000, "budget": 100, "weight": 4} and .host.block_ns > 0' true
	reports '.halt_poll.auto.recent | length > 0 and all(.why != "" and .window_ns > 0 and .halts >= 64)' true
	reports '.halt_poll.decisions' "$(grep -c '^decision ' "$tmp/decisions")"
	[ ! -x "$guests/../bench/haltpoll" ] || "$guests/../bench/haltpoll" --replay "$tmp/decisions" >&2 || bad "the trace does not replay"
}

# Halts that all end soon, which a controller would poll for without end: over the whole run within the budget, by the
# kernel's own counts, and a window (100 ms, or as late as it got its CPU) of a surprise above it.
case_halt_poll_budget()
{
	guest halt 'gap=1500 count=20000' --halt-poll auto,budget=5,weight=1000,max=10ms
	halt_poll_known
	success
	reports '[.duration_s * 1e9, (.vcpus[0].kvm_stats | .halt_poll_success_ns + .halt_poll_fail_ns),
		([1e8, .halt_poll.auto.recent[].window_ns] | max)] | .[1] <= .[0] * 0.05 + .[2]' true
}

# It turns the host's polling off, since it polls by itself: there is nothing to control then.
case_halt_poll_guest()
{
	guest_start halt 'polls lines=100000 count=1000000 gap=1000' -n polls --halt-poll auto
	halts polls 200
	until ctl polls halt-poll --json | jq -e '.auto.recent | map(.reason) | index("guest")' >"$tmp/ctl"; do
		still_runs
	done
	ctl polls halt-poll --json | jq -e '.guest_polls and .ceiling_ns == 0' >"$tmp/ctl" || bad "it is not said"
	[ "$(kvm_stat polls halt_attempted_poll)" = 0 ] || bad "the host polled"
	ctl polls halt-poll off >"$tmp/ctl"
	ctl polls halt-poll auto,max=20us --json | jq -e '.mode == "auto" and .auto.limits.max_ns == 20000' >"$tmp/ctl" ||
		bad "auto was not taken: $(cat "$tmp/ctl.err")"
	ctl polls stop 0
	ended
	reports .halt_poll.guest_polls true
}
