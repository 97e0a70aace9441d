// SPDX-License-Identifier: Apache-2.0
/*
 * Known numbers of exits of each kind, for the exit profile to show: ports by direction and width, memory
 * that nobody has, the IOAPIC, configuration space, a register of the first virtio-rng, and kicks, which are
 * none. CPU 1 has a port of its own. many=N: N different addresses besides. tests/guest/run holds the numbers
 * against the report.
 */
#include "tests/guest/lib/pci.h"
#include "tests/guest/lib/virtio.h"

#define PORT_OUT   0x80
#define PORT_IN	   0x90
#define PORT_CPU1  0x98
#define SCRATCH	   (PIO_SERIAL + 7)
#define HOLE	   0xf0000000u
#define HOLE_MANY  0xf1000000u
#define IOAPIC_WIN (IOAPIC_BASE + 0x10)
#define RNG_ID	   4

#define times(n) for (unsigned i_ = 0; i_ < (n); i_++)

static volatile bool done;

static void other_cpu(unsigned id)
{
	times(23) outb(PORT_CPU1, 0);
	done = true;
	for (;;)
		__asm__ volatile("cli; hlt");
}

static void ports(void)
{
	times(3) outb(PORT_OUT, 0);
	times(4) outw(PORT_OUT, 0);
	times(5) outl(PORT_OUT, 0);
	times(6) inb(PORT_IN);
	times(7) inw(PORT_IN);
	times(8) inl(PORT_IN);
	times(9) outb(SCRATCH, 0x5a);
	times(10) check(inb(SCRATCH) == 0x5a);
}

static void memory(void)
{
	times(11) check(*(volatile uint8_t *)(uintptr_t)HOLE == 0xff);
	times(12) check(*(volatile uint16_t *)(uintptr_t)HOLE == 0xffff);
	times(13) check(*(volatile uint32_t *)(uintptr_t)HOLE == 0xffffffff);
	times(14) check(*(volatile uint64_t *)(uintptr_t)HOLE == UINT64_MAX);
	times(15) * (volatile uint8_t *)(uintptr_t)HOLE = 0;
	times(16) * (volatile uint16_t *)(uintptr_t)HOLE = 0;
	times(17) * (volatile uint32_t *)(uintptr_t)HOLE = 0;
	times(18) * (volatile uint64_t *)(uintptr_t)HOLE = 0;
	times(19) * (volatile uint32_t *)IOAPIC_BASE = 1; /* the version */
	times(20) check((*(volatile uint32_t *)IOAPIC_WIN >> 16 & 0xff) == IOAPIC_PINS - 1);
}

static void virtio(void)
{
	struct vdev rng;
	struct vq q;
	uint32_t head, len;

	check(vdev_open(&rng, RNG_ID, 0));
	vdev_negotiate(&rng, 0);
	vq_open(&q, &rng, 0, 4, VIRTIO_MSI_NO_VECTOR);
	vdev_go(&rng);
	if (rng.mmio) {
		times(22) * (volatile uint32_t *)(rng.mmio + VIRTIO_MMIO_VENDOR_ID);
	} else {
		times(21) ecam_read(i_, 0, 4);
		times(22) * (volatile uint16_t *)(rng.common + VIRTIO_PCI_COMMON_NUMQ);
		/* What a driver that leaves does: it is still known whose the address was. */
		pci_enable(rng.slot, false);
		times(24) * (volatile uint8_t *)(rng.common + VIRTIO_PCI_COMMON_CFGGENERATION);
		pci_enable(rng.slot, true);
	}
	vq_desc(&q, 0, take_memory(64, 64), 64, VRING_DESC_F_WRITE, 0);
	vq_add(&q, 0);
	vq_publish(&q);
	times(100) vq_kick(&q);
	while (!vq_take(&q, &head, &len))
		pause_cpu();
	vdev_reset(&rng);
}

int main(void)
{
	uint32_t many = arg_number("many", 0);

	lapic_init();
	ports();
	memory();
	virtio();
	check(cpu_start(1, other_cpu));
	while (!done)
		pause_cpu();
	times(many) * (volatile uint32_t *)(uintptr_t)(HOLE_MANY + 4 * i_);
	print("SUCCESS\n");
	return 0;
}
