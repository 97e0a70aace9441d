// SPDX-License-Identifier: Apache-2.0
/* ACPI tables; see acpi.h. Main, before the guest runs. */
#include "arch/x86/acpi.h"

#include <errno.h>
#include <string.h>

#include "arch/x86/cpuid.h"
#include "arch/x86/layout.h"
#include "devices/power.h"
#include "vmm/util.h"
#include "dsdt.h" /* dsdt_aml_code[], compiled from dsdt.asl */

_Static_assert(sizeof(struct acpi_rsdp) == 36, "ACPI 5.2.5.3");
_Static_assert(sizeof(struct acpi_fadt) == 276, "ACPI 5.2.9");
_Static_assert(sizeof(struct acpi_mcfg) == 60, "PCI firmware specification 4.1.2");
_Static_assert(sizeof(struct acpi_srat) == 48 && sizeof(struct srat_lapic) == 16 && sizeof(struct srat_memory) == 40 &&
		       sizeof(struct srat_x2apic) == 24,
	"ACPI 5.2.16");
_Static_assert(sizeof(struct acpi_slit) == 44, "ACPI 5.2.17");
_Static_assert(PIO_SLEEP_STS == PIO_SLEEP_CTL + POWER_SLEEP_STS && PIO_RESET == PIO_SLEEP_CTL + POWER_RESET &&
		       PIO_GED == PIO_SLEEP_CTL + POWER_GED,
	"the power block is one range");

#define OEM_ID	     "PINVM "
#define OEM_TABLE_ID "PINVM   "
#define MAX_TABLES   8

/* Tables laid one behind the other. A table that does not fit sets `full`, and nothing more is written. */
struct builder {
	uint8_t *buf;
	uint64_t gpa; /* of buf */
	size_t size, used;
	bool full;
	uint64_t xsdt[MAX_TABLES]; /* gpa of the tables the XSDT lists */
	unsigned n;
};

static uint8_t checksum(const uint8_t *p, size_t len)
{
	uint8_t sum = 0;

	while (len--)
		sum += *p++;
	return -sum;
}

static void put(struct builder *b, const void *src, size_t len)
{
	if (b->full || len > b->size - b->used) {
		b->full = true;
		return;
	}
	memcpy(b->buf + b->used, src, len);
	b->used += len;
}

/* Start a table with its fixed part, whose header gets the common fields. Returns the table's offset. */
static size_t table_begin(struct builder *b, const char *signature, uint8_t revision, void *fixed, size_t len)
{
	struct acpi_header *h = fixed;
	size_t aligned = (b->used + 15) & ~(size_t)15;

	*h = (struct acpi_header){.revision = revision, .oem_revision = 1, .creator_revision = 1};
	memcpy(h->signature, signature, sizeof(h->signature));
	memcpy(h->oem_id, OEM_ID, sizeof(h->oem_id));
	memcpy(h->oem_table_id, OEM_TABLE_ID, sizeof(h->oem_table_id));
	memcpy(h->creator_id, OEM_ID, sizeof(h->creator_id));
	put(b, (uint8_t[16]){0}, aligned - b->used);
	put(b, fixed, len);
	return aligned;
}

/* The table from offset `at` to here is complete: length and checksum. Returns its guest-physical address. */
static uint64_t table_end(struct builder *b, size_t at)
{
	struct acpi_header h;

	if (b->full)
		return 0;
	memcpy(&h, b->buf + at, sizeof(h));
	h.length = b->used - at;
	h.checksum = 0;
	memcpy(b->buf + at, &h, sizeof(h));
	h.checksum = checksum(b->buf + at, h.length);
	memcpy(b->buf + at, &h, sizeof(h));
	return b->gpa + at;
}

static void list(struct builder *b, uint64_t table)
{
	if (b->n == MAX_TABLES)
		b->full = true;
	else
		b->xsdt[b->n++] = table;
}

/* Give the object Name (seg, 64-bit integer) in AML its value. -EINVAL unless it is there exactly once. */
static int aml_set(uint8_t *aml, size_t len, const char *seg, uint64_t value)
{
	enum { NAME_OP = 0x08, QWORD_PREFIX = 0x0e, PATTERN = 6 };
	uint8_t pattern[PATTERN] = {NAME_OP, seg[0], seg[1], seg[2], seg[3], QWORD_PREFIX};
	uint8_t *found = NULL;

	for (size_t i = 0; i + PATTERN + sizeof(value) <= len; i++) {
		if (memcmp(aml + i, pattern, PATTERN))
			continue;
		if (found)
			return -EINVAL;
		found = aml + i + PATTERN;
	}
	if (!found)
		return -EINVAL;
	memcpy(found, &value, sizeof(value));
	return 0;
}

/* The compiled board with the values that depend on the configuration. */
static int put_dsdt(struct builder *b, const struct acpi_params *params, uint64_t *gpa)
{
	const struct {
		const char *seg;
		uint64_t value;
	} set[] = {
		{"M32B", params->pci.mem32},
		{"M32S", params->pci.mem32_size},
		{"M64B", params->pci.mem64},
		{"M64S", params->pci.mem64_size},
		{"UART", params->serial},
		{"PCIE", params->pci.ecam_size != 0},
		{"VMIO", params->mmio},
	};
	uint8_t aml[sizeof(dsdt_aml_code)];
	const struct acpi_header *h;
	size_t at;
	int err = 0;

	memcpy(aml, dsdt_aml_code, sizeof(aml));
	h = (const struct acpi_header *)aml;
	for (size_t i = 0; i < COUNT(set) && !err; i++)
		err = aml_set(aml, sizeof(aml), set[i].seg, set[i].value);
	if (err)
		return err;
	at = table_begin(b, "DSDT", h->revision, aml, sizeof(aml));
	*gpa = table_end(b, at);
	return 0;
}

static struct acpi_gas io_byte(uint16_t port)
{
	return (struct acpi_gas){.space = 1, .bit_width = 8, .access = 1, .address = port};
}

static void put_fadt(struct builder *b, const struct acpi_params *params, uint64_t dsdt)
{
	struct acpi_fadt fadt = {
		.dsdt = dsdt,
		.x_dsdt = dsdt,
		.pm_profile = 4, /* enterprise server */
		.boot_arch = FADT_BOOT_NO_VGA | FADT_BOOT_NO_CMOS_RTC |
			     (params->serial ? FADT_BOOT_LEGACY_DEVICES : 0),
		.flags = FADT_WBINVD | FADT_PROC_C1 | FADT_NO_PWR_BUTTON | FADT_NO_SLP_BUTTON |
			 FADT_RESET_REG_SUP | FADT_HW_REDUCED,
		.reset_reg = io_byte(PIO_RESET),
		.reset_value = POWER_RESET_VALUE,
		.minor = 4,
		.sleep_control = io_byte(PIO_SLEEP_CTL),
		.sleep_status = io_byte(PIO_SLEEP_STS),
		.hypervisor = "PINVM",
	};

	list(b, table_end(b, table_begin(b, "FACP", 6, &fadt, sizeof(fadt))));
}

/* An id that fits goes into a local APIC entry, the others into x2APIC entries (255 means "all" to an xAPIC).
 */
static void put_cpu(struct builder *b, uint32_t uid, uint32_t apic_id)
{
	if (apic_id < 255) {
		struct madt_lapic e = {MADT_LAPIC, sizeof(e), uid, apic_id, MADT_ENABLED};

		put(b, &e, sizeof(e));
	} else {
		struct madt_x2apic e = {MADT_X2APIC, sizeof(e), 0, apic_id, MADT_ENABLED, uid};

		put(b, &e, sizeof(e));
	}
}

static void put_madt(struct builder *b, const struct acpi_params *params)
{
	struct acpi_madt madt = {.lapic = LAPIC_BASE};
	struct madt_ioapic ioapic = {MADT_IOAPIC, sizeof(ioapic), .address = IOAPIC_BASE};
	size_t at = table_begin(b, "APIC", 5, &madt, sizeof(madt));

	for (unsigned i = 0; i < params->cpus->count; i++)
		put_cpu(b, i, x86_apic_id(params->cpus, i));
	put(b, &ioapic, sizeof(ioapic));
	list(b, table_end(b, at));
}

static void put_mcfg(struct builder *b, const struct acpi_params *params)
{
	struct acpi_mcfg mcfg = {
		.base = params->pci.ecam, .last_bus = params->pci.ecam_size / 0x100000 - 1, /* 1 MiB a bus */
	};

	list(b, table_end(b, table_begin(b, "MCFG", 1, &mcfg, sizeof(mcfg))));
}

/* The node of a CPU, by the same kind of entry as in the MADT. */
static void put_cpu_node(struct builder *b, uint32_t node, uint32_t apic_id)
{
	if (apic_id < 255) {
		struct srat_lapic e = {SRAT_LAPIC, sizeof(e), node, apic_id, SRAT_ENABLED,
			.domain_high = {node >> 8, node >> 16, node >> 24}};

		put(b, &e, sizeof(e));
	} else {
		struct srat_x2apic e = {SRAT_X2APIC, sizeof(e), 0, node, apic_id, SRAT_ENABLED};

		put(b, &e, sizeof(e));
	}
}

/* Node by node: Linux numbers its nodes in the order in which it meets them here. */
static void put_srat(struct builder *b, const struct acpi_params *params)
{
	const struct guest_nodes *nodes = params->nodes;
	struct acpi_srat srat = {.reserved0 = 1};
	size_t at = table_begin(b, "SRAT", 3, &srat, sizeof(srat));

	for (unsigned n = 0; n < nodes->n; n++)
		for (unsigned i = 0; i < params->cpus->count; i++)
			if (nodes->node_of_vcpu[i] == n)
				put_cpu_node(b, n, x86_apic_id(params->cpus, i));
	for (unsigned i = 0; i < nodes->nranges; i++) {
		const struct node_range *r = &nodes->range[i];
		struct srat_memory e = {SRAT_MEMORY, sizeof(e), r->node, .base = r->gpa, .size = r->size,
			.flags = SRAT_ENABLED};

		put(b, &e, sizeof(e));
	}
	list(b, table_end(b, at));
}

static void put_slit(struct builder *b, const struct guest_nodes *nodes)
{
	struct acpi_slit slit = {.domains = nodes->n};
	size_t at = table_begin(b, "SLIT", 1, &slit, sizeof(slit));

	for (unsigned n = 0; n < nodes->n; n++)
		put(b, nodes->distance[n], nodes->n);
	list(b, table_end(b, at));
}

static uint64_t put_xsdt(struct builder *b)
{
	struct acpi_header h;
	size_t at = table_begin(b, "XSDT", 1, &h, sizeof(h));

	put(b, b->xsdt, b->n * sizeof(b->xsdt[0]));
	return table_end(b, at);
}

static void put_rsdp(struct builder *b, uint64_t xsdt)
{
	struct acpi_rsdp rsdp = {.revision = 2, .length = sizeof(rsdp), .xsdt = xsdt};

	memcpy(rsdp.signature, "RSD PTR ", sizeof(rsdp.signature));
	memcpy(rsdp.oem_id, OEM_ID, sizeof(rsdp.oem_id));
	rsdp.checksum = checksum((uint8_t *)&rsdp, 20);
	rsdp.ext_checksum = checksum((uint8_t *)&rsdp, sizeof(rsdp));
	memcpy(b->buf, &rsdp, sizeof(rsdp));
}

int acpi_build(const struct acpi_params *params, uint64_t gpa, void *buf, size_t size)
{
	struct builder b = {.buf = buf, .gpa = gpa, .size = size, .used = ACPI_TABLES};
	uint64_t dsdt, xsdt;
	int err;

	if (size < ACPI_TABLES)
		return -ENOSPC;
	memset(buf, 0, ACPI_TABLES);
	err = put_dsdt(&b, params, &dsdt);
	if (err)
		return err;
	put_fadt(&b, params, dsdt);
	put_madt(&b, params);
	if (params->pci.ecam_size)
		put_mcfg(&b, params);
	if (params->nodes && params->nodes->n) {
		put_srat(&b, params);
		put_slit(&b, params->nodes);
	}
	xsdt = put_xsdt(&b);
	if (b.full)
		return -ENOSPC;
	put_rsdp(&b, xsdt);
	return b.used;
}
