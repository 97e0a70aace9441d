# SPDX-License-Identifier: Apache-2.0
# study-exits.jq: the looks of tools/study-exits as Markdown, a table a load.

def loads: [
	["net", "A tap's virtio-net under load", "TCP both ways between the guest and the host (`iperf3 --bidir`), one vCPU."],
	["blk", "virtio-blk under 8k direct I/O", "Random reads and writes of 8 KiB past the guest's cache, four at a time (`fio`), one vCPU."],
	["idle", "An idle guest", "One vCPU, a shell that sleeps."],
	["busy", "A busy guest", "Two vCPUs that compute, spin with PAUSE, and unmap memory which the other one has."]
];
def variants: [["base", "as it is"], ["eoi", "pv-eoi=off"], ["pause", "pause=off"], ["hlt", "hlt=off"], ["mmio", "mmio"]];

def round_to(n): . * n | round / n;
def cell:
	if . == null then "-" elif . == 0 then "0" elif . >= 100 then (round | tostring)
	elif . >= 1 then (round_to(10) | tostring) else (round_to(100) | tostring) end;
def text: gsub("\\|"; "/") | gsub("[\n`<>]"; " ");

# A look's rows: {group, name, value}; the name is what the rows of different looks are matched by.
def totals:
	{group: 0, name: "**exits from the guest**", value: .exits_per_s},
	{group: 0, name: "**of them to pinvm**", value: .user_exits_per_s},
	{group: 0, name: "interrupts ended (EOI)", value: .eoi_per_s},
	{group: 0, name: "of them without an exit (PV EOI)", value: .pv_eoi_per_s},
	(if .requests_per_s > 0 then
		{group: 0, name: "requests of the device", value: .requests_per_s},
		{group: 0, name: "exits for each request", value: (.exits_per_s / .requests_per_s)},
		{group: 0, name: "MiB", value: (.bytes_per_s / 1048576)},
		{group: 0, name: "kicks", value: .kicks_per_s},
		{group: 0, name: "interrupts of the device", value: .interrupts_per_s}
	else empty end),
	{group: 0, name: "CPU of its vCPUs, percent", value: .cpu_percent};
def hex: def digits: if . < 16 then ["0123456789abcdef"[.:. + 1]] else (. / 16 | floor | digits) + ["0123456789abcdef"[. % 16:. % 16 + 1]] end;
	"0x" + (digits | join(""));
def rows:
	totals,
	(.exits[] | {group: 1, name: "exit \(.isa // "reason") \(.number)\(if .name then " " + .name else "" end)", value: .per_s}),
	(.user_exits[] | {group: 2, name: "to pinvm: \(.name)", value: .per_s}),
	(.accesses[] | {group: 3, name: "\(.kind) \(.op) \(.address | hex)\(if .name then " " + .name else "" end)", value: .per_s}),
	(.interrupts[] | {group: 4, name: "interrupt: \(if .irq then "irq \(.irq) " else "" end)\(.name)", value: .per_s});
def most: {"0": 99, "1": 12, "2": 6, "3": 8, "4": 8}[tostring];

# Of each group the rows that are the most frequent in any look; totals as they come.
def chosen(looks): [looks[] | [rows]] as $all |
	reduce ($all | add // [])[] as $r ({}; .[$r.name] = (.[$r.name] // {group: $r.group, name: $r.name, top: 0}) |
		.[$r.name].top = ([.[$r.name].top, $r.value // 0] | max)) | [.[]] | group_by(.group) |
	map((if .[0].group == 0 then . else sort_by(-.top) end) | .[:(.[0].group | most)]) | add // [];

def table(load): . as $all | [variants[] | . as $v | select(any($all[]; .load == load and .variant == $v[0]))] as $columns |
	[$columns[] as $c | $all[] | select(.load == load and .variant == $c[0])] as $looks |
	"| a second | \($columns | map(.[1]) | join(" | ")) |",
	"|---|\($columns | map("---:|") | join(""))",
	(chosen($looks)[] as $row | [$looks[] | ([rows | select(.name == $row.name) | .value] | first) as $v |
		if $v == null and $row.group > 0 then 0 else $v end | cell] |
		"| \($row.name | text) | \(join(" | ")) |");

.looks as $looks |
"# Why a stock guest leaves the guest",
"",
"Exits a second by reason, of a stock Debian cloud kernel at four loads, with switches on and off. `make study-exits`",
"makes this file; all numbers are in `exits.json`. What is counted is what the kernel's tracepoints tell `pinvm stat",
"--trace` of the vCPUs' threads; exits to pinvm are a part of all exits, and what was reached for (`msr`, `mmio`, `pio`,",
"`apic`) is another view of the same exits, not a further one. The columns:",
"",
"- as it is: PV EOI on, exits at PAUSE and HLT, virtio over PCI with MSI-X",
"- pv-eoi=off: `--kvm pv-eoi=off`; pause=off: `--exits pause=off`; hlt=off: `--exits hlt=off`",
"- mmio: `--transport mmio`",
"",
"`-`: not looked at, or refused by that host. 0: not among what was seen.",
"",
([$looks[] | "\(.cpu), Linux \(.host)\(if .lab == "software" then ", a host in software with nested virtualization: counts and their order mean something there, rates and times hardly do" else "" end)"] |
	unique | map("The host: \(.).") | .[]),
"Each look took \([$looks[].seconds | round] | unique | map(tostring) | join(" or ")) s.",
(loads[] as $l | select(any($looks[]; .load == $l[0])) | "", "## \($l[1])", "", $l[2], "", ($looks | table($l[0]))),
([loads[] | select(.[0] as $l | any($looks[]; .load == $l) | not) | .[1]] |
	if length > 0 then "", "Not looked at so far: \(join("; "))." else empty end),
([$looks[] | select(.lost > 0) | "\(.load) \(.variant): \(.lost)"] |
	if length > 0 then "", "Records that found no room in a ring, and so are in the totals only: \(join("; ")).", "" else empty end)
