/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The address map of an x86 guest: where RAM, tables, registers and pins are. Only numbers, because the ASL compiler
 * reads this file too.
 */
#ifndef PINVM_X86_LAYOUT_H
#define PINVM_X86_LAYOUT_H

/* RAM: [0, RAM_LOW_MAX) and from RAM_HIGH up. */
#define RAM_LOW_MAX 0xC0000000
#define RAM_HIGH    0x100000000

/* Below 1 MiB. E820 calls [EBDA, 1 MiB) reserved. */
#define ADDR_GDT        0x1000
#define ADDR_START_INFO 0x6000 /* PVH hvm_start_info, module list and memory map; Multiboot information */
#define ADDR_ZERO_PAGE  0x7000 /* struct boot_params */
#define ADDR_SETUP_DATA 0x8000 /* list of struct setup_data */
#define ADDR_PML4       0x9000 /* page tables for the 64-bit entry: 9000..ffff */
#define ADDR_CMDLINE    0x20000
#define CMDLINE_MAX     0x10000 /* bytes, NUL included */
#define ADDR_EBDA       0x9FC00
#define ADDR_RSDP       0xE0000
#define ADDR_ACPI       0xE0100
#define ADDR_ACPI_END   0xFFFF0
#define ADDR_BIOS_RESET 0xFFFF0 /* where a jump to the BIOS's reset vector, F000:FFF0, arrives */
#define ADDR_KERNEL     0x100000

/* PCI */
#define PCI_MEM32_BASE 0xC0000000
#define PCI_MEM32_SIZE 0x20000000
#define PCI_ECAM_BASE  0xE0000000
#define PCI_ECAM_SIZE  0x100000    /* bus 0 */
#define PCI_MEM64_SIZE 0x1000000000 /* its base depends on RAM: arch_pci_layout(); smaller where it does not fit, */
#define PCI_MEM64_MIN  0x40000000   /* but not below this */

/* Platform registers */
#define MMIO_PLATFORM      0xFE000000
#define MMIO_PLATFORM_SIZE 0x100000
#define MMIO_SLOT_SIZE     0x1000     /* virtio-mmio devices, one behind the other from MMIO_PLATFORM */
#define IOAPIC_BASE        0xFEC00000
#define IOAPIC_SIZE        0x1000
#define IOAPIC_PINS        24
#define LAPIC_BASE         0xFEE00000
#define TSS_ADDR           0xFEFFD000 /* three pages for KVM_SET_TSS_ADDR */
#define IDENTITY_MAP_ADDR  0xFEFFC000

/* Port I/O */
#define PIO_SERIAL      0x3F8
#define PIO_PCI         0xCF8
#define PIO_DEBUG_EXIT  0xF4
#define PIO_PVPANIC     0x505
#define PIO_SLEEP_CTL   0x600
#define PIO_SLEEP_STS   0x601
#define PIO_RESET       0x604
#define PIO_GED         0x608

/* IOAPIC pins = GSIs */
#define PIN_SERIAL 4
#define PIN_GED    9

/* virtio-mmio has the pins that nothing else ever had on a PC first: 10 to 23, then 5 to 7 (not 0 to 3 and 8). */
#define MMIO_SLOTS         17
#define MMIO_PIN_FIRST     10
#define MMIO_PIN_REST      5
#define MMIO_SLOTS_FIRST   14

#endif
