/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A toy of a virtio device, which keeps or returns its chains as a test says, between two loops and a transport that are
 * fakes. Included by one .c file of a test program.
 */
#ifndef PINVM_TESTS_VIRTIO_TOY_H
#define PINVM_TESTS_VIRTIO_TOY_H

#include "tests/unit/fake_virtio.h"
#include "tests/unit/unit.h"

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

static inline int toy_start(struct virtio_dev *dev)
{
	toy.starts++;
	return toy.start_err;
}

static inline int toy_kick(struct virtio_dev *dev, unsigned q)
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

static inline void toy_complete(unsigned q)
{
	ck_assert_uint_gt(toy.nkept[q], 0);
	virtq_push(&toy.dev.queue[q].vq, toy.kept[q][--toy.nkept[q]], 4);
	if (!toy.nkept[q] && toy.done[q])
		toy.done[q]->fn(toy.done[q]);
}

static inline void toy_stop(struct virtio_dev *dev, unsigned q, struct done *d)
{
	toy.stops[q]++;
	if (!toy.nkept[q]) {
		d->fn(d);
		return;
	}
	toy.done[q] = d;
}

static inline void toy_settle(struct virtio_dev *dev, uint64_t features)
{
	toy.settled = features;
}

static const struct virtio_ops toy_ops = {
	.id = 42, .nvq = NQ, .start = toy_start, .kick = toy_kick, .stop = toy_stop, .settle = toy_settle};

static inline void new_rings(void)
{
	for (unsigned q = 0; q < NQ; q++)
		ring_init(&drv[q], &mem, RAM + 0x2000 * q, NUM, 0, FEATS);
}

/* Queue 2 lives on another loop. */
static inline void build(void)
{
	ram = unit_ram(&mem, RAM, 0x100000);
	toy.budget = NUM;
	ck_assert_int_eq(virtio_init(&toy.dev, &toy_ops, "toy", &mem, &home, NQ, NUM), 0);
	toy.dev.queue[2].loop = &other;
	fake_plug(&transport, &toy.dev);
	new_rings();
}

static inline void run(void)
{
	for (int i = 0; i < 4; i++) {
		fake_run(&home);
		fake_run(&other);
	}
}

static inline void start(void)
{
	fake_driver_ok(&toy.dev, drv, NQ, FEATS);
	run();
}

/* Of a device with nothing in flight: it is over when its loops have run. */
static inline void reset(void)
{
	fake_reset(&toy.dev, &done);
	run();
	ck_assert_uint_eq(done.fired, 1);
}

static inline void add(unsigned q)
{
	struct ring_seg seg = {DATA + 0x1000 * q, 4, true};
	int head = ring_chain(&drv[q], &seg, 1);

	ck_assert_int_ge(head, 0);
	ring_offer(&drv[q], head);
}

static inline unsigned reap(unsigned q)
{
	uint32_t head, len;
	unsigned n = 0;

	while (ring_used(&drv[q], &head, &len))
		n++;
	return n;
}

/* One request through queue q, from kick to interrupt. */
static inline void round_trip(unsigned q)
{
	unsigned calls = transport.notified[q];

	ck_assert(ring_arm(&drv[q]));
	add(q);
	ck_assert_msg(fake_submit(&toy.dev, q, &drv[q]), "a sleeping queue wants a kick");
	run();
	ck_assert_uint_eq(reap(q), 1);
	ck_assert_uint_eq(transport.notified[q], calls + 1);
}

#endif
