/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host end of a network device: a tap (Documentation/networking/tuntap.rst), one descriptor a queue pair,
 * every frame behind a virtio_net_hdr of TAP_HDR bytes. Opened by main; send and receive belong to the thread
 * that owns the pair; all else after that to the thread of the loop given to tap_watch().
 */
#ifndef PINVM_TAP_H
#define PINVM_TAP_H

#include <net/if.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "vmm/config.h"
#include "vmm/loop/loop.h"
#include "vmm/rtlink.h"

#define TAP_HDR	      12 /* bytes: with num_buffers, as virtio 1.x always has it */
#define TAP_MAX_PAIRS 16

/* What may come out of the tap: TUN_F_*, of which C libraries' headers may lack the newest. */
#define TAP_CSUM    0x01u
#define TAP_TSO4    0x02u
#define TAP_TSO6    0x04u
#define TAP_TSO_ECN 0x08u
#define TAP_USO4    0x20u
#define TAP_USO6    0x40u

enum tap_link { TAP_UP, TAP_DOWN, TAP_GONE };

static inline const char *tap_link_name(enum tap_link link)
{
	static const char *const names[] = {[TAP_UP] = "up", [TAP_DOWN] = "down", [TAP_GONE] = "gone"};

	return names[link];
}

/* What any thread may know of a tap, all of one moment. */
struct tap_view {
	char name[IFNAMSIZ];
	enum tap_link link;
	int index;		     /* of the interface; 0: not known */
	struct rtlink_counts before; /* when it was attached to */
};

/* name and link belong to the thread of the loop given to tap_watch(). */
struct tap {
	char name[IFNAMSIZ];
	unsigned pairs;
	int fd[TAP_MAX_PAIRS]; /* O_NONBLOCK */
	unsigned can;	       /* TAP_*: what this host's taps can do, both ways */
	unsigned mtu;
	enum tap_link link;
	bool made; /* by us */
	struct {
		bool multi;	  /* IFF_MULTI_QUEUE */
		bool named;	  /* by tap=: may be attached again when it comes back */
		bool elsewhere;	  /* in another network namespace, where its name means another interface or
				     none */
		int index;	  /* as in the view */
		struct rtlink_counts before;
		bool said;	  /* that others have it, since it came back */
		bool partly;	  /* it came back, and not all pairs are attached again: still TAP_GONE */
		unsigned offload; /* as set last: a tap that comes back has forgotten it */
		unsigned active;
		int netlink;
		struct loop_ev ev;
		struct loop *loop;
		void (*changed)(struct tap *tap, enum tap_link was);
		pthread_mutex_t lock; /* of view; pi_mutex.h */
		struct tap_view view; /* as it was when all of it was known last */
	} private;
};

/*
 * Open as cfg says: attach to the tap of that name, make it when there is none and we may, or take over the
 * descriptors. 0, or -errno after one logged line that names --net, the tap, and what would help. Main.
 */
int tap_open(struct tap *tap, const struct net_config *cfg);
/* A tap that was made here goes with it. */
void tap_close(struct tap *tap);

/*
 * Look at the link now, and from now on: `changed` runs on the loop's thread after tap->link has become
 * another one. A tap that was deleted and made again has been attached to again by then. Main, before the
 * loop runs. 0 or -errno, logged.
 */
int tap_watch(struct tap *tap, struct loop *loop, void (*changed)(struct tap *tap, enum tap_link was));
void tap_unwatch(struct tap *tap);
/* Any thread, from tap_watch() on. */
void tap_look(struct tap *tap, struct tap_view *view);
/* What passed, as the kernel counts it, since the tap was attached to. 0, or -errno: it is in another network namespace, or
 * gone. Any thread. */
int tap_counts(const struct tap_view *view, struct rtlink_counts *out);

/*
 * What the guest takes: TAP_* that frames may come with. 0 or -errno; then it is as before. This and the next
 * hold for a tap that is gone, too, from when it is back.
 */
int tap_offload(struct tap *tap, unsigned offload);
/* How many pairs frames come out of: 1 to pairs. 0 or -errno; then some are as before. */
int tap_active(struct tap *tap, unsigned pairs);
/*
 * Frames to these addresses only (6 bytes each; 0 of them: to all). all_multicast: and to any group. More
 * unicast addresses than the kernel compares (8 in all) let everything through, which a filter may. 0 or
 * -errno.
 */
int tap_filter(struct tap *tap, const uint8_t (*mac)[6], unsigned n, bool all_multicast);

/*
 * One frame with its header. Send: bytes or -errno (-EAGAIN: the tap's buffer is full; -EINVAL: the header is
 * nonsense; -EIO and -EBADFD: down, gone). Receive: bytes the frame has, which may be more than there was
 * room for (the rest of it is lost), -EAGAIN: there is none. n <= IOV_MAX.
 */
ssize_t tap_send(const struct tap *tap, unsigned pair, const struct iovec *iov, unsigned n);
ssize_t tap_receive(const struct tap *tap, unsigned pair, const struct iovec *iov, unsigned n);

#endif
