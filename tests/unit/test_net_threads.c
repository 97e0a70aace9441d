// SPDX-License-Identifier: Apache-2.0
/*
 * A network device as it runs: each pair on a loop with a thread of its own, drivers on two more threads, a
 * network that sends every frame back on another, and main, which starts and stops, gives commands and moves
 * the link meanwhile. Meant for SAN=tsan above all; what comes back must be what was sent, in order.
 */
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/virtio/net_priv.h"
#include "tests/unit/still_tap.h"
#include "tests/unit/threads_unit.h"

#define RAM    0x100000ULL
#define PAIRS  2
#define CTRL   (2 * PAIRS)
#define NUM    32
#define BATCH  8
#define BUF    2048
#define FRAME  600
#define F(bit) (1ULL << VIRTIO_NET_F_##bit)
#define FEATS                                                                                           \
	(RING_FEATURES | RING_EVENT_IDX | F(MAC) | F(STATUS) | F(CTRL_VQ) | F(CTRL_RX) | F(CTRL_VLAN) | \
		F(MQ) | F(MRG_RXBUF) | F(GUEST_ANNOUNCE))
#define RINGS(q)   (RAM + 0x2000 * (q))
#define BUFS(q, i) (RAM + 0x20000 + (q)*0x20000 + (i)*BUF)
#define RX(p)	   (2 * (p))
#define TX(p)	   (2 * (p) + 1)

static struct guest_mem mem;
static struct loop *loop[PAIRS];
static pthread_t thread[PAIRS], network;
static struct virtio_dev *dev;
static struct ring_driver drv[2 * PAIRS + 1];
static struct tap *tap;
static void (*link_changed)(struct tap *tap, enum tap_link was);
static int far_end[PAIRS];
static _Atomic unsigned echoed, life_number;
static _Atomic bool no_network;

/* ---- a tap that is a socket ---- */

int tap_open(struct tap *t, const struct net_config *cfg)
{
	*t = (struct tap){.name = "threads", .pairs = cfg->pairs, .mtu = 1500};
	for (unsigned i = 0; i < PAIRS; i++) {
		int fd[2];

		must(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd));
		t->fd[i] = fd[0];
		far_end[i] = fd[1];
	}
	tap = t;
	return 0;
}

void tap_close(struct tap *t)
{
	for (unsigned i = 0; i < PAIRS; i++) {
		close(t->fd[i]);
		close(far_end[i]);
	}
}

int tap_watch(struct tap *t, struct loop *l, void (*changed)(struct tap *tap, enum tap_link was))
{
	link_changed = changed;
	return 0;
}

ssize_t tap_send(const struct tap *t, unsigned pair, const struct iovec *iov, unsigned n)
{
	ssize_t r = writev(t->fd[pair], iov, n);

	return r < 0 ? -errno : r;
}

ssize_t tap_receive(const struct tap *t, unsigned pair, const struct iovec *iov, unsigned n)
{
	ssize_t r = readv(t->fd[pair], iov, n);

	return r < 0 ? -errno : r;
}

static void *run_network(void *arg)
{
	struct pollfd p[PAIRS];
	uint8_t frame[BUF];

	for (unsigned i = 0; i < PAIRS; i++)
		p[i] = (struct pollfd){.fd = far_end[i], .events = POLLIN};
	while (!atomic_load(&no_network)) {
		poll(p, PAIRS, 10);
		for (unsigned i = 0; i < PAIRS; i++) {
			ssize_t n = p[i].revents & POLLIN ? recv(far_end[i], frame, sizeof(frame), 0) : 0;

			while (n > 0 && send(far_end[i], frame, n, 0) < 0 && !atomic_load(&no_network))
				sched_yield(); /* the guest is slow */
			echoed += n > 0;
		}
	}
	return NULL;
}

/* ---- drivers ---- */

static void no_news(struct virtio_transport *t, unsigned q, struct loop *l)
{
}

static struct virtio_transport transport = {no_news, no_change, needs_reset};

static void kick(unsigned q)
{
	static const uint64_t one = 1;

	if (ring_publish(&drv[q]))
		must(write(dev->queue[q].kick_fd, &one, sizeof(one)) == sizeof(one));
}

static uint64_t rx_at[PAIRS][NUM]; /* by head */

static void post(unsigned pair, uint64_t gpa)
{
	struct ring_seg seg = {gpa, BUF, true};
	int head = ring_chain(&drv[RX(pair)], &seg, 1);

	must(head >= 0);
	rx_at[pair][head] = gpa;
	ring_offer(&drv[RX(pair)], head);
}

static void send_frame(unsigned pair, unsigned number)
{
	struct ring_seg seg = {BUFS(TX(pair), number % BATCH), NET_HDR + FRAME, false};
	uint8_t frame[NET_HDR + FRAME] = {0};
	uint32_t id[2] = {atomic_load(&life_number), number};

	for (unsigned i = 0; i < FRAME; i++)
		frame[NET_HDR + i] = number + i;
	memcpy(frame + NET_HDR, id, sizeof(id));
	ring_copy(mem_at(&mem, seg.gpa, seg.len), frame, sizeof(frame));
	ring_offer(&drv[TX(pair)], ring_chain(&drv[TX(pair)], &seg, 1));
}

/* True: it is the one that is next; a frame of a former life is none. */
static bool received(unsigned pair, uint32_t head, uint32_t len, unsigned next)
{
	uint8_t frame[NET_HDR + FRAME];
	uint32_t id[2];

	must(len == sizeof(frame));
	ring_copy(frame, mem_at(&mem, rx_at[pair][head], len), len);
	memcpy(id, frame + NET_HDR, sizeof(id));
	if (id[0] != atomic_load(&life_number))
		return false;
	must(id[1] == next && frame[10] == 1);
	for (unsigned i = sizeof(id); i < FRAME; i++)
		must(frame[NET_HDR + i] == (uint8_t)(next + i));
	return true;
}

static void *driver(void *arg)
{
	unsigned pair = (uintptr_t)arg, sent = 0, back = 0, got = 0;
	uint32_t head, len;

	for (unsigned i = 0; i < NUM / 2; i++)
		post(pair, BUFS(RX(pair), i));
	kick(RX(pair));
	while (!atomic_load(&off)) {
		bool any = false;

		if (back == sent && got == sent) {
			for (unsigned i = 0; i < BATCH; i++)
				send_frame(pair, sent++);
			kick(TX(pair));
		}
		for (; ring_used(&drv[TX(pair)], &head, &len); back++)
			must(!len);
		while (ring_used(&drv[RX(pair)], &head, &len)) {
			if (!len)
				continue; /* given back by a stop */
			got += received(pair, head, len, got);
			post(pair, rx_at[pair][head]);
			any = true;
		}
		if (any)
			kick(RX(pair));
		else
			sched_yield();
	}
	return NULL;
}

/* ---- main ---- */

static void command(uint8_t class, uint8_t cmd, uint16_t value, unsigned bytes)
{
	uint64_t gpa = BUFS(CTRL, 0);
	struct ring_seg seg[] = {{gpa, 2 + bytes, false}, {gpa + 64, 1, true}};
	uint8_t text[4] = {class, cmd, value & 0xff, value >> 8}, ack = 0x77;
	uint32_t head, len;

	ring_copy(mem_at(&mem, gpa, 4), text, 4);
	ring_copy(mem_at(&mem, gpa + 64, 1), &ack, 1);
	ring_offer(&drv[CTRL], ring_chain(&drv[CTRL], seg, 2));
	kick(CTRL);
	while (!ring_used(&drv[CTRL], &head, &len))
		sched_yield();
	ring_copy(&ack, mem_at(&mem, gpa + 64, 1), 1);
	ck_assert_uint_eq(ack, VIRTIO_NET_OK);
}

static _Atomic bool link_moved;

static void move_link(struct loop_call *call)
{
	for (int i = 0; i < 2; i++) {
		enum tap_link was = tap->link;

		tap->link = was == TAP_UP ? TAP_DOWN : TAP_UP;
		link_changed(tap, was);
	}
	atomic_store(&link_moved, true);
}

static uint64_t packets(unsigned pair)
{
	return dev->queue[RX(pair)].vq.stats.pushes;
}

static bool held_back(void)
{
	return dev->queue[RX(0)].limited + dev->queue[TX(0)].limited;
}

/* Until each pair has received so many more, and pair 0 was held back where that is to be seen. */
static void life(unsigned n, bool limited)
{
	struct loop_call call = {move_link};
	uint64_t enough[PAIRS];
	pthread_t t[PAIRS];

	atomic_fetch_add(&life_number, 1);
	for (unsigned q = 0; q < dev->nvq; q++)
		ring_init(&drv[q], &mem, RINGS(q), NUM, 0, FEATS);
	begin_life(dev, drv, FEATS);
	command(VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, PAIRS, 2);
	for (uintptr_t i = 0; i < PAIRS; i++) {
		enough[i] = packets(i) + n;
		ck_assert_int_eq(pthread_create(&t[i], NULL, driver, (void *)i), 0);
	}
	atomic_store(&link_moved, false);
	loop_post(dev->loop, &call);
	for (unsigned i = 0; packets(0) < enough[0] || packets(1) < enough[1] || (limited && !held_back()); i++) {
		command(VIRTIO_NET_CTRL_VLAN, i % 2, i % 4096, 2);
		command(VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, i % 2, 1);
	}
	while (!atomic_load(&link_moved))
		sched_yield();
	end_life(dev, t, PAIRS);
}

static void build(struct net_config cfg)
{
	cfg.pairs = PAIRS;
	cfg.queue_size = NUM;
	unit_ram(&mem, RAM, 0x100000);
	for (unsigned i = 0; i < PAIRS; i++)
		ck_assert_int_eq(loop_create(&loop[i], "test", IO_PLAIN, 0), 0);
	ck_assert_int_eq(virtio_net_create(&dev, "net0", &mem, loop, PAIRS, &cfg), 0);
	dev->transport = &transport;
	for (unsigned i = 0; i < PAIRS; i++)
		ck_assert_int_eq(pthread_create(&thread[i], NULL, run_loop, loop[i]), 0);
	ck_assert_int_eq(pthread_create(&network, NULL, run_network, NULL), 0);
}

static void destroy(void)
{
	atomic_store(&no_network, true);
	pthread_join(network, NULL);
	end_loops(dev, loop, thread, PAIRS);
}

START_TEST(drivers_loops_and_a_network)
{
	build((struct net_config){0});
	for (unsigned i = 0; i < 6; i++)
		life(300, false);
	ck_assert_uint_gt(echoed, 6 * 300);
	destroy();
}
END_TEST

START_TEST(limits_are_shared)
{
	build((struct net_config){.pps = 2000, .pps_burst = 20, .bps = 10 << 20});
	for (unsigned i = 0; i < 4; i++)
		life(200, true);
	destroy();
}
END_TEST

UNIT_MAIN("net_threads", drivers_loops_and_a_network, limits_are_shared)
