// SPDX-License-Identifier: Apache-2.0
/*
 * The root bus: configuration accesses find their slot, window accesses find their BAR. Built by main, run by
 * vCPU threads. A configuration write holds the bus's lock, then the device's mutex; it is what moves BARs.
 * An access inside a window reads the table of BARs under a seqlock and takes only the mutex of the device it
 * meets.
 *
 * A BAR decodes when COMMAND.MEM is on, it lies inside a window, and no BAR before it (by slot, then number)
 * that decodes overlaps it. A BAR that does not decode is simply not there.
 */
#include "devices/pci.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "devices/pci_priv.h"
#include "vmm/log.h"

#define CONFIG_ENABLE 0x80000000u
#define CONFIG_BITS   0x80fffffcu /* of CONFIG_ADDRESS: enable, bus, device, function, register */
#define SEQ_TRIES     16

struct pci_place {
	_Atomic uint64_t base, size;
	_Atomic(struct pci_dev *) dev;
	_Atomic unsigned bar;
};

struct pci_window {
	struct pci_bus *bus;
	uint64_t base, size, next; /* next: where the following BAR goes at power-on */
};

struct pci_bus {
	pthread_mutex_t lock;
	struct pci_dev *slot[PCI_SLOTS];
	struct pci_dev bridge;
	struct pci_layout layout;
	struct pci_window mem32, mem64;
	_Atomic uint32_t config_address;
	/* Written under lock, between an odd seq and the next even one. */
	_Atomic unsigned seq, nplaces;
	struct pci_place place[PCI_SLOTS * PCI_BARS];
};

/* One configuration transaction: inside one dword of function 0 of a slot of bus 0, or it finds nobody. */
static struct pci_dev *config_target(struct pci_bus *bus, uint32_t off, unsigned len)
{
	uint32_t devfn = off / PCI_ECAM_FUNC;

	if (devfn % 8 || devfn / 8 >= PCI_SLOTS || off % 4 + len > 4)
		return NULL;
	return bus->slot[devfn / 8];
}

static void config_read(struct pci_bus *bus, uint64_t off, uint8_t *data, unsigned len)
{
	struct pci_dev *dev = config_target(bus, off, len);

	memset(data, 0xff, len);
	if (!dev)
		return;
	pthread_mutex_lock(&dev->lock);
	pci_cfg_read(dev, off % PCI_ECAM_FUNC, data, len);
	pthread_mutex_unlock(&dev->lock);
}

/* The BARs that decode now, in order of precedence. Bus lock held. */
struct pci_claim {
	uint64_t base, size;
	struct pci_dev *dev;
	unsigned bar;
};

static bool inside(const struct pci_window *w, const struct pci_bar *b)
{
	return b->addr >= w->base && b->addr - w->base < w->size && b->size <= w->size - (b->addr - w->base);
}

static bool overlaps(const struct pci_claim *claims, unsigned n, const struct pci_bar *b)
{
	for (unsigned i = 0; i < n; i++)
		if (b->addr < claims[i].base + claims[i].size && claims[i].base < b->addr + b->size)
			return true;
	return false;
}

static unsigned claim_bars(struct pci_bus *bus, struct pci_claim *claims)
{
	unsigned n = 0;

	for (unsigned s = 0; s < PCI_SLOTS; s++) {
		struct pci_dev *dev = bus->slot[s];

		if (!dev || !pci_mem_enabled(dev))
			continue;
		for (unsigned i = 0; i < PCI_BARS; i++) {
			const struct pci_bar *b = &dev->bar[i];

			if (!b->size || (!inside(&bus->mem32, b) && !inside(&bus->mem64, b)) ||
				overlaps(claims, n, b))
				continue;
			claims[n++] = (struct pci_claim){b->addr, b->size, dev, i};
		}
	}
	return n;
}

static const struct pci_claim *claim_of(
	const struct pci_claim *claims, unsigned n, struct pci_dev *dev, unsigned bar)
{
	for (unsigned i = 0; i < n; i++)
		if (claims[i].dev == dev && claims[i].bar == bar)
			return &claims[i];
	return NULL;
}

/* Tell a device that its BAR is at `gpa` from now on, or no longer. Bus lock held. */
static void set_mapped(struct pci_dev *dev, unsigned bar, uint64_t gpa, bool on)
{
	pthread_mutex_lock(&dev->lock);
	dev->bar[bar].mapped = on;
	dev->bar[bar].at = gpa;
	if (dev->ops->bar_mapped)
		dev->ops->bar_mapped(dev, bar, gpa, on);
	pthread_mutex_unlock(&dev->lock);
}

static void unmap_stale(struct pci_bus *bus, const struct pci_claim *claims, unsigned n)
{
	for (unsigned s = 0; s < PCI_SLOTS; s++) {
		struct pci_dev *dev = bus->slot[s];

		for (unsigned i = 0; dev && i < PCI_BARS; i++) {
			const struct pci_claim *c = claim_of(claims, n, dev, i);

			if (dev->bar[i].mapped && (!c || c->base != dev->bar[i].at))
				set_mapped(dev, i, dev->bar[i].at, false);
		}
	}
}

/*
 * The seqlock's writer. Release on each entry (rather than a fence) keeps the odd seq in front of them, also
 * in the eyes of ThreadSanitizer.
 */
static void publish(struct pci_bus *bus, const struct pci_claim *claims, unsigned n)
{
	unsigned seq = atomic_load_explicit(&bus->seq, memory_order_relaxed);

	atomic_store_explicit(&bus->seq, seq + 1, memory_order_relaxed);
	for (unsigned i = 0; i < n; i++) {
		struct pci_place *p = &bus->place[i];

		atomic_store_explicit(&p->base, claims[i].base, memory_order_release);
		atomic_store_explicit(&p->size, claims[i].size, memory_order_release);
		atomic_store_explicit(&p->dev, claims[i].dev, memory_order_release);
		atomic_store_explicit(&p->bar, claims[i].bar, memory_order_release);
	}
	atomic_store_explicit(&bus->nplaces, n, memory_order_release);
	atomic_store_explicit(&bus->seq, seq + 2, memory_order_release);
}

/* Decide again who decodes what. All that leave are told before any that come: two may swap addresses. Bus
 * lock held. */
static void remap(struct pci_bus *bus)
{
	struct pci_claim claims[PCI_SLOTS * PCI_BARS];
	unsigned n = claim_bars(bus, claims);

	unmap_stale(bus, claims, n);
	publish(bus, claims, n);
	for (unsigned i = 0; i < n; i++)
		if (!claims[i].dev->bar[claims[i].bar].mapped)
			set_mapped(claims[i].dev, claims[i].bar, claims[i].base, true);
}

static void config_write(struct pci_bus *bus, uint64_t off, const uint8_t *data, unsigned len)
{
	struct pci_dev *dev = config_target(bus, off, len);
	bool moved;

	if (!dev)
		return;
	pthread_mutex_lock(&bus->lock);
	pthread_mutex_lock(&dev->lock);
	moved = pci_cfg_write(dev, off % PCI_ECAM_FUNC, data, len);
	pthread_mutex_unlock(&dev->lock);
	if (moved)
		remap(bus);
	pthread_mutex_unlock(&bus->lock);
}

/* A quadword is two transactions, as a host bridge would make of it. */
static void ecam_read(void *opaque, uint64_t off, uint8_t *data, unsigned len)
{
	if (len == 8 && off % 4 == 0) {
		config_read(opaque, off, data, 4);
		config_read(opaque, off + 4, data + 4, 4);
	} else {
		config_read(opaque, off, data, len);
	}
}

static void ecam_write(void *opaque, uint64_t off, const uint8_t *data, unsigned len)
{
	if (len == 8 && off % 4 == 0) {
		config_write(opaque, off, data, 4);
		config_write(opaque, off + 4, data + 4, 4);
	} else {
		config_write(opaque, off, data, len);
	}
}

static const struct bus_ops ecam_ops = {.read = ecam_read, .write = ecam_write, .whole = true};

/* Mechanism 1: the dword at 0xcf8 selects, 0xcfc..0xcff are the selected dword's bytes. Other accesses find
 * nobody. */
static bool mech1_selects(struct pci_bus *bus, uint64_t port, uint64_t *off)
{
	uint32_t a = bus->config_address;

	*off = (a >> 8 & 0xffff) * PCI_ECAM_FUNC + (a & 0xfc) + port % 4;
	return port >= 4 && a & CONFIG_ENABLE;
}

static void mech1_read(void *opaque, uint64_t port, uint8_t *data, unsigned len)
{
	struct pci_bus *bus = opaque;
	uint64_t off;

	if (port == 0 && len == 4)
		bus_put(data, 4, bus->config_address);
	else if (mech1_selects(bus, port, &off))
		config_read(bus, off, data, len);
	else
		memset(data, 0xff, len);
}

static void mech1_write(void *opaque, uint64_t port, const uint8_t *data, unsigned len)
{
	struct pci_bus *bus = opaque;
	uint64_t off;

	if (port == 0 && len == 4)
		bus->config_address = bus_get(data, 4) & CONFIG_BITS;
	else if (mech1_selects(bus, port, &off))
		config_write(bus, off, data, len);
}

static const struct bus_ops mech1_ops = {mech1_read, mech1_write};

static bool find_place(struct pci_bus *bus, uint64_t gpa, unsigned len, struct pci_claim *out)
{
	unsigned n = atomic_load_explicit(&bus->nplaces, memory_order_acquire);

	for (unsigned i = 0; i < n; i++) {
		struct pci_place *p = &bus->place[i];

		out->base = atomic_load_explicit(&p->base, memory_order_acquire);
		out->size = atomic_load_explicit(&p->size, memory_order_acquire);
		out->dev = atomic_load_explicit(&p->dev, memory_order_acquire);
		out->bar = atomic_load_explicit(&p->bar, memory_order_acquire);
		if (gpa >= out->base && gpa - out->base < out->size)
			return len <= out->size - (gpa - out->base);
	}
	return false;
}

/* The seqlock's reader. It does not spin for long on a writer that may have been preempted: it waits behind
 * its lock, which lends it the reader's priority. */
static bool find(struct pci_bus *bus, uint64_t gpa, unsigned len, struct pci_claim *out)
{
	bool found;

	for (unsigned i = 0; i < SEQ_TRIES; i++) {
		unsigned seq = atomic_load_explicit(&bus->seq, memory_order_acquire);

		found = find_place(bus, gpa, len, out);
		if (!(seq & 1) && atomic_load_explicit(&bus->seq, memory_order_relaxed) == seq)
			return found;
	}
	pthread_mutex_lock(&bus->lock);
	found = find_place(bus, gpa, len, out);
	pthread_mutex_unlock(&bus->lock);
	return found;
}

static void window_read(void *opaque, uint64_t off, uint8_t *data, unsigned len)
{
	struct pci_window *w = opaque;
	struct pci_claim c;

	memset(data, 0xff, len);
	if (!find(w->bus, w->base + off, len, &c))
		return;
	pthread_mutex_lock(&c.dev->lock);
	pci_bar_read(c.dev, c.bar, w->base + off - c.base, data, len);
	pthread_mutex_unlock(&c.dev->lock);
}

static void window_write(void *opaque, uint64_t off, const uint8_t *data, unsigned len)
{
	struct pci_window *w = opaque;
	struct pci_claim c;

	if (!find(w->bus, w->base + off, len, &c))
		return;
	pthread_mutex_lock(&c.dev->lock);
	pci_bar_write(c.dev, c.bar, w->base + off - c.base, data, len);
	pthread_mutex_unlock(&c.dev->lock);
}

/* Whoever has a BAR there now, whether it decodes or not: drivers turn that off when they leave. */
static const char *window_owner(void *opaque, uint64_t off, uint64_t *at)
{
	struct pci_window *w = opaque;
	const char *name = NULL;

	pthread_mutex_lock(&w->bus->lock);
	for (unsigned s = 0; s < PCI_SLOTS; s++) {
		struct pci_dev *dev = w->bus->slot[s];

		for (unsigned i = 0; dev && !name && i < PCI_BARS; i++) {
			const struct pci_bar *b = &dev->bar[i];

			if (!b->size || w->base + off < b->addr || w->base + off - b->addr >= b->size)
				continue;
			name = dev->name;
			*at = w->base + off - b->addr;
		}
	}
	pthread_mutex_unlock(&w->bus->lock);
	return name;
}

static const struct bus_ops window_ops = {.read = window_read, .write = window_write, .owner = window_owner};

/* Next free place of a power-on BAR, at least a page apart from others, or 0. */
static uint64_t take_window(struct pci_window *w, uint64_t size)
{
	uint64_t align = size < 4096 ? 4096 : size, at = (w->next + align - 1) & ~(align - 1);

	if (at < w->next || at - w->base >= w->size || align > w->size - (at - w->base))
		return 0;
	w->next = at + align;
	return at;
}

static int place_bars(struct pci_bus *bus, struct pci_dev *dev)
{
	uint64_t next32 = bus->mem32.next, next64 = bus->mem64.next;

	for (unsigned i = 0; i < PCI_BARS; i++) {
		const struct pci_bar *b = &dev->bar[i];
		uint64_t at = 0;

		if (!b->size)
			continue;
		if (b->is64)
			at = take_window(&bus->mem64, b->size);
		if (!at)
			at = take_window(&bus->mem32, b->size);
		if (!at) {
			bus->mem32.next = next32;
			bus->mem64.next = next64;
			return log_errno(-ENOSPC, "%s: no room for BAR %u in the PCI windows", dev->name, i);
		}
		pci_bar_place(dev, i, at);
	}
	return 0;
}

int pci_dev_add(struct pci_bus *bus, struct pci_dev *dev)
{
	unsigned slot = 0;
	int err;

	while (slot < PCI_SLOTS && bus->slot[slot])
		slot++;
	if (slot == PCI_SLOTS)
		return log_errno(-ENOSPC, "%s: all %d PCI slots are taken", dev->name, PCI_SLOTS);
	err = place_bars(bus, dev);
	if (err)
		return err;
	memcpy(dev->cfg0, dev->cfg, sizeof(dev->cfg));
	dev->slot = slot;
	dev->bus = bus;
	bus->slot[slot] = dev;
	return 0;
}

void pci_dev_reset(struct pci_dev *dev)
{
	struct pci_bus *bus = dev->bus;

	pthread_mutex_lock(&bus->lock);
	pthread_mutex_lock(&dev->lock);
	pci_cfg_reset(dev);
	pthread_mutex_unlock(&dev->lock);
	remap(bus);
	pthread_mutex_unlock(&bus->lock);
}

void pci_dev_fini(struct pci_dev *dev)
{
	if (dev->bus) {
		dev->cfg[PCI_COMMAND] = 0;
		pthread_mutex_lock(&dev->bus->lock);
		remap(dev->bus);
		dev->bus->slot[dev->slot] = NULL;
		pthread_mutex_unlock(&dev->bus->lock);
	}
	if (dev->msix)
		msix_close(dev->msix);
	pthread_mutex_destroy(&dev->lock);
}

static int add_window(struct pci_bus *bus, struct bus *board, struct pci_window *w, uint64_t base,
	uint64_t size, const char *name)
{
	*w = (struct pci_window){.bus = bus, .base = base, .size = size, .next = base};
	return size ? bus_add(board, BUS_MMIO, base, size, &window_ops, w, name) : 0;
}

int pci_bus_create(struct pci_bus **out, struct bus *board, const struct pci_layout *layout)
{
	static const struct pci_dev_ops no_ops;
	struct pci_bus *bus = calloc(1, sizeof(*bus));
	int err = 0;

	if (!bus)
		return -ENOMEM;
	pci_lock_init(&bus->lock);
	bus->layout = *layout;
	/* The ids of a generic host bridge; drivers go by its class. */
	pci_dev_init(&bus->bridge, &no_ops, "host bridge", 0x1b36, 0x0008, 0x1af4, 0x1100, 0x060000 << 8);
	if (layout->ecam_size)
		err = bus_add(board, BUS_MMIO, layout->ecam, layout->ecam_size, &ecam_ops, bus, "pci ecam");
	if (!err)
		err = add_window(bus, board, &bus->mem32, layout->mem32, layout->mem32_size, "pci mem32");
	if (!err)
		err = add_window(bus, board, &bus->mem64, layout->mem64, layout->mem64_size, "pci mem64");
	if (!err && layout->mech1)
		err = bus_add(board, BUS_PIO, 0xcf8, 8, &mech1_ops, bus, "pci config");
	if (!err)
		err = pci_dev_add(bus, &bus->bridge);
	if (err) {
		pci_bus_destroy(bus);
		return err;
	}
	*out = bus;
	return 0;
}

const struct pci_layout *pci_bus_layout(const struct pci_bus *bus)
{
	return &bus->layout;
}

void pci_bus_reset(struct pci_bus *bus)
{
	bus->config_address = 0;
	pci_dev_reset(&bus->bridge);
}

void pci_bus_destroy(struct pci_bus *bus)
{
	if (!bus)
		return;
	pci_dev_fini(&bus->bridge);
	pthread_mutex_destroy(&bus->lock);
	free(bus);
}
