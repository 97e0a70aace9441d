// SPDX-License-Identifier: Apache-2.0
/*
 * A guest against the registers of virtio-mmio. An input is a list of steps of eight bytes: what, where (two
 * bytes), how wide, a value. Beyond "no crash": reads stay inside their buffer; the device starts only with
 * features it offered and queues it can have, once between two stops; what it was started with does not
 * change; kicks are caught only while it runs, for queues that are ready, each by its number; an interrupt
 * comes with every step of InterruptStatus from 0 to something and with every ACK that leaves bits, and never
 * else; nothing is said before DRIVER_OK or after a reset; after a reset a proper driver gets it going.
 */
#include "devices/virtio/mmio_priv.h"
#include "tests/fuzz/transport_model.h"
#include "tests/unit/fake_irq.h"

#define BASE 0xfe000000ull

static const struct mmio_slot slot = {.base = BASE, .size = 0x1000, .gsi = 10};
static struct virtio_mmio *io;
static unsigned edges; /* that there should have been */

static bool kick_fits(uint64_t gpa, int value, unsigned queue)
{
	must(gpa == BASE + VIRTIO_MMIO_QUEUE_NOTIFY && value == (int)queue);
	return io->regs.queue[queue].cfg.num != 2;
}

static uint64_t rd(uint64_t off, unsigned len)
{
	return guest_read(BUS_MMIO, BASE + off, len);
}

/* What the pin must do is foretold from the register before and after. */
static void wr(uint64_t off, uint64_t v, unsigned len)
{
	uint8_t was = io->regs.isr;

	guest_write(BUS_MMIO, BASE + off, v, len);
	must(!(io->regs.isr & ~was));
	if (off == VIRTIO_MMIO_INTERRUPT_ACK && len == 4 && io->regs.isr && io->regs.isr != was)
		edges++;
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

/* A queue speaks only while it runs. */
static void device_speaks(uint32_t v)
{
	uint8_t was = io->regs.isr;

	if (v % 4 > 1 && !model.started)
		return;
	told_by_device(v);
	if (!was && io->regs.isr)
		edges++;
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
		device_speaks(v);
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
	check_device();
	for (unsigned i = 0; i < NVQ; i++)
		must(!model.kick[i] || model.cfg[i].ready);
	must(fake_irq.delivered == edges);
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
	device_speaks(2);
	check();
	must(rd(VIRTIO_MMIO_INTERRUPT_STATUS, 4) == VIRTIO_MMIO_INT_VRING);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct irq_src *irq;

	make_device();
	fake_irq.delivered = edges = 0;
	must(!virtio_mmio_create(&transport, &board, &slot, NULL, &vdev, &irq));
	io = container_of(transport, struct virtio_mmio, regs.transport);
	io->patience_ms = io->regs.drain_ms = 0;
	irq_mask(irq, false);
	bus_freeze(&board);
	if (each_step(data, size, step, check) & 1)
		transport->reset(transport);
	recover();
	finish_stop();
	transport->destroy(transport);
	must(!fake_irq.open && !model.kicks);
	return 0;
}
