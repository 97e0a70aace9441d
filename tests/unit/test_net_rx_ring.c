// SPDX-License-Identifier: Apache-2.0
/* virtio-net, the queue of received frames: batches, interrupts and kicks, buffers that are held, rings that
 * are empty or broken. */
#include "tests/unit/net_rx_unit.h"

START_TEST(an_empty_ring_and_a_flood)
{
	build((struct net_config){0});
	start(BASE);
	for (unsigned i = 0; i < 1000; i++) {
		unsigned rounds = 0;

		arrive(i, 60);
		while (fake_step(&loop[0]))
			rounds++;
		ck_assert_uint_le(rounds, 3);
	}
	ck_assert_uint_eq(fake_tap.receives, 0);
	ck_assert_uint_eq(dev->dropped, 0);
	post_many(3, 1600);
	for (unsigned i = 0; i < 3; i++)
		expect(i, 60, 1);
	ck_assert_uint_eq(fake_tap_waiting(), 997);
	ck_assert_msg(ring_load16(drv[RX].used + 4 + 8 * NUM) == drv[RX].avail_idx, "it asks to be kicked");
	destroy();
}
END_TEST

static void see_nothing_published(void)
{
	ck_assert_uint_eq(ring_load16(drv[RX].used + 2), drv[RX].last_used);
	ck_assert(drv[RX].event_idx || ring_load16(drv[RX].used) == VRING_USED_F_NO_NOTIFY);
}

START_TEST(a_batch_is_one_interrupt)
{
	build((struct net_config){0});
	for (unsigned event = 0; event < 2; event++) {
		start((event ? BASE : BASE & ~RING_EVENT_IDX) | F(MRG_RXBUF));
		post_many(200, 200);
		ring_arm(&drv[RX]);
		transport.notified[RX] = 0;
		dev->queue[RX].kicks = 0;
		fake_tap.meanwhile = see_nothing_published;
		for (unsigned i = 0; i < 50; i++)
			arrive(i, 300);
		run();
		for (unsigned i = 0; i < 50; i++)
			expect(i, 300, 2);
		ck_assert_uint_eq(transport.notified[RX], 1);
		ck_assert_uint_eq(dev->queue[RX].kicks, 0);
		fake_tap.meanwhile = NULL;
		reset();
	}
	destroy();
}
END_TEST

/* A driver that gives buffers back meanwhile need not kick. */
START_TEST(no_kicks_while_there_are_buffers)
{
	build((struct net_config){0});
	start(BASE);
	post_many(10, 1600);
	for (unsigned i = 0; i < 100; i++) {
		arrive(i, 60);
		run();
		expect(i, 60, 1);
		post(BUF + 4096 * (i % 10), 1600);
		ck_assert(!ring_publish(&drv[RX]));
	}
	destroy();
}
END_TEST

START_TEST(held_buffers_are_left_alone_after_a_reset)
{
	build((struct net_config){0});
	start(BASE | GUEST | F(MRG_RXBUF));
	post_many(64, 4096);
	arrive(1, 60);
	run();
	ck_assert_uint_eq(used(RX), 1);
	reset();
	memset(at(BUF), 0x5a, 64 * 4096);
	for (unsigned i = 0; i < 20; i++)
		arrive(i, 3000);
	run();
	expect_all(at(BUF), 64 * 4096, 0x5a);
	start(BASE);
	post(BUF + 0x200000, 4000);
	submit(RX);
	run();
	ck_assert_uint_eq(used(RX), 1);
	expect_all(at(BUF), 64 * 4096, 0x5a);
	destroy();
}
END_TEST

START_TEST(a_broken_ring_stops_the_queue)
{
	build((struct net_config){0});
	start(BASE | GUEST | F(MRG_RXBUF));
	post_many(3, 4096);
	ring_offer(&drv[RX], NUM + 3);
	submit(RX);
	arrive(1, 60);
	run();
	ck_assert_uint_eq(transport.resets_wanted, 1);
	arrive(1, 60);
	run();
	loop[0].now += 10 * MS;
	run();
	ck_assert_uint_eq(used(RX), 0);
	reset();
	start(BASE);
	post_many(4, 1600);
	expect(1, 60, 1);
	expect(1, 60, 1);
	destroy();
}
END_TEST

/* A second CPU that offers the same short buffers for ever does not keep the thread: each turn takes no more
 * than a ring of them, and none is handed back twice. */
START_TEST(short_buffers_take_turns)
{
	build((struct net_config){.queue_size = 8});
	start(BASE);
	for (unsigned i = 0; i < 3; i++) {
		post_many(8, 4);
		ck_assert_uint_eq(used(RX), 8);
	}
	ck_assert_uint_eq(dev->dropped, 24);
	destroy();
}
END_TEST

START_TEST(each_pair_has_its_own)
{
	build((struct net_config){.pairs = 2});
	start(BASE | F(MQ));
	fake_tap.active = 2;
	for (unsigned pair = 0; pair < 2; pair++) {
		struct ring_driver *d = &drv[2 * pair];
		struct ring_seg seg = {BUF, 1600, true};
		uint8_t frame[60];

		fill(frame, sizeof(frame), pair);
		ring_offer(d, (uint16_t)ring_chain(d, &seg, 1));
		submit(2 * pair);
		fake_tap_arrive(&loop[pair], pair, NULL, frame, sizeof(frame));
		fake_run(&loop[pair]); /* each on a loop of its own */
		ck_assert_uint_eq(used(2 * pair), 1);
		ck_assert_mem_eq((uint8_t *)at(BUF) + NET_HDR, frame, sizeof(frame));
	}
	destroy();
}
END_TEST

START_TEST(nothing_before_the_driver_is_ok)
{
	build((struct net_config){0});
	for (unsigned q = 0; q < dev->nvq; q++)
		ring_init(&drv[q], &mem, RAM + 0x10000 * q, NUM, 0, BASE);
	post(BUF, 1600);
	submit(RX);
	arrive(1, 60);
	run();
	ck_assert_uint_eq(fake_tap.receives, 0);
	ck_assert_uint_eq(*(uint8_t *)at(BUF), EMPTY);
	fake_driver_ok(dev, drv, dev->nvq, BASE);
	run();
	expect(1, 60, 1);
	destroy();
}
END_TEST

UNIT_MAIN("net_rx_ring", an_empty_ring_and_a_flood, a_batch_is_one_interrupt,
	no_kicks_while_there_are_buffers, held_buffers_are_left_alone_after_a_reset,
	a_broken_ring_stops_the_queue, short_buffers_take_turns, each_pair_has_its_own,
	nothing_before_the_driver_is_ok)
