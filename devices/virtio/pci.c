// SPDX-License-Identifier: Apache-2.0
/*
 * virtio over PCI, modern only (virtio 1.2, section 4.1). Registers: vCPU threads with the PCI device's mutex
 * held. What the device says (interrupts, NEEDS_RESET, the end of a reset) comes from loops, takes no lock,
 * and is picked up from atomics.
 *
 * It is a 32-bit BAR so that a guest without paging reaches it. Interrupts are MSI-X only (vector 0..nvq), no
 * INTx.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "devices/virtio/pci_priv.h"
#include "vmm/log.h"
#include "vmm/vm.h"

#define DRAIN_MS 10000 /* how long a guest's restart waits for requests in flight */

static struct virtio_pci *of_transport(struct virtio_transport *t)
{
	return vp_container(t, transport);
}

void vp_note(struct virtio_pci *vp, const char *what)
{
	if (!vp->noted && log_few(&vp->dev->complaints))
		log_info("%s: %s: ignored", vp->dev->name, what);
	vp->noted = true;
}

/* What the device tells us: any thread, lock-free. */

static void raise_isr(struct virtio_pci *vp, uint8_t bit)
{
	if (!(atomic_load_explicit(&vp->isr, memory_order_relaxed) & bit))
		atomic_fetch_or(&vp->isr, bit);
}

static void vp_notify(struct virtio_transport *t, unsigned q, struct loop *loop)
{
	struct virtio_pci *vp = of_transport(t);

	raise_isr(vp, ISR_QUEUE);
	pci_msix_raise(&vp->pci, atomic_load_explicit(&vp->queue[q].vector, memory_order_relaxed), loop);
}

static void vp_config_changed(struct virtio_transport *t)
{
	struct virtio_pci *vp = of_transport(t);

	if (!(vp->status & VIRTIO_CONFIG_S_DRIVER_OK))
		return;
	raise_isr(vp, ISR_CONFIG);
	pci_msix_raise(&vp->pci, vp->config_vector, NULL);
}

static void vp_needs_reset(struct virtio_transport *t)
{
	of_transport(t)->needs_reset = true;
	vp_config_changed(t);
}

static void vp_stopped(struct done *done)
{
	struct virtio_pci *vp = vp_container(done, stopped);

	vp->drained = true;
	sem_post(&vp->stopped_sem);
}

/* Kicks: an ioeventfd a queue while the device runs and its BAR is mapped. Without one, kicks come as writes.
 */
static void update_kicks(struct virtio_pci *vp)
{
	for (unsigned i = 0; i < vp->dev->nvq; i++) {
		struct vp_queue *q = &vp->queue[i];
		uint64_t want = 0;

		if (vp->gpa && vp_running(vp) && q->cfg.ready)
			want = vp->gpa + AT_NOTIFY + i * NOTIFY_STEP;
		if (want == q->kick_gpa)
			continue;
		if (q->kick_gpa)
			vm_kick_del(vp->vm, q->kick_gpa, vp->dev->queue[i].kick_fd);
		q->kick_gpa = want;
		if (want && vm_kick_add(vp->vm, want, vp->dev->queue[i].kick_fd))
			q->kick_gpa = 0;
	}
}

static void no_vectors(struct virtio_pci *vp)
{
	vp->config_vector = VIRTIO_MSI_NO_VECTOR;
	for (unsigned i = 0; i < vp->dev->nvq; i++)
		vp->queue[i].vector = VIRTIO_MSI_NO_VECTOR;
}

static void power_on(struct virtio_pci *vp)
{
	vp->dfselect = vp->gfselect = vp->qselect = 0;
	vp->wanted = vp->dev->features = 0;
	no_vectors(vp);
	for (unsigned i = 0; i < vp->dev->nvq; i++) {
		vp->queue[i].cfg = (struct virtq_cfg){.num = vp->dev->queue_max};
		vp->dev->queue[i].cfg = (struct virtq_cfg){0};
	}
	vp->noted = false;
	vp->needs_reset = false;
	vp->isr = 0;
	vp->status = 0;
	vp->draining = false;
}

/* The second half of a reset, by whoever looks first after the device has drained. */
static void finish_reset(struct virtio_pci *vp)
{
	if (vp->draining && vp->drained)
		power_on(vp);
}

/* Until the device has drained, status reads as it was and nothing else can be done to the device. */
void vp_begin_reset(struct virtio_pci *vp)
{
	if (vp->draining)
		return;
	vp->draining = true;
	vp->drained = false;
	no_vectors(vp);
	update_kicks(vp);
	virtio_stop(vp->dev, &vp->stopped);
	finish_reset(vp);
}

void vp_go_live(struct virtio_pci *vp)
{
	for (unsigned i = 0; i < vp->dev->nvq; i++)
		vp->dev->queue[i].cfg = vp->queue[i].cfg;
	update_kicks(vp);
	virtio_start(vp->dev);
}

/* A device may change its configuration meanwhile; config_gen tells. A driver that reads by pieces looks at
 * it itself. */
static void read_config(struct virtio_dev *dev, uint32_t off, uint8_t *data, unsigned len)
{
	uint32_t gen;
	int tries = 4;

	do {
		gen = atomic_load(&dev->config_gen);
		for (unsigned i = 0; i < len; i++)
			data[i] = __atomic_load_n(&dev->config[off + i], __ATOMIC_ACQUIRE);
	} while (gen != atomic_load(&dev->config_gen) && --tries);
}

static void kick(struct virtio_pci *vp, unsigned q)
{
	static const uint64_t one = 1;

	/* An eventfd that is full already counts as kicked: nothing to do about an error. */
	if (vp_running(vp) && vp->queue[q].cfg.ready &&
		write(vp->dev->queue[q].kick_fd, &one, sizeof(one)) < 0)
		return;
}

static bool within(uint64_t off, unsigned len, uint32_t base, uint32_t size)
{
	return off >= base && off - base < size && len <= size - (off - base);
}

static void vp_bar_read(struct pci_dev *pci, unsigned bar, uint64_t off, uint8_t *data, unsigned len)
{
	struct virtio_pci *vp = vp_of(pci);

	finish_reset(vp);
	memset(data, 0xff, len);
	if (within(off, len, AT_COMMON, COMMON_LEN))
		vp_common_read(vp, off - AT_COMMON, data, len);
	else if (within(off, len, AT_ISR, 1))
		data[0] = atomic_exchange(&vp->isr, 0);
	else if (within(off, len, AT_CONFIG, vp->dev->config_len))
		read_config(vp->dev, off - AT_CONFIG, data, len);
}

static void vp_bar_write(struct pci_dev *pci, unsigned bar, uint64_t off, const uint8_t *data, unsigned len)
{
	struct virtio_pci *vp = vp_of(pci);

	finish_reset(vp);
	if (vp->draining)
		return;
	if (within(off, len, AT_COMMON, COMMON_LEN)) {
		vp_common_write(vp, off - AT_COMMON, data, len);
	} else if (within(off, len, AT_NOTIFY, vp->dev->nvq * NOTIFY_STEP)) {
		if (off % NOTIFY_STEP == 0 && len <= NOTIFY_STEP)
			kick(vp, (off - AT_NOTIFY) / NOTIFY_STEP);
	} else if (within(off, len, AT_CONFIG, vp->dev->config_len)) {
		if (vp->dev->ops->write_config)
			vp->dev->ops->write_config(vp->dev, off - AT_CONFIG, data, len);
	}
}

static void vp_bar_mapped(struct pci_dev *pci, unsigned bar, uint64_t gpa, bool on)
{
	struct virtio_pci *vp = vp_of(pci);

	vp->gpa = on ? gpa : 0;
	update_kicks(vp);
}

static const struct pci_dev_ops vp_ops = {
	.bar_read = vp_bar_read,
	.bar_write = vp_bar_write,
	.bar_mapped = vp_bar_mapped,
	.cfg_read = vp_cfg_read,
	.cfg_written = vp_cfg_written,
};

/* What the kind of device looks like to a guest that goes by PCI classes. */
static uint32_t class_of(uint16_t id)
{
	switch (id) {
	case VIRTIO_ID_NET:
		return 0x020000;
	case VIRTIO_ID_BLK:
		return 0x018000;
	default:
		return 0x00ff00;
	}
}

static int build(struct virtio_pci *vp, struct pci_bus *bus)
{
	struct virtio_dev *dev = vp->dev;
	uint64_t size = AT_MSIX;
	int err;

	vp->nvec = dev->nvq + 1;
	vp->queue = calloc(dev->nvq, sizeof(vp->queue[0]));
	if (!vp->queue)
		return log_errno(-ENOMEM, "%s: PCI registers", dev->name);
	while (size < AT_MSIX + msix_size(vp->nvec))
		size *= 2;
	pci_dev_bar(&vp->pci, VP_BAR, size, false, false);
	err = pci_dev_msix(&vp->pci, vp->vm, vp->nvec, VP_BAR, AT_MSIX);
	if (!err)
		err = vp_add_caps(vp);
	if (err)
		return log_errno(err, "%s: MSI-X with %u vectors", dev->name, vp->nvec);
	power_on(vp);
	return pci_dev_add(bus, &vp->pci);
}

/* False: it took too long. Posts of earlier resets may be left in the semaphore. */
static bool wait_drained(struct virtio_pci *vp)
{
	while (!vp->drained)
		if (sem_clockwait(&vp->stopped_sem, CLOCK_MONOTONIC, &vp->until) && errno == ETIMEDOUT)
			return vp->drained;
	return true;
}

static void vp_ask_reset(struct virtio_transport *t)
{
	struct virtio_pci *vp = of_transport(t);

	clock_gettime(CLOCK_MONOTONIC, &vp->until);
	vp->until.tv_nsec += vp->drain_ms % 1000 * 1000000l;
	vp->until.tv_sec += vp->drain_ms / 1000 + vp->until.tv_nsec / 1000000000l;
	vp->until.tv_nsec %= 1000000000l;
	vp->asked = true;
	pthread_mutex_lock(&vp->pci.lock);
	vp_begin_reset(vp);
	pthread_mutex_unlock(&vp->pci.lock);
}

static int vp_reset(struct virtio_transport *t)
{
	struct virtio_pci *vp = of_transport(t);
	int err = 0;

	if (!vp->asked)
		vp_ask_reset(t);
	vp->asked = false;
	if (vp->draining && !wait_drained(vp))
		err = log_errno(-ETIMEDOUT, "%s: requests in flight do not end", vp->dev->name);
	pci_dev_reset(&vp->pci);
	pthread_mutex_lock(&vp->pci.lock);
	finish_reset(vp);
	pthread_mutex_unlock(&vp->pci.lock);
	return err;
}

static void vp_destroy(struct virtio_transport *t)
{
	struct virtio_pci *vp = of_transport(t);

	pci_dev_fini(&vp->pci);
	vp->dev->ops->destroy(vp->dev);
	sem_destroy(&vp->stopped_sem);
	free(vp->queue);
	free(vp);
}

static const struct virtio_transport vp_transport = {
	.notify = vp_notify,
	.config_changed = vp_config_changed,
	.needs_reset = vp_needs_reset,
	.ask_reset = vp_ask_reset,
	.reset = vp_reset,
	.destroy = vp_destroy,
};

int virtio_pci_create(
	struct virtio_transport **out, struct pci_bus *bus, struct vm *vm, struct virtio_dev *dev)
{
	struct virtio_pci *vp = calloc(1, sizeof(*vp));
	int err;

	if (!vp || !dev->nvq || dev->nvq > MAX_QUEUES || dev->config_len > sizeof(dev->config)) {
		err = log_errno(vp ? -EINVAL : -ENOMEM, "%s: virtio-pci with %u queues", dev->name, dev->nvq);
		free(vp);
		dev->ops->destroy(dev);
		return err;
	}
	vp->dev = dev;
	vp->vm = vm;
	vp->drain_ms = DRAIN_MS;
	vp->stopped.fn = vp_stopped;
	vp->transport = vp_transport;
	sem_init(&vp->stopped_sem, 0, 0);
	dev->transport = &vp->transport;
	pci_dev_init(&vp->pci, &vp_ops, dev->name, 0x1af4, 0x1040 + dev->ops->id, 0x1af4, 0x40 + dev->ops->id,
		class_of(dev->ops->id) << 8 | 1);
	err = build(vp, bus);
	if (err) {
		vp_destroy(&vp->transport);
		return err;
	}
	*out = &vp->transport;
	return 0;
}
