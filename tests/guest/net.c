// SPDX-License-Identifier: Apache-2.0
/*
 * virtio-net. The command line says what to do:
 *   echo=N batch=N [event] [merge] [irq]   frames of 60 to 1514 bytes there and back, each once and whole
 *   ask=N batch=N [...]                    frames that the other end makes, so many at a time
 *   large=N                                TCP segments of up to 64 KiB there and back, cut up by nobody
 *   commands                               the control queue: address, filters, VLANs
 *   reset=N                                resets with frames on their way
 * The other end is host/reflect. With mmio as well, over virtio-mmio.
 */
#include "tests/guest/lib/net.h"

#define VECTOR 0x42
#define ENTRY  1
#define TYPE   0x88b5
#define LARGE  65535 /* what is longer, kernels cut up */

static struct net net;
static uint8_t *frame, *got;
static volatile uint64_t interrupts;

static void on_interrupt(struct frame *f)
{
	check(vdev_ack(&net.v) & VIRTIO_MMIO_INT_VRING);
	interrupts++;
}

static void open_net(uint64_t features)
{
	bool irq = arg("irq");

	features |= F_NET(MAC) | (arg("event") ? F_EVENT_IDX : 0) | (arg("merge") ? F_NET(MRG_RXBUF) : 0);
	check(net_open(&net, features, arg("merge") ? 1536 : 4096, irq ? ENTRY : VIRTIO_MSI_NO_VECTOR));
	if (irq)
		msix_set(&net.v, ENTRY, VECTOR);
	vq_disarm(&net.rx);
	vq_disarm(&net.tx);
	frame = take_memory(LARGE, 4096);
	got = take_memory(LARGE + 4096, 4096);
}

/* Wait for something in the receive queue, asleep where that is wanted. */
static void await(void)
{
	uint64_t start = rdtsc();

	while (*(volatile uint16_t *)&net.rx.used->idx == net.rx.taken) {
		if (arg("irq") && vq_arm(&net.rx))
			wait_irq();
		check(rdtsc() - start < GIVE_UP);
		pause_cpu();
	}
	if (arg("irq"))
		vq_disarm(&net.rx);
}

static uint32_t length(unsigned i)
{
	return 60 + i * 37 % (1514 - 60 + 1);
}

/* What byte k and those behind it of frame i are: 3k + i. By words, as memcpy() is, and 3 * 171 is 1. */
static const uint8_t *pattern(unsigned k, unsigned i)
{
	static uint8_t all[256 + 65536];

	for (unsigned n = 0; !all[255] && n < 256; n++)
		all[n] = 3 * n;
	for (unsigned n = 256; !all[sizeof(all) - 1] && n < sizeof(all); n += 256)
		memcpy(all + n, all, 256);
	return all + ((k + 171 * i) & 255);
}

static void make(unsigned i, uint32_t len)
{
	memcpy(frame + 6, net.mac, 6);
	memcpy(frame, "\x02\xff\xff\xff\xff\xff", 6);
	frame[12] = TYPE >> 8;
	frame[13] = TYPE & 0xff;
	memset(frame + 14, 0, 4);
	frame[18] = i;
	frame[19] = i >> 8;
	memcpy(frame + 20, pattern(20, i), len - 20);
}

/* The next frame of ours, whatever else the host sends. */
static uint32_t take_ours(struct virtio_net_hdr_v1 *hdr)
{
	for (;;) {
		uint32_t len;

		await();
		len = net_take(&net, hdr, got, LARGE + 4096);
		if (len >= 20 && !memcmp(got + 6, "\x02\xff\xff\xff\xff\xff", 6))
			return len;
		vq_publish(&net.rx);
	}
}

static void expect(unsigned i, uint32_t len)
{
	struct virtio_net_hdr_v1 hdr;

	check(take_ours(&hdr) == len);
	check(!hdr.gso_type && !(hdr.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM));
	check(!memcmp(got, net.mac, 6) && got[18] == (i & 0xff) && got[19] == (i >> 8 & 0xff));
	check(!memcmp(got + 20, pattern(20, i), len - 20));
}

static void echo(unsigned total, unsigned batch)
{
	for (unsigned i = 0; i < total; i += batch) {
		for (unsigned k = i; k < i + batch; k++) {
			make(k, length(k));
			net_send(&net, NULL, frame, length(k));
		}
		net_drain(&net);
		for (unsigned k = i; k < i + batch; k++)
			expect(k, length(k));
		vq_publish(&net.rx);
	}
	print("%u frames echoed, %lu interrupts\n", total, interrupts);
}

static void ask(unsigned total, unsigned batch)
{
	for (unsigned i = 0; i < total; i += batch) {
		uint32_t len = length(i);

		make(0, 60);
		memcpy(frame + 14, &(uint16_t[]){batch, len}, 4);
		net_send(&net, NULL, frame, 60);
		net_drain(&net);
		for (unsigned k = 0; k < batch; k++)
			expect(k, len);
		vq_publish(&net.rx);
	}
	print("%u frames received, %lu interrupts\n", total, interrupts);
}

/* ---- large ones ---- */

static void put16(uint8_t *p, uint16_t v)
{
	p[0] = v >> 8;
	p[1] = v;
}

static uint16_t sum(const uint8_t *p, unsigned len, uint32_t s)
{
	for (unsigned i = 0; i < len; i += 2)
		s += p[i] << 8 | p[i + 1];
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return s;
}

/* Ethernet, IPv4, TCP: header fields that a kernel looks at, and the checksum it would finish. */
static struct virtio_net_hdr_v1 make_tcp(uint32_t len, unsigned i)
{
	uint8_t *ip = frame + 14, *tcp = ip + 20;
	uint32_t segment = len - 34;

	make(i, len);
	put16(frame + 12, 0x0800);
	memset(ip, 0, 40);
	ip[0] = 0x45;
	put16(ip + 2, len - 14);
	ip[8] = 64;
	ip[9] = 6;
	memcpy(ip + 12, (uint8_t[]){10, 0, 0, 2, 10, 0, 0, 9}, 8);
	put16(ip + 10, ~sum(ip, 20, 0));
	put16(tcp, 7);
	put16(tcp + 2, 7);
	tcp[12] = 5 << 4;
	tcp[13] = 0x10; /* ACK */
	put16(tcp + 16, sum(ip + 12, 8, 6 + segment));
	return (struct virtio_net_hdr_v1){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = len > 1514 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_NONE,
		.gso_size = len > 1514 ? 1448 : 0,
		.hdr_len = 54,
		.csum_start = 34,
		.csum_offset = 16};
}

static void large(unsigned total)
{
	for (unsigned i = 0; i < total; i++) {
		uint32_t len = i == total - 1 ? LARGE : 100 + i * 7919 % (LARGE - 100);
		struct virtio_net_hdr_v1 hdr = make_tcp(len, i), back;

		net_send(&net, &hdr, frame, len);
		net_drain(&net);
		check(take_ours(&back) == len);
		check(back.gso_type == hdr.gso_type && back.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM);
		check(back.gso_size == hdr.gso_size && back.csum_start == 34 && back.csum_offset == 16);
		check(!memcmp(got + 14, frame + 14, len - 14));
		vq_publish(&net.rx);
	}
	print("%u large frames\n", total);
}

/* ---- commands ---- */

static void commands(void)
{
	static const uint8_t other[6] = {2, 1, 2, 3, 4, 5};
	uint8_t table[8] = {0}, off = 0, on = 1;

	echo(4, 1);
	check(net_command(&net, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, other, 6) ==
		VIRTIO_NET_OK);
	net_learn_mac(&net);
	check(!memcmp(net.mac, other, 6));
	check(net_command(&net, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, table, 8) ==
		VIRTIO_NET_OK);
	check(net_command(&net, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, &off, 1) == VIRTIO_NET_OK);
	echo(4, 1); /* frames to its address pass, */
	make(9, 60);
	frame[11] ^= 1; /* and those to another do not, until all do */
	net_send(&net, NULL, frame, 60);
	net_drain(&net);
	echo(1, 1);
	check(net_command(&net, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, &on, 1) == VIRTIO_NET_OK);
	make(9, 60);
	frame[11] ^= 1;
	net_send(&net, NULL, frame, 60);
	net_drain(&net);
	check(take_ours(&(struct virtio_net_hdr_v1){0}) == 60 && got[18] == 9);
	check(net_command(&net, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, &on, 0) == VIRTIO_NET_ERR);
	check(net_command(&net, VIRTIO_NET_CTRL_MQ, 0, "\1", 2) == VIRTIO_NET_ERR);
	vdev_reset(&net.v);
	net_learn_mac(&net);
	check(memcmp(net.mac, other, 6));
}

static void resets(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		echo(32, 16);
		make(0, 60);
		memcpy(frame + 14, &(uint16_t[]){64, 1514}, 4);
		net_send(&net, NULL, frame, 60);
		vq_publish(&net.tx);
		vdev_reset(&net.v);
		/* What it held is not written any more. */
		for (unsigned k = 0; k < NET_RING * net.buf_len; k += 64)
			((volatile uint8_t *)net.buf)[k] = 0x5a;
		for (unsigned k = 0; k < NET_RING * net.buf_len; k += 64)
			check(((volatile uint8_t *)net.buf)[k] == 0x5a);
		net_start(&net, net.v.features, VIRTIO_MSI_NO_VECTOR);
		vq_disarm(&net.rx);
		vq_disarm(&net.tx);
		/* Frames from before may come still; wait for the first of ours. */
		make(999, 61);
		net_send(&net, NULL, frame, 61);
		net_drain(&net);
		while (take_ours(&(struct virtio_net_hdr_v1){0}) != 61)
			vq_publish(&net.rx);
		vq_publish(&net.rx);
	}
	print("%u resets\n", n);
}

int main(void)
{
	unsigned batch = arg_number("batch", 1);

	irq_init();
	lapic_init();
	irq_on(VECTOR, on_interrupt);
	if (arg("large"))
		open_net(F_NET(CSUM) | F_NET(HOST_TSO4) | F_NET(GUEST_CSUM) | F_NET(GUEST_TSO4) |
			 F_NET(MRG_RXBUF));
	else
		open_net(arg("commands")
				 ? F_NET(CTRL_VQ) | F_NET(CTRL_RX) | F_NET(CTRL_MAC_ADDR) | F_NET(CTRL_VLAN)
				 : 0);
	if (arg("echo"))
		echo(arg_number("echo", 256), batch);
	if (arg("ask"))
		ask(arg_number("ask", 256), batch);
	if (arg("large"))
		large(arg_number("large", 16));
	if (arg("commands"))
		commands();
	if (arg("reset"))
		resets(arg_number("reset", 8));
	print("SUCCESS\n");
	return 0;
}
