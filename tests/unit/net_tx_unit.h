/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of sent frames share: frames as drivers send them, and what the tap got. Included by one .c
 * file. */
#ifndef PINVM_TESTS_NET_TX_UNIT_H
#define PINVM_TESTS_NET_TX_UNIT_H

#include "tests/unit/net_unit.h"

#define TX    1
#define FRAME 60

/* A frame as drivers send it, its header in front: at gpa, of `len` bytes behind the header. */
static inline void put_frame(uint64_t gpa, struct virtio_net_hdr_v1 hdr, uint32_t len, unsigned seed)
{
	memcpy(at(gpa), &hdr, NET_HDR);
	fill((uint8_t *)at(gpa) + NET_HDR, len, seed);
}

static inline int offer(const struct ring_seg *seg, unsigned n)
{
	int head = ring_chain(&drv[TX], seg, n);

	ck_assert_int_ge(head, 0);
	ring_offer(&drv[TX], (uint16_t)head);
	return head;
}

static inline int offer_one(uint64_t gpa, uint32_t len)
{
	return offer(&(struct ring_seg){gpa, len, false}, 1);
}

/* `n` frames of FRAME bytes, numbered from `first` by seed. */
static inline void offer_frames(unsigned first, unsigned n)
{
	for (unsigned i = first; i < first + n; i++) {
		put_frame(BUF + 128 * i, (struct virtio_net_hdr_v1){0}, FRAME, i);
		offer_one(BUF + 128 * i, NET_HDR + FRAME);
	}
	submit(TX);
}

/* The i-th frame that went out is the one numbered `seed`. */
static inline void expect_frame(unsigned i, unsigned seed, unsigned pair)
{
	uint8_t want[FRAME];

	fill(want, FRAME, seed);
	ck_assert_uint_lt(i, fake_tap.nsent);
	ck_assert_uint_eq(fake_tap.sent[i].pair, pair);
	ck_assert_uint_eq(fake_tap.sent[i].len, NET_HDR + FRAME);
	ck_assert_mem_eq(fake_tap.sent[i].data + NET_HDR, want, FRAME);
}

#endif
