// SPDX-License-Identifier: Apache-2.0
/* What a queue waits for, and what it learns from how long that took; kicks are off only while it looks. */
#include "devices/virtio/virtio.h"
#include "tests/unit/ring_driver.h"
#include "tests/unit/unit.h"

#define RAM	 0x100000ULL
#define RAM_SIZE 0x100000ULL
#define NUM	 8
#define PRICE	 40000
#define SHORT	 3000 /* is polled for with a patience of 4096 */

static struct guest_mem mem;
static struct ring_driver drv;
static struct virtio_queue q;
static uint64_t now = 1000000;

static void begin(uint64_t features)
{
	unit_ram(&mem, RAM, RAM_SIZE);
	ring_init(&drv, &mem, RAM, NUM, 0, features);
	ck_assert_int_eq(virtq_start(&q.vq, &mem, &drv.cfg, features), 0);
}

static bool offer(void)
{
	struct ring_seg seg = {RAM + 0x8000, 4, true};

	ring_offer(&drv, ring_chain(&drv, &seg, 1));
	return ring_publish(&drv);
}

static size_t take(void)
{
	struct iovec iov[NUM];
	struct virtq_chain chain = {.iov = iov, .cap = NUM};

	virtq_wake(&q.vq);
	ck_assert_int_eq(virtq_pop(&q.vq, &chain), 1);
	return chain.head;
}

static void put(size_t head)
{
	uint32_t h, len;

	virtq_push(&q.vq, head, 4);
	virtq_flush(&q.vq);
	ck_assert(ring_used(&drv, &h, &len));
}

/* Nothing is left to do at `now`; what it came from was there at `came`. */
static uint64_t expect(uint64_t came)
{
	return virtio_wait_expect(&q.idle, now, came, PRICE);
}

/* Requests that are done `work` after they came, `gap` after each other. */
static void requests(unsigned n, uint64_t gap, uint64_t work)
{
	while (n--) {
		expect(now);
		now += gap;
		offer();
		size_t head = take();
		expect(now);
		now += work;
		put(head);
	}
	expect(now);
}

START_TEST(nothing_is_expected_at_first)
{
	begin(RING_FEATURES | RING_EVENT_IDX);
	ck_assert_uint_eq(expect(now), 0);
	ck_assert(!virtio_wait_look(&q.idle));
	offer();
	ck_assert(virtio_wait_look(&q.idle));
	q.stalled = true;
	ck_assert_msg(!virtio_wait_look(&q.idle), "the ring is not what it waits for");
}
END_TEST

/* Two kinds of events, each with a patience of its own. */
START_TEST(drivers_and_back_ends_are_told_apart)
{
	begin(RING_FEATURES | RING_EVENT_IDX);
	requests(64, SHORT, 1000000);
	ck_assert_uint_eq(expect(now), 4096);
	offer();
	take();
	ck_assert_msg(expect(now) == 0, "a back end that takes long is slept for");
	ck_assert_uint_eq(q.wait.gap[1].worth_ns, 0);
}
END_TEST

START_TEST(a_back_end_that_is_quick)
{
	begin(RING_FEATURES);
	requests(64, 1000000, SHORT);
	ck_assert_uint_eq(expect(now), 0);
	now += 1000000;
	offer();
	take();
	ck_assert_uint_eq(expect(now), 4096);
	now += 1000;
	ck_assert_msg(expect(now) == 3096, "of one wait, whatever the loop did meanwhile");
	now += 4000;
	ck_assert_uint_eq(expect(now), 0);
}
END_TEST

/* A device that waits for something of its own, as a receiver does for packets. */
START_TEST(stalled_is_the_back_ends)
{
	begin(RING_FEATURES);
	for (unsigned i = 0; i < 64; i++) {
		offer();
		q.stalled = true;
		expect(now);
		now += SHORT;
		q.stalled = false;
		put(take());
	}
	q.stalled = true;
	ck_assert_uint_eq(expect(now), 4096);
	ck_assert_uint_eq(q.wait.gap[0].n, 0);
}
END_TEST

/* Kicks were asked for before it slept; something else came, and it looks at the ring again. */
static void hushed(uint64_t features)
{
	begin(features);
	requests(64, SHORT, 1000000);
	now += 1000000;
	ck_assert_uint_eq(expect(now), 0);
	ck_assert(virtq_sleep(&q.vq));
	ck_assert_msg(offer(), "asleep: a kick");
	put(take());
	ck_assert(virtq_sleep(&q.vq));
	ck_assert_uint_gt(expect(now), 0);
	ck_assert_msg(!offer(), "awake: none");
	ck_assert(virtio_wait_look(&q.idle));
	ck_assert_msg(!virtq_sleep(&q.vq), "the last look");
	put(take());
	ck_assert(virtq_sleep(&q.vq));
	ck_assert_msg(offer(), "asleep again");
}

START_TEST(no_kicks_while_it_looks)
{
	hushed(RING_FEATURES);
}
END_TEST

START_TEST(no_kicks_while_it_looks_event_idx)
{
	hushed(RING_FEATURES | RING_EVENT_IDX);
}
END_TEST

UNIT_MAIN("virtio_wait", nothing_is_expected_at_first, drivers_and_back_ends_are_told_apart,
	a_back_end_that_is_quick, stalled_is_the_back_ends, no_kicks_while_it_looks,
	no_kicks_while_it_looks_event_idx)
