// SPDX-License-Identifier: Apache-2.0
/*
 * The split virtqueue with a driver on a thread of its own: wake-ups that must not be lost (queue case 11),
 * and a driver that rewrites what is being read (queue case 12).
 */
#include <pthread.h>
#include <sched.h>

#include "tests/unit/ring_driver.h"
#include "tests/unit/unit.h"

#define RAM	 0x100000ULL
#define RAM_SIZE 0x100000ULL
#define RINGS	 (RAM + 0x1000)
#define TABLE	 (RAM + 0x40000)
#define DATA	 (RAM + 0x80000)
#define NUM	 8

#ifdef RING_TSAN
#define TRIPS 20000u
#else
#define TRIPS 1000000u
#endif

static struct guest_mem mem;
static uint8_t *ram;
static struct virtq vq;
static struct ring_driver drv;

/*
 * Two threads that sleep and wake each other. All of it in one word, so that a lost wake-up is seen for
 * certain and without a clock: whoever goes to sleep while the other one sleeps and nobody has a wake-up
 * coming has met one.
 */
enum { DEVICE = 0, DRIVER = 1 };
#define ASLEEP(who) (1u << (who))
#define WAKEUP(who) (4u << (who))
#define ENDED	    16u
static _Atomic unsigned word;

static void wake(int who)
{
	atomic_fetch_or(&word, WAKEUP(who));
}

/* False: a wake-up was lost, or the other side has ended. */
static bool sleep_until_woken(int who)
{
	unsigned w = atomic_fetch_or(&word, ASLEEP(who)) | ASLEEP(who);

	if (!(w & (WAKEUP(DEVICE) | WAKEUP(DRIVER))) && w & ASLEEP(DEVICE) && w & ASLEEP(DRIVER)) {
		atomic_fetch_or(&word, ENDED);
		return false;
	}
	for (unsigned spin = 0; !(w & (WAKEUP(who) | ENDED)); spin++) {
		if (spin > 200) /* the other side may need this very CPU */
			sched_yield();
		w = atomic_load(&word);
	}
	atomic_fetch_and(&word, ~(ASLEEP(who) | WAKEUP(who)));
	return !(w & ENDED);
}

static uint32_t next_random(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

/* A moment that varies, so that the two threads meet at every offset. */
static void dither(uint32_t *state)
{
	for (uint32_t n = next_random(state) % 256; n; n--)
		atomic_signal_fence(memory_order_seq_cst);
}

struct soak {
	unsigned depth, trips; /* as many trips, or those of a while */
	uint64_t kicks, sleeps;
	bool lost;
};

static void *driver(void *arg)
{
	struct soak *s = arg;
	struct ring_seg seg = {DATA, 4, true};
	uint32_t head, len, sent = 0, got = 0, asked = 0, seed = 7;

	while (got < s->trips) {
		bool kick = false, any = false;

		if (sent - asked >= 64 && s->kicks && s->sleeps) {
			asked = sent;
			if (unit_enough())
				s->trips = sent;
		}
		dither(&seed);
		while (sent < s->trips && sent - got < s->depth) {
			ring_offer(&drv, ring_chain(&drv, &seg, 1));
			sent++;
			kick |= ring_publish(&drv);
		}
		if (kick) {
			s->kicks++;
			wake(DEVICE);
		}
		for (; ring_used(&drv, &head, &len); got++) {
			any = true;
			must(len == 4);
		}
		if (any)
			continue;
		dither(&seed);
		if (!ring_arm(&drv))
			continue;
		s->sleeps++;
		if (!sleep_until_woken(DRIVER)) {
			s->lost = true;
			return NULL;
		}
	}
	atomic_fetch_or(&word, ENDED);
	return NULL;
}

/* As a loop that polls does: no kicks while it looks at the ring, a varying number of times. True: more came. */
static bool poll_ring(uint32_t *seed)
{
	virtq_hush(&vq);
	for (uint32_t n = next_random(seed) % 64; n; n--)
		if (virtq_waiting(&vq))
			return true;
	return false;
}

/* As a loop does: take all, return all, one interrupt if wanted, ask for kicks, sleep. */
static void device(bool polls)
{
	struct iovec iov[NUM];
	struct virtq_chain chain = {.iov = iov, .cap = NUM};
	uint32_t seed = 11;

	for (;;) {
		int r;

		virtq_wake(&vq);
		while ((r = virtq_pop(&vq, &chain)) == 1)
			virtq_push(&vq, chain.head, 4);
		ck_assert_int_eq(r, 0);
		dither(&seed);
		if (virtq_flush(&vq))
			wake(DRIVER);
		dither(&seed);
		/* Now and then kicks are asked for, and something else than one comes first. */
		if (polls && next_random(&seed) % 2 && !virtq_sleep(&vq))
			continue;
		if (polls && poll_ring(&seed))
			continue;
		if (virtq_sleep(&vq) && !sleep_until_woken(DEVICE))
			return;
	}
}

static void soak_of(unsigned depth, unsigned trips, uint64_t features, bool polls)
{
	struct soak s = {.depth = depth, .trips = trips};
	pthread_t t;

	unit_ram(&mem, RAM, RAM_SIZE);
	ring_init(&drv, &mem, RINGS, NUM, 65000, features);
	ck_assert_int_eq(virtq_start(&vq, &mem, &drv.cfg, features), 0);
	ck_assert_int_eq(pthread_create(&t, NULL, driver, &s), 0);
	device(polls);
	pthread_join(t, NULL);
	ck_assert_msg(!s.lost, "a wake-up was lost");
	ck_assert_uint_eq(vq.stats.pops, s.trips);
	ck_assert_uint_eq(vq.stats.pushes, s.trips);
	ck_assert_uint_gt(s.kicks, 0);
	ck_assert_uint_gt(s.sleeps, 0);
}

static void soak(unsigned depth, unsigned trips, uint64_t features)
{
	soak_of(depth, trips, features, false);
}

START_TEST(a_device_that_polls_event_idx)
{
	soak_of(1, TRIPS / 2, RING_FEATURES | RING_EVENT_IDX, true);
}
END_TEST

START_TEST(a_device_that_polls_flags)
{
	soak_of(1, TRIPS / 20, RING_FEATURES, true);
}
END_TEST

START_TEST(q11_soak_event_idx_depth_1)
{
	soak(1, TRIPS, RING_FEATURES | RING_EVENT_IDX);
}
END_TEST

START_TEST(q11_soak_event_idx_deeper)
{
	soak(NUM, TRIPS / 20, RING_FEATURES | RING_EVENT_IDX);
}
END_TEST

START_TEST(q11_soak_flags_depth_1)
{
	soak(1, TRIPS / 20, RING_FEATURES);
}
END_TEST

/* Queue case 12 */

static _Atomic bool flip;

/* Descriptors that are sometimes good and sometimes not, in the ring and in an indirect table; and the
 * entries. */
static void *flipper(void *arg)
{
	static const uint64_t addr[] = {
		DATA, DATA + 4096, TABLE, TABLE + 1, RAM + RAM_SIZE - 16, RAM + RAM_SIZE, ~0ULL};
	static const uint32_t len[] = {16, 0, 1, 32, 64, 4096, 0x7fffffff, ~0u};
	static const uint16_t flags[] = {0, 1, 2, 3, 4, 5, 1, 1, 3};
	uint8_t *table = arg;
	uint32_t seed = 1;

	while (atomic_load_explicit(&flip, memory_order_relaxed)) {
		uint32_t r = next_random(&seed);
		uint8_t *at[] = {drv.desc, table, table + 1};

		ring_desc_put(at[r % 3], (r >> 2) % NUM, addr[(r >> 5) % 7], len[(r >> 8) % 8],
			flags[(r >> 11) % 9], (r >> 15) % (NUM + 1));
		ring_store16(drv.avail + 4 + 2 * (r % NUM), (r >> 4) % NUM);
	}
	return NULL;
}

static void check_chain(const struct virtq_chain *c)
{
	uint64_t sum[2] = {0, 0};

	ck_assert_uint_le(c->nread + c->nwrite, NUM);
	for (unsigned i = 0; i < c->nread + c->nwrite; i++) {
		const uint8_t *p = c->iov[i].iov_base;

		ck_assert_msg(p >= ram && c->iov[i].iov_len <= (size_t)(ram + RAM_SIZE - p),
			"a segment outside RAM");
		sum[i >= c->nread] += c->iov[i].iov_len;
	}
	ck_assert_uint_eq(sum[0], c->read_len);
	ck_assert_uint_eq(sum[1], c->write_len);
}

START_TEST(q12_descriptors_flipped_while_read)
{
	struct iovec iov[NUM];
	struct virtq_chain chain = {.iov = iov, .cap = NUM};
	unsigned good = 0, bad = 0;
	pthread_t t;

	ram = unit_ram(&mem, RAM, RAM_SIZE);
	ring_init(&drv, &mem, RINGS, NUM, 0, RING_FEATURES);
	atomic_store(&flip, true);
	ck_assert_int_eq(pthread_create(&t, NULL, flipper, ram + (TABLE - RAM)), 0);
	for (unsigned i = 0; i < 300000 || !good || !bad; i++) {
		int r;

		ck_assert_int_eq(virtq_start(&vq, &mem, &drv.cfg, RING_FEATURES), 0);
		ring_store16_release(drv.avail + 2, 1 + i % NUM);
		while ((r = virtq_pop(&vq, &chain)) == 1) {
			check_chain(&chain);
			good++;
			virtq_push(&vq, chain.head, 0);
		}
		bad += r < 0;
		virtq_stop(&vq);
	}
	atomic_store(&flip, false);
	pthread_join(t, NULL);
}
END_TEST

UNIT_MAIN("virtq_race", q11_soak_event_idx_depth_1, q11_soak_event_idx_deeper, q11_soak_flags_depth_1,
	a_device_that_polls_event_idx, a_device_that_polls_flags, q12_descriptors_flipped_while_read)
