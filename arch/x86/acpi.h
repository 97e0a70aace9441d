/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ACPI tables of a guest (ACPI specification 6.4; chapter 5 for the formats), built into plain memory
 * from plain parameters. Main, before the guest runs.
 */
#ifndef PINVM_X86_ACPI_H
#define PINVM_X86_ACPI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "devices/pci.h"
#include "vmm/config.h"
#include "vmm/memory/nodes.h"

struct acpi_params {
	const struct cpu_config *cpus;
	struct pci_layout pci;		 /* ecam_size 0: no PCI */
	unsigned mmio;			 /* slots of virtio-mmio that have a device, from the first on */
	bool serial;			 /* there is a serial port */
	const struct guest_nodes *nodes; /* NULL, or none in it: no SRAT and no SLIT */
};

/*
 * Write RSDP and all tables to buf, whose size bytes the guest finds at gpa (paragraph-aligned): the RSDP
 * first, the tables from ACPI_TABLES on. What lies behind the last table stays as it is.
 * Returns the number of bytes used, -ENOSPC when size is too small, -EINVAL when the compiled DSDT does not
 * have the names that are to be filled in.
 */
int acpi_build(const struct acpi_params *params, uint64_t gpa, void *buf, size_t size);

#define ACPI_TABLES 0x100 /* offset of the first table behind the RSDP */

/* Root pointer, section 5.2.5.3. */
struct acpi_rsdp {
	char signature[8];
	uint8_t checksum; /* of the first 20 bytes */
	char oem_id[6];
	uint8_t revision;
	uint32_t rsdt;
	uint32_t length;
	uint64_t xsdt;
	uint8_t ext_checksum; /* of all */
	uint8_t reserved[3];
} __attribute__((packed));

/* Section 5.2.6. */
struct acpi_header {
	char signature[4];
	uint32_t length; /* of the table, header included */
	uint8_t revision;
	uint8_t checksum; /* makes the sum of all bytes 0 */
	char oem_id[6];
	char oem_table_id[8];
	uint32_t oem_revision;
	char creator_id[4];
	uint32_t creator_revision;
} __attribute__((packed));

/* Generic address structure, section 5.2.3.2. */
struct acpi_gas {
	uint8_t space; /* 1: system I/O */
	uint8_t bit_width, bit_offset;
	uint8_t access; /* 1: byte */
	uint64_t address;
} __attribute__((packed));

/* Section 5.2.9. */
struct acpi_fadt {
	struct acpi_header h;
	uint32_t facs;
	uint32_t dsdt;
	uint8_t reserved0;
	uint8_t pm_profile;
	uint8_t fixed_hw[62]; /* SCI, SMI, PM and GPE blocks, C states, RTC: none with HW_REDUCED_ACPI */
	uint8_t century;
	uint16_t boot_arch;
	uint8_t reserved1;
	uint32_t flags;
	struct acpi_gas reset_reg;
	uint8_t reset_value;
	uint16_t arm_boot_arch;
	uint8_t minor;
	uint64_t x_facs;
	uint64_t x_dsdt;
	struct acpi_gas x_fixed_hw[8];
	struct acpi_gas sleep_control;
	struct acpi_gas sleep_status;
	char hypervisor[8];
} __attribute__((packed));

#define FADT_BOOT_LEGACY_DEVICES (1 << 0)
#define FADT_BOOT_8042		 (1 << 1)
#define FADT_BOOT_NO_VGA	 (1 << 2)
#define FADT_BOOT_NO_MSI	 (1 << 3)
#define FADT_BOOT_NO_CMOS_RTC	 (1 << 5)

#define FADT_WBINVD	   (1u << 0)
#define FADT_PROC_C1	   (1u << 2)
#define FADT_NO_PWR_BUTTON (1u << 4) /* no fixed-feature one: it is a device */
#define FADT_NO_SLP_BUTTON (1u << 5)
#define FADT_RESET_REG_SUP (1u << 10)
#define FADT_HW_REDUCED	   (1u << 20)

/* Section 5.2.12: the header, then entries of different kinds. */
struct acpi_madt {
	struct acpi_header h;
	uint32_t lapic;
	uint32_t flags; /* bit 0, PCAT_COMPAT: two 8259s. There are none. */
} __attribute__((packed));

enum { MADT_LAPIC = 0, MADT_IOAPIC = 1, MADT_X2APIC = 9 };

#define MADT_ENABLED 1u

struct madt_lapic {
	uint8_t type, length;
	uint8_t uid, apic_id;
	uint32_t flags;
} __attribute__((packed));

struct madt_ioapic {
	uint8_t type, length;
	uint8_t id, reserved;
	uint32_t address;
	uint32_t gsi_base;
} __attribute__((packed));

struct madt_x2apic {
	uint8_t type, length;
	uint16_t reserved;
	uint32_t apic_id;
	uint32_t flags;
	uint32_t uid;
} __attribute__((packed));

/* Section 5.2.16: the header, then entries of different kinds. */
struct acpi_srat {
	struct acpi_header h;
	uint32_t reserved0; /* 1 */
	uint8_t reserved1[8];
} __attribute__((packed));

enum { SRAT_LAPIC = 0, SRAT_MEMORY = 1, SRAT_X2APIC = 2 };

#define SRAT_ENABLED 1u

struct srat_lapic {
	uint8_t type, length;
	uint8_t domain_low; /* bits 0 to 7 of the proximity domain */
	uint8_t apic_id;
	uint32_t flags;
	uint8_t sapic_eid;
	uint8_t domain_high[3]; /* bits 8 to 31 */
	uint32_t clock_domain;
} __attribute__((packed));

struct srat_memory {
	uint8_t type, length;
	uint32_t domain;
	uint16_t reserved0;
	uint64_t base, size; /* bytes */
	uint32_t reserved1;
	uint32_t flags;
	uint64_t reserved2;
} __attribute__((packed));

struct srat_x2apic {
	uint8_t type, length;
	uint16_t reserved0;
	uint32_t domain;
	uint32_t apic_id;
	uint32_t flags;
	uint32_t clock_domain;
	uint32_t reserved1;
} __attribute__((packed));

/* Section 5.2.17: the header, then a byte for each pair of domains, row by row. */
struct acpi_slit {
	struct acpi_header h;
	uint64_t domains;
} __attribute__((packed));

/* PCI Firmware Specification 3.3, section 4.1.2: one range is all there is. */
struct acpi_mcfg {
	struct acpi_header h;
	uint8_t reserved[8];
	uint64_t base;
	uint16_t segment;
	uint8_t first_bus, last_bus;
	uint32_t reserved1;
} __attribute__((packed));

#endif
