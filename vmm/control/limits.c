// SPDX-License-Identifier: Apache-2.0
/* The control command that changes the limits of a running guest's disk or network device. Main. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "devices/virtio/limits.h"
#include "vmm/control/live.h"
#include "vmm/guest.h"
#include "vmm/log.h"
#include "vmm/report/parts.h"
#include "vmm/util.h"

#define WAIT_NS 2000000000ULL /* a queue whose loop gets no CPU for so long is not waited for */

/* A device's limits in the words of its option. */
struct words {
	struct live live;
	bool net;
	union {
		struct disk_config disk;
		struct net_config net_config;
	};
};

static void from_rates(struct words *w, const struct limit_rates *r)
{
	if (w->net)
		w->net_config = (struct net_config){
			.bps = r->bps, .bps_burst = r->bps_burst, .pps = r->ops, .pps_burst = r->ops_burst};
	else
		w->disk = (struct disk_config){
			.bps = r->bps, .bps_burst = r->bps_burst, .iops = r->ops, .iops_burst = r->ops_burst};
}

static struct limit_rates to_rates(const struct words *w)
{
	const struct net_config *n = &w->net_config;
	const struct disk_config *d = &w->disk;

	return w->net ? (struct limit_rates){n->bps, n->bps_burst, n->pps, n->pps_burst}
		      : (struct limit_rates){d->bps, d->bps_burst, d->iops, d->iops_burst};
}

static int take(struct words *w, const char *spec)
{
	int err = live_take(&w->live, spec);
	struct limit_rates r = to_rates(w);
	const char *rate = w->net ? "pps" : "iops";

	if (err || !((!r.bps && r.bps_burst) || (!r.ops && r.ops_burst)))
		return err;
	if (!r.bps && r.bps_burst)
		rate = "bps";
	return live_wrong(&w->live, "%s-burst: without a rate nothing is held back; add %s=", rate, rate);
}

/* NULL, with `why`: there is none. */
static struct virtio_dev *find_device(struct control_call *call)
{
	const char *name = call->arg[0] ? call->arg[0] : "";
	char list[256] = "";
	size_t len = 0;

	for (unsigned i = 0; i < call->guest->ndevices; i++) {
		struct virtio_dev *dev = call->guest->device[i];

		if (!dev->limits)
			continue;
		if (!strcmp(dev->name, name))
			return dev;
		if (len < sizeof(list))
			len += snprintf(list + len, sizeof(list) - len, "%s%s", len ? ", " : "", dev->name);
	}
	if (*name)
		snprintf(call->why, sizeof(call->why), "limits %.32s: no such disk or network device; there %s%s", name,
			len ? "are " : "is none", list);
	else
		snprintf(call->why, sizeof(call->why), "limits: give a device: there %s%s", len ? "are " : "is none", list);
	return NULL;
}

static int change(struct virtio_dev *dev, struct words *w, const char *spec)
{
	struct limit_rates rates = to_rates(w);
	int err = virtio_limits_begin(dev, &rates);

	if (err) {
		live_wrong(&w->live, "a queue has not yet heard of the last ones: its loop gets no CPU");
		return err;
	}
	err = virtio_limits_wait(dev, now_ns() + WAIT_NS);
	if (err)
		live_wrong(&w->live, "a queue has not heard of them yet: its loop gets no CPU; they hold as soon as it does");
	else
		log_info("control: limits %s %s", dev->name, spec);
	return err;
}

int control_limits(struct control_call *call)
{
	int err = control_living(call);
	struct virtio_dev *dev = err ? NULL : find_device(call);
	struct words w;

	if (!dev)
		return err ? err : call->arg[0] && *call->arg[0] ? -ENOENT : -EINVAL;
	w = (struct words){.net = dev->ops->id == VIRTIO_ID_NET};
	w.live = (struct live){.call = call, .command = "limits", .object = dev->name, .base = &w.disk};
	w.live.row = opt_find(w.net ? "net" : "disk");
	from_rates(&w, &dev->limits->rates);
	if (call->arg[1]) {
		err = take(&w, call->arg[1]);
		if (!err)
			err = change(dev, &w, call->arg[1]);
	}
	if (!err)
		call->result = report_limits(dev);
	return err;
}
