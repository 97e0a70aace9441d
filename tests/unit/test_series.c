// SPDX-License-Identifier: Apache-2.0
/* The time series of a run: a guest made by hand, and what its lines say while it counts. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "devices/virtio/virtio.h"
#include "tests/unit/unit.h"
#include "vmm/guest.h"
#include "vmm/series/series.h"

static struct virtio_queue queue;
static struct virtio_dev dev = {.name = "disk0", .nvq = 1, .queue = &queue, .errors = 3};
static struct guest_config cfg = {.cpus.count = 2};
static struct guest guest;
static struct series *series;
static char path[] = "/tmp/pinvm-series-XXXXXX";
static char older[sizeof(path) + 2];

static void begin(uint64_t interval_ns)
{
	close(mkstemp(path));
	snprintf(older, sizeof(older), "%s.1", path);
	cfg.stats = (struct series_config){path, interval_ns, SERIES_MAX_MIN};
	guest = (struct guest){.cfg = &cfg, .device = {&dev}, .ndevices = 1, .start_ns = now_ns()};
	guest.vcpu = calloc(2, sizeof(*guest.vcpu));
	ck_assert_int_eq(loop_create(&guest.loop, "emulator", IO_PLAIN, 0), 0);
	dev.loop = queue.loop = guest.loop;
	ck_assert_int_eq(series_open(&series, &guest), 0);
	ck_assert_ptr_nonnull(series);
}

static void end(void)
{
	series_close(series);
	loop_destroy(guest.loop);
	free(guest.vcpu);
	unlink(path);
	unlink(older);
}

/* All lines there are; each is one object. */
static unsigned lines(json_t **line, unsigned max)
{
	static char text[1 << 20];
	FILE *f = fopen(path, "re");
	unsigned n = 0;

	ck_assert_ptr_nonnull(f);
	while (n < max && fgets(text, sizeof(text), f)) {
		ck_assert_ptr_nonnull(strchr(text, '\n'));
		line[n] = json_loads(text, 0, NULL);
		ck_assert(json_is_object(line[n]));
		n++;
	}
	fclose(f);
	return n;
}

static json_int_t number(const json_t *json, const char *key)
{
	ck_assert(json_is_integer(json_object_get(json, key)));
	return json_integer_value(json_object_get(json, key));
}

static const json_t *element(const json_t *json, const char *key, unsigned i)
{
	return json_array_get(json_object_get(json, key), i);
}

START_TEST(totals_of_each_moment)
{
	json_t *line[4];
	const json_t *q;

	begin(3600000000000ULL);
	ck_assert_int_eq(series_begin(series), 0);
	guest.vcpu[1].user_exits = 1ULL << 40;
	guest.vcpu[1].exits[KVM_EXIT_IO] = 7;
	queue.vq.stats.pops = 9;
	queue.vq.stats.from_guest = 512;
	guest.restarts = 2;
	series_end(series);
	ck_assert_uint_eq(lines(line, 4), 2);
	ck_assert_int_eq(number(element(line[0], "vcpus", 1), "user_exits"), 0);
	ck_assert_int_eq(number(element(line[1], "vcpus", 1), "user_exits"), 1LL << 40);
	ck_assert_int_eq(number(element(line[1], "vcpus", 0), "user_exits"), 0);
	ck_assert_int_eq(number(json_object_get(element(line[1], "vcpus", 1), "exits_by_kvm_reason"), "io"), 7);
	ck_assert(json_is_null(json_object_get(element(line[1], "vcpus", 1), "cpu_ns")));
	ck_assert(json_is_null(json_object_get(line[1], "kvm_stats")));
	ck_assert_int_eq(number(element(line[1], "devices", 0), "errors"), 3);
	q = element(element(line[1], "devices", 0), "queues", 0);
	ck_assert_int_eq(number(q, "requests"), 9);
	ck_assert_int_eq(number(json_object_get(q, "bytes"), "from_guest"), 512);
	ck_assert_int_eq(number(line[1], "restarts"), 2);
	ck_assert_int_eq(number(line[1], "lost"), 0);
	for (unsigned i = 0; i < 2; i++)
		json_decref(line[i]);
	end();
}
END_TEST

START_TEST(a_line_each_interval)
{
	enum { WANTED = 5 };
	json_t *line[100];
	unsigned n;

	begin(20000000);
	ck_assert_int_eq(series_begin(series), 0);
	do {
		ck_assert_int_ge(loop_step(guest.loop, false), 0);
		guest.vcpu[0].user_exits++;
		n = lines(line, 100);
		for (unsigned i = 0; n < WANTED && i < n; i++)
			json_decref(line[i]);
	} while (n < WANTED);
	for (unsigned i = 1; i < n; i++) {
		ck_assert_double_ge(json_real_value(json_object_get(line[i], "duration_s")),
			json_real_value(json_object_get(line[i - 1], "duration_s")));
		ck_assert_int_ge(number(element(line[i], "vcpus", 0), "user_exits"),
			number(element(line[i - 1], "vcpus", 0), "user_exits"));
	}
	/* The first is of the start; no other comes before its time. */
	ck_assert_double_ge(json_real_value(json_object_get(line[n - 1], "duration_s")), (n - 1) * 0.02);
	for (unsigned i = 0; i < n; i++)
		json_decref(line[i]);
	end();
}
END_TEST

START_TEST(nobody_asked)
{
	cfg.stats.path = NULL;
	guest.cfg = &cfg;
	ck_assert_int_eq(series_open(&series, &guest), 0);
	ck_assert_ptr_null(series);
	ck_assert_int_eq(series_begin(NULL), 0);
	series_end(NULL);
	series_close(NULL);
}
END_TEST

/* What was there before stays until the guest begins: it may be refused. */
START_TEST(a_guest_that_is_refused)
{
	json_t *line[2];
	FILE *f;

	begin(1000000000);
	f = fopen(path, "we");
	fputs("{}\n", f);
	fclose(f);
	series_close(series);
	series = NULL;
	ck_assert_uint_eq(lines(line, 2), 1);
	json_decref(line[0]);
	end();
}
END_TEST

UNIT_MAIN("series", totals_of_each_moment, a_line_each_interval, nobody_asked, a_guest_that_is_refused)
