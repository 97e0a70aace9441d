// SPDX-License-Identifier: Apache-2.0
/* Device configuration: changed by a device's thread, read by vCPU threads, without a lock; see virtio.h. */
#include "devices/virtio/virtio.h"

/*
 * Who reads both generations before or both behind a change sees no other bytes than those of that time:
 * config_busy is stored before the first byte, config_gen moves behind the last one. Who reads one in between
 * gets a number of its own.
 */
void virtio_config_begin(struct virtio_dev *dev)
{
	atomic_store(&dev->config_busy, true);
}

void virtio_config_store(struct virtio_dev *dev, unsigned off, const void *data, unsigned len)
{
	for (unsigned i = 0; i < len; i++)
		__atomic_store_n(&dev->config[off + i], ((const uint8_t *)data)[i], __ATOMIC_RELEASE);
}

void virtio_config_end(struct virtio_dev *dev)
{
	atomic_fetch_add(&dev->config_gen, 1);
	atomic_store(&dev->config_busy, false);
}

void virtio_config_put(struct virtio_dev *dev, unsigned off, const void *data, unsigned len)
{
	virtio_config_begin(dev);
	virtio_config_store(dev, off, data, len);
	virtio_config_end(dev);
}

/* A driver that reads by pieces looks at the generation itself. */
void virtio_config_get(struct virtio_dev *dev, unsigned off, uint8_t *data, unsigned len)
{
	uint32_t gen;
	int tries = 4;

	do {
		gen = virtio_config_generation(dev);
		for (unsigned i = 0; i < len; i++)
			data[i] = __atomic_load_n(&dev->config[off + i], __ATOMIC_ACQUIRE);
	} while (gen != virtio_config_generation(dev) && --tries);
}

uint32_t virtio_config_generation(struct virtio_dev *dev)
{
	return atomic_load(&dev->config_busy) ? atomic_fetch_add(&dev->config_gen, 1) + 1
					      : atomic_load(&dev->config_gen);
}
