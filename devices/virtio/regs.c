// SPDX-License-Identifier: Apache-2.0
/* What the registers of all transports have in common; see regs.h. */
#include "devices/virtio/regs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/log.h"
#include "vmm/util.h"
#include "vmm/vm.h"

#define DRAIN_MS 10000 /* how long a guest's restart waits for requests in flight */

void vregs_note(struct vregs *r, const char *what)
{
	if (!r->noted && log_few(&r->dev->complaints))
		log_info("%s: %s: ignored", r->dev->name, what);
	r->noted = true;
}

/* ---- kicks ---- */

static int kick_value(const struct vregs *r, unsigned q)
{
	return r->ops->kick_by_value ? (int)q : VM_KICK_ANY;
}

/* An ioeventfd a queue while the device runs and the guest reaches its registers. Without one, kicks come as
 * writes. */
void vregs_update_kicks(struct vregs *r)
{
	for (unsigned i = 0; i < r->dev->nvq; i++) {
		struct vregs_queue *q = &r->queue[i];
		uint64_t want = vregs_running(r) && q->cfg.ready ? r->ops->kick_gpa(r, i) : 0;
		int fd = r->dev->queue[i].kick_fd, value = kick_value(r, i);

		if (want == q->kick_gpa)
			continue;
		if (q->kick_gpa)
			vm_kick_del(r->vm, q->kick_gpa, value, fd);
		q->kick_gpa = want;
		if (want && vm_kick_add(r->vm, want, value, fd))
			q->kick_gpa = 0;
	}
}

void vregs_kick(struct vregs *r, uint32_t q)
{
	static const uint64_t one = 1;

	/* An eventfd that is full already counts as kicked: nothing to do about an error. */
	if (q < r->dev->nvq && vregs_running(r) && r->queue[q].cfg.ready &&
		write(r->dev->queue[q].kick_fd, &one, sizeof(one)) < 0)
		return;
}

/* ---- reset ---- */

static void power_on(struct vregs *r)
{
	r->dfselect = r->gfselect = r->qselect = 0;
	r->wanted = r->dev->features = 0;
	if (r->ops->quiet)
		r->ops->quiet(r);
	for (unsigned i = 0; i < r->dev->nvq; i++) {
		r->queue[i].cfg = (struct virtq_cfg){.num = r->dev->queue_max};
		r->dev->queue[i].cfg = (struct virtq_cfg){0};
	}
	r->noted = false;
	r->needs_reset = false;
	r->isr = 0;
	r->status = 0;
	r->draining = false;
}

void vregs_catch_up(struct vregs *r)
{
	if (r->draining && r->drained)
		power_on(r);
}

static void begin_reset(struct vregs *r)
{
	if (r->draining)
		return;
	r->draining = true;
	r->drained = false;
	while (!sem_trywait(&r->stopped_sem)) /* of resets that nobody waited for */
		;
	if (r->ops->quiet)
		r->ops->quiet(r);
	vregs_update_kicks(r);
	virtio_stop(r->dev, &r->stopped);
	vregs_catch_up(r);
}

static void stopped(struct done *done)
{
	struct vregs *r = container_of(done, struct vregs, stopped);

	r->drained = true;
	sem_post(&r->stopped_sem);
}

static struct timespec after_ms(unsigned ms)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_nsec += ms % 1000 * 1000000l;
	t.tv_sec += ms / 1000 + t.tv_nsec / 1000000000l;
	t.tv_nsec %= 1000000000l;
	return t;
}

/* False: it took too long. Posts of earlier resets may be left in the semaphore. */
static bool wait_drained(struct vregs *r, const struct timespec *until)
{
	while (!r->drained)
		if (sem_clockwait(&r->stopped_sem, CLOCK_MONOTONIC, until) && errno == ETIMEDOUT)
			return r->drained;
	return true;
}

bool vregs_wait_drained(struct vregs *r, unsigned ms)
{
	struct timespec until = after_ms(ms);
	bool drained = !r->draining || wait_drained(r, &until);

	vregs_catch_up(r);
	return drained;
}

void vregs_ask_reset(struct virtio_transport *t)
{
	struct vregs *r = vregs_of(t);

	r->until = after_ms(r->drain_ms);
	r->asked = true;
	pthread_mutex_lock(r->lock);
	begin_reset(r);
	pthread_mutex_unlock(r->lock);
}

int vregs_reset(struct virtio_transport *t)
{
	struct vregs *r = vregs_of(t);
	int err = 0;

	if (!r->asked)
		vregs_ask_reset(t);
	r->asked = false;
	if (r->draining && !wait_drained(r, &r->until))
		err = log_errno(-ETIMEDOUT, "%s: requests in flight do not end", r->dev->name);
	pthread_mutex_lock(r->lock);
	vregs_catch_up(r);
	pthread_mutex_unlock(r->lock);
	return err;
}

/* ---- device status ---- */

/* Virtio 1.2, section 3.1.1: each step needs those before it; bits go only by a reset. */
static const struct {
	uint8_t bit, needs;
} steps[] = {
	{VIRTIO_CONFIG_S_ACKNOWLEDGE, 0},
	{VIRTIO_CONFIG_S_DRIVER, VIRTIO_CONFIG_S_ACKNOWLEDGE},
	{VIRTIO_CONFIG_S_FEATURES_OK, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER},
	{VIRTIO_CONFIG_S_DRIVER_OK,
		VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK},
	{VIRTIO_CONFIG_S_FAILED, 0},
};

static uint8_t next_status(struct vregs *r, uint8_t now, uint8_t value)
{
	if (now & ~value || now & VIRTIO_CONFIG_S_FAILED) {
		vregs_note(r, "a status that only a reset can lead to");
		return now;
	}
	for (unsigned i = 0; i < COUNT(steps); i++) {
		if (!(value & steps[i].bit))
			continue;
		if ((now & steps[i].needs) != steps[i].needs)
			vregs_note(r, "a status step out of order");
		else if (steps[i].bit == VIRTIO_CONFIG_S_FEATURES_OK &&
			 !virtio_features_ok(r->dev, r->wanted))
			vregs_note(r, "FEATURES_OK for features that were not offered");
		else
			now |= steps[i].bit;
	}
	return now;
}

/* DRIVER_OK: freeze the queues and start. */
static void go_live(struct vregs *r)
{
	for (unsigned i = 0; i < r->dev->nvq; i++)
		r->dev->queue[i].cfg = r->queue[i].cfg;
	vregs_update_kicks(r);
	virtio_start(r->dev);
}

uint8_t vregs_status(const struct vregs *r)
{
	return r->status | (r->needs_reset ? VIRTIO_CONFIG_S_NEEDS_RESET : 0);
}

void vregs_set_status(struct vregs *r, uint8_t value)
{
	uint8_t was = r->status, now;

	if (!value) {
		begin_reset(r);
		return;
	}
	now = next_status(r, was, value);
	if (~was & now & VIRTIO_CONFIG_S_FEATURES_OK)
		r->dev->features = r->wanted;
	if (~was & now & VIRTIO_CONFIG_S_DRIVER_OK)
		r->isr = 0; /* a change of configuration that met a reset may have left its bit, and nobody
			       waits for it */
	r->status = now;    /* before the start, which may report NEEDS_RESET */
	if (~was & now & VIRTIO_CONFIG_S_DRIVER_OK)
		go_live(r);
}

void vregs_needs_reset(struct virtio_transport *t)
{
	vregs_of(t)->needs_reset = true;
	t->config_changed(t);
}

/* ---- features and queues ---- */

uint32_t vregs_offered(const struct vregs *r)
{
	return r->dfselect < 2 ? r->dev->offered >> 32 * r->dfselect : 0;
}

uint32_t vregs_wanted(const struct vregs *r)
{
	return r->gfselect < 2 ? r->wanted >> 32 * r->gfselect : 0;
}

void vregs_set_wanted(struct vregs *r, uint32_t v)
{
	if (r->status & VIRTIO_CONFIG_S_FEATURES_OK)
		vregs_note(r, "features written after FEATURES_OK");
	else if (r->gfselect < 2)
		vregs_set_half(&r->wanted, 32 * r->gfselect, v);
}

struct vregs_queue *vregs_selected(const struct vregs *r)
{
	return r->qselect < r->dev->nvq ? &r->queue[r->qselect] : NULL;
}

struct virtq_cfg *vregs_setup(struct vregs *r)
{
	struct vregs_queue *q = vregs_selected(r);

	if (q && (q->cfg.ready || vregs_running(r))) {
		vregs_note(r, "a write to a queue that is enabled, or after DRIVER_OK");
		return NULL;
	}
	return q ? &q->cfg : NULL;
}

void vregs_set_num(struct vregs *r, struct virtq_cfg *cfg, uint32_t v)
{
	if (!v || v & (v - 1) || v > r->dev->queue_max)
		vregs_note(r, "a queue size that is no power of two, or too large");
	else
		cfg->num = v;
}

/* ---- device configuration ---- */

void vregs_config_read(struct vregs *r, uint64_t off, uint8_t *data, unsigned len)
{
	if (vregs_within(off, len, 0, r->dev->config_len))
		virtio_config_get(r->dev, off, data, len);
}

void vregs_config_write(struct vregs *r, uint64_t off, const uint8_t *data, unsigned len)
{
	if (r->dev->ops->write_config && vregs_within(off, len, 0, r->dev->config_len))
		r->dev->ops->write_config(r->dev, off, data, len);
}

/* ---- life ---- */

int vregs_init(struct vregs *r, struct virtio_dev *dev, struct vm *vm, pthread_mutex_t *lock)
{
	r->dev = dev;
	r->vm = vm;
	r->lock = lock;
	r->drain_ms = DRAIN_MS;
	r->stopped.fn = stopped;
	r->queue = calloc(dev->nvq, sizeof(r->queue[0]));
	if (!r->queue)
		return -ENOMEM;
	sem_init(&r->stopped_sem, 0, 0);
	dev->transport = &r->transport;
	power_on(r);
	return 0;
}

void vregs_fini(struct vregs *r)
{
	if (!r->queue)
		return;
	r->draining = true; /* no kicks any more */
	vregs_update_kicks(r);
	sem_destroy(&r->stopped_sem);
	free(r->queue);
}
