// SPDX-License-Identifier: Apache-2.0
/* Address look-up; see bus.h. main adds, vCPU threads look up. */
#include "vmm/bus.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "vmm/log.h"

int bus_add(struct bus *bus, enum bus_space space, uint64_t base, uint64_t size, const struct bus_ops *ops, void *dev,
	const char *name)
{
	struct bus_range *r = bus->space[space].range;
	unsigned n = bus->space[space].n, at = n;

	assert(!bus->frozen);
	if (!size || base + size - 1 < base)
		return -EINVAL;
	if (n == BUS_MAX_RANGES)
		return -ENOSPC;
	while (at && r[at - 1].base > base)
		at--;
	if (at && r[at - 1].base + r[at - 1].size - 1 >= base)
		return log_errno(-EEXIST, "%s at %#llx overlaps %s", name, (unsigned long long)base, r[at - 1].name);
	if (at < n && base + size - 1 >= r[at].base)
		return log_errno(-EEXIST, "%s at %#llx overlaps %s", name, (unsigned long long)base, r[at].name);
	memmove(&r[at + 1], &r[at], (n - at) * sizeof(*r));
	r[at] = (struct bus_range){.base = base, .size = size, .ops = ops, .dev = dev, .name = name};
	bus->space[space].n++;
	return 0;
}

void bus_freeze(struct bus *bus)
{
	bus->frozen = true;
}

/* The range that holds all of [addr, addr + len), or NULL. */
static const struct bus_range *find(const struct bus *bus, enum bus_space space, uint64_t addr, unsigned len)
{
	const struct bus_range *r = bus->space[space].range;
	unsigned lo = 0, hi = bus->space[space].n;

	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;

		if (addr < r[mid].base)
			hi = mid;
		else if (addr - r[mid].base >= r[mid].size)
			lo = mid + 1;
		else
			return len <= r[mid].size - (addr - r[mid].base) ? &r[mid] : NULL;
	}
	return NULL;
}

bool bus_read(const struct bus *bus, enum bus_space space, uint64_t addr, uint8_t *data, unsigned len)
{
	const struct bus_range *r = find(bus, space, addr, len);

	if (!r) {
		memset(data, 0xff, len);
		return false;
	}
	r->ops->read(r->dev, addr - r->base, data, len);
	return true;
}

bool bus_write(const struct bus *bus, enum bus_space space, uint64_t addr, const uint8_t *data, unsigned len)
{
	const struct bus_range *r = find(bus, space, addr, len);

	if (!r)
		return false;
	r->ops->write(r->dev, addr - r->base, data, len);
	return true;
}

const char *bus_owner(const struct bus *bus, enum bus_space space, uint64_t addr, uint64_t *off)
{
	const struct bus_range *r = find(bus, space, addr, 1);
	const char *name;

	if (!r)
		return NULL;
	name = r->ops->owner ? r->ops->owner(r->dev, addr - r->base, off) : NULL;
	if (!name)
		*off = addr - r->base;
	return name ? name : r->name;
}

uint64_t bus_get(const uint8_t *data, unsigned len)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < len; i++)
		v |= (uint64_t)data[i] << (8 * i);
	return v;
}

void bus_put(uint8_t *data, unsigned len, uint64_t value)
{
	for (unsigned i = 0; i < len; i++)
		data[i] = value >> (8 * i);
}
