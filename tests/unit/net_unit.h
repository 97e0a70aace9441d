/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of virtio-net share: a device over a fake tap, and a driver of its queues. Included by one
 * .c file. */
#ifndef PINVM_TESTS_NET_UNIT_H
#define PINVM_TESTS_NET_UNIT_H

#include "devices/virtio/net_priv.h"
#include "tests/unit/fake_tap.h"
#include "tests/unit/fake_virtio.h"
#include "tests/unit/unit.h"

#define RAM	 0x100000ULL
#define RAM_SIZE 0x1000000ULL
#define TABLE	 (RAM + 0x80000) /* indirect tables */
#define BUF	 (RAM + 0x100000)
#define NUM	 256
#define MS	 1000000ull
#define F(bit)	 (1ULL << VIRTIO_NET_F_##bit)
#define USO	 (1ULL << NET_F_GUEST_USO4 | 1ULL << NET_F_GUEST_USO6 | 1ULL << NET_F_HOST_USO)
#define BASE	 (RING_FEATURES | RING_EVENT_IDX | F(MAC) | F(STATUS) | F(CTRL_VQ))
#define GUEST	 (F(GUEST_CSUM) | F(GUEST_TSO4) | F(GUEST_TSO6) | F(GUEST_ECN))
#define HOST	 (F(CSUM) | F(HOST_TSO4) | F(HOST_TSO6) | F(HOST_ECN))

static struct guest_mem mem;
static uint8_t *ram;
static struct loop loop[2];
static struct virtio_dev *dev;
static struct fake_transport transport;
static struct ring_driver drv[7];
static struct fake_done done;

static inline void *at(uint64_t gpa)
{
	return ram + (gpa - RAM);
}

static inline void run(void)
{
	for (unsigned i = 0; i < 4; i++)
		fake_run(&loop[i % 2]);
}

/* Not started yet. What a test set in fake_tap stays. */
static inline void build(struct net_config cfg)
{
	struct loop *loops[] = {&loop[0], &loop[1]};

	cfg.pairs = cfg.pairs ? cfg.pairs : 1;
	cfg.queue_size = cfg.queue_size ? cfg.queue_size : NUM;
	if (!ram)
		ram = unit_ram(&mem, RAM, RAM_SIZE);
	memset(loop, 0, sizeof(loop));
	loop[0].now = loop[1].now = 1000 * MS;
	ck_assert_int_eq(virtio_net_create(&dev, "net0", &mem, loops, 2, &cfg), 0);
	fake_plug(&transport, dev);
}

static inline void start_at(uint64_t features, uint16_t index)
{
	for (unsigned q = 0; q < dev->nvq; q++)
		ring_init(&drv[q], &mem, RAM + 0x10000 * q, dev->queue_max, index, features);
	fake_driver_ok(dev, drv, dev->nvq, features);
	run();
}

static inline void start(uint64_t features)
{
	start_at(features, 0);
}

static inline void reset(void)
{
	fake_reset(dev, &done);
	run();
	ck_assert_uint_eq(done.fired, 1);
}

/* The guest is done: no leaks, no watches and no timers are left behind. */
static inline void destroy(void)
{
	dev->ops->destroy(dev);
	ck_assert_ptr_null(fake_tap.tap);
	for (unsigned i = 0; i < 2; i++) {
		ck_assert_ptr_null(loop[i].timers);
		for (unsigned w = 0; w < FAKE_WATCHES; w++)
			ck_assert_ptr_null(loop[i].watch[w]);
	}
	fake_tap_reset();
}

static inline void submit(unsigned q)
{
	fake_submit(dev, q, &drv[q]);
}

/* One used chain, which is to be that one. Returns its length. */
static inline uint32_t used_len(unsigned q, int head)
{
	uint32_t h, len;

	ck_assert_msg(ring_used(&drv[q], &h, &len), "a chain was used");
	ck_assert_int_eq((int)h, head);
	return len;
}

/* How many chains were used. */
static inline unsigned used(unsigned q)
{
	uint32_t head, len;
	unsigned n = 0;

	while (ring_used(&drv[q], &head, &len))
		n++;
	return n;
}

static inline void fill(void *p, size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++)
		((uint8_t *)p)[i] = (uint8_t)((i * 7 + seed * 13 + (i >> 8)) ^ seed >> 3);
}

/* Cut [gpa, gpa + len) into at most max segments of random lengths. */
static inline unsigned cut(struct ring_seg *seg, unsigned max, uint64_t gpa, uint32_t len, bool write)
{
	unsigned n = 0;

	while (len) {
		uint32_t most = rand() % 3 ? len : len < 9 ? len : 9;
		uint32_t part = n + 1 == max ? len : 1 + (uint32_t)rand() % most;

		seg[n++] = (struct ring_seg){gpa, part, write};
		gpa += part;
		len -= part;
	}
	return n;
}

#endif
