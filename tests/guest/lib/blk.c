// SPDX-License-Identifier: Apache-2.0
/* virtio-blk; see virtio.h. Slot s owns descriptors 3s..3s+2, or the one descriptor s and an indirect table. */
#include "tests/guest/lib/virtio.h"

#define PER_SLOT     3
#define TABLE	     4

static unsigned queue_size(unsigned chains)
{
	unsigned n = 1;

	while (n < chains)
		n *= 2;
	return n;
}

void blk_start(struct blk *b, uint64_t features, unsigned entry)
{
	vdev_negotiate(&b->v, features);
	b->indirect = b->v.features & F_INDIRECT;
	b->busy = 0;
	for (unsigned i = 0; i < b->depth; i++)
		b->slot[i].busy = false;
	vq_open(&b->q, &b->v, 0, queue_size(b->depth * PER_SLOT), entry);
	vdev_go(&b->v);
}

bool blk_open(struct blk *b, unsigned n, unsigned depth, uint64_t features, unsigned entry)
{
	memset(b, 0, sizeof(*b));
	if (!vdev_open(&b->v, 2, n))
		return false;
	check(depth && depth <= BLK_MAX_DEPTH);
	b->depth = depth;
	b->slot = take_memory(sizeof(b->slot[0]) * depth, 16);
	b->table = take_memory(sizeof(b->table[0]) * TABLE * depth, 16);
	if (entry != VIRTIO_MSI_NO_VECTOR)
		msix_enable(&b->v, true);
	blk_start(b, features, entry);
	return true;
}

uint64_t blk_sectors(const struct blk *b)
{
	volatile uint32_t *capacity = (volatile uint32_t *)b->v.config;

	return capacity[0] | (uint64_t)capacity[1] << 32;
}

static unsigned free_slot(const struct blk *b)
{
	for (unsigned i = 0; i < b->depth; i++)
		if (!b->slot[i].busy)
			return i;
	fail(__FILE__, __LINE__, "no free slot");
}

static bool reads(uint32_t type)
{
	return type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_GET_ID;
}

unsigned blk_add(struct blk *b, uint32_t type, uint64_t sector, void *buf, uint32_t len)
{
	unsigned i = free_slot(b), first = b->indirect ? 0 : i * PER_SLOT, n = first;
	struct vring_desc *d = b->indirect ? &b->table[i * TABLE] : b->q.desc;
	struct blk_slot *s = &b->slot[i];

	s->head = (struct virtio_blk_outhdr){.type = type, .sector = sector};
	s->status = 0xff;
	s->len = reads(type) ? len + 1 : 1;
	d[n] = (struct vring_desc){(uintptr_t)&s->head, sizeof(s->head), VRING_DESC_F_NEXT, n + 1};
	n++;
	if (len) {
		d[n] = (struct vring_desc){(uintptr_t)buf, len,
			VRING_DESC_F_NEXT | (reads(type) ? VRING_DESC_F_WRITE : 0), n + 1};
		n++;
	}
	d[n++] = (struct vring_desc){(uintptr_t)&s->status, 1, VRING_DESC_F_WRITE, 0};
	if (b->indirect) {
		vq_desc(&b->q, i, d, n * sizeof(*d), VRING_DESC_F_INDIRECT, 0);
		first = i;
	}
	s->busy = true;
	b->busy++;
	vq_add(&b->q, first);
	return i;
}

unsigned blk_reap(struct blk *b)
{
	uint32_t head, len;
	unsigned n = 0;

	for (; vq_take(&b->q, &head, &len); n++) {
		unsigned i = b->indirect ? head : head / PER_SLOT;

		check(i < b->depth && b->slot[i].busy && (b->indirect || head % PER_SLOT == 0));
		check(len == b->slot[i].len || b->slot[i].status != VIRTIO_BLK_S_OK);
		check(*(volatile uint8_t *)&b->slot[i].status <= VIRTIO_BLK_S_UNSUPP);
		b->slot[i].busy = false;
		b->busy--;
		b->done++;
	}
	return n;
}

void blk_drain(struct blk *b, unsigned left)
{
	uint64_t start = rdtsc();

	vq_publish(&b->q);
	while (b->busy > left) {
		if (blk_reap(b))
			start = rdtsc();
		check(rdtsc() - start < GIVE_UP);
		pause_cpu();
	}
}

uint8_t blk_do(struct blk *b, uint32_t type, uint64_t sector, void *buf, uint32_t len)
{
	unsigned i;

	blk_drain(b, 0);
	i = blk_add(b, type, sector, buf, len);
	blk_drain(b, 0);
	return b->slot[i].status;
}
