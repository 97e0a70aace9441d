// SPDX-License-Identifier: Apache-2.0
/* The control command that changes the limits of a running guest's disk or network device. Main. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "devices/virtio/limits.h"
#include "vmm/control/request.h"
#include "vmm/guest.h"
#include "vmm/log.h"
#include "vmm/options/parse.h"
#include "vmm/options/values.h"
#include "vmm/report/parts.h"
#include "vmm/util.h"

#define WAIT_NS 2000000000ULL /* a queue whose loop gets no CPU for so long is not waited for */

/* A device's limits in the words of its option. */
struct words {
	const char *device;
	const struct opt_row *row;
	bool net;
	union {
		struct disk_config disk;
		struct net_config net_config;
	};
	bool given[32]; /* keys of the row */
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

static int __attribute__((format(printf, 3, 4))) wrong(
	struct control_call *call, const struct words *w, const char *fmt, ...)
{
	int len = snprintf(call->why, sizeof(call->why), "limits %.32s: ", w->device);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(call->why + len, sizeof(call->why) - len, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

/* Which keys there are. */
static int unknown(struct control_call *call, const struct words *w, const char *name)
{
	char list[128] = "";
	struct opt_key key;
	size_t len = 0;

	for (unsigned i = 0; opt_key_at(w->row, i, &key); i++)
		if (key.live && len < sizeof(list))
			len += snprintf(list + len, sizeof(list) - len, "%s%s", len ? ", " : "", key.name);
	return wrong(call, w, "%.40s: there are %s, each =VALUE or =off, and off", name, list);
}

/* Key i of the row, "bps", to a value, or off; its burst goes with it. */
static int set_key(struct control_call *call, struct words *w, unsigned i, const struct opt_key *key, const char *value)
{
	char why[256];
	struct opt_key burst;
	int err;

	if (w->given[i])
		return wrong(call, w, "%s is given twice", key->name);
	w->given[i] = true;
	if (strcmp(value, "off")) {
		err = opt_key_set(key, &w->disk, value, why, sizeof(why));
		return err ? wrong(call, w, "%s=%.40s: %s", key->name, value, why) : 0;
	}
	opt_key_default(key, &w->disk);
	if (opt_key_at(w->row, i + 1, &burst) && burst.live && !w->given[i + 1] && strstr(burst.name, "-burst") &&
		!strncmp(burst.name, key->name, strlen(key->name)))
		opt_key_default(&burst, &w->disk);
	return 0;
}

static int set_item(struct control_call *call, struct words *w, char *item)
{
	char *value = strchr(item, '=');
	struct opt_key key;

	if (value)
		*value++ = '\0';
	for (unsigned i = 0; value && i < sizeof(w->given) - 1 && opt_key_at(w->row, i, &key); i++)
		if (key.live && !strcmp(key.name, item))
			return set_key(call, w, i, &key, value);
	return unknown(call, w, item);
}

/* What is not named stays. */
static int set_all(struct control_call *call, struct words *w, const char *spec)
{
	char *copy, *rest;
	struct limit_rates r;
	int err = 0;

	if (!strcmp(spec, "off")) {
		from_rates(w, &(struct limit_rates){0});
		return 0;
	}
	rest = copy = strdup(spec);
	if (!copy)
		return wrong(call, w, "no memory");
	while (rest && !err) {
		char *item = value_item(&rest, true);

		err = item ? set_item(call, w, item) : unknown(call, w, spec);
	}
	free(copy);
	r = to_rates(w);
	if (!err && ((!r.bps && r.bps_burst) || (!r.ops && r.ops_burst)))
		err = wrong(call, w, "%s-burst: without a rate nothing is held back; add %s=", !r.bps && r.bps_burst ? "bps" : w->net ? "pps" : "iops",
			!r.bps && r.bps_burst ? "bps" : w->net ? "pps" : "iops");
	return err;
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

static int change(struct control_call *call, struct virtio_dev *dev, struct words *w)
{
	struct limit_rates rates = to_rates(w);
	int err = virtio_limits_begin(dev, &rates);

	if (err) {
		wrong(call, w, "a queue has not yet heard of the last ones: its loop gets no CPU");
		return err;
	}
	err = virtio_limits_wait(dev, now_ns() + WAIT_NS);
	if (err)
		wrong(call, w, "a queue has not heard of them yet: its loop gets no CPU; they hold as soon as it does");
	else
		log_info("control: limits %s %s", dev->name, call->arg[1]);
	return err;
}

int control_limits(struct control_call *call)
{
	int err = control_living(call);
	struct virtio_dev *dev = err ? NULL : find_device(call);
	struct words w;

	if (!dev)
		return err ? err : -ENOENT;
	w = (struct words){.device = dev->name, .net = dev->ops->id == VIRTIO_ID_NET};
	w.row = opt_find(w.net ? "net" : "disk");
	from_rates(&w, &dev->limits->rates);
	if (call->arg[1]) {
		err = set_all(call, &w, call->arg[1]);
		if (!err)
			err = change(call, dev, &w);
	}
	if (!err)
		call->result = report_limits(dev);
	return err;
}
