// SPDX-License-Identifier: Apache-2.0
/*
 * THE table of control commands. A new one is a function and a row here; protocol, `pinvm ctl`, its help, the
 * man page and the completion follow. Runs on main, between two steps of its loop.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "devices/power.h"
#include "version.h"
#include "vmm/control/request.h"
#include "vmm/guest.h"
#include "vmm/options/values.h"
#include "vmm/report/report.h"
#include "vmm/util.h"

static int fails(struct control_call *call, int err, const char *why)
{
	snprintf(call->why, sizeof(call->why), "%s", why);
	return err;
}

int control_living(struct control_call *call)
{
	return guest_is_ending(call->guest) ? fails(call, -ESHUTDOWN, "the guest is at its end") : 0;
}

/* Nor is one that is to power off held up. */
static int unstopped(struct control_call *call, const char *what)
{
	int err = control_living(call);

	if (err || !call->guest->stop_asked)
		return err;
	snprintf(call->why, sizeof(call->why), "%s: the guest is being stopped", what);
	return -ESHUTDOWN;
}

static const char *state(const struct guest *guest)
{
	if (guest_is_ending(guest))
		return "ending";
	if (guest->stop_asked)
		return "stopping";
	return guest->paused ? "paused" : "running";
}

static int status(struct control_call *call)
{
	const struct guest *guest = call->guest;

	call->result = json_pack("{s:s, s:i, s:s, s:f, s:i, s:I, s:i, s:s}", "name", guest->cfg->name, "pid",
		(int)getpid(), "state", state(guest), "uptime_s", (now_ns() - guest->start_ns) / 1e9, "vcpus",
		(int)guest->cfg->cpus.count, "memory", (json_int_t)guest->cfg->memory.size, "restarts",
		(int)guest->restarts, "version", PINVM_VERSION);
	return call->result ? 0 : fails(call, -ENOMEM, "no memory");
}

static int report(struct control_call *call)
{
	place_read(&call->guest->place);
	call->result = report_now(call->guest);
	return call->result ? 0 : fails(call, -ENOMEM, "no memory");
}

static int pause_guest(struct control_call *call)
{
	int err = unstopped(call, "pause");

	if (!err)
		guest_pause(call->guest);
	return err;
}

static int resume_guest(struct control_call *call)
{
	int err = control_living(call);

	if (!err)
		guest_resume(call->guest);
	return err;
}

static int press(struct control_call *call)
{
	int err = control_living(call);

	if (!err)
		power_button(call->guest->power);
	return err;
}

static int stop(struct control_call *call)
{
	uint64_t grace = call->guest->cfg->grace_ns;
	const char *why = call->arg[0] ? value_duration(call->arg[0], &grace) : NULL;
	int err = why ? -EINVAL : control_living(call);

	if (why)
		snprintf(call->why, sizeof(call->why), "stop: grace %.40s: %s", call->arg[0], why);
	if (!err)
		guest_stop_within(call->guest, "control socket", grace);
	return err;
}

static int reset(struct control_call *call)
{
	int err = unstopped(call, "reset");

	if (!err)
		guest_reset(call->guest);
	return err;
}

const struct control_command control_table[] = {
	{"status", "name, pid, state (running, paused, stopping, ending), uptime, vCPUs, memory, restarts",
		.run = status},
	{"pause", "vCPUs stop; devices finish what they have", .run = pause_guest},
	{"resume", "vCPUs go on", .run = resume_guest},
	{"powerbutton", "press the guest's power button", .run = press},
	{"stop", "power button, and the end after the time of --grace; a second time at once",
		.arg = {{"grace", "another time to power off in; 0: at once"}}, .run = stop},
	{"reset", "power-on state, and on from there, whatever --on-reset says", .run = reset},
	{"halt-poll", "halt polling as it is; with a spec, as it is from now on",
		.arg = {{"spec", "as --halt-poll takes it, without trace=; what is left out is at its default again",
			.rest = ','}}, .run = control_halt_poll},
	{"report", "what --report would say of the guest now, as JSON; threads are of now, memory of the start", .run = report,
		.document = true},
	{"pin", "other CPUs for threads: checked, applied and read back as at the start, or nothing changes",
		.arg = {{"rules", "as in --pin: vcpu=2-5/each, vcpu0=3, iothread:NAME=0; several at once", .rest = ' ', .must = true}},
		.run = control_pin},
	{"sched", "another scheduling policy for threads, likewise",
		.arg = {{"rules", "as in --sched: vcpu=fifo:1, emulator=other:5; several at once", .rest = ' ', .must = true}},
		.run = control_sched},
	{"limits", "the limits of a disk or network device; with a spec, as they are from now on",
		.arg = {{"device", "as the report names it: disk0, net0", .must = true},
			{"spec", "off, or as in --disk and --net: bps=, iops=, pps= and -burst=; what is left out stays",
				.rest = ','}},
		.run = control_limits},
	{"iothread", "how an iothread polls, and how that went; with a spec, how it polls from now on",
		.arg = {{"iothread", "main, or the NAME of --iothread", .must = true},
			{"spec", "off, or as in --iothread: poll-max=, poll-weight=; what is left out stays", .rest = ','}},
		.run = control_iothread},
	{"cgroup", "the weight and max of --cgroup, other ones where they are given, and the CPU time used",
		.arg = {{"weight", "its share beside its siblings, 1 to 10000", "N"},
			{"max", "the CPU time it may have: 50%, 50%/10ms, 50ms/100ms, off", "MAX"}},
		.run = control_cgroup},
};

const unsigned control_commands = COUNT(control_table);
