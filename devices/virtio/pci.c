// SPDX-License-Identifier: Apache-2.0
/*
 * virtio over PCI, modern only (virtio 1.2, section 4.1). Registers: vCPU threads with the PCI device's mutex
 * held; what they have in common with other transports is in regs.c. Interrupts come from loops, take no
 * lock, and go by MSI-X only (vector 0..nvq), no INTx.
 *
 * It is a 32-bit BAR so that a guest without paging reaches it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "devices/virtio/pci_priv.h"
#include "vmm/log.h"

static struct virtio_pci *of_transport(struct virtio_transport *t)
{
	return vp_container(t, regs.transport);
}

/* What the device tells us: any thread, lock-free. */

static void raise_isr(struct virtio_pci *vp, uint8_t bit)
{
	if (!(atomic_load_explicit(&vp->regs.isr, memory_order_relaxed) & bit))
		atomic_fetch_or(&vp->regs.isr, bit);
}

static void vp_notify(struct virtio_transport *t, unsigned q, struct loop *loop)
{
	struct virtio_pci *vp = of_transport(t);

	raise_isr(vp, ISR_QUEUE);
	pci_msix_raise(&vp->pci, atomic_load_explicit(&vp->vector[q], memory_order_relaxed), loop);
}

static void vp_config_changed(struct virtio_transport *t)
{
	struct virtio_pci *vp = of_transport(t);

	if (!(vp->regs.status & VIRTIO_CONFIG_S_DRIVER_OK))
		return;
	raise_isr(vp, ISR_CONFIG);
	pci_msix_raise(&vp->pci, vp->config_vector, NULL);
}

static uint64_t vp_kick_gpa(struct vregs *r, unsigned q)
{
	struct virtio_pci *vp = vp_container(r, regs);

	return vp->gpa ? vp->gpa + AT_NOTIFY + q * NOTIFY_STEP : 0;
}

static void vp_no_vectors(struct vregs *r)
{
	struct virtio_pci *vp = vp_container(r, regs);

	vp->config_vector = VIRTIO_MSI_NO_VECTOR;
	for (unsigned i = 0; i < r->dev->nvq; i++)
		vp->vector[i] = VIRTIO_MSI_NO_VECTOR;
}

static const struct vregs_ops vp_regs_ops = {.kick_gpa = vp_kick_gpa, .quiet = vp_no_vectors};

static void vp_bar_read(struct pci_dev *pci, unsigned bar, uint64_t off, uint8_t *data, unsigned len)
{
	struct virtio_pci *vp = vp_of(pci);

	vregs_catch_up(&vp->regs);
	memset(data, 0xff, len);
	if (vregs_within(off, len, AT_COMMON, COMMON_LEN))
		vp_common_read(vp, off - AT_COMMON, data, len);
	else if (vregs_within(off, len, AT_ISR, 1))
		data[0] = atomic_exchange(&vp->regs.isr, 0);
	else if (off >= AT_CONFIG)
		vregs_config_read(&vp->regs, off - AT_CONFIG, data, len);
}

static void vp_bar_write(struct pci_dev *pci, unsigned bar, uint64_t off, const uint8_t *data, unsigned len)
{
	struct virtio_pci *vp = vp_of(pci);

	vregs_catch_up(&vp->regs);
	if (vp->regs.draining)
		return;
	if (vregs_within(off, len, AT_COMMON, COMMON_LEN)) {
		vp_common_write(vp, off - AT_COMMON, data, len);
	} else if (vregs_within(off, len, AT_NOTIFY, vp->regs.dev->nvq * NOTIFY_STEP)) {
		if (off % NOTIFY_STEP == 0 && len <= NOTIFY_STEP)
			vregs_kick(&vp->regs, (off - AT_NOTIFY) / NOTIFY_STEP);
	} else if (off >= AT_CONFIG) {
		vregs_config_write(&vp->regs, off - AT_CONFIG, data, len);
	}
}

static void vp_bar_mapped(struct pci_dev *pci, unsigned bar, uint64_t gpa, bool on)
{
	struct virtio_pci *vp = vp_of(pci);

	vp->gpa = on ? gpa : 0;
	vregs_update_kicks(&vp->regs);
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

static int build(struct virtio_pci *vp, struct pci_bus *bus, struct vm *vm, struct virtio_dev *dev)
{
	uint64_t size = AT_MSIX;
	int err;

	vp->nvec = dev->nvq + 1;
	vp->vector = calloc(dev->nvq, sizeof(vp->vector[0]));
	err = vp->vector ? vregs_init(&vp->regs, dev, vm, &vp->pci.lock) : -ENOMEM;
	if (err)
		return log_errno(err, "%s: PCI registers", dev->name);
	while (size < AT_MSIX + msix_size(vp->nvec))
		size *= 2;
	pci_dev_bar(&vp->pci, VP_BAR, size, false, false);
	err = pci_dev_msix(&vp->pci, vm, vp->nvec, VP_BAR, AT_MSIX);
	if (!err)
		err = vp_add_caps(vp);
	if (err)
		return log_errno(err, "%s: MSI-X with %u vectors", dev->name, vp->nvec);
	return pci_dev_add(bus, &vp->pci);
}

static int vp_reset(struct virtio_transport *t)
{
	int err = vregs_reset(t);

	pci_dev_reset(&of_transport(t)->pci);
	return err;
}

static void vp_free(struct virtio_pci *vp, struct virtio_dev *dev)
{
	pci_dev_fini(&vp->pci);
	vregs_fini(&vp->regs);
	dev->ops->destroy(dev);
	free(vp->vector);
	free(vp);
}

static void vp_destroy(struct virtio_transport *t)
{
	vp_free(of_transport(t), vregs_of(t)->dev);
}

static const struct virtio_transport vp_transport = {
	.notify = vp_notify,
	.config_changed = vp_config_changed,
	.needs_reset = vregs_needs_reset,
	.ask_reset = vregs_ask_reset,
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
	vp->regs.transport = vp_transport;
	vp->regs.ops = &vp_regs_ops;
	pci_dev_init(&vp->pci, &vp_ops, dev->name, 0x1af4, 0x1040 + dev->ops->id, 0x1af4, 0x40 + dev->ops->id,
		class_of(dev->ops->id) << 8 | 1);
	err = build(vp, bus, vm, dev);
	if (err) {
		vp_free(vp, dev);
		return err;
	}
	*out = &vp->regs.transport;
	return 0;
}
