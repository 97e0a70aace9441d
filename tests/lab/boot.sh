# shellcheck shell=sh disable=SC2034,SC2154
# SPDX-License-Identifier: Apache-2.0
#
# boot.sh: the ways into a guest: bzImage, PVH, Multiboot.

tests='bzimage pvh multiboot initrd'
quick='pvh multiboot' # every other test boots a bzImage

hello()
{
	guest_does <<-'END'
		fact kernel "$(uname -r)"
		fact cmdline "$(cat /proc/cmdline)"
		off
	END
}

case_bzimage()
{
	hello
	words="lab.word=$$"
	boot 0
	report_is .boot_protocol linux64
	fact_is kernel "$(tools/kernel cloud version)"
	fact_is cmdline "console=ttyS0 quiet lab.word=$$"
}

# The same kernel, unpacked: its PVH note is the way in.
case_pvh()
{
	hello
	image=$(tools/kernel cloud vmlinux) || fail "cannot unpack the stock kernel"
	words="lab.word=$$"
	boot 0 -c 2
	report_is .boot_protocol pvh
	fact_is kernel "$(tools/kernel cloud version)"
	fact_is cmdline "console=ttyS0 quiet lab.word=$$"
}

case_multiboot()
{
	[ -f build/guest/hello.elf ] || skip "no build/guest/hello.elf: run make guests"
	hello
	image=build/guest/hello.elf
	boot 1 --debug-exit
	said SUCCESS || fail "no SUCCESS on the serial port"
	report_is .boot_protocol multiboot
}

# A large initrd arrives whole.
case_initrd()
{
	base=$fio_cpio
	guest_does <<-'END'
		fact sum "$(sum_of /usr/bin/fio)"
		off
	END
	boot 0 -m 1G
	fact_is sum "$(sum_of "$(readlink -f "$(command -v fio)")")"
}
