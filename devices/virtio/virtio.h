/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio device: a function of (guest memory, virtqs, kick and call events, back end). It never sees KVM, a
 * transport or a register. Transport calls (virtio_start ... virtio_stop) come from vCPU threads under the
 * transport's mutex and only post to the loops; ops run on the loops' threads.
 */
#ifndef PINVM_VIRTIO_H
#define PINVM_VIRTIO_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "devices/virtio/virtq.h"
#include "vmm/loop/errand.h"
#include "vmm/loop/loop.h"
#include "vmm/loop/patience.h"

#define VIRTIO_ID_NET 1
#define VIRTIO_ID_BLK 2
#define VIRTIO_ID_RNG 4

/* Completion of something asynchronous. fn runs once, on any thread. */
struct done {
	void (*fn)(struct done *done);
};

struct virtio_dev;

/* What kick() says when it must not be called again before virtio_resume(). */
#define VIRTIO_STALLED 1
/* ... when it must be, though no chain may be waiting in the ring. */
#define VIRTIO_AGAIN   2

/* A feature that means nothing without one of others: 1 << number each. */
struct virtio_need {
	uint8_t feature;
	uint64_t any;
};

struct virtio_ops {
	uint16_t id, nvq;
	const struct virtio_need *needs; /* ends with any = 0; NULL: none */
	/* Home loop, before any queue runs: features and config are frozen. 0 or -errno (NEEDS_RESET). May be
	 * NULL. */
	int (*start)(struct virtio_dev *dev);
	/*
	 * The queue's loop: chains may be waiting. Handles at most one queue size of them; virtio.c calls
	 * again while there are more, in turn with everything else on that loop, and flushes what was pushed
	 * at the end of each round. 0; -EPROTO from virtq_pop() is given back, virtio.c sets NEEDS_RESET and
	 * stops the queue; VIRTIO_STALLED: the rest stays in the ring, no kicks wanted, until the device
	 * calls virtio_resume(); VIRTIO_AGAIN: there is work that the ring does not show.
	 */
	int (*kick)(struct virtio_dev *dev, unsigned q);
	/* The queue's loop: take no new chains; call done when nothing of this queue is in flight (may be at
	 * once). The ring is dead already: virtq_push() still gives heads back, and nothing is written.
	 * Called for queues that ran. */
	void (*stop)(struct virtio_dev *dev, unsigned q, struct done *done);
	/* vCPU thread, under the transport mutex: the guest wrote config space; off + len is inside
	 * config_len. May be NULL. */
	void (*write_config)(struct virtio_dev *dev, uint32_t off, const void *data, unsigned len);
	/* vCPU thread, under the transport mutex: config fields the guest may write take their first values.
	 * features: those negotiated, at DRIVER_OK; 0 at reset. May be NULL. */
	void (*settle)(struct virtio_dev *dev, uint64_t features);
	void (*destroy)(struct virtio_dev *dev);
};

/* How a guest reaches a device: virtio pci.c or mmio.c, or a test. It owns the device it was made for. */
struct virtio_transport {
	/* What a device tells its transport: any thread, lock-free. */
	void (*notify)(struct virtio_transport *t, unsigned q, struct loop *loop);
	void (*config_changed)(struct virtio_transport *t);
	void (*needs_reset)(struct virtio_transport *t);
	/*
	 * What main tells it. reset: as at power-on, while no vCPU runs; loops keep running. 0, or -ETIMEDOUT
	 * (logged) when the device has not drained in 10 s: what is in flight may still write guest RAM, and
	 * reads the device's memory, so neither may be used for anything else or freed; its status reads
	 * non-zero until it has drained. ask_reset() only begins: several devices that were asked before the
	 * first is waited for drain side by side, within the same 10 s. destroy: after vCPUs and loops have
	 * ended their threads; the device goes too.
	 */
	void (*ask_reset)(struct virtio_transport *t);
	int (*reset)(struct virtio_transport *t);
	void (*destroy)(struct virtio_transport *t);
};

struct limits;
struct virtio_limits;

/* How long requests were with the device, for who asked for it: virtio_time(). The queue's loop's thread writes. */
#define VIRTIO_BUCKETS 32

struct virtio_times {
	uint64_t round; /* the clock's time, read once between two flushes; 0: not yet */
	_Atomic uint64_t sum;
	_Atomic uint64_t histogram[VIRTIO_BUCKETS]; /* of nanoseconds: log2_bucket() */
};

/* What a queue waits for, on its loop's thread. */
struct virtio_wait {
	struct patience gap[2]; /* until the driver adds a chain; until the back end is done with one, or has something */
	uint64_t since;
	uint16_t index; /* of the ring, which moves when it has come */
	bool backend, begun;
};

struct virtio_queue {
	struct virtq vq;
	struct virtq_cfg cfg;	 /* transport's */
	struct virtq_cfg frozen; /* copy of it at DRIVER_OK; base: where to continue, after a stop */
	struct loop *loop;	 /* set when the device is built */
	int kick_fd;		 /* eventfd, made by virtio_init(); never read */
	struct loop_ev kick;
	struct loop_idle idle;
	struct loop_call start_call, stop_call;
	struct loop_timer pause;
	struct done stopped;
	struct virtio_dev *dev;
	unsigned index;
	bool ready;			 /* home loop: its start was posted */
	bool live;			 /* between start and stop, on the loop's thread */
	bool watched;			 /* kicks are listened to */
	bool stalled;			 /* waits for virtio_resume() */
	bool again;			 /* kick() is due whatever the ring says */
	struct virtio_wait wait;	 /* of a loop that polls */
	_Atomic uint64_t kicks, signals; /* events in, interrupts out */
	_Atomic uint64_t limited;	 /* virtio_pause() */
	struct virtio_times *times;	 /* NULL: not taken */
	struct limits *limits;		 /* the queue's loop: what it asks before it takes a chain; NULL: nothing */
	struct limits *limits_next;	 /* ... and is to ask when `limit` has run there (limits.h) */
	struct errand limit;
	int8_t limit_of; /* which of its device's limits; -1: none */
	bool paused;	 /* by virtio_pause() */
};

struct virtio_dev {
	const struct virtio_ops *ops;
	char name[32]; /* "disk0", "rng": for messages and reports */
	const struct guest_mem *mem;
	struct loop *loop; /* home */
	uint64_t offered;  /* VIRTIO_F_VERSION_1, RING_EVENT_IDX and RING_INDIRECT_DESC included */
	uint64_t features; /* negotiated; the transport's until start, then frozen */
	unsigned nvq;
	uint16_t queue_max;
	struct virtio_queue *queue; /* [nvq] */
	uint8_t config[64]; /* device configuration as the guest reads it; written by the device under its
			       rules */
	unsigned config_len;
	_Atomic uint32_t config_gen; /* virtio_config_generation() */
	_Atomic bool config_busy;    /* a change has begun */
	struct virtio_limits *limits; /* limits.h, main's; NULL: such a device has none */
	struct virtio_transport *transport;
	struct loop_call start_call, stop_call; /* home loop's part of starting and stopping */
	bool started;		  /* transport's mutex: virtio_start() was not followed by a stop */
	_Atomic bool stopping;	  /* from virtio_stop() until drained */
	_Atomic unsigned pending; /* queues that have not drained */
	struct done *on_stopped;
	_Atomic bool broken;	  /* NEEDS_RESET was reported since the last reset */
	atomic_uint complaints;	  /* lines logged about the driver: log_few() */
	_Atomic uint64_t dropped; /* frames of a network that went nowhere; any loop's thread */
	_Atomic uint64_t errors;  /* the host failed to do what the guest asked for; count_add(), by one
				     loop's thread */
};

/* wait.c, for a queue's loop_idle. */
uint64_t virtio_wait_expect(struct loop_idle *idle, uint64_t now, uint64_t came, uint64_t price_ns);
bool virtio_wait_look(const struct loop_idle *idle);

/* For devices: set up the common part (queues all on `loop` until changed, kick eventfds, offered: VERSION_1
 * and the ring features, to which the device adds its own). dev is zeroed memory. 0 or -errno (logged). */
int virtio_init(struct virtio_dev *dev, const struct virtio_ops *ops, const char *name,
	const struct guest_mem *mem, struct loop *loop, unsigned nvq, uint16_t queue_max);
/* By main, before the loops run: take the times of requests, as far as the device does that. 0 or -ENOMEM. */
int virtio_time(struct virtio_dev *dev);
/* By main, before the loops are destroyed, while nothing runs them. */
void virtio_fini(struct virtio_dev *dev);

/* For devices, on the queue's loop: publish pushed chains and interrupt the guest if it wants that. virtio.c
 * does so at the end of every round of the loop, so that a batch is one interrupt; call it only where sooner
 * is better. */
void virtio_flush(struct virtio_dev *dev, unsigned q);
/* For devices, on the queue's loop: what kick() was stalled for has come; it is called again before the loop
 * sleeps. */
void virtio_resume(struct virtio_dev *dev, unsigned q);
/* For devices that take times, on the queue's loop: now, exact to a round of the loop; and a request that came
 * then has been pushed. */
uint64_t virtio_time_now(struct virtio_queue *q);
void virtio_time_add(struct virtio_queue *q, uint64_t since);
/* For kick(), when the device's limits say so: counts it, and resumes after ns, unless the queue is stopped
 * meanwhile. Returns VIRTIO_STALLED, for kick() to return. */
int virtio_pause(struct virtio_dev *dev, unsigned q, uint64_t ns);
/* The same, and it is called at once, even if no chain is waiting in the ring. Not from within kick(). */
void virtio_again(struct virtio_dev *dev, unsigned q);
/* For devices, by one thread at a time: change what a driver may be reading. begin, store and end are the
 * steps of put. */
void virtio_config_put(struct virtio_dev *dev, unsigned off, const void *data, unsigned len);
void virtio_config_begin(struct virtio_dev *dev);
void virtio_config_store(struct virtio_dev *dev, unsigned off, const void *data, unsigned len);
void virtio_config_end(struct virtio_dev *dev);
/* Bytes of one moment, inside of config. Any thread, lock-free. */
void virtio_config_get(struct virtio_dev *dev, unsigned off, uint8_t *data, unsigned len);
/* For devices, any thread. */
void virtio_config_changed(struct virtio_dev *dev);
void virtio_needs_reset(struct virtio_dev *dev, const char *why); /* logs once per reset */

/*
 * For transports, under their mutex. start: DRIVER_OK was written.
 * stop: `done` fires when every started queue has drained and no ring and no buffer will be touched any more;
 * at once, before virtio_stop() returns, when the device was not running, otherwise on a loop's thread. While
 * a stop is running another one is ignored (the first `done` will fire), and a start is refused with
 * NEEDS_RESET: a device that a transport stopped waiting for cannot be used before it has drained after all.
 */
void virtio_start(struct virtio_dev *dev);
void virtio_stop(struct virtio_dev *dev, struct done *done);
/* Another one than before when what was read since then is not all of one moment (2.5.3). Any thread,
 * lock-free. */
uint32_t virtio_config_generation(struct virtio_dev *dev);
/* A subset of what was offered, VERSION_1 included, in which nothing lacks what it needs (2.2.2). */
bool virtio_features_ok(const struct virtio_dev *dev, uint64_t wanted);

#endif
