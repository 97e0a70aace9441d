/* SPDX-License-Identifier: Apache-2.0 */
/* What a driver must not do to a ring: after each of them the device says NEEDS_RESET. */
#ifndef PINVM_TESTS_GUEST_CRIMES_H
#define PINVM_TESTS_GUEST_CRIMES_H

#include "tests/guest/lib/virtio.h"

#define HOLE   0xd0000000 /* neither RAM nor a device */
#define CRIMES 11

struct crime {
	const char *name;
	/* A queue whose descriptors 0 and 1 the device does not have; 128 bytes at buf, aligned to 16. */
	void (*commit)(struct vq *q, uint8_t *buf);
};

extern const struct crime crimes[CRIMES];

#endif
