// SPDX-License-Identifier: Apache-2.0
/*
 * MSI-X (PCI Local Bus 3.0, section 6.8.2): the capability, the vector table and the pending bits, on top of
 * one irq_src a vector. Registers: vCPU threads, device mutex held. pci_msix_raise(): any thread, lock-free.
 *
 * A vector is live when MSI-X is on, the function unmasked and the vector unmasked. Only then its message is
 * routed, so a driver that masks, writes address and data, and unmasks costs one routing write. A vector that
 * is not live is masked at its irq_src, which keeps raises as pending bits.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "devices/pci_priv.h"
#include "vmm/bus.h"
#include "vmm/log.h"

#define VECTOR_MASKED 1u
#define CAP_LEN	      12

struct msix_vector {
	uint32_t addr_lo, addr_hi, data, control; /* as the guest reads them */
	bool live, routed;
	struct irq_msg msg; /* what is routed */
	struct irq_src src;
};

struct msix {
	struct pci_dev *dev;
	unsigned cap, bar, nvec;
	uint32_t off; /* of the table in the BAR; the PBA follows it */
	bool fmask, complained;
	_Atomic bool on;
	struct msix_vector vec[];
};

static uint32_t table_size(unsigned nvec)
{
	return nvec * PCI_MSIX_ENTRY_SIZE;
}

uint32_t msix_size(unsigned nvec)
{
	return table_size(nvec) + (nvec + 63) / 64 * 8;
}

static void complain(struct msix *m, unsigned i, int err)
{
	if (!m->complained)
		log_warn("%s: MSI-X vector %u: %s", m->dev->name, i, strerror(-err));
	m->complained = true;
}

/* Make the irq_src agree with the registers; nothing is called when it does already. */
static void update(struct msix *m, unsigned i)
{
	struct msix_vector *v = &m->vec[i];
	bool live = m->on && !m->fmask && !(v->control & VECTOR_MASKED);
	struct irq_msg msg = {
		.addr = (uint64_t)v->addr_hi << 32 | v->addr_lo, .data = v->data, .devid = m->dev->slot << 3};
	int err = 0;

	if (live && (!v->routed || msg.addr != v->msg.addr || msg.data != v->msg.data)) {
		err = irq_route(&v->src, &msg);
		v->routed = !err;
		v->msg = msg;
		if (err) {
			complain(m, i, err);
			live = false;
		}
	}
	if (live == v->live)
		return;
	err = irq_mask(&v->src, !live);
	if (err) {
		complain(m, i, err);
		irq_mask(&v->src, true); /* so that the next unmasking is tried again */
	}
	v->live = live && !err;
}

void msix_control_written(struct msix *m)
{
	uint16_t control = bus_get(m->dev->cfg + m->cap + PCI_MSIX_FLAGS, 2);
	bool on = control & PCI_MSIX_FLAGS_ENABLE, fmask = control & PCI_MSIX_FLAGS_MASKALL;

	if (on == m->on && fmask == m->fmask)
		return;
	m->on = on;
	m->fmask = fmask;
	for (unsigned i = 0; i < m->nvec; i++)
		update(m, i);
}

bool msix_touches(const struct msix *m, unsigned bar, uint64_t off, unsigned len)
{
	return bar == m->bar && off + len > m->off && off < m->off + msix_size(m->nvec);
}

/*
 * The two access sizes the specification allows, naturally aligned, so an access never leaves its table entry
 * or the PBA. A capability's offsets are 8-byte aligned, and so is everything here.
 */
static bool legal(const struct msix *m, uint64_t off, unsigned len)
{
	return (len == 4 || len == 8) && off % len == 0 && off >= m->off;
}

static uint32_t *reg_at(struct msix *m, uint32_t at)
{
	struct msix_vector *v = &m->vec[at / PCI_MSIX_ENTRY_SIZE];

	switch (at % PCI_MSIX_ENTRY_SIZE) {
	case PCI_MSIX_ENTRY_LOWER_ADDR:
		return &v->addr_lo;
	case PCI_MSIX_ENTRY_UPPER_ADDR:
		return &v->addr_hi;
	case PCI_MSIX_ENTRY_DATA:
		return &v->data;
	default:
		return &v->control;
	}
}

static uint8_t pending_byte(const struct msix *m, uint32_t byte)
{
	uint8_t bits = 0;

	for (unsigned i = 0; i < 8 && byte * 8 + i < m->nvec; i++)
		bits |= irq_pending(&m->vec[byte * 8 + i].src) << i;
	return bits;
}

void msix_read(struct msix *m, uint64_t off, uint8_t *data, unsigned len)
{
	uint32_t at = off - m->off, table = table_size(m->nvec);

	memset(data, 0xff, len);
	if (!legal(m, off, len))
		return;
	if (at < table) {
		for (unsigned i = 0; i < len; i += 4)
			bus_put(data + i, 4, *reg_at(m, at + i));
	} else {
		for (unsigned i = 0; i < len; i++)
			data[i] = pending_byte(m, at - table + i);
	}
}

void msix_write(struct msix *m, uint64_t off, const uint8_t *data, unsigned len)
{
	uint32_t at = off - m->off;

	if (!legal(m, off, len) || at >= table_size(m->nvec))
		return;
	for (unsigned i = 0; i < len; i += 4)
		*reg_at(m, at + i) = bus_get(data + i, 4);
	m->vec[at / PCI_MSIX_ENTRY_SIZE].control &= VECTOR_MASKED;
	update(m, at / PCI_MSIX_ENTRY_SIZE);
}

void msix_reset(struct msix *m)
{
	m->on = false;
	m->fmask = false;
	m->complained = false;
	for (unsigned i = 0; i < m->nvec; i++) {
		struct msix_vector *v = &m->vec[i];

		v->addr_lo = v->addr_hi = v->data = 0;
		v->control = VECTOR_MASKED;
		v->live = v->routed = false;
		irq_reset(&v->src);
	}
}

void msix_close(struct msix *m)
{
	m->on = false;
	while (m->nvec)
		irq_close(&m->vec[--m->nvec].src);
	free(m);
}

int pci_dev_msix(struct pci_dev *dev, struct vm *vm, unsigned nvec, unsigned bar, uint32_t off)
{
	static const uint8_t wmask[CAP_LEN] = {
		[PCI_MSIX_FLAGS + 1] = (PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL) >> 8};
	uint8_t body[CAP_LEN] = {0};
	struct msix *m;
	int err;

	if (!nvec || nvec > PCI_MSIX_FLAGS_QSIZE + 1 || bar >= PCI_BARS || off % 8 ||
		(uint64_t)off + msix_size(nvec) > dev->bar[bar].size)
		return -EINVAL;
	m = calloc(1, sizeof(*m) + nvec * sizeof(m->vec[0]));
	if (!m)
		return -ENOMEM;
	m->dev = dev;
	m->bar = bar;
	m->off = off;
	for (; m->nvec < nvec; m->nvec++) {
		err = irq_open(&m->vec[m->nvec].src, vm, -1);
		if (err)
			goto out;
		m->vec[m->nvec].control = VECTOR_MASKED;
	}
	bus_put(body + PCI_MSIX_FLAGS, 2, nvec - 1);
	bus_put(body + PCI_MSIX_TABLE, 4, off | bar);
	bus_put(body + PCI_MSIX_PBA, 4, (off + table_size(nvec)) | bar);
	err = pci_dev_cap(dev, PCI_CAP_ID_MSIX, body, sizeof(body), wmask);
	if (err < 0)
		goto out;
	m->cap = err;
	dev->msix = m;
	return 0;
out:
	msix_close(m);
	return err;
}

void pci_msix_raise(struct pci_dev *dev, unsigned v, struct loop *loop)
{
	struct msix *m = dev->msix;

	if (m && v < m->nvec && atomic_load_explicit(&m->on, memory_order_relaxed))
		irq_raise(&m->vec[v].src, loop);
}
