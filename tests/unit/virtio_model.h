/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stands on both sides of a transport in its tests: a VM and a device that only keep book (at the link
 * seam). Included by one .c file of a test program.
 */
#ifndef PINVM_TESTS_VIRTIO_MODEL_H
#define PINVM_TESTS_VIRTIO_MODEL_H

#include <errno.h>
#include <linux/virtio_config.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "devices/virtio/virtio.h"
#include "tests/unit/unit.h"
#include "vmm/vm.h"

#define NVQ  3
#define QMAX 256

#define V1     (1ull << VIRTIO_F_VERSION_1)
#define OFFERS (V1 | 1ull << 29 | 1ull << 28 | 1ull << 9)
#define ACK    VIRTIO_CONFIG_S_ACKNOWLEDGE
#define DRIVER VIRTIO_CONFIG_S_DRIVER
#define FEATS  VIRTIO_CONFIG_S_FEATURES_OK
#define OK     VIRTIO_CONFIG_S_DRIVER_OK
#define ALL    (ACK | DRIVER | FEATS | OK)

/* The VM: where kicks are caught. */
static struct {
	uint64_t gpa[8];
	int value[8], fd[8];
	unsigned n, adds, refuse;
} kicks;

int vm_kick_add(struct vm *vm, uint64_t gpa, int value, int fd)
{
	if (kicks.refuse)
		return -ENOSPC;
	for (unsigned i = 0; i < kicks.n; i++)
		ck_assert(kicks.gpa[i] != gpa ||
			  (kicks.value[i] != value && kicks.value[i] >= 0 && value >= 0));
	kicks.gpa[kicks.n] = gpa;
	kicks.value[kicks.n] = value;
	kicks.fd[kicks.n++] = fd;
	kicks.adds++;
	return 0;
}

int vm_kick_del(struct vm *vm, uint64_t gpa, int value, int fd)
{
	for (unsigned i = 0; i < kicks.n; i++) {
		if (kicks.gpa[i] == gpa && kicks.value[i] == value && kicks.fd[i] == fd) {
			kicks.n--;
			kicks.gpa[i] = kicks.gpa[kicks.n];
			kicks.value[i] = kicks.value[kicks.n];
			kicks.fd[i] = kicks.fd[kicks.n];
			return 0;
		}
	}
	ck_abort_msg("a kick was removed that was never there");
}

/* The device. */
static struct virtio_queue queues[NVQ];
static struct virtio_dev vdev;
static struct {
	bool started, slow; /* slow: a stop ends when finish_stop() is called */
	unsigned starts, stops, writes, destroyed;
	uint64_t features;
	struct virtq_cfg cfg[NVQ];
	_Atomic(struct done *) stopping;
} model;

void virtio_start(struct virtio_dev *dev)
{
	ck_assert(!model.started && !model.stopping);
	ck_assert(virtio_features_ok(dev, dev->features));
	model.started = true;
	model.starts++;
	model.features = dev->features;
	for (unsigned i = 0; i < NVQ; i++) {
		model.cfg[i] = dev->queue[i].cfg;
		ck_assert(model.cfg[i].num && model.cfg[i].num <= QMAX &&
			  !(model.cfg[i].num & (model.cfg[i].num - 1)));
	}
}

void virtio_stop(struct virtio_dev *dev, struct done *done)
{
	ck_assert_msg(!model.stopping, "one stop at a time");
	model.stops++;
	if (model.started && model.slow) {
		model.started = false;
		model.stopping = done;
		return;
	}
	model.started = false;
	done->fn(done);
}

static inline bool finish_stop(void)
{
	struct done *done = atomic_exchange(&model.stopping, NULL);

	if (done)
		done->fn(done);
	return done;
}

bool virtio_features_ok(const struct virtio_dev *dev, uint64_t wanted)
{
	return !(wanted & ~dev->offered) && wanted & V1;
}

static inline void write_config(struct virtio_dev *dev, uint32_t off, const void *data, unsigned len)
{
	ck_assert_uint_le(off + len, dev->config_len);
	model.writes++;
	for (unsigned i = 0; i < len; i++)
		__atomic_store_n(&dev->config[off + i], ((const uint8_t *)data)[i], __ATOMIC_RELEASE);
}

static inline void destroy(struct virtio_dev *dev)
{
	model.destroyed++;
	for (unsigned i = 0; i < NVQ; i++)
		close(queues[i].kick_fd);
}

static const struct virtio_ops dev_ops = {
	.id = VIRTIO_ID_BLK, .nvq = NVQ, .write_config = write_config, .destroy = destroy};

static inline void make_device(void)
{
	vdev = (struct virtio_dev){.ops = &dev_ops,
		.name = "disk0",
		.offered = OFFERS,
		.nvq = NVQ,
		.queue_max = QMAX,
		.queue = queues,
		.config_len = 24};
	for (unsigned i = 0; i < NVQ; i++)
		queues[i].kick_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	for (unsigned i = 0; i < sizeof(vdev.config); i++)
		vdev.config[i] = 0x80 + i;
}

static inline bool kicked(unsigned q)
{
	uint64_t v;

	return read(queues[q].kick_fd, &v, 8) == 8;
}

#endif
