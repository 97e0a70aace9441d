# SPDX-License-Identifier: Apache-2.0
# tables.jq: the rows of tools/study-haltpoll as Markdown, a table a source.

def sources: {
	"timer": "A timer, \(.gap_us.timer) us away",
	"timer-far": "A timer, \(.gap_us["timer-far"]) us away",
	"ipi": "Another CPU, \(.gap_us.ipi) us away",
	"device": "A disk"
};
def about: {
	"timer": "The TSC deadline, so far in the future when it is set. Late by: from the deadline to the handler's first instruction.",
	"timer-far": "The same, farther away than the longest window that is usual.",
	"ipi": "vCPU 1 spins for so long after vCPU 0 has said that it will halt, then sends the IPI. Late by: from before its write of the ICR to the handler.",
	"device": "One sector is read at a time, from the host\u0027s page cache; \(.gap_us.device) us of work between two reads. Late by: from before the kick to the handler of the interrupt."
};

def digits($n): if . == null then "-" elif $n == 0 then round | tostring else
	(. * pow(10; $n) | round) as $v | ($v / pow(10; $n) | floor | tostring) as $whole |
	($v - ($v / pow(10; $n) | floor) * pow(10; $n) | tostring) as $part | "\($whole).\("0" * ($n - ($part | length)) // "")\($part)" end;
def each: .median | if . == null then "-" elif . == 0 then "0" elif . < 0.01 then "<0.01" else digits(2) end;
def ticks: .median / 1000 | digits(0);
def spread: if . == null then "-" else "\(.median | digits(2)) (\(.min | digits(2))-\(.max | digits(2)))" end;

def columns: [
	["late, least", (.late_min | ticks)], ["median", (.late_median | ticks)], ["to `off`", (.late_to_off | spread)], ["p99", (.late_p99 | ticks)],
	["exits", (.exits | each)], ["to pinvm", (.user_exits | each)], ["HLT exits", (.halts | each)], ["polls hit", (.poll_hits | each)],
	["switches", (.voluntary | each)], ["forced", (.forced | each)], ["of others", (.other_switches | each)],
	["CPU us", (.cpu_us.median | digits(0))], ["of others us", (.other_cpu_us.median | digits(0))],
	["polled us", (.polled_us.median + .device_polled_us.median | digits(0))],
	["waited us", (.delay_us.median | digits(0))]
];
def device_columns: [
	["kicks", (.kicks | each)], ["device polls hit", (.device_hits | each)]
];
def cells: columns + (if .source == "device" then device_columns else [] end);
def table: "| mode | \(.[0] | cells | map(.[0]) | join(" | ")) |", "|---|\(.[0] | cells | map("---:|") | join(""))",
	(.[] | "| `\(.mode)` | \(cells | map(.[1]) | join(" | ")) |");

# What kind of machine it was, and what its figures are worth.
def host:
	"The host: \(.host.cpu), Linux \(.host.kernel), \(.host.cpus) CPUs.",
	(if .host.lab == "software" then
		"It is a CPU in software (the lab of this project) with nested virtualization: exits are those that KVM takes with hardware",
		"virtualization, and each takes ten times as long or more, so all times and windows are \(.host.scale) times as long. *Counts, and",
		"their order, mean something on such a host; microseconds do not.*"
	elif .host.kvm == "software" then
		"It is a virtual machine itself, and its KVM is in software: an entry, an exit or an interrupt takes tens of microseconds",
		"that hardware does in one or two, and what KVM does without hardware\u0027s help, such as an access to the local APIC, is no exit",
		"there. *Counts, and their order, mean something on such a host; microseconds do not.*"
	elif .host.virtual then "It is a virtual machine itself." else empty end);

. as $all |
"# What a wake-up costs in each mode",
"",
"How late a guest\u0027s vCPU wakes from HLT, and what that costs, for each way to wait there is. `make study-haltpoll` makes",
"this file; all figures, with the least and the most of the rounds, are in `wakeups.json`. What to choose: haltpoll.md.",
"",
host,
"",
"vCPU 0 has a CPU and all other threads another one, but neither is theirs alone: load average \(.load.median | digits(1))",
"(\(.load.min | digits(1))-\(.load.max | digits(1)))\(if .host.nice > 0 then ", this guest at nice \(.host.nice)" else "" end). \(.rounds) round\(if .rounds > 1 then "s" else "" end) in which the modes took turns, \(.wakes) wake-ups each",
"after \(.warm) that were not counted; in each cell the median of the rounds. The kernel\u0027s own ceiling is \(if .host.halt_poll_ns then "\(.host.halt_poll_ns / 1000) us" else "unknown" end).",
"",
"Of each wake-up:",
"",
"- late: thousands of ticks of the guest\u0027s TSC (\(.host.tsc_khz / 1000 | round) a us); to `off`: its median to that of `off` in the same round,",
"  with the least and the most",
"- exits: of all vCPUs, as KVM counts them; to pinvm: those of them that reach user space; HLT exits: of vCPU 0",
"- polls hit: halts that ended while they were polled for, in KVM or in pinvm",
"- switches: vCPU 0 gave its CPU away by itself; forced: it had to; of others: both, of the threads that are no vCPUs",
"- CPU, of others, polled, waited: CPU time of vCPU 0 (the guest\u0027s work and polls included) and of the threads that are no",
"  vCPUs, what of both was polling, and how long vCPU 0 waited for its CPU while it could have run",
"- kicks: notifications that the guest sent; device polls hit: requests or completions that the disk\u0027s thread found by polling",
"",
"The modes:",
"",
(.modes[] | "- `\(.name)`: \(if .options == "" then "no option" else "`\(.options)`" end)\(if .without then "; not looked at: \(.without)" else "" end)"),
((.gap_us | keys_unsorted)[] as $s | [$all.rows[] | select(.source == $s)] | select(length > 0) |
	"", "## \($all | sources[$s])", "", ($all | about[$s]), "", table),
(if any(.rows[]; .mode == "hlt=off" and .halts.median > 0.5) then "", "`hlt=off` changes nothing on this host: its KVM takes an exit for each HLT nevertheless." else empty end)
