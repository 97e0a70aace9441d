// SPDX-License-Identifier: Apache-2.0
/*
 * virtio over MMIO, version 2 only (virtio 1.2, section 4.2). Registers: vCPU threads with the device's own
 * mutex held; what they have in common with other transports is in regs.c. Interrupts come from loops and
 * take no lock.
 *
 * The interrupt is one edge-triggered pin for all queues and the configuration. InterruptStatus says what
 * there is to see, and keeps a bit until the driver writes it to InterruptACK. An edge says "InterruptStatus
 * is not 0 any more". Who sets a bit raises the pin only if no bit was set before: otherwise an edge is on
 * its way already, and the driver that follows it reads the register after the edge, so it finds this bit
 * too.
 *
 * Unless the driver has read the register, and not acknowledged yet. Its ACK then takes the bits that it
 * read, finds others left, and raises the pin for them. A bit that it did read, and that was set once more
 * meanwhile, is no loss: the driver looks at its rings and at the configuration after the ACK.
 *
 * Each of the two is one atomic operation on the register, so every step from 0 to something, and every rest,
 * is seen by exactly one of them: no interrupt is lost, and none comes twice. An ACK that takes nothing
 * raises nothing, because the edge of what is set is still on its way.
 */
#include "devices/virtio/mmio_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/bus.h"
#include "vmm/log.h"
#include "vmm/pi_mutex.h"

/*
 * Drivers of virtio-mmio (Linux's is one) do not wait for Status to read 0 after they wrote it: they take the
 * rings and buffers back at once. So the write itself takes until the device has drained. It does not wait
 * without end: a device whose back end hangs keeps the non-zero status that a careful driver looks at.
 */
#define PATIENCE_MS 2000

_Static_assert(
	VIRTIO_MMIO_INT_VRING == ISR_QUEUE && VIRTIO_MMIO_INT_CONFIG == ISR_CONFIG, "one register for both");

static struct virtio_mmio *of_regs(struct vregs *r)
{
	return container_of(r, struct virtio_mmio, regs);
}

/* ---- interrupts: any thread, lock-free ---- */

static void raise_pin(struct virtio_mmio *io, uint8_t bit, struct loop *loop)
{
	if (!atomic_fetch_or(&io->regs.isr, bit))
		irq_raise(&io->irq, loop);
}

/* A pin is edge-triggered, as describe.c and the DSDT say, unless its guest has made it level-triggered all the same. */
static bool line_is_high(void *arg)
{
	struct virtio_mmio *io = arg;

	return atomic_load(&io->regs.isr);
}

static void acknowledge(struct virtio_mmio *io, uint32_t bits)
{
	uint8_t was = atomic_fetch_and(&io->regs.isr, (uint8_t)~bits);

	if (was & bits && was & ~bits)
		irq_raise(&io->irq, NULL);
}

static void mmio_notify(struct virtio_transport *t, unsigned q, struct loop *loop)
{
	raise_pin(of_regs(vregs_of(t)), VIRTIO_MMIO_INT_VRING, loop);
}

static void mmio_config_changed(struct virtio_transport *t)
{
	struct vregs *r = vregs_of(t);

	if (r->status & VIRTIO_CONFIG_S_DRIVER_OK)
		raise_pin(of_regs(r), VIRTIO_MMIO_INT_CONFIG, NULL);
}

/* ---- registers ---- */

static uint64_t kick_gpa(struct vregs *r, unsigned q)
{
	return of_regs(r)->base + VIRTIO_MMIO_QUEUE_NOTIFY;
}

static const struct vregs_ops regs_ops = {.kick_gpa = kick_gpa, .kick_by_value = true};

static uint32_t read_queue(const struct vregs *r, uint32_t off)
{
	const struct vregs_queue *q = vregs_selected(r);

	if (!q)
		return 0;
	return off == VIRTIO_MMIO_QUEUE_NUM_MAX ? r->dev->queue_max : q->cfg.ready;
}

/* Registers that are only written, reserved ones and those of version 1 read as 0. */
static uint32_t read_reg(const struct vregs *r, uint32_t off)
{
	switch (off) {
	case VIRTIO_MMIO_MAGIC_VALUE:
		return MMIO_MAGIC;
	case VIRTIO_MMIO_VERSION:
		return MMIO_VERSION;
	case VIRTIO_MMIO_DEVICE_ID:
		return r->dev->ops->id;
	case VIRTIO_MMIO_VENDOR_ID:
		return MMIO_VENDOR;
	case VIRTIO_MMIO_DEVICE_FEATURES:
		return vregs_offered(r);
	case VIRTIO_MMIO_QUEUE_NUM_MAX:
	case VIRTIO_MMIO_QUEUE_READY:
		return read_queue(r, off);
	case VIRTIO_MMIO_INTERRUPT_STATUS:
		return r->isr;
	case VIRTIO_MMIO_STATUS:
		return vregs_status(r);
	case VIRTIO_MMIO_SHM_LEN_LOW:
	case VIRTIO_MMIO_SHM_LEN_HIGH:
	case VIRTIO_MMIO_SHM_BASE_LOW:
	case VIRTIO_MMIO_SHM_BASE_HIGH:
		return ~0u; /* no device has shared memory */
	case VIRTIO_MMIO_CONFIG_GENERATION:
		return virtio_config_generation(r->dev);
	default:
		return 0;
	}
}

/* A queue of a device that runs can be stopped only with the device: until then it reads as ready, because it
 * is used. */
static void write_ready(struct vregs *r, uint32_t v)
{
	struct vregs_queue *q = vregs_selected(r);
	struct virtq_cfg *cfg;

	if (q && !v && !vregs_running(r)) {
		q->cfg.ready = false;
		return;
	}
	cfg = vregs_setup(r);
	if (cfg)
		cfg->ready = v == 1;
}

static void write_queue(struct vregs *r, uint32_t off, uint32_t v)
{
	struct virtq_cfg *cfg = vregs_setup(r);

	if (!cfg)
		return;
	switch (off) {
	case VIRTIO_MMIO_QUEUE_NUM:
		vregs_set_num(r, cfg, v);
		break;
	case VIRTIO_MMIO_QUEUE_DESC_LOW:
	case VIRTIO_MMIO_QUEUE_DESC_HIGH:
		vregs_set_half(&cfg->desc, off % 8 * 8, v);
		break;
	case VIRTIO_MMIO_QUEUE_AVAIL_LOW:
	case VIRTIO_MMIO_QUEUE_AVAIL_HIGH:
		vregs_set_half(&cfg->avail, off % 8 * 8, v);
		break;
	case VIRTIO_MMIO_QUEUE_USED_LOW:
	case VIRTIO_MMIO_QUEUE_USED_HIGH:
		vregs_set_half(&cfg->used, off % 8 * 8, v);
		break;
	}
}

static void write_status(struct virtio_mmio *io, uint32_t v)
{
	if (v > 0xff) {
		vregs_note(&io->regs, "a status of more than 8 bits");
		return;
	}
	vregs_set_status(&io->regs, v);
	if (!v && !vregs_wait_drained(&io->regs, io->patience_ms) && log_few(&io->regs.dev->complaints))
		log_warn("%s: requests in flight outlast a reset; a driver that does not wait will lose "
			 "memory to them",
			io->regs.dev->name);
}

static void write_reg(struct virtio_mmio *io, uint32_t off, uint32_t v)
{
	struct vregs *r = &io->regs;

	switch (off) {
	case VIRTIO_MMIO_DEVICE_FEATURES_SEL:
		r->dfselect = v;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES_SEL:
		r->gfselect = v;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES:
		vregs_set_wanted(r, v);
		break;
	case VIRTIO_MMIO_QUEUE_SEL:
		r->qselect = v;
		break;
	case VIRTIO_MMIO_QUEUE_READY:
		write_ready(r, v);
		break;
	case VIRTIO_MMIO_QUEUE_NOTIFY:
		vregs_kick(r, v);
		break;
	case VIRTIO_MMIO_INTERRUPT_ACK:
		acknowledge(io, v);
		break;
	case VIRTIO_MMIO_STATUS:
		write_status(io, v);
		break;
	default:
		write_queue(r, off, v);
	}
}

/* Registers are 32 bits wide, and nobody answers other accesses; configuration space takes any width. */
static void mmio_read(void *dev, uint64_t off, uint8_t *data, unsigned len)
{
	struct virtio_mmio *io = dev;

	memset(data, 0xff, len);
	pthread_mutex_lock(&io->lock);
	vregs_catch_up(&io->regs);
	if (off >= VIRTIO_MMIO_CONFIG)
		vregs_config_read(&io->regs, off - VIRTIO_MMIO_CONFIG, data, len);
	else if (len == 4 && off % 4 == 0)
		bus_put(data, 4, read_reg(&io->regs, off));
	pthread_mutex_unlock(&io->lock);
}

static void mmio_write(void *dev, uint64_t off, const uint8_t *data, unsigned len)
{
	struct virtio_mmio *io = dev;

	pthread_mutex_lock(&io->lock);
	vregs_catch_up(&io->regs);
	if (io->regs.draining)
		;
	else if (off >= VIRTIO_MMIO_CONFIG)
		vregs_config_write(&io->regs, off - VIRTIO_MMIO_CONFIG, data, len);
	else if (len == 4 && off % 4 == 0)
		write_reg(io, off, bus_get(data, 4));
	pthread_mutex_unlock(&io->lock);
}

static const struct bus_ops mmio_ops = {.read = mmio_read, .write = mmio_write};

/* ---- life ---- */

static void mmio_free(struct virtio_mmio *io, struct virtio_dev *dev)
{
	vregs_fini(&io->regs);
	irq_close(&io->irq);
	dev->ops->destroy(dev);
	pthread_mutex_destroy(&io->lock);
	free(io);
}

static void mmio_destroy(struct virtio_transport *t)
{
	mmio_free(of_regs(vregs_of(t)), vregs_of(t)->dev);
}

static const struct virtio_transport mmio_transport = {
	.notify = mmio_notify,
	.config_changed = mmio_config_changed,
	.needs_reset = vregs_needs_reset,
	.ask_reset = vregs_ask_reset,
	.reset = vregs_reset,
	.destroy = mmio_destroy,
};

static int build(struct virtio_mmio *io, struct bus *board, const struct mmio_slot *slot, struct vm *vm,
	struct virtio_dev *dev)
{
	int err = pi_mutex_init(&io->lock);

	if (!err)
		err = vregs_init(&io->regs, dev, vm, &io->lock);
	if (!err)
		err = irq_open(&io->irq, vm, slot->gsi);
	if (err)
		return log_errno(err, "%s: virtio-mmio with interrupt %d", dev->name, slot->gsi);
	io->irq.line = line_is_high;
	io->irq.line_arg = io;
	return bus_add(board, BUS_MMIO, slot->base, slot->size, &mmio_ops, io, dev->name);
}

int virtio_mmio_create(struct virtio_transport **out, struct bus *board, const struct mmio_slot *slot,
	struct vm *vm, struct virtio_dev *dev, struct irq_src **irq)
{
	struct virtio_mmio *io = calloc(1, sizeof(*io));
	int err;

	if (!io || !dev->nvq || dev->config_len > sizeof(dev->config)) {
		err = log_errno(
			io ? -EINVAL : -ENOMEM, "%s: virtio-mmio with %u queues", dev->name, dev->nvq);
		free(io);
		dev->ops->destroy(dev);
		return err;
	}
	io->base = slot->base;
	io->patience_ms = PATIENCE_MS;
	io->regs.transport = mmio_transport;
	io->regs.ops = &regs_ops;
	err = build(io, board, slot, vm, dev);
	if (err) {
		mmio_free(io, dev);
		return err;
	}
	*irq = &io->irq;
	*out = &io->regs.transport;
	return 0;
}
