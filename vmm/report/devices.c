// SPDX-License-Identifier: Apache-2.0
/* The report's devices: their queues' counters, and what each is the guest's end of. Main. */
#include "devices/virtio/devs.h"
#include "devices/virtio/limits.h"
#include "vmm/guest.h"
#include "vmm/report/parts.h"
#include "vmm/tap.h"
#include "vmm/util.h"

static json_t *bytes_json(const struct virtq_stats *stats)
{
	return json_pack("{s:I, s:I}", "to_guest", (json_int_t)stats->to_guest, "from_guest",
		(json_int_t)stats->from_guest);
}

/* How long requests were with the device; NULL: it was not asked, or does not tell. */
static json_t *latency_json(const struct virtio_times *times)
{
	json_t *histogram;

	if (!times)
		return NULL;
	histogram = json_array();
	for (unsigned i = 0; i < VIRTIO_BUCKETS; i++)
		json_array_append_new(histogram, json_integer((json_int_t)times->histogram[i]));
	return json_pack("{s:o, s:I}", "histogram", histogram, "sum", (json_int_t)times->sum);
}

json_t *report_queues(const struct virtio_dev *dev)
{
	json_t *list = json_array();

	for (unsigned q = 0; q < dev->nvq; q++) {
		const struct virtio_queue *vq = &dev->queue[q];

		json_array_append_new(list,
			json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:o, s:o?}", "iothread", loop_name(vq->loop),
				"requests", (json_int_t)vq->vq.stats.pops, "completions",
				(json_int_t)vq->vq.stats.pushes, "kicks", (json_int_t)vq->kicks, "interrupts",
				(json_int_t)vq->signals, "batches", (json_int_t)vq->vq.stats.batches, "bytes",
				bytes_json(&vq->vq.stats), "latency_ns", latency_json(vq->times)));
	}
	return list;
}

/* How often its queues waited for its limits; NULL: it has none. */
static json_t *limited_json(const struct virtio_dev *dev)
{
	json_int_t n = 0;

	for (unsigned q = 0; q < dev->nvq; q++)
		n += dev->queue[q].limited;
	return dev->limits && (n || virtio_limits_on(dev->limits)) ? json_integer(n) : NULL;
}

static json_t *rate_json(uint64_t rate, uint64_t value)
{
	return rate ? json_integer((json_int_t)value) : json_null();
}

json_t *report_limits(const struct virtio_dev *dev)
{
	bool net = dev->ops->id == VIRTIO_ID_NET;
	const struct limit_rates *r;

	if (!dev->limits)
		return NULL;
	r = &dev->limits->rates;
	return json_pack("{s:o, s:o, s:o, s:o}", "bps", rate_json(r->bps, r->bps), "bps_burst",
		rate_json(r->bps, limit_burst(r->bps, r->bps_burst)), net ? "pps" : "iops", rate_json(r->ops, r->ops),
		net ? "pps_burst" : "iops_burst", rate_json(r->ops, limit_burst(r->ops, r->ops_burst)));
}

/* Packets as the host counts them, where it tells. */
static json_t *passed_json(uint64_t packets, uint64_t bytes)
{
	return json_pack("{s:I, s:I}", "packets", (json_int_t)packets, "bytes", (json_int_t)bytes);
}

static void tap_json(json_t *device, struct tap *tap, struct virtio_dev *dev)
{
	struct rtlink_counts n;
	struct tap_view view;
	char text[MAC_TEXT];
	uint8_t mac[6];
	bool told;

	tap_look(tap, &view);
	virtio_net_mac(dev, mac);
	told = !tap_counts(&view, &n);
	json_object_set_new(device, "tap", report_text(view.name));
	json_object_set_new(device, "mac", json_string(mac_text(mac, text)));
	json_object_set_new(device, "mtu", json_integer(tap->mtu));
	json_object_set_new(device, "pairs", json_integer(tap->pairs));
	json_object_set_new(device, "link", json_string(tap_link_name(view.link)));
	json_object_set_new(device, "from_guest", told ? passed_json(n.rx_packets, n.rx_bytes) : json_null());
	json_object_set_new(device, "to_guest", told ? passed_json(n.tx_packets, n.tx_bytes) : json_null());
}

static json_t *device_json(const struct guest *guest, unsigned i)
{
	struct virtio_dev *dev = guest->device[i];
	json_t *device = json_pack("{s:s, s:i, s:s, s:I, s:I, s:o*, s:o*, s:o}", "name", dev->name, "virtio_id",
		dev->ops->id, "io_engine", loop_engine(dev->loop, NULL), "errors", (json_int_t)dev->errors,
		"dropped", (json_int_t)dev->dropped, "limited", limited_json(dev), "limits", report_limits(dev), "queues",
		report_queues(dev));

	if (guest->disk[i])
		json_object_set_new(
			device, "path", report_text(guest->cfg->disks[i].path)); /* disks come first */
	if (guest->tap[i])
		tap_json(device, guest->tap[i], dev);
	return device;
}

json_t *report_devices(const struct guest *guest)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < guest->ndevices; i++)
		json_array_append_new(list, device_json(guest, i));
	return list;
}
