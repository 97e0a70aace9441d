// SPDX-License-Identifier: Apache-2.0
/*
 * A driver that does to a network device what it must not. Broken rings, of each of its queues: NEEDS_RESET,
 * and whole again after a reset. Frames, buffers and commands that make no sense, at random, are dropped or
 * refused; a second CPU that changes them while they are looked at may break the ring, and nothing else. A
 * third CPU goes on taking random bytes from the rng all the time. After each of it a frame goes to
 * host/reflect and comes back.
 */
#include "tests/guest/lib/crimes.h"
#include "tests/guest/lib/net.h"
#include "tests/guest/lib/witness.h"

#define FRAMES 300
#define FEATURES                                                                                     \
	(F_NET(CSUM) | F_NET(HOST_TSO4) | F_NET(HOST_TSO6) | F_NET(GUEST_CSUM) | F_NET(GUEST_TSO4) | \
		F_NET(MRG_RXBUF) | F_NET(CTRL_VQ) | F_NET(CTRL_RX) | F_NET(CTRL_VLAN) |              \
		F_NET(CTRL_MAC_ADDR) | F_NET(CTRL_GUEST_OFFLOADS) | F_INDIRECT)

static struct net net;
static uint8_t *buf, *frame;
static uint64_t seed = 88172645463325252ull;

static struct {
	volatile uint8_t *volatile at; /* NULL: rest */
	volatile uint32_t len;
	volatile bool tails; /* of descriptors: not where they point to, or the device would write there */
	volatile bool resting;
} flips;

static uint32_t any(uint32_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (seed >> 20) % below;
}

/* ---- the other CPUs ---- */

/* Change bytes of that memory until told to rest. */
static void second_cpu(unsigned id)
{
	uint32_t x = 12345;

	for (;;) {
		volatile uint8_t *at = flips.at;

		flips.resting = !at;
		if (!at) {
			pause_cpu();
			continue;
		}
		x = x * 1103515245 + 12345;
		at[(x >> 8) % flips.len | (flips.tails ? 8 : 0)] ^= 1u << (x >> 29);
	}
}

static void flip(void *at, uint32_t len, bool tails)
{
	flips.len = len;
	flips.tails = tails;
	flips.at = at;
	while (flips.resting)
		pause_cpu();
}

static void rest(void)
{
	flips.at = NULL;
	while (!flips.resting)
		pause_cpu();
}

/* ---- a frame there and back ---- */

static void see_echo(void)
{
	static uint8_t number;
	static uint8_t got[1024 * 66];
	struct virtio_net_hdr_v1 hdr;
	uint64_t start = rdtsc();
	uint8_t all = 1;

	check(net_command(&net, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, &all, 1) == VIRTIO_NET_OK);
	memset(frame, 0, 64);
	memcpy(frame, "\x02\xff\xff\xff\xff\xff\x02\x01\x01\x01\x01\x01\x88\xb5", 14);
	frame[18] = ++number;
	memset(frame + 19, 0xe7, 45);
	net_send(&net, NULL, frame, 64);
	net_drain(&net);
	for (;;) {
		uint32_t len = net_take(&net, &hdr, got, sizeof(got));

		vq_publish(&net.rx);
		if (len == 64 && got[6] == 2 && got[11] == 0xff && got[18] == number && got[63] == 0xe7)
			return;
		check(rdtsc() - start < GIVE_UP);
		pause_cpu();
	}
}

static void start(void)
{
	vdev_reset(&net.v);
	net_start(&net, FEATURES, VIRTIO_MSI_NO_VECTOR);
}

static bool broken(void)
{
	return vdev_status(&net.v) & VIRTIO_CONFIG_S_NEEDS_RESET;
}

/* ---- rings ---- */

/* Queues without anything in them, so that descriptors are free. */
static struct vq *start_empty(unsigned q)
{
	vdev_reset(&net.v);
	vdev_negotiate(&net.v, FEATURES);
	vq_open(&net.rx, &net.v, 0, NET_RING, VIRTIO_MSI_NO_VECTOR);
	vq_open(&net.tx, &net.v, 1, NET_RING, VIRTIO_MSI_NO_VECTOR);
	vq_open(&net.ctrl, &net.v, 2, 8, VIRTIO_MSI_NO_VECTOR);
	vdev_go(&net.v);
	return q == 0 ? &net.rx : q == 1 ? &net.tx : &net.ctrl;
}

static void break_rings(void)
{
	for (unsigned q = 0; q < 3; q++)
		for (unsigned i = 0; i < CRIMES; i++) {
			struct vq *vq = start_empty(q);
			uint64_t begun = rdtsc();

			print("queue %u: %s\n", q, crimes[i].name);
			crimes[i].commit(vq, buf);
			vq_kick(vq);
			while (!broken()) {
				check(rdtsc() - begun < GIVE_UP);
				pause_cpu();
			}
			witness_goes_on();
			check(vq->used->idx == 0);
		}
	start();
	see_echo();
}

/* ---- what the rings carry ---- */

/* Bytes as one chain of some segments, over whatever descriptors; the caller waits before the next. */
static void offer(struct vq *q, uint8_t *at, uint32_t len, uint16_t flags)
{
	unsigned n = 0;

	while (len) {
		uint32_t part = n == 6 ? len : 1 + any(len);

		len -= part;
		vq_desc(q, n, at, part, flags | (len ? VRING_DESC_F_NEXT : 0), n + 1);
		at += part;
		n++;
	}
	vq_add(q, 0);
	vq_publish(q);
}

/* Until it came back or the ring broke. */
static void settle(struct vq *q)
{
	uint64_t begun = rdtsc();
	uint32_t head, len;

	while (!vq_take(q, &head, &len) && !broken()) {
		check(rdtsc() - begun < GIVE_UP);
		pause_cpu();
	}
}

static void nonsense_header(void)
{
	for (unsigned i = 0; i < NET_HDR; i++)
		frame[i] = any(3) ? 0 : any(256);
	if (any(2)) {
		frame[0] = any(8);
		frame[1] = any(2) ? any(6) | any(2) << 7 : any(256);
	}
}

static void nonsense_frames(void)
{
	static const uint32_t lengths[] = {
		1, 11, 12, 13, 25, 26, 27, 60, 1526, 9000, 65565, 65566, 70000, 1 << 19};

	start();
	for (unsigned i = 0; i < FRAMES; i++) {
		nonsense_header();
		for (unsigned k = 0; k < 64; k++)
			frame[NET_HDR + k] = any(4) ? 0 : any(256);
		offer(&net.tx, frame, lengths[any(sizeof(lengths) / sizeof(lengths[0]))], 0);
		settle(&net.tx);
		check(!broken());
	}
	witness_goes_on();
	see_echo();
	print("%u nonsense frames\n", FRAMES);
}

static void nonsense_commands(void)
{
	for (unsigned i = 0; i < FRAMES; i++) {
		uint32_t len = 1 + any(40);

		for (uint32_t k = 0; k < len; k++)
			buf[k] = any(3) ? any(6) : any(256);
		offer(&net.ctrl, buf, len, any(8) ? 0 : VRING_DESC_F_WRITE);
		settle(&net.ctrl);
		check(!broken());
	}
	start(); /* filters and offloads are as they were */
	see_echo();
	print("%u nonsense commands\n", FRAMES);
}

static void nonsense_buffers(void)
{
	start_empty(0);
	for (unsigned i = 0; i < NET_RING - 1; i++) {
		vq_desc(&net.rx, i, buf, 1 + any(NET_HDR - 1), any(2) ? VRING_DESC_F_WRITE : 0, 0);
		vq_add(&net.rx, i);
	}
	vq_publish(&net.rx);
	for (unsigned i = 0; i < NET_RING - 1; i++)
		settle(&net.rx);
	check(!broken());
	start();
	see_echo();
	print("nonsense buffers\n");
}

/* ---- while they are looked at ---- */

static void flip_while_sending(void *at, uint32_t len, unsigned frames, const char *what)
{
	unsigned resets = 0;

	start();
	for (unsigned i = 0; i < frames; i++) {
		memset(frame, 0, NET_HDR);
		memcpy(frame + NET_HDR, "\x02\xff\xff\xff\xff\xff\x02\x01\x01\x01\x01\x01\x12\x34", 14);
		flip(at ? at : net.tx.desc, len, false);
		offer(&net.tx, frame, NET_HDR + 200, 0);
		settle(&net.tx);
		rest();
		if (broken()) {
			resets++;
			start();
		}
	}
	witness_goes_on();
	start();
	see_echo();
	print("%s changed while frames went: %u resets\n", what, resets);
}

static void flip_while_receiving(void)
{
	unsigned resets = 0;

	start();
	for (unsigned i = 0; i < FRAMES / 20; i++) {
		uint64_t begun = rdtsc();

		memset(frame, 0, 64);
		memcpy(frame, "\x02\xff\xff\xff\xff\xff\x02\x01\x01\x01\x01\x01\x88\xb5\x10\x00\xe8\x03", 18);
		net_send(&net, NULL, frame, 64); /* 16 frames, please */
		flip(net.rx.desc, 16 * NET_RING, true);
		vq_publish(&net.tx);
		while (*(volatile uint16_t *)&net.rx.used->idx < 16 && !broken() &&
			rdtsc() - begun < 100000000)
			pause_cpu();
		rest();
		resets += broken();
		start();
	}
	see_echo();
	print("receive buffers changed while frames came: %u resets\n", resets);
}

int main(void)
{
	lapic_init();
	buf = take_memory(4096, 4096);
	frame = take_memory(1 << 20, 4096);
	check(net_open(&net, FEATURES, 1536, VIRTIO_MSI_NO_VECTOR));
	witness_open();
	see_echo(); /* these also take their memory, before there are several CPUs */
	check(cpu_start(1, second_cpu) && cpu_start(2, witness_cpu));
	break_rings();
	nonsense_frames();
	nonsense_commands();
	nonsense_buffers();
	flip_while_sending(
		frame, NET_HDR, FRAMES / 3, "headers"); /* CPUs that spin, and resets, take their time */
	flip_while_sending(NULL, 7 * 16, FRAMES / 10, "descriptors");
	flip_while_receiving();
	witness_is_whole();
	print("SUCCESS\n");
	return 0;
}
