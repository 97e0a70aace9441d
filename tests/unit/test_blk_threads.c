// SPDX-License-Identifier: Apache-2.0
/*
 * A disk as it runs: each queue on a loop with a thread of its own, drivers on two more threads, main starts,
 * stops and reads counters meanwhile. Meant for SAN=tsan above all; what the drivers read back must be what
 * they wrote.
 */
#include <linux/virtio_blk.h>
#include <unistd.h>

#include "devices/virtio/devs.h"
#include "tests/unit/threads_unit.h"
#include "vmm/limit.h"

#define RAM	0x100000ULL
#define QUEUES	2
#define NUM	32
#define DEPTH	8
#define SECTORS 256 /* of each queue's half of the disk */
#define FEATS                                                                                    \
	(RING_FEATURES | RING_EVENT_IDX | 1ULL << VIRTIO_BLK_F_FLUSH | 1ULL << VIRTIO_BLK_F_MQ | \
		1ULL << VIRTIO_BLK_F_CONFIG_WCE)
#define RINGS(q) (RAM + 0x4000 * (q))
#define HDR(q)	 (RAM + 0x10000 + 0x1000 * (q))
#define DATA(q)	 (RAM + 0x20000 + 0x10000 * (q))

static struct guest_mem mem;
static uint8_t *ram;
static struct loop *loop[QUEUES];
static pthread_t thread[QUEUES];
static struct virtio_dev *dev;
static struct ring_driver drv[QUEUES];
static uint8_t disk_data[QUEUES * SECTORS * 512];
static _Atomic unsigned signals[QUEUES];

/* ---- the neighbours: a disk that answers at once, a transport that counts ---- */

void disk_submit(struct disk *disk, struct loop *l, struct disk_req *req, enum disk_op op, struct iovec *iov,
	int n, uint64_t at, uint64_t len)
{
	for (int i = 0; i < n; i++) {
		if (op == DISK_READ)
			ring_copy(iov[i].iov_base, disk_data + at, iov[i].iov_len);
		else if (op == DISK_WRITE)
			ring_copy(disk_data + at, iov[i].iov_base, iov[i].iov_len);
		at += iov[i].iov_len;
	}
	req->fn(req, 0);
}

void disk_close(struct disk *disk)
{
}

static void notify(struct virtio_transport *t, unsigned q, struct loop *l)
{
	atomic_fetch_add(&signals[q], 1);
}

static struct virtio_transport transport = {notify, no_change, needs_reset};

/* ---- drivers ---- */

/* Request i of queue q: sectors are written and read back in turn. */
static int offer(unsigned q, unsigned i, bool out)
{
	uint64_t hdr = HDR(q) + 32 * (i % DEPTH), data = DATA(q) + 512 * (i % DEPTH);
	struct ring_seg seg[] = {{hdr, 16, false}, {data, 512, !out}, {hdr + 16, 1, true}};
	struct virtio_blk_outhdr h = {
		.type = out ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN, .sector = q * SECTORS + i % SECTORS};
	uint8_t fill[512], status = 0x77;

	memset(fill, out ? (uint8_t)(i * 7 + q) : 0, sizeof(fill));
	ring_copy(mem_at(&mem, hdr, 16), &h, sizeof(h));
	ring_copy(mem_at(&mem, hdr + 16, 1), &status, 1);
	ring_copy(mem_at(&mem, data, 512), fill, sizeof(fill));
	return ring_chain(&drv[q], seg, 3);
}

static void check_answers(unsigned q, unsigned first, unsigned n, bool out)
{
	for (unsigned i = first; i < first + n; i++) {
		uint8_t got[512], status;

		ring_copy(&status, mem_at(&mem, HDR(q) + 32 * (i % DEPTH) + 16, 1), 1);
		ring_copy(got, mem_at(&mem, DATA(q) + 512 * (i % DEPTH), 512), sizeof(got));
		must(status == VIRTIO_BLK_S_OK);
		for (unsigned j = 0; j < sizeof(got) && !out; j++)
			must(got[j] == (uint8_t)(i * 7 + q));
	}
}

/* A batch, and its answers. False: the device was stopped meanwhile. */
static bool batch(unsigned q, unsigned first, bool out)
{
	static const uint64_t one = 1;
	uint32_t head, len;

	for (unsigned i = 0; i < DEPTH; i++)
		ring_offer(&drv[q], offer(q, first + i, out));
	if (ring_publish(&drv[q]))
		must(write(dev->queue[q].kick_fd, &one, sizeof(one)) == sizeof(one));
	for (unsigned got = 0; got < DEPTH;) {
		if (ring_used(&drv[q], &head, &len))
			got++;
		else if (atomic_load(&off))
			return false;
		else
			sched_yield();
	}
	check_answers(q, first, DEPTH, out);
	return true;
}

static void *driver(void *arg)
{
	unsigned q = (uintptr_t)arg;

	for (unsigned i = 0; !atomic_load(&off); i += DEPTH)
		if (!batch(q, i, true) || !batch(q, i, false))
			break;
	return NULL;
}

/* ---- main ---- */

static void build(struct disk_config cfg)
{
	struct disk *disk = calloc(1, sizeof(*disk));

	cfg.queues = QUEUES;
	cfg.queue_size = NUM;
	ram = unit_ram(&mem, RAM, 0x40000);
	*disk = (struct disk){
		.fd = -1, .size = sizeof(disk_data), .block_size = 512, .min_align = 1, .physical_size = 512};
	for (unsigned q = 0; q < QUEUES; q++)
		ck_assert_int_eq(loop_create(&loop[q], "test", IO_PLAIN, 0), 0);
	ck_assert_int_eq(virtio_blk_create(&dev, "disk0", &mem, loop[0], disk, &cfg), 0);
	ck_assert_int_eq(virtio_time(dev), 0);
	dev->transport = &transport;
	for (unsigned q = 0; q < QUEUES; q++)
		dev->queue[q].loop = loop[q];
	for (unsigned q = 0; q < QUEUES; q++)
		ck_assert_int_eq(pthread_create(&thread[q], NULL, run_loop, loop[q]), 0);
}

static void destroy(void)
{
	end_loops(dev, loop, thread, QUEUES);
}

static uint64_t requests(void)
{
	uint64_t n = 0;

	for (unsigned q = 0; q < QUEUES; q++)
		n += dev->queue[q].vq.stats.pushes;
	return n;
}

static uint64_t timed(const struct virtio_times *times)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < VIRTIO_BUCKETS; i++)
		n += times->histogram[i];
	return n;
}

/* As a live report does: what is read while it is counted only grows. */
static void look(void)
{
	static uint64_t last[QUEUES];

	for (unsigned q = 0; q < QUEUES; q++) {
		const struct virtq_stats *stats = &dev->queue[q].vq.stats;
		uint64_t now = stats->batches + stats->to_guest + stats->from_guest + dev->queue[q].times->sum +
			       timed(dev->queue[q].times);

		ck_assert_uint_ge(now, last[q]);
		last[q] = now;
	}
}

/* A life of the device: until so many requests more have been answered, and one was held back where that is to be seen. */
static void life(unsigned n, bool limited)
{
	uint64_t enough = requests() + n;
	pthread_t t[QUEUES];
	uint8_t writeback = 0;

	for (unsigned q = 0; q < QUEUES; q++)
		ring_init(&drv[q], &mem, RINGS(q), NUM, 0, FEATS);
	begin_life(dev, drv, FEATS);
	for (uintptr_t q = 0; q < QUEUES; q++)
		ck_assert_int_eq(pthread_create(&t[q], NULL, driver, (void *)q), 0);
	for (unsigned i = 0; requests() < enough || (limited && !dev->queue[0].limited && !dev->queue[1].limited); i++) {
		writeback = i & 1;
		dev->ops->write_config(dev, offsetof(struct virtio_blk_config, wce), &writeback, 1);
		look();
		sched_yield();
	}
	end_life(dev, t, QUEUES);
}

/* Every request that was answered was timed, and moved a sector. */
static void expect_counters(unsigned q)
{
	const struct virtio_queue *vq = &dev->queue[q];
	uint64_t n = timed(vq->times);

	ck_assert_uint_ge(n, vq->vq.stats.pushes);
	ck_assert_uint_le(n, vq->vq.stats.pops);
	ck_assert_uint_ge(vq->vq.stats.to_guest + vq->vq.stats.from_guest, 512 * vq->vq.stats.pushes);
	ck_assert_uint_gt(vq->vq.stats.batches, 0);
	ck_assert_uint_le(vq->vq.stats.batches, vq->vq.stats.pops);
}

START_TEST(drivers_and_loops)
{
	build((struct disk_config){0});
	for (unsigned i = 0; i < 8; i++)
		life(1500, false);
	ck_assert_uint_gt(signals[0] + signals[1], 0);
	for (unsigned q = 0; q < QUEUES; q++)
		expect_counters(q);
	destroy();
}
END_TEST

/* One bucket, two loops; stops that find queues waiting. */
START_TEST(limits_are_shared)
{
	build((struct disk_config){.iops = 20000, .iops_burst = 4, .bps = 1ull << 30});
	for (unsigned i = 0; i < 8; i++)
		life(1000, true);
	destroy();
}
END_TEST

UNIT_MAIN("blk_threads", drivers_and_loops, limits_are_shared)
