// SPDX-License-Identifier: Apache-2.0
/* The PCI bus: configuration space by both mechanisms, BAR sizing, moves, windows, overlap, and a hammer. */
#include <errno.h>
#include <linux/pci_regs.h>
#include <pthread.h>
#include <string.h>

#include "devices/pci.h"
#include "tests/unit/board.h"
#include "tests/unit/fake_irq.h"
#include "tests/unit/unit.h"

#define ECAM  0xe0000000ull
#define MEM32 0xc0000000ull
#define MEM64 0x1000000000ull

static const struct pci_layout layout = {.ecam = ECAM,
	.ecam_size = 0x100000,
	.mem32 = MEM32,
	.mem32_size = 0x100000,
	.mem64 = MEM64,
	.mem64_size = 0x1000000,
	.mech1 = true};

/* A device whose BARs are plain memory, and which keeps book of where it was mapped. */
struct toy {
	struct pci_dev pci;
	uint8_t mem[2][0x2000];
	uint64_t gpa[PCI_BARS];
	unsigned maps, unmaps, reads, writes;
};

static void toy_read(struct pci_dev *dev, unsigned bar, uint64_t off, uint8_t *data, unsigned len)
{
	struct toy *t = (struct toy *)dev;

	t->reads++;
	memcpy(data, t->mem[bar / 2] + off, len);
}

static void toy_write(struct pci_dev *dev, unsigned bar, uint64_t off, const uint8_t *data, unsigned len)
{
	struct toy *t = (struct toy *)dev;

	t->writes++;
	memcpy(t->mem[bar / 2] + off, data, len);
}

static void toy_mapped(struct pci_dev *dev, unsigned bar, uint64_t gpa, bool on)
{
	struct toy *t = (struct toy *)dev;

	ck_assert_msg(on == !t->gpa[bar], "mapped and unmapped take turns");
	if (!on)
		ck_assert_uint_eq(t->gpa[bar], gpa);
	t->gpa[bar] = on ? gpa : 0;
	*(on ? &t->maps : &t->unmaps) += 1;
}

static const struct pci_dev_ops toy_ops = {
	.bar_read = toy_read, .bar_write = toy_write, .bar_mapped = toy_mapped};

/* Slot 0 the bridge, slots 1 and 2 toys: BAR 0 32-bit of 4 KiB, BAR 2 64-bit of 8 KiB. */
static struct pci_bus *bus;
static struct toy toy[2];

static void build(void)
{
	ck_assert_int_eq(pci_bus_create(&bus, &board, &layout), 0);
	for (int i = 0; i < 2; i++) {
		pci_dev_init(&toy[i].pci, &toy_ops, "toy", 0x1234, 0x5600 + i, 0xabcd, 0xef01, 0xff000002);
		pci_dev_bar(&toy[i].pci, 0, 0x1000, false, false);
		pci_dev_bar(&toy[i].pci, 2, 0x2000, true, true);
		ck_assert_int_eq(pci_dev_add(bus, &toy[i].pci), 0);
	}
	bus_freeze(&board);
}

static void tear_down(void)
{
	for (int i = 0; i < 2; i++) {
		pci_dev_fini(&toy[i].pci);
		ck_assert_uint_eq(toy[i].maps, toy[i].unmaps);
	}
	pci_bus_destroy(bus);
	ck_assert_int_eq(fake_irq.open, 0);
}

static uint64_t cfg(unsigned slot, unsigned reg, unsigned len)
{
	return rd(ECAM + (slot << 15) + reg, len);
}

static void cfg_set(unsigned slot, unsigned reg, uint64_t v, unsigned len)
{
	wr(ECAM + (slot << 15) + reg, v, len);
}

START_TEST(both_mechanisms_show_the_same_header)
{
	build();
	ck_assert_uint_eq(cfg(0, PCI_CLASS_DEVICE, 2), 0x0600);
	for (unsigned reg = 0; reg < 256; reg += 4) {
		wr_in(BUS_PIO, 0xcf8, 0x80000000 | 1 << 11 | reg, 4);
		ck_assert_uint_eq(rd_in(BUS_PIO, 0xcfc, 4), cfg(1, reg, 4));
	}
	wr_in(BUS_PIO, 0xcf8, 0x80000000 | 2 << 11, 4);
	ck_assert_uint_eq(rd_in(BUS_PIO, 0xcf8, 4), 0x80001000);
	ck_assert_uint_eq(rd_in(BUS_PIO, 0xcfe, 2), 0x5601);
	ck_assert_uint_eq(rd_in(BUS_PIO, 0xcfd, 1), 0x12);
	wr_in(BUS_PIO, 0xcf8, 2 << 11, 4);
	ck_assert_msg(rd_in(BUS_PIO, 0xcfc, 4) == 0xffffffff, "no enable bit, no answer");
	wr_in(BUS_PIO, 0xcfb, 1, 1);
	ck_assert_msg(rd_in(BUS_PIO, 0xcf8, 4) == 2 << 11, "only a dword write selects");
	ck_assert_uint_eq(rd_in(BUS_PIO, 0xcfa, 4), 0xffffffff);
	cfg_set(0, PCI_COMMAND, PCI_COMMAND_MASTER, 2);
	pci_bus_reset(bus);
	ck_assert_uint_eq(rd_in(BUS_PIO, 0xcf8, 4), 0);
	ck_assert_uint_eq(cfg(0, PCI_COMMAND, 2), 0);
	tear_down();
}
END_TEST

START_TEST(absent_functions_read_ones)
{
	build();
	ck_assert_uint_eq(cfg(3, 0, 4), 0xffffffff);
	ck_assert_uint_eq(cfg(31, 0, 4), 0xffffffff);
	for (unsigned fn = 1; fn < 8; fn++)
		ck_assert_uint_eq(rd(ECAM + (1 << 15) + (fn << 12), 4), 0xffffffff);
	wr_in(BUS_PIO, 0xcf8, 0x80000000 | 1 << 16 | 1 << 11, 4);
	ck_assert_msg(rd_in(BUS_PIO, 0xcfc, 4) == 0xffffffff, "bus 1 does not exist");
	wr_in(BUS_PIO, 0xcf8, 0x80000000 | 1 << 11 | 1 << 8, 4);
	ck_assert_msg(rd_in(BUS_PIO, 0xcfc, 4) == 0xffffffff, "function 1 does not exist");
	cfg_set(3, PCI_COMMAND, 7, 2);
	tear_down();
}
END_TEST

START_TEST(access_widths)
{
	build();
	ck_assert_uint_eq(cfg(1, 0, 8), 0x0000000056001234);
	ck_assert_uint_eq(cfg(1, 1, 2), 0x0012);
	ck_assert_msg(cfg(1, 3, 2) == 0xffff, "an access does not cross a dword");
	ck_assert_uint_eq(cfg(1, 2, 4), 0xffffffff);
	ck_assert_uint_eq(cfg(1, 2, 8), UINT64_MAX);
	ck_assert_uint_eq(cfg(1, 1, 3), 0x560012);
	ck_assert_uint_eq(cfg(1, 254, 4), 0xffffffff);
	ck_assert_msg(cfg(1, 256, 4) == 0, "no extended capabilities");
	ck_assert_uint_eq(cfg(1, 4092, 4), 0);
	cfg_set(1, 4092, 0x5a5a5a5a, 4);
	ck_assert_uint_eq(cfg(1, 252, 8), 0);
	ck_assert_msg(cfg(0, 4092, 8) == 0xffffffff00000000ull, "the second half is function 1");
	ck_assert_uint_eq(rd(ECAM + 0xffffe, 4), 0xffffffff);
	tear_down();
}
END_TEST

START_TEST(only_writable_bits_change)
{
	uint8_t before[64];

	build();
	memcpy(before, toy[0].pci.cfg, 64);
	for (unsigned reg = 0; reg < 256; reg++)
		cfg_set(1, reg, 0xff, 1);
	ck_assert_uint_eq(cfg(1, 0, 4), 0x56001234);
	ck_assert_msg(!(cfg(1, PCI_COMMAND, 2) & PCI_COMMAND_IO), "no I/O space here");
	ck_assert(cfg(1, PCI_COMMAND, 2) & PCI_COMMAND_MEMORY);
	ck_assert_uint_eq(cfg(1, PCI_CLASS_REVISION, 4), 0xff000002);
	ck_assert_uint_eq(cfg(1, PCI_HEADER_TYPE, 1), 0);
	ck_assert_uint_eq(cfg(1, PCI_INTERRUPT_LINE, 1), 0xff);
	ck_assert_uint_eq(cfg(1, PCI_INTERRUPT_PIN, 1), 0);
	ck_assert_uint_eq(cfg(1, PCI_SUBSYSTEM_VENDOR_ID, 4), 0xef01abcd);
	ck_assert_uint_eq(cfg(1, PCI_BASE_ADDRESS_1, 4), 0);
	ck_assert_uint_eq(cfg(1, PCI_ROM_ADDRESS, 4), 0);
	pci_dev_reset(&toy[0].pci);
	ck_assert_int_eq(memcmp(before, toy[0].pci.cfg, 64), 0);
	tear_down();
}
END_TEST

START_TEST(status_bits_clear_by_writing_one)
{
	build();
	toy[0].pci.cfg[PCI_STATUS + 1] = 0x38;
	cfg_set(1, PCI_COMMAND, 0x10000000, 4);
	ck_assert_uint_eq(cfg(1, PCI_STATUS, 2), 0x2800);
	cfg_set(1, PCI_STATUS, 0, 2);
	ck_assert_uint_eq(cfg(1, PCI_STATUS, 2), 0x2800);
	cfg_set(1, PCI_STATUS + 1, 0xff, 1);
	ck_assert_uint_eq(cfg(1, PCI_STATUS, 2), 0);
	tear_down();
}
END_TEST

/* As Linux's __pci_read_base() does it. */
static uint32_t size_bar(unsigned slot, unsigned reg)
{
	uint32_t old = cfg(slot, reg, 4), sz;

	cfg_set(slot, reg, ~0u, 4);
	sz = cfg(slot, reg, 4);
	cfg_set(slot, reg, old, 4);
	ck_assert_uint_eq(cfg(slot, reg, 4), old);
	return sz;
}

START_TEST(bars_are_sized_as_linux_does_it)
{
	build();
	ck_assert_uint_eq(size_bar(1, PCI_BASE_ADDRESS_0), 0xfffff000);
	ck_assert_uint_eq(size_bar(1, PCI_BASE_ADDRESS_1), 0);
	ck_assert_uint_eq(size_bar(1, PCI_BASE_ADDRESS_2), 0xffffe00c);
	ck_assert_uint_eq(size_bar(1, PCI_BASE_ADDRESS_3), 0xffffffff);
	ck_assert_uint_eq(size_bar(1, PCI_BASE_ADDRESS_4), 0);
	ck_assert_msg(!toy[0].maps, "nothing decodes while COMMAND.MEM is off");
	/* The same with decoding on must end where it began. */
	cfg_set(1, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
	ck_assert_uint_eq(size_bar(1, PCI_BASE_ADDRESS_0), 0xfffff000);
	ck_assert_uint_eq(toy[0].gpa[0], toy[0].pci.bar[0].addr);
	ck_assert_uint_eq(toy[0].gpa[2], toy[0].pci.bar[2].addr);
	tear_down();
}
END_TEST

START_TEST(bars_are_assigned_inside_their_windows)
{
	build();
	for (int i = 0; i < 2; i++) {
		uint64_t a = toy[i].pci.bar[0].addr, b = toy[i].pci.bar[2].addr;

		ck_assert_uint_eq(cfg(1 + i, PCI_BASE_ADDRESS_0, 4), a);
		ck_assert_uint_eq(cfg(1 + i, PCI_BASE_ADDRESS_2, 8), b | 0xc);
		ck_assert(a >= MEM32 && a + 0x1000 <= MEM32 + layout.mem32_size && !(a & 0xfff));
		ck_assert(b >= MEM64 && b + 0x2000 <= MEM64 + layout.mem64_size && !(b & 0x1fff));
	}
	ck_assert_uint_ne(toy[0].pci.bar[0].addr, toy[1].pci.bar[0].addr);
	ck_assert_uint_ne(toy[0].pci.bar[2].addr, toy[1].pci.bar[2].addr);
	tear_down();
}
END_TEST

START_TEST(memory_decodes_only_when_enabled)
{
	uint8_t end[8];
	uint64_t at;

	build();
	at = toy[0].pci.bar[0].addr;
	wr(at, 0x11, 1);
	ck_assert_uint_eq(rd(at, 1), 0xff);
	ck_assert_uint_eq(toy[0].reads + toy[0].writes, 0);
	cfg_set(1, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
	ck_assert_uint_eq(toy[0].gpa[0], at);
	wr(at + 0xff8, 0x1122334455667788, 8);
	ck_assert_uint_eq(rd(at + 0xffc, 4), 0x11223344);
	ck_assert_msg(rd(at + 0xffc, 8) == UINT64_MAX, "over the end of the BAR");
	ck_assert_uint_eq(rd(at + 0x1000, 1), 0xff);
	wr(at + 0xfff, 0, 2);
	ck_assert_uint_eq(toy[0].mem[0][0xfff], 0x11);
	/* For callers that come past the windows, too. */
	pci_bar_read(&toy[0].pci, 0, 0xffc, end, 8);
	ck_assert_uint_eq(bus_get(end, 8), UINT64_MAX);
	pci_bar_read(&toy[0].pci, 0, UINT64_MAX - 3, end, 8);
	ck_assert_uint_eq(bus_get(end, 8), UINT64_MAX);
	pci_bar_write(&toy[0].pci, 1, 0, end, 8);
	ck_assert_uint_eq(toy[0].writes, 1);
	cfg_set(1, PCI_COMMAND, 0, 2);
	ck_assert_uint_eq(rd(at + 0xffc, 4), 0xffffffff);
	ck_assert_uint_eq(toy[0].gpa[0], 0);
	ck_assert_uint_eq(toy[0].gpa[2], 0);
	tear_down();
}
END_TEST

START_TEST(an_address_has_an_owner_whether_it_decodes_or_not)
{
	uint64_t at, off;

	build();
	toy[1].pci.name = "other";
	for (unsigned command = 0; command <= PCI_COMMAND_MEMORY; command += PCI_COMMAND_MEMORY) {
		cfg_set(1, PCI_COMMAND, command, 2);
		cfg_set(2, PCI_COMMAND, command, 2);
		for (unsigned i = 0; i < 2; i++) {
			at = toy[i].pci.bar[2].addr;
			ck_assert_str_eq(bus_owner(&board, BUS_MMIO, at + 0x1fff, &off), i ? "other" : "toy");
			ck_assert_uint_eq(off, 0x1fff);
		}
	}
	at = toy[1].pci.bar[0].addr;
	ck_assert_str_eq(bus_owner(&board, BUS_MMIO, at, &off), "other");
	ck_assert_uint_eq(off, 0);
	/* The end of the window is nobody's: it is the window's own. */
	at = MEM32 + layout.mem32_size - 4;
	ck_assert_str_ne(bus_owner(&board, BUS_MMIO, at, &off), "other");
	ck_assert_uint_eq(off, layout.mem32_size - 4);
	/* It goes where the BAR goes. */
	cfg_set(1, PCI_BASE_ADDRESS_0, MEM32 + 0x80000, 4);
	ck_assert_str_eq(bus_owner(&board, BUS_MMIO, MEM32 + 0x80004, &off), "toy");
	ck_assert_uint_eq(off, 4);
	tear_down();
}
END_TEST

START_TEST(a_bar_moves_while_it_decodes)
{
	uint64_t from, to = MEM32 + 0x80000;

	build();
	from = toy[0].pci.bar[0].addr;
	cfg_set(1, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
	wr(from, 0x77, 1);
	cfg_set(1, PCI_BASE_ADDRESS_0, to, 4);
	ck_assert_uint_eq(toy[0].gpa[0], to);
	ck_assert_uint_eq(rd(to, 1), 0x77);
	ck_assert_uint_eq(rd(from, 1), 0xff);
	/* A 64-bit BAR moves by halves, below 4 GiB too. */
	cfg_set(1, PCI_BASE_ADDRESS_2, MEM32 + 0x40000, 4);
	ck_assert_msg(!toy[0].gpa[2], "half moved: outside both windows");
	cfg_set(1, PCI_BASE_ADDRESS_3, 0, 4);
	ck_assert_uint_eq(toy[0].gpa[2], MEM32 + 0x40000);
	wr(MEM32 + 0x41fff, 0x66, 1);
	ck_assert_uint_eq(toy[0].mem[1][0x1fff], 0x66);
	tear_down();
}
END_TEST

START_TEST(a_bar_outside_the_windows_does_not_decode)
{
	static const uint32_t away[] = {
		0, 0x1000, MEM32 - 0x1000, MEM32 + 0x100000, ECAM, 0xfee00000, 0xfffff000};

	build();
	cfg_set(1, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
	for (unsigned i = 0; i < sizeof(away) / sizeof(away[0]); i++) {
		cfg_set(1, PCI_BASE_ADDRESS_0, away[i], 4);
		ck_assert_uint_eq(toy[0].gpa[0], 0);
		ck_assert_uint_eq(cfg(1, PCI_BASE_ADDRESS_0, 4), away[i]);
	}
	cfg_set(1, PCI_BASE_ADDRESS_2, ~0ull, 8);
	ck_assert_uint_eq(toy[0].gpa[2], 0);
	ck_assert_msg(cfg(1, 0, 4) == 0x56001234, "configuration space stays where it is");
	cfg_set(1, PCI_BASE_ADDRESS_0, MEM32 + 0xff000, 4);
	ck_assert_msg(toy[0].gpa[0] == MEM32 + 0xff000, "the last page of the window");
	tear_down();
}
END_TEST

START_TEST(the_lowest_slot_wins_an_overlap)
{
	uint64_t b;

	build();
	cfg_set(1, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
	cfg_set(2, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
	b = toy[1].pci.bar[0].addr;
	wr(b, 0x22, 1);
	cfg_set(1, PCI_BASE_ADDRESS_0, b, 4);
	ck_assert_uint_eq(toy[0].gpa[0], b);
	ck_assert_uint_eq(toy[1].gpa[0], 0);
	ck_assert_uint_eq(rd(b, 1), 0);
	cfg_set(1, PCI_BASE_ADDRESS_0, b + 0x4000, 4);
	ck_assert_msg(toy[1].gpa[0] == b, "the other one is back when the winner leaves");
	ck_assert_uint_eq(rd(b, 1), 0x22);
	/* One device over itself: the lower BAR wins. */
	cfg_set(1, PCI_BASE_ADDRESS_2, MEM32 + 0x60000, 8);
	cfg_set(1, PCI_BASE_ADDRESS_0, MEM32 + 0x61000, 4);
	ck_assert_uint_eq(toy[0].gpa[0], MEM32 + 0x61000);
	ck_assert_uint_eq(toy[0].gpa[2], 0);
	tear_down();
}
END_TEST

START_TEST(reset_puts_bars_back)
{
	uint64_t at;

	build();
	at = toy[0].pci.bar[0].addr;
	cfg_set(1, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
	cfg_set(1, PCI_BASE_ADDRESS_0, MEM32 + 0x80000, 4);
	pci_dev_reset(&toy[0].pci);
	ck_assert_uint_eq(toy[0].gpa[0], 0);
	ck_assert_uint_eq(cfg(1, PCI_COMMAND, 2), 0);
	ck_assert_uint_eq(cfg(1, PCI_BASE_ADDRESS_0, 4), at);
	cfg_set(1, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
	ck_assert_uint_eq(toy[0].gpa[0], at);
	tear_down();
}
END_TEST

START_TEST(capabilities_are_linked_in_order)
{
	static const uint8_t body[] = {0, 0, 0xaa, 0xbb, 0xcc}, mask[] = {0xff, 0xff, 0, 0xff, 0};
	struct pci_dev dev;
	int a, b, n;

	pci_dev_init(&dev, &toy_ops, "caps", 1, 2, 3, 4, 5);
	a = pci_dev_cap(&dev, 9, body, 5, NULL);
	b = pci_dev_cap(&dev, 7, body, 5, mask);
	ck_assert_int_eq(a, 0x40);
	ck_assert_int_eq(b, 0x48);
	ck_assert_uint_eq(dev.cfg[PCI_CAPABILITY_LIST], a);
	ck_assert_uint_eq(dev.cfg[a], 9);
	ck_assert_uint_eq(dev.cfg[a + 1], b);
	ck_assert_uint_eq(dev.cfg[b], 7);
	ck_assert_uint_eq(dev.cfg[b + 1], 0);
	ck_assert_uint_eq(dev.cfg[b + 4], 0xcc);
	ck_assert_uint_eq(dev.wmask[b + 3], 0xff);
	ck_assert(dev.cfg[PCI_STATUS] & PCI_STATUS_CAP_LIST);
	for (n = 0; pci_dev_cap(&dev, 9, body, 5, NULL) > 0; n++)
		;
	ck_assert_int_eq(n, (256 - 0x50) / 8);
	ck_assert_int_eq(pci_dev_cap(&dev, 9, body, 5, NULL), -ENOSPC);
	pci_dev_fini(&dev);
}
END_TEST

START_TEST(slots_and_windows_run_out)
{
	static struct pci_dev dev[PCI_SLOTS], big;
	int n = 0;

	build();
	pci_dev_init(&big, &toy_ops, "big", 1, 2, 3, 4, 5);
	pci_dev_bar(&big, 0, 0x4000, false, false);
	pci_dev_bar(&big, 1, 0x100000, false, false);
	ck_assert_int_eq(pci_dev_add(bus, &big), -ENOSPC);
	pci_dev_fini(&big);
	for (;; n++) {
		pci_dev_init(&dev[n], &toy_ops, "many", 1, 2, 3, 4, 5);
		pci_dev_bar(&dev[n], 0, 0x1000, false, false);
		if (pci_dev_add(bus, &dev[n]))
			break;
	}
	ck_assert_msg(n == PCI_SLOTS - 3, "the bridge and two toys took the others");
	for (; n >= 0; n--)
		pci_dev_fini(&dev[n]);
	tear_down();
}
END_TEST

START_TEST(a_layout_without_ports_or_windows)
{
	static const struct pci_layout bare = {
		.ecam = ECAM, .ecam_size = 0x100000, .mem32 = MEM32, .mem32_size = 0x10000};
	struct bus b = {0};
	struct pci_bus *p;
	struct pci_dev dev;
	uint8_t d[4];

	ck_assert_int_eq(pci_bus_create(&p, &b, &bare), 0);
	ck_assert(!bus_read(&b, BUS_PIO, 0xcf8, d, 4));
	pci_dev_init(&dev, &toy_ops, "wide", 1, 2, 3, 4, 5);
	pci_dev_bar(&dev, 0, 0x1000, true, false);
	ck_assert_int_eq(pci_dev_add(p, &dev), 0);
	ck_assert_msg(dev.bar[0].addr == MEM32, "a 64-bit BAR makes do with the 32-bit window");
	pci_dev_fini(&dev);
	pci_bus_destroy(p);
	ck_assert_int_eq(bus_add(&b, BUS_PIO, 0xcf8, 1, NULL, NULL, "taken"), 0);
	b.space[BUS_MMIO].n = 0;
	ck_assert_int_eq(pci_bus_create(&p, &b, &layout), -EEXIST);
}
END_TEST

/* On both architectures, whose floors and widths differ. */
START_TEST(a_window_finds_its_place)
{
	static const struct {
		uint64_t floor;
		unsigned bits;
		uint64_t at, size;
	} want[] = {
		{0x40000000, 40, 0x1000000000, 0x1000000000},
		{0x1000000000, 40, 0x1000000000, 0x1000000000},
		{0x1000000001, 40, 0x2000000000, 0x1000000000},
		{0x1000000001, 37, 0x1800000000, 0x800000000},
		{0x1fc0000000, 37, 0x1fc0000000, 0x40000000}, /* the smallest there is */
		{0x1fc0000001, 37, 0, 0},
		{0x2000000000, 37, 0, 0},
		{0xffffffe000000000, 64, 0xffffffe000000000, 0x1000000000},
		{0xfffffff000000000, 64, 0xfffffff000000000, 0x800000000}, /* never up to 2^64 */
		{0xfffffffffffff000, 64, 0, 0},
	};

	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		struct pci_layout l = {.mem64_size = 0x1000000000};

		pci_place_mem64(&l, want[i].floor, 0x40000000, want[i].bits);
		ck_assert_msg(l.mem64 == want[i].at && l.mem64_size == want[i].size, "%zu: %#llx at %#llx", i,
			(unsigned long long)l.mem64_size, (unsigned long long)l.mem64);
	}
}
END_TEST

/* Configuration space of both toys and their windows, all widths. */
static void *hammer(void *arg)
{
	uint64_t s = *(uint64_t *)arg;

	for (int i = 0; i < 60000; i++) {
		uint64_t addr;
		unsigned len;

		unit_dice(&s);
		len = 1 + (s >> 8) % 8;
		switch (s % 8) {
		case 0:
			addr = ECAM + (s >> 16) % (4 << 15);
			break;
		case 1:
			addr = ECAM + ((1 + (s >> 12) % 2) << 15) + 4 + (s >> 16) % 0x24;
			break;
		case 2:
			cfg_set(1 + (s >> 16) % 2, PCI_BASE_ADDRESS_0, MEM32 + ((s >> 20) % 8) * 0x1000, 4);
			continue;
		case 3:
			cfg_set(1 + (s >> 16) % 2, PCI_COMMAND, s >> 20, 2);
			continue;
		case 4:
			addr = MEM64 + (s >> 16) % 0x5000;
			break;
		case 5:
			wr_in(BUS_PIO, 0xcf8 + (s >> 16) % 8, 0x80000000 | (s >> 20) % 0x2000,
				1 + (s >> 40) % 4);
			rd_in(BUS_PIO, 0xcfc, 4);
			continue;
		default:
			addr = MEM32 + (s >> 16) % 0x9000;
		}
		if (s & 1ull << 60)
			wr(addr, s, len);
		else
			rd(addr, len);
	}
	return NULL;
}

START_TEST(two_vcpus_hammer)
{
	uint64_t seed[2] = {0x1234567, 0xdeadbeef};
	pthread_t t[2];

	build();
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_create(&t[i], NULL, hammer, &seed[i]), 0);
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	for (int i = 0; i < 2; i++) {
		ck_assert(toy[i].maps && toy[i].reads && toy[i].writes);
		pci_dev_reset(&toy[i].pci);
		cfg_set(1 + i, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
		ck_assert_uint_eq(cfg(1 + i, 0, 4), 0x56001234 + (i << 16));
		wr(toy[i].pci.bar[0].addr, 0x40 + i, 1);
		ck_assert_uint_eq(toy[i].mem[0][0], 0x40 + i);
	}
	tear_down();
}
END_TEST

UNIT_MAIN("pci", both_mechanisms_show_the_same_header, absent_functions_read_ones, access_widths,
	only_writable_bits_change, status_bits_clear_by_writing_one, bars_are_sized_as_linux_does_it,
	bars_are_assigned_inside_their_windows, memory_decodes_only_when_enabled,
	an_address_has_an_owner_whether_it_decodes_or_not, a_bar_moves_while_it_decodes,
	a_bar_outside_the_windows_does_not_decode, the_lowest_slot_wins_an_overlap, reset_puts_bars_back,
	capabilities_are_linked_in_order, slots_and_windows_run_out, a_layout_without_ports_or_windows,
	a_window_finds_its_place, two_vcpus_hammer)
