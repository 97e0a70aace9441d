/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tap in memory, with the kernel's rules: a test puts frames in (fake_tap_arrive()), looks at those that
 * came out, makes sending fail, and moves the link. Defines the tap_* functions; include it once a program.
 */
#ifndef PINVM_TESTS_FAKE_TAP_H
#define PINVM_TESTS_FAKE_TAP_H

#include <linux/virtio_net.h>

#include "tests/unit/fake_loop.h"
#include "vmm/tap.h"

#define FAKE_TAP_FD	1000 /* of pair 0, then one up each */
#define FAKE_TAP_FRAMES 4096
#define FAKE_TAP_ALL	(TAP_CSUM | TAP_TSO4 | TAP_TSO6 | TAP_TSO_ECN | TAP_USO4 | TAP_USO6)

struct fake_frame {
	uint8_t *data; /* header and frame */
	size_t len;
	unsigned pair;
};

static struct fake_tap {
	/* A test's to set, before the device is made or while it runs. */
	int open_err, watch_err;
	unsigned can, mtu; /* 0, 0: everything, 1500 */
	bool sink;	   /* frames that are sent are counted only */
	int send_err;	   /* what the next send_errs sends return; 0: as usual */
	unsigned send_errs;
	int receive_err; /* likewise, and no frame is lost */
	unsigned receive_errs;
	int active_err, offload_err, filter_err;
	void (*meanwhile)(void); /* what another CPU does while the tap moves a frame */

	/* What became of it. */
	struct tap *tap; /* NULL: not open */
	void (*changed)(struct tap *tap, enum tap_link was);
	unsigned active, offload, all_multicast, nmac, filters;
	uint8_t mac[512][6];
	unsigned nsent, sends, receives; /* frames; calls, those that failed included */
	struct fake_frame sent[FAKE_TAP_FRAMES];
	unsigned first, next; /* what waits to be received */
	struct fake_frame waiting[FAKE_TAP_FRAMES];
} fake_tap;

/* Like a new one. Frees what it holds. */
static inline void fake_tap_reset(void)
{
	for (unsigned i = 0; i < fake_tap.nsent; i++)
		free(fake_tap.sent[i].data);
	for (; fake_tap.first != fake_tap.next; fake_tap.first++)
		free(fake_tap.waiting[fake_tap.first % FAKE_TAP_FRAMES].data);
	memset(&fake_tap, 0, sizeof(fake_tap));
}

static inline void fake_tap_forget_sent(void)
{
	while (fake_tap.nsent)
		free(fake_tap.sent[--fake_tap.nsent].data);
}

static inline unsigned fake_tap_waiting(void)
{
	return fake_tap.next - fake_tap.first;
}

/* A frame has come for the guest; it is told by fake_ready(). hdr NULL: one of zeros. */
static inline void fake_tap_put(
	unsigned pair, const struct virtio_net_hdr_v1 *hdr, const void *frame, size_t len)
{
	struct fake_frame *f = &fake_tap.waiting[fake_tap.next % FAKE_TAP_FRAMES];

	must(fake_tap_waiting() < FAKE_TAP_FRAMES);
	f->data = calloc(1, TAP_HDR + len);
	must(f->data);
	if (hdr)
		memcpy(f->data, hdr, TAP_HDR);
	memcpy(f->data + TAP_HDR, frame, len);
	f->len = TAP_HDR + len;
	f->pair = pair;
	fake_tap.next++;
}

static inline void fake_tap_arrive(
	struct loop *loop, unsigned pair, const struct virtio_net_hdr_v1 *hdr, const void *frame, size_t len)
{
	fake_tap_put(pair, hdr, frame, len);
	fake_ready(loop, FAKE_TAP_FD + (int)pair);
}

/* The link becomes that; what tap.c does on the home loop. */
static inline void fake_tap_link(enum tap_link link)
{
	enum tap_link was = fake_tap.tap->link;

	if (link == was)
		return;
	fake_tap.tap->link = link;
	fake_tap.changed(fake_tap.tap, was);
}

int tap_open(struct tap *tap, const struct net_config *cfg)
{
	if (fake_tap.open_err)
		return fake_tap.open_err;
	must(!fake_tap.tap);
	memset(tap, 0, sizeof(*tap));
	snprintf(tap->name, sizeof(tap->name), "%s", cfg->tap ? cfg->tap : "fake0");
	tap->pairs = cfg->pairs;
	for (unsigned i = 0; i < cfg->pairs; i++)
		tap->fd[i] = FAKE_TAP_FD + (int)i;
	tap->can = cfg->offload == TRI_OFF ? 0 : fake_tap.can ? fake_tap.can : FAKE_TAP_ALL;
	tap->mtu = cfg->mtu ? cfg->mtu : fake_tap.mtu ? fake_tap.mtu : 1500;
	fake_tap.tap = tap;
	fake_tap.active = 1;
	return 0;
}

void tap_close(struct tap *tap)
{
	must(fake_tap.tap == tap);
	fake_tap.tap = NULL;
}

int tap_watch(struct tap *tap, struct loop *loop, void (*changed)(struct tap *tap, enum tap_link was))
{
	fake_tap.changed = changed;
	return fake_tap.watch_err;
}

void tap_unwatch(struct tap *tap)
{
	fake_tap.changed = NULL;
}

/* The kernel's conditions (Linux, tun.c): all of them with checksums, ECN with TSO, USO for both or none. */
int tap_offload(struct tap *tap, unsigned offload)
{
	unsigned uso = offload & (TAP_USO4 | TAP_USO6);

	if (fake_tap.offload_err)
		return fake_tap.offload_err;
	if (offload & ~tap->can || (offload && !(offload & TAP_CSUM)) ||
		(offload & TAP_TSO_ECN && !(offload & (TAP_TSO4 | TAP_TSO6))) ||
		(uso && uso != (TAP_USO4 | TAP_USO6)))
		return -EINVAL;
	fake_tap.offload = offload;
	return 0;
}

int tap_active(struct tap *tap, unsigned pairs)
{
	must(pairs && pairs <= tap->pairs);
	if (fake_tap.active_err)
		return fake_tap.active_err;
	fake_tap.active = pairs;
	return 0;
}

int tap_filter(struct tap *tap, const uint8_t (*mac)[6], unsigned n, bool all_multicast)
{
	must(n <= 512);
	fake_tap.filters++;
	if (fake_tap.filter_err)
		return fake_tap.filter_err;
	fake_tap.nmac = n;
	fake_tap.all_multicast = all_multicast;
	if (n)
		memcpy(fake_tap.mac, mac, 6 * (size_t)n);
	return 0;
}

static inline size_t fake_tap_bytes(const struct iovec *iov, unsigned n)
{
	size_t len = 0;

	must(n && n <= IOV_MAX);
	for (unsigned i = 0; i < n; i++)
		len += iov[i].iov_len;
	return len;
}

/* What the kernel refuses with EINVAL. */
static inline bool fake_tap_sane(const uint8_t *data, size_t len)
{
	struct virtio_net_hdr_v1 hdr;
	unsigned type;

	if (len < TAP_HDR + 14)
		return false;
	memcpy(&hdr, data, TAP_HDR);
	type = hdr.gso_type & ~VIRTIO_NET_HDR_GSO_ECN;
	if (hdr.hdr_len > len - TAP_HDR)
		return false;
	if (hdr.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM && hdr.csum_start + hdr.csum_offset + 2u > len - TAP_HDR)
		return false;
	if (hdr.gso_type == VIRTIO_NET_HDR_GSO_NONE)
		return true;
	return hdr.gso_size &&
	       (type == VIRTIO_NET_HDR_GSO_TCPV4 || type == VIRTIO_NET_HDR_GSO_TCPV6 || type == 5);
}

static inline int fake_tap_send_error(const struct tap *tap)
{
	if (tap->link != TAP_UP)
		return tap->link == TAP_DOWN ? -EIO : -EBADFD;
	if (!fake_tap.send_errs)
		return 0;
	fake_tap.send_errs--;
	return fake_tap.send_err;
}

ssize_t tap_send(const struct tap *tap, unsigned pair, const struct iovec *iov, unsigned n)
{
	size_t len = fake_tap_bytes(iov, n), at = 0;
	int err = fake_tap_send_error(tap);
	uint8_t *data;

	must(pair < tap->pairs);
	fake_tap.sends++;
	if (fake_tap.meanwhile)
		fake_tap.meanwhile();
	if (err)
		return err;
	if (fake_tap.sink)
		return (ssize_t)len;
	data = malloc(len ? len : 1);
	must(data && fake_tap.nsent < FAKE_TAP_FRAMES);
	for (unsigned i = 0; i < n; at += iov[i++].iov_len)
		ring_copy(data + at, iov[i].iov_base, iov[i].iov_len);
	if (!fake_tap_sane(data, len)) {
		free(data);
		return -EINVAL;
	}
	fake_tap.sent[fake_tap.nsent++] = (struct fake_frame){data, len, pair};
	return (ssize_t)len;
}

/* The first that waits for that pair; those of others stay where they are. */
static inline struct fake_frame *fake_tap_find(unsigned pair)
{
	for (unsigned i = fake_tap.first; i != fake_tap.next; i++)
		if (fake_tap.waiting[i % FAKE_TAP_FRAMES].pair == pair)
			return &fake_tap.waiting[i % FAKE_TAP_FRAMES];
	return NULL;
}

static inline void fake_tap_remove(struct fake_frame *f)
{
	unsigned i = fake_tap.first;

	while (&fake_tap.waiting[i % FAKE_TAP_FRAMES] != f)
		i++;
	free(f->data);
	for (; i != fake_tap.first; i--)
		fake_tap.waiting[i % FAKE_TAP_FRAMES] = fake_tap.waiting[(i - 1) % FAKE_TAP_FRAMES];
	fake_tap.first++;
}

/* As read(2): never more than there is room for, and the rest of the frame is lost. */
ssize_t tap_receive(const struct tap *tap, unsigned pair, const struct iovec *iov, unsigned n)
{
	size_t room = fake_tap_bytes(iov, n), at = 0;
	struct fake_frame *f;

	must(pair < tap->pairs);
	fake_tap.receives++;
	if (tap->link == TAP_GONE)
		return -EBADFD;
	if (fake_tap.receive_errs) {
		fake_tap.receive_errs--;
		return fake_tap.receive_err;
	}
	f = tap->link == TAP_UP && pair < fake_tap.active ? fake_tap_find(pair) : NULL;
	if (!f)
		return -EAGAIN;
	if (room < TAP_HDR)
		return -EINVAL;
	if (room > f->len)
		room = f->len;
	for (unsigned i = 0; i < n && at < room; i++) {
		size_t part = iov[i].iov_len < room - at ? iov[i].iov_len : room - at;

		ring_copy(iov[i].iov_base, f->data + at, part);
		at += part;
	}
	fake_tap_remove(f);
	if (fake_tap.meanwhile)
		fake_tap.meanwhile();
	return (ssize_t)room;
}

#endif
