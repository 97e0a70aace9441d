// SPDX-License-Identifier: Apache-2.0
/*
 * Block requests at a fixed depth, for counting what they cost: requests=N depth=D (powers of two, up to 64) reads
 * 4 KiB each from the first virtio-blk disk with EVENT_IDX and one MSI-X vector, as Linux does: each interrupt
 * reaps all that is used, publishes as many anew, and kicks if the device asked for it. wait=spin polls without
 * interrupts. end=hang: stay, idle. Prints "kicks interrupts" of its own count.
 */
#include "tests/guest/lib/guest.h"

#define VIRTIO_BLK   0x10421af4
#define CAP_VENDOR   9
#define CAP_MSIX     17
#define MSIX_ENABLE  0x8000
#define VECTOR       0x50
#define RING	     256
#define DEPTH_MAX    64
#define SECTORS	     8 /* a request */
#define DISK_SECTORS 16384
#define F_NEXT	     1
#define F_WRITE	     2

/* Virtio 1.2, 4.1.4.3: offsets in the common configuration. */
enum {
	C_DFSELECT = 0, C_DF = 4, C_GFSELECT = 8, C_GF = 12, C_MSIX = 16, C_STATUS = 20, C_QSELECT = 22, C_QSIZE = 24,
	C_QMSIX = 26, C_QENABLE = 28, C_QNOFF = 30, C_QDESC = 32, C_QAVAIL = 40, C_QUSED = 48,
};

#define S_ACK	      1
#define S_DRIVER      2
#define S_DRIVER_OK   4
#define S_FEATURES_OK 8
#define EVENT_IDX     (1u << 29)
#define VERSION_1     1u /* the high word's first */

struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

struct request {
	uint32_t type, reserved;
	uint64_t sector;
	volatile uint8_t status;
};

static _Alignas(4096) struct desc desc[RING];
static _Alignas(4096) struct {
	uint16_t flags;
	volatile uint16_t idx;
	uint16_t ring[RING];
	volatile uint16_t used_event;
} avail;
static _Alignas(4096) struct {
	uint16_t flags;
	volatile uint16_t idx;
	struct {
		uint32_t id, len;
	} ring[RING];
	volatile uint16_t avail_event;
} used;
static _Alignas(4096) uint8_t data[DEPTH_MAX][SECTORS * 512];
static struct request request[DEPTH_MAX];

static unsigned slot;
static volatile uint8_t *common;
static volatile uint16_t *bell;
static volatile unsigned interrupts;
static uint64_t kicks, submitted;
static uint16_t reaped;

static uint32_t cfg_read(unsigned off)
{
	outl(PIO_PCI, 0x80000000 | slot << 11 | (off & ~3u));
	return inl(PIO_PCI + 4) >> (off & 3) * 8;
}

static void cfg_write(unsigned off, uint32_t v)
{
	outl(PIO_PCI, 0x80000000 | slot << 11 | off);
	outl(PIO_PCI + 4, v);
}

static volatile uint8_t *bar(unsigned n)
{
	uint64_t at = cfg_read(0x10 + 4 * n);

	if ((at & 6) == 4)
		at |= (uint64_t)cfg_read(0x14 + 4 * n) << 32;
	at &= ~0xfull;
	if (at >> 32)
		map_high(at, 1 << 21);
	return (volatile uint8_t *)at;
}

static void msix_setup(unsigned cap)
{
	uint32_t table = cfg_read(cap + 4);
	volatile uint32_t *entry = (volatile uint32_t *)(bar(table & 7) + (table & ~7u));

	entry[0] = LAPIC_BASE | lapic_id() << 12;
	entry[1] = 0;
	entry[2] = VECTOR;
	entry[3] = 0;
	cfg_write(cap, MSIX_ENABLE << 16);
}

/* Finds the disk, its registers, and its doorbell; the latter needs the queue selected. */
static void find_disk(void)
{
	volatile uint8_t *notify = NULL;
	uint32_t step = 0;

	while (slot < 32 && cfg_read(0) != VIRTIO_BLK)
		slot++;
	check(slot < 32);
	cfg_write(4, 6); /* memory, bus master */
	for (unsigned cap = cfg_read(0x34) & 0xff; cap; cap = cfg_read(cap) >> 8 & 0xff) {
		unsigned id = cfg_read(cap) & 0xff, type = cfg_read(cap) >> 24;

		if (id == CAP_MSIX)
			msix_setup(cap);
		if (id != CAP_VENDOR || type < 1 || type > 2)
			continue;
		if (type == 1) {
			common = bar(cfg_read(cap + 4) & 0xff) + cfg_read(cap + 8);
		} else {
			notify = bar(cfg_read(cap + 4) & 0xff) + cfg_read(cap + 8);
			step = cfg_read(cap + 16);
		}
	}
	check(common && notify);
	*(volatile uint16_t *)(common + C_QSELECT) = 0;
	bell = (volatile uint16_t *)(notify + step * *(volatile uint16_t *)(common + C_QNOFF));
}

static void address(unsigned off, const void *p)
{
	*(volatile uint32_t *)(common + off) = (uintptr_t)p;
	*(volatile uint32_t *)(common + off + 4) = 0;
}

static void start_disk(void)
{
	volatile uint8_t *status = common + C_STATUS;

	*status = 0;
	while (*status)
		pause_cpu();
	*status = S_ACK | S_DRIVER;
	*(volatile uint32_t *)(common + C_GFSELECT) = 0;
	*(volatile uint32_t *)(common + C_GF) = EVENT_IDX;
	*(volatile uint32_t *)(common + C_GFSELECT) = 1;
	*(volatile uint32_t *)(common + C_GF) = VERSION_1;
	*status = S_ACK | S_DRIVER | S_FEATURES_OK;
	check(*status & S_FEATURES_OK);
	*(volatile uint16_t *)(common + C_QSIZE) = RING;
	*(volatile uint16_t *)(common + C_QMSIX) = 0;
	address(C_QDESC, desc);
	address(C_QAVAIL, &avail);
	address(C_QUSED, &used);
	*(volatile uint16_t *)(common + C_QENABLE) = 1;
	*status = S_ACK | S_DRIVER | S_FEATURES_OK | S_DRIVER_OK;
}

static void prepare(unsigned i)
{
	struct desc *d = &desc[3 * i];

	request[i].status = 0xff;
	d[0] = (struct desc){(uintptr_t)&request[i], 16, F_NEXT, 3 * i + 1};
	d[1] = (struct desc){(uintptr_t)data[i], sizeof(data[i]), F_NEXT | F_WRITE, 3 * i + 2};
	d[2] = (struct desc){(uintptr_t)&request[i].status, 1, F_WRITE, 0};
}

static void offer(unsigned i, unsigned ahead)
{
	request[i].sector = submitted++ * SECTORS % DISK_SECTORS;
	request[i].status = 0xff;
	avail.ring[(uint16_t)(avail.idx + ahead) % RING] = 3 * i;
}

/* Virtio 1.2, 2.7.7.2: a kick when the index passes what the device asked for. */
static void publish(unsigned n)
{
	uint16_t old = avail.idx, new = old + n;

	__asm__ volatile("" ::: "memory");
	avail.idx = new;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if ((uint16_t)(new - used.avail_event - 1) < (uint16_t)(new - old)) {
		kicks++;
		*bell = 0;
	}
}

static void on_interrupt(struct frame *f)
{
	interrupts++;
}

/* Interrupts are off here; wait_irq() lets them in. */
static void await(bool spin)
{
	while (!spin && used.idx == reaped) {
		avail.used_event = reaped;
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		if (used.idx == reaped)
			wait_irq();
	}
	while (used.idx == reaped)
		pause_cpu();
}

static void work(uint64_t total, unsigned depth, bool spin)
{
	uint64_t done = 0;

	for (unsigned i = 0; i < depth; i++) {
		prepare(i);
		offer(i, i);
	}
	publish(depth);
	while (done < total) {
		unsigned n = 0;

		await(spin);
		for (; reaped != used.idx; reaped++, done++) {
			unsigned i = used.ring[reaped % RING].id / 3;

			check(request[i].status == 0);
			if (submitted < total)
				offer(i, n++);
		}
		if (n)
			publish(n);
	}
}

int main(void)
{
	irq_init();
	lapic_init();
	irq_on(VECTOR, on_interrupt);
	find_disk();
	start_disk();
	avail.used_event = arg_is("wait", "spin") ? 0x8000 : 0;
	work(arg_number("requests", 256), arg_number("depth", 1), arg_is("wait", "spin"));
	print("kicks %lu interrupts %u\n", kicks, interrupts);
	if (arg_is("end", "hang")) {
		print("bench-hold\n");
		for (;;)
			__asm__ volatile("cli; hlt");
	}
	print("SUCCESS\n");
	return 0;
}
