// SPDX-License-Identifier: Apache-2.0
/*
 * The common configuration structure of virtio-pci (virtio 1.2, section 4.1.4.3): features, device status,
 * queues. vCPU threads, the PCI device's mutex held.
 */
#include <string.h>

#include "devices/virtio/pci_priv.h"
#include "vmm/bus.h"

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

static uint8_t next_status(struct virtio_pci *vp, uint8_t now, uint8_t value)
{
	if (now & ~value || now & VIRTIO_CONFIG_S_FAILED) {
		vp_note(vp, "a status that only a reset can lead to");
		return now;
	}
	for (unsigned i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		if (!(value & steps[i].bit))
			continue;
		if ((now & steps[i].needs) != steps[i].needs)
			vp_note(vp, "a status step out of order");
		else if (steps[i].bit == VIRTIO_CONFIG_S_FEATURES_OK &&
			 !virtio_features_ok(vp->dev, vp->wanted))
			vp_note(vp, "FEATURES_OK for features that were not offered");
		else
			now |= steps[i].bit;
	}
	return now;
}

static void write_status(struct virtio_pci *vp, uint8_t value)
{
	uint8_t was = vp->status, now;

	if (!value) {
		vp_begin_reset(vp);
		return;
	}
	now = next_status(vp, was, value);
	if (~was & now & VIRTIO_CONFIG_S_FEATURES_OK)
		vp->dev->features = vp->wanted;
	vp->status = now; /* before the start, which may report NEEDS_RESET */
	if (~was & now & VIRTIO_CONFIG_S_DRIVER_OK)
		vp_go_live(vp);
}

static void set_half(uint64_t *addr, unsigned shift, uint32_t v)
{
	*addr = (*addr & ~(0xffffffffull << shift)) | (uint64_t)v << shift;
}

static void write_features(struct virtio_pci *vp, uint32_t v)
{
	if (vp->status & VIRTIO_CONFIG_S_FEATURES_OK)
		vp_note(vp, "features written after FEATURES_OK");
	else if (vp->gfselect < 2)
		set_half(&vp->wanted, 32 * vp->gfselect, v);
}

static uint16_t check_vector(const struct virtio_pci *vp, uint16_t v)
{
	return v < vp->nvec ? v : VIRTIO_MSI_NO_VECTOR;
}

static void write_queue(struct virtio_pci *vp, struct vp_queue *q, uint32_t off, uint32_t v)
{
	if (off == VIRTIO_PCI_COMMON_Q_MSIX) {
		q->vector = check_vector(vp, v);
		return;
	}
	if (q->cfg.ready || vp_running(vp)) {
		vp_note(vp, "a write to a queue that is enabled, or after DRIVER_OK");
		return;
	}
	switch (off) {
	case VIRTIO_PCI_COMMON_Q_SIZE:
		if (!v || v & (v - 1) || v > vp->dev->queue_max)
			vp_note(vp, "a queue size that is no power of two, or too large");
		else
			q->cfg.num = v;
		break;
	case VIRTIO_PCI_COMMON_Q_ENABLE:
		q->cfg.ready = v == 1;
		break;
	case VIRTIO_PCI_COMMON_Q_DESCLO:
	case VIRTIO_PCI_COMMON_Q_DESCHI:
		set_half(&q->cfg.desc, off % 8 * 8, v);
		break;
	case VIRTIO_PCI_COMMON_Q_AVAILLO:
	case VIRTIO_PCI_COMMON_Q_AVAILHI:
		set_half(&q->cfg.avail, off % 8 * 8, v);
		break;
	case VIRTIO_PCI_COMMON_Q_USEDLO:
	case VIRTIO_PCI_COMMON_Q_USEDHI:
		set_half(&q->cfg.used, off % 8 * 8, v);
		break;
	}
}

static struct vp_queue *selected(struct virtio_pci *vp)
{
	return vp->qselect < vp->dev->nvq ? &vp->queue[vp->qselect] : NULL;
}

/* Width of each field; 64-bit ones are two of 4 bytes. */
static const uint8_t field_len[COMMON_LEN] = {
	[VIRTIO_PCI_COMMON_DFSELECT] = 4,
	[VIRTIO_PCI_COMMON_DF] = 4,
	[VIRTIO_PCI_COMMON_GFSELECT] = 4,
	[VIRTIO_PCI_COMMON_GF] = 4,
	[VIRTIO_PCI_COMMON_MSIX] = 2,
	[VIRTIO_PCI_COMMON_NUMQ] = 2,
	[VIRTIO_PCI_COMMON_STATUS] = 1,
	[VIRTIO_PCI_COMMON_CFGGENERATION] = 1,
	[VIRTIO_PCI_COMMON_Q_SELECT] = 2,
	[VIRTIO_PCI_COMMON_Q_SIZE] = 2,
	[VIRTIO_PCI_COMMON_Q_MSIX] = 2,
	[VIRTIO_PCI_COMMON_Q_ENABLE] = 2,
	[VIRTIO_PCI_COMMON_Q_NOFF] = 2,
	[VIRTIO_PCI_COMMON_Q_DESCLO] = 4,
	[VIRTIO_PCI_COMMON_Q_DESCHI] = 4,
	[VIRTIO_PCI_COMMON_Q_AVAILLO] = 4,
	[VIRTIO_PCI_COMMON_Q_AVAILHI] = 4,
	[VIRTIO_PCI_COMMON_Q_USEDLO] = 4,
	[VIRTIO_PCI_COMMON_Q_USEDHI] = 4,
};

void vp_common_write(struct virtio_pci *vp, uint32_t off, const uint8_t *data, unsigned len)
{
	struct vp_queue *q = selected(vp);
	uint32_t v;

	if (len == 8 && off >= VIRTIO_PCI_COMMON_Q_DESCLO && off % 8 == 0) {
		vp_common_write(vp, off, data, 4);
		vp_common_write(vp, off + 4, data + 4, 4);
		return;
	}
	if (len != field_len[off])
		return;
	v = bus_get(data, len);
	switch (off) {
	case VIRTIO_PCI_COMMON_DFSELECT:
		vp->dfselect = v;
		break;
	case VIRTIO_PCI_COMMON_GFSELECT:
		vp->gfselect = v;
		break;
	case VIRTIO_PCI_COMMON_GF:
		write_features(vp, v);
		break;
	case VIRTIO_PCI_COMMON_MSIX:
		vp->config_vector = check_vector(vp, v);
		break;
	case VIRTIO_PCI_COMMON_STATUS:
		write_status(vp, v);
		break;
	case VIRTIO_PCI_COMMON_Q_SELECT:
		vp->qselect = v;
		break;
	default:
		if (q)
			write_queue(vp, q, off, v);
	}
}

void vp_common_read(struct virtio_pci *vp, uint32_t off, uint8_t *data, unsigned len)
{
	uint8_t regs[COMMON_LEN] = {0};
	struct vp_queue *q = selected(vp);

	bus_put(regs + VIRTIO_PCI_COMMON_DFSELECT, 4, vp->dfselect);
	if (vp->dfselect < 2)
		bus_put(regs + VIRTIO_PCI_COMMON_DF, 4, vp->dev->offered >> 32 * vp->dfselect);
	bus_put(regs + VIRTIO_PCI_COMMON_GFSELECT, 4, vp->gfselect);
	if (vp->gfselect < 2)
		bus_put(regs + VIRTIO_PCI_COMMON_GF, 4, vp->wanted >> 32 * vp->gfselect);
	bus_put(regs + VIRTIO_PCI_COMMON_MSIX, 2, vp->config_vector);
	bus_put(regs + VIRTIO_PCI_COMMON_NUMQ, 2, vp->dev->nvq);
	regs[VIRTIO_PCI_COMMON_STATUS] = vp->status | (vp->needs_reset ? VIRTIO_CONFIG_S_NEEDS_RESET : 0);
	regs[VIRTIO_PCI_COMMON_CFGGENERATION] = atomic_load(&vp->dev->config_gen);
	bus_put(regs + VIRTIO_PCI_COMMON_Q_SELECT, 2, vp->qselect);
	bus_put(regs + VIRTIO_PCI_COMMON_Q_MSIX, 2, q ? q->vector : VIRTIO_MSI_NO_VECTOR);
	if (q) {
		bus_put(regs + VIRTIO_PCI_COMMON_Q_SIZE, 2, q->cfg.num);
		bus_put(regs + VIRTIO_PCI_COMMON_Q_ENABLE, 2, q->cfg.ready);
		bus_put(regs + VIRTIO_PCI_COMMON_Q_NOFF, 2, vp->qselect);
		bus_put(regs + VIRTIO_PCI_COMMON_Q_DESCLO, 8, q->cfg.desc);
		bus_put(regs + VIRTIO_PCI_COMMON_Q_AVAILLO, 8, q->cfg.avail);
		bus_put(regs + VIRTIO_PCI_COMMON_Q_USEDLO, 8, q->cfg.used);
	}
	memcpy(data, regs + off, len);
}
