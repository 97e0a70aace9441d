// SPDX-License-Identifier: Apache-2.0
/*
 * A guest against PCI configuration space, MSI-X and the registers of virtio-pci. An input is a list of steps
 * of eight bytes: what, where (two bytes), how wide, a value. Beyond "no crash": reads stay inside their
 * buffer; the device starts only with features it offered and queues it can have, once between two stops;
 * what it was started with does not change; kicks are caught only while it runs and its BAR is mapped; after
 * a reset a proper driver gets it going.
 */
#include <linux/pci_regs.h>
#include <stdlib.h>
#include <string.h>

#include "devices/virtio/pci_priv.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/fake_irq.h"
#include "vmm/bus.h"
#include "vmm/log.h"
#include "vmm/vm.h"

#define ECAM   0xe0000000ull
#define MEM32  0xc0000000ull
#define MEM64  0x1000000000ull
#define CFG    (ECAM + (1 << 15))
#define NVQ    3
#define QMAX   256
#define V1     (1ull << VIRTIO_F_VERSION_1)
#define OFFERS (V1 | 1ull << 29 | 1ull << 9)
#define ALL                                                                                   \
	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK | \
		VIRTIO_CONFIG_S_DRIVER_OK)

#define must(x)                  \
	do {                     \
		if (!(x))        \
			abort(); \
	} while (0)

static const struct pci_layout layout = {.ecam = ECAM,
	.ecam_size = 0x100000,
	.mem32 = MEM32,
	.mem32_size = 0x100000,
	.mem64 = MEM64,
	.mem64_size = 0x100000,
	.mech1 = true};
static struct bus board;
static struct virtio_pci *vp;
static struct virtio_queue queues[NVQ];
static struct virtio_dev vdev;
static struct {
	bool started;
	unsigned kicks;
	uint64_t kick[NVQ];
	struct virtq_cfg cfg[NVQ];
	struct done *stopping;
} model;

/* Kick descriptors are -1, -2, ..: a kick written by virtio-pci itself goes nowhere. */
static uint64_t *kick_of(int fd)
{
	must(fd < 0 && fd >= -NVQ);
	return &model.kick[-1 - fd];
}

int vm_kick_add(struct vm *vm, uint64_t gpa, int value, int fd)
{
	must(!*kick_of(fd));
	if (gpa & 0x10000)
		return -ENOSPC;
	*kick_of(fd) = gpa;
	model.kicks++;
	return 0;
}

int vm_kick_del(struct vm *vm, uint64_t gpa, int value, int fd)
{
	must(*kick_of(fd) == gpa);
	*kick_of(fd) = 0;
	model.kicks--;
	return 0;
}

void virtio_start(struct virtio_dev *dev)
{
	must(!model.started && !model.stopping && virtio_features_ok(dev, dev->features));
	model.started = true;
	for (unsigned i = 0; i < NVQ; i++) {
		model.cfg[i] = dev->queue[i].cfg;
		must(model.cfg[i].num && model.cfg[i].num <= QMAX &&
			!(model.cfg[i].num & (model.cfg[i].num - 1)));
	}
}

void virtio_stop(struct virtio_dev *dev, struct done *done)
{
	must(!model.stopping);
	if (model.started)
		model.stopping = done;
	else
		done->fn(done);
	model.started = false;
}

static void finish_stop(void)
{
	struct done *done = model.stopping;

	model.stopping = NULL;
	if (done)
		done->fn(done);
}

bool virtio_features_ok(const struct virtio_dev *dev, uint64_t wanted)
{
	return !(wanted & ~dev->offered) && wanted & V1;
}

static void write_config(struct virtio_dev *dev, uint32_t off, const void *data, unsigned len)
{
	must(len && off + len <= dev->config_len);
	memcpy(dev->config + off, data, len);
}

static void destroy(struct virtio_dev *dev)
{
}

static const struct virtio_ops dev_ops = {
	.id = VIRTIO_ID_BLK, .nvq = NVQ, .write_config = write_config, .destroy = destroy};

static uint64_t rd(enum bus_space space, uint64_t addr, unsigned len)
{
	uint8_t b[16];

	memset(b, 0xc5, sizeof(b));
	bus_read(&board, space, addr, b, len);
	for (unsigned i = len; i < sizeof(b); i++)
		must(b[i] == 0xc5);
	return bus_get(b, len);
}

static void wr(enum bus_space space, uint64_t addr, uint64_t v, unsigned len)
{
	uint8_t *b = malloc(len); /* of exactly this size, for ASan */

	must(b);
	bus_put(b, len, v);
	bus_write(&board, space, addr, b, len);
	free(b);
}

static uint64_t bar(void)
{
	return rd(BUS_MMIO, CFG + PCI_BASE_ADDRESS_0, 4) & ~0xfull;
}

static void put(unsigned reg, uint64_t v, unsigned len)
{
	wr(BUS_MMIO, bar() + AT_COMMON + reg, v, len);
}

static uint8_t status(void)
{
	return rd(BUS_MMIO, bar() + AT_COMMON + VIRTIO_PCI_COMMON_STATUS, 1);
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
	wr(BUS_MMIO, bar() + AT_MSIX + 16 * v, 0xfee00000, 8);
	wr(BUS_MMIO, bar() + AT_MSIX + 16 * v + 8, data, 4);
	wr(BUS_MMIO, bar() + AT_MSIX + 16 * v + 12, 0, 4);
}

static void told_by_device(uint32_t v)
{
	switch (v % 4) {
	case 0:
		vp->regs.transport.needs_reset(&vp->regs.transport);
		break;
	case 1:
		vp->regs.transport.config_changed(&vp->regs.transport);
		break;
	default:
		vp->regs.transport.notify(&vp->regs.transport, v / 4 % NVQ, NULL);
	}
}

static void step(uint8_t what, uint16_t where, unsigned len, uint32_t v)
{
	static const uint8_t cut[] = {0, 1, 2, 4};
	uint64_t wide = v | (uint64_t)~v << 32;

	switch (what % 16) {
	case 0:
		wr(BUS_MMIO, CFG + where % 256, wide, cut[1 + len % 3]);
		break;
	case 1:
		rd(BUS_MMIO, ECAM + (uint64_t)where * 16 + v % 16, len);
		break;
	case 2:
		wr(BUS_MMIO, ECAM + (uint64_t)where * 16 + v % 16, wide, len);
		break;
	case 3:
		wr(BUS_PIO, 0xcf8 + where % 4 / 3 * 4 + v % 4 * (where % 4 == 3),
			where % 4 == 3 ? v : 0x80000000 | v, 4 - v % 4);
		break;
	case 4:
		wr(BUS_PIO, 0xcf8, 0x80000800 | where % 256, 4);
		wr(BUS_PIO, 0xcfc + v % 4, v, cut[1 + len % 3]);
		break;
	case 5:
		wr(BUS_MMIO, bar() + where, wide, len);
		break;
	case 6:
		rd(BUS_MMIO, bar() + where, len);
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
		wr(BUS_MMIO, CFG + PCI_COMMAND, v, 2);
		wr(BUS_MMIO, CFG + PCI_BASE_ADDRESS_0, MEM32 + ((where & 0x1f) << 14), 4);
		break;
	case 12:
		wr(BUS_MMIO, CFG + vp->pci.cfg[PCI_CAPABILITY_LIST] + PCI_MSIX_FLAGS, v, 2);
		program_vector(where % (NVQ + 2), v);
		break;
	case 13:
		told_by_device(v);
		break;
	case 14:
		finish_stop();
		break;
	default:
		wr(BUS_MMIO, CFG + vp->cfg_cap + VIRTIO_PCI_CAP_OFFSET, where, 4);
		wr(BUS_MMIO, CFG + vp->cfg_cap + VIRTIO_PCI_CAP_LENGTH, len, 4);
		wr(BUS_MMIO, CFG + vp->cfg_cap + sizeof(struct virtio_pci_cap), v, 4);
	}
}

static void check(void)
{
	bool mapped = vp->pci.bar[VP_BAR].mapped;

	must(!model.kicks || (model.started && mapped));
	for (unsigned i = 0; i < NVQ; i++) {
		must(!model.kick[i] || model.kick[i] == vp->pci.bar[VP_BAR].at + AT_NOTIFY + i * NOTIFY_STEP);
		must(!model.started || !memcmp(&model.cfg[i], &vdev.queue[i].cfg, sizeof(model.cfg[i])));
	}
}

/* Whatever happened, a driver that does the right thing gets a device. */
static void recover(void)
{
	wr(BUS_MMIO, CFG + PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
	wr(BUS_MMIO, CFG + PCI_BASE_ADDRESS_0, MEM32, 4);
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

	struct virtio_transport *t;

	log_set_level(LOG_ERROR);
	memset(&board, 0, sizeof(board));
	memset(&model, 0, sizeof(model));
	vdev = (struct virtio_dev){.ops = &dev_ops,
		.name = "disk0",
		.offered = OFFERS,
		.nvq = NVQ,
		.queue_max = QMAX,
		.queue = queues,
		.config_len = 24};
	for (unsigned i = 0; i < NVQ; i++)
		queues[i] = (struct virtio_queue){.kick_fd = -1 - (int)i};
	must(!pci_bus_create(&bus, &board, &layout) && !virtio_pci_create(&t, bus, NULL, &vdev));
	vp = vp_container(t, regs.transport);
	bus_freeze(&board);
	vp->regs.drain_ms = 0;
	wr(BUS_MMIO, CFG + PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
	for (; size >= 8; data += 8, size -= 8) {
		step(data[0], bus_get(data + 1, 2), 1 + data[3] % 8, bus_get(data + 4, 4));
		check();
	}
	if (size & 1)
		t->reset(t);
	recover();
	finish_stop();
	t->destroy(t);
	pci_bus_destroy(bus);
	must(!fake_irq.open && !model.kicks);
	return 0;
}
