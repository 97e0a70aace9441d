// SPDX-License-Identifier: Apache-2.0
/* virtio-blk over a disk in memory: what requests may look like, what they answer, what they leave alone. */
#include "tests/unit/blk_unit.h"

START_TEST(reads_and_writes)
{
	build(false);
	expect(VIRTIO_BLK_T_IN, 3, 1024, true, VIRTIO_BLK_S_OK, 1025);
	ck_assert_mem_eq(at(DATA), fake_disk.data + 3 * 512, 1024);
	memset(at(DATA), 0xab, 512);
	expect(VIRTIO_BLK_T_OUT, SECTORS - 1, 512, false, VIRTIO_BLK_S_OK, 1);
	ck_assert_mem_eq(at(DATA), fake_disk.data + (SECTORS - 1) * 512, 512);
	ck_assert_uint_eq(fake_disk.ops[DISK_FLUSH], 0);
	expect(VIRTIO_BLK_T_FLUSH, 0, 0, false, VIRTIO_BLK_S_OK, 1);
	ck_assert_uint_eq(fake_disk.ops[DISK_FLUSH], 1);
	ck_assert_uint_eq(transport.notified[0], 1); /* used_event was never moved */
}
END_TEST

/* A chain is never longer than the queue, in a table neither (2.7.5.3.1). */
START_TEST(a_queue_too_small_for_data)
{
	struct ring_seg seg[] = {{HDR, 16, false}, {DATA, 512, true}, {HDR + 16, 1, true}};

	build_num(false, 1, 2);
	start(FEATS & dev->offered);
	expect(VIRTIO_BLK_T_FLUSH, 0, 0, false, VIRTIO_BLK_S_OK, 1);
	put_header(VIRTIO_BLK_T_IN, 0);
	ring_offer(&drv[0], ring_chain_indirect(&drv[0], seg, 0, 3, TABLE));
	go(0);
	ck_assert_uint_eq(transport.resets_wanted, 1);
	ck_assert_uint_eq(fake_disk.ops[DISK_READ], 0);
}
END_TEST

/* Random splits of header, data and status, direct and indirect; other bytes of the guest stay as they are.
 */
static void framing(uint32_t type, uint32_t data, unsigned seed)
{
	struct ring_seg seg[NUM];
	bool in = type == VIRTIO_BLK_T_IN;
	uint32_t part[2] = {16 + (in ? 0 : data), (in ? data : 0) + 1};
	uint64_t gpa = DATA + 13;
	unsigned n = 0;
	int head;

	srand(seed);
	memset(at(DATA), 0xee, 0x4000);
	for (int w = 0; w < 2; w++) {
		uint32_t left = part[w];

		while (left) { /* pieces with a gap between them */
			uint32_t len = n % 14 == 13 ? left
						    : 1 + rand() % (rand() % 4	      ? left
									   : 3 < left ? 3
										      : left);

			if (n >= 28)
				len = left;
			seg[n++] = (struct ring_seg){gpa, len, w};
			gpa += len + 1;
			left -= len;
		}
	}
	put_header(type, 5);
	((struct virtio_blk_outhdr *)at(HDR))->ioprio = seed;
	uint32_t taken = 0;

	for (unsigned i = 0; i < n && !seg[i].write; i++) /* header and data into the pieces */
		for (uint32_t b = 0; b < seg[i].len; b++, taken++)
			((uint8_t *)at(seg[i].gpa))[b] =
				taken < 16 ? ((uint8_t *)at(HDR))[taken] : (uint8_t)(taken * 3);
	static uint8_t before[0x4000];

	memcpy(before, at(DATA), sizeof(before));
	head = seed % 2 ? ring_chain(&drv[0], seg, n)
			: ring_chain_indirect(&drv[0], seg, seed % 3 ? 0 : 1, n, TABLE + seed % 5);
	ck_assert_int_ge(head, 0);
	ring_offer(&drv[0], head);
	go(0);
	ck_assert_uint_eq(used_len(0, head), part[1]);
	for (unsigned i = 0, got = 0, put = 0; i < n; i++) { /* what should have happened, into `before` */
		for (uint32_t b = 0; b < seg[i].len; b++) {
			uint8_t *p = &before[seg[i].gpa - DATA + b];

			if (seg[i].write) {
				*p = got < part[1] - 1 ? fake_disk.data[5 * 512 + got] : VIRTIO_BLK_S_OK;
				got++;
			} else if (put++ >= 16) {
				ck_assert_uint_eq(*p, fake_disk.data[5 * 512 + put - 17]);
			}
		}
	}
	ck_assert_mem_eq(before, at(DATA), sizeof(before));
}

START_TEST(no_framing_is_assumed)
{
	build(false);
	for (unsigned seed = 1; seed < 400; seed++)
		framing(seed % 3 ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN, 512 * (1 + seed % 4), seed);
	ck_assert_uint_eq(transport.resets_wanted, 0);
}
END_TEST

START_TEST(ranges_are_checked_over_the_whole_request)
{
	build(false);
	expect(VIRTIO_BLK_T_IN, SECTORS - 1, 1024, true, VIRTIO_BLK_S_IOERR, 0);
	expect(VIRTIO_BLK_T_OUT, SECTORS - 1, 1024, false, VIRTIO_BLK_S_IOERR, 1);
	expect(VIRTIO_BLK_T_OUT, SECTORS, 512, false, VIRTIO_BLK_S_IOERR, 1);
	expect(VIRTIO_BLK_T_OUT, UINT64_MAX, 512, false, VIRTIO_BLK_S_IOERR, 1);
	expect(VIRTIO_BLK_T_OUT, UINT64_MAX - 1, 1024, false, VIRTIO_BLK_S_IOERR, 1);
	expect(VIRTIO_BLK_T_OUT, 1ULL << 55, 512, false, VIRTIO_BLK_S_IOERR, 1); /* times 512: 0 */
	expect(VIRTIO_BLK_T_OUT, (1ULL << 55) + 1, 512, false, VIRTIO_BLK_S_IOERR, 1);
	expect(VIRTIO_BLK_T_IN, SECTORS + 1, 0, true, VIRTIO_BLK_S_IOERR, 1);
	ck_assert_uint_eq(disk_ops(), 0);
	expect(VIRTIO_BLK_T_IN, SECTORS - 1, 512, true, VIRTIO_BLK_S_OK, 513);
	expect(VIRTIO_BLK_T_IN, 0, SIZE, true, VIRTIO_BLK_S_OK, SIZE + 1);
	expect(VIRTIO_BLK_T_IN, SECTORS, 0, true, VIRTIO_BLK_S_OK, 1); /* nothing, at the end */
	ck_assert_uint_eq(disk_ops(), 2);
}
END_TEST

START_TEST(odd_lengths_fail)
{
	build(false);
	expect(VIRTIO_BLK_T_IN, 0, 511, true, VIRTIO_BLK_S_IOERR, 0);
	expect(VIRTIO_BLK_T_IN, 0, 513, true, VIRTIO_BLK_S_IOERR, 0);
	expect(VIRTIO_BLK_T_OUT, 0, 1, false, VIRTIO_BLK_S_IOERR, 1);
	ck_assert_uint_eq(disk_ops(), 0);
}
END_TEST

START_TEST(a_failed_read_claims_no_bytes)
{
	build(false);
	memset(at(DATA), 0x11, 512);
	expect(VIRTIO_BLK_T_IN, SECTORS, 512, true, VIRTIO_BLK_S_IOERR, 0);
	for (int i = 0; i < 512; i++)
		ck_assert_uint_eq(((uint8_t *)at(DATA))[i], 0x11);
}
END_TEST

START_TEST(read_only)
{
	build(true);
	ck_assert(dev->offered & F(RO));
	ck_assert_msg(!(dev->features & F(RO)), "the driver of this test did not ack it");
	expect(VIRTIO_BLK_T_OUT, 0, 512, false, VIRTIO_BLK_S_IOERR, 1);
	expect(VIRTIO_BLK_T_FLUSH, 0, 0, false, VIRTIO_BLK_S_OK, 1);
	ck_assert_uint_eq(disk_ops(), 0);
	expect(VIRTIO_BLK_T_IN, 0, 512, true, VIRTIO_BLK_S_OK, 513);
	ck_assert_msg(!(dev->offered & (F(DISCARD) | F(WRITE_ZEROES))), "and not what cannot be");
	expect(VIRTIO_BLK_T_DISCARD, 0, 16, false, VIRTIO_BLK_S_UNSUPP, 1);
}
END_TEST

START_TEST(unknown_types)
{
	const uint32_t types[] = {2, 3, 5, 7, 9, 10, 12, 14, 15, 16, 0x80000001, 0xffffffff};

	build(false);
	for (unsigned i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		expect(types[i], 0, 0, false, VIRTIO_BLK_S_UNSUPP, 1);
		expect(types[i], 0, 512, true, VIRTIO_BLK_S_UNSUPP, 0);
	}
	ck_assert_uint_eq(disk_ops(), 0);
}
END_TEST

START_TEST(get_id)
{
	build(false);
	memset(at(DATA), 0xff, 64);
	expect(VIRTIO_BLK_T_GET_ID, 0, 20, true, VIRTIO_BLK_S_OK, 21);
	ck_assert_mem_eq(at(DATA), "PINVM0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xff", 21);
	strcpy(fake_disk.disk->serial, "12345678901234567890");
	expect(VIRTIO_BLK_T_GET_ID, 0, 20, true, VIRTIO_BLK_S_OK, 21);
	ck_assert_mem_eq(at(DATA), "12345678901234567890\xff", 21);
	memset(at(DATA), 0xff, 64);
	expect(VIRTIO_BLK_T_GET_ID, 0, 10, true, VIRTIO_BLK_S_OK, 11);
	ck_assert_mem_eq(at(DATA), "1234567890\xff\xff", 12);
	expect(VIRTIO_BLK_T_GET_ID, 0, 40, true, VIRTIO_BLK_S_OK, 20);
	ck_assert_uint_eq(((uint8_t *)at(DATA))[20], 0xff);
}
END_TEST

START_TEST(discard)
{
	build(false);
	ck_assert_int_eq(range(VIRTIO_BLK_T_DISCARD, 4, 4, 0), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(fake_disk.ops[DISK_DISCARD], 1);
	ck_assert_uint_eq(fake_disk.data[4 * 512 - 1], (uint8_t)(3 + 511 * 7));
	ck_assert_uint_eq(fake_disk.data[4 * 512 + 5], 0);
	ck_assert_int_eq(range(VIRTIO_BLK_T_DISCARD, 0, SECTORS, 0), VIRTIO_BLK_S_OK);
	ck_assert_int_eq(
		range(VIRTIO_BLK_T_DISCARD, SECTORS, 0, 0), VIRTIO_BLK_S_OK); /* nothing: no operation */
	ck_assert_uint_eq(disk_ops(), 2);
	ck_assert_int_eq(range(VIRTIO_BLK_T_DISCARD, 1, SECTORS, 0), VIRTIO_BLK_S_IOERR);
	ck_assert_int_eq(range(VIRTIO_BLK_T_DISCARD, UINT64_MAX, 2, 0), VIRTIO_BLK_S_IOERR);
	ck_assert_int_eq(range(VIRTIO_BLK_T_DISCARD, 1ULL << 55, 1, 0), VIRTIO_BLK_S_IOERR);
	ck_assert_int_eq(range(VIRTIO_BLK_T_DISCARD, 0, UINT32_MAX, 0), VIRTIO_BLK_S_IOERR);
	ck_assert_int_eq(range(VIRTIO_BLK_T_DISCARD, 0, 1, 1), VIRTIO_BLK_S_UNSUPP);
	ck_assert_int_eq(range(VIRTIO_BLK_T_DISCARD, 0, 1, 2), VIRTIO_BLK_S_UNSUPP);
	ck_assert_int_eq(range(VIRTIO_BLK_T_DISCARD, 0, 1, 1u << 31), VIRTIO_BLK_S_UNSUPP);
	ck_assert_uint_eq(disk_ops(), 2);
}
END_TEST

START_TEST(write_zeroes)
{
	build(false);
	ck_assert_int_eq(range(VIRTIO_BLK_T_WRITE_ZEROES, 4, 4, 0), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(fake_disk.ops[DISK_ZERO], 1);
	ck_assert_int_eq(
		range(VIRTIO_BLK_T_WRITE_ZEROES, 8, 2, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(fake_disk.ops[DISK_ZERO_UNMAP], 1);
	expect(VIRTIO_BLK_T_IN, 4, 6 * 512, true, VIRTIO_BLK_S_OK, 6 * 512 + 1);
	for (int i = 0; i < 6 * 512; i++)
		ck_assert_uint_eq(((uint8_t *)at(DATA))[i], 0);
	ck_assert_int_eq(range(VIRTIO_BLK_T_WRITE_ZEROES, 0, 1, 2), VIRTIO_BLK_S_UNSUPP);
	ck_assert_int_eq(range(VIRTIO_BLK_T_WRITE_ZEROES, 0, 1, 3), VIRTIO_BLK_S_UNSUPP);
	ck_assert_int_eq(range(VIRTIO_BLK_T_WRITE_ZEROES, SECTORS - 1, 2, 0), VIRTIO_BLK_S_IOERR);
	fake_disk.disk->can_discard = false; /* unmap is a wish */
	ck_assert_int_eq(
		range(VIRTIO_BLK_T_WRITE_ZEROES, 8, 2, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(fake_disk.ops[DISK_ZERO], 2);
}
END_TEST

START_TEST(ranges_come_in_numbers)
{
	const struct virtio_blk_config *c;

	build(false);
	c = (void *)dev->config;
	ck_assert_uint_ge(c->max_discard_seg, 2);
	for (unsigned i = 0; i < c->max_discard_seg; i++)
		put_range(i, i * 4, i == 1 ? 0 : 2, 0);
	expect(VIRTIO_BLK_T_DISCARD, 0, 16 * c->max_discard_seg, false, VIRTIO_BLK_S_OK, 1);
	ck_assert_uint_eq(fake_disk.ops[DISK_DISCARD], c->max_discard_seg - 1);
	ck_assert_uint_eq(fake_disk.data[(c->max_discard_seg - 1) * 4 * 512 + 9], 0);
	ck_assert_uint_eq(fake_disk.data[5 * 512 + 1], (uint8_t)(5 + 7));
	fake_disk.ops[DISK_DISCARD] = 0;

	expect(VIRTIO_BLK_T_DISCARD, 0, 16 * (c->max_discard_seg + 1), false, VIRTIO_BLK_S_IOERR, 1);
	expect(VIRTIO_BLK_T_DISCARD, 0, 0, false, VIRTIO_BLK_S_IOERR, 1);
	expect(VIRTIO_BLK_T_DISCARD, 0, 15, false, VIRTIO_BLK_S_IOERR, 1);
	expect(VIRTIO_BLK_T_WRITE_ZEROES, 0, 17, false, VIRTIO_BLK_S_IOERR, 1);
	put_range(1, SECTORS, 1, 0); /* one bad range: none is done */
	expect(VIRTIO_BLK_T_DISCARD, 0, 32, false, VIRTIO_BLK_S_IOERR, 1);
	put_range(1, SECTORS, 1, 0); /* out of range and an unknown flag */
	put_range(2, 0, 1, 8);
	expect(VIRTIO_BLK_T_DISCARD, 0, 48, false, VIRTIO_BLK_S_UNSUPP, 1);
	ck_assert_uint_eq(disk_ops(), 0);
}
END_TEST

START_TEST(ranges_need_their_feature)
{
	build_num(false, 1, NUM);
	start(RING_FEATURES | F(FLUSH));
	ck_assert_int_eq(range(VIRTIO_BLK_T_DISCARD, 0, 1, 0), VIRTIO_BLK_S_UNSUPP);
	ck_assert_int_eq(range(VIRTIO_BLK_T_WRITE_ZEROES, 0, 1, 0), VIRTIO_BLK_S_UNSUPP);
	ck_assert_uint_eq(disk_ops(), 0);
}
END_TEST

START_TEST(malformed_chains_are_answered)
{
	struct ring_seg one = {HDR, 16, false}, status_only = {HDR + 16, 1, true};
	struct ring_seg shorted[] = {{HDR, 15, false}, {HDR + 16, 1, true}}, empty = {HDR, 0, false};
	int head;

	build(false);
	put_header(VIRTIO_BLK_T_FLUSH, 0);
	ring_offer(&drv[0], head = ring_chain(&drv[0], &one, 1)); /* no room for a status */
	go(0);
	ck_assert_uint_eq(used_len(0, head), 0);
	ring_offer(&drv[0], head = ring_chain(&drv[0], &empty, 1));
	go(0);
	ck_assert_uint_eq(used_len(0, head), 0);
	for (int i = 0; i < 2; i++) { /* no header, a short one */
		*(uint8_t *)at(HDR + 16) = 0x77;
		ring_offer(&drv[0],
			head = i ? ring_chain(&drv[0], shorted, 2) : ring_chain(&drv[0], &status_only, 1));
		go(0);
		ck_assert_uint_eq(used_len(0, head), 1);
		ck_assert_uint_eq(*(uint8_t *)at(HDR + 16), VIRTIO_BLK_S_IOERR);
	}
	ck_assert_uint_eq(disk_ops(), 0);
	ck_assert_uint_eq(transport.resets_wanted, 0);
}
END_TEST

START_TEST(q10_huge_length_on_a_tiny_disk)
{
	struct ring_seg seg[] = {
		{HDR, 16, false}, {DATA, RAM_SIZE - (DATA - RAM), true}, {HDR + 16, 1, true}};
	int head;

	build(false);
	put_header(VIRTIO_BLK_T_IN, 0);
	ring_offer(&drv[0], head = ring_chain(&drv[0], seg, 3));
	go(0);
	ck_assert_uint_eq(used_len(0, head), 0);
	ck_assert_uint_eq(*(uint8_t *)at(HDR + 16), VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(disk_ops(), 0);
}
END_TEST

UNIT_MAIN("blk", reads_and_writes, a_queue_too_small_for_data, no_framing_is_assumed,
	ranges_are_checked_over_the_whole_request, odd_lengths_fail, a_failed_read_claims_no_bytes, read_only,
	unknown_types, get_id, discard, write_zeroes, ranges_come_in_numbers, ranges_need_their_feature,
	malformed_chains_are_answered, q10_huge_length_on_a_tiny_disk)
