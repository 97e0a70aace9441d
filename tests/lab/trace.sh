# shellcheck shell=sh disable=SC2034,SC2154
# SPDX-License-Identifier: Apache-2.0
#
# trace.sh: pinvm's own count of exits against the kernel's tracepoints (`pinvm stat --trace`), for a stock guest at
# work; and who may trace.

tests='fio iperf idle refused'
quick=''

case_fio() { agrees blk; }
case_iperf() { agrees net; }
case_idle() { agrees idle; }

enough_lines()
{
	[ "$(wc -l <"$work/lines")" -ge "$enough" ]
}

more_lines()	# N
{
	enough=$(($(wc -l <"$work/lines") + $1))
	until_true 120 enough_lines || fail "stat: $(cat "$work/stat.err")"
}

# Between two pauses of the guest, pinvm's exits are the kernel's returns from KVM_RUN, one by one and by reason.
agrees()	# LOAD
{
	# shellcheck source=tests/lab/tracelib.sh
	. tests/lab/tracelib.sh
	can_trace
	load_"$1"
	settle
	"$pinvm" ctl traced pause || fail "it cannot be paused"
	"$pinvm" ctl traced report >"$work/before" || fail "no report"
	: >"$work/lines"
	"$pinvm" stat traced --trace --watch --json --interval 500ms >"$work/lines" 2>"$work/stat.err" &
	stat=$!
	more_pids="$more_pids $stat"
	more_lines 1
	"$pinvm" ctl traced resume
	more_lines 8
	"$pinvm" ctl traced pause
	more_lines 2
	kill "$stat"
	wait "$stat"
	"$pinvm" ctl traced report >"$work/after"
	tail -n 1 "$work/lines" >"$work/trace"
	jq -n --slurpfile a "$work/after" --slurpfile b "$work/before" --slurpfile t "$work/trace" -f tests/lab/trace.jq \
		>"$work/sums" || fail "jq cannot read what was said"
	sed 's/^/note: /' "$work/sums"
	judge
	stop_traced
}

sum_is()	# WHAT CONDITION
{
	[ "$(jq "$2" "$work/sums")" = true ] || fail "$1: $(cat "$work/sums")"
}

# KVM counts an exit behind the tracepoint, where the handler goes on; one that enters again at once is traced and not
# counted, so the tracepoint may have more. Doorbells are written in the kernel: tracepoints see those, pinvm does not.
judge()
{
	sum_is 'no exit was made' '.user_exits >= 0 and .kvm_exit > 0'
	sum_is 'returns from KVM_RUN' '.kvm_userspace_exit == .user_exits'
	sum_is 'returns from KVM_RUN by reason' '.lost > 0 or .traced_by_reason == .by_reason'
	sum_is 'exits by reason, and all of them' '.lost > 0 or .kvm_exit == .kvm_exit_by_reason'
	sum_is "KVM's own count of exits" '.kvm_exit >= .kvm_stats_exits * 0.99 and .kvm_exit <= .kvm_stats_exits * 1.01 + 2'
	sum_is 'accesses that left the kernel are among the traced' '.lost > 0 or (.traced_pio >= .pio and .traced_mmio >= .mmio)'
}

as_nobody()	# SETPRIV-OPTIONS...
{
	setpriv --reuid 65534 --regid 65534 --clear-groups "$@" "$work/program" stat "$work/run/pinvm/traced.sock" --trace \
		--interval 200ms >"$work/shown" 2>"$work/stat.err"
	echo $? >"$work/status"
}

refused_with()	# WORDS
{
	is "status" 4 "$(cat "$work/status")"
	grep -q "$1" "$work/stat.err" || fail "it said: $(cat "$work/stat.err")"
}

# Anybody may whose group tracefs lets in and who has the one capability; who has not is told so.
case_refused()
{
	# shellcheck source=tests/lab/tracelib.sh
	. tests/lab/tracelib.sh
	can_trace
	need setpriv
	cp "$pinvm" "$work/program"
	load_idle -m 256M
	chmod 755 "$work/program"
	chmod 711 "$work" "$work/run" "$tmp"
	chown -R 65534 "$work/run/pinvm"
	as_nobody
	refused_with 'may not be read by this user'
	paranoid=$(cat /proc/sys/kernel/perf_event_paranoid)
	mount -o remount,mode=750,gid=65534 /sys/kernel/tracing
	as_nobody
	cp "$work/stat.err" "$work/without"
	echo 3 >/proc/sys/kernel/perf_event_paranoid
	as_nobody --inh-caps +perfmon --ambient-caps +perfmon
	cp "$work/stat.err" "$work/at3"
	echo 2 >/proc/sys/kernel/perf_event_paranoid
	as_nobody --inh-caps +perfmon --ambient-caps +perfmon
	mount -o remount,mode=700,gid=0 /sys/kernel/tracing
	echo "$paranoid" >/proc/sys/kernel/perf_event_paranoid
	[ "$(cat "$work/status")" = 0 ] || fail "with the capability: $(cat "$work/stat.err")"
	grep -q TRACED "$work/shown" || fail "nothing was traced: $(cat "$work/shown" "$work/stat.err")"
	grep -q 'CAP_PERFMON is missing' "$work/without" || fail "without the capability: $(cat "$work/without")"
	# Debian's kernels want more than the capability there; others do not.
	[ ! -s "$work/at3" ] || grep -q 'set kernel.perf_event_paranoid=2' "$work/at3" || fail "at 3: $(cat "$work/at3")"
}
