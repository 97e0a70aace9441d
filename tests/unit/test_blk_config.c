// SPDX-License-Identifier: Apache-2.0
/* virtio-blk's configuration space, and its one field that a driver writes: whether writes are stable when they end. */
#include "tests/unit/blk_unit.h"

START_TEST(writes_are_stable_without_writeback)
{
	build(false);
	ck_assert_uint_eq(wce(), 1);
	write_wce(0);
	ck_assert_uint_eq(wce(), 0);
	fake_disk.hold = true;
	put_header(VIRTIO_BLK_T_OUT, 0);
	struct ring_seg seg[] = {{HDR, 16, false}, {DATA, 512, false}, {HDR + 16, 1, true}};
	int head = ring_chain(&drv[0], seg, 3);
	uint32_t h, len;

	ring_offer(&drv[0], head);
	go(0);
	ck_assert_uint_eq(fake_disk.ops[DISK_FLUSH], 0);
	fake_disk_complete(0, 0);
	fake_run(&loop);
	ck_assert_uint_eq(fake_disk.ops[DISK_FLUSH], 1);
	ck_assert_msg(!ring_used(&drv[0], &h, &len), "not complete before it is stable");
	fake_disk_complete(0, 0);
	fake_run(&loop);
	ck_assert_uint_eq(used_len(0, head), 1);
	fake_disk.hold = false;
	ck_assert_int_eq(range(VIRTIO_BLK_T_WRITE_ZEROES, 0, 1, 0), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(fake_disk.ops[DISK_FLUSH], 2);
	expect(VIRTIO_BLK_T_IN, 0, 512, true, VIRTIO_BLK_S_OK, 513);
	ck_assert_uint_eq(fake_disk.ops[DISK_FLUSH], 2);
	fake_disk.err[DISK_FLUSH] = -EIO;
	expect(VIRTIO_BLK_T_OUT, 0, 512, false, VIRTIO_BLK_S_IOERR, 1);
	fake_disk.err[DISK_FLUSH] = 0;
	write_wce(1);
	expect(VIRTIO_BLK_T_OUT, 0, 512, false, VIRTIO_BLK_S_OK, 1);
	ck_assert_uint_eq(fake_disk.ops[DISK_FLUSH], 3);
}
END_TEST

START_TEST(writes_are_stable_when_flush_was_not_negotiated)
{
	build_num(false, 1, NUM);
	ck_assert(dev->offered & F(FLUSH) && dev->offered & F(CONFIG_WCE));
	start(RING_FEATURES | F(CONFIG_WCE));
	ck_assert_uint_eq(wce(), 0);
	expect(VIRTIO_BLK_T_OUT, 0, 512, false, VIRTIO_BLK_S_OK, 1);
	ck_assert_uint_eq(fake_disk.ops[DISK_FLUSH], 1);
	write_wce(1);
	ck_assert_uint_eq(wce(), 0);
	expect(VIRTIO_BLK_T_OUT, 0, 512, false, VIRTIO_BLK_S_OK, 1);
	ck_assert_uint_eq(fake_disk.ops[DISK_FLUSH], 2);
	reset();
	fake_run(&loop);
	ck_assert_uint_eq(done.fired, 1);
	ck_assert_uint_eq(wce(), 1);
}
END_TEST

START_TEST(other_config_bytes_are_read_only)
{
	uint8_t before[64], junk[60];

	build(false);
	memset(junk, 0xff, sizeof(junk));
	memcpy(before, dev->config, sizeof(before));
	for (unsigned off = 0; off < dev->config_len; off++)
		for (unsigned len = 1; len <= 8 && off + len <= dev->config_len; len++)
			dev->ops->write_config(dev, off, junk, len);
	ck_assert_mem_eq(before, dev->config, sizeof(before)); /* writeback was 1 and is */
	memset(junk, 0, sizeof(junk));
	dev->ops->write_config(dev, 28, junk, 8); /* an access that covers writeback */
	ck_assert_uint_eq(wce(), 0);
}
END_TEST

START_TEST(config_space)
{
	const struct virtio_blk_config *c;

	build_num(false, 4, 256);
	c = (void *)dev->config;
	ck_assert_uint_eq(dev->config_len, 60);
	ck_assert_uint_eq(c->capacity, SECTORS);
	ck_assert_uint_eq(c->seg_max, 254);
	ck_assert_uint_eq(c->blk_size, 512);
	ck_assert_uint_eq(c->physical_block_exp, 3);
	ck_assert_uint_eq(c->min_io_size, 8);
	ck_assert_uint_eq(c->opt_io_size, 128);
	ck_assert_uint_eq(c->alignment_offset, 0);
	ck_assert_uint_eq(c->wce, 1);
	ck_assert_uint_eq(c->num_queues, 4);
	ck_assert_uint_gt(c->max_discard_sectors, 0);
	ck_assert_uint_eq(c->discard_sector_alignment, 1);
	ck_assert_uint_gt(c->max_write_zeroes_seg, 0);
	ck_assert_uint_eq(c->write_zeroes_may_unmap, 1);
	ck_assert(dev->offered & F(MQ) && dev->offered & F(SEG_MAX) && dev->offered & F(BLK_SIZE));
	ck_assert(!(
		dev->offered & (F(RO) | F(SIZE_MAX) | F(GEOMETRY) | F(SECURE_ERASE) | F(SCSI) | F(BARRIER))));
	dev->ops->destroy(dev);
	ck_assert_uint_eq(fake_disk.closed, 1);
	build_num(true, 1, 256);
	ck_assert(!(dev->offered & F(MQ)) && dev->offered & F(RO));
	dev->ops->destroy(dev);
}
END_TEST

UNIT_MAIN("blk_config", writes_are_stable_without_writeback, writes_are_stable_when_flush_was_not_negotiated,
	other_config_bytes_are_read_only, config_space)
