// SPDX-License-Identifier: Apache-2.0
/*
 * virtio-rng (virtio 1.2, 5.4): the kernel's random bytes, written straight into the guest's buffers.
 * Runs on its loop's thread and has nothing in flight between calls: getrandom() does not block once the host
 * has booted.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "devices/virtio/devs.h"
#include "devices/virtio/ring_atomics.h"
#include "vmm/log.h"
#include "vmm/util.h"

#define RNG_QUEUE   8
#define CHAIN_BYTES 65536  /* at most this much for one request: used.len says how much it was */
#define KICK_BYTES  262144 /* and for one turn, so that others on the loop have theirs */

struct rng {
	struct virtio_dev dev;
	bool complained; /* once in the life of the device: the host has no entropy */
	struct iovec iov[RNG_QUEUE];
};

static size_t fill(struct rng *rng, const struct virtq_chain *chain)
{
	size_t done = 0;

	for (unsigned i = 0; i < chain->nwrite && done < CHAIN_BYTES; i++) {
		const struct iovec *v = &chain->iov[chain->nread + i];
		size_t at = 0, want = v->iov_len < CHAIN_BYTES - done ? v->iov_len : CHAIN_BYTES - done;

		while (at < want) {
			ssize_t n = getrandom((char *)v->iov_base + at, want - at, GRND_NONBLOCK);

			if (n < 0 && errno == EINTR)
				continue;
			if (n < 0) {
				if (!rng->complained)
					log_errno(-errno, "%s: getrandom", rng->dev.name);
				rng->complained = true;
				count_add(&rng->dev.errors, 1);
				return done + at;
			}
			at += n;
		}
		done += at;
	}
	return done;
}

static int rng_kick(struct virtio_dev *dev, unsigned q)
{
	struct rng *rng = (struct rng *)dev;
	struct virtq *vq = &dev->queue[q].vq;
	struct virtq_chain chain = {.iov = rng->iov, .cap = RNG_QUEUE};
	size_t bytes = 0;

	for (unsigned n = 0; n < vq->num && bytes < KICK_BYTES; n++) {
		int r = virtq_pop(vq, &chain);
		size_t got;

		if (r <= 0)
			return r;
		got = fill(rng, &chain);
		virtq_push(vq, chain.head, got);
		vq->to_guest += got;
		bytes += got;
	}
	return 0;
}

static void rng_stop(struct virtio_dev *dev, unsigned q, struct done *done)
{
	done->fn(done);
}

static void rng_destroy(struct virtio_dev *dev)
{
	virtio_fini(dev);
	free(dev);
}

static const struct virtio_ops rng_ops = {
	.id = VIRTIO_ID_RNG,
	.nvq = 1,
	.kick = rng_kick,
	.stop = rng_stop,
	.destroy = rng_destroy,
};

int virtio_rng_create(
	struct virtio_dev **dev, const char *name, const struct guest_mem *mem, struct loop *loop)
{
	struct rng *rng = calloc(1, sizeof(*rng));
	int err;

	if (!rng)
		return log_errno(-ENOMEM, "%s", name);
	err = virtio_init(&rng->dev, &rng_ops, name, mem, loop, 1, RNG_QUEUE);
	if (err) {
		free(rng);
		return err;
	}
	*dev = &rng->dev;
	return 0;
}
