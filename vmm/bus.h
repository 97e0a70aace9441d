/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which device answers at an address: sorted ranges per space, filled by main, frozen before vCPUs run,
 * then read by vCPU threads without locks.
 */
#ifndef PINVM_BUS_H
#define PINVM_BUS_H

#include <stdbool.h>
#include <stdint.h>

enum bus_space { BUS_PIO, BUS_MMIO, BUS_SPACES };

/*
 * Called on a vCPU thread. off is relative to the range's base; len is 1..8, and off + len <= size of the range.
 * read must fill all len bytes (little endian). The bytes are in no way aligned or checked beyond that.
 */
struct bus_ops {
	void (*read)(void *dev, uint64_t off, uint8_t *data, unsigned len);
	void (*write)(void *dev, uint64_t off, const uint8_t *data, unsigned len);
	/*
	 * Of a range with several devices in it: the name of the one at off, NULL: nobody; *at: off, relative to its own
	 * registers. Not called on a vCPU thread; may lock. NULL: all of the range is one device's.
	 */
	const char *(*owner)(void *dev, uint64_t off, uint64_t *at);
	bool whole; /* an exit profile counts the range as one address: it has more than a profile has room for. MMIO, once. */
};

#define BUS_MAX_RANGES 64

struct bus_range {
	uint64_t base, size;
	const struct bus_ops *ops;
	void *dev;
	const char *name;
};

struct bus {
	struct {
		unsigned n;
		struct bus_range range[BUS_MAX_RANGES];
	} space[BUS_SPACES];
	bool frozen;
};

/* Add a range. -EEXIST on overlap (logged with both names), -ENOSPC, -EINVAL for size 0 or wrap. Main, before bus_freeze(). */
int bus_add(struct bus *bus, enum bus_space space, uint64_t base, uint64_t size, const struct bus_ops *ops, void *dev,
	const char *name);
void bus_freeze(struct bus *bus);

/* An access nobody answers reads as ones and writes to nowhere, and returns false. */
bool bus_read(const struct bus *bus, enum bus_space space, uint64_t addr, uint8_t *data, unsigned len);
bool bus_write(const struct bus *bus, enum bus_space space, uint64_t addr, const uint8_t *data, unsigned len);

/* Whose address it is, and *off within that; NULL: nobody's. For people's eyes: not on a vCPU thread, it may lock. */
const char *bus_owner(const struct bus *bus, enum bus_space space, uint64_t addr, uint64_t *off);

/* Little-endian helpers for register files: read/write len (1..8) bytes of data as a number. */
uint64_t bus_get(const uint8_t *data, unsigned len);
void bus_put(uint8_t *data, unsigned len, uint64_t value);

#endif
