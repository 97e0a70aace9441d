// SPDX-License-Identifier: Apache-2.0
/*
 * A pin that the guest has made level-triggered, behind it a virtio-mmio disk whose line is high until its InterruptStatus is
 * acknowledged: interrupts again after each EOI until then, remote IRR, masked while it is pending, and, strict (KVM's local
 * APICs offer it and broadcast all the same), EOIs that are not broadcast but written to the IOAPIC. 82093AA, 3.2.4; Intel SDM
 * 3A, 11.8.5.
 */
#include "tests/guest/lib/virtio.h"

#define VECTOR	   0x41
#define PIN	   MMIO_PIN_FIRST
#define RTE_LEVEL  (1 << 15)
#define RTE_MASKED (1 << 16)
#define RTE_REMOTE (1 << 14)
#define IOAPIC_EOI 0x40
#define X2_VERSION 0x803
#define X2_SVR	   0x80f
#define NO_EOI_BROADCAST (1 << 12)

static struct blk disk;
static uint8_t *buf;
static volatile unsigned got, patience; /* interrupts until it is acknowledged */

static volatile uint32_t *ioapic(unsigned off)
{
	return (volatile uint32_t *)(uintptr_t)(IOAPIC_BASE + off);
}

static uint32_t rte(void)
{
	*ioapic(0) = 0x10 + 2 * PIN;
	return *ioapic(0x10);
}

static void set_rte(uint32_t v)
{
	*ioapic(0) = 0x10 + 2 * PIN;
	*ioapic(0x10) = v;
}

static uint32_t status(void)
{
	return *(volatile uint32_t *)(disk.v.mmio + VIRTIO_MMIO_INTERRUPT_STATUS);
}

static void on_interrupt(struct frame *f)
{
	/* The edge of a line that has gone down again may still have been on its way. */
	if (!status())
		return;
	got++;
	check(rte() & RTE_REMOTE);
	if (patience && --patience == 0)
		vdev_ack(&disk.v);
}

static void let_come(void)
{
	irqs_on();
	for (unsigned i = 0; i < 20; i++)
		inb(PIO_SERIAL + 5);
	irqs_off();
}

/* One request that is done: the line is high. */
static void request(void)
{
	blk_add(&disk, VIRTIO_BLK_T_IN, 0, buf, SECTOR);
	vq_arm(&disk.q);
	blk_drain(&disk, 0);
	while (!status())
		pause_cpu();
}

/* It ends when all that is on its way has come and was ended. */
static void settle(void)
{
	do
		let_come();
	while (rte() & RTE_REMOTE);
}

static void again_until_acknowledged(void)
{
	set_rte(VECTOR | RTE_LEVEL | RTE_MASKED);
	request();
	settle();
	check(got == 0);
	patience = 3;
	set_rte(VECTOR | RTE_LEVEL);
	while (got < 3)
		wait_irq();
	settle();
	check(got == 3);
	/* The same with a pin that is open already. */
	patience = 2;
	request();
	while (got < 5)
		wait_irq();
	settle();
	check(got == 5);
	print("it comes again until it is acknowledged\n");
}

static void gone_while_masked(void)
{
	set_rte(VECTOR | RTE_LEVEL | RTE_MASKED);
	request();
	vdev_ack(&disk.v);
	set_rte(VECTOR | RTE_LEVEL);
	settle();
	check(got == 5);
	print("what has gone while masked does not come\n");
}

static void without_broadcast(void)
{
	unsigned seen;

	if (!arg("strict"))
		return;
	check(rdmsr(X2_VERSION) & 1 << 24);
	wrmsr(X2_SVR, rdmsr(X2_SVR) | NO_EOI_BROADCAST);
	patience = 0;
	request();
	while (got < 6)
		wait_irq();
	let_come();
	seen = got;
	check(seen <= 7 && rte() & RTE_REMOTE); /* 7: an edge that was late from before */
	patience = 1;
	*ioapic(IOAPIC_EOI) = VECTOR;
	while (got == seen)
		wait_irq();
	*ioapic(IOAPIC_EOI) = VECTOR;
	let_come();
	check(!status());
	print("the IOAPIC's own EOI\n");
}

int main(void)
{
	lapic_init();
	buf = take_memory(SECTOR, 512);
	check(blk_open(&disk, 0, 1, F_BLK_FLUSH, 1));
	irq_on(VECTOR, on_interrupt);
	again_until_acknowledged();
	gone_while_masked();
	without_broadcast();
	print("SUCCESS\n");
	return 0;
}
