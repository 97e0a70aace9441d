// SPDX-License-Identifier: Apache-2.0
/* virtio-mmio: reset with I/O in flight, restart, failing set-up, and interrupts while loops and vCPUs race.
 */
#include <pthread.h>
#include <sched.h>

#include "tests/unit/virtio_mmio_guest.h"

START_TEST(status_is_zero_only_when_drained)
{
	build();
	model.slow = true;
	drive();
	transport->notify(transport, 0, NULL);
	put(VIRTIO_MMIO_STATUS, 0);
	ck_assert_uint_eq(model.stops, 2); /* probe's own reset was the first */
	ck_assert_uint_ne(status(), 0);
	ck_assert_msg(kicks.n == 0, "no kicks from the first moment on");
	put(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	ck_assert(!kicked(0));
	/* Whatever the driver does meanwhile. */
	put(VIRTIO_MMIO_STATUS, 0);
	put(VIRTIO_MMIO_STATUS, ALL);
	put(VIRTIO_MMIO_QUEUE_SEL, 0);
	put(VIRTIO_MMIO_QUEUE_READY, 0);
	put(VIRTIO_MMIO_QUEUE_NUM, 8);
	wr(CONFIG, 0, 4);
	ck_assert_uint_eq(model.writes, 0);
	ck_assert_uint_eq(io->regs.qselect, NVQ - 1);
	ck_assert_msg(io->regs.queue[0].cfg.ready, "its buffers are still in use");
	ck_assert_uint_eq(model.stops, 2);
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
	put(VIRTIO_MMIO_STATUS, 0);
	expect_power_on();
	tear_down();
}
END_TEST

/* The loop: whoever wants to stop is let go. */
static void *loop_thread(void *arg)
{
	while (!finish_stop())
		sched_yield();
	return NULL;
}

/* Linux's driver writes 0 and takes its memory back. */
START_TEST(a_reset_is_through_when_the_write_is)
{
	pthread_t t;

	build();
	model.slow = true;
	io->patience_ms = 60000;
	for (unsigned i = 0; i < 100; i++) {
		drive();
		ck_assert_int_eq(pthread_create(&t, NULL, loop_thread, NULL), 0);
		put(VIRTIO_MMIO_STATUS, 0);
		ck_assert_msg(!model.stopping && io->regs.drained, "nothing is in flight");
		expect_power_on();
		pthread_join(t, NULL);
	}
	tear_down();
}
END_TEST

START_TEST(restart_waits_for_the_device)
{
	pthread_t t;

	build();
	model.slow = true;
	drive();
	ck_assert_int_eq(pthread_create(&t, NULL, loop_thread, NULL), 0);
	ck_assert_int_eq(transport->reset(transport), 0);
	pthread_join(t, NULL);
	expect_power_on();
	drive();
	ck_assert_uint_eq(model.starts, 2);
	tear_down();
}
END_TEST

START_TEST(restart_does_not_wait_for_ever)
{
	build();
	model.slow = true;
	io->regs.drain_ms = 20;
	drive();
	transport->ask_reset(transport);
	ck_assert_msg(transport->reset(transport) == -ETIMEDOUT, "guest RAM may still be written");
	ck_assert_msg(status() != 0, "the next driver waits");
	put(VIRTIO_MMIO_STATUS, ACK);
	ck_assert_int_eq(transport->reset(transport), -ETIMEDOUT);
	ck_assert_uint_ne(status(), 0);
	ck_assert_uint_eq(model.stops, 2);
	ck_assert(finish_stop());
	expect_power_on();
	drive();
	tear_down();
}
END_TEST

START_TEST(set_up_fails_cleanly)
{
	static const struct bus_ops none = {0};

	make_device();
	fake_irq.left = 0;
	ck_assert_int_eq(plug(), -ENOSPC);
	fake_irq.left = -1;
	make_device();
	vdev.config_len = 65;
	ck_assert_int_eq(plug(), -EINVAL);
	ck_assert_uint_eq(rd(0, 4), 0xffffffff);
	make_device();
	ck_assert_int_eq(bus_add(&board, BUS_MMIO, BASE + 0xf00, 0x200, &none, NULL, "other"), 0);
	ck_assert_int_eq(plug(), -EEXIST);
	ck_assert_uint_eq(model.destroyed, 3);
	ck_assert_int_eq(fake_irq.open, 0);
}
END_TEST

/* ---- interrupts: two loops and the configuration make things to see, a driver sleeps until an edge ---- */

#define ITEMS 40000

static struct {
	_Atomic unsigned made[3];
	unsigned seen[3];
} race;

static void *maker(void *arg)
{
	unsigned kind = (uintptr_t)arg;

	for (unsigned i = 0; i < ITEMS; i++) {
		atomic_fetch_add(&race.made[kind], 1);
		if (kind == 2)
			transport->config_changed(transport);
		else
			transport->notify(transport, kind, NULL);
		if (i % 64 == 0)
			sched_yield();
	}
	return NULL;
}

static unsigned sum(void)
{
	return race.seen[0] + race.seen[1] + race.seen[2];
}

/* As Linux does: read, acknowledge, then look; the configuration and the queues each only when its bit says
 * so. */
static void handler(void)
{
	uint32_t bits = get(VIRTIO_MMIO_INTERRUPT_STATUS);

	ck_assert_msg(bits, "an edge for nothing");
	sched_yield(); /* here more bits come, at best */
	put(VIRTIO_MMIO_INTERRUPT_ACK, bits);
	if (bits & VIRTIO_MMIO_INT_CONFIG)
		race.seen[2] = race.made[2];
	if (bits & VIRTIO_MMIO_INT_VRING) {
		race.seen[0] = race.made[0];
		race.seen[1] = race.made[1];
	}
}

START_TEST(no_interrupt_is_lost_and_none_is_for_nothing)
{
	unsigned edges = 0;
	pthread_t t[3];

	build();
	drive();
	for (uintptr_t i = 0; i < 3; i++)
		ck_assert_int_eq(pthread_create(&t[i], NULL, maker, (void *)i), 0);
	/* A lost edge makes this wait until Check ends the test. */
	while (sum() < 3 * ITEMS) {
		if (fake_irq.delivered == edges) {
			sched_yield();
			continue;
		}
		edges++;
		handler();
		ck_assert_msg(fake_irq.delivered - edges <= 1, "%u edges that nobody answered",
			fake_irq.delivered - edges);
	}
	for (unsigned i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	while (fake_irq.delivered != edges) {
		edges++;
		handler();
	}
	ck_assert_uint_eq(get(VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	tear_down();
}
END_TEST

/* A guest that writes anything anywhere, often the right thing so that it gets far. */
static void *hammer(void *arg)
{
	uint64_t s = *(uint64_t *)arg;

	for (int i = 0; i < 60000; i++) {
		s ^= s << 13;
		s ^= s >> 7;
		s ^= s << 17;
		switch (s % 8) {
		case 0:
			negotiate(V1);
			put(VIRTIO_MMIO_STATUS, ALL & ~(s >> 16 & s >> 32));
			break;
		case 1:
			put(VIRTIO_MMIO_STATUS, 0);
			break;
		case 2:
			put(VIRTIO_MMIO_QUEUE_SEL, (s >> 16) % (NVQ + 1));
			put(VIRTIO_MMIO_QUEUE_NUM, 1 << (s >> 24) % 16);
			put(VIRTIO_MMIO_QUEUE_READY, s >> 40 & 1);
			break;
		case 3:
			put(VIRTIO_MMIO_QUEUE_NOTIFY, (s >> 16) % 8);
			break;
		case 4:
			finish_stop(); /* on any thread, so that much happens whatever the scheduler does */
			break;
		case 5:
			put(VIRTIO_MMIO_INTERRUPT_ACK, get(VIRTIO_MMIO_INTERRUPT_STATUS));
			break;
		case 6:
			wr((s >> 16) % 0x140, s, 1 + (s >> 8) % 8);
			break;
		default:
			rd((s >> 16) % 0x140, 1 + (s >> 8) % 8);
		}
	}
	return NULL;
}

static atomic_bool quiet;

static void *device_thread(void *arg)
{
	for (unsigned i = 0; !quiet; i++) {
		finish_stop();
		transport->notify(transport, i % NVQ, NULL);
		if (i % 16 == 0)
			transport->config_changed(transport);
		if (i % 64 == 0)
			transport->needs_reset(transport);
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
	ck_assert_int_eq(transport->reset(transport), 0);
	drive();
	fake_irq.delivered = 0;
	transport->notify(transport, 1, NULL);
	ck_assert_uint_eq(fake_irq.delivered, 1);
	tear_down();
}
END_TEST

UNIT_MAIN("mmio_life", status_is_zero_only_when_drained, reset_before_driver_ok_is_immediate,
	a_reset_is_through_when_the_write_is, restart_waits_for_the_device, restart_does_not_wait_for_ever,
	set_up_fails_cleanly, no_interrupt_is_lost_and_none_is_for_nothing, two_vcpus_and_a_loop_hammer)
