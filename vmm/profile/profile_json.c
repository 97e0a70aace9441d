// SPDX-License-Identifier: Apache-2.0
/* The exit profile as JSON; see profile.h. Any thread but a vCPU's. Names in it are a promise to scripts:
 * add, do not rename. */
#include <stdio.h>
#include <stdlib.h>

#include "vmm/bus.h"
#include "vmm/profile/profile.h"
#include "vmm/vcpu.h"

_Static_assert(PROFILE_REASONS == VCPU_EXIT_REASONS, "both count the same exits");

static const char *const kinds[PROFILE_KINDS] = {
	[PROFILE_PIO] = "pio",
	[PROFILE_MMIO] = "mmio",
	[PROFILE_MSR] = "msr",
	[PROFILE_HYPERCALL] = "hypercall",
};

static uint64_t get(const _Atomic uint64_t *n)
{
	return atomic_load_explicit(n, memory_order_relaxed);
}

/* The busiest first, then by address, so that two reports of the same exits are the same. */
static int busier(const void *l, const void *r)
{
	const struct profile_access *a = l, *b = r;

	if (a->exits != b->exits)
		return a->exits < b->exits ? 1 : -1;
	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	if (a->address != b->address)
		return a->address < b->address ? -1 : 1;
	if (a->write != b->write)
		return a->write ? 1 : -1;
	return (int)a->size - (int)b->size;
}

static json_t *access_json(const struct profile_access *a, const struct bus *bus)
{
	json_t *json = json_pack("{s:s, s:I}", "kind", kinds[a->kind], "address", (json_int_t)a->address);
	const char *device = NULL;
	uint64_t off = 0;

	if (a->size)
		json_object_set_new(json, "op", json_string(a->write ? "write" : "read"));
	if (a->size)
		json_object_set_new(json, "size", json_integer(a->size));
	if (a->kind == PROFILE_PIO || a->kind == PROFILE_MMIO) {
		device = bus_owner(bus, a->kind == PROFILE_PIO ? BUS_PIO : BUS_MMIO, a->address, &off);
		json_object_set_new(json, "device", device ? json_string(device) : json_null());
		json_object_set_new(json, "offset", device ? json_integer(off) : json_null());
	}
	json_object_set_new(json, "exits", json_integer(a->exits));
	return json;
}

static json_t *accesses_json(const struct profile_access *list, unsigned n, const struct bus *bus)
{
	json_t *json = json_array();

	for (unsigned i = 0; i < n; i++)
		json_array_append_new(json, access_json(&list[i], bus));
	return json;
}

static json_t *kinds_json(const uint64_t exits[PROFILE_KINDS])
{
	json_t *json = json_object();

	for (unsigned k = 0; k < PROFILE_KINDS; k++)
		json_object_set_new(json, kinds[k], json_integer((json_int_t)exits[k]));
	return json;
}

/* A table may be full in each of hundreds of vCPUs, and who asks for a live report waits: so those that are
 * not among the busiest are summed up. */
static json_t *others_json(const struct profile_access *list, unsigned n)
{
	uint64_t exits[PROFILE_KINDS] = {0};

	for (unsigned i = 0; i < n; i++)
		exits[list[i].kind] += list[i].exits;
	return json_pack("{s:i, s:o}", "addresses", (int)n, "exits", kinds_json(exits));
}

static void add(json_t *sums, const char *name, uint64_t n)
{
	json_int_t before = json_integer_value(json_object_get(sums, name));

	if (n)
		json_object_set_new(sums, name, json_integer(before + (json_int_t)n));
}

/*
 * All exits, by kind and device: sums that only grow, however many addresses there are. An address outside of
 * devices is nobody's; of one that found no slot nobody knows whose it was.
 */
static json_t *targets_json(
	const struct profile *profile, const struct profile_access *list, unsigned n, const struct bus *bus)
{
	json_t *sums = json_object();
	char name[96];

	for (unsigned i = 0; i < n; i++) {
		const struct profile_access *a = &list[i];
		bool is_bus = a->kind == PROFILE_PIO || a->kind == PROFILE_MMIO;
		const char *device = NULL;
		uint64_t off;

		if (is_bus)
			device =
				bus_owner(bus, a->kind == PROFILE_PIO ? BUS_PIO : BUS_MMIO, a->address, &off);
		snprintf(name, sizeof(name), "%s%s%s", kinds[a->kind], is_bus ? " " : "",
			!is_bus	 ? ""
			: device ? device
				 : "nobody");
		add(sums, name, a->exits);
	}
	for (unsigned k = 0; k < PROFILE_KINDS; k++) {
		snprintf(name, sizeof(name), "%s%s", kinds[k],
			k == PROFILE_PIO || k == PROFILE_MMIO ? " unknown" : "");
		add(sums, name, get(&profile->other[k]));
	}
	return sums;
}

static json_t *histogram_json(const _Atomic uint64_t histogram[PROFILE_BUCKETS])
{
	json_t *json = json_object();
	char from[24];

	for (unsigned i = 0; i < PROFILE_BUCKETS; i++) {
		uint64_t n = get(&histogram[i]);

		snprintf(from, sizeof(from), "%llu", i ? 1ULL << i : 0);
		if (n)
			json_object_set_new(json, from, json_integer(n));
	}
	return json;
}

static json_t *times_json(const struct profile_times *times)
{
	json_t *handlers = json_object();

	if (!times) {
		json_decref(handlers);
		return json_null();
	}
	for (unsigned r = 0; r < PROFILE_REASONS; r++) {
		json_t *histogram = histogram_json(times->histogram[r]);
		const char *name = vcpu_exit_name(r);
		char number[16];

		snprintf(number, sizeof(number), "%u", r);
		if (json_object_size(histogram))
			json_object_set_new(handlers, name ? name : number,
				json_pack("{s:I, s:O}", "ns", (json_int_t)get(&times->handler_ns[r]),
					"histogram", histogram));
		json_decref(histogram);
	}
	return json_pack("{s:I, s:I, s:o}", "guest_and_kernel_ns", (json_int_t)get(&times->inside_ns),
		"vmm_ns", (json_int_t)get(&times->vmm_ns), "handlers", handlers);
}

json_t *profile_json(const struct profile *profile, const struct bus *bus)
{
	struct profile_access *list = profile ? calloc(PROFILE_SLOTS, sizeof(*list)) : NULL;
	uint64_t other[PROFILE_KINDS];
	unsigned n = 0, listed;
	json_t *json;

	if (!list)
		return json_null();
	for (unsigned i = 0; i < PROFILE_SLOTS; i++)
		n += profile_read(profile, i, &list[n]);
	if (n)
		qsort(list, n, sizeof(*list), busier);
	listed = n < PROFILE_LISTED ? n : PROFILE_LISTED;
	for (unsigned k = 0; k < PROFILE_KINDS; k++)
		other[k] = get(&profile->other[k]);
	json = json_pack("{s:o, s:o, s:o, s:o, s:o}", "accesses", accesses_json(list, listed, bus), "others",
		others_json(list + listed, n - listed), "other", kinds_json(other), "targets",
		targets_json(profile, list, n, bus), "times", times_json(profile->times));
	free(list);
	return json;
}
