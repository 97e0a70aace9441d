// SPDX-License-Identifier: Apache-2.0
/* virtio-mmio: reset with I/O in flight, restart, failing set-up, and interrupts while loops and vCPUs race.
 */
#include "tests/unit/virtio_life_cases.h"
#include "tests/unit/virtio_mmio_guest.h"

static void meddle(void)
{
	put(VIRTIO_MMIO_QUEUE_SEL, 0);
	put(VIRTIO_MMIO_QUEUE_READY, 0);
	put(VIRTIO_MMIO_QUEUE_NUM, 8);
	wr(CONFIG, 0, 4);
	ck_assert_uint_eq(io->regs.qselect, NVQ - 1);
	ck_assert_msg(io->regs.queue[0].cfg.ready, "its buffers are still in use");
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
		unit_dice(&s);
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

UNIT_MAIN("mmio_life", VIRTIO_LIFE_CASES, a_reset_is_through_when_the_write_is, set_up_fails_cleanly,
	no_interrupt_is_lost_and_none_is_for_nothing)
