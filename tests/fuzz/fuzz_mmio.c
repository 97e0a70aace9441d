// SPDX-License-Identifier: Apache-2.0
/*
 * A guest against the registers of virtio-mmio. An input is a list of steps of eight bytes: what, where (two
 * bytes), how wide, a value. Beyond "no crash": reads stay inside their buffer; the device starts only with
 * features it offered and queues it can have, once between two stops; what it was started with does not
 * change; kicks are caught only while it runs, for queues that are ready, each by its number; an interrupt
 * comes with every step of InterruptStatus from 0 to something and with every ACK that leaves bits, and never
 * else; nothing is said before DRIVER_OK or after a reset; after a reset a proper driver gets it going.
 */
#include <stdlib.h>
#include <string.h>

#include "devices/virtio/mmio_priv.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/fake_irq.h"
#include "vmm/bus.h"
#include "vmm/log.h"
#include "vmm/vm.h"

#define BASE   0xfe000000ull
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

static const struct mmio_slot slot = {.base = BASE, .size = 0x1000, .gsi = 10};
static struct bus board;
static struct virtio_mmio *io;
static struct virtio_transport *transport;
static struct virtio_queue queues[NVQ];
static struct virtio_dev vdev;
static struct {
	bool started;
	unsigned kicks;
	bool kick[NVQ];
	struct virtq_cfg cfg[NVQ];
	struct done *stopping;
	unsigned edges; /* that there should have been */
} model;

/* Kick descriptors are -1, -2, ..: a kick written by virtio-mmio itself goes nowhere. */
static bool *kick_of(uint64_t gpa, int value, int fd)
{
	must(gpa == BASE + VIRTIO_MMIO_QUEUE_NOTIFY && value >= 0 && value < NVQ && fd == -1 - value);
	return &model.kick[value];
}

int vm_kick_add(struct vm *vm, uint64_t gpa, int value, int fd)
{
	must(!*kick_of(gpa, value, fd));
	if (io->regs.queue[value].cfg.num == 2)
		return -ENOSPC;
	*kick_of(gpa, value, fd) = true;
	model.kicks++;
	return 0;
}

int vm_kick_del(struct vm *vm, uint64_t gpa, int value, int fd)
{
	must(*kick_of(gpa, value, fd));
	*kick_of(gpa, value, fd) = false;
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
	must(len && off + len <= dev->config_len && !model.stopping);
	memcpy(dev->config + off, data, len);
}

static void destroy(struct virtio_dev *dev)
{
}

static const struct virtio_ops dev_ops = {
	.id = VIRTIO_ID_BLK, .nvq = NVQ, .write_config = write_config, .destroy = destroy};

static uint64_t rd(uint64_t off, unsigned len)
{
	uint8_t b[16];

	memset(b, 0xc5, sizeof(b));
	bus_read(&board, BUS_MMIO, BASE + off, b, len);
	for (unsigned i = len; i < sizeof(b); i++)
		must(b[i] == 0xc5);
	return bus_get(b, len);
}

/* What the pin must do is foretold from the register before and after. */
static void wr(uint64_t off, uint64_t v, unsigned len)
{
	uint8_t *b = malloc(len); /* of exactly this size, for ASan */
	uint8_t was = io->regs.isr;

	must(b);
	bus_put(b, len, v);
	bus_write(&board, BUS_MMIO, BASE + off, b, len);
	free(b);
	must(!(io->regs.isr & ~was));
	if (off == VIRTIO_MMIO_INTERRUPT_ACK && len == 4 && io->regs.isr && io->regs.isr != was)
		model.edges++;
}

static void put(uint32_t reg, uint32_t v)
{
	wr(reg, v, 4);
}

static uint32_t status(void)
{
	return rd(VIRTIO_MMIO_STATUS, 4);
}

static void set_up_queue(uint32_t q, uint32_t num, bool ready)
{
	put(VIRTIO_MMIO_QUEUE_SEL, q);
	put(VIRTIO_MMIO_QUEUE_NUM, num);
	put(VIRTIO_MMIO_QUEUE_DESC_LOW, 0x10000 * q);
	put(VIRTIO_MMIO_QUEUE_READY, ready);
}

static void negotiate(uint64_t features)
{
	for (unsigned i = 0; i < 2; i++) {
		put(VIRTIO_MMIO_DRIVER_FEATURES_SEL, i);
		put(VIRTIO_MMIO_DRIVER_FEATURES, features >> 32 * i);
	}
}

static void told_by_device(uint32_t v)
{
	uint8_t was = io->regs.isr;

	switch (v % 4) {
	case 0:
		transport->needs_reset(transport);
		break;
	case 1:
		transport->config_changed(transport);
		break;
	default:
		if (!model.started)
			return; /* no queue runs */
		transport->notify(transport, v / 4 % NVQ, NULL);
	}
	if (!was && io->regs.isr)
		model.edges++;
}

static void step(uint8_t what, uint16_t where, unsigned len, uint32_t v)
{
	static const uint16_t reg[] = {VIRTIO_MMIO_DEVICE_FEATURES_SEL, VIRTIO_MMIO_DRIVER_FEATURES_SEL,
		VIRTIO_MMIO_DRIVER_FEATURES, VIRTIO_MMIO_QUEUE_SEL, VIRTIO_MMIO_QUEUE_NUM,
		VIRTIO_MMIO_QUEUE_READY, VIRTIO_MMIO_QUEUE_NOTIFY, VIRTIO_MMIO_INTERRUPT_ACK,
		VIRTIO_MMIO_QUEUE_DESC_LOW, VIRTIO_MMIO_QUEUE_AVAIL_HIGH, VIRTIO_MMIO_QUEUE_USED_LOW,
		VIRTIO_MMIO_SHM_SEL};
	uint64_t wide = v | (uint64_t)~v << 32;

	switch (what % 12) {
	case 0:
		wr(where % 0x180, wide, len);
		break;
	case 1:
		rd(where % 0x1000, len);
		break;
	case 2:
		put(reg[where % (sizeof(reg) / sizeof(reg[0]))], v);
		break;
	case 3:
		rd(where % 0x40 * 4, 4);
		break;
	case 4:
		put(VIRTIO_MMIO_STATUS, v);
		break;
	case 5:
		set_up_queue(where % (NVQ + 1), v, len & 1);
		break;
	case 6:
		negotiate(v & 1 ? V1 : wide);
		put(VIRTIO_MMIO_STATUS, ALL);
		break;
	case 7:
		told_by_device(v);
		break;
	case 8:
		finish_stop();
		break;
	case 9:
		put(VIRTIO_MMIO_INTERRUPT_ACK, rd(VIRTIO_MMIO_INTERRUPT_STATUS, 4) & (v | ~where));
		break;
	case 10:
		wr(VIRTIO_MMIO_CONFIG + where % 32, wide, len);
		break;
	default:
		put(VIRTIO_MMIO_STATUS, 0);
	}
}

static void check(void)
{
	must(status() || !model.stopping); /* and so a reset that is through takes place */
	must(!model.kicks || model.started);
	for (unsigned i = 0; i < NVQ; i++) {
		must(!model.kick[i] || model.cfg[i].ready);
		must(!model.started || !memcmp(&model.cfg[i], &vdev.queue[i].cfg, sizeof(model.cfg[i])));
	}
	must(fake_irq.delivered == model.edges);
	must(model.started || model.stopping || !io->regs.isr);
}

/* Whatever happened, a driver that does the right thing gets a device, and its interrupts. */
static void recover(void)
{
	put(VIRTIO_MMIO_STATUS, 0);
	must(!status() == !model.stopping);
	finish_stop();
	must(status() == 0 && !model.kicks && !rd(VIRTIO_MMIO_INTERRUPT_STATUS, 4));
	negotiate(V1);
	put(VIRTIO_MMIO_STATUS, ALL & ~VIRTIO_CONFIG_S_DRIVER_OK);
	for (unsigned i = 0; i < NVQ; i++) {
		put(VIRTIO_MMIO_QUEUE_SEL, i);
		must(!rd(VIRTIO_MMIO_QUEUE_READY, 4));
	}
	set_up_queue(0, 8, true);
	put(VIRTIO_MMIO_STATUS, ALL);
	must(status() == ALL && model.started && model.cfg[0].ready && model.cfg[0].num == 8);
	must(!model.cfg[1].ready && model.kicks == 1);
	told_by_device(2);
	check();
	must(rd(VIRTIO_MMIO_INTERRUPT_STATUS, 4) == VIRTIO_MMIO_INT_VRING);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct irq_src *irq;

	log_set_level(LOG_ERROR);
	memset(&board, 0, sizeof(board));
	memset(&model, 0, sizeof(model));
	fake_irq.delivered = 0;
	vdev = (struct virtio_dev){.ops = &dev_ops,
		.name = "disk0",
		.offered = OFFERS,
		.nvq = NVQ,
		.queue_max = QMAX,
		.queue = queues,
		.config_len = 24};
	for (unsigned i = 0; i < NVQ; i++)
		queues[i] = (struct virtio_queue){.kick_fd = -1 - (int)i};
	must(!virtio_mmio_create(&transport, &board, &slot, NULL, &vdev, &irq));
	io = container_of(transport, struct virtio_mmio, regs.transport);
	io->patience_ms = io->regs.drain_ms = 0;
	irq_mask(irq, false);
	bus_freeze(&board);
	for (; size >= 8; data += 8, size -= 8) {
		step(data[0], bus_get(data + 1, 2), 1 + data[3] % 8, bus_get(data + 4, 4));
		check();
	}
	if (size & 1)
		transport->reset(transport);
	recover();
	finish_stop();
	transport->destroy(transport);
	must(!fake_irq.open && !model.kicks);
	return 0;
}
