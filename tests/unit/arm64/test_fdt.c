// SPDX-License-Identifier: Apache-2.0
/* The device tree, read back with libfdt as a kernel would read it. */
#include <errno.h>
#include <libfdt.h>
#include <stdio.h>
#include <string.h>

#include "arch/arch.h"
#include "arch/arm64/fdt.h"
#include "arch/arm64/layout.h"
#include "devices/virtio/devs.h"
#include "tests/unit/said.h"
#include "tests/unit/unit.h"

static uint8_t buf[FDT_MAX] __attribute__((aligned(8)));
static struct cpu_config cpus;
static struct guest_nodes nodes;
static uint64_t mpidr[256];
static int finish_err; /* what libfdt says at the end; 0: what it has to say */

/* The linker puts it between pinvm and libfdt. */
int __real_fdt_finish(void *fdt);
int __wrap_fdt_finish(void *fdt);

int __wrap_fdt_finish(void *fdt)
{
	return finish_err ? finish_err : __real_fdt_finish(fdt);
}

static struct fdt_params params(unsigned count, unsigned sockets, unsigned cores, unsigned threads)
{
	cpus = (struct cpu_config){.count = count, .sockets = sockets, .cores = cores, .threads = threads};
	nodes = (struct guest_nodes){.nranges = 1, .range = {{.gpa = RAM_BASE, .size = 512 << 20}}};
	for (unsigned i = 0; i < count; i++)
		mpidr[i] = (i & 15) | (uint64_t)(i >> 4) << 8; /* as KVM does */
	return (struct fdt_params){.cpus = &cpus, .mpidr = mpidr, .nodes = &nodes, .bootargs = "quiet"};
}

static void build(const struct fdt_params *p)
{
	int used = arm64_fdt(p, buf, sizeof(buf));

	ck_assert_int_gt(used, 0);
	ck_assert_int_eq(fdt_check_full(buf, used), 0);
}

static int node(const char *path)
{
	int at = fdt_path_offset(buf, path);

	ck_assert_msg(at >= 0, "no %s", path);
	return at;
}

/* Cell i of a property, which has n of them. */
static uint32_t cell(const char *path, const char *name, unsigned i, unsigned n)
{
	int len;
	const fdt32_t *value = fdt_getprop(buf, node(path), name, &len);

	ck_assert_msg(value, "no %s of %s", name, path);
	ck_assert_uint_eq(len, n * 4);
	return fdt32_to_cpu(value[i]);
}

static uint64_t cells64(const char *path, const char *name, unsigned i, unsigned n)
{
	return (uint64_t)cell(path, name, i, n) << 32 | cell(path, name, i + 1, n);
}

static const char *text(const char *path, const char *name)
{
	const char *s = fdt_getprop(buf, node(path), name, NULL);

	ck_assert_msg(s, "no %s of %s", name, path);
	return s;
}

static bool has(const char *path)
{
	return fdt_path_offset(buf, path) >= 0;
}

START_TEST(the_least)
{
	struct fdt_params p = params(1, 1, 1, 1);

	build(&p);
	ck_assert_str_eq(text("/chosen", "bootargs"), "quiet");
	ck_assert_ptr_null(fdt_getprop(buf, node("/chosen"), "stdout-path", NULL));
	ck_assert_ptr_null(fdt_getprop(buf, node("/chosen"), "linux,initrd-start", NULL));
	ck_assert_uint_eq(cells64("/memory@40000000", "reg", 0, 4), RAM_BASE);
	ck_assert_uint_eq(cells64("/memory@40000000", "reg", 2, 4), 512 << 20);
	ck_assert_str_eq(text("/psci", "method"), "hvc");
	ck_assert_int_eq(fdt_node_check_compatible(buf, node("/psci"), "arm,psci-0.2"), 0);
	ck_assert_int_eq(fdt_node_check_compatible(buf, node("/psci"), "arm,psci-1.0"), 0);
	ck_assert(!has("/pmu") && !has("/serial@1000000") && !has("/pcie@3f000000") && !has("/distance-map"));
	ck_assert_ptr_null(fdt_getprop(buf, node("/memory@40000000"), "numa-node-id", NULL));
}
END_TEST

START_TEST(boot_facts)
{
	struct fdt_params p = params(1, 1, 1, 1);
	uint64_t at, size;
	int len;

	p.serial = true;
	p.initrd = RAM_BASE + 0x123000;
	p.initrd_end = p.initrd + 77;
	p.kaslr_seed = 0x1122334455667788;
	p.reserved = RAM_BASE + 0x555000;
	p.reserved_size = PVTIME_SIZE;
	memset(p.seed, 0x5a, sizeof(p.seed));
	build(&p);
	ck_assert_uint_eq(cells64("/chosen", "linux,initrd-start", 0, 2), p.initrd);
	ck_assert_uint_eq(cells64("/chosen", "linux,initrd-end", 0, 2), p.initrd_end);
	ck_assert_uint_eq(cells64("/chosen", "kaslr-seed", 0, 2), p.kaslr_seed);
	ck_assert_mem_eq(fdt_getprop(buf, node("/chosen"), "rng-seed", &len), p.seed, sizeof(p.seed));
	ck_assert_int_eq(len, sizeof(p.seed));
	ck_assert_int_eq(fdt_num_mem_rsv(buf), 1);
	ck_assert_int_eq(fdt_get_mem_rsv(buf, 0, &at, &size), 0);
	ck_assert(at == p.reserved && size == p.reserved_size);
	/* The console is a node that is there. */
	ck_assert_str_eq(text(text("/chosen", "stdout-path"), "compatible"), "ns16550a");
	ck_assert_uint_eq(cell("/serial@1000000", "interrupts", 1, 3), PIN_SERIAL);
	ck_assert_uint_eq(cell("/serial@1000000", "interrupts", 2, 3), 1);
}
END_TEST

/* cpu-map names each CPU once, in order, by the phandle its node has. */
START_TEST(topology)
{
	struct fdt_params p = params(24, 2, 3, 4);
	char path[64];

	build(&p);
	for (unsigned i = 0; i < 24; i++) {
		uint32_t phandle;

		snprintf(path, sizeof(path), "/cpus/cpu@%llx", (unsigned long long)mpidr[i]);
		ck_assert_uint_eq(cells64(path, "reg", 0, 2), mpidr[i]);
		ck_assert_str_eq(text(path, "enable-method"), "psci");
		phandle = cell(path, "phandle", 0, 1);
		snprintf(path, sizeof(path), "/cpus/cpu-map/socket%u/cluster0/core%u/thread%u", i / 12, i / 4 % 3, i % 4);
		ck_assert_uint_eq(cell(path, "cpu", 0, 1), phandle);
	}
	ck_assert(!has("/cpus/cpu-map/socket2") && !has("/cpus/cpu-map/socket0/cluster0/core3"));
	p = params(2, 1, 2, 1);
	build(&p);
	ck_assert_uint_eq(cell("/cpus/cpu-map/socket0/cluster0/core1", "cpu", 0, 1), cell("/cpus/cpu@1", "phandle", 0, 1));
}
END_TEST

START_TEST(gic_versions)
{
	struct fdt_params p = params(3, 1, 3, 1);

	build(&p);
	ck_assert_str_eq(text("/interrupt-controller@4000000", "compatible"), "arm,gic-v3");
	ck_assert_uint_eq(cells64("/interrupt-controller@4000000", "reg", 4, 8), GIC_REDIST);
	ck_assert_uint_eq(cells64("/interrupt-controller@4000000", "reg", 6, 8), 3 * GIC_REDIST_SIZE);
	ck_assert_uint_eq(cell("/timer", "interrupts", 2, 12), 4);
	ck_assert_uint_eq(cell("/", "interrupt-parent", 0, 1), cell("/interrupt-controller@4000000", "phandle", 0, 1));
	p.gic = GIC_V2;
	p.pmu = true;
	build(&p);
	ck_assert_str_eq(text("/interrupt-controller@4000000", "compatible"), "arm,cortex-a15-gic");
	ck_assert_uint_eq(cells64("/interrupt-controller@4000000", "reg", 4, 8), GICV2_CPU);
	ck_assert_uint_eq(cell("/timer", "interrupts", 2, 12), 4 | 7 << 8);
	ck_assert_uint_eq(cell("/pmu", "interrupts", 1, 3), PPI_PMU);
}
END_TEST

START_TEST(pci_and_its_msis)
{
	struct fdt_params p = params(1, 1, 1, 1);

	p.pci = (struct pci_layout){.ecam = PCI_ECAM_BASE, .ecam_size = PCI_ECAM_SIZE, .mem32 = 0x10000000,
		.mem32_size = 0x20000000, .mem64 = 0x8000000000, .mem64_size = 0x1000000000};
	build(&p);
	ck_assert_uint_eq(cell("/pcie@3f000000", "msi-parent", 0, 1),
		cell("/interrupt-controller@4000000/msi@4020000", "phandle", 0, 1));
	ck_assert_uint_eq(cell("/pcie@3f000000", "ranges", 0, 14), 0x02000000);
	ck_assert_uint_eq(cells64("/pcie@3f000000", "ranges", 10, 14), 0x8000000000);
	ck_assert_uint_eq(cells64("/pcie@3f000000", "ranges", 12, 14), 0x1000000000);
	ck_assert_uint_eq(cell("/chosen", "linux,pci-probe-only", 0, 1), 1);
	p.pci.mem64_size = 0;
	build(&p);
	ck_assert_uint_eq(cells64("/pcie@3f000000", "ranges", 5, 7), 0x20000000);
}
END_TEST

/* An ITS instead: each of the bus's requester ids is its device id, and there is no frame. */
START_TEST(pci_and_an_its)
{
	struct fdt_params p = params(1, 1, 1, 1);
	const char *its = "/interrupt-controller@4000000/msi-controller@4040000";

	p.its = true;
	build(&p);
	ck_assert_msg(!has(its), "without PCI nobody needs it");
	p.pci = (struct pci_layout){.ecam = PCI_ECAM_BASE, .ecam_size = PCI_ECAM_SIZE, .mem32 = 0x10000000,
		.mem32_size = 0x20000000};
	build(&p);
	ck_assert(!has("/interrupt-controller@4000000/msi@4020000"));
	ck_assert_ptr_null(fdt_getprop(buf, node("/pcie@3f000000"), "msi-parent", NULL));
	ck_assert_int_eq(fdt_node_check_compatible(buf, node(its), "arm,gic-v3-its"), 0);
	ck_assert_uint_eq(cells64(its, "reg", 0, 4), GIC_ITS);
	ck_assert_uint_eq(cells64(its, "reg", 2, 4), 0x20000);
	ck_assert_uint_eq(cell(its, "#msi-cells", 0, 1), 1);
	ck_assert_ptr_nonnull(fdt_getprop(buf, node(its), "msi-controller", NULL));
	ck_assert_uint_eq(cell("/pcie@3f000000", "msi-map", 0, 4), 0);
	ck_assert_uint_eq(cell("/pcie@3f000000", "msi-map", 1, 4), cell(its, "phandle", 0, 1));
	ck_assert_uint_eq(cell("/pcie@3f000000", "msi-map", 2, 4), 0);
	ck_assert_uint_eq(cell("/pcie@3f000000", "msi-map", 3, 4), 256);
}
END_TEST

/*
 * Kind, number and trigger of every interrupt (bindings/interrupt-controller/arm,gic*): KVM's irqfds are pulses, so what
 * comes by one is an edge (1); the CPU's own are levels (4).
 */
START_TEST(interrupts)
{
	static const struct {
		const char *path;
		unsigned at, of; /* which cells, of how many */
		uint32_t kind, number, trigger;
	} t[] = {
		{"/serial@1000000", 0, 3, 0, PIN_SERIAL, 1},
		{"/gpio-keys/power", 0, 3, 0, PIN_POWER, 1},
		{"/virtio@2000000", 0, 3, 0, PIN_MMIO_FIRST, 1},
		{"/virtio@2001000", 0, 3, 0, PIN_MMIO_FIRST + 1, 1},
		{"/timer", 0, 12, 1, 13, 4}, /* secure, not secure, virtual, hypervisor's */
		{"/timer", 3, 12, 1, 14, 4},
		{"/timer", 6, 12, 1, 11, 4},
		{"/timer", 9, 12, 1, 10, 4},
		{"/pmu", 0, 3, 1, 7, 4},
	};
	struct fdt_params p = params(1, 1, 1, 1);

	p.serial = p.pmu = true;
	p.mmio = 2;
	build(&p);
	for (unsigned i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		ck_assert_uint_eq(cell(t[i].path, "interrupts", t[i].at, t[i].of), t[i].kind);
		ck_assert_uint_eq(cell(t[i].path, "interrupts", t[i].at + 1, t[i].of), t[i].number);
		ck_assert_uint_eq(cell(t[i].path, "interrupts", t[i].at + 2, t[i].of), t[i].trigger);
	}
	ck_assert_uint_eq(cell("/gpio-keys/power", "linux,code", 0, 1), 116);
}
END_TEST

/* The clock chip has all that its driver and AMBA's bus ask for. */
START_TEST(clock_chip)
{
	struct fdt_params p = params(1, 1, 1, 1);

	build(&p);
	ck_assert_int_eq(fdt_node_check_compatible(buf, node("/rtc@1010000"), "arm,pl031"), 0);
	ck_assert_int_eq(fdt_node_check_compatible(buf, node("/rtc@1010000"), "arm,primecell"), 0);
	ck_assert_uint_eq(cells64("/rtc@1010000", "reg", 0, 4), MMIO_RTC);
	ck_assert_uint_eq(cell("/rtc@1010000", "clocks", 0, 1), cell("/clock", "phandle", 0, 1));
	ck_assert_str_eq(text("/rtc@1010000", "clock-names"), "apb_pclk");
	ck_assert_uint_eq(cell("/clock", "#clock-cells", 0, 1), 0);
}
END_TEST

START_TEST(mmio_slots)
{
	struct fdt_params p = params(1, 1, 1, 1);
	struct mmio_slot slot;

	p.mmio = arch_mmio_slots();
	build(&p);
	for (unsigned i = 0; i < p.mmio; i++) {
		char path[32];

		arch_mmio_slot(&slot, i);
		snprintf(path, sizeof(path), "/virtio@%llx", (unsigned long long)slot.base);
		ck_assert_uint_eq(cells64(path, "reg", 2, 4), slot.size);
		ck_assert_int_eq(cell(path, "interrupts", 1, 3), slot.gsi);
		ck_assert_int_lt(slot.gsi, BOARD_PINS);
	}
}
END_TEST

START_TEST(numa)
{
	struct fdt_params p = params(2, 1, 2, 1);

	nodes.n = nodes.nranges = 2;
	nodes.node_of_vcpu[1] = 1;
	nodes.range[1] = (struct node_range){.gpa = RAM_BASE + (512 << 20), .size = 4096, .node = 1};
	nodes.distance[0][0] = nodes.distance[1][1] = 10;
	nodes.distance[0][1] = 20;
	nodes.distance[1][0] = 31;
	build(&p);
	ck_assert_uint_eq(cell("/cpus/cpu@1", "numa-node-id", 0, 1), 1);
	ck_assert_uint_eq(cell("/memory@40000000", "numa-node-id", 0, 1), 0);
	ck_assert_uint_eq(cell("/memory@60000000", "numa-node-id", 0, 1), 1);
	ck_assert_uint_eq(cell("/distance-map", "distance-matrix", 8, 12), 31);
}
END_TEST

/* All that a tree can say, at its longest. mmio: devices there, not on PCI. */
static struct fdt_params the_most(bool mmio)
{
	static char line[CMDLINE_MAX];
	struct fdt_params p = params(255, 255, 1, 1);

	memset(line, 'x', sizeof(line) - 1);
	p.bootargs = line;
	p.gic = GIC_V3;
	p.serial = p.pmu = true;
	p.initrd = p.reserved = RAM_BASE;
	p.initrd_end = p.initrd + 1;
	p.reserved_size = PVTIME_SIZE;
	if (mmio)
		p.mmio = arch_mmio_slots();
	else
		arch_pci_layout(&p.pci, RAM_BASE + (512 << 20));
	nodes.n = nodes.nranges = NODES_MAX;
	for (unsigned i = 0; i < NODES_MAX; i++)
		nodes.range[i] = (struct node_range){.gpa = RAM_BASE + (i + 1ULL) * 0x1000000000, .size = 4096, .node = i};
	return p;
}

/* The largest guest fits in what the loader keeps for it; what does not fit is said, wherever it ends. */
START_TEST(room)
{
	struct fdt_params p;
	int used;

	for (unsigned i = 0; i < 4; i++) {
		p = the_most(i & 1);
		p.its = !(i & 1) && i & 2;
		used = arm64_fdt(&p, buf, sizeof(buf));
		ck_assert_int_gt(used, 0);
	}
	p = params(3, 1, 3, 1);
	used = arm64_fdt(&p, buf, sizeof(buf));
	for (int size = 0; size < used; size++)
		ck_assert_int_eq(arm64_fdt(&p, buf, size), -ENOSPC);
	ck_assert_int_eq(arm64_fdt(&p, buf, used), used);
}
END_TEST

/* An error that more room does not cure is not called one of room; the first one counts. */
START_TEST(own_errors)
{
	struct fdt_params p = params(1, 1, 1, 1);
	int used = arm64_fdt(&p, buf, sizeof(buf));

	finish_err = -FDT_ERR_BADSTATE;
	ck_assert_int_eq(arm64_fdt(&p, buf, sizeof(buf)), -EPROTO);
	ck_assert_msg(strstr(said, "FDT_ERR_BADSTATE; this is an error in pinvm"), "%s", said);
	said[0] = '\0';
	ck_assert_int_eq(arm64_fdt(&p, buf, used / 2), -ENOSPC);
	ck_assert_str_eq(said, "");
}
END_TEST

UNIT_MAIN("fdt", the_least, boot_facts, topology, gic_versions, pci_and_its_msis, pci_and_an_its, interrupts,
	clock_chip, mmio_slots, numa, room, own_errors)
