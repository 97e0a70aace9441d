# shellcheck shell=sh disable=SC2034,SC2154
# SPDX-License-Identifier: Apache-2.0
#
# pci.sh: the PCI bus as a guest finds it, its BARs that move, its MSI-X that are masked.

case_pci()
{
	disk disk 64k
	disk disk2 64k
	guest pci devices=3 -d "$tmp/disk" -d "$tmp/disk2" --rng
	success
}

case_pci_move()
{
	disk disk 64k
	few=$(exits_of blk 'move count=20' -d "$tmp/disk") || exit $?
	many=$(exits_of blk 'move count=520' -d "$tmp/disk") || exit $?
	[ $((many - few)) -lt 50 ] || bad "kicks at the new address leave the kernel: $few and $many exits"
}

case_msix_masked() { disk disk 64k; guest blk masked -d "$tmp/disk"; success; }
