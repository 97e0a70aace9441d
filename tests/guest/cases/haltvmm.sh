# shellcheck shell=sh disable=SC2034,SC2154
# SPDX-License-Identifier: Apache-2.0
#
# haltvmm.sh: halts and halt polling in pinvm, as the vCPU's own thread counted them.

# NAME CONDITION: of all its vCPUs, jq's view of what each one counted.
here()
{
	ctl "$1" halt-poll --json | jq -e ".vmm.vcpus | $2" >"$tmp/here"
}

until_here()
{
	need jq
	until here "$1" "$2"; do still_runs; done
}

# NAME N: that many more halts of its first vCPU from now on, here.
halts_here()
{
	until_here "$1" '.[0].halts >= 0'
	until_here "$1" ".[0].halts >= $(($(ctl "$1" halt-poll --json | jq '.vmm.vcpus[0].halts') + $2))"
}

# What is true of each vCPU's counters, whatever happened: a halt is polled, waits, or both, and one that did not wait is a
# hit; each has one length.
counted='all(.hits <= .polls and .cuts <= .polls and .polls <= .halts and .waits <= .halts and .hits + .waits <= .halts and
	.window_ns <= .longest_ns and (.polls == 0 or .polled_ns > 0) and ([.lengths.histogram[]] | add // 0) == .halts)'

case_halt_poll_vmm()
{
	guest_start halt 'gap=2000 lines=100000 count=1000000' -n here --halt-poll vmm
	until_here here '.[0].hits > 50 and .[0].longest_ns > 0'
	PINVM=$pinvm tools/halts here 1 >"$tmp/halts" 2>"$tmp/ctl.err"
	{ [ $? -eq 4 ] && grep -q "here's vCPUs halt in pinvm" "$tmp/ctl.err" && [ ! -s "$tmp/halts" ]; } || bad "halts of KVM were recorded: $(cat "$tmp/ctl.err")"
	ctl here stop 0
	ended
	ends 14 'control socket'
	reports '.irqchip.controller' 'local APICs and IOAPIC in pinvm'
	reports '.halt_poll | [.mode, .ceiling_ns]' "$(printf '[\n  "vmm",\n  200000\n]')"
	reports '.halt_poll.vmm.rules == {"max_ns": 200000, "grow_start_ns": 10000, "grow": 2, "shrink": 2}' true
	reports ".halt_poll.vmm.vcpus | $counted" true
	reports '.halt_poll.vmm.vcpus[0] == .vcpus[0].halt_poll' true
	reports '.vcpus[0].halt_poll.longest_ns <= 200000' true
	# Without: with vCPUs that halt here, and with those that do not.
	for o in '--irqchip user' '--irqchip user --halt-poll off' '--irqchip user --halt-poll default'; do
		# shellcheck disable=SC2086
		guest halt 'gap=20000 count=50' $o
		success
		reports '.halt_poll | .mode == "off" and .ceiling_ns == 0 and .vmm.rules == null' true
		reports '.vcpus[0].halt_poll | .halts > 0 and .polls == 0 and .longest_ns == 0' true
	done
	guest halt 'count=5'
	reports '.halt_poll.vmm, .vcpus[0].halt_poll' "$(printf 'null\nnull')"
}

# A vCPU that sleeps for a minute is halted, of which KVM knows nothing.
case_halt_asleep()
{
	need jq
	guest_start halt 'gap=4000000000 lines=100000' -n asleep --irqchip user
	until $bounded "$pinvm" stat asleep --prometheus | grep -q '^pinvm_vcpu_halted{guest="asleep",vcpu="0"} 1$'; do
		still_runs
	done
	ctl asleep stop 0
	ended
	reports '.vcpus[0].halt_poll.asleep' false
}

# Halts of 3.2 ms: with a longer max the window grows to them, with a shorter one it goes back to nothing; and off, on, in
# the same words, and after a restart.
case_halt_poll_vmm_live()
{
	guest_start halt 'gap=200000 lines=100000 count=1000000' -n here --halt-poll vmm,max=4s,grow=100,shrink=1
	until_here here '.[0].hits > 5 and .[0].longest_ns >= 3200000'
	[ "$(ctl here halt-poll vmm,max=200us --json | jq -c '[.mode, .ceiling_ns, .vmm.rules.max_ns, .vmm.rules.grow]')" = '["vmm",200000,200000,2]' ] ||
		bad "it was not taken: $(cat "$tmp/ctl.err")"
	until_here here '.[0].window_ns == 0'
	# The timer is known to be far: no poll. Unless the thread lost its CPU before the halt, and so much time that the timer
	# was near: on a busy machine that may happen again and again, but not without end.
	until
		seen=$(ctl here halt-poll --json | jq '.vmm.vcpus[0].polls')
		halts_here here 20
		here here ".[0].polls <= $seen + 5"
	do
		kill -0 "$pid" || bad "it polls for what it knows to be far: $(cat "$tmp/here")"
	done
	for word in auto 50us vmm,budget=5 vmm,max=5s vmm,grow-start=1ms; do
		ctl here halt-poll "$word" && bad "$word was taken"
	done
	grep -q 'vmm is the mode that polls there' "$tmp/ctl.err" || bad "it does not say why: $(cat "$tmp/ctl.err")"
	ctl here halt-poll vmm,max=4s,grow-start=4s,shrink=1 >"$tmp/ctl"
	until_here here ".[0].hits > $seen + 5"
	ctl here halt-poll off >"$tmp/ctl"
	halts_here here 2
	seen=$(ctl here halt-poll --json | jq '.vmm.vcpus[0].polls')
	ctl here reset
	until [ "$(ctl_status here restarts)" = 1 ]; do still_runs; done
	halts_here here 20
	here here ".[0].polls == $seen and .[0].window_ns == 0" || bad "it polls with off: $(cat "$tmp/here")"
	ctl here halt-poll vmm,max=4s,grow-start=4s,shrink=1 >"$tmp/ctl"
	until_here here ".[0].hits > $seen"
	ctl here stop 0
	ended
	ends 14 'control socket'
	reports ".halt_poll.vmm.vcpus | $counted" true
	# What halts in KVM goes on to do so.
	guest_start halt 'lines=100000 count=1000000' -n there
	until ctl there status >/dev/null; do still_runs; done
	ctl there halt-poll vmm && bad "vmm was taken where vCPUs halt in KVM"
	grep -q 'only one started with --halt-poll vmm or --irqchip user' "$tmp/ctl.err" || bad "it does not say why: $(cat "$tmp/ctl.err")"
	ctl there stop 0
	ended
}

# The timers and kicks of vCPUs are signals of this process, and none of main's business: it sleeps through them.
case_chip_main_sleeps()
{
	guest_start halt 'gap=20000 lines=100000 count=1000000' -n here --irqchip user
	until_here here '.[0].waits > 10'
	pinvm_pid=$(ctl here report | jq .pid)
	vcpu=$(ctl here report | jq '.vcpus[0].tid')
	switches() { sed -n 's/^voluntary_ctxt_switches:[[:space:]]*//p' "/proc/$pinvm_pid/task/$1/status"; }
	main=$(switches "$pinvm_pid") waits=$(switches "$vcpu")
	until [ "$(switches "$vcpu")" -gt $((waits + 1000)) ]; do still_runs; done
	main=$(($(switches "$pinvm_pid") - main))
	[ "$main" -lt 250 ] || bad "main woke $main times while a vCPU did 1000 times"
	ctl here stop 0
	ended
}

# A hit is no switch of the thread: those there are, are waits. Ten hits a switch for what else the kernel does with it.
case_halt_poll_vmm_switches()
{
	guest_start halt 'gap=20000 lines=100000 count=1000000' -n here --halt-poll vmm,max=4s,grow-start=4s,shrink=1
	until_here here '.[0].hits > 10'
	tid=$(ctl here report | jq '.vcpus[0].tid')
	switches() { sed -n 's/^voluntary_ctxt_switches:[[:space:]]*//p' "/proc/$pinvm_pid/task/$tid/status"; }
	pinvm_pid=$(ctl here report | jq .pid)
	waits=$(jq '.vmm.vcpus[0].waits' <<-EOF
		$(ctl here halt-poll --json)
	EOF
	)
	before=$(switches)
	hits=$(ctl here halt-poll --json | jq '.vmm.vcpus[0].hits')
	until_here here ".[0].hits > $hits + 200"
	hits=$(($(ctl here halt-poll --json | jq '.vmm.vcpus[0].hits') - hits))
	after=$(switches)
	waits=$(($(ctl here halt-poll --json | jq '.vmm.vcpus[0].waits') - waits))
	[ $(((after - before - waits) * 10)) -lt "$hits" ] || bad "$((after - before)) switches, $waits waits, $hits hits"
	ctl here stop 0
	ended
}

# What of the guest's wake-ups strace sees: SYSCALLS SOURCE N CPUS GAP
traced_wakes()
{
	need strace
	$bounded strace -f -qq -e trace="$1" -o "$tmp/trace" "$pinvm" run "$guests/wake.elf" -p "source=$2 n=$3 gap=$5 far=4000" \
		-m 16 -c "$4" --debug-exit --timeout "${limit:-600}" --report "$tmp/report" --halt-poll vmm,max=4s,grow-start=4s,shrink=1 \
		>"$tmp/out" 2>"$tmp/err" </dev/null
	rc=$?
	[ "$rc" -ne 1 ] || grep -q SUCCESS "$tmp/out" || skip "strace can not run here"
	success
	hits=$(report '.vcpus[0].halt_poll.hits')
}

# Of N wake-ups those that came while CPU 0 polled cost none of what strace saw of that vCPU's thread: N VCPU PATTERN
hits_are_free()
{
	calls=$(grep -c "^$(report ".vcpus[$2].tid") .*\($3\)" "$tmp/trace")
	echo "$1 wake-ups, $hits hits, $calls calls" >&2
	[ "$hits" -gt 32 ] || skip "others had the CPUs: $hits of $1 wake-ups came while CPU 0 polled"
	[ "$calls" -le $(($1 - hits + 16)) ] || bad "$calls calls for $1 wake-ups, of which $hits cost none"
}

# Who brings something to a vCPU that polls pays no system call for it: of CPU 1's IPIs to CPU 0 only those that were no hits
# cost one, and so do the few that start CPU 1.
case_halt_poll_vmm_calls()
{
	traced_wakes futex,tgkill ipi 300 2 50000
	hits_are_free 300 1 'FUTEX_WAKE_BITSET\|tgkill('
}

# Nor does the timer send its signal to one that polls until it is due.
case_halt_poll_vmm_timer_calls()
{
	traced_wakes rt_sigreturn timer 300 1 2000000
	hits_are_free 300 0 'rt_sigreturn('
}

# Another CPU's IPI ends the poll long before: the timer's signal was neither called off nor is it asked for again. The guest
# asks for it once in a round; the deadline is 80 ms away, and when a busy host is later than that, two calls more.
case_halt_poll_vmm_timer_far()
{
	n=40
	traced_wakes timer_settime first $n 2 50000
	calls=$(grep -c "^$(report '.vcpus[0].tid') .*timer_settime(" "$tmp/trace")
	echo "$n wake-ups, $hits hits, $calls calls" >&2
	[ "$calls" -le $((2 * n)) ] || bad "$calls calls of timer_settime in $n rounds"
}

# Something else ends the poll, and the guest does not halt again: the timer it waits for comes all the same.
case_halt_poll_vmm_timer_later()
{
	guest wake 'source=first n=300 gap=50000' -c 2 --halt-poll vmm,max=4s,grow-start=4s,shrink=1
	success
	says 'wake source=first n=300 '
	reports '.vcpus[0].halt_poll.polls > 0' true
}

case_halt_poll_vmm_cpus_8()
{
	guest smp 'cpus=8 ipi timer' -c 8 --halt-poll vmm
	success
	says '8 CPUs'
	reports '.vcpus | length' 8
	reports ".halt_poll.vmm.vcpus | length == 8 and $counted" true
	guest apic 'cpus=8 strict storm=2000' -c 8 --halt-poll vmm,max=4s,grow-start=4s,shrink=1
	success
	says 'sane after the storm'
	reports ".halt_poll.vmm.vcpus | $counted" true
}

# It polls by itself, and says so: then nobody does it here.
case_halt_poll_vmm_guest()
{
	guest halt 'polls gap=2000' --halt-poll vmm
	success
	reports '.halt_poll.guest_polls' true
	reports '.vcpus[0].halt_poll | .halts > 0 and .polls == 0' true
	# Not offered: an exception.
	guest halt 'polls' --halt-poll vmm --kvm poll-control=off
	[ "$rc" -ne 1 ] || bad "it could write MSR_KVM_POLL_CONTROL"
}
