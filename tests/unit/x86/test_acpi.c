// SPDX-License-Identifier: Apache-2.0
/* ACPI tables: links, lengths, checksums, CPUs; and, where acpica-tools are installed, what ACPICA itself
 * says of them. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "arch/arch.h"
#include "arch/x86/cpuid.h"
#include "devices/power.h"
#include "devices/virtio/devs.h"
#include "dsdt.h"
#include "tests/unit/x86/acpi_tables.h"
#include "vmm/guest.h"
#include "vmm/log.h"

/* The value of Name (seg, QWORD) in the DSDT. */
static uint64_t aml_get(int used, const char *seg)
{
	const struct acpi_fadt *fadt = find("FACP", used);
	const struct acpi_header *dsdt = table_at(fadt->x_dsdt, used);
	char pattern[7];
	const uint8_t *p;
	uint64_t value;

	snprintf(pattern, sizeof(pattern), "\x08%s\x0e", seg);
	p = memmem(dsdt, dsdt->length, pattern, 6);
	ck_assert_msg(p, "no %s in the DSDT", seg);
	memcpy(&value, p + 6, sizeof(value));
	return value;
}

START_TEST(layout_agrees)
{
	ck_assert_uint_eq(ADDR_ACPI, ADDR_RSDP + ACPI_TABLES);
}
END_TEST

START_TEST(fadt_is_hardware_reduced)
{
	struct cpu_config cpus = {.count = 1};
	int used = build(&cpus, true);
	const struct acpi_fadt *fadt = find("FACP", used);
	const struct acpi_header *dsdt = table_at(fadt->x_dsdt, used);

	ck_assert_mem_eq(dsdt->signature, "DSDT", 4);
	ck_assert_uint_eq(fadt->dsdt, fadt->x_dsdt);
	ck_assert_uint_eq(fadt->h.revision, 6);
	ck_assert_uint_eq(fadt->h.length, 276);
	ck_assert_uint_eq(
		fadt->flags & (FADT_HW_REDUCED | FADT_RESET_REG_SUP), FADT_HW_REDUCED | FADT_RESET_REG_SUP);
	ck_assert_uint_eq(fadt->boot_arch & (FADT_BOOT_8042 | FADT_BOOT_NO_MSI), 0);
	ck_assert_uint_eq(fadt->boot_arch & (FADT_BOOT_NO_VGA | FADT_BOOT_NO_CMOS_RTC),
		FADT_BOOT_NO_VGA | FADT_BOOT_NO_CMOS_RTC);
	ck_assert_uint_eq(fadt->reset_reg.space, 1);
	ck_assert_uint_eq(fadt->reset_reg.address, PIO_RESET);
	ck_assert_uint_eq(fadt->reset_value, POWER_RESET_VALUE);
	ck_assert_uint_eq(fadt->sleep_control.address, PIO_SLEEP_CTL);
	ck_assert_uint_eq(fadt->sleep_status.address, PIO_SLEEP_STS);
	for (size_t i = 0; i < sizeof(fadt->fixed_hw); i++)
		ck_assert_msg(!fadt->fixed_hw[i], "there is no fixed hardware");
}
END_TEST

START_TEST(mcfg_is_bus_0)
{
	struct cpu_config cpus = {.count = 1};
	const struct acpi_mcfg *mcfg = find("MCFG", build(&cpus, true));

	ck_assert_uint_eq(mcfg->h.length, sizeof(*mcfg));
	ck_assert_uint_eq(mcfg->base, PCI_ECAM_BASE);
	ck_assert_uint_eq(mcfg->segment, 0);
	ck_assert_uint_eq(mcfg->first_bus, 0);
	ck_assert_uint_eq(mcfg->last_bus, 0);
}
END_TEST

/* One MADT entry for vCPU `uid`. */
static void check_cpu(const struct cpu_config *cpus, const uint8_t *e, unsigned uid)
{
	uint32_t id = x86_apic_id(cpus, uid);

	if (e[0] == MADT_LAPIC) {
		const struct madt_lapic *l = (const void *)e;

		ck_assert_uint_lt(id, 255);
		ck_assert_uint_eq(l->apic_id, id);
		ck_assert_uint_eq(l->uid, uid);
		ck_assert_uint_eq(l->flags, MADT_ENABLED);
	} else {
		const struct madt_x2apic *x = (const void *)e;

		ck_assert_uint_ge(id, 255);
		ck_assert_uint_eq(x->apic_id, id);
		ck_assert_uint_eq(x->uid, uid);
		ck_assert_uint_eq(x->flags, MADT_ENABLED);
	}
}

static void check_madt(const struct cpu_config *cpus)
{
	const struct acpi_madt *madt = find("APIC", build(cpus, true));
	const uint8_t *e = (const uint8_t *)(madt + 1), *end = (const uint8_t *)madt + madt->h.length;
	unsigned ncpus = 0, nioapics = 0;

	ck_assert_uint_eq(madt->lapic, LAPIC_BASE);
	ck_assert_msg(!madt->flags, "there are no 8259s");
	for (; e < end; e += e[1]) {
		ck_assert_uint_ge(e[1], 2);
		ck_assert_int_le(e[1], end - e);
		if (e[0] == MADT_IOAPIC) {
			const struct madt_ioapic *io = (const void *)e;

			ck_assert_uint_eq(io->address, IOAPIC_BASE);
			ck_assert_uint_eq(io->gsi_base, 0);
			nioapics++;
		} else {
			ck_assert(e[0] == MADT_LAPIC || e[0] == MADT_X2APIC);
			check_cpu(cpus, e, ncpus++);
		}
	}
	ck_assert_ptr_eq(e, end);
	ck_assert_uint_eq(nioapics, 1);
	ck_assert_uint_eq(ncpus, cpus->count);
}

START_TEST(madt_lists_every_cpu)
{
	static const unsigned counts[] = {1, 2, 8, 64, 255, 256, 288, 1024};

	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
		check_madt(&(struct cpu_config){.count = counts[i]});
	check_madt(&(struct cpu_config){.count = 288, .sockets = 4, .cores = 36, .threads = 2});
}
END_TEST

START_TEST(dsdt_gets_its_values)
{
	static const char *const names[] = {"M32B", "M32S", "M64B", "M64S", "UART", "PCIE", "VMIO"};
	struct cpu_config cpus = {.count = 1};
	int used = build(&cpus, true);

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const uint8_t *p = dsdt_aml_code, *end = p + sizeof(dsdt_aml_code);
		char pattern[7];
		unsigned n = 0;

		snprintf(pattern, sizeof(pattern), "\x08%s\x0e", names[i]);
		while ((p = memmem(p, end - p, pattern, 6))) {
			n++;
			p += 6;
		}
		ck_assert_msg(n == 1, "%s is defined %u times in the compiled DSDT", names[i], n);
	}
	ck_assert_uint_eq(aml_get(used, "M32B"), layout.mem32);
	ck_assert_uint_eq(aml_get(used, "M32S"), layout.mem32_size);
	ck_assert_uint_eq(aml_get(used, "M64B"), layout.mem64);
	ck_assert_uint_eq(aml_get(used, "M64S"), layout.mem64_size);
	ck_assert_uint_eq(aml_get(used, "UART"), 1);
	ck_assert_uint_eq(aml_get(used, "PCIE"), 1);
	ck_assert_uint_eq(aml_get(used, "VMIO"), 0);
	ck_assert_uint_eq(aml_get(build(&cpus, false), "UART"), 0);
	used = build_mmio(&cpus, 17);
	ck_assert_uint_eq(aml_get(used, "PCIE"), 0);
	ck_assert_uint_eq(aml_get(used, "VMIO"), 17);
	ck_assert_ptr_null(lookup("MCFG", used));
}
END_TEST

START_TEST(refuses_what_does_not_fit)
{
	struct cpu_config cpus = {.count = 255};
	struct guest_nodes nodes;
	struct acpi_params params = {.cpus = &cpus, .pci = layout, .serial = true, .nodes = &nodes};
	int used;

	three_nodes(&nodes, cpus.count);
	used = build_nodes(&cpus, &nodes);
	ck_assert_int_gt(used, 0);
	for (int size = 0; size < used; size++) {
		uint8_t *tight = malloc(size);

		ck_assert_int_eq(acpi_build(&params, ADDR_RSDP, tight, size), -ENOSPC);
		free(tight);
	}
	ck_assert_int_eq(acpi_build(&params, ADDR_RSDP, buf, used), used);
}
END_TEST

START_TEST(describes_into_guest_ram)
{
	static struct guest guest;
	struct guest_config cfg = {.cpus = {.count = 288}, .serial = SERIAL_OFF};
	uint8_t *ram = unit_ram(&guest.mem, 0, 2 << 20);
	const struct acpi_rsdp *rsdp = (const void *)(ram + ADDR_RSDP);

	guest.cfg = &cfg;
	memset(ram, 0xee, 2 << 20); /* as a guest that restarts may leave it */
	ck_assert_int_eq(pci_bus_create(&guest.pci, &guest.bus, &layout), 0);
	ck_assert_int_eq(arch_describe(&guest, NULL), 0);
	pci_bus_destroy(guest.pci);
	ck_assert_mem_eq(rsdp->signature, "RSD PTR ", 8);
	ck_assert_uint_eq(sum(rsdp, sizeof(*rsdp)), 0);
	ck_assert_uint_eq(sum(ram + rsdp->xsdt, sizeof(struct acpi_header) + 3 * sizeof(uint64_t)), 0);
	/* F000:FFF0 in real mode: mov $PIO_RESET, %dx; mov $1, %al; out %al, %dx */
	ck_assert_mem_eq(ram + 0xffff0, "\xba\x04\x06\xb0\x01\xee", 6);
	ck_assert_msg(ram[0x100000] == 0xee && ram[ADDR_RSDP - 1] == 0xee, "nothing outside its place");
}
END_TEST

START_TEST(describe_needs_its_ram)
{
	static struct guest guest;
	struct guest_config cfg = {.cpus = {.count = 1}};

	guest.cfg = &cfg;
	unit_ram(&guest.mem, 0, 0x80000);
	ck_assert_int_eq(log_open("/dev/null"), 0);
	ck_assert_int_lt(arch_describe(&guest, NULL), 0);
}
END_TEST

/* Write each table to a file in dir and run `command` there; its output, stderr included. */
static char *acpica(char *dir, int used, const char *command)
{
	static const char *const listed[] = {"FACP", "APIC", "MCFG", "SRAT", "SLIT"};
	static char out[65536];
	char line[512];
	size_t len;
	FILE *f;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	for (size_t i = 0; i <= sizeof(listed) / sizeof(listed[0]); i++) {
		const struct acpi_fadt *fadt = find("FACP", used);
		const struct acpi_header *h = i ? lookup(listed[i - 1], used) : table_at(fadt->x_dsdt, used);

		if (!h)
			continue;
		snprintf(line, sizeof(line), "%s/%.4s.dat", dir, h->signature);
		f = fopen(line, "w");
		ck_assert_ptr_nonnull(f);
		ck_assert_uint_eq(fwrite(h, 1, h->length, f), h->length);
		ck_assert_int_eq(fclose(f), 0);
	}
	snprintf(line, sizeof(line), "cd %s && { %s; echo status $?; } 2>&1", dir, command);
	f = popen(line, "r");
	ck_assert_ptr_nonnull(f);
	len = fread(out, 1, sizeof(out) - 1, f);
	out[len] = 0;
	ck_assert_int_eq(pclose(f), 0);
	snprintf(line, sizeof(line), "rm -r %s", dir);
	ck_assert_int_eq(system(line), 0);
	return out;
}

static bool have(const char *program)
{
	char line[64];

	snprintf(line, sizeof(line), "command -v %s >/dev/null", program);
	if (!system(line))
		return true;
	printf("skip: %s is not installed (acpica-tools)\n", program);
	return false;
}

START_TEST(iasl_reads_every_table)
{
	struct cpu_config cpus = {.count = 240, .sockets = 20, .cores = 6, .threads = 2}; /* ids on both sides of 255 */
	char dir[] = "/tmp/pinvm-acpi-XXXXXX", *out;
	struct guest_nodes nodes;

	if (!have("iasl"))
		return;
	three_nodes(&nodes, cpus.count);
	out = acpica(dir, build_nodes(&cpus, &nodes),
		"for t in *.dat; do iasl -d $t || exit; done; iasl -we -p again DSDT.dsl;"
		"grep -l '^ \\*\\*\\*\\*\\|Checksum.*Incorrect\\|Invalid\\|Unknown' *.dsl");
	ck_assert_msg(strstr(out, "0 Errors, 0 Warnings"), "%.3000s", out);
	ck_assert_msg(strstr(out, "status 1\n"), "%.3000s", out); /* grep found nothing */
}
END_TEST

START_TEST(acpica_evaluates_the_board)
{
	static const char *const want[] = {
		"Address Minimum : C0000000", "Address Maximum : DFFFFFFF",
		"Address Minimum : 0000002000000000", "Address Maximum : 0000002FFFFFFFFF",
		"Address Length : 0000001000000000", "Package] Contains 4",
		"[Integer] = 0000000000000005", /* S5 */
		"[Integer] = 000000000000000F", /* COM1 is there */
		"No object was returned from evaluation of \\_SB.GED0._EVT",
		"04 00 00 00 1F 00 00 00 1F 00 00 00", /* _OSC: not this UUID */
		"00 00 00 00 1F 00 00 00 1F 00 00 00", /* all granted */
	};
	struct cpu_config cpus = {.count = 2};
	char dir[] = "/tmp/pinvm-acpi-XXXXXX", *out;

	if (!have("acpiexec"))
		return;
	out = acpica(dir, build(&cpus, true),
		"acpiexec -b 'resources \\_SB.PCI0;evaluate \\_S5;evaluate \\_SB.COM1._STA;evaluate "
		"\\_SB.GED0._EVT 9;"
		"evaluate \\_SB.PCI0._OSC (33db) 1 3 (000000001f0000001f000000);"
		"evaluate \\_SB.PCI0._OSC (5b4ddb33f71f1c4096577441c03dd766) 1 3 (000000001f0000001f000000)' "
		"DSDT.dat");
	ck_assert_msg(!strstr(out, "ACPI Error") && !strstr(out, "ACPI Warning"), "%.3000s", out);
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++)
		ck_assert_msg(strstr(out, want[i]), "no '%s' in\n%.3000s", want[i], out);
}
END_TEST

/* The slots as ACPICA reads them are those of the board. */
START_TEST(acpica_finds_the_devices_behind_mmio)
{
	struct cpu_config cpus = {.count = 1};
	char dir[] = "/tmp/pinvm-acpi-XXXXXX", *out, text[64], cmd[256];
	const char *p;
	struct mmio_slot slot;
	int used;

	if (!have("acpiexec"))
		return;
	ck_assert_uint_eq(arch_mmio_slots(), MMIO_SLOTS);
	used = build_mmio(&cpus, 2);
	for (unsigned i = 0; i < MMIO_SLOTS; i++) {
		arch_mmio_slot(&slot, i);
		ck_assert_uint_eq(slot.size, MMIO_SLOT_SIZE);
		snprintf(cmd, sizeof(cmd),
			"acpiexec -b 'evaluate \\_SB.PCI0._STA;evaluate \\_SB.V%03u._STA;evaluate \\_SB.V%03u._UID;"
			"resources \\_SB.V%03u' DSDT.dat",
			i, i, i);
		strcpy(dir, "/tmp/pinvm-acpi-XXXXXX");
		out = acpica(dir, used, cmd);
		ck_assert_msg(!strstr(out, "ACPI Error") && !strstr(out, "ACPI Warning"), "%.3000s", out);
		p = strstr(out, "[Integer] = 0000000000000000"); /* no PCI */
		ck_assert_msg(p, "%.3000s", out);
		p = strstr(p + 1, i < 2 ? "[Integer] = 000000000000000F" : "[Integer] = 0000000000000000");
		ck_assert_msg(p, "%.3000s", out);
		snprintf(text, sizeof(text), "[Integer] = %016X", i);
		p = strstr(p + 1, text);
		ck_assert_msg(p, "%.3000s", out);
		snprintf(text, sizeof(text), "Address : %08X", (unsigned)slot.base);
		ck_assert_msg(strstr(p, text), "no %s in %.3000s", text, out);
		snprintf(text, sizeof(text), "Dword00 : %08X", slot.gsi);
		ck_assert_msg(strstr(p, text), "no %s in %.3000s", text, out);
		ck_assert_msg(strstr(p, "Triggering : Edge"), "%.3000s", out);
	}
}
END_TEST

UNIT_MAIN("acpi", layout_agrees, fadt_is_hardware_reduced, mcfg_is_bus_0, madt_lists_every_cpu,
	dsdt_gets_its_values, refuses_what_does_not_fit, describes_into_guest_ram, describe_needs_its_ram,
	iasl_reads_every_table, acpica_evaluates_the_board, acpica_finds_the_devices_behind_mmio)
