# SPDX-License-Identifier: Apache-2.0
# rows.jq: all looks of tools/study-haltpoll as rows, one a mode and source, each figure as median, least and most of the
# rounds. Figures are of one wake-up; times of latency are in ticks of the guest's TSC.

def spread: map(select(. != null)) | sort | if length == 0 then null else
	{median: ((.[(length - 1) / 2 | floor] + .[length / 2 | floor]) / 2), min: .[0], max: .[-1]} | map_values(. * 1000 | round / 1000) end;
def order($names): . as $n | $names | index($n);

. as $looks | $host[0] as $host | ($host.modes | map(.name)) as $modes | ($host.gap_us | keys_unsorted) as $sources |
($looks | map(select(.mode == "off") | {key: "\(.source) \(.round)", value: .late.median}) | from_entries) as $off |
def figures:
	.late.n as $n |
	{
		late_min: .late.min, late_median: .late.median, late_p99: .late.p99,
		late_to_off: (if $off["\(.source) \(.round)"] then .late.median / $off["\(.source) \(.round)"] else null end),
		wall_us: (.ns / $n / 1000)
	} + (.counts | del(.reasons, .polled_ns, .device_polled_ns) | map_values(. / $n)) +
	{
		polled_us: (.counts.polled_ns / $n / 1000), device_polled_us: (.counts.device_polled_ns / $n / 1000),
		voluntary: (.threads.woken.voluntary / $n), forced: (.threads.woken.forced / $n),
		other_switches: ((.threads.others.voluntary + .threads.others.forced) / $n),
		cpu_us: (.threads.woken.run_ns / $n / 1000), other_cpu_us: (.threads.others.run_ns / $n / 1000),
		delay_us: (.threads.woken.delay_ns / $n / 1000), load: .load
	};
{
	host: ($host | del(.wakes, .warm, .gap_us, .modes, .version)), version: $host.version, rounds: ($looks | map(.round) | max),
	wakes: $host.wakes, warm: $host.warm, gap_us: $host.gap_us,
	load: ($looks | map(.load) | spread),
	modes: [$host.modes[] | .name as $m | . + {without: ([$skips[] | select(.mode == $m).why] | first)} |
		select(.without != null or any($looks[]; .mode == $m))],
	rows: ($looks | group_by([.source, .mode]) |
		map({source: .[0].source, mode: .[0].mode, rounds: length} +
			(map(figures) | . as $all | .[0] | keys_unsorted | map(. as $k | {key: $k, value: ($all | map(.[$k]) | spread)}) |
			from_entries)) |
		sort_by((.source | order($sources)), (.mode | order($modes))))
}
