// SPDX-License-Identifier: Apache-2.0
/* The device tree; see fdt.h. Written front to back; the first error stays. */
#include "arch/arm64/fdt.h"

#include <errno.h>
#include <libfdt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "arch/arch.h"
#include "arch/arm64/layout.h"
#include "devices/pl031.h"
#include "devices/serial.h"
#include "devices/virtio/devs.h"
#include "vmm/log.h"

enum { /* phandles */
	PHANDLE_GIC = 1,
	PHANDLE_MSI,
	PHANDLE_CLOCK,
	PHANDLE_CPU0,
};

enum { /* cells of an interrupt: what kind, how it triggers */
	IRQ_SPI = 0,
	IRQ_PPI = 1,
	IRQ_EDGE = 1,
	IRQ_LEVEL = 4,
};

#define SERIAL_CLOCK 1843200
#define RTC_CLOCK    24000000 /* of its bus; nothing follows from it */
#define KEY_POWER    116
#define PCI_MEM32    0x02000000 /* phys.hi of the PCI bus binding */
#define PCI_MEM64    0x43000000 /* prefetchable */

struct tree {
	void *fdt;
	int err;
};

static void check(struct tree *t, int err)
{
	if (!t->err)
		t->err = err;
}

__attribute__((format(printf, 2, 3))) static void begin(struct tree *t, const char *fmt, ...)
{
	char name[48];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(name, sizeof(name), fmt, ap);
	va_end(ap);
	check(t, fdt_begin_node(t->fdt, name));
}

static void end(struct tree *t)
{
	check(t, fdt_end_node(t->fdt));
}

static void flag(struct tree *t, const char *name)
{
	check(t, fdt_property(t->fdt, name, NULL, 0));
}

static void string(struct tree *t, const char *name, const char *value)
{
	check(t, fdt_property_string(t->fdt, name, value));
}

static void u32(struct tree *t, const char *name, uint32_t value)
{
	check(t, fdt_property_u32(t->fdt, name, value));
}

static void u64(struct tree *t, const char *name, uint64_t value)
{
	check(t, fdt_property_u64(t->fdt, name, value));
}

static void cells(struct tree *t, const char *name, const uint32_t *value, unsigned n)
{
	fdt32_t be[32];

	for (unsigned i = 0; i < n; i++)
		be[i] = cpu_to_fdt32(value[i]);
	check(t, fdt_property(t->fdt, name, be, n * sizeof(*be)));
}

#define CELLS(t, name, ...)                             \
	cells(t, name, (const uint32_t[]){__VA_ARGS__}, \
		sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))
#define HI_LO(v) (uint32_t)((uint64_t)(v) >> 32), (uint32_t)(v)

static void reg(struct tree *t, uint64_t base, uint64_t size)
{
	CELLS(t, "reg", HI_LO(base), HI_LO(size));
}

static void chosen(struct tree *t, const struct fdt_params *p)
{
	begin(t, "chosen");
	string(t, "bootargs", p->bootargs);
	if (p->serial) {
		char path[32];

		snprintf(path, sizeof(path), "/serial@%llx", MMIO_SERIAL);
		string(t, "stdout-path", path);
	}
	check(t, fdt_property(t->fdt, "rng-seed", p->seed, sizeof(p->seed)));
	u64(t, "kaslr-seed", p->kaslr_seed);
	if (p->initrd_end) {
		u64(t, "linux,initrd-start", p->initrd);
		u64(t, "linux,initrd-end", p->initrd_end);
	}
	/* BARs have their addresses from the start. */
	if (p->pci.ecam_size)
		u32(t, "linux,pci-probe-only", 1);
	end(t);
}

static void memory(struct tree *t, const struct fdt_params *p)
{
	for (unsigned i = 0; i < p->nodes->nranges; i++) {
		begin(t, "memory@%llx", (unsigned long long)p->nodes->range[i].gpa);
		string(t, "device_type", "memory");
		reg(t, p->nodes->range[i].gpa, p->nodes->range[i].size);
		if (p->nodes->n)
			u32(t, "numa-node-id", p->nodes->range[i].node);
		end(t);
	}
}

static void distances(struct tree *t, const struct guest_nodes *nodes)
{
	fdt32_t be[NODES_MAX * NODES_MAX * 3];
	unsigned n = 0;

	if (!nodes->n)
		return;
	begin(t, "distance-map");
	string(t, "compatible", "numa-distance-map-v1");
	for (unsigned i = 0; i < nodes->n; i++)
		for (unsigned j = 0; j < nodes->n; j++) {
			be[n++] = cpu_to_fdt32(i);
			be[n++] = cpu_to_fdt32(j);
			be[n++] = cpu_to_fdt32(nodes->distance[i][j]);
		}
	check(t, fdt_property(t->fdt, "distance-matrix", be, n * sizeof(*be)));
	end(t);
}

static void cpu(struct tree *t, const struct fdt_params *p, unsigned i)
{
	begin(t, "cpu@%llx", (unsigned long long)p->mpidr[i]);
	string(t, "device_type", "cpu");
	string(t, "compatible", "arm,armv8");
	if (p->cpus->count > 1)
		string(t, "enable-method", "psci");
	u64(t, "reg", p->mpidr[i]);
	u32(t, "phandle", PHANDLE_CPU0 + i);
	if (p->nodes->n)
		u32(t, "numa-node-id", p->nodes->node_of_vcpu[i]);
	end(t);
}

/* Sockets of one cluster of cores; a core with one thread is the thread (bindings/cpu/cpu-topology.txt). */
static void core(struct tree *t, unsigned c, unsigned threads, unsigned first)
{
	begin(t, "core%u", c);
	if (threads == 1)
		u32(t, "cpu", PHANDLE_CPU0 + first);
	for (unsigned i = 0; threads > 1 && i < threads; i++) {
		begin(t, "thread%u", i);
		u32(t, "cpu", PHANDLE_CPU0 + first + i);
		end(t);
	}
	end(t);
}

static void cpu_map(struct tree *t, const struct cpu_config *cpus)
{
	unsigned next = 0;

	begin(t, "cpu-map");
	for (unsigned s = 0; s < cpus->sockets; s++) {
		begin(t, "socket%u", s);
		begin(t, "cluster0");
		for (unsigned c = 0; c < cpus->cores; c++, next += cpus->threads)
			core(t, c, cpus->threads, next);
		end(t);
		end(t);
	}
	end(t);
}

static void cpus(struct tree *t, const struct fdt_params *p)
{
	begin(t, "cpus");
	u32(t, "#address-cells", 2);
	u32(t, "#size-cells", 0);
	for (unsigned i = 0; i < p->cpus->count; i++)
		cpu(t, p, i);
	cpu_map(t, p->cpus);
	end(t);
}

static void psci(struct tree *t)
{
	static const char compatible[] = "arm,psci-1.0\0arm,psci-0.2";

	begin(t, "psci");
	check(t, fdt_property(t->fdt, "compatible", compatible, sizeof(compatible)));
	string(t, "method", "hvc");
	end(t);
}

/* GICv2 says in an interrupt which CPUs it can go to. */
static uint32_t ppi_flags(const struct fdt_params *p)
{
	return IRQ_LEVEL | (p->gic == GIC_V2 ? ((1u << p->cpus->count) - 1) << 8 : 0);
}

static void timer(struct tree *t, const struct fdt_params *p)
{
	uint32_t flags = ppi_flags(p);

	begin(t, "timer");
	string(t, "compatible", "arm,armv8-timer");
	CELLS(t, "interrupts", IRQ_PPI, PPI_TIMER_SECURE, flags, IRQ_PPI, PPI_TIMER_PHYSICAL, flags, IRQ_PPI,
		PPI_TIMER_VIRTUAL, flags, IRQ_PPI, PPI_TIMER_HYP, flags);
	flag(t, "always-on");
	end(t);
}

static void pmu(struct tree *t, const struct fdt_params *p)
{
	if (!p->pmu)
		return;
	begin(t, "pmu");
	string(t, "compatible", "arm,armv8-pmuv3");
	CELLS(t, "interrupts", IRQ_PPI, PPI_PMU, ppi_flags(p));
	end(t);
}

static void gicv2m(struct tree *t)
{
	begin(t, "msi@%llx", GICV2M);
	string(t, "compatible", "arm,gic-v2m-frame");
	flag(t, "msi-controller");
	reg(t, GICV2M, GICV2M_SIZE);
	u32(t, "phandle", PHANDLE_MSI);
	end(t);
}

static void its(struct tree *t)
{
	begin(t, "msi-controller@%llx", GIC_ITS);
	string(t, "compatible", "arm,gic-v3-its");
	flag(t, "msi-controller");
	u32(t, "#msi-cells", 1);
	reg(t, GIC_ITS, GIC_ITS_SIZE);
	u32(t, "phandle", PHANDLE_MSI);
	end(t);
}

static void gic(struct tree *t, const struct fdt_params *p)
{
	begin(t, "interrupt-controller@%llx", GIC_DIST);
	string(t, "compatible", p->gic == GIC_V3 ? "arm,gic-v3" : "arm,cortex-a15-gic");
	u32(t, "#interrupt-cells", 3);
	flag(t, "interrupt-controller");
	u32(t, "#address-cells", 2);
	u32(t, "#size-cells", 2);
	flag(t, "ranges");
	if (p->gic == GIC_V3)
		CELLS(t, "reg", HI_LO(GIC_DIST), HI_LO(GICV3_DIST_SIZE), HI_LO(GIC_REDIST),
			HI_LO(GIC_REDIST_SIZE * p->cpus->count));
	else
		CELLS(t, "reg", HI_LO(GIC_DIST), HI_LO(GICV2_DIST_SIZE), HI_LO(GICV2_CPU),
			HI_LO(GICV2_CPU_SIZE));
	u32(t, "phandle", PHANDLE_GIC);
	if (p->pci.ecam_size && p->its)
		its(t);
	else if (p->pci.ecam_size)
		gicv2m(t);
	end(t);
}

static void serial(struct tree *t)
{
	begin(t, "serial@%llx", MMIO_SERIAL);
	string(t, "compatible", "ns16550a");
	reg(t, MMIO_SERIAL, SERIAL_SIZE);
	u32(t, "clock-frequency", SERIAL_CLOCK);
	CELLS(t, "interrupts", IRQ_SPI, PIN_SERIAL, IRQ_EDGE);
	end(t);
}

static void rtc(struct tree *t)
{
	static const char compatible[] = "arm,pl031\0arm,primecell";

	begin(t, "clock");
	string(t, "compatible", "fixed-clock");
	u32(t, "#clock-cells", 0);
	u32(t, "clock-frequency", RTC_CLOCK);
	u32(t, "phandle", PHANDLE_CLOCK);
	end(t);
	begin(t, "rtc@%llx", MMIO_RTC);
	check(t, fdt_property(t->fdt, "compatible", compatible, sizeof(compatible)));
	reg(t, MMIO_RTC, PL031_SIZE);
	u32(t, "clocks", PHANDLE_CLOCK);
	string(t, "clock-names", "apb_pclk");
	end(t);
}

/* A key without a GPIO: its interrupt is a press. */
static void power_button(struct tree *t)
{
	begin(t, "gpio-keys");
	string(t, "compatible", "gpio-keys");
	begin(t, "power");
	string(t, "label", "Power Button");
	u32(t, "linux,code", KEY_POWER);
	CELLS(t, "interrupts", IRQ_SPI, PIN_POWER, IRQ_EDGE);
	end(t);
	end(t);
}

static void virtio_mmio(struct tree *t, unsigned i)
{
	struct mmio_slot slot;

	arch_mmio_slot(&slot, i);
	begin(t, "virtio@%llx", (unsigned long long)slot.base);
	string(t, "compatible", "virtio,mmio");
	reg(t, slot.base, slot.size);
	CELLS(t, "interrupts", IRQ_SPI, slot.gsi, IRQ_EDGE);
	flag(t, "dma-coherent");
	end(t);
}

/* An ITS tells devices apart by their requester ids, on bus 0 slot << 3 (bindings/pci/pci-msi.txt). */
static void msis(struct tree *t, const struct fdt_params *p)
{
	if (p->its)
		CELLS(t, "msi-map", 0, PHANDLE_MSI, 0, PCI_SLOTS << 3);
	else
		u32(t, "msi-parent", PHANDLE_MSI);
}

static void pci(struct tree *t, const struct fdt_params *p)
{
	const struct pci_layout *pci = &p->pci;
	const uint32_t ranges[] = {PCI_MEM32, HI_LO(pci->mem32), HI_LO(pci->mem32), HI_LO(pci->mem32_size),
		PCI_MEM64, HI_LO(pci->mem64), HI_LO(pci->mem64), HI_LO(pci->mem64_size)};

	if (!pci->ecam_size)
		return;
	begin(t, "pcie@%llx", (unsigned long long)pci->ecam);
	string(t, "compatible", "pci-host-ecam-generic");
	string(t, "device_type", "pci");
	u32(t, "#address-cells", 3);
	u32(t, "#size-cells", 2);
	CELLS(t, "bus-range", 0, 0);
	u32(t, "linux,pci-domain", 0);
	reg(t, pci->ecam, pci->ecam_size);
	cells(t, "ranges", ranges, pci->mem64_size ? 14 : 7);
	msis(t, p);
	flag(t, "dma-coherent");
	end(t);
}

static void root(struct tree *t, const struct fdt_params *p)
{
	begin(t, "%s", "");
	string(t, "compatible", "linux,dummy-virt");
	string(t, "model", "pinvm");
	u32(t, "#address-cells", 2);
	u32(t, "#size-cells", 2);
	u32(t, "interrupt-parent", PHANDLE_GIC);
	chosen(t, p);
	memory(t, p);
	distances(t, p->nodes);
	cpus(t, p);
	psci(t);
	timer(t, p);
	pmu(t, p);
	gic(t, p);
	if (p->serial)
		serial(t);
	rtc(t);
	power_button(t);
	for (unsigned i = 0; i < p->mmio; i++)
		virtio_mmio(t, i);
	pci(t, p);
	end(t);
}

/* Only room depends on the guest; what else libfdt refuses is written wrongly above. */
static int failed(int err)
{
	if (err == -FDT_ERR_NOSPACE)
		return -ENOSPC;
	log_err("device tree: libfdt: %s; this is an error in pinvm", fdt_strerror(err));
	return -EPROTO;
}

int arm64_fdt(const struct fdt_params *params, void *buf, size_t size)
{
	struct tree t = {.fdt = buf, .err = fdt_create(buf, size)};

	if (params->reserved_size)
		check(&t, fdt_add_reservemap_entry(buf, params->reserved, params->reserved_size));
	check(&t, fdt_finish_reservemap(buf));
	root(&t, params);
	check(&t, fdt_finish(buf));
	return t.err ? failed(t.err) : (int)fdt_totalsize(buf);
}
