// SPDX-License-Identifier: Apache-2.0
/* KVM's statistics from files made here, odd, short and lying ones among them; and from a real KVM where
 * there is one. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/unit/unit.h"
#include "vmm/profile/kvmstats.h"
#include "vmm/vcpu.h"

#define NAME_SIZE 21 /* so that descriptors are not whole words long */
#define VALUES	  32
#define DESC_SIZE (sizeof(struct desc) + NAME_SIZE)

/* struct kvm_stats_desc without its name of no size, which not every compiler takes inside another struct. */
struct desc {
	uint32_t flags;
	int16_t exponent;
	uint16_t size;
	uint32_t offset, bucket_size;
};

/* A statistics file as a kernel would show it, with room for a test's own mistakes. */
struct fake {
	struct kvm_stats_header head;
	struct {
		struct desc desc;
		char name[NAME_SIZE];
	} stat[8];
	uint64_t value[VALUES];
};

enum { EXITS, WAITING, DEEPEST, LINEAR, LOG, ALIEN, POW2, NSTATS };

_Static_assert(sizeof(struct desc) == sizeof(struct kvm_stats_desc), "the kernel's");

static struct fake sound(void)
{
	static const struct {
		uint32_t flags;
		int16_t exponent;
		uint16_t size;
		uint32_t first, bucket;
		const char *name;
	} rows[NSTATS] = {
		[EXITS] = {KVM_STATS_TYPE_CUMULATIVE, 0, 1, 3, 0, "exits"},
		[WAITING] = {KVM_STATS_TYPE_INSTANT | KVM_STATS_UNIT_BOOLEAN, 0, 1, 0, 0, "waiting"},
		[DEEPEST] = {KVM_STATS_TYPE_PEAK | KVM_STATS_UNIT_CYCLES, 0, 1, 1, 0, "deepest"},
		[LINEAR] = {KVM_STATS_TYPE_LINEAR_HIST | KVM_STATS_UNIT_BYTES, 0, 3, 4, 100, "sizes_hist"},
		[LOG] = {KVM_STATS_TYPE_LOG_HIST | KVM_STATS_UNIT_SECONDS, -9, 4, 8, 0, "halt_wait_hist"},
		[ALIEN] = {KVM_STATS_TYPE_MAX + 1, 0, 1, 20, 0, "of_a_later_kernel"},
		/* A unit nobody knows, two values, and the longest name there is room for. */
		[POW2] = {KVM_STATS_UNIT_MASK | KVM_STATS_BASE_POW2, 20, 2, 30, 0, "a_name_as_long_as_it"},
	};
	struct fake fake = {
		.head = {.name_size = NAME_SIZE, .num_desc = NSTATS, .id_offset = 30, .desc_offset = 77}};

	fake.head.data_offset = 77 + NSTATS * DESC_SIZE + 5;
	for (unsigned i = 0; i < NSTATS; i++) {
		fake.stat[i].desc.flags = rows[i].flags;
		fake.stat[i].desc.exponent = rows[i].exponent;
		fake.stat[i].desc.size = rows[i].size;
		fake.stat[i].desc.offset = rows[i].first * sizeof(uint64_t);
		fake.stat[i].desc.bucket_size = rows[i].bucket;
		snprintf(fake.stat[i].name, NAME_SIZE, "%s", rows[i].name);
	}
	for (unsigned i = 0; i < VALUES; i++)
		fake.value[i] = 1000 + i;
	return fake;
}

static void put(int fd, const void *data, size_t size, off_t at)
{
	ck_assert_int_eq(pwrite(fd, data, size, at), size);
}

/* Values are written where a sound file has them. */
static void put_values(int fd, const struct fake *fake)
{
	struct fake plain = sound();

	put(fd, fake->value, sizeof(fake->value), plain.head.data_offset);
}

static int file_of(const struct fake *fake)
{
	int fd = memfd_create("stats", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	put(fd, &fake->head, sizeof(fake->head), 0);
	for (unsigned i = 0; i < NSTATS; i++) {
		put(fd, &fake->stat[i].desc, sizeof(struct desc), 77 + i * DESC_SIZE);
		put(fd, fake->stat[i].name, NAME_SIZE, 77 + i * DESC_SIZE + sizeof(struct desc));
	}
	put_values(fd, fake);
	return fd;
}

/* A guest with one vCPU whose two files are of this content. */
static struct kvmstats *stats_of(const struct fake *fake)
{
	struct kvmstats *stats;

	ck_assert_int_eq(kvmstats_create(&stats, 1), 0);
	stats->file[KVMSTATS_VM].fd = file_of(fake);
	stats->file[KVMSTATS_VCPU].fd = file_of(fake);
	return stats;
}

static uint64_t total(struct kvmstats *stats, const char *name, unsigned i)
{
	const struct kvmstat *stat = kvmstats_find(stats->schema[KVMSTATS_VCPU], name);

	ck_assert_ptr_nonnull(stat);
	ck_assert_uint_lt(i, stat->size);
	return kvmstats_total(stats, KVMSTATS_VCPU, stat, i);
}

START_TEST(what_a_file_says)
{
	struct fake fake = sound();
	int fd = file_of(&fake);
	struct kvmstats_schema *schema;
	const struct kvmstat *stat;

	ck_assert_int_eq(kvmstats_schema_read(&schema, fd), 0);
	ck_assert_uint_eq(schema->n, NSTATS - 1);
	ck_assert_uint_eq(schema->values, VALUES);
	ck_assert_uint_eq(schema->data_offset, fake.head.data_offset);
	ck_assert_ptr_null(kvmstats_find(schema, "of_a_later_kernel"));
	ck_assert_ptr_null(kvmstats_find(schema, "exit"));
	stat = kvmstats_find(schema, "exits");
	ck_assert(stat->type == KVM_STATS_TYPE_CUMULATIVE && stat->unit == KVM_STATS_UNIT_NONE &&
		  stat->first == 3);
	stat = kvmstats_find(schema, "sizes_hist");
	ck_assert(stat->type == KVM_STATS_TYPE_LINEAR_HIST && stat->bucket_size == 100 && stat->size == 3);
	ck_assert(stat->unit == KVM_STATS_UNIT_BYTES);
	stat = kvmstats_find(schema, "halt_wait_hist");
	ck_assert(stat->type == KVM_STATS_TYPE_LOG_HIST && stat->base == 10 && stat->exponent == -9 &&
		  stat->size == 4);
	stat = kvmstats_find(schema, "a_name_as_long_as_it");
	ck_assert(stat->base == 2 && stat->exponent == 20 && stat->unit == KVM_STATS_UNIT_NONE &&
		  stat->first == 30);
	kvmstats_schema_free(schema);
	close(fd);
}
END_TEST

START_TEST(a_file_with_nothing)
{
	struct fake fake = sound();
	struct kvmstats *stats;

	fake.head.num_desc = 0;
	stats = stats_of(&fake);
	ck_assert_int_eq(kvmstats_read(stats, KVMSTATS_VCPU), 0);
	ck_assert_uint_eq(stats->schema[KVMSTATS_VCPU]->n, 0);
	kvmstats_destroy(stats);
}
END_TEST

/* One mistake each. */
#define LIES(X)                                                   \
	X(head.name_size = 0)                                     \
	X(head.name_size = 1u << 20)                              \
	X(head.name_size = UINT32_MAX)                            \
	X(head.name_size = NAME_SIZE - 1)                         \
	X(head.num_desc = UINT32_MAX)                             \
	X(head.num_desc = 5000)                                   \
	X(head.num_desc = NSTATS + 1)                             \
	X(head.desc_offset = 0)                                   \
	X(head.desc_offset = sizeof(struct kvm_stats_header) - 1) \
	X(head.desc_offset = UINT32_MAX)                          \
	X(head.data_offset = 8)                                   \
	X(stat[LOG].name[0] = '\0')                               \
	X(stat[LOG].name[3] = '\n')                               \
	X(stat[LOG].name[3] = ' ')                                \
	X(stat[LOG].name[3] = '\xe9')                             \
	X(stat[POW2].name[NAME_SIZE - 1] = 'x')                   \
	X(stat[ALIEN].name[0] = '\0')                             \
	X(stat[EXITS].desc.size = 0)                              \
	X(stat[EXITS].desc.offset = 4)                            \
	X(stat[EXITS].desc.offset = 1u << 20)                     \
	X(stat[EXITS].desc.offset = UINT32_MAX - 7)               \
	X(stat[LOG].desc.offset = (1u << 20) - 24)                \
	X(stat[LOG].desc.exponent = INT16_MIN)                    \
	X(stat[LOG].desc.exponent = 65)                           \
	X(stat[LINEAR].desc.bucket_size = 0)

START_TEST(lies)
{
	unsigned n = 0;

#define ATTEMPT(lie)                                                          \
	{                                                                     \
		struct fake fake = sound();                                   \
		struct kvmstats_schema *schema = (struct kvmstats_schema *)1; \
		int fd, err;                                                  \
                                                                              \
		fake.lie;                                                     \
		fd = file_of(&fake);                                          \
		err = kvmstats_schema_read(&schema, fd);                      \
		ck_assert_msg(err == -EPROTO, "%s: %d", #lie, err);           \
		ck_assert_ptr_null(schema);                                   \
		close(fd);                                                    \
		n++;                                                          \
	}
	LIES(ATTEMPT)
	ck_assert_uint_eq(n, 25);
}
END_TEST

/* Nor may values be read that are not there. */
START_TEST(values_beyond_the_end)
{
	struct fake fake = sound();
	struct kvmstats *stats;
	json_t *json;

	fake.stat[LOG].desc.size = VALUES - 8 + 1;
	stats = stats_of(&fake);
	ck_assert_int_eq(kvmstats_read(stats, KVMSTATS_VCPU), -EPROTO);
	ck_assert_ptr_nonnull(strstr(stats->why, strerror(EPROTO)));
	json = kvmstats_json(stats, KVMSTATS_VCPU);
	ck_assert(json_is_null(json));
	json_decref(json);
	kvmstats_destroy(stats);
	fake = sound();
	fake.head.data_offset = UINT32_MAX;
	stats = stats_of(&fake);
	ck_assert_int_eq(kvmstats_read(stats, KVMSTATS_VCPU), -EPROTO);
	kvmstats_destroy(stats);
}
END_TEST

START_TEST(every_short_file)
{
	struct fake fake = sound();
	off_t size = fake.head.data_offset + VALUES * sizeof(uint64_t);

	for (off_t len = size; len >= 0; len--) {
		struct kvmstats *stats = stats_of(&fake);
		int err;

		ck_assert_int_eq(ftruncate(stats->file[KVMSTATS_VCPU].fd, len), 0);
		err = kvmstats_read(stats, KVMSTATS_VCPU);
		ck_assert_msg(
			err == (len == size ? 0 : -EPROTO), "%d of %d bytes: %d", (int)len, (int)size, err);
		kvmstats_destroy(stats);
	}
}
END_TEST

START_TEST(values_are_read_anew)
{
	struct fake fake = sound();
	struct kvmstats *stats = stats_of(&fake);

	ck_assert_int_eq(kvmstats_read(stats, KVMSTATS_VCPU), 0);
	ck_assert_uint_eq(total(stats, "exits", 0), 1003);
	ck_assert_uint_eq(total(stats, "halt_wait_hist", 3), 1011);
	ck_assert_uint_eq(total(stats, "a_name_as_long_as_it", 1), 1031);
	fake.value[3] = 7;
	put_values(stats->file[KVMSTATS_VCPU].fd, &fake);
	ck_assert_int_eq(kvmstats_read(stats, KVMSTATS_VCPU), 0);
	ck_assert_uint_eq(total(stats, "exits", 0), 7);
	/* What was read before a read that fails is not taken for news. */
	ck_assert_int_eq(ftruncate(stats->file[KVMSTATS_VCPU].fd, fake.head.data_offset), 0);
	ck_assert_int_eq(kvmstats_read(stats, KVMSTATS_VCPU), -EPROTO);
	ck_assert_uint_eq(total(stats, "exits", 0), 0);
	kvmstats_destroy(stats);
}
END_TEST

/* Counters and histograms add up, peaks stay, and what is at a moment is the new VM's. */
START_TEST(totals_over_vms)
{
	struct fake fake = sound();
	struct kvmstats *stats = stats_of(&fake);

	for (unsigned vm = 2; vm <= 3; vm++) {
		kvmstats_keep(stats);
		kvmstats_close(stats);
		ck_assert_int_eq(stats->file[KVMSTATS_VCPU].fd, -1);
		/* Between two VMs: what there was. */
		ck_assert_int_eq(kvmstats_read(stats, KVMSTATS_VCPU), 0);
		ck_assert_uint_eq(total(stats, "exits", 0), vm == 2 ? 1003 : 1010);
		fake = sound();
		fake.value[0] = vm;
		fake.value[1] = vm == 2 ? 5 : 2000;
		fake.value[3] = 7;
		fake.value[11] = 1;
		stats->file[KVMSTATS_VM].fd = file_of(&fake);
		stats->file[KVMSTATS_VCPU].fd = file_of(&fake);
		ck_assert_int_eq(kvmstats_read(stats, KVMSTATS_VCPU), 0);
		ck_assert_uint_eq(total(stats, "exits", 0), 1003 + (vm - 1) * 7);
		ck_assert_uint_eq(total(stats, "waiting", 0), vm);
		ck_assert_uint_eq(total(stats, "deepest", 0), vm == 2 ? 1001 : 2000);
		ck_assert_uint_eq(total(stats, "sizes_hist", 2), vm * 1006);
		ck_assert_uint_eq(total(stats, "halt_wait_hist", 3), 1011 + vm - 1);
	}
	kvmstats_destroy(stats);
}
END_TEST

static json_int_t number(const json_t *json, const char *key, int i)
{
	const json_t *value = json_object_get(json, key);

	if (i >= 0)
		value = json_array_get(value, i);
	ck_assert_msg(json_is_integer(value), "%s", key);
	return json_integer_value(value);
}

START_TEST(as_json)
{
	struct fake fake = sound();
	struct kvmstats *stats;
	json_t *json, *kinds;

	fake.value[3] = UINT64_MAX;
	stats = stats_of(&fake);
	json = kvmstats_json(stats, KVMSTATS_VCPU);
	ck_assert_uint_eq(json_object_size(json), NSTATS - 1);
	ck_assert_int_eq(number(json, "exits", -1), INT64_MAX);
	ck_assert_int_eq(number(json, "waiting", -1), 1000);
	ck_assert_uint_eq(json_array_size(json_object_get(json, "halt_wait_hist")), 4);
	ck_assert_int_eq(number(json, "halt_wait_hist", 3), 1011);
	ck_assert_int_eq(number(json, "sizes_hist", 0), 1004);
	ck_assert_int_eq(number(json, "a_name_as_long_as_it", 1), 1031);
	kinds = kvmstats_kinds_json(stats);
	ck_assert_ptr_null(json_object_get(kinds, "exits")); /* a plain count */
	ck_assert_uint_eq(json_object_size(kinds), NSTATS - 2);
	ck_assert_int_eq(number(json_object_get(kinds, "halt_wait_hist"), "exponent", -1), -9);
	ck_assert_int_eq(number(json_object_get(kinds, "a_name_as_long_as_it"), "base", -1), 2);
	ck_assert_int_eq(number(json_object_get(kinds, "sizes_hist"), "bucket_size", -1), 100);
	ck_assert_str_eq(json_string_value(json_object_get(json_object_get(kinds, "sizes_hist"), "type")),
		"linear_hist");
	ck_assert_str_eq(
		json_string_value(json_object_get(json_object_get(kinds, "waiting"), "unit")), "boolean");
	json_decref(json);
	json_decref(kinds);
	json = kvmstats_why_json(stats);
	ck_assert(json_is_null(json));
	json_decref(json);
	kvmstats_destroy(stats);
	json = kvmstats_json(NULL, KVMSTATS_VM);
	ck_assert(json_is_null(json));
	json_decref(json);
}
END_TEST

/* A KVM that does not know the ioctl: a file that is none of KVM's answers as such a one does. */
START_TEST(a_kernel_without)
{
	struct vcpu vcpu = {.fd = memfd_create("vcpu", MFD_CLOEXEC)};
	int vm = memfd_create("vm", MFD_CLOEXEC);
	struct kvmstats *stats;
	json_t *json;

	ck_assert_int_eq(kvmstats_create(&stats, 1), 0);
	kvmstats_open(stats, vm, &vcpu);
	ck_assert_int_eq(kvmstats_read(stats, KVMSTATS_VM), -ENOENT);
	ck_assert_int_eq(kvmstats_read(stats, KVMSTATS_VCPU), -ENOENT);
	kvmstats_keep(stats);
	json = kvmstats_why_json(stats);
	ck_assert_ptr_nonnull(strstr(json_string_value(json), "KVM_CAP_BINARY_STATS_FD"));
	json_decref(json);
	kvmstats_destroy(stats);
	close(vm);
	close(vcpu.fd);
}
END_TEST

/* A VM with vCPUs and no memory. False after a line that says why not. */
static bool real_vm(int *vm, struct vcpu *vcpu, unsigned n)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (kvm < 0 || ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_BINARY_STATS_FD) <= 0) {
		fprintf(stderr, "skip: /dev/kvm: %s\n",
			kvm < 0 ? strerror(errno) : "no KVM_CAP_BINARY_STATS_FD");
		return false;
	}
	*vm = ioctl(kvm, KVM_CREATE_VM, 0);
	ck_assert_int_ge(*vm, 0);
	for (unsigned i = 0; i < n; i++) {
		vcpu[i].fd = ioctl(*vm, KVM_CREATE_VCPU, i);
		ck_assert_int_ge(vcpu[i].fd, 0);
	}
	close(kvm);
	return true;
}

START_TEST(a_real_kernel)
{
	struct vcpu vcpu[2] = {0};
	struct kvmstats *stats;
	int vm, fd;

	if (!real_vm(&vm, vcpu, 2))
		return;
	ck_assert_int_eq(kvmstats_create(&stats, 2), 0);
	kvmstats_open(stats, vm, vcpu);
	for (unsigned i = KVMSTATS_VM; i <= KVMSTATS_VCPU + 1; i++) {
		ck_assert_int_eq(kvmstats_read(stats, i), 0);
		ck_assert_int_eq(fcntl(stats->file[i].fd, F_GETFD), FD_CLOEXEC);
	}
	ck_assert_uint_gt(stats->schema[KVMSTATS_VM]->n, 0);
	ck_assert_uint_eq(total(stats, "exits", 0), 0);
	ck_assert_uint_gt(kvmstats_find(stats->schema[KVMSTATS_VCPU], "halt_wait_hist")->size, 1);
	ck_assert_str_eq(stats->why, "");
	fd = stats->file[KVMSTATS_VCPU].fd;
	kvmstats_destroy(stats);
	ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
}
END_TEST

/* Files of vCPUs leave room for others: a limit that may be raised is, with another there are no statistics.
 */
START_TEST(few_open_files)
{
	struct vcpu vcpu[40] = {0};
	struct rlimit limit = {.rlim_cur = 120, .rlim_max = 1000};
	struct kvmstats *stats;
	int vm;

	if (!real_vm(&vm, vcpu, 40))
		return;
	ck_assert_int_eq(kvmstats_create(&stats, 40), 0);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	kvmstats_open(stats, vm, vcpu);
	ck_assert_int_eq(kvmstats_read(stats, KVMSTATS_VCPU + 39), 0);
	getrlimit(RLIMIT_NOFILE, &limit);
	ck_assert_uint_gt(limit.rlim_cur, 160);
	kvmstats_close(stats);
	limit.rlim_cur = limit.rlim_max = 120;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	kvmstats_open(stats, vm, vcpu);
	for (unsigned i = 0; i < KVMSTATS_VCPU + 40; i++)
		ck_assert_int_eq(stats->file[i].fd, -1);
	ck_assert_ptr_nonnull(strstr(stats->why, "limit of 120 open files"));
	kvmstats_destroy(stats);
}
END_TEST

UNIT_MAIN("kvmstats", what_a_file_says, a_file_with_nothing, lies, values_beyond_the_end, every_short_file,
	values_are_read_anew, totals_over_vms, as_json, a_kernel_without, a_real_kernel, few_open_files)
