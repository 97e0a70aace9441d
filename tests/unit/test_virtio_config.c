// SPDX-License-Identifier: Apache-2.0
/* Device configuration that changes while a driver reads it: its generation tells of every mixture
 * (virtio 1.2, 2.5). */
#include <pthread.h>
#include <string.h>

#include "devices/virtio/regs.h"
#include "tests/unit/unit.h"

#define LEN 6 /* of an Ethernet address */

static struct virtio_dev dev;
static struct vregs regs = {.dev = &dev};

static void build(void)
{
	memset(&dev, 0, sizeof(dev));
	dev.config_len = LEN;
}

static uint8_t byte_at(unsigned off)
{
	uint8_t v;

	vregs_config_read(&regs, off, &v, 1);
	return v;
}

/* Two changes of two bytes, step by step: begin, one byte, the other, end. */
static void change_step(unsigned step)
{
	uint8_t to = step < 4;

	if (step % 4 == 0)
		virtio_config_begin(&dev);
	else if (step % 4 == 3)
		virtio_config_end(&dev);
	else
		virtio_config_store(&dev, step % 4 - 1, &to, 1);
}

struct reading {
	unsigned done; /* steps */
	uint32_t gen[2];
	uint8_t byte[2];
};

/* A driver's: generation, one byte, the other, generation. */
static void read_step(struct reading *r)
{
	unsigned step = r->done++;

	if (step % 3 == 0)
		r->gen[step / 3] = virtio_config_generation(&dev);
	else
		r->byte[step - 1] = byte_at(step - 1);
}

/* All ways in which those steps can follow each other. */
START_TEST(no_mixture_passes_for_whole)
{
	unsigned accepted = 0;

	for (unsigned order = 0; order < 1u << 12; order++) {
		struct reading r = {0};

		if (__builtin_popcount(order) != 4)
			continue;
		build();
		for (unsigned i = 0, change = 0; i < 12; i++)
			if (order & 1u << i)
				read_step(&r);
			else
				change_step(change++);
		if (r.gen[0] != r.gen[1])
			continue;
		accepted++;
		ck_assert_msg(r.byte[0] == r.byte[1], "order %#x", order);
	}
	ck_assert_msg(accepted >= 3, "before, between and after the changes");
}
END_TEST

START_TEST(it_rests_while_nothing_changes)
{
	uint32_t gen;

	build();
	gen = virtio_config_generation(&dev);
	ck_assert_uint_eq(virtio_config_generation(&dev), gen);
	virtio_config_put(&dev, 0, "mac of", LEN);
	ck_assert_mem_eq(dev.config, "mac of", LEN);
	ck_assert_uint_ne(virtio_config_generation(&dev), gen);
	gen = virtio_config_generation(&dev);
	ck_assert_uint_eq(virtio_config_generation(&dev), gen);
}
END_TEST

static void *changes(void *arg)
{
	for (unsigned i = 0; i < 50000; i++) {
		uint8_t mac[LEN];

		memset(mac, (int)i, sizeof(mac));
		virtio_config_put(&dev, 0, mac, sizeof(mac));
	}
	*(atomic_bool *)arg = true;
	return NULL;
}

START_TEST(a_loop_changes_what_a_vcpu_reads)
{
	atomic_bool over = false;
	bool last = false;
	pthread_t thread;

	build();
	ck_assert_int_eq(pthread_create(&thread, NULL, changes, &over), 0);
	while (!last) {
		uint32_t gen;
		uint8_t mac[LEN];

		last = over;
		gen = virtio_config_generation(&dev);
		for (unsigned i = 0; i < LEN; i++)
			mac[i] = byte_at(i);
		if (virtio_config_generation(&dev) != gen) {
			ck_assert(!last);
			continue;
		}
		for (unsigned i = 1; i < LEN; i++)
			ck_assert_uint_eq(mac[i], mac[0]);
	}
	pthread_join(thread, NULL);
}
END_TEST

UNIT_MAIN("virtio_config", no_mixture_passes_for_whole, it_rests_while_nothing_changes,
	a_loop_changes_what_a_vcpu_reads)
