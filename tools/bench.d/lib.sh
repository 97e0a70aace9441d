# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
#
# lib.sh: what the metrics share. Each NN-NAME.sh beside it is run with B (the
# build directory), OUT (where to leave files) and FACTS (what the lab found)
# in its environment, and prints its results by row and value.

set -eu
export LC_ALL=C

# Words for pinvm's command line: the tap of this script's namespace, where there is one.
# shellcheck disable=SC2034
NET=${TAP:+-N tap=$TAP}

# One line of the table. VERDICT: met, MISSED, or - where nothing was measured.
row()	# ID METRIC DEFINITION MEASURED TARGET VERDICT PEER NOTE
{
	printf 'row\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$@"
}

# A number behind it, for the JSON.
value()	# ID NAME NUMBER
{
	printf 'value\t%s\t%s\t%s\n' "$@"
}

skip()	# ID METRIC DEFINITION TARGET REASON
{
	row "$1" "$2" "$3" 'not measured' "$4" - - "$5"
}

# met when the awk condition holds.
verdict()	# CONDITION
{
	if awk "BEGIN { exit !($1) }"; then echo met; else echo MISSED; fi
}

calc()	# EXPRESSION FORMAT
{
	awk "BEGIN { printf \"${2:-%.2f}\", $1 }"
}

# Least squares over lines "X Y": the slope.
slope()
{
	awk '{ n++; x += $1; y += $2; xx += $1 * $1; xy += $1 * $2 }
		END { d = n * xx - x * x; printf "%.2f", d ? (n * xy - x * y) / d : 0 }'
}

have_kvm()
{
	[ -r /dev/kvm ] && [ -w /dev/kvm ]
}

# What the lab found: the smallest of the values of that name.
fact()	# VMM NAME
{
	[ -f "$FACTS" ] || return 0
	awk -v v="$1" -v n="$2" '$1 == v && $2 == n && $3 != "" && (!seen++ || $3 < min) { min = $3 }
		END { if (seen) print min }' "$FACTS"
}

# A bare-metal guest under pinvm, bounded. The guest's output goes to OUT/guest.log.
guest()	# GUEST APPEND PINVM-ARGS...
{
	g=$1 append=$2
	shift 2
	# shellcheck disable=SC2086 # STRACE is words
	timeout -k 5 90 ${STRACE:-} "$B/pinvm" run -k "$B/guest/$g.elf" -p "$append" --timeout 60 "$@" \
		</dev/null >"$OUT/guest.log" 2>"$OUT/guest.err"
}

# The command line of QEMU with the machine that pinvm gets: 1 CPU, 256 MiB, one disk, the tap, serial on stdout. A host whose
# KVM has no hardware behind it lacks the CPU feature left out here.
qemu()	# MACHINE KERNEL APPEND
{
	bus=pci rom=,romfile=
	[ "$1" != microvm ] || bus=device rom=
	echo "qemu-system-x86_64 -accel kvm -cpu host,-arch-capabilities -M $1 -m 256M -smp 1 -nodefaults" \
		"-no-user-config -display none -no-reboot -name g,debug-threads=on -serial stdio" \
		"-kernel $2 -append $3 -drive id=d,if=none,format=raw,readonly=on,file=$OUT/disk.img -device virtio-blk-$bus,drive=d" \
		${TAP:+-netdev tap,id=n,ifname=$TAP,script=no,downscript=no -device virtio-net-$bus,netdev=n$rom}
}
