// SPDX-License-Identifier: Apache-2.0
/* The short way to take a request (virtq_pop_request()) beside the long one (virtq_pop()): they never
 * disagree. */
#include <errno.h>

#include "tests/unit/ring_driver.h"
#include "tests/unit/unit.h"

#define RAM	 0x100000ULL
#define RAM_SIZE 0x100000ULL
#define HIGH	 0x400000ULL /* a second region */
#define RINGS	 (RAM + 0x1000)
#define TABLE	 (RAM + 0x40000)
#define DATA	 (RAM + 0x80000)
#define NUM	 8
#define HDR	 16

static struct guest_mem mem;
static struct virtq vq, twin;
static struct ring_driver drv;
static struct iovec iov[NUM];
static struct virtq_chain chain;

static void begin(uint64_t features)
{
	if (!mem.n) {
		unit_ram(&mem, RAM, RAM_SIZE);
		unit_ram(&mem, HIGH, RAM_SIZE);
	}
	memset(&vq, 0, sizeof(vq));
	ring_init(&drv, &mem, RINGS, NUM, 0, features);
	ck_assert_int_eq(virtq_start(&vq, &mem, &drv.cfg, features), 0);
	chain = (struct virtq_chain){.iov = iov, .cap = NUM};
}

/* As the long way found it, too. */
static void expect_same(const struct virtq_request *r)
{
	const struct iovec *last = &iov[chain.nread + chain.nwrite - 1];

	ck_assert_uint_eq(chain.head, r->head);
	ck_assert_uint_eq(chain.nread, r->write ? 1 : 2);
	ck_assert_uint_eq(chain.nwrite, r->write ? 2 : 1);
	ck_assert(iov[0].iov_base == r->first && iov[0].iov_len == HDR);
	ck_assert(iov[1].iov_base == r->data.iov_base && iov[1].iov_len == r->data.iov_len);
	ck_assert(last->iov_base == r->last && last->iov_len == 1);
	ck_assert_uint_eq(vq.last_avail, twin.last_avail);
	ck_assert_mem_eq(vq.busy, twin.busy, sizeof(vq.busy));
}

/* Both ways, each on a queue of its own. Returns what the short one did. */
static int both_ways(void)
{
	struct virtq before = vq;
	struct virtq_request r;
	int quick, slow;

	twin = vq;
	slow = virtq_pop(&twin, &chain);
	quick = virtq_pop_request(&vq, HDR, &r);
	if (quick == 1) {
		ck_assert_int_eq(slow, 1);
		expect_same(&r);
	} else if (quick == -EAGAIN) {
		ck_assert_uint_eq(vq.last_avail, before.last_avail);
		ck_assert_mem_eq(vq.busy, before.busy, sizeof(vq.busy));
		ck_assert(!vq.broken && slow != 0);
	} else {
		ck_assert_int_eq(slow, quick);
		ck_assert(vq.broken == twin.broken);
	}
	return quick;
}

START_TEST(the_usual_request)
{
	for (unsigned write = 0; write < 2; write++) {
		const struct ring_seg seg[] = {
			{DATA, HDR, false}, {HIGH + 0x1000, 4096, write}, {DATA + 0x100, 1, true}};

		begin(RING_FEATURES);
		ck_assert_int_eq(both_ways(), 0);
		ring_offer(&drv, ring_chain(&drv, seg, 3));
		ring_publish(&drv);
		ck_assert_int_eq(both_ways(), 1);
		ck_assert_int_eq(both_ways(), 0);
		ring_offer(&drv, ring_chain_indirect(&drv, seg, 0, 3, TABLE));
		ring_publish(&drv);
		ck_assert_int_eq(both_ways(), 1);
		ring_offer(&drv, ring_chain_indirect(&drv, seg, 1, 3, TABLE));
		ring_publish(&drv);
		ck_assert_msg(both_ways() == -EAGAIN, "a table behind a descriptor of the ring");
		ring_store16(drv.avail + 2, 100);
		vq.avail_idx = vq.last_avail;
		ck_assert_int_eq(both_ways(), -EPROTO);
		ck_assert_int_eq(both_ways(), -EPROTO);
	}
}
END_TEST

static uint64_t seed = 0x9e3779b97f4a7c15u;

static unsigned any(unsigned n)
{
	return (unit_dice(&seed) >> 20) % n;
}

/* A descriptor of the usual request, or with something else in one of its fields. */
static void put(uint8_t *table, unsigned i, unsigned at, unsigned n)
{
	static const uint32_t lens[] = {0, 1, HDR, HDR + 1, 512, 0xffffffff};
	static const uint64_t addrs[] = {
		RAM, RAM + RAM_SIZE - 1, RAM + RAM_SIZE - HDR, RAM - 1, HIGH + 64, HIGH + RAM_SIZE, 0, ~0ull};
	uint64_t addr = any(2) ? DATA + 64 * i : HIGH + 64 * i;
	uint32_t len = at == 0 ? HDR : at == 1 ? 512 : 1;
	uint16_t flags = at == 0 ? 1 : at == 1 ? 1 | 2 * any(2) : 2, next = (i + 1) % n;

	switch (any(12)) {
	case 0:
		addr = addrs[any(8)];
		break;
	case 1:
		len = lens[any(6)];
		break;
	case 2:
		flags = any(8);
		break;
	case 3:
		next = any(n + 2);
		break;
	}
	ring_desc_put(table, i, addr, len, flags, next);
}

START_TEST(whatever_a_driver_writes)
{
	unsigned taken[2] = {0}, refused = 0, left = 0;

	for (unsigned round = 0; round < 20000; round++) {
		bool indirect = any(2);
		uint8_t *table;
		unsigned size = any(4) ? 3 : any(6);

		begin(any(8) ? RING_FEATURES : RING_FEATURES & ~(1ull << VIRTIO_RING_F_INDIRECT_DESC));
		table = mem_at(&mem, TABLE, 16 * NUM);
		for (unsigned i = 0; i < NUM; i++)
			put(indirect ? table : drv.desc, i, i, NUM);
		if (indirect)
			ring_desc_put(drv.desc, 0, any(16) ? TABLE : RAM - 16, 16 * size + !any(16),
				4 | 2 * any(2) | !any(16), any(NUM));
		if (!any(16))
			vq.busy[0] = 1;
		ring_offer(&drv, any(16) ? 0 : any(NUM + 2));
		ring_publish(&drv);
		switch (both_ways()) {
		case 1:
			taken[indirect]++;
			break;
		case -EAGAIN:
			refused += twin.broken;
			left += !twin.broken;
			break;
		default:
			ck_abort_msg("one chain was there");
		}
	}
	ck_assert_msg(taken[0] > 1000 && taken[1] > 1000 && refused > 1000 && left > 500, "%u %u %u %u",
		taken[0], taken[1], refused, left);
}
END_TEST

UNIT_MAIN("virtq_request", the_usual_request, whatever_a_driver_writes)
