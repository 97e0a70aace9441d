// SPDX-License-Identifier: Apache-2.0
/*
 * A driver that breaks the rules of disk 0's rings, in many ways. Each time the device must say NEEDS_RESET, interrupt
 * for its configuration, touch nothing more, and be whole again after a reset; all the time another CPU goes on taking
 * random bytes from the rng, and must get them.
 */
#include "tests/guest/lib/virtio.h"

#define CONFIG_VECTOR 0x43
#define ENTRY_CONFIG  0
#define WAIT	      20000000000
#define RNG_ID	      4
#define RNG_BYTES     64
#define HOLE	      0xd0000000 /* neither RAM nor a device */

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

/* ---- what is broken ---- */

static void index_runs_ahead(struct vq *q)
{
	q->avail->idx = q->published + q->num + 1;
}

static void head_too_large(struct vq *q)
{
	vq_add(q, q->num);
	vq_publish(q);
}

static void next_too_large(struct vq *q)
{
	vq_desc(q, 0, buf, 16, VRING_DESC_F_NEXT, q->num);
	vq_add(q, 0);
	vq_publish(q);
}

static void loop_of_two(struct vq *q)
{
	vq_desc(q, 0, buf, 16, VRING_DESC_F_NEXT, 1);
	vq_desc(q, 1, buf, 16, VRING_DESC_F_NEXT, 0);
	vq_add(q, 0);
	vq_publish(q);
}

static void into_the_hole(struct vq *q)
{
	vq_desc(q, 0, (void *)HOLE, 16, 0, 0);
	vq_add(q, 0);
	vq_publish(q);
}

static void over_the_end(struct vq *q)
{
	vq_desc(q, 0, buf, ~0u, 0, 0);
	vq_add(q, 0);
	vq_publish(q);
}

static void wraps_around(struct vq *q)
{
	q->desc[0] = (struct vring_desc){~0ull - 8, 16, 0, 0};
	vq_add(q, 0);
	vq_publish(q);
}

static void table_of_odd_length(struct vq *q)
{
	vq_desc(q, 0, buf, 24, VRING_DESC_F_INDIRECT, 0);
	vq_add(q, 0);
	vq_publish(q);
}

static void table_in_table(struct vq *q)
{
	struct vring_desc *table = (struct vring_desc *)buf;

	table[0] = (struct vring_desc){(uintptr_t)buf + 64, 16, VRING_DESC_F_INDIRECT, 0};
	vq_desc(q, 0, table, sizeof(table[0]), VRING_DESC_F_INDIRECT, 0);
	vq_add(q, 0);
	vq_publish(q);
}

static void loop_in_table(struct vq *q)
{
	struct vring_desc *table = (struct vring_desc *)buf;

	table[0] = (struct vring_desc){(uintptr_t)buf + 64, 16, VRING_DESC_F_NEXT, 1};
	table[1] = (struct vring_desc){(uintptr_t)buf + 64, 16, VRING_DESC_F_NEXT, 0};
	vq_desc(q, 0, table, 2 * sizeof(table[0]), VRING_DESC_F_INDIRECT, 0);
	vq_add(q, 0);
	vq_publish(q);
}

static void readable_after_writable(struct vq *q)
{
	vq_desc(q, 0, buf, 16, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 1);
	vq_desc(q, 1, buf, 16, 0, 0);
	vq_add(q, 0);
	vq_publish(q);
}

static const struct {
	const char *name;
	void (*do_it)(struct vq *q);
} crimes[] = {
	{"index runs ahead", index_runs_ahead},
	{"head too large", head_too_large},
	{"next too large", next_too_large},
	{"loop of two", loop_of_two},
	{"buffer in the hole", into_the_hole},
	{"buffer over the end of RAM", over_the_end},
	{"buffer wraps around", wraps_around},
	{"indirect table of odd length", table_of_odd_length},
	{"indirect table in another", table_in_table},
	{"loop in an indirect table", loop_in_table},
	{"readable after writable", readable_after_writable},
};

static void see_needs_reset(const char *name)
{
	uint64_t start = rdtsc();

	print("%s\n", name);
	while (!(vdev_status(&disk.v) & VIRTIO_CONFIG_S_NEEDS_RESET) || !config_interrupts) {
		check(rdtsc() - start < WAIT);
		irqs_on();
		pause_cpu();
		irqs_off();
	}
}

static void see_rng_go_on(void)
{
	uint64_t start = rdtsc(), rounds = rng_rounds;

	while (rng_rounds < rounds + 3) {
		check(rdtsc() - start < WAIT);
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
	for (unsigned i = 0; i < sizeof(crimes) / sizeof(crimes[0]); i++) {
		uint16_t used;

		start_disk();
		used = disk.q.used->idx;
		crimes[i].do_it(&disk.q);
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
