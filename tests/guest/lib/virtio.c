// SPDX-License-Identifier: Apache-2.0
/* virtio over PCI and MMIO, and its rings; see virtio.h. Barriers: x86 keeps stores in order, so the compiler's are enough,
 * but for the store of an index followed by the load of an event, which needs a real one. */
#include "tests/guest/lib/virtio.h"

#include <linux/pci_regs.h>

#include "tests/guest/lib/pci.h"

#define VIRTIO_VENDOR 0x1af4
#define VIRTIO_FIRST  0x1040
#define ARENA_END     0xf00000 /* guests have at least 16 MiB */
#define MMIO_MAGIC    0x74726976

#define barrier() __asm__ volatile("" ::: "memory")

extern uint8_t guest_end[];
static uintptr_t arena;

void *take_memory(size_t size, size_t align)
{
	if (!arena)
		arena = (uintptr_t)guest_end;
	arena = (arena + align - 1) & ~(align - 1);
	check(arena + size <= ARENA_END);
	memset((void *)arena, 0, size);
	arena += size;
	return (void *)(arena - size);
}

/* A locked operation on the stack is a full barrier; MFENCE is SSE2's. */
static void full_barrier(void)
{
	__asm__ volatile("lock; addl $0, (%%rsp)" ::: "memory", "cc");
}

/* ---- registers ---- */

static uint8_t read8(uintptr_t at)
{
	return *(volatile uint8_t *)at;
}

static uint16_t read16(uintptr_t at)
{
	return *(volatile uint16_t *)at;
}

static uint32_t read32(uintptr_t at)
{
	return *(volatile uint32_t *)at;
}

static void write8(uintptr_t at, uint8_t v)
{
	*(volatile uint8_t *)at = v;
}

static void write16(uintptr_t at, uint16_t v)
{
	*(volatile uint16_t *)at = v;
}

static void write32(uintptr_t at, uint32_t v)
{
	*(volatile uint32_t *)at = v;
}

static void write64(uintptr_t at, uint64_t v)
{
	write32(at, v);
	write32(at + 4, v >> 32);
}

static uintptr_t cap_address(unsigned slot, unsigned cap)
{
	return pci_bar(slot, pci_read(slot, cap + VIRTIO_PCI_CAP_BAR, 1)) +
	       pci_read(slot, cap + VIRTIO_PCI_CAP_OFFSET, 4);
}

void vdev_map(struct vdev *v)
{
	unsigned s = v->slot, msix = pci_cap(s, PCI_CAP_ID_MSIX, 0);
	uint32_t table = pci_read(s, msix + PCI_MSIX_TABLE, 4);

	for (unsigned cap = 0; (cap = pci_cap(s, PCI_CAP_ID_VNDR, cap));) {
		switch (pci_read(s, cap + VIRTIO_PCI_CAP_CFG_TYPE, 1)) {
		case VIRTIO_PCI_CAP_COMMON_CFG:
			v->common = cap_address(s, cap);
			break;
		case VIRTIO_PCI_CAP_NOTIFY_CFG:
			v->notify = cap_address(s, cap);
			v->notify_step = pci_read(s, cap + VIRTIO_PCI_NOTIFY_CAP_MULT, 4);
			break;
		case VIRTIO_PCI_CAP_ISR_CFG:
			v->isr = cap_address(s, cap);
			break;
		case VIRTIO_PCI_CAP_DEVICE_CFG:
			v->config = cap_address(s, cap);
			break;
		}
	}
	check(v->common && v->notify && v->isr && msix);
	v->msix = pci_bar(s, table & PCI_MSIX_TABLE_BIR) + (table & PCI_MSIX_TABLE_OFFSET);
}

static unsigned mmio_pin(const struct vdev *v)
{
	return v->slot < MMIO_SLOTS_FIRST ? MMIO_PIN_FIRST + v->slot : MMIO_PIN_REST + v->slot - MMIO_SLOTS_FIRST;
}

/* Slots are filled from the first on, and nobody answers behind the last. */
static bool mmio_find(struct vdev *v, uint16_t id, unsigned nth)
{
	for (unsigned i = 0; i < MMIO_SLOTS; i++) {
		uintptr_t at = MMIO_PLATFORM + i * MMIO_SLOT_SIZE;

		if (read32(at) != MMIO_MAGIC)
			return false;
		check(read32(at + VIRTIO_MMIO_VERSION) == 2);
		if (read32(at + VIRTIO_MMIO_DEVICE_ID) != id || nth--)
			continue;
		v->slot = i;
		v->mmio = at;
		v->config = at + VIRTIO_MMIO_CONFIG;
		v->notify = at + VIRTIO_MMIO_QUEUE_NOTIFY;
		return true;
	}
	return false;
}

bool vdev_open(struct vdev *v, uint16_t id, unsigned nth)
{
	memset(v, 0, sizeof(*v));
	if (arg("mmio")) {
		if (!mmio_find(v, id, nth))
			return false;
		vdev_reset(v);
		return true;
	}
	if (!pci_find(VIRTIO_VENDOR, VIRTIO_FIRST + id, nth, &v->slot))
		return false;
	pci_enable(v->slot, true);
	vdev_map(v);
	vdev_reset(v);
	return true;
}

uint8_t vdev_status(const struct vdev *v)
{
	return v->mmio ? read32(v->mmio + VIRTIO_MMIO_STATUS) : read8(v->common + VIRTIO_PCI_COMMON_STATUS);
}

static void set_status(struct vdev *v, uint8_t status)
{
	if (v->mmio)
		write32(v->mmio + VIRTIO_MMIO_STATUS, status);
	else
		write8(v->common + VIRTIO_PCI_COMMON_STATUS, status);
}

static void add_status(struct vdev *v, uint8_t bit)
{
	set_status(v, vdev_status(v) | bit);
}

void vdev_reset(struct vdev *v)
{
	uint64_t start = rdtsc();

	set_status(v, 0);
	while (vdev_status(v)) {
		check(rdtsc() - start < GIVE_UP);
		pause_cpu();
	}
}

/* 32 bits of what the device offers, and of what the driver wants. */
static uint32_t offered(struct vdev *v, unsigned half)
{
	if (v->mmio) {
		write32(v->mmio + VIRTIO_MMIO_DEVICE_FEATURES_SEL, half);
		return read32(v->mmio + VIRTIO_MMIO_DEVICE_FEATURES);
	}
	write32(v->common + VIRTIO_PCI_COMMON_DFSELECT, half);
	return read32(v->common + VIRTIO_PCI_COMMON_DF);
}

static void want(struct vdev *v, unsigned half, uint32_t features)
{
	if (v->mmio) {
		write32(v->mmio + VIRTIO_MMIO_DRIVER_FEATURES_SEL, half);
		write32(v->mmio + VIRTIO_MMIO_DRIVER_FEATURES, features);
		return;
	}
	write32(v->common + VIRTIO_PCI_COMMON_GFSELECT, half);
	write32(v->common + VIRTIO_PCI_COMMON_GF, features);
}

void vdev_negotiate(struct vdev *v, uint64_t features)
{
	add_status(v, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	add_status(v, VIRTIO_CONFIG_S_DRIVER);
	v->offered = 0;
	for (unsigned i = 0; i < 2; i++)
		v->offered |= (uint64_t)offered(v, i) << 32 * i;
	check(v->offered & F_VERSION_1);
	v->features = (features & v->offered) | F_VERSION_1;
	for (unsigned i = 0; i < 2; i++)
		want(v, i, v->features >> 32 * i);
	add_status(v, VIRTIO_CONFIG_S_FEATURES_OK);
	check(vdev_status(v) & VIRTIO_CONFIG_S_FEATURES_OK);
}

void vdev_go(struct vdev *v)
{
	add_status(v, VIRTIO_CONFIG_S_DRIVER_OK);
}

/* ---- interrupts ---- */

unsigned vdev_ack(struct vdev *v)
{
	unsigned bits;

	if (!v->mmio)
		return VIRTIO_MMIO_INT_VRING | VIRTIO_MMIO_INT_CONFIG;
	bits = read32(v->mmio + VIRTIO_MMIO_INTERRUPT_STATUS);
	write32(v->mmio + VIRTIO_MMIO_INTERRUPT_ACK, bits);
	return bits;
}

void msix_enable(struct vdev *v, bool on)
{
	unsigned at;
	uint16_t flags;

	if (v->mmio)
		return;
	at = pci_cap(v->slot, PCI_CAP_ID_MSIX, 0) + PCI_MSIX_FLAGS;
	flags = pci_read(v->slot, at, 2);
	pci_write(v->slot, at, 2, on ? flags | PCI_MSIX_FLAGS_ENABLE : flags & ~PCI_MSIX_FLAGS_ENABLE);
}

void msix_set(struct vdev *v, unsigned n, unsigned vector)
{
	uintptr_t at = v->msix + n * PCI_MSIX_ENTRY_SIZE;

	if (v->mmio) {
		ioapic_set(mmio_pin(v), vector);
		return;
	}
	msix_mask(v, n, true);
	write32(at + PCI_MSIX_ENTRY_LOWER_ADDR, LAPIC_BASE | lapic_id() << 12);
	write32(at + PCI_MSIX_ENTRY_UPPER_ADDR, 0);
	write32(at + PCI_MSIX_ENTRY_DATA, vector);
	msix_mask(v, n, false);
}

void msix_mask(struct vdev *v, unsigned n, bool masked)
{
	write32(v->msix + n * PCI_MSIX_ENTRY_SIZE + PCI_MSIX_ENTRY_VECTOR_CTRL, masked);
}

bool msix_pending(const struct vdev *v, unsigned n, unsigned nvec)
{
	return read32(v->msix + nvec * PCI_MSIX_ENTRY_SIZE + n / 32 * 4) & 1u << n % 32;
}

void vdev_config_entry(struct vdev *v, unsigned n)
{
	if (v->mmio)
		return;
	write16(v->common + VIRTIO_PCI_COMMON_MSIX, n);
	check(read16(v->common + VIRTIO_PCI_COMMON_MSIX) == n);
}

/* ---- queues ---- */

static void select_queue(struct vdev *v, unsigned index)
{
	if (v->mmio)
		write32(v->mmio + VIRTIO_MMIO_QUEUE_SEL, index);
	else
		write16(v->common + VIRTIO_PCI_COMMON_Q_SELECT, index);
}

unsigned vq_max(struct vdev *v, unsigned index)
{
	select_queue(v, index);
	return v->mmio ? read32(v->mmio + VIRTIO_MMIO_QUEUE_NUM_MAX) : read16(v->common + VIRTIO_PCI_COMMON_Q_SIZE);
}

void vq_entry(struct vdev *v, unsigned index, unsigned entry)
{
	if (v->mmio)
		return;
	select_queue(v, index);
	write16(v->common + VIRTIO_PCI_COMMON_Q_MSIX, entry);
	check(read16(v->common + VIRTIO_PCI_COMMON_Q_MSIX) == entry);
}

void vq_place(struct vdev *v, unsigned index, unsigned num, uint64_t desc, uint64_t avail, uint64_t used)
{
	select_queue(v, index);
	if (v->mmio) {
		check(!read32(v->mmio + VIRTIO_MMIO_QUEUE_READY));
		write32(v->mmio + VIRTIO_MMIO_QUEUE_NUM, num);
		write64(v->mmio + VIRTIO_MMIO_QUEUE_DESC_LOW, desc);
		write64(v->mmio + VIRTIO_MMIO_QUEUE_AVAIL_LOW, avail);
		write64(v->mmio + VIRTIO_MMIO_QUEUE_USED_LOW, used);
		write32(v->mmio + VIRTIO_MMIO_QUEUE_READY, 1);
		check(read32(v->mmio + VIRTIO_MMIO_QUEUE_READY) == 1);
		return;
	}
	write16(v->common + VIRTIO_PCI_COMMON_Q_SIZE, num);
	write64(v->common + VIRTIO_PCI_COMMON_Q_DESCLO, desc);
	write64(v->common + VIRTIO_PCI_COMMON_Q_AVAILLO, avail);
	write64(v->common + VIRTIO_PCI_COMMON_Q_USEDLO, used);
	write16(v->common + VIRTIO_PCI_COMMON_Q_ENABLE, 1);
}

static uint16_t *avail_event(const struct vq *q)
{
	return (uint16_t *)&q->used->ring[q->num];
}

static uint16_t *used_event(const struct vq *q)
{
	return &q->avail->ring[q->num];
}

void vq_open(struct vq *q, struct vdev *v, unsigned index, unsigned num, unsigned entry)
{
	check(num && !(num & (num - 1)) && num <= vq_max(v, index));
	if (q->num != num) {
		q->desc = take_memory(sizeof(q->desc[0]) * num, 16);
		q->avail = take_memory(sizeof(*q->avail) + 2 * num + 2, 2);
		q->used = take_memory(sizeof(*q->used) + sizeof(q->used->ring[0]) * num + 2, 4);
	}
	q->dev = v;
	q->index = index;
	q->num = num;
	q->added = q->published = q->taken = 0;
	q->avail->idx = q->avail->flags = q->used->idx = q->used->flags = 0;
	*used_event(q) = *avail_event(q) = 0;
	vq_place(v, index, num, (uintptr_t)q->desc, (uintptr_t)q->avail, (uintptr_t)q->used);
	q->kick = v->notify;
	if (!v->mmio)
		q->kick += read16(v->common + VIRTIO_PCI_COMMON_Q_NOFF) * v->notify_step;
	vq_entry(v, index, entry);
}

void vq_desc(struct vq *q, unsigned i, const void *buf, uint32_t len, uint16_t flags, uint16_t next)
{
	q->desc[i] = (struct vring_desc){(uintptr_t)buf, len, flags, next};
}

void vq_add(struct vq *q, uint16_t head)
{
	q->avail->ring[q->added++ & (q->num - 1)] = head;
}

void vq_kick(struct vq *q)
{
	q->kicks++;
	if (q->dev->mmio)
		write32(q->kick, q->index);
	else
		write16(q->kick, q->index);
}

bool vq_publish(struct vq *q)
{
	uint16_t was = q->published, event;
	bool wanted;

	if (q->added == was)
		return false;
	barrier();
	*(volatile uint16_t *)&q->avail->idx = q->published = q->added;
	full_barrier();
	event = *(volatile uint16_t *)avail_event(q);
	if (q->dev->features & F_EVENT_IDX)
		wanted = vring_need_event(event, q->added, was);
	else
		wanted = !(*(volatile uint16_t *)&q->used->flags & VRING_USED_F_NO_NOTIFY);
	if (wanted)
		vq_kick(q);
	return wanted;
}

static bool more(const struct vq *q)
{
	return *(volatile uint16_t *)&q->used->idx != q->taken;
}

bool vq_take(struct vq *q, uint32_t *head, uint32_t *len)
{
	const struct vring_used_elem *e = &q->used->ring[q->taken & (q->num - 1)];

	if (!more(q))
		return false;
	barrier();
	*head = e->id;
	*len = e->len;
	q->taken++;
	return true;
}

bool vq_arm(struct vq *q)
{
	if (q->dev->features & F_EVENT_IDX)
		*(volatile uint16_t *)used_event(q) = q->taken;
	else
		*(volatile uint16_t *)&q->avail->flags = 0;
	full_barrier();
	return !more(q);
}

void vq_disarm(struct vq *q)
{
	/* With EVENT_IDX: an event half a ring of indices behind, which is never reached. */
	if (q->dev->features & F_EVENT_IDX)
		*(volatile uint16_t *)used_event(q) = q->taken - 1;
	else
		*(volatile uint16_t *)&q->avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
}
