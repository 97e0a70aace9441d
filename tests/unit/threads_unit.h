/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tests share in which a device really runs: loops and drivers on threads of their own, and lives of the device, which
 * main begins and ends. Included by one .c file of a test program.
 */
#ifndef PINVM_TESTS_THREADS_UNIT_H
#define PINVM_TESTS_THREADS_UNIT_H

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "tests/unit/ring_driver.h"
#include "tests/unit/unit.h"
#include "vmm/loop/loop.h"

static _Atomic bool off; /* drivers are to end */
static _Atomic unsigned stopped;

static inline void no_change(struct virtio_transport *t)
{
}

static inline void needs_reset(struct virtio_transport *t)
{
	must(!"a driver that keeps the rules needs no reset");
}

static inline void *run_loop(void *arg)
{
	must(!loop_run(arg));
	return NULL;
}

static inline void on_stopped(struct done *done)
{
	atomic_fetch_add(&stopped, 1);
}

/* A life of the device begins for the driver of its queues... */
static inline void begin_life(struct virtio_dev *dev, const struct ring_driver *drv, uint64_t features)
{
	atomic_store(&off, false);
	for (unsigned q = 0; q < dev->nvq; q++)
		dev->queue[q].cfg = drv[q].cfg;
	dev->features = features;
	virtio_start(dev);
}

/* ... and ends, with the device first: its drivers' threads find that out. */
static inline void end_life(struct virtio_dev *dev, pthread_t *driver, unsigned n)
{
	struct done done = {on_stopped};
	unsigned before = atomic_load(&stopped);

	virtio_stop(dev, &done);
	while (atomic_load(&stopped) == before)
		sched_yield();
	atomic_store(&off, true);
	for (unsigned i = 0; i < n; i++)
		pthread_join(driver[i], NULL);
}

static inline void end_loops(struct virtio_dev *dev, struct loop **loop, pthread_t *thread, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		loop_stop(loop[i]);
		pthread_join(thread[i], NULL);
	}
	dev->ops->destroy(dev);
	for (unsigned i = 0; i < n; i++)
		loop_destroy(loop[i]);
}

#endif
