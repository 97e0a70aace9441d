/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-net for bare-metal guests: receive buffers of one size that are given back as soon as a frame was
 * taken, frames to send copied into slots. Queue 0 and 1, and 2 for commands. One CPU's at a time.
 */
#ifndef PINVM_TESTS_GUEST_NET_H
#define PINVM_TESTS_GUEST_NET_H

#include <linux/virtio_net.h>

#include "tests/guest/lib/virtio.h"

#define NET_ID	  1
#define NET_HDR	  12
#define NET_SLOT  2048
#define NET_LARGE (64 * 1024 + 2048) /* what the one large slot holds */
#define NET_RING  256
#define F_NET(x)  (1ull << VIRTIO_NET_F_##x)

struct net {
	struct vdev v;
	struct vq rx, tx, ctrl;
	unsigned buf_len;
	uint8_t *buf;  /* [NET_RING] of buf_len */
	uint8_t *slot; /* [NET_RING] of NET_SLOT, then the large one; descriptor i and slot i belong together
			*/
	unsigned busy; /* frames being sent */
	unsigned next; /* slot */
	uint8_t mac[6];
};

/* Open, negotiate, all receive buffers given. With an entry for both queues, as for vq_open(). */
bool net_open(struct net *n, uint64_t features, unsigned buf_len, unsigned entry);
/* The same again after vdev_reset(). */
void net_start(struct net *n, uint64_t features, unsigned entry);
/* A frame behind its header into a free slot, made available and not published. hdr NULL: of zeros. */
void net_send(struct net *n, const struct virtio_net_hdr_v1 *hdr, const void *frame, uint32_t len);
/* Slots that came back. */
unsigned net_sent(struct net *n);
/* Publish, and wait by looking until all have. */
void net_drain(struct net *n);
/* The next frame: its length without the header, or 0; its buffers are given back, not published. */
uint32_t net_take(struct net *n, struct virtio_net_hdr_v1 *hdr, void *frame, uint32_t room);
/* A command of class, cmd and data. Its answer. */
uint8_t net_command(struct net *n, uint8_t class, uint8_t cmd, const void *data, uint32_t len);
/* Read n->mac again, after a command that changed it: each byte is an exit, so not for each frame. */
void net_learn_mac(struct net *n);

#endif
