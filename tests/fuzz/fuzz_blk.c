// SPDX-License-Identifier: Apache-2.0
/*
 * virtio-blk against a driver that mostly keeps the rules, with a disk that answers late, in any order, and
 * with errors. Oracle: every chain is used or the device wants a reset; used.len is no more than was asked
 * for; the status is one of three; readable buffers, descriptors and writable bytes beyond used.len (the
 * status aside) are as they were; a reset ends when the disk has answered, and then nothing is in flight. The
 * disk itself checks ranges and read-only.
 */
#include <errno.h>
#include <linux/virtio_blk.h>

#include "devices/virtio/devs.h"
#include "tests/fuzz/fuzz_ring.h"
#include "tests/unit/fake_disk.h"
#include "tests/unit/fake_virtio.h"
#include "vmm/log.h"

#define RAM	 0x100000ULL
#define NUM	 16
#define AREA	 0x2000 /* buffers of one head */
#define TABLES	 (RAM + 0x4000)
#define DATA	 (RAM + 0x10000)
#define RAM_SIZE (0x10000 + NUM * AREA)
#define SECTORS	 16

static struct guest_mem mem;
static uint8_t *ram;
static struct loop loop;
static struct virtio_dev *dev;
static struct fake_transport transport;
static struct ring_driver drv;
static uint64_t features;
static bool flipped;

static struct request {
	bool used_up;
	unsigned n;
	struct ring_seg seg[NUM];
	uint32_t in; /* writable bytes */
	uint8_t before[AREA];
} request[NUM];
static unsigned outstanding;

static void start(void)
{
	ring_init(&drv, &mem, RAM, NUM, 0, features);
	memset(&request, 0, sizeof(request));
	outstanding = 0;
	flipped = false;
	transport.resets_wanted = 0;
	fake_driver_ok(dev, &drv, 1, features);
	fake_run(&loop);
}

/* Cut a stream of len bytes into pieces with gaps, from *gpa on; at most up to `max` segments in all. */
static void cut(struct choices *c, struct request *r, uint64_t *gpa, uint32_t len, bool write, unsigned max)
{
	while (len) {
		uint32_t part = r->n + 1 >= max || !pick(c, 3) ? len : 1 + pick32(c) % len;

		r->seg[r->n++] = (struct ring_seg){*gpa, part, write};
		*gpa += part + pick(c, 3);
		len -= part;
	}
}

static void fill(struct choices *c, struct request *r, uint32_t type, uint64_t sector)
{
	struct virtio_blk_outhdr hdr = {.type = type, .sector = sector};
	struct virtio_blk_discard_write_zeroes range = {
		.sector = pick(c, SECTORS + 2), .num_sectors = pick(c, 4)};
	uint32_t at = 0;

	if (!pick(c, 4))
		range.flags = pick(c, 3);
	for (unsigned i = 0; i < r->n && !r->seg[i].write; i++)
		for (uint32_t b = 0; b < r->seg[i].len; b++, at++) {
			uint8_t *p = ram + (r->seg[i].gpa - RAM) + b;

			*p = at < 16 ? ((uint8_t *)&hdr)[at] : ((uint8_t *)&range)[at % 16];
		}
}

static void offer(struct choices *c)
{
	static const uint32_t types[] = {VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT,
		VIRTIO_BLK_T_FLUSH, VIRTIO_BLK_T_GET_ID, VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES, 14,
		0xffffffff};
	uint32_t type = types[pick(c, 10)], data = 512 * pick(c, 5), out, in;
	uint64_t sector = pick(c, 8) ? pick(c, SECTORS) : (uint64_t)pick32(c) << pick(c, 64);
	unsigned area = drv.nfree ? drv.free[drv.nfree - 1] : 0, direct;
	struct request *r = &request[area];
	uint64_t gpa = DATA + area * AREA;
	int head;

	if (flipped || !drv.nfree)
		return;
	if (type == VIRTIO_BLK_T_DISCARD || type == VIRTIO_BLK_T_WRITE_ZEROES)
		data = 16 * pick(c, 10);
	if (type == VIRTIO_BLK_T_GET_ID)
		data = 20;
	if (!pick(c, 8))
		data = pick32(c) % 2048;
	in = type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_GET_ID;
	out = 16 + (in ? 0 : data);
	in = (in ? data : 0) + 1;
	if (!pick(c, 16))
		out = pick(c, 20);
	if (!pick(c, 16))
		in = pick(c, 3);
	memset(r, 0, sizeof(*r));
	memset(ram + (gpa - RAM), 0xee, AREA);
	cut(c, r, &gpa, out, false, NUM / 2);
	cut(c, r, &gpa, in, true, NUM);
	if (!r->n)
		return;
	r->in = in;
	fill(c, r, type, sector);
	memcpy(r->before, ram + (DATA - RAM) + area * AREA, AREA);
	direct = pick(c, 3) ? 0 : pick(c, r->n);
	if (pick(c, 2) || !(features & 1ULL << VIRTIO_RING_F_INDIRECT_DESC))
		head = ring_chain(&drv, r->seg, r->n);
	else
		head = ring_chain_indirect(
			&drv, r->seg, direct, r->n, TABLES + area * 16 * NUM + pick(c, 2) * 3);
	if (head < 0)
		return;
	must((unsigned)head == area);
	r->used_up = true;
	outstanding++;
	ring_offer(&drv, head);
}

static void check(const struct request *r, unsigned area, uint32_t used)
{
	const uint8_t *now = ram + (DATA - RAM) + area * AREA;
	uint8_t want[AREA];
	uint32_t at = 0;

	must(used <= r->in);
	memcpy(want, r->before, AREA);
	for (unsigned i = 0; i < r->n; i++) {
		for (uint32_t b = 0; r->seg[i].write && b < r->seg[i].len; b++, at++) {
			uint64_t off = r->seg[i].gpa - DATA - area * AREA + b;

			if (at == r->in - 1)
				must(now[off] <= VIRTIO_BLK_S_UNSUPP);
			if (at < used || at == r->in - 1)
				want[off] = now[off];
		}
	}
	must(!memcmp(want, now, AREA));
}

static void look(void)
{
	uint32_t head, len;

	if (flipped)
		return;
	while (ring_used(&drv, &head, &len)) {
		must(request[head].used_up && outstanding);
		request[head].used_up = false;
		outstanding--;
		check(&request[head], head, len);
	}
}

/* Let the disk answer all it has, until nothing more comes. */
static void settle(void)
{
	fake_disk.hold = false;
	for (unsigned i = 0; i < 2 * NUM; i++) { /* each may have to wait for the limits */
		loop.now += 1000000;
		fake_run(&loop);
	}
	must(!fake_disk.n);
}

static void reset(struct choices *c)
{
	struct fake_done done;

	fake_reset(dev, &done);
	fake_run(&loop);
	must(done.fired == !fake_disk.n);
	if (pick(c, 2)) /* the driver uses its memory for something else */
		memset(ram, pick(c, 256), 0x4000);
	settle();
	must(done.fired == 1 && !virtq_inflight(&dev->queue[0].vq));
	start();
}

static void step(struct choices *c)
{
	uint8_t junk[8];
	unsigned n;

	switch (pick(c, 12)) {
	default:
		offer(c);
		break;
	case 4:
	case 5:
		fake_submit(dev, 0, &drv);
		fake_run(&loop);
		look();
		break;
	case 6:
		fake_disk.hold = !fake_disk.hold;
		break;
	case 7:
		if (fake_disk.n)
			fake_disk_complete(pick(c, fake_disk.n), pick(c, 4) ? 0 : -EIO);
		fake_run(&loop);
		look();
		break;
	case 8:
		fake_disk.err[pick(c, DISK_ZERO_UNMAP + 1)] = pick(c, 4)   ? 0
							      : pick(c, 2) ? -ENOSPC
									   : -EOPNOTSUPP;
		break;
	case 9:
		n = 1 + pick(c, 8);
		memset(junk, pick(c, 2), sizeof(junk));
		if (n <= dev->config_len)
			dev->ops->write_config(dev, pick(c, dev->config_len - n + 1), junk, n);
		break;
	case 10:
		if (pick(c, 8) == 7) {
			fuzz_flip(c, &drv);
			flipped = true;
		}
		break;
	case 11:
		if (pick(c, 8) == 7)
			reset(c);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct choices c = {data, data + size};
	struct disk_config cfg = {
		.queues = 1, .queue_size = NUM, .iops = size % 4 ? 0 : 1000, .iops_burst = 2};
	static uint8_t before[16 * NUM];

	ram = fuzz_ram(&mem, RAM, RAM_SIZE);
	log_set_level(LOG_ERROR - 1);
	memset(&loop, 0, sizeof(loop));
	must(!virtio_blk_create(
		&dev, "disk0", &mem, &loop, fake_disk_new(&loop, SECTORS * 512, !pick(&c, 8)), &cfg));
	fake_disk.at_once = !pick(&c, 8);
	fake_plug(&transport, dev);
	features = dev->offered;
	for (unsigned i = pick(&c, 4); i; i--) /* some are not acked */
		features &= ~(1ULL << pick(&c, 32));
	start();
	for (unsigned n = 0; c.p < c.end && n < 1024; n++) {
		bool device = *c.p % 12 >= 4 && *c.p % 12 <= 9;

		memcpy(before, drv.desc, sizeof(before));
		step(&c);
		must(!device || flipped || !memcmp(before, drv.desc, sizeof(before)));
	}
	fake_submit(dev, 0, &drv);
	fake_ready(&loop, dev->queue[0].kick_fd);
	settle();
	look();
	must(flipped || !outstanding);
	must(flipped || !transport.resets_wanted);
	must(transport.resets_wanted <= 1);
	/* A driver that wrote nonsense: what is in the ring has been used, or the device has said so. */
	must(transport.resets_wanted || virtq_sleep(&dev->queue[0].vq));
	reset(&c);
	dev->ops->destroy(dev);
	return 0;
}
