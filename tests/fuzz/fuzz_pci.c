// SPDX-License-Identifier: Apache-2.0
/*
 * A guest against PCI configuration space, MSI-X and the registers of virtio-pci. An input is a list of steps
 * of eight bytes: what, where (two bytes), how wide, a value. Beyond "no crash": reads stay inside their
 * buffer; the device starts only with features it offered and queues it can have, once between two stops;
 * what it was started with does not change; kicks are caught only while it runs and its BAR is mapped; after
 * a reset a proper driver gets it going.
 */
#include <linux/pci_regs.h>

#include "devices/virtio/pci_priv.h"
#include "tests/fuzz/transport_model.h"
#include "tests/unit/fake_irq.h"

#define ECAM  0xe0000000ull
#define MEM32 0xc0000000ull
#define MEM64 0x1000000000ull
#define CFG   (ECAM + (1 << 15))

static const struct pci_layout layout = {.ecam = ECAM,
	.ecam_size = 0x100000,
	.mem32 = MEM32,
	.mem32_size = 0x100000,
	.mem64 = MEM64,
	.mem64_size = 0x100000,
	.mech1 = true};
static struct virtio_pci *vp;

static bool kick_fits(uint64_t gpa, int value, unsigned queue)
{
	must(value == VM_KICK_ANY);
	return !(gpa & 0x10000);
}

static uint64_t bar(void)
{
	return guest_read(BUS_MMIO, CFG + PCI_BASE_ADDRESS_0, 4) & ~0xfull;
}

static void put(unsigned reg, uint64_t v, unsigned len)
{
	guest_write(BUS_MMIO, bar() + AT_COMMON + reg, v, len);
}

static uint8_t status(void)
{
	return guest_read(BUS_MMIO, bar() + AT_COMMON + VIRTIO_PCI_COMMON_STATUS, 1);
}

static void set_up_queue(unsigned q, uint16_t num)
{
	put(VIRTIO_PCI_COMMON_Q_SELECT, q, 2);
	put(VIRTIO_PCI_COMMON_Q_SIZE, num, 2);
	put(VIRTIO_PCI_COMMON_Q_DESCLO, 0x10000 * q, 8);
	put(VIRTIO_PCI_COMMON_Q_MSIX, q + 1, 2);
	put(VIRTIO_PCI_COMMON_Q_ENABLE, 1, 2);
}

static void negotiate(uint64_t features)
{
	for (unsigned i = 0; i < 2; i++) {
		put(VIRTIO_PCI_COMMON_GFSELECT, i, 4);
		put(VIRTIO_PCI_COMMON_GF, features >> 32 * i, 4);
	}
}

static void program_vector(unsigned v, uint32_t data)
{
	guest_write(BUS_MMIO, bar() + AT_MSIX + 16 * v, 0xfee00000, 8);
	guest_write(BUS_MMIO, bar() + AT_MSIX + 16 * v + 8, data, 4);
	guest_write(BUS_MMIO, bar() + AT_MSIX + 16 * v + 12, 0, 4);
}

static void step(uint8_t what, uint16_t where, unsigned len, uint32_t v)
{
	static const uint8_t cut[] = {0, 1, 2, 4};
	uint64_t wide = v | (uint64_t)~v << 32;

	switch (what % 16) {
	case 0:
		guest_write(BUS_MMIO, CFG + where % 256, wide, cut[1 + len % 3]);
		break;
	case 1:
		guest_read(BUS_MMIO, ECAM + (uint64_t)where * 16 + v % 16, len);
		break;
	case 2:
		guest_write(BUS_MMIO, ECAM + (uint64_t)where * 16 + v % 16, wide, len);
		break;
	case 3:
		guest_write(BUS_PIO, 0xcf8 + where % 4 / 3 * 4 + v % 4 * (where % 4 == 3),
			where % 4 == 3 ? v : 0x80000000 | v, 4 - v % 4);
		break;
	case 4:
		guest_write(BUS_PIO, 0xcf8, 0x80000800 | where % 256, 4);
		guest_write(BUS_PIO, 0xcfc + v % 4, v, cut[1 + len % 3]);
		break;
	case 5:
		guest_write(BUS_MMIO, bar() + where, wide, len);
		break;
	case 6:
		guest_read(BUS_MMIO, bar() + where, len);
		break;
	case 7:
		put(where % COMMON_LEN, wide, cut[1 + len % 3]);
		break;
	case 8:
		put(VIRTIO_PCI_COMMON_STATUS, v, 1);
		break;
	case 9:
		set_up_queue(where % (NVQ + 1), v);
		break;
	case 10:
		negotiate(v & 1 ? V1 : wide);
		put(VIRTIO_PCI_COMMON_STATUS, ALL, 1);
		break;
	case 11:
		guest_write(BUS_MMIO, CFG + PCI_COMMAND, v, 2);
		guest_write(BUS_MMIO, CFG + PCI_BASE_ADDRESS_0, MEM32 + ((where & 0x1f) << 14), 4);
		break;
	case 12:
		guest_write(BUS_MMIO, CFG + vp->pci.cfg[PCI_CAPABILITY_LIST] + PCI_MSIX_FLAGS, v, 2);
		program_vector(where % (NVQ + 2), v);
		break;
	case 13:
		told_by_device(v);
		break;
	case 14:
		finish_stop();
		break;
	default:
		guest_write(BUS_MMIO, CFG + vp->cfg_cap + VIRTIO_PCI_CAP_OFFSET, where, 4);
		guest_write(BUS_MMIO, CFG + vp->cfg_cap + VIRTIO_PCI_CAP_LENGTH, len, 4);
		guest_write(BUS_MMIO, CFG + vp->cfg_cap + sizeof(struct virtio_pci_cap), v, 4);
	}
}

static void check(void)
{
	bool mapped = vp->pci.bar[VP_BAR].mapped;

	check_device();
	must(!model.kicks || mapped);
	for (unsigned i = 0; i < NVQ; i++)
		must(!model.kick[i] || model.kick[i] == vp->pci.bar[VP_BAR].at + AT_NOTIFY + i * NOTIFY_STEP);
}

/* Whatever happened, a driver that does the right thing gets a device. */
static void recover(void)
{
	guest_write(BUS_MMIO, CFG + PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
	guest_write(BUS_MMIO, CFG + PCI_BASE_ADDRESS_0, MEM32, 4);
	put(VIRTIO_PCI_COMMON_STATUS, 0, 1);
	must(!status() == !model.stopping);
	finish_stop();
	must(status() == 0 && !model.kicks);
	negotiate(V1);
	put(VIRTIO_PCI_COMMON_STATUS, ALL & ~VIRTIO_CONFIG_S_DRIVER_OK, 1);
	set_up_queue(0, 8);
	put(VIRTIO_PCI_COMMON_STATUS, ALL, 1);
	must(status() == ALL && model.started && model.cfg[0].ready && model.cfg[0].num == 8);
	must(!model.cfg[1].ready && model.kicks == 1);
	check();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pci_bus *bus;

	make_device();
	must(!pci_bus_create(&bus, &board, &layout) && !virtio_pci_create(&transport, bus, NULL, &vdev));
	vp = vp_container(transport, regs.transport);
	bus_freeze(&board);
	vp->regs.drain_ms = 0;
	guest_write(BUS_MMIO, CFG + PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
	if (each_step(data, size, step, check) & 1)
		transport->reset(transport);
	recover();
	finish_stop();
	transport->destroy(transport);
	pci_bus_destroy(bus);
	must(!fake_irq.open && !model.kicks);
	return 0;
}
