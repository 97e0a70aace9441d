// SPDX-License-Identifier: Apache-2.0
/* The exit profile: exact counts by what was reached for, the bounds of its table, times, and its JSON. */
#include <linux/kvm.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/unit/unit.h"
#include "vmm/bus.h"
#include "vmm/profile/profile.h"

#define HOLE 0xd0000000ULL

static void rd(void *dev, uint64_t off, uint8_t *data, unsigned len)
{
}

static void wr(void *dev, uint64_t off, const uint8_t *data, unsigned len)
{
}

/* A shared range: somebody is in its second half. */
static const char *second_half(void *dev, uint64_t off, uint64_t *at)
{
	*at = off - 0x800;
	return off >= 0x800 ? "tenant" : NULL;
}

static const struct bus_ops plain_ops = {.read = rd, .write = wr};
static const struct bus_ops whole_ops = {.read = rd, .write = wr, .whole = true};
static const struct bus_ops shared_ops = {.read = rd, .write = wr, .owner = second_half};

static struct bus bus;
static struct profiles profiles;
static struct profile *profile;
static struct kvm_run run;

static void start(bool times)
{
	ck_assert_int_eq(bus_add(&bus, BUS_PIO, 0x3f8, 8, &plain_ops, NULL, "serial"), 0);
	ck_assert_int_eq(bus_add(&bus, BUS_MMIO, 0x1000, 0x1000, &plain_ops, NULL, "device"), 0);
	ck_assert_int_eq(bus_add(&bus, BUS_MMIO, 0x2000, 0x1000, &shared_ops, NULL, "shared"), 0);
	ck_assert_int_eq(bus_add(&bus, BUS_MMIO, 0x100000, 0x100000, &whole_ops, NULL, "config"), 0);
	bus_freeze(&bus);
	ck_assert_int_eq(profiles_create(&profiles, 1, times), 0);
	profile = profiles_at(&profiles, 0);
	profile_settle(profile, &bus, times);
}

static void pio(bool write, unsigned size, uint16_t port)
{
	run.exit_reason = KVM_EXIT_IO;
	run.io.direction = write ? KVM_EXIT_IO_OUT : KVM_EXIT_IO_IN;
	run.io.size = size;
	run.io.port = port;
	run.io.count = 1;
	profile_exit(profile, &run);
}

static void mmio(bool write, unsigned size, uint64_t gpa)
{
	run.exit_reason = KVM_EXIT_MMIO;
	run.mmio.is_write = write;
	run.mmio.len = size;
	run.mmio.phys_addr = gpa;
	profile_exit(profile, &run);
}

static void msr(bool write, uint32_t index)
{
	run.exit_reason = write ? KVM_EXIT_X86_WRMSR : KVM_EXIT_X86_RDMSR;
	run.msr.index = index;
	profile_exit(profile, &run);
}

/* Exits of exactly this access; each access has one slot. */
static uint64_t exits_of(enum profile_kind kind, bool write, unsigned size, uint64_t address)
{
	struct profile_access a;
	uint64_t exits = 0;
	unsigned slots = 0;

	for (unsigned i = 0; i < PROFILE_SLOTS; i++) {
		if (!profile_read(profile, i, &a) || a.kind != kind || a.write != write || a.size != size ||
			a.address != address)
			continue;
		exits = a.exits;
		slots++;
	}
	ck_assert_uint_le(slots, 1);
	return exits;
}

/* All that stands in slots, and how many those are. */
static uint64_t in_slots(unsigned *slots)
{
	struct profile_access a;
	uint64_t exits = 0;

	*slots = 0;
	for (unsigned i = 0; i < PROFILE_SLOTS; i++)
		if (profile_read(profile, i, &a)) {
			exits += a.exits;
			(*slots)++;
		}
	return exits;
}

START_TEST(counts_what_was_reached_for)
{
	unsigned slots;

	start(false);
	for (int i = 0; i < 3; i++)
		pio(true, 1, 0x80);
	for (int i = 0; i < 4; i++)
		pio(true, 4, 0x80);
	pio(false, 1, 0x80);
	for (int i = 0; i < 5; i++)
		mmio(false, 8, 0x80);
	mmio(true, 8, (1ULL << 52) - 8);
	msr(false, 0xffffffff);
	msr(true, 0x6e0);
	msr(true, 0x6e0);
	run.exit_reason = KVM_EXIT_HYPERCALL;
	run.hypercall.nr = 12;
	profile_exit(profile, &run);
	run.exit_reason = KVM_EXIT_SHUTDOWN;
	profile_exit(profile, &run);
	ck_assert_uint_eq(exits_of(PROFILE_PIO, true, 1, 0x80), 3);
	ck_assert_uint_eq(exits_of(PROFILE_PIO, true, 4, 0x80), 4);
	ck_assert_uint_eq(exits_of(PROFILE_PIO, false, 1, 0x80), 1);
	ck_assert_uint_eq(exits_of(PROFILE_MMIO, false, 8, 0x80), 5);
	ck_assert_uint_eq(exits_of(PROFILE_MMIO, true, 8, (1ULL << 52) - 8), 1);
	ck_assert_uint_eq(exits_of(PROFILE_MSR, false, 8, 0xffffffff), 1);
	ck_assert_uint_eq(exits_of(PROFILE_MSR, true, 8, 0x6e0), 2);
	ck_assert_uint_eq(exits_of(PROFILE_HYPERCALL, false, 0, 12), 1);
	ck_assert_uint_eq(in_slots(&slots), 18);
	ck_assert_uint_eq(slots, 8);
	profiles_destroy(&profiles);
}
END_TEST

START_TEST(collisions_keep_counts_apart)
{
	const unsigned n = PROFILE_SLOTS / 2; /* of the birthdays of so many, dozens are on one day */
	unsigned slots;

	start(false);
	for (unsigned round = 0; round < 7; round++)
		for (unsigned i = 0; i < n; i++)
			if (i % 7 >= round)
				mmio(false, 4, HOLE + 4096ULL * i * i);
	in_slots(&slots);
	ck_assert_uint_eq(slots, n);
	for (unsigned i = 0; i < n; i++)
		ck_assert_uint_eq(exits_of(PROFILE_MMIO, false, 4, HOLE + 4096ULL * i * i), i % 7 + 1);
	ck_assert_uint_eq(profile->other[PROFILE_MMIO], 0);
	profiles_destroy(&profiles);
}
END_TEST

START_TEST(a_full_table_counts_the_rest_by_kind)
{
	const unsigned n = 4 * PROFILE_SLOTS;
	unsigned slots, before;
	uint64_t kept;

	start(false);
	pio(true, 1, 0x3f8);
	for (unsigned i = 0; i < n; i++)
		mmio(true, 4, HOLE + 4 * i);
	kept = in_slots(&slots);
	ck_assert_uint_eq(slots, kept);
	ck_assert_uint_gt(slots, PROFILE_SLOTS / 2);
	ck_assert_uint_eq(kept - 1 + profile->other[PROFILE_MMIO], n);
	ck_assert_uint_gt(profile->other[PROFILE_MMIO], 0);
	ck_assert_uint_eq(profile->other[PROFILE_PIO], 0);
	/* Whoever has a slot goes on counting in it, whoever had none gets none. */
	before = slots;
	for (unsigned i = 0; i < n; i++)
		mmio(true, 4, HOLE + 4 * i);
	pio(true, 1, 0x3f8);
	ck_assert_uint_eq(in_slots(&slots), 2 * kept);
	ck_assert_uint_eq(slots, before);
	ck_assert_uint_eq(2 * (kept - 1) + profile->other[PROFILE_MMIO], 2 * n);
	ck_assert_uint_eq(exits_of(PROFILE_PIO, true, 1, 0x3f8), 2);
	profiles_destroy(&profiles);
}
END_TEST

/* A guest that knows the hash sends everything to the same slots: an exit still ends, and is counted. */
START_TEST(a_hostile_guest_fills_only_its_probes)
{
	struct profiles scratch;
	struct profile_access a;
	unsigned slots, at;
	uint64_t found = 0;

	start(false);
	mmio(false, 1, HOLE);
	for (at = 0; !profile_read(profile, at, &a); at++)
		;
	ck_assert_int_eq(profiles_create(&scratch, 1, false), 0);
	for (uint64_t gpa = HOLE + 1; found < 2 * PROFILE_PROBES; gpa++) {
		struct profile *one = profiles_at(&scratch, 0);

		/* Its home is that of the first when it lands there in an empty table. */
		profile_settle(one, &bus, false);
		run.mmio.phys_addr = gpa;
		profile_exit(one, &run);
		if (profile_read(one, at, &a)) {
			profile_exit(profile, &run);
			found++;
		}
	}
	profiles_destroy(&scratch);
	in_slots(&slots);
	ck_assert_uint_eq(slots, PROFILE_PROBES);
	ck_assert_uint_eq(profile->other[PROFILE_MMIO], found + 1 - PROFILE_PROBES);
	profiles_destroy(&profiles);
}
END_TEST

START_TEST(configuration_space_is_one_address)
{
	start(false);
	mmio(false, 4, 0x100000);
	mmio(false, 4, 0x1ffffc);
	mmio(true, 4, 0x108004);
	mmio(false, 4, 0x200000);
	mmio(false, 4, 0xffffc);
	ck_assert_uint_eq(exits_of(PROFILE_MMIO, false, 4, 0x100000), 2);
	ck_assert_uint_eq(exits_of(PROFILE_MMIO, true, 4, 0x100000), 1);
	ck_assert_uint_eq(exits_of(PROFILE_MMIO, false, 4, 0x200000), 1);
	ck_assert_uint_eq(exits_of(PROFILE_MMIO, false, 4, 0xffffc), 1);
	profiles_destroy(&profiles);
}
END_TEST

static void wait_ns(uint64_t ns)
{
	for (uint64_t end = now_ns() + ns; now_ns() < end;)
		;
}

static uint64_t in_buckets(unsigned reason, unsigned from)
{
	uint64_t n = 0;

	for (unsigned i = from; i < PROFILE_BUCKETS; i++)
		n += profile->times->histogram[reason][i];
	return n;
}

START_TEST(time_is_split)
{
	uint64_t before, all;

	start(true);
	before = now_ns();
	profile_begin(profile);
	for (int i = 0; i < 3; i++) {
		profile_enter(profile);
		wait_ns(3000);
		profile_leave(profile);
		pio(true, 1, 0x3f8);
		wait_ns(5000); /* a handler */
	}
	/* Interrupted: there is nothing to handle, but perhaps to serve. */
	profile_enter(profile);
	profile_leave(profile);
	profile_interrupted(profile);
	wait_ns(1000);
	profile_enter(profile);
	profile_leave(profile);
	run.exit_reason = 1000;
	profile_exit(profile, &run);
	profile_end(profile);
	all = now_ns() - before;
	ck_assert_uint_ge(profile->times->inside_ns, 3 * 3000);
	ck_assert_uint_ge(profile->times->handler_ns[KVM_EXIT_IO], 3 * 5000);
	ck_assert_uint_ge(profile->times->handler_ns[KVM_EXIT_INTR], 1000);
	ck_assert_uint_ge(profile->times->vmm_ns, profile->times->handler_ns[KVM_EXIT_IO] +
							  profile->times->handler_ns[PROFILE_REASONS - 1] +
							  profile->times->handler_ns[KVM_EXIT_INTR]);
	ck_assert_uint_le(profile->times->inside_ns + profile->times->vmm_ns, all);
	ck_assert_uint_eq(in_buckets(KVM_EXIT_IO, 0), 3);
	ck_assert_uint_eq(in_buckets(KVM_EXIT_IO, 12), 3);
	ck_assert_uint_eq(in_buckets(KVM_EXIT_INTR, 0), 1);
	ck_assert_uint_eq(in_buckets(PROFILE_REASONS - 1, 0), 1);
	profiles_destroy(&profiles);
}
END_TEST

START_TEST(time_that_is_long_or_none)
{
	_Atomic uint64_t account = 0;

	start(true);
	profile->times->since = now_ns() - (1ULL << 40);
	profile->times->reason = KVM_EXIT_IO;
	profile_close(profile->times, &account);
	ck_assert_uint_eq(profile->times->histogram[KVM_EXIT_IO][PROFILE_BUCKETS - 1], 1);
	ck_assert_uint_ge(account, 1ULL << 40);
	ck_assert_int_eq(profile->times->reason, -1);
	profiles_destroy(&profiles);
}
END_TEST

static const json_t *one_access(
	const json_t *json, unsigned i, const char *kind, json_int_t address, json_int_t exits)
{
	const json_t *a = json_array_get(json_object_get(json, "accesses"), i);

	ck_assert_str_eq(json_string_value(json_object_get(a, "kind")), kind);
	ck_assert_int_eq(json_integer_value(json_object_get(a, "address")), address);
	ck_assert_int_eq(json_integer_value(json_object_get(a, "exits")), exits);
	return a;
}

static void is_device(const json_t *access, const char *name, json_int_t offset)
{
	ck_assert_str_eq(json_string_value(json_object_get(access, "device")), name);
	ck_assert_int_eq(json_integer_value(json_object_get(access, "offset")), offset);
}

START_TEST(json_names_devices)
{
	const json_t *a;
	json_t *json;

	start(false);
	for (int i = 0; i < 6; i++)
		mmio(false, 4, 0x2804);
	for (int i = 0; i < 5; i++)
		mmio(false, 4, 0x2004);
	for (int i = 0; i < 4; i++)
		pio(true, 1, 0x3ff);
	for (int i = 0; i < 3; i++)
		mmio(true, 2, 0x1010);
	mmio(true, 2, HOLE);
	mmio(false, 2, HOLE);
	json = profile_json(profile, &bus);
	ck_assert_uint_eq(json_array_size(json_object_get(json, "accesses")), 6);
	is_device(one_access(json, 0, "mmio", 0x2804, 6), "tenant", 4);
	is_device(one_access(json, 1, "mmio", 0x2004, 5), "shared", 4);
	is_device(one_access(json, 2, "pio", 0x3ff, 4), "serial", 7);
	a = one_access(json, 3, "mmio", 0x1010, 3);
	is_device(a, "device", 0x10);
	ck_assert_str_eq(json_string_value(json_object_get(a, "op")), "write");
	ck_assert_int_eq(json_integer_value(json_object_get(a, "size")), 2);
	a = one_access(json, 4, "mmio", HOLE, 1);
	ck_assert_str_eq(json_string_value(json_object_get(a, "op")), "read");
	ck_assert(json_is_null(json_object_get(a, "device")) && json_is_null(json_object_get(a, "offset")));
	one_access(json, 5, "mmio", HOLE, 1);
	ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(json, "other"), "mmio")), 0);
	ck_assert(json_is_null(json_object_get(json, "times")));
	json_decref(json);
	profiles_destroy(&profiles);
}
END_TEST

static json_int_t others(const json_t *json, const char *kind)
{
	return json_integer_value(json_object_get(json_object_get(json_object_get(json, "others"), "exits"), kind));
}

static json_int_t target(const json_t *json, const char *name)
{
	return json_integer_value(json_object_get(json_object_get(json, "targets"), name));
}

/* Of a full table the busiest addresses are listed, and of the others the sums: hundreds of vCPUs make a report that
 * somebody waits for. */
START_TEST(json_of_a_full_table)
{
	uint64_t all;
	unsigned slots;
	json_t *json;
	char *text;

	start(false);
	for (unsigned i = 0; i < 5000; i++)
		for (unsigned n = 0; n <= i % 3; n++)
			mmio(false, 4, HOLE + 4 * i);
	for (unsigned n = 0; n < 100; n++)
		msr(true, 0x6e0);
	msr(false, 0x10);
	all = in_slots(&slots);
	ck_assert_uint_gt(slots, PROFILE_LISTED);
	json = profile_json(profile, &bus);
	ck_assert_uint_eq(json_array_size(json_object_get(json, "accesses")), PROFILE_LISTED);
	ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(json, "others"), "addresses")),
		slots - PROFILE_LISTED);
	for (unsigned i = 0; i < PROFILE_LISTED; i++)
		all -= json_integer_value(
			json_object_get(json_array_get(json_object_get(json, "accesses"), i), "exits"));
	ck_assert_int_eq(others(json, "mmio") + others(json, "msr"), all);
	ck_assert_int_le(others(json, "msr"), 1);
	ck_assert_int_eq(others(json, "pio"), 0);
	/* By device, nothing is left out. */
	ck_assert_int_eq(target(json, "mmio nobody") + target(json, "mmio unknown"), 9999);
	ck_assert_int_gt(target(json, "mmio unknown"), 0);
	ck_assert_int_eq(target(json, "msr"), 101);
	ck_assert_uint_eq(json_object_size(json_object_get(json, "targets")), 3);
	text = json_dumps(json, JSON_COMPACT);
	ck_assert_uint_lt(strlen(text), 10000);
	free(text);
	json_decref(json);
	profiles_destroy(&profiles);
}
END_TEST

/* Memory is on the node of the thread that touches it first. */
START_TEST(pages_are_first_touched_by_the_thread_that_settles)
{
	size_t page = sysconf(_SC_PAGESIZE);
	unsigned char there[64];

	bus_freeze(&bus);
	for (int times = 0; times < 2; times++) {
		ck_assert_int_eq(profiles_create(&profiles, 3, times), 0);
		ck_assert_uint_le(profiles.stride / page, sizeof(there));
		for (unsigned i = 0; i < 3; i++) {
			char *at = (char *)profiles_at(&profiles, i);

			ck_assert_uint_eq((uintptr_t)at % page, 0);
			ck_assert_int_eq(mincore(at, profiles.stride, there), 0);
			for (unsigned n = 0; n < profiles.stride / page; n++)
				ck_assert(!(there[n] & 1));
			profile_settle(profiles_at(&profiles, i), &bus, times);
			ck_assert_int_eq(mincore(at, profiles.stride, there), 0);
			for (unsigned n = 0; n < profiles.stride / page; n++)
				ck_assert(there[n] & 1);
		}
		profiles_destroy(&profiles);
	}
}
END_TEST

START_TEST(json_of_other_kinds)
{
	json_t *json, *io;
	const json_t *a;

	start(true);
	profile->other[PROFILE_MSR] = 9;
	profile->times->inside_ns = 1ULL << 40;
	profile->times->vmm_ns = 77;
	profile->times->handler_ns[KVM_EXIT_IO] = 70;
	profile->times->histogram[KVM_EXIT_IO][0] = 1;
	profile->times->histogram[KVM_EXIT_IO][PROFILE_BUCKETS - 1] = 2;
	msr(true, 0x830);
	msr(true, 0x830);
	run.exit_reason = KVM_EXIT_HYPERCALL;
	run.hypercall.nr = 5;
	profile_exit(profile, &run);
	json = profile_json(profile, &bus);
	ck_assert_int_eq(others(json, "msr"), 0);
	a = one_access(json, 0, "msr", 0x830, 2);
	ck_assert_str_eq(json_string_value(json_object_get(a, "op")), "write");
	ck_assert_ptr_null(json_object_get(a, "device"));
	a = one_access(json, 1, "hypercall", 5, 1);
	ck_assert_ptr_null(json_object_get(a, "op"));
	ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(json, "other"), "msr")), 9);
	ck_assert_int_eq(target(json, "msr"), 11);
	ck_assert_int_eq(target(json, "hypercall"), 1);
	a = json_object_get(json, "times");
	ck_assert_int_eq(json_integer_value(json_object_get(a, "guest_and_kernel_ns")), 1LL << 40);
	ck_assert_int_eq(json_integer_value(json_object_get(a, "vmm_ns")), 77);
	ck_assert_uint_eq(json_object_size(json_object_get(a, "handlers")), 1);
	io = json_object_get(json_object_get(a, "handlers"), "io");
	ck_assert_int_eq(json_integer_value(json_object_get(io, "ns")), 70);
	io = json_object_get(io, "histogram");
	ck_assert_uint_eq(json_object_size(io), 2);
	ck_assert_int_eq(json_integer_value(json_object_get(io, "0")), 1);
	ck_assert_int_eq(json_integer_value(json_object_get(io, "2147483648")), 2);
	json_decref(json);
	profiles_destroy(&profiles);
}
END_TEST

#define ROUNDS 20000

static void *vcpu(void *arg)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		profile_enter(profile);
		profile_leave(profile);
		mmio(false, 4, HOLE + i % 100 * 4);
	}
	profile_end(profile);
	return NULL;
}

/* What is read while a vCPU counts only grows, and is all there in the end. */
START_TEST(read_while_counting)
{
	uint64_t last = 0;
	pthread_t thread;
	unsigned slots;

	start(true);
	profile_begin(profile);
	ck_assert_int_eq(pthread_create(&thread, NULL, vcpu, NULL), 0);
	while (last < ROUNDS) {
		uint64_t now = in_slots(&slots);

		ck_assert_uint_ge(now, last);
		ck_assert_uint_le(now, ROUNDS);
		last = now;
		json_decref(profile_json(profile, &bus));
	}
	pthread_join(thread, NULL);
	ck_assert_uint_eq(slots, 100);
	ck_assert_uint_eq(in_buckets(KVM_EXIT_MMIO, 0), ROUNDS);
	profiles_destroy(&profiles);
}
END_TEST

UNIT_MAIN("profile", counts_what_was_reached_for, collisions_keep_counts_apart,
	a_full_table_counts_the_rest_by_kind, a_hostile_guest_fills_only_its_probes,
	configuration_space_is_one_address, time_is_split, time_that_is_long_or_none, json_names_devices,
	json_of_a_full_table, pages_are_first_touched_by_the_thread_that_settles, json_of_other_kinds,
	read_while_counting)
