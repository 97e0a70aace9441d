// SPDX-License-Identifier: Apache-2.0
/* What a disk's queue counts: batches, bytes that were moved, and how long requests took by a clock of ours.
 */
#include <errno.h>
#include <linux/virtio_blk.h>

#include "devices/virtio/devs.h"
#include "tests/unit/fake_disk.h"
#include "tests/unit/fake_virtio.h"
#include "tests/unit/unit.h"

#define RAM	 0x100000ULL
#define RAM_SIZE 0x400000ULL
#define HDR	 (RAM + 0x40000) /* header and status of a request, 64 bytes each */
#define DATA	 (RAM + 0x80000)
#define NUM	 64
#define SIZE	 (1024 * 512ULL)
#define F(bit)	 (1ULL << VIRTIO_BLK_F_##bit)
#define FEATS	 (RING_FEATURES | RING_EVENT_IDX | F(FLUSH) | F(CONFIG_WCE) | F(DISCARD))

static struct guest_mem mem;
static uint8_t *ram;
static struct loop loop;
static struct virtio_dev *dev;
static struct fake_transport transport;
static struct ring_driver drv;
static unsigned asked;

static struct virtio_queue *queue(void)
{
	return &dev->queue[0];
}

static struct virtq_stats *stats(void)
{
	return &queue()->vq.stats;
}

static void build(bool times, struct disk_config cfg)
{
	cfg.queues = 1;
	cfg.queue_size = NUM;
	if (!ram)
		ram = unit_ram(&mem, RAM, RAM_SIZE);
	memset(&loop, 0, sizeof(loop));
	loop.now = 1000;
	asked = 0;
	ck_assert_int_eq(
		virtio_blk_create(&dev, "disk0", &mem, &loop, fake_disk_new(&loop, SIZE, false), &cfg), 0);
	if (times)
		ck_assert_int_eq(virtio_time(dev), 0);
	fake_plug(&transport, dev);
	ring_init(&drv, &mem, RAM, NUM, 0, FEATS);
	fake_driver_ok(dev, &drv, 1, FEATS);
	fake_run(&loop);
}

static uint8_t *header(unsigned i)
{
	return ram + (HDR - RAM) + 64 * i;
}

/* A request in `segs` data segments of `len` bytes, not published yet. Its number. */
static unsigned ask(uint32_t type, uint64_t sector, uint32_t len, unsigned segs)
{
	struct ring_seg seg[NUM] = {{HDR + 64 * asked, 16, false}};
	unsigned n = 1;

	*(struct virtio_blk_outhdr *)header(asked) =
		(struct virtio_blk_outhdr){.type = type, .sector = sector};
	for (unsigned i = 0; i < segs; i++)
		seg[n++] = (struct ring_seg){DATA + 0x1000 * i, len, !(type & VIRTIO_BLK_T_OUT)};
	seg[n++] = (struct ring_seg){HDR + 64 * asked + 16, 1, true};
	ring_offer(&drv, ring_chain(&drv, seg, n));
	return asked++;
}

static void go(void)
{
	uint32_t head, len;

	fake_submit(dev, 0, &drv);
	fake_run(&loop);
	while (ring_used(&drv, &head, &len))
		;
}

static void destroy(void)
{
	dev->ops->destroy(dev);
}

START_TEST(bytes_of_what_was_done)
{
	build(false, (struct disk_config){0});
	ask(VIRTIO_BLK_T_IN, 0, 1024, 1);
	ask(VIRTIO_BLK_T_IN, 0, 512, 9);
	ask(VIRTIO_BLK_T_OUT, 8, 512, 3);
	ask(VIRTIO_BLK_T_OUT, 8, 4096, 1);
	go();
	ck_assert_uint_eq(stats()->to_guest, 1024 + 9 * 512);
	ck_assert_uint_eq(stats()->from_guest, 3 * 512 + 4096);
	ask(VIRTIO_BLK_T_FLUSH, 0, 0, 0);
	ask(VIRTIO_BLK_T_GET_ID, 0, 20, 1);
	ask(VIRTIO_BLK_T_IN, SIZE / 512, 512, 1); /* behind the end */
	ask(VIRTIO_BLK_T_OUT, 0, 0, 0);
	ask(99, 0, 512, 1);
	go();
	fake_disk.err[DISK_READ] = fake_disk.err[DISK_WRITE] = -EIO;
	ask(VIRTIO_BLK_T_IN, 0, 512, 1);
	ask(VIRTIO_BLK_T_OUT, 0, 512, 1);
	go();
	ck_assert_uint_eq(dev->errors, 2);
	ck_assert_uint_eq(stats()->to_guest, 1024 + 9 * 512);
	ck_assert_uint_eq(stats()->from_guest, 3 * 512 + 4096);
	destroy();
}
END_TEST

/* Without a flush of the guest's own a write is made to last, and counts once. */
START_TEST(bytes_written_through)
{
	uint8_t off = 0;

	build(false, (struct disk_config){0});
	dev->ops->write_config(dev, offsetof(struct virtio_blk_config, wce), &off, 1);
	ask(VIRTIO_BLK_T_OUT, 8, 4096, 1);
	go();
	ck_assert_uint_eq(fake_disk.ops[DISK_FLUSH], 1);
	ck_assert_uint_eq(stats()->from_guest, 4096);
	destroy();
}
END_TEST

START_TEST(batches)
{
	build(false, (struct disk_config){0});
	for (unsigned n = 1; n <= 5; n++) {
		for (unsigned i = 0; i < n; i++)
			ask(VIRTIO_BLK_T_IN, i, 512, 1);
		go();
		ck_assert_uint_eq(stats()->batches, n);
	}
	ck_assert_uint_eq(stats()->pops, 15);
	fake_ready(&loop, queue()->kick_fd); /* a kick for nothing */
	fake_run(&loop);
	ck_assert_uint_eq(stats()->batches, 5);
	ck_assert_uint_eq(queue()->kicks, 6);
	destroy();
}
END_TEST

/* The i-th bucket has n requests; sum is of all of them. */
static void expect_buckets(unsigned i, uint64_t n, uint64_t sum)
{
	const struct virtio_times *t = queue()->times;

	ck_assert_uint_eq(t->sum, sum);
	ck_assert_uint_eq(t->histogram[i], n);
}

static uint64_t all(void)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < VIRTIO_BUCKETS; i++)
		n += queue()->times->histogram[i];
	return n;
}

START_TEST(latency)
{
	build(true, (struct disk_config){0});
	fake_disk.hold = true;
	ask(VIRTIO_BLK_T_IN, 0, 512, 1);
	ask(VIRTIO_BLK_T_OUT, 0, 512, 1);
	ask(VIRTIO_BLK_T_IN, 0, 512, 9);
	ask(VIRTIO_BLK_T_FLUSH, 0, 0, 0);
	go();
	ck_assert_uint_eq(all(), 0);
	loop.now += 1 << 12;
	fake_disk_complete(0, 0);
	loop.now += 1 << 12; /* the same round: the clock is read once */
	fake_disk_complete(0, -EIO);
	fake_run(&loop);
	expect_buckets(12, 2, 2 << 12);
	loop.now += (1 << 20) - (2 << 12) - 1;
	fake_disk_complete(0, 0);
	fake_run(&loop);
	expect_buckets(19, 1, (2 << 12) + (1 << 20) - 1);
	loop.now += (1ull << 40) + 1;
	fake_disk_complete(0, 0);
	fake_run(&loop);
	expect_buckets(VIRTIO_BUCKETS - 1, 1, (2 << 12) + (2 << 20) - 1 + (1ull << 40));
	ck_assert_uint_eq(all(), 4);
	ask(VIRTIO_BLK_T_GET_ID, 0, 20, 1); /* at once */
	go();
	expect_buckets(0, 1, (2 << 12) + (2 << 20) - 1 + (1ull << 40));
	destroy();
}
END_TEST

/* What limits hold back is not with the device yet. */
START_TEST(latency_under_limits)
{
	build(true, (struct disk_config){.iops = 1000, .iops_burst = 1});
	fake_disk.hold = true;
	ask(VIRTIO_BLK_T_IN, 0, 512, 1);
	ask(VIRTIO_BLK_T_IN, 0, 512, 1);
	go();
	ck_assert_uint_eq(stats()->pops, 1);
	loop.now += 1000000;
	fake_run(&loop);
	ck_assert_uint_eq(stats()->pops, 2);
	ck_assert_uint_eq(queue()->limited, 1);
	loop.now += 64;
	fake_disk_complete(1, 0);
	fake_run(&loop);
	expect_buckets(6, 1, 64);
	fake_disk_complete(0, 0);
	fake_run(&loop);
	expect_buckets(19, 1, 1000000 + 2 * 64);
	destroy();
}
END_TEST

UNIT_MAIN(
	"blk_counters", bytes_of_what_was_done, bytes_written_through, batches, latency, latency_under_limits)
