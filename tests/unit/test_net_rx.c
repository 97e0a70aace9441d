// SPDX-License-Identifier: Apache-2.0
/* virtio-net, what the guest receives: frames over buffers of any shape, what becomes of those that do not
 * fit or are not for it, and buffers that are held. test_net_link.c has time, limits and the link. */
#include <errno.h>

#include "tests/unit/net_unit.h"

#define RX     0
#define EMPTY  0xee
#define TABLES (BUF + 0xd00000) /* 1 KiB each */

/* A buffer the driver has given. */
struct buffer {
	struct ring_seg seg[64];
	unsigned n;
	uint32_t len;
};

static struct buffer buffer[NUM * 4]; /* by head */
static uint8_t *gather_to;

static int post_segs(const struct ring_seg *seg, unsigned n, bool indirect)
{
	int head = indirect ? ring_chain_indirect(&drv[RX], seg, 0, n, TABLES + 0x400 * drv[RX].nfree)
			    : ring_chain(&drv[RX], seg, n);
	struct buffer *b;

	ck_assert_int_ge(head, 0);
	ck_assert_uint_le(n, 64);
	b = &buffer[head];
	*b = (struct buffer){.n = 0};
	for (unsigned i = 0; i < n; i++)
		if (seg[i].write) {
			b->seg[b->n++] = seg[i];
			b->len += seg[i].len;
			memset(at(seg[i].gpa), EMPTY, seg[i].len);
		}
	ring_offer(&drv[RX], (uint16_t)head);
	return head;
}

static int post(uint64_t gpa, uint32_t len)
{
	return post_segs(&(struct ring_seg){gpa, len, true}, 1, false);
}

/* `n` buffers of len bytes each, from the first at BUF on, 4 KiB apart or as long as they are. */
static void post_many(unsigned n, uint32_t len)
{
	for (unsigned i = 0; i < n; i++)
		post(BUF + (len > 4096 ? len : 4096) * (uint64_t)i, len);
	submit(RX);
	run();
}

static void arrive(unsigned seed, uint32_t len)
{
	static uint8_t frame[1 << 17];

	fill(frame, len, seed);
	if (len > 14)
		frame[12] = 0x08; /* not by chance a VLAN's */
	fake_tap_arrive(&loop[0], 0, NULL, frame, len);
}

/* All of these bytes are that. Checked at once: there are many. */
static void expect_all(const void *p, size_t len, uint8_t byte)
{
	const uint8_t *at = p;

	for (size_t i = 0; i < len; i++)
		if (at[i] != byte)
			ck_abort_msg("byte %zu of %zu is 0x%x", i, len, at[i]);
}

/* Bytes a buffer got, to gather_to; those behind are as they were. */
static void take_buffer(const struct buffer *b, uint32_t len)
{
	for (unsigned i = 0; i < b->n; i++) {
		uint32_t part = b->seg[i].len < len ? b->seg[i].len : len;
		const uint8_t *p = at(b->seg[i].gpa);

		memcpy(gather_to, p, part);
		gather_to += part;
		len -= part;
		expect_all(p + part, b->seg[i].len - part, EMPTY);
	}
	ck_assert_uint_eq(len, 0);
}

/* The next frame the guest has, out of as many buffers as its header says, each but the last one full. */
static size_t receive(uint8_t *out, struct virtio_net_hdr_v1 *hdr)
{
	uint32_t head, len;
	unsigned n = 1;

	gather_to = out;
	for (unsigned i = 0; i < n; i++) {
		ck_assert(ring_used(&drv[RX], &head, &len));
		take_buffer(&buffer[head], len);
		if (!i) {
			ck_assert_uint_ge(len, NET_HDR);
			memcpy(hdr, out, NET_HDR);
			n = hdr->num_buffers;
			ck_assert_uint_ge(n, 1);
		}
		ck_assert(i + 1 == n ? len > 0 : len == buffer[head].len);
	}
	return (size_t)(gather_to - out);
}

static void expect(unsigned seed, uint32_t len, unsigned buffers)
{
	static uint8_t got[1 << 17], want[1 << 17];
	struct virtio_net_hdr_v1 hdr;

	fill(want, len, seed);
	if (len > 14)
		want[12] = 0x08;
	ck_assert_uint_eq(receive(got, &hdr), NET_HDR + len);
	ck_assert_mem_eq(got + NET_HDR, want, len);
	ck_assert_uint_eq(hdr.flags | hdr.gso_type | hdr.gso_size | hdr.hdr_len, 0);
	ck_assert(!buffers || hdr.num_buffers == buffers);
}

START_TEST(a_buffer_a_frame)
{
	static const uint32_t len[] = {14, 15, 60, 1514, 1518};

	build((struct net_config){0});
	start(BASE);
	post_many(8, 1530);
	for (unsigned i = 0; i < 5; i++) {
		arrive(i, len[i]);
		run();
		expect(i, len[i], 1);
	}
	ck_assert_uint_eq(used(RX), 0);
	ck_assert_uint_eq(dev->dropped, 0);
	destroy();
}
END_TEST

/* Buffers of random shapes, direct and indirect, with and without merging, frames of random lengths. */
static void random_frames(unsigned seed)
{
	bool merge = seed % 2;
	uint64_t gpa = BUF + seed % 7;
	unsigned frames = 0;

	srand(seed);
	build((struct net_config){.queue_size = 1024});
	start_at(BASE | (merge ? F(MRG_RXBUF) : 0), (uint16_t)(seed * 977));
	for (unsigned i = 0; drv[RX].nfree > 64 && i < 200; i++) {
		uint32_t len = merge ? NET_HDR + (uint32_t)rand() % (rand() % 2 ? 40 : 2500) : 1600;
		struct ring_seg seg[64];
		unsigned n = cut(seg, 1 + (unsigned)rand() % 30, gpa, len, true);

		post_segs(seg, n, rand() % 2);
		gpa += len + (uint32_t)rand() % 3;
	}
	submit(RX);
	run();
	for (; frames < 60 && rand() % 50; frames++)
		arrive(seed + frames, 14 + (uint32_t)rand() % 1500);
	run();
	loop[0].now += 2 * MS; /* for what merged buffers have left at the end */
	run();
	srand(seed);
	for (unsigned i = 0; ring_load16(drv[RX].used + 2) != drv[RX].last_used; i++) {
		static uint8_t got[1 << 17];
		struct virtio_net_hdr_v1 hdr;
		size_t len = receive(got, &hdr);
		static uint8_t want[1 << 17];

		fill(want, len - NET_HDR, seed + i);
		want[12] = len > NET_HDR + 14 ? 0x08 : want[12];
		ck_assert_mem_eq(got + NET_HDR, want, len - NET_HDR);
		ck_assert(merge || hdr.num_buffers == 1);
		frames--;
	}
	ck_assert_msg(frames == dev->dropped + fake_tap_waiting(), "seed %u: %u frames, %lu dropped, %u wait",
		seed, frames, dev->dropped, fake_tap_waiting());
	ck_assert_uint_eq(dev->dropped, 0);
	destroy();
}

START_TEST(no_framing_is_assumed)
{
	for (unsigned seed = 1; seed < 120; seed++)
		random_frames(seed);
}
END_TEST

START_TEST(headers_split_at_every_byte)
{
	build((struct net_config){0});
	start(BASE);
	for (uint32_t i = 1; i < 30; i++) {
		struct ring_seg seg[] = {{BUF, i, true}, {BUF + 0x1000, 1600, true}};

		post_segs(seg, 2, i % 2);
		submit(RX);
		arrive(i, 60);
		run();
		expect(i, 60, 1);
	}
	destroy();
}
END_TEST

/* 64 KiB over pages, as Linux gives them, and over one buffer. */
START_TEST(large_frames_are_merged)
{
	build((struct net_config){0});
	start(BASE | GUEST | F(MRG_RXBUF));
	post_many(NUM, 4096);
	arrive(1, NET_FRAME_MAX);
	arrive(2, 60);
	arrive(3, 4096 - NET_HDR);
	arrive(4, 4096 - NET_HDR + 1);
	run();
	expect(1, NET_FRAME_MAX, (NET_HDR + NET_FRAME_MAX + 4095) / 4096);
	expect(2, 60, 1);
	expect(3, 4096 - NET_HDR, 1);
	expect(4, 4096 - NET_HDR + 1, 2);
	reset();
	start(BASE | GUEST);
	post_many(4, NET_HDR + NET_FRAME_MAX);
	arrive(1, NET_FRAME_MAX);
	arrive(2, 60);
	run();
	expect(1, NET_FRAME_MAX, 1);
	expect(2, 60, 1);
	destroy();
}
END_TEST

START_TEST(too_long_is_dropped_and_the_buffer_used_again)
{
	build((struct net_config){0});
	for (unsigned merge = 0; merge < 2; merge++) {
		start(BASE | (merge ? F(MRG_RXBUF) : 0));
		post_many(1, NET_HDR + 100);
		loop[0].now += 2 * MS;
		run();
		for (uint32_t len = 101; len < 70000; len += 8737)
			arrive(len, len);
		run();
		ck_assert_uint_eq(dev->dropped, 9 * (merge + 1));
		ck_assert_uint_eq(used(RX), 0);
		memset(at(BUF), EMPTY, NET_HDR + 100);
		arrive(7, 100);
		run();
		if (fake_tap_waiting()) {
			loop[0].now += 2 * MS;
			run();
		}
		expect(7, 100, 1);
		reset();
	}
	destroy();
}
END_TEST

/* Without offloads the MTU says how long frames are, until a longer one has come. */
START_TEST(want_grows_with_what_comes)
{
	build((struct net_config){.mtu = 1400});
	start(BASE | F(MRG_RXBUF));
	post_many(2, 1000);
	arrive(1, 1900);
	run();
	expect(1, 1900, 2);
	post_many(2, 1000);
	arrive(2, 3000);
	run();
	ck_assert_uint_eq(dev->dropped, 1);
	for (unsigned i = 2; i < 66; i++)
		post(BUF + 4096 * i, 1100);
	submit(RX);
	arrive(3, 3000);
	run();
	expect(3, 3000, 3);
	destroy();
}
END_TEST

START_TEST(too_short_for_a_header)
{
	int head[12];

	build((struct net_config){0});
	start(BASE);
	for (uint32_t i = 1; i < NET_HDR; i++)
		head[i] = post(BUF + 64 * i, i);
	submit(RX);
	run();
	for (uint32_t i = 1; i < NET_HDR; i++) {
		ck_assert_uint_eq(used_len(RX, head[i]), 0);
		expect_all(at(BUF + 64 * i), i, EMPTY);
	}
	ck_assert_uint_eq(dev->dropped, NET_HDR - 1);
	post(BUF, NET_HDR); /* a header, and no room for any frame */
	post(BUF + 4096, 100);
	submit(RX);
	arrive(1, 14);
	run();
	ck_assert_uint_eq(dev->dropped, NET_HDR);
	ck_assert_uint_eq(transport.resets_wanted, 0);
	destroy();
}
END_TEST

START_TEST(readable_segments_mean_nothing)
{
	struct ring_seg seg[] = {{BUF, 100, false}, {BUF + 0x1000, 7, false}, {BUF + 0x2000, 8, true},
		{BUF + 0x3000, 1600, true}};
	int head;

	build((struct net_config){0});
	start(BASE);
	memset(at(BUF), 0x55, 0x1100);
	post_segs(seg, 4, false);
	submit(RX);
	arrive(1, 700);
	run();
	expect(1, 700, 1);
	expect_all(at(BUF), 0x1100, 0x55);
	head = post_segs(seg, 2, false); /* nothing to write at all */
	submit(RX);
	run();
	ck_assert_uint_eq(used_len(RX, head), 0);
	destroy();
}
END_TEST

/* The kernel reads into 1024 segments at most, of which one sees whether the frame was longer. */
START_TEST(a_thousand_segments)
{
	static struct ring_seg seg[1024];
	uint32_t h, len;

	build((struct net_config){.queue_size = 1024});
	start(BASE);
	for (unsigned n = 1023; n <= 1024; n++)
		for (uint32_t frame = 1010; frame <= 1013; frame++) {
			bool fits = NET_HDR + frame <= 1023;
			uint64_t dropped = dev->dropped;
			int head;

			for (unsigned i = 0; i < n; i++)
				seg[i] = (struct ring_seg){BUF + 2 * i, 1, true};
			memset(at(BUF), EMPTY, 4096);
			head = ring_chain(&drv[RX], seg, n);
			ring_offer(&drv[RX], (uint16_t)head);
			submit(RX);
			arrive(frame, frame);
			run();
			ck_assert_uint_eq(dev->dropped - dropped, !fits);
			if (!fits) {
				arrive(frame, 60);
				run();
			}
			ck_assert(ring_used(&drv[RX], &h, &len));
			ck_assert_uint_eq(len, NET_HDR + (fits ? frame : 60));
			ck_assert_uint_eq(*(uint8_t *)at(BUF + 20), 1);
			for (unsigned i = 1; i < 2048; i += 2)
				ck_assert_uint_eq(*(uint8_t *)at(BUF + i), EMPTY);
		}
	destroy();
}
END_TEST

START_TEST(more_segments_than_the_kernel_takes)
{
	static const uint32_t len[] = {500, 60, 1011, 100, 1012, 318};

	build((struct net_config){0});
	start(BASE | GUEST | F(MRG_RXBUF));
	for (unsigned i = 0; i < 200; i++) {
		struct ring_seg seg[30];

		for (unsigned k = 0; k < 30; k++)
			seg[k] = (struct ring_seg){BUF + 128 * i + 3 * k, 1, true};
		post_segs(seg, 30, true);
	}
	submit(RX);
	for (unsigned i = 0; i < 6; i++) {
		arrive(i, len[i]);
		run();
		if (len[i] + NET_HDR <= 1023)
			expect(i, len[i], (NET_HDR + len[i] + 29) / 30);
		else
			ck_assert_uint_eq(used(RX), 0);
	}
	ck_assert_uint_eq(dev->dropped, 1);
	destroy();
}
END_TEST

START_TEST(an_empty_ring_and_a_flood)
{
	build((struct net_config){0});
	start(BASE);
	for (unsigned i = 0; i < 1000; i++) {
		unsigned rounds = 0;

		arrive(i, 60);
		while (fake_step(&loop[0]))
			rounds++;
		ck_assert_uint_le(rounds, 3);
	}
	ck_assert_uint_eq(fake_tap.receives, 0);
	ck_assert_uint_eq(dev->dropped, 0);
	post_many(3, 1600);
	for (unsigned i = 0; i < 3; i++)
		expect(i, 60, 1);
	ck_assert_uint_eq(fake_tap_waiting(), 997);
	ck_assert_msg(ring_load16(drv[RX].used + 4 + 8 * NUM) == drv[RX].avail_idx, "it asks to be kicked");
	destroy();
}
END_TEST

static void see_nothing_published(void)
{
	ck_assert_uint_eq(ring_load16(drv[RX].used + 2), drv[RX].last_used);
	ck_assert(drv[RX].event_idx || ring_load16(drv[RX].used) == VRING_USED_F_NO_NOTIFY);
}

START_TEST(a_batch_is_one_interrupt)
{
	build((struct net_config){0});
	for (unsigned event = 0; event < 2; event++) {
		start((event ? BASE : BASE & ~RING_EVENT_IDX) | F(MRG_RXBUF));
		post_many(200, 200);
		ring_arm(&drv[RX]);
		transport.notified[RX] = 0;
		dev->queue[RX].kicks = 0;
		fake_tap.meanwhile = see_nothing_published;
		for (unsigned i = 0; i < 50; i++)
			arrive(i, 300);
		run();
		for (unsigned i = 0; i < 50; i++)
			expect(i, 300, 2);
		ck_assert_uint_eq(transport.notified[RX], 1);
		ck_assert_uint_eq(dev->queue[RX].kicks, 0);
		fake_tap.meanwhile = NULL;
		reset();
	}
	destroy();
}
END_TEST

/* A driver that gives buffers back meanwhile need not kick. */
START_TEST(no_kicks_while_there_are_buffers)
{
	build((struct net_config){0});
	start(BASE);
	post_many(10, 1600);
	for (unsigned i = 0; i < 100; i++) {
		arrive(i, 60);
		run();
		expect(i, 60, 1);
		post(BUF + 4096 * (i % 10), 1600);
		ck_assert(!ring_publish(&drv[RX]));
	}
	destroy();
}
END_TEST

static void arrive_with(struct virtio_net_hdr_v1 hdr, unsigned seed)
{
	uint8_t frame[200];

	fill(frame, sizeof(frame), seed);
	frame[12] = 0x08;
	fake_tap_arrive(&loop[0], 0, &hdr, frame, sizeof(frame));
}

/* Frames that were waiting from before are not for this driver. */
START_TEST(kinds_the_driver_does_not_take)
{
	static const struct {
		uint64_t features;
		uint8_t types[5];
	} with[] = {
		{0, {0xff}},
		{F(GUEST_CSUM), {0, 0xff}},
		{F(GUEST_CSUM) | F(GUEST_TSO4), {0, 1, 0xff}},
		{F(GUEST_CSUM) | F(GUEST_TSO6), {0, 4, 0xff}},
		{F(GUEST_CSUM) | F(GUEST_TSO4) | F(GUEST_ECN), {0, 1, 0x80, 0x81, 0xff}},
		{F(GUEST_CSUM) | 1ull << NET_F_GUEST_USO4 | 1ull << NET_F_GUEST_USO6, {0, 5, 0xff}},
	};

	for (unsigned w = 0; w < sizeof(with) / sizeof(with[0]); w++) {
		static const uint8_t types[] = {0, 1, 2, 3, 4, 5, 6, 7, 0x80, 0x81, 0x84, 0x85};

		build((struct net_config){0});
		start(BASE | with[w].features);
		post_many(4, 70000);
		for (unsigned i = 0; i < sizeof(types); i++) {
			unsigned n;
			bool may = false;

			for (unsigned k = 0; with[w].types[k] != 0xff; k++)
				may |= with[w].types[k] == types[i];
			arrive_with((struct virtio_net_hdr_v1){.flags = 1, .gso_type = types[i]}, i);
			run();
			n = used(RX);
			ck_assert_msg(n == may, "features %u, type 0x%x", w, types[i]);
			if (n)
				post_many(1, 70000);
		}
		destroy();
	}
}
END_TEST

/* Without MRG_RXBUF a frame is in one buffer, or nowhere; also after one that was too long. */
START_TEST(a_frame_is_in_one_buffer)
{
	build((struct net_config){0});
	start(BASE);
	post_many(4, 200);
	for (unsigned i = 0; i < 3; i++) {
		arrive(i, 500);
		run();
		ck_assert_uint_eq(dev->dropped, i + 1);
		ck_assert_uint_eq(used(RX), 0);
	}
	arrive(3, 100);
	run();
	ck_assert_uint_eq(used(RX), 1);
	destroy();
}
END_TEST

/* 5.1.4.1: one that was told the MTU gets no longer packets; a VLAN's tag, and what is to be cut up, do not
 * count. */
START_TEST(no_packet_is_longer_than_the_mtu)
{
	const unsigned most = 1500 + 14 + 4;

	for (unsigned told = 0; told < 2; told++)
		for (unsigned small = 0; small < 2; small++) {
			build((struct net_config){0});
			start(BASE | GUEST | F(MRG_RXBUF) | (told ? F(MTU) : 0));
			post_many(small ? 64 : 8, small ? 1100 : 70000);
			arrive(1, most);
			run();
			ck_assert_uint_eq(dev->dropped, 0);
			arrive(2, most + 1);
			run();
			ck_assert_uint_eq(dev->dropped, told);
			fake_tap_arrive(&loop[0], 0, &(struct virtio_net_hdr_v1){.flags = 1, .gso_type = 1},
				(uint8_t[9000]){[12] = 8}, 9000);
			run();
			ck_assert_uint_eq(dev->dropped, told);
			destroy();
		}
}
END_TEST

/* 5.1.6.4.1: flags are 0 without GUEST_CSUM, and only those there are with it. */
START_TEST(flags_of_checksums)
{
	build((struct net_config){0});
	for (unsigned csum = 0; csum < 2; csum++)
		for (unsigned flags = 0; flags < 256; flags++) {
			static uint8_t got[0x1000];
			struct virtio_net_hdr_v1 hdr;
			struct ring_seg seg[] = {{BUF, 1 + flags % 13, true}, {BUF + 4096, 1600, true}};

			start(BASE | (csum ? F(GUEST_CSUM) : 0));
			post_segs(seg, 2, false);
			submit(RX);
			arrive_with((struct virtio_net_hdr_v1){.flags = flags}, flags);
			run();
			if (flags & VIRTIO_NET_HDR_F_NEEDS_CSUM && !csum) {
				ck_assert_uint_eq(used(RX), 0);
			} else {
				receive(got, &hdr);
				ck_assert_uint_eq(hdr.flags, csum ? flags & 3 : 0);
			}
			reset();
		}
	destroy();
}
END_TEST

static bool vlan_comes(unsigned type, unsigned tag, uint32_t len)
{
	uint8_t frame[64] = {[12] = type >> 8, type & 0xff, tag >> 8, tag & 0xff};
	bool came;

	fake_tap_arrive(&loop[0], 0, NULL, frame, len);
	run();
	came = used(RX);
	if (came)
		post_many(1, NET_HDR + 64);
	return came;
}

START_TEST(vlans)
{
	struct net *net;

	build((struct net_config){0});
	net = net_of(dev);
	start(BASE | F(CTRL_VLAN));
	post_many(1, NET_HDR + 64);
	for (unsigned vid = 0; vid < 4096; vid += 273)
		ck_assert(!vlan_comes(0x8100, vid | 0xa000, 64));
	ck_assert(vlan_comes(0x0800, 5, 64));
	ck_assert(vlan_comes(0x8101, 5, 64));
	atomic_store(&net->vlan[2], 1u << 9);
	atomic_store(&net->vlan[127], 1u << 31);
	ck_assert(vlan_comes(0x8100, 73, 64));
	ck_assert(vlan_comes(0x8100, 73 | 0xf000, 18));
	ck_assert(vlan_comes(0x8100, 4095, 64));
	ck_assert(!vlan_comes(0x8100, 74, 64));
	reset();
	start(BASE);
	post_many(1, NET_HDR + 64);
	ck_assert_msg(vlan_comes(0x8100, 5, 64), "who did not negotiate it has all");
	destroy();
}
END_TEST

/* A frame that ends within its tag, in a buffer that ends there, too. */
START_TEST(vlan_tags_that_are_cut_off)
{
	uint8_t frame[18] = {[12] = 0x81, 0, 0, 5};
	struct net_rx *rx;

	build((struct net_config){0});
	rx = &net_of(dev)->pair[0].rx;
	start(BASE | F(CTRL_VLAN));
	for (uint32_t len = 14; len < 16; len++) {
		post(BUF, NET_HDR + len);
		submit(RX);
		run();
		for (struct iovec *v = rx->iov_end; v < rx->iovs + 64; v++)
			*v = (struct iovec){(void *)8, 4096}; /* what must not be looked at */
		fake_tap_arrive(&loop[0], 0, NULL, frame, len);
		run();
		ck_assert_uint_eq(used(RX), 1);
	}
	destroy();
}
END_TEST

START_TEST(runts_of_the_network)
{
	build((struct net_config){0});
	start(BASE);
	post_many(1, 1600);
	for (uint32_t len = 0; len < 14; len++)
		arrive(len, len);
	run();
	ck_assert_uint_eq(dev->dropped, 14);
	ck_assert_uint_eq(used(RX), 0);
	destroy();
}
END_TEST

START_TEST(held_buffers_are_left_alone_after_a_reset)
{
	build((struct net_config){0});
	start(BASE | GUEST | F(MRG_RXBUF));
	post_many(64, 4096);
	arrive(1, 60);
	run();
	ck_assert_uint_eq(used(RX), 1);
	reset();
	memset(at(BUF), 0x5a, 64 * 4096);
	for (unsigned i = 0; i < 20; i++)
		arrive(i, 3000);
	run();
	expect_all(at(BUF), 64 * 4096, 0x5a);
	start(BASE);
	post(BUF + 0x200000, 4000);
	submit(RX);
	run();
	ck_assert_uint_eq(used(RX), 1);
	expect_all(at(BUF), 64 * 4096, 0x5a);
	destroy();
}
END_TEST

START_TEST(a_broken_ring_stops_the_queue)
{
	build((struct net_config){0});
	start(BASE | GUEST | F(MRG_RXBUF));
	post_many(3, 4096);
	ring_offer(&drv[RX], NUM + 3);
	submit(RX);
	arrive(1, 60);
	run();
	ck_assert_uint_eq(transport.resets_wanted, 1);
	arrive(1, 60);
	run();
	loop[0].now += 10 * MS;
	run();
	ck_assert_uint_eq(used(RX), 0);
	reset();
	start(BASE);
	post_many(4, 1600);
	expect(1, 60, 1);
	expect(1, 60, 1);
	destroy();
}
END_TEST

/* A second CPU that offers the same short buffers for ever does not keep the thread: each turn takes no more
 * than a ring of them, and none is handed back twice. */
START_TEST(short_buffers_take_turns)
{
	build((struct net_config){.queue_size = 8});
	start(BASE);
	for (unsigned i = 0; i < 3; i++) {
		post_many(8, 4);
		ck_assert_uint_eq(used(RX), 8);
	}
	ck_assert_uint_eq(dev->dropped, 24);
	destroy();
}
END_TEST

START_TEST(each_pair_has_its_own)
{
	build((struct net_config){.pairs = 2});
	start(BASE | F(MQ));
	fake_tap.active = 2;
	for (unsigned pair = 0; pair < 2; pair++) {
		struct ring_driver *d = &drv[2 * pair];
		struct ring_seg seg = {BUF, 1600, true};
		uint8_t frame[60];

		fill(frame, sizeof(frame), pair);
		ring_offer(d, (uint16_t)ring_chain(d, &seg, 1));
		submit(2 * pair);
		fake_tap_arrive(&loop[pair], pair, NULL, frame, sizeof(frame));
		fake_run(&loop[pair]); /* each on a loop of its own */
		ck_assert_uint_eq(used(2 * pair), 1);
		ck_assert_mem_eq((uint8_t *)at(BUF) + NET_HDR, frame, sizeof(frame));
	}
	destroy();
}
END_TEST

START_TEST(nothing_before_the_driver_is_ok)
{
	build((struct net_config){0});
	for (unsigned q = 0; q < dev->nvq; q++)
		ring_init(&drv[q], &mem, RAM + 0x10000 * q, NUM, 0, BASE);
	post(BUF, 1600);
	submit(RX);
	arrive(1, 60);
	run();
	ck_assert_uint_eq(fake_tap.receives, 0);
	ck_assert_uint_eq(*(uint8_t *)at(BUF), EMPTY);
	fake_driver_ok(dev, drv, dev->nvq, BASE);
	run();
	expect(1, 60, 1);
	destroy();
}
END_TEST

UNIT_MAIN("net_rx", a_buffer_a_frame, no_framing_is_assumed, headers_split_at_every_byte,
	large_frames_are_merged, too_long_is_dropped_and_the_buffer_used_again, want_grows_with_what_comes,
	too_short_for_a_header, readable_segments_mean_nothing, a_thousand_segments,
	more_segments_than_the_kernel_takes, an_empty_ring_and_a_flood, a_batch_is_one_interrupt,
	no_kicks_while_there_are_buffers, kinds_the_driver_does_not_take, a_frame_is_in_one_buffer, no_packet_is_longer_than_the_mtu,
	flags_of_checksums, vlans, vlan_tags_that_are_cut_off, runts_of_the_network,
	held_buffers_are_left_alone_after_a_reset, a_broken_ring_stops_the_queue, short_buffers_take_turns,
	each_pair_has_its_own, nothing_before_the_driver_is_ok)
