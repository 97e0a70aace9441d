/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The address map of an arm64 guest: where RAM, registers and pins are. Everything but RAM and the large PCI
 * window is in the first GiB.
 */
#ifndef PINVM_ARM64_LAYOUT_H
#define PINVM_ARM64_LAYOUT_H

#include <stdint.h>

struct guest_mem;
struct pci_layout;

#define RAM_BASE 0x40000000ULL

/* Platform registers */
#define MMIO_SERIAL    0x01000000ULL
#define MMIO_RTC       0x01010000ULL
#define MMIO_SLOT_BASE 0x02000000ULL /* virtio-mmio devices, one behind the other */
#define MMIO_SLOT_SIZE 0x1000ULL
#define MMIO_SLOTS     31

/*
 * GIC: distributor, then GICv2's CPU interface or GICv3's redistributors; GICv2m's frame under either, or GICv3's ITS:
 * a page of registers, and one that devices write their MSIs to.
 */
#define GIC_DIST	0x04000000ULL
#define GICV2_DIST_SIZE 0x1000ULL
#define GICV3_DIST_SIZE 0x10000ULL
#define GICV2_CPU	0x04010000ULL
#define GICV2_CPU_SIZE	0x2000ULL
#define GICV2_MAX_CPUS	8
#define GIC_REDIST	0x05000000ULL
#define GIC_REDIST_SIZE 0x20000ULL /* of each vCPU, up to 255 of them */
#define GICV2M		0x04020000ULL
#define GICV2M_SIZE	0x1000ULL
#define GIC_ITS		0x04040000ULL
#define GIC_ITS_SIZE	0x20000ULL
#define ITS_TRANSLATER	0x10040ULL

/* PCI */
#define PCI_MEM32_BASE 0x10000000ULL
#define PCI_MEM32_SIZE 0x20000000ULL
#define PCI_ECAM_BASE  0x3F000000ULL
#define PCI_ECAM_SIZE  0x100000ULL /* bus 0 */
#define PCI_MEM64_SIZE 0x1000000000ULL /* behind RAM: arm64_pci_layout(); smaller where it would widen addresses, */
#define PCI_MEM64_MIN  0x40000000ULL   /* but not below this */

/*
 * Interrupts. A pin is a shared peripheral interrupt (SPI) counted from 0, and the GSI of the same number;
 * the GIC itself counts from 32 (its INTIDs). Pins of the board come first, those of MSIs behind them.
 */
#define GIC_SPI_FIRST	32
#define PIN_SERIAL	0
#define PIN_POWER	1 /* the power button */
#define PIN_MMIO_FIRST	16
#define BOARD_PINS	64
#define MSI_PINS	448
#define GIC_INTIDS	(GIC_SPI_FIRST + BOARD_PINS + MSI_PINS)
#define MSI_INTID_FIRST (GIC_SPI_FIRST + BOARD_PINS)

/* Private peripheral interrupts (PPIs), counted from 0; the GIC counts from 16. */
#define GIC_PPI_FIRST	   16
#define PPI_TIMER_SECURE   13
#define PPI_TIMER_PHYSICAL 14
#define PPI_TIMER_VIRTUAL  11
#define PPI_TIMER_HYP	   10
#define PPI_PMU		   7

/*
 * The tail of RAM, as far as an initrd may be near to it: the device tree, then what KVM writes of each vCPU's stolen time
 * (64 bytes, Arm DEN 0057), reserved in the tree: in a page of 64K that holds nothing else, whatever pages the guest has
 * (Documentation/virt/kvm/arm/pvtime.rst). A power of two, so never across a multiple of 2 MiB.
 */
#define TAIL_SIZE   0x20000ULL
#define FDT_MAX	    0x10000ULL
#define PVTIME_SIZE (TAIL_SIZE - FDT_MAX)
#define PVTIME_EACH 64ULL
/* Linux wants kernel, initrd and device tree in one window of this size (Documentation/arm64/booting.rst). */
#define BOOT_WINDOW 0x800000000ULL

#define CMDLINE_MAX 2048 /* bytes, NUL included: Linux cuts off what is more */

/* layout.c: where the tail is; below RAM_BASE when there is no room for one. */
uint64_t arm64_tail(const struct guest_mem *mem);
/*
 * layout.c: bits of a guest-physical address: as few as reach RAM that ends at mem_top and a 64-bit PCI window behind it, since
 * wider ones may cost KVM's tables a level, and the guest a load more at each TLB miss. At most `most`, the host's own.
 */
unsigned arm64_ipa_bits(uint64_t mem_top, unsigned most);
/* layout.c: arch_pci_layout() on a host of `most` bits. */
void arm64_pci_layout(struct pci_layout *out, uint64_t mem_top, unsigned most);

#endif
