/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-pci between a device and a VM that only keep book (virtio_model.h), and what a guest's driver does
 * its way (virtio_driver.h), as Linux's does. Included by one .c file of a test program.
 */
#ifndef PINVM_TESTS_VIRTIO_PCI_GUEST_H
#define PINVM_TESTS_VIRTIO_PCI_GUEST_H

#include <linux/pci_regs.h>

#include "devices/virtio/pci_priv.h"
#include "tests/unit/virtio_driver.h"

#define ECAM  0xe0000000ull
#define MEM32 0xc0000000ull

static const struct pci_layout layout = {
	.ecam = ECAM, .ecam_size = 0x100000, .mem32 = MEM32, .mem32_size = 0x100000, .mech1 = true};
static struct pci_bus *bus;
static struct virtio_pci *vp;

/* On the bus. */
static inline int plug(void)
{
	int err = virtio_pci_create(&transport, bus, NULL, &vdev);

	if (err)
		return err;
	vp = vp_container(transport, regs.transport);
	regs = &vp->regs;
	return 0;
}

static inline void build(void)
{
	ck_assert_int_eq(pci_bus_create(&bus, &board, &layout), 0);
	make_device();
	ck_assert_int_eq(plug(), 0);
	bus_freeze(&board);
}

static inline void tear_down(void)
{
	finish_stop();
	transport->destroy(transport);
	pci_bus_destroy(bus);
	ck_assert_uint_eq(model.destroyed, 1);
	ck_assert_uint_eq(kicks.n, 0);
	ck_assert_int_eq(fake_irq.open, 0);
}

#define CFG (ECAM + (1 << 15))

/* The guest's driver, as far as Linux goes: vp_modern_probe() and what follows. */
static struct {
	uint64_t common, isr, config, notify, table;
	uint32_t notify_mult, config_len;
	unsigned cfg_cap, msix_cap;
} g;

static inline void find_device(void)
{
	unsigned seen = 0;

	for (unsigned cap = rd(CFG + PCI_CAPABILITY_LIST, 1); cap; cap = rd(CFG + cap + 1, 1)) {
		uint64_t at = rd(CFG + PCI_BASE_ADDRESS_0, 4) & ~0xfull;
		unsigned type = rd(CFG + cap + VIRTIO_PCI_CAP_CFG_TYPE, 1);

		if (rd(CFG + cap, 1) == PCI_CAP_ID_MSIX) {
			g.msix_cap = cap;
			g.table = at + (rd(CFG + cap + PCI_MSIX_TABLE, 4) & ~7ull);
			continue;
		}
		ck_assert_uint_eq(rd(CFG + cap, 1), PCI_CAP_ID_VNDR);
		ck_assert_uint_eq(rd(CFG + cap + VIRTIO_PCI_CAP_BAR, 1), 0);
		at += rd(CFG + cap + VIRTIO_PCI_CAP_OFFSET, 4);
		seen |= 1 << type;
		switch (type) {
		case VIRTIO_PCI_CAP_COMMON_CFG:
			g.common = at;
			ck_assert_uint_ge(rd(CFG + cap + VIRTIO_PCI_CAP_LENGTH, 4),
				sizeof(struct virtio_pci_common_cfg));
			break;
		case VIRTIO_PCI_CAP_ISR_CFG:
			g.isr = at;
			break;
		case VIRTIO_PCI_CAP_DEVICE_CFG:
			g.config = at;
			g.config_len = rd(CFG + cap + VIRTIO_PCI_CAP_LENGTH, 4);
			break;
		case VIRTIO_PCI_CAP_NOTIFY_CFG:
			g.notify = at;
			g.notify_mult = rd(CFG + cap + VIRTIO_PCI_NOTIFY_CAP_MULT, 4);
			ck_assert_uint_ge(
				rd(CFG + cap + VIRTIO_PCI_CAP_LENGTH, 4), (NVQ - 1) * g.notify_mult + 2);
			break;
		case VIRTIO_PCI_CAP_PCI_CFG:
			g.cfg_cap = cap;
			break;
		}
	}
	ck_assert_uint_eq(seen, 0x3e);
	wr(CFG + PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
}

static inline uint64_t get(unsigned reg, unsigned len)
{
	return rd(g.common + reg, len);
}

static inline void put(unsigned reg, uint64_t v, unsigned len)
{
	wr(g.common + reg, v, len);
}

static inline uint32_t status(void)
{
	return get(VIRTIO_PCI_COMMON_STATUS, 1);
}

static inline void put_status(uint32_t v)
{
	put(VIRTIO_PCI_COMMON_STATUS, v, 1);
}

static inline uint32_t offered_at(uint32_t select)
{
	put(VIRTIO_PCI_COMMON_DFSELECT, select, 4);
	return get(VIRTIO_PCI_COMMON_DF, 4);
}

static inline void want(uint32_t select, uint32_t v)
{
	put(VIRTIO_PCI_COMMON_GFSELECT, select, 4);
	put(VIRTIO_PCI_COMMON_GF, v, 4);
}

static inline void expect_wanted(uint64_t features)
{
	for (unsigned i = 0; i < 3; i++) {
		put(VIRTIO_PCI_COMMON_GFSELECT, i, 4);
		ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_GF, 4), i < 2 ? (uint32_t)(features >> 32 * i) : 0);
	}
}

static inline void kick(unsigned q)
{
	wr(g.notify + q * g.notify_mult, q, 2);
}

static inline uint8_t take_isr(void)
{
	return rd(g.isr, 1);
}

/* By vector 0, as set_up() chose. */
static inline void expect_config_irq(void)
{
	ck_assert_uint_eq(fake_irq.delivered, 1);
	ck_assert_uint_eq(fake_irq.last->msg.data, 0x40);
}

static inline void vector(unsigned v)
{
	wr(g.table + 16 * v, 0xfee00000, 4);
	wr(g.table + 16 * v + 4, 0, 4);
	wr(g.table + 16 * v + 8, 0x40 + v, 4);
	wr(g.table + 16 * v + 12, 0, 4);
}

static inline void set_queue(unsigned q, uint16_t num)
{
	uint64_t at = 0x100000 + q * 0x10000ull;

	put(VIRTIO_PCI_COMMON_Q_SELECT, q, 2);
	put(VIRTIO_PCI_COMMON_Q_SIZE, num, 2);
	put(VIRTIO_PCI_COMMON_Q_DESCLO, at, 4);
	put(VIRTIO_PCI_COMMON_Q_DESCHI, 1, 4);
	put(VIRTIO_PCI_COMMON_Q_AVAILLO, at + 0x4000, 4);
	put(VIRTIO_PCI_COMMON_Q_AVAILHI, 1, 4);
	put(VIRTIO_PCI_COMMON_Q_USEDLO, at + 0x8000, 4);
	put(VIRTIO_PCI_COMMON_Q_USEDHI, 1, 4);
	put(VIRTIO_PCI_COMMON_Q_MSIX, 1 + q, 2);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_MSIX, 2), 1 + q);
}

static inline void set_up(void)
{
	agree();
	wr(CFG + g.msix_cap + PCI_MSIX_FLAGS, PCI_MSIX_FLAGS_ENABLE, 2);
	put(VIRTIO_PCI_COMMON_MSIX, 0, 2);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_MSIX, 2), 0);
	for (unsigned i = 0; i <= NVQ; i++)
		vector(i);
	for (unsigned q = 0; q < NVQ; q++) {
		put(VIRTIO_PCI_COMMON_Q_SELECT, q, 2);
		ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_SIZE, 2), QMAX);
		ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
		ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_NOFF, 2), q);
		set_queue(q, 128);
		if (q < 2)
			put(VIRTIO_PCI_COMMON_Q_ENABLE, 1, 2);
	}
}

static inline void expect_power_on(void)
{
	ck_assert_uint_eq(status(), 0);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_SELECT, 2), 0);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_DFSELECT, 4), 0);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_GFSELECT, 4), 0);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_GF, 4), 0);
	ck_assert_uint_eq(rd(g.isr, 1), 0);
	for (unsigned q = 0; q < NVQ; q++) {
		put(VIRTIO_PCI_COMMON_Q_SELECT, q, 2);
		ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_SIZE, 2), QMAX);
		ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
		ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
		ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_DESCLO, 8), 0);
		ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_AVAILLO, 8), 0);
		ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_USEDLO, 8), 0);
	}
	put(VIRTIO_PCI_COMMON_Q_SELECT, 0, 2);
	ck_assert_uint_eq(vdev.features, 0);
	ck_assert_uint_eq(kicks.n, 0);
}

/* All of the PCI device goes back to how it was, so that its BAR has to be mapped anew. */
static inline int restart(void)
{
	int err = transport->reset(transport);

	ck_assert_uint_eq(rd(CFG + PCI_COMMAND, 2), 0);
	find_device();
	return err;
}

#endif
