// SPDX-License-Identifier: Apache-2.0
/*
 * The common configuration structure of virtio-pci (virtio 1.2, section 4.1.4.3): features, device status,
 * queues. vCPU threads, the PCI device's mutex held.
 */
#include <string.h>

#include "devices/virtio/pci_priv.h"
#include "vmm/bus.h"

static uint16_t check_vector(const struct virtio_pci *vp, uint16_t v)
{
	return v < vp->nvec ? v : VIRTIO_MSI_NO_VECTOR;
}

static void write_queue(struct vregs *r, uint32_t off, uint32_t v)
{
	struct virtq_cfg *cfg = vregs_setup(r);

	if (!cfg)
		return;
	switch (off) {
	case VIRTIO_PCI_COMMON_Q_SIZE:
		vregs_set_num(r, cfg, v);
		break;
	case VIRTIO_PCI_COMMON_Q_ENABLE:
		cfg->ready = v == 1;
		break;
	case VIRTIO_PCI_COMMON_Q_DESCLO:
	case VIRTIO_PCI_COMMON_Q_DESCHI:
		vregs_set_half(&cfg->desc, off % 8 * 8, v);
		break;
	case VIRTIO_PCI_COMMON_Q_AVAILLO:
	case VIRTIO_PCI_COMMON_Q_AVAILHI:
		vregs_set_half(&cfg->avail, off % 8 * 8, v);
		break;
	case VIRTIO_PCI_COMMON_Q_USEDLO:
	case VIRTIO_PCI_COMMON_Q_USEDHI:
		vregs_set_half(&cfg->used, off % 8 * 8, v);
		break;
	}
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
	struct vregs *r = &vp->regs;
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
		r->dfselect = v;
		break;
	case VIRTIO_PCI_COMMON_GFSELECT:
		r->gfselect = v;
		break;
	case VIRTIO_PCI_COMMON_GF:
		vregs_set_wanted(r, v);
		break;
	case VIRTIO_PCI_COMMON_MSIX:
		vp->config_vector = check_vector(vp, v);
		break;
	case VIRTIO_PCI_COMMON_STATUS:
		vregs_set_status(r, v);
		break;
	case VIRTIO_PCI_COMMON_Q_SELECT:
		r->qselect = v;
		break;
	case VIRTIO_PCI_COMMON_Q_MSIX:
		if (vregs_selected(r))
			vp->vector[r->qselect] = check_vector(vp, v);
		break;
	default:
		write_queue(r, off, v);
	}
}

void vp_common_read(struct virtio_pci *vp, uint32_t off, uint8_t *data, unsigned len)
{
	uint8_t regs[COMMON_LEN] = {0};
	const struct vregs *r = &vp->regs;
	struct vregs_queue *q = vregs_selected(r);

	bus_put(regs + VIRTIO_PCI_COMMON_DFSELECT, 4, r->dfselect);
	bus_put(regs + VIRTIO_PCI_COMMON_DF, 4, vregs_offered(r));
	bus_put(regs + VIRTIO_PCI_COMMON_GFSELECT, 4, r->gfselect);
	bus_put(regs + VIRTIO_PCI_COMMON_GF, 4, vregs_wanted(r));
	bus_put(regs + VIRTIO_PCI_COMMON_MSIX, 2, vp->config_vector);
	bus_put(regs + VIRTIO_PCI_COMMON_NUMQ, 2, r->dev->nvq);
	regs[VIRTIO_PCI_COMMON_STATUS] = vregs_status(r);
	regs[VIRTIO_PCI_COMMON_CFGGENERATION] = virtio_config_generation(r->dev);
	bus_put(regs + VIRTIO_PCI_COMMON_Q_SELECT, 2, r->qselect);
	bus_put(regs + VIRTIO_PCI_COMMON_Q_MSIX, 2, q ? vp->vector[r->qselect] : VIRTIO_MSI_NO_VECTOR);
	if (q) {
		bus_put(regs + VIRTIO_PCI_COMMON_Q_SIZE, 2, q->cfg.num);
		bus_put(regs + VIRTIO_PCI_COMMON_Q_ENABLE, 2, q->cfg.ready);
		bus_put(regs + VIRTIO_PCI_COMMON_Q_NOFF, 2, r->qselect);
		bus_put(regs + VIRTIO_PCI_COMMON_Q_DESCLO, 8, q->cfg.desc);
		bus_put(regs + VIRTIO_PCI_COMMON_Q_AVAILLO, 8, q->cfg.avail);
		bus_put(regs + VIRTIO_PCI_COMMON_Q_USEDLO, 8, q->cfg.used);
	}
	memcpy(data, regs + off, len);
}
