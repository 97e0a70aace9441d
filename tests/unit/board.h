/* SPDX-License-Identifier: Apache-2.0 */
/* A bus, and accesses to it as a vCPU makes them: 1 to 8 bytes that are a number. Included by one .c file of a test program. */
#ifndef PINVM_TESTS_BOARD_H
#define PINVM_TESTS_BOARD_H

#include "vmm/bus.h"

static struct bus board;
static uint64_t board_base; /* what the addresses of rd() and wr() count from */

static inline uint64_t rd_in(enum bus_space space, uint64_t addr, unsigned len)
{
	uint8_t b[8];

	bus_read(&board, space, addr, b, len);
	return bus_get(b, len);
}

static inline void wr_in(enum bus_space space, uint64_t addr, uint64_t v, unsigned len)
{
	uint8_t b[8];

	bus_put(b, len, v);
	bus_write(&board, space, addr, b, len);
}

static inline uint64_t rd(uint64_t addr, unsigned len)
{
	return rd_in(BUS_MMIO, board_base + addr, len);
}

static inline void wr(uint64_t addr, uint64_t v, unsigned len)
{
	wr_in(BUS_MMIO, board_base + addr, v, len);
}

#endif
