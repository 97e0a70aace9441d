// SPDX-License-Identifier: Apache-2.0
/* A disk with limits, under a clock of the test's own: how many requests go when, in what order, and what
 * ends the waiting. */
#include <linux/virtio_blk.h>

#include "devices/virtio/devs.h"
#include "devices/virtio/limits.h"
#include "tests/unit/fake_disk.h"
#include "tests/unit/fake_virtio.h"
#include "tests/unit/unit.h"

#define RAM	 0x100000ULL
#define RAM_SIZE 0x400000ULL
#define HDR	 (RAM + 0x40000)
#define DATA	 (RAM + 0x80000)
#define NUM	 64
#define SIZE	 (1ULL << 20)
#define MS	 1000000ull
#define F(bit)	 (1ULL << VIRTIO_BLK_F_##bit)
#define FEATS	 (RING_FEATURES | RING_EVENT_IDX | F(FLUSH) | F(CONFIG_WCE) | F(DISCARD) | F(WRITE_ZEROES))

static struct guest_mem mem;
static uint8_t *ram;
static struct loop loop[2];
static struct virtio_dev *dev;
static struct fake_transport transport;
static struct ring_driver drv[2];
static struct fake_done done;
static unsigned headers;

static void start(void)
{
	uint64_t features = FEATS | (dev->nvq > 1 ? F(MQ) : 0);

	for (unsigned i = 0; i < dev->nvq; i++)
		ring_init(&drv[i], &mem, RAM + 0x10000 * i, NUM, 0, features);
	fake_driver_ok(dev, drv, dev->nvq, features);
	for (unsigned i = 0; i < 2 * dev->nvq; i++)
		fake_run(&loop[i % dev->nvq]);
}

/* Each queue on a loop of its own; the disk answers inside disk_submit(). */
static void build(struct disk_config cfg)
{
	cfg.queues = cfg.queues ? cfg.queues : 1;
	cfg.queue_size = NUM;
	if (!ram)
		ram = unit_ram(&mem, RAM, RAM_SIZE);
	memset(loop, 0, sizeof(loop));
	loop[0].now = loop[1].now = 1000 * MS;
	ck_assert_int_eq(
		virtio_blk_create(&dev, "disk0", &mem, loop, fake_disk_new(loop, SIZE, false), &cfg), 0);
	fake_disk.at_once = true;
	for (unsigned q = 0; q < dev->nvq; q++)
		dev->queue[q].loop = &loop[q];
	fake_plug(&transport, dev);
	start();
}

/* Offer a request as drivers frame it; returns its head. */
static int offer(unsigned q, uint32_t type, uint64_t sector, uint32_t len)
{
	uint64_t hdr = HDR + 32 * (headers++ % 512);
	struct ring_seg seg[] = {{hdr, 16, false}, {DATA, len, type == VIRTIO_BLK_T_IN}, {hdr + 16, 1, true}};
	int head;

	*(struct virtio_blk_outhdr *)(ram + (hdr - RAM)) =
		(struct virtio_blk_outhdr){.type = type, .sector = sector};
	if (!len)
		seg[1] = seg[2];
	head = ring_chain(&drv[q], seg, len ? 3 : 2);
	ring_offer(&drv[q], head);
	return head;
}

static void offer_reads(unsigned q, unsigned n, uint32_t len)
{
	for (unsigned i = 0; i < n; i++)
		offer(q, VIRTIO_BLK_T_IN, 0, len);
	fake_submit(dev, q, &drv[q]);
}

/* Requests that have come back since the last look. */
static unsigned back(unsigned q)
{
	uint32_t head, len;
	unsigned n = 0;

	for (fake_run(&loop[q]); ring_used(&drv[q], &head, &len); n++)
		;
	return n;
}

static unsigned back_at(unsigned q, uint64_t ns)
{
	loop[0].now = loop[1].now = 1000 * MS + ns;
	return back(q);
}

START_TEST(requests_wait_for_their_turn)
{
	build((struct disk_config){.iops = 10, .iops_burst = 2});
	offer_reads(0, 5, 512);
	ck_assert_uint_eq(back(0), 2);
	ck_assert_uint_eq(dev->queue[0].limited, 1);
	ck_assert_uint_eq(back_at(0, 100 * MS - 1), 0);
	ck_assert_uint_eq(back_at(0, 100 * MS), 1);
	ck_assert_uint_eq(dev->queue[0].limited, 2);
	ck_assert_uint_eq(back_at(0, 250 * MS), 1);
	ck_assert_uint_eq(back_at(0, 300 * MS), 1);
	ck_assert_uint_eq(dev->queue[0].limited, 3);
	ck_assert_ptr_null(loop[0].timers);
	ck_assert_uint_eq(back_at(0, 9000 * MS), 0);
	offer_reads(0, 5, 512);
	ck_assert_msg(back(0) == 2, "a long rest is worth one burst");
}
END_TEST

START_TEST(bytes_of_reads_and_writes)
{
	build((struct disk_config){.bps = 1 << 20, .bps_burst = 4096});
	offer(0, VIRTIO_BLK_T_OUT, 0, 65536);
	offer(0, VIRTIO_BLK_T_IN, 0, 131072);
	offer(0, VIRTIO_BLK_T_OUT, 0, 512);
	offer_reads(0, 1, 512);
	ck_assert_uint_eq(back(0), 1);
	ck_assert_uint_eq(back_at(0, 58 * MS), 0);
	ck_assert_uint_eq(back_at(0, 59 * MS), 1); /* 60 KiB beyond the burst are paid, but for a byte */
	ck_assert_uint_eq(back_at(0, 183 * MS), 0);
	ck_assert_uint_eq(back_at(0, 184 * MS), 1);
	ck_assert_uint_eq(back_at(0, 185 * MS), 1);
	ck_assert_uint_eq(fake_disk.ops[DISK_READ], 2);
	ck_assert_uint_eq(fake_disk.ops[DISK_WRITE], 2);
}
END_TEST

/* Whatever a request asks for and whatever becomes of it, it is one; bytes are those of reads and writes. */
START_TEST(what_counts)
{
	build((struct disk_config){.iops = 10, .iops_burst = 1, .bps = 1 << 20, .bps_burst = 1 << 20});
	offer(0, VIRTIO_BLK_T_FLUSH, 0, 0);
	offer(0, VIRTIO_BLK_T_DISCARD, 0, 16);
	offer(0, VIRTIO_BLK_T_WRITE_ZEROES, 0, 16);
	offer(0, 0x4321, 0, 0);
	offer(0, VIRTIO_BLK_T_IN, SIZE, 512);
	offer_reads(0, 1, 512);
	for (unsigned i = 0; i < 6; i++) {
		ck_assert_uint_eq(back_at(0, i * 100 * MS), 1);
		ck_assert_uint_eq(back_at(0, i * 100 * MS + 99 * MS), 0);
	}
	dev->ops->destroy(dev);
	build((struct disk_config){.bps = 1 << 20, .bps_burst = 1024});
	for (unsigned i = 0; i < 12; i++) {
		offer(0, VIRTIO_BLK_T_FLUSH, 0, 0);
		offer(0, VIRTIO_BLK_T_DISCARD, 0, 16);
	}
	offer_reads(0, 2, 1024);
	ck_assert_uint_eq(back(0), 25);
}
END_TEST

START_TEST(chains_that_are_no_requests_count_too)
{
	struct ring_seg no_status = {DATA, 512, false}, no_header = {DATA, 1, true};
	int head, again;

	build((struct disk_config){.iops = 10, .iops_burst = 4, .bps = 1 << 20, .bps_burst = 1024});
	head = offer(0, VIRTIO_BLK_T_OUT, 0, 1024);
	fake_submit(dev, 0, &drv[0]);
	ck_assert_uint_eq(back(0), 1);
	for (unsigned i = 0; i < 2; i++)
		ring_offer(&drv[0], ring_chain(&drv[0], &no_status, 1));
	again = ring_chain(&drv[0], &no_header, 1);
	ck_assert_msg(again == head, "what was known of a write is not known of this one");
	ring_offer(&drv[0], again);
	offer_reads(0, 1, 512);
	ck_assert_uint_eq(back_at(0, MS), 3);
	ck_assert_uint_eq(loop[0].timers->private.deadline, 1100 * MS);
	ck_assert_uint_eq(back_at(0, 100 * MS), 1);
}
END_TEST

START_TEST(queues_share_the_limit)
{
	unsigned n[2] = {0};

	build((struct disk_config){.queues = 2, .iops = 1000, .iops_burst = 4});
	for (unsigned t = 0; t < 10; t++)
		for (unsigned q = 0; q < 2; q++) {
			if (t % 4 == 0)
				offer_reads(q, 10, 512);
			n[q] += back_at(q, t * MS);
		}
	ck_assert_uint_eq(n[0] + n[1], 4 + 9);
	ck_assert_uint_gt(n[0], 0);
	ck_assert_uint_gt(dev->queue[0].limited, 0);
	ck_assert_uint_gt(dev->queue[1].limited, 0);
}
END_TEST

/* Nobody waits when the last unit has gone with the last request. */
START_TEST(no_timer_without_work)
{
	build((struct disk_config){.iops = 10, .iops_burst = 5});
	offer_reads(0, 5, 512);
	ck_assert_uint_eq(back(0), 5);
	ck_assert_ptr_null(loop[0].timers);
	ck_assert_uint_eq(dev->queue[0].limited, 0);
	dev->ops->destroy(dev);
	build((struct disk_config){0});
	ck_assert_ptr_null(dev->queue[0].limits);
	offer_reads(0, 20, 4096);
	ck_assert_uint_eq(back(0), 20);
	ck_assert_uint_eq(dev->queue[0].limited, 0);
}
END_TEST

START_TEST(order_is_kept)
{
	int head[6];
	uint32_t h, len;

	build((struct disk_config){.iops = 1000, .iops_burst = 1});
	for (unsigned i = 0; i < 6; i++)
		head[i] = offer(0, i % 2 ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN, i, 512);
	fake_submit(dev, 0, &drv[0]);
	for (unsigned i = 0; i < 6; i++) {
		loop[0].now = (1000 + i) * MS;
		fake_run(&loop[0]);
		ck_assert(ring_used(&drv[0], &h, &len));
		ck_assert_uint_eq(h, head[i]);
		ck_assert(!ring_used(&drv[0], &h, &len));
	}
}
END_TEST

START_TEST(a_stop_ends_the_waiting)
{
	build((struct disk_config){.iops = 1, .iops_burst = 1});
	offer_reads(0, 3, 512);
	ck_assert_uint_eq(back(0), 1);
	ck_assert_ptr_nonnull(loop[0].timers);
	fake_reset(dev, &done);
	fake_run(&loop[0]);
	ck_assert_uint_eq(done.fired, 1);
	ck_assert_ptr_null(loop[0].timers);
	start();
	offer_reads(0, 2, 512);
	ck_assert_msg(back_at(0, 999 * MS) == 0, "a reset is no way around a limit");
	ck_assert_uint_eq(back_at(0, 1000 * MS), 1);
	ck_assert_ptr_nonnull(loop[0].timers);
	dev->ops->destroy(dev);
	ck_assert_ptr_null(loop[0].timers);
}
END_TEST

/* ---- other limits while it runs ---- */

static void change(struct limit_rates rates)
{
	ck_assert_int_eq(virtio_limits_begin(dev, &rates), 0);
	for (unsigned q = 0; q < dev->nvq; q++)
		fake_run(&loop[q]);
	ck_assert_int_eq(virtio_limits_wait(dev, 0), 0);
}

START_TEST(a_change_wakes_who_waits)
{
	build((struct disk_config){.iops = 1, .iops_burst = 1});
	offer_reads(0, 12, 512);
	ck_assert_uint_eq(back(0), 1);
	ck_assert_uint_eq(back_at(0, 500 * MS), 0);
	change((struct limit_rates){.ops = 1000, .ops_burst = 1});
	ck_assert_uint_eq(back(0), 0); /* half of what it waits for is there already */
	ck_assert_uint_eq(back_at(0, 501 * MS), 1);
	ck_assert_uint_eq(back_at(0, 502 * MS), 1);
	change((struct limit_rates){.ops = 1, .ops_burst = 1});
	ck_assert_uint_eq(back_at(0, 1500 * MS), 0);
	change((struct limit_rates){0});
	ck_assert_msg(back(0) == 9, "the clock stood still");
	ck_assert_ptr_null(dev->queue[0].limits);
	ck_assert_ptr_null(loop[0].timers);
}
END_TEST

START_TEST(a_change_is_no_way_around_a_limit)
{
	build((struct disk_config){.iops = 10, .iops_burst = 10, .bps = 1 << 20, .bps_burst = 1 << 20});
	offer_reads(0, 20, 512);
	ck_assert_uint_eq(back(0), 10);
	for (unsigned i = 0; i < 100; i++) {
		change((struct limit_rates){.ops = i % 2 ? 10 : 1000, .ops_burst = 10, .bps = 1 << 20});
		ck_assert_uint_eq(back(0), 0);
	}
	ck_assert_uint_eq(back_at(0, 101 * MS), 1);
	change((struct limit_rates){.ops = 10, .ops_burst = 60});
	ck_assert_msg(back(0) == 0, "a larger burst is to be earned");
	ck_assert_uint_eq(back_at(0, 601 * MS), 5);
}
END_TEST

/* One that was free until now: no burst, and the queue goes over with requests waiting in the ring. */
START_TEST(a_limit_where_there_was_none)
{
	build((struct disk_config){0});
	offer_reads(0, 20, 512);
	ck_assert_uint_eq(back(0), 20);
	change((struct limit_rates){.ops = 100, .ops_burst = 10});
	ck_assert_ptr_nonnull(dev->queue[0].limits);
	offer_reads(0, 20, 512);
	ck_assert_uint_eq(back(0), 0);
	ck_assert_uint_eq(back_at(0, 10 * MS), 1);
	ck_assert_uint_eq(back_at(0, 110 * MS), 10);
	change((struct limit_rates){.bps = 51200, .bps_burst = 512});
	ck_assert_uint_eq(back_at(0, 110 * MS), 0);
	ck_assert_uint_eq(back_at(0, 111 * MS), 1);
	ck_assert_uint_eq(back_at(0, 121 * MS), 1);
}
END_TEST

START_TEST(a_change_for_several_queues)
{
	unsigned n = 0;

	build((struct disk_config){.queues = 2, .iops = 1, .iops_burst = 2});
	for (unsigned q = 0; q < 2; q++)
		offer_reads(q, 20, 512);
	ck_assert_uint_eq(back(0) + back(1), 2);
	change((struct limit_rates){.ops = 1000, .ops_burst = 4});
	ck_assert_ptr_eq(dev->queue[0].limits, dev->queue[1].limits);
	for (unsigned t = 1; t <= 10; t++)
		n += back_at(t % 2, t * MS);
	ck_assert_uint_eq(n, 10);
}
END_TEST

/* A loop that does not run: the others go over, it follows when it does, and until then there is no other change. */
START_TEST(a_queue_that_hears_late)
{
	const struct limit_rates ten = {.ops = 10, .ops_burst = 1}, none = {0};

	build((struct disk_config){.queues = 2, .iops = 1, .iops_burst = 1});
	offer_reads(0, 5, 512);
	offer_reads(1, 5, 512);
	ck_assert_uint_eq(back(0), 1);
	ck_assert_int_eq(virtio_limits_begin(dev, &none), 0);
	fake_run(&loop[0]);
	ck_assert_int_eq(virtio_limits_wait(dev, 0), -ETIMEDOUT);
	ck_assert_uint_eq(back(0), 4);
	ck_assert_int_eq(virtio_limits_begin(dev, &ten), -EBUSY);
	ck_assert_uint_eq(back(1), 5);
	ck_assert_int_eq(virtio_limits_begin(dev, &ten), 0);
	for (unsigned q = 0; q < 2; q++)
		fake_run(&loop[q]);
	ck_assert_int_eq(virtio_limits_wait(dev, 0), 0);
	ck_assert_uint_eq(dev->limits->rates.ops, 10);
}
END_TEST

START_TEST(a_change_before_a_start)
{
	build((struct disk_config){.iops = 1, .iops_burst = 1});
	offer_reads(0, 3, 512);
	ck_assert_uint_eq(back(0), 1);
	fake_reset(dev, &done);
	fake_run(&loop[0]);
	change((struct limit_rates){.ops = 1000, .ops_burst = 1});
	ck_assert_ptr_null(loop[0].timers);
	start();
	offer_reads(0, 3, 512);
	ck_assert_uint_eq(back_at(0, MS), 1);
	ck_assert_uint_eq(back_at(0, 2 * MS), 1);
}
END_TEST

START_TEST(kicks_do_not_cut_it_short)
{
	build((struct disk_config){.iops = 10, .iops_burst = 1});
	offer_reads(0, 2, 512);
	ck_assert_uint_eq(back(0), 1);
	for (unsigned i = 1; i < 10; i++) {
		offer_reads(0, 1, 512);
		fake_ready(&loop[0], dev->queue[0].kick_fd);
		ck_assert_uint_eq(back_at(0, i * 10 * MS), 0);
	}
	ck_assert_uint_eq(dev->queue[0].limited, 1);
	ck_assert_uint_eq(back_at(0, 100 * MS), 1);
}
END_TEST

START_TEST(a_broken_ring_is_found_after_the_pause)
{
	build((struct disk_config){.iops = 10, .iops_burst = 1});
	offer_reads(0, 2, 512);
	ck_assert_uint_eq(back(0), 1);
	ring_store16(drv[0].avail + 2, drv[0].avail_idx + NUM + 1);
	ck_assert_uint_eq(back_at(0, 100 * MS), 1);
	back_at(0, 1000 * MS);
	ck_assert_uint_eq(transport.resets_wanted, 1);
	fake_reset(dev, &done);
	fake_run(&loop[0]);
	ck_assert_uint_eq(done.fired, 1);
}
END_TEST

UNIT_MAIN("blk_limit", a_change_wakes_who_waits, a_change_is_no_way_around_a_limit, a_limit_where_there_was_none,
	a_change_for_several_queues, a_queue_that_hears_late, a_change_before_a_start, requests_wait_for_their_turn, bytes_of_reads_and_writes, what_counts,
	chains_that_are_no_requests_count_too, queues_share_the_limit, no_timer_without_work, order_is_kept,
	a_stop_ends_the_waiting, kicks_do_not_cut_it_short, a_broken_ring_is_found_after_the_pause)
