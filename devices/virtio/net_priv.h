/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-net's own (virtio 1.2, 5.1): net.c (features, configuration, link, life), net_rx.c, net_tx.c,
 * net_ctrl.c. A pair belongs to its loop's thread; the control queue, the link and the configuration space to
 * the home loop's. What both look at is atomic.
 */
#ifndef PINVM_VIRTIO_NET_PRIV_H
#define PINVM_VIRTIO_NET_PRIV_H

#include <limits.h>
#include <linux/virtio_net.h>

#include "devices/virtio/devs.h"
#include "devices/virtio/limits.h"
#include "devices/virtio/ring_atomics.h"
#include "vmm/tap.h"
#include "vmm/util.h"

/* Newer than the headers of some C libraries. */
#define NET_F_GUEST_USO4   54
#define NET_F_GUEST_USO6   55
#define NET_F_HOST_USO	   56
#define NET_HDR_GSO_UDP_L4 5

#define NET_HDR	      TAP_HDR
#define NET_FRAME_MIN 14 /* bytes: an Ethernet header */
#define NET_VLAN_TAG  4
#define NET_FRAME_MAX (65535 + NET_FRAME_MIN + NET_VLAN_TAG)
#define NET_TURN      (512u << 10) /* bytes a queue moves before others on its loop have their turn */

/* A buffer taken from the receive queue and not used yet. */
struct net_buf {
	uint32_t len; /* bytes */
	uint16_t head, niov;
};

/* Whether there are buffers for the largest frame; without: whether more are waited for, or these have to do.
 */
enum net_supply { NET_ENOUGH, NET_WAITING, NET_MAKE_DO };

/*
 * Buffers are taken ahead, up to what the largest frame needs: from buf to buf_end, their segments one after
 * the other from iov to iov_end, both in arrays that are closed up when their beginning has been used.
 */
struct net_rx {
	struct virtq *vq;
	struct iovec *iov, *iov_end, *iovs;
	struct iovec *iov_front; /* up to here take_plain() goes; iovs: take() only */
	struct net_buf *buf, *buf_end, *bufs;
	uint64_t bytes, want; /* there; needed before a frame is read */
	uint64_t packet_span; /* bytes from the shortest to the longest frame that is none to be cut up */
	uint64_t enough;      /* want; NEVER: prepare() has to look at them before each frame */
	enum net_supply supply;
	bool gave_enough; /* the driver did so once */
	bool dry;	  /* waits for the tap, and for nothing else */
	struct loop_timer timer;
	size_t refuse; /* buffers that are none, which this turn may still give back */
	uint8_t spill; /* a frame that reaches it was longer than the buffers */
};

struct net_tx {
	struct virtq *vq;
	struct iovec *iov; /* [0] is always the header, the chain follows */
	struct virtq_chain kept;
	unsigned kept_at, kept_n; /* ... as it is sent; 0: there is none */
	struct virtio_net_hdr_v1 hdr;
};

struct net_pair {
	struct net *net;
	struct tap *tap;
	struct loop *loop;
	unsigned index;
	struct net_rx rx;
	struct net_tx tx;
	struct loop_ev ev; /* the tap's descriptor */
	bool rx_on, tx_on; /* those that need it */
	struct loop_call nudge;
	atomic_bool nudged;
};

enum net_role { NET_NONE, NET_RX, NET_TX, NET_CTRL };

struct net {
	struct virtio_dev dev;
	struct tap tap;
	unsigned npairs;
	struct net_pair *pair; /* [npairs] */
	unsigned ctrl;	       /* its queue; nvq: there is none */
	bool mergeable;
	bool tx_csum;
	uint32_t tx_gso; /* 1 << type: what the guest may ask for */
	struct virtio_limits limits;
	uint64_t features; /* as dev.features was at the last start: that one is the transport's until the
			      next */

	_Atomic uint32_t rx_gso; /* 1 << type, NET_RX_CSUM, NET_RX_ECN: what it takes */
	atomic_bool vlan_filter;
	_Atomic uint32_t vlan[4096 / 32];

	/* The home loop's. */
	bool promisc, all_multicast, table_full;
	uint8_t (*mac)[6]; /* those of the two tables, unicast first */
	unsigned nmac;
	struct iovec *ctrl_iov; /* [queue_max] */
	uint8_t own_mac[6];	/* at power-on */
	atomic_uint said;	/* that the tap went or came back */
};

#define NET_RX_CSUM (1u << 30)
#define NET_RX_ECN  (1u << 31)
#define NET_MACS    256 /* addresses the tables hold; with more nothing is filtered */

static inline struct net *net_of(struct virtio_dev *dev)
{
	return (struct net *)dev;
}

static inline bool net_has(const struct net *net, unsigned feature)
{
	return net->features >> feature & 1;
}

/* A frame that went nowhere. Any of the device's threads; not in the way of those that went through. */
static inline void net_drop(struct net *net)
{
	atomic_fetch_add_explicit(&net->dev.dropped, 1, memory_order_relaxed);
}

int net_rx_create(struct net_pair *pair, unsigned queue_max);
void net_rx_start(struct net_pair *pair);
int net_rx_kick(struct net_pair *pair);
void net_rx_stop(struct net_pair *pair);

int net_tx_create(struct net_pair *pair, unsigned queue_max);
int net_tx_kick(struct net_pair *pair);
void net_tx_stop(struct net_pair *pair);

/* Hear of the tap from now on. 0 or -errno. */
int net_pair_watch_anew(struct net_pair *pair); /* ... and of what it is now, too */
int net_pair_watch(struct net_pair *pair);
/* Any thread: look at both queues again. */
void net_pair_nudge(struct net_pair *pair);

/*
 * An address nobody gave, made of /etc/machine-id and of the names of host and tap, so that it is the same each time, and
 * another one for each tap of a host and for each host of a network (locally administered).
 */
void net_default_mac(uint8_t mac[6], const char *machine, const char *host, const char *tap);

int net_ctrl_kick(struct net *net);
/* As after a reset: everything passes. */
void net_ctrl_reset(struct net *net);
/* Tell the tap what is wanted, again. */
void net_ctrl_filter(struct net *net);
/* What of rx_gso these features stand for, and the tap's word for it. */
uint32_t net_rx_gso(uint64_t features);
unsigned net_tap_offload(uint64_t features);

/* Home loop: `status` of the configuration space: clear and set bits, and tell the driver. */
void net_set_status(struct net *net, uint16_t clear, uint16_t set);
void net_set_mac(struct net *net, const uint8_t mac[6]);

#endif
