/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A split virtqueue, device side (virtio 1.2, section 2.7). Owned by one loop's thread from virtq_start() to
 * virtq_stop(); it knows guest memory and ring indices, and neither notification nor transport.
 *
 *      descriptor table          available ring (driver writes)     used ring (device writes)
 *      addr len flags next       flags idx ring[num] used_event      flags idx ring[num]{id,len} avail_event
 */
#ifndef PINVM_VIRTQ_H
#define PINVM_VIRTQ_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "vmm/memory/mem.h"

#define VIRTQ_MAX_SIZE 1024

/* What the guest wrote about a queue. The transport owns it; virtq_start() takes a checked copy. */
struct virtq_cfg {
	uint16_t num, base; /* size; index to start from (0 unless restored) */
	bool ready;
	uint64_t desc, avail, used; /* guest-physical */
};

/* Written by the owning thread only, once a flush; any thread may read. */
struct virtq_stats {
	_Atomic uint64_t pops, pushes, calls; /* chains taken, chains returned, times the guest wanted an interrupt */
	_Atomic uint64_t batches;	      /* flushes before which there were pops */
	_Atomic uint64_t to_guest, from_guest; /* bytes, as the device counts them */
};

/* All but stats and the bytes is private to virtq.c and its owner's thread. */
struct virtq {
	size_t num, mask;
	uint16_t last_avail, avail_idx; /* next to pop; where the available entries seen so far end */
	uint16_t used_idx, flushed;     /* next to push; what the guest has been told of */
	uint16_t counted;               /* pops up to here are in stats */
	uint64_t to_guest, from_guest;  /* bytes since the last flush: the device adds what it moved, its thread */
	bool running, broken; /* at most one of them */
	bool event_idx, indirect; /* negotiated */
	bool armed;               /* the next chain the driver adds is a kick for sure */
	bool quiet;               /* used.flags says NO_NOTIFY */
	const struct guest_mem *mem;
	struct mem_region near; /* where the last buffer was */
	const uint8_t *desc, *avail; /* resolved once, over the whole ring */
	uint8_t *used;
	struct virtq_stats stats;
	uint8_t busy[VIRTQ_MAX_SIZE]; /* this head is in flight */
};

/*
 * One request: the readable segments first, then the writable ones, in iov[]. The caller provides the array and its
 * capacity (at least the queue size, so that every legal chain fits; a longer one is the driver's fault). Segments of
 * length 0 are dropped.
 */
struct virtq_chain {
	struct iovec *iov;
	size_t cap;                    /* set by the caller before virtq_pop() */
	size_t head;                   /* in the descriptor table */
	size_t nread, nwrite;          /* segments */
	uint64_t read_len, write_len;  /* bytes */
};

/*
 * Check cfg (size a power of two up to VIRTQ_MAX_SIZE, alignment, rings inside RAM, no wrap) and start; counters go on.
 * features: the negotiated bits. Nothing may be in flight. Allocates nothing. 0, or -EINVAL for what a guest got wrong.
 */
int virtq_start(struct virtq *vq, const struct guest_mem *mem, const struct virtq_cfg *cfg, uint64_t features);
/* Stop; returns the index to continue from (`base`). No ring is touched afterwards: a chain that is still in flight may
 * be pushed, which only says that it is not any more. */
uint16_t virtq_stop(struct virtq *vq);

/* virtq_pop() and virtq_push(), the hot ones, are in virtq_hot.h. */

/* Take the next chain. 1: chain filled; 0: none; -EPROTO: the ring is broken (NEEDS_RESET), and stays so. */
static inline int virtq_pop(struct virtq *vq, struct virtq_chain *chain);
/* Return a chain; written: bytes really written into its writable part. Not visible before virtq_flush(). */
static inline void virtq_push(struct virtq *vq, size_t head, uint32_t written);
/* The same, for who knows that the queue runs: on the way of kick(), or having looked. */
static inline void virtq_push_running(struct virtq *vq, size_t head, uint32_t written);
/* Publish what was pushed. True: the guest wants an interrupt. */
bool virtq_flush(struct virtq *vq);
/* Ask for kicks. False: more work came meanwhile, do not sleep. */
bool virtq_sleep(struct virtq *vq);
/* Whether chains are there to be taken; asks for nothing. */
bool virtq_waiting(const struct virtq *vq);
/* Work is waiting: no kicks please (call when starting to process). */
void virtq_wake(struct virtq *vq);
/* No kicks while the ring is polled: undo what virtq_sleep() asked for. A kick may still be on its way. */
void virtq_hush(struct virtq *vq);
/* Chains popped and not pushed yet. */
static inline unsigned virtq_inflight(const struct virtq *vq)
{
	return (uint16_t)(vq->last_avail - vq->used_idx);
}

/* Copy len bytes from / to the front of an iovec list, framing ignored, and advance it. Returns bytes copied (fewer when
 * the list ends). */
size_t iov_take(struct iovec **iov, unsigned *n, void *dst, size_t len);
size_t iov_put(struct iovec **iov, unsigned *n, const void *src, size_t len);

#include "devices/virtio/virtq_hot.h"

#endif
