// SPDX-License-Identifier: Apache-2.0
/*
 * The split virtqueue against drivers that keep the rules and drivers that do not. Tests named qNN are the
 * queue cases of the list of bugs others had; test_virtq_race.c has those that need a second thread.
 */
#include <errno.h>

#include "tests/unit/ring_driver.h"
#include "tests/unit/unit.h"

#define RAM	 0x100000ULL
#define RAM_SIZE 0x100000ULL
#define RINGS	 (RAM + 0x1000)
#define TABLE	 (RAM + 0x40000)
#define DATA	 (RAM + 0x80000)
#define NUM	 8

static struct guest_mem mem;
static uint8_t *ram;
static struct virtq vq;
static struct ring_driver drv;
static struct iovec iov[VIRTQ_MAX_SIZE];
static struct virtq_chain chain;

static void begin(uint16_t num, uint16_t base, uint64_t features)
{
	if (!ram)
		ram = unit_ram(&mem, RAM, RAM_SIZE);
	memset(&vq, 0, sizeof(vq));
	ring_init(&drv, &mem, RINGS, num, base, features);
	ck_assert_int_eq(virtq_start(&vq, &mem, &drv.cfg, features), 0);
	chain = (struct virtq_chain){.iov = iov, .cap = num};
}

static void desc(unsigned i, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
	ring_desc_put(drv.desc, i, addr, len, flags, next);
}

/* A rule was broken: said once and for ever, the used ring untouched, no interrupt. */
static void expect_broken(void)
{
	ck_assert_int_eq(virtq_pop(&vq, &chain), -EPROTO);
	ck_assert_int_eq(virtq_pop(&vq, &chain), -EPROTO);
	ck_assert_uint_eq(virtq_inflight(&vq), 0);
	ck_assert(!virtq_flush(&vq));
	ck_assert_msg(virtq_sleep(&vq), "a broken queue has no more work");
	ck_assert_uint_eq(ring_load16(drv.used + 2), drv.cfg.base);
}

/* Offer the chain that the descriptors from `head` on make, in a ring started afresh by begin(). */
static void offer(uint16_t head)
{
	ring_offer(&drv, head);
	ring_publish(&drv);
}

#define BROKEN_CHAIN(...)                     \
	do {                                  \
		begin(NUM, 0, RING_FEATURES); \
		__VA_ARGS__;                  \
		offer(0);                     \
		expect_broken();              \
	} while (0)

START_TEST(takes_and_returns)
{
	struct ring_seg seg[] = {{DATA, 16, false}, {DATA + 0x100, 512, true}, {DATA + 0x800, 1, true}};
	uint32_t head, len;
	int h;

	begin(NUM, 0, RING_FEATURES);
	ck_assert_int_eq(virtq_pop(&vq, &chain), 0);
	h = ring_add(&drv, seg, 3);
	ck_assert_int_eq(virtq_pop(&vq, &chain), 1);
	ck_assert_int_eq(chain.head, h);
	ck_assert_uint_eq(chain.nread, 1);
	ck_assert_uint_eq(chain.nwrite, 2);
	ck_assert_uint_eq(chain.read_len, 16);
	ck_assert_uint_eq(chain.write_len, 513);
	ck_assert_ptr_eq(iov[0].iov_base, ram + (DATA - RAM));
	ck_assert_ptr_eq(iov[2].iov_base, ram + (DATA - RAM) + 0x800);
	ck_assert_uint_eq(virtq_inflight(&vq), 1);
	virtq_push(&vq, chain.head, 513);
	ck_assert_msg(!ring_used(&drv, &head, &len), "nothing is visible before the flush");
	ck_assert(virtq_flush(&vq));
	ck_assert(!virtq_flush(&vq));
	ck_assert(ring_used(&drv, &head, &len));
	ck_assert_uint_eq(head, h);
	ck_assert_uint_eq(len, 513);
	ck_assert_uint_eq(virtq_inflight(&vq), 0);
	ck_assert_uint_eq(virtq_stop(&vq), 1);
}
END_TEST

START_TEST(q01_avail_ahead_by_more_than_the_ring)
{
	begin(NUM, 0, RING_FEATURES);
	ring_store16(drv.avail + 2, NUM + 1);
	expect_broken();
	begin(NUM, 0, RING_FEATURES);
	ring_store16(drv.avail + 2, 0xffff); /* behind is far ahead */
	expect_broken();
	begin(NUM, 65530, RING_FEATURES);
	ring_store16(drv.avail + 2, (uint16_t)(65530 + NUM + 1));
	expect_broken();
}
END_TEST

START_TEST(q02_head_and_next_out_of_range)
{
	begin(NUM, 0, RING_FEATURES);
	offer(NUM);
	expect_broken();
	begin(NUM, 0, RING_FEATURES);
	offer(0xffff);
	expect_broken();
	BROKEN_CHAIN(desc(0, DATA, 1, VRING_DESC_F_NEXT, NUM));
	BROKEN_CHAIN(desc(0, DATA, 1, VRING_DESC_F_NEXT, 0xffff));
}
END_TEST

START_TEST(q02_cycles_and_chains_longer_than_the_ring)
{
	BROKEN_CHAIN(desc(0, DATA, 1, VRING_DESC_F_NEXT, 0));
	BROKEN_CHAIN(desc(0, DATA, 1, VRING_DESC_F_NEXT, 1), desc(1, DATA, 1, VRING_DESC_F_NEXT, 0));
	BROKEN_CHAIN(desc(0, DATA, 0, VRING_DESC_F_NEXT, 0)); /* of empty segments: they count */
	begin(NUM, 0, RING_FEATURES);
	for (unsigned i = 0; i < NUM; i++) /* exactly as long as the ring */
		desc(i, DATA + i, 1, i + 1 < NUM ? VRING_DESC_F_NEXT : 0, i + 1);
	offer(0);
	ck_assert_int_eq(virtq_pop(&vq, &chain), 1);
	ck_assert_uint_eq(chain.nread, NUM);
}
END_TEST

START_TEST(q02_indirect_cycle_and_long_table)
{
	uint8_t *t;

	begin(NUM, 0, RING_FEATURES);
	t = mem_at(&mem, TABLE, 4096);
	BROKEN_CHAIN(desc(0, TABLE, 32, VRING_DESC_F_INDIRECT, 0),
		ring_desc_put(t, 0, DATA, 1, VRING_DESC_F_NEXT, 1),
		ring_desc_put(t, 1, DATA, 1, VRING_DESC_F_NEXT, 0));
	BROKEN_CHAIN(desc(0, TABLE, 32, VRING_DESC_F_INDIRECT, 0),
		ring_desc_put(t, 0, DATA, 1, VRING_DESC_F_NEXT, 2),
		ring_desc_put(t, 2, DATA, 1, 0, 0)); /* next is outside the table */
	for (unsigned i = 0; i <= NUM; i++)
		ring_desc_put(t, i, DATA, 1, i < NUM ? VRING_DESC_F_NEXT : 0, i + 1);
	BROKEN_CHAIN(desc(0, TABLE, 16 * (NUM + 1), VRING_DESC_F_INDIRECT, 0));
}
END_TEST

START_TEST(q03_indirect_malformed)
{
	uint8_t *t;

	begin(NUM, 0, RING_FEATURES);
	t = mem_at(&mem, TABLE, 4096);
	ring_desc_put(t, 0, DATA, 4, 0, 0);
	BROKEN_CHAIN(desc(0, TABLE, 0, VRING_DESC_F_INDIRECT, 0));
	BROKEN_CHAIN(desc(0, TABLE, 15, VRING_DESC_F_INDIRECT, 0));
	BROKEN_CHAIN(desc(0, TABLE, 17, VRING_DESC_F_INDIRECT, 0));
	BROKEN_CHAIN(desc(0, TABLE, 0xfffffff0, VRING_DESC_F_INDIRECT, 0));
	BROKEN_CHAIN(desc(0, TABLE, 16 * 65537, VRING_DESC_F_INDIRECT, 0));
	BROKEN_CHAIN(
		desc(0, TABLE, 16, VRING_DESC_F_INDIRECT | VRING_DESC_F_NEXT, 1), desc(1, DATA, 4, 0, 0));
	BROKEN_CHAIN(desc(0, RAM + RAM_SIZE - 16, 32, VRING_DESC_F_INDIRECT, 0));
	BROKEN_CHAIN(desc(0, UINT64_MAX - 15, 16, VRING_DESC_F_INDIRECT, 0));
	BROKEN_CHAIN(desc(0, RAM - 16, 16, VRING_DESC_F_INDIRECT, 0));
	ring_desc_put(t, 0, TABLE + 16, 16, VRING_DESC_F_INDIRECT, 0); /* nested */
	ring_desc_put(t, 1, DATA, 4, 0, 0);
	BROKEN_CHAIN(desc(0, TABLE, 16, VRING_DESC_F_INDIRECT, 0));
	begin(NUM, 0, RING_FEATURES);
	BROKEN_CHAIN(desc(
		0, RINGS, 16, VRING_DESC_F_INDIRECT, 0)); /* the ring's own table, which leads to itself */
}
END_TEST

START_TEST(q03_indirect_not_negotiated)
{
	begin(NUM, 0, 1ULL << VIRTIO_F_VERSION_1);
	ring_desc_put(mem_at(&mem, TABLE, 16), 0, DATA, 4, 0, 0);
	desc(0, TABLE, 16, VRING_DESC_F_INDIRECT, 0);
	offer(0);
	expect_broken();
}
END_TEST

START_TEST(q03_indirect_legal)
{
	struct ring_seg seg[] = {
		{DATA, 4, false}, {DATA + 8, 4, false}, {DATA + 16, 4, true}, {DATA + 32, 4, true}};
	uint64_t at[] = {TABLE, TABLE + 1, TABLE + 2, TABLE + 4, TABLE + 8, RAM + RAM_SIZE - 16 * 4};

	for (unsigned i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		for (unsigned direct = 0; direct < 4; direct++) {
			begin(NUM, 0, RING_FEATURES);
			offer(ring_chain_indirect(&drv, seg, direct, 4, at[i]));
			ck_assert_int_eq(virtq_pop(&vq, &chain), 1);
			ck_assert_uint_eq(chain.nread, 2);
			ck_assert_uint_eq(chain.nwrite, 2);
			ck_assert_ptr_eq(iov[3].iov_base, ram + (DATA - RAM) + 32);
		}
	}
}
END_TEST

START_TEST(indirect_write_flag_is_ignored)
{
	begin(NUM, 0, RING_FEATURES);
	ring_desc_put(mem_at(&mem, TABLE, 16), 0, DATA, 4, 0, 0);
	desc(0, DATA, 1, VRING_DESC_F_NEXT, 1);
	desc(1, TABLE, 16, VRING_DESC_F_INDIRECT | VRING_DESC_F_WRITE, 0);
	offer(0);
	ck_assert_int_eq(virtq_pop(&vq, &chain), 1);
	ck_assert_uint_eq(chain.nread, 2);
	ck_assert_uint_eq(chain.nwrite, 0);
}
END_TEST

START_TEST(q04_same_head_twice_in_flight)
{
	begin(NUM, 0, RING_FEATURES);
	desc(3, DATA, 4, 0, 0);
	offer(3);
	ck_assert_int_eq(virtq_pop(&vq, &chain), 1);
	offer(3);
	ck_assert_int_eq(virtq_pop(&vq, &chain), -EPROTO);
	ck_assert_uint_eq(virtq_inflight(&vq), 1);
	virtq_push(&vq, 3, 0); /* the request that was in flight ends, and touches no ring */
	ck_assert_uint_eq(virtq_inflight(&vq), 0);
	ck_assert(!virtq_flush(&vq));
	ck_assert_uint_eq(ring_load16(drv.used + 2), 0);

	begin(NUM, 0, RING_FEATURES);
	desc(3, DATA, 4, 0, 0);
	for (int i = 0; i < 3; i++) { /* returned in between: legal */
		offer(3);
		ck_assert_int_eq(virtq_pop(&vq, &chain), 1);
		virtq_push(&vq, 3, 0);
		virtq_flush(&vq);
	}
}
END_TEST

START_TEST(q05_settings_are_frozen)
{
	struct ring_seg seg = {DATA, 4, false};

	begin(NUM, 0, RING_FEATURES);
	ring_add(&drv, &seg, 1);
	drv.cfg.num = 1024;
	drv.cfg.desc = drv.cfg.avail = drv.cfg.used = UINT64_MAX;
	ck_assert_int_eq(virtq_pop(&vq, &chain), 1);
	ck_assert_int_eq(virtq_pop(&vq, &chain), 0);
	ck_assert_ptr_eq(iov[0].iov_base, ram + (DATA - RAM));
}
END_TEST

static void refuse(uint16_t num, uint64_t d, uint64_t a, uint64_t u)
{
	struct virtq_cfg cfg = {.num = num, .ready = true, .desc = d, .avail = a, .used = u};
	struct virtq q = {0};

	ck_assert_int_eq(virtq_start(&q, &mem, &cfg, RING_FEATURES | RING_EVENT_IDX), -EINVAL);
	ck_assert_int_eq(virtq_pop(&q, &chain), 0);
	ck_assert(virtq_sleep(&q));
}

START_TEST(q06_sizes_and_addresses_refused)
{
	const uint64_t d = RAM, a = RAM + 0x8000, u = RAM + 0x10000, end = RAM + RAM_SIZE;

	begin(NUM, 0, RING_FEATURES);
	refuse(0, d, a, u);
	refuse(3, d, a, u);
	refuse(NUM + 1, d, a, u);
	refuse(2 * VIRTQ_MAX_SIZE, d, a, u);
	refuse(0x8000, d, a, u);
	refuse(NUM, d + 8, a, u);
	refuse(NUM, d, a + 1, u);
	refuse(NUM, d, a, u + 2);
	refuse(NUM, 0, a, u);
	refuse(NUM, d, 0, u);
	refuse(NUM, d, a, 0);
	refuse(NUM, end - 16 * NUM + 16, a, u);
	refuse(NUM, d, end - (6 + 2 * NUM) + 2, u);
	refuse(NUM, d, a, end - (6 + 8 * NUM) + 2);
	refuse(NUM, UINT64_MAX - 15, a, u);
	refuse(NUM, d, UINT64_MAX - 1, u);
	refuse(NUM, d, a, UINT64_MAX - 3);
	unit_ram(&mem, end, 0x1000); /* touching is not enough: not one region */
	refuse(NUM, end - 16, a, u);
}
END_TEST

START_TEST(q06_rings_that_end_with_the_ram)
{
	const uint64_t end = RAM + RAM_SIZE;
	struct virtq_cfg cfg = {
		.num = NUM, .ready = true, .desc = RAM, .avail = RAM + 0x1000, .used = RAM + 0x2000};
	struct virtq q = {0};

	begin(NUM, 0, RING_FEATURES);
	cfg.desc = end - 16 * NUM;
	ck_assert_int_eq(virtq_start(&q, &mem, &cfg, RING_FEATURES), 0);
	cfg.avail = end - (4 + 2 * NUM); /* without EVENT_IDX there is no used_event to have room for */
	ck_assert_int_eq(virtq_start(&q, &mem, &cfg, RING_FEATURES), 0);
	ck_assert_int_eq(virtq_start(&q, &mem, &cfg, RING_FEATURES | RING_EVENT_IDX), -EINVAL);
	cfg.avail -= 2;
	ck_assert_int_eq(virtq_start(&q, &mem, &cfg, RING_FEATURES | RING_EVENT_IDX), 0);
	cfg.used = end - (4 + 8 * NUM);
	ck_assert_int_eq(virtq_start(&q, &mem, &cfg, RING_FEATURES), 0);
	cfg.num = VIRTQ_MAX_SIZE;
	cfg.desc = RAM;
	cfg.avail = RAM + 0x8000;
	cfg.used = RAM + 0x10000;
	ck_assert_int_eq(virtq_start(&q, &mem, &cfg, RING_FEATURES | RING_EVENT_IDX), 0);
}
END_TEST

START_TEST(q07_buffers_outside_ram)
{
	BROKEN_CHAIN(desc(0, RAM + RAM_SIZE - 1, 2, 0, 0));
	BROKEN_CHAIN(desc(0, RAM - 1, 2, 0, 0));
	BROKEN_CHAIN(desc(0, 0, 1, 0, 0));
	BROKEN_CHAIN(desc(0, UINT64_MAX, 1, 0, 0));
	BROKEN_CHAIN(desc(0, UINT64_MAX - 3, 0xffffffff, VRING_DESC_F_WRITE, 0));
	BROKEN_CHAIN(desc(0, RAM + RAM_SIZE, 1, 0, 0));
	unit_ram(&mem, RAM + 2 * RAM_SIZE, 0x1000);
	BROKEN_CHAIN(desc(0, RAM + RAM_SIZE - 1, RAM_SIZE + 2, 0, 0)); /* both ends are RAM, a hole between */
	begin(NUM, 0, RING_FEATURES);
	desc(0, RAM + RAM_SIZE - 7, 7, VRING_DESC_F_NEXT, 1); /* the last byte is RAM */
	desc(1, RAM + 2 * RAM_SIZE, 0x1000, VRING_DESC_F_WRITE, 0);
	offer(0);
	ck_assert_int_eq(virtq_pop(&vq, &chain), 1);
	memset(iov[1].iov_base, 1, iov[1].iov_len);
	ck_assert_ptr_eq(iov[0].iov_base, ram + RAM_SIZE - 7);
}
END_TEST

START_TEST(q08_chain_of_more_than_4g)
{
	/* Addresses only: nobody touches these bytes. */
	struct mem_region huge = {
		.gpa = 1ULL << 40, .size = 1ULL << 33, .host = (uint8_t *)(1ULL << 44), .fd = -1};
	const uint64_t g = huge.gpa;

	begin(NUM, 0, RING_FEATURES);
	mem.region[mem.n++] = huge;
	BROKEN_CHAIN(desc(0, g, 0xffffffff, VRING_DESC_F_NEXT, 1), desc(1, g, 2, 0, 0));
	BROKEN_CHAIN(
		desc(0, g, 0xffffffff, VRING_DESC_F_NEXT, 1), desc(1, g, 0xffffffff, VRING_DESC_F_WRITE, 0));
	begin(NUM, 0, RING_FEATURES);
	desc(0, g, 0xffffffff, VRING_DESC_F_NEXT, 1);
	desc(1, g, 1, VRING_DESC_F_WRITE, 0);
	offer(0);
	ck_assert_int_eq(virtq_pop(&vq, &chain), 1);
	ck_assert_uint_eq(chain.read_len + chain.write_len, 1ULL << 32);
}
END_TEST

START_TEST(q08_empty_segments_are_dropped)
{
	begin(NUM, 0, RING_FEATURES);
	desc(0, 0, 0, VRING_DESC_F_NEXT, 1); /* not even its address matters */
	desc(1, DATA, 5, VRING_DESC_F_NEXT, 2);
	desc(2, UINT64_MAX, 0, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 3);
	desc(3, DATA + 8, 6, VRING_DESC_F_WRITE, 0);
	offer(0);
	ck_assert_int_eq(virtq_pop(&vq, &chain), 1);
	ck_assert_uint_eq(chain.nread, 1);
	ck_assert_uint_eq(chain.nwrite, 1);
	ck_assert_uint_eq(iov[0].iov_len, 5);
	ck_assert_uint_eq(iov[1].iov_len, 6);
	desc(4, DATA, 0, 0, 0);
	offer(4);
	ck_assert_int_eq(virtq_pop(&vq, &chain), 1);
	ck_assert_uint_eq(chain.nread + chain.nwrite, 0);
	BROKEN_CHAIN(desc(0, DATA, 0, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 1), desc(1, DATA, 1, 0, 0));
}
END_TEST

START_TEST(readable_after_writable)
{
	BROKEN_CHAIN(desc(0, DATA, 1, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 1), desc(1, DATA, 1, 0, 0));
	BROKEN_CHAIN(desc(0, DATA, 1, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 1),
		desc(1, TABLE, 16, VRING_DESC_F_INDIRECT, 0),
		ring_desc_put(mem_at(&mem, TABLE, 16), 0, DATA, 1, 0, 0));
}
END_TEST

START_TEST(q10_a_full_ring_is_taken_once)
{
	struct ring_seg seg = {DATA, 4, true};
	unsigned n = 0;

	begin(NUM, 65533, RING_FEATURES);
	while (ring_add(&drv, &seg, 1) >= 0)
		;
	while (virtq_pop(&vq, &chain) == 1)
		n++;
	ck_assert_uint_eq(n, NUM);
	ck_assert(!vq.broken);
	ring_store16(drv.avail + 2, drv.avail_idx + 1); /* one more than there can be */
	ck_assert_int_eq(virtq_pop(&vq, &chain), -EPROTO);
}
END_TEST

START_TEST(capacity_of_the_caller_bounds_a_chain)
{
	begin(NUM, 0, RING_FEATURES);
	chain.cap = 2;
	for (unsigned i = 0; i < 3; i++)
		desc(i, DATA, 1, i < 2 ? VRING_DESC_F_NEXT : 0, i + 1);
	offer(0);
	ck_assert_int_eq(virtq_pop(&vq, &chain), -EPROTO);
}
END_TEST

static void once(uint32_t written)
{
	ck_assert_int_eq(virtq_pop(&vq, &chain), 1);
	virtq_push(&vq, chain.head, written);
}

START_TEST(q11_indices_wrap)
{
	struct ring_seg seg = {DATA, 4, true};
	uint32_t head, len;

	for (int ev = 0; ev < 2; ev++) {
		begin(NUM, 65500, RING_FEATURES | (ev ? RING_EVENT_IDX : 0));
		for (uint32_t i = 0; i < 100; i++) {
			int h = ring_add(&drv, &seg, 1);

			ck_assert(ring_arm(&drv));
			once(i);
			ck_assert(virtq_flush(&vq));
			ck_assert(virtq_sleep(&vq));
			ck_assert(ring_used(&drv, &head, &len));
			ck_assert_uint_eq(head, h);
			ck_assert_uint_eq(len, i);
		}
		ck_assert_uint_eq(ring_load16(drv.used + 2), (uint16_t)(65500 + 100));
		ck_assert_uint_eq(virtq_stop(&vq), (uint16_t)(65500 + 100));
	}
}
END_TEST

START_TEST(flags_0_always_interrupts)
{
	struct ring_seg seg = {DATA, 4, true};

	begin(NUM, 0, RING_FEATURES);
	for (int i = 0; i < 4; i++) {
		ring_add(&drv, &seg, 1);
		ring_store16(drv.avail, i & 1 ? VRING_AVAIL_F_NO_INTERRUPT : 0);
		once(4);
		ck_assert_int_eq(virtq_flush(&vq), !(i & 1));
	}
	ck_assert_uint_eq(vq.stats.calls, 2);
}
END_TEST

START_TEST(event_idx_interrupts_when_passed)
{
	struct ring_seg seg = {DATA, 4, true};

	begin(NUM, 0, RING_FEATURES | RING_EVENT_IDX);
	ring_store16(drv.avail, VRING_AVAIL_F_NO_INTERRUPT); /* means nothing now */
	ring_store16(drv.avail + 4 + 2 * NUM, 2);	     /* used_event: tell me when the third is used */
	for (int i = 0; i < 6; i++)
		ring_add(&drv, &seg, 1);
	for (int i = 0; i < 6; i++) {
		once(4);
		ck_assert_int_eq(virtq_flush(&vq), i == 2);
	}
	begin(NUM, 65534, RING_FEATURES | RING_EVENT_IDX);
	ring_store16(drv.avail + 4 + 2 * NUM, 0);
	for (int i = 0; i < 4; i++) {
		ring_add(&drv, &seg, 1);
		once(4);
	}
	ck_assert_msg(virtq_flush(&vq), "a batch that passes used_event interrupts once");
	ck_assert_uint_eq(vq.stats.calls, 1);
}
END_TEST

START_TEST(kicks_are_asked_for_only_before_sleep)
{
	struct ring_seg seg = {DATA, 4, true};

	for (int ev = 0; ev < 2; ev++) {
		begin(NUM, 0, RING_FEATURES | (ev ? RING_EVENT_IDX : 0));
		ck_assert(virtq_sleep(&vq));
		ring_offer(&drv, ring_chain(&drv, &seg, 1));
		ck_assert_msg(ring_publish(&drv), "asleep: kick");
		ck_assert_msg(virtq_sleep(&vq), "asked already: the kick comes");
		virtq_wake(&vq);
		ring_offer(&drv, ring_chain(&drv, &seg, 1));
		ck_assert_msg(!ring_publish(&drv), "at work: no kick");
		once(1);
		ring_offer(&drv, ring_chain(&drv, &seg, 1));
		ck_assert(!ring_publish(&drv));
		ck_assert_msg(!virtq_sleep(&vq), "more came: no sleep");
		once(1);
		once(1);
		ck_assert(virtq_sleep(&vq));
		ring_offer(&drv, ring_chain(&drv, &seg, 1));
		ck_assert_msg(ring_publish(&drv), "asleep again: kick");
		once(1); /* taken without a wake: asking anew is needed all the same */
		ck_assert(virtq_sleep(&vq));
		ring_offer(&drv, ring_chain(&drv, &seg, 1));
		ck_assert(ring_publish(&drv));
		ck_assert_uint_le(ring_load16(drv.used), 1);
		if (ev)
			ck_assert_msg(ring_load16(drv.used) == 0, "with EVENT_IDX used.flags is 0");
	}
}
END_TEST

START_TEST(a_stopped_queue_touches_nothing)
{
	struct ring_seg seg = {DATA, 4, true};
	uint8_t before[4096];

	begin(NUM, 0, RING_FEATURES | RING_EVENT_IDX);
	ring_add(&drv, &seg, 1);
	ring_add(&drv, &seg, 1);
	ck_assert_int_eq(virtq_pop(&vq, &chain), 1);
	ck_assert_uint_eq(virtq_stop(&vq), 1);
	memset(drv.desc, 0xa5, RING_SPACE(NUM));
	memcpy(before, drv.desc, RING_SPACE(NUM));
	ck_assert_int_eq(virtq_pop(&vq, &chain), 0);
	virtq_push(&vq, chain.head, 4);
	ck_assert(!virtq_flush(&vq));
	ck_assert(virtq_sleep(&vq));
	virtq_wake(&vq);
	ck_assert_mem_eq(before, drv.desc, RING_SPACE(NUM));
	ck_assert_uint_eq(virtq_inflight(&vq), 0);
}
END_TEST

START_TEST(iov_copies_ignore_framing)
{
	uint8_t src[40], dst[40] = {0}, out[40] = {0};

	for (unsigned i = 0; i < sizeof(src); i++)
		src[i] = i + 1;
	for (unsigned a = 0; a <= 40; a++) {
		for (unsigned b = a; b <= 40; b++) {
			struct iovec v[] = {{src, a}, {src + a, b - a}, {src + b, 40 - b}}, *p = v;
			struct iovec w[] = {{out, a}, {out + a, b - a}, {out + b, 40 - b}}, *o = w;
			unsigned n = 3, m = 3;

			ck_assert_uint_eq(iov_take(&p, &n, dst, 7), 7);
			ck_assert_uint_eq(iov_take(&p, &n, dst + 7, 1000), 33);
			ck_assert_uint_eq(iov_take(&p, &n, dst, 1), 0);
			ck_assert_mem_eq(dst, src, 40);
			ck_assert_uint_eq(iov_put(&o, &m, src, 40), 40);
			ck_assert_mem_eq(out, src, 40);
			memset(out, 0, sizeof(out));
		}
	}
}
END_TEST

UNIT_MAIN("virtq", takes_and_returns, q01_avail_ahead_by_more_than_the_ring, q02_head_and_next_out_of_range,
	q02_cycles_and_chains_longer_than_the_ring, q02_indirect_cycle_and_long_table, q03_indirect_malformed,
	q03_indirect_not_negotiated, q03_indirect_legal, indirect_write_flag_is_ignored,
	q04_same_head_twice_in_flight, q05_settings_are_frozen, q06_sizes_and_addresses_refused,
	q06_rings_that_end_with_the_ram, q07_buffers_outside_ram, q08_chain_of_more_than_4g,
	q08_empty_segments_are_dropped, readable_after_writable, q10_a_full_ring_is_taken_once,
	capacity_of_the_caller_bounds_a_chain, q11_indices_wrap, flags_0_always_interrupts,
	event_idx_interrupts_when_passed, kicks_are_asked_for_only_before_sleep,
	a_stopped_queue_touches_nothing, iov_copies_ignore_framing)
