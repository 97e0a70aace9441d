// SPDX-License-Identifier: Apache-2.0
/*
 * Building a guest's devices when memory runs out: each allocation of the set-up fails once, and what was built before it
 * is taken down again, with nothing left behind. (What the guest does later allocates nothing.)
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "devices/virtio/devs.h"
#include "devices/pci.h"
#include "tests/unit/fake_alloc.h"
#include "tests/unit/fake_irq.h"
#include "tests/unit/unit.h"
#include "vmm/log.h"
#include "vmm/vm.h"

int vm_kick_add(struct vm *vm, uint64_t gpa, int value, int fd)
{
	return 0;
}

int vm_kick_del(struct vm *vm, uint64_t gpa, int value, int fd)
{
	return 0;
}

static unsigned open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static const struct pci_layout layout = {
	.ecam = 0xe0000000, .ecam_size = 0x100000, .mem32 = 0xc0000000, .mem32_size = 0x100000, .mech1 = true};
static const struct mmio_slot slot = {.base = 0xfe000000, .size = 0x1000, .gsi = 10};
static const struct disk_config cfg = {.path = "none", .queues = 2, .queue_size = 64};
static struct guest_mem mem;

/* What devices.c does for a loop, a disk and rngs by each transport, and the way back. */
static int build_and_destroy(void)
{
	struct bus board = {0};
	struct virtio_transport *t[3] = {NULL, NULL, NULL};
	struct irq_src *irq;
	struct virtio_dev *dev;
	struct pci_bus *bus = NULL;
	struct loop *loop = NULL;
	struct disk *disk;
	int err;

	err = loop_create(&loop, "test", IO_PLAIN, 8);
	if (!err)
		err = pci_bus_create(&bus, &board, &layout);
	if (!err) {
		disk = malloc(sizeof(*disk));
		err = disk ? 0 : -ENOMEM;
	}
	if (!err) {
		*disk = (struct disk){.fd = open("/dev/null", O_RDWR | O_CLOEXEC), .size = 1 << 20, .block_size = 512,
			.min_align = 1};
		err = virtio_blk_create(&dev, "disk0", &mem, loop, disk, &cfg);
	}
	if (!err)
		err = virtio_pci_create(&t[0], bus, NULL, dev);
	if (!err)
		err = virtio_rng_create(&dev, "rng", &mem, loop);
	if (!err)
		err = virtio_pci_create(&t[1], bus, NULL, dev);
	if (!err)
		err = virtio_rng_create(&dev, "rng2", &mem, loop);
	if (!err)
		err = virtio_mmio_create(&t[2], &board, &slot, NULL, dev, &irq);
	for (unsigned i = 3; i-- > 0;)
		if (t[i])
			t[i]->destroy(t[i]);
	pci_bus_destroy(bus);
	loop_destroy(loop);
	return err;
}

START_TEST(every_allocation_of_the_set_up_may_fail)
{
	unsigned fds = open_fds();
	int err = -ENOMEM;
	long n;

	if (!OWN_ALLOCATOR) {
		printf("skipped: a sanitizer's allocator can not be made to fail\n");
		return;
	}
	unit_ram(&mem, 0, 1 << 20);
	log_set_level(LOG_ERROR);
	build_and_destroy(); /* what libraries keep for good, they have now */
	for (n = 0; err; n++) {
		ck_assert_int_lt(n, 200);
		alloc_counting = true;
		alloc_left = n;
		alloc_live = 0;
		err = build_and_destroy();
		alloc_counting = false;
		ck_assert_msg(alloc_live == 0, "allocation %ld failed: %ld are left", n, alloc_live);
		ck_assert_msg(err == 0 || err == -ENOMEM, "allocation %ld failed: error %d", n, err);
		ck_assert_uint_eq(open_fds(), fds);
		ck_assert_int_eq(fake_irq.open, 0);
	}
	ck_assert_msg(n > 10, "there were allocations to fail: %ld", n);
}
END_TEST

UNIT_MAIN("oom", every_allocation_of_the_set_up_may_fail)
