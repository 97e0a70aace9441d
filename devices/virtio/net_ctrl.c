// SPDX-License-Identifier: Apache-2.0
/*
 * The control queue of virtio-net (virtio 1.2, 5.1.6.5): what the guest wants to receive, its address,
 * offloads, the number of pairs in use. Commands are read by bytes, whatever the framing; a command that is
 * not understood, or was not negotiated, is answered with an error. Runs on the home loop.
 *
 * Unicast and multicast filters are the tap's own, in the kernel; only VLANs are sorted out here, in
 * net_rx.c.
 */
#include <errno.h>
#include <string.h>

#include "devices/virtio/net_priv.h"
#include "vmm/log.h"

#define CTRL_QUEUE_TURN                                                                                      \
	1		    /* a command before others have their turn: some take milliseconds in the kernel \
			     */
#define TABLE_MAX_MACS 4096 /* longer tables are refused unread */

/* What is left of a command. */
struct command {
	struct iovec *iov;
	unsigned n;
	uint64_t left;
};

/* Exactly these bytes and no others. */
static bool only(struct command *c, void *dst, size_t len)
{
	return c->left == len && iov_take(&c->iov, &c->n, dst, len) == len;
}

void net_ctrl_filter(struct net *net)
{
	static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	uint8_t mac[NET_MACS + 2][6];
	unsigned n = 0;

	if (!net->promisc && !net->table_full) {
		memcpy(mac[n++], net->dev.config, 6);
		memcpy(mac[n++], broadcast, 6);
		for (unsigned i = 0; i < net->nmac; i++)
			memcpy(mac[n++], net->mac[i], 6);
	}
	/* What the tap cannot filter passes: a filter is the driver's wish to see less, never a wall. */
	(void)!tap_filter(&net->tap, mac, n, net->all_multicast);
}

void net_ctrl_reset(struct net *net)
{
	net->promisc = true;
	net->all_multicast = net->table_full = false;
	net->nmac = 0;
	for (unsigned i = 0; i < sizeof(net->vlan) / sizeof(net->vlan[0]); i++)
		atomic_store_explicit(&net->vlan[i], 0, memory_order_relaxed);
	atomic_store(&net->vlan_filter, net_has(net, VIRTIO_NET_F_CTRL_VLAN));
	net_set_mac(net, net->own_mac);
	net_ctrl_filter(net);
}

static bool rx_mode(struct net *net, uint8_t cmd, struct command *c)
{
	uint8_t on;

	if (!net_has(net, VIRTIO_NET_F_CTRL_RX) || !only(c, &on, 1))
		return false;
	if (cmd == VIRTIO_NET_CTRL_RX_PROMISC)
		net->promisc = on;
	else if (cmd == VIRTIO_NET_CTRL_RX_ALLMULTI)
		net->all_multicast = on;
	else
		return false;
	net_ctrl_filter(net);
	return true;
}

/* One of the two tables, added to what is there; those that do not fit are counted off. */
static bool take_table(struct net *net, struct command *c, bool *full)
{
	uint32_t n;

	if (c->left < sizeof(n) || iov_take(&c->iov, &c->n, &n, sizeof(n)) != sizeof(n))
		return false;
	c->left -= sizeof(n);
	if (n > TABLE_MAX_MACS || n > c->left / 6)
		return false;
	c->left -= 6ull * n;
	for (; n; n--) {
		uint8_t mac[6];

		iov_take(&c->iov, &c->n, mac, 6);
		if (net->nmac < NET_MACS)
			memcpy(net->mac[net->nmac++], mac, 6);
		else
			*full = true;
	}
	return true;
}

static bool mac_table(struct net *net, struct command *c)
{
	bool full = false, ok;

	if (!net_has(net, VIRTIO_NET_F_CTRL_RX))
		return false;
	net->nmac = 0;
	ok = take_table(net, c, &full); /* unicast */
	ok = ok && take_table(net, c, &full) && !c->left; /* multicast */
	/* A table that made no sense must not hide anything. */
	net->table_full = full || !ok;
	net_ctrl_filter(net);
	return ok;
}

static bool mac_address(struct net *net, struct command *c)
{
	uint8_t mac[6];

	if (!net_has(net, VIRTIO_NET_F_CTRL_MAC_ADDR) || !only(c, mac, 6))
		return false;
	net_set_mac(net, mac);
	net_ctrl_filter(net);
	return true;
}

static bool vlan(struct net *net, uint8_t cmd, struct command *c)
{
	uint8_t le[2];
	unsigned vid;

	if (!net_has(net, VIRTIO_NET_F_CTRL_VLAN) || !only(c, le, 2))
		return false;
	vid = le[0] | le[1] << 8;
	if (vid >= 4096 || cmd > VIRTIO_NET_CTRL_VLAN_DEL)
		return false;
	if (cmd == VIRTIO_NET_CTRL_VLAN_ADD)
		atomic_fetch_or(&net->vlan[vid / 32], 1u << vid % 32);
	else
		atomic_fetch_and(&net->vlan[vid / 32], ~(1u << vid % 32));
	return true;
}

static bool pairs(struct net *net, uint8_t cmd, struct command *c)
{
	uint8_t le[2];
	unsigned n;

	if (!net_has(net, VIRTIO_NET_F_MQ) || cmd != VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET || !only(c, le, 2))
		return false;
	n = le[0] | le[1] << 8;
	if (!n || n > net->npairs || tap_active(&net->tap, n))
		return false;
	for (unsigned i = 0; i < n; i++)
		net_pair_nudge(&net->pair[i]);
	return true;
}

static bool announced(struct net *net, uint8_t cmd, struct command *c)
{
	if (!net_has(net, VIRTIO_NET_F_GUEST_ANNOUNCE) || cmd != VIRTIO_NET_CTRL_ANNOUNCE_ACK || c->left)
		return false;
	net_set_status(net, VIRTIO_NET_S_ANNOUNCE, 0);
	return true;
}

/* Any of those that were negotiated, no others. */
static bool offloads(struct net *net, uint8_t cmd, struct command *c)
{
	const uint64_t all = 1ull << VIRTIO_NET_F_GUEST_CSUM | 1ull << VIRTIO_NET_F_GUEST_TSO4 |
			     1ull << VIRTIO_NET_F_GUEST_TSO6 | 1ull << VIRTIO_NET_F_GUEST_ECN |
			     1ull << NET_F_GUEST_USO4 | 1ull << NET_F_GUEST_USO6;
	uint64_t want = 0;
	uint32_t was;
	uint8_t le[8];
	bool ok;

	if (!net_has(net, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) || cmd != VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET ||
		!only(c, le, 8))
		return false;
	for (int i = 8; i--;)
		want = want << 8 | le[i];
	if (want & ~(net->features & all))
		return false;
	/* Frames of a kind that is new may come before the call returns, of one that is not allowed any more
	 * only after. */
	was = atomic_fetch_or(&net->rx_gso, net_rx_gso(want));
	ok = !tap_offload(&net->tap, net_tap_offload(want));
	atomic_store(&net->rx_gso, ok ? net_rx_gso(want) : was);
	return ok;
}

static bool obey(struct net *net, struct command *c)
{
	uint8_t head[2]; /* class, command */

	if (c->left < 2 || iov_take(&c->iov, &c->n, head, 2) != 2)
		return false;
	c->left -= 2;
	switch (head[0]) {
	case VIRTIO_NET_CTRL_RX:
		return rx_mode(net, head[1], c);
	case VIRTIO_NET_CTRL_MAC:
		if (head[1] == VIRTIO_NET_CTRL_MAC_TABLE_SET)
			return mac_table(net, c);
		return head[1] == VIRTIO_NET_CTRL_MAC_ADDR_SET && mac_address(net, c);
	case VIRTIO_NET_CTRL_VLAN:
		return vlan(net, head[1], c);
	case VIRTIO_NET_CTRL_ANNOUNCE:
		return announced(net, head[1], c);
	case VIRTIO_NET_CTRL_MQ:
		return pairs(net, head[1], c);
	case VIRTIO_NET_CTRL_GUEST_OFFLOADS:
		return offloads(net, head[1], c);
	default:
		return false;
	}
}

int net_ctrl_kick(struct net *net)
{
	struct virtq *vq = &net->dev.queue[net->ctrl].vq;
	struct iovec *iov = net->ctrl_iov;
	struct virtq_chain chain = {.iov = iov, .cap = net->dev.queue_max};

	for (unsigned n = 0; n < CTRL_QUEUE_TURN; n++) {
		struct command c;
		uint8_t ack;
		int r = virtq_pop(vq, &chain);

		if (r <= 0)
			return r;
		c = (struct command){iov, chain.nread, chain.read_len};
		ack = obey(net, &c) ? VIRTIO_NET_OK : VIRTIO_NET_ERR;
		if (chain.nwrite)
			ring_copy(iov[chain.nread].iov_base, &ack, 1);
		virtq_push(vq, chain.head, chain.nwrite ? 1 : 0);
	}
	return 0;
}
