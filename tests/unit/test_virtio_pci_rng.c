// SPDX-License-Identifier: Apache-2.0
/*
 * The rooms together: a guest's driver, virtio-pci, the common part of devices, a real device and a real loop
 * in a thread of its own. Only KVM is missing: interrupts are eventfds, kicks reach virtio-pci as register
 * writes.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "devices/virtio/pci_priv.h"
#include "tests/unit/board.h"
#include "tests/unit/mockmem.h"
#include "tests/unit/ring_driver.h"
#include "tests/unit/unit.h"
#include "vmm/loop/loop.h"
#include "vmm/vm.h"

#define ECAM   0xe0000000ull
#define CFG    (ECAM + (1 << 15))
#define MEM32  0xc0000000ull
#define RING   0x10000
#define BUFFER 0x20000
#define NUM    8
#define BYTES  4096
#define ALL                                                                                   \
	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK | \
		VIRTIO_CONFIG_S_DRIVER_OK)

/* The descriptors of the config vector and the queue's. */
static int irq_fd[2];
static unsigned nirq;

int irq_open(struct irq_src *src, struct vm *vm, int gsi)
{
	ck_assert_uint_lt(nirq, 2);
	*src = (struct irq_src){.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
	irq_fd[nirq++] = src->fd;
	return src->fd < 0 ? -errno : 0;
}

void irq_close(struct irq_src *src)
{
	close(src->fd);
}

int irq_route(struct irq_src *src, const struct irq_msg *msg)
{
	return 0;
}

int irq_mask(struct irq_src *src, bool masked)
{
	return 0;
}

/* A masked source keeps its count, as the eventfd of an unbound irqfd does. */
void irq_raise(struct irq_src *src, struct loop *loop)
{
	ck_assert(!eventfd_write(src->fd, 1) || errno == EAGAIN);
}

bool irq_pending(const struct irq_src *src)
{
	return false;
}

void irq_reset(struct irq_src *src)
{
	eventfd_t v;

	eventfd_read(src->fd, &v);
}

int vm_kick_add(struct vm *vm, uint64_t gpa, int value, int fd)
{
	return -ENOSPC;
}

int vm_kick_del(struct vm *vm, uint64_t gpa, int value, int fd)
{
	return 0;
}

static struct pci_bus *bus;
static struct virtio_transport *transport;
static struct guest_mem mem;
static struct ring_driver ring;
static uint8_t *ram;

static void put(unsigned reg, uint64_t v, unsigned len)
{
	wr(MEM32 + AT_COMMON + reg, v, len);
}

static uint8_t status(void)
{
	return rd(MEM32 + AT_COMMON + VIRTIO_PCI_COMMON_STATUS, 1);
}

static void start_device(uint64_t features)
{
	wr(CFG + PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
	put(VIRTIO_PCI_COMMON_STATUS, 0, 1);
	while (status())
		sched_yield();
	wr(CFG + vp_container(transport, regs.transport)->pci.cfg[PCI_CAPABILITY_LIST] + PCI_MSIX_FLAGS, PCI_MSIX_FLAGS_ENABLE, 2);
	for (unsigned i = 0; i < 2; i++)
		wr(MEM32 + AT_MSIX + 16 * i + 12, 0, 4);
	put(VIRTIO_PCI_COMMON_GF, (uint32_t)features, 4);
	put(VIRTIO_PCI_COMMON_GFSELECT, 1, 4);
	put(VIRTIO_PCI_COMMON_GF, features >> 32, 4);
	put(VIRTIO_PCI_COMMON_STATUS, ALL & ~VIRTIO_CONFIG_S_DRIVER_OK, 1);
	ring_init(&ring, &mem, RING, NUM, 0, features);
	put(VIRTIO_PCI_COMMON_MSIX, 0, 2);
	put(VIRTIO_PCI_COMMON_Q_SIZE, NUM, 2);
	put(VIRTIO_PCI_COMMON_Q_MSIX, 1, 2);
	put(VIRTIO_PCI_COMMON_Q_DESCLO, ring.cfg.desc, 8);
	put(VIRTIO_PCI_COMMON_Q_AVAILLO, ring.cfg.avail, 8);
	put(VIRTIO_PCI_COMMON_Q_USEDLO, ring.cfg.used, 8);
	put(VIRTIO_PCI_COMMON_Q_ENABLE, 1, 2);
	put(VIRTIO_PCI_COMMON_STATUS, ALL, 1);
	ck_assert_uint_eq(status(), ALL);
}

static void offer(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct ring_seg seg = {BUFFER + i * BYTES, BYTES, true};

		memset(ram + seg.gpa, 0, BYTES);
		ring_offer(&ring, ring_chain(&ring, &seg, 1));
	}
	if (ring_publish(&ring))
		wr(MEM32 + AT_NOTIFY, 0, 2);
}

static bool all_zero(const uint8_t *p, size_t n)
{
	while (n && !*p)
		p++, n--;
	return !n;
}

static void collect(unsigned n)
{
	uint32_t head, len;

	while (n) {
		struct pollfd p = {.fd = irq_fd[1], .events = POLLIN};
		eventfd_t v;

		if (ring_used(&ring, &head, &len)) {
			ck_assert_uint_eq(len, BYTES);
			n--;
		} else if (ring_arm(&ring)) {
			ck_assert_int_eq(poll(&p, 1, -1), 1); /* one that was lost is waited for until Check ends this */
			eventfd_read(irq_fd[1], &v);
		}
	}
}

static void *run(void *loop)
{
	return (void *)(intptr_t)loop_run(loop);
}

static const struct pci_layout layout = {
	.ecam = ECAM, .ecam_size = 0x100000, .mem32 = MEM32, .mem32_size = 0x10000};

static void with_engine(enum io_engine engine)
{
	static const uint64_t features[] = {RING_FEATURES, RING_FEATURES | RING_EVENT_IDX};
	struct virtio_dev *dev;
	struct loop *loop;
	pthread_t t;
	void *r;

	ram = unit_ram(&mem, 0, 0x100000);
	ck_assert_int_eq(loop_create(&loop, "main", engine, 16), 0);
	ck_assert_int_eq(virtio_rng_create(&dev, "rng", &mem, loop), 0);
	ck_assert_int_eq(pci_bus_create(&bus, &board, &layout), 0);
	ck_assert_int_eq(virtio_pci_create(&transport, bus, NULL, dev), 0);
	ck_assert_int_eq(pthread_create(&t, NULL, run, loop), 0);
	for (unsigned round = 0; round < 40; round++) {
		start_device(features[round % 2]);
		for (unsigned i = 0; i < 5; i++) {
			offer(NUM);
			collect(NUM);
			ck_assert(!all_zero(ram + BUFFER + (NUM - 1) * BYTES, BYTES));
		}
		offer(NUM); /* in flight when the reset comes */
		if (round % 3 == 2)
			transport->reset(transport);
		else
			put(VIRTIO_PCI_COMMON_STATUS, 0, 1);
	}
	/* A ring that breaks the rules: NEEDS_RESET by the config vector, and a reset mends it. */
	start_device(RING_FEATURES);
	ring_offer(&ring, NUM);
	ring_publish(&ring);
	wr(MEM32 + AT_NOTIFY, 0, 2);
	ck_assert_int_eq(poll(&(struct pollfd){.fd = irq_fd[0], .events = POLLIN}, 1, -1), 1);
	ck_assert_uint_eq(status(), ALL | VIRTIO_CONFIG_S_NEEDS_RESET);
	start_device(RING_FEATURES);
	offer(1);
	collect(1);
	/* After a reset the old rings and buffers are the guest's. */
	offer(NUM);
	put(VIRTIO_PCI_COMMON_STATUS, 0, 1);
	while (status())
		sched_yield();
	memset(ram, 0x5a, 0x100000);
	wr(MEM32 + AT_NOTIFY, 0, 2);
	loop_stop(loop);
	pthread_join(t, &r);
	ck_assert_ptr_null(r);
	ck_assert(ram[0] == 0x5a && !memcmp(ram, ram + 1, 0x100000 - 1));
	transport->destroy(transport);
	pci_bus_destroy(bus);
	loop_destroy(loop);
}

START_TEST(rng_over_the_chosen_engine)
{
	with_engine(IO_AUTO);
}
END_TEST

START_TEST(rng_over_the_plain_engine)
{
	with_engine(IO_PLAIN);
}
END_TEST

UNIT_MAIN("virtio_pci_rng", rng_over_the_chosen_engine, rng_over_the_plain_engine)
