// SPDX-License-Identifier: Apache-2.0
/* virtio-rng: bounded answers, written where they were asked for and nowhere else. */
#include <errno.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "devices/virtio/devs.h"
#include "tests/unit/fake_virtio.h"
#include "tests/unit/unit.h"

#define RAM   0x100000ULL
#define DATA  (RAM + 0x40000)
#define NUM   8
#define LIMIT 65536u

static struct guest_mem mem;
static uint8_t *ram;
static struct loop loop;
static struct virtio_dev *dev;
static struct fake_transport transport;
static struct ring_driver drv;
static struct fake_done done;

static unsigned fail_after; /* the how-manieth call is the first to fail; 0: none does */

/* In the place of the C library's. */
ssize_t getrandom(void *buf, size_t len, unsigned flags)
{
	if (fail_after && !--fail_after) {
		fail_after = 1;
		errno = ENOSYS;
		return -1;
	}
	return syscall(SYS_getrandom, buf, len, flags);
}

static void build(void)
{
	ram = unit_ram(&mem, RAM, 0x100000);
	ck_assert_int_eq(virtio_rng_create(&dev, "rng", &mem, &loop), 0);
	fake_plug(&transport, dev);
	ring_init(&drv, &mem, RAM, NUM, 0, RING_FEATURES);
	ck_assert_uint_ge(dev->queue_max, NUM);
	fake_driver_ok(dev, &drv, 1, RING_FEATURES);
	fake_run(&loop);
}

static uint32_t ask(const struct ring_seg *seg, unsigned n)
{
	uint32_t head, len;
	int h = ring_chain(&drv, seg, n);

	ring_offer(&drv, h);
	fake_submit(dev, 0, &drv);
	fake_run(&loop);
	ck_assert(ring_used(&drv, &head, &len));
	ck_assert_uint_eq(head, h);
	return len;
}

START_TEST(fills_what_was_asked)
{
	struct ring_seg seg[] = {{DATA, 8, false}, {DATA + 0x100, 3, true}, {DATA + 0x200, 61, true}};
	uint8_t first[61];
	unsigned zero = 0;

	build();
	ck_assert_uint_eq(dev->config_len, 0);
	ck_assert_uint_eq(ask(seg, 3), 64);
	memcpy(first, ram + (DATA - RAM) + 0x200, 61);
	ck_assert_uint_eq(ask(seg, 3), 64);
	ck_assert_mem_ne(first, ram + (DATA - RAM) + 0x200, 61);
	for (unsigned i = 0; i < 0x300; i++) { /* around the buffers, and in the readable one */
		bool ours = (i >= 0x100 && i < 0x103) || (i >= 0x200 && i < 0x23d);

		ck_assert(ours || !ram[DATA - RAM + i]);
	}
	for (unsigned i = 0; i < 61; i++)
		zero += !first[i];
	ck_assert_uint_lt(zero, 20);
	ck_assert_uint_eq(transport.notified[0], 2);
}
END_TEST

START_TEST(a_request_is_bounded)
{
	struct ring_seg seg[] = {{DATA, 50000, true}, {DATA + 50000, 50000, true}};

	build();
	ck_assert_uint_eq(ask(seg, 2), LIMIT);
	ck_assert_uint_eq(
		ram[DATA - RAM + LIMIT] | ram[DATA - RAM + LIMIT + 1] | ram[DATA - RAM + LIMIT + 9999], 0);
}
END_TEST

START_TEST(a_turn_is_bounded)
{
	struct ring_seg seg = {DATA, LIMIT, true};
	uint32_t head, len;
	unsigned n = 0;

	build();
	for (unsigned i = 0; i < NUM; i++)
		ring_offer(&drv, ring_chain(&drv, &seg, 1));
	fake_submit(dev, 0, &drv);
	fake_work(&loop);
	ck_assert_uint_lt(virtq_stop(&dev->queue[0].vq), NUM);
	dev->queue[0].vq.running = true;
	fake_run(&loop);
	for (; ring_used(&drv, &head, &len); n++)
		ck_assert_uint_eq(len, LIMIT);
	ck_assert_uint_eq(n, NUM);
}
END_TEST

START_TEST(nothing_to_write_to)
{
	struct ring_seg seg = {DATA, 8, false}, empty = {DATA, 0, true};

	build();
	ck_assert_uint_eq(ask(&seg, 1), 0);
	ck_assert_uint_eq(ask(&empty, 1), 0);
	ck_assert(!fake_reset(dev, &done));
	fake_run(&loop);
	ck_assert_uint_eq(done.fired, 1);
	dev->ops->destroy(dev);
}
END_TEST

START_TEST(a_broken_ring_wants_a_reset)
{
	struct ring_seg seg = {UINT64_MAX, 8, true};

	build();
	ring_add(&drv, &seg, 1);
	fake_ready(&loop, dev->queue[0].kick_fd);
	fake_run(&loop);
	ck_assert_uint_eq(transport.resets_wanted, 1);
}
END_TEST

START_TEST(a_host_without_entropy)
{
	struct ring_seg seg[] = {{DATA, 16, true}, {DATA + 0x100, 16, true}};

	build();
	fail_after = 2;
	ck_assert_msg(ask(seg, 2) == 16, "what there was");
	ck_assert_uint_eq(dev->errors, 1);
	ck_assert_uint_eq(ask(seg, 2), 0);
	ck_assert_uint_eq(dev->errors, 2);
	fail_after = 0;
	ck_assert_uint_eq(ask(seg, 2), 32);
	ck_assert_uint_eq(dev->errors, 2);
	ck_assert_uint_eq(transport.resets_wanted, 0);
}
END_TEST

UNIT_MAIN("rng", fills_what_was_asked, a_request_is_bounded, a_turn_is_bounded, nothing_to_write_to,
	a_broken_ring_wants_a_reset, a_host_without_entropy)
