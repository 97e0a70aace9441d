// SPDX-License-Identifier: Apache-2.0
/* The control command `cgroup [weight=N] [max=...]`: what the guest's share is, or another one. Main. */
#include <errno.h>
#include <stdio.h>

#include "vmm/cgroup/cgroup.h"
#include "vmm/control/request.h"
#include "vmm/guest.h"
#include "vmm/log.h"

static int wrong(struct control_call *call, const char *what, const char *text, const char *why)
{
	snprintf(call->why, sizeof(call->why), "cgroup: %s %.30s: %s", what, text, why);
	return -EINVAL;
}

int control_cgroup(struct control_call *call)
{
	struct cgroup *cg = call->guest->cgroup;
	const char *why = NULL;
	struct cgroup_max max = {0};
	uint64_t weight = 0;
	int err;

	if (!cg) {
		snprintf(call->why, sizeof(call->why),
			"cgroup: the guest has none of its own; it is started with --cgroup PATH");
		return -ENOENT;
	}
	if (call->arg[0])
		why = cgroup_parse_weight(call->arg[0], &weight);
	if (why)
		return wrong(call, "weight", call->arg[0], why);
	if (call->arg[1])
		why = cgroup_parse_max(call->arg[1], &max);
	if (why)
		return wrong(call, "max", call->arg[1], why);
	err = cgroup_set(cg, weight, &max, call->why, sizeof(call->why));
	if (err)
		return err == -EINVAL ? -EIO : err;
	if (weight || max.period_us)
		log_info("cgroup: weight and max were set");
	call->result = cgroup_json(cg);
	return call->result ? 0 : -ENOMEM;
}
