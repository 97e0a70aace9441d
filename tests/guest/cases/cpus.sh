# shellcheck shell=sh disable=SC2034,SC2154
# SPDX-License-Identifier: Apache-2.0
#
# cpus.sh: several CPUs, the IPIs between them, their timers and their local APICs.

case_ipi() { guest smp 'cpus=4 ipi' -c 4; success; says 'IPIs arrived'; }
case_timers() { guest smp timer; success; says 'TSC deadline ended HLT'; }
case_cpus_8() { guest smp cpus=8 -c 8; success; says '8 CPUs'; reports '.vcpus | length' 8; }
case_cpus_64() { guest smp cpus=64 -c 64; success; says '64 CPUs'; reports '.vcpus | length' 64; }
case_cpus_255()
{
	guest smp cpus=255 -c 255
	! grep -q "this host's KVM allows" "$tmp/err" || skip "this host's KVM has fewer vCPUs"
	success
	says '255 CPUs'
}

# The local APIC and the IOAPIC as a guest sees them.
case_apic() { guest apic cpus=2 -c 2; success; says 'CPU 1 was started 20 times'; }
case_level() { disk disk 64k; guest level "mmio ${1-}" -d "$tmp/disk" --transport mmio; success; says 'what has gone while masked does not come'; }
