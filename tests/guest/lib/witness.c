// SPDX-License-Identifier: Apache-2.0
/* The rng, taken from by one CPU; see witness.h. */
#include "tests/guest/lib/witness.h"
#include "tests/guest/lib/virtio.h"

#define RNG_ID	  4
#define RNG_BYTES 64

static struct vdev rng;
static struct vq queue;
static uint64_t *bytes;
static volatile uint64_t rounds;

static void take_random(void)
{
	uint32_t head, len;
	uint64_t any = 0;

	memset(bytes, 0, RNG_BYTES);
	vq_desc(&queue, 0, bytes, RNG_BYTES, VRING_DESC_F_WRITE, 0);
	vq_add(&queue, 0);
	vq_publish(&queue);
	while (!vq_take(&queue, &head, &len))
		pause_cpu();
	check(head == 0 && len == RNG_BYTES);
	for (unsigned i = 0; i < RNG_BYTES / 8; i++)
		any |= bytes[i];
	check(any);
	rounds++;
}

void witness_open(void)
{
	check(vdev_open(&rng, RNG_ID, 0));
	vdev_negotiate(&rng, 0);
	vq_open(&queue, &rng, 0, 8, VIRTIO_MSI_NO_VECTOR);
	vq_disarm(&queue);
	vdev_go(&rng);
	bytes = take_memory(RNG_BYTES, 8);
	take_random();
}

void witness_cpu(unsigned id)
{
	for (;;)
		take_random();
}

void witness_goes_on(void)
{
	uint64_t start = rdtsc(), before = rounds;

	while (rounds < before + 3) {
		check(rdtsc() - start < GIVE_UP);
		pause_cpu();
	}
}

void witness_is_whole(void)
{
	check(!(vdev_status(&rng) & VIRTIO_CONFIG_S_NEEDS_RESET));
}
