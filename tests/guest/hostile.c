// SPDX-License-Identifier: Apache-2.0
/*
 * A driver that breaks the rules of disk 0's rings, in many ways. Each time the device must say NEEDS_RESET, interrupt
 * for its configuration, touch nothing more, and be whole again after a reset; all the time another CPU goes on taking
 * random bytes from the rng, and must get them.
 */
#include "tests/guest/lib/crimes.h"

#define CONFIG_VECTOR 0x43
#define ENTRY_CONFIG  0
#define RNG_ID	      4
#define RNG_BYTES     64

static struct blk disk;
static struct vdev rng;
static struct vq rng_queue;
static volatile uint64_t rng_rounds;
static volatile uint32_t config_interrupts;
static uint8_t *buf;

static void on_config(struct frame *f)
{
	if (vdev_ack(&disk.v) & VIRTIO_MMIO_INT_CONFIG)
		config_interrupts++;
}

static void take_random(void)
{
	static uint64_t *bytes;
	uint32_t head, len;
	uint64_t any = 0;

	if (!bytes)
		bytes = take_memory(RNG_BYTES, 8);
	memset(bytes, 0, RNG_BYTES);
	vq_desc(&rng_queue, 0, bytes, RNG_BYTES, VRING_DESC_F_WRITE, 0);
	vq_add(&rng_queue, 0);
	vq_publish(&rng_queue);
	while (!vq_take(&rng_queue, &head, &len))
		pause_cpu();
	check(head == 0 && len == RNG_BYTES);
	for (unsigned i = 0; i < RNG_BYTES / 8; i++)
		any |= bytes[i];
	check(any);
	rng_rounds++;
}

static void second_cpu(unsigned id)
{
	for (;;)
		take_random();
}

static void see_needs_reset(const char *name)
{
	uint64_t start = rdtsc();

	print("%s\n", name);
	while (!(vdev_status(&disk.v) & VIRTIO_CONFIG_S_NEEDS_RESET) || !config_interrupts) {
		check(rdtsc() - start < GIVE_UP);
		irqs_on();
		pause_cpu();
		irqs_off();
	}
}

static void see_rng_go_on(void)
{
	uint64_t start = rdtsc(), rounds = rng_rounds;

	while (rng_rounds < rounds + 3) {
		check(rdtsc() - start < GIVE_UP);
		pause_cpu();
	}
}

static void start_disk(void)
{
	vdev_reset(&disk.v);
	config_interrupts = 0;
	blk_start(&disk, F_BLK_FLUSH | F_INDIRECT, VIRTIO_MSI_NO_VECTOR);
	vdev_config_entry(&disk.v, ENTRY_CONFIG);
	check(blk_do(&disk, VIRTIO_BLK_T_IN, 0, buf, SECTOR) == VIRTIO_BLK_S_OK);
}

/* Rings where there is no RAM: the device can not start. */
static void rings_in_the_hole(void)
{
	vdev_reset(&disk.v);
	config_interrupts = 0;
	vdev_config_entry(&disk.v, ENTRY_CONFIG);
	vdev_negotiate(&disk.v, 0);
	vq_place(&disk.v, 0, 8, HOLE, (uintptr_t)buf, (uintptr_t)buf + 256);
	vdev_go(&disk.v);
	vq_kick(&disk.q);
	see_needs_reset("rings in the hole");
}

int main(void)
{
	lapic_init();
	irq_on(CONFIG_VECTOR, on_config);
	buf = take_memory(4096, 4096);
	check(blk_open(&disk, 0, 4, F_BLK_FLUSH | F_INDIRECT, VIRTIO_MSI_NO_VECTOR));
	msix_enable(&disk.v, true);
	msix_set(&disk.v, ENTRY_CONFIG, CONFIG_VECTOR);
	check(vdev_open(&rng, RNG_ID, 0));
	vdev_negotiate(&rng, 0);
	vq_open(&rng_queue, &rng, 0, 8, VIRTIO_MSI_NO_VECTOR);
	vq_disarm(&rng_queue);
	vdev_go(&rng);
	take_random(); /* also takes its memory, before there are two CPUs */
	check(cpu_start(1, second_cpu));
	for (unsigned i = 0; i < CRIMES; i++) {
		uint16_t used;

		start_disk();
		used = disk.q.used->idx;
		crimes[i].commit(&disk.q, buf);
		vq_kick(&disk.q);
		see_needs_reset(crimes[i].name);
		see_rng_go_on();
		vq_kick(&disk.q);
		check(disk.q.used->idx == used);
	}
	rings_in_the_hole();
	see_rng_go_on();
	start_disk();
	check(!(vdev_status(&disk.v) & VIRTIO_CONFIG_S_NEEDS_RESET));
	check(!(vdev_status(&rng) & VIRTIO_CONFIG_S_NEEDS_RESET));
	print("SUCCESS\n");
	return 0;
}
