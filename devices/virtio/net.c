// SPDX-License-Identifier: Apache-2.0
/*
 * virtio-net (virtio 1.2, 5.1) over a tap: features, configuration space, link, start and stop. Frames are in
 * net_rx.c and net_tx.c, commands in net_ctrl.c; net_priv.h says which thread runs what.
 *
 * Each frame is one system call, done on the spot: nothing is in flight, so a queue stops at once, whatever
 * the tap does.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "devices/virtio/net_priv.h"
#include "vmm/hostfile.h"
#include "vmm/log.h"
#include "vmm/util.h"

#define CONFIG_LEN  offsetof(struct virtio_net_config, rss_max_key_size)
#define FULL_DUPLEX 1

_Static_assert(CONFIG_LEN <= sizeof(((struct virtio_dev *)0)->config), "config space");
_Static_assert(sizeof(struct virtio_net_hdr_v1) == NET_HDR, "the tap's header is virtio's");

/* ---- features ---- */

/* A feature of the driver's or the device's side, what of a tap it takes, and the kind of frame it is about.
 */
static const struct {
	uint8_t guest, host, gso;
	unsigned tap;
} offload[] = {
	{VIRTIO_NET_F_GUEST_CSUM, VIRTIO_NET_F_CSUM, 0, TAP_CSUM},
	{VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_HOST_TSO4, VIRTIO_NET_HDR_GSO_TCPV4, TAP_CSUM | TAP_TSO4},
	{VIRTIO_NET_F_GUEST_TSO6, VIRTIO_NET_F_HOST_TSO6, VIRTIO_NET_HDR_GSO_TCPV6, TAP_CSUM | TAP_TSO6},
	{VIRTIO_NET_F_GUEST_ECN, VIRTIO_NET_F_HOST_ECN, 0, TAP_CSUM | TAP_TSO_ECN},
	{NET_F_GUEST_USO4, NET_F_HOST_USO, NET_HDR_GSO_UDP_L4, TAP_CSUM | TAP_USO4},
	{NET_F_GUEST_USO6, NET_F_HOST_USO, NET_HDR_GSO_UDP_L4, TAP_CSUM | TAP_USO6},
};

#define OFFLOADS COUNT(offload)

uint32_t net_rx_gso(uint64_t features)
{
	uint32_t takes = 1u << VIRTIO_NET_HDR_GSO_NONE;

	if (!(features >> VIRTIO_NET_F_GUEST_CSUM & 1))
		return takes;
	takes |= NET_RX_CSUM;
	for (unsigned i = 0; i < OFFLOADS; i++)
		if (features >> offload[i].guest & 1)
			takes |= 1u << offload[i].gso;
	if (features >> VIRTIO_NET_F_GUEST_ECN & 1)
		takes |= NET_RX_ECN;
	return takes;
}

/* The kernel wants checksums with any of them, TSO with ECN, and both kinds of USO or none. */
unsigned net_tap_offload(uint64_t features)
{
	const unsigned uso = TAP_USO4 | TAP_USO6;
	unsigned tap = 0;

	if (!(features >> VIRTIO_NET_F_GUEST_CSUM & 1))
		return 0;
	for (unsigned i = 0; i < OFFLOADS; i++)
		if (features >> offload[i].guest & 1)
			tap |= offload[i].tap;
	if (!(tap & (TAP_TSO4 | TAP_TSO6)))
		tap &= ~TAP_TSO_ECN;
	return (tap & uso) == uso ? tap : tap & ~uso;
}

static uint32_t tx_gso(uint64_t features)
{
	uint32_t may = 1u << VIRTIO_NET_HDR_GSO_NONE;

	for (unsigned i = 0; i < OFFLOADS; i++)
		if (features >> offload[i].host & 1)
			may |= 1u << offload[i].gso;
	return may;
}

static uint64_t offer(const struct net *net, const struct net_config *cfg)
{
	uint64_t f = 1ull << VIRTIO_NET_F_MTU | 1ull << VIRTIO_NET_F_MAC | 1ull << VIRTIO_NET_F_MRG_RXBUF |
		     1ull << VIRTIO_NET_F_STATUS | 1ull << VIRTIO_NET_F_CTRL_VQ |
		     1ull << VIRTIO_NET_F_CTRL_RX | 1ull << VIRTIO_NET_F_CTRL_VLAN |
		     1ull << VIRTIO_NET_F_GUEST_ANNOUNCE | 1ull << VIRTIO_NET_F_CTRL_MAC_ADDR;

	if (net->npairs > 1)
		f |= 1ull << VIRTIO_NET_F_MQ;
	if (cfg->speed)
		f |= 1ull << VIRTIO_NET_F_SPEED_DUPLEX;
	for (unsigned i = 0; i < OFFLOADS; i++)
		if ((net->tap.can & offload[i].tap) == offload[i].tap)
			f |= 1ull << offload[i].guest | 1ull << offload[i].host;
	if (net->tap.can & TAP_CSUM)
		f |= 1ull << VIRTIO_NET_F_CTRL_GUEST_OFFLOADS;
	return f;
}

/* ---- configuration space: the home loop's to change ---- */

void net_set_mac(struct net *net, const uint8_t mac[6])
{
	if (memcmp(net->dev.config + offsetof(struct virtio_net_config, mac), mac, 6) != 0)
		virtio_config_put(&net->dev, offsetof(struct virtio_net_config, mac), mac, 6);
}

void net_set_status(struct net *net, uint16_t clear, uint16_t set)
{
	unsigned off = offsetof(struct virtio_net_config, status);
	uint16_t was, now;

	memcpy(&was, net->dev.config + off, sizeof(was));
	now = (was & ~clear) | set;
	if (now == was)
		return;
	virtio_config_put(&net->dev, off, &now, sizeof(now));
	/* That its announcement was heard, the driver has said itself. */
	if (net_has(net, VIRTIO_NET_F_STATUS) && (set || clear & VIRTIO_NET_S_LINK_UP))
		virtio_config_changed(&net->dev);
}

static void fill_config(struct net *net, const struct net_config *cfg)
{
	struct virtio_net_config c = {
		.status = net->tap.link == TAP_UP ? VIRTIO_NET_S_LINK_UP : 0,
		.max_virtqueue_pairs = net->npairs,
		.mtu = net->tap.mtu,
		.speed = cfg->speed ? cfg->speed : UINT32_MAX,
		.duplex = cfg->speed ? FULL_DUPLEX : 0xff,
	};

	memcpy(c.mac, net->own_mac, 6);
	memcpy(net->dev.config, &c, CONFIG_LEN);
	net->dev.config_len = CONFIG_LEN;
}

void net_default_mac(uint8_t mac[6], const char *machine, const char *host, const char *tap)
{
	char text[256];
	uint64_t h;

	snprintf(text, sizeof(text), "%s/%s/%s", machine, host, tap);
	h = hash_text(text);
	mac[0] = 0x02;
	for (unsigned i = 1; i < 6; i++)
		mac[i] = h >> (8 * i);
}

/* Machines are cloned with their names, and containers of one machine have its machine-id or none: both count. */
static void derive_mac(uint8_t mac[6], const char *tap)
{
	char machine[64], host[65] = "";

	hostfile_text("", "/etc/machine-id", machine, sizeof(machine)); /* "" where there is none */
	gethostname(host, sizeof(host) - 1);
	net_default_mac(mac, machine, host, tap);
}

/* ---- pairs ---- */

static void tap_ready(struct loop_ev *ev, uint32_t events)
{
	struct net_pair *pair = container_of(ev, struct net_pair, ev);

	if (pair->rx.dry)
		virtio_again(&pair->net->dev, 2 * pair->index);
	if (pair->tx.kept_n)
		virtio_again(&pair->net->dev, 2 * pair->index + 1);
}

int net_pair_watch_anew(struct net_pair *pair)
{
	int err;

	loop_unwatch(pair->loop, &pair->ev);
	err = loop_watch(pair->loop, &pair->ev, pair->tap->fd[pair->index], EPOLLIN | EPOLLOUT);
	return err ? log_errno(err, "%s: pair %u: watching its tap", pair->net->dev.name, pair->index) : 0;
}

int net_pair_watch(struct net_pair *pair)
{
	return pair->rx_on || pair->tx_on ? 0 : net_pair_watch_anew(pair);
}

static void pair_off(struct net_pair *pair, bool *on)
{
	*on = false;
	if (!pair->rx_on && !pair->tx_on)
		loop_unwatch(pair->loop, &pair->ev);
}

static void nudged(struct loop_call *call)
{
	struct net_pair *pair = container_of(call, struct net_pair, nudge);

	atomic_store(&pair->nudged, false);
	/* A tap that was gone when it was begun to be watched says nothing when it is back. */
	if (pair->rx_on || pair->tx_on)
		net_pair_watch_anew(pair);
	tap_ready(&pair->ev, 0);
}

void net_pair_nudge(struct net_pair *pair)
{
	if (!atomic_exchange(&pair->nudged, true))
		loop_post(pair->loop, &pair->nudge);
}

/* ---- the device ---- */

static enum net_role role(const struct net *net, unsigned q)
{
	if (q == net->ctrl)
		return NET_CTRL;
	if (q >= 2 * net->npairs)
		return NET_NONE;
	return q % 2 ? NET_TX : NET_RX;
}

/* Nothing runs yet. Where the control queue is depends on what was negotiated (5.1.2), and so does whose it
 * is. */
static int net_start(struct virtio_dev *dev)
{
	struct net *net = net_of(dev);
	bool mq = dev->features >> VIRTIO_NET_F_MQ & 1;
	int err;

	net->features = dev->features;
	net->mergeable = net_has(net, VIRTIO_NET_F_MRG_RXBUF);
	net->tx_csum = net_has(net, VIRTIO_NET_F_CSUM);
	net->tx_gso = tx_gso(dev->features);
	net->ctrl = mq ? 2 * net->npairs : 2;
	if (!net_has(net, VIRTIO_NET_F_CTRL_VQ))
		net->ctrl = dev->nvq;
	for (unsigned q = 0; q < dev->nvq; q++) {
		enum net_role what = role(net, q);

		dev->queue[q].loop = what == NET_RX || what == NET_TX ? net->pair[q / 2].loop : dev->loop;
	}
	atomic_store(&net->rx_gso, net_rx_gso(dev->features));
	net_ctrl_reset(net);
	err = tap_active(&net->tap, 1);
	if (!err)
		err = tap_offload(&net->tap, net_tap_offload(dev->features));
	for (unsigned i = 0; i < net->npairs; i++)
		net_rx_start(&net->pair[i]);
	return err;
}

static int net_kick(struct virtio_dev *dev, unsigned q)
{
	struct net *net = net_of(dev);

	switch (role(net, q)) {
	case NET_RX:
		return net_rx_kick(&net->pair[q / 2]);
	case NET_TX:
		return net_tx_kick(&net->pair[q / 2]);
	case NET_CTRL:
		return net_ctrl_kick(net);
	default:
		return VIRTIO_STALLED;
	}
}

static void net_stop(struct virtio_dev *dev, unsigned q, struct done *done)
{
	struct net *net = net_of(dev);
	enum net_role what = role(net, q);
	struct net_pair *pair = &net->pair[q / 2];

	if (what == NET_RX) {
		net_rx_stop(pair);
		pair_off(pair, &pair->rx_on);
	} else if (what == NET_TX) {
		net_tx_stop(pair);
		pair_off(pair, &pair->tx_on);
	} else if (what == NET_CTRL) {
		net_set_mac(net, net->own_mac);
		net_set_status(net, VIRTIO_NET_S_ANNOUNCE, 0);
	}
	done->fn(done);
}

/* Home loop. What was lost meanwhile is the network's; that the guest is there again, it has to say itself.
 */
static void link_changed(struct tap *tap, enum tap_link was)
{
	struct net *net = container_of(tap, struct net, tap);
	bool up = tap->link == TAP_UP;

	/* Cables are pulled on purpose; taps go with the program that made them, or by mistake. */
	log_line((tap->link == TAP_GONE || was == TAP_GONE) && log_few(&net->said) ? LOG_NOTICE : LOG_INFO, "%s: tap %s is %s",
		net->dev.name, tap->name, tap_link_name(tap->link));
	if (was == TAP_GONE)
		net_ctrl_filter(net);
	if (!up)
		net_set_status(net, VIRTIO_NET_S_LINK_UP | VIRTIO_NET_S_ANNOUNCE, 0);
	else if (net_has(net, VIRTIO_NET_F_GUEST_ANNOUNCE))
		net_set_status(net, 0, VIRTIO_NET_S_LINK_UP | VIRTIO_NET_S_ANNOUNCE);
	else
		net_set_status(net, 0, VIRTIO_NET_S_LINK_UP);
	for (unsigned i = 0; i < net->npairs; i++)
		net_pair_nudge(&net->pair[i]);
}

static void pair_destroy(struct net_pair *pair)
{
	if (pair->loop) {
		loop_timer_cancel(pair->loop, &pair->rx.timer);
		loop_unwatch(pair->loop, &pair->ev);
	}
	free(pair->rx.iovs);
	free(pair->rx.bufs);
	free(pair->tx.iov);
}

static void net_destroy(struct virtio_dev *dev)
{
	struct net *net = net_of(dev);

	for (unsigned i = 0; net->pair && i < net->npairs; i++)
		pair_destroy(&net->pair[i]);
	free(net->pair);
	free(net->mac);
	free(net->ctrl_iov);
	virtio_fini(dev);
	tap_close(&net->tap);
	free(net);
}

/* 5.1.3.1 */
static const struct virtio_need net_needs[] = {
	{VIRTIO_NET_F_GUEST_TSO4, 1ull << VIRTIO_NET_F_GUEST_CSUM},
	{VIRTIO_NET_F_GUEST_TSO6, 1ull << VIRTIO_NET_F_GUEST_CSUM},
	{VIRTIO_NET_F_GUEST_ECN, 1ull << VIRTIO_NET_F_GUEST_TSO4 | 1ull << VIRTIO_NET_F_GUEST_TSO6},
	{NET_F_GUEST_USO4, 1ull << VIRTIO_NET_F_GUEST_CSUM},
	{NET_F_GUEST_USO6, 1ull << VIRTIO_NET_F_GUEST_CSUM},
	{VIRTIO_NET_F_HOST_TSO4, 1ull << VIRTIO_NET_F_CSUM},
	{VIRTIO_NET_F_HOST_TSO6, 1ull << VIRTIO_NET_F_CSUM},
	{VIRTIO_NET_F_HOST_ECN, 1ull << VIRTIO_NET_F_HOST_TSO4 | 1ull << VIRTIO_NET_F_HOST_TSO6},
	{NET_F_HOST_USO, 1ull << VIRTIO_NET_F_CSUM},
	{VIRTIO_NET_F_CTRL_RX, 1ull << VIRTIO_NET_F_CTRL_VQ},
	{VIRTIO_NET_F_CTRL_VLAN, 1ull << VIRTIO_NET_F_CTRL_VQ},
	{VIRTIO_NET_F_GUEST_ANNOUNCE, 1ull << VIRTIO_NET_F_CTRL_VQ},
	{VIRTIO_NET_F_MQ, 1ull << VIRTIO_NET_F_CTRL_VQ},
	{VIRTIO_NET_F_CTRL_MAC_ADDR, 1ull << VIRTIO_NET_F_CTRL_VQ},
	{VIRTIO_NET_F_CTRL_GUEST_OFFLOADS, 1ull << VIRTIO_NET_F_CTRL_VQ},
	{0},
};

static const struct virtio_ops net_ops = {
	.id = VIRTIO_ID_NET,
	.nvq = 3,
	.needs = net_needs,
	.start = net_start,
	.kick = net_kick,
	.stop = net_stop,
	.destroy = net_destroy,
};

static int pairs_create(struct net *net, struct loop *const *loops, unsigned nloops, unsigned queue_max)
{
	int err = 0;

	net->pair = calloc(net->npairs, sizeof(*net->pair));
	net->mac = calloc(NET_MACS, sizeof(*net->mac));
	net->ctrl_iov = calloc(queue_max, sizeof(*net->ctrl_iov));
	if (!net->pair || !net->mac || !net->ctrl_iov)
		return -ENOMEM;
	for (unsigned i = 0; !err && i < net->npairs; i++) {
		struct net_pair *pair = &net->pair[i];

		pair->net = net;
		pair->tap = &net->tap;
		pair->index = i;
		pair->loop = loops[i % nloops];
		pair->ev.fn = tap_ready;
		pair->nudge.fn = nudged;
		err = net_rx_create(pair, queue_max);
		if (!err)
			err = net_tx_create(pair, queue_max);
	}
	return err;
}

int virtio_net_create(struct virtio_dev **dev, const char *name, const struct guest_mem *mem,
	struct loop *const *loops, unsigned nloops, const struct net_config *cfg)
{
	static const uint8_t none[6];
	struct net *net = calloc(1, sizeof(*net));
	int err;

	if (!net)
		return log_errno(-ENOMEM, "%s", name);
	err = tap_open(&net->tap, cfg);
	if (err) {
		free(net);
		return err; /* logged */
	}
	net->npairs = cfg->pairs;
	err = virtio_init(&net->dev, &net_ops, name, mem, loops[0], 2 * cfg->pairs + 1, cfg->queue_size);
	if (!err) {
		err = pairs_create(net, loops, nloops, cfg->queue_size);
		err = err ? log_errno(err, "%s: %u queue pairs of %u", name, cfg->pairs, cfg->queue_size)
			  : tap_watch(&net->tap, loops[0], link_changed);
	}
	if (err) {
		net_destroy(&net->dev);
		return err;
	}
	for (unsigned i = 0; i < 2 * cfg->pairs; i++)
		net->dev.queue[i].limit_of = i % 2; /* in each direction */
	virtio_limits_init(&net->dev, &net->limits,
		&(struct limit_rates){cfg->bps, cfg->bps_burst, cfg->pps, cfg->pps_burst});
	if (memcmp(cfg->mac, none, sizeof(none)) != 0)
		memcpy(net->own_mac, cfg->mac, sizeof(net->own_mac));
	else
		derive_mac(net->own_mac, net->tap.name);
	net->dev.offered |= offer(net, cfg);
	fill_config(net, cfg);
	*dev = &net->dev;
	return 0;
}

struct tap *virtio_net_tap(struct virtio_dev *dev)
{
	return &net_of(dev)->tap;
}

void virtio_net_mac(struct virtio_dev *dev, uint8_t mac[6])
{
	virtio_config_get(dev, offsetof(struct virtio_net_config, mac), mac, 6);
}
