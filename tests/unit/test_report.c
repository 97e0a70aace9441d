// SPDX-License-Identifier: Apache-2.0
/* The report of a run: the figures of a guest made by hand, read back from the file. */
#include <fcntl.h>
#include <jansson.h>
#include <unistd.h>

#include "arch/arch.h"
#include "devices/virtio/devs.h"
#include "tests/unit/unit.h"
#include "vmm/console/console.h"
#include "vmm/guest.h"
#include "vmm/report/report.h"

static char console; /* only its address counts */

uint64_t console_drops(const struct console *con)
{
	ck_assert_ptr_eq(con, &console);
	return 4711;
}

const char *arch_boot_protocol(const struct arch_boot *boot)
{
	return "none";
}

static struct irqchip_words words = {.controller = "chip"};

struct irqchip_words arch_irqchip(const struct vm *vm)
{
	return words;
}

/* A report about the guest, or (NULL) about one that never was. */
static json_t *report_about(struct guest *guest, int status, const char *cause)
{
	char path[] = "/tmp/pinvm-report-XXXXXX";
	struct disk_config disk = {.path = (char *)"caf\xe9.img"};
	struct guest_config cfg = {.name = "test", .report = path, .disks = &disk, .ndisks = 1};
	json_t *json;
	struct report *report;
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(report_open(&report, &cfg), 0);
	if (guest) {
		guest->cfg = &cfg; /* cppcheck-suppress autoVariables ; the guest is the caller's and done with here */
		report_guest(report, guest);
	}
	ck_assert_int_eq(report_close(report, status, cause), 0);
	json = json_loadfd(fd, 0, NULL);
	ck_assert_ptr_nonnull(json);
	unlink(path);
	close(fd);
	return json;
}

static const char *text(const json_t *json, const char *key)
{
	return json_string_value(json_object_get(json, key));
}

static json_int_t number(const json_t *json, const char *key)
{
	ck_assert(json_is_integer(json_object_get(json, key)));
	return json_integer_value(json_object_get(json, key));
}

START_TEST(devices_and_serial)
{
	static const struct virtio_ops ops = {.id = VIRTIO_ID_BLK};
	struct virtio_queue queue = {.kicks = 5, .signals = 6};
	struct virtio_times times = {.sum = 11};
	struct virtio_dev dev = {.ops = &ops, .name = "disk0", .nvq = 1, .queue = &queue, .errors = 3};
	struct guest guest = {
		.console = (struct console *)&console, .device = {&dev}, .ndevices = 1, .restarts = 2};
	json_t *json, *device, *q;

	ck_assert_int_eq(loop_create(&dev.loop, "io:a", IO_PLAIN, 0), 0);
	queue.loop = dev.loop;
	queue.vq.stats.pops = 1ULL << 40;
	queue.vq.stats.pushes = 7;
	queue.vq.stats.batches = 8;
	queue.vq.stats.to_guest = 1ULL << 41;
	queue.vq.stats.from_guest = 9;
	json = report_about(&guest, 0, "guest powered off");
	ck_assert_str_eq(text(json, "name"), "test");
	ck_assert_int_eq(number(json, "pid"), getpid());
	ck_assert_int_eq(number(json, "restarts"), 2);
	ck_assert_str_eq(text(json_object_get(json, "irqchip"), "controller"), "chip");
	ck_assert(json_is_null(json_object_get(json_object_get(json, "irqchip"), "msi")));
	ck_assert_int_eq(number(json_object_get(json, "serial"), "dropped"), 4711);
	ck_assert_uint_eq(json_array_size(json_object_get(json, "devices")), 1);
	device = json_array_get(json_object_get(json, "devices"), 0);
	ck_assert_str_eq(text(device, "name"), "disk0");
	ck_assert_int_eq(number(device, "virtio_id"), VIRTIO_ID_BLK);
	ck_assert_str_eq(text(device, "io_engine"), "plain");
	ck_assert_int_eq(number(device, "errors"), 3);
	q = json_array_get(json_object_get(device, "queues"), 0);
	ck_assert_str_eq(text(q, "iothread"), "io:a");
	ck_assert_int_eq(number(q, "requests"), 1LL << 40);
	ck_assert_int_eq(number(q, "completions"), 7);
	ck_assert_int_eq(number(q, "kicks"), 5);
	ck_assert_int_eq(number(q, "interrupts"), 6);
	ck_assert_int_eq(number(q, "batches"), 8);
	ck_assert_int_eq(number(json_object_get(q, "bytes"), "to_guest"), 1LL << 41);
	ck_assert_int_eq(number(json_object_get(q, "bytes"), "from_guest"), 9);
	ck_assert(json_is_null(json_object_get(q, "latency_ns")));
	json_decref(json);
	queue.times = &times;
	times.histogram[3] = 10;
	times.histogram[VIRTIO_BUCKETS - 1] = 1ULL << 40;
	json = report_about(&guest, 0, "guest powered off");
	q = json_array_get(json_object_get(json_array_get(json_object_get(json, "devices"), 0), "queues"), 0);
	q = json_object_get(q, "latency_ns");
	ck_assert_int_eq(number(q, "sum"), 11);
	q = json_object_get(q, "histogram");
	ck_assert_uint_eq(json_array_size(q), VIRTIO_BUCKETS);
	ck_assert_int_eq(json_integer_value(json_array_get(q, 0)), 0);
	ck_assert_int_eq(json_integer_value(json_array_get(q, 3)), 10);
	ck_assert_int_eq(json_integer_value(json_array_get(q, VIRTIO_BUCKETS - 1)), 1LL << 40);
	json_decref(json);
	loop_destroy(dev.loop);
}
END_TEST

/* What a device is the guest's end of: a file, or a tap, here one whose interface nobody finds. */
START_TEST(ends_of_devices)
{
	static const struct virtio_ops blk = {.id = VIRTIO_ID_BLK}, net = {.id = VIRTIO_ID_NET};
	static char disk; /* only its address counts */
	struct virtio_dev dev[2] = {{.ops = &blk, .name = "disk0"},
		{.ops = &net, .name = "net0", .config = {2, 0, 0, 0xab, 0, 1}}};
	struct tap tap = {.mtu = 9000, .pairs = 2, .private = {.view = {.name = "tap7", .link = TAP_DOWN}}};
	struct guest guest = {.console = (struct console *)&console, .device = {&dev[0], &dev[1]}, .ndevices = 2,
		.disk = {(struct disk *)&disk}, .tap = {NULL, &tap}};
	json_t *json, *device;

	ck_assert_int_eq(loop_create(&dev[0].loop, "io:a", IO_PLAIN, 0), 0);
	dev[1].loop = dev[0].loop;
	json = report_about(&guest, 0, "guest powered off");
	device = json_array_get(json_object_get(json, "devices"), 0);
	ck_assert_str_eq(text(device, "path"), "caf?.img");
	ck_assert_ptr_null(json_object_get(device, "tap"));
	device = json_array_get(json_object_get(json, "devices"), 1);
	ck_assert_ptr_null(json_object_get(device, "path"));
	ck_assert_str_eq(text(device, "tap"), "tap7");
	ck_assert_str_eq(text(device, "mac"), "02:00:00:ab:00:01");
	ck_assert_int_eq(number(device, "mtu"), 9000);
	ck_assert_int_eq(number(device, "pairs"), 2);
	ck_assert_str_eq(text(device, "link"), "down");
	ck_assert(json_is_null(json_object_get(device, "from_guest")));
	ck_assert(json_is_null(json_object_get(device, "to_guest")));
	json_decref(json);
	loop_destroy(dev[0].loop);
}
END_TEST

START_TEST(a_guest_that_never_was)
{
	json_t *json = report_about(NULL, END_SETUP, "--disk caf\xe9: no such file");
	const json_t *end = json_object_get(json, "exit");

	ck_assert_int_eq(number(end, "status"), END_SETUP);
	ck_assert_str_eq(text(end, "cause"), "--disk caf?: no such file");
	ck_assert_ptr_null(json_object_get(json, "devices"));
	json_decref(json);
}
END_TEST

UNIT_MAIN("report", devices_and_serial, ends_of_devices, a_guest_that_never_was)
