// SPDX-License-Identifier: Apache-2.0
/*
 * Instructions a packet costs in queue and device code: the real ones, over mock guest RAM, driven in
 * batches, as Linux frames them: out in one descriptor (tx), or the header in one of its own (tx2), in by
 * merged buffers of 1.5 KiB, offloads negotiated. The tap and the loop are fakes that copy nothing. net_ir.sh
 * runs it under callgrind, which counts inside measured() only. Arguments: tx, tx2 or rx, queue size, batch,
 * packets; prints the packets made.
 */
#include "devices/virtio/net_priv.h"
#include "tests/unit/fake_virtio.h"
#include "tests/unit/still_tap.h"

#define RAM   0x100000ULL
#define BUF   (RAM + 0x80000)
#define FRAME 1500
#define ROOM  1536

static struct loop loop;
static struct ring_driver drv[2];
static unsigned waiting, moved, segments;

int tap_open(struct tap *tap, const struct net_config *cfg)
{
	*tap = (struct tap){.pairs = 1, .mtu = 1500, .can = TAP_CSUM | TAP_TSO4 | TAP_TSO6 | TAP_TSO_ECN};
	return 0;
}

void tap_close(struct tap *tap)
{
}

int tap_watch(struct tap *tap, struct loop *l, void (*changed)(struct tap *tap, enum tap_link was))
{
	return 0;
}

ssize_t tap_send(const struct tap *tap, unsigned pair, const struct iovec *iov, unsigned n)
{
	moved++;
	return FRAME;
}

ssize_t tap_receive(const struct tap *tap, unsigned pair, const struct iovec *iov, unsigned n)
{
	if (!waiting)
		return -EAGAIN;
	waiting--;
	moved++;
	return NET_HDR + FRAME;
}

/* One round of the loop: what wakes it, the packets, one flush. */
__attribute__((noinline)) static void measured(struct loop_ev *ev, struct virtio_queue *q)
{
	ev->fn(ev, 1);
	q->idle.fn(&q->idle, true);
}

static void give_buffers(void)
{
	struct ring_seg seg = {BUF, ROOM, true};

	for (; drv[0].nfree; seg.gpa += ROOM)
		ring_offer(&drv[0], (uint16_t)ring_chain(&drv[0], &seg, 1));
	ring_publish(&drv[0]);
}

static void send_batch(struct virtio_dev *dev, unsigned batch)
{
	struct ring_seg one = {BUF, NET_HDR + FRAME, false};
	struct ring_seg two[] = {{BUF, NET_HDR, false}, {BUF + 64, FRAME, false}};

	for (unsigned i = 0; i < batch; i++)
		ring_offer(&drv[1], (uint16_t)(segments == 1 ? ring_chain(&drv[1], &one, 1)
							     : ring_chain(&drv[1], two, 2)));
	ring_publish(&drv[1]);
	ring_arm(&drv[1]);
	measured(&dev->queue[1].kick, &dev->queue[1]);
}

static void receive_batch(struct virtio_dev *dev, unsigned batch)
{
	waiting = batch;
	ring_arm(&drv[0]);
	measured(&((struct net *)dev)->pair[0].ev, &dev->queue[0]);
	must(!waiting);
}

int main(int argc, char **argv)
{
	bool tx = argc > 1 && !strncmp(argv[1], "tx", 2);
	unsigned num = argc > 2 ? atoi(argv[2]) : 256, batch = argc > 3 ? atoi(argv[3]) : 64;
	unsigned total = argc > 4 ? atoi(argv[4]) : 6400, done = 0;
	const uint64_t features = RING_FEATURES | RING_EVENT_IDX | 1ull << VIRTIO_NET_F_MRG_RXBUF |
				  1ull << VIRTIO_NET_F_GUEST_CSUM | 1ull << VIRTIO_NET_F_GUEST_TSO4 |
				  1ull << VIRTIO_NET_F_CSUM | 1ull << VIRTIO_NET_F_HOST_TSO4;
	struct net_config cfg = {.pairs = 1, .queue_size = (unsigned)num};
	struct loop *loops[] = {&loop};
	static struct guest_mem mem;
	struct fake_transport transport;
	struct virtio_dev *dev;
	uint32_t head, len;

	mem.region[mem.n++] =
		(struct mem_region){.gpa = RAM, .size = 0x400000, .host = calloc(1, 0x400000), .fd = -1};
	must(!virtio_net_create(&dev, "net0", &mem, loops, 1, &cfg));
	fake_plug(&transport, dev);
	for (unsigned q = 0; q < 2; q++)
		ring_init(&drv[q], &mem, RAM + 0x10000 * q, num, 0, features);
	fake_driver_ok(dev, drv, 2, features);
	give_buffers();
	fake_run(&loop);
	segments = argc > 1 && !strcmp(argv[1], "tx2") ? 2 : 1;
	must(batch <= num / 2); /* it is in the ring at once */
	while (done < total) {
		if (tx)
			send_batch(dev, batch);
		else
			receive_batch(dev, batch);
		for (unsigned n = done + batch; done < n; done++)
			must(ring_used(&drv[tx], &head, &len) && len == (tx ? 0 : NET_HDR + FRAME));
		if (!tx)
			give_buffers();
	}
	must(moved == done);
	printf("%u\n", done);
	return 0;
}
