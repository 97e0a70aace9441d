// SPDX-License-Identifier: Apache-2.0
/*
 * The capabilities of virtio-pci (virtio 1.2, section 4.1.4): where each structure is, and PCI_CFG, a window
 * into them for who cannot reach BARs. Main builds them; vCPU threads use the window, the PCI device's mutex
 * held.
 */
#include <linux/pci_regs.h>

#include "devices/virtio/pci_priv.h"
#include "vmm/bus.h"

/* The PCI_CFG capability: bar, offset and length in it select what its data bytes read and write. */
struct cfg_window {
	unsigned bar, len;
	uint32_t off;
	uint8_t *data;
};

static bool window_open(struct virtio_pci *vp, unsigned off, unsigned len, struct cfg_window *w)
{
	uint8_t *cap = vp->pci.cfg + vp->cfg_cap;
	unsigned at = vp->cfg_cap + offsetof(struct virtio_pci_cfg_cap, pci_cfg_data);

	if (off + len <= at || off >= at + 4)
		return false;
	w->bar = cap[VIRTIO_PCI_CAP_BAR];
	w->off = bus_get(cap + VIRTIO_PCI_CAP_OFFSET, 4);
	w->data = vp->pci.cfg + at;
	switch (bus_get(cap + VIRTIO_PCI_CAP_LENGTH, 4)) {
	case 1:
		w->len = 1;
		break;
	case 2:
		w->len = 2;
		break;
	case 4:
		w->len = 4;
		break;
	default:
		return false;
	}
	return w->off % w->len == 0;
}

void vp_cfg_read(struct pci_dev *pci, unsigned off, unsigned len)
{
	struct virtio_pci *vp = vp_of(pci);
	struct cfg_window w;

	if (window_open(vp, off, len, &w))
		pci_bar_read(pci, w.bar, w.off, w.data, w.len);
}

void vp_cfg_written(struct pci_dev *pci, unsigned off, unsigned len)
{
	struct virtio_pci *vp = vp_of(pci);
	struct cfg_window w;

	if (window_open(vp, off, len, &w))
		pci_bar_write(pci, w.bar, w.off, w.data, w.len);
}

static int add_cap(
	struct virtio_pci *vp, uint8_t type, unsigned cap_len, uint32_t off, uint32_t len, const void *wmask)
{
	uint8_t body[sizeof(struct virtio_pci_cfg_cap)] = {0};

	body[VIRTIO_PCI_CAP_LEN] = cap_len;
	body[VIRTIO_PCI_CAP_CFG_TYPE] = type;
	body[VIRTIO_PCI_CAP_BAR] = VP_BAR;
	bus_put(body + VIRTIO_PCI_CAP_OFFSET, 4, off);
	bus_put(body + VIRTIO_PCI_CAP_LENGTH, 4, len);
	if (type == VIRTIO_PCI_CAP_NOTIFY_CFG)
		bus_put(body + VIRTIO_PCI_NOTIFY_CAP_MULT, 4, NOTIFY_STEP);
	return pci_dev_cap(&vp->pci, PCI_CAP_ID_VNDR, body, cap_len, wmask);
}

int vp_add_caps(struct virtio_pci *vp)
{
	static const struct virtio_pci_cfg_cap writable = {
		.cap = {.bar = 0xff, .offset = ~0u, .length = ~0u}, .pci_cfg_data = {0xff, 0xff, 0xff, 0xff}};
	unsigned plain = sizeof(struct virtio_pci_cap), config_len = vp->regs.dev->config_len;
	int r;

	r = add_cap(vp, VIRTIO_PCI_CAP_COMMON_CFG, plain, AT_COMMON, COMMON_LEN, NULL);
	if (r >= 0)
		r = add_cap(vp, VIRTIO_PCI_CAP_NOTIFY_CFG, plain + 4, AT_NOTIFY, vp->regs.dev->nvq * NOTIFY_STEP,
			NULL);
	if (r >= 0)
		r = add_cap(vp, VIRTIO_PCI_CAP_ISR_CFG, plain, AT_ISR, 1, NULL);
	if (r >= 0 && config_len)
		r = add_cap(vp, VIRTIO_PCI_CAP_DEVICE_CFG, plain, AT_CONFIG, config_len, NULL);
	if (r >= 0)
		r = add_cap(vp, VIRTIO_PCI_CAP_PCI_CFG, sizeof(writable), 0, 0, &writable);
	vp->cfg_cap = r;
	return r < 0 ? r : 0;
}
