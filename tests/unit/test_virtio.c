// SPDX-License-Identifier: Apache-2.0
/* The common part of virtio devices, with a toy device that keeps or returns its chains as a test says. */
#include <unistd.h>

#include "tests/unit/fake_virtio.h"
#include "tests/unit/unit.h"
#include "vmm/log.h"

#define RAM   0x100000ULL
#define DATA  (RAM + 0x40000)
#define NUM   8
#define NQ    3
#define FEATS (RING_FEATURES | RING_EVENT_IDX)

static struct guest_mem mem;
static uint8_t *ram;
static struct loop home, other;
static struct fake_transport transport;
static struct ring_driver drv[NQ];
static struct fake_done done;

static struct toy {
	struct virtio_dev dev;
	int start_err;
	unsigned starts, kicks[NQ], stops[NQ];
	bool keep, stall; /* chains stay in flight; kick() says it cannot take more */
	unsigned budget;
	uint16_t kept[NQ][NUM];
	unsigned nkept[NQ];
	struct done *done[NQ];
	uint64_t settled;
} toy;

static int toy_start(struct virtio_dev *dev)
{
	toy.starts++;
	return toy.start_err;
}

static int toy_kick(struct virtio_dev *dev, unsigned q)
{
	struct iovec iov[NUM];
	struct virtq_chain c = {.iov = iov, .cap = NUM};

	ck_assert_msg(toy.starts, "the device starts before its queues");
	ck_assert_msg(!toy.done[q], "nothing is asked of a stopped queue");
	toy.kicks[q]++;
	for (unsigned i = 0; i < toy.budget; i++) {
		int r = virtq_pop(&dev->queue[q].vq, &c);

		if (r <= 0)
			return r;
		if (toy.keep)
			toy.kept[q][toy.nkept[q]++] = c.head;
		else
			virtq_push(&dev->queue[q].vq, c.head, c.write_len);
	}
	return toy.stall ? VIRTIO_STALLED : 0;
}

static void toy_complete(unsigned q)
{
	ck_assert_uint_gt(toy.nkept[q], 0);
	virtq_push(&toy.dev.queue[q].vq, toy.kept[q][--toy.nkept[q]], 4);
	if (!toy.nkept[q] && toy.done[q])
		toy.done[q]->fn(toy.done[q]);
}

static void toy_stop(struct virtio_dev *dev, unsigned q, struct done *d)
{
	toy.stops[q]++;
	if (!toy.nkept[q]) {
		d->fn(d);
		return;
	}
	toy.done[q] = d;
}

static void toy_settle(struct virtio_dev *dev, uint64_t features)
{
	toy.settled = features;
}

static const struct virtio_ops toy_ops = {
	.id = 42, .nvq = NQ, .start = toy_start, .kick = toy_kick, .stop = toy_stop, .settle = toy_settle};

/* Queue 2 lives on another loop. */
static void build(void)
{
	ram = unit_ram(&mem, RAM, 0x100000);
	toy.budget = NUM;
	ck_assert_int_eq(virtio_init(&toy.dev, &toy_ops, "toy", &mem, &home, NQ, NUM), 0);
	toy.dev.queue[2].loop = &other;
	fake_plug(&transport, &toy.dev);
	for (unsigned i = 0; i < NQ; i++)
		ring_init(&drv[i], &mem, RAM + 0x2000 * i, NUM, 0, FEATS);
}

static void run(void)
{
	for (int i = 0; i < 4; i++) {
		fake_run(&home);
		fake_run(&other);
	}
}

static void start(void)
{
	fake_driver_ok(&toy.dev, drv, NQ, FEATS);
	run();
}

static void add(unsigned q)
{
	struct ring_seg seg = {DATA + 0x1000 * q, 4, true};
	int head = ring_chain(&drv[q], &seg, 1);

	ck_assert_int_ge(head, 0);
	ring_offer(&drv[q], head);
}

static unsigned reap(unsigned q)
{
	uint32_t head, len;
	unsigned n = 0;

	while (ring_used(&drv[q], &head, &len))
		n++;
	return n;
}

/* One request through queue q, from kick to interrupt. */
static void round_trip(unsigned q)
{
	unsigned calls = transport.notified[q];

	ck_assert(ring_arm(&drv[q]));
	add(q);
	ck_assert_msg(fake_submit(&toy.dev, q, &drv[q]), "a sleeping queue wants a kick");
	run();
	ck_assert_uint_eq(reap(q), 1);
	ck_assert_uint_eq(transport.notified[q], calls + 1);
}

START_TEST(nothing_before_driver_ok)
{
	build();
	add(0);
	fake_submit(&toy.dev, 0, &drv[0]);
	fake_ready(&home, toy.dev.queue[0].kick_fd);
	run();
	ck_assert_uint_eq(toy.kicks[0], 0);
	ck_assert_uint_eq(transport.notified[0], 0);
	ck_assert_uint_eq(ring_load16(drv[0].used + 2), 0);
	start(); /* and then without another kick */
	ck_assert_uint_eq(reap(0), 1);
	ck_assert_uint_eq(transport.notified[0], 1);
}
END_TEST

START_TEST(queues_run_on_their_loops)
{
	build();
	fake_driver_ok(&toy.dev, drv, NQ, FEATS);
	ck_assert_uint_eq(toy.settled, FEATS);
	ck_assert_uint_eq(toy.starts, 0);
	fake_run(&other);
	ck_assert_msg(!toy.dev.queue[2].live, "not before the home loop started the device");
	fake_run(&home);
	ck_assert_uint_eq(toy.starts, 1);
	ck_assert(toy.dev.queue[0].live && toy.dev.queue[1].live && !toy.dev.queue[2].live);
	fake_run(&other);
	ck_assert(toy.dev.queue[2].live);
	for (unsigned q = 0; q < NQ; q++) {
		round_trip(q);
		round_trip(q);
		ck_assert_uint_eq(toy.dev.queue[q].kicks, 2);
		ck_assert_uint_eq(toy.dev.queue[q].signals, 2);
	}
}
END_TEST

START_TEST(a_queue_that_is_not_ready_stays_off)
{
	build();
	drv[1].cfg.ready = false;
	start();
	add(1);
	ring_publish(&drv[1]);
	fake_ready(&home, toy.dev.queue[1].kick_fd);
	run();
	ck_assert_uint_eq(toy.kicks[1], 0);
	ck_assert_uint_eq(transport.resets_wanted, 0);
	round_trip(0);
	ck_assert(!fake_reset(&toy.dev, &done));
	run();
	ck_assert_uint_eq(done.fired, 1);
	ck_assert_uint_eq(toy.stops[1], 0);
}
END_TEST

START_TEST(stop_of_what_never_started_is_done_at_once)
{
	build();
	ck_assert(fake_reset(&toy.dev, &done));
	start();
	ck_assert(!fake_reset(&toy.dev, &done));
	run();
	ck_assert_uint_eq(done.fired, 1);
	ck_assert_msg(fake_reset(&toy.dev, &done), "a second reset finds nothing to stop");
}
END_TEST

START_TEST(stop_overtakes_no_start)
{
	build();
	add(2);
	ring_publish(&drv[2]);
	fake_driver_ok(&toy.dev, drv, NQ, FEATS);
	ck_assert(!fake_reset(&toy.dev, &done));
	fake_run(&home); /* queue 2's start and stop now wait on the other loop */
	ck_assert_uint_eq(done.fired, 0);
	fake_run(&other);
	ck_assert_uint_eq(done.fired, 1);
	ck_assert_uint_eq(toy.kicks[2], 0);
	for (unsigned q = 0; q < NQ; q++) {
		ck_assert(!toy.dev.queue[q].live);
		ck_assert_uint_eq(ring_load16(drv[q].used + 2), 0);
	}
	start();
	ck_assert_uint_eq(reap(2), 1);
}
END_TEST

START_TEST(stop_waits_for_what_is_in_flight)
{
	uint8_t before[RING_SPACE(NUM)];

	build();
	start();
	toy.keep = true;
	for (unsigned q = 1; q < NQ; q++) {
		add(q);
		add(q);
		fake_submit(&toy.dev, q, &drv[q]);
	}
	run();
	ck_assert(!fake_reset(&toy.dev, &done));
	run();
	ck_assert_uint_eq(done.fired, 0);
	memset(drv[1].desc, 0x5a, sizeof(before));
	memcpy(before, drv[1].desc, sizeof(before));
	for (int i = 0; i < 2; i++) {
		ck_assert_uint_eq(done.fired, 0);
		toy_complete(1);
		run();
	}
	ck_assert_msg(done.fired == 0, "queue 2 still has some");
	toy_complete(2);
	toy_complete(2);
	ck_assert_uint_eq(done.fired, 1);
	run();
	ck_assert_mem_eq(before, drv[1].desc, sizeof(before));
	ck_assert_uint_eq(transport.notified[1] + transport.notified[2], 0);
	ck_assert_uint_eq(toy.dev.queue[1].frozen.base, 2);
}
END_TEST

START_TEST(no_start_before_the_stop_is_done)
{
	struct fake_done second = {.done.fn = fake_fire};

	build();
	start();
	toy.keep = true;
	add(0);
	fake_submit(&toy.dev, 0, &drv[0]);
	run();
	fake_reset(&toy.dev, &done);
	run();
	virtio_stop(&toy.dev, &second.done);
	virtio_start(&toy.dev);
	virtio_start(&toy.dev);
	run();
	ck_assert_uint_eq(transport.resets_wanted, 1);
	ck_assert(!toy.dev.queue[0].live);
	toy_complete(0);
	ck_assert_uint_eq(done.fired, 1);
	ck_assert_uint_eq(second.fired, 0);
	toy.keep = false;
	toy.done[0] = NULL;
	ring_init(&drv[0], &mem, RAM, NUM, 0, FEATS);
	start();
	round_trip(0);
}
END_TEST

START_TEST(a_broken_ring_wants_one_reset)
{
	build();
	start();
	for (int again = 0; again < 2; again++) {
		for (unsigned q = 0; q < 2; q++) { /* two queues break: said once */
			ring_store16(drv[q].avail + 2, 100);
			fake_ready(&home, toy.dev.queue[q].kick_fd);
			run();
		}
		ck_assert_uint_eq(transport.resets_wanted, again + 1);
		ck_assert_uint_eq(transport.notified[0], 0);
		unsigned kicks = toy.kicks[0];

		fake_ready(&home, toy.dev.queue[0].kick_fd); /* it is not listened to any more */
		run();
		ck_assert_uint_eq(toy.kicks[0], kicks);
		round_trip(2); /* others go on */
		fake_reset(&toy.dev, &done);
		run();
		ck_assert_uint_eq(done.fired, 1);
		for (unsigned q = 0; q < NQ; q++)
			ring_init(&drv[q], &mem, RAM + 0x2000 * q, NUM, 0, FEATS);
		start();
	}
	round_trip(0);
	ck_assert_uint_eq(transport.resets_wanted, 2);
}
END_TEST

START_TEST(a_driver_cannot_flood_the_log)
{
	char path[] = "/tmp/pinvm-unit-log-XXXXXX", text[16384];
	int fd = mkstemp(path);
	unsigned lines = 0;
	ssize_t n;

	ck_assert_int_ge(fd, 0);
	build();
	start();
	ck_assert_int_eq(log_open(path), 0);
	for (unsigned i = 0; i < 4 * LOG_FEW; i++) {
		ring_store16(drv[0].avail + 2, 100);
		fake_ready(&home, toy.dev.queue[0].kick_fd);
		run();
		ck_assert_uint_eq(transport.resets_wanted, i + 1);
		fake_reset(&toy.dev, &done);
		run();
		for (unsigned q = 0; q < NQ; q++)
			ring_init(&drv[q], &mem, RAM + 0x2000 * q, NUM, 0, FEATS);
		start();
	}
	log_close();
	n = read(fd, text, sizeof(text));
	for (ssize_t i = 0; i < n; i++)
		lines += text[i] == '\n';
	ck_assert_uint_eq(lines, LOG_FEW);
	close(fd);
	unlink(path);
}
END_TEST

START_TEST(a_broken_ring_with_chains_in_flight_drains)
{
	build();
	start();
	toy.keep = true;
	add(0);
	fake_submit(&toy.dev, 0, &drv[0]);
	run();
	ring_store16(drv[0].avail + 2, 100);
	fake_ready(&home, toy.dev.queue[0].kick_fd);
	run();
	ck_assert_uint_eq(transport.resets_wanted, 1);
	fake_reset(&toy.dev, &done);
	run();
	ck_assert_uint_eq(done.fired, 0);
	toy_complete(0);
	ck_assert_uint_eq(done.fired, 1);
	ck_assert_uint_eq(ring_load16(drv[0].used + 2), 0);
}
END_TEST

static void start_with_bad_queue(struct virtq_cfg cfg)
{
	build();
	drv[1].cfg = cfg;
	start();
	ck_assert_uint_eq(transport.resets_wanted, 1);
	ck_assert(!toy.dev.queue[1].live);
	round_trip(0);
	fake_reset(&toy.dev, &done);
	run();
	ck_assert_uint_eq(done.fired, 1);
}

START_TEST(q06_bad_queue_settings_want_a_reset)
{
	start_with_bad_queue(
		(struct virtq_cfg){.ready = true, .num = NUM, .desc = 1, .avail = RAM, .used = RAM});
}
END_TEST

START_TEST(q06_queue_larger_than_offered)
{
	start_with_bad_queue((struct virtq_cfg){.ready = true,
		.num = 2 * NUM,
		.desc = RAM + 0x8000,
		.avail = RAM + 0x9000,
		.used = RAM + 0xa000});
}
END_TEST

START_TEST(q05_settings_after_driver_ok_are_ignored)
{
	build();
	fake_driver_ok(&toy.dev, drv, NQ, FEATS);
	toy.dev.queue[0].cfg =
		(struct virtq_cfg){.num = 4, .ready = true, .desc = 16, .avail = 32, .used = 64};
	run();
	round_trip(0);
	ck_assert_uint_eq(transport.resets_wanted, 0);
}
END_TEST

START_TEST(a_device_that_cannot_start_wants_a_reset)
{
	build();
	toy.start_err = -ENOMEM;
	start();
	ck_assert_uint_eq(transport.resets_wanted, 1);
	for (unsigned q = 0; q < NQ; q++)
		ck_assert(!toy.dev.queue[q].live);
	fake_reset(&toy.dev, &done);
	run();
	ck_assert_uint_eq(done.fired, 1);
	toy.start_err = 0;
	start();
	round_trip(0);
}
END_TEST

START_TEST(no_room_to_watch_kicks_wants_a_reset)
{
	build();
	home.watch_err = -ENOSPC;
	start();
	ck_assert_uint_eq(transport.resets_wanted, 1);
	round_trip(2);
	home.watch_err = 0;
	fake_reset(&toy.dev, &done);
	run();
	ck_assert_uint_eq(done.fired, 1);
	start();
	round_trip(0);
}
END_TEST

START_TEST(a_batch_is_one_interrupt)
{
	build();
	start();
	toy.keep = true;
	for (int i = 0; i < 5; i++)
		add(0);
	fake_submit(&toy.dev, 0, &drv[0]);
	run();
	for (int i = 0; i < 5; i++)
		toy_complete(0);
	ck_assert_uint_eq(reap(0), 0);
	fake_step(&home);
	ck_assert_uint_eq(reap(0), 5);
	ck_assert_uint_eq(transport.notified[0], 1);
}
END_TEST

/* A step that does not sleep: hooks, then what is ready. */
static void poll_once(void)
{
	fake_ask(&home, false);
	fake_work(&home);
}

START_TEST(a_loop_that_polls_needs_no_kicks)
{
	build();
	toy.budget = 2;
	start();
	ck_assert(ring_arm(&drv[0]));
	add(0);
	ck_assert_msg(fake_submit(&toy.dev, 0, &drv[0]), "it slept before");
	poll_once(); /* it finds the chain and its kick at once */
	ck_assert_uint_eq(reap(0), 1);
	ck_assert_uint_eq(transport.notified[0], 1);
	for (int i = 0; i < 6; i++) {
		unsigned want = i < 5 ? 1 : 5; /* at last more than a turn holds */

		ck_assert(ring_arm(&drv[0]));
		for (unsigned j = 0; j < want; j++)
			add(0);
		ck_assert_msg(!fake_submit(&toy.dev, 0, &drv[0]), "a queue that is looked at wants no kick");
		for (unsigned left = want; left; left -= left < 2 ? left : 2) {
			ck_assert_uint_eq(reap(0), left == want ? 0 : 2);
			poll_once();
		}
		ck_assert_uint_eq(reap(0), want % 2);
	}
	ck_assert_uint_eq(toy.dev.queue[0].kicks, 1);
	/* What the back end ends later goes out as well. */
	toy.keep = true;
	add(0);
	fake_submit(&toy.dev, 0, &drv[0]);
	poll_once();
	ck_assert_uint_eq(toy.nkept[0], 1);
	ck_assert(ring_arm(&drv[0]));
	toy_complete(0);
	poll_once();
	ck_assert_uint_eq(reap(0), 1);
	toy.keep = false;
	run(); /* and asleep it wants to be woken again */
	round_trip(0);
}
END_TEST

START_TEST(work_per_turn_is_bounded_and_shared)
{
	build();
	toy.budget = 2;
	start();
	toy.kicks[0] = toy.kicks[1] = 0;
	for (int i = 0; i < NUM; i++) {
		add(0);
		add(1);
	}
	fake_submit(&toy.dev, 0, &drv[0]);
	fake_submit(&toy.dev, 1, &drv[1]);
	for (unsigned turn = 1; turn <= NUM / 2; turn++) {
		fake_work(&home);
		if (turn > 1)
			ck_assert(fake_idle(&home));
		ck_assert_uint_eq(toy.kicks[0], turn);
		ck_assert_uint_eq(toy.kicks[1], turn);
	}
	run();
	ck_assert_uint_eq(reap(0), NUM);
	ck_assert_uint_eq(reap(1), NUM);
}
END_TEST

START_TEST(a_stalled_queue_sleeps_until_resumed)
{
	build();
	start();
	toy.stall = true;
	toy.budget = 1;
	for (int i = 0; i < 3; i++)
		add(0);
	fake_submit(&toy.dev, 0, &drv[0]);
	run(); /* ends: no busy loop although the ring is not empty */
	ck_assert_uint_eq(reap(0), 1);
	fake_ready(&home, toy.dev.queue[0].kick_fd);
	run();
	ck_assert_uint_eq(reap(0), 0);
	virtio_resume(&toy.dev, 0);
	run();
	ck_assert_uint_eq(reap(0), 1);
	toy.stall = false;
	virtio_resume(&toy.dev, 0);
	run();
	ck_assert_uint_eq(reap(0), 1);
	round_trip(0);
	toy.stall = true;
	add(0);
	fake_submit(&toy.dev, 0, &drv[0]);
	run();
	fake_reset(&toy.dev, &done);
	run();
	ck_assert_uint_eq(done.fired, 1);
	toy.stall = false;
	ring_init(&drv[0], &mem, RAM, NUM, 0, FEATS);
	start();
	round_trip(0); /* a reset ends a stall */
}
END_TEST

START_TEST(spurious_kicks_are_harmless)
{
	build();
	start();
	for (int i = 0; i < 10; i++) {
		fake_ready(&home, toy.dev.queue[0].kick_fd);
		run();
	}
	ck_assert_uint_eq(transport.notified[0], 0);
	ck_assert_uint_eq(transport.resets_wanted, 0);
	round_trip(0);
}
END_TEST

START_TEST(features)
{
	const uint64_t v1 = 1ULL << VIRTIO_F_VERSION_1;

	build();
	ck_assert_uint_eq(toy.dev.offered, FEATS);
	ck_assert(virtio_features_ok(&toy.dev, v1));
	ck_assert(virtio_features_ok(&toy.dev, FEATS));
	ck_assert_msg(!virtio_features_ok(&toy.dev, FEATS & ~v1), "VERSION_1 is a must");
	ck_assert(!virtio_features_ok(&toy.dev, 0));
	for (unsigned b = 0; b < 64; b++)
		ck_assert_int_eq(virtio_features_ok(&toy.dev, v1 | 1ULL << b), !!(FEATS & 1ULL << b));
}
END_TEST

START_TEST(config_changes_move_the_generation)
{
	build();
	virtio_config_changed(&toy.dev);
	virtio_config_changed(&toy.dev);
	ck_assert_uint_eq(toy.dev.config_gen, 2);
	ck_assert_uint_eq(transport.config_changes, 2);
}
END_TEST

START_TEST(settle_hears_of_start_and_reset)
{
	build();
	start();
	ck_assert_uint_eq(toy.settled, FEATS);
	fake_reset(&toy.dev, &done);
	ck_assert_uint_eq(toy.settled, 0);
	run();
}
END_TEST

UNIT_MAIN("virtio", nothing_before_driver_ok, queues_run_on_their_loops, a_queue_that_is_not_ready_stays_off,
	stop_of_what_never_started_is_done_at_once, stop_overtakes_no_start, stop_waits_for_what_is_in_flight,
	no_start_before_the_stop_is_done, a_broken_ring_wants_one_reset, a_driver_cannot_flood_the_log,
	a_broken_ring_with_chains_in_flight_drains, q06_bad_queue_settings_want_a_reset,
	q06_queue_larger_than_offered, q05_settings_after_driver_ok_are_ignored,
	a_device_that_cannot_start_wants_a_reset, no_room_to_watch_kicks_wants_a_reset,
	a_batch_is_one_interrupt, a_loop_that_polls_needs_no_kicks, work_per_turn_is_bounded_and_shared,
	a_stalled_queue_sleeps_until_resumed, spurious_kicks_are_harmless, features,
	config_changes_move_the_generation, settle_hears_of_start_and_reset)
