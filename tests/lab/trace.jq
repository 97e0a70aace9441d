# SPDX-License-Identifier: Apache-2.0
# trace.jq: two reports of pinvm, $b and $a, and what was traced in between, $t.

$a[0] as $a | $b[0] as $b | $t[0] as $t |
def grown(f): ([$a.vcpus[] | f] | add // 0) - ([$b.vcpus[] | f] | add // 0);
def traced(f): [$t.vcpus[].trace | f] | add // 0;
def reasons: [$a.vcpus[].exits_by_kvm_reason | keys[]] | unique;
def accesses(k): [.profile.accesses[] | select(.kind == k) | .exits] | add // 0;
def total(kind): traced([.accesses[] | select(.kind == kind) | .count] | add // 0);

{
	lost: traced(.lost + .malformed + .crowded),
	kvm_userspace_exit: traced(.events["kvm:kvm_userspace_exit"]),
	user_exits: grown(.user_exits),
	by_reason: ([reasons[] | select(. != "intr") as $r | {($r): grown(.exits_by_kvm_reason[$r] // 0)}] | add // {} | with_entries(select(.value > 0))),
	traced_by_reason: ([$t.vcpus[].trace.user_exits[] | select(.number >= 0)] | group_by(.name) | map({(.[0].name): (map(.exits) | add)}) | add // {}),
	kvm_exit: traced(.events["kvm:kvm_exit"]),
	kvm_entry: traced(.events["kvm:kvm_entry"]),
	kvm_exit_by_reason: traced([.exits[].exits] | add // 0),
	kvm_stats_exits: grown(.kvm_stats.exits),
	pio: grown(accesses("pio")), traced_pio: total("pio"),
	mmio: grown(accesses("mmio")), traced_mmio: (total("mmio") + total("fast_mmio")),
	interrupts: traced([.interrupts[].count] | add // 0),
	interrupts_that_ended_a_run: traced([.interrupts[].exits] | add // 0),
	exits_by_interrupt_of_unknown_cause: traced(.unattributed_interrupt_exits)
}
