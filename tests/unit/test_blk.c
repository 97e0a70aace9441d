// SPDX-License-Identifier: Apache-2.0
/* virtio-blk over a disk in memory: what requests may look like, what they answer, what they leave alone. */
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

static void *at(uint64_t gpa)
{
	return ram + (gpa - RAM);
}

static void build_num(bool ro, unsigned queues, uint16_t num)
{
	struct disk_config cfg = {.queues = queues, .queue_size = num};

	if (!ram)
		ram = unit_ram(&mem, RAM, RAM_SIZE);
	memset(&loop, 0, sizeof(loop));
	ck_assert_int_eq(
		virtio_blk_create(&dev, "disk0", &mem, &loop, fake_disk_new(&loop, SIZE, ro), &cfg), 0);
	fake_plug(&transport, dev);
}

static void start(uint64_t features)
{
	for (unsigned i = 0; i < dev->nvq; i++)
		ring_init(&drv[i], &mem, RAM + 0x10000 * i, dev->queue_max, 0, features);
	fake_driver_ok(dev, drv, dev->nvq, features);
	fake_run(&loop);
}

static void build(bool ro)
{
	build_num(ro, 1, NUM);
	start(FEATS & dev->offered);
}

static void put_header(uint32_t type, uint64_t sector)
{
	*(struct virtio_blk_outhdr *)at(HDR) = (struct virtio_blk_outhdr){.type = type, .sector = sector};
}

static void go(unsigned q)
{
	fake_submit(dev, q, &drv[q]);
	fake_run(&loop);
}

/* One used chain, which is to be the only one; returns its length. */
static uint32_t used_len(unsigned q, int head)
{
	uint32_t h, len;

	ck_assert_msg(ring_used(&drv[q], &h, &len), "the chain was used");
	ck_assert_uint_eq(h, head);
	ck_assert(!ring_used(&drv[q], &h, &len));
	return len;
}

/* A request as drivers frame it: header, data, status. Returns the status; *len: used.len. */
static int request(uint32_t type, uint64_t sector, uint32_t data, bool in, uint32_t *len)
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

static unsigned disk_ops(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i <= DISK_ZERO_UNMAP; i++)
		n += fake_disk.ops[i];
	return n;
}

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

static void put_range(unsigned i, uint64_t sector, uint32_t sectors, uint32_t flags)
{
	((struct virtio_blk_discard_write_zeroes *)at(DATA))[i] = (struct virtio_blk_discard_write_zeroes){
		.sector = sector, .num_sectors = sectors, .flags = flags};
}

static int range(uint32_t type, uint64_t sector, uint32_t sectors, uint32_t flags)
{
	uint32_t len;
	int status;

	put_range(0, sector, sectors, flags);
	status = request(type, 0, 16, false, &len);
	ck_assert_uint_eq(len, 1);
	return status;
}

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

static void write_wce(uint8_t v)
{
	dev->ops->write_config(dev, offsetof(struct virtio_blk_config, wce), &v, 1);
}

static uint8_t wce(void)
{
	return dev->config[offsetof(struct virtio_blk_config, wce)];
}

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
	fake_reset(dev, &done);
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
	ck_assert(!fake_reset(dev, &done));
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

UNIT_MAIN("blk", reads_and_writes, a_queue_too_small_for_data, no_framing_is_assumed,
	ranges_are_checked_over_the_whole_request, odd_lengths_fail, a_failed_read_claims_no_bytes, read_only,
	unknown_types, get_id, discard, write_zeroes, ranges_come_in_numbers, ranges_need_their_feature,
	malformed_chains_are_answered, q10_huge_length_on_a_tiny_disk, host_errors, completion_inside_submit,
	writes_are_stable_without_writeback, writes_are_stable_when_flush_was_not_negotiated,
	other_config_bytes_are_read_only, config_space, a_batch_is_one_interrupt, long_requests_take_turns,
	reset_with_io_in_flight, queues_share_the_disk)
