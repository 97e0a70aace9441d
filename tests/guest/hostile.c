// SPDX-License-Identifier: Apache-2.0
/*
 * A driver that breaks the rules of disk 0's rings, in many ways. Each time the device must say NEEDS_RESET, interrupt
 * for its configuration, touch nothing more, and be whole again after a reset; all the time another CPU goes on taking
 * random bytes from the rng, and must get them.
 */
#include "tests/guest/lib/crimes.h"
#include "tests/guest/lib/witness.h"

#define CONFIG_VECTOR 0x43
#define ENTRY_CONFIG  0

static struct blk disk;
static volatile uint32_t config_interrupts;
static uint8_t *buf;

static void on_config(struct frame *f)
{
	if (vdev_ack(&disk.v) & VIRTIO_MMIO_INT_CONFIG)
		config_interrupts++;
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
	witness_open();
	check(cpu_start(1, witness_cpu));
	for (unsigned i = 0; i < CRIMES; i++) {
		uint16_t used;

		start_disk();
		used = disk.q.used->idx;
		crimes[i].commit(&disk.q, buf);
		vq_kick(&disk.q);
		see_needs_reset(crimes[i].name);
		witness_goes_on();
		vq_kick(&disk.q);
		check(disk.q.used->idx == used);
	}
	rings_in_the_hole();
	witness_goes_on();
	start_disk();
	check(!(vdev_status(&disk.v) & VIRTIO_CONFIG_S_NEEDS_RESET));
	witness_is_whole();
	print("SUCCESS\n");
	return 0;
}
