/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of received frames share: buffers that a driver gives, and what is found in them. Included
 * by one .c file. */
#ifndef PINVM_TESTS_NET_RX_UNIT_H
#define PINVM_TESTS_NET_RX_UNIT_H

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

static inline int post_segs(const struct ring_seg *seg, unsigned n, bool indirect)
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

static inline int post(uint64_t gpa, uint32_t len)
{
	return post_segs(&(struct ring_seg){gpa, len, true}, 1, false);
}

/* `n` buffers of len bytes each, from the first at BUF on, 4 KiB apart or as long as they are. */
static inline void post_many(unsigned n, uint32_t len)
{
	for (unsigned i = 0; i < n; i++)
		post(BUF + (len > 4096 ? len : 4096) * (uint64_t)i, len);
	submit(RX);
	run();
}

static inline void arrive(unsigned seed, uint32_t len)
{
	static uint8_t frame[1 << 17];

	fill(frame, len, seed);
	if (len > 14)
		frame[12] = 0x08; /* not by chance a VLAN's */
	fake_tap_arrive(&loop[0], 0, NULL, frame, len);
}

/* All of these bytes are that. Checked at once: there are many. */
static inline void expect_all(const void *p, size_t len, uint8_t byte)
{
	const uint8_t *at = p;

	for (size_t i = 0; i < len; i++)
		if (at[i] != byte)
			ck_abort_msg("byte %zu of %zu is 0x%x", i, len, at[i]);
}

/* Bytes a buffer got, to gather_to; those behind are as they were. */
static inline void take_buffer(const struct buffer *b, uint32_t len)
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
static inline size_t receive(uint8_t *out, struct virtio_net_hdr_v1 *hdr)
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

static inline void expect(unsigned seed, uint32_t len, unsigned buffers)
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

#endif
