// SPDX-License-Identifier: Apache-2.0
/* MSI-X: table and PBA access, masks and pending bits, and how often the routing table would be written. */
#include <errno.h>
#include <linux/pci_regs.h>
#include <pthread.h>
#include <string.h>

#include "devices/pci.h"
#include "tests/unit/board.h"
#include "tests/unit/fake_irq.h"
#include "tests/unit/unit.h"
#include "vmm/vm.h"

#define ECAM  0xe0000000ull
#define MEM32 0xc0000000ull
#define TABLE 0x800
#define NVEC  70

static const struct pci_layout layout = {
	.ecam = ECAM, .ecam_size = 0x100000, .mem32 = MEM32, .mem32_size = 0x100000};
static const struct pci_dev_ops ops; /* nothing but the table answers */
static struct pci_bus *bus;
static struct pci_dev dev;
static struct vm no_vm; /* sources are played */
static uint64_t table, pba;
static unsigned cap;

static void control(uint16_t v)
{
	wr(ECAM + (1 << 15) + cap + PCI_MSIX_FLAGS, v, 2);
}

static void build(void)
{
	ck_assert_int_eq(pci_bus_create(&bus, &board, &layout), 0);
	pci_dev_init(&dev, &ops, "dev", 1, 2, 3, 4, 5);
	pci_dev_bar(&dev, 0, 0x2000, false, false);
	ck_assert_int_eq(pci_dev_msix(&dev, &no_vm, NVEC, 0, TABLE), 0);
	ck_assert_int_eq(pci_dev_add(bus, &dev), 0);
	cap = dev.cfg[PCI_CAPABILITY_LIST];
	table = dev.bar[0].addr + TABLE;
	pba = dev.bar[0].addr + bus_get(dev.cfg + cap + PCI_MSIX_PBA, 4);
	wr(ECAM + (1 << 15) + PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
}

static void tear_down(void)
{
	pci_dev_fini(&dev);
	pci_bus_destroy(bus);
	ck_assert_int_eq(fake_irq.open, 0);
}

/* As Linux's __pci_write_msi_msg() and pci_msix_unmask() do it. */
static void program(unsigned v, uint32_t data)
{
	wr(table + 16 * v + PCI_MSIX_ENTRY_VECTOR_CTRL, 1, 4);
	wr(table + 16 * v + PCI_MSIX_ENTRY_LOWER_ADDR, 0xfee01000, 4);
	wr(table + 16 * v + PCI_MSIX_ENTRY_UPPER_ADDR, 0, 4);
	wr(table + 16 * v + PCI_MSIX_ENTRY_DATA, data, 4);
	wr(table + 16 * v + PCI_MSIX_ENTRY_VECTOR_CTRL, 0, 4);
}

START_TEST(the_capability_describes_the_table)
{
	build();
	ck_assert_uint_eq(msix_size(NVEC), NVEC * 16 + 16);
	ck_assert_uint_eq(dev.cfg[cap], PCI_CAP_ID_MSIX);
	ck_assert_uint_eq(bus_get(dev.cfg + cap + PCI_MSIX_FLAGS, 2), NVEC - 1);
	ck_assert_uint_eq(bus_get(dev.cfg + cap + PCI_MSIX_TABLE, 4), TABLE);
	ck_assert_uint_eq(bus_get(dev.cfg + cap + PCI_MSIX_PBA, 4), TABLE + NVEC * 16);
	control(0xffff);
	ck_assert_uint_eq(bus_get(dev.cfg + cap + PCI_MSIX_FLAGS, 2), (NVEC - 1) | 0xc000);
	ck_assert_int_eq(fake_irq.open, NVEC);
	for (unsigned v = 0; v < NVEC; v++) {
		ck_assert_uint_eq(rd(table + 16 * v, 8), 0);
		ck_assert_msg(rd(table + 16 * v + 8, 8) == 1ull << 32, "every vector is masked at power-on");
	}
	tear_down();
}
END_TEST

START_TEST(odd_accesses_find_nothing)
{
	build();
	program(0, 0x41);
	for (unsigned len = 1; len <= 8; len++) {
		for (unsigned off = 0; off < 16; off++) {
			bool legal = (len == 4 || len == 8) && off % len == 0;
			uint64_t ones = len == 8 ? UINT64_MAX : (1ull << 8 * len) - 1;

			ck_assert((rd(table + off, len) == ones) != legal);
			if (!legal)
				wr(table + off, 0, len);
		}
	}
	ck_assert_uint_eq(rd(table, 8), 0xfee01000);
	ck_assert_uint_eq(rd(table + 8, 8), 0x41);
	/* Across the edges of table and PBA. */
	ck_assert_uint_eq(rd(table - 4, 8), UINT64_MAX);
	ck_assert_uint_eq(rd(pba - 4, 8), UINT64_MAX);
	ck_assert_uint_eq(rd(pba + 8, 8), 0);
	ck_assert_uint_eq(rd(pba + 12, 8), UINT64_MAX);
	ck_assert_uint_eq(rd(pba + 16, 4), 0xffffffff);
	wr(pba, ~0ull, 8);
	ck_assert_msg(rd(pba, 8) == 0, "the PBA is read-only");
	wr(table + 16 * (NVEC - 1) + 12, 0xfffffffe, 4);
	ck_assert_msg(
		rd(table + 16 * (NVEC - 1) + 12, 4) == 0, "the other bits of vector control are reserved");
	tear_down();
}
END_TEST

START_TEST(three_vectors_cost_three_routes)
{
	build();
	/* pci_enable_msix_range(): on and masked, mask each entry, unmask the function; then request_irq()
	 * three times. */
	control(PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	for (unsigned v = 0; v < NVEC; v++)
		wr(table + 16 * v + PCI_MSIX_ENTRY_VECTOR_CTRL, 1, 4);
	control(PCI_MSIX_FLAGS_ENABLE);
	ck_assert_uint_eq(fake_irq.routes + fake_irq.masks, 0);
	for (unsigned v = 0; v < 3; v++)
		program(v, 0x41 + v);
	ck_assert_uint_eq(fake_irq.routes, 3);
	ck_assert_uint_eq(fake_irq.masks, 3);
	/* The same again: masked and unmasked, but nothing to route. */
	program(1, 0x42);
	ck_assert_uint_eq(fake_irq.routes, 3);
	/* Affinity moves one vector. */
	program(1, 0x52);
	ck_assert_uint_eq(fake_irq.routes, 4);
	pci_msix_raise(&dev, 1, NULL);
	ck_assert_uint_eq(fake_irq.delivered, 1);
	ck_assert_uint_eq(fake_irq.last->msg.data, 0x52);
	ck_assert_uint_eq(fake_irq.last->msg.addr, 0xfee01000);
	ck_assert_uint_eq(fake_irq.last->msg.devid, 1 << 3);
	control(0);
	ck_assert_uint_eq(fake_irq.routes, 4);
	tear_down();
}
END_TEST

START_TEST(a_live_message_changes_at_once)
{
	build();
	control(PCI_MSIX_FLAGS_ENABLE);
	program(0, 0x41);
	wr(table + PCI_MSIX_ENTRY_DATA, 0x43, 4);
	ck_assert_uint_eq(fake_irq.routes, 2);
	pci_msix_raise(&dev, 0, NULL);
	ck_assert_uint_eq(fake_irq.last->msg.data, 0x43);
	wr(table, 0x1fee02000, 8);
	ck_assert_uint_eq(fake_irq.routes, 3);
	ck_assert_uint_eq(fake_irq.last->msg.addr, 0x1fee02000);
	tear_down();
}
END_TEST

START_TEST(raises_wait_while_masked)
{
	build();
	control(PCI_MSIX_FLAGS_ENABLE);
	program(65, 0x41);
	wr(table + 16 * 65 + PCI_MSIX_ENTRY_VECTOR_CTRL, 1, 4);
	pci_msix_raise(&dev, 65, NULL);
	ck_assert_uint_eq(fake_irq.delivered, 0);
	ck_assert_uint_eq(rd(pba, 8), 0);
	ck_assert_uint_eq(rd(pba + 8, 8), 2);
	ck_assert_uint_eq(rd(pba + 8, 4), 2);
	wr(table + 16 * 65 + PCI_MSIX_ENTRY_VECTOR_CTRL, 0, 4);
	ck_assert_uint_eq(fake_irq.delivered, 1);
	ck_assert_uint_eq(rd(pba + 8, 8), 0);
	/* The function mask. */
	control(PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	pci_msix_raise(&dev, 65, NULL);
	ck_assert_uint_eq(rd(pba + 8, 8), 2);
	ck_assert_uint_eq(fake_irq.delivered, 1);
	control(PCI_MSIX_FLAGS_ENABLE);
	ck_assert_uint_eq(fake_irq.delivered, 2);
	ck_assert_uint_eq(fake_irq.routes, 1);
	tear_down();
}
END_TEST

START_TEST(nothing_is_raised_while_off_or_out_of_range)
{
	struct pci_dev plain;

	build();
	program(0, 0x41);
	pci_msix_raise(&dev, 0, NULL);
	ck_assert_uint_eq(rd(pba, 8), 0);
	ck_assert_uint_eq(fake_irq.routes + fake_irq.masks, 0);
	control(PCI_MSIX_FLAGS_ENABLE);
	ck_assert_msg(fake_irq.routes == 1, "a vector set up before the enable bit is routed by it");
	pci_msix_raise(&dev, NVEC, NULL);
	pci_msix_raise(&dev, 0xffff, NULL);
	ck_assert_uint_eq(fake_irq.delivered, 0);
	pci_msix_raise(&dev, 0, NULL);
	ck_assert_uint_eq(fake_irq.delivered, 1);
	control(0);
	pci_msix_raise(&dev, 0, NULL);
	ck_assert_uint_eq(fake_irq.delivered, 1);
	pci_dev_init(&plain, &ops, "plain", 1, 2, 3, 4, 5);
	pci_msix_raise(&plain, 0, NULL);
	pci_dev_fini(&plain);
	tear_down();
}
END_TEST

START_TEST(a_failed_route_leaves_the_vector_masked)
{
	build();
	control(PCI_MSIX_FLAGS_ENABLE);
	fake_irq.route_err = -EIO;
	program(0, 0x41);
	pci_msix_raise(&dev, 0, NULL);
	ck_assert_uint_eq(fake_irq.delivered, 0);
	fake_irq.route_err = 0;
	program(0, 0x41);
	ck_assert_msg(fake_irq.delivered == 1, "tried again, and the raise was kept");
	fake_irq.mask_err = -ENOMEM;
	program(1, 0x42);
	pci_msix_raise(&dev, 1, NULL);
	ck_assert_uint_eq(fake_irq.delivered, 1);
	fake_irq.mask_err = 0;
	program(1, 0x42);
	ck_assert_uint_eq(fake_irq.delivered, 2);
	tear_down();
}
END_TEST

START_TEST(reset_is_power_on)
{
	build();
	control(PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	program(3, 0x41);
	pci_msix_raise(&dev, 3, NULL);
	pci_dev_reset(&dev);
	wr(ECAM + (1 << 15) + PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
	ck_assert_uint_eq(rd(table + 16 * 3, 8), 0);
	ck_assert_uint_eq(rd(table + 16 * 3 + 8, 8), 1ull << 32);
	ck_assert_uint_eq(rd(pba, 8), 0);
	control(PCI_MSIX_FLAGS_ENABLE);
	program(3, 0x41);
	ck_assert_msg(fake_irq.routes == 1, "routed anew, in the new VM");
	ck_assert_msg(fake_irq.delivered == 0, "nothing pending from before");
	tear_down();
}
END_TEST

START_TEST(set_up_fails_cleanly)
{
	pci_dev_init(&dev, &ops, "dev", 1, 2, 3, 4, 5);
	pci_dev_bar(&dev, 0, 0x1000, false, false);
	ck_assert_int_eq(pci_dev_msix(&dev, &no_vm, 0, 0, 0), -EINVAL);
	ck_assert_int_eq(pci_dev_msix(&dev, &no_vm, 2049, 0, 0), -EINVAL);
	ck_assert_int_eq(pci_dev_msix(&dev, &no_vm, 2, 1, 0), -EINVAL);
	ck_assert_int_eq(pci_dev_msix(&dev, &no_vm, 2, 6, 0), -EINVAL);
	ck_assert_int_eq(pci_dev_msix(&dev, &no_vm, 2, 0, 4), -EINVAL);
	ck_assert_int_eq(pci_dev_msix(&dev, &no_vm, 2, 0, 0x1000 - 32), -EINVAL);
	fake_irq.left = 3;
	ck_assert_int_eq(pci_dev_msix(&dev, &no_vm, 4, 0, 0), -ENOSPC);
	ck_assert_int_eq(fake_irq.open, 0);
	ck_assert_ptr_eq(dev.msix, NULL);
	fake_irq.left = 2;
	ck_assert_int_eq(pci_dev_msix(&dev, &no_vm, 2, 0, 0x1000 - 40), 0);
	pci_dev_fini(&dev);
	ck_assert_int_eq(fake_irq.open, 0);
}
END_TEST

static atomic_bool done;

static void *raiser(void *arg)
{
	for (unsigned i = 0; !done; i++)
		pci_msix_raise(&dev, i % 4, NULL);
	return NULL;
}

START_TEST(raises_meet_register_writes)
{
	unsigned before;
	pthread_t t;

	build();
	ck_assert_int_eq(pthread_create(&t, NULL, raiser, NULL), 0);
	for (unsigned i = 0; i < 5000; i++) {
		control(i % 3	? PCI_MSIX_FLAGS_ENABLE
			: i % 2 ? 0
				: PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
		program(i % 4, 0x41 + i % 8);
		rd(pba, 8);
	}
	done = true;
	pthread_join(t, NULL);
	control(PCI_MSIX_FLAGS_ENABLE);
	for (unsigned v = 0; v < 4; v++)
		program(v, 0x41);
	ck_assert_msg(rd(pba, 8) == 0, "all that was raised while masked has been delivered");
	before = fake_irq.delivered;
	pci_msix_raise(&dev, 2, NULL);
	ck_assert_uint_eq(fake_irq.delivered, before + 1);
	tear_down();
}
END_TEST

UNIT_MAIN("msix", the_capability_describes_the_table, odd_accesses_find_nothing,
	three_vectors_cost_three_routes, a_live_message_changes_at_once, raises_wait_while_masked,
	nothing_is_raised_while_off_or_out_of_range, a_failed_route_leaves_the_vector_masked,
	reset_is_power_on, set_up_fails_cleanly, raises_meet_register_writes)
