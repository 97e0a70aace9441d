/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The steps of a guest's driver, as far as they are the same over every transport, between the VM and the
 * device of virtio_model.h. Each transport's guest header (virtio_mmio_guest.h, virtio_pci_guest.h) has what
 * it does its own way.
 */
#ifndef PINVM_TESTS_VIRTIO_DRIVER_H
#define PINVM_TESTS_VIRTIO_DRIVER_H

#include "devices/virtio/regs.h"
#include "tests/unit/board.h"
#include "tests/unit/fake_irq.h"
#include "tests/unit/unit.h"
#include "tests/unit/virtio_model.h"

static struct virtio_transport *transport;
static struct vregs *regs; /* its */

/* ---- the transport's own ---- */

static void build(void);       /* a device on a board */
static void find_device(void); /* where its registers are */
static uint32_t status(void);
static void put_status(uint32_t v);
static uint32_t offered_at(uint32_t select); /* 32 bits of the features the device offers */
static void want(uint32_t select, uint32_t v);
static void expect_wanted(uint64_t features); /* what the driver wrote */
static void kick(unsigned q);
static uint8_t take_isr(void);	     /* ISR_*, acknowledged */
static void expect_config_irq(void); /* one came, and no other */
static void set_up(void);	     /* to all but DRIVER_OK: queues 0 and 1 of 128 entries, 2 is not ready */
static void expect_power_on(void);
static int restart(void); /* what main does; the registers are found again */
static void tear_down(void);

/* ---- common steps ---- */

static inline void notify(unsigned q)
{
	transport->notify(transport, q, NULL);
}

static inline void add_status(uint8_t bits)
{
	put_status(status() | bits);
}

static inline void reset(void)
{
	put_status(0);
	while (status())
		ck_assert(finish_stop());
}

static inline uint64_t offered(void)
{
	return offered_at(0) | (uint64_t)offered_at(1) << 32;
}

static inline void negotiate(uint64_t features)
{
	want(0, features);
	want(1, features >> 32);
}

/* Up to and without FEATURES_OK. */
static inline void probe(void)
{
	find_device();
	reset();
	add_status(ACK);
	add_status(DRIVER);
	ck_assert_uint_eq(status(), ACK | DRIVER);
}

/* All features. */
static inline void agree(void)
{
	probe();
	negotiate(offered());
	add_status(FEATS);
	ck_assert_uint_eq(status(), ACK | DRIVER | FEATS);
}

static inline void drive(void)
{
	set_up();
	add_status(OK);
	ck_assert_uint_eq(status(), ALL);
}

/* The device runs with what set_up() said, and kicks are caught. */
static inline void expect_started(void)
{
	ck_assert_uint_eq(model.starts, 1);
	ck_assert_uint_eq(model.features, OFFERS);
	ck_assert(model.cfg[0].ready && model.cfg[1].ready && !model.cfg[2].ready);
	ck_assert_uint_eq(model.cfg[1].num, 128);
	ck_assert_uint_eq(model.cfg[1].desc, 0x100110000);
	ck_assert_uint_eq(model.cfg[1].avail, 0x100114000);
	ck_assert_uint_eq(model.cfg[1].used, 0x100118000);
	ck_assert_uint_eq(model.cfg[1].base, 0);
	ck_assert_uint_eq(kicks.n, 2);
}

#endif
