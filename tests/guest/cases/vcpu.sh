# shellcheck shell=sh disable=SC2034,SC2154
# SPDX-License-Identifier: Apache-2.0
#
# vcpu.sh: queues that the thread of a vCPU serves (iothread=vcpuN): cases of disks and nets again, and what only this has.

case_vcpu_blk() { by=vcpu0; copy 'depth=1 piece=65536'; copy 'depth=32 piece=4096 event indirect'; }
case_vcpu_blk_chip() { chip=user; case_vcpu_blk; }
case_vcpu_blk_direct() { by=vcpu0; case_blk_direct; }
case_vcpu_interrupts() { by=vcpu0; interrupts ''; }
case_vcpu_interrupts_chip() { chip=user; case_vcpu_interrupts; }
case_vcpu_reset() { by=vcpu0; case_blk_reset; }
case_vcpu_reset_chip() { chip=user; case_vcpu_reset; }
case_vcpu_restart() { by=vcpu0; restart ''; }
case_vcpu_restart_chip() { chip=user; case_vcpu_restart; }
case_vcpu_hostile() { by=vcpu1; hostile ''; }
case_vcpu_hostile_chip() { chip=user; case_vcpu_hostile; }
case_vcpu_soak() { by=vcpu0; soak 'event indirect'; }
case_vcpu_net() { by=vcpu0; case_net_echo; case_net_alone; case_net_asked; case_net_reset; }
case_vcpu_net_chip() { chip=user; case_vcpu_net; }

# No thread is there for it, and the one that always is never wakes; a CPU that was never started serves, too.
case_vcpu_alone() { alone; }
case_vcpu_alone_chip() { chip=user; alone; }
alone()
{
	disk disk 64k
	for by in vcpu0 vcpu1; do
		guest blk 'count=1000 depth=1 irq event' -d "$tmp/disk" -c 2
		success
		says '1000 requests, .* 1000 interrupts'
		reports '.devices[0].queues[0] | .requests, .iothread' "$(printf '1000\n%s' $by)"
		reports '.threads[] | select(.name == "io:main") | .sleeps <= 2' true
		# What came for the queue interrupted it, but where it was not in KVM at all.
		[ "${chip-} $by" = 'user vcpu1' ] || reports ".vcpus[${by#vcpu}].exits_by_kvm_reason.intr > 0" true
		exits_have_reasons
		reports '[.threads[].name | select(startswith("kvm-") | not)] | join(", ")' \
			"emulator, io:main, iou-wrk io:main, iou-wrk $by"
		reports '.placement.misplaced // 0' 0
	done
}

# While the guest is paused nothing new is begun; what was begun ends, and then all goes on.
case_vcpu_pause() { vcpu_pause; }
case_vcpu_pause_chip() { chip=user; vcpu_pause; }
vcpu_pause()
{
	disk disk 8M
	guest_start bench_blk 'requests=1000000000 depth=8' -d "$tmp/disk,iothread=vcpu0" -n held --serial off
	seen=0
	for _ in 1 2 3; do
		until [ "$(ctl held report | jq '.devices[0].queues[0].requests')" -gt "$seen" ]; do still_runs; done
		ctl held pause || bad "pause: $(cat "$tmp/ctl.err")"
		seen=$(ctl held report | jq '.devices[0].queues[0].requests')
		sleep 0.2
		[ "$(ctl held report | jq '.devices[0].queues[0].requests')" -eq "$seen" ] || bad "it served while it was paused"
		ctl held resume || bad "resume: $(cat "$tmp/ctl.err")"
	done
	ctl held pause
	ctl held stop 0
	ended
	ends 14 'control socket'
}

case_vcpu_net_hostile() { by=vcpu2; case_net_hostile; }
