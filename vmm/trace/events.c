// SPDX-License-Identifier: Apache-2.0
/* The tracepoints, and their format files in tracefs. One thread. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/hostfile.h"
#include "vmm/trace/priv.h"
#include "vmm/util.h"

#define CAUSE(event, words)                                           \
	{                                                             \
		.name = "irq_vectors:" event "_entry", .cause = words \
	}

const struct trace_event_kind trace_kinds[TRACE_EVENTS] = {
	[TRACE_EV_EXIT] = {"kvm:kvm_exit", .field = {"exit_reason", "isa", "ret", "esr_ec"}},
	[TRACE_EV_USER_EXIT] = {"kvm:kvm_userspace_exit", .needed = 1, .field = {"reason", "errno"}},
	[TRACE_EV_ENTRY] = {"kvm:kvm_entry"},
	[TRACE_EV_MSR] = {"kvm:kvm_msr", .needed = 3, .field = {"write", "ecx"}},
	[TRACE_EV_PIO] = {"kvm:kvm_pio", .needed = 3, .field = {"rw", "port"}},
	[TRACE_EV_MMIO] = {"kvm:kvm_mmio", .needed = 3, .field = {"type", "gpa"}},
	[TRACE_EV_FAST_MMIO] = {"kvm:kvm_fast_mmio", .needed = 1, .field = {"gpa"}},
	[TRACE_EV_DEVICE_IRQ] = {"irq:irq_handler_entry", .needed = 3, .field = {"irq", "name"}},
	[TRACE_EV_LOCAL_TIMER] = CAUSE("local_timer", "local timer"),
	[TRACE_EV_RESCHEDULE] = CAUSE("reschedule", "rescheduling"),
	[TRACE_EV_CALL_FUNCTION] = CAUSE("call_function", "function call"),
	[TRACE_EV_CALL_FUNCTION_SINGLE] = CAUSE("call_function_single", "function call, single"),
	[TRACE_EV_IRQ_WORK] = CAUSE("irq_work", "work"),
	[TRACE_EV_IPI] = {"ipi:ipi_entry", .only_counted = true},
	[TRACE_EV_HALT_POLL] = {"kvm:kvm_halt_poll_ns", .needed = 3, .field = {"grow", "new"}},
	[TRACE_EV_APIC] = {"kvm:kvm_apic", .needed = 3, .field = {"rw", "reg"}},
	[TRACE_EV_EOI] = {"kvm:kvm_eoi", .only_counted = true},
	[TRACE_EV_PV_EOI] = {"kvm:kvm_pv_eoi", .only_counted = true},
	[TRACE_EV_THERMAL] = CAUSE("thermal_apic", "thermal"),
	[TRACE_EV_PLATFORM_IPI] = CAUSE("x86_platform_ipi", "platform IPI"),
	[TRACE_EV_ERROR_APIC] = CAUSE("error_apic", "APIC error"),
	[TRACE_EV_SPURIOUS_APIC] = CAUSE("spurious_apic", "spurious"),
};

const char *trace_event_name(enum trace_event event)
{
	return trace_kinds[event].name;
}

enum trace_event trace_event_of(const struct trace_formats *formats, uint16_t id)
{
	unsigned e = 0;

	while (e < TRACE_EVENTS && (!id || formats->event[e].id != id))
		e++;
	return e;
}

/* ---- tracefs ---- */

/* Its two places: the second one where only debugfs is mounted. */
static const char *const places[] = {"/sys/kernel/tracing", "/sys/kernel/debug/tracing"};

static bool is_there(const char *root, const char *dir, const char *what)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s%s/%s", root, dir, what);
	return !faccessat(AT_FDCWD, path, F_OK, AT_EACCESS);
}

/* Is something at its mount point kept from us? A directory in it says so. */
static bool is_closed(const char *root, const char *dir)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s%s/events/kvm", root, dir);
	return faccessat(AT_FDCWD, path, R_OK | X_OK, AT_EACCESS) && errno == EACCES;
}

static int say_closed(const char *dir, char *why, size_t n)
{
	snprintf(why, n,
		"%s may not be read by this user: run it as root, or let a group read it (mount -o "
		"remount,mode=750,gid=GROUP %s), or give CAP_DAC_READ_SEARCH",
		dir, dir);
	return -EACCES;
}

/* Where tracefs is; NULL with why. */
static const char *find_tracefs(const char *root, char *why, size_t n, int *err)
{
	for (unsigned i = 0; i < COUNT(places); i++)
		if (is_there(root, places[i], "events"))
			return places[i];
	for (unsigned i = 0; i < COUNT(places); i++) {
		if (is_closed(root, places[i])) {
			*err = say_closed(places[i], why, n);
			return NULL;
		}
	}
	snprintf(why, n,
		"tracefs is not mounted at %s: mount -t tracefs tracefs %s (a kernel without tracepoints has "
		"none)",
		places[0], places[0]);
	*err = -ENOENT;
	return NULL;
}

static int read_format(
	struct trace_formats *f, enum trace_event e, const char *root, const char *dir, char *text)
{
	const struct trace_event_kind *kind = &trace_kinds[e];
	const char *colon = strchr(kind->name, ':');
	char path[256];
	int err;

	snprintf(path, sizeof(path), "%s/events/%.*s/%s/format", dir, (int)(colon - kind->name), kind->name,
		colon + 1);
	err = hostfile_text(root, path, text, TRACE_FORMAT_MAX);
	if (!err)
		err = trace_format_parse(text, kind->field, &f->event[e]);
	for (unsigned i = 0; !err && i < TRACE_FIELDS; i++)
		if (kind->needed & 1 << i && !f->event[e].field[i].size)
			err = -EPROTO;
	if (err) {
		f->event[e].id = 0;
		snprintf(f->why[e], sizeof(f->why[e]), "%s",
			err == -ENOENT	 ? "this kernel has no such tracepoint"
			: err == -EPROTO ? "its format is not one this program understands"
					 : strerror(-err));
	}
	return err;
}

/* Where an exit's record does not name the architecture, the CPU's vendor does. */
static enum trace_isa isa_of_cpu(const char *root)
{
	char vendor[64];

	if (hostfile_line(root, "/proc/cpuinfo", "vendor_id", vendor, sizeof(vendor)))
		return TRACE_ISA_UNKNOWN;
	if (strstr(vendor, "GenuineIntel") || strstr(vendor, "Shanghai") || strstr(vendor, "CentaurHauls"))
		return TRACE_ISA_VMX;
	return strstr(vendor, "AuthenticAMD") || strstr(vendor, "HygonGenuine") ? TRACE_ISA_SVM
										: TRACE_ISA_UNKNOWN;
}

/* An exit needs a reason, in the terms of either architecture. */
static void check_exit(struct trace_formats *f, const char *root)
{
	struct trace_format *exit = &f->event[TRACE_EV_EXIT];

	if (exit->id && !exit->field[0].size && !exit->field[2].size) {
		exit->id = 0;
		snprintf(f->why[TRACE_EV_EXIT], sizeof(f->why[0]), "its format has no reason of an exit");
	}
	f->by_vendor = exit->id && !exit->field[1].size && !exit->field[2].size;
	f->isa = f->by_vendor ? isa_of_cpu(root) : TRACE_ISA_UNKNOWN;
}

int trace_formats_read(struct trace_formats *f, const char *root, char *why, size_t n)
{
	const char *dir;
	char *text;
	int err = 0;

	memset(f, 0, sizeof(*f));
	dir = find_tracefs(root, why, n, &err);
	if (!dir)
		return err;
	if (!is_there(root, dir, "events/kvm")) {
		snprintf(why, n, "there are no tracepoints of kvm in %s/events: is the kvm module loaded?",
			dir);
		return is_closed(root, dir) ? say_closed(dir, why, n) : -ENOENT;
	}
	text = malloc(TRACE_FORMAT_MAX);
	if (!text) {
		snprintf(why, n, "no memory");
		return -ENOMEM;
	}
	for (enum trace_event e = 0; e < TRACE_EVENTS; e++)
		if (read_format(f, e, root, dir, text) == -EACCES)
			err = -EACCES;
	free(text);
	check_exit(f, root);
	if (f->event[TRACE_EV_EXIT].id || f->event[TRACE_EV_USER_EXIT].id)
		return 0;
	if (err)
		return say_closed(dir, why, n);
	snprintf(why, n, "neither kvm_exit nor kvm_userspace_exit can be traced: %s",
		f->why[TRACE_EV_USER_EXIT]);
	return -ENOENT;
}
