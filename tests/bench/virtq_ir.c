// SPDX-License-Identifier: Apache-2.0
/*
 * Instructions a block request costs in queue and device code: the real ones, over mock guest RAM, driven in
 * batches; the disk answers when the batch is in and copies nothing, the loop is a fake. virtq_ir.sh runs it
 * under callgrind, which counts inside measured() only. Arguments: queue size, batch, requests, indirect (0
 * or 1), times (0 or 1); prints the requests made.
 */
#include <linux/virtio_blk.h>

#include "devices/virtio/devs.h"
#include "tests/unit/fake_virtio.h"

#define RAM   0x100000ULL
#define HDR   (RAM + 0x80000)
#define TABLE (RAM + 0xa0000)
#define DATA  (RAM + 0xc0000)

static struct loop loop;
static struct ring_driver drv;
static struct disk_req *pending[VIRTQ_MAX_SIZE];
static unsigned npending;

void disk_submit(struct disk *disk, struct loop *l, struct disk_req *req, enum disk_op op, struct iovec *iov,
	int n, uint64_t off, uint64_t len)
{
	pending[npending++] = req;
}

void disk_close(struct disk *disk)
{
}

/* One round of the loop: a kick, the requests, their completions, one flush. */
__attribute__((noinline)) static void measured(struct virtio_queue *q)
{
	q->kick.fn(&q->kick, 1);
	q->idle.fn(&q->idle, true);
	for (unsigned i = 0; i < npending; i++)
		pending[i]->fn(pending[i], 0);
	q->idle.fn(&q->idle, true);
	npending = 0;
}

int main(int argc, char **argv)
{
	unsigned num = argc > 1 ? atoi(argv[1]) : 256, batch = argc > 2 ? atoi(argv[2]) : 32;
	unsigned total = argc > 3 ? atoi(argv[3]) : 32768, indirect = argc > 4 ? atoi(argv[4]) : 0, done = 0;
	static struct guest_mem mem;
	struct disk_config cfg = {.queues = 1, .queue_size = num};
	struct disk *disk = calloc(1, sizeof(*disk));
	struct fake_transport transport;
	struct virtio_dev *dev;
	uint32_t head, len;

	mem.region[mem.n++] =
		(struct mem_region){.gpa = RAM, .size = 0x100000, .host = calloc(1, 0x100000), .fd = -1};
	disk->size = 1 << 20;
	must(!virtio_blk_create(&dev, "disk0", &mem, &loop, disk, &cfg));
	must(argc < 6 || !atoi(argv[5]) || !virtio_time(dev));
	fake_plug(&transport, dev);
	ring_init(&drv, &mem, RAM, num, 0, RING_FEATURES | RING_EVENT_IDX);
	fake_driver_ok(dev, &drv, 1, RING_FEATURES | RING_EVENT_IDX | 1ULL << VIRTIO_BLK_F_FLUSH);
	fake_run(&loop);
	*(struct virtio_blk_outhdr *)mem_at(&mem, HDR, 16) =
		(struct virtio_blk_outhdr){.type = VIRTIO_BLK_T_IN};
	must(batch * 3 <= num || indirect); /* the batch is in the ring at once */
	while (done < total) {
		struct ring_seg seg[] = {{HDR, 16, false}, {DATA, 4096, true}, {HDR + 16, 1, true}};

		for (unsigned i = 0; i < batch; i++)
			ring_offer(&drv, indirect ? ring_chain_indirect(&drv, seg, 0, 3, TABLE + 64 * i)
						  : ring_chain(&drv, seg, 3));
		ring_publish(&drv);
		ring_arm(&drv);
		measured(&dev->queue[0]);
		while (ring_used(&drv, &head, &len))
			done++;
	}
	printf("%u\n", done);
	return 0;
}
