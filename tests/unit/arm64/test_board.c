// SPDX-License-Identifier: Apache-2.0
/* What stands on the bus of a board, as a guest's loads and stores meet it; and where nothing stands. */
#include <errno.h>
#include <time.h>

#include "arch/arch.h"
#include "arch/arm64/board.h"
#include "arch/arm64/gicv2m.h"
#include "tests/unit/unit.h"
#include "vmm/guest.h"

static struct guest_config cfg;
static struct guest guest = {.cfg = &cfg, .vm = {.fd = -1}};

static void build(enum transport_kind transport)
{
	cfg.transport = transport;
	ck_assert_int_eq(arch_board_create(&guest), 0);
	bus_freeze(&guest.bus);
}

/* What a load of 4 bytes gets; *there: somebody answered. */
static uint32_t load(uint64_t addr, bool *there)
{
	uint8_t data[4] = {0};

	*there = bus_read(&guest.bus, BUS_MMIO, addr, data, 4);
	return bus_get(data, 4);
}

START_TEST(devices_answer)
{
	uint32_t now = time(NULL);
	bool there;

	build(TRANSPORT_PCI);
	ck_assert_uint_ge(load(MMIO_RTC, &there), now);
	ck_assert(there);
	ck_assert_uint_eq(load(MMIO_RTC + 0xfe0, &there), 0x31); /* the first byte of its id */
	ck_assert_uint_eq(load(GICV2M + GICV2M_TYPER, &there), MSI_INTID_FIRST << 16 | MSI_PINS);
	ck_assert(there);
	arch_board_destroy(&guest);
}
END_TEST

/* Every width, at every byte of the frame's page: registers that are not there read as 0. */
START_TEST(frame_by_bytes)
{
	build(TRANSPORT_PCI);
	for (uint64_t off = 0; off < GICV2M_SIZE; off++)
		for (unsigned len = 1; len <= 8 && off + len <= GICV2M_SIZE; len *= 2) {
			uint8_t data[8];
			uint64_t reg = off & ~3ULL, want = reg == GICV2M_TYPER
								   ? MSI_INTID_FIRST << 16 | MSI_PINS
							   : reg == GICV2M_IIDR ? 0x43b
										: 0;

			ck_assert(bus_read(&guest.bus, BUS_MMIO, GICV2M + off, data, len));
			want >>= 8 * (off & 3);
			ck_assert_uint_eq(
				bus_get(data, len), len < 8 ? want & ((1ULL << 8 * len) - 1) : want);
		}
	arch_board_destroy(&guest);
}
END_TEST

/* Stores to the frame that raise nothing: KVM is not asked (its descriptor is -1: errno would say so). */
START_TEST(frame_stores)
{
	static const struct {
		uint64_t off;
		uint32_t value;
	} t[] = {{GICV2M_SETSPI, 0}, {GICV2M_SETSPI, GIC_SPI_FIRST}, {GICV2M_SETSPI, MSI_INTID_FIRST - 1},
		{GICV2M_SETSPI, GIC_INTIDS}, {GICV2M_SETSPI, UINT32_MAX},
		{GICV2M_SETSPI + 1, MSI_INTID_FIRST}, {GICV2M_SETSPI + 4, MSI_INTID_FIRST},
		{GICV2M_TYPER, MSI_INTID_FIRST}, {GICV2M_SIZE - 4, MSI_INTID_FIRST}};
	uint8_t data[4];

	build(TRANSPORT_PCI);
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		errno = 0;
		bus_put(data, 4, t[i].value);
		ck_assert(bus_write(&guest.bus, BUS_MMIO, GICV2M + t[i].off, data, 4));
		ck_assert_msg(errno == 0, "%#llx %#x", (unsigned long long)t[i].off, t[i].value);
	}
	bus_put(data, 4, MSI_INTID_FIRST);
	ck_assert(bus_write(&guest.bus, BUS_MMIO, GICV2M + GICV2M_SETSPI, data, 4));
	ck_assert_int_ne(errno, 0); /* this one asked */
	arch_board_destroy(&guest);
}
END_TEST

/* Holes read as ones; without PCI there are no MSIs and no frame. */
START_TEST(holes)
{
	static const uint64_t hole[] = {0, MMIO_SERIAL - 1, MMIO_RTC - 4, MMIO_RTC + PL031_SIZE, GIC_DIST,
		GICV2M + GICV2M_SIZE, RAM_BASE - 4, UINT64_MAX - 3};
	bool there;

	build(TRANSPORT_MMIO);
	for (size_t i = 0; i < sizeof(hole) / sizeof(hole[0]); i++) {
		ck_assert_uint_eq(load(hole[i], &there), UINT32_MAX);
		ck_assert(!there);
	}
	ck_assert_uint_eq(load(GICV2M + GICV2M_TYPER, &there), UINT32_MAX);
	ck_assert(!there);
	arch_board_destroy(&guest);
}
END_TEST

/* An ITS takes the messages itself. */
START_TEST(no_frame_beside_an_its)
{
	bool there;

	cfg.irqchip = IRQCHIP_ITS;
	build(TRANSPORT_PCI);
	load(GICV2M + GICV2M_TYPER, &there);
	ck_assert(!there);
	arch_board_destroy(&guest);
}
END_TEST

/* A reset leaves the clock the host's, whatever the guest had set. */
START_TEST(reset)
{
	uint32_t before = time(NULL);
	uint8_t data[4];
	bool there;

	build(TRANSPORT_PCI);
	bus_put(data, 4, 1000);
	ck_assert(bus_write(&guest.bus, BUS_MMIO, MMIO_RTC + 8, data, 4));
	ck_assert_uint_lt(load(MMIO_RTC, &there), before);
	guest.board->pin[PIN_SERIAL] = guest.board->pin[PIN_POWER] = NULL; /* sources that nobody opened */
	arch_board_reset(&guest);
	ck_assert_uint_ge(load(MMIO_RTC, &there), before);
	arch_board_destroy(&guest);
}
END_TEST

UNIT_MAIN("board", devices_answer, frame_by_bytes, frame_stores, holes, no_frame_beside_an_its, reset)
