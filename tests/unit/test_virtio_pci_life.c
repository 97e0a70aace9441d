// SPDX-License-Identifier: Apache-2.0
/* virtio-pci: reset, restart, moving BARs, failing set-up, and a guest that writes anything anywhere. */
#include "tests/unit/virtio_life_cases.h"
#include "tests/unit/virtio_pci_guest.h"

static void meddle(void)
{
	put(VIRTIO_PCI_COMMON_Q_SELECT, 1, 2);
	ck_assert_msg(get(VIRTIO_PCI_COMMON_Q_SELECT, 2) == NVQ - 1, "writes go nowhere");
	wr(g.config, 0, 4);
	wr(CFG + PCI_COMMAND, 0, 2);
	wr(CFG + PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
}

START_TEST(kicks_follow_the_bar)
{
	uint64_t from;

	build();
	drive();
	from = g.notify;
	wr(CFG + PCI_COMMAND, 0, 2);
	ck_assert_uint_eq(kicks.n, 0);
	wr(CFG + PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
	ck_assert_uint_eq(kicks.n, 2);
	wr(CFG + PCI_BASE_ADDRESS_0, MEM32 + 0x80000, 4);
	ck_assert_uint_eq(kicks.n, 2);
	ck_assert_uint_eq(kicks.gpa[0], MEM32 + 0x80000 + (from & 0x3fff));
	wr(CFG + PCI_BASE_ADDRESS_0, 0xfffff000, 4);
	ck_assert_uint_eq(kicks.n, 0);
	ck_assert_msg(model.started, "the device itself goes on");
	tear_down();
}
END_TEST

START_TEST(set_up_fails_cleanly)
{
	ck_assert_int_eq(pci_bus_create(&bus, &board, &layout), 0);
	for (int n = 0; n < NVQ + 1; n++) {
		make_device();
		fake_irq.left = n;
		ck_assert_int_eq(plug(), -ENOSPC);
		ck_assert_uint_eq(model.destroyed, n + 1);
		ck_assert_int_eq(fake_irq.open, 0);
	}
	fake_irq.left = -1;
	make_device();
	vdev.config_len = 65;
	ck_assert_int_eq(plug(), -EINVAL);
	ck_assert_uint_eq(rd(CFG, 4), 0xffffffff);
	pci_bus_destroy(bus);
}
END_TEST

/* A guest that writes anything anywhere, often the right thing so that it gets far. */
static void *hammer(void *arg)
{
	uint64_t s = *(uint64_t *)arg;

	for (int i = 0; i < 60000; i++) {
		uint64_t addr;
		unsigned len;

		unit_dice(&s);
		len = 1 + (s >> 8) % 8;
		switch (s % 16) {
		case 0:
			addr = CFG + (s >> 16) % 4096;
			break;
		case 1:
			wr(CFG + PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
			continue;
		case 2:
			wr(CFG + PCI_BASE_ADDRESS_0, g.common, 4);
			continue;
		case 3:
		case 4:
			negotiate(V1);
			put(VIRTIO_PCI_COMMON_STATUS, ALL & ~(s >> 16 & s >> 32), 1);
			continue;
		case 5:
			put(VIRTIO_PCI_COMMON_STATUS, 0, 1);
			continue;
		case 6:
			put(VIRTIO_PCI_COMMON_Q_SELECT, (s >> 16) % (NVQ + 1), 2);
			put(VIRTIO_PCI_COMMON_Q_SIZE, 1 << (s >> 24) % 16, 2);
			put(VIRTIO_PCI_COMMON_Q_ENABLE, 1, 2);
			continue;
		case 7:
			wr(g.notify + (s >> 16) % 16, s >> 32, 2);
			continue;
		case 8:
			wr(CFG + g.msix_cap + 2, s >> 16, 2);
			continue;
		case 9:
			wr(g.table + (s >> 16) % 64 * 4, s >> 32, 4);
			continue;
		case 10:
			finish_stop(); /* on any thread, so that much happens whatever the scheduler does */
			continue;
		case 11:
			addr = g.common + (s >> 16) % 0x40;
			break;
		default:
			addr = g.common + (s >> 16) % 0x4010;
		}
		if (s & 1ull << 60)
			wr(addr, s, len);
		else
			rd(addr, len);
	}
	return NULL;
}

UNIT_MAIN("virtio_pci_life", VIRTIO_LIFE_CASES, kicks_follow_the_bar, set_up_fails_cleanly)
