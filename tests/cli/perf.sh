# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2154,SC2016,SC2086 # a part of tests/cli/run, whose functions and variables it uses
#
# `pinvm perf`: what it refuses, and what it counts and records of a bare-metal guest.

test_perf_words()
{
	refused 2 'perf: give the guest.s name and what to do' "$pinvm" perf
	refused 2 'perf: give the guest.s name and what to do' "$pinvm" perf vm
	refused 2 'perf: top: unknown action; there are stat and record' "$pinvm" perf vm top
	refused 2 'perf: the name comes first: pinvm perf vm stat$' "$pinvm" perf stat vm
	refused 2 'perf: --inteval: unknown option; did you mean --interval' "$pinvm" perf vm stat --inteval 1s
	refused 2 'perf: --interval 1ms: must be 10ms to' "$pinvm" perf vm stat --interval 1ms
	refused 2 'perf: --count 0: must be 1 to' "$pinvm" perf vm stat -c 0
	refused 2 'perf: -e cyles: unknown event; did you mean cycles' "$pinvm" perf vm stat -e cyles
	refused 2 'perf: -e kvm:kvm_exit: tracepoints .* are for perf' "$pinvm" perf vm stat -e kvm:kvm_exit
	refused 2 'perf: stat now: it takes options only' "$pinvm" perf vm stat now
	refused 2 'perf: record now: it takes options' "$pinvm" perf vm record now
	refused 2 'a name is letters' "$pinvm" perf 'a b' stat -e cs
	refused 4 'nosuch: no such guest' "$pinvm" perf nosuch stat -e cs
	refused 4 'nosuch: no such guest' "$pinvm" perf nosuch record -e cpu-clock
	refused 4 'perf: --guestvmlinux missing: No such file' "$pinvm" perf nosuch record --guestvmlinux missing
	expect 0 "$pinvm" perf vm stat --help
	holds ../out '^  -i, --interval TIME'
	holds ../out '^  \* cycles, cpu-cycles'
	expect 0 "$pinvm" help perf
	holds ../out '^      --guestkallsyms FILE'
}

# A query that must be true of what was printed.
perf_json()
{
	if jq -e "$@" ../out >/dev/null; then passed; else failed "not true of the JSON: $*"; fi
}

test_perf_stat()
{
	expect 0 "$pinvm" perf "$vm" stat -i 200ms -c 2
	holds ../out "^$vm, pid $child: "
	holds ../out '^vcpu1 \(tid [0-9]+\) +guest +host +both$'
	holds ../out '^  task-clock +[0-9.]+ ms +[0-9.]+ CPUs$'
	if [ "$(grep -c '^  context-switches' ../out)" -eq 6 ]; then passed; else failed 'two tables of two vCPUs and their sum'; fi
	if [ -e /sys/bus/event_source/devices/cpu ]; then
		skip 'perf without a PMU: this machine has one'
	else
		holds ../err '^pinvm: not counted: cycles, instructions.*: there is no PMU here'
		refused 4 'perf: -e cycles: there is no PMU here' "$pinvm" perf "$vm" stat -e cs,cycles
	fi
	if ! command -v jq >/dev/null; then
		skip 'the JSON of pinvm perf stat: needs jq'
		return
	fi
	expect 0 "$pinvm" perf "$vm" stat --json -e cs,task-clock,faults -i 100ms -c 3 --all
	perf_json '.name == $ENV.vm and (.vcpus | length == 2) and .seconds > 0'
	perf_json '[.vcpus[] | .index] == [0, 1] and all(.vcpus[]; .tid > 0 and .counts["context-switches"].both.count >= 0)'
	perf_json -s '[.[].vcpus[0].counts["task-clock"].both.count] | add > 0'
	perf_json '[.threads[].name] | index("io:main") != null'
	if [ "$(jq -s length ../out)" -eq 3 ]; then passed; else failed 'three lines of JSON'; fi
}

# Without privilege, the kernel decides; what it refuses is said with the way out.
test_perf_refused()
{
	if [ "$(id -u)" -ne 0 ] || ! command -v setpriv >/dev/null; then
		skip 'perf without privilege: needs root and setpriv'
		return
	fi
	bare='setpriv --bounding-set=-all --inh-caps=-all --ambient-caps=-all'
	if [ "$(cat /proc/sys/kernel/perf_event_paranoid)" -ge 2 ]; then
		refused 4 'kernel.perf_event_paranoid is [0-9]; .*kernel.perf_event_paranoid=1, or .* CAP_PERFMON' \
			$bare "$pinvm" perf "$vm" stat -e cs
	else
		expect 0 $bare "$pinvm" perf "$vm" stat -e cs -i 10ms -c 1
	fi
}

# PID: perf(1), its child, waits for samples: it has written the names of all threads.
perf_waits()
{
	# shellcheck disable=SC2009 # pgrep does not tell the state
	grep -qs vcpu1 end.data && ps -o stat=,comm= --ppid "$1" | grep -q '^S.* perf$'
}

# The guest ends while it is recorded, and so does the recording.
test_perf_end()
{
	"$pinvm" perf "$vm" record -e cpu-clock -d 300s -o end.data >../out 2>../err &
	recorder=$!
	children="$children $recorder"
	await "$recorder" perf_waits "$recorder"
	kill -TERM "$child"
	ended 14
	wait "$recorder"
	got=$?
	children=${children% "$recorder"}
	if [ "$got" -eq 0 ]; then passed; else failed "perf record: status $got when the guest ended"; fi
	holds end.data.vcpus '^[0-9]+ 1 vcpu1$'
}

test_perf_record()
{
	refused 4 '--guestkallsyms none: No such file or directory; it is a copy of the guest.s /proc/kallsyms' \
		"$pinvm" perf "$vm" record --guestkallsyms none --dry-run
	expect 0 "$pinvm" perf "$vm" record -d 500ms --guestkallsyms text -o 'my data' --dry-run -- -g
	holds ../out "^perf kvm --host --guest --guestkallsyms=text record -o 'my data' -e [^ ]+ -t [0-9]+,[0-9]+ -g -- sleep 0.5"
	refused 4 'perf: there is no perf.1. in PATH: on Debian it is the package linux-perf' \
		env PATH=/nonexistent "$pinvm" perf "$vm" record -e cpu-clock
	if ! command -v perf >/dev/null; then
		skip 'pinvm perf record: needs perf(1), on Debian the package linux-perf'
		kill -TERM "$child"
		ended 14
		return
	fi
	expect 4 "$pinvm" perf "$vm" record -e nosuchevent
	holds ../err 'perf.1. ended with status'
	expect 0 "$pinvm" perf "$vm" record -e cpu-clock -d 1s -o spin.data
	holds ../out '^# guest .*: tid, vCPU, name$'
	holds ../out '^# .*perf report -i spin.data --sort comm,symbol$'
	holds spin.data.vcpus '^[0-9]+ 0 vcpu0$'
	expect 0 "$pinvm" perf "$vm" record -e cpu-clock -d 100ms -o spin.data # moves the older one aside
	expect 0 perf script -i spin.data.old -F comm,tid
	holds ../out '^ *vcpu0 +[0-9]+'
	expect 0 perf script -i spin.data --show-task-events
	holds ../out 'PERF_RECORD_COMM: vcpu1:'
	test_perf_end
	rm -f spin.data* end.data* perf.data*
}

test_perf()
{
	export vm="perf-$$"
	start out spinning "$exits" -c 2 --append spin --serial file=out --grace 0 --name "$vm"
	expect 0 "$pinvm" perf "$vm" stat -e cs -i 10ms -c 1
	if grep -q 'not permitted' ../err; then
		bad=$((bad - 1))
		skip "pinvm perf: $(sed -n 's/^pinvm: error: perf: //p' ../err)"
		kill -TERM "$child"
		ended 14
	else
		test_perf_stat
		test_perf_refused
		test_perf_record
	fi
	rm -f out
}
