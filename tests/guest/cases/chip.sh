# shellcheck shell=sh disable=SC2034,SC2154
# SPDX-License-Identifier: Apache-2.0
#
# chip.sh: local APICs and IOAPIC in pinvm (--irqchip user): cases of other rooms again, where only the way of an interrupt
# differs, and what only this has.

case_chip_clock() { chip=user; guest clock cpus=2 -c 2; success; says 'CPU 1: deadlines go by the TSC that is'; }
case_chip_apic() { chip=user; guest apic 'cpus=2 strict storm=2000' -c 2; success; says 'sane after the storm'; }

case_chip_hello() { chip=user; case_hello; reports .irqchip.controller 'local APICs and IOAPIC in pinvm'; }
case_chip_ipi() { chip=user; case_ipi; }
case_chip_timers() { chip=user; case_timers; }
# Two that want MSRs: each gets its own.
case_chip_unknown()
{
	chip=user
	guest smp 'cpus=2 ipi timer' -c 2 --profile unknown=on
	success
	guest profile '' -c 2 --rng --profile unknown=on
	success
	reports "[.vcpus[0].profile.accesses[] | select(.kind == \"msr\" and .address > 1246448716 and .address < 1246448719) |
		.exits] | sort | map(tostring) | join(\" \")" '25 26'
}
case_chip_cpus_8() { chip=user; case_cpus_8; }
case_chip_cpus_255() { chip=user; case_cpus_255; }
case_chip_triple() { chip=user; case_triple; }
case_chip_halted() { chip=user; case_sigterm; }
case_chip_deaf() { chip=user; case_deaf; }
case_chip_timeout() { chip=user; case_timeout_spin; }
case_chip_pause() { chip=user; case_control_pause; }
case_chip_reset() { chip=user; case_control_reset; }
case_chip_restart() { chip=user; restart ''; }
case_chip_serial() { chip=user; case_serial_input; }
case_chip_blk() { chip=user; copy 'depth=8 piece=16384 event'; }
case_chip_level() { chip=user; case_level strict; says "the IOAPIC's own EOI"; }
case_chip_mmio() { chip=user; copy 'depth=8 piece=16384 event indirect mmio' --transport mmio; }
case_chip_interrupts() { chip=user; interrupts ''; }
case_chip_mmio_interrupts() { chip=user; interrupts mmio; }
case_chip_masked() { chip=user; case_msix_masked; }
case_chip_hostile() { chip=user; case_hostile; }
case_chip_net() { chip=user; case_net_alone; }

# No file descriptor for an interrupt, and none of its ways through KVM.
case_chip_no_irqfd()
{
	need strace
	disk disk 64k
	strace -f -o "$tmp/trace" -e trace=ioctl,eventfd2 timeout 660 "$pinvm" run "$guests/blk.elf" -p 'count=100 irq' -m 16 --debug-exit \
		--timeout 600 --irqchip user -d "$tmp/disk" >"$tmp/out" 2>"$tmp/err" </dev/null
	rc=$?
	success
	grep -q 'KVM_INTERRUPT' "$tmp/trace" || bad "nothing was injected"
	for call in KVM_IRQFD KVM_SET_GSI_ROUTING KVM_CREATE_IRQCHIP KVM_CAP_SPLIT_IRQCHIP; do
		! grep "$call" "$tmp/trace" >&2 || bad "it calls $call"
	done
}
