// SPDX-License-Identifier: Apache-2.0
/*
 * virtio-mmio: devices=N are there, N - 1 disks and an rng, in the first slots, and no PCI; registers answer
 * to their own width; and each disk interrupts by its own pin, once for each request.
 */
#include "tests/guest/lib/virtio.h"

#define VECTOR	 0x41
#define RNG_ID	 4
#define LEGACY	 VIRTIO_MMIO_GUEST_PAGE_SIZE
#define CONFDATA (PIO_PCI + 4)
#define NONE	 0xffffffff

static struct blk disk[MMIO_SLOTS];
static volatile unsigned interrupts[MMIO_SLOTS];

static void on_interrupt(struct frame *f)
{
	unsigned n = f->vector - VECTOR;

	check(vdev_ack(&disk[n].v) == VIRTIO_MMIO_INT_VRING);
	interrupts[n]++;
}

static uint32_t reg(unsigned slot, unsigned off)
{
	return *(volatile uint32_t *)(uintptr_t)(MMIO_PLATFORM + slot * MMIO_SLOT_SIZE + off);
}

static void no_pci(void)
{
	outl(PIO_PCI, 0x80000000);
	check(inl(PIO_PCI) == NONE && inl(CONFDATA) == NONE);
	check(*(volatile uint32_t *)PCI_ECAM_BASE == NONE);
}

static void registers(unsigned slot)
{
	volatile uint8_t *at = (volatile uint8_t *)(uintptr_t)(MMIO_PLATFORM + slot * MMIO_SLOT_SIZE);

	check(reg(slot, VIRTIO_MMIO_MAGIC_VALUE) == 0x74726976 && reg(slot, VIRTIO_MMIO_VERSION) == 2);
	check(reg(slot, VIRTIO_MMIO_SHM_LEN_LOW) == NONE && reg(slot, LEGACY) == 0);
	check(reg(slot, MMIO_SLOT_SIZE - 4) == NONE);
	check(*at == 0xff && *(volatile uint16_t *)(at + VIRTIO_MMIO_VERSION) == 0xffff);
}

static void read_by_interrupt(unsigned n)
{
	struct blk *b = &disk[n];
	uint8_t *buf = take_memory(SECTOR, 512);
	volatile uint8_t *config;

	check(blk_open(b, n, 1, F_BLK_FLUSH, 1));
	check(b->v.slot == n);
	irq_on(VECTOR + n, on_interrupt);
	msix_set(&b->v, 1, VECTOR + n);
	for (unsigned i = 0; i < 3; i++) {
		blk_add(b, VIRTIO_BLK_T_IN, i, buf, SECTOR);
		vq_arm(&b->q);
		vq_publish(&b->q);
		do
			wait_irq();
		while (!blk_reap(b));
		check(interrupts[n] == i + 1);
	}
	/* Configuration by bytes is what it is by words. */
	config = (volatile uint8_t *)b->v.config;
	check((config[0] | config[1] << 8 | config[2] << 16 | (unsigned)config[3] << 24) ==
		(uint32_t)blk_sectors(b));
}

int main(void)
{
	unsigned devices = arg_number("devices", 2);
	struct vdev rng;

	lapic_init();
	no_pci();
	for (unsigned i = 0; i < devices; i++)
		registers(i);
	check(devices == MMIO_SLOTS || reg(devices, VIRTIO_MMIO_MAGIC_VALUE) == NONE);
	for (unsigned i = 0; i < devices - 1; i++)
		read_by_interrupt(i);
	check(vdev_open(&rng, RNG_ID, 0) && rng.slot == devices - 1 && !vdev_open(&rng, RNG_ID, 1));
	print("SUCCESS\n");
	return 0;
}
