// SPDX-License-Identifier: Apache-2.0
/* The control command that changes how an iothread of a running guest polls. Main. */
#include "vmm/iothread.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vmm/control/live.h"
#include "vmm/guest.h"
#include "vmm/log.h"
#include "vmm/report/parts.h"

/* Why it is none: there are, or is, those of the list. */
static void refuse_name(struct control_call *call, const char *name, const char *are, const char *list)
{
	int vcpu = config_vcpu_of(name);

	if (!*name)
		snprintf(call->why, sizeof(call->why), "iothread: give an iothread: there %s %s", are, list);
	else if (strchr(name, '='))
		snprintf(call->why, sizeof(call->why), "iothread %.40s: the iothread's name comes first; there %s %s", name, are, list);
	else if (vcpu >= 0 && config_vcpu_serves(call->guest->cfg, vcpu))
		snprintf(call->why, sizeof(call->why), "iothread %s: it serves queues, but poll-max is of iothreads: a vCPU polls by "
			"--halt-poll vmm", name);
	else
		snprintf(call->why, sizeof(call->why), "iothread %.32s: no such iothread; there %s %s", name, are, list);
}

/* NULL, with `why`: there is none. */
static struct iothread *find_iothread(struct control_call *call)
{
	const char *name = call->arg[0] ? call->arg[0] : "";
	const struct guest *guest = call->guest;
	char list[256] = "";
	size_t len = 0;

	for (unsigned i = 0; i < guest->niothreads; i++) {
		if (!strcmp(guest->iothread[i].name, name))
			return &guest->iothread[i];
		if (len < sizeof(list))
			len += snprintf(list + len, sizeof(list) - len, "%s%s", len ? ", " : "", guest->iothread[i].name);
	}
	refuse_name(call, name, guest->niothreads > 1 ? "are" : "is", list);
	return NULL;
}

static int change(struct iothread *io, struct live *live, const struct iothread_config *how, const char *spec)
{
	int err;

	if (how->poll_weight && !how->poll_max_ns)
		return live_wrong(live, "poll-weight=%u: does nothing without poll-max=TIME; off ends both", how->poll_weight);
	err = iothread_poll(io, how);
	if (err == -EBUSY || err == -ETIMEDOUT)
		live_wrong(live, "it gets no CPU: nothing was changed");
	else if (err)
		live_wrong(live, "%s", strerror(-err));
	else
		log_info("control: iothread %s %s", io->name, spec);
	return err;
}

int control_iothread(struct control_call *call)
{
	int err = control_living(call);
	struct iothread *io = err ? NULL : find_iothread(call);
	struct iothread_config how;
	struct live live;

	if (!io)
		return err ? err : call->arg[0] && *call->arg[0] && !strchr(call->arg[0], '=') ? -ENOENT : -EINVAL;
	how = io->poll;
	live = (struct live){.call = call, .command = "iothread", .object = io->name, .row = opt_find("iothread"), .base = &how};
	if (call->arg[1]) {
		err = live_take(&live, call->arg[1]);
		if (!err)
			err = change(io, &live, &how, call->arg[1]);
	}
	if (!err)
		call->result = report_poll(io);
	return err;
}
