#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# host.sh: the arm64 lab's tests, run inside its host under busybox. What the
# host is comes in /host: cpu=, gic=, and rounds= of the soak. A line for each test: ok, FAIL or skip.

failed=0 image=/boot/Image initrd=/boot/initrd problem='' skipped='' limit=240 report=/report cpu='' gic='' rounds=''
# shellcheck disable=SC1091 # the outer script's
. /host

wrong()
{
	problem="$problem
    $*"
}

is()	# WHAT WANTED GOT
{
	[ "$2" = "$3" ] || wrong "$1: wanted '$2', got '$3'"
}

# What was not tested here, and why.
skip()	# WHY
{
	skipped=$*
}

fact()	# NAME
{
	tr -d '\r' </serial | sed -n "s/^.*fact: $1 //p"
}

fact_is()	# NAME VALUE
{
	is "the guest's $1" "$2" "$(fact "$1")"
}

boot()	# STATUS WHAT OPTIONS...
{
	wanted=$1
	word=$2
	shift 2
	: >/serial
	pinvm run "$image" -i "$initrd" -p "console=ttyS0 quiet panic=-1 do=$word" --timeout $limit \
		--serial file=/serial --report $report -v "$@" >/log 2>&1
	is "exit status" "$wanted" $?
}

# What a placement was wanted to be and is read back as, of a vCPU.
placed()	# VCPU
{
	sed -n "s/^pinvm: vcpu$1  *\([^ ]*\)  *\([^ ]*\)  *\([^ ]*\).*/\1 \3/p" /log
}

run()	# NAME
{
	problem='' skipped=''
	begin=$(date +%s)
	"case_$1"
	if [ -n "$skipped" ]; then
		echo "skip arm64.$1: $skipped"
		return
	fi
	if [ -z "$problem" ]; then
		echo "ok   arm64.$1 ($(($(date +%s) - begin)) s)"
		return
	fi
	failed=$((failed + 1))
	echo "FAIL arm64.$1$problem"
	tail -n 12 /log | sed 's/^/    log: /'
	tail -n 15 /serial | tr -d '\r' | sed 's/^/    serial: /'
}

# One vCPU: what the guest sees of its board.
case_one()
{
	boot 0 look -m 256M
	fact_is cpus 1
	fact_is kernel "$(uname -r)"
	fact_is model pinvm
	fact_is stolen 1
	case $gic in
	3) fact_is tty GICv3 ;;
	2) fact_is tty GIC-0 ;; # as Linux names it
	esac
	case $cpu in
	max*) fact_is sve 1; fact_is pac 1 ;;
	*) fact_is sve 0; fact_is pac 0 ;;
	esac
}

# Two threads of a core, each vCPU on a CPU of its own.
case_two()
{
	boot 0 look -m 256M -c 2,cores=1,threads=2 --pin vcpu=0-1/each
	fact_is cpus 2
	fact_is siblings "0-1
0-1"
	is "vCPU 0 wanted and is" "0 0" "$(placed 0)"
	is "vCPU 1 wanted and is" "1 1" "$(placed 1)"
}

# Two nodes, and how far apart they are.
case_numa()
{
	boot 0 look -c 2 --numa cpus=0,memory=128M --numa cpus=1,memory=256M,distance=0:33
	fact_is node "0 10 33
1 33 10"
	set -- "$(fact kib | head -n 1)" "$(fact kib | tail -n 1)"
	[ $((${2:-0} - ${1:-0})) -gt 100000 ] || wrong "node 1 is not larger than node 0: $*"
}

disk_and_rng()	# OPTIONS...
{
	dd if=/dev/zero of=/img bs=1M count=2 2>/dev/null
	boot 0 disk -c 2 -d /img,queues=2 --rng "$@"
	fact_is disk ''
	fact_is entropy 32
	sum=$(sha256sum /img)
	fact_is sum "${sum%% *}"
}

# Virtio devices by PCI, their MSIs by the GICv2m frame; RAM of huge pages.
case_pci()
{
	disk_and_rng -m 256M,hugepages=2M
	fact_is msis 5
	fact_is lpis 0
	grep -q 'MSIs: GICv2m frame in pinvm' /log || wrong "-v does not say who takes MSIs"
}

case_mmio()
{
	disk_and_rng -m 256M --transport mmio
	fact_is msis 0
}

# A guest that pings its host over a tap.
case_net()
{
	tunctl -t tap0 >/dev/null
	ip addr add 10.0.2.1/24 dev tap0
	ip link set tap0 up
	boot 0 net -m 256M -c 2 -N tap=tap0 "$@"
	fact_is pings 3
	tunctl -d tap0 >/dev/null
}

case_reset()
{
	boot 8 reset -m 256M
}

# The guest's clock is the host's, to the seconds that the boot takes, and half a one: Linux takes a second of the RTC's to be
# half over.
case_clock()
{
	before=$(date +%s)
	boot 0 look -m 256M
	after=$(($(date +%s) + 1))
	clock=$(fact clock)
	if [ "${clock:-0}" -lt "$before" ] || [ "$clock" -gt "$after" ]; then
		wrong "not $before <= $clock <= $after"
	fi
}

# A request to stop is a press of the button. Cloud kernels have no driver for it; then the grace time ends the guest.
stopped()	# STATUS OPTIONS...
{
	wanted=$1
	shift
	: >/serial
	pinvm run "$image" -i "$initrd" -p "console=ttyS0 quiet panic=-1 do=wait" -m 512M --timeout 240 --serial file=/serial \
		--report /report -v "$@" >/log 2>&1 &
	pid=$!
	until grep -q 'fact: waits' /serial || ! kill -0 $pid; do
		sleep 0.2
	done
	kill $pid
	wait $pid
	is "exit status" "$wanted" $?
}

case_button()
{
	image=/boot/Image-full initrd=/boot/initrd-full
	stopped 0 --grace 60
	image=/boot/Image initrd=/boot/initrd
	fact_is button " 0001 0074 0001 0000" # EV_KEY, KEY_POWER, pressed
}

case_stop()
{
	stopped 14 --grace 1
}

# Stock kernels have no way to say it: panic= makes a reset of it.
case_panic()
{
	boot 8 panic -m 256M
	grep -q 'Kernel panic' /serial || wrong "no panic on the serial port"
}

# What cannot go on leaves its registers in the log.
case_crash()
{
	: >/serial
	pinvm run /boot/crash --timeout 240 --serial file=/serial --report /report >/log 2>&1
	is "exit status" 12 $?
	grep -q 'touched 0x1000000,' /log || wrong "where it went is not said"
	grep -q 'x4  .* x7  0000000000001234' /log || wrong "no register x7"
	grep -q ' pc 0000000040000048 ' /log || wrong "no program counter"
}

# What needs no Linux: a guest of our own.
case_bare()
{
	: >/serial
	sh /guest/run pinvm /guest >/log 2>&1 || wrong "$(grep FAILED /log)"
	grep -q '^[1-9][0-9]* passed, 0 failed, 0 skipped' /log || wrong "it did not run"
}

case_restart()
{
	dd if=/dev/zero of=/img bs=4k count=1 2>/dev/null
	boot 0 again -m 256M -c 2 -d /img --on-reset restart
	fact_is life second
	grep -q '"restarts": 1' /report || wrong "the report does not speak of one restart"
}

# Both can be hidden; they can be demanded where the host has them, and are refused elsewhere.
case_features()
{
	boot 0 look -m 256M -c 1,-sve,-paca --pmu on --kvm steal-time=off
	fact_is stolen 0
	fact_is sve 0
	fact_is pac 0
	fact_is counters 1
	case $cpu in
	max*)
		boot 0 look -m 256M -c 1,+sve,+paca --pmu off
		fact_is sve 1
		fact_is pac 1
		fact_is counters 0 ;;
	*)
		boot 4 look -m 256M -c 1,+sve
		boot 4 look -m 256M -c 1,+paca ;;
	esac
}

case_gzip()
{
	gzip -1 -c /boot/Image >/Image.gz
	image=/Image.gz
	boot 0 look -m 256M
	image=/boot/Image
	fact_is kernel "$(uname -r)"
}

case_refused()
{
	: >/serial
	head -c 262144 /boot/Image | gzip -c | head -c 65536 >/cut.gz
	pinvm run /cut.gz >/log 2>&1
	is "status of half a gzip file" 4 $?
	pinvm run /boot/initrd >/log 2>&1
	is "status of what is no kernel" 4 $?
	pinvm run /boot/Image --debug-exit >/log 2>&1
	is "status of --debug-exit" 2 $?
	pinvm run /boot/Image -m 16M >/log 2>&1
	is "status of too little memory" 4 $?
}

# Cycles while it boots, of the guest and of its host apart, by the host's own counters.
case_perf()
{
	: >/serial
	pinvm run "$image" -i "$initrd" -p "console=ttyS0 quiet panic=-1 do=wait" -m 256M -n perf --timeout 240 --grace 1 \
		--serial file=/serial >/log 2>&1 &
	pid=$!
	until pinvm list | grep -q '^perf .* running ' || ! kill -0 $pid; do
		sleep 0.2
	done
	pinvm perf perf stat -i 3s -c 1 >/perf 2>>/log
	is "status of perf stat" 0 $?
	cycles=$(sed -n 's/^  cycles  *\([0-9][0-9,]*\)  *\([0-9][0-9,]*\).*/\1 \2/p' /perf)
	case " $cycles" in
	' ' | ' 0 '* | *' 0') wrong "cycles of guest and host: '$cycles'" ;;
	esac
	grep -q '^  context-switches' /perf || wrong "no context switches"
	cat /perf >>/log
	kill $pid
	wait $pid
	is "exit status" 14 $?
}

# MSIs by the ITS in KVM: each device's go where the guest wants them, also after a reset. A GICv2 has none.
case_its()
{
	if [ "$gic" = 2 ]; then
		pinvm run /boot/Image --irqchip its --serial off >/log 2>&1
		is "status of --irqchip its" 4 $?
		is "lines" 1 "$(wc -l </log)"
		grep -q -e '--irqchip its: .* GICv2; leave the option out' /log || wrong "it is not said why"
		return
	fi
	tunctl -t tap0 >/dev/null
	ip addr add 10.0.2.1/24 dev tap0
	ip link set tap0 up
	dd if=/dev/zero of=/img bs=1M count=2 2>/dev/null
	boot 0 traffic -m 256M -c 2 -d /img,queues=2 -N tap=tap0 --irqchip its
	fact_is disk ''
	sum=$(sha256sum /img)
	fact_is sum "${sum%% *}"
	fact_is pings 3
	fact_is msis 0
	fact_is lpis 6 # two devices, two queues and the configuration of each
	grep -q 'interrupts: GICv3 in KVM; MSIs: ITS in KVM' /log || wrong "-v does not say so"
	grep -q '"msi": "ITS in KVM"' /report || wrong "the report does not say so"
	boot 0 again -m 256M -c 2 -d /img,queues=2 -N tap=tap0 --irqchip its --on-reset restart
	fact_is life second
	fact_is lpis 6
	tunctl -d tap0 >/dev/null
}

# shellcheck source=tests/lab/arm64/load.sh
. /load.sh
echo 160 >/proc/sys/vm/nr_hugepages
read -r tests </tests
for t in $tests; do
	run "$t"
done
[ $failed = 0 ]
