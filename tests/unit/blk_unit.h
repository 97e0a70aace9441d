/* SPDX-License-Identifier: Apache-2.0 */
/* virtio-blk over a disk in memory, and requests as a driver frames them. Included by one .c file of a test program. */
#ifndef PINVM_TESTS_BLK_UNIT_H
#define PINVM_TESTS_BLK_UNIT_H

#include <errno.h>
#include <linux/virtio_blk.h>

#include "devices/virtio/devs.h"
#include "tests/unit/fake_disk.h"
#include "tests/unit/fake_virtio.h"
#include "tests/unit/unit.h"

#define RAM	 0x100000ULL
#define RAM_SIZE 0x400000ULL
#define HDR	 (RAM + 0x40000)
#define TABLE	 (RAM + 0x60000)
#define DATA	 (RAM + 0x80000)
#define NUM	 32
#define SECTORS	 64
#define SIZE	 (SECTORS * 512ULL)
#define F(bit)	 (1ULL << VIRTIO_BLK_F_##bit)
#define FEATS	 (RING_FEATURES | RING_EVENT_IDX | F(FLUSH) | F(CONFIG_WCE) | F(DISCARD) | F(WRITE_ZEROES))

static struct guest_mem mem;
static uint8_t *ram;
static struct loop loop;
static struct virtio_dev *dev;
static struct fake_transport transport;
static struct ring_driver drv[2];
static struct fake_done done;

static inline void *at(uint64_t gpa)
{
	return ram + (gpa - RAM);
}

static inline void build_num(bool ro, unsigned queues, uint16_t num)
{
	struct disk_config cfg = {.queues = queues, .queue_size = num};

	if (!ram)
		ram = unit_ram(&mem, RAM, RAM_SIZE);
	memset(&loop, 0, sizeof(loop));
	ck_assert_int_eq(
		virtio_blk_create(&dev, "disk0", &mem, &loop, fake_disk_new(&loop, SIZE, ro), &cfg), 0);
	fake_plug(&transport, dev);
}

static inline void start(uint64_t features)
{
	for (unsigned i = 0; i < dev->nvq; i++)
		ring_init(&drv[i], &mem, RAM + 0x10000 * i, dev->queue_max, 0, features);
	fake_driver_ok(dev, drv, dev->nvq, features);
	fake_run(&loop);
}

static inline void build(bool ro)
{
	build_num(ro, 1, NUM);
	start(FEATS & dev->offered);
}

static inline void put_header(uint32_t type, uint64_t sector)
{
	*(struct virtio_blk_outhdr *)at(HDR) = (struct virtio_blk_outhdr){.type = type, .sector = sector};
}

static inline void go(unsigned q)
{
	fake_submit(dev, q, &drv[q]);
	fake_run(&loop);
}

/* False: it goes on, and `done` fires at its end. */
static inline bool reset(void)
{
	return fake_reset(dev, &done);
}

/* One used chain, which is to be the only one; returns its length. */
static inline uint32_t used_len(unsigned q, int head)
{
	uint32_t h, len;

	ck_assert_msg(ring_used(&drv[q], &h, &len), "the chain was used");
	ck_assert_uint_eq(h, head);
	ck_assert(!ring_used(&drv[q], &h, &len));
	return len;
}

/* A request as drivers frame it: header, data, status. Returns the status; *len: used.len. */
static inline int request(uint32_t type, uint64_t sector, uint32_t data, bool in, uint32_t *len)
{
	struct ring_seg seg[] = {{HDR, 16, false}, {DATA, data, in}, {HDR + 16, 1, true}};
	uint8_t *status = at(HDR + 16);
	int head;

	if (!data)
		seg[1] = seg[2];
	put_header(type, sector);
	*status = 0x77;
	head = ring_chain(&drv[0], seg, data ? 3 : 2);
	ring_offer(&drv[0], head);
	go(0);
	*len = used_len(0, head);
	return *status;
}

#define expect(type, sector, data, in, want_status, want_len)                          \
	do {                                                                           \
		uint32_t len_;                                                         \
		ck_assert_int_eq(request(type, sector, data, in, &len_), want_status); \
		ck_assert_uint_eq(len_, want_len);                                     \
	} while (0)

static inline unsigned disk_ops(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i <= DISK_ZERO_UNMAP; i++)
		n += fake_disk.ops[i];
	return n;
}

static inline void put_range(unsigned i, uint64_t sector, uint32_t sectors, uint32_t flags)
{
	((struct virtio_blk_discard_write_zeroes *)at(DATA))[i] = (struct virtio_blk_discard_write_zeroes){
		.sector = sector, .num_sectors = sectors, .flags = flags};
}

static inline int range(uint32_t type, uint64_t sector, uint32_t sectors, uint32_t flags)
{
	uint32_t len;
	int status;

	put_range(0, sector, sectors, flags);
	status = request(type, 0, 16, false, &len);
	ck_assert_uint_eq(len, 1);
	return status;
}

static inline void write_wce(uint8_t v)
{
	dev->ops->write_config(dev, offsetof(struct virtio_blk_config, wce), &v, 1);
}

static inline uint8_t wce(void)
{
	return dev->config[offsetof(struct virtio_blk_config, wce)];
}

#endif
