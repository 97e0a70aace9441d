// SPDX-License-Identifier: Apache-2.0
/* virtio-pci: what the registers let a driver do, and what they do not. */
#include "tests/unit/virtio_pci_guest.h"
#include "tests/unit/virtio_regs_cases.h"

/* Of other widths, behind the last queue, and between two. */
static void odd_kicks(void)
{
	wr(g.notify, 0, 4);
	ck_assert(kicked(0));
	wr(g.notify + NVQ * g.notify_mult, 3, 2);
	wr(g.notify + 1, 0, 2);
	wr(g.notify, 0, 8);
}

START_TEST(linux_finds_and_starts_the_device)
{
	build();
	ck_assert_uint_eq(rd(CFG, 4), 0x10421af4);
	ck_assert_uint_eq(rd(CFG + PCI_REVISION_ID, 1), 1);
	ck_assert_uint_ge(rd(CFG + PCI_SUBSYSTEM_ID, 2), 0x40);
	drive();
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_NUMQ, 2), NVQ);
	ck_assert_uint_eq(g.config_len, 24);
	expect_started();
	ck_assert_msg(fake_irq.routes == NVQ + 1, "one routing write a vector");
	ck_assert_uint_eq(kicks.gpa[1], g.notify + g.notify_mult);
	ck_assert_int_eq(kicks.fd[1], queues[1].kick_fd);
	transport->notify(transport, 1, NULL);
	ck_assert_uint_eq(fake_irq.delivered, 1);
	ck_assert_uint_eq(fake_irq.last->msg.data, 0x42);
	tear_down();
}
END_TEST

START_TEST(queue_sizes_are_checked)
{
	static const uint16_t bad[] = {0, 3, 127, QMAX * 2, 0x8000, 0xffff};

	build();
	probe();
	put(VIRTIO_PCI_COMMON_Q_SELECT, 1, 2);
	put(VIRTIO_PCI_COMMON_Q_SIZE, 64, 2);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		put(VIRTIO_PCI_COMMON_Q_SIZE, bad[i], 2);
		ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_SIZE, 2), 64);
	}
	put(VIRTIO_PCI_COMMON_Q_SIZE, 1, 2);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_SIZE, 2), 1);
	tear_down();
}
END_TEST

START_TEST(a_selector_out_of_range_selects_nothing)
{
	static const uint16_t bad[] = {NVQ, NVQ + 1, 0x7fff, 0xffff};

	build();
	probe();
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		put(VIRTIO_PCI_COMMON_Q_SELECT, bad[i], 2);
		ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_SELECT, 2), bad[i]);
		put(VIRTIO_PCI_COMMON_Q_SIZE, 8, 2);
		put(VIRTIO_PCI_COMMON_Q_MSIX, 1, 2);
		put(VIRTIO_PCI_COMMON_Q_ENABLE, 1, 2);
		put(VIRTIO_PCI_COMMON_Q_DESCLO, ~0ull, 8);
		ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_SIZE, 2), 0);
		ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
		ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
		ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_DESCLO, 8), 0);
	}
	tear_down();
}
END_TEST

START_TEST(vectors_out_of_range_read_no_vector)
{
	build();
	probe();
	put(VIRTIO_PCI_COMMON_MSIX, NVQ, 2);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_MSIX, 2), NVQ);
	put(VIRTIO_PCI_COMMON_MSIX, NVQ + 1, 2);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
	put(VIRTIO_PCI_COMMON_Q_MSIX, 0x800, 2);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
	tear_down();
}
END_TEST

START_TEST(queues_freeze)
{
	build();
	set_up();
	/* An enabled queue keeps its addresses, a queue that is not enabled takes new ones. */
	put(VIRTIO_PCI_COMMON_Q_SELECT, 0, 2);
	put(VIRTIO_PCI_COMMON_Q_SIZE, 8, 2);
	put(VIRTIO_PCI_COMMON_Q_USEDLO, 0xdead0000, 4);
	put(VIRTIO_PCI_COMMON_Q_ENABLE, 0, 2);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_SIZE, 2), 128);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_USEDLO, 8), 0x100108000);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_ENABLE, 2), 1);
	put(VIRTIO_PCI_COMMON_Q_SELECT, 2, 2);
	put(VIRTIO_PCI_COMMON_Q_ENABLE, 2, 2);
	ck_assert_msg(get(VIRTIO_PCI_COMMON_Q_ENABLE, 2) == 0, "only 1 enables");
	add_status(OK);
	/* After DRIVER_OK nothing moves, enabled or not. */
	for (unsigned q = 0; q < NVQ; q++) {
		put(VIRTIO_PCI_COMMON_Q_SELECT, q, 2);
		put(VIRTIO_PCI_COMMON_Q_SIZE, 8, 2);
		put(VIRTIO_PCI_COMMON_Q_DESCLO, 0, 8);
		put(VIRTIO_PCI_COMMON_Q_ENABLE, 1, 2);
		ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_SIZE, 2), 128);
		ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_DESCLO, 8), 0x100100000 + q * 0x10000);
		ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_ENABLE, 2), q < 2);
		ck_assert_uint_eq(vdev.queue[q].cfg.num, 128);
	}
	ck_assert_uint_eq(kicks.n, 2);
	tear_down();
}
END_TEST

START_TEST(registers_take_their_own_width)
{
	build();
	probe();
	put(VIRTIO_PCI_COMMON_Q_DESCLO, 0x1122334455667788, 8);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_DESCLO, 8), 0x1122334455667788);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_DESCHI, 4), 0x11223344);
	put(VIRTIO_PCI_COMMON_Q_DESCLO, 0, 2);
	put(VIRTIO_PCI_COMMON_Q_DESCLO, 0, 1);
	put(VIRTIO_PCI_COMMON_Q_DESCLO + 2, 0, 4);
	put(VIRTIO_PCI_COMMON_Q_DESCHI, 0, 8);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_DESCLO, 8), 0x1122334455667788);
	put(VIRTIO_PCI_COMMON_STATUS, 0, 2);
	put(VIRTIO_PCI_COMMON_STATUS, 0, 4);
	put(VIRTIO_PCI_COMMON_NUMQ, 0, 2);
	ck_assert_uint_eq(status(), ACK | DRIVER);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_NUMQ, 2), NVQ);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_NUMQ, 4), NVQ | (ACK | DRIVER) << 16);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_USEDHI, 8), UINT64_MAX);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_USEDHI + 4, 4), 0xffffffff);
	ck_assert_uint_eq(rd(g.isr + 1, 1), 0xff);
	tear_down();
}
END_TEST

START_TEST(device_config_is_bounded)
{
	build();
	find_device();
	ck_assert_msg(rd(g.config, 1) == 0x80, "readable before any status");
	ck_assert_uint_eq(rd(g.config, 8), 0x8786858483828180);
	ck_assert_uint_eq(rd(g.config + 1, 3), 0x838281);
	ck_assert_uint_eq(rd(g.config + 23, 1), 0x97);
	for (unsigned len = 1; len <= 8; len++) {
		ck_assert(rd(g.config + 24 - len, len) != (len == 8 ? UINT64_MAX : (1ull << 8 * len) - 1));
		ck_assert(rd(g.config + 25 - len, len) == (len == 8 ? UINT64_MAX : (1ull << 8 * len) - 1));
		wr(g.config + 25 - len, 0, len);
	}
	ck_assert_uint_eq(model.writes, 0);
	wr(g.config + 22, 0x5566, 2);
	ck_assert_uint_eq(model.writes, 1);
	ck_assert_uint_eq(rd(g.config + 22, 2), 0x5566);
	vdev.config_gen = 0x1ff;
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_CFGGENERATION, 1), 0xff);
	tear_down();
}
END_TEST

START_TEST(isr_clears_when_read)
{
	build();
	drive();
	transport->notify(transport, 0, NULL);
	ck_assert_uint_eq(rd(g.isr, 1), ISR_QUEUE);
	ck_assert_uint_eq(rd(g.isr, 1), 0);
	transport->notify(transport, 0, NULL);
	transport->config_changed(transport);
	ck_assert_uint_eq(rd(g.isr, 1), ISR_QUEUE | ISR_CONFIG);
	ck_assert_uint_eq(rd(g.isr, 1), 0);
	tear_down();
}
END_TEST

static uint32_t window(uint32_t off, uint32_t len)
{
	wr(CFG + g.cfg_cap + VIRTIO_PCI_CAP_OFFSET, off, 4);
	wr(CFG + g.cfg_cap + VIRTIO_PCI_CAP_LENGTH, len, 4);
	return CFG + g.cfg_cap + sizeof(struct virtio_pci_cap);
}

START_TEST(the_config_window_reaches_the_bar)
{
	uint64_t data;
	uint64_t base;

	build();
	find_device();
	base = rd(CFG + PCI_BASE_ADDRESS_0, 4) & ~0xfull;
	wr(CFG + PCI_COMMAND, 0, 2); /* it works for who cannot map BARs */
	data = window(g.common - base + VIRTIO_PCI_COMMON_STATUS, 1);
	wr(data, ACK, 1);
	ck_assert_uint_eq(rd(data, 1), ACK);
	data = window(g.common - base + VIRTIO_PCI_COMMON_NUMQ, 2);
	ck_assert_uint_eq(rd(data, 2), NVQ);
	data = window(g.config - base, 4);
	ck_assert_uint_eq(rd(data, 4), 0x83828180);
	data = window(g.table - base + 12, 4);
	wr(data, 0, 4);
	ck_assert_msg(rd(data, 4) == 0, "MSI-X too");
	/* What is not legal touches nothing: the data bytes are then plain memory. */
	data = window(g.config - base, 4);
	rd(data, 4);
	data = window(g.config - base, 3);
	ck_assert_uint_eq(rd(data, 4), 0x83828180);
	data = window(g.config - base, 0);
	data = window(g.config - base, 8);
	data = window(g.config - base + 2, 4);
	wr(data, 0, 4);
	ck_assert_uint_eq(model.writes, 0);
	data = window(0xfffffffc, 4);
	ck_assert_uint_eq(rd(data, 4), 0xffffffff);
	wr(data, 0, 4);
	wr(CFG + g.cfg_cap + VIRTIO_PCI_CAP_BAR, 1, 1);
	data = window(0, 4);
	ck_assert_uint_eq(rd(data, 4), 0xffffffff);
	wr(CFG + g.cfg_cap + VIRTIO_PCI_CAP_BAR, 0xff, 1);
	ck_assert_uint_eq(rd(data, 4), 0xffffffff);
	wr(data, 0, 4);
	tear_down();
}
END_TEST

START_TEST(a_device_without_config_has_no_capability_for_it)
{
	ck_assert_int_eq(pci_bus_create(&bus, &board, &layout), 0);
	make_device();
	vdev.config_len = 0;
	ck_assert_int_eq(plug(), 0);
	for (unsigned cap = rd(CFG + PCI_CAPABILITY_LIST, 1); cap; cap = rd(CFG + cap + 1, 1))
		ck_assert(rd(CFG + cap, 1) != PCI_CAP_ID_VNDR ||
			  rd(CFG + cap + 3, 1) != VIRTIO_PCI_CAP_DEVICE_CFG);
	wr(CFG + PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
	ck_assert_uint_eq(rd((rd(CFG + PCI_BASE_ADDRESS_0, 4) & ~0xfull) + AT_CONFIG, 1), 0xff);
	tear_down();
}
END_TEST

UNIT_MAIN("virtio_pci", linux_finds_and_starts_the_device, VIRTIO_REGS_CASES, queue_sizes_are_checked,
	a_selector_out_of_range_selects_nothing, vectors_out_of_range_read_no_vector, queues_freeze,
	registers_take_their_own_width, device_config_is_bounded, isr_clears_when_read,
	the_config_window_reaches_the_bar, a_device_without_config_has_no_capability_for_it)
