// SPDX-License-Identifier: Apache-2.0
/* The control command halt-poll. Runs on main. */
#include <errno.h>
#include <stdio.h>

#include "vmm/control/request.h"
#include "vmm/guest.h"
#include "vmm/haltpoll/haltpoll.h"
#include "vmm/options/options.h"

/* The spec goes through the option's own parser. */
static int take(struct control_call *call, struct guest_config *cfg)
{
	struct haltpoll_spec spec;
	char reason[192];
	const char *why;
	int err = options_parse_one("halt-poll", call->arg[0], cfg, call->why, sizeof(call->why));

	if (err)
		return err;
	why = haltpoll_spec(&cfg->halt_poll, &spec);
	err = why ? -EINVAL : haltpoll_set(call->guest->haltpoll, &spec, reason, sizeof(reason));
	if (err)
		snprintf(call->why, sizeof(call->why), "halt-poll %.40s: %s", call->arg[0],
			why ? why : reason);
	return err;
}

int control_halt_poll(struct control_call *call)
{
	struct guest_config cfg;
	int err = control_living(call);

	if (!err && call->arg[0]) {
		config_defaults(&cfg);
		err = take(call, &cfg);
		config_free(&cfg);
	}
	if (!err)
		call->result = haltpoll_json(call->guest->haltpoll);
	return err;
}
