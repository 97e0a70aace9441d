// SPDX-License-Identifier: Apache-2.0
/* Requests of virtio-blk on their way: errors of the host, batches, turns, a reset in the middle, several queues. */
#include "tests/unit/blk_unit.h"

START_TEST(host_errors)
{
	build(false);
	fake_disk.err[DISK_READ] = -EIO;
	expect(VIRTIO_BLK_T_IN, 0, 512, true, VIRTIO_BLK_S_IOERR, 0);
	fake_disk.err[DISK_WRITE] = -ENOSPC;
	expect(VIRTIO_BLK_T_OUT, 0, 512, false, VIRTIO_BLK_S_IOERR, 1);
	fake_disk.err[DISK_FLUSH] = -EIO;
	expect(VIRTIO_BLK_T_FLUSH, 0, 0, false, VIRTIO_BLK_S_IOERR, 1);
	fake_disk.err[DISK_DISCARD] = -EOPNOTSUPP;
	ck_assert_int_eq(range(VIRTIO_BLK_T_DISCARD, 0, 1, 0), VIRTIO_BLK_S_UNSUPP);
	fake_disk.err[DISK_DISCARD] = -EIO;
	put_range(0, 0, 1, 0);
	put_range(1, 8, 1, 0);
	fake_disk.ops[DISK_DISCARD] = 0;
	expect(VIRTIO_BLK_T_DISCARD, 0, 32, false, VIRTIO_BLK_S_IOERR, 1);
	ck_assert_msg(fake_disk.ops[DISK_DISCARD] == 1, "a request ends where it failed");
	ck_assert_uint_eq(transport.resets_wanted, 0);
	ck_assert_msg(dev->errors == 4, "what the host does not support is no failure");
	memset(fake_disk.err, 0, sizeof(fake_disk.err));
	expect(VIRTIO_BLK_T_IN, 0, 512, true, VIRTIO_BLK_S_OK, 513);
	expect(VIRTIO_BLK_T_IN, SECTORS, 512, true, VIRTIO_BLK_S_IOERR, 0);
	ck_assert_msg(dev->errors == 4, "neither is what the guest got wrong");
}
END_TEST

START_TEST(completion_inside_submit)
{
	build(false);
	fake_disk.at_once = true;
	expect(VIRTIO_BLK_T_IN, 1, 512, true, VIRTIO_BLK_S_OK, 513);
	put_range(0, 0, 1, 0);
	put_range(1, 8, 1, 0);
	expect(VIRTIO_BLK_T_DISCARD, 0, 32, false, VIRTIO_BLK_S_OK, 1);
	fake_disk.err[DISK_WRITE] = -EIO;
	expect(VIRTIO_BLK_T_OUT, 1, 512, false, VIRTIO_BLK_S_IOERR, 1);
}
END_TEST

START_TEST(a_batch_is_one_interrupt)
{
	struct ring_seg seg[] = {{HDR, 16, false}, {DATA, 512, true}, {HDR + 16, 1, true}};
	uint32_t head, len;
	int n = 0;

	build(false);
	put_header(VIRTIO_BLK_T_IN, 0);
	fake_disk.hold = true;
	for (int i = 0; i < 8; i++)
		ring_offer(&drv[0], ring_chain(&drv[0], seg, 3));
	go(0);
	ck_assert_uint_eq(fake_disk.n, 8);
	fake_disk.hold = false;
	fake_run(&loop);
	while (ring_used(&drv[0], &head, &len))
		n++;
	ck_assert_int_eq(n, 8);
	ck_assert_uint_eq(transport.notified[0], 1);
}
END_TEST

/* More long requests than there are long vectors: some wait in the ring, all are answered, in whatever order.
 */
START_TEST(long_requests_take_turns)
{
	struct ring_seg seg[14];
	uint32_t head, len;
	unsigned want = 0, got = 0;

	build_num(false, 1, 1024);
	start(FEATS);
	put_header(VIRTIO_BLK_T_IN, 0);
	fake_disk.hold = true;
	seg[0] = (struct ring_seg){HDR, 16, false};
	for (unsigned i = 1; i < 13; i++)
		seg[i] = (struct ring_seg){DATA + 512 * i, 512, true};
	seg[13] = (struct ring_seg){HDR + 16, 1, true};
	for (; want < 100; want++)
		ring_offer(&drv[0], ring_chain_indirect(&drv[0], seg, 0, 14, TABLE));
	go(0);
	ck_assert_uint_eq(fake_disk.n, 64);
	fake_run(&loop);
	for (unsigned i = 0; fake_disk.n; i++) {
		fake_disk_complete(i * 7 % fake_disk.n, 0);
		fake_run(&loop);
		while (ring_used(&drv[0], &head, &len)) {
			ck_assert_uint_eq(len, 12 * 512 + 1);
			got++;
		}
	}
	ck_assert_uint_eq(got, want);
	ck_assert_uint_eq(transport.resets_wanted, 0);
}
END_TEST

START_TEST(reset_with_io_in_flight)
{
	struct ring_seg seg[] = {{HDR, 16, false}, {DATA, 512, true}, {HDR + 16, 1, true}};
	uint8_t rings[RING_SPACE(NUM)];

	build(false);
	write_wce(0);
	put_header(VIRTIO_BLK_T_IN, 0);
	fake_disk.hold = true;
	for (int i = 0; i < 3; i++)
		ring_offer(&drv[0], ring_chain(&drv[0], seg, 3));
	go(0);
	put_header(VIRTIO_BLK_T_OUT, 0);
	seg[1].write = false;
	ring_offer(&drv[0], ring_chain(&drv[0], seg, 3));
	go(0);
	ck_assert_uint_eq(fake_disk.n, 4);
	ck_assert(!reset());
	fake_run(&loop);
	memset(drv[0].desc, 0x3c, sizeof(rings)); /* the driver's rings and headers are something else now */
	memcpy(rings, drv[0].desc, sizeof(rings));
	memset(at(HDR), 0x3c, 17);
	for (int i = 0; i < 4; i++) {
		ck_assert_msg(!done.fired, "not before the last one");
		fake_disk_complete(0, i == 1 ? -EIO : 0);
		fake_run(&loop);
	}
	ck_assert_uint_eq(done.fired, 1);
	ck_assert_msg(fake_disk.n == 0, "the write is not followed by a flush: nobody waits for it");
	ck_assert_mem_eq(rings, drv[0].desc, sizeof(rings));
	ck_assert_uint_eq(*(uint8_t *)at(HDR + 16), 0x3c);
	ck_assert_uint_eq(transport.notified[0], 0);
	fake_disk.hold = false;
	start(FEATS);
	expect(VIRTIO_BLK_T_IN, 0, 512, true, VIRTIO_BLK_S_OK, 513);
}
END_TEST

START_TEST(queues_share_the_disk)
{
	struct ring_seg seg[] = {{HDR, 16, false}, {DATA, 512, true}, {HDR + 16, 1, true}};
	int head[2];

	build_num(false, 2, NUM);
	start(FEATS | F(MQ));
	put_header(VIRTIO_BLK_T_IN, 0);
	for (unsigned q = 0; q < 2; q++)
		ring_offer(&drv[q], head[q] = ring_chain(&drv[q], seg, 3));
	fake_submit(dev, 1, &drv[1]);
	go(0);
	for (unsigned q = 0; q < 2; q++) {
		ck_assert_uint_eq(used_len(q, head[q]), 513);
		ck_assert_uint_eq(transport.notified[q], 1);
	}
}
END_TEST

UNIT_MAIN("blk_life", host_errors, completion_inside_submit, a_batch_is_one_interrupt,
	long_requests_take_turns, reset_with_io_in_flight, queues_share_the_disk)
