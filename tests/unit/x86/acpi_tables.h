/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of ACPI tables share: building them into `buf`, and finding them there whole and correct. */
#ifndef PINVM_TESTS_ACPI_TABLES_H
#define PINVM_TESTS_ACPI_TABLES_H

#include <string.h>

#include "arch/x86/acpi.h"
#include "arch/x86/layout.h"
#include "tests/unit/unit.h"

static uint8_t buf[ADDR_ACPI_END - ADDR_RSDP];

static const struct pci_layout layout = {
	.ecam = PCI_ECAM_BASE,
	.ecam_size = PCI_ECAM_SIZE,
	.mem32 = PCI_MEM32_BASE,
	.mem32_size = PCI_MEM32_SIZE,
	.mem64 = 0x2000000000,
	.mem64_size = PCI_MEM64_SIZE,
	.mech1 = true,
};

static inline int build(const struct cpu_config *cpus, bool serial)
{
	struct acpi_params params = {.cpus = cpus, .pci = layout, .serial = serial};

	return acpi_build(&params, ADDR_RSDP, buf, sizeof(buf));
}

/* A guest without PCI, and with that many devices behind virtio-mmio. */
static inline int build_mmio(const struct cpu_config *cpus, unsigned devices)
{
	struct acpi_params params = {.cpus = cpus, .mmio = devices, .serial = true};

	return acpi_build(&params, ADDR_RSDP, buf, sizeof(buf));
}

static inline uint8_t sum(const void *p, size_t len)
{
	const uint8_t *b = p;
	uint8_t s = 0;

	while (len--)
		s += *b++;
	return s;
}

/* The table at a guest-physical address, whole and correct; used: bytes that acpi_build() wrote. */
static inline const struct acpi_header *table_at(uint64_t gpa, int used)
{
	const struct acpi_header *h;

	ck_assert_uint_ge(gpa, ADDR_ACPI);
	ck_assert_uint_le(gpa + sizeof(*h), ADDR_RSDP + used);
	ck_assert_uint_eq(gpa % 16, 0);
	h = (const void *)(buf + (gpa - ADDR_RSDP));
	ck_assert_uint_ge(h->length, sizeof(*h));
	ck_assert_uint_le(gpa + h->length, ADDR_RSDP + used);
	ck_assert_msg(!sum(h, h->length), "checksum of %.4s", h->signature);
	return h;
}

static inline const struct acpi_header *root(int used)
{
	const struct acpi_rsdp *rsdp = (const void *)buf;

	ck_assert_int_gt(used, 0);
	ck_assert_mem_eq(rsdp->signature, "RSD PTR ", 8);
	ck_assert_uint_eq(rsdp->revision, 2);
	ck_assert_uint_eq(rsdp->length, sizeof(*rsdp));
	ck_assert_uint_eq(sum(rsdp, 20), 0);
	ck_assert_uint_eq(sum(rsdp, sizeof(*rsdp)), 0);
	return table_at(rsdp->xsdt, used);
}

/* Follows RSDP and XSDT; a table that is listed is listed exactly once. NULL: it is not. */
static inline const void *lookup(const char *signature, int used)
{
	const struct acpi_header *xsdt = root(used), *found = NULL;

	ck_assert_mem_eq(xsdt->signature, "XSDT", 4);
	for (size_t off = sizeof(*xsdt); off < xsdt->length; off += 8) {
		const struct acpi_header *h;
		uint64_t gpa;

		memcpy(&gpa, (const uint8_t *)xsdt + off, sizeof(gpa));
		h = table_at(gpa, used);
		if (!memcmp(h->signature, signature, 4)) {
			ck_assert_ptr_null(found);
			found = h;
		}
	}
	return found;
}

static inline const void *find(const char *signature, int used)
{
	const void *found = lookup(signature, used);

	ck_assert_msg(found, "%s is not in the XSDT", signature);
	return found;
}

/* Three nodes; vCPU i in node i % 3 (so that node order is not vCPU order), the second node's RAM in two pieces. */
static inline void three_nodes(struct guest_nodes *nodes, unsigned ncpus)
{
	*nodes = (struct guest_nodes){
		.n = 3,
		.nranges = 4,
		.range = {{0, 1ULL << 31, 0}, {1ULL << 31, 1ULL << 30, 1}, {1ULL << 32, 1ULL << 30, 1},
			{5ULL << 30, 4096, 2}},
		.distance = {{10, 21, 31}, {22, 10, 32}, {254, 11, 10}},
	};
	for (unsigned i = 0; i < ncpus; i++)
		nodes->node_of_vcpu[i] = i % 3;
}

static inline int build_nodes(const struct cpu_config *cpus, const struct guest_nodes *nodes)
{
	struct acpi_params params = {.cpus = cpus, .pci = layout, .serial = true, .nodes = nodes};

	return acpi_build(&params, ADDR_RSDP, buf, sizeof(buf));
}

#endif
