// SPDX-License-Identifier: Apache-2.0
/* virtio-pci: reset, restart, moving BARs, failing set-up, and a guest that writes anything anywhere. */
#include <pthread.h>
#include <sched.h>

#include "tests/unit/virtio_pci_guest.h"

START_TEST(status_is_zero_only_when_drained)
{
	build();
	model.slow = true;
	drive();
	vp->regs.transport.notify(&vp->regs.transport, 0, NULL);
	put(VIRTIO_PCI_COMMON_STATUS, 0, 1);
	ck_assert_uint_eq(model.stops, 2); /* probe's own reset was the first */
	ck_assert_uint_ne(status(), 0);
	ck_assert_msg(kicks.n == 0, "no kicks from the first moment on");
	wr(g.notify, 0, 2);
	ck_assert(!kicked(0));
	/* Whatever the driver does meanwhile. */
	put(VIRTIO_PCI_COMMON_STATUS, 0, 1);
	put(VIRTIO_PCI_COMMON_STATUS, ALL, 1);
	put(VIRTIO_PCI_COMMON_Q_SELECT, 1, 2);
	ck_assert_msg(get(VIRTIO_PCI_COMMON_Q_SELECT, 2) == NVQ - 1, "writes go nowhere");
	wr(g.config, 0, 4);
	ck_assert_uint_eq(model.writes, 0);
	wr(CFG + PCI_COMMAND, 0, 2);
	wr(CFG + PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
	ck_assert_uint_eq(model.stops, 2);
	ck_assert_uint_ne(status(), 0);
	fake_irq.delivered = 0;
	vp->regs.transport.notify(&vp->regs.transport, 0, NULL);
	ck_assert_uint_eq(fake_irq.delivered, 0);
	ck_assert(finish_stop());
	expect_power_on();
	drive();
	ck_assert_uint_eq(model.starts, 2);
	tear_down();
}
END_TEST

START_TEST(reset_before_driver_ok_is_immediate)
{
	build();
	model.slow = true;
	set_up();
	put(VIRTIO_PCI_COMMON_STATUS, 0, 1);
	expect_power_on();
	tear_down();
}
END_TEST

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

static void *loop_thread(void *arg)
{
	while (!finish_stop())
		sched_yield();
	return NULL;
}

START_TEST(restart_waits_for_the_device)
{
	pthread_t t;

	build();
	model.slow = true;
	drive();
	ck_assert_int_eq(pthread_create(&t, NULL, loop_thread, NULL), 0);
	restart();
	pthread_join(t, NULL);
	ck_assert_uint_eq(rd(CFG + PCI_COMMAND, 2), 0);
	find_structures();
	expect_power_on();
	drive();
	ck_assert_uint_eq(model.starts, 2);
	reset();
	restart(); /* nothing to wait for */
	tear_down();
}
END_TEST

START_TEST(restart_does_not_wait_for_ever)
{
	build();
	model.slow = true;
	vp->regs.drain_ms = 20;
	drive();
	ck_assert_msg(restart() == -ETIMEDOUT, "guest RAM may still be written");
	find_structures();
	ck_assert_msg(status() != 0, "the next driver waits");
	put(VIRTIO_PCI_COMMON_STATUS, 0, 1);
	ck_assert_uint_ne(status(), 0);
	put(VIRTIO_PCI_COMMON_STATUS, ACK, 1);
	ck_assert_int_eq(restart(), -ETIMEDOUT);
	find_structures();
	ck_assert_uint_ne(status(), 0);
	ck_assert_uint_eq(model.stops, 2);
	ck_assert(finish_stop());
	expect_power_on();
	drive();
	tear_down();
}
END_TEST

START_TEST(devices_can_drain_side_by_side)
{
	build();
	model.slow = true;
	vp->regs.drain_ms = 60000;
	drive();
	vp->regs.transport.ask_reset(&vp->regs.transport);
	ck_assert_msg(model.stops == 2, "asked, and not waited for");
	ck_assert(finish_stop());
	ck_assert_int_eq(restart(), 0);
	ck_assert_msg(model.stops == 2, "it was asked once");
	find_structures();
	expect_power_on();
	tear_down();
}
END_TEST

START_TEST(a_reset_in_flight_meets_a_restart)
{
	build();
	model.slow = true;
	vp->regs.drain_ms = 60000;
	drive();
	put(VIRTIO_PCI_COMMON_STATUS, 0, 1);
	ck_assert(finish_stop());
	restart();
	find_structures();
	expect_power_on();
	ck_assert_msg(model.stops == 2, "the stop of the driver's reset serves the restart");
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

		s ^= s << 13;
		s ^= s >> 7;
		s ^= s << 17;
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

static atomic_bool quiet;

/* The device's loop. */
static void *device_thread(void *arg)
{
	for (unsigned i = 0; !quiet; i++) {
		finish_stop();
		vp->regs.transport.notify(&vp->regs.transport, i % NVQ, NULL);
		if (i % 16 == 0)
			vp->regs.transport.config_changed(&vp->regs.transport);
		if (i % 64 == 0)
			vp->regs.transport.needs_reset(&vp->regs.transport);
		sched_yield();
	}
	return NULL;
}

START_TEST(two_vcpus_and_a_loop_hammer)
{
	uint64_t seed[2] = {0x1234567, 0xdeadbeef};
	pthread_t t[3];

	build();
	model.slow = true;
	find_structures();
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_create(&t[i], NULL, hammer, &seed[i]), 0);
	ck_assert_int_eq(pthread_create(&t[2], NULL, device_thread, NULL), 0);
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	quiet = true;
	pthread_join(t[2], NULL);
	ck_assert_msg(model.starts > 10 && model.stops > 10, "got far: %u starts", model.starts);
	finish_stop();
	model.slow = false;
	restart();
	drive();
	for (unsigned q = 0; q < NVQ; q++)
		kicked(q);
	fake_irq.delivered = 0;
	vp->regs.transport.notify(&vp->regs.transport, 1, NULL);
	ck_assert_uint_eq(fake_irq.delivered, 1);
	tear_down();
}
END_TEST

UNIT_MAIN("virtio_pci_life", status_is_zero_only_when_drained, reset_before_driver_ok_is_immediate,
	kicks_follow_the_bar, restart_waits_for_the_device, restart_does_not_wait_for_ever,
	devices_can_drain_side_by_side, a_reset_in_flight_meets_a_restart, set_up_fails_cleanly,
	two_vcpus_and_a_loop_hammer)
