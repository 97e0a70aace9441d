// SPDX-License-Identifier: Apache-2.0
/* The report; see report.h. Names in it are a promise to scripts: add, do not rename. */
#include "vmm/report/report.h"

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
#include "version.h"
#include "vmm/cgroup/cgroup.h"
#include "vmm/console/console.h"
#include "vmm/guest.h"
#include "vmm/haltpoll/haltpoll.h"
#include "vmm/log.h"
#include "vmm/profile/kvmstats.h"
#include "vmm/report/parts.h"
#include "vmm/util.h"

struct report {
	int fd;
	uint64_t start_ns;
	const struct guest_config *cfg;
	json_t *root;
};

json_t *report_text(const char *text)
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

static json_t *host_json(void)
{
	struct utsname u;

	cpu_set_t allowed;

	CPU_ZERO(&allowed);
	sched_getaffinity(0, sizeof(allowed), &allowed);
	if (uname(&u) < 0)
		memset(&u, 0, sizeof(u));
	return json_pack("{s:s, s:s, s:i, s:o}", "kernel", u.release, "machine", u.machine, "cpus_online",
		(int)sysconf(_SC_NPROCESSORS_ONLN), "cpus_allowed", report_cpulist(&allowed));
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
	report->root = json_pack("{s:s, s:s, s:i, s:o}", "name", cfg->name, "version", PINVM_VERSION, "pid",
		(int)getpid(), "host", host_json());
	*out = report;
	return 0;
}

static json_t *irqchip_json(const struct vm *vm)
{
	struct irqchip_words words = arch_irqchip(vm);

	return json_pack("{s:s, s:s?}", "controller", words.controller, "msi", words.msi);
}

void report_guest(struct report *report, const struct guest *guest)
{
	if (!report)
		return;
	json_object_set_new(report->root, "boot_protocol", json_string(arch_boot_protocol(guest->boot)));
	json_object_set_new(report->root, "restarts", json_integer(guest->restarts));
	json_object_set_new(report->root, "irqchip", irqchip_json(&guest->vm));
	json_object_set_new(report->root, "vcpus", report_vcpus(guest));
	json_object_set_new(report->root, "kvm_stats", kvmstats_json(guest->kvmstats, KVMSTATS_VM));
	json_object_set_new(report->root, "kvm_stats_kinds", kvmstats_kinds_json(guest->kvmstats));
	json_object_set_new(report->root, "kvm_stats_missing", kvmstats_why_json(guest->kvmstats));
	json_object_set_new(report->root, "threads", report_threads(guest));
	json_object_set_new(report->root, "misplaced", json_integer(guest->place.misplaced));
	json_object_set_new(report->root, "cgroup", cgroup_json(guest->cgroup));
	json_object_set_new(report->root, "halt_poll", haltpoll_json(guest->haltpoll));
	json_object_set_new(report->root, "memory", report_memory(guest));
	json_object_set_new(report->root, "prealloc", report_prealloc(&guest->memory));
	json_object_set_new(report->root, "devices", report_devices(guest));
	json_object_set_new(report->root, "serial",
		json_pack("{s:I}", "dropped", (json_int_t)console_drops(guest->console)));
	json_object_set_new(report->root, "routing_writes", json_integer((json_int_t)guest->vm.route_writes));
}

json_t *report_now(const struct guest *guest)
{
	struct report report = {
		.root = json_pack("{s:s, s:s, s:i, s:f}", "name", guest->cfg->name, "version", PINVM_VERSION,
			"pid", (int)getpid(), "duration_s", (now_ns() - guest->start_ns) / 1e9)};

	if (report.root)
		report_guest(&report, guest);
	return report.root;
}

int report_close(struct report *report, int status, const char *cause)
{
	int err = 0;

	if (!report)
		return 0;
	json_object_set_new(report->root, "exit",
		json_pack("{s:i, s:o}", "status", status, "cause", report_text(cause ? cause : "")));
	json_object_set_new(report->root, "duration_s", json_real((now_ns() - report->start_ns) / 1e9));
	if (json_dumpfd(report->root, report->fd, JSON_INDENT(2)) < 0 || write(report->fd, "\n", 1) != 1)
		err = log_errno(errno ? -errno : -EIO, "--report %s", report->cfg->report);
	close(report->fd);
	json_decref(report->root);
	free(report);
	return err;
}
