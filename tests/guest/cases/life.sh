# shellcheck shell=sh disable=SC2034,SC2154
# SPDX-License-Identifier: Apache-2.0
#
# life.sh: how a guest starts, restarts and ends, by itself, by signals and by its time limit.

case_hello()
{
	guest hello ''
	success
	reports '.vcpus | length' 1
	reports '.vcpus[0].user_exits > 0' true
	reports .exit.status 1
}

case_poweroff() { guest exits poweroff; ends 0 'powered off'; }
case_reset() { guest exits reset; ends 8 reset; }
case_panic() { guest exits panic; ends 10 panic; }
case_triple() { guest exits triple; ends 12 'triple fault'; }
case_kvm_error() { guest exits kvm; ends 12 KVM; }
case_timeout() { out_of_time hang hanging; }
case_timeout_spin() { out_of_time spin spinning; }
# With a limit that lets the guest begin, on this machine and today.
out_of_time()	# ARGUMENT WORD
{
	for limit in 1 8 60; do
		guest exits "$1"
		ends 124 'time limit'
		! grep -q -- "$2" "$tmp/out" || return 0
	done
	bad "it never began"
}

case_debug_exit()
{
	for v in 0:1 1:3 42:85 127:255 128:1 200:145 255:255 256:1; do
		guest exits "debug=${v%:*}"
		status "${v#*:}"
	done
}

# Without the option the port is not there: the guest's second wish counts.
case_no_debug_exit()
{
	$bounded "$pinvm" run "$guests/hello.elf" --timeout 600 >"$tmp/out" 2>"$tmp/err" </dev/null
	rc=$?
	says SUCCESS
	status 0
}

case_restart() { restart ''; }
case_mmio_restart() { restart mmio; }
restart()
{
	disk disk 64k
	printf '\0' | dd of="$tmp/disk" conv=notrunc 2>/dev/null
	# shellcheck disable=SC2046
	guest blk "restart=10 $1" --on-reset restart -d "$tmp/disk" $(over "$1")
	status 0
	says 'start 10, kept 10'
	[ "$(grep -c '^start ' "$tmp/out")" -eq 11 ] || bad "it did not start 11 times"
	[ "$(od -An -tu1 -N1 "$tmp/disk" | tr -d ' ')" = 10 ] || bad "the disk's first byte is not 10"
	reports .restarts 10
	# Its exits are counted from the first start on: 10 writes of the reset register.
	reports '[.vcpus[0].profile.accesses[] | select(.device == "power" and .offset == 4)] | map(.exits) | add' 10
}

button()
{
	guest_start exits button --grace 60
	next_line
	[ "$line" = waiting ] || bad "it said '$line'"
	kill "-$1" "$pid"
	ended
	says pressed
	ends 0 'powered off'
}

case_sigterm() { button TERM; }
case_sigint() { button INT; }
case_sighup() { button HUP; }

case_deaf()
{
	guest_start exits hang --grace 200ms
	next_line
	kill -TERM "$pid"
	ended
	ends 14 'grace'
}

case_second_signal()
{
	guest_start exits hang --grace 1000 -v
	next_line
	kill -TERM "$pid"
	# Two that are pending at once are one: the first must have been seen.
	until grep -q 'power off' "$tmp/err"; do sleep 0.05; done
	kill -TERM "$pid"
	ended
	ends 14 'stopped on request'
}

case_no_grace()
{
	guest_start exits spin --grace 0
	next_line
	kill -TERM "$pid"
	ended
	ends 14 'stopped on request'
}

# Other processes of the user have used up the room for signals that wait.
case_no_room_for_signals()
{
	need prlimit util-linux
	limit=1
	bounded="$bounded prlimit --sigpending=0"
	guest exits spin
	ends 124 'time limit'
}

# What would make KVM wait for a grace period: memory or vCPU ioctls behind a registration on its I/O bus, and routing
# tables beyond one, up to the first KVM_RUN of a VM; and for a vCPU: its statistics behind that.
case_setup_order()
{
	need strace
	# A sanitizer's leak check can not run under ptrace.
	export ASAN_OPTIONS="detect_leaks=0:$ASAN_OPTIONS"
	for disks in 1 6; do
		set --
		for i in $(seq $disks); do
			disk "disk$i" 64k
			set -- "$@" -d "$tmp/disk$i"
		done
		printf '\0' | dd of="$tmp/disk1" conv=notrunc 2>/dev/null
		$bounded strace -f -qq -e trace=ioctl -o "$tmp/trace" "$pinvm" run "$guests/blk.elf" -m 16 -c 2 -p restart=1 \
			--debug-exit --rng --on-reset restart --timeout 600 "$@" >"$tmp/out" 2>"$tmp/err" </dev/null
		rc=$?
		[ "$rc" -ne 1 ] || skip "strace can not run here"
		status 0
		awk '
			/KVM_CREATE_VM,/ { vms++; io = routes = run = 0 }
			/KVM_RUN/ && !/EINTR/ { run = 1 }
			run && /KVM_GET_STATS_FD|0xae, 0xce/ { print }
			run { next }
			/KVM_IOEVENTFD|KVM_CREATE_IRQCHIP/ { io = 1 }
			/KVM_GET_STATS_FD|0xae, 0xce/ { stats++; if (io) print }
			/KVM_SET_USER_MEMORY_REGION|KVM_CREATE_VCPU/ { calls++; if (io) print }
			/KVM_SET_GSI_ROUTING/ && routes++ { print }
			END { if (vms != 2 || calls < 6 || stats < 2) print "a trace without what was looked for:", vms, calls, stats }
		' "$tmp/trace" >"$tmp/out"
		[ ! -s "$tmp/out" ] || bad "$disks disks: $(wc -l <"$tmp/out") ioctls that make KVM wait"
	done
}
