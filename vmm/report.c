// SPDX-License-Identifier: Apache-2.0
/* The report; see report.h. Names in it are a promise to scripts: add, do not rename. */
#include "vmm/report.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "arch/arch.h"
#include "devices/virtio/devs.h"
#include "version.h"
#include "vmm/console/console.h"
#include "vmm/guest.h"
#include "vmm/log.h"
#include "vmm/profile/kvmstats.h"
#include "vmm/profile/profile.h"
#include "vmm/util.h"

struct report {
	int fd;
	uint64_t start_ns;
	const struct guest_config *cfg;
	json_t *root;
};

/* Text that may hold a file's name, which need not be UTF-8 as JSON must. */
static json_t *text_json(const char *text)
{
	json_t *json = json_string(text);
	char ascii[512];
	size_t n = 0;

	if (json)
		return json;
	for (; n < sizeof(ascii) - 1 && text[n]; n++)
		ascii[n] = (unsigned char)text[n] < 0x80 ? text[n] : '?';
	return json_stringn(ascii, n);
}

/* A number in a small file of /sys, null where there is none. */
static json_t *file_number(const char *path)
{
	FILE *f = fopen(path, "re");
	long long value;
	bool ok;

	if (!f)
		return json_null();
	ok = fscanf(f, "%lld", &value) == 1;
	fclose(f);
	return ok ? json_integer(value) : json_null();
}

static json_t *cpulist_json(const cpu_set_t *set)
{
	char text[512];

	place_format_cpus(set, text, sizeof(text));
	return json_string(text);
}

static json_t *sched_json(const struct place_sched *sched)
{
	char text[96];

	place_format_sched(sched, text, sizeof(text));
	return json_string(text);
}

/* What was asked for (null: nothing) and what the kernel answered at the end (null: there was no such task yet). */
static json_t *placement_json(const struct placement *p)
{
	bool none = p->by_kernel && !p->tasks;
	json_t *wanted = p->pinned ? cpulist_json(&p->cpus) : json_null();
	json_t *policy = p->sched_given ? sched_json(&p->sched) : json_null();

	return json_pack("{s:o, s:o, s:o, s:o}", "wanted", wanted, "actual", none ? json_null() : cpulist_json(&p->actual_cpus),
		"wanted_policy", policy, "actual_policy", none ? json_null() : sched_json(&p->actual_sched));
}

static json_t *thread_json(const struct placement *row)
{
	json_t *thread = json_pack("{s:s, s:o}", "name", row->name, "placement", placement_json(row));

	if (row->by_kernel)
		json_object_set_new(thread, "tasks", json_integer(row->tasks));
	if (row->role == PLACE_STRAY)
		json_object_set_new(thread, "unplanned", json_true());
	return thread;
}

/* Threads that run no guest. */
static json_t *threads_json(const struct guest *guest)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < guest->place.n; i++)
		if (guest->place.row[i].role != PLACE_VCPU)
			json_array_append_new(list, thread_json(&guest->place.row[i]));
	return list;
}

static json_t *host_json(void)
{
	struct utsname u;

	cpu_set_t allowed;

	CPU_ZERO(&allowed);
	sched_getaffinity(0, sizeof(allowed), &allowed);
	if (uname(&u) < 0)
		memset(&u, 0, sizeof(u));
	return json_pack("{s:s, s:s, s:i, s:o}", "kernel", u.release, "machine", u.machine, "cpus_online",
		(int)sysconf(_SC_NPROCESSORS_ONLN), "cpus_allowed", cpulist_json(&allowed));
}

int report_open(struct report **out, const struct guest_config *cfg)
{
	struct report *report;

	*out = NULL;
	if (!cfg->report)
		return 0;
	report = calloc(1, sizeof(*report));
	if (!report)
		return log_errno(-ENOMEM, "--report %s", cfg->report);
	report->cfg = cfg;
	report->start_ns = now_ns();
	/* O_NONBLOCK: a FIFO that nobody reads is refused now; at the end its reader may take its time. */
	report->fd = open(cfg->report, O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK | O_CLOEXEC, 0600);
	if (report->fd < 0) {
		int err = log_errno(-errno, "--report %s", cfg->report);

		free(report);
		return err;
	}
	fcntl(report->fd, F_SETFL, O_WRONLY);
	report->root = json_pack("{s:s, s:s, s:o}", "name", cfg->name, "version", PINVM_VERSION, "host", host_json());
	*out = report;
	return 0;
}

static json_t *irqchip_json(const struct vm *vm)
{
	struct irqchip_words words = arch_irqchip(vm);

	return json_pack("{s:s, s:s?}", "controller", words.controller, "msi", words.msi);
}

static json_t *vcpus_json(const struct guest *guest)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < guest->cfg->cpus.count; i++) {
		const struct vcpu *vcpu = &guest->vcpu[i];
		json_t *reasons = json_object();

		for (unsigned r = 0; r < VCPU_EXIT_REASONS; r++) {
			const char *name = vcpu_exit_name(r);
			char number[16];

			snprintf(number, sizeof(number), "%u", r);
			if (vcpu->exits[r])
				json_object_set_new(reasons, name ? name : number, json_integer(vcpu->exits[r]));
		}
		json_array_append_new(list, json_pack("{s:i, s:I, s:o, s:o}", "index", i, "user_exits",
						    (json_int_t)vcpu->user_exits, "exits_by_kvm_reason", reasons, "placement",
						    placement_json(vcpu->thread.place)));
		json_object_set_new(json_array_get(list, i), "kvm_stats", kvmstats_json(guest->kvmstats, KVMSTATS_VCPU + i));
		json_object_set_new(json_array_get(list, i), "profile", profile_json(vcpu->profile, &guest->bus));
	}
	return list;
}

static json_t *policy_json(enum mem_policy policy, const node_set *nodes)
{
	char text[256];

	mem_format_policy(policy, nodes, text, sizeof(text));
	return json_string(text);
}

/* Bytes on each node, by its number; empty where the kernel did not tell. */
static json_t *on_nodes_json(const struct mem_block *b)
{
	json_t *nodes = json_object();
	char number[16];

	for (unsigned i = 0; i < MEM_HOST_NODES; i++) {
		if (!b->on_node[i])
			continue;
		snprintf(number, sizeof(number), "%u", i);
		json_object_set_new(nodes, number, json_integer(b->on_node[i]));
	}
	return nodes;
}

static json_t *block_json(const struct mem_plan *plan, const struct mem_block *b)
{
	json_t *actual = json_null();

	if (b->proven)
		actual = json_pack("{s:I, s:o, s:o, s:I, s:I, s:I, s:I, s:I}", "page_size", (json_int_t)b->actual_page, "policy",
			b->nodes_why ? policy_json(b->actual_policy, &b->actual_nodes) : json_null(), "bytes_on_node",
			on_nodes_json(b), "huge_bytes", (json_int_t)b->huge, "locked_bytes", (json_int_t)b->locked,
			"present_bytes", (json_int_t)b->present, "checked_bytes", (json_int_t)b->checked, "misplaced_bytes",
			(json_int_t)b->misplaced);
	return json_pack("{s:I, s:I, s:i, s:s, s:{s:I, s:o}, s:o}", "gpa", (json_int_t)b->gpa, "size", (json_int_t)b->size,
		"guest_node", b->guest_node, "backing", mem_plan_backing(plan), "wanted", "page_size", (json_int_t)plan->page,
		"policy", b->nodes_why ? policy_json(b->policy, &b->nodes) : json_null(), "actual", actual);
}

static json_t *memory_json(const struct guest *guest)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < guest->memory.n; i++)
		json_array_append_new(list, block_json(&guest->memory, &guest->memory.block[i]));
	return list;
}

/* How RAM was filled before the start; null: it was not. */
static json_t *prealloc_json(const struct mem_plan *plan)
{
	if (!plan->fill_ns)
		return json_null();
	return json_pack("{s:I, s:f, s:i}", "bytes", (json_int_t)plan->filled, "seconds", plan->fill_ns / 1e9, "threads",
		plan->fill_threads);
}

static json_t *queues_json(const struct virtio_dev *dev)
{
	json_t *list = json_array();

	for (unsigned q = 0; q < dev->nvq; q++) {
		const struct virtio_queue *vq = &dev->queue[q];

		json_array_append_new(list,
			json_pack("{s:s, s:I, s:I, s:I, s:I}", "iothread", loop_name(vq->loop), "requests",
				(json_int_t)vq->vq.stats.pops, "completions", (json_int_t)vq->vq.stats.pushes, "kicks",
				(json_int_t)vq->kicks, "interrupts", (json_int_t)vq->signals));
	}
	return list;
}

/* How often its queues waited for its limits; NULL: it has none. */
static json_t *limited_json(const struct virtio_dev *dev)
{
	json_int_t n = 0;

	if (!dev->limits)
		return NULL;
	for (unsigned q = 0; q < dev->nvq; q++)
		n += dev->queue[q].limited;
	return json_integer(n);
}

/* Packets as the host counts them, where it tells. */
static json_t *passed_json(uint64_t packets, uint64_t bytes)
{
	return json_pack("{s:I, s:I}", "packets", (json_int_t)packets, "bytes", (json_int_t)bytes);
}

static void tap_json(json_t *device, const struct tap *tap, const uint8_t *mac)
{
	struct rtlink_counts n;
	bool told = !tap_counts(tap, &n);
	char text[MAC_TEXT];

	json_object_set_new(device, "tap", text_json(tap->name));
	json_object_set_new(device, "mac", json_string(mac_text(mac, text)));
	json_object_set_new(device, "mtu", json_integer(tap->mtu));
	json_object_set_new(device, "pairs", json_integer(tap->pairs));
	json_object_set_new(device, "link", json_string(tap_link_name(tap->link)));
	json_object_set_new(device, "from_guest", told ? passed_json(n.rx_packets, n.rx_bytes) : json_null());
	json_object_set_new(device, "to_guest", told ? passed_json(n.tx_packets, n.tx_bytes) : json_null());
}

static json_t *device_json(const struct guest *guest, unsigned i)
{
	const struct virtio_dev *dev = guest->device[i];
	json_t *device = json_pack("{s:s, s:i, s:s, s:I, s:I, s:o*, s:o}", "name", dev->name, "virtio_id", dev->ops->id,
		"io_engine", loop_engine(dev->loop, NULL), "errors", (json_int_t)dev->errors, "dropped",
		(json_int_t)dev->dropped, "limited", limited_json(dev), "queues", queues_json(dev));

	if (guest->disk[i])
		json_object_set_new(device, "path", text_json(guest->cfg->disks[i].path)); /* disks come first */
	if (guest->tap[i])
		tap_json(device, guest->tap[i], virtio_net_mac(dev));
	return device;
}

static json_t *devices_json(const struct guest *guest)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < guest->ndevices; i++)
		json_array_append_new(list, device_json(guest, i));
	return list;
}

void report_guest(struct report *report, const struct guest *guest)
{
	if (!report)
		return;
	json_object_set_new(report->root, "boot_protocol", json_string(arch_boot_protocol(guest->boot)));
	json_object_set_new(report->root, "restarts", json_integer(guest->restarts));
	json_object_set_new(report->root, "irqchip", irqchip_json(&guest->vm));
	json_object_set_new(report->root, "vcpus", vcpus_json(guest));
	json_object_set_new(report->root, "kvm_stats", kvmstats_json(guest->kvmstats, KVMSTATS_VM));
	json_object_set_new(report->root, "kvm_stats_kinds", kvmstats_kinds_json(guest->kvmstats));
	json_object_set_new(report->root, "kvm_stats_missing", kvmstats_why_json(guest->kvmstats));
	json_object_set_new(report->root, "threads", threads_json(guest));
	json_object_set_new(report->root, "misplaced", json_integer(guest->place.misplaced));
	json_object_set_new(report->root, "halt_poll",
		json_pack("{s:s, s:o, s:i}", "mode", "default", "ceiling_ns",
			file_number("/sys/module/kvm/parameters/halt_poll_ns"), "decisions", 0));
	json_object_set_new(report->root, "memory", memory_json(guest));
	json_object_set_new(report->root, "prealloc", prealloc_json(&guest->memory));
	json_object_set_new(report->root, "devices", devices_json(guest));
	json_object_set_new(report->root, "serial", json_pack("{s:I}", "dropped", (json_int_t)console_drops(guest->console)));
	json_object_set_new(report->root, "routing_writes", json_integer(guest->vm.route_writes));
}

json_t *report_now(const struct guest *guest)
{
	struct report report = {.root = json_pack("{s:s, s:s, s:f}", "name", guest->cfg->name, "version", PINVM_VERSION, "duration_s",
					(now_ns() - guest->start_ns) / 1e9)};

	if (report.root)
		report_guest(&report, guest);
	return report.root;
}

int report_close(struct report *report, int status, const char *cause)
{
	int err = 0;

	if (!report)
		return 0;
	json_object_set_new(
		report->root, "exit", json_pack("{s:i, s:o}", "status", status, "cause", text_json(cause ? cause : "")));
	json_object_set_new(report->root, "duration_s", json_real((now_ns() - report->start_ns) / 1e9));
	if (json_dumpfd(report->root, report->fd, JSON_INDENT(2)) < 0 || write(report->fd, "\n", 1) != 1)
		err = log_errno(errno ? -errno : -EIO, "--report %s", report->cfg->report);
	close(report->fd);
	json_decref(report->root);
	free(report);
	return err;
}
