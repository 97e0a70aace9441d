/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stands on both sides of a transport in its fuzzer: a VM and a device that keep book (at the link
 * seam), and a guest that reads and writes with exact lengths. Included by one .c file of a fuzzer, which
 * says where the VM has no room for another kick.
 */
#ifndef PINVM_TESTS_FUZZ_TRANSPORT_MODEL_H
#define PINVM_TESTS_FUZZ_TRANSPORT_MODEL_H

#include <errno.h>
#include <linux/virtio_config.h>
#include <stdlib.h>
#include <string.h>

#include "devices/virtio/virtio.h"
#include "tests/fuzz/fuzz.h"
#include "vmm/bus.h"
#include "vmm/log.h"
#include "vmm/vm.h"

#define NVQ    3
#define QMAX   256
#define V1     (1ull << VIRTIO_F_VERSION_1)
#define OFFERS (V1 | 1ull << 29 | 1ull << 9)
#define ALL                                                                                   \
	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK | \
		VIRTIO_CONFIG_S_DRIVER_OK)

#define must(x)                  \
	do {                     \
		if (!(x))        \
			abort(); \
	} while (0)

static struct bus board;
static struct virtio_transport *transport;
static struct virtio_queue queues[NVQ];
static struct virtio_dev vdev;
static struct {
	bool started;
	unsigned kicks;
	uint64_t kick[NVQ]; /* where they are caught, or 0 */
	int value[NVQ];
	struct virtq_cfg cfg[NVQ];
	struct done *stopping;
} model;

/* ---- the VM ---- */

/* May a kick of that queue be caught there? Aborts when none ever may. */
static bool kick_fits(uint64_t gpa, int value, unsigned queue);

/* Kick descriptors are -1, -2, ..: a kick written by the transport itself goes nowhere. */
static unsigned queue_of(int fd)
{
	must(fd < 0 && fd >= -NVQ);
	return (unsigned)(-1 - fd);
}

int vm_kick_add(struct vm *vm, uint64_t gpa, int value, int fd)
{
	unsigned queue = queue_of(fd);

	must(gpa && !model.kick[queue]);
	if (!kick_fits(gpa, value, queue))
		return -ENOSPC;
	model.kick[queue] = gpa;
	model.value[queue] = value;
	model.kicks++;
	return 0;
}

int vm_kick_del(struct vm *vm, uint64_t gpa, int value, int fd)
{
	unsigned queue = queue_of(fd);

	must(model.kick[queue] == gpa && model.value[queue] == value);
	model.kick[queue] = 0;
	model.kicks--;
	return 0;
}

/* ---- the device ---- */

void virtio_start(struct virtio_dev *dev)
{
	must(!model.started && !model.stopping && virtio_features_ok(dev, dev->features));
	model.started = true;
	for (unsigned i = 0; i < NVQ; i++) {
		model.cfg[i] = dev->queue[i].cfg;
		must(model.cfg[i].num && model.cfg[i].num <= QMAX &&
			!(model.cfg[i].num & (model.cfg[i].num - 1)));
	}
}

void virtio_stop(struct virtio_dev *dev, struct done *done)
{
	must(!model.stopping);
	if (model.started)
		model.stopping = done;
	else
		done->fn(done);
	model.started = false;
}

static void finish_stop(void)
{
	struct done *done = model.stopping;

	model.stopping = NULL;
	if (done)
		done->fn(done);
}

bool virtio_features_ok(const struct virtio_dev *dev, uint64_t wanted)
{
	return !(wanted & ~dev->offered) && wanted & V1;
}

static void write_config(struct virtio_dev *dev, uint32_t off, const void *data, unsigned len)
{
	must(len && off + len <= dev->config_len && !model.stopping);
	memcpy(dev->config + off, data, len);
}

static void destroy(struct virtio_dev *dev)
{
}

static const struct virtio_ops dev_ops = {
	.id = VIRTIO_ID_BLK, .nvq = NVQ, .write_config = write_config, .destroy = destroy};

/* A device and an empty board, as before every input. */
static void make_device(void)
{
	log_set_level(LOG_ERROR);
	memset(&board, 0, sizeof(board));
	memset(&model, 0, sizeof(model));
	vdev = (struct virtio_dev){.ops = &dev_ops,
		.name = "disk0",
		.offered = OFFERS,
		.nvq = NVQ,
		.queue_max = QMAX,
		.queue = queues,
		.config_len = 24};
	for (unsigned i = 0; i < NVQ; i++)
		queues[i] = (struct virtio_queue){.kick_fd = -1 - (int)i};
}

/* What the device says, by a value of the input. */
static void told_by_device(uint32_t v)
{
	switch (v % 4) {
	case 0:
		transport->needs_reset(transport);
		break;
	case 1:
		transport->config_changed(transport);
		break;
	default:
		transport->notify(transport, v / 4 % NVQ, NULL);
	}
}

/* A device that runs has what it was started with, and no kicks are caught for one that does not. */
static void check_device(void)
{
	must(!model.kicks || model.started);
	for (unsigned i = 0; i < NVQ; i++)
		must(!model.started || !memcmp(&model.cfg[i], &vdev.queue[i].cfg, sizeof(model.cfg[i])));
}

/* ---- the guest ---- */

static uint64_t guest_read(enum bus_space space, uint64_t addr, unsigned len)
{
	uint8_t b[16];

	memset(b, 0xc5, sizeof(b));
	bus_read(&board, space, addr, b, len);
	for (unsigned i = len; i < sizeof(b); i++)
		must(b[i] == 0xc5);
	return bus_get(b, len);
}

static void guest_write(enum bus_space space, uint64_t addr, uint64_t v, unsigned len)
{
	uint8_t *b = malloc(len); /* of exactly this size, for ASan */

	must(b);
	bus_put(b, len, v);
	bus_write(&board, space, addr, b, len);
	free(b);
}

/* An input is a list of steps of eight bytes: what, where (two bytes), how wide, a value. What is left over
 * is less. */
static size_t each_step(const uint8_t *data, size_t size,
	void (*step)(uint8_t what, uint16_t where, unsigned len, uint32_t v), void (*check)(void))
{
	for (; size >= 8; data += 8, size -= 8) {
		step(data[0], bus_get(data + 1, 2), 1 + data[3] % 8, bus_get(data + 4, 4));
		check();
	}
	return size;
}

#endif
