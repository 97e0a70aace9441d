// SPDX-License-Identifier: Apache-2.0
/* Ways to break a ring; see crimes.h. */
#include "tests/guest/lib/crimes.h"

static void index_runs_ahead(struct vq *q, uint8_t *buf)
{
	q->avail->idx = q->published + q->num + 1;
}

static void head_too_large(struct vq *q, uint8_t *buf)
{
	vq_add(q, q->num);
	vq_publish(q);
}

static void next_too_large(struct vq *q, uint8_t *buf)
{
	vq_desc(q, 0, buf, 16, VRING_DESC_F_NEXT, q->num);
	vq_add(q, 0);
	vq_publish(q);
}

static void loop_of_two(struct vq *q, uint8_t *buf)
{
	vq_desc(q, 0, buf, 16, VRING_DESC_F_NEXT, 1);
	vq_desc(q, 1, buf, 16, VRING_DESC_F_NEXT, 0);
	vq_add(q, 0);
	vq_publish(q);
}

static void into_the_hole(struct vq *q, uint8_t *buf)
{
	vq_desc(q, 0, (void *)HOLE, 16, 0, 0);
	vq_add(q, 0);
	vq_publish(q);
}

static void over_the_end(struct vq *q, uint8_t *buf)
{
	vq_desc(q, 0, buf, ~0u, 0, 0);
	vq_add(q, 0);
	vq_publish(q);
}

static void wraps_around(struct vq *q, uint8_t *buf)
{
	q->desc[0] = (struct vring_desc){~0ull - 8, 16, 0, 0};
	vq_add(q, 0);
	vq_publish(q);
}

static void table_of_odd_length(struct vq *q, uint8_t *buf)
{
	vq_desc(q, 0, buf, 24, VRING_DESC_F_INDIRECT, 0);
	vq_add(q, 0);
	vq_publish(q);
}

static void table_in_table(struct vq *q, uint8_t *buf)
{
	struct vring_desc *table = (struct vring_desc *)buf;

	table[0] = (struct vring_desc){(uintptr_t)buf + 64, 16, VRING_DESC_F_INDIRECT, 0};
	vq_desc(q, 0, table, sizeof(table[0]), VRING_DESC_F_INDIRECT, 0);
	vq_add(q, 0);
	vq_publish(q);
}

static void loop_in_table(struct vq *q, uint8_t *buf)
{
	struct vring_desc *table = (struct vring_desc *)buf;

	table[0] = (struct vring_desc){(uintptr_t)buf + 64, 16, VRING_DESC_F_NEXT, 1};
	table[1] = (struct vring_desc){(uintptr_t)buf + 64, 16, VRING_DESC_F_NEXT, 0};
	vq_desc(q, 0, table, 2 * sizeof(table[0]), VRING_DESC_F_INDIRECT, 0);
	vq_add(q, 0);
	vq_publish(q);
}

static void readable_after_writable(struct vq *q, uint8_t *buf)
{
	vq_desc(q, 0, buf, 16, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 1);
	vq_desc(q, 1, buf, 16, 0, 0);
	vq_add(q, 0);
	vq_publish(q);
}

const struct crime crimes[CRIMES] = {
	{"index runs ahead", index_runs_ahead},
	{"head too large", head_too_large},
	{"next too large", next_too_large},
	{"loop of two", loop_of_two},
	{"buffer in the hole", into_the_hole},
	{"buffer over the end of RAM", over_the_end},
	{"buffer wraps around", wraps_around},
	{"indirect table of odd length", table_of_odd_length},
	{"indirect table in another", table_in_table},
	{"loop in an indirect table", loop_in_table},
	{"readable after writable", readable_after_writable},
};
