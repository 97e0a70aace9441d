// SPDX-License-Identifier: Apache-2.0
/*
 * Known numbers of exits of each kind, for the exit profile to show: ports by direction and width, memory
 * that nobody has, the IOAPIC, configuration space, a register of the first virtio-rng, and kicks, which are
 * none; MSRs that KVM does not know, which are exits only with --profile unknown=on; HLT, which is one of
 * KVM's own. CPU 1 has a port of its own. many=N: N different addresses besides. call: hypercalls that KVM
 * does not know. disk: known batches of requests. tests/guest/cases/profile.sh holds the numbers against the report.
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
#define MSR_NONE   0x4a4b4c4d /* and the one after it */
#define CALL	   12	      /* KVM_HC_MAP_GPA_RANGE */
#define ENOSYS	   1000	      /* KVM's own */
#define GP_FAULT   13
#define VECTOR	   0x51
#define DEPTH	   8

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

static unsigned faults;

/* rdmsr and wrmsr have two bytes. */
static void on_fault(struct frame *f)
{
	faults++;
	f->rip += 2;
}

/* The CPU's own instruction for it: KVM would write the other one's over it. */
static uint64_t hypercall(uint64_t nr, uint64_t a, uint64_t b, uint64_t c)
{
	uint32_t r[4];
	uint64_t ret;

	cpuid(0, 0, r);
	if (r[2] == 0x444d4163 || r[2] == 0x656e6975) /* AuthenticAMD, HygonGenuine */
		__asm__ volatile("vmmcall" : "=a"(ret) : "a"(nr), "b"(a), "c"(b), "d"(c) : "memory");
	else
		__asm__ volatile("vmcall" : "=a"(ret) : "a"(nr), "b"(a), "c"(b), "d"(c) : "memory");
	return ret;
}

/* Refused whether user space is asked or not. */
static void unknown(void)
{
	irq_on(GP_FAULT, on_fault);
	times(25) rdmsr(MSR_NONE);
	times(26) wrmsr(MSR_NONE + 1, 0x123456789abcdef0);
	check(faults == 25 + 26);
}

/* Not every KVM carries out the instruction: one whose guests' ring 0 is emulated tries for ever. */
static void calls(void)
{
	print("calling\n");
	times(27) check(hypercall(CALL, 0x100000, 1, 0) == (uint64_t)-ENOSYS);
}

static void on_interrupt(struct frame *f)
{
}

/* Each ended by an interrupt that is there before it begins. */
static void halts(void)
{
	irq_on(VECTOR, on_interrupt);
	times(28) {
		lapic_send_self(VECTOR);
		wait_irq();
	}
}

/* Batches that the device sees at once: 3 of reads of a sector, 2 of writes of two, and a read behind the end. */
static void disk(void)
{
	uint8_t *buf = take_memory(DEPTH * 2 * SECTOR, SECTOR);
	struct blk b;

	check(blk_open(&b, 0, DEPTH, 0, VIRTIO_MSI_NO_VECTOR));
	for (unsigned batch = 0; batch < 5; batch++) {
		for (unsigned i = 0; i < DEPTH; i++)
			blk_add(&b, batch < 3 ? VIRTIO_BLK_T_IN : VIRTIO_BLK_T_OUT, i, buf + i * 2 * SECTOR,
				batch < 3 ? SECTOR : 2 * SECTOR);
		blk_drain(&b, 0);
	}
	check(blk_do(&b, VIRTIO_BLK_T_IN, blk_sectors(&b), buf, SECTOR) == VIRTIO_BLK_S_IOERR);
	vdev_reset(&b.v);
}

int main(void)
{
	uint32_t many = arg_number("many", 0);

	lapic_init();
	ports();
	memory();
	virtio();
	unknown();
	if (arg("call"))
		calls();
	halts();
	if (arg("disk"))
		disk();
	check(cpu_start(1, other_cpu));
	while (!done)
		pause_cpu();
	times(many) * (volatile uint32_t *)(uintptr_t)(HOLE_MANY + 4 * i_);
	print("SUCCESS\n");
	return 0;
}
