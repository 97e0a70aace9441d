// SPDX-License-Identifier: Apache-2.0
/*
 * virtio-blk, in the way the command line names:
 *   copy depth=N [event] [indirect]  disk 0 to disk 1, in pieces of piece=BYTES, then FLUSH; id=S: disk 1's GET_ID
 *   count=N depth=N [irq]            N reads, waited for by HLT and interrupts or by looking at the ring
 *   soak=N [event] [indirect]        N reads in full batches: the ring's indices wrap
 *   reset=N                          N resets with requests in flight
 *   restart=N                        count in disk 0's first byte, and reset the machine until it says N
 *   masked                           an interrupt that comes while its vector is masked
 *   move                             the BAR moves while the device runs; count=N reads afterwards
 *   status                           requests that must fail, each in its way
 * With mmio as well, over virtio-mmio (not masked and move, which are PCI's).
 */
#include "tests/guest/lib/virtio.h"

#include "tests/guest/lib/pci.h"

#define VECTOR	    0x41
#define NEW_BAR	    0xc8000000
#define PIECE_MAX   65536
#define RESET_VALUE 1
#define POISON	    0x5a5a5a5a5a5a5a5aull

static volatile uint64_t interrupts;
static struct vdev *interrupting;

static void on_interrupt(struct frame *f)
{
	check(vdev_ack(interrupting) & VIRTIO_MMIO_INT_VRING); /* none for nothing */
	interrupts++;
}

static uint64_t wanted_features(void)
{
	return F_BLK_FLUSH | (arg("event") ? F_EVENT_IDX : 0) | (arg("indirect") ? F_INDIRECT : 0);
}

/* Disk n, with interrupts by MSI-X entry 1 when they are wanted. */
static void open_disk(struct blk *b, unsigned n, unsigned depth, bool irq)
{
	check(blk_open(b, n, depth, wanted_features(), irq ? 1 : VIRTIO_MSI_NO_VECTOR));
	check(!arg("event") == !(b->v.features & F_EVENT_IDX));
	check(!arg("indirect") == !(b->v.features & F_INDIRECT));
	interrupting = &b->v;
	if (irq)
		msix_set(&b->v, 1, VECTOR);
	else
		vq_disarm(&b->q);
}

/*
 * Put the requests to the device and sleep until one is done. Interrupts are off but inside wait_irq(), so a completion is
 * seen by its interrupt, and by nothing else.
 */
static void sleep_for_one(struct blk *b)
{
	bool wait = vq_arm(&b->q);

	vq_publish(&b->q);
	if (!wait && blk_reap(b))
		return;
	do
		wait_irq();
	while (!blk_reap(b));
}

static void copy(void)
{
	unsigned depth = arg_number("depth", 1), piece = arg_number("piece", 4096);
	uint64_t sectors, per = piece / SECTOR;
	static struct blk from, to;
	static char id[21];
	uint8_t *buf;

	open_disk(&from, 0, depth, false);
	open_disk(&to, 1, depth, false);
	buf = take_memory(depth * piece, 4096);
	sectors = blk_sectors(&from);
	check(sectors && sectors == blk_sectors(&to) && sectors % (per * depth) == 0);
	for (uint64_t at = 0; at < sectors; at += per * depth) {
		for (unsigned i = 0; i < depth; i++)
			blk_add(&from, VIRTIO_BLK_T_IN, at + i * per, buf + i * piece, piece);
		blk_drain(&from, 0);
		for (unsigned i = 0; i < depth; i++) {
			check(from.slot[i].status == VIRTIO_BLK_S_OK);
			blk_add(&to, VIRTIO_BLK_T_OUT, at + i * per, buf + i * piece, piece);
		}
		blk_drain(&to, 0);
		for (unsigned i = 0; i < depth; i++)
			check(to.slot[i].status == VIRTIO_BLK_S_OK);
	}
	check(blk_do(&to, VIRTIO_BLK_T_FLUSH, 0, NULL, 0) == VIRTIO_BLK_S_OK);
	check(blk_do(&to, VIRTIO_BLK_T_GET_ID, 0, id, 20) == VIRTIO_BLK_S_OK);
	print("copied %lu sectors, disk 1 is %s\n", sectors, id);
	if (arg("id"))
		check(arg_is("id", id));
}

static void count(struct blk *b, bool irq)
{
	uint64_t n = arg_number("count", 100), submitted = 0;
	uint8_t *buf = take_memory(b->depth * SECTOR, 512);

	while (b->done < n) {
		while (b->busy < b->depth && submitted < n) {
			unsigned i = blk_add(b, VIRTIO_BLK_T_IN, submitted % 64, buf, SECTOR);

			check(i < b->depth);
			submitted++;
		}
		if (irq)
			sleep_for_one(b);
		else
			blk_drain(b, 0);
	}
	if (irq)
		check(b->depth == 1 ? interrupts == n : interrupts && interrupts <= n);
	print("%lu requests, %lu kicks, %lu interrupts\n", b->done, b->q.kicks, interrupts);
}

/*
 * The same chains again and again, by nothing but a new avail.idx: few instructions a request, so that the indices wrap
 * in seconds.
 */
static void soak(void)
{
	static struct { uint32_t last; } seen[BLK_MAX_DEPTH];
	uint64_t n = arg_number("soak", 70000), batches = 0;
	static struct blk b;
	uint8_t *buf = take_memory(SECTOR, 512);
	unsigned depth = 64;
	uint16_t heads[64];

	open_disk(&b, 0, depth, false);
	check(b.q.num >= depth);
	for (unsigned i = 0; i < depth; i++) {
		blk_add(&b, VIRTIO_BLK_T_IN, i, buf, SECTOR);
		heads[i] = b.q.avail->ring[i];
	}
	for (unsigned i = depth; i < b.q.num; i++)
		b.q.avail->ring[i] = heads[i % depth];
	for (uint64_t done = 0; done < n; done += depth) {
		uint32_t id, len;

		if (batches++)
			b.q.added += depth;
		vq_publish(&b.q);
		for (unsigned i = 0; i < depth;) {
			if (!vq_take(&b.q, &id, &len)) {
				pause_cpu();
				continue;
			}
			id = b.indirect ? id : id / 3;
			check(id < depth && len == SECTOR + 1 && b.slot[id].status == VIRTIO_BLK_S_OK);
			check(seen[id].last != batches); /* each exactly once a batch */
			seen[id].last = batches;
			b.slot[id].status = 0xff;
			i++;
		}
		vq_disarm(&b.q);
	}
	check(b.q.kicks <= batches);
	check(!(vdev_status(&b.v) & VIRTIO_CONFIG_S_NEEDS_RESET));
	print("soaked, indices at %u\n", b.q.added);
}

static void resets(void)
{
	unsigned n = arg_number("reset", 10), depth = 16, piece = 16384;
	static struct blk b;
	uint64_t *buf, *other;

	open_disk(&b, 0, depth, false);
	buf = take_memory(depth * piece, 4096);
	other = take_memory(SECTOR, 512);
	for (unsigned round = 0; round < n; round++) {
		for (unsigned i = 0; i < depth; i++)
			blk_add(&b, VIRTIO_BLK_T_IN, i * (piece / SECTOR), buf + i * piece / 8, piece);
		vq_publish(&b.q);
		vdev_reset(&b.v);
		/* Nothing of before may be written from here on. */
		b.q.used->idx = 0x7777;
		for (unsigned i = 0; i < depth; i++) {
			buf[i * piece / 8] = buf[(i + 1) * piece / 8 - 1] = POISON;
			b.slot[i].status = 0xee;
		}
		blk_start(&b, wanted_features(), VIRTIO_MSI_NO_VECTOR);
		other[0] = POISON;
		check(blk_do(&b, VIRTIO_BLK_T_IN, round, other, SECTOR) == VIRTIO_BLK_S_OK);
		check(other[0] != POISON);
		for (unsigned i = 0; i < depth; i++) {
			check(buf[i * piece / 8] == POISON && buf[(i + 1) * piece / 8 - 1] == POISON);
			check(b.slot[i].status == 0xee || !i); /* slot 0 served the read */
		}
	}
	print("%u resets\n", n);
}

static void restarts(void)
{
	static struct blk b;
	uint8_t *buf = take_memory(SECTOR, 512);

	open_disk(&b, 0, 1, true);
	check(blk_do(&b, VIRTIO_BLK_T_IN, 0, buf, SECTOR) == VIRTIO_BLK_S_OK);
	print("start %u, kept %u\n", buf[0], *KEPT_RAM);
	check(*KEPT_RAM == buf[0]); /* RAM and disk stayed, and nothing of the run before is left to write into them */
	if (buf[0] == arg_number("restart", 10))
		power_off();
	*KEPT_RAM = ++buf[0];
	blk_add(&b, VIRTIO_BLK_T_OUT, 0, buf, SECTOR);
	sleep_for_one(&b);
	check(interrupts);
	check(blk_do(&b, VIRTIO_BLK_T_FLUSH, 0, NULL, 0) == VIRTIO_BLK_S_OK);
	/* With requests in flight, as a guest that crashes leaves it. */
	blk_add(&b, VIRTIO_BLK_T_IN, 1, buf, SECTOR);
	vq_publish(&b.q);
	outb(PIO_RESET, RESET_VALUE);
	for (;;)
		__asm__ volatile("cli; hlt");
}

static void masked(void)
{
	static struct blk b;
	uint8_t *buf = take_memory(SECTOR, 512);

	open_disk(&b, 0, 1, true);
	for (unsigned round = 0; round < 5; round++) {
		interrupts = 0;
		msix_mask(&b.v, 1, true);
		check(!msix_pending(&b.v, 1, 2));
		blk_add(&b, VIRTIO_BLK_T_IN, 0, buf, SECTOR);
		vq_arm(&b.q);
		vq_publish(&b.q);
		while (!blk_reap(&b) || !msix_pending(&b.v, 1, 2))
			pause_cpu();
		irqs_on();
		for (unsigned i = 0; i < 1000; i++)
			pause_cpu();
		irqs_off();
		check(!interrupts);
		msix_mask(&b.v, 1, false);
		while (!interrupts)
			wait_irq();
		check(!msix_pending(&b.v, 1, 2));
		irqs_on();
		for (unsigned i = 0; i < 1000; i++)
			pause_cpu();
		irqs_off();
		check(interrupts == 1);
	}
	print("masked, pending, delivered once\n");
}

/* The device answers at its new place, not at the old one, and its kicks are caught there. */
static void move(void)
{
	static struct blk b;
	uint64_t old;

	open_disk(&b, 0, 1, false);
	old = pci_bar(b.v.slot, 0);
	check(old != NEW_BAR);
	check(*(volatile uint32_t *)NEW_BAR == ~0u);
	pci_bar_set(b.v.slot, 0, NEW_BAR);
	check(pci_bar(b.v.slot, 0) == NEW_BAR);
	check(*(volatile uint32_t *)(uintptr_t)old == ~0u);
	vdev_map(&b.v);
	check(vdev_status(&b.v) & VIRTIO_CONFIG_S_DRIVER_OK);
	b.q.kick = b.v.notify;
	count(&b, false);
	pci_enable(b.v.slot, false);
	check(*(volatile uint32_t *)NEW_BAR == ~0u);
	pci_enable(b.v.slot, true);
	check(vdev_status(&b.v) & VIRTIO_CONFIG_S_DRIVER_OK);
	check(blk_do(&b, VIRTIO_BLK_T_IN, 0, take_memory(SECTOR, 512), SECTOR) == VIRTIO_BLK_S_OK);
	print("moved\n");
}

static void statuses(void)
{
	static struct blk b;
	uint8_t *buf = take_memory(PIECE_MAX, 4096);
	uint64_t end;

	open_disk(&b, 0, 1, false);
	end = blk_sectors(&b);
	check(blk_do(&b, VIRTIO_BLK_T_IN, end, buf, SECTOR) == VIRTIO_BLK_S_IOERR);
	check(blk_do(&b, VIRTIO_BLK_T_OUT, end - 1, buf, 2 * SECTOR) == VIRTIO_BLK_S_IOERR);
	check(blk_do(&b, VIRTIO_BLK_T_OUT, ~0ull, buf, SECTOR) == VIRTIO_BLK_S_IOERR);
	check(blk_do(&b, VIRTIO_BLK_T_IN, 1ull << 55, buf, SECTOR) == VIRTIO_BLK_S_IOERR);
	check(blk_do(&b, VIRTIO_BLK_T_IN, 0, buf, 100) == VIRTIO_BLK_S_IOERR);
	check(blk_do(&b, 0x1234, 0, buf, SECTOR) == VIRTIO_BLK_S_UNSUPP);
	check(blk_do(&b, VIRTIO_BLK_T_OUT, 0, buf, SECTOR) == (arg("ro") ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK));
	check(blk_do(&b, VIRTIO_BLK_T_IN, end - 1, buf, SECTOR) == VIRTIO_BLK_S_OK);
	check(!(vdev_status(&b.v) & VIRTIO_CONFIG_S_NEEDS_RESET));
	print("statuses as they should be\n");
}

int main(void)
{
	static struct blk b;

	lapic_init();
	irq_on(VECTOR, on_interrupt);
	if (arg("copy"))
		copy();
	else if (arg("soak"))
		soak();
	else if (arg("reset"))
		resets();
	else if (arg("restart"))
		restarts();
	else if (arg("masked"))
		masked();
	else if (arg("move"))
		move();
	else if (arg("status"))
		statuses();
	else {
		open_disk(&b, 0, arg_number("depth", 1), arg("irq"));
		count(&b, arg("irq"));
	}
	print("SUCCESS\n");
	return 0;
}
