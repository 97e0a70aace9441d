# SPDX-License-Identifier: Apache-2.0
# pinvm stat, beside real guests. Read by tests/cli/run, whose words it uses.
# shellcheck shell=sh disable=SC2016,SC2154

# What jq makes of ../out is "true".
jq_true()
{
	if [ "$(jq -s "$1" ../out 2>../err)" = true ]; then passed; else failed "not true: $1"; fi
}

# What programs read of a running guest: they agree with each other and with the report.
test_stat_formats()
{
	expect 0 "$pinvm" stat "$1" --json --interval 100ms
	if command -v jq >/dev/null; then
		jq_true 'length == 1 and .[0].state == "running" and (.[0].vcpus | length) == 2 and .[0].interval_s >= 0.1'
		jq_true '[.[0].vcpus[] | .task.run_ns > 0 and .rates.user_exits >= 0] | all'
		jq_true '[.[0].vcpus[].time | .guest + .kernel + .vmm + .halt + .steal | . > 99 and . < 101] | all'
		jq_true '.[0].vcpus[0] | .user_exits > 0 and .profile.targets["pio serial"] > 0 and .rates.user_exits_by_target["pio serial"] >= 0'
		jq_true '[.[0].devices[] | .queues[0].rates.requests] == [0, 0]'
	else
		skip 'stat --json: needs jq; tools/setup installs it'
	fi
	"$pinvm" ctl "$1" pause
	counted=$("$pinvm" ctl "$1" report | jq .vcpus[0].user_exits 2>/dev/null)
	expect 0 "$pinvm" stat "$1" --csv --interval 10ms
	holds ../out ",$1,vcpu,0,,user_exits,,${counted:-[0-9]+},0\$"
	expect 0 "$pinvm" stat "$1" --prometheus
	holds ../out "^pinvm_vcpu_user_exits_total[{]guest=\"$1\",vcpu=\"0\"[}] ${counted:-[0-9]+}\$"
	expect 0 "$pinvm" stat "$1" --interval 10ms
	holds ../out "^$1: paused"
	"$pinvm" ctl "$1" resume
	expect 0 "$pinvm" stat "$1" --csv --interval 10ms
	if awk -F, 'NF != 9 { exit 1 }' ../out; then passed; else failed 'a line of CSV has other than 9 fields'; fi
	holds ../out '^time,guest,of,id,queue,metric,label,value,per_second$'
	holds ../out '^[0-9.]+,'"$1"',vcpu,0,,user_exits,,[0-9]+,[0-9.]+$'
	expect 0 "$pinvm" stat "$1" --prometheus
	holds ../out '^pinvm_queue_kicks_total[{]guest="'"$1"'",device="disk0",queue="0"[}] 0$'
	holds ../out '^pinvm_vcpu_handler_seconds_bucket[{]guest="'"$1"'",vcpu="0",reason="io",le="[+]Inf"[}] [0-9]'
	if command -v promtool >/dev/null; then
		if promtool check metrics <../out >../prom 2>&1 && [ ! -s ../prom ]; then passed; else failed "promtool: $(head -3 ../prom)"; fi
	else
		skip "stat --prometheus: needs promtool of Debian's prometheus; tools/setup installs it"
	fi
}

# Every name in the report and in what stat makes of it is in the man page; what the kernel named is the kernel's.
test_stat_names()
{
	command -v jq >/dev/null || return
	sed 's/\\-/-/g' "$here/../../docs/pinvm.1.in" >../page
	for form in 'ctl NAME report' 'stat NAME --json --interval 10ms'; do
		# shellcheck disable=SC2086,SC2046
		expect 0 "$pinvm" $(echo "$form" | sed "s/NAME/$1/")
		jq -r '["kvm_stats", "kvm_stats_kinds", "rates", "mean", "p50", "p99", "targets", "exits_by_kvm_reason", "handlers",
			"histogram", "bytes_on_node"] as $theirs | [paths | map(strings) |
			select(length > 0 and (any(.[:-1][]; IN($theirs[])) | not)) | last] | unique[]' ../out >../names
		[ "$(wc -l <../names)" -gt 60 ] || failed "$form: too few names"
		while read -r name; do
			if grep -qw -e "$name" ../page; then passed; else failed "$form: $name is not in the man page"; fi
		done <../names
	done
}

# Where nothing can be written, and where nobody reads.
test_stat_output()
{
	for form in '' --json --csv --prometheus -w '-w --json'; do
		refused 4 'standard output: No space left' sh -c '"$1" stat "$2" -i 10ms $3 >/dev/full' - "$pinvm" "$1" "$form"
		expect 0 sh -c '{ "$1" stat "$2" -i 10ms $3; echo $? >../status; } | true; exit "$(cat ../status)"' - \
			"$pinvm" "$1" "$form"
		if [ -s ../err ]; then failed "stat $form to a closed pipe complains"; else passed; fi
	done
	refused 4 'standard output: No space left' sh -c '"$1" perf "$2" stat -e cs -i 10ms >/dev/full' - "$pinvm" "$1"
}

# Again and again, until the guest ends.
test_stat_watch()
{
	: >../csv; : >../json; : >../text
	"$pinvm" stat "$1" --watch --csv --interval 50ms >../csv 2>../csv.err &
	csv=$!
	"$pinvm" stat "$1" --watch --json --interval 50ms >../json 2>../err &
	json=$!
	"$pinvm" stat "$1" -w -i 50ms >../text 2>../err &
	text=$!
	children="$children $csv $json $text"
	await "$child" has_lines ../json 3 .
	await "$child" has_lines ../csv 3 ',vcpu,1,,user_exits,'
	await "$child" has_lines ../text 1 '^VCPU CPU WANTED'
	kill -TERM "$json"
	wait "$json"
	got=$?
	if [ $got -eq 0 ]; then passed; else failed "status $got of --watch after SIGTERM"; fi
	kill -TERM "$child"
	ended 14
	for p in $csv $text; do
		wait "$p"
		got=$?
		if [ $got -eq 0 ]; then passed; else failed "status $got of --watch when the guest ends"; fi
	done
	children=
	holds ../csv.err "$1: the guest ended\$"
	if [ "$(grep -c '^time,' ../csv)" -eq 1 ]; then passed; else failed 'the header of CSV is not there once'; fi
	if [ "$(grep -c ',vcpu,1,,user_exits,' ../csv)" -ge 3 ]; then passed; else failed 'fewer than 3 blocks of CSV'; fi
	cp ../json ../out
	! command -v jq >/dev/null || jq_true 'length >= 3 and ([.[].vcpus[0].rates.user_exits | numbers] | length) == length'
	holds ../text '^VCPU CPU WANTED'
	if grep -q "$(printf '\033')" ../text; then failed 'escape sequences in a file'; else passed; fi
}

has_pidfd()
{
	for fd in "/proc/$1/fd/"*; do readlink "$fd"; done | grep -q pidfd
}

# An interval is not waited out when the guest ends; it is known who that is when its pidfd is open.
test_stat_end()
{
	"$pinvm" stat "$1" --interval 9000s >../out 2>../once.err &
	once=$!
	"$pinvm" stat "$1" --watch --interval 9000s >../out 2>../watch.err &
	watch=$!
	children="$children $once $watch"
	n=0
	until [ $n -eq 600 ] || { has_pidfd $once && has_pidfd $watch; }; do n=$((n + 1)) && sleep 0.1; done
	kill -TERM "$child"
	ended 14
	for p in "$once 4" "$watch 0"; do
		until [ $n -ge 600 ] || ! kill -0 "${p% *}" 2>/dev/null; do n=$((n + 1)) && sleep 0.1; done
		kill -KILL "${p% *}" 2>/dev/null
		wait "${p% *}"
		got=$?
		if [ $got -eq "${p#* }" ]; then passed; else failed "status $got of stat, not ${p#* }, when the guest ends in an interval"; fi
	done
	children=
	holds ../once.err "$1: the guest ended meanwhile"
	holds ../watch.err "$1: the guest ended\$"
}

# On a terminal: another screen, and back, with the cursor.
test_stat_terminal()
{
	if ! command -v script >/dev/null; then
		skip 'stat --watch on a terminal: needs script(1)'
		return
	fi
	timeout 300 script -qec "stty cols 60 rows 10; $pinvm stat $1 --watch --interval 50ms" /dev/null </dev/null >../out 2>../err &
	watch=$!
	await "$child" has_lines ../out 1 'not tall enough'
	kill -TERM "$child"
	ended 14
	wait "$watch"
	got=$?
	if [ $got -eq 0 ]; then passed; else failed "status $got of --watch on a terminal"; fi
	esc=$(printf '\033')
	holds ../out "^$esc\\[\\?1049h$esc\\[\\?25l"
	holds ../out "$esc\\[\\?25h$esc\\[\\?1049lpinvm: $1: the guest ended"
	tr '\033\r' '\n ' <../out | sed 's/^\[[?0-9]*[a-zA-Z]//; s/ *$//; /^pinvm: /d' >../lines
	if awk 'length($0) > 60 { exit 1 }' ../lines; then passed; else failed 'a line is wider than the terminal'; fi
}

# GUEST: it has written to its serial port.
has_written()
{
	"$pinvm" ctl "$1" report 2>/dev/null | grep -q '"pio serial": [1-9]'
}

test_stat()
{
	start ../child.err iothread "$serial" --append flood=2000000000 --serial off --grace 0 -n seen -c 2 -d disk --rng \
		--profile times=on -v
	await "$child" has_written seen
	expect 0 "$pinvm" stat seen
	holds ../out '^seen: running, pid '"$child"
	holds ../out '^ +0 +[0-9.k]+ +[0-9.]+[num]?s pinvm io: serial'
	holds ../out '^disk0 +0 +0 +'
	holds ../out '^io:main +[0-9]+ any '
	test_stat_formats seen
	test_stat_names seen
	test_stat_output seen
	test_stat_watch seen
	start ../child.err iothread "$exits" --append hang --serial off --grace 0 -n idle -v
	test_stat_terminal idle
	start ../child.err iothread "$exits" --append hang --serial off --grace 0 -n short -v
	test_stat_end short
	if command -v unshare >/dev/null && unshare -pf true 2>/dev/null; then
		unshare -pf --kill-child "$pinvm" run "$exits" --append hang --serial off --grace 0 -n inside --timeout 300 2>../child.err &
		inside=$!
		children="$children $inside"
		await "$inside" "$pinvm" ctl inside status >/dev/null 2>&1
		expect 0 "$pinvm" stat inside --json --interval 10ms
		! command -v jq >/dev/null || jq_true '.[0].pid == 1 and .[0].vcpus[0].task.run_ns > 0'
		"$pinvm" ctl inside stop
		wait "$inside"
		children=
	else
		skip 'stat of a guest in a PID namespace: not permitted here'
	fi
}
