/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-mmio between a device and a VM that only keep book (virtio_model.h), and what a guest's driver does
 * its way (virtio_driver.h), as Linux's does. Included by one .c file of a test program.
 */
#ifndef PINVM_TESTS_VIRTIO_MMIO_GUEST_H
#define PINVM_TESTS_VIRTIO_MMIO_GUEST_H

#include "devices/virtio/mmio_priv.h"
#include "tests/unit/virtio_driver.h"

#define BASE   0xfe000000ull
#define PIN    10
#define CONFIG VIRTIO_MMIO_CONFIG

static const struct mmio_slot slot = {.base = BASE, .size = 0x1000, .gsi = PIN};
static struct virtio_mmio *io;

/* On the board; its pin goes straight to the guest. */
static inline int plug(void)
{
	struct irq_src *irq;
	int err = virtio_mmio_create(&transport, &board, &slot, NULL, &vdev, &irq);

	board_base = BASE;
	if (err)
		return err;
	io = container_of(transport, struct virtio_mmio, regs.transport);
	regs = &io->regs;
	ck_assert_ptr_eq(irq, &io->irq);
	ck_assert_int_eq(irq->gsi, PIN);
	irq_mask(irq, false);
	return 0;
}

static inline void build(void)
{
	make_device();
	ck_assert_int_eq(plug(), 0);
	bus_freeze(&board);
	io->patience_ms = 0;
}

static inline void tear_down(void)
{
	finish_stop();
	transport->destroy(transport);
	ck_assert_uint_eq(model.destroyed, 1);
	ck_assert_uint_eq(kicks.n, 0);
	ck_assert_int_eq(fake_irq.open, 0);
}

static inline uint32_t get(uint32_t reg)
{
	return rd(reg, 4);
}

static inline void put(uint32_t reg, uint32_t v)
{
	wr(reg, v, 4);
}

static inline uint32_t status(void)
{
	return get(VIRTIO_MMIO_STATUS);
}

static inline void put_status(uint32_t v)
{
	put(VIRTIO_MMIO_STATUS, v);
}

static inline uint32_t offered_at(uint32_t select)
{
	put(VIRTIO_MMIO_DEVICE_FEATURES_SEL, select);
	return get(VIRTIO_MMIO_DEVICE_FEATURES);
}

static inline void want(uint32_t select, uint32_t v)
{
	put(VIRTIO_MMIO_DRIVER_FEATURES_SEL, select);
	put(VIRTIO_MMIO_DRIVER_FEATURES, v);
}

/* A driver can not read them. */
static inline void expect_wanted(uint64_t features)
{
	ck_assert_uint_eq(regs->wanted, features);
}

static inline void kick(unsigned q)
{
	put(VIRTIO_MMIO_QUEUE_NOTIFY, q);
}

static inline uint8_t take_isr(void)
{
	uint32_t bits = get(VIRTIO_MMIO_INTERRUPT_STATUS);

	put(VIRTIO_MMIO_INTERRUPT_ACK, bits);
	return bits;
}

static inline void expect_config_irq(void)
{
	ck_assert_uint_eq(fake_irq.delivered, 1);
}

static inline void find_device(void)
{
	ck_assert_uint_eq(get(VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
	ck_assert_uint_eq(get(VIRTIO_MMIO_VERSION), 2);
}

static inline void set_addresses(uint64_t at)
{
	put(VIRTIO_MMIO_QUEUE_DESC_LOW, at);
	put(VIRTIO_MMIO_QUEUE_DESC_HIGH, at >> 32);
	put(VIRTIO_MMIO_QUEUE_AVAIL_LOW, at + 0x4000);
	put(VIRTIO_MMIO_QUEUE_AVAIL_HIGH, at >> 32);
	put(VIRTIO_MMIO_QUEUE_USED_LOW, at + 0x8000);
	put(VIRTIO_MMIO_QUEUE_USED_HIGH, at >> 32);
}

static inline void set_queue(unsigned q, uint32_t num)
{
	put(VIRTIO_MMIO_QUEUE_SEL, q);
	put(VIRTIO_MMIO_QUEUE_NUM, num);
	set_addresses(0x100100000 + q * 0x10000ull);
}

static inline void set_up(void)
{
	agree();
	for (unsigned q = 0; q < NVQ; q++) {
		put(VIRTIO_MMIO_QUEUE_SEL, q);
		ck_assert_uint_eq(get(VIRTIO_MMIO_QUEUE_READY), 0);
		ck_assert_uint_eq(get(VIRTIO_MMIO_QUEUE_NUM_MAX), QMAX);
		set_queue(q, 128);
		if (q < 2)
			put(VIRTIO_MMIO_QUEUE_READY, 1);
		ck_assert_uint_eq(get(VIRTIO_MMIO_QUEUE_READY), q < 2);
	}
}

static inline void expect_power_on(void)
{
	ck_assert_uint_eq(status(), 0);
	ck_assert_uint_eq(get(VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	for (unsigned q = 0; q < NVQ; q++) {
		put(VIRTIO_MMIO_QUEUE_SEL, q);
		ck_assert_uint_eq(get(VIRTIO_MMIO_QUEUE_READY), 0);
		ck_assert_uint_eq(get(VIRTIO_MMIO_QUEUE_NUM_MAX), QMAX);
		ck_assert_uint_eq(io->regs.queue[q].cfg.num, QMAX);
		ck_assert_uint_eq(io->regs.queue[q].cfg.desc, 0);
	}
	put(VIRTIO_MMIO_QUEUE_SEL, 0);
	ck_assert_uint_eq(vdev.features, 0);
	ck_assert_uint_eq(kicks.n, 0);
}

static inline int restart(void)
{
	return transport->reset(transport);
}

#endif
